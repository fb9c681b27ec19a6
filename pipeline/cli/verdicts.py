"""How a comparison of two products looks on screen: what moved, by how much, and where to look."""

from collections.abc import Iterator

from pipeline.verdict import CardKind, Comparison, Extreme, Figures, MovedCard, Place

_FEW = 8
"""Cards of an HDU that are shown one by one, and names of those of no weight."""


def lines(comparison: Comparison) -> list[str]:
    """Write what a person reads of a comparison: images and columns that moved, then cards.

    Parameters
    ----------
    comparison : Comparison
        What comparing two products found.

    Returns
    -------
    list of str
        None for identical products; the reason alone where there is nothing to show.
    """
    found = [line for figures in comparison.figures for line in _figures(figures)]
    found += _cards([card for card in comparison.cards if not card.is_for_nothing])
    found += _volatile([card for card in comparison.cards if card.is_for_nothing])
    needs_reason = comparison.reason and (not found or comparison.sameness == "not comparable")
    return [comparison.reason, *found] if needs_reason else found


def _figures(figures: Figures) -> Iterator[str]:
    unit = f" [{figures.unit}]" if figures.unit else ""
    judged = "all within tolerance" if figures.is_within else f"{figures.beyond} beyond tolerance"
    yield f"{figures.title}{unit}: {figures.counted}, {judged}"
    yield from (f"  {note}" for note in figures.notes)
    if figures.alone:
        yield f"  {figures.alone} are a number on one side only"
    if figures.without_sigma:
        yield f"  {figures.without_sigma} have no variance, and are judged beside their value"
    yield from _aligned(list(_extremes(figures)))


def _extremes(figures: Figures) -> Iterator[tuple[str, str, str, str]]:
    shown = (
        ("largest |Δ|", figures.largest),
        ("largest |Δ|/σ", figures.in_sigma),  # noqa: RUF001  # a sigma, as astronomers write it
        ("largest |Δ|/value", figures.relative),
        ("first", figures.first),
    )
    for name, extreme in shown:
        if extreme is not None:
            size = f"{extreme.size:.4g}" if extreme.size else ""
            yield name, size, _values(extreme), place_words(extreme.where)


def _values(extreme: Extreme) -> str:
    return f"{extreme.old} -> {extreme.new}" if extreme.old or extreme.new else ""


def place_words(place: Place) -> str:
    """Write where a value stands, such as `(12, 3, 400) RA 10.1234567 Dec -30.7654321 6543.21 A`."""
    found = [f"row {place.pixel[0]}"] if len(place.pixel) == 1 else [str(place.pixel)]
    if place.ra_deg is not None and place.dec_deg is not None:
        found.append(f"RA {place.ra_deg:.7f} Dec {place.dec_deg:+.7f}")
    if place.wavelength_a is not None:
        found.append(f"{place.wavelength_a:.2f} A")
    if place.ifu is not None:
        found.append(f"IFU {place.ifu} slice {place.slice}")
    return " ".join(found)


def _aligned(rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    widths = [max((len(row[n]) for row in rows), default=0) for n in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True) if width]
        yield "  " + "  ".join((*cells, f"at {row[3]}"))


def _cards(cards: list[MovedCard]) -> Iterator[str]:
    by_hdu: dict[tuple[int, str], list[MovedCard]] = {}
    for card in cards:
        by_hdu.setdefault((card.hdu, card.name), []).append(card)
    for (hdu, name), moved in by_hdu.items():
        moved.sort(key=lambda card: card.is_within)  # stable: those that decide come first
        beyond = sum(not card.is_within for card in moved)
        judged = f"{beyond} beyond tolerance" if beyond else "all within tolerance"
        yield f"HDU {hdu} {name}".rstrip() + f": {len(moved)} card{'s' * (len(moved) > 1)} moved, {judged}"
        yield from (f"  {_card(card)}" for card in moved[:_FEW])
        if len(moved) > _FEW:
            yield f"  and {len(moved) - _FEW} more"


def _card(card: MovedCard) -> str:
    if card.kind is CardKind.ORDER:
        return f"the cards stand in another order from here on: {card.old} / {card.new}"
    old, new = (value if value is not None else "not there" for value in (card.old, card.new))
    return f"{card.keyword or 'a card without a value'}: {old} -> {new}"


def _volatile(cards: list[MovedCard]) -> Iterator[str]:
    """Name cards that mean nothing for the data, with the HDUs in which they moved."""
    places: dict[str, dict[int, None]] = {}
    for card in cards:
        name = card.keyword or "cards without a keyword"
        if card.kind is CardKind.COMMENT and card.keyword:
            name += " (comment)"
        places.setdefault(name, {})[card.hdu] = None
    if places:
        told = [f"{name} in HDU {', '.join(map(str, hdus))}" for name, hdus in sorted(places.items())]
        more = [f"{len(told) - _FEW} more"] if len(told) > _FEW else []
        yield f"of no weight: {'; '.join((*told[:_FEW], *more))}"
