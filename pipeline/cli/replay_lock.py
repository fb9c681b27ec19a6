"""`clio replay --lock`: a lock reduced in an empty store, and what came of it."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.output import OUTPUT
from pipeline.cli.progress import stopping, watching
from pipeline.cli.sheets import counted
from pipeline.errors import Exit, UsageError
from pipeline.places import FILE, find_workspace

if TYPE_CHECKING:
    from pipeline.events import Event
    from pipeline.reduce import Reduction
    from pipeline.replay_lock import LockReplay, StepVerdict

SCHEMA = "clio-replay-lock/1"


def refuse_beside_lock(**given: object) -> None:
    """Refuse what says otherwise what is replayed, or how: the lock says that.

    Raises
    ------
    UsageError
        One of the options is given.
    """
    for name, value in given.items():
        if value:
            what = "a reference" if name == "references" else f"--{name}"
            raise UsageError(f"{what} and --lock exclude each other", "the lock says what is made, and how")


def replay_from_lock(
    lock: Path,
    *,
    into: Path | None,
    raw: Path | None,
    calib: Path | None,
    engine: str,
    jobs: int | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Reduce what a lock says and print how each product compares; leaves with 7 if one is not the same."""
    from pipeline.config import load
    from pipeline.replay_lock import beside, replay_lock

    beside_it = lock.absolute().parent
    is_there = workspace is None and (beside_it / FILE).is_file()
    settings = load(beside_it if is_there else find_workspace(workspace))
    with (
        beside(settings, lock, into=into, raw=raw, calib=calib, engine=engine) as reduction,
        watching(reduction.cancel) if not as_json else _silently(reduction) as listen,
    ):
        found = replay_lock(reduction, listen, tuple(sys.argv), jobs)
    if as_json:
        OUTPUT.document(SCHEMA, document(found, lock, into))
    else:
        print_lock_replay(found)
    if not found.has_same_data:
        raise typer.Exit(int(Exit.DIFFERENT))


@contextlib.contextmanager
def _silently(reduction: "Reduction") -> "Iterator[Callable[[Event], None]]":
    """Say nothing while it goes on: one document is all that is printed."""
    with stopping(reduction.cancel):
        yield lambda event: None


def print_lock_replay(found: "LockReplay") -> None:
    """Print a row for each step, and a summary."""
    from pipeline.verdict import Sameness

    rows = [(step.sameness.value, step.step, str(len(step.products)), step.reason) for step in found.steps]
    OUTPUT.table(("sameness", "step", "products", "why"), rows)
    counts = Counter(product.sameness for step in found.steps for product in step.products)
    said = ", ".join(f"{counts[sameness]} {sameness}" for sameness in Sameness if counts[sameness])
    what = f"{counted(len(found.steps), 'step')}, {counted(sum(counts.values()), 'product')}"
    OUTPUT.line(f"{what}: {said}, {found.wall_s:.0f} s")


def document(found: "LockReplay", lock: Path, into: Path | None) -> dict[str, Any]:
    """Describe what came of a lock as JSON."""
    return {
        "lock": str(lock),
        "store": str(into) if into else None,
        "sameness": found.sameness.value,
        "same_data": found.has_same_data,
        "steps": [_step_document(step) for step in found.steps],
        "wall_s": round(found.wall_s, 3),
    }


def _step_document(step: "StepVerdict") -> dict[str, Any]:
    return {
        "step": step.step,
        "sameness": step.sameness.value,
        "reason": step.reason,
        "run": step.run,
        "products": [
            {
                "tag": product.tag,
                "name": product.name,
                "sameness": product.sameness.value,
                "digest": product.made.digest if product.made else None,
                "data_digest": product.made.data_digest if product.made else None,
                "pinned_digest": product.pinned.digest if product.pinned else None,
                "pinned_data_digest": product.pinned.data_digest if product.pinned else None,
            }
            for product in step.products
        ],
    }
