"""The verb that compares: `diff`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace
from pipeline.cli.output import OUTPUT
from pipeline.cli.sheets import counted, digits
from pipeline.cli.sides import Loose, OneRun, Place, Side, Sides, Steps
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.diff import Differ, FilePair, ProductPair, ReductionPair, Root, RunPair
    from provenance.model import Run

    Pair = RunPair | ReductionPair | FilePair

_WHAT = "A product, a run, a step or stage, the folder of a workspace or store, or the id of a call."
_FEW_LINES = 6
"""Lines about each of several products; of one product alone all are shown."""
_FEW_STEPS = 3
"""Steps, or files of a tag, that are named one by one; of more only the number is told."""


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(diff)


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help=_WHAT, show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help="The same.", show_default=False)],
    other: Annotated[
        Path | None,
        typer.Option("--other", metavar="FOLDER", help="The workspace or store in which B is looked up."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Leave nothing out.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say in what two products, runs or reductions differ, from what came out back to where they part.

    A file is looked up in the workspace or store it lies in; one that no store knows is compared as a file.
    Leaves with 7 if anything differs: what was asked, or the data that came out. Cards that only tell when a
    run began are no difference.

    Example: `clio diff scipost scipost --other ../before`
    """
    with Sides(workspace, other) as sides:
        found_sides = sides.find(first, is_second=False), sides.find(second, is_second=True)
        old, new = _narrowed(*found_sides), _narrowed(*reversed(found_sides))
        found = _compared(sides, first, old, second, new)
    if as_json:
        heads = {"a": _side_document(first, old), "b": _side_document(second, new)}
        OUTPUT.document("clio-diff/1", {**heads, "same": found.is_same, **_document(found)})
    else:
        OUTPUT.line(_title("A", first, old))
        OUTPUT.line(_title("B", second, new))
        _print(found, everything)
    if not found.is_same:
        raise typer.Exit(int(Exit.DIFFERENT))


def _compared(sides: Sides, first: str, old: Side, second: str, new: Side) -> "Pair":
    """Compare two sides as what both are.

    Raises
    ------
    UsageError
        One is a reduction or a stage, and the other a run or a file.
    """
    from pipeline.diff import FilePair
    from pipeline.verdict import compare

    if isinstance(old, Steps) and isinstance(new, Steps):
        return _differ(sides, old.place, new.place).reductions(old.runs, new.runs)
    if isinstance(old, Steps) or isinstance(new, Steps):
        many, one = (first, second) if isinstance(old, Steps) else (second, first)
        raise UsageError(f"{many} is several steps, and {one} is not", "compare two of a kind")
    if isinstance(old, OneRun) and isinstance(new, OneRun):
        return _compared_runs(_differ(sides, old.place, new.place), old, new)
    return FilePair(compare(_path(old, first), _path(new, second)))


def _differ(sides: Sides, old: Place, new: Place) -> "Differ":
    from pipeline.diff import Differ
    from pipeline.image import ImageLibrary

    return Differ(old.store, new.store, sides.packages(ImageLibrary()))


def _narrowed(side: Side, other: Side) -> Side:
    """Take the one step that a reference to a stage means, unless it is compared with several."""
    is_one = isinstance(side, Steps) and not side.is_whole and len(side.runs) == 1
    if not is_one or (isinstance(other, Steps) and (other.is_whole or len(other.runs) > 1)):
        return side
    assert isinstance(side, Steps)
    return OneRun(side.place, next(iter(side.runs.values())), None)


def _compared_runs(differ: "Differ", old: OneRun, new: OneRun) -> "RunPair":
    from pipeline.diff import paired

    if old.product is not None and new.product is not None:
        return differ.runs(old.run, new.run, [(old.product, new.product)])
    named = old.product or new.product
    pairs = [pair for pair in paired(old.run.outputs, new.run.outputs) if named is None or named in pair]
    return differ.runs(old.run, new.run, pairs)


def _path(side: OneRun | Loose, reference: str) -> Path | None:
    """Give the file to compare; None if it is gone.

    Raises
    ------
    UsageError
        It is a run, and the other side a file.
    """
    if isinstance(side, Loose):
        return side.path
    if side.product is None:
        raise UsageError(f"{reference} is a run, and the other a file", "name a product of that run")
    objects = side.place.store.objects
    return objects.path(side.product.digest) if objects.has(side.product.digest) else None


# On screen


def _title(letter: str, reference: str, side: Side) -> str:
    match side:
        case Steps(place, runs, is_whole):
            what = "reduction" if is_whole else reference
            return f"{letter}  {what} in {place.folder}, {counted(len(runs), 'step')}"
        case OneRun(place, run, product):
            made = f"{product.tag} {product.name} of " if product else ""
            return f"{letter}  {made}{run.stage}:{run.unit}, run {run.run} of {run.started} in {place.folder}"
        case Loose(path, digest):
            return f"{letter}  {path or reference} ({digits(digest)}), made by no run that is known here"


def _print(found: "Pair", everything: bool) -> None:
    from pipeline.cli import verdicts
    from pipeline.diff import FilePair, ReductionPair

    if isinstance(found, FilePair):
        lines = [f"the files: {found.compared.sameness}", *_indented(verdicts.lines(found.compared))]
    elif isinstance(found, ReductionPair):
        _print_steps(found, everything)
        # Which way a cause came to a reduction's many outcomes says nothing.
        lines = list(_roots_lines([replace(root, through=()) for root in found.roots], everything))
    else:
        lines = list(_run_lines(found, everything))
    for line in lines:
        OUTPUT.line(line)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _roots_lines(roots: "Iterable[Root]", everything: bool) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for number, root in enumerate(roots):
        if number == 0:
            yield "where they part"
        # Two nights differ in every raw frame; each other cause says something of its own.
        is_one_of_many = root.cause.kind in ("frame", "input")
        seen[root.cause.name] += is_one_of_many
        if everything or not is_one_of_many or seen[root.cause.name] <= _FEW_STEPS:
            yield from _root_lines(root, everything)
    for tag, count in seen.items():
        if count > _FEW_STEPS and not everything:
            yield f"  {count - _FEW_STEPS} more of {tag}; --all names them"


def _run_lines(found: "RunPair", everything: bool) -> Iterator[str]:
    from pipeline.cli import verdicts

    same = found.old.run == found.new.run
    yield "one and the same run" if same else f"{_kind(found.old, found.new)}: {found.sameness}"
    if found.old.status != found.new.status:
        yield f"A ended {_ended(found.old)}; B ended {_ended(found.new)}"
    yield from _roots_lines(found.roots, everything)
    if not same and not found.roots:
        yield "they were asked the same"
    for pair in found.products:
        yield f"{pair.tag} {_pair_name(pair)}: {pair.compared.sameness}"
        lines = verdicts.lines(pair.compared)
        shown = lines if everything or len(found.products) == 1 else lines[:_FEW_LINES]
        yield from _indented(shown)
        if len(shown) < len(lines):
            yield f"  {counted(len(lines) - len(shown), 'more line')}; --all prints them"
    if found.around and (everything or not found.roots):
        yield "otherwise too, and no part of what was asked"
        yield from (f"  {name}: {before} -> {after}" for name, before, after in found.around)


def _ended(run: "Run") -> str:
    from pipeline.cli.output import in_words

    return f"{in_words(run.status.value)}{f' ({run.reason})' if run.reason else ''}"


def _kind(old: "Run", new: "Run") -> str:
    if old.stage != new.stage:
        return f"a run of {old.stage} and one of {new.stage}"
    return f"two runs of {old.stage}" if old.unit == new.unit else f"runs of two steps of {old.stage}"


def _pair_name(pair: "ProductPair") -> str:
    if pair.old is None or pair.new is None:
        return f"{pair.name}, only in {'B' if pair.old is None else 'A'}"
    return pair.new.name if pair.old.name == pair.new.name else f"{pair.old.name} -> {pair.new.name}"


def _root_lines(root: "Root", everything: bool) -> Iterator[str]:
    from pipeline.cli.chains import chain_lines

    first, *rest = chain_lines([root.cause], everything=everything)
    yield f"  {first}"
    yield from (f"    {line.removeprefix('<- ')}" for line in rest)
    more = len(root.steps) - _FEW_STEPS
    others = f" and {counted(more, 'more step')}" if more > 0 else ""
    yield f"    in {', '.join(root.steps[:_FEW_STEPS])}{others}"
    if len(root.through) > 1:
        ways = [f"{tag} of {step}" if tag else step for tag, step in root.through]
        yield f"    -> {' -> '.join(ways)}"


def _print_steps(found: "ReductionPair", everything: bool) -> None:
    rows = [step for step in found.steps if everything or step.state != "same"]
    same = sum(step.state == "same" for step in found.steps)
    # Ids of runs are wider than a terminal; without them a row says all that most want to know.
    columns = ("step", "A and B", "run of A", "run of B") if everything else ("step", "A and B")
    if rows:
        cells = ((row.step, row.state.value, _run_id(row.old), _run_id(row.new)) for row in rows)
        OUTPUT.table(columns, (row[: len(columns)] for row in cells))
    OUTPUT.line(f"{counted(same, 'step')} of {len(found.steps)} the same")


def _run_id(run: "Run | None") -> str:
    return run.run if run is not None else "-"


# JSON


def _side_document(reference: str, side: Side) -> dict[str, Any]:
    found: dict[str, Any] = {
        "reference": reference,
        "kind": "file",
        "place": None if isinstance(side, Loose) else str(side.place.folder),
        "step": None,
        "run": None,
        "status": None,
        "tag": None,
        "name": None,
        "digest": None,
    }
    match side:
        case Steps():
            return found | {"kind": "reduction" if side.is_whole else "stage"}
        case OneRun(_, run, product):
            found |= {"kind": "run", "step": f"{run.stage}:{run.unit}", "run": run.run}
            found |= {"status": run.status.value}
            if product is not None:
                found |= {"kind": "product", "tag": product.tag, "name": product.name}
                found |= {"digest": product.digest}
            return found
        case Loose(path, digest):
            return found | {"name": str(path) if path else None, "digest": digest}


def _document(found: "Pair") -> dict[str, Any]:
    from pipeline.diff import FilePair, RunPair

    body: dict[str, Any] = {"sameness": None, "roots": [], "products": [], "around": [], "steps": []}
    if isinstance(found, FilePair):
        return body | {"sameness": found.compared.sameness.value, "comparison": found.compared.document()}
    body["comparison"] = None
    body["roots"] = [_root_document(root) for root in found.roots]
    if isinstance(found, RunPair):
        body["sameness"] = found.sameness.value
        body["products"] = [_product_document(pair) for pair in found.products]
        body["around"] = [{"name": n, "old": before, "new": after} for n, before, after in found.around]
    else:
        body["steps"] = [
            {
                "step": step.step,
                "state": step.state.value,
                "old": step.old and step.old.run,
                "new": step.new and step.new.run,
            }
            for step in found.steps
        ]
    return body


def _root_document(root: "Root") -> dict[str, Any]:
    from pipeline.cli.documents import cause_document

    return {
        "cause": cause_document(root.cause),
        "steps": list(root.steps),
        "through": [{"tag": tag or None, "step": step} for tag, step in root.through],
    }


def _product_document(pair: "ProductPair") -> dict[str, Any]:
    return {
        "tag": pair.tag,
        "name": pair.name,
        "old": pair.old and pair.old.digest,
        "new": pair.new and pair.new.digest,
        "sameness": pair.compared.sameness.value,
        "comparison": pair.compared.document(),
    }
