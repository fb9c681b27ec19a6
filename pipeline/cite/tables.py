"""The table of exposures, as ECSV and as LaTeX. Pure, and the same to the byte every time.

References
----------
Enhanced Character Separated Values, version 1.0 (APE 6).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.cite.facts import Cited, Exposure
from pipeline.cite.words import escaped


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table."""

    name: str
    title: str
    """In LaTeX."""
    kind: str
    """Of ECSV: `string`, `float64`."""
    unit: str
    meaning: str
    value: Callable[[Exposure], str | float | None]
    digits: int = 0
    """Behind the point, in LaTeX."""
    in_latex: bool = True


COLUMNS = (
    Column("tag", "Type", "string", "", "the part it plays", lambda e: e.tag),
    Column("arcfile", "File", "string", "", "ARCFILE, its name in the archive", lambda e: e.arcfile),
    Column("date_obs", "Start (UTC)", "string", "", "DATE-OBS", lambda e: e.date_obs, in_latex=False),
    Column("mjd", "MJD", "float64", "d", "MJD-OBS", lambda e: e.mjd, 5),
    Column("exptime", "Exposure", "float64", "s", "EXPTIME", lambda e: e.exptime_s, 1),
    Column("target", "Target", "string", "", "ESO OBS TARG NAME", lambda e: e.target),
    Column("programme", "Programme", "string", "", "ESO OBS PROG ID", lambda e: e.programme),
    Column("block", "Block", "string", "", "ESO OBS ID", lambda e: e.block, in_latex=False),
    Column("mode", "Mode", "string", "", "ESO INS MODE", lambda e: e.mode),
    Column("airmass", "Airmass", "float64", "", "mean of start and end", lambda e: e.airmass, 3),
    Column(
        *("seeing", "Seeing", "float64", "arcsec", "mean of ESO TEL AMBI FWHM START and END"),
        lambda e: e.seeing_arcsec,
        2,
    ),
    Column("digest", "", "string", "", "SHA-256 of the file", lambda e: e.digest, in_latex=False),
)
"""In the order of the table."""


def ecsv(cited: Cited) -> str:
    """Write the exposures as ECSV; what is not known is empty."""
    head = ["# %ECSV 1.0", "# ---", "# delimiter: ','", "# datatype:"]
    for column in COLUMNS:
        unit = f", unit: {column.unit}" if column.unit else ""
        head.append(
            f"# - {{name: {column.name}{unit}, datatype: {column.kind}, description: "
            f"{json.dumps(column.meaning)}}}"
        )
    head.append(f"# meta: {{product: {json.dumps(cited.digest)}}}")
    head.append("# schema: astropy-2.0")
    head.append(",".join(column.name for column in COLUMNS))
    rows = [",".join(_quoted(column.value(item)) for column in COLUMNS) for item in cited.exposures]
    return "\n".join([*head, *rows]) + "\n"


def latex(cited: Cited) -> str:
    """Write the exposures as a table of LaTeX, without packages."""
    columns = [column for column in COLUMNS if column.in_latex]
    spec = "".join("r" if column.kind == "float64" else "l" for column in columns)
    title = " & ".join(column.title for column in columns)
    units = " & ".join(f"({column.unit})" if column.unit else "" for column in columns)
    lines = [
        f"% exposures of the product {cited.digest}",
        f"\\begin{{tabular}}{{{spec}}}",
        "\\hline",
        f"{title} \\\\",
        f"{units} \\\\",
        "\\hline",
        *(
            f"{' & '.join(_shown(column, column.value(item)) for column in columns)} \\\\"
            for item in cited.exposures
        ),
        "\\hline",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(value: str | float | None) -> str:
    if value is None or value == "":
        return '""' if value == "" else ""
    if isinstance(value, float):
        return repr(value)
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ' ,"\n') else text


def _shown(column: Column, value: str | float | None) -> str:
    if value is None or value == "":
        return "\\ldots"
    return f"{value:.{column.digits}f}" if isinstance(value, float) else escaped(str(value))
