"""The verbs of `clio align`: look at the offsets of exposures, and correct them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.groups import Group
from pipeline.cli.options import Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.corrections import Alignment
    from pipeline.reference.offsets import Row

app = typer.Typer(cls=Group, no_args_is_help=True, help="Look at the offsets of exposures, and correct them.")

Dataset = Annotated[str, typer.Argument(help="A dataset (observing block); the only one without.")]
_SCHEMA = "clio-align/1"


def add_to(parent: typer.Typer) -> None:
    """Add the verbs of this module, under one name."""
    parent.add_typer(app, name="align")


@app.command()
def show(dataset: Dataset = "", workspace: Workspace = None, as_json: Json = False) -> None:
    """Show what the header of each exposure says too much on the sky, as measured and as it holds.

    Example: `clio align show 200012345`
    """
    from pipeline.corrections import alignment_of, alignments

    with open_reduction(workspace) as reduction:
        found = (alignment_of(reduction, dataset),) if dataset else alignments(reduction)
    if as_json:
        OUTPUT.document(_SCHEMA, {"alignments": [_document(alignment) for alignment in found]})
        return
    for alignment in found:
        _print(alignment)
    if not found:
        OUTPUT.say("no offsets are measured yet: clio run align")


@app.command()
def edit(
    dataset: Dataset = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the table is written; DATASET.ecsv without.")
    ] = None,
    take: Annotated[Path | None, typer.Option(help="Put this edited table into use.")] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Let what was measured hold again.")] = False,
    by: Annotated[str, typer.Option(help="Who says so.", metavar="NAME")] = "",
    why: Annotated[str, typer.Option(help="For what reason.", metavar="TEXT")] = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Correct offsets by hand: write a table, edit it, and give it back with --take.

    What was measured stays as it is: the table is an input of a step of its own, and its products say who
    corrected what, and why.

    Example: `clio align edit 200012345`, then
    `clio align edit 200012345 --take 200012345.ecsv --by "A. Astronomer" --why "the companion was taken"`
    """
    from pipeline import corrections

    if (take is not None or drop) and not (by.strip() and why.strip()):
        raise UsageError("a correction needs a name and a reason", "add --by NAME and --why TEXT")
    if sum((take is not None, drop, output is not None)) > 1:
        raise UsageError("--output, --take and --drop exclude each other", "give one of them")
    with open_reduction(workspace) as reduction:
        alignment = corrections.alignment_of(reduction, dataset)
        table = alignment.table
        changes: tuple[str, ...] = ()
        if take is not None:
            changes = corrections.take(reduction, alignment, take, by=by.strip(), why=why.strip())
        elif drop:
            corrections.drop(reduction, alignment, by=by.strip(), why=why.strip())
        else:
            table = output or Path(f"{alignment.dataset}.ecsv")
            corrections.write_draft(alignment, table)
    if as_json:
        did = "taken" if take else "dropped" if drop else "written"
        body = {"dataset": alignment.dataset, "did": did, "table": str(table), "changes": list(changes)}
        OUTPUT.document("clio-align-edit/1", body)
        return
    for change in changes:
        OUTPUT.line(change)
    if take is not None or drop:
        OUTPUT.say("it counts from the next: clio run")
    else:
        OUTPUT.line(str(table))
        OUTPUT.say(f"edit it, then: clio align edit {alignment.dataset} --take {table} --by NAME --why TEXT")


def _print(alignment: "Alignment") -> None:
    corrected = ", corrected by hand" if alignment.is_edited else ""
    OUTPUT.line(f"{alignment.dataset} of {alignment.target}, by {alignment.recipe}{corrected}")
    measured = {row.date_obs: row for row in alignment.measured}
    rows = []
    for row in alignment.rows:
        was = measured[row.date_obs]
        mark = "" if (row.east, row.north, _scale(row)) == (was.east, was.north, _scale(was)) else "corrected"
        rows.append(
            (
                row.date_obs,
                _pair(row.east, row.east_error),
                _pair(row.north, row.north_error),
                f"{row.flux_scale:.3f}",
                _scale(row),
                mark,
            )
        )
    rows += [(date, "-", "-", "-", "-", "left out") for date in alignment.unmatched]
    OUTPUT.table(("exposure", 'east "', 'north "', "flux", "applied", ""), rows)


def _pair(value: float, error: float) -> str:
    return f"{value:+.3f} {error:.3f}"


def _scale(row: "Row") -> str:
    return "-" if row.applied != row.applied else f"{row.applied:.4f}"


def _document(alignment: "Alignment") -> dict[str, Any]:
    return {
        "target": alignment.target,
        "dataset": alignment.dataset,
        "step": alignment.step,
        "recipe": alignment.recipe,
        "is_edited": alignment.is_edited,
        "measured": [_row(row) for row in alignment.measured],
        "exposures": [_row(row) for row in alignment.rows],
        "left_out": list(alignment.unmatched),
    }


def _row(row: "Row") -> dict[str, Any]:
    names = (
        *("date_obs", "ra_offset", "dec_offset", "east", "north", "east_error", "north_error"),
        *("rotation", "rotation_error", "flux_scale", "flux_scale_error", "background", "background_error"),
        *("agreement", "sources", "matched"),
    )
    values = {name: getattr(row, name) for name in names} | {"applied_flux_scale": row.applied}
    return {name: None if value != value else value for name, value in values.items()}
