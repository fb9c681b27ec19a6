"""Two products compared: whether they are the same, and if not, in what, by how much and where.

Owns the order in which things are looked at (bytes, structure, data, cards) and what follows from what is
found. Nothing is hashed: what is equal is found by comparing it. How data are measured is the business of
`pipeline.figures`, which is loaded where data differ.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

from pipeline.columns import layout_of, pixel_table
from pipeline.comparison import (
    USUAL,
    Comparison,
    Extreme,
    Figures,
    MovedCard,
    Place,
    Sameness,
    Tolerance,
    worst,
)
from pipeline.errors import FitsError
from pipeline.fitsdata import FitsData, first_difference, same_bytes
from pipeline.fitsdifference import CardDifference, CardKind, bare_cards, card_differences, written_cards
from pipeline.fitsfile import Hdu, Value, parse_token
from pipeline.volatile import VOLATILE, VOLATILE_COMMENTS

__all__ = [
    "USUAL",
    "CardKind",
    "Comparison",
    "Extreme",
    "Figures",
    "MovedCard",
    "Place",
    "Sameness",
    "Tolerance",
    "compare",
    "worst",
]

_INPUT = re.compile(r"ESO PRO REC\d+ (RAW|CAL)\d+ NAME")
_DIGITS = re.compile(r"_[0-9a-f]{12}(?=\.fits'$)")
_COMPUTED = ("ESO QC ", "ESO DRS ")
"""How keywords begin whose values a recipe computes from pixels."""


def compare(old: Path | None, new: Path | None, *, tolerance: Tolerance = USUAL) -> Comparison:
    """Compare two products.

    Parameters
    ----------
    old, new : Path or None
        The files; None for one that is missing. FITS files may be packed.
    tolerance : Tolerance
        How far numbers may move.

    Returns
    -------
    Comparison
        The verdict, and what moved.

    Notes
    -----
    Reads both in pieces; memory does not grow with the files. `same science` is said exactly where the data
    digests are equal.
    """
    for side, path in (("first", old), ("second", new)):
        if path is None or not path.exists():
            return Comparison(Sameness.NOT_COMPARABLE, (), (), f"the {side} file is missing")
    assert old is not None and new is not None
    try:
        if same_bytes(old, new):
            return Comparison(Sameness.IDENTICAL, (), (), "")
        with FitsData(old) as before, FitsData(new) as after:
            return _compared(before, after, tolerance)
    except FitsError as error:
        return Comparison(Sameness.NOT_COMPARABLE, (), (), str(error))


def _compared(old: FitsData, new: FitsData, tolerance: Tolerance) -> Comparison:
    faults = tuple(_faults(old, new))
    both = range(min(len(old.hdus), len(new.hdus)))
    alike = [n for n in both if not _other_shape(old.hdus[n], new.hdus[n], _is_of_pixels(old, new, n))]
    moved = {n: start for n in alike if (start := _first_difference(old, new, n)) is not None}
    figures = tuple(_figures(old, new, moved, tolerance))
    cards = tuple(_cards(old, new, frozenset(moved), tolerance))
    if faults:
        return Comparison(Sameness.NOT_COMPARABLE, cards, figures, "; ".join(faults))
    if not all((*(card.is_within for card in cards), *(item.is_within for item in figures))):
        return Comparison(Sameness.DIFFERENT, cards, figures, _reason(cards, figures, is_within=False))
    if figures or any(not card.is_for_nothing for card in cards):
        return Comparison(Sameness.WITHIN_TOLERANCE, cards, figures, _reason(cards, figures, is_within=True))
    return Comparison(Sameness.SAME_SCIENCE, cards, (), _reason_of_no_weight(cards))


def _first_difference(old: FitsData, new: FitsData, n: int) -> int | None:
    """Find where the data of an HDU begin to differ; rows that are more may be zeros, as padding is."""
    if layout_of(old.hdus[n]).rows != layout_of(new.hdus[n]).rows:
        return 0
    return first_difference(old.unit(n), new.unit(n))


def _faults(old: FitsData, new: FitsData) -> Iterator[str]:
    """Say in what two files cannot be compared."""
    for n, (first, second) in enumerate(zip_longest(old.hdus, new.hdus)):
        if first is None or second is None:
            side = "second" if first is None else "first"
            yield f"HDU {n} {(first or second).name}".rstrip() + f" is in the {side} file only"
        else:
            yield from _other_shape(first, second, _is_of_pixels(old, new, n))


def _other_shape(old: Hdu, new: Hdu, is_of_pixels: bool) -> tuple[str, ...]:
    """Say in what two HDUs are of other shape; the rows of a table may be more."""
    title = f"HDU {old.index} {old.name}".rstrip()
    if old.name != new.name:
        return (f"{title} is called {new.name or 'nothing'} in the second file",)
    before, after = layout_of(old), layout_of(new)
    if before.shape != after.shape and not is_of_pixels:
        return (f"{title} is {before.shape} in the first file, and {after.shape} in the second",)
    return ()


def _is_of_pixels(old: FitsData, new: FitsData, n: int) -> bool:
    """Tell whether an image is a column of a pixel table, so that its length is a number of rows."""
    first, second = pixel_table(old.hdus), pixel_table(new.hdus)
    return first == second and n in first.values()


def _figures(
    old: FitsData, new: FitsData, moved: Mapping[int, int], tolerance: Tolerance
) -> Iterator[Figures]:
    if not moved:
        return
    from pipeline.figures import Measurer

    measurer = Measurer(old, new, tolerance)
    found = pixel_table(old.hdus)
    parts = tuple(found.values()) if found == pixel_table(new.hdus) else ()
    whole = None
    if parts and found["origin"] in moved:  # tells rows apart: it moves with them
        whole = measurer.measure_pixel_table(parts)
    if whole is not None:
        yield whole
    for n, start in moved.items():
        if whole is None or n not in parts:
            yield from measurer.measure(n, start)


def _cards(old: FitsData, new: FitsData, moved: frozenset[int], tolerance: Tolerance) -> Iterator[MovedCard]:
    texts = zip(old.headers(), new.headers(), strict=False)
    for n, (pair, text) in enumerate(zip(zip(old.hdus, new.hdus, strict=False), texts, strict=False)):
        is_plain = not (old.is_tiled[n] or new.is_tiled[n])
        before, after = (
            written_cards(header, hdu) if is_plain else bare_cards(hdu)
            for header, hdu in zip(text, pair, strict=True)
        )
        for card in card_differences(before, after):
            if not _follows(card, n in moved, bool(moved)):
                is_within = _is_within(card, tolerance)
                volatile = VOLATILE_COMMENTS | VOLATILE if card.kind is CardKind.COMMENT else VOLATILE
                yield MovedCard(
                    *(n, pair[0].name, card.keyword, card.kind, card.old, card.new),
                    is_volatile=card.keyword in volatile,
                    is_within=is_within,
                )


def _follows(card: CardDifference, is_moved: bool, is_any_moved: bool) -> bool:
    """Tell whether a card is the sum of data that moved, or the number of their rows: that is no news."""
    return (card.keyword in ("DATASUM", "NAXIS2") and is_moved) or (
        card.keyword == "DATAMD5" and is_any_moved
    )


def _is_within(card: CardDifference, tolerance: Tolerance) -> bool:
    """Tell whether the tolerance allows a card to be otherwise."""
    if card.kind is not CardKind.VALUE or card.keyword in VOLATILE:
        return True
    if card.old is None or card.new is None:
        return False
    if _names_input(card):
        return True
    old, new = parse_token(card.old), parse_token(card.new)
    if not any(isinstance(value, float) for value in (old, new)) or not (_is_number(old) and _is_number(new)):
        return False
    limit = tolerance.relative if card.keyword.startswith(_COMPUTED) else tolerance.position
    before, after = float(old), float(new)  # type: ignore[arg-type]  # numbers, as just seen
    return abs(before - after) <= limit * max(abs(before), abs(after))


def _names_input(card: CardDifference) -> bool:
    """Tell whether a card says only that an input, of the same tag, holds other data: what came of it shows.

    The canonical name of a frame ends with digits of its data digest.
    """
    if card.keyword.endswith(" DATAMD5"):
        return True
    if not _INPUT.fullmatch(card.keyword):
        return False
    before, after = (_DIGITS.sub("", value or "") for value in (card.old, card.new))
    return before == after


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reason_of_no_weight(cards: tuple[MovedCard, ...]) -> str:
    """Name what moved though the data and all that is said of them stayed."""
    if not cards:
        return "nothing moved but how it is packed, or what stands behind the data"
    names = sorted({card.keyword for card in cards if card.keyword})
    told = [f"the card{'s' * (len(names) > 1)} {', '.join(names)}"] if names else []
    if not all(card.keyword for card in cards):
        told.append("cards without a keyword")
    return f"nothing moved but {' and '.join(told)}"


def _reason(cards: tuple[MovedCard, ...], figures: tuple[Figures, ...], *, is_within: bool) -> str:
    """Say in a line what decides: the worst of the data, and how many cards."""
    told = [item for item in figures if item.is_within == is_within]
    moved = [card for card in cards if card.is_within == is_within and not card.is_for_nothing]
    words = []
    if told:
        words.append(f"{told[0].title}: {told[0].in_words}")
        if len(told) > 1:
            words.append(f"{len(told) - 1} more")
    if moved:
        first = moved[0]
        value = f"{first.old or 'not there'} -> {first.new or 'not there'}"
        words.append(f"card {first.keyword} of HDU {first.hdu}: {value}")
        if len(moved) > 1:
            words.append(f"{len(moved) - 1} more card{'s' if len(moved) > 2 else ''}")
    return "; ".join(words)
