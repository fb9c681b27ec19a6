"""What may go, decided first and done afterwards: products proven to come back, which nobody needs.

A product may be dropped when it was proven to replay and everything it is made from can be had again; when
nobody pinned it, no newest reduction shows it, nobody made or read it lately, and no action that runs now
reads it. Records, actions, statements, logs and whatever no run made are never dropped. Decided from the
files, not from the index: a pin must not be overlooked because a database lags behind.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from provenance.claims import claimed
from provenance.digest import is_digest
from provenance.documents import from_document
from provenance.dropped import PRUNED, Dropped, DroppedObject, newest_of
from provenance.errors import ProvenanceError, StoreDamaged, StoreFull
from provenance.files import listing
from provenance.model import InputFile, Invocation, OutputFile, Purpose, Run, Statement
from provenance.pins import PINNED, UNPINNED, pins
from provenance.store import Store

VERDICT = "verdict"
"""Kind of the statement that says how a replay of a run compares with its record."""
IDENTICAL = "identical"
"""The verdict that counts: every product came out with the same bytes."""

_SAID_AT_ONCE = 500
"""Objects a statement names at most."""


class Reason(StrEnum):
    """Why a product stays, the strongest first."""

    PINNED = "pinned"
    NEWEST = "of the newest reduction"
    IN_USE = "read by a step that runs now"
    YOUNG = "made or read lately"
    UNPROVEN = "never proven to come back"
    LOST = "could not be made again"
    HELD = "frees nothing: other links hold it"
    ENOUGH = "not needed to free so much"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person asked for."""

    since: str
    """What was made or read after this stays; RFC 3339, UTC, milliseconds."""
    free_bytes: int | None = None
    """Stop when so much is freed; None for all that may go."""
    intermediates: bool = False
    """Of the newest reductions too, drop what other steps read."""


@dataclass(frozen=True, slots=True)
class Means:
    """What is known outside of the store."""

    freed: Callable[[str], int]
    """Bytes that the disk gains once an object and our links to it go; 0 if somebody else holds it."""
    has_file: Callable[[InputFile], bool]
    """Whether a file that no run made is still to be found."""
    can_run: Callable[[Run], bool]
    """Whether the image of a run is there, and the recipe is staged as it was."""
    recipe: Callable[[Run], str]


@dataclass(frozen=True, slots=True)
class Drop:
    """Products of a run that may go; they come back together."""

    run: Run
    recipe: str
    objects: tuple[OutputFile, ...]
    freed_bytes: int
    cpu_ms: int
    """CPU time of the run itself."""
    remake_cpu_ms: int = 0
    """The same, and that of everything it reads that is gone too."""

    @property
    def step(self) -> str:
        """What a person types to name it."""
        return f"{self.run.stage}:{self.run.unit}"


@dataclass(frozen=True, slots=True)
class Kept:
    """Products that stay for one reason."""

    reason: Reason
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Scratch:
    """What was kept for a look, or set aside as damaged, and is old."""

    kind: str
    """`work` or `damaged`."""
    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to go, cheapest per gigabyte first; printed, tested, refused or carried out."""

    drops: tuple[Drop, ...]
    scratch: tuple[Scratch, ...]
    kept: tuple[Kept, ...]
    unfinished: tuple[DroppedObject, ...] = ()
    """What an earlier call was dropping when it was stopped."""
    terms: Terms = field(default_factory=lambda: Terms(""))

    @property
    def freed_bytes(self) -> int:
        """What the disk gains."""
        return sum(drop.freed_bytes for drop in self.drops) + sum(item.bytes for item in self.scratch)

    @property
    def cpu_ms(self) -> int:
        """CPU time that making all of it again takes."""
        return sum(drop.cpu_ms for drop in self.drops)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the files of a store say, as far as it bears on what may go."""

    runs: tuple[Run, ...]
    """Oldest first, without what does not matter here."""
    present: frozenset[str]
    pinned: frozenset[str]
    newest: frozenset[str]
    """Ids of the runs that the newest reduction of each workspace believes."""
    identical: frozenset[str]
    """Ids of the runs a replay of which gave the same bytes."""
    dropped: Mapping[str, str]
    """When each object was dropped that ever was."""
    in_use: frozenset[str]
    """Content that actions read which are claimed now."""
    trash: tuple[str, ...]
    """Digests of what was on its way out."""
    scratch: tuple[Scratch, ...]


def survey(store: Store, since: str) -> Survey:
    """Read a store.

    Parameters
    ----------
    store : Store
        The store.
    since : str
        Scratch that was kept after this is left out.

    Raises
    ------
    StoreDamaged
        A record or statement cannot be read: what it protects is not known.
    """
    try:
        foreign, every = store.imports.statements, store.records.iterate_statements()
        said = [store.records.statement(digest) for digest in every if digest not in foreign]
        runs = tuple(sorted(_runs(store), key=lambda run: run.run))
        by_kind: dict[str, list[Statement]] = {}
        for statement in said:
            by_kind.setdefault(statement.kind, []).append(statement)
        held = pins(by_kind.get(PINNED, ()), by_kind.get(UNPINNED, ()))
        calls = [from_document(Invocation, item.body, item.kind) for item in by_kind.get("invocation", ())]
    except ProvenanceError as error:
        raise StoreDamaged(
            f"nothing is pruned in a damaged store: {error.message}", "`clio check` names all damage"
        ) from error
    verdicts = (item.body for item in by_kind.get(VERDICT, ()) if isinstance(item.body, dict))
    names = listing(store.path / "trash")
    return Survey(
        runs=runs,
        present=frozenset(store.objects.iterate()),
        pinned=frozenset(pin.said.digest for pin in held if pin.unpinned is None),
        newest=frozenset(newest_runs(calls)),
        identical=frozenset(str(body.get("run")) for body in verdicts if _proves(body)),
        dropped={digest: said.at for digest, (said, _) in newest_of(by_kind.get(PRUNED, ())).items()},
        in_use=_in_use(store),
        trash=tuple(f"sha256:{name}" for name in names if is_digest(f"sha256:{name}")),
        scratch=tuple(_old_scratch(store, since)),
    )


def _proves(verdict: Mapping[str, object]) -> bool:
    """Whether a run came back; with another action in its place it is not known to."""
    return verdict.get("verdict") == IDENTICAL and verdict.get("challenge") is None


def newest_runs(calls: Iterable[Invocation]) -> Iterator[str]:
    """Yield the runs that make up the newest reduction of each workspace.

    Notes
    -----
    Calls may work on some stages only. Of each stage count the newest call in which all of its steps came
    to a result, and the results of all later calls.
    """
    complete: set[tuple[str | None, str]] = set()
    for call in sorted(calls, key=lambda call: call.invocation, reverse=True):
        stages = {step.stage for step in call.steps}
        for step in call.steps:
            if (call.workspace, step.stage) not in complete and step.outcome in ("hit", "ran") and step.run:
                yield step.run
        for stage in stages:
            if all(step.outcome in ("hit", "ran") for step in call.steps if step.stage == stage):
                complete.add((call.workspace, stage))


def plan(found: Survey, means: Means, terms: Terms) -> Plan:
    """Decide what goes.

    Parameters
    ----------
    found : Survey
        What the store holds.
    means : Means
        What is known outside of it.
    terms : Terms
        What was asked for.

    Notes
    -----
    The products of a run go together, as they are made together. They go in the order of CPU time a byte it
    takes to make them again, that of everything gone they are made from included.
    """
    ledger = _Ledger(found, means, terms)
    stay: dict[str, Reason] = {}
    candidates: dict[str, list[OutputFile]] = {}
    for digest, output in ledger.products.items():
        reason = ledger.reason_to_keep(digest, output)
        if reason is None:
            candidates.setdefault(ledger.makers[digest].run, []).append(output)
        else:
            stay[digest] = reason
    drops = tuple(ledger.choose(candidates))
    going = {output.digest for drop in drops for output in drop.objects}
    for outputs in candidates.values():
        stay |= {output.digest: Reason.ENOUGH for output in outputs if output.digest not in going}
    return Plan(
        drops=tuple(replace(drop, remake_cpu_ms=ledger.remake_cpu_ms(drop.run, going)) for drop in drops),
        scratch=found.scratch,
        kept=tuple(_summed(stay, ledger.products)),
        unfinished=tuple(ledger.unfinished()),
        terms=terms,
    )


def unproven(found: Survey, means: Means, terms: Terms) -> Plan:
    """Plan as if all were proven: what is worth proving, in the order of `plan`."""
    everything = frozenset(run.run for run in found.runs if run.is_success)
    wished = plan(replace(found, identical=everything), means, terms)
    ledger = _Ledger(found, means, terms)
    drops = (drop for drop in wished.drops if not all(ledger.is_proven(o.digest) for o in drop.objects))
    return replace(wished, drops=tuple(drops))


def carry_out(
    store: Store,
    what: Plan,
    workspace: str,
    links: Callable[[str], tuple[str, ...]],
    unlink: Callable[[str], None],
    listen: Callable[[Drop], None] = lambda drop: None,
) -> int:
    """Drop what a plan says, and return the bytes freed.

    Parameters
    ----------
    store : Store
        The store.
    what : Plan
        The plan.
    workspace : str
        From which it is done.
    links : callable
        Gives the names below its products that show an object.
    unlink : callable
        Removes them.
    listen : callable
        Told of each drop when it is done.

    Notes
    -----
    What goes is said before it goes, so that a kill in between leaves something said and still there. On a
    disk too full for saying it, objects are emptied in `trash/` until it is not: there their names still tell
    `check` what became of them, and the next call of this function says it for them.
    """
    freed = 0
    for item in what.scratch:
        _clear(store, item)
        freed += item.bytes
    _say(store, workspace, what.unfinished, iter(()))
    store.objects.clear_trash()
    for batch in _batches(what.drops):
        in_use = _in_use(store)
        going = [drop for drop in batch if not in_use.intersection(_contents(drop))]
        named = [_named(drop, output, links(output.digest)) for drop in going for output in drop.objects]
        _say(store, workspace, tuple(named), iter(named), unlink)
        for drop in going:
            for output in drop.objects:
                unlink(output.digest)
                store.objects.drop(output.digest)
            freed += drop.freed_bytes
            listen(drop)
    return freed


class _Ledger:
    """Who made what, who reads it, and what it costs."""

    def __init__(self, found: Survey, means: Means, terms: Terms) -> None:
        self._found = found
        self._means = means
        self._terms = terms
        self._runs = {run.run: run for run in found.runs}
        self.makers: dict[str, Run] = {}
        """Of each product the newest successful run; one for its products, if there is such a one."""
        self._used: dict[str, str] = {}
        """Of each product when it was made or read last."""
        self._repeats: Counter[tuple[str, str]] = Counter()
        self._proven_by: set[str] = set()
        outputs: dict[str, OutputFile] = {}
        for run in found.runs:
            if run.purpose is Purpose.RUN:
                for item in run.inputs:
                    self._used[item.digest] = max(self._used.get(item.digest, ""), run.started)
            if not run.is_success:
                continue
            for output in run.outputs:
                outputs[output.digest] = output
                self._take(run, output.digest)
        self.products = {digest: outputs[digest] for digest in sorted(outputs.keys() & found.present)}
        self._needed = self._newest()
        self._had: dict[str, bool] = {}

    def _take(self, run: Run, digest: str) -> None:
        known = self.makers.get(digest)
        if known is None or run.purpose is Purpose.RUN or known.purpose is not Purpose.RUN:
            self.makers[digest] = run
        ended = run.ended or run.started
        # A replay that proves is no use of its products, one that brought them back is.
        if run.purpose is Purpose.RUN or self._found.dropped.get(digest, "~") <= ended:
            self._used[digest] = max(self._used.get(digest, ""), ended)
        if run.purpose is not Purpose.IMPORT:
            self._repeats[run.action, digest] += 1
            if self._repeats[run.action, digest] > 1 or run.run in self._found.identical:
                self._proven_by.add(digest)

    def _newest(self) -> set[str]:
        """List the products that the newest reductions need."""
        roots = [self._runs[run] for run in self._found.newest if run in self._runs]
        needed = {output.digest for run in roots for output in run.outputs}
        if self._terms.intermediates:
            needed -= {item.digest for run in roots for item in run.inputs}
        return needed

    def is_proven(self, digest: str) -> bool:
        """Tell whether a product came out with the same bytes when its action was run again."""
        return digest in self._proven_by

    def reason_to_keep(self, digest: str, output: OutputFile) -> Reason | None:
        """Say why a product stays; None if it may go."""
        if digest in self._found.pinned:
            return Reason.PINNED
        if digest in self._needed:
            return Reason.NEWEST
        if self._found.in_use & {digest, output.data_digest}:
            return Reason.IN_USE
        if self._used.get(digest, "") > self._terms.since:
            return Reason.YOUNG
        if not self.is_proven(digest):
            return Reason.UNPROVEN
        if not self._can_be_made(self.makers[digest]):
            return Reason.LOST
        return None if self._means.freed(digest) else Reason.HELD

    def _can_be_made(self, run: Run) -> bool:
        """Tell whether a run can be run again: its image, and all it reads."""
        if run.run not in self._had:
            self._had[run.run] = False  # nothing is made from itself; whoever claims so is not believed
            self._had[run.run] = self._means.can_run(run) and all(map(self._can_be_had, run.inputs))
        return self._had[run.run]

    def _can_be_had(self, item: InputFile) -> bool:
        if item.digest in self._found.present:
            return True  # it stays, or it goes because it comes back
        maker = self.makers.get(item.digest)
        if maker is not None and self.is_proven(item.digest) and self._can_be_made(maker):
            return True
        return self._means.has_file(item)

    def choose(self, candidates: dict[str, list[OutputFile]]) -> Iterator[Drop]:
        """Yield what goes, cheapest a byte first, until enough is freed."""
        freed = sum(item.bytes for item in self._found.scratch)
        going: set[str] = set()
        heap: list[tuple[float, str, Drop]] = []
        for run_id, outputs in candidates.items():
            run = self._runs[run_id]
            size = sum(self._means.freed(output.digest) for output in outputs)
            drop = Drop(run, self._means.recipe(run), tuple(outputs), size, _cpu_ms(run))
            heap.append((self.remake_cpu_ms(run, going) / size, run_id, drop))
        heapq.heapify(heap)
        enough = self._terms.free_bytes
        while heap and (enough is None or freed < enough):
            price, run_id, drop = heapq.heappop(heap)
            now = self.remake_cpu_ms(drop.run, going) / drop.freed_bytes
            if now > price:  # what it is made from went meanwhile
                heapq.heappush(heap, (now, run_id, drop))
                continue
            going |= {output.digest for output in drop.objects}
            freed += drop.freed_bytes
            yield drop

    def remake_cpu_ms(self, run: Run, going: set[str]) -> int:
        """Sum the CPU time of a run and of all runs whose products it needs and that are gone or go."""
        needed: dict[str, Run] = {}
        waiting = [run]
        while waiting:
            one = waiting.pop()
            if one.run not in needed:
                needed[one.run] = one
                gone = (
                    i.digest for i in one.inputs if i.digest in going or i.digest not in self._found.present
                )
                waiting += [self.makers[digest] for digest in gone if digest in self.makers]
        return sum(map(_cpu_ms, needed.values()))

    def unfinished(self) -> Iterator[DroppedObject]:
        """Name what was on its way out."""
        for digest in self._found.trash:
            maker = self.makers.get(digest)
            if maker is not None and digest not in self._found.present:
                output = next(item for item in maker.outputs if item.digest == digest)
                yield DroppedObject(digest, output.size, maker.run, output.tag, output.name)


def _runs(store: Store) -> Iterator[Run]:
    """Read every record; what does not matter here is left out, as there may be many."""
    for key, run_id in store.records.iterate_records():
        run, _ = store.records.record(key, run_id)
        outputs = tuple(replace(output, parts=(), qc=()) for output in run.outputs)
        none: dict[str, tuple[()]] = dict.fromkeys(
            (
                "argv",
                "environment",
                "defaults",
                "origins",
                "isolation",
                "host",
                "software",
                "choices",
                "caveats",
            ),
            (),
        )
        yield replace(run, outputs=outputs, **none)  # type: ignore[arg-type]  # all of them are tuples


def _in_use(store: Store) -> frozenset[str]:
    """List the content that claimed actions read."""
    content: set[str] = set()
    for key in claimed(store.path):
        with suppress(ProvenanceError):  # not yet written: then it is not yet staged either
            content |= {item.content for item in store.action(key).inputs}
    return frozenset(content)


def _old_scratch(store: Store, since: str) -> Iterator[Scratch]:
    for run in store.kept_work():
        yield from _if_old("work", store.path / "work" / run, since)
    for name in listing(store.path / "damaged"):
        yield from _if_old("damaged", store.path / "damaged" / name, since)


def _if_old(kind: str, path: Path, since: str) -> Iterator[Scratch]:
    paths = [path, *path.rglob("*")] if path.is_dir() else [path]
    changed = datetime.fromtimestamp(path.stat().st_ctime, UTC)
    if changed.isoformat(timespec="milliseconds").replace("+00:00", "Z") <= since:
        yield Scratch(kind, path.name, sum(item.lstat().st_blocks * 512 for item in paths))


def _clear(store: Store, item: Scratch) -> None:
    if item.kind == "work":
        store.discard_work(item.name)
    else:
        (store.path / item.kind / item.name).unlink(missing_ok=True)


def _cpu_ms(run: Run) -> int:
    # What was not measured took its wall time, if that was.
    measured = (run.cpu_user_ms or 0) + (run.cpu_system_ms or 0)
    return measured or run.wall_ms or 0


def _summed(stay: dict[str, Reason], products: dict[str, OutputFile]) -> Iterator[Kept]:
    for reason in Reason:
        sizes = [products[digest].size for digest, why in stay.items() if why is reason]
        if sizes:
            yield Kept(reason, len(sizes), sum(sizes))


def _batches(drops: tuple[Drop, ...]) -> Iterator[list[Drop]]:
    batch: list[Drop] = []
    for drop in drops:
        batch.append(drop)
        if sum(len(item.objects) for item in batch) >= _SAID_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _contents(drop: Drop) -> Iterator[str]:
    for output in drop.objects:
        yield from filter(None, (output.digest, output.data_digest))


def _named(drop: Drop, output: OutputFile, links: tuple[str, ...]) -> DroppedObject:
    return DroppedObject(output.digest, output.size, drop.run.run, output.tag, output.name, links)


def _say(
    store: Store,
    workspace: str,
    objects: tuple[DroppedObject, ...],
    room: Iterator[DroppedObject],
    unlink: Callable[[str], None] = lambda digest: None,
) -> None:
    """State what goes; while the disk has no room even for that, empty one object after the other."""
    if not objects:
        return
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = Dropped(at, workspace, objects).document()
    while True:
        try:
            store.statement(PRUNED, said)
            return
        except StoreFull:
            item = next(room, None)
            if item is None:
                raise
            unlink(item.digest)
            store.objects.empty(item.digest)
