"""The verbs that give disk space back and take it: `prune`, `pin`, `unpin`, `restore`."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Engine, Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.cli.references import FoundRuns, find
from pipeline.cli.sheets import counted, digits, in_bytes
from pipeline.cli.upkeep import open_store
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.pruning import Proof, Pruning
    from pipeline.reduce import Reduction
    from pipeline.restore import Restored
    from provenance.pins import Pin
    from provenance.prune import Drop, Plan

KEEP_HOURS = 48.0
"""Age below which nothing is dropped unless one says so."""
_SHOWN = 30
"""Steps that are listed of a plan; JSON has them all."""
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

Products = Annotated[
    list[str],
    typer.Argument(
        metavar="REF...",
        help="Products: paths, 8 digits or more of a digest, run ids, or `stage[:exposure[:ifu]]`.",
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with it.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    for verb in (prune, pin, unpin, restore):
        app.command()(verb)


def prune(
    free: Annotated[
        str,
        typer.Option("--free", metavar="SIZE", help="Stop when so much is freed: 500M, 20G; by default all."),
    ] = "",
    intermediates: Annotated[
        bool, typer.Option("--intermediates", help="Of the newest reduction too, drop what other steps read.")
    ] = False,
    keep_hours: Annotated[
        float,
        typer.Option("--keep-hours", min=0.0, help="Keep what was made or read in the last so many hours."),
    ] = KEEP_HOURS,
    prove: Annotated[
        bool, typer.Option("--prove", help="First run again what was never proven to come back.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    engine: Engine = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Drop products that are proven to come back and that nobody needs, cheapest per gigabyte first.

    What is pinned stays, and what the newest reduction shows. `clio restore` brings back what went.

    Example: `clio prune --free 20G --dry-run`
    """
    enough = parse_size(free) if free else None
    open_store(workspace).close()  # none is made only to be pruned
    with open_reduction(workspace, engine) as reduction:
        pruning = _pruning(reduction, intermediates, keep_hours, enough)
        to_prove = pruning.to_prove() if prove else None
        proofs: tuple[Proof, ...] = ()
        if to_prove is not None and not dry_run:
            for_how_long = _span(to_prove.cpu_ms)
            OUTPUT.say(f"running {counted(len(to_prove.drops), 'step')} again, {for_how_long} of CPU time")
            proofs = pruning.prove(to_prove, _say_proof)
        plan = pruning.plan()
        links = pruning.links(plan)
        if not as_json:
            _print_plan(plan, links, to_prove if dry_run else None)
        is_wanted = not dry_run and bool(plan.drops or plan.scratch or plan.unfinished)
        if is_wanted and not yes:
            _ask(plan)
        freed = pruning.carry_out(plan) if is_wanted else 0
    if as_json:
        body = _plan_document(plan, links, to_prove if dry_run else None, proofs)
        OUTPUT.document("clio-prune/1", {"done": is_wanted, **body})
    elif is_wanted:
        OUTPUT.say(f"freed {in_bytes(freed)}; `clio restore` brings a product back")


def pin(
    references: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REF...]", help="Products, as `clio show` takes them.", show_default=False),
    ] = None,
    reason: Reason = "",
    listed: Annotated[bool, typer.Option("--list", help="List the pins that hold.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Keep products from being pruned, for good or until they are unpinned.

    Example: `clio pin products/M77/scipost/200012345/DATACUBE_FINAL.fits --reason "figure 3"`
    """
    if listed == bool(references):
        raise UsageError("pin takes products, or --list", "such as: clio pin scipost")
    open_store(workspace).close()
    with open_reduction(workspace) as reduction:
        store = reduction.store
        held = tuple(pin for pin in store.pins() if pin.unpinned is None)
        if references:
            known = {pin.said.digest: pin for pin in held}
            found = [item for reference in references for item in _products(reduction, reference)]
            held = tuple(
                known.get(p.digest) or store.pin(p.digest, p.tag, p.name, step=p.step, reason=reason)
                for p in dict.fromkeys(found)
            )
    _print_pins(held, "pinned" if references else "", as_json)


def unpin(
    references: Products,
    reason: Reason = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Take pins out: the products may be pruned again.

    Example: `clio unpin scipost --reason "paper is out"`
    """
    open_store(workspace).close()
    with open_reduction(workspace) as reduction:
        store = reduction.store
        digests = {p.digest for reference in references for p in _products(reduction, reference)}
        held = [pin for pin in store.pins() if pin.unpinned is None and pin.said.digest in digests]
        if not held:
            raise UsageError(f"{', '.join(references)} is not pinned", "`clio pin --list` lists what is")
        taken_out = tuple(store.unpin(pin, reason) for pin in held)
    _print_pins(taken_out, "unpinned", as_json)


def restore(
    references: Products,
    engine: Engine = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Make pruned products again from their records, and prove that the bytes are the same.

    What they are made from is made again first, where it was pruned too. Other bytes than recorded are a
    failure: they are kept as those of a replay, and shown nowhere.

    Example: `clio restore products/M77/scibasic/2026-01-16T01:42:00.490/PIXTABLE_OBJECT_0001-01.fits`
    """
    from pipeline.again import Workshop
    from pipeline.restore import Restorer

    open_store(workspace).close()
    with open_reduction(workspace, engine) as reduction:
        settings = reduction.settings
        restorer = Restorer(
            Workshop.of(reduction),
            settings.root,
            settings.products,
            settings.table.clio.link,
            lambda run: OUTPUT.say(f"running {run.stage}:{run.unit} again"),
        )
        wanted = dict.fromkeys(p.digest for reference in references for p in _products(reduction, reference))
        restored = [restorer(digest) for digest in wanted]
    if as_json:
        OUTPUT.document("clio-restore/1", {"products": [_restored_document(item) for item in restored]})
        return
    for item in restored:
        did = "there" if item.replay is None else "restored"
        shown = ", ".join(map(str, item.links)) or str(item.path)
        OUTPUT.line(f"{did:9} {item.tag:16} {digits(item.digest)} {in_bytes(item.size):>9}  {shown}")


def parse_size(text: str) -> int:
    """Read a size in bytes: `500M`, `1.5G`, `20 GB`.

    Raises
    ------
    UsageError
        It is none.

    Examples
    --------
    >>> parse_size("1.5G")
    1500000000
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", text.strip())
    if match is None:
        raise UsageError(f"{text} is no size", "write it as 500M, 20G or 1.5T")
    return round(float(match[1]) * _UNITS[match[2]])


@dataclass(frozen=True, slots=True)
class _Product:
    """A product a reference means."""

    digest: str
    tag: str
    name: str
    step: str


def _products(reduction: "Reduction", reference: str) -> tuple[_Product, ...]:
    """List the products a reference means; a name that went with a pruned product still means it."""
    from pipeline.report import ProductReport, RunReport, report_file

    store, settings = reduction.store, reduction.settings
    path = Path(reference)
    if not path.exists() and path.absolute().is_relative_to(settings.products.absolute()):
        name = path.absolute().relative_to(settings.products.absolute()).as_posix()
        for digest, (said, item) in store.dropped().items():
            if said.workspace == str(settings.root) and name in item.links:
                reference = digest
    found = find(store, reference, successful=True)
    if isinstance(found, FoundRuns):
        made = [(run, output) for run in found.runs for output in run.outputs]
        if not made:
            raise UsageError(f"{reference} made nothing", f"see: clio show {reference}")
        return tuple(_Product(o.digest, o.tag, o.name, f"{r.stage}:{r.unit}") for r, o in made)
    match report_file(store, found.digest, found.reference):
        case ProductReport(file=file, made=made_by):
            return (_Product(file.digest, file.tag, file.name, made_by.step),)
        case RunReport():
            raise UsageError(f"{reference} is the log of a run, and logs are never pruned")
        case _:
            raise UsageError(f"{reference} came from outside, and is never pruned")


def _pruning(
    reduction: "Reduction", intermediates: bool, keep_hours: float, free_bytes: int | None
) -> "Pruning":
    from pipeline.again import Workshop
    from pipeline.pruning import Pruning

    reduction.store.sweep()
    return Pruning(
        Workshop.of(reduction),
        reduction.settings.root,
        reduction.settings.products,
        intermediates=intermediates,
        keep_hours=keep_hours,
        free_bytes=free_bytes,
    )


def _ask(plan: "Plan") -> None:
    """Ask whoever sits there.

    Raises
    ------
    UsageError
        Nobody does.
    Exit
        The answer is no.
    """
    if not sys.stdin.isatty():
        raise UsageError("prune asks before it drops anything, and there is no terminal", "add --yes")
    count = sum(len(drop.objects) for drop in plan.drops)
    if not typer.confirm(f"drop {counted(count, 'product')}, {in_bytes(plan.freed_bytes)}?", err=True):
        raise typer.Exit(int(Exit.OK))


def _say_proof(proof: "Proof") -> None:
    why = f": {proof.reason}" if proof.reason else ""
    OUTPUT.say(f"{proof.verdict:13} {proof.run.stage}:{proof.run.unit}{why}")


def _print_plan(plan: "Plan", links: int, to_prove: "Plan | None") -> None:
    if plan.drops:
        rows = [
            (
                drop.step,
                ", ".join(dict.fromkeys(output.tag for output in drop.objects)),
                f"{drop.freed_bytes / 1e6:.1f}",
                f"{drop.remake_cpu_ms / 1000:.1f}",
            )
            for drop in plan.drops[:_SHOWN]
        ]
        OUTPUT.table(("step", "products", "MB", "to remake: CPU s"), rows)
        if len(plan.drops) > _SHOWN:
            OUTPUT.say(f"and {counted(len(plan.drops) - _SHOWN, 'more step')}; --json lists all")
        for recipe, (count, size, cpu_ms) in _by_recipe(plan).items():
            what = f"{counted(count, 'product')}, {in_bytes(size)}"
            OUTPUT.line(f"{recipe}: {what}, {_span(cpu_ms)} of CPU time to remake")
    for item in plan.scratch:
        OUTPUT.line(f"{item.kind}/{item.name}: {in_bytes(item.bytes)}, kept for a look")
    count = sum(len(drop.objects) for drop in plan.drops)
    shown = f", and {counted(links, 'link')} to them in products/" if links else ""
    OUTPUT.line(f"to drop: {counted(count, 'product')}, {in_bytes(plan.freed_bytes)}{shown}")
    for kept in plan.kept:
        OUTPUT.say(f"kept: {counted(kept.objects, 'product')}, {in_bytes(kept.bytes)}: {kept.reason}")
    if to_prove is not None:
        said = f"{counted(len(to_prove.drops), 'step')} would be run again first"
        OUTPUT.say(f"{said}, {_span(to_prove.cpu_ms)} of CPU time, for {in_bytes(to_prove.freed_bytes)}")
    wanted = plan.terms.free_bytes
    if wanted is not None and plan.freed_bytes < wanted:
        more = "" if plan.terms.intermediates else "; --intermediates may go further"
        OUTPUT.say(f"that is less than {in_bytes(wanted)}: --prove lets more go{more}")


def _by_recipe(plan: "Plan") -> dict[str, tuple[int, int, int]]:
    """Sum products, bytes and CPU milliseconds by recipe."""
    found: dict[str, tuple[int, int, int]] = {}
    for drop in plan.drops:
        count, size, cpu_ms = found.get(drop.recipe, (0, 0, 0))
        found[drop.recipe] = (count + len(drop.objects), size + drop.freed_bytes, cpu_ms + drop.cpu_ms)
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def _plan_document(
    plan: "Plan", links: int, to_prove: "Plan | None", proofs: "tuple[Proof, ...]"
) -> dict[str, Any]:
    return {
        "free_bytes": plan.terms.free_bytes,
        "freed_bytes": plan.freed_bytes,
        "cpu_ms": plan.cpu_ms,
        "links": links,
        "drops": [_drop_document(drop) for drop in plan.drops],
        "by_recipe": [
            {"recipe": recipe, "products": count, "bytes": size, "cpu_ms": cpu_ms}
            for recipe, (count, size, cpu_ms) in _by_recipe(plan).items()
        ],
        "scratch": [{"kind": s.kind, "name": s.name, "bytes": s.bytes} for s in plan.scratch],
        "kept": [{"reason": k.reason.value, "products": k.objects, "bytes": k.bytes} for k in plan.kept],
        "to_prove": [_drop_document(drop) for drop in to_prove.drops] if to_prove else [],
        "proofs": [
            {
                "step": f"{proof.run.stage}:{proof.run.unit}",
                "run": proof.run.run,
                "verdict": proof.verdict,
                "reason": proof.reason,
            }
            for proof in proofs
        ],
    }


def _drop_document(drop: "Drop") -> dict[str, Any]:
    return {
        "step": drop.step,
        "recipe": drop.recipe,
        "run": drop.run.run,
        "bytes": drop.freed_bytes,
        "cpu_ms": drop.cpu_ms,
        "remake_cpu_ms": drop.remake_cpu_ms,
        "products": [
            {"tag": o.tag, "name": o.name, "digest": o.digest, "size": o.size} for o in drop.objects
        ],
    }


def _print_pins(pins: "tuple[Pin, ...]", did: str, as_json: bool) -> None:
    if as_json:
        OUTPUT.document("clio-pin/1", {"pins": [_pin_document(pin) for pin in pins]})
        return
    for pin in pins:
        said = pin.said
        why = f"  {said.reason}" if said.reason else ""
        head = f"{did} " if did else f"{said.at[:19]}Z "
        OUTPUT.line(f"{head}{said.tag} {said.name} ({said.step}, {digits(said.digest)}){why}")
    if not pins:
        OUTPUT.say("nothing is pinned")


def _pin_document(pin: "Pin") -> dict[str, Any]:
    said = pin.said
    return {
        "statement": pin.statement,
        "digest": said.digest,
        "tag": said.tag,
        "name": said.name,
        "step": said.step,
        "reason": said.reason,
        "at": said.at,
        "unpinned": pin.unpinned and {"at": pin.unpinned.at, "reason": pin.unpinned.reason},
    }


def _restored_document(item: "Restored") -> dict[str, Any]:
    return {
        "digest": item.digest,
        "tag": item.tag,
        "name": item.name,
        "size": item.size,
        "path": str(item.path),
        "links": [str(path) for path in item.links],
        "run": item.run,
        "replay": item.replay,
    }


def _span(cpu_ms: int) -> str:
    seconds = cpu_ms / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
