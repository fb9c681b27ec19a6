"""From headers to a tagged frame: which part a file plays, and whether it can play it. Pure."""

import difflib
from collections.abc import Mapping
from pathlib import Path

from pipeline import keywords as kw
from pipeline.fitsfile import Hdu, Header
from pipeline.model import UNNAMED, Chip, Frame, Problem
from pipeline.modes import MODES, mode_of
from pipeline.structure import STATICS, header_fault
from pipeline.tags import ON_SKY, RAW_TAGS, TELLURIC, Kind

_RAW_TAGS = {(catg, type_): rule.tag for rule in RAW_TAGS for catg in rule.categories for type_ in rule.types}
_LAMPS = {"CU-LAMP-Ne": "Ne", "CU-LAMP-Xe": "Xe", "CU-LAMP-HgCd": "HgCd"}
_LAMPS |= {"CU-LAMP3": "Ne", "CU-LAMP6": "Ne", "CU-LAMP4": "Xe", "CU-LAMP5": "HgCd"}


def classify(path: Path, size: int, hdus: tuple[Hdu, ...]) -> Frame | Problem:
    """Give a file its tag, from its headers alone.

    Parameters
    ----------
    path : Path
        Where it lies; used for messages and kept in the frame.
    size : int
        Bytes on disk.
    hdus : tuple of Hdu
        Its headers, the primary first.

    Returns
    -------
    Frame or Problem
        A problem names the keyword that is missing or has a value nobody knows.
    """
    primary = hdus[0].header
    if kw.PRO_CATG in primary:
        return _static(path, size, hdus, primary)
    missing = [name for name in kw.NEEDED_OF_RAW if primary.get(name) in (None, "")]
    if kw.DPR_TYPE in missing or kw.DPR_CATG in missing:
        return Problem(str(path), f"{missing[0]} is missing and so is {kw.PRO_CATG}: no tag can be given")
    key = (str(primary[kw.DPR_CATG]), str(primary[kw.DPR_TYPE]))
    tag = _RAW_TAGS.get(key) or (TELLURIC if key[0] == "CALIB" and "TELLU" in key[1] else None)
    if tag is None:
        return Problem(str(path), f"no tag is known for {kw.DPR_CATG} = {key[0]}, {kw.DPR_TYPE} = {key[1]}")
    if tag in ON_SKY:
        missing += [name for name in kw.NEEDED_ON_SKY if primary.get(name) in (None, "")]
    if missing:
        return Problem(str(path), f"{tag} without {', '.join(missing)}")
    if mode_of(str(primary[kw.INS_MODE])) is None:
        what = f"{tag} with {kw.INS_MODE} = {primary[kw.INS_MODE]}, which is no mode"
        return Problem(str(path), what, f"known are {', '.join(MODES)}; recipes would take WFM-NOAO-E")
    chips = _chips(hdus)
    if isinstance(chips, str):
        return Problem(str(path), chips)
    try:
        return _frame(path, size, tag, Kind.RAW, primary, chips, _dead(hdus, chips))
    except ValueError as error:
        return Problem(str(path), f"{tag} with {error}")


def is_product(header: Mapping[str, object]) -> bool:
    """Tell whether a file was made by a recipe and is no static calibration."""
    tag = header.get(kw.PRO_CATG)
    return tag not in (None, *STATICS) and not (kw.PRO_REC1_ID not in header and _meant(str(tag)))


def _meant(tag: str) -> str:
    """Guess the static calibration whose tag was misspelt; empty if there is none like it."""
    return next(iter(difflib.get_close_matches(tag, STATICS, n=1, cutoff=0.85)), "")


def _static(path: Path, size: int, hdus: tuple[Hdu, ...], primary: Header) -> Frame | Problem:
    tag = str(primary[kw.PRO_CATG])
    if tag not in STATICS:
        meant = _meant(tag)
        hint = f"{kw.PRO_CATG} = {meant} may be meant" if meant else ""
        return Problem(str(path), f"{kw.PRO_CATG} = {tag} is no static calibration", hint)
    fault = header_fault(STATICS[tag], hdus)
    if fault:
        return Problem(str(path), f"{tag} {fault}", "replace it: the recipe would not notice")
    try:
        return _frame(path, size, tag, Kind.STATIC, primary, ())
    except ValueError as error:
        return Problem(str(path), f"{tag} with {error}")


def _dead(hdus: tuple[Hdu, ...], live: tuple[Chip, ...]) -> tuple[int, ...]:
    """Find the IFUs whose extension holds no live detector."""
    there = {int(hdu.name[4:]) for hdu in hdus[1:] if _is_channel(hdu)}
    return tuple(sorted(there - {chip.ifu for chip in live}))


def _is_channel(hdu: Hdu) -> bool:
    return hdu.name.startswith("CHAN") and hdu.name[4:].isdigit()


def _chips(hdus: tuple[Hdu, ...]) -> tuple[Chip, ...] | str:
    """Find the live detectors, or say what is wrong with them."""
    chips = []
    for hdu in hdus[1:]:
        if not _is_channel(hdu):
            continue
        header = {**hdus[0].header, **hdu.header}
        if header.get(kw.DET_CHIP_LIVE) is False or hdu.data_size == 0:
            continue
        name, number = header.get(kw.DET_CHIP_NAME), header.get(kw.DET_CHIP_ID)
        if name in (None, "") or number in (None, ""):
            return f"{hdu.name} without {kw.DET_CHIP_NAME} or {kw.DET_CHIP_ID}: recipes would drop it"
        chips.append(Chip(int(hdu.name[4:]), str(name), str(number)))
    if not chips:
        return "no live detector: no extension CHANnn holds an image"
    return tuple(sorted(chips, key=lambda chip: chip.ifu))


def _frame(
    path: Path,
    size: int,
    tag: str,
    kind: Kind,
    header: Header,
    chips: tuple[Chip, ...],
    dead: tuple[int, ...] = (),
) -> Frame:
    mode = _text(header, kw.INS_MODE)
    nameless = UNNAMED if kind is Kind.RAW else ""
    return Frame(
        path=path,
        tag=tag,
        kind=kind,
        arcfile=_text(header, kw.ARCFILE),
        size=size,
        mjd=_number(header, kw.MJD_OBS),
        date_obs=_text(header, kw.DATE_OBS),
        instrument=_text(header, kw.INSTRUME),
        mode=mode,
        field=(mode or _text(header, kw.INS_OPTI2_NAME))[:3],
        readout=f"{_text(header, kw.DET_READ_CURID)} {_text(header, kw.DET_READ_CURNAME)}".strip(),
        binning=f"{_text(header, kw.DET_BINX)}x{_text(header, kw.DET_BINY)}".strip("x"),
        chips=chips,
        exptime_s=_number(header, kw.EXPTIME) or 0.0,
        template=_text(header, kw.TPL_START),
        block=_text(header, kw.OBS_ID),
        target=_text(header, kw.OBS_TARG_NAME) or _text(header, kw.OBJECT) or nameless,
        lamp=_lamp(header),
        temperature_c=_number(header, kw.INS_TEMP7),
        airmass=_mean(_number(header, kw.TEL_AIRM_START), _number(header, kw.TEL_AIRM_END)),
        template_length=int(_number(header, kw.TPL_NEXP) or 0),
        dead=dead,
    )


def _text(header: Header, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value)


def _number(header: Header, keyword: str) -> float | None:
    value = header.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{keyword} = {value!r}, expected a number")
    return float(value)


def _mean(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return sum(known) / len(known) if known else None


def _lamp(header: Header) -> str:
    """Name the arc lamp whose light falls in: switched on, and its shutter open."""
    for n in range(1, 7):
        is_lit = header.get(kw.LAMP_STATE.format(n)) is True
        is_open = header.get(kw.SHUTTER_STATE.format(n)) is True
        if is_lit and is_open:
            name = _text(header, kw.LAMP_NAME.format(n))
            return _LAMPS.get(name, name)
    return ""
