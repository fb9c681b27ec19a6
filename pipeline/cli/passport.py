"""The verb that measures a recipe: `passport`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Engine, Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT, seconds
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.passport import Passport
    from pipeline.passport_cards import Moved
    from pipeline.passport_matrix import Matrix
    from pipeline.passports import Row
    from pipeline.reduce import Reduction
    from provenance.model import Run

SCHEMA = "clio-passport/1"
KEPT_SCHEMA = "clio-passports/1"


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(passport)


def passport(
    recipe: Annotated[
        str, typer.Argument(help="A recipe, such as `muse_bias`; by default all that ran here.")
    ] = "",
    run: Annotated[
        str, typer.Option("--run", metavar="REF", help="The run to repeat; by default the recipe's newest.")
    ] = "",
    real_clock: Annotated[
        bool, typer.Option("--real-clock", help="Repeat it twice more under a clock that runs.")
    ] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="Vary all of what follows.")] = False,
    threads: Annotated[str, typer.Option(metavar="N,...", help="Other numbers of threads: 1,2,8.")] = "",
    engines: Annotated[str, typer.Option(metavar="NAME,...", help="Other engines; or all.")] = "",
    numerics: Annotated[str, typer.Option(metavar="NAME,...", help="pinned, native.")] = "",
    cpu: Annotated[
        str, typer.Option(metavar="MODEL,...", help="Emulated processors: emulated, or models qemu knows.")
    ] = "",
    heap: Annotated[bool, typer.Option("--heap", help="Fill memory that was not written yet.")] = False,
    corners: Annotated[bool, typer.Option("--corners", help="Vary several of them together.")] = False,
    from_store: Annotated[
        bool, typer.Option("--kept", help="Run nothing: say what was measured here before.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Likewise, as a page of the documentation.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List every card that moved.")] = False,
    engine: Engine = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Run a recipe again at another time, host name, user and directory, and list every card that moves.

    With `--matrix`, or parts of it, also with other threads, engines, numerics, an emulated processor, and
    memory that is not empty. Leaves with 7 if more moves than is known to.

    Example: `clio passport muse_bias --threads 1,2,8 --cpu emulated`
    """
    from pipeline.passport_matrix import WHOLE, read_matrix
    from pipeline.passports import document

    if from_store or as_markdown:
        print_kept(workspace, recipe, as_markdown=as_markdown, as_json=as_json)
        return
    wanted = WHOLE if matrix else read_matrix(threads, engines, numerics, cpu, heap=heap, corners=corners)
    with open_reduction(workspace, engine) as reduction:
        runs = _runs(reduction, recipe, run)
        found = [_measured(reduction, one, wanted, real_clock=real_clock) for one in runs]
    if as_json and not recipe:
        OUTPUT.document(KEPT_SCHEMA, document(one.sheet for one in found))
    else:
        for one in found:
            print_passport(one, everything=everything, as_json=as_json)
    if any(one.unlisted or one.worse for one in found):
        raise typer.Exit(int(Exit.DIFFERENT))


def print_kept(workspace: Path | None, recipe: str, *, as_markdown: bool, as_json: bool) -> None:
    """Print what was measured in a workspace and run nothing.

    Parameters
    ----------
    workspace : Path or None
        The workspace.
    recipe : str
        One recipe; empty for all.
    as_markdown, as_json : bool
        As the page of the documentation, as a document; else in a line a recipe.
    """
    from pipeline.passport import kept
    from pipeline.passport_pages import CAUSES, glance, page
    from pipeline.passports import document

    with open_reduction(workspace) as reduction:
        sheets = [sheet for sheet in kept(reduction.store) if recipe in ("", sheet.recipe)]
    if as_json:
        OUTPUT.document(KEPT_SCHEMA, document(sheets))
    elif as_markdown:
        OUTPUT.line(page(sheets, CAUSES).rstrip("\n"))
    else:
        OUTPUT.table(*glance(sheets))


def in_a_line(row: "Row") -> str:
    """Say what came of a run of the matrix."""
    if row.sameness is None:
        return f"not measured: {row.reason}"
    sigmas = [float(unit.in_sigma) for unit in row.moved if unit.in_sigma]
    most = f", at most {max(sigmas):.2g} sigma" if sigmas else ""
    return f"{row.sameness}{most}"


def print_passport(found: "Passport", *, everything: bool, as_json: bool) -> None:
    """Print what was measured.

    Parameters
    ----------
    found : Passport
        The measurement.
    everything : bool
        List every card and data unit, not only how many.
    as_json : bool
        Print one document.
    """
    if as_json:
        OUTPUT.document(SCHEMA, found.document())
        return
    image, step = found.image.partition(":")[2][:12], f"{found.run.stage}:{found.run.unit}"
    OUTPUT.line(f"{found.recipe} {found.version} in image {image}: {step} on {found.engine}")
    OUTPUT.table(
        ("repeat", "clock", "host name", "user", "directory", "wall s", "products"),
        (
            (
                *(str(repeat.number), repeat.clock or "runs", repeat.hostname, repeat.user, repeat.directory),
                seconds(repeat.wall_ms),
                "identical" if repeat.is_identical else _science(same=repeat.is_same_science),
            )
            for repeat in found.repeats
        ),
    )
    if everything:
        for item in found.moved:
            OUTPUT.line(f"{'listed' if item.is_listed else 'not listed':11} {described(item)}")
    else:
        _print_counts(found)
    _print_rows(found)
    _print_verdict(found)


def described(item: "Moved") -> str:
    """Say in a line what moved: product, HDU, card, both values."""
    hdu = "" if item.hdu is None else f" HDU {item.hdu} {item.extension}".rstrip()
    what = f"{item.keyword} ({item.kind})" if item.keyword else str(item.kind)
    return f"{item.product}{hdu}: {what}: {item.before or 'not there'} -> {item.after or 'not there'}"


def _runs(reduction: "Reduction", recipe: str, reference: str) -> "list[Run]":
    """Find the runs that are to be repeated."""
    from pipeline.passport import newest_run, runs_of_all

    if reference and not recipe:
        raise UsageError(
            "--run names the run of one recipe, and none is named", "such as: clio passport muse_bias"
        )
    if reference:
        return [_named(reduction, recipe, reference)]
    return [newest_run(reduction.store, recipe)] if recipe else list(runs_of_all(reduction.store))


def _measured(reduction: "Reduction", run: "Run", matrix: "Matrix", *, real_clock: bool) -> "Passport":
    """Measure a recipe, and say on the way how far it is."""
    from pipeline.again import Workshop
    from pipeline.passport import measure

    more = "" if matrix.is_empty else ", and as the matrix says"
    OUTPUT.say(f"running {run.stage}:{run.unit} again, {4 if real_clock else 2} times{more}")
    return measure(
        Workshop.of(reduction),
        run,
        real_clock=real_clock,
        matrix=matrix,
        progress=lambda row: OUTPUT.say(
            f"{row.axis} {row.value}: {in_a_line(row)} ({seconds(row.wall_ms)} s)"
        ),
    )


def _named(reduction: "Reduction", recipe: str, reference: str) -> "Run":
    """Find the run that was asked for, and refuse one of another recipe."""
    from pipeline.cli.references import find_run

    found = find_run(reduction.store, reference, successful=True)
    actual = reduction.store.action(found.action).recipe
    if actual != recipe:
        raise UsageError(f"{reference} is a run of {actual}, not of {recipe}", f"try: clio passport {actual}")
    if not found.is_success:
        raise UsageError(f"run {found.run} of {recipe} did not succeed: there is nothing to compare with")
    return found


def _science(*, same: bool) -> str:
    return "same science" if same else "different"


def _print_counts(found: "Passport") -> None:
    """Print how often each card moved, and in how many products."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for item in found.moved:
        row = (item.keyword or "-", item.kind.value, "yes" if item.is_listed else "no")
        rows.setdefault(row, []).append(item.product)
    OUTPUT.table(
        ("moved", "what", "times", "in products", "in the table"),
        (
            (keyword, kind, str(len(products)), f"{len(set(products))} of {found.products}", listed)
            for (keyword, kind, listed), products in sorted(rows.items())
        ),
    )


def _print_rows(found: "Passport") -> None:
    """Print what came of the matrix; without one the repeats say it all."""
    from pipeline.passport_pages import chosen_by

    if len(found.rows) == len(found.repeats):
        return
    OUTPUT.table(
        ("varied", "to", "wall s", "products", "functions by"),
        (
            (row.axis.value, row.value, seconds(row.wall_ms), in_a_line(row), chosen_by(row))
            for row in found.rows
        ),
    )
    for row in found.rows:
        for unit in row.moved:
            sizes = (("largest", unit.largest), ("of the value", unit.relative), ("in sigma", unit.in_sigma))
            figures = (f"{name} {size}" for name, size in sizes if size)
            where = " ".join((unit.product, unit.hdu)).rstrip()
            OUTPUT.line(f"{row.axis} {row.value}: {'; '.join((f'{where}: {unit.what}', *figures))}")


def _print_verdict(found: "Passport") -> None:
    if found.not_varied:
        OUTPUT.say(f"the same in all repeats, as {found.engine} sets no other: {', '.join(found.not_varied)}")
    if found.unmoved:
        OUTPUT.say(f"in the table for {found.recipe}, and did not move: {', '.join(found.unmoved)}")
    if not found.is_in_table:
        OUTPUT.say(f"the table has no measurement of {found.recipe} {found.version} yet")
    if not found.unlisted and not found.worse:
        OUTPUT.line("all within the table")
    for row in found.worse:
        OUTPUT.line(f"moved more than the passport says: {row.axis} {row.value}: {in_a_line(row)}")
    for item in found.unlisted:
        OUTPUT.line(f"moved and not listed: {described(item)}")
