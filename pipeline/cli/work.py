"""The verbs that reduce: `plan`, `run`, `status`."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.at_once import asked, is_known, say_nothing_to_run
from pipeline.cli.options import (
    Datasets,
    Engine,
    Json,
    JsonLines,
    Set,
    Targets,
    Workspace,
    open_reduction,
)
from pipeline.cli.output import OUTPUT, print_json
from pipeline.cli.progress import watching
from pipeline.errors import UsageError
from pipeline.places import find_workspace

if TYPE_CHECKING:
    from pipeline.forecast import Forecast
    from pipeline.model import Plan, Stage
    from pipeline.summary import Made, Summary
    from pipeline.why import RootCause

Stages = Annotated[
    list[str] | None, typer.Argument(metavar="[STAGE]...", help="Stages, such as `bias flat`; all without.")
]
First = Annotated[str, typer.Option(help="The first stage of a stretch.", metavar="STAGE")]
Last = Annotated[str, typer.Option(help="The last stage of a stretch.", metavar="STAGE")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(plan)
    app.command()(run)
    app.command()(status)


def plan(
    stages: Stages = None,
    first: First = "",
    last: Last = "",
    target: Targets = None,
    dataset: Datasets = None,
    why: Annotated[bool, typer.Option("--why", help="Name first what began it, down to its cause.")] = False,
    parameters: Set = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say what would run and why, hit or miss; runs nothing.

    Example: `clio plan --last prep_align --why`
    """
    from pipeline.cli.questions import teller
    from pipeline.stages import Only

    wanted = _stages(stages, first, last)
    with open_reduction(workspace) as reduction:
        reduction.ask_for(_named(stages, first, last))
        reduction.set_parameters(parameters or ())
        planned = reduction.plan()
        every = reduction.forecast(planned, Only.named(target or (), dataset or ()), is_lean=True)
        found = [f for f in every if f.step.stage in wanted]
        shown = {f.step.id for f in found}
        causes = teller(reduction, {f.step.id: f for f in every}).root_causes() if why else ()
        causes = tuple(cause for cause in causes if not shown.isdisjoint((*cause.steps, *cause.waiting)))
    if as_json:
        steps = [_forecast_document(f) for f in found]
        body = {"steps": steps, **_problem_document(planned)}
        if why:
            body["causes"] = [_root_cause_document(cause) for cause in causes]
        OUTPUT.document("clio-plan/1", body)
    else:
        for cause in causes:
            OUTPUT.line("\n".join(root_cause_lines(cause)))
        if causes:
            OUTPUT.line("")
        OUTPUT.table(
            ("outcome", "stage", "unit", "why"),
            ((f.outcome.value, f.step.stage.value, f.step.unit, f.why[0]) for f in found),
        )
        _say_problems(planned)
        _print_hints(found)
        OUTPUT.say(_counted(Counter(f.outcome.value for f in found), "steps"))


def run(
    stages: Stages = None,
    first: First = "",
    last: Last = "",
    target: Targets = None,
    dataset: Datasets = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Recipes at once.")] = None,
    memory: Annotated[
        str, typer.Option(help="What recipes may take together, such as 16GB.", metavar="SIZE")
    ] = "",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed with the same inputs before.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Run nothing if a frame cannot be used or a step cannot run.")
    ] = False,
    locked: Annotated[
        bool, typer.Option("--locked", help="Do what clio.lock says and nothing else; leave it as it is.")
    ] = False,
    parameters: Set = None,
    engine: Engine = "",
    workspace: Workspace = None,
    as_json: JsonLines = False,
) -> None:
    """Reduce: run what is not known yet, and nothing else.

    A recipe that failed is not tried again with the same inputs, parameters and image, unless asked for; one
    that was killed, or met a full disk or its limit of memory or time, is.

    What was reduced is pinned in clio.lock. With --locked anything else is refused before it begins, with
    exit code 2, or 3 if only frames differ; products that have other data than the lock says end with 7.

    Recipes run beside each other, one a core (--jobs), as long as the memory that they took earlier fits
    (--memory; what is free without). With --memory each is held to its share; one that needs more is tried
    once more, alone and with all of it.

    Parameters of --set win over clio.toml for this call and are recorded as of the command line; clio.lock
    then stays as it is. One that has no part in what is run is refused.

    What cannot be used or done is said and left out, and the rest goes on. With --strict nothing is begun
    then, and the exit code is 3.

    With --target or --dataset only these are reduced, with the calibrations that they need.

    Example: `clio run --last prep_align --jobs 8 --memory 32GB --target "NGC 300"`

    Example: `clio run scipost --set muse_scipost.pixfrac=0.7,0.7`
    """
    from pipeline.stages import Only
    from pipeline.standing import Beginning, Standing, keep

    began = time.monotonic()
    wanted = _stages(stages, first, last)
    memory_bytes = _bytes(memory)
    only = Only.named(target or (), dataset or ())
    words = asked(stages or (), first=first, last=last, only=only.words)
    folder = find_workspace(workspace)
    if locked and parameters:
        raise UsageError("--locked and --set exclude each other", "the lock says every parameter")
    if not (as_json or locked or strict or parameters) and is_known(folder, words, began):
        return

    from pipeline.config import load
    from pipeline.events import failure
    from pipeline.reduce import Reduction
    from pipeline.summary import AsLocked

    settings = load(folder)
    as_locked = AsLocked.IN_DATA if locked else AsLocked.NO
    beginning = Beginning.now(settings.store)
    with (
        Reduction(settings, engine=engine) as reduction,
        watching(reduction.cancel, as_json=as_json) as listen,
    ):
        reduction.ask_for(_named(stages, first, last))
        reduction.set_parameters(parameters or ())
        summary = reduction.run(
            *(wanted, listen, tuple(sys.argv), jobs),
            memory_bytes=memory_bytes,
            only=only,
            retry_failed=retry_failed,
            as_locked=as_locked,
            is_strict=strict,
        )
        relied = None if locked else reduction.relied(summary, beginning)
        if relied is not None:
            said = (*(f"problem: {problem}" for problem in summary.problems), *summary.remarks)
            keep(folder, words, Standing(summary.hits, said), relied)
        if reduction.engine.is_open and not as_json:
            OUTPUT.say(f"engine: {reduction.engine.name} {reduction.engine.version()}")
    if as_json:
        print_json({"schema": "clio-run-summary/1", **_summary_document(summary)})
    else:
        _say_problems(summary)
        _print_summary(summary)
    error = failure(summary.events)
    if error is not None:
        raise error


def status(
    target: Targets = None, dataset: Datasets = None, workspace: Workspace = None, as_json: Json = False
) -> None:
    """Say where things stand, stage by stage.

    Example: `clio status`
    """
    from pipeline.blast import blasts
    from pipeline.cli.sheets import counted
    from pipeline.cli.taint import taint_words, taints_document
    from pipeline.stages import Only
    from pipeline.why import caveats

    with open_reduction(workspace) as reduction:
        found = reduction.forecast(only=Only.named(target or (), dataset or ()), is_lean=True)
        last = reduction.store.last_invocation(str(reduction.settings.root))
        imports = reduction.store.imports
        taints = blasts(reduction.store, workspace=str(reduction.settings.root))
    stages: dict[str, Counter[str]] = {}
    for f in found:
        stages.setdefault(f.step.stage.value, Counter())[f.outcome.value] += 1
        stages[f.step.stage.value]["caveat"] += bool(f.caveats)
    told = caveats({f.step.id: f for f in found})
    if as_json:
        rows = [
            {"stage": stage, **{name: counts[name] for name in ("hit", "caveat", "miss", "blocked")}}
            for stage, counts in stages.items()
        ]
        remarks = [{"step": c.step, "caveats": [c.text], "carried_by": list(c.also)} for c in told]
        OUTPUT.document(
            "clio-status/1",
            {
                "stages": rows,
                "caveats": remarks,
                "taints": taints_document(taints),
                "imported": {"runs": len(imports.runs), "trusted": imports.trusted_count},
                "last_run": last.started if last else None,
            },
        )
        return
    OUTPUT.table(
        ("stage", "made", "with caveats", "to run", "blocked"),
        (
            (stage, *(str(counts[name]) for name in ("hit", "caveat", "miss", "blocked")))
            for stage, counts in stages.items()
        ),
    )
    for caveat in told[:_SHOWN]:
        also = f" (carried to {counted(len(caveat.also), 'step')})" if caveat.also else ""
        OUTPUT.say(f"caveat: {caveat.step}: {caveat.text}{also}")
    if len(told) > _SHOWN:
        OUTPUT.say(f"caveats: {len(told) - _SHOWN} more; all of them: clio status --json")
    for line in taint_words(taints):
        OUTPUT.say(line)
    _print_hints([f for f in found if f.outcome.value == "blocked"])
    if imports.runs:
        brought = counted(len(imports.runs), "run")
        OUTPUT.say(f"imported: {brought}, {imports.trusted_count} of them trusted; clio trust --list")
    OUTPUT.say(f"last run: {last.started}, exit {last.exit_status}" if last else "never run")


def _stages(names: list[str] | None, first: str, last: str) -> "tuple[Stage, ...]":
    from pipeline.stages import stage_of, stretch

    if names and (first or last):
        raise UsageError("stages by name and a stretch of stages exclude each other", "give one of the two")
    return tuple(stage_of(name) for name in names) if names else stretch(first or None, last or None)


def _bytes(memory: str) -> int | None:
    if not memory:
        return None
    from pipeline.budget import bytes_of

    return bytes_of(memory)


def _named(names: list[str] | None, first: str, last: str) -> "list[Stage]":
    """List the stages that stand in the call."""
    from pipeline.stages import stage_of

    return [stage_of(name) for name in (*(names or ()), first, last) if name]


def _forecast_document(found: "Forecast") -> dict[str, Any]:
    return {
        "stage": found.step.stage.value,
        "recipe": found.step.recipe,
        "unit": found.step.unit,
        "target": found.step.target,
        "dataset": found.step.dataset,
        "outcome": found.outcome.value,
        "why": list(found.why),
        "waits_for": list(found.roots),
        "caveats": list(found.caveats),
        "action": found.key,
        "run": found.run.run if found.run else None,
        "associations": [
            {
                "tag": a.tag,
                "chosen": a.chosen,
                "level": a.level,
                "distance_s": a.distance_s,
                "reason": a.reason,
                "rejected": list(a.rejected),
            }
            for a in found.step.associations
        ],
    }


def _root_cause_document(cause: "RootCause") -> dict[str, Any]:
    return {
        "stage": cause.stage,
        "kind": cause.kind.value,
        "text": cause.text,
        "details": list(cause.details),
        "steps": list(cause.steps),
        "waiting": list(cause.waiting),
    }


def root_cause_lines(cause: "RootCause") -> Iterator[str]:
    """Say what makes steps run, and how many."""
    from pipeline.cli.chains import FEW_CAUSES
    from pipeline.cli.sheets import counted

    first = f"{cause.steps[0]}{f' and {len(cause.steps) - 1} more' if len(cause.steps) > 1 else ''}"
    at_stages = {step.partition(":")[0] for step in cause.steps}
    where = "" if at_stages == {cause.stage} else f"{cause.stage}: "
    waiting = f", {counted(len(cause.waiting), 'step')} after them" if cause.waiting else ""
    yield f"{where}{cause.text}"
    for detail in cause.details[:FEW_CAUSES]:
        yield f"  {detail}"
    if len(cause.details) > FEW_CAUSES:
        yield f"  and {len(cause.details) - FEW_CAUSES} more: clio why {cause.steps[0]} --all"
    yield f"  makes {counted(len(cause.steps), 'step')} run ({first}){waiting}"


def _problem_document(of: "Plan | Summary") -> dict[str, Any]:
    problems = [{"path": p.subject, "reason": p.reason, "hint": p.hint} for p in of.problems]
    return {"problems": problems, "remarks": list(of.remarks)}


def _say_problems(of: "Plan | Summary") -> None:
    """Say which files are not used, and why; the rest goes on without them."""
    for problem in of.problems:
        OUTPUT.say(f"problem: {problem}")
    for remark in of.remarks:
        OUTPUT.say(remark)


def _print_hints(found: "list[Forecast]") -> None:
    hints = dict.fromkeys(p.hint for f in found for p in f.step.problems if p.hint)
    if any(f.has_failed for f in found):
        hints["what failed is tried again with the same inputs only by: clio run --retry-failed"] = None
    for hint in hints:
        OUTPUT.say(f"hint: {hint}")


def _counted(counts: Counter[str], noun: str) -> str:
    parts = [f"{count} {word}" for word, count in sorted(counts.items())]
    return f"{sum(counts.values())} {noun}: {', '.join(parts)}" if parts else f"no {noun}"


def made_document(made: "Made") -> dict[str, Any]:
    """Describe a product as JSON."""
    return {
        "tag": made.tag,
        "path": str(made.path),
        "digest": made.digest,
        "data_digest": made.data_digest,
        "stage": made.stage.value,
        "unit": made.unit,
        "did": made.did.value,
    }


def _summary_document(summary: "Summary") -> dict[str, Any]:
    return {
        "ran": summary.ran,
        "hits": summary.hits,
        "failed": summary.failed,
        "blocked": summary.blocked,
        "wall_s": round(summary.wall_s, 3),
        "products": [made_document(made) for made in summary.products],
        **_problem_document(summary),
    }


def _print_summary(summary: "Summary") -> None:
    from pipeline.events import Did, root_of

    if not summary.ran and not summary.failed and not summary.blocked:
        say_nothing_to_run(summary.hits, summary.wall_s)
        return
    OUTPUT.line(
        f"{summary.ran} ran, {summary.hits} hits, {summary.failed} failed, {summary.blocked} blocked "
        f"in {summary.wall_s:.0f} s"
    )
    for did in (Did.FAILED, Did.BLOCKED):
        _print_reasons(did.value, [root_of(event) for event in summary.events if event.did is did])


def _print_reasons(did: str, roots: list[tuple[str, str]]) -> None:
    """Print a line for each reason, that of most steps first; few enough to fit a screen."""
    by_reason: dict[str, list[str]] = {}
    for id_, reason in sorted(roots):
        by_reason.setdefault(reason, []).append(id_)
    most_first = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    for reason, ids in most_first[:_SHOWN]:
        steps = "1 step" if len(ids) == 1 else f"{len(ids)} steps"
        others = len(set(ids)) - 1
        begin = f"{ids[0]} and {others} more" if others else ids[0]
        OUTPUT.line(_cut(f"{did:8}{begin if did == 'failed' else f'{steps} for want of {begin}'}: {reason}"))
    if len(most_first) > _SHOWN:
        left = sum(len(ids) for _, ids in most_first[_SHOWN:])
        OUTPUT.line(f"        and {left} more for {len(most_first) - _SHOWN} reasons; all of them: clio plan")


_SHOWN = 3
"""Reasons for which steps failed, or are blocked, that a summary names: it has to fit a screen."""


def _cut(line: str) -> str:
    """Shorten a line to what two lines of a terminal hold; `clio why` has the whole of it."""
    return line if len(line) <= 158 else f"{line[:157]}…"
