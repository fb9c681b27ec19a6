"""What the recipes say in their logs, and what it means: errors, warnings, and those that are known.

References
----------
Logs of the MUSE recipes 2.8.7, and the texts in their library.
"""

import re
from dataclasses import dataclass

_LEVEL = re.compile(r"\[\s*(WARNING|ERROR)\s*\]\s*(?:\S*:\s*\[tid=\d+\]\s*)?(.*)")
_DUMPED = re.compile(r"\[\d+/\d+\] *'[^:']+(?P<text>: .*)?' \(\d+\) at ")
"""An entry of the library's error stack; most have a code and no text."""
_IDLE = re.compile(r"Dumping |Execution of recipe ")


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """A message of the recipes that means more, or less, than it says."""

    pattern: str
    is_failure: bool
    """Whether the products cannot be believed; else they are accepted with a caveat."""
    meaning: str
    hint: str = ""
    """What to do about it."""


_CHECK_STORE = "see which file is damaged: clio check --deep"
_SKY_RANGE = "fit a range with more sky lines: lambdamin and lambdamax of the recipe, or another skymethod"
_SAME_STATE = "reduce STD and OBJECT exposures with flats of the same kind"

KNOWN_MESSAGES = (
    # Provoked with the recipes, each by a test.
    KnownMessage(
        r"EXTINCT_TABLE missing",
        *(True, "no correction for extinction: fluxes are some 6 % low"),
        "replace the EXTINCT_TABLE by a whole one",
    ),
    KnownMessage(
        r"name='extinction'",
        *(True, "the EXTINCT_TABLE is none, extinction was not corrected: fluxes are some 6 % low"),
        "replace the EXTINCT_TABLE by a whole one",
    ),
    KnownMessage(r"it will be ignored", True, "an input was left out", _CHECK_STORE),
    KnownMessage(
        r"we already have IFU +\d+ of exposure",
        *(True, "the same pixel table was given twice"),
        "give each exposure and IFU once",
    ),
    KnownMessage(r"Failed to load table part of pixel table", True, "a pixel table is damaged", _CHECK_STORE),
    KnownMessage(r"table column '.*' not found", True, "a pixel table lacks a column", _CHECK_STORE),
    KnownMessage(
        r"Cannot apply this STD_\w+|Flux calibration returned rc=",
        *(True, "the cube is not calibrated in flux"),
        _SAME_STATE,
    ),
    KnownMessage(
        r"pixel tables of this exposure came with a flat-field spectrum",
        *(True, "some IFUs are corrected by their flat-field spectrum and some are not"),
        "reduce all IFUs of the exposure with flats of the same kind",
    ),
    KnownMessage(
        r"FLAT FLUX (SKY|LAMP)", True, "a pixel table does not say the flux of its flat: IFUs were left out"
    ),
    KnownMessage(
        r"does not contain filter",
        *(True, "a filter is not in the FILTER_LIST"),
        "name one of those that are there",
    ),
    KnownMessage(
        r"[Ss]ky line fit failed|did not converge", True, "the fit of the sky lines failed", _SKY_RANGE
    ),
    KnownMessage(
        r"Missing required LSF|Did not load any LSF",
        *(True, "the sky model needs an LSF_PROFILE of each IFU"),
        "run lsf first, or choose another skymethod",
    ),
    KnownMessage(
        r"Missing required sky lines",
        *(True, "the sky model needs SKY_LINES"),
        "add a SKY_LINES to the static calibrations, or choose another skymethod",
    ),
    KnownMessage(
        r"No valid raw tag\(s\) found",
        *(True, "the recipe was given nothing that it reduces"),
        "see the tags of its inputs: clio show",
    ),
    KnownMessage(
        r"Too few sources left|No point-sources were detected|Source detection failed",
        *(True, "an exposure has too few sources to be aligned by"),
        "exclude it ([targets.NAME] exclude), or lower threshold or srcmin of muse_exp_align",
    ),
    KnownMessage(
        r"requires at least 2 input FOV images",
        *(True, "there is one image: nothing to align it with"),
        "reduce the exposure by itself",
    ),
    KnownMessage(
        r"non-unique \"?MJD-OBS",
        *(True, "two images are of the same exposure"),
        "give each exposure once",
    ),
    KnownMessage(
        r"Adapt pixel table to STD_RESPONSE",
        *(False, "the flat-field spectrum was taken out again, as the STD_RESPONSE is without"),
        _SAME_STATE,
    ),
    KnownMessage(
        r"Applying STD_\w+ \(flat-field spectrum",
        *(False, "a correction was made with a flat-field spectrum and applied without, or the reverse"),
        _SAME_STATE,
    ),
    KnownMessage(
        r"Using default MUSE \w+ astrometry",
        *(False, "there is no ASTROMETRY_WCS: positions are inaccurate"),
        "add one to the static calibrations",
    ),
    KnownMessage(
        r"No LSF params for slice", False, "sky lines were not subtracted in a slice that has no LSF_PROFILE"
    ),
    # Read in the library, 2.8.7, and not provoked.
    KnownMessage(
        r"not doing (extinction correction|flux calibration)|Skipping flux calibration",
        *(True, "the data are not calibrated in flux"),
    ),
    KnownMessage(r"Extinction table not given", True, "extinction was not corrected"),
    KnownMessage(r"proceeding without offset", True, "the OFFSET_LIST was not used", _CHECK_STORE),
    KnownMessage(
        r"[Cc]ould not load (BADPIX_TABLE|LSF|mask|raman lines|sky continuum|sky lines)",
        *(True, "an input could not be read"),
        _CHECK_STORE,
    ),
    KnownMessage(
        r"Master sky fit failed|computed flux is infinite", True, "the fit of the sky failed", _SKY_RANGE
    ),
    KnownMessage(r"has no rows!", True, "a table was saved empty"),
    KnownMessage(r"contains no entries after cutting", True, "no pixel lies in the range of wavelengths"),
    KnownMessage(r"contains infinite values", False, "the sky continuum holds numbers without an end"),
    KnownMessage(r"flux levels may vary between IFUs", False, "flux levels may differ between IFUs"),
    KnownMessage(r"was not radial-velocity corrected", False, "velocities are as observed"),
    KnownMessage(
        r"skipp(ed|ing) DAR correction|not corrected for atmospheric dispersion",
        *(False, "atmospheric dispersion was not corrected"),
    ),
    KnownMessage(r"[Mm]odes? (for|of) .* do(es)? not match", False, "a calibration is of another mode"),
    KnownMessage(
        r"trace fit in slice \d+|Tracing polynomials for slice|"
        r"[Ww]avelength calibration polynomial for slice|enough arc lines in slice",
        *(False, "a slice could not be traced or calibrated: its pixels are lost"),
    ),
    KnownMessage(r"Failed to correct twilight", False, "pixels were not corrected by the twilight"),
    KnownMessage(r"Telluric region .* could not be fitted", False, "a telluric band was not corrected"),
    KnownMessage(
        r"NOT in the range recorded in the FITS header", False, "the airmass contradicts its header"
    ),
    KnownMessage(r"position angle may be wrong", False, "the position angle may be wrong"),
)
"""Anything else at level ERROR is a failure without standing here; other warnings are counted only."""
_ANY_KNOWN = re.compile("|".join(f"(?:{entry.pattern})" for entry in KNOWN_MESSAGES))


def complaints(log: str) -> tuple[list[str], list[str]]:
    """List the errors and the warnings of a recipe's log, without the function and thread they came from."""
    messages = [(match[1], match[2].strip()) for match in map(_LEVEL.search, log.splitlines()) if match]
    errors = [text for level, text in messages if level == "ERROR"]
    return errors, [text for level, text in messages if level == "WARNING"]


def telling(errors: list[str]) -> str:
    """Choose the error that says most: what known messages explain, else the last with words of its own.

    Parameters
    ----------
    errors : list of str
        As `complaints` gives them; the library ends each dump of its error stack with codes.

    Returns
    -------
    str
        A sentence, with what to do behind a semicolon where that is known; empty without errors.
    """
    for message, text in known(errors):
        if message.is_failure:
            return explained(message, text)
    said = [text for text in errors if not _IDLE.match(text)]
    own = [text for text in said if not _DUMPED.match(text)]
    dumped = [match["text"][2:] for match in map(_DUMPED.match, said) if match and match["text"]]
    return next(iter((*own[-1:], *dumped[:1], *said[-1:], *errors[-1:])), "")


def known(messages: list[str]) -> list[tuple[KnownMessage, str]]:
    """Find the messages whose meaning is known, in the order of the table, each with its text."""
    telling = [text for text in messages if _ANY_KNOWN.search(text)]
    return [(entry, text) for entry in KNOWN_MESSAGES for text in telling if re.search(entry.pattern, text)]


def explained(message: KnownMessage, text: str, more: int = 0) -> str:
    """Say what a message means, quote it, and say what to do."""
    dumped = _DUMPED.match(text)
    quoted = dumped["text"][2:] if dumped and dumped["text"] else text
    others = f", and {more} more like it" if more else ""
    return f"{message.meaning} ({quoted}{others})" + (f"; {message.hint}" if message.hint else "")


def doubts(warnings: list[str]) -> tuple[str, ...]:
    """Say once what each known warning means that is no failure."""
    found: dict[KnownMessage, list[str]] = {}
    for message, text in known(warnings):
        if not message.is_failure:
            found.setdefault(message, []).append(text)
    return tuple(explained(message, texts[0], len(set(texts)) - 1) for message, texts in found.items())
