"""Headers with their comments, of any file that begins like FITS; a damaged one as far as it goes.

`pipeline.fitsfile` refuses a file that is not whole and leaves comments out, as it should for frames. Here
the comments matter (the recipes write the default of a parameter there), and half a file may still tell how
it was made.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import FitsError
from pipeline.fitsfile import BLOCK, Value, data_size, open_stream, parse_card, parse_token, reason
from pipeline.packing import packing_of

_LARGEST_HEADER = 4000 * BLOCK
_MOST_HDUS = 5000
_CHUNK = 364 * BLOCK
_WIDTH = 80
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "?")
"""What no header may hold, and no terminal should be sent."""


@dataclass(frozen=True, slots=True)
class FullCard:
    """A card with its comment."""

    keyword: str
    """HIERARCH keywords in full, such as `ESO PRO CATG`."""
    token: str
    """Value as in the file, strings in quotes; empty for none."""
    comment: str = ""
    is_full: bool = False
    """Whether it fills its 80 characters: what stands last may be cut."""

    @property
    def value(self) -> Value:
        """The token read as a value of Python."""
        return parse_token(self.token)


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of a file, as far as they can be read."""

    hdus: tuple[tuple[FullCard, ...], ...]
    """The primary first."""
    fault: str = ""
    """Why there are no more of them; empty if the file is whole."""


def read_headers(path: Path, most: int = _MOST_HDUS) -> Headers:
    """Read the headers of a file.

    Parameters
    ----------
    path : Path
        Plain, tile-compressed, gzip or compress files.
    most : int
        So many headers at most: one, for what stands in the primary.

    Raises
    ------
    FitsError
        It cannot be opened, is empty, or does not begin like FITS.
    """
    found: list[tuple[FullCard, ...]] = []
    with open_stream(path) as stream:
        try:
            size = None if packing_of(path) else os.fstat(stream.fileno()).st_size
            for cards in _walk(stream, path, size):
                found.append(cards)
                if len(found) >= most:
                    break
        except FitsError as error:
            if not found:
                raise
            return Headers(tuple(found), _without(error.message, path))
        except (OSError, EOFError, zlib.error) as error:
            if not found:
                raise FitsError(f"cannot read {path}: {reason(error)}") from error
            return Headers(tuple(found), f"cannot be read to its end: {reason(error)}")
    return Headers(tuple(found))


def read_cards(raw: bytes) -> tuple[FullCard, ...]:
    """Read the cards of a header up to END; long strings are put together."""
    return tuple(_joined(raw.decode("latin-1").translate(_CONTROLS)))


def _walk(stream: IO[bytes], path: Path, end: int | None) -> Iterator[tuple[FullCard, ...]]:
    index = 0
    while raw := _read_header(stream, path, index):
        cards = read_cards(raw)
        yield cards
        if not _ends(bytearray(raw)) or len(raw) % BLOCK:
            raise FitsError(f"truncated: the header of HDU {index} is cut")
        sizes = {card.keyword: card.value for card in reversed(cards)}
        missing = _skip(stream, data_size(sizes, path, index), end)
        if missing:
            raise FitsError(f"truncated: {missing} bytes are missing from the data of HDU {index}")
        index += 1


def _read_header(stream: IO[bytes], path: Path, index: int) -> bytes | None:
    raw = stream.read(BLOCK)
    if not raw.startswith(b"XTENSION=" if index else b"SIMPLE  ="):
        if index == 0:
            raise FitsError(f"{path} is not a FITS file" if raw else f"{path} is empty")
        if not raw.strip(b"\0 "):
            return None
        raise FitsError(f"damaged: no header where HDU {index} should begin")
    whole = bytearray(raw)
    while not _ends(whole) and len(raw) == BLOCK and len(whole) < _LARGEST_HEADER:
        raw = stream.read(BLOCK)
        whole += raw
    if not _ends(whole):
        if index == 0:
            return bytes(whole)  # what is there of the first one is still read
        raise FitsError(f"truncated: the header of HDU {index} has no END")
    return bytes(whole)


def _ends(raw: bytearray) -> bool:
    position = raw.rfind(b"END" + b" " * 77, max(0, len(raw) - BLOCK))
    return position >= 0 and position % _WIDTH == 0


def _skip(stream: IO[bytes], size: int, end: int | None) -> int:
    """Go over data, reading a packed file, whose end is not known; gives what is not there, in bytes."""
    if end is not None:
        there = min(size, end - stream.tell())
        stream.seek(there, os.SEEK_CUR)
        return size - there
    while size > 0 and (chunk := stream.read(min(_CHUNK, size))):
        size -= len(chunk)
    return size


def _joined(text: str) -> Iterator[FullCard]:
    held: FullCard | None = None
    for start in range(0, len(text), _WIDTH):
        line = text[start : start + _WIDTH]
        if line.startswith("CONTINUE") and held is not None and held.token.endswith("&'"):
            more = parse_card(f"CONTINUE= {line[8:].strip()}")
            if more is not None and more.token.startswith("'"):
                held = FullCard(held.keyword, held.token[:-2] + more.token[1:], _comment(line), held.is_full)
            continue
        if held is not None:
            yield held
            held = None
        if line[:8].rstrip() == "END" and not line[8:].strip():
            return
        card = parse_card(line)
        if card is not None:
            held = FullCard(card.keyword, card.token, _comment(line), line[-1:] not in ("", " "))
    if held is not None:
        yield held


def _comment(line: str) -> str:
    """Cut the comment out of a card: what stands behind the first slash that is in no string."""
    if line[:8] not in ("HIERARCH", "CONTINUE") and line[8:10] != "= ":
        return ""
    rest = line[8:].partition("=")[2] if line.startswith("HIERARCH") else line[9:]
    rest = rest.strip()
    if rest.startswith("'"):
        end = 1
        while (end := rest.find("'", end)) >= 0 and rest[end : end + 2] == "''":
            end += 2
        rest = rest[end + 1 :] if end >= 0 else ""
    return rest.partition("/")[2].strip()


def _without(message: str, path: Path) -> str:
    return message.replace(f"{path} is ", "").replace(f"{path} ", "")
