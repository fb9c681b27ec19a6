"""The verbs that look after the store: `check`, `reindex`."""

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace
from pipeline.cli.output import OUTPUT
from pipeline.errors import Exit
from pipeline.places import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from provenance.check import Findings, Listener
    from provenance.store import Store

_FEW_REMARKS = 20
"""Remarks that are shown; hundreds of products may have been pruned."""


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
    from provenance.check import examine

    with open_store(workspace) as store, _progress(shown=deep) as listen:
        began = time.monotonic()
        found = examine(store, deep=deep, listen=listen)
        took_s = time.monotonic() - began
    if as_json:
        OUTPUT.document("clio-check/1", _check_document(found, deep, took_s))
    else:
        _print_check(found, deep, took_s)
    if found.damage:
        raise typer.Exit(int(Exit.STORE))


def reindex(workspace: Workspace = None, as_json: Json = False) -> None:
    """Make the index of the store anew from its records; nothing is lost by it.

    Example: `rm .clio/provenance.db; clio reindex`
    """
    from provenance.check import reindex as make_index

    with open_store(workspace) as store:
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


def open_store(workspace: "Path | None") -> "Store":
    """Open the store of a workspace; none is made."""
    from pipeline.config import load
    from provenance.store import Store

    return Store.open(load(find_workspace(workspace)).store)


@contextlib.contextmanager
def _progress(*, shown: bool) -> "Iterator[Listener]":
    """Show how far it is, if somebody watches."""
    if not shown or not OUTPUT.shows_progress:
        yield lambda progress: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as RateColumn

    columns = (
        TextColumn("{task.description}"),
        *(BarColumn(), DownloadColumn(), RateColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=OUTPUT.talk, transient=True) as bars:
        task = bars.add_task("reading objects", total=None)
        yield lambda progress: bars.update(
            task,
            description=f"object {progress.files} of {progress.of_files}",
            completed=progress.bytes,
            total=progress.of_bytes,
        )


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


def _check_document(found: "Findings", deep: bool, took_s: float) -> dict[str, Any]:
    return {
        "ok": not found.damage,
        "status": found.status,
        "deep": deep,
        "damage": [{"kind": d.kind.value, "subject": d.subject, "message": d.message} for d in found.damage],
        "remarks": [{"subject": note.subject, "message": note.message} for note in found.remarks],
        "counts": _counted(found),
        "read": {"objects": found.read_files, "bytes": found.read_bytes, "carried_on": found.carried_on},
        "wall_s": round(took_s, 3),
    }


def _counted(found: "Findings") -> dict[str, int]:
    return {name: getattr(found, name) for name in ("objects", "runs", "actions", "statements")}


def _print_check(found: "Findings", deep: bool, took_s: float) -> None:
    for item in found.damage:
        OUTPUT.line(f"{item.kind.value:10}{item.message}")
    for note in found.remarks[:_FEW_REMARKS]:
        OUTPUT.say(f"remark: {note.message}")
    if len(found.remarks) > _FEW_REMARKS:
        OUTPUT.say(f"and {len(found.remarks) - _FEW_REMARKS} more remarks; --json lists all")
    if deep:
        rate = f"{found.read_bytes / took_s / 1e9:.1f} GB/s"
        OUTPUT.say(f"read {found.read_bytes / 1e9:.2f} GB in {took_s:.1f} s, {rate}")
    if found.carried_on:
        OUTPUT.say(f"carried on an interrupted check, which had read {found.carried_on} objects")
    counts = _sum(_counted(found))
    if found.damage:
        OUTPUT.say(f"damaged: {len(found.damage)} of {counts}")
        OUTPUT.say("hint: `clio run` makes lost products again, `clio reindex` the index; copy back the rest")
    else:
        OUTPUT.line(f"ok: {counts}{', every byte read' if deep else ''}")


def _sum(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
