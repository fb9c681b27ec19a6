"""Where two FITS files differ: which cards of which HDU, and whether its data do. Reads both."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import FitsError
from pipeline.fitsdigest import CHUNK, digest_file
from pipeline.fitsfile import Hdu, open_stream, read_hdus
from pipeline.volatile import VOLATILE


@dataclass(frozen=True, slots=True)
class CardDifference:
    """A card with another value; None on the side that lacks it."""

    keyword: str
    old: str | None
    """As written."""
    new: str | None


@dataclass(frozen=True, slots=True)
class HduDifference:
    """An HDU that differs."""

    index: int
    name: str
    cards: tuple[CardDifference, ...]
    data: bool
    """Whether the data units differ."""
    is_alone: bool = False
    """Whether one of the files has no such HDU."""


def compare_files(old: Path, new: Path) -> tuple[HduDifference, ...]:
    """Compare two FITS files HDU by HDU; volatile cards and comments count for nothing.

    Raises
    ------
    FitsError
        One of them cannot be read.
    """
    before, after = read_hdus(old), read_hdus(new)
    moved = _moved(old, new, before, after)
    found = []
    for index, (first, second) in enumerate(itertools.zip_longest(before, after)):
        if first is None or second is None:
            found.append(HduDifference(index, (first or second).name, (), False, is_alone=True))
            continue
        # With other data their sum differs too: that is no news.
        cards = tuple(c for c in _cards(first, second) if not (moved[index] and c.keyword == "DATASUM"))
        if cards or moved[index]:
            found.append(HduDifference(index, second.name or first.name, cards, moved[index]))
    return tuple(found)


def _cards(old: Hdu, new: Hdu) -> Iterator[CardDifference]:
    before, after = (_by_keyword(hdu) for hdu in (old, new))
    for keyword in dict.fromkeys((*before, *after)):
        gone = before.get(keyword, Counter()) - after.get(keyword, Counter())
        come = after.get(keyword, Counter()) - before.get(keyword, Counter())
        for pair in itertools.zip_longest(gone.elements(), come.elements()):
            yield CardDifference(keyword, *pair)


def _by_keyword(hdu: Hdu) -> dict[str, "Counter[str]"]:
    found: dict[str, Counter[str]] = {}
    for card in hdu.cards:
        if card.keyword not in VOLATILE:
            found.setdefault(card.keyword, Counter())[card.token] += 1
    return found


def _moved(old: Path, new: Path, before: tuple[Hdu, ...], after: tuple[Hdu, ...]) -> tuple[bool, ...]:
    """Tell of each pair of HDUs whether their data differ."""
    if [hdu.data_size for hdu in before] != [hdu.data_size for hdu in after]:
        # Of other sizes, or one of them is packed: then what they unpack to is compared.
        first, second = (digest_file(path).parts for path in (old, new))
        return tuple(a.data != b.data for a, b in zip(first, second, strict=False))
    with open_stream(old) as left, open_stream(new) as right:
        pairs = zip(before, after, strict=True)
        return tuple(not _are_equal(left, right, a, b) for a, b in pairs)


def _are_equal(left: IO[bytes], right: IO[bytes], old: Hdu, new: Hdu) -> bool:
    left.seek(old.data_offset)
    right.seek(new.data_offset)
    size = old.data_size
    while size > 0:
        wanted = min(CHUNK, size)
        one, other = left.read(wanted), right.read(wanted)
        if one != other:
            return False
        if not one:
            raise FitsError("a file was cut short while it was read")
        size -= wanted
    return True
