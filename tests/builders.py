"""Small FITS files and frames, made by functions: raw frames of any tag, static calibrations, a tiny night.

Written byte by byte, without astropy and without the package under test, so that neither vouches for itself.
"""

import os
import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.model import Chip, Frame
from pipeline.tags import Kind

Value = str | int | float | bool | None
"""Of a card; None leaves a card out."""

Cards = Mapping[str, Value]

BLOCK = 2880
NIGHT_MJD = 60000.0
"""2023-02-25; the tiny night begins in its afternoon."""

MODE = "WFM-NOAO-N"
BLOCK_ID = 1001
TARGET = "NGC 1"

DPR = {
    "BIAS": ("CALIB", "BIAS"),
    "DARK": ("CALIB", "DARK"),
    "FLAT": ("CALIB", "FLAT,LAMP"),
    "ILLUM": ("CALIB", "FLAT,LAMP,ILLUM"),
    "ARC": ("CALIB", "WAVE"),
    "ARC_LSF": ("CALIB", "WAVE,LSF"),
    "SKYFLAT": ("CALIB", "FLAT,SKY"),
    "STD": ("CALIB", "STD"),
    "SKY": ("CALIB", "SKY"),
    "OBJECT": ("SCIENCE", "OBJECT"),
}
"""ESO DPR CATG and TYPE of each tag."""

IN_THREES = ("BIAS", "DARK", "FLAT", "ARC", "ARC_LSF", "SKYFLAT")
"""Tags of which the tiny night has three in a template."""

LAMPS = {"Ne": 3, "Xe": 4, "HgCd": 5}
"""Number of the shutter and the lamp."""


# FITS, byte by byte


def card(keyword: str, value: Value, comment: str = "") -> bytes:
    """Write a card."""
    match value:
        case bool():
            text = "T" if value else "F"
        case str():
            text = "'" + value.replace("'", "''").ljust(8) + "'"
        case float():
            text = repr(value).upper()
        case _:
            text = str(value)
    is_long = len(keyword) > 8 or " " in keyword
    head = f"HIERARCH {keyword} = " if is_long else f"{keyword:<8}= "
    line = head + (text if is_long else text.ljust(20) if isinstance(value, str) else text.rjust(20))
    line += f" / {comment}" if comment else ""
    assert len(line) <= 80, line
    return line.ljust(80).encode("ascii")


def hdu(cards: Cards, data: bytes = b"", comment: str = "") -> bytes:
    """Write a header with its data."""
    lines = [card(keyword, value, comment) for keyword, value in cards.items() if value is not None]
    header = b"".join([*lines, b"END".ljust(80)])
    return header.ljust(-(-len(header) // BLOCK) * BLOCK, b" ") + pad(data)


def pad(data: bytes) -> bytes:
    """Fill the last block."""
    return data + b"\0" * (-len(data) % BLOCK)


def primary(cards: Cards | None = None, comment: str = "") -> bytes:
    """Write a primary HDU without data."""
    return hdu({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True, **(cards or {})}, comment=comment)


def image(name: str, pixels: Sequence[int], cards: Cards | None = None) -> bytes:
    """Write an image of one row of 16-bit pixels."""
    structure: dict[str, Value] = {
        "XTENSION": "IMAGE",
        "BITPIX": 16,
        "NAXIS": 2,
        "NAXIS1": len(pixels),
        "NAXIS2": 1,
        "PCOUNT": 0,
        "GCOUNT": 1,
        "EXTNAME": name,
    }
    return hdu(structure | dict(cards or {}), struct.pack(f">{len(pixels)}h", *pixels))


def table(name: str, columns: Mapping[str, Sequence[float] | Sequence[str]]) -> bytes:
    """Write a table of doubles and strings of 23 characters."""
    rows = len(next(iter(columns.values())))
    forms = ["23A" if any(isinstance(v, str) for v in values) else "1D" for values in columns.values()]
    width = sum(23 if form == "23A" else 8 for form in forms)
    cards: dict[str, Value] = {
        "XTENSION": "BINTABLE",
        "BITPIX": 8,
        "NAXIS": 2,
        "NAXIS1": width,
        "NAXIS2": rows,
        "PCOUNT": 0,
        "GCOUNT": 1,
        "TFIELDS": len(columns),
    }
    for number, (column, form) in enumerate(zip(columns, forms, strict=True), 1):
        cards |= {f"TTYPE{number}": column, f"TFORM{number}": form}
    cards["EXTNAME"] = name
    data = b"".join(_cell(values[row]) for row in range(rows) for values in columns.values())
    return hdu(cards, data)


def _cell(value: float | str) -> bytes:
    return value[:23].ljust(23).encode("ascii") if isinstance(value, str) else struct.pack(">d", value)


def sealed(written: bytes) -> bytes:
    """Put DATASUM and CHECKSUM into an HDU that was written without (FITS Standard 4.0, appendix J)."""
    end = written.index(b"END".ljust(80))
    size = -(-(end + 80) // BLOCK) * BLOCK
    header, data = written[:end], written[size:]
    total = ones_complement_sum(data)
    header += card("DATASUM", str(total), "data unit checksum updated 2023-02-25T12:00:00")
    at = len(header)
    header += card("CHECKSUM", "0" * 16, "HDU checksum updated 2023-02-25T12:00:00") + b"END".ljust(80)
    header = header.ljust(-(-len(header) // BLOCK) * BLOCK, b" ")
    code = _encode(~ones_complement_sum(header + data) & 0xFFFFFFFF)
    return header[: at + 11] + code + header[at + 27 :] + data


def ones_complement_sum(data: bytes) -> int:
    """Sum up 32-bit words, the carry added at the end."""
    total: int = sum(struct.unpack(f">{len(data) // 4}I", data))
    while total > 0xFFFFFFFF:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _encode(value: int) -> bytes:
    """Write a sum as sixteen letters and digits whose own sum is the value."""
    letters = bytearray(16)
    punctuation = {*range(0x3A, 0x41), *range(0x5B, 0x61)}
    for i in range(4):
        byte = value >> (24 - 8 * i) & 0xFF
        four = [byte // 4 + 0x30] * 4
        four[0] += byte % 4
        while any(letter in punctuation for letter in four):
            for j in (0, 2):
                if four[j] in punctuation or four[j + 1] in punctuation:
                    four[j] += 1
                    four[j + 1] -= 1
        for j in range(4):
            letters[4 * j + i] = four[j]
    return bytes(letters[-1:] + letters[:-1])


# Frames of MUSE


def date_of(mjd: float) -> str:
    """Write an MJD as DATE-OBS, to the millisecond."""
    at = datetime(1858, 11, 17) + timedelta(milliseconds=round(mjd * 86_400_000))
    return at.isoformat(timespec="milliseconds")


def raw_cards(tag: str, mjd: float, *, start: float | None = None, lamp: str = "") -> dict[str, Value]:
    """Give the primary header of a raw frame.

    Parameters
    ----------
    tag : str
        Its tag.
    mjd : float
        When it was taken.
    start : float, optional
        When its template began; by default with it.
    lamp : str
        The arc lamp that is on: Ne, Xe or HgCd.
    """
    category, type_ = DPR[tag]
    cards: dict[str, Value] = {
        "INSTRUME": "MUSE",
        "OBJECT": TARGET if tag == "OBJECT" else type_,
        "EXPTIME": 0.0 if tag == "BIAS" else 10.0,
        "MJD-OBS": mjd,
        "DATE-OBS": date_of(mjd),
        "ARCFILE": f"MUSE.{date_of(mjd)}.fits",
        "ESO DPR CATG": category,
        "ESO DPR TYPE": type_,
        "ESO DPR TECH": "IFU",
        "ESO INS MODE": MODE,
        "ESO INS OPTI2 NAME": "WFM",
        "ESO INS TEMP7 VAL": 10.0,
        "ESO DET READ CURID": 1,
        "ESO DET READ CURNAME": "SCI1.0",
        "ESO DET BINX": 1,
        "ESO DET BINY": 1,
        "ESO TPL START": date_of(mjd if start is None else start)[:19],
        "ESO TPL NEXP": 3 if tag in IN_THREES else 1,
        "ESO OBS ID": BLOCK_ID,
        "ESO OBS TARG NAME": TARGET,
    }
    if tag in ("OBJECT", "SKY", "STD"):
        cards |= {"RA": 10.0, "DEC": -30.0, "ESO TEL AIRM START": 1.1, "ESO TEL AIRM END": 1.2}
    if lamp:
        number = LAMPS[lamp]
        cards |= {
            f"ESO INS LAMP{number} NAME": f"CU-LAMP-{lamp}",
            f"ESO INS LAMP{number} ST": True,
            f"ESO INS SHUT{number} ST": True,
        }
    return cards


def channel(ifu: int, seed: object, cards: Cards | None = None) -> bytes:
    """Write the image of an IFU: eight pixels that follow from the seed."""
    pixels = random.Random(f"{seed} {ifu}")
    chip: dict[str, Value] = {
        "ESO DET CHIP NAME": f"CHIP{ifu:02d}",
        "ESO DET CHIP ID": f"ID{ifu:02d}",
        "ESO DET CHIP LIVE": True,
    }
    return image(f"CHAN{ifu:02d}", [pixels.randrange(1000) for _ in range(8)], chip | dict(cards or {}))


def write_raw(
    folder: Path,
    tag: str,
    mjd: float,
    *,
    start: float | None = None,
    lamp: str = "",
    ifus: Sequence[int] = (1, 2),
    changes: Cards | None = None,
    name: str = "",
    seed: object = None,
) -> Path:
    """Write a raw frame.

    Parameters
    ----------
    folder : Path
        Where; made if it is not there.
    tag, mjd, start, lamp
        As `raw_cards`.
    ifus : sequence of int
        Its live detectors.
    changes : mapping, optional
        Cards set otherwise, or left out with None.
    name : str
        Of the file; by default as in the archive.
    seed : object
        What its pixels follow from; by default tag and time.
    """
    cards = raw_cards(tag, mjd, start=start, lamp=lamp) | dict(changes or {})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"MUSE.{date_of(mjd)}.fits")
    seed = (tag, mjd) if seed is None else seed
    path.write_bytes(primary(cards) + b"".join(channel(ifu, seed) for ifu in ifus))
    return path


STATIC_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "GEOMETRY_TABLE": ("SubField", "SliceCCD", "SliceSky", "x", "y", "angle", "width"),
    "EXTINCT_TABLE": ("lambda", "extinction"),
    "STD_FLUX_TABLE": ("lambda", "flux"),
    "SKY_LINES": ("name", "group", "lambda", "flux"),
    "RAMAN_LINES": ("name", "group", "lambda", "flux"),
    "LINE_CATALOG": ("lambda", "flux", "ion", "quality"),
    "BADPIX_TABLE": ("xpos", "ypos", "status", "value"),
    "TELLURIC_REGIONS": ("lmin", "lmax", "bgmin", "bgmax"),
}
"""Of the statics that are tables; FILTER_LIST and ASTROMETRY_WCS are made apart."""


def static_bytes(tag: str, *, seed: int = 0, changes: Cards | None = None) -> bytes:
    """Give the content of a static calibration.

    Parameters
    ----------
    tag : str
        Its tag.
    seed : int
        What its numbers follow from.
    changes : mapping, optional
        Cards of its primary header set otherwise, or left out with None.
    """
    cards: dict[str, Value] = {"INSTRUME": "MUSE", "ESO PRO CATG": tag}
    if tag == "LINE_CATALOG":
        cards["VERSION"] = 3
    if tag == "ASTROMETRY_WCS":
        cards |= {"CD1_1": -1e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-5}
    head = primary(cards | dict(changes or {}))
    numbers = (4000.0 + seed, 6000.0, 8000.0)  # pass for wavelengths in Angstrom
    if tag == "FILTER_LIST":
        return head + table("Cousins_R", dict.fromkeys(("lambda", "throughput"), numbers))
    if tag in ("VIGNETTING_MASK", "SKY_MASK"):
        return head + image(tag, [seed, 1])
    if tag not in STATIC_COLUMNS:
        return head
    extension = "LINES" if tag in ("SKY_LINES", "RAMAN_LINES") else tag
    return head + table(extension, dict.fromkeys(STATIC_COLUMNS[tag], numbers))


def write_static(
    folder: Path, tag: str, *, name: str = "", seed: int = 0, changes: Cards | None = None
) -> Path:
    """Write a static calibration; see `static_bytes`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"{tag.lower()}.fits")
    path.write_bytes(static_bytes(tag, seed=seed, changes=changes))
    return path


NEEDED_STATICS = (
    "GEOMETRY_TABLE",
    "ASTROMETRY_WCS",
    "EXTINCT_TABLE",
    "STD_FLUX_TABLE",
    "SKY_LINES",
    "FILTER_LIST",
    "LINE_CATALOG",
)
"""Statics of the tiny night."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A raw frame of the tiny night."""

    tag: str
    mjd: float
    start: float
    lamp: str = ""


def night(mjd: float = NIGHT_MJD, objects: int = 2) -> tuple[Shot, ...]:
    """List the raw frames of a tiny night: all a reduction needs and nothing more."""
    minute = 1 / 1440
    shots = [Shot("BIAS", mjd + 0.60 + n * minute, mjd + 0.60) for n in range(3)]
    shots += [Shot("FLAT", mjd + 0.62 + n * minute, mjd + 0.62) for n in range(3)]
    shots += [Shot("ARC", mjd + 0.64 + n * minute, mjd + 0.64, lamp) for n, lamp in enumerate(LAMPS)]
    shots += [Shot("SKYFLAT", mjd + 0.95 + n * minute, mjd + 0.95) for n in range(3)]
    shots += [Shot(tag, mjd + at, mjd + at) for tag, at in (("STD", 1.0), ("ILLUM", 1.02), ("SKY", 1.03))]
    shots += [Shot("OBJECT", mjd + 1.05 + n * 0.01, mjd + 1.05) for n in range(objects)]
    return tuple(shots)


def write_night(root: Path, *, objects: int = 2, ifus: Sequence[int] = (1, 2)) -> None:
    """Write a tiny night into `raw/` and `calib/` of a workspace."""
    for shot in night(objects=objects):
        write_raw(root / "raw", shot.tag, shot.mjd, start=shot.start, lamp=shot.lamp, ifus=ifus)
    for tag in NEEDED_STATICS:
        write_static(root / "calib", tag)


def frame(tag: str, mjd: float | None = NIGHT_MJD, **changes: object) -> Frame:
    """Make a frame without a file, as `classify` would."""
    is_static = tag not in DPR
    at = NIGHT_MJD if mjd is None else mjd
    made = Frame(
        path=Path(f"raw/{tag.lower()}-{at:.6f}.fits"),
        tag=tag,
        kind=Kind.STATIC if is_static else Kind.RAW,
        arcfile="" if is_static else f"MUSE.{date_of(at)}.fits",
        size=8640,
        mjd=mjd,
        date_obs="" if is_static else date_of(at),
        instrument="MUSE",
        mode="" if is_static else MODE,
        field="" if is_static else "WFM",
        readout="" if is_static else "1 SCI1.0",
        binning="" if is_static else "1x1",
        chips=() if is_static else tuple(Chip(n, f"CHIP{n:02d}", f"ID{n:02d}") for n in (1, 2)),
        exptime_s=10.0,
        template="" if is_static else date_of(at)[:19],
        block=str(BLOCK_ID),
        target=TARGET,
        lamp="",
        temperature_c=10.0,
        airmass=1.1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # names of fields, any of them


def night_frames(mjd: float = NIGHT_MJD, objects: int = 2) -> tuple[Frame, ...]:
    """Make the frames of the tiny night and its statics, without files."""
    raw = [
        frame(shot.tag, shot.mjd, template=date_of(shot.start)[:19], lamp=shot.lamp)
        for shot in night(mjd, objects)
    ]
    statics = [frame(tag, None, path=Path(f"calib/{tag.lower()}.fits")) for tag in NEEDED_STATICS]
    return (*raw, *statics)


def edit_and_put_back(path: Path) -> None:
    """Exchange a byte in place, and put size, mode and time back: the time of change alone tells."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-2880] ^= 1
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.chmod(0o644)
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        path.chmod(before.st_mode)
