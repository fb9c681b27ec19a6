"""Is the outcome of an action known? Asked of the records, answered only when every artifact is proven there.

The index is not asked: a record another host linked a moment ago counts, and a lagging index costs nothing.
A false hit would be a scientific error, a false miss costs time; in doubt it is a miss, with its reason.
"""

import os
import stat
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

from provenance.acceptances import Acceptance
from provenance.errors import ProvenanceError, short
from provenance.files import READ_ONLY
from provenance.memo import MemoEntry, Memos
from provenance.model import Purpose, Run
from provenance.objects import Objects
from provenance.records import Records


@dataclass(frozen=True, slots=True)
class Lookup:
    """The answer to whether an action is known."""

    run: Run | None
    """The run to believe; None if there is none."""
    reason: str
    """Why not, in words; empty for a hit."""
    failed: Run | None = None
    """The newest attempt, if every attempt failed."""
    accepted: Acceptance | None = None
    """If the run is of another action, whose difference a person accepted."""

    @property
    def is_hit(self) -> bool:
        """Whether there is a run to believe."""
        return self.run is not None


@dataclass(frozen=True, slots=True)
class Shelves:
    """The parts of a store a lookup reads."""

    records: Records
    objects: Objects
    memos: Memos
    writable: bool
    """Whether damaged objects may be set aside."""
    dropped: Callable[[], Collection[str]] = tuple
    """Gives the digests of what was ever pruned; asked only when something is missing."""
    stranger: Callable[[Run], str] = lambda _: ""
    """Says why a run that was made elsewhere is not believed, nor its failure; see `imports`. Asked after the
    record was read, so that no record is older than what is said of it."""
    indexed: Callable[[str], str | None] = lambda _: None
    """Gives the digest that the record of a run had when it was indexed; None if it is not."""
    doubt: Callable[[Run], str] = lambda _: ""
    """Says why a run is not to be believed though it succeeded; see `doubts`."""
    damages: dict[str, str] = field(default_factory=dict)
    """What was wrong with objects that were set aside: whoever looks again would only find them missing."""


def look_up(shelves: Shelves, key: str) -> Lookup:
    """Return the newest successful run of an action whose artifacts are all there and intact.

    Notes
    -----
    Only runs proper are believed, never a replay, nor what was imported and nobody vouches for. A damaged
    object is set aside, so that making it again can publish it. An unreadable record is passed over; `check`
    names it.
    """
    misses: list[_Miss] = []
    for run_id in reversed(shelves.records.runs_of(key)):
        judged = _judge(shelves, key, run_id)
        if isinstance(judged, Run):
            return Lookup(judged, "")
        misses.append(judged)
    if misses and misses[0].is_doubted:
        return Lookup(None, misses[0].reason)  # whatever became of older ones
    # The best attempt explains most; of equals the newest, which stands first.
    best = min(misses, key=lambda miss: miss.rank) if misses else _Miss(2, "never run")
    return Lookup(None, best.reason, best.failed)


def look_up_accepted(shelves: Shelves, accepted: Acceptance, miss: Lookup) -> Lookup:
    """Return the run that a person accepted in place of one of the action itself, if it can be believed.

    Parameters
    ----------
    shelves : Shelves
        What is read.
    accepted : Acceptance
        What the person said.
    miss : Lookup
        The answer without it.

    Notes
    -----
    That run is looked at as any other: with an artifact missing or damaged it is a miss.
    """
    judged = _judge(shelves, accepted.said.run_action, accepted.said.run)
    if isinstance(judged, Run):
        return Lookup(judged, "", accepted=accepted)
    return Lookup(None, f"accepted, but {judged.reason}", miss.failed)


def inspect(shelves: Shelves, digest: str, size: int | None, name: str) -> str | None:
    """Say what is wrong with an object, in words; None if it is sound.

    Parameters
    ----------
    shelves : Shelves
        Where it lies.
    digest : str
        Its digest.
    size : int or None
        Bytes it should have, if that is known.
    name : str
        What it is to a reader: its tag.

    Notes
    -----
    Its status is compared with the memo: a regular file, of that size and time, of mode 0444. On any
    difference it is read whole, and remembered if it is sound.
    """
    path = shelves.objects.path(digest)
    what = f"object {short(digest)} ({name})"
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return shelves.damages.get(digest, f"{what} is missing")
    memo = shelves.memos.find(found)
    is_plain = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == READ_ONLY
    if is_plain and size in (None, found.st_size) and memo is not None and memo.digest == digest:
        return None
    began_ns = time.time_ns()
    damage = shelves.objects.damage(digest)
    if damage is not None:
        reason = f"{what} was {'truncated' if size is not None and found.st_size < size else damage}"
        if shelves.writable:
            shelves.damages[digest] = reason
            shelves.objects.set_aside(digest)
        return reason
    if shelves.writable:
        if stat.S_IMODE(found.st_mode) != READ_ONLY:
            _restore_mode(shelves, digest)
            found = os.lstat(path)
        shelves.memos.add([MemoEntry(found, digest, began_ns)])
    return None


@dataclass(frozen=True, slots=True)
class _Miss:
    """Why a run is not believed."""

    rank: int
    """0 was successful once, 1 failed, 2 was never meant to be believed."""
    reason: str
    failed: Run | None = None
    is_doubted: bool = False
    """Whether somebody said that it is bad."""


def _judge(shelves: Shelves, key: str, run_id: str) -> Run | _Miss:
    try:
        run, digest = shelves.records.record(key, run_id)
    except ProvenanceError as error:
        return _Miss(0, f"the record of run {run_id} cannot be used: {error.message}")
    if shelves.indexed(run_id) not in (None, digest):
        return _Miss(0, f"the record of run {run_id} was edited after it was indexed")
    if run.purpose is not Purpose.RUN:
        return _Miss(2, _UNBELIEVED[run.purpose])
    if stranger := shelves.stranger(run):
        return _Miss(2, stranger)
    if not run.is_success:
        return _Miss(1, f"failed before: {run.reason or run.cause or run.status.value}", run)
    if doubt := shelves.doubt(run):
        # As a failure, of which the newest counts: what failed since it was tainted is not tried for ever.
        return _Miss(1, doubt, is_doubted=True)
    for name, digest, size in _wanted(run):
        if (reason := inspect(shelves, digest, size, name)) is not None:
            return _Miss(0, _pruned(shelves, run, digest, name) or reason)
    return run


_UNBELIEVED = {
    Purpose.REPLAY: "only replayed, never run for its products",
    Purpose.PASSPORT: "only run to measure the recipe",
    Purpose.IMPORT: "imported, and neither verified nor trusted",
}


def _pruned(shelves: Shelves, run: Run, digest: str, name: str) -> str:
    """Say that a product was pruned and what it takes to have it again; empty if it was lost otherwise."""
    if shelves.objects.has(digest) or digest not in shelves.dropped():
        return ""
    seconds = round((run.wall_ms or 0) / 1000)
    span = f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"
    return f"object {short(digest)} ({name}) was pruned, and can be made again in {span}"


def _wanted(run: Run) -> list[tuple[str, str, int | None]]:
    outputs: list[tuple[str, str, int | None]] = [(item.tag, item.digest, item.size) for item in run.outputs]
    return outputs + [(item.name, item.digest, item.size) for item in run.extras]


def _restore_mode(shelves: Shelves, digest: str) -> None:
    # Only called for sound bytes: somebody made it writable and left it alone. If it is somebody else's,
    # it stays as it is, and is read again each time.
    with suppress(PermissionError):
        shelves.objects.path(digest).chmod(READ_ONLY)
