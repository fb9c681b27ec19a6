"""The data of FITS files as streams of bytes, packed or not, in pieces of a bounded size.

Owns how one gets from a file to the bytes an HDU holds once it is unpacked. What the bytes mean is not its
business, and neither is the header but for undoing the packing.
"""

import io
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from pipeline.errors import FitsError
from pipeline.fitsdigest import CHUNK, is_packed, unpacked_cards
from pipeline.fitsfile import BLOCK, Hdu, open_stream, read_hdus, reason


class Unit(Protocol):
    """A data unit, read from any place on; reading forward is quick."""

    @property
    def size(self) -> int:
        """Bytes, with padding."""

    def read(self, start: int, count: int) -> bytes:
        """Read so many bytes from a place on; fewer at the end.

        Raises
        ------
        FitsError
            The file was cut short since it was opened, or cannot be unpacked.
        """


class FitsData:
    """A FITS file with its data at hand; a context that closes what was opened.

    Parameters
    ----------
    path : Path
        Plain, tile-compressed, gzip or compress.

    Raises
    ------
    FitsError
        As `read_hdus`.

    Notes
    -----
    Each data unit has a stream of its own, so that several can be read side by side though a packed file
    can only be read forward.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        stored = read_hdus(path)
        self.hdus = tuple(_unpacked(hdu) if is_packed(hdu) else hdu for hdu in stored)
        """As if unpacked."""
        self.is_tiled = tuple(is_packed(hdu) for hdu in stored)
        """Of each HDU, whether it is an image compressed by tiles."""
        self._units: dict[int, Unit] = {}
        self._open = ExitStack()

    def __enter__(self) -> "FitsData":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def unit(self, index: int) -> Unit:
        """Open the data of an HDU."""
        if index not in self._units:
            if self.is_tiled[index]:
                self._units[index] = _TiledUnit(self.path, self.hdus[index], self._open)
            else:
                stream = self._open.enter_context(open_stream(self.path))
                self._units[index] = _PlainUnit(self.path, self.hdus[index], stream)
        return self._units[index]

    def headers(self) -> tuple[str, ...]:
        """Read the headers as text, as they are stored."""
        with open_stream(self.path) as stream:
            found = []
            for hdu in self.hdus:
                stream.seek(hdu.header_offset)
                found.append(stream.read(hdu.data_offset - hdu.header_offset).decode("latin-1"))
        return tuple(found)


def same_bytes(old: Path, new: Path) -> bool:
    """Tell whether two files have the same bytes.

    Raises
    ------
    FitsError
        One cannot be read.
    """
    try:
        with old.open("rb", buffering=0) as left, new.open("rb", buffering=0) as right:
            if left.seek(0, io.SEEK_END) != right.seek(0, io.SEEK_END):
                return False
            left.seek(0)
            right.seek(0)
            return _same_streams(left, right)
    except OSError as error:
        raise FitsError(f"cannot read {error.filename or old}: {reason(error)}") from error


def first_difference(old: Unit, new: Unit) -> int | None:
    """Find a place at or shortly before the first byte in which two data units differ; None if none does."""
    for start in range(0, max(old.size, new.size), CHUNK):
        if old.read(start, CHUNK) != new.read(start, CHUNK):
            return start
    return None


def _same_streams(left: io.FileIO, right: io.FileIO) -> bool:
    # Buffers that are filled again and again: new ones would cost more than comparing them.
    one, other = bytearray(CHUNK), bytearray(CHUNK)
    while True:
        count, same = left.readinto(one), right.readinto(other)
        if count != same or (one != other if count == CHUNK else one[:count] != other[:same]):
            return False
        if not count:
            return True


class _PlainUnit:
    """Bytes as they lie in the file, or in what it unpacks to."""

    def __init__(self, path: Path, hdu: Hdu, stream: IO[bytes]) -> None:
        self._path = path
        self._offset = hdu.data_offset
        self._stream = stream
        self.size = hdu.data_size

    def read(self, start: int, count: int) -> bytes:
        wanted = max(0, min(count, self.size - start))
        try:
            self._stream.seek(self._offset + start)
            found = self._stream.read(wanted)
        except (OSError, EOFError) as error:
            raise FitsError(f"cannot read {self._path}: {reason(error)}") from error
        if len(found) < wanted:
            raise FitsError(f"{self._path} was cut short while it was read")
        return found


class _TiledUnit:
    """The bytes an image had before its tiles were packed; unpacked along its last axis as needed."""

    def __init__(self, path: Path, hdu: Hdu, opened: ExitStack) -> None:
        from astropy.io import fits

        self._path = path
        self.size = hdu.data_size
        axes = [int(str(hdu.header[f"NAXIS{n}"])) for n in range(1, int(str(hdu.header["NAXIS"])) + 1)]
        self._slab = abs(int(str(hdu.header["BITPIX"]))) // 8
        for axis in axes[:-1]:
            self._slab *= axis
        self._bytes = self._slab * axes[-1]
        try:
            file = opened.enter_context(fits.open(path, do_not_scale_image_data=True))
            self._section: Any = file[hdu.index].section
        except Exception as error:  # see read
            raise FitsError(f"{path} cannot be unpacked in HDU {hdu.index}: {reason(error)}") from error
        self._index = hdu.index

    def read(self, start: int, count: int) -> bytes:
        end = min(start + count, self.size)
        if start >= end:
            return b""
        first, last = start // self._slab, -(-min(end, self._bytes) // self._slab)
        data = b""
        if first < last:
            try:
                array = self._section[first:last]
            except Exception as error:  # the decoder complains of damaged tiles by a private kind of its own
                raise FitsError(
                    f"{self._path} cannot be unpacked in HDU {self._index}: {reason(error)}"
                ) from error
            data = array.astype(array.dtype.newbyteorder(">"), copy=False).tobytes()
        data = data.ljust(end - first * self._slab, b"\0")
        return data[start - first * self._slab : end - first * self._slab]


def _unpacked(hdu: Hdu) -> Hdu:
    cards = tuple(unpacked_cards(hdu.cards))
    header = replace(hdu, cards=cards).header
    size = abs(int(str(header["BITPIX"]))) // 8
    for n in range(1, int(str(header["NAXIS"])) + 1):
        size *= int(str(header[f"NAXIS{n}"]))
    return replace(hdu, cards=cards, data_size=-(-size // BLOCK) * BLOCK)
