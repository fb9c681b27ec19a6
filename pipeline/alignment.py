"""Whether exposures were aligned by their sources, or their offsets were invented by the recipe.

muse_exp_align ends with status 0 and a full list whatever it was given: an exposure that was not matched
gets the mean of the others' offsets, and one that shows another field or noise gets what a search over tens
of arc seconds happens to bring together.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import keywords as kw
from pipeline.products import Product
from pipeline.structure import read_table
from pipeline.unmatched import unmatched_exposure

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

LEAST_MATCHES = 3
"""Sources by which an exposure must be matched with another for its offset to be believed."""
_ONE_PIXEL = 1.0
"""How near a source must come to the same one of another exposure, both shifted; an offset that was
measured brings them to within a twentieth of a pixel."""
_FEW = 0.5
"""Share of an exposure's sources up to which its match is doubtful: half came together in a field that was
turned by 180 degrees."""


def wrong_alignment(exposures: tuple[str, ...], products: tuple[Product, ...], caveats: list[str]) -> str:
    """Refuse offsets of exposures that were not matched.

    Parameters
    ----------
    exposures : tuple of str
        DATE-OBS of each.
    products : tuple of Product
        What the recipe left; without an OFFSET_LIST there is nothing to refuse.
    caveats : list of str
        What is only doubtful is added.

    Returns
    -------
    str
        What is wrong; empty for nothing.
    """
    offsets = next((product for product in products if product.tag == "OFFSET_LIST"), None)
    if offsets is None:
        return ""
    header = offsets.header
    for number, exposure in enumerate(sorted(exposures), 1):
        matches = header.get(kw.ALIGN_MATCHES.format(number))
        if not isinstance(matches, int) or matches < LEAST_MATCHES:
            return _unmatched(exposure, matches if isinstance(matches, int) else 0)
    if header.get(kw.ALIGN_NO_MATCH) not in (0, None):
        return f"{header.get(kw.ALIGN_NO_MATCH)} exposures were not matched with any other"
    return _wrong_offsets(exposures, offsets) or _wrong_places(exposures, products, caveats)


def incomplete_list(exposures: tuple[str, ...], products: tuple[Product, ...]) -> str:
    """Refuse a list of our own that does not name each exposure once: with an offset, or as not matched.

    Parameters
    ----------
    exposures, products
        As of `wrong_alignment`.

    Returns
    -------
    str
        What is wrong; empty for nothing.
    """
    lost = {exposure for product in products if (exposure := unmatched_exposure(product.tag, product.name))}
    matched = tuple(exposure for exposure in exposures if exposure not in lost)
    offsets = next((product for product in products if product.tag == "OFFSET_LIST"), None)
    return "" if offsets is None else _wrong_offsets(matched, offsets)


def _unmatched(exposure: str, sources: int) -> str:
    return (
        f"exposure {exposure} was matched by {sources} sources, at least {LEAST_MATCHES} are needed: its "
        "offset would be invented; exclude it ([targets.NAME] exclude), or lower threshold of muse_exp_align"
    )


def _wrong_offsets(exposures: tuple[str, ...], product: Product) -> str:
    import numpy as np

    table = read_table(product.path, product.hdus[1])
    rows = Counter(bytes(date).decode("ascii", "replace").strip()[:23] for date in table["DATE_OBS"])
    for exposure in exposures:
        if rows[exposure[:23]] != 1:
            return f"{product.name} has {rows[exposure[:23]]} rows for exposure {exposure}"
    if not all(np.isfinite(table[name]).all() for name in ("RA_OFFSET", "DEC_OFFSET")):
        return f"{product.name} holds an offset that is not a number"
    return ""


def _wrong_places(exposures: tuple[str, ...], products: tuple[Product, ...], caveats: list[str]) -> str:
    """Shift the sources that the recipe found by its offsets: those of other exposures must lie there.

    Notes
    -----
    The recipe counts as a match what a search over tens of arc seconds brings together: a field of noise,
    or one that is mirrored, passes with more matches than are needed and an offset of 2 to 11 arc seconds.
    """
    places = _places(products)
    for exposure in exposures:
        if exposure[:23] not in places:
            return f"there is no list of sources of exposure {exposure}: its offset cannot be checked"
    for exposure in sorted(exposures):
        sources = places[exposure[:23]]
        others = [found for date, found in places.items() if date != exposure[:23]]
        met = ((_meeting(sources, other), min(len(sources.sky), len(other.sky))) for other in others)
        best, of = max(met, default=(0, 0))
        if best < LEAST_MATCHES:
            return _unmatched(exposure, best)
        if best <= _FEW * of:
            caveats.append(
                f"only {best} of {of} sources of exposure {exposure} lie on those of another exposure: its "
                "offset is doubtful; look at PREVIEW_FOV.fits"
            )
    return ""


@dataclass(frozen=True, slots=True)
class _Field:
    """The sources of an exposure, where its offset puts them."""

    sky: "NDArray[float64]"
    """(n, 2): right ascension and declination, degrees."""
    pixel: float
    """Degrees."""


def _places(products: tuple[Product, ...]) -> dict[str, _Field]:
    """Find the sources of each exposure, by the beginning of its DATE-OBS."""
    import numpy as np

    shifts = {}
    for product in products:
        if product.tag == "OFFSET_LIST":
            table = read_table(product.path, product.hdus[1])
            dates = [bytes(date).decode("ascii", "replace").strip()[:23] for date in table["DATE_OBS"]]
            shifts = dict(zip(dates, zip(table["RA_OFFSET"], table["DEC_OFFSET"], strict=True), strict=True))
    places = {}
    for product in products:
        date = str(product.header.get(kw.DATE_OBS))[:23]
        if product.tag != "SOURCE_LIST" or date not in shifts:
            continue
        table = read_table(product.path, product.hdus[1])
        sky = np.stack([table["RA"].astype(float), table["DEC"].astype(float)], axis=1)
        chip = np.stack([table["X"].astype(float), table["Y"].astype(float)], axis=1)
        on_sky, on_chip = _apart(sky, sky[:1]), np.hypot(*(chip - chip[:1]).T)
        places[date] = _Field(sky - np.array(shifts[date]), float(on_sky.sum() / (on_chip.sum() or 1.0)))
    return places


def _meeting(some: _Field, others: _Field) -> int:
    """Count sources of some that lie within a pixel of one of others."""
    distance = _apart(some.sky[:, None], others.sky[None])
    return int((distance < _ONE_PIXEL * some.pixel).any(axis=1).sum())


def _apart(some: "NDArray[float64]", others: "NDArray[float64]") -> "NDArray[float64]":
    """Give the distances between places on the sky, in degrees: small ones, over 0 h too."""
    import numpy as np

    east, north = np.moveaxis(some - others, -1, 0)
    east = (east + 180) % 360 - 180
    distance: NDArray[float64] = np.hypot(east * np.cos(np.radians(some[..., 1])), north)
    return distance
