"""What comparing two products gives: the words of the verdict, the tolerance, and what moved, as values.

Owns them and their form as a document. How they are found is `pipeline.verdict`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.fitsdifference import CardKind


class Sameness(StrEnum):
    """How two products compare, from best to worst (DESIGN.md section 11)."""

    IDENTICAL = "identical"
    """The same bytes."""
    SAME_SCIENCE = "same science"
    """The same data digest: nothing moved but volatile cards and comments."""
    WITHIN_TOLERANCE = "within tolerance"
    """Numbers moved, and none by more than the tolerance allows."""
    DIFFERENT = "different"
    NOT_COMPARABLE = "not comparable"
    """One is missing, is no FITS file, or holds other extensions, shapes or columns."""


_BY_RANK = tuple(Sameness)


def worst(found: Iterable[Sameness]) -> Sameness:
    """Give the worst of verdicts; of none, that nothing differs."""
    return max(found, key=_BY_RANK.index, default=Sameness.IDENTICAL)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far numbers may move and two products still count as one result.

    A value passes if it differs by no more than what belongs to its sort, or by no more than rounding: four
    units in the last place of the type it is stored in.

    Notes
    -----
    The measure is what recipes of MUSE 2.8.7 do with another thread count, most of all muse_create_sky:
    variances move by up to 5e-6 of themselves, fluxes of the sky by 7e-6, wavelengths of sky lines by 6e-10.
    That is to be within the tolerance, several times over, and what could be seen in a result is not.

    - `sigma`: a shift of a thousandth of the noise, shared by all values of an aperture, grows beside the
      noise with the square root of their number; summed over ten thousand voxels it is a tenth of the noise.
      What moves a voxel by more is different, be it the thread count that did it.
    - `relative`: MUSE fluxes are calibrated to some per cent; this is a few hundredths of a per mille.
    - `variance`: it moves an error bar by 5e-5 of itself.
    - `position`: a right ascension moves by 7 mas at most, a wavelength by less than 1e-4 Angstrom.

    What is no number has no tolerance: integers, quality flags, texts, truth values, missing numbers (NaN or
    infinite on one side only), the number of rows. Neither has the order of rows, unless `any_order`: recipes
    read tables of wavelengths by their order.
    """

    sigma: float = 1e-3
    """Of |Δ| in sigmas, for data with a variance."""
    relative: float = 5e-5
    """Of |Δ| beside the value, for data without a variance and for QC parameters; of data beside the mean of
    all |values|, where the value is smaller than that."""
    variance: float = 1e-4
    """Of |Δ| beside the value, for variances."""
    position: float = 5e-9
    """Of |Δ| beside the value, for positions, wavelengths and times, and for all other cards."""
    any_order: bool = False
    """Whether rows of a table may stand in another order."""


USUAL = Tolerance()
"""The tolerance unless another is asked for."""


@dataclass(frozen=True, slots=True)
class MovedCard:
    """A card that is otherwise."""

    hdu: int
    """Index of the HDU; 0 is the primary."""
    name: str
    """EXTNAME of the HDU; empty if it has none."""
    keyword: str
    kind: CardKind
    old: str | None
    """As written; None if it is not there. Of a comment the whole card."""
    new: str | None
    is_volatile: bool
    """Whether `pipeline.volatile` lists it: it tells when a run began, and nothing of the data."""
    is_within: bool
    """Whether the tolerance allows it; true of volatile cards, comments and order, and of cards that name an
    input of the same tag with other data."""

    @property
    def is_for_nothing(self) -> bool:
        """Whether the data digest leaves it out."""
        return self.kind is CardKind.COMMENT or (self.kind is CardKind.VALUE and self.is_volatile)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands."""

    pixel: tuple[int, ...]
    """Indices along the axes in the order of FITS, from 1; the row of a table, then the place in a cell that
    holds several values."""
    ra_deg: float | None = None
    dec_deg: float | None = None
    wavelength_a: float | None = None
    """Angstrom, as the header has it: in air or vacuum."""
    ifu: int | None = None
    """Of a row of a pixel table."""
    slice: int | None = None
    """Of the IFU, for a row of a pixel table."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """The value that moved most, by one measure."""

    size: float
    """|Δ|, |Δ| in sigmas, or |Δ| beside the value; zero where no difference can be told."""
    old: str
    """The value itself, in full."""
    new: str
    where: Place


@dataclass(frozen=True, slots=True)
class Figures:
    """What moved in an image, or in a column of a table."""

    hdu: int
    name: str
    """EXTNAME; empty if it has none."""
    column: str
    """Empty for an image, and where it is about all of a table."""
    unit: str
    """As written; empty for none."""
    values: int
    """How many there are on each side; rows, where it is about all of a table."""
    differing: int
    """How many of them are not the same bits."""
    beyond: int
    """How many of them the tolerance does not allow."""
    largest: Extreme | None = None
    """By |Δ|; None of what has no difference, such as texts."""
    in_sigma: Extreme | None = None
    """By |Δ| in sigmas; None without a variance."""
    relative: Extreme | None = None
    """By |Δ| beside the larger of the two values, of what is not measured in sigmas."""
    first: Extreme | None = None
    """The first value of which no difference can be told: a text, a number on one side only, a row."""
    alone: int = 0
    """Values that are a number on one side and none, or infinite, on the other."""
    without_sigma: int = 0
    """Differing values whose variance is zero, negative or no number: they are judged beside their value."""
    notes: tuple[str, ...] = ()
    """What else was found, such as rows in another order."""

    @property
    def is_within(self) -> bool:
        """Whether the tolerance allows all of it."""
        return not self.beyond

    @property
    def counted(self) -> str:
        """Say how many differ, such as `1 of 60 values differs`."""
        noun = "values" if self.column or self.largest or self.first is None or not self.notes else "rows"
        return f"{self.differing} of {self.values} {noun} differ{'s' if self.differing == 1 else ''}"

    @property
    def in_words(self) -> str:
        """Say in a line what differs, and by how much at most."""
        told = list(self.notes)
        if self.alone:
            told.append(f"{self.alone} on one side only")
        elif self.in_sigma is not None:
            told.append(f"by {self.in_sigma.size:.3g} sigma at most")
        elif self.relative is not None:
            told.append(f"by {self.relative.size:.3g} of the value at most")
        elif self.largest is not None:
            told.append(f"by {self.largest.size:.3g} at most")
        elif self.first is None and told:
            return "; ".join(told)
        return ", ".join((self.counted, *told))

    @property
    def title(self) -> str:
        """Name the image or the column."""
        hdu = f"HDU {self.hdu} {self.name}".rstrip()
        return f"{hdu}, {self.column}" if self.column else hdu


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing two products found."""

    sameness: Sameness
    cards: tuple[MovedCard, ...]
    """By HDU, as they stand."""
    figures: tuple[Figures, ...]
    """One for each image and each column of a table that differs, as they stand."""
    reason: str
    """Why it is no better, in a line; empty if identical."""

    def document(self) -> dict[str, Any]:
        """Describe it as JSON without floats: measures are strings, counts integers."""
        return {
            "sameness": self.sameness.value,
            "reason": self.reason,
            "cards": [_card_document(card) for card in self.cards],
            "figures": [_figures_document(figures) for figures in self.figures],
        }


def _card_document(card: MovedCard) -> dict[str, Any]:
    return {
        "hdu": card.hdu,
        "name": card.name,
        "keyword": card.keyword,
        "kind": card.kind.value,
        "old": card.old,
        "new": card.new,
        "is_volatile": card.is_volatile,
        "is_within": card.is_within,
    }


def _figures_document(figures: Figures) -> dict[str, Any]:
    return {
        "hdu": figures.hdu,
        "name": figures.name,
        "column": figures.column,
        "unit": figures.unit,
        "values": figures.values,
        "differing": figures.differing,
        "beyond": figures.beyond,
        "largest": _extreme_document(figures.largest),
        "in_sigma": _extreme_document(figures.in_sigma),
        "relative": _extreme_document(figures.relative),
        "first": _extreme_document(figures.first),
        "alone": figures.alone,
        "without_sigma": figures.without_sigma,
        "notes": list(figures.notes),
        "is_within": figures.is_within,
    }


def _extreme_document(extreme: Extreme | None) -> dict[str, Any] | None:
    if extreme is None:
        return None
    where = extreme.where
    return {
        "size": f"{extreme.size:.6g}",
        "old": extreme.old,
        "new": extreme.new,
        "pixel": list(where.pixel),
        "ra_deg": _written(where.ra_deg, ".7f"),
        "dec_deg": _written(where.dec_deg, ".7f"),
        "wavelength_a": _written(where.wavelength_a, ".3f"),
        "ifu": where.ifu,
        "slice": where.slice,
    }


def _written(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)
