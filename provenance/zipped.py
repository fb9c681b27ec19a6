"""Reads the one kind of zip file that a bundle is, and refuses every other.

Members are stored as they are, one behind the other from the first byte of the file to the directory at its
end, with nothing between them and nothing behind: so no member can be a bomb, lie inside another or be
longer than the file, and what two readers see is the same. Nothing is ever extracted to a path.
"""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from provenance.digest import CHUNK_BYTES
from provenance.errors import BundleRefused

MEMBERS_MOST = 500_000
"""Members of a bundle at most; the whole archive of a long programme has a tenth of that."""
DIRECTORY_BYTES_MOST = 256 << 20
"""Bytes of the directory at most: it is held in memory."""

TORN = "fetch it again: it was cut off or changed on its way"
"""What to do about a bundle that is not whole."""

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FULL = 0xFFFFFFFF
"""In place of a size that stands in the Zip64 field."""
_ZIP64 = 1
_MODE_TYPE = 0o170000
_REGULAR = 0o100000
_VERSION_MOST = 45
"""Of the format, as a member says what it takes to read it: Zip64, and nothing that came later."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a bundle."""

    name: str
    size: int
    """Bytes."""
    start: int
    """Where its bytes begin in the file."""
    crc: int


class Zipped:
    """An open bundle. Use in a `with` block.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    BundleRefused
        It is no such zip file; says what is wrong with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # A pipe must not keep the reader for ever.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise BundleRefused(f"{path} is no file, but a folder, a pipe or a device")
            self.size = found.st_size
            self.members = {member.name: member for member in self._read_directory()}
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> "Zipped":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def pieces(self, member: Member) -> Iterator[bytes]:
        """Yield the bytes of a member, piece by piece.

        Raises
        ------
        BundleRefused
            They are others than its checksum says; the last piece was given by then.
        """
        crc, offset, left = 0, member.start, member.size
        while left:
            piece = self._at(offset, min(left, CHUNK_BYTES))
            crc = zlib.crc32(piece, crc)
            offset, left = offset + len(piece), left - len(piece)
            yield piece
        if crc != member.crc:
            raise BundleRefused(f"the checksum of {member.name} is wrong", TORN)

    def read(self, name: str, most: int) -> bytes:
        """Return all bytes of a member that is small.

        Raises
        ------
        BundleRefused
            It is not there, is larger than allowed, or its bytes are others than its checksum says.
        """
        member = self.members.get(name)
        if member is None:
            raise BundleRefused(f"it has no {name}")
        if member.size > most:
            raise BundleRefused(f"{name} has {member.size} bytes, where {most} are allowed")
        return b"".join(self.pieces(member))

    def _at(self, offset: int, size: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        while len(data) < size:
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                raise BundleRefused("it ends in the middle of a file", TORN)
            data += more
        return data

    def _read_directory(self) -> Iterator[Member]:
        count, size, offset, end = self._read_end()
        if count > MEMBERS_MOST or size > DIRECTORY_BYTES_MOST:
            raise BundleRefused(f"it has {count} members, where {MEMBERS_MOST} are allowed")
        if offset + size != end:
            raise BundleRefused("its directory does not lie at its end", TORN)
        entries = sorted(self._entries(self._at(offset, size), count), key=lambda entry: entry.offset)
        expected = 0
        for entry in entries:
            if entry.offset != expected:
                what = "overlaps another" if entry.offset < expected else "has something before it"
                raise BundleRefused(f"member {shown(entry.name)} {what}")
            start = self._check_local(entry)
            expected = start + entry.size
            if expected > offset:
                raise BundleRefused(f"member {shown(entry.name)} reaches into the directory")
            yield Member(entry.name, entry.size, start, entry.crc)
        if expected != offset:
            raise BundleRefused("there is something between its last member and its directory")

    def _read_end(self) -> tuple[int, int, int, int]:
        """Return count of members, size and offset of the directory, and where it has to end."""
        at = self.size - _END.size
        if at < 0:
            raise BundleRefused("it is too short for a zip file", TORN)
        word, disk, first_disk, here, count, size, offset, comment = _END.unpack(self._at(at, _END.size))
        if word != b"PK\5\6" or comment:
            raise BundleRefused("it does not end as a zip file without a comment does", TORN)
        if disk or first_disk or here != count:
            raise BundleRefused("it is one of several parts")
        locator_at = at - _LOCATOR.size
        if locator_at >= 0 and (found := self._at(locator_at, _LOCATOR.size)).startswith(b"PK\6\7"):
            return self._read_end64(found, locator_at)
        if 0xFFFF in (count, here) or _FULL in (size, offset):
            raise BundleRefused("its directory is too large for its form")
        return count, size, offset, at

    def _read_end64(self, locator: bytes, at: int) -> tuple[int, int, int, int]:
        _, disk, end64_at, disks = _LOCATOR.unpack(locator)
        if disk or disks != 1 or end64_at != at - _END64.size:
            raise BundleRefused("its directory does not lie at its end", TORN)
        fields = _END64.unpack(self._at(end64_at, _END64.size))
        word, length, _, _, disk, first_disk, here, count, size, offset = fields
        if word != b"PK\6\6" or length != _END64.size - 12 or disk or first_disk or here != count:
            raise BundleRefused("the record of its large directory is not as it should be")
        return count, size, offset, end64_at

    def _entries(self, directory: bytes, count: int) -> Iterator["_Entry"]:
        at, names = 0, set()
        for _ in range(count):
            if at + _ENTRY.size > len(directory):
                raise BundleRefused("its directory names fewer members than it counts")
            entry, at = _entry(directory, at)
            if entry.name in names:
                raise BundleRefused(f"member {shown(entry.name)} is there twice")
            names.add(entry.name)
            yield entry
        if at != len(directory):
            raise BundleRefused("its directory holds more than the members it counts")

    def _check_local(self, entry: "_Entry") -> int:
        """Compare the header before a member with the directory, and return where its bytes begin."""
        fields = _LOCAL.unpack(self._at(entry.offset, _LOCAL.size))
        word, version, flags, method, time, date, crc, packed, size, name_length, extra_length = fields
        tail = self._at(entry.offset + _LOCAL.size, name_length + extra_length)
        name, extra = tail[:name_length], tail[name_length:]
        sizes = [size, packed]
        if extra:
            sizes = _sizes64(extra, sizes, is_local=True)
        said = (word, flags, method, time, date, crc, name)
        listed = (b"PK\3\4", entry.flags, 0, entry.time, entry.date, entry.crc, entry.name.encode())
        if said != listed or sizes != [entry.size, entry.size] or version > _VERSION_MOST:
            raise BundleRefused(f"member {shown(entry.name)} is described otherwise where it begins")
        return entry.offset + _LOCAL.size + len(tail)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the directory says of a member."""

    name: str
    flags: int
    time: int
    date: int
    crc: int
    size: int
    offset: int


def _entry(directory: bytes, at: int) -> tuple[_Entry, int]:
    """Read an entry of the directory, and return where the next one begins."""
    fields = _ENTRY.unpack_from(directory, at)
    word, _, version, flags, method, time, date, crc, packed, size = fields[:10]
    name_length, extra_length, comment_length, disk, _, attributes, offset = fields[10:]
    at += _ENTRY.size
    end = at + name_length + extra_length + comment_length
    if word != b"PK\1\2" or end > len(directory):
        raise BundleRefused("its directory is not as it should be", TORN)
    raw = directory[at : at + name_length]
    extra = directory[at + name_length : at + name_length + extra_length]
    try:
        name = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise BundleRefused(f"the name {raw!r} of a member is not of plain letters") from error
    what = f"member {shown(name)}"
    if flags & 1:
        raise BundleRefused(f"{what} is encrypted")
    if method or packed != size:
        raise BundleRefused(f"{what} is compressed", "a bundle holds its members as they are")
    if flags or version > _VERSION_MOST or comment_length or disk:
        raise BundleRefused(f"{what} is stored in a way that no bundle is")
    kind = attributes >> 16 & _MODE_TYPE
    if kind not in (0, _REGULAR) or attributes & 0x10:
        raise BundleRefused(f"{what} is no regular file, but a link, a directory or a device")
    if extra:
        size, _, offset = _sizes64(extra, [size, packed, offset], is_local=False)
    return _Entry(name, flags, time, date, crc, size, offset), end


def _sizes64(extra: bytes, sizes: list[int], *, is_local: bool) -> list[int]:
    """Put the numbers of the Zip64 field in the place of those that were too large for theirs."""
    wanted = [index for index, size in enumerate(sizes) if size == _FULL]
    if len(extra) < 4 or struct.unpack_from("<2H", extra) != (_ZIP64, len(extra) - 4):
        raise BundleRefused("a member has a field that no bundle has")
    if len(extra) != 4 + 8 * len(wanted) or (is_local and len(wanted) != 2):
        raise BundleRefused("a member says its size twice")
    found = list(sizes)
    for place, value in zip(wanted, struct.unpack_from(f"<{len(wanted)}Q", extra, 4), strict=True):
        found[place] = value
    if len(found) > 2 and found[0] != found[1]:
        raise BundleRefused("a member is compressed", "a bundle holds its members as they are")
    return found


def shown(name: str) -> str:
    """Write a name of a stranger so that a terminal can show it, whatever it holds."""
    shown = name if name.isprintable() else ascii(name)[1:-1]
    return shown if len(shown) <= 120 else f"{shown[:120]}..."
