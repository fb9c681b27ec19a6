"""What taints mean for the reduction: steps that must not run, products made again, words for a reader."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from pipeline.model import FrameInput, Problem, Step
from pipeline.record import Job
from pipeline.report import FrameReport, Mark, ProductReport, RunReport, Trace
from provenance.blast import Spread, spread_of
from provenance.errors import short
from provenance.model import Run
from provenance.store import Store
from provenance.taints import Taint, TaintKind

Report = TypeVar("Report", RunReport, ProductReport, FrameReport, RunReport | ProductReport | FrameReport)

_INSTEAD = {
    TaintKind.FRAME: "take it out of the folders of frames (an exposure: [targets.NAME] exclude)",
    TaintKind.PRODUCT: "take it out of the folders of frames",
    TaintKind.IMAGE: "name another image in clio.toml",
    TaintKind.PARAMETER: "set another value in clio.toml",
}
"""What to do about a step that is asked for with something tainted."""


def refused(job: Job, store: Store) -> Step | None:
    """Say why a job must not be done, as problems of its step; None if it may.

    Parameters
    ----------
    job : Job
        The step with its bytes.
    store : Store
        Holds the taints.

    Notes
    -----
    Of what a step reads only files from outside count, and of its key image and parameters: these it would
    read again, and be as bad. Products of other steps come from runs that are believed.
    """
    if not store.tainted:
        return None
    step = job.step
    paths = {item.frame.path for item in step.inputs if isinstance(item, FrameInput)}
    outside = [name for i in job.inputs if i.path in paths for name in (i.digest, i.data_digest)]
    found = store.tainted.of_action(job.action, outside)
    if not found:
        return None
    problems = (Problem(step.id, taint.said.words, _hint(taint)) for taint in found)
    return replace(step, problems=(*step.problems, *problems))


def repeated(run: Run, store: Store) -> str:
    """Say that a run made the same again as a tainted one did; empty if it did not."""
    if not store.tainted or not run.is_success:
        return ""
    made = {(item.tag, item.data_digest or item.digest) for item in run.outputs}
    for earlier in store.runs(key=run.action):
        taints = store.tainted.of_run(earlier) if earlier.run != run.run else ()
        if taints and made == {(item.tag, item.data_digest or item.digest) for item in earlier.outputs}:
            same = {o.digest for o in run.outputs} == {o.digest for o in earlier.outputs}
            return (
                f"{run.stage}:{run.unit} came out with the same {'bytes' if same else 'data'} as "
                f"run {earlier.run}, which is tainted: {taints[0].said.reason}"
            )
    return ""


def marked(store: Store, report: Report) -> Report:
    """Add to what is told of a run or file the taints that reach it."""
    if not store.tainted:
        return report
    reach = spread_of(store)
    match report:
        case RunReport():
            return replace(report, taints=marks_of_run(reach, report.run.run))
        case ProductReport():
            made = replace(report.made, taints=marks_of_run(reach, report.made.run.run))
            return replace(report, made=made, taints=marks_of_file(reach, report.file.digest))
        case _:
            return replace(report, taints=marks_of_file(reach, report.file.digest))


def marked_trace(store: Store, trace: Trace) -> Trace:
    """Add to the runs and files of a lineage the taints that reach them."""
    if not store.tainted:
        return trace
    reach = spread_of(store)
    runs = {id_: replace(report, taints=marks_of_run(reach, id_)) for id_, report in trace.runs.items()}
    found = {digest: marks_of_file(reach, digest) for digest in trace.artifacts}
    return replace(trace, runs=runs, taints={digest: marks for digest, marks in found.items() if marks})


def marks_of_run(spread: Spread, run: str) -> tuple[Mark, ...]:
    """List the taints of a run: its own, then those it inherits."""
    own = spread.direct.get(run, ())
    inherited = []
    for taint in spread.runs.get(run, ()):
        if taint not in own:
            way = next((c for c in spread.through.get(run, ()) if taint in spread.contents.get(c, ())), "")
            inherited.append(Mark(taint, _name(spread, way)))
    return (*(Mark(taint) for taint in own), *inherited)


def marks_of_file(spread: Spread, digest: str) -> tuple[Mark, ...]:
    """List the taints of a file: of a product those of the runs that made it."""
    content = spread.graph.content(digest)
    found = spread.contents.get(content, ())
    makers = [run for run in spread.graph.makers.get(content, ()) if run in spread.runs]
    marks = [mark for run in makers for mark in marks_of_run(spread, run) if mark.taint in found]
    known = {mark.taint for mark in marks}
    return _once((*(Mark(taint) for taint in found if taint not in known), *marks))


def _once(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    first: dict[Taint, Mark] = {}
    for mark in marks:
        first.setdefault(mark.taint, mark)
    return tuple(first.values())


def _name(spread: Spread, content: str) -> str:
    graph = spread.graph
    for run in graph.makers.get(content, ()):
        made = next(item for item in graph.makes[run] if item.content == content)
        row = graph.runs[run]
        return f"{made.tag} {short(made.digest)} of {row.stage}:{row.unit}"
    return f"file {short(content)}" if content else ""


def _hint(taint: Taint) -> str:
    instead = _INSTEAD.get(taint.said.kind, "")
    clear = f"clio taint --clear {short(taint.statement)} --reason TEXT"
    return f"{instead}, or if it is sound: {clear}" if instead else clear
