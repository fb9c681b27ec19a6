"""The verbs that hand a reduction on: `export`, `freeze`."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Engine, Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.cli.references import FoundRuns, find, find_run
from pipeline.cli.sheets import counted
from pipeline.cli.upkeep import open_store
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.bundle_parts import Holding
    from pipeline.bundles import Draft
    from pipeline.freezing import Frozen
    from pipeline.reduce import Reduction
    from provenance.bundling import Written
    from provenance.model import Run
    from provenance.store import Store

EXPORTED = "clio-export/1"
FROZEN = "clio-freeze/1"

References = Annotated[
    list[str],
    typer.Argument(
        metavar="REF...",
        help="Products, runs, steps or stages, as `clio show` takes them.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="BUNDLE", help="The file that is written; none may be there yet."),
]
WithImage = Annotated[bool, typer.Option("--with-image", help="Hold the recipe image too.")]
WithCalib = Annotated[bool, typer.Option("--with-calib", help="Hold static calibrations too.")]
WithRaw = Annotated[bool, typer.Option("--with-raw", help="Hold raw frames too.")]
WithIntermediate = Annotated[
    bool, typer.Option("--with-intermediate", help="Hold every product on the way, not only those named.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(export)
    app.command()(freeze)


def export(
    references: References,
    output: Output,
    with_image: WithImage = False,
    with_calib: WithCalib = False,
    with_raw: WithRaw = False,
    with_intermediate: WithIntermediate = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Write products with all that says how they were made into one file, a bundle, for others.

    It holds the products, and of every run on the way its record, log, and what was said of it; settings and
    lock; and on request image, calibrations and raw frames, which are else named with digest and place. It
    is a bag (BagIt) and a research object (RO-Crate) at once. The same reduction gives the same file, and its
    id, the digest of all digests, can stand in a paper.

    Records name the host and the folders of each run, as they always did.

    Example: `clio export combine -o m100.clio.zip --with-image --with-calib`
    """
    from pipeline.bundle_parts import Holding
    from pipeline.bundles import write

    _check_output(output)
    open_store(workspace).close()  # none is made only to find nothing in it
    holding = Holding(with_image, with_calib, with_raw, with_intermediate)
    with open_reduction(workspace) as reduction:
        made = _draft(reduction, references, holding)
        with _progress("writing", made) as listen:
            written = write(made, output, listen)
    if as_json:
        OUTPUT.document(EXPORTED, export_document(made, written, output))
    else:
        print_export(made, written, output)


def freeze(
    references: References,
    output: Output,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, metavar="N", help="Make only N of the runs again, drawn by lot."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the lot: the same number draws the same runs.")] = 0,
    with_image: WithImage = False,
    with_calib: WithCalib = False,
    with_raw: WithRaw = False,
    with_intermediate: WithIntermediate = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Recipes at once.")] = None,
    engine: Engine = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Export once everything is proven: every byte read, every run made again with the same data.

    Every file that goes in is read whole, trusting no date. Then all runs are made again from raw frames, or
    with --sample some of them, each from what it read. The verdicts go into the bundle with the records.

    Leaves with 7, and writes no bundle, unless every product comes out with the same data.

    Example: `clio freeze combine -o m100.clio.zip --sample 5 --with-image --with-calib --with-raw`
    """
    from pipeline.bundle_parts import Holding
    from pipeline.cli.replay import watching
    from pipeline.freezing import Drawn
    from pipeline.freezing import freeze as prove_and_write
    from pipeline.replay import Terms

    _check_output(output)
    open_store(workspace).close()
    holding = Holding(with_image, with_calib, with_raw, with_intermediate)
    with open_reduction(workspace, engine) as reduction:
        made = _draft(reduction, references, holding)
        table = reduction.settings.table.clio
        memory = None if table.memory_gb is None else round(table.memory_gb * 1e9)
        found = prove_and_write(
            made,
            output,
            Drawn(sample, seed),
            Terms(jobs=jobs or table.jobs, memory_bytes=memory),
            progress=lambda verb: _progress(verb, made),
            watching=lambda links: watching(links, reduction.cancel),
        )
    tell_frozen(made, found, output, as_json=as_json)
    if found.bundle is None:
        raise typer.Exit(int(Exit.DIFFERENT))


def tell_frozen(made: "Draft", found: "Frozen", output: Path, *, as_json: bool) -> None:
    """Print the verdicts, and what was written."""
    from pipeline.cli.replay import document, print_replay

    files = len(made.objects)
    if as_json:
        bundle = found.bundle and export_document(made, found.bundle, output)
        verified = {"files": files, "bytes": found.read_bytes}
        OUTPUT.document(FROZEN, {"bundle": bundle, "verified": verified, "replay": document(found.replay)})
        return
    print_replay(found.replay)
    OUTPUT.say(f"{counted(files, 'file')}, {found.read_bytes / 1e6:.1f} MB read whole: as recorded")
    if found.bundle is None:
        OUTPUT.say(
            "no bundle was written: what does not come out again is not frozen; clio export writes one"
        )
    else:
        print_export(made, found.bundle, output)


def _check_output(output: Path) -> None:
    """Refuse a place that cannot be written to, before anything takes long."""
    if output.exists() or output.is_symlink():
        raise UsageError(f"{output} is there already", "bundles are never replaced: name another file")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}", "make it, or name another")


def _draft(reduction: "Reduction", references: list[str], holding: "Holding") -> "Draft":
    from pipeline.again import Workshop
    from pipeline.bundles import draft

    runs: dict[str, Run] = {}
    products: dict[str, None] = {}
    for reference in references:
        found, made = _meant(reduction.store, reference)
        runs |= {run.run: run for run in found}
        products |= dict.fromkeys(made)
    _tell_taints(reduction.store, tuple(runs.values()))
    return draft(Workshop.of(reduction), reduction.settings, runs.values(), products, holding)


def _meant(store: "Store", reference: str) -> "tuple[tuple[Run, ...], tuple[str, ...]]":
    """Find runs, and those of their products that are meant: all, or the one that was named."""
    found = find(store, reference, successful=True)
    if isinstance(found, FoundRuns):
        return found.runs, tuple(item.digest for run in found.runs for item in run.outputs)
    run = find_run(store, reference)
    if all(item.digest != found.digest for item in run.outputs):
        raise UsageError(f"{reference} is no product of run {run.run}", f"name the run: {run.run}")
    return (run,), (found.digest,)


def _tell_taints(store: "Store", runs: "tuple[Run, ...]") -> None:
    """Say that what is handed on was found to be bad; the bundle says so too."""
    for run in runs:
        if doubt := store.tainted.doubt(run):
            OUTPUT.say(f"{run.stage}:{run.unit}: {doubt}")


def print_export(made: "Draft", written: "Written", output: Path) -> None:
    """Print id and file, and say what is in it and what is not."""
    OUTPUT.line(f"{written.id}  {output}")
    for line in _sheet(made):
        OUTPUT.say(line)
    OUTPUT.say(f"{counted(written.members, 'file')}, {written.size / 1e6:.1f} MB")
    OUTPUT.say(f"for the paper: clio bundle {written.id.partition(':')[2][:12]}")


def _sheet(made: "Draft") -> Iterator[str]:
    found = made.description
    frames = {
        kind: {f.digest: f.stored for f in found.frames if f.kind == kind} for kind in ("raw", "static")
    }
    yield f"{counted(len(made.closure.runs), 'run')}, with records and logs"
    for word, items, option in (
        ("product", {item.digest: item.stored for item in found.products}, "--with-intermediate"),
        ("image", {item.config: item.stored for item in found.images}, "--with-image"),
        ("calibration", frames["static"], "--with-calib"),
        ("raw frame", frames["raw"], "--with-raw"),
    ):
        held = sum(items.values())
        left = len(items) - held
        if items:
            yield counted(held, word) + (f"; {left} by digest only, without {option}" if left else "")


def export_document(made: "Draft", written: "Written", output: Path) -> dict[str, Any]:
    """Describe a bundle that was written as JSON."""
    found = made.description
    return {
        "path": str(output),
        "id": written.id,
        "size": written.size,
        "files": written.members,
        "runs": len(made.closure.runs),
        "roots": list(found.roots),
        "asked": list(made.products),
        "products": [
            {"run": p.run, "tag": p.tag, "name": p.name, "digest": p.digest, "stored": p.stored}
            for p in found.products
        ],
        "images": [{"config": i.config, "archive": i.archive, "stored": i.stored} for i in found.images],
        "frames": [
            {
                "kind": f.kind,
                "tag": f.tag,
                "name": f.name,
                "arcfile": f.arcfile,
                "digest": f.digest,
                "size": f.size,
                "stored": f.stored,
                "where": f.where,
            }
            for f in found.frames
        ],
    }


@contextlib.contextmanager
def _progress(verb: str, made: "Draft") -> "Iterator[Callable[[int], None]]":
    """Show how far it is, if somebody watches."""
    if not OUTPUT.shows_progress:
        yield lambda size: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=OUTPUT.talk, transient=True) as bars:
        task = bars.add_task(verb, total=sum(item.size for item in made.objects))
        yield lambda size: bars.update(task, advance=size)
