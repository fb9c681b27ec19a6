"""The passports of the recipes: what came of them with other threads, engines, numerics and processors.

Owns the values of such measurements and the table of those that were published, a file of data beside this
one that `clio passport --kept --json` wrote. How they are measured is `pipeline.passport_matrix`'s, how they
read in the documentation `pipeline.passport_pages`'s.
"""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.resources import files
from typing import Any

from pipeline.verdict import Sameness
from provenance.documents import from_document, to_document

SCHEMA = "clio-passports/1"

_PUBLISHED = "passports.json"


class Axis(StrEnum):
    """What of a run was set otherwise than recorded, and nothing else."""

    RUN = "run"
    """Nothing, or what must not matter: clock, host name, user, directories."""
    THREADS = "threads"
    ENGINE = "engine"
    NUMERICS = "numerics"
    CPU = "cpu"
    HEAP = "heap"
    """What memory holds that was asked for and not written yet."""
    SEVERAL = "several"
    """More than one of them."""


@dataclass(frozen=True, slots=True)
class MovedUnit:
    """A data unit that came out otherwise, or the file itself where it is about no unit."""

    product: str
    """Name of the file."""
    hdu: str
    """Index and EXTNAME, and of a table the column; `cards` of cards; empty if it is about the file."""
    what: str
    """How many values of how many; keywords; else what happened, in a line."""
    largest: str
    """Largest difference; empty if there is no figure."""
    in_sigma: str
    """Largest difference in units of the error the product itself gives; empty where it gives none."""
    relative: str = ""
    """Largest difference in units of the value; empty if there is no figure."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a recipe with one thing set otherwise."""

    axis: Axis
    value: str
    """What it was set to: `8`, `docker`, `native`, `Nehalem`."""
    sameness: Sameness | None
    """Held against the record; None if it was not measured."""
    reason: str = ""
    """Why it was not measured, or what differs, in a line."""
    engine: str = ""
    """What ran it: name and version."""
    wall_ms: int | None = None
    cpu_ms: int | None = None
    variants: tuple[str, ...] | None = None
    """Instruction sets by which the C library chose its functions, of those that matter; None if unknown."""
    moved: tuple[MovedUnit, ...] = ()

    @property
    def is_stable(self) -> bool:
        """Whether nothing moved but what the clock moves."""
        return self.sameness in (Sameness.IDENTICAL, Sameness.SAME_SCIENCE)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The passport of a recipe: what was held against what."""

    recipe: str
    version: str
    image: str
    step: str
    """What the recorded run worked on."""
    engine: str
    """Of the recorded run."""
    products: int
    hdus: int
    threads: int | None = None
    """Of the recorded run."""
    numerics: str = ""
    cpu: str = ""
    """Model of the processor that is not emulated."""
    wall_ms: int | None = None
    """Of the recorded run."""
    rows: tuple[Row, ...] = ()
    """By axis and value."""

    def of(self, axis: Axis) -> tuple[Row, ...]:
        """Give the rows of an axis."""
        return tuple(row for row in self.rows if row.axis is axis)

    @property
    def unstable(self) -> tuple[Row, ...]:
        """Rows in which something moved."""
        return tuple(row for row in self.rows if row.sameness is not None and not row.is_stable)

    @property
    def is_thread_invariant(self) -> bool:
        """Whether other numbers of threads were tried, and none moved anything."""
        tried = self.of(Axis.THREADS)
        return bool(tried) and all(row.is_stable for row in tried)

    def promise(self, axis: Axis, value: str) -> Sameness:
        """Give what may be expected of a row: what was found, else what every recipe has to keep."""
        found = (row.sameness for row in self.rows if (row.axis, row.value) == (axis, value))
        return next(found, None) or Sameness.IDENTICAL

    def worse_than(self, other: "Sheet | None") -> tuple[Row, ...]:
        """Give the rows in which more moved than in another passport; without one, in which any did.

        Notes
        -----
        That less moved is no fault: a smaller frame shows less.
        """
        return tuple(
            row
            for row in self.unstable
            if is_worse(row.sameness, other.promise(row.axis, row.value) if other else Sameness.IDENTICAL)
        )


def is_worse(found: Sameness | None, promised: Sameness) -> bool:
    """Say whether less came out the same than was promised; what was not measured breaks no promise."""
    order = list(Sameness)
    return found is not None and order.index(found) > order.index(promised)


def document(sheets: Iterable[Sheet]) -> dict[str, Any]:
    """Describe passports as JSON; `sheets_of` reads it."""
    return {"passports": [to_document(sheet) for sheet in sheets]}


def sheets_of(body: dict[str, Any], what: str) -> dict[str, Sheet]:
    """Read passports, by recipe.

    Parameters
    ----------
    body : dict
        As `document` gives it.
    what : str
        Its name in messages.

    Raises
    ------
    StoreDamaged
        It is no such document.
    """
    sheets = (from_document(Sheet, item, what) for item in body["passports"])
    return {sheet.recipe: sheet for sheet in sheets}


@functools.cache
def published() -> dict[str, Sheet]:
    """Give the published passports, by recipe."""
    text = files("pipeline").joinpath(_PUBLISHED).read_text(encoding="utf-8")
    return sheets_of(json.loads(text), _PUBLISHED)


def joined(sheets: Iterable[Sheet]) -> Sheet:
    """Put measurements of one recipe together; of a row that was measured more than once the last counts.

    Parameters
    ----------
    sheets : iterable of Sheet
        In the order of time; those that measured something else than the last, another run of the recipe or
        another version, are left out.
    """
    *earlier, last = sheets
    rows = {
        (row.axis, row.value): row
        for sheet in (*earlier, last)
        if (sheet.step, sheet.version, sheet.image) == (last.step, last.version, last.image)
        for row in sheet.rows
    }
    return replace(last, rows=tuple(sorted(rows.values(), key=_place)))


def _place(row: Row) -> tuple[int, int]:
    """Say where a row stands: by axis, numbers by their size, all else as it came."""
    return list(Axis).index(row.axis), int(row.value) if row.value.isdecimal() else 0
