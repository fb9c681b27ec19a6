"""A product's header held against what ESO's Phase 3 wants of it, as far as the lineage tells. Pure.

References
----------
ESO Science Data Products Standard, ESO-044286, version 6 (2020): sections on provenance and on integral field
cubes; ESO's summary of the checks of Phase 3 (2025).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.cite.facts import Cited
from pipeline.fitsfile import Value

_REFERENCE = re.compile(r"(\d{4}[A-Za-z0-9.&]{14}[A-Z.]|10\.\d{4,9}/\S+)?")
_CLOSE_D = 1e-5
"""Days by which two times may differ: a second, as headers round them."""
_CLOSE_S = 1e-3


class State(StrEnum):
    """How a keyword of a header stands to what follows from the lineage."""

    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "cannot be told"
    """It does not follow from the lineage, or the lineage does not know it."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword that Phase 3 wants."""

    name: str
    state: State
    found: str
    """In the header; empty if it is not there."""
    expected: str
    """From the lineage; empty if it does not follow from it."""
    why: str = ""


def keywords(
    cited: Cited, header: Mapping[str, Value], *, unsealed: tuple[str, ...] = ()
) -> tuple[Keyword, ...]:
    """Hold a header against Phase 3.

    Parameters
    ----------
    cited : Cited
        What is known of the product.
    header : mapping of str to Value
        Its primary header.
    unsealed : tuple of str
        HDUs without CHECKSUM and DATASUM.

    Returns
    -------
    tuple of Keyword
        In the order of the standard.
    """
    return (
        *_fixed(cited, header),
        *_programmes(cited, header),
        *_blocks(cited, header),
        *_times(cited, header),
        *_provenance(cited, header),
        *_free(header),
        _sums(unsealed),
    )


def _fixed(cited: Cited, header: Mapping[str, Value]) -> Iterator[Keyword]:
    """Check what is the same for every product of a tag."""
    categories = {"DATACUBE_FINAL": "SCIENCE.CUBE.IFS", "IMAGE_FOV": "ANCILLARY.IMAGE.WHITELIGHT"}
    category = categories.get(cited.tag, "")
    why = "the image beside a cube, if its filter is white" if cited.tag == "IMAGE_FOV" else ""
    yield _compared(header, "PRODCATG", category, why or ("" if category else f"no rule for {cited.tag}"))
    yield _compared(header, "ORIGIN", "ESO")
    yield _compared(header, "TELESCOP", "ESO-VLT-U4")
    yield _compared(header, "INSTRUME", "MUSE")
    yield _compared(header, "OBSTECH", "IFU")
    pipelines = cited.pipelines
    yield _compared(header, "PROCSOFT", pipelines[-1] if len(pipelines) == 1 else "", _mixed(pipelines))


def _mixed(pipelines: tuple[str, ...]) -> str:
    return f"the lineage has {', '.join(pipelines)}" if len(pipelines) > 1 else ""


def _programmes(cited: Cited, header: Mapping[str, Value]) -> Iterator[Keyword]:
    if any(not item.programme for item in cited.science) or not cited.science:
        yield _untold(header, "PROG_ID", "the programme of an exposure is not known")
        return
    named = sorted({item.programme for item in cited.science})
    if len(named) == 1:
        yield _compared(header, "PROG_ID", named[0])
        return
    yield _compared(header, "PROG_ID", "MULTI")
    yield from _listed(header, "PROGID", named)


def _blocks(cited: Cited, header: Mapping[str, Value]) -> Iterator[Keyword]:
    if any(not item.block for item in cited.science) or not cited.science:
        yield _untold(header, "OBID1", "the observing block of an exposure is not known")
        return
    yield from _listed(header, "OBID", sorted({item.block for item in cited.science}))


def _times(cited: Cited, header: Mapping[str, Value]) -> Iterator[Keyword]:
    science = cited.science
    starts = [item.mjd for item in science if item.mjd is not None]
    ends = [item.end_mjd for item in science if item.end_mjd is not None]
    times = [item.exptime_s for item in science if item.exptime_s is not None]
    is_known = bool(science) and len(starts) == len(ends) == len(times) == len(science)
    why = "" if is_known else "times of an exposure are not known"
    yield _near(header, "MJD-OBS", min(starts) if is_known else None, _CLOSE_D, why)
    yield _near(header, "MJD-END", max(ends) if is_known else None, _CLOSE_D, why)
    yield _near(header, "TEXPTIME", sum(times) if is_known else None, _CLOSE_S, why)
    single = times[0] if is_known and len(science) == 1 else None
    per_pixel = "a time for each pixel, which depends on how exposures overlap"
    yield _near(header, "EXPTIME", single, _CLOSE_S, why or ("" if single is not None else per_pixel))
    yield _near(header, "NCOMBINE", float(len(science)) if science else None, 0.0, "")


def _provenance(cited: Cited, header: Mapping[str, Value]) -> Iterator[Keyword]:
    yield from _listed(header, "PROV", [item.arcfile for item in cited.science])


def _free(header: Mapping[str, Value]) -> Iterator[Keyword]:
    """Check what a person decides."""
    found = _text(header, "REFERENC")
    why = "the paper: a bibcode of 19 characters, a DOI, or empty"
    if "REFERENC" not in header:
        yield Keyword("REFERENC", State.MISSING, "", "", why)
    else:
        state = State.UNKNOWN if _REFERENCE.fullmatch(found) else State.WRONG
        yield Keyword("REFERENC", state, found, "", why)
    system = _text(header, "RADESYS")
    state = State.MISSING if not system else State.RIGHT if system in ("ICRS", "FK5") else State.WRONG
    yield Keyword("RADESYS", state, system, "ICRS or FK5")
    for name in ("ASSON1", "ASSOC1", "ASSOM1"):
        yield _untold(header, name, "files submitted with it")


def _sums(unsealed: tuple[str, ...]) -> Keyword:
    if not unsealed:
        return Keyword("CHECKSUM", State.RIGHT, "in every HDU", "in every HDU")
    return Keyword("CHECKSUM", State.MISSING, "", "in every HDU", f"with DATASUM, in {', '.join(unsealed)}")


def _compared(header: Mapping[str, Value], name: str, expected: str, why: str = "") -> Keyword:
    found = _text(header, name)
    if not expected:
        return _untold(header, name, why)
    state = State.MISSING if name not in header else State.RIGHT if found == expected else State.WRONG
    return Keyword(name, state, found, expected, why)


def _near(header: Mapping[str, Value], name: str, expected: float | None, close: float, why: str) -> Keyword:
    if expected is None:
        return _untold(header, name, why)
    wanted = f"{expected:.8f}".rstrip("0").rstrip(".")
    value = header.get(name)
    if name not in header:
        return Keyword(name, State.MISSING, "", wanted, why)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_right = is_number and abs(float(str(value)) - expected) <= close
    return Keyword(name, State.RIGHT if is_right else State.WRONG, _text(header, name), wanted, why)


def _listed(header: Mapping[str, Value], stem: str, expected: list[str]) -> Iterator[Keyword]:
    """Compare numbered keywords as a set: their order is free."""
    numbered = re.compile(rf"{stem}([1-9]\d*)")
    matches = filter(None, map(numbered.fullmatch, header))
    there = {match[0]: _text(header, match[0]) for match in sorted(matches, key=lambda match: int(match[1]))}
    wanted = list(expected)
    for name, found in there.items():
        if found in wanted:
            wanted.remove(found)
            yield Keyword(name, State.RIGHT, found, found)
        else:
            why = "it stands there twice" if found in expected else "nothing of the lineage"
            yield Keyword(name, State.WRONG, found, "", why)
    first = max((int(name.removeprefix(stem)) for name in there), default=0) + 1
    for number, value in enumerate(wanted, first):
        yield Keyword(f"{stem}{number}", State.MISSING, "", value)


def _untold(header: Mapping[str, Value], name: str, why: str) -> Keyword:
    return Keyword(name, State.UNKNOWN, _text(header, name), "", why)


def _text(header: Mapping[str, Value], name: str) -> str:
    value = header.get(name)
    return "" if value is None else str(value).strip()
