"""The verbs that look after the store: `check`, `reindex`."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace, find_workspace
from pipeline.cli.output import OUTPUT
from pipeline.errors import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from provenance.check import Damage, Remark
    from provenance.store import Store


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(check)
    app.command()(reindex)


def check(
    deep: Annotated[bool, typer.Option("--deep", help="Read every object whole, trusting no date.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Verify the store and name all damage; changes nothing, and leaves with 6 if there is any.

    Example: `clio check --deep`
    """
    from provenance.check import check as find_damage
    from provenance.check import remarks

    with _open_store(workspace) as store, _progress(shown=deep) as progress:
        damage, notes = find_damage(store, deep, progress), remarks(store)
        counts = _counts(store)
    if as_json:
        OUTPUT.document("clio-check/1", _check_document(damage, notes, counts, deep))
    else:
        _print_check(damage, notes, counts, deep)
    if damage:
        raise typer.Exit(int(Exit.STORE))


def reindex(workspace: Workspace = None, as_json: Json = False) -> None:
    """Make the index of the store anew from its records; nothing is lost by it.

    Example: `rm .clio/provenance.db; clio reindex`
    """
    from provenance.check import reindex as make_index

    with _open_store(workspace) as store:
        make_index(store)
        on_disk, indexed = _counts(store), _indexed(store)
        database = store.index.path
    if as_json:
        OUTPUT.document("clio-reindex/1", {"database": str(database), "indexed": indexed, "on_disk": on_disk})
        return
    OUTPUT.line(f"indexed {_sum(indexed)} in {database}")
    # An action without a run is no loss: whoever wrote it died before it came to anything.
    left = {name: on_disk[name] - indexed[name] for name in ("runs", "statements")}
    if any(left.values()):
        OUTPUT.say(f"left out because they cannot be read: {_sum(left)}; `clio check` names them")


def _open_store(workspace: "Path | None") -> "Store":
    from pipeline.config import load
    from provenance.store import Store

    return Store.open(load(find_workspace(workspace)).store)


@contextlib.contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far it is, if somebody watches."""
    if not shown or not OUTPUT.shows_progress:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=OUTPUT.talk, transient=True) as bars:
        task = bars.add_task("reading objects", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _counts(store: "Store") -> dict[str, int]:
    records = store.records
    return {
        "objects": sum(1 for _ in store.objects.iterate()),
        "runs": sum(1 for _ in records.iterate_records()),
        "actions": sum(1 for _ in records.iterate_actions()),
        "statements": sum(1 for _ in records.iterate_statements()),
    }


def _indexed(store: "Store") -> dict[str, int]:
    tables = {"runs": "run", "actions": "action", "statements": "statement"}
    return {name: store.index.read(f"SELECT count(*) FROM {table}")[0][0] for name, table in tables.items()}


def _check_document(
    damage: "tuple[Damage, ...]", notes: "tuple[Remark, ...]", counts: dict[str, int], deep: bool
) -> dict[str, Any]:
    return {
        "ok": not damage,
        "deep": deep,
        "damage": [{"kind": d.kind.value, "subject": d.subject, "message": d.message} for d in damage],
        "remarks": [{"subject": note.subject, "message": note.message} for note in notes],
        "counts": counts,
    }


def _print_check(
    damage: "tuple[Damage, ...]", notes: "tuple[Remark, ...]", counts: dict[str, int], deep: bool
) -> None:
    for found in damage:
        OUTPUT.line(f"{found.kind.value:10}{found.message}")
    for note in notes:
        OUTPUT.say(f"remark: {note.message}")
    if damage:
        OUTPUT.say(f"damaged: {len(damage)} of {_sum(counts)}")
        OUTPUT.say("hint: `clio run` makes lost products again, `clio reindex` the index; copy back the rest")
    else:
        OUTPUT.line(f"ok: {_sum(counts)}{', every byte read' if deep else ''}")


def _sum(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
