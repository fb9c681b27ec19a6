"""Two products held against each other card by card, as they are written.

Owns the comparison with the table of what may move (`pipeline.volatile`). By how much pixels moved is
`pipeline.verdict`'s.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.fitsfile import Hdu, parse_card
from pipeline.products import Product
from pipeline.volatile import VOLATILE, VOLATILE_COMMENTS

_CARD = 80

_Place = tuple[str, int]
"""Of a card in a header: its keyword, and how many of that keyword stand before it."""


class Kind(StrEnum):
    """What of a product moved."""

    VALUE = "value"
    """The value of a card; a card that is there in one of the two only."""
    COMMENT = "comment"
    """The comment of a card; its value stayed."""
    ORDER = "order"
    """The order of the cards of an HDU."""
    DATA = "data"
    """A data unit."""
    STRUCTURE = "structure"
    """The number of HDUs."""
    PRODUCT = "product"
    """A whole product, made in one of the two only."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A card, a data unit or more, that came out otherwise."""

    compared: str
    """The two that were compared: `recorded, 1`."""
    tag: str
    product: str
    """Name of the file."""
    hdu: int | None
    """None where it is about the file."""
    extension: str
    """EXTNAME of the HDU; empty if it has none."""
    kind: Kind
    keyword: str
    """Of the card; empty where it is about no card."""
    before: str
    """As written; of a data unit its digest."""
    after: str
    is_listed: bool
    """Whether the table has it."""


def compare(before: Product, after: Product, compared: str, *, excused: bool = True) -> Iterator[Moved]:
    """List all that differs between two products.

    Parameters
    ----------
    before, after : Product
        Of one tag.
    compared : str
        What to call the pair.
    excused : bool
        Whether what the table lists may move; two runs under one clock have no excuse.

    Yields
    ------
    Moved
        By HDU, then as the cards stand.
    """

    def moved(hdu: Hdu | None, kind: Kind, keyword: str, old: str, new: str) -> Moved:
        listed = {Kind.VALUE: VOLATILE, Kind.COMMENT: VOLATILE_COMMENTS}.get(kind, frozenset())
        index, extension = (hdu.index, hdu.name) if hdu else (None, "")
        is_listed = excused and keyword in listed
        return Moved(compared, after.tag, after.name, index, extension, kind, keyword, old, new, is_listed)

    if len(before.hdus) != len(after.hdus):
        yield moved(None, Kind.STRUCTURE, "", f"{len(before.hdus)} HDUs", f"{len(after.hdus)} HDUs")
    for n, (old, new) in enumerate(zip(before.hdus, after.hdus, strict=False)):
        for kind, keyword, was, now in _moved_cards(_written(before, old), _written(after, new)):
            yield moved(new, kind, keyword, was, now)
        data = before.digests.parts[n].data, after.digests.parts[n].data
        if data[0] != data[1]:
            yield moved(new, Kind.DATA, "", *data)


def _moved_cards(before: dict[_Place, str], after: dict[_Place, str]) -> Iterator[tuple[Kind, str, str, str]]:
    """List the cards that differ: kind, keyword, before and after."""
    for place in dict.fromkeys((*before, *after)):
        old, new = before.get(place, ""), after.get(place, "")
        if old != new:
            is_comment = bool(old and new) and _value(old) == _value(new)
            yield Kind.COMMENT if is_comment else Kind.VALUE, place[0], _shown(old), _shown(new)
    if list(before) != list(after) and before.keys() == after.keys():
        yield Kind.ORDER, "", " ".join(name for name, _ in before), " ".join(name for name, _ in after)


def _written(product: Product, hdu: Hdu) -> dict[_Place, str]:
    """Read the header of an HDU as it is written, by keyword and its how-manieth card.

    Notes
    -----
    Continued cards are one; so are all cards that no value can be read from, which have no keyword.
    """
    with product.path.open("rb") as file:
        file.seek(hdu.header_offset)
        text = file.read(hdu.data_offset - hdu.header_offset).decode("latin-1")
    cards: dict[_Place, str] = {}
    counts: Counter[str] = Counter()
    place: _Place = ("", 0)
    for start in range(0, len(text), _CARD):
        line = text[start : start + _CARD]
        if line.rstrip() == "END":
            break
        if not line.startswith("CONTINUE"):
            card = parse_card(line)
            keyword = card.keyword if card else ""
            place = (keyword, counts[keyword])
            counts[keyword] += 1
        cards[place] = cards.get(place, "") + line
    return cards


def _value(written: str) -> str:
    """Give the value of a card as it is written; of a continued one with all behind its first line."""
    card = parse_card(written[:_CARD])
    return f"{card.token if card else written[:_CARD]}{written[_CARD:]}"


def _shown(written: str) -> str:
    return " ".join(written.split())
