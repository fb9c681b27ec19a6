"""Offsets that a person looks at and corrects: what was measured, a table to edit, and what was made of it.

What was measured is never touched: an edited table lies in the workspace, and a step of its own puts it in
the place of the measured list.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.forecast import Forecast
from pipeline.given import edit_path
from pipeline.model import ProductInput, Stage
from pipeline.recipes import BY_HAND
from pipeline.record import time_of
from pipeline.replacing import replace_text
from pipeline.unmatched import unmatched_exposure

if TYPE_CHECKING:
    from pipeline.reduce import Reduction
    from pipeline.reference.offsets import Row

KIND = "offsets"
"""Of the statements that say who corrected offsets, and why."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The offsets of a dataset."""

    target: str
    dataset: str
    step: str
    """The step whose list holds."""
    recipe: str
    """What measured it."""
    measured: "tuple[Row, ...]"
    """As measured; of an exposure that was not matched the offset is no number."""
    rows: "tuple[Row, ...]"
    """As they hold: the same, unless a person corrected them."""
    unmatched: tuple[str, ...]
    """DATE-OBS of exposures that are left out: not matched, or by hand."""
    table: Path
    """Where a table of corrections lies, or would."""

    @property
    def is_edited(self) -> bool:
        """Whether a table of corrections is in use."""
        return self.table.is_file()


def alignments(reduction: "Reduction") -> tuple[Alignment, ...]:
    """List the alignments that are made, by target and dataset."""
    found = {f.step.id: f for f in reduction.forecast() if f.step.stage is Stage.ALIGN}
    measured = [f for f in found.values() if f.step.recipe != BY_HAND.recipe and f.is_hit]
    return tuple(_alignment(reduction, made, found) for made in measured)


def alignment_of(reduction: "Reduction", dataset: str) -> Alignment:
    """Find the alignment of a dataset; of the only one if none is named.

    Raises
    ------
    UsageError
        It is not made yet, there is none of that name, or several may be meant.
    """
    made = alignments(reduction)
    meant = [found for found in made if dataset in ("", found.dataset)]
    if not meant:
        known = ", ".join(found.dataset for found in made) or "none"
        what = f"of dataset {dataset}" if dataset else "of any dataset"
        raise UsageError(
            f"no offsets {what} are measured (there: {known})", "measure them with: clio run align"
        )
    if len(meant) > 1:
        names = ", ".join(f"{found.dataset} of {found.target}" for found in meant)
        raise UsageError(f"there are offsets of several datasets: {names}", "name one")
    return meant[0]


def write_draft(alignment: Alignment, path: Path) -> None:
    """Write the table that a person edits; with what is in use already.

    Raises
    ------
    UsageError
        There is a file of that name.
    FileRefused
        It cannot be written.
    """
    from pipeline.reference.sheet import draft, text_of

    if path.exists():
        raise UsageError(
            f"{path} is there already", "name another file, or edit that one and give it to --take"
        )
    replace_text(path, text_of(draft(alignment.measured, alignment.rows)))


def take(reduction: "Reduction", alignment: Alignment, path: Path, *, by: str, why: str) -> tuple[str, ...]:
    """Put an edited table into use.

    Parameters
    ----------
    reduction : Reduction
        The workspace.
    alignment : Alignment
        What it corrects.
    path : Path
        The table.
    by, why : str
        Who says so, and for what reason.

    Returns
    -------
    tuple of str
        What it changes, a sentence an exposure.

    Raises
    ------
    UsageError
        It is no such table, is for other offsets, or changes nothing.
    """
    from pipeline.reference.sheet import SheetError, merged, read_sheet, signed

    try:
        sheet = read_sheet(path)
        _, changes = merged(alignment.measured, sheet)
        text = signed(path, by, why)
    except SheetError as error:
        raise UsageError(f"{path} {error}", "write a new one with: clio align edit") from error
    was_lost = {row.date_obs for row in alignment.measured if row.ra_offset != row.ra_offset}
    changes += tuple(f"exposure {date}: left out" for date in sheet.left_out() if date not in was_lost)
    if not changes:
        raise UsageError(f"{path} changes nothing: it says what was measured", "edit it first")
    alignment.table.parent.mkdir(parents=True, exist_ok=True)
    replace_text(alignment.table, text)
    _state(reduction, alignment, by=by, why=why, changes=changes)
    return changes


def drop(reduction: "Reduction", alignment: Alignment, *, by: str, why: str) -> None:
    """Take a table out of use: what was measured holds again.

    Raises
    ------
    UsageError
        There is none.
    """
    if not alignment.is_edited:
        raise UsageError(
            f"no offsets of dataset {alignment.dataset} are corrected", "there is nothing to drop"
        )
    alignment.table.unlink()
    _state(reduction, alignment, by=by, why=why, changes=())


def _state(
    reduction: "Reduction", alignment: Alignment, *, by: str, why: str, changes: Iterable[str]
) -> None:
    """Keep who said so; no change at all says that a correction was taken back."""
    body = {
        "at": time_of(datetime.now(UTC)),
        "target": alignment.target,
        "dataset": alignment.dataset,
        "by": by,
        "why": why,
        "changes": list(changes),
    }
    reduction.store.statement(KIND, body)


def _alignment(reduction: "Reduction", made: Forecast, found: dict[str, Forecast]) -> Alignment:
    from pipeline.reference.offsets import read_list, read_lost

    step, run = made.step, made.run
    assert run is not None, "a hit has a run"
    edited = next((f for f in found.values() if f.is_hit and _reads(f, step.id)), None)
    last = edited.run if edited is not None and edited.run is not None else run
    objects = reduction.store.objects
    lists = [next(objects.path(o.digest) for o in r.outputs if o.tag == "OFFSET_LIST") for r in (run, last)]
    dataset = step.scope.dataset if step.scope else step.unit
    lost = (unmatched_exposure(o.tag, o.name) for o in last.outputs)
    return Alignment(
        target=step.target,
        dataset=dataset,
        step=edited.step.id if edited is not None else step.id,
        recipe=step.recipe,
        measured=(*read_list(lists[0]), *read_lost(lists[0])),
        rows=read_list(lists[1]),
        unmatched=tuple(sorted({date for date in lost if date})),
        table=edit_path(reduction.settings.root, step.target, dataset),
    )


def _reads(forecast: Forecast, step: str) -> bool:
    inputs = forecast.step.inputs
    return forecast.step.recipe == BY_HAND.recipe and any(
        isinstance(item, ProductInput) and item.step == step for item in inputs
    )
