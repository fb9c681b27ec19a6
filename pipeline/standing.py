"""How things stood when a run found nothing to do, asked first: the next such run costs next to nothing.

A standing holds only if nothing that the plan follows from, and nothing that the answer relied on, looks
otherwise than it did: this program's own source, its Python and where that finds libraries, `clio.toml`,
`clio.lock`, every name in the folders of frames, what else the settings name, tables of offsets corrected by
hand, every object, record and name in the tree of products, the journal of the store, which any other run
and any statement would have moved, and the store's scratch. All are compared by device, inode, size, mode,
and times of content and of change. It is a hint like the stat memo, kept on this machine, and never says
that something has to run: if it does not hold, everything is looked up anew.
"""

import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.places import FILE, LOCK, cache_root
from provenance.identity import this_process
from provenance.settled import SETTLED_NS, settled_from

_VERSION = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """The answer of a run that found nothing to do."""

    hits: int
    remarks: tuple[str, ...]
    """What such a run says besides: problems and remarks, as sentences."""


@dataclass(frozen=True, slots=True)
class Relied:
    """What an answer relied on, and when that began to be looked at."""

    store: Path
    read: tuple[Path, ...]
    """Folders and files that a plan is made from, beside those of every workspace; some may not be there."""
    files: tuple[Path, ...]
    """Objects, records and names in the tree of products."""
    beginning: "Beginning"


@dataclass(frozen=True, slots=True)
class Beginning:
    """When looking began; taken before the store is opened."""

    at_ns: int
    """Nanoseconds since 1970; what was changed later is not relied on."""
    journal: tuple[tuple[str, ...], int]
    """Days of the store's journal, and how much the last one holds."""

    @classmethod
    def now(cls, store: Path) -> "Beginning":
        """Take it now."""
        return cls(time.time_ns(), _entries(store / "journal"))

    def is_followed_by(self, entries: int, store: Path) -> bool:
        """Tell whether the journal has so many entries more, all of this day."""
        days, count = self.journal
        return _entries(store / "journal") == (days, count + entries)


def recall(workspace: Path, words: Iterable[str]) -> Standing | None:
    """Return the standing of a workspace if it holds; None if everything has to be looked up.

    Parameters
    ----------
    workspace : Path
        Folder of the workspace.
    words : iterable of str
        What is asked for, such as stages.
    """
    try:
        with _path(workspace, words).open(encoding="utf-8", errors="surrogateescape") as stream:
            head = json.loads(next(stream))
            if head["version"] != _VERSION:
                return None
            store, read = Path(head["store"]), tuple(Path(name) for name in head["read"])
            if head["state"] != _state(workspace, store, read):
                return None
            if head["files"] != _Look().at(line.removesuffix("\n") for line in stream):
                return None
    except (OSError, ValueError, TypeError, LookupError, StopIteration):
        return None
    return Standing(head["hits"], tuple(head["remarks"]))


def keep(workspace: Path, words: Iterable[str], standing: Standing, relied: Relied) -> bool:
    """Keep how things stand, if nothing was changed since they were looked at but for the word of this call.

    Returns
    -------
    bool
        Whether it was kept. A disk that takes nothing more is no failure: it is a hint.
    """
    look = _Look(relied.beginning.at_ns)
    names = [str(path) for path in relied.files]
    try:
        files = look.at(names)
        state = _state(workspace, relied.store, relied.read, look)
        is_alone = relied.beginning.is_followed_by(1, relied.store)
        if not (look.is_settled and is_alone) or any("\n" in name for name in names):
            return False
        head = {
            "version": _VERSION,
            "store": str(relied.store),
            "read": [str(path) for path in relied.read],
            "state": state,
            "files": files,
            "hits": standing.hits,
            "remarks": standing.remarks,
        }
        _write(_path(workspace, words), json.dumps(head), names)
    except (OSError, UnicodeError):
        return False
    return True


def _path(workspace: Path, words: Iterable[str]) -> Path:
    asked = "\0".join((os.path.realpath(workspace), *sorted(words)))
    name = hashlib.sha256(asked.encode("utf-8", "surrogateescape")).hexdigest()
    return cache_root() / "standing" / name[:32]


def _write(path: Path, head: str, names: list[str]) -> None:
    from pipeline.replacing import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as aside, aside.open("w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(f"{head}\n")
        stream.writelines(f"{name}\n" for name in names)


class _Look:
    """What files look like, taken together; and whether a change to any of them would show.

    Parameters
    ----------
    since_ns : int
        When looking began, in nanoseconds since 1970; 0 if nobody asks.
    """

    def __init__(self, since_ns: int = 0) -> None:
        self._since_ns = since_ns
        self.is_settled = True
        """Whether all had been left alone for so long then that whatever came later shows in their times."""

    def at(self, names: Iterable[str]) -> str:
        """Return one digest of what all these files look like, links not followed.

        Raises
        ------
        OSError
            One is not there.
        """
        return self._digest((name, os.lstat(name)) for name in names)

    def below(self, places: Iterable[Path]) -> str:
        """Return one digest of files and of all below folders, links followed, hidden names left out."""
        return self._digest(pair for place in places for pair in _found(str(place)))

    def _digest(self, found: Iterable[tuple[str, os.stat_result | None]]) -> str:
        hasher = hashlib.sha256()
        recent = self._since_ns - SETTLED_NS
        for name, s in found:
            if s is None:
                hasher.update(f"{name}\0\n".encode("utf-8", "surrogateescape"))
                continue
            changed = s.st_ctime_ns
            if self._since_ns and max(changed, s.st_mtime_ns) > recent:
                settled_ns = max(settled_from(changed), settled_from(s.st_mtime_ns))
                self.is_settled &= settled_ns < self._since_ns
            looks = f"{name}\0{s.st_dev} {s.st_ino} {s.st_size} {s.st_mode} {s.st_mtime_ns} {changed}\n"
            hasher.update(looks.encode("utf-8", "surrogateescape"))
        return hasher.hexdigest()


def _found(place: str) -> Iterator[tuple[str, os.stat_result | None]]:
    try:
        found = os.stat(place)  # noqa: PTH116 - as below
    except (FileNotFoundError, NotADirectoryError):
        yield place, None
        return
    if stat.S_ISDIR(found.st_mode):
        yield from _walk(place, set())
    else:
        yield place, found


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, os.stat_result | None]]:
    found = os.stat(folder)  # noqa: PTH116 - ten thousand of them
    yield folder, found
    if (found.st_dev, found.st_ino) in seen:
        return
    seen.add((found.st_dev, found.st_ino))
    with os.scandir(folder) as entries:
        ordered = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    for entry in ordered:
        try:
            if entry.is_dir():
                yield from _walk(entry.path, seen)
            else:
                yield entry.path, entry.stat()
        except FileNotFoundError:  # a dangling link
            yield entry.path, None


def _state(
    workspace: Path, store: Path, read: tuple[Path, ...], look: _Look | None = None
) -> dict[str, object]:
    """Describe all that a plan follows from and that is not named file by file."""
    look = look or _Look()
    return {
        "source": _source(look),
        "python": [sys.version, look.at(filter(os.path.isdir, sys.path))],
        "settings": look.at(str(workspace / name) for name in (FILE, LOCK)),
        "read": look.below(read),
        "store": _Look().at([str(store / "store.json")]),
        "scratch": [_left(store / name) for name in ("work", "tmp", "trash")],
        "journal": _journal(store / "journal"),
    }


def _source(look: _Look) -> str:
    """Describe this program: another one may plan otherwise."""
    here = Path(__file__).parent
    packages = [entry.path for folder in (here, here.parent / "provenance") for entry in _sources(folder)]
    return look.at(packages)


def _sources(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir() and not entry.name.startswith(("_", ".")):
                yield from _sources(Path(entry.path))
            elif entry.name.endswith(".py"):
                yield entry


def _left(folder: Path) -> list[str]:
    """List what others left in a folder of scratch; what this process keeps there goes with it."""
    ours = f"{this_process()}~"
    return sorted(name for name in _names(folder) if not name.startswith(ours))


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return os.listdir(folder)  # noqa: PTH208 - names only
    return []


def _journal(journal: Path) -> list[object]:
    """Describe the journal: when each day's was last added to, and how much the last one holds."""
    days, count = _entries(journal)
    return [*([day, (journal / day).stat().st_mtime_ns] for day in days), count]


def _entries(journal: Path) -> tuple[tuple[str, ...], int]:
    days = tuple(sorted(_names(journal)))
    return days, len(_names(journal / days[-1])) if days else 0
