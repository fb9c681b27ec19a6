"""Where two FITS files differ: which cards of which HDU, and whether its data do.

The one comparison of headers: `compare_files` tells of what the data digest covers, `card_differences` of
comments and order too. By how much data differ is `pipeline.verdict`'s.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.fitsdata import FitsData, first_difference
from pipeline.fitsdigest import is_unordered
from pipeline.fitsfile import Hdu, parse_card
from pipeline.volatile import VOLATILE

_CARD = 80


class CardKind(StrEnum):
    """What of a card moved."""

    VALUE = "value"
    """Its value; or it stands on one side only."""
    COMMENT = "comment"
    """What stands beside its value: the comment, or blanks; and all of a card without a value."""
    ORDER = "order"
    """The cards of the HDU stand in another order; keyword and values are of the first that does."""


@dataclass(frozen=True, slots=True)
class CardDifference:
    """A card that is otherwise."""

    keyword: str
    """Empty for a card that no value can be read from."""
    old: str | None
    """The value as written; of a comment the whole card; None on the side that lacks it."""
    new: str | None
    kind: CardKind = CardKind.VALUE


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


@dataclass(frozen=True, slots=True)
class WrittenCard:
    """A card with all that is written in it."""

    keyword: str
    token: str
    """As `Card.token`."""
    text: str
    """All of it, with its continuations."""


def compare_files(old: Path, new: Path) -> tuple[HduDifference, ...]:
    """Compare two FITS files HDU by HDU; volatile cards, comments and order count for nothing.

    Raises
    ------
    FitsError
        One of them cannot be read.
    """
    found = []
    with FitsData(old) as before, FitsData(new) as after:
        for index, (first, second) in enumerate(itertools.zip_longest(before.hdus, after.hdus)):
            if first is None or second is None:
                found.append(HduDifference(index, (first or second).name, (), False, is_alone=True))
                continue
            moved = first_difference(before.unit(index), after.unit(index)) is not None
            cards = tuple(
                card
                for card in card_differences(bare_cards(first), bare_cards(second))
                # With other data their sum differs too: that is no news.
                if card.kind is CardKind.VALUE
                and card.keyword not in VOLATILE
                and not (moved and card.keyword == "DATASUM")
            )
            if cards or moved:
                found.append(HduDifference(index, second.name or first.name, cards, moved))
    return tuple(found)


def card_differences(old: Sequence[WrittenCard], new: Sequence[WrittenCard]) -> Iterator[CardDifference]:
    """List all in which the cards of two headers differ, volatile ones among them.

    Parameters
    ----------
    old, new : sequence of WrittenCard
        As `written_cards` reads them, or `bare_cards` if comments do not count.

    Yields
    ------
    CardDifference
        By keyword in the order of the headers, the order of the cards last.

    Notes
    -----
    Cards of one keyword are put together by their value, so that a HISTORY that is new is one card and not
    all behind it.
    """
    before, after = _by_keyword(old), _by_keyword(new)
    gone: Counter[tuple[str, str]] = Counter()
    new_ones: Counter[tuple[str, str]] = Counter()
    for keyword in dict.fromkeys((*before, *after)):
        left, right = before.get(keyword, ()), after.get(keyword, ())
        lost = Counter(card.token for card in left) - Counter(card.token for card in right)
        come = Counter(card.token for card in right) - Counter(card.token for card in left)
        gone.update({(keyword, token): count for token, count in lost.items()})
        new_ones.update({(keyword, token): count for token, count in come.items()})
        # A line that no value can be read from says no more than a comment.
        kind = CardKind.VALUE if keyword else CardKind.COMMENT
        for was, now in itertools.zip_longest(lost.elements(), come.elements()):
            yield CardDifference(keyword, was, now, kind)
        yield from _comments(keyword, left, right)
    for one, other in zip(_ordered(old, gone), _ordered(new, new_ones), strict=True):
        if one != other:
            yield CardDifference(one[0], " ".join(one), " ".join(other), CardKind.ORDER)
            return


def written_cards(header: str, hdu: Hdu) -> tuple[WrittenCard, ...]:
    """Read the cards of a header with all that is written in them; blank ones and END are left out.

    Parameters
    ----------
    header : str
        Its text.
    hdu : Hdu
        Its cards as `read_hdus` read them.
    """
    lines = [header[start : start + _CARD] for start in range(0, len(header), _CARD)]
    texts: list[str] = []
    bare: list[int] = []
    for line in itertools.takewhile(lambda line: line.rstrip() != "END", lines):
        if line.startswith("CONTINUE") and texts:
            texts[-1] += line
        elif line.strip():
            if parse_card(line) is None:
                bare.append(len(texts))
            texts.append(line)
    cards = iter(hdu.cards)
    unread = set(bare)
    found = []
    for n, text in enumerate(texts):
        card = None if n in unread else next(cards, None)
        found.append(
            WrittenCard(card.keyword, card.token, text) if card else WrittenCard("", text.rstrip(), text)
        )
    return tuple(found)


def bare_cards(hdu: Hdu) -> tuple[WrittenCard, ...]:
    """Give the cards of an HDU as if nothing stood beside their values."""
    return tuple(WrittenCard(card.keyword, card.token, card.token) for card in hdu.cards)


def _by_keyword(cards: Iterable[WrittenCard]) -> dict[str, list[WrittenCard]]:
    found: dict[str, list[WrittenCard]] = {}
    for card in cards:
        found.setdefault(card.keyword, []).append(card)
    return found


def _comments(
    keyword: str, old: Sequence[WrittenCard], new: Sequence[WrittenCard]
) -> Iterator[CardDifference]:
    """Compare what stands beside the values of cards that are there on both sides."""
    texts: dict[str, list[str]] = {}
    for card in new:
        texts.setdefault(card.token, []).append(card.text)
    for card in old:
        if texts.get(card.token):
            text = texts[card.token].pop(0)
            if text != card.text:
                was, now = (" ".join(written.split()) for written in (card.text, text))
                yield CardDifference(keyword, was, now, CardKind.COMMENT)


def _ordered(cards: Iterable[WrittenCard], gone: Counter[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """List the cards of which the order is content, without those that stand on one side only."""
    left = gone.copy()
    for card in cards:
        key = (card.keyword, card.token)
        if left[key] > 0:
            left[key] -= 1
        elif card.keyword and not is_unordered(card.keyword) and card.keyword not in VOLATILE:
            yield key
