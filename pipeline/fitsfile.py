"""FITS files as bytes: cards and structure, without astropy.

Owns the walk from header to header and the check that a file is whole. It does not know what a keyword means.

References
----------
FITS Standard 4.0, sections 3-4.
"""

import functools
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from pipeline.errors import FitsError
from pipeline.packing import open_packed, packing_in

BLOCK = 2880
"""Every header and data unit fills whole blocks of so many bytes."""

_LARGEST_HEADER = 4000 * BLOCK
_CHUNK = 364 * BLOCK
_MOST_AXES = 999
"""FITS Standard 4.0, section 4.4.1."""
_CARDS_KEPT = 1 << 14
"""Cards that are not read again where they stand in another file, as most do; a few megabytes."""
Value = str | int | float | bool | None
"""The value of a card; None where it has none."""

Header = dict[str, Value]
"""Keyword to value, the first card of a name counting."""


@dataclass(frozen=True, slots=True)
class Card:
    """A keyword and the value as it is written, without comment."""

    keyword: str
    """HIERARCH keywords in full, such as `ESO DPR TYPE`."""
    token: str
    """Value as in the file; strings in quotes, without padding; empty for none."""

    value: Value = field(init=False, repr=False, compare=False)
    """The token read as a value of Python."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", parse_token(self.token))


@dataclass(frozen=True, slots=True)
class Hdu:
    """A header and where its data lie."""

    index: int
    """0 for the primary."""
    cards: tuple[Card, ...]
    header_offset: int
    data_offset: int
    data_size: int
    """Bytes of the data unit, padding included."""

    header: Header = field(init=False, repr=False, compare=False)
    """Keyword to value; read once, as it is asked for often."""
    name: str = field(init=False, repr=False, compare=False)
    """EXTNAME, or empty; asked for still more often."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", _header_of(self.cards))
        object.__setattr__(self, "name", str(self.header.get("EXTNAME") or ""))


def parse_token(token: str) -> Value:
    """Read the value of a card.

    Parameters
    ----------
    token : str
        As in the card: `'MUSE'`, `T`, `42`, `1.5E3`, or empty.

    Returns
    -------
    str, int, float, bool or None
        None for an empty token; complex values stay text.
    """
    if not token:
        return None
    if token.startswith("'"):
        return token[1:-1].replace("''", "'").rstrip()
    if token in ("T", "F"):
        return token == "T"
    try:
        return int(token)
    except ValueError:
        pass
    try:
        return float(token.replace("D", "E"))
    except ValueError:
        return token


def open_stream(path: Path) -> IO[bytes]:
    """Open a FITS file for reading, unpacked if it was packed with gzip or compress.

    Raises
    ------
    FitsError
        The file cannot be opened or unpacked.
    """
    return _opened(path)[0]


def _opened(path: Path) -> tuple[IO[bytes], bool]:
    """Open a file, and say whether it is packed."""
    try:
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            packing = packing_in(file)
            if packing is None:
                stack.pop_all()
                return file, False
        return open_packed(path, packing), True
    except OSError as error:
        raise FitsError(f"cannot read {path}: {reason(error)}") from error


def read_hdus(path: Path) -> tuple[Hdu, ...]:
    """Walk a FITS file from header to header.

    Parameters
    ----------
    path : Path
        Plain, tile-compressed (`.fz`), gzip or compress files.

    Returns
    -------
    tuple of Hdu
        In the order of the file; tile-compressed images as the tables they are stored as.

    Raises
    ------
    FitsError
        Not FITS, empty, unreadable, or shorter than its headers say.
    """
    stream, is_packed = _opened(path)
    with stream:
        try:
            # A packed file tells its size only by its end: then what is skipped is read, once and forward.
            size = None if is_packed else os.fstat(stream.fileno()).st_size
            return tuple(_walk(stream, path, size))
        except (OSError, EOFError, zlib.error) as error:
            raise FitsError(f"cannot read {path}: {reason(error)}") from error


class Readable(Protocol):
    """What bytes can be read from, anywhere."""

    def read(self, size: int, /) -> bytes:
        """Read on."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""


def walk(stream: Readable, path: Path, size: int) -> tuple[Hdu, ...]:
    """Walk from header to header of a plain FITS file that is open, or a part of another file.

    Parameters
    ----------
    stream : Readable
        At its beginning.
    path : Path
        Its name in messages.
    size : int
        Bytes it has.

    Raises
    ------
    FitsError
        As `read_hdus`.
    """
    return tuple(_walk(stream, path, size))


def _walk(stream: Readable, path: Path, end: int | None) -> Iterator[Hdu]:
    offset = index = 0
    while raw := _read_header(stream, path, index):
        cards = _cards(raw)
        data_offset = offset + len(raw)
        size = data_size(_header_of(cards), path, index)
        missing = _skip(stream, size) if end is None else max(0, data_offset + size - end)
        if missing:
            raise FitsError(f"{path} is truncated: {missing} bytes are missing from HDU {index}")
        yield Hdu(index, cards, offset, data_offset, size)
        offset = data_offset + size
        if end is not None:
            stream.seek(offset)
        index += 1


def _header_of(cards: tuple[Card, ...]) -> Header:
    found = {card.keyword: card.value for card in cards}
    if len(found) < len(cards):  # the first of a name counts
        for card in reversed(cards):
            found[card.keyword] = card.value
    return found


def _skip(stream: Readable, size: int) -> int:
    """Read over data; gives how many bytes of it are not there."""
    while size > 0 and (chunk := stream.read(min(_CHUNK, size))):
        size -= len(chunk)
    return size


def _read_header(stream: Readable, path: Path, index: int) -> bytes | None:
    """Read header blocks up to END; None at the end, and for what may follow the last HDU."""
    raw = stream.read(BLOCK)
    opening = b"SIMPLE  =" if index == 0 else b"XTENSION="
    if not raw.startswith(opening):
        if index == 0:
            raise FitsError(f"{path} is not a FITS file" if raw else f"{path} is empty")
        if not raw.strip(b"\0 "):
            return None  # padding that some writers leave at the end
        raise FitsError(f"{path} is damaged: no header where HDU {index} should begin")
    blocks = [raw]
    while len(blocks[-1]) == BLOCK and not _has_end(blocks[-1]) and len(blocks) * BLOCK < _LARGEST_HEADER:
        blocks.append(stream.read(BLOCK))
    if len(blocks[-1]) < BLOCK or not _has_end(blocks[-1]):
        raise FitsError(f"{path} is truncated: the header of HDU {index} has no END")
    return b"".join(blocks)


def _has_end(block: bytes) -> bool:
    position = block.rfind(b"END" + b" " * 77)
    return position >= 0 and position % 80 == 0


def _cards(raw: bytes) -> tuple[Card, ...]:
    text = raw.decode("latin-1")
    cards: list[Card] = []
    may_go_on = False
    for start in range(0, len(text), 80):
        line = text[start : start + 80]
        if may_go_on and line[:8] == "CONTINUE":
            held, more = cards[-1], _token(line[8:])
            if held.token.endswith("&'") and more.startswith("'"):
                cards[-1] = Card(held.keyword, held.token[:-2] + more[1:])
            continue
        card = parse_card(line)
        may_go_on = card is not None
        if card is not None:
            cards.append(card)
        elif line[:8].rstrip() == "END":
            break
    return tuple(cards)


@functools.lru_cache(_CARDS_KEPT)
def parse_card(line: str) -> Card | None:
    """Read a card of 80 characters; None for a blank one, END, and one that no value can be read from."""
    keyword = line[:8].rstrip()
    if keyword in ("", "END"):
        return None
    if keyword == "HIERARCH":
        name, found, rest = line[9:].partition("=")
        return Card(name.strip(), _token(rest)) if found else None
    if line[8:10] == "= ":
        return Card(keyword, _token(line[10:]))
    return Card(keyword, repr(line[8:].rstrip()))  # COMMENT and HISTORY are content too


def _token(text: str) -> str:
    """Cut the value out of the part of a card behind the `=`."""
    text = text.strip()
    if not text.startswith("'"):
        return text.partition("/")[0].strip()
    end = 1
    while (end := text.find("'", end)) >= 0:
        if text[end : end + 2] != "''":
            return "'" + text[1:end].rstrip() + "'"
        end += 2
    return text


def data_size(header: Header, path: Path, index: int) -> int:
    """Give the bytes of a data unit, padding included.

    Raises
    ------
    FitsError
        A size is missing, or is none.
    """

    def number(keyword: str, default: int = 0) -> int:
        value = header.get(keyword, default)
        if isinstance(value, int) and value >= 0:
            return value
        raise FitsError(f"{path} is damaged: {keyword} = {value!r} in HDU {index}")

    if number("NAXIS") > _MOST_AXES:
        raise FitsError(f"{path} is damaged: NAXIS = {number('NAXIS')} in HDU {index}")
    axes = [number(f"NAXIS{n}") for n in range(1, number("NAXIS") + 1)]
    if not axes:
        return 0
    size = 1
    for axis in axes:
        size *= axis
    bitpix = header.get("BITPIX")
    if bitpix not in (8, 16, 32, 64, -32, -64):
        raise FitsError(f"{path} is damaged: BITPIX = {bitpix!r} in HDU {index}")
    assert isinstance(bitpix, int)
    size = abs(bitpix) // 8 * number("GCOUNT", 1) * (number("PCOUNT") + size)
    return -(-size // BLOCK) * BLOCK


def reason(error: Exception) -> str:
    """Say why a file could not be read, in the system's words where it has some."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
