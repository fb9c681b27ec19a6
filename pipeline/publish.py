"""The readable tree of products: names for people, linked to the artifacts of the store. Writes disk.

Nothing here is a truth: the tree can be removed and is made again by the next run.
"""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.errors import FileRefused
from pipeline.model import Step
from pipeline.replacing import PART, is_abandoned, replacing

_FICLONE = 0x40049409
"""The ioctl that makes a copy share its blocks with the original; linux/fs.h."""


@dataclass(frozen=True, slots=True)
class Published:
    """A product under its readable name."""

    tag: str
    path: Path
    artifact: Path
    """Where its bytes lie in the store."""


def folder(root: Path, step: Step) -> Path:
    """Say where the products of a step are shown: `products/<target>/<stage>/<unit>`.

    The name of the target, where the unit begins with it, is not said twice.
    """
    unit = step.unit.removesuffix(f":{step.ifus[0]:02d}") if _is_of_one_ifu(step) else step.unit
    shown = _safe(unit.removeprefix(f"{step.target}."))
    return root / f"{_safe(step.target)}/{step.stage}/{shown}"


class Copies(Protocol):
    """Knows which files are copies of artifacts, though anybody may write to them; a store does."""

    def is_copy(self, path: Path, digest: str) -> bool:
        """Tell whether a file is a copy of an artifact."""

    def note_copy(self, path: Path, digest: str) -> None:
        """Take down that a file was made one a moment ago."""


def publish(
    root: Path, step: Step, products: tuple[tuple[str, str, Path], ...], link: str, copies: Copies
) -> None:
    """Show the products of a step under readable names.

    Parameters
    ----------
    root : Path
        The tree of products.
    step : Step
        Whose they are.
    products : tuple of (tag, name, artifact)
        What the recipe called each, and where its bytes lie.
    link : str
        `auto`, `reflink`, `hardlink`, `symlink` or `copy`.
    copies : Copies
        Tells whether what lies under a name is still a copy of the artifact.

    Notes
    -----
    A name that already shows the right artifact is left alone; another is replaced in one move, so that a
    reader never meets a name without bytes. Names that the step no longer makes are removed.

    Raises
    ------
    FileRefused
        The system does not let the tree be written.
    """
    place = folder(root, step)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileRefused(place, error) from error
    for _, name, artifact in products:
        path = place / name
        if not _shows(path, artifact, copies):
            _show(path, artifact, link, copies)
    _remove_others(place, step, frozenset(name for _, name, _ in products))


def withdraw(root: Path, step: Step) -> None:
    """Show nothing of a step any more."""
    place = folder(root, step)
    if place.is_dir():
        _remove_others(place, step, frozenset())


def _remove_others(place: Path, step: Step, ours: frozenset[str]) -> None:
    """Remove what a step no longer makes, and what was left by those killed before they moved it."""
    ending = f"-{step.ifus[0]:02d}.fits" if _is_of_one_ifu(step) else ""
    for path in place.iterdir():
        if path.name not in ours and path.name.endswith(ending) and not path.name.startswith("."):
            path.unlink(missing_ok=True)  # another process may clean up as well
        elif path.name.endswith(PART) and is_abandoned(path):
            path.unlink(missing_ok=True)


def show(path: Path, artifact: Path, link: str, copies: Copies) -> bool:
    """Show one artifact under a name that it had, unless that shows something else by now.

    Returns
    -------
    bool
        Whether the name shows it.

    Raises
    ------
    FileRefused
        The system does not let the tree be written.
    """
    if not os.path.lexists(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileRefused(path, error) from error
        _show(path, artifact, link, copies)
    return _shows(path, artifact, copies)


def _show(path: Path, artifact: Path, link: str, copies: Copies) -> None:
    with replacing(path) as aside:
        is_copy = _link(artifact, aside, link)
    if is_copy:
        copies.note_copy(path, _digest(artifact))


def _is_of_one_ifu(step: Step) -> bool:
    return len(step.ifus) == 1 and step.unit.endswith(f":{step.ifus[0]:02d}")


def _safe(name: str) -> str:
    return re.sub(r"[^\w.+:-]|^\.+", "_", name) or "_"


def _shows(path: Path, artifact: Path, copies: Copies) -> bool:
    """Tell whether a name shows an artifact: the same file, or a copy as old and as long, and as good."""
    try:
        found, wanted = path.stat(), artifact.stat()
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
        looks_alike = (found.st_size, found.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns)
        return looks_alike and copies.is_copy(path, _digest(artifact))
    except OSError:
        return False


def _digest(artifact: Path) -> str:
    return f"sha256:{artifact.name}"


def _link(artifact: Path, path: Path, how: str) -> bool:
    """Make a file show an artifact; gives whether it is a copy, with a life of its own."""
    ways: dict[str, Callable[[Path, Path], None]] = {
        "reflink": _reflink,
        "hardlink": _hardlink,
        "symlink": _symlink,
        "copy": _copy,
    }
    if how != "auto":
        ways[how](artifact, path)
        return how in ("reflink", "copy")
    shares = path.parent.stat().st_dev not in _without_reflinks
    for way in (_reflink, _hardlink, _symlink) if shares else (_hardlink, _symlink):
        try:
            way(artifact, path)
            return way is _reflink
        except OSError:
            path.unlink(missing_ok=True)
    _copy(artifact, path)
    return True


_without_reflinks: set[int] = set()
"""Devices that share no blocks: to ask each time costs a file made and removed."""


def _reflink(artifact: Path, path: Path) -> None:
    with artifact.open("rb") as source, path.open("xb") as target:
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY):
                _without_reflinks.add(path.parent.stat().st_dev)
            raise
    shutil.copystat(artifact, path)


def _hardlink(artifact: Path, path: Path) -> None:
    path.hardlink_to(artifact)


def _symlink(artifact: Path, path: Path) -> None:
    path.symlink_to(artifact.resolve())


def _copy(artifact: Path, path: Path) -> None:
    shutil.copy2(artifact, path)
    path.chmod(0o644)
