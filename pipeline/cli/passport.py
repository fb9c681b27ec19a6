"""The verb that measures a recipe: `passport`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Engine, Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT, seconds
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.passport import Moved, Passport
    from pipeline.reduce import Reduction
    from provenance.model import Run

SCHEMA = "clio-passport/1"


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(passport)


def passport(
    recipe: Annotated[str, typer.Argument(help="A recipe, such as `muse_bias`.", show_default=False)],
    run: Annotated[
        str, typer.Option("--run", metavar="REF", help="The run to repeat; by default the recipe's newest.")
    ] = "",
    real_clock: Annotated[
        bool, typer.Option("--real-clock", help="Repeat it twice more under a clock that runs.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List every card that moved.")] = False,
    engine: Engine = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Run a recipe again at another time, host name, user and directory, and list every card that moves.

    Leaves with 7 if anything moves that the table of volatile cards does not have.

    Example: `clio passport muse_bias`
    """
    from pipeline.again import Workshop
    from pipeline.passport import measure, newest_run

    with open_reduction(workspace, engine) as reduction:
        repeated = _named(reduction, recipe, run) if run else newest_run(reduction.store, recipe)
        if not as_json:
            OUTPUT.say(f"running {repeated.stage}:{repeated.unit} again, {4 if real_clock else 2} times")
        found = measure(Workshop.of(reduction), repeated, real_clock=real_clock)
    print_passport(found, everything=everything, as_json=as_json)
    if found.unlisted:
        raise typer.Exit(int(Exit.DIFFERENT))


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
    _print_verdict(found)


def described(item: "Moved") -> str:
    """Say in a line what moved: product, HDU, card, both values."""
    hdu = "" if item.hdu is None else f" HDU {item.hdu} {item.extension}".rstrip()
    what = f"{item.keyword} ({item.kind})" if item.keyword else str(item.kind)
    return f"{item.product}{hdu}: {what}: {item.before or 'not there'} -> {item.after or 'not there'}"


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


def _print_verdict(found: "Passport") -> None:
    if found.not_varied:
        OUTPUT.say(f"the same in all repeats, as {found.engine} sets no other: {', '.join(found.not_varied)}")
    if found.unmoved:
        OUTPUT.say(f"in the table for {found.recipe}, and did not move: {', '.join(found.unmoved)}")
    if not found.is_in_table:
        OUTPUT.say(f"the table has no measurement of {found.recipe} {found.version} yet")
    if not found.unlisted:
        OUTPUT.line("all within the table")
    for item in found.unlisted:
        OUTPUT.line(f"moved and not listed: {described(item)}")
