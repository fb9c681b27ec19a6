"""What has to go with runs for others to understand them: what they were made from, and all papers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provenance.about import statements_about
from provenance.blast import spread_of, vouchers
from provenance.bundle_layout import Part, member_of
from provenance.bundling import Item
from provenance.digest import digest_bytes
from provenance.errors import StoreDamaged, StoreMissing, short
from provenance.lineage import believed
from provenance.model import InputFile, Run
from provenance.store import Store


class Source(Protocol):
    """Whoever knows the runs; a `Store` does."""

    def runs_making(self, digest: str) -> tuple[Run, ...]:
        """Return the runs that made an artifact, newest first."""


@dataclass(frozen=True, slots=True)
class Closure:
    """Runs, and all runs upstream of them."""

    roots: tuple[str, ...]
    """Ids of those it was asked for, sorted."""
    runs: tuple[Run, ...]
    """By id."""

    @property
    def made(self) -> frozenset[str]:
        """Digests of all products."""
        return frozenset(item.digest for run in self.runs for item in run.outputs)

    @property
    def outside(self) -> Mapping[str, InputFile]:
        """What they read and none of them made: by digest, sorted, as the first of them saw it."""
        made = self.made
        read = {item.digest: item for run in reversed(self.runs) for item in reversed(run.inputs)}
        return {digest: read[digest] for digest in sorted(read.keys() - made)}


def closure_of(source: Source, roots: Iterable[Run]) -> Closure:
    """Follow runs up to what came from outside.

    Notes
    -----
    Of several runs that made the same bytes, the one is followed that every lineage follows. What was made by
    a run asked for is so too, if another is believed in its place.
    """
    asked = {run.run: run for run in roots}
    found = dict(asked)
    waiting = [item.digest for run in asked.values() for item in run.outputs]
    waiting += [item.digest for run in asked.values() for item in run.inputs]
    seen = set(waiting)
    while waiting:
        makers = source.runs_making(waiting.pop())
        maker = believed(makers) if makers else None
        if maker is not None and maker.run not in found:
            found[maker.run] = maker
            above = {item.digest for item in maker.inputs} - seen
            seen |= above
            waiting.extend(above)
    return Closure(tuple(sorted(asked)), tuple(found[run] for run in sorted(found)))


def with_vouchers(store: Store, closure: Closure) -> Closure:
    """Add the sound runs that made the same data again as tainted ones of a closure, and what is above them.

    Without them the closure would arrive as tainted, where it is sound here.
    """
    if not store.tainted:
        return closure
    extra = vouchers(spread_of(store), (run.run for run in closure.runs))
    more = closure_of(store, [store.run(run) for run in extra])
    runs = {run.run: run for run in (*more.runs, *closure.runs)}
    return Closure(closure.roots, tuple(runs[run] for run in sorted(runs)))


def papers_of(store: Store, closure: Closure) -> tuple[Item, ...]:
    """List the actions and records of a closure, and what was said of its runs: each a file of the store.

    Raises
    ------
    StoreDamaged
        One is missing, or an action or a statement is not what its name says.
    """
    records = store.records
    found = []
    for key in sorted({run.action for run in closure.runs}):
        found.append(_paper(member_of(Part.ACTION, key), records.action_path(key), f"sha256:{key}"))
    for run in closure.runs:
        member = member_of(Part.RECORD, run.action, run.run)
        found.append(_paper(member, records.record_path(run.action, run.run)))
    for said in statements_about(store, closure.runs):
        member = member_of(Part.STATEMENT, said.digest)
        found.append(_paper(member, records.statement_path(said.digest), said.digest))
    return tuple(found)


def object_item(store: Store, digest: str, size: int | None, what: str, remedy: str = "") -> Item:
    """Make a member of an object.

    Raises
    ------
    StoreMissing
        It is not in the store, or has another size.
    """
    path = store.objects.path(digest)
    try:
        found = path.lstat().st_size
    except FileNotFoundError as error:
        raise StoreMissing(f"{what} ({short(digest)}) is not in the store any more", remedy) from error
    return Item(
        member_of(Part.OBJECT, digest),
        digest,
        found if size is None else size,
        path=path,
        what=what,
        remedy=remedy,
    )


def _paper(member: str, path: Path, expected: str = "") -> Item:
    """Read a paper for its digest; it is read again when it is written."""
    hint = "see what else is damaged: clio check"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {error.strerror}", hint) from error
    digest = digest_bytes(data)
    if expected and digest != expected:
        raise StoreDamaged(f"{path} was edited: it holds {short(digest)}", hint)
    return Item(member, digest, len(data), path=path, what=path.name, remedy=hint)
