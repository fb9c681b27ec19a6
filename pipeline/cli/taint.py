"""The verb `taint`, and what `trace --down` prints of what came of a thing."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT, in_words
from pipeline.cli.sheets import counted, digits
from pipeline.cli.subjects import find_subject
from pipeline.cli.upkeep import open_store
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.blast import Blast, Reached, Subject
    from pipeline.reduce import Reduction
    from provenance.taints import Taint

_SAID = 3
"""Taints that `status` names."""
_FEW = 40
"""Runs that are listed one by one unless all are asked for."""


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(taint)


def taint(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="A run, product, raw frame, static calibration or image, or `RECIPE.PARAMETER=VALUE`.",
            show_default=False,
        ),
    ] = "",
    reason: Annotated[str, typer.Option(help="What is wrong with it.", metavar="TEXT")] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Clear what was tainted: it is sound.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the taints that hold.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="With --list, those cleared too.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Mark something as bad, and with it all that came of it; the next `clio run` does what cures it.

    A tainted run or product is made again, and what follows only if that comes out otherwise. A step that
    would read a tainted frame, or use a tainted image or value of a parameter, is blocked until another is
    given. Nothing is deleted.

    Example: `clio taint bias:2026-01-15T13:59:52:01 --reason "the disk of that host was failing"`

    Example: `clio taint muse_scipost.skymethod=model --reason "leaves residuals"`

    Example: `clio taint --clear bias:2026-01-15T13:59:52:01 --reason "the disk was sound after all"`
    """
    if listed == bool(reference) or (listed and (reason or clear)):
        raise UsageError("taint takes one thing with --reason, or --list", "such as: clio taint --list")
    if reference and not reason.strip():
        raise UsageError("a taint needs its reason", "add --reason TEXT: it is shown ever after")
    open_store(workspace).close()
    with open_reduction(workspace) as reduction:
        if listed:
            _list(reduction, everything, as_json)
        elif clear:
            _clear(reduction, reference, reason.strip(), as_json)
        else:
            _taint(reduction, reference, reason.strip(), as_json)


def show_blast(reduction: "Reduction", reference: str, everything: bool, as_json: bool) -> None:
    """Print all that came of a thing."""
    from pipeline.blast import blast

    subject = find_subject(reduction, reference)
    found = blast(reduction.store, subject, workspace=str(reduction.settings.root))
    if as_json:
        OUTPUT.document("clio-blast/1", {"subject": subject_document(subject), **_blast_document(found)})
        return
    if everything or len(found.runs) <= _FEW:
        OUTPUT.table(("now", "step", "run", "products"), map(_row, found.runs))
    else:
        _print_stages(found)
        OUTPUT.say(f"{len(found.runs)} runs; --all lists them")
    OUTPUT.say(f"of {subject.words} came {_counts(found)}")


def subject_document(subject: "Subject") -> dict[str, Any]:
    """Describe a thing that products come of."""
    return {
        "kind": subject.kind.value,
        "subject": subject.subject,
        "name": subject.name,
        "value": subject.value or None,
        "data_digest": subject.content or None,
    }


def taint_document(taint: "Taint") -> dict[str, Any]:
    """Describe a taint, and what became of it."""
    said, back = taint.said, taint.cleared
    return {
        "taint": taint.statement,
        "kind": said.kind.value,
        "subject": said.subject,
        "name": said.name,
        "value": said.value or None,
        "data_digest": said.content or None,
        "runs": list(said.runs),
        "reason": said.reason,
        "at": said.at,
        "is_foreign": taint.is_foreign,
        "cleared_at": back and back.at,
        "cleared_reason": back and back.reason,
    }


def taints_document(found: "dict[Taint, Blast]") -> list[dict[str, Any]]:
    """Describe taints, each with what it reaches."""
    return [{**taint_document(taint), **_numbers(reach)} for taint, reach in found.items()]


def taint_words(found: "dict[Taint, Blast]") -> Iterator[str]:
    """Say taints in a line each, the newest first, a few of them."""
    for taint, reach in list(found.items())[: -_SAID - 1 : -1]:
        yield f"taint: {taint.said.words}; it reaches {_counts(reach)}"
    if len(found) > _SAID:
        yield f"taints: {len(found) - _SAID} more; all of them: clio taint --list"


def _taint(reduction: "Reduction", reference: str, reason: str, as_json: bool) -> None:
    from pipeline.blast import blasts
    from provenance.taints import Tainted, TaintKind, state

    subject = find_subject(reduction, reference)
    held = (t for t in reduction.store.tainted.all if subject.is_of(t))
    # A product that came out the same again may be tainted once more: with the runs that made it since.
    known = next((t for t in held if set(subject.runs) <= {t.said.subject, *t.said.runs}), None)
    if known is not None:
        hint = f"clear it first: clio taint --clear {digits(known.statement)} --reason TEXT"
        raise UsageError(f"{known.said.words} already", hint)
    runs = subject.runs if subject.kind is TaintKind.PRODUCT else ()
    said = Tainted(
        *(subject.kind, subject.subject, subject.name, reason, _now()),
        value=subject.value,
        content=subject.content,
        runs=runs,
    )
    made = state(reduction.store, said)
    found = blasts(reduction.store, workspace=str(reduction.settings.root))[made]
    if as_json:
        body = {"taints": [{**taint_document(made), **_numbers(found)}]}
        OUTPUT.document("clio-taint/1", body)
        return
    OUTPUT.line(made.said.words)
    if found.runs:
        _print_stages(found)
    OUTPUT.say(f"it reaches {_counts(found)}; what `clio run` would do now: clio plan --why")


def _clear(reduction: "Reduction", reference: str, reason: str, as_json: bool) -> None:
    from provenance.taints import clear

    taint = _held(reduction, reference)
    done = clear(reduction.store, taint, reason, _now())
    if as_json:
        OUTPUT.document("clio-taint/1", {"taints": [taint_document(done)]})
    else:
        OUTPUT.line(f"cleared: {taint.said.words.replace(' is tainted: ', ': ', 1)}")


def _held(reduction: "Reduction", reference: str) -> "Taint":
    """Find the taint that is meant: by its digits, or by what is tainted."""
    held = reduction.store.tainted.all
    if not held:
        raise UsageError("nothing is tainted", "`clio taint --list --all` shows what was cleared")
    if len(reference) >= 8:
        begin = reference.removeprefix("sha256:")
        named = [t for t in held if t.statement.removeprefix("sha256:").startswith(begin)]
        if len(named) == 1:
            return named[0]
    subject = find_subject(reduction, reference)
    found = [taint for taint in held if subject.is_of(taint)]
    if not found:
        raise UsageError(f"{subject.words} is not tainted itself", "`clio taint --list` shows what is")
    return found[0]


def _list(reduction: "Reduction", everything: bool, as_json: bool) -> None:
    from pipeline.blast import blasts

    store, workspace = reduction.store, str(reduction.settings.root)
    every = store.taints()
    shown = every if everything else tuple(taint for taint in every if taint.cleared is None)
    reach = blasts(store, workspace=workspace)
    if as_json:
        rows = [{**taint_document(t), **(_numbers(reach[t]) if t in reach else {})} for t in shown]
        OUTPUT.document("clio-taint/1", {"taints": rows})
        return
    for taint in shown:
        OUTPUT.line(f"{digits(taint.statement)}  {taint.said.words}")
        if taint.cleared:
            why = f": {taint.cleared.reason}" if taint.cleared.reason else ""
            OUTPUT.line(f"  said {taint.said.at}, cleared {taint.cleared.at}{why}")
        elif taint in reach:
            OUTPUT.line(f"  said {taint.said.at}, reaches {_counts(reach[taint])}")
        else:
            OUTPUT.line(f"  said {taint.said.at} elsewhere: came in a bundle, and blocks nothing here")
    if not shown:
        OUTPUT.say("nothing is tainted")


def _numbers(found: "Blast") -> dict[str, int]:
    return {
        "reached_runs": len(found.runs),
        "reached_products": found.products(),
        "newest_runs": len(found.newest),
        "newest_products": found.products(newest=True),
    }


def _blast_document(found: "Blast") -> dict[str, Any]:
    return {"runs": [_reached_document(reached) for reached in found.runs], **_numbers(found)}


def _reached_document(reached: "Reached") -> dict[str, Any]:
    row = reached.row
    return {
        "run": row.run,
        "action": row.action,
        "step": f"{row.stage}:{row.unit}",
        "purpose": row.purpose,
        "status": row.status,
        "started": row.started,
        "is_newest": reached.is_newest,
        "taints": [taint.statement for taint in reached.taints],
        "products": [
            {
                "tag": made.tag,
                "name": made.name,
                "digest": made.digest,
                "data_digest": made.content if made.content != made.digest else None,
            }
            for made in reached.products
        ],
    }


def _row(reached: "Reached") -> tuple[str, ...]:
    row = reached.row
    tags = Counter(made.tag for made in reached.products)
    names = ", ".join(tag if count == 1 else f"{count} {tag}" for tag, count in tags.items())
    words = [in_words(row.status)] if row.status != "ok" else []
    words += [row.purpose] if row.purpose != "run" else []
    words += ["tainted"] if reached.taints else []
    about = f" ({', '.join(words)})" if words else ""
    return (
        "*" if reached.is_newest else "",
        f"{row.stage}:{row.unit}",
        row.run[:18],
        f"{names}{about}".strip(),
    )


def _print_stages(found: "Blast") -> None:
    stages: dict[str, list[Reached]] = {}
    for reached in found.runs:
        stages.setdefault(reached.row.stage, []).append(reached)
    OUTPUT.table(
        ("stage", "runs", "products", "of these now"),
        (
            (
                stage,
                str(len(runs)),
                str(len({made.digest for r in runs for made in r.products})),
                str(len({made.digest for r in runs if r.is_newest for made in r.products})),
            )
            for stage, runs in stages.items()
        ),
    )


def _counts(found: "Blast") -> str:
    runs, products = counted(len(found.runs), "run"), counted(found.products(), "product")
    return f"{runs} with {products}, {found.products(newest=True)} of them in the newest reduction"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
