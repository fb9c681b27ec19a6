"""Scratch directories of runs, and the sweep of what dead processes left behind.

A directory whose run has ended well serves the next one, emptied: five inodes made and removed a run take
longer than all that is written into them. Meanwhile it lies in `tmp/`, where its name tells whose it is.
"""

import os
import shutil
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provenance.errors import NotAFile
from provenance.files import listing, open_regular, scratch_name, writing_to
from provenance.identity import Owner, this_process

_REWRITTEN = "in/frames.sof"
"""What each run writes anew: it stays for the next one, as any inode made or removed costs."""
_OWNER = "owner"
_KEPT = "kept"
_MOST_OWNER = 4096
"""Bytes of an owner's name that are read."""
_MOST_SPARE = 8
"""Directories kept for runs to come."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Scratch whose owner is known to be dead."""

    kind: str
    """`work` or `tmp`."""
    name: str
    """A run id, or the name of a partial file."""
    path: Path


class Work:
    """The scratch of a store: `work/<run>/{in,out}` and the partial files in `tmp/`.

    Parameters
    ----------
    root : Path
        The store's directory.
    """

    def __init__(self, root: Path) -> None:
        self._work = root / "work"
        self._scratch = root / "tmp"
        self._spare: list[Path] = []
        weakref.finalize(self, _drop, self._spare)  # for those who close nothing

    def make(self, run: str) -> Path:
        """Make `work/<run>/` with `in/` and `out/`, owned by this process.

        Raises
        ------
        StoreFull
            The disk is full.
        """
        directory = self._work / run
        aside = scratch_name(self._scratch)
        with suppress(IndexError, OSError):  # somebody may have tidied it away
            spare = self._spare.pop()
            if spare.name.partition("~")[0] == aside.name.partition("~")[0]:  # not so after a fork
                os.rename(spare, directory)  # noqa: PTH104 - no new path is wanted
                return directory
        # Made aside, where its name tells the owner: killed right here, it is swept all the same.
        with writing_to(directory):
            aside.mkdir(mode=0o755)
            try:
                (aside / _OWNER).write_text(str(this_process()), encoding="utf-8")
                for name in ("in", "out"):
                    (aside / name).mkdir(mode=0o755)
                aside.rename(directory)
            except OSError:
                with suppress(OSError):
                    _remove(aside)
                raise
        return directory

    def discard(self, run: str, *, is_quiet: bool = False) -> None:
        """Remove the scratch of a run; it need not be there.

        Parameters
        ----------
        run : str
            Its id.
        is_quiet : bool
            Whether all that could write into it has ended: then it may serve another run.
        """
        if not (is_quiet and self._set_by(self._work / run)):
            self._clear(self._work / run)

    def close(self) -> None:
        """Remove what was kept for runs that did not come."""
        _drop(self._spare)

    def keep(self, run: str) -> Path:
        """Leave the scratch of a run for a look: no sweep takes it, unless the disk takes no note of that."""
        directory = self._work / run
        with suppress(OSError):
            (directory / _KEPT).touch()
        return directory

    def kept(self) -> tuple[str, ...]:
        """Return the runs whose scratch was kept on purpose."""
        return tuple(name for name in listing(self._work) if (self._work / name / _KEPT).exists())

    def leftovers(self) -> tuple[Leftover, ...]:
        """Return the scratch of dead processes: not what was kept, nor what nobody is known to own."""
        runs = [
            Leftover("work", name, self._work / name)
            for name in listing(self._work)
            if not (self._work / name / _KEPT).exists() and _is_dead(self._owner_of(name))
        ]
        files = [
            Leftover("tmp", name, self._scratch / name)
            for name in listing(self._scratch)
            if _is_dead(name.partition("~")[0])
        ]
        return tuple(runs + files)

    def sweep(self) -> tuple[Leftover, ...]:
        """Remove the scratch of dead processes and return what it was."""
        found = self.leftovers()
        for item in found:
            self._clear(item.path)
        return found

    def _set_by(self, directory: Path) -> bool:
        """Empty a directory for another run; whatever is odd about it is a reason not to."""
        if len(self._spare) >= _MOST_SPARE:
            return False
        spare = scratch_name(self._scratch)
        try:
            # Out of `work/` first, as in `_clear`: nobody shall find a run's scratch half empty.
            os.rename(directory, spare)  # noqa: PTH104 - no new path is wanted
        except OSError:
            return False
        try:
            is_fit = sorted(os.listdir(spare)) == ["in", "out", _OWNER]  # noqa: PTH208 - names only
            mode = os.lstat(spare).st_mode
            if is_fit and all(_empty(f"{spare}/{name}", mode) for name in ("in", "out")):
                self._spare.append(spare)
                return True
        except OSError:
            pass
        self._clear(spare)
        return True

    def _clear(self, path: Path) -> None:
        # Renamed first: killed half way through, what is left still tells by its name whose it was.
        doomed = scratch_name(self._scratch)
        # What cannot be removed (another user's, a disk that fails) stays for the next sweep: scratch is no
        # reason to fail, least of all when a failure is being tidied up.
        with suppress(OSError):
            path.rename(doomed)
            _remove(doomed)

    def _owner_of(self, run: str) -> str:
        # Somebody may have put a pipe there, or bytes that are no text.
        with suppress(OSError, NotAFile), open_regular(self._work / run / _OWNER) as descriptor:
            return os.read(descriptor, _MOST_OWNER).decode("utf-8", "replace")
        return ""


def _is_dead(text: str) -> bool:
    owner = Owner.from_text(text)
    return owner is not None and owner.is_dead()


def _drop(spare: list[Path]) -> None:
    while spare:
        with suppress(OSError):
            _remove(spare.pop())


def _empty(directory: str, mode: int) -> bool:
    """Remove the files in `in/` or `out/`; tell whether it is as good as new, of that mode."""
    if os.lstat(directory).st_mode != mode:
        return False
    with os.scandir(directory) as entries:
        found = [entry for entry in entries if not _is_rewritten(entry)]
    directories = [entry for entry in found if entry.is_dir(follow_symlinks=False)]
    for entry in found:
        if entry not in directories:
            os.unlink(entry.path)  # noqa: PTH108 - a text, and no path needed
    return not directories


def _is_rewritten(entry: os.DirEntry[str]) -> bool:
    return entry.path.endswith(_REWRITTEN) and entry.is_file(follow_symlinks=False)


def _remove(path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        # A recipe may leave directories nobody may enter; opening them is enough to remove them.
        for directory, _, _ in os.walk(path):
            Path(directory).chmod(0o755)
        shutil.rmtree(path)
