"""What a file's bytes were when it was last read, by its inode and times: a hint that saves reading it again.

A file is known by device, inode, size and times, never by its path: a path may be another file tomorrow.
Not believed when it was written to within two seconds of being read, since coarse clocks hide a second
write of the same size. The change time counts, so that an edit that puts size and time back is seen; what
moves it without an edit (a link made or removed, another mode) costs a reading, or is told by who did it.
A file that is not the store's own is remembered only once its change time is settled too.
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass

from provenance.errors import StoreDamaged, StoreFull, StoreLocked, StoreVersion
from provenance.index import Index
from provenance.rows import Row
from provenance.settled import SETTLED_NS, settled_from

_log = logging.getLogger(__name__)

_MOST_FOUND = 4096
"""Files that are known without asking the database again: some megabytes."""


@dataclass(frozen=True, slots=True)
class Memo:
    """What is remembered of a file."""

    digest: str
    data_digest: str | None
    extra: str | None
    """Whatever the one who read it wants to know again without reading; opaque here."""


@dataclass(frozen=True, slots=True)
class MemoEntry:
    """A file as it was before it was hashed, and what came out."""

    stat: os.stat_result
    digest: str
    read_at_ns: int
    """When reading began, or later if nobody else can write to it; nanoseconds since 1970."""
    data_digest: str | None = None
    extra: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What a reader found in a file."""

    stat: os.stat_result
    """Of before it was read."""
    read_at_ns: int
    """When reading began, in nanoseconds since 1970."""
    body: str
    """Whatever the reader wants to know again without reading; opaque here."""


class Memos:
    """The stat memo of an index.

    Parameters
    ----------
    index : Index
        Where it is kept.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._found: dict[tuple[int, ...], Memo] = {}

    def find(self, stat: os.stat_result) -> Memo | None:
        """Return what is remembered of a file that looks like this; None if nothing can be believed."""
        looks = identity(stat)
        if (known := self._found.get(looks)) is not None:
            return known
        rows = self._index.read(
            "SELECT digest, data_digest, extra, hashed_at_ns FROM stat_memo"
            " WHERE device = ? AND inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?",
            looks,
            topic=looks,
        )
        for digest, data_digest, extra, hashed_at_ns in rows:
            if hashed_at_ns - stat.st_mtime_ns >= SETTLED_NS:
                return self._keep(looks, Memo(digest, data_digest, extra))
        return None

    def _keep(self, looks: tuple[int, ...], found: Memo) -> Memo:
        """Have at hand what can be believed: a static serves every exposure of a year, a master its night."""
        if len(self._found) >= _MOST_FOUND:
            self._found = {}
        self._found[looks] = found
        return found

    def add(self, entries: Iterable[MemoEntry]) -> None:
        """Remember files, now or soon: a hint that cannot be written down is no failure.

        Parameters
        ----------
        entries : iterable of MemoEntry
            What was hashed.
        """
        sql = "INSERT OR REPLACE INTO stat_memo VALUES (?,?,?,?,?,?,?,?,?)"
        for entry in entries:
            looks = identity(entry.stat)
            if entry.read_at_ns - entry.stat.st_mtime_ns >= SETTLED_NS:
                self._keep(looks, Memo(entry.digest, entry.data_digest, entry.extra))
            else:
                self._found.pop(looks, None)
            row = (*looks, entry.read_at_ns, entry.digest, entry.data_digest, entry.extra)
            self._index.insert_late(looks, [(sql, row)])

    def notes(self, reader: str) -> dict[tuple[int, ...], str]:
        """Return all notes of a reader that can be believed, by what their files look like."""
        rows = self._index.read(
            "SELECT device, inode, size, mtime_ns, ctime_ns, body FROM note"
            " WHERE reader = ? AND read_at_ns - mtime_ns >= ?",
            (reader, SETTLED_NS),
        )
        return {row[:5]: row[5] for row in rows}

    def take_notes(self, reader: str, notes: Iterable[Note]) -> None:
        """Keep notes of a reader if the database takes them."""
        sql = "INSERT OR REPLACE INTO note VALUES (?,?,?,?,?,?,?,?)"
        rows: list[Row] = [
            (sql, (*identity(n.stat), n.read_at_ns, reader, n.body))
            for n in notes
            if is_settled(n.stat, n.read_at_ns)
        ]
        try:
            self._index.insert(rows)
        except (StoreDamaged, StoreFull, StoreLocked, StoreVersion) as error:
            _log.debug("nothing noted: %s", error.message)


def identity(stat: os.stat_result) -> tuple[int, ...]:
    """Tell by what a file is known: device, inode, size, and times of content and of change."""
    # SQLite's integers are signed, 64 bits; some file systems use all of them for an inode.
    inode = stat.st_ino - (1 << 64) if stat.st_ino >= 1 << 63 else stat.st_ino
    device = stat.st_dev - (1 << 64) if stat.st_dev >= 1 << 63 else stat.st_dev
    return device, inode, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def is_settled(stat: os.stat_result, read_at_ns: int) -> bool:
    """Tell whether whatever changed a file after it was looked at must show in its times.

    Parameters
    ----------
    stat : os.stat_result
        Of before it was read.
    read_at_ns : int
        When reading began, in nanoseconds since 1970.
    """
    return read_at_ns >= max(stat.st_mtime_ns + SETTLED_NS, settled_from(stat.st_ctime_ns))
