"""Is what a recipe left whole, complete, and made from what it was given? Exit status 0 proves nothing.

References
----------
Failures of esorex 3.13.6 with the MUSE recipes 2.8.7 that end with status 0, each reproduced: a full disk,
an empty or truncated input, a calibration under a wrong tag, a filter nobody knows, a fit that did not
converge, exposures that were not matched.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass

from pipeline import keywords as kw
from pipeline.engine import Ending, EngineResult
from pipeline.model import Expected
from pipeline.products import Product, filter_of, used_frames

_LEVEL = re.compile(r"\[\s*(WARNING|ERROR)\s*\]\s*(.*)")
_IFU_MISSING = re.compile(r"(?:Channel|specified) for IFU\s+(\d+)")
"""Said of every IFU that is not there; a failure only of one that is."""
LEAST_MATCHES = 3
"""Sources by which an exposure must be matched with another for its offset to be believed."""


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """A warning of the recipes that means more, or less, than it says."""

    pattern: str
    is_failure: bool
    """Whether the products cannot be believed; else they are accepted with a caveat."""
    meaning: str


KNOWN_MESSAGES = (
    KnownMessage(r"EXTINCT_TABLE missing", True, "no correction for extinction: fluxes are some 6 % low"),
    KnownMessage(r"could not be loaded, it will be ignored", True, "an input was left out"),
    KnownMessage(r"we already have IFU \d+ of exposure", True, "the same pixel table was given twice"),
    KnownMessage(r"Flux calibration returned rc=", True, "the cube is not calibrated in flux"),
    KnownMessage(r"did not converge", True, "a fit did not converge"),
    KnownMessage(r"Adapt pixel table to STD_RESPONSE", False, "the flat-field spectrum was taken out again"),
)
"""Measured; anything at level ERROR is a failure without standing here."""

NOT_LISTED = {
    "muse_scipost": frozenset({"FILTER_LIST", "OFFSET_LIST"}),
    "muse_exp_combine": frozenset({"FILTER_LIST", "OFFSET_LIST"}),
}
"""Calibrations that a recipe reads, or needs not read, without naming them in its products."""

_BUNIT_OF_FLUX = "erg"


@dataclass(frozen=True, slots=True)
class Given:
    """What a recipe was given and asked for."""

    recipe: str
    inputs: tuple[tuple[str, str], ...]
    """Tag and staged name of each input."""
    raw_tags: frozenset[str]
    """Tags that are reduced, as against calibrations."""
    expected: tuple[Expected, ...]
    ifus: tuple[int, ...]
    exposures: tuple[str, ...]
    """DATE-OBS of the exposures."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether products are accepted, and what was seen."""

    cause: str
    """Kind of failure; empty if accepted."""
    reason: str
    """The failure in a sentence; empty if accepted."""
    caveats: tuple[str, ...]
    """What a person should know of products that were accepted."""
    warnings: int
    errors: int

    @property
    def is_accepted(self) -> bool:
        """Whether the products can be believed."""
        return not self.cause


def accept(
    given: Given, result: EngineResult, log: str, products: tuple[Product, ...], faults: tuple[str, ...]
) -> Verdict:
    """Judge a run before anything of it is published.

    Parameters
    ----------
    given : Given
        What the recipe got and what it had to make.
    result : EngineResult
        How it ended.
    log : str
        The recipe's log.
    products : tuple of Product
        What could be read of the files it declared.
    faults : tuple of str
        What could not be read or was no regular file.

    Returns
    -------
    Verdict
        The first thing that is wrong, the engine's word before the log's before the products'.
    """
    messages = [(match[1], match[2].strip()) for match in map(_LEVEL.search, log.splitlines()) if match]
    errors = [text for level, text in messages if level == "ERROR"]
    warnings = [text for level, text in messages if level == "WARNING"]
    cause, reason = _ending(result, errors)
    if not cause:
        cause, reason = _from_log(given, errors, warnings)
    if not cause and faults:
        cause, reason = "unproven", faults[0]
    if not cause:
        cause, reason = _from_products(given, products)
    caveats = tuple(
        dict.fromkeys(
            f"{known.meaning} ({text})"
            for text in warnings
            for known in KNOWN_MESSAGES
            if not known.is_failure and re.search(known.pattern, text)
        )
    )
    return Verdict(cause, reason, caveats, len(warnings), len(errors))


def _ending(result: EngineResult, errors: list[str]) -> tuple[str, str]:
    """Judge by how the program ended."""
    last = f": {errors[-1]}" if errors else ""
    match result.ending:
        case Ending.OUT_OF_MEMORY:
            return "out of memory", "the recipe met its memory limit"
        case Ending.TIMEOUT:
            return "timeout", "the recipe did not end in the time it was given"
        case Ending.KILLED:
            return "killed", f"the recipe was stopped by signal {result.signal or 'unknown'}"
        case Ending.EXITED if result.signal is not None:
            return "recipe error", f"the recipe died of signal {result.signal}{last}"
        case Ending.EXITED if result.exit_status != 0:
            return "recipe error", f"esorex left with {result.exit_status}{last}"
    return "", ""


def _from_log(given: Given, errors: list[str], warnings: list[str]) -> tuple[str, str]:
    if errors:
        return "recipe error", f"the log holds an error although esorex left with 0: {errors[-1]}"
    for text in warnings:
        for known in KNOWN_MESSAGES:
            if known.is_failure and re.search(known.pattern, text):
                return "unproven", f"{known.meaning} ({text})"
        missing = _IFU_MISSING.search(text)
        if missing and int(missing[1]) in given.ifus:
            return (
                "unproven",
                f"the recipe missed a frame of IFU {int(missing[1])}, which it was given ({text})",
            )
    return "", ""


def _from_products(given: Given, products: tuple[Product, ...]) -> tuple[str, str]:
    for product in products:
        if product.digests.faults:
            return "unproven", f"{product.name}: {product.digests.faults[0]}"
        if product.header.get(kw.DATAMD5) == "Not computed" or kw.CHECKSUM not in product.header:
            return "unproven", f"{product.name} was not finished: it has no checksum"
    for check in (_missing_product, _unused_input, _wrong_unit, _wrong_alignment):
        reason = check(given, products)
        if reason:
            return "missing product" if check is _missing_product else "unproven", reason
    return "", ""


def _missing_product(given: Given, products: tuple[Product, ...]) -> str:
    counts = Counter((product.tag, filter_of(product)) for product in products)
    for expected in given.expected:
        have = sum(
            count
            for (tag, name), count in counts.items()
            if tag == expected.tag and expected.filter in ("", name)
        )
        if have < expected.least:
            of = f" in the filter {expected.filter}" if expected.filter else ""
            why = "; is the filter in the FILTER_LIST?" if expected.filter else ""
            return f"{have} {expected.tag}{of} where {expected.least} had to be made{why}"
    return ""


def _unused_input(given: Given, products: tuple[Product, ...]) -> str:
    """Find an input that no product names: a dropped raw frame, a calibration that was not read."""
    used = [frame for product in products for frame in used_frames(product.header, given.recipe)]
    names = {frame.name for frame in used}
    unlisted = NOT_LISTED.get(given.recipe, frozenset())
    for tag, name in given.inputs:
        if name not in names and tag not in unlisted:
            what = "was dropped by the recipe" if tag in given.raw_tags else "was not used by the recipe"
            return f"{tag} {name} {what}: no product names it"
    for frame in used:
        if (frame.tag, frame.name) not in given.inputs:
            return f"a product names {frame.tag} {frame.name}, which was not given"
    return ""


def _wrong_unit(given: Given, products: tuple[Product, ...]) -> str:
    for product in products:
        if product.tag == "DATACUBE_FINAL":
            units = {hdu.name: str(hdu.header.get(kw.BUNIT, "")) for hdu in product.hdus}
            if _BUNIT_OF_FLUX not in units.get("DATA", ""):
                return f"{product.name} is in {units.get('DATA') or 'no unit'}: it is not calibrated in flux"
        merged = product.header.get(kw.PIXTABLE_MERGED)
        if product.tag == "PIXTABLE_REDUCED" and merged != len(given.ifus):
            return f"{product.name} holds {merged} IFUs where {len(given.ifus)} were given"
    return ""


def _wrong_alignment(given: Given, products: tuple[Product, ...]) -> str:
    """Refuse offsets of exposures that were not matched: the recipe invents them in silence."""
    for product in products:
        if product.tag != "OFFSET_LIST":
            continue
        header = product.header
        for number, exposure in enumerate(sorted(given.exposures), 1):
            matches = header.get(kw.ALIGN_MATCHES.format(number))
            if not isinstance(matches, int) or matches < LEAST_MATCHES:
                return (
                    f"exposure {exposure} was matched by {matches or 0} sources, at least {LEAST_MATCHES} "
                    "are needed: its offset would be invented"
                )
        if header.get(kw.ALIGN_NO_MATCH) not in (0, None):
            return f"{header.get(kw.ALIGN_NO_MATCH)} exposures were not matched with any other"
        return _wrong_offsets(given, product)
    return ""


def _wrong_offsets(given: Given, product: Product) -> str:
    from astropy.io import fits

    with fits.open(product.path) as opened:
        table = opened[1].data
        rows = Counter(str(date).strip()[:23] for date in table["DATE_OBS"])
        numbers = [float(v) for name in ("RA_OFFSET", "DEC_OFFSET") for v in table[name]]
    for exposure in given.exposures:
        if rows[exposure[:23]] != 1:
            return f"{product.name} has {rows[exposure[:23]]} rows for exposure {exposure}"
    if not all(math.isfinite(number) for number in numbers):
        return f"{product.name} holds an offset that is not a number"
    return ""
