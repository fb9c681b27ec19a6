"""Files that are read once, and known by their times from then on: the store's own, and anybody's.

Whatever is remembered here is a hint that saves reading a file again; see `memo` for when it is believed.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provenance.digest import digest_file
from provenance.errors import FileChanged
from provenance.memo import Memo, MemoEntry, Memos, Note, identity, is_settled
from provenance.model import Run
from provenance.objects import Objects
from provenance.settled import has_writer

_TRIES = 3
"""How often a file is read that somebody writes to."""


class Readings:
    """What a store remembers of files that were read. Threads may share it.

    Parameters
    ----------
    memos : Memos
        Where it is kept.
    objects : Objects
        The files of the store's own.
    writable : bool
        False remembers nothing new: it is somebody else's store.
    """

    def __init__(self, memos: Memos, objects: Objects, *, writable: bool) -> None:
        self._memos = memos
        self._objects = objects
        self._writable = writable

    def memo(self, stat: os.stat_result) -> Memo | None:
        """Return what is remembered of a file that looks like this."""
        return self._memos.find(stat)

    def memoize(self, entry: MemoEntry) -> None:
        """Remember what a file held that anybody may write to, if any change will show in its times."""
        if is_settled(entry.stat, entry.read_at_ns):
            self.memoize_all([entry])

    def digest_of(self, path: Path) -> str:
        """Give the digest of a file that anybody may write to, read only if it is not remembered.

        Raises
        ------
        FileChanged
            It changes while it is read.
        OSError
            It cannot be read.
        """
        known = self.memo(path.stat())
        return (known or self.read(path, lambda p: Memo(digest_file(p), None, None))).digest

    def read(self, path: Path, read: Callable[[Path], Memo]) -> Memo:
        """Read a file that anybody may write to, and remember what it held, if any change will show.

        Parameters
        ----------
        path : Path
            The file.
        read : callable
            Gives what it holds; called again if somebody wrote to it meanwhile.

        Raises
        ------
        FileChanged
            It changes while it is read, again and again.
        """
        for _ in range(_TRIES):
            began_ns, before = time.time_ns(), path.stat()
            found = read(path)
            if identity(path.stat()) == identity(before):
                if not has_writer(path):
                    self.memoize(MemoEntry(before, found.digest, began_ns, found.data_digest, found.extra))
                return found
        raise FileChanged(f"{path} changes while it is read")

    def is_copy(self, path: Path, digest: str) -> bool:
        """Tell whether a file that anybody may write to has the bytes of an object.

        Raises
        ------
        OSError
            It cannot be read.
        """
        try:
            return self.digest_of(path) == digest
        except FileChanged:
            return False

    def note_copy(self, path: Path, digest: str) -> None:
        """Remember that a file is a copy of an object, made by this process a moment ago."""
        with suppress(FileNotFoundError):  # somebody was quick
            self.memoize_all([MemoEntry(path.stat(), digest, time.time_ns())])

    def memoize_all(self, entries: Iterable[MemoEntry]) -> None:
        """Remember what files of the store's own held."""
        if self._writable:
            self._memos.add(entries)

    def notes(self, reader: str) -> dict[tuple[int, ...], str]:
        """Return what a reader noted of files, by `memo.identity` of their status."""
        return self._memos.notes(reader)

    def take_notes(self, reader: str, notes: Iterable[Note]) -> None:
        """Keep what a reader noted of files, for as long as they look the same."""
        if self._writable:
            self._memos.take_notes(reader, notes)

    def remembers(self, digest: str, stat: os.stat_result) -> bool:
        """Tell whether an object's file looks as it did when its bytes were last proven."""
        memo = self._memos.find(stat)
        return memo is not None and memo.digest == digest

    def proves(self, digest: str) -> bool:
        """Tell whether an object is there and sound; it is read unless it is remembered."""
        try:
            found = os.lstat(self._objects.path(digest))
        except FileNotFoundError:
            return False
        return self.remembers(digest, found) or self._objects.damage(digest) is None

    @contextmanager
    def linking(self, run: Run) -> Iterator[None]:
        """Make or remove links to a run's objects in the block without the memo forgetting them.

        Notes
        -----
        A link moves the change time as an edit does. An object that looked as it did when its bytes were
        proven, and in the end differs in that time at most, is remembered as it looks then. So are objects
        this process stored a moment ago: only now is the name they had in its scratch gone.
        """
        before = {digest: self._proven(digest) for digest, _ in run.artifacts}
        yield
        moved = []
        for digest, proven in before.items():
            with suppress(FileNotFoundError):
                found = os.lstat(self._objects.path(digest))
                is_fresh = self._objects.fresh(digest) is not None
                if proven is not None and _is_to_be_noted(proven, found, is_fresh=is_fresh):
                    moved.append(MemoEntry(found, digest, time.time_ns()))
            self._objects.forget_fresh(digest)
        self.memoize_all(moved)

    def _proven(self, digest: str) -> os.stat_result | None:
        """Return what an object looks like, or looked like when this process stored it; None if unproven."""
        if (fresh := self._objects.fresh(digest)) is not None:
            return fresh
        try:
            found = os.lstat(self._objects.path(digest))
        except FileNotFoundError:
            return None
        return found if self.remembers(digest, found) else None


def _is_to_be_noted(before: os.stat_result, after: os.stat_result, *, is_fresh: bool) -> bool:
    """Tell whether an object that was proven is as good still, and looks otherwise or was never noted."""
    names = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_mode")
    is_good = all(getattr(before, name) == getattr(after, name) for name in names)
    return is_good and (is_fresh or before.st_ctime_ns != after.st_ctime_ns)
