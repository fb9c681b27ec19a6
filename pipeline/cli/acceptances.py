"""The verb `accept`: a person says that a difference does not matter, takes that back, or lists it all."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.cli.references import is_stage, match_units
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.forecast import Forecast
    from pipeline.reduce import Reduction
    from pipeline.why import Candidate
    from provenance.acceptances import Acceptance
    from provenance.store import Store


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(accept)


def accept(
    step: Annotated[
        str,
        typer.Argument(
            metavar="STEP", help="A step such as `flat:2026-01-15T15:35:52:01`.", show_default=False
        ),
    ] = "",
    reason: Annotated[str, typer.Option(help="Why the difference does not matter.", metavar="TEXT")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    everything: Annotated[bool, typer.Option("--list", help="List what was accepted.")] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take back what was accepted of the step.")
    ] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Let what a step made before stand for what it would make now, because the difference does not matter.

    It holds for exactly this difference: with any other, the step has to run again. Products keep the reason
    as a caveat, and so does all that is made from them.

    Example: `clio accept flat:2026-01-15T15:35:52:01 --reason "only a comment in the header differs"`
    """
    if everything == bool(step) or (everything and (reason or revoke)):
        raise UsageError("name a step, or ask for --list", "such as: clio accept STEP --reason TEXT")
    if step and not reason.strip():
        raise UsageError("an acceptance needs its reason", "add --reason TEXT: it is shown ever after")
    with open_reduction(workspace) as reduction:
        if everything:
            _print_list(reduction.store.acceptances(), as_json)
        elif revoke:
            standing = _in_force(reduction.store, step)
            _confirm(f"take back: {standing.said.step}: {standing.caveat}", yes)
            _print_one(reduction.store.revoke(standing, reason), as_json)
        else:
            _accept(reduction, step, reason.strip(), yes, as_json)


def _accept(reduction: "Reduction", step: str, reason: str, yes: bool, as_json: bool) -> None:
    from pipeline.cli.chains import chain_lines
    from pipeline.cli.questions import teller
    from pipeline.why import candidate

    forecasts = {found.step.id: found for found in reduction.forecast()}
    found = _planned(forecasts, step)
    meant: Candidate = candidate(reduction.store, found, teller(reduction, forecasts))
    if not as_json:
        OUTPUT.say(f"{found.step.id} differs from run {meant.run.run} of {meant.run.started}:")
        for line in chain_lines(meant.causes, everything=True):
            OUTPUT.say(f"  {line}")
    _confirm("let the products of that run stand for this step", yes)
    _print_one(reduction.store.accept(meant.action, meant.run, found.step.id, meant.words, reason), as_json)


def _planned(forecasts: "dict[str, Forecast]", reference: str) -> "Forecast":
    """Find the one step of the plan that is meant."""
    stage, _, unit = reference.partition(":")
    if not is_stage(stage):
        raise UsageError(f"{reference} is no step", "a step is stage:unit; `clio plan` lists them")
    units = [found.step.unit for found in forecasts.values() if found.step.stage.value == stage]
    names = [f"{stage}:{name}" for name in match_units(units, unit)]
    if not names:
        raise UsageError(f"no step of the plan goes by {reference}", "`clio plan` lists them")
    if len(names) > 1:
        few = ", ".join(names[:4])
        raise UsageError(f"{reference} may be any of {len(names)} steps: {few}", "name one of them")
    return forecasts[names[0]]


def _in_force(store: "Store", reference: str) -> "Acceptance":
    """Find the one acceptance that is meant: by its step or its digest."""
    held = [item for item in store.acceptances() if item.revoked is None]
    stage, _, unit = reference.partition(":")
    units = match_units((step.partition(":")[2] for step in _steps(held, stage)), unit)
    found = [item for item in held if item.said.step in {f"{stage}:{name}" for name in units}]
    if not found and len(reference) >= 8:
        digits = reference.removeprefix("sha256:")
        found = [item for item in held if item.statement.removeprefix("sha256:").startswith(digits)]
    if not found:
        raise UsageError(f"nothing is accepted of {reference}", "`clio accept --list` shows what is")
    if len(found) > 1:
        names = ", ".join(item.statement.removeprefix("sha256:")[:12] for item in found)
        raise UsageError(f"{len(found)} differences are accepted of {reference}: {names}", "name one of them")
    return found[0]


def _steps(held: "list[Acceptance]", stage: str) -> tuple[str, ...]:
    """List the steps of a stage of which something is accepted."""
    return tuple(item.said.step for item in held if item.said.step.partition(":")[0] == stage)


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question}? nobody is there to answer", "add --yes")
    if not typer.confirm(question, err=True):
        OUTPUT.say("left as it is")
        raise typer.Exit


def _print_one(item: "Acceptance", as_json: bool) -> None:
    from pipeline.cli.documents import acceptance_document

    if as_json:
        OUTPUT.document("clio-accept/1", {"acceptances": [acceptance_document(item)]})
    else:
        done = "accepted" if item.revoked is None else "taken back"
        OUTPUT.line(f"{done}: {item.said.step}: {item.said.reason}")


def _print_list(items: "tuple[Acceptance, ...]", as_json: bool) -> None:
    from pipeline.cli.documents import acceptance_document
    from pipeline.cli.sheets import acceptance_words

    if as_json:
        OUTPUT.document("clio-accept/1", {"acceptances": [acceptance_document(item) for item in items]})
        return
    for item in items:
        OUTPUT.line(f"{item.said.step}  run {item.said.run}  {item.statement.removeprefix('sha256:')[:12]}")
        OUTPUT.line(f"  {acceptance_words(item)}")
    if not items:
        OUTPUT.say("nothing was ever accepted here")
