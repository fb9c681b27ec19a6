"""Writes the one kind of zip file that a bundle is; `zipped` reads it.

Members are stored as they are, one behind the other, with no time, owner or comment: the same members give
the same bytes, wherever and whenever they are written, by whatever version of Python.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

FULL = 0xFFFFFFFF
"""Largest number of the old fields; a number this large stands in a Zip64 field instead."""

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_PLAIN, _LARGE = 20, 45
"""Versions of the format: as it was, and with Zip64."""
_UNIX = 3 << 8
_MODE = 0o100644 << 16
_DATE = 1 << 5 | 1
"""1980-01-01, the first day there is; midnight is 0."""
_CRC_AT = 14
"""Where the checksum stands in the header before a member."""


class MemberChanged(Exception):
    """A member has another number of bytes than was said before it was written."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the directory has to say of a member."""

    name: bytes
    size: int
    crc: int
    offset: int


class Zipping:
    """A zip file while it is written. `add` its members in the order of their names, then `close`.

    Parameters
    ----------
    file : BinaryIO
        Empty, and open for writing; it has to be one that can be gone back in.
    full : int
        Numbers so large, and larger ones, stand in Zip64 fields; other than by default in tests only.
    """

    def __init__(self, file: BinaryIO, full: int = FULL) -> None:
        self._file = file
        self._full = full
        self._entries: list[_Entry] = []

    def add(self, name: str, size: int, pieces: Iterable[bytes]) -> str:
        """Write a member, and return the digest of what was written.

        Parameters
        ----------
        name : str
            Plain letters; behind those of all members before it.
        size : int
            Its bytes.
        pieces : iterable of bytes
            They themselves.

        Raises
        ------
        MemberChanged
            They are more or fewer than said.
        """
        raw = name.encode("ascii")
        assert not self._entries or self._entries[-1].name < raw, f"{name} is out of order"
        offset = self._file.tell()
        self._file.write(self._local(raw, size))
        hasher, crc, written = hashlib.sha256(), 0, 0
        for piece in pieces:
            hasher.update(piece)
            crc = zlib.crc32(piece, crc)
            written += len(piece)
            self._file.write(piece)
        if written != size:
            raise MemberChanged(name)
        end = self._file.tell()
        self._file.seek(offset + _CRC_AT)
        self._file.write(struct.pack("<L", crc))
        self._file.seek(end)
        self._entries.append(_Entry(raw, size, crc, offset))
        return f"sha256:{hasher.hexdigest()}"

    def close(self) -> None:
        """Write the directory; the file stays open."""
        start = self._file.tell()
        for entry in self._entries:
            self._file.write(self._listed(entry))
        self._file.write(self._end(start, self._file.tell() - start))

    def _local(self, name: bytes, size: int) -> bytes:
        is_large = size >= self._full
        said = FULL if is_large else size
        extra = _zip64(size, size) if is_large else b""
        version = _LARGE if is_large else _PLAIN
        # The checksum is not known yet: a nought stands in its place until the member is written.
        head = (b"PK\3\4", version, 0, 0, 0, _DATE, 0, said, said, len(name), len(extra))
        return _LOCAL.pack(*head) + name + extra

    def _listed(self, entry: _Entry) -> bytes:
        size, large = (FULL, [entry.size] * 2) if entry.size >= self._full else (entry.size, [])
        offset = entry.offset
        if offset >= self._full:
            large, offset = [*large, offset], FULL
        extra = _zip64(*large) if large else b""
        version = _LARGE if large else _PLAIN
        head = (b"PK\1\2", _UNIX | version, version, 0, 0, 0, _DATE, entry.crc, size, size)
        tail = (len(entry.name), len(extra), 0, 0, 0, _MODE, offset)
        return _ENTRY.pack(*head, *tail) + entry.name + extra

    def _end(self, start: int, size: int) -> bytes:
        count = len(self._entries)
        if count < 0xFFFF and max(start, size) < self._full:
            return _END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0)
        length = _END64.size - 12  # without its first two fields
        versions = (_UNIX | _LARGE, _LARGE)
        end = _END64.pack(b"PK\6\6", length, *versions, 0, 0, count, count, size, start)
        end += _LOCATOR.pack(b"PK\6\7", 0, start + size, 1)
        return end + _END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, FULL, FULL, 0)


def _zip64(*numbers: int) -> bytes:
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)
