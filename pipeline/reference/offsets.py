"""The list of offsets that ESO's recipes read, and what was measured, beside it in the same file.

References
----------
MUSE pipeline manual 2.8.7, OFFSET_LIST. The recipes match rows by the first 23 characters of DATE-OBS,
subtract the offsets from RA and DEC of the header, and multiply by FLUX_SCALE where it is a number. They have
no word for a background or a rotation: these stand among what was measured.
"""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pipeline.reference.measured import Measured

LIST = "OFFSET_LIST"
MEASURED = "MEASURED"
"""EXTNAME of the table beside the list."""
LOST = "UNMATCHED"
"""EXTNAME of the table of exposures that were not matched; there only if there are any."""
DATE_LENGTH = 23

_DIGITS = {
    "ra_offset": 9,
    "dec_offset": 9,
    "east_error": 4,
    "north_error": 4,
    "rotation": 4,
    "rotation_error": 4,
    "left_east": 4,
    "left_north": 4,
    "correlation": 3,
    "agreement": 3,
    "distinct": 2,
    "overlap": 3,
}
"""Digits behind the point, far below any error: the last bits of a sum differ from processor to processor."""
_SIGNIFICANT = 6
"""Digits of what has a unit of its own."""


@dataclass(frozen=True, slots=True)
class Row:
    """An exposure in the list, as it was measured."""

    date_obs: str
    """DATE-OBS, 23 characters."""
    mjd_obs: float
    """Days."""
    ra_offset: float
    """Measured minus reference, degrees of right ascension."""
    dec_offset: float
    """Degrees."""
    dec: float
    """Declination of the exposure, degrees: by its cosine a degree of right ascension is shorter."""
    east_error: float = 0.0
    north_error: float = 0.0
    rotation: float = 0.0
    """Measured minus reference, north through east, degrees."""
    rotation_error: float = 0.0
    flux_scale: float = 1.0
    """As measured."""
    flux_scale_error: float = 0.0
    background: float = 0.0
    """In the unit of the exposure."""
    background_error: float = 0.0
    correlation: float = 1.0
    agreement: float = 1.0
    distinct: float = 0.0
    overlap: float = 1.0
    sources: int = 0
    matched: int = 0
    left_east: float = 0.0
    """What a second measurement finds when the offset was applied, arcsec."""
    left_north: float = 0.0
    applied: float = float("nan")
    """FLUX_SCALE as the recipes are to apply it; NaN for no scaling."""

    @property
    def east(self) -> float:
        """The offset on the sky, arcsec."""
        return round(self.ra_offset * 3600 * self.cos_dec, 4) + 0.0

    @property
    def north(self) -> float:
        """The offset on the sky, arcsec."""
        return round(self.dec_offset * 3600, 4) + 0.0

    @property
    def cos_dec(self) -> float:
        """Cosine of the declination."""
        return math.cos(math.radians(self.dec))


def row_of(date_obs: str, mjd_obs: float, dec: float, told: Measured, *, applied: bool) -> Row:
    """Make a row of what was measured.

    Parameters
    ----------
    date_obs, mjd_obs : str, float
        Of the exposure.
    dec : float
        Its declination, degrees.
    told : Measured
        Without a fault.
    applied : bool
        Whether the flux scale is written for the recipes.
    """
    own = {f.name: getattr(told, f.name) for f in fields(Measured) if f.name not in ("fault", "left")}
    own |= {"left_east": told.left[0], "left_north": told.left[1]}
    rounded: dict[str, Any] = {name: _rounded(name, value) for name, value in own.items()}
    scale = rounded["flux_scale"] if applied else float("nan")
    return Row(date_obs[:DATE_LENGTH], mjd_obs, dec=round(dec, 6), applied=scale, **rounded)


def _rounded(name: str, value: float) -> float:
    if isinstance(value, int) or not np.isfinite(value):
        return value
    if name in _DIGITS:
        return round(float(value), _DIGITS[name]) + 0.0
    return float(f"{float(value):.{_SIGNIFICANT}g}") + 0.0


def lost_row(date_obs: str, mjd_obs: float, dec: float) -> Row:
    """Make a row of an exposure that was not matched: its offset is no number."""
    nothing = dict.fromkeys(("correlation", "agreement", "overlap", "flux_scale", "background"), math.nan)
    told: dict[str, Any] = dict.fromkeys(("east_error", "north_error"), math.nan) | nothing
    return Row(date_obs[:DATE_LENGTH], mjd_obs, math.nan, math.nan, round(dec, 6), **told)


def write_list(rows: tuple[Row, ...], lost: tuple[Row, ...] = ()) -> fits.HDUList:
    """Write rows as the file of an OFFSET_LIST; in the order of DATE-OBS.

    Parameters
    ----------
    rows : tuple of Row
        Exposures that were matched.
    lost : tuple of Row
        Those that were not: in a table of their own, which no recipe reads.
    """
    rows = tuple(sorted(rows, key=lambda row: row.date_obs))
    dates = [row.date_obs for row in rows]
    columns = [
        _column("DATE_OBS", f"{DATE_LENGTH}A", dates),
        _column("MJD_OBS", "D", [row.mjd_obs for row in rows], "d"),
        _column("RA_OFFSET", "D", [row.ra_offset for row in rows], "deg"),
        _column("DEC_OFFSET", "D", [row.dec_offset for row in rows], "deg"),
        _column("FLUX_SCALE", "D", [row.applied for row in rows]),
    ]
    told = [
        _column("DATE_OBS", f"{DATE_LENGTH}A", dates),
        _column("EAST", "D", [row.east for row in rows], "arcsec"),
        _column("NORTH", "D", [row.north for row in rows], "arcsec"),
    ]
    for item in fields(Row):
        if item.name not in ("date_obs", "mjd_obs", "ra_offset", "dec_offset", "applied"):
            kind = "J" if item.type is int else "D"
            told.append(
                _column(item.name.upper(), kind, [getattr(r, item.name) for r in rows], _unit(item.name))
            )
    tables = [fits.BinTableHDU.from_columns(columns, name=LIST)]
    tables.append(fits.BinTableHDU.from_columns(told, name=MEASURED))
    if lost:
        tables.append(_lost_table(tuple(sorted(lost, key=lambda row: row.date_obs))))
    return fits.HDUList([fits.PrimaryHDU(), *tables])


def read_list(path: Path) -> tuple[Row, ...]:
    """Read a list, ours or that of muse_exp_align, which says nothing of what else was measured."""
    with fits.open(path, memmap=False) as hdus:
        dec = float(hdus[0].header.get("DEC", 0.0))
        listed = np.asarray(hdus[1].data)
        told = np.asarray(hdus[MEASURED].data) if MEASURED in hdus else None
    return tuple(_row(listed, told, number, dec) for number in range(len(listed)))


def read_lost(path: Path) -> tuple[Row, ...]:
    """Read the exposures that were not matched, from the file of a list."""
    with fits.open(path, memmap=False) as hdus:
        lost: list[Any] = np.asarray(hdus[LOST].data).tolist() if LOST in hdus else []
    return tuple(lost_row(_text(date), float(mjd), float(dec)) for date, mjd, dec in lost)


def _lost_table(lost: tuple[Row, ...]) -> fits.BinTableHDU:
    columns = [
        _column("DATE_OBS", f"{DATE_LENGTH}A", [row.date_obs for row in lost]),
        _column("MJD_OBS", "D", [row.mjd_obs for row in lost], "d"),
        _column("DEC", "D", [row.dec for row in lost], "deg"),
    ]
    return fits.BinTableHDU.from_columns(columns, name=LOST)


def _text(value: object) -> str:
    return (value.decode("ascii") if isinstance(value, bytes) else str(value)).strip()


def _row(listed: NDArray[np.void], told: NDArray[np.void] | None, number: int, dec: float) -> Row:
    line = listed[number]
    values = {name.lower(): line[name].item() for name in ("MJD_OBS", "RA_OFFSET", "DEC_OFFSET")}
    names = listed.dtype.names or ()
    values["applied"] = line["FLUX_SCALE"].item() if "FLUX_SCALE" in names else float("nan")
    values["dec"] = dec
    if told is not None:
        more = [name for name in told.dtype.names or () if name not in ("DATE_OBS", "EAST", "NORTH")]
        values |= {name.lower(): told[number][name].item() for name in more}
    return Row(_text(line["DATE_OBS"]), **values)


def _column(name: str, kind: str, values: list[str] | list[float], unit: str = "") -> fits.Column:
    return fits.Column(name, kind, unit=unit or None, array=np.array(values))


def _unit(name: str) -> str:
    if name.startswith(("rotation", "dec")):
        return "deg"
    return "arcsec" if name.startswith(("east", "north", "left")) else ""
