"""The verbs that answer: `show`, `trace`, `why`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT, in_words, seconds
from pipeline.cli.references import (
    FoundFile,
    FoundRuns,
    Reference,
    find,
    find_run,
    is_stage,
    match_units,
    the_one,
)
from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from pipeline.forecast import Forecast
    from pipeline.image import Package
    from pipeline.reduce import Reduction
    from pipeline.report import FrameReport, ProductReport, RunReport, Trace
    from pipeline.why import Reason, Teller
    from provenance.model import Run
    from provenance.store import Store

All = Annotated[bool, typer.Option("--all", help="Leave nothing out.")]


class Form(StrEnum):
    """How a lineage is written."""

    TREE = "tree"
    TABLE = "table"
    JSON = "json"
    DOT = "dot"
    MERMAID = "mermaid"
    PROV_JSON = "prov-json"
    PROV_N = "prov-n"
    IVOA = "ivoa"
    CRATE = "crate"


_FOR_PROGRAMS = (Form.JSON, Form.PROV_JSON, Form.PROV_N, Form.IVOA, Form.CRATE)
"""Forms that leave nothing out; the others are for people."""


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(show)
    app.command()(trace)
    app.command()(why)


def show(
    reference: Reference,
    everything: All = False,
    log: Annotated[bool, typer.Option("--log", help="Print the recipe's log instead.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show a product or a run in full: what it is, how it was made, from what, how it went.

    Example: `clio show products/M77/scipost/200012345/DATACUBE_FINAL.fits`
    """
    with open_reduction(workspace) as reduction:
        if log:
            _show_log(reduction.store, reference, as_json)
            return
        found = find(reduction.store, reference)
        if isinstance(found, FoundRuns) and len(found.runs) > 1:
            _show_steps(reference, found.runs, as_json)
        else:
            _show_report(reference, _report(reduction.store, found), everything, as_json)


def trace(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="A path, 8 digits or more of a digest, a run id, or `stage[:exposure[:ifu]]`; with --down "
            "also a name in ESO's archive, an image, or `RECIPE.PARAMETER=VALUE`.",
            show_default=False,
        ),
    ] = "",
    down: Annotated[bool, typer.Option("--down", help="What was made from it, and not from what.")] = False,
    parameter: Annotated[
        str, typer.Option(help="With --down, a value of a parameter.", metavar="NAME=VALUE")
    ] = "",
    form: Annotated[Form, typer.Option("--format", help="How to write it; see docs/exports.md.")] = Form.TREE,
    sidecar: Annotated[
        bool,
        typer.Option(
            "--sidecar", help="Write REF.prov.json beside the product, for `clio verify`; no drawing."
        ),
    ] = False,
    everything: All = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Follow a product back to the raw frames, or anything down to all that was made from it.

    With --down it may be any frame, calibration, product, run, image, or value of a parameter; of the last
    two, and with `--format table`, each run is a line, those of the newest reduction marked.

    Example: `clio trace scipost:200012345 --format mermaid`

    Example: `clio trace --down muse_scipost.skymethod=model`
    """
    from pipeline import report, tainted
    from pipeline.cli import documents, exports, taint
    from pipeline.cli.subjects import is_of_many
    from provenance.blast import newest_reduction

    if bool(reference) == bool(parameter) or (not down and (parameter or form is Form.TABLE)):
        raise UsageError("trace takes one thing; a table and parameters need --down", "clio trace --help")
    if sidecar:
        exports.write_sidecar(workspace, reference, as_json=as_json)
        return
    with open_reduction(workspace) as reduction:
        is_for_programs = form in _FOR_PROGRAMS and not as_json
        if down and (form is Form.TABLE or is_of_many(reduction.store, parameter or reference)):
            if is_for_programs and form is not Form.JSON:
                raise UsageError(
                    f"{parameter or reference} is read by many runs, and {form.value} tells of files",
                    "name a file, or leave out --format",
                )
            taint.show_blast(reduction, parameter or reference, everything, as_json or form is Form.JSON)
            return
        digests = _traced(reduction.store, reference, down, whole=is_for_programs)
        if is_for_programs:
            exports.print_export(reduction, digests, form.value, down=down)
            return
        found = tainted.marked_trace(reduction.store, report.trace(reduction.store, digests, down=down))
        newest = newest_reduction(reduction.store.index, str(reduction.settings.root))
    if as_json:
        body = documents.trace_document(found, newest)
        OUTPUT.document("clio-trace/1", {"reference": reference, **body})
    else:
        _print_trace(found, form, everything)


def why(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="STAGE|STEP|PRODUCT",
            help="A stage, a step such as `flat:2026-01-15T15:35:52:01`, or a reference as `show` takes it.",
            show_default=False,
        ),
    ],
    everything: All = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say why a step ran the last time, and what would become of it now, down to what began it.

    It is compared with the nearest earlier action of the same step. An input that is another product is
    followed to the run that made it, and so on, up to what a person changed.

    Example: `clio why flat`
    """
    with open_reduction(workspace) as reduction:
        now, problem = _forecasts(reduction)
        try:
            steps = _steps_meant(reduction.store, reference, now)
        except UsageError as error:
            raise UsageError(error.message, error.hint or problem or "`clio plan` lists the steps") from error
        tell, place = teller(reduction, now), str(reduction.settings.root)
        reasons = [tell.reason(stage, unit, place) for stage, unit in steps]
    _print_reasons(reference, reasons, problem, everything, as_json)


def teller(reduction: "Reduction", forecasts: "dict[str, Forecast]") -> "Teller":
    """Make what follows reasons to their cause."""
    from pipeline.reasons import Explainer
    from pipeline.why import Teller

    library = reduction.library
    images = {image.config_digest: image for image in library.list()}

    def packages(digest: str) -> "tuple[Package, ...] | None":
        return library.packages(images[digest]) if digest in images else None

    return Teller(reduction.store, reduction.resolver, Explainer(reduction.store, packages), forecasts)


def _report(store: "Store", found: FoundRuns | FoundFile) -> "RunReport | ProductReport | FrameReport":
    from pipeline.report import report_file, report_run
    from pipeline.tainted import marked

    if isinstance(found, FoundRuns):
        return marked(store, report_run(store, found.runs[0]))
    return marked(store, report_file(store, found.digest, found.reference))


def _show_report(
    reference: str, report: "RunReport | ProductReport | FrameReport", everything: bool, as_json: bool
) -> None:
    from pipeline.cli import documents, sheets
    from pipeline.report import ProductReport, RunReport

    match report:
        case RunReport():
            body, lines = documents.run_document(report), sheets.run_lines(report, everything=everything)
        case ProductReport():
            body = documents.product_document(report)
            lines = sheets.product_lines(report, everything=everything)
        case _:
            body, lines = documents.frame_document(report), sheets.frame_lines(report, everything=everything)
    if as_json:
        OUTPUT.document("clio-show/1", {"reference": reference, **body})
    else:
        OUTPUT.line("\n".join(lines))


def _show_steps(reference: str, runs: "tuple[Run, ...]", as_json: bool) -> None:
    from pipeline.cli.documents import run_row

    if as_json:
        rows = [run_row(run) for run in runs]
        OUTPUT.document("clio-show/1", {"reference": reference, "kind": "steps", "runs": rows})
        return
    columns = ("step", "status", "started", "wall s", "products")
    made = (", ".join(dict.fromkeys(output.tag for output in run.outputs)) for run in runs)
    OUTPUT.table(
        columns,
        (
            (f"{run.stage}:{run.unit}", in_words(run.status.value), run.started, seconds(run.wall_ms), tags)
            for run, tags in zip(runs, made, strict=True)
        ),
    )
    OUTPUT.say(f"{len(runs)} steps, the newest run of each; name one to see it in full")


def _show_log(store: "Store", reference: str, as_json: bool) -> None:
    from pipeline.report import read_log

    run = find_run(store, reference)
    text = read_log(store, run)
    if as_json:
        OUTPUT.document("clio-log/1", {"run": run.run, "digest": run.log, "text": text})
    else:
        OUTPUT.line(text.rstrip("\n"))


def _traced(store: "Store", reference: str, down: bool, *, whole: bool = False) -> tuple[str, ...]:
    """List the artifacts to follow: of a run, one product says what all are made from.

    Parameters
    ----------
    store, reference, down
        Where, what, and which way.
    whole : bool
        All products of a run are asked about, and not the first of them.
    """
    from pipeline.cli.subjects import archived
    from pipeline.report import RunReport, report_file

    found = find(store, archived(store, reference) if down else reference, successful=True)
    if isinstance(found, FoundRuns):
        run = the_one(found, reference)
    else:
        report = report_file(store, found.digest, reference)
        if not isinstance(report, RunReport):
            return (found.digest,)
        run = report.run
    if not run.outputs:
        raise UsageError(
            f"run {run.run} of {run.stage}:{run.unit} made nothing ({run.status.value})",
            f"see: clio show {run.run}",
        )
    made = tuple(output.digest for output in run.outputs)
    return made if down or whole else made[:1]


def _print_trace(found: "Trace", form: Form, everything: bool) -> None:
    from pipeline.cli import drawing, graphs
    from pipeline.cli.sheets import counted

    match form:
        case Form.DOT:
            OUTPUT.line(graphs.dot(graphs.graph(found, unfolded=everything)))
        case Form.MERMAID:
            OUTPUT.line(graphs.mermaid(graphs.graph(found, unfolded=everything)))
        case _:
            for tree in drawing.draw(found, unfolded=everything):
                OUTPUT.data.print(tree, soft_wrap=not OUTPUT.data.is_terminal)
            outside = sum(node.made_by is None for node in found.artifacts.values())
            made, runs = counted(len(found.artifacts) - outside, "product"), counted(len(found.runs), "run")
            OUTPUT.say(f"{made}, {runs}, {counted(outside, 'file')} from outside")


def _forecasts(reduction: "Reduction") -> "tuple[dict[str, Forecast], str]":
    """Ask what would happen now; where that cannot be told, say why: the past is known all the same."""
    try:
        return {found.step.id: found for found in reduction.forecast(is_lean=True)}, ""
    except PipelineError as error:
        return {}, error.message


def _steps_meant(store: "Store", reference: str, now: "dict[str, Forecast]") -> tuple[tuple[str, str], ...]:
    """List stage and unit of the steps that a reference means: planned ones, then those only remembered."""
    from pipeline.report import newest_runs

    stage, _, unit = reference.partition(":")
    if not is_stage(stage):
        run = find_run(store, reference)
        return ((run.stage, run.unit),)
    units = {f.step.unit: None for f in now.values() if f.step.stage.value == stage}
    if not units:
        call = store.last_invocation()
        units |= {step.unit: None for step in (call.steps if call else ()) if step.stage == stage}
        units |= dict.fromkeys(newest_runs(store, stage))
    found = match_units(units, unit) or match_units(newest_runs(store, stage), unit)
    if not found:
        raise UsageError(f"no step goes by {reference}", f"there are {', '.join(units)}" if units else "")
    return tuple((stage, name) for name in found)


def _print_reasons(
    reference: str, reasons: "list[Reason]", problem: str, everything: bool, as_json: bool
) -> None:
    from pipeline.cli import documents, sheets

    if as_json:
        steps: list[dict[str, Any]] = [documents.reason_document(reason) for reason in reasons]
        OUTPUT.document("clio-why/1", {"reference": reference, "steps": steps, "problem": problem or None})
        return
    for reason in reasons:
        OUTPUT.line("\n".join(sheets.reason_lines(reason, has_plan=not problem, everything=everything)))
    if problem:
        OUTPUT.say(f"what would happen now cannot be told: {problem}")
