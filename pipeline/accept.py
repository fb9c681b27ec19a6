"""Is what a recipe left whole, complete, and made from what it was given? Exit status 0 proves nothing.

References
----------
Failures of esorex 3.13.6 with the MUSE recipes 2.8.7 that end with status 0, each reproduced: a full disk,
an empty or truncated input, a calibration under a wrong tag, a filter nobody knows, a fit that did not
converge, exposures that were not matched or matched wrongly. `docs/acceptance.md` has the list.
"""

import re
from collections import Counter
from dataclasses import dataclass

from pipeline import keywords as kw
from pipeline.alignment import incomplete_list, wrong_alignment
from pipeline.engine import Ending, EngineResult
from pipeline.messages import complaints, doubts, explained, known, telling
from pipeline.model import Expected
from pipeline.products import Product, filter_of, used_frames
from pipeline.recipes import RECIPES

_IFU_MISSING = re.compile(r"(?:Channel|specified|loaded) for IFU\s+(\d+)")
"""Said of every IFU that is not there; a failure only of one that is."""
NOT_LISTED = {
    "muse_scipost": frozenset({"FILTER_LIST", "OFFSET_LIST"}),
    "muse_exp_combine": frozenset({"FILTER_LIST", "OFFSET_LIST"}),
}
"""Calibrations that a recipe reads, or needs not read, without naming them in its products."""


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
    """The failure in a sentence, and what to do behind a semicolon; empty if accepted."""
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
    errors, warnings = complaints(log)
    row = RECIPES.get(given.recipe)
    is_ours = row is not None and row.is_ours
    caveats = warnings.copy() if is_ours else list(doubts(warnings))
    cause, reason = _ending(given, result, errors)
    if not cause:
        cause, reason = _from_log(given, errors, warnings)
    if not cause and faults:
        cause, reason = "unproven", faults[0]
    if not cause:
        cause, reason = _from_products(given, products, caveats)
    return Verdict(cause, reason, tuple(caveats), len(warnings), len(errors))


def _program(given: Given) -> str:
    row = RECIPES.get(given.recipe)
    return given.recipe if row is not None and row.is_ours else "esorex"


def _ending(given: Given, result: EngineResult, errors: list[str]) -> tuple[str, str]:
    """Judge by how the program ended."""
    last = f": {telling(errors)}" if errors else ""
    match result.ending:
        case Ending.OUT_OF_MEMORY:
            return (
                "out of memory",
                "the recipe met its memory limit; give it more (--memory), or reduce fewer IFUs",
            )
        case Ending.TIMEOUT:
            return (
                "timeout",
                "the recipe did not end in the time it was given; raise [clio] timeout_min",
            )
        case Ending.KILLED:
            return "killed", f"the recipe was stopped by signal {result.signal or 'unknown'}"
        case Ending.EXITED if result.signal is not None:
            return "recipe error", f"the recipe died of signal {result.signal}{last}"
        case Ending.EXITED if result.exit_status != 0:
            return "recipe error", f"{_program(given)} left with {result.exit_status}{last}"
    return "", ""


def _from_log(given: Given, errors: list[str], warnings: list[str]) -> tuple[str, str]:
    cause = "recipe error" if errors else "unproven"
    for message, text in known([*warnings, *errors]):
        if message.is_failure:
            return cause, explained(message, text)
    if errors:
        return cause, f"the log holds an error although esorex left with 0: {telling(errors)}"
    for text in warnings:
        missing = _IFU_MISSING.search(text)
        if missing and int(missing[1]) in given.ifus:
            return (
                "unproven",
                f"the recipe missed a frame of IFU {int(missing[1])}, which it was given ({text})",
            )
    return "", ""


def _from_products(given: Given, products: tuple[Product, ...], caveats: list[str]) -> tuple[str, str]:
    """Judge by what is in the files; adds to the caveats."""
    for product in products:
        if product.digests.faults:
            return "unproven", f"{product.name}: {product.digests.faults[0]}"
        if product.header.get(kw.DATAMD5) == "Not computed" or kw.CHECKSUM not in product.header:
            return "unproven", f"{product.name} was not finished: it has no checksum"
        if product.fault:
            return "unproven", f"{product.name} {product.fault}"
    reason = _missing_product(given, products)
    if reason:
        return "missing product", reason
    for check in (_unused_input, _lost_ifu):
        reason = check(given, products)
        if reason:
            return "unproven", reason
    if given.recipe == "muse_exp_align":
        reason = wrong_alignment(given.exposures, products, caveats)
    elif given.exposures:
        reason = incomplete_list(given.exposures, products)
    else:
        return "", ""
    return ("unproven", reason) if reason else ("", "")


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


def _lost_ifu(given: Given, products: tuple[Product, ...]) -> str:
    for product in products:
        merged = product.header.get(kw.PIXTABLE_MERGED)
        if product.tag == "PIXTABLE_REDUCED" and merged != len(given.ifus):
            return f"{product.name} holds {merged} IFUs where {len(given.ifus)} were given"
    return ""
