"""The table a person edits: offsets as measured with their errors, and as they are to be. ECSV.

The measured columns are a copy to look at; those that count are `use`, `east`, `north` and `flux_scale`.
"""

import io
import math
from dataclasses import dataclass, replace
from pathlib import Path

from astropy import units as u
from astropy.table import Table

from pipeline.reference.offsets import Row

_SAME = 2e-4
"""Difference up to which offsets are the same, arcsec; a table shows four digits."""
_COLUMNS = ("date_obs", "use", "east", "north", "flux_scale")
_MEASURED = ("measured_east", "measured_north")
_MOST = 3600.0
"""Largest offset that is no slip of the pen, arcsec."""


class SheetError(Exception):
    """A table that cannot be used; the argument is to be read behind its name."""


@dataclass(frozen=True, slots=True)
class Line:
    """An exposure, as it is to be."""

    date_obs: str
    use: bool
    """Whether it takes part in what follows."""
    east: float
    """Header minus true position on the sky, arcsec."""
    north: float
    flux_scale: float
    """By what the recipes multiply it; NaN for no scaling."""
    measured_east: float
    """As it was when the table was made."""
    measured_north: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table, and who says so."""

    lines: tuple[Line, ...]
    by: str = ""
    why: str = ""

    def left_out(self) -> tuple[str, ...]:
        """List the exposures that are not to be used."""
        return tuple(sorted(line.date_obs for line in self.lines if not line.use))


def draft(measured: tuple[Row, ...], now: tuple[Row, ...]) -> Table:
    """Make the table that a person begins with.

    Parameters
    ----------
    measured, now : tuple of Row
        As measured, those that were not matched among them; and as they hold. What does not hold is not used.
    """
    table = Table()
    held = {row.date_obs: row for row in now}
    rows = [held.get(row.date_obs, row) for row in measured]
    table["date_obs"] = [row.date_obs for row in rows]
    table["use"] = [row.date_obs in held for row in rows]
    for name, values in (
        ("east", [row.east for row in rows]),
        ("north", [row.north for row in rows]),
    ):
        table[name] = values * u.arcsec
    table["flux_scale"] = [row.applied for row in rows]
    rows = list(measured)
    table["measured_east"] = [row.east for row in rows] * u.arcsec
    table["measured_north"] = [row.north for row in rows] * u.arcsec
    table["error_east"] = [row.east_error for row in rows] * u.arcsec
    table["error_north"] = [row.north_error for row in rows] * u.arcsec
    table["rotation"] = [row.rotation for row in rows] * u.deg
    table["agreement"] = [row.agreement for row in rows]
    table["measured_flux_scale"] = [row.flux_scale for row in rows]
    table["background"] = [row.background for row in rows]
    table.meta["comments"] = [
        "Edit use, east, north and flux_scale (nan: no scaling); leave the other columns as they are.",
        "east, north: what the header says too much, on the sky.",
    ]
    return table


def text_of(table: Table) -> str:
    """Write a table as ECSV."""
    told = io.StringIO()
    table.write(told, format="ascii.ecsv")
    return told.getvalue()


def signed(path: Path, by: str, why: str) -> str:
    """Write a table with the name of who edited it, and the reason."""
    table = Table.read(path, format="ascii.ecsv")
    table.meta |= {"by": by, "why": why}
    return text_of(table)


def read_sheet(path: Path) -> Sheet:
    """Read a table.

    Raises
    ------
    SheetError
        It is no ECSV table, lacks a column, or holds an offset that is none.
    """
    try:
        table = Table.read(path, format="ascii.ecsv")
    except Exception as error:  # astropy raises a different kind for each way not to be a table
        raise SheetError(f"is no ECSV table: {str(error).splitlines()[0]}") from error
    lacking = [name for name in (*_COLUMNS, *_MEASURED) if name not in table.colnames]
    if lacking:
        raise SheetError(f"lacks the column {', '.join(lacking)}")
    lines = tuple(_line(table, number) for number in range(len(table)))
    dates = [line.date_obs for line in lines]
    if len(set(dates)) < len(dates):
        raise SheetError("names an exposure twice")
    return Sheet(lines, str(table.meta.get("by", "")), str(table.meta.get("why", "")))


def _line(table: Table, number: int) -> Line:
    row = table[number]
    date = str(row["date_obs"])
    use = str(row["use"])
    if use not in ("True", "False"):
        raise SheetError(f"says use = {use} of {date}, expected True or False")
    try:
        east, north, *rest = (float(row[name]) for name in ("east", "north", "flux_scale", *_MEASURED))
    except (TypeError, ValueError) as error:
        raise SheetError(f"holds something else than a number for {date}") from error
    scale, measured_east, measured_north = rest
    if use == "True" and not all(abs(value) < _MOST for value in (east, north)):
        raise SheetError(f"holds an offset of {date} that is none: {east} {north} arcsec")
    if not math.isnan(scale) and not 0 < scale < math.inf:
        raise SheetError(f"holds a flux scale of {date} that is none: {scale}")
    return Line(date, use == "True", east, north, scale, measured_east, measured_north)


def merged(measured: tuple[Row, ...], sheet: Sheet) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Put the values of a table in the place of those measured.

    Returns
    -------
    rows : tuple of Row
        Those in use; what was not edited is what was measured, to the last digit.
    changes : tuple of str
        What is otherwise than measured, a sentence an exposure.

    Raises
    ------
    SheetError
        It was made for other offsets than these, or leaves nothing to use.
    """
    lines = {line.date_obs: line for line in sheet.lines}
    rows, changes = [], []
    if lines.keys() != {row.date_obs for row in measured}:
        raise SheetError("names other exposures than were measured")
    for row in measured:
        line = lines[row.date_obs]
        if not _is_same(line.measured_east, row.east) or not _is_same(line.measured_north, row.north):
            raise SheetError(f"was made before {row.date_obs} was measured anew")
        if line.use:
            new, change = _changed(row, line)
            rows.append(new)
            changes += [change] if change else []
    if not rows:
        raise SheetError("leaves no exposure in use")
    return tuple(rows), tuple(changes)


def _is_same(one: float, other: float) -> bool:
    return abs(one - other) < _SAME or (math.isnan(one) and math.isnan(other))


def _changed(row: Row, line: Line) -> tuple[Row, str]:
    told = []
    new = row
    if not _is_same(line.east, line.measured_east) or not _is_same(line.north, line.measured_north):
        ra = line.east / row.cos_dec / 3600
        new = replace(new, ra_offset=round(ra, 9), dec_offset=round(line.north / 3600, 9))
        told.append(
            f'offset {line.measured_east:+.4f}" {line.measured_north:+.4f}" -> {line.east:+.4f}" '
            f'{line.north:+.4f}"'
        )
    if line.flux_scale != row.applied and not (math.isnan(line.flux_scale) and math.isnan(row.applied)):
        new = replace(new, applied=line.flux_scale)
        told.append(f"flux scale {row.applied:g} -> {line.flux_scale:g}")
    return new, f"exposure {row.date_obs}: {', '.join(told)}" if told else ""
