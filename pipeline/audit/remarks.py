"""What in a file's claims contradicts itself, its bytes, or what is known of the recipes. Pure."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import keywords as kw
from pipeline.audit.claims import FileClaims, RecipeClaim, unpacked_name
from pipeline.audit.evidence import FITS_NOT, Evidence
from pipeline.audit.facts import EARLY_SKY, EMPTY_MD5, LACKS, MADE_BY, NEEDED, OF_FIELD, OF_LASERS, UNFINISHED
from pipeline.modes import mode_of

_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?")
_ARCHIVED = re.compile(r"MUSE\.(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")
_IFU_OF = re.compile(r"-(\d\d)\.fits$")
_WORDS = re.compile(r"[^a-z]+")
_SECOND_D = 1 / 86400


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a reader of the file should know."""

    kind: str
    """A word for programs, such as `mixed-versions`."""
    is_contradiction: bool
    """Whether it cannot all be true; else it is only worth knowing."""
    text: str


def remarks(claims: FileClaims, evidence: Evidence | None = None) -> tuple[Remark, ...]:
    """Say what is wrong with what a file's headers say.

    Parameters
    ----------
    claims : FileClaims
        Read from the headers.
    evidence : Evidence, optional
        Of its bytes; without, they are not judged.
    """
    found = [
        *(Remark("repeated-card", True, text) for text in claims.repeated),
        *(Remark("two-chains", True, text) for text in claims.faults),
        *_versions(claims),
        *_products(claims),
        *_dates(claims),
        *_origins(claims),
        *_modes(claims),
        *_product_cards(claims),
        *_phase3(claims),
    ]
    for claim in claims.recipes:
        found += [Remark("parameter-twice", True, text) for text in claim.contradictions]
        found += [Remark("incomplete", False, text) for text in claim.faults]
        found += _inputs(claim, claims.text(kw.PRO_CATG))
    found += _links(claims)
    if evidence is not None:
        found += _bytes(claims, evidence)
    return tuple(dict.fromkeys(found))


def _versions(claims: FileClaims) -> Iterator[Remark]:
    for word, of in (("pipeline", "the pipeline"), ("library", "CPL")):
        named = {getattr(c, word): None for c in claims.recipes if getattr(c, word)}
        if len(named) > 1:
            who = ", ".join(f"{c.recipe} {getattr(c, word)}" for c in claims.recipes if getattr(c, word))
            yield Remark("mixed-versions", True, f"made with several versions of {of}: {who}")
    numbers = [claim.number for claim in claims.recipes]
    if numbers and numbers != list(range(1, len(numbers) + 1)):
        there = ", ".join(f"REC{n}" for n in numbers)
        yield Remark("incomplete", False, f"the chain of recipes has gaps: there are {there}")


def _products(claims: FileClaims) -> Iterator[Remark]:
    last, tag = claims.last, claims.text(kw.PRO_CATG)
    if last is None or last.recipe not in MADE_BY:
        return
    if tag and tag not in MADE_BY[last.recipe]:
        makes = ", ".join(MADE_BY[last.recipe])
        text = f"{kw.PRO_CATG} is {tag}, which {last.recipe} does not make (it makes {makes})"
        yield Remark("wrong-product", True, text)
    if not tag:
        yield Remark("incomplete", False, f"{kw.PRO_CATG} is missing, and {last.recipe} left a record")


def _links(claims: FileClaims) -> Iterator[Remark]:
    """Hold what a recipe read against what the one before it makes."""
    for before, after in zip(claims.recipes, claims.recipes[1:], strict=False):
        makes = MADE_BY.get(before.recipe)
        tags = {item.tag for item in after.raw if item.tag}
        if makes and tags and not tags & set(makes):
            text = f"REC{after.number} {after.recipe} reads {', '.join(sorted(tags))}"
            yield Remark(
                "broken-chain", True, f"{text}, which REC{before.number} {before.recipe} does not make"
            )


def _dates(claims: FileClaims) -> Iterator[Remark]:
    made, taken = _date(claims.text(kw.DATE)), _date(claims.text(kw.DATE_OBS))
    if made and taken and made < taken:
        yield Remark("dates", True, f"written {made}, before the exposure of {taken} was taken")
    if made:
        for claim in claims.recipes:
            for item in claim.inputs:
                match = _ARCHIVED.match(item.name)
                if match and match[1] > made:
                    yield Remark("dates", True, f"written {made}, before its input {item.name} was taken")
    mjd = claims.header.get(kw.MJD_OBS)
    if taken and isinstance(mjd, int | float) and not isinstance(mjd, bool):
        away_s = abs(float(mjd) - _mjd(claims.text(kw.DATE_OBS))) / _SECOND_D
        if away_s > 1.5:
            named = f"{kw.MJD_OBS} = {mjd} and {kw.DATE_OBS} = {claims.text(kw.DATE_OBS)}"
            text = f"{named} are {away_s:.0f} s apart"
            yield Remark("dates", away_s > 60, text)


def _origins(claims: FileClaims) -> Iterator[Remark]:
    """Hold ARCFILE against the frames that the first recipe names."""
    named = unpacked_name(claims.text(kw.ARCFILE))
    if not claims.recipes or not named:
        return
    first = claims.recipes[0]
    raw = [item.archive_name for item in first.raw]
    if first.number == 1 and raw and all(_ARCHIVED.match(name) for name in raw) and named not in raw:
        text = (
            f"{kw.ARCFILE} is {named}, and REC1 {first.recipe} names other raw frames: {', '.join(raw[:3])}"
        )
        yield Remark("arcfile", True, text)
    combined, last = claims.header.get(kw.PRO_DATANCOM), claims.recipes[-1]
    if isinstance(combined, int) and last.raw and combined != len(last.raw):
        text = f"{kw.PRO_DATANCOM} is {combined}, and {last.recipe} names {len(last.raw)} frames"
        # CPL counts what the recipe tagged as raw; recipes of several calls may leave the first count.
        yield Remark("datancom", False, text)


def _modes(claims: FileClaims) -> Iterator[Remark]:
    named = claims.text(kw.INS_MODE)
    mode = mode_of(named)
    if named and mode is None and claims.recipes:
        yield Remark("mode", False, f"{kw.INS_MODE} = {named} is no mode: recipes take it for WFM-NOAO-E")
    if mode is None:
        return
    for claim in claims.recipes:
        for item in claim.calibrations:
            words = set(_WORDS.split(item.name.lower()))
            fields = {OF_FIELD[word] for word in words & OF_FIELD.keys()}
            if fields and mode.field.name not in fields and item.tag != "GEOMETRY_TABLE":
                text = f"{item.tag} {item.name} is of {'/'.join(sorted(fields))} by its name"
                yield Remark("other-mode", True, f"{text}, and the file of {named}")
            if item.tag in OF_LASERS and not mode.has_lasers:
                text = f"{claim.recipe} was given {item.tag}, and {named} has no lasers"
                yield Remark("other-mode", True, text)


def _inputs(claim: RecipeClaim, product: str) -> Iterator[Remark]:
    names = Counter((item.tag, item.name) for item in claim.inputs if item.name)
    for (tag, name), count in names.items():
        if count > 1:
            text = f"{claim.recipe} names {tag} {name} {count} times: files of one name in several folders"
            yield Remark("same-name", False, f"{text} cannot be told apart")
    tags = {item.tag for item in claim.inputs}
    if product in EARLY_SKY:
        tags |= {"SKY_LINES", "LSF_PROFILE"}
    if claim.recipe == "muse_scipost" and claim.value("skymethod") in ("none", "simple"):
        tags |= {"SKY_LINES", "LSF_PROFILE"}
    for tag in NEEDED.get(claim.recipe, ()):
        if tag not in tags and claim.inputs and tag in LACKS:
            text = f"{claim.recipe} names no {tag} that it read: {LACKS[tag]}"
            yield Remark("missing-calibration", False, text)
    for item in claim.calibrations:
        if item.datamd5 == UNFINISHED:
            text = f"{item.tag} {item.name} was not finished when it was read (DATAMD5 {UNFINISHED})"
            yield Remark("unfinished-input", True, text)
        if item.datamd5 == EMPTY_MD5:
            text = f"DATAMD5 of {item.tag} {item.name} is that of a file without data: it identifies nothing"
            yield Remark("empty-md5", False, text)


def _product_cards(claims: FileClaims) -> Iterator[Remark]:
    """Hold the product's own cards against the parameters it was made with."""
    last = claims.last
    if last is None:
        return
    asked, filter_ = last.value("filter"), claims.text(kw.FILTER_NAME)
    if asked is not None and filter_ and filter_ not in [name.strip() for name in asked.split(",")]:
        yield Remark("filter", True, f"the image is in {filter_}, and {last.recipe} was asked for {asked}")
    ifu = _IFU_OF.search(claims.text(kw.PIPEFILE))
    wanted = last.value("nifu")
    if ifu and wanted and wanted.isdigit() and int(wanted) > 0 and int(wanted) != int(ifu[1]):
        text = f"{kw.PIPEFILE} is of IFU {int(ifu[1])}, and {last.recipe} was called for {wanted}"
        yield Remark("ifu", True, text)
    others = len(last.raw) - 1
    if len(claims.recipes) > 1 and others > 0:
        text = f"the recipes before {last.recipe} are those of its first input, {last.raw[0].name}"
        yield Remark(
            "first-input", False, f"{text}; how the {others} others were made, this header does not say"
        )


def _phase3(claims: FileClaims) -> Iterator[Remark]:
    """Hold what was written for an archive against the chain of recipes."""
    software, last = claims.text(kw.PROCSOFT), claims.last
    if last and last.pipeline and software.startswith("muse") and software != last.pipeline:
        text = f"{kw.PROCSOFT} is {software}, and {last.recipe} names {last.pipeline}"
        yield Remark("procsoft", True, text)
    named = [unpacked_name(value) for _, value in claims.sources]
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield Remark("source-twice", True, f"PROVi names {name} {named.count(name)} times")
    first = [item.archive_name for item in (claims.recipes[0].raw if claims.recipes else ())]
    science = [name for name in first if _ARCHIVED.match(name)]
    if any(map(_ARCHIVED.match, named)) and science and not set(science) & set(named):
        text = f"PROVi names other frames than REC1 {claims.recipes[0].recipe}: not {', '.join(science[:3])}"
        yield Remark("sources", True, text)
    count = claims.header.get("NCOMBINE")
    if named and isinstance(count, int) and count != len(named):
        yield Remark("ncombine", True, f"NCOMBINE is {count}, and PROVi names {len(named)}")


def _bytes(claims: FileClaims, evidence: Evidence) -> Iterator[Remark]:
    if claims.text(kw.DATAMD5) == UNFINISHED:
        yield Remark("unfinished", True, "DATAMD5 was not computed: the recipe was stopped before its end")
    elif evidence.md5 == FITS_NOT:
        text = "DATAMD5 is not that of the data, neither as esorex computes it nor over all of them"
        yield Remark("datamd5", True, f"{text}: they were changed since, or another program wrote it")
    if not evidence.has_data and claims.recipes and claims.extensions:
        yield Remark(
            "no-data", False, "no HDU holds data: these are the headers of a product, not the product"
        )
    if evidence.digests is not None:
        yield from (Remark("checksum", True, fault) for fault in evidence.digests.faults)


def _date(text: str) -> str:
    match = _DATE.match(text)
    return match[1] if match else ""


def _mjd(text: str) -> float:
    """Give the MJD of a date of ISO 8601, by the count of days of the Gregorian calendar."""
    from datetime import datetime

    match = _DATE.match(text)
    if match is None:
        return float("nan")
    try:
        at = datetime.fromisoformat(match[1])
    except ValueError:
        return float("nan")
    seconds = (at - datetime(1858, 11, 17)).total_seconds()
    return (seconds + float(match[2] or 0)) / 86400
