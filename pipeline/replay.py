"""Recorded runs made again, one by one or in a chain from raw frames, each with a verdict.

Owns which runs those are, in which order, and what reads what. How a run is made again is `pipeline.again`'s,
how it is judged `pipeline.judging`'s. Originals are never touched: each replay is a record of its own, which
no lookup believes, and a statement.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from pipeline.again import AS_RECORDED, Variation, Workshop, record_again, remake
from pipeline.budget import budget
from pipeline.errors import ImageError, Interrupted, UsageError
from pipeline.finding import InputsMissing
from pipeline.judging import ProductVerdict, judge, state
from pipeline.recipes import RECIPES
from pipeline.report import step_id
from pipeline.schedule import After, Grant, Task, run_tasks
from pipeline.verdict import USUAL, Sameness, Tolerance, worst
from pipeline.vouching import vouch
from provenance.lineage import believed
from provenance.model import OutputFile, Purpose, Run
from provenance.store import Store

_BY_CLOSURE = "`clio replay --closure` makes it again first, and `clio restore` brings it back"


@dataclass(frozen=True, slots=True)
class Link:
    """A run in a chain."""

    run: Run
    makers: Mapping[str, str] = field(default_factory=dict)
    """By digest of an input: the run of the chain that makes it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How runs are made again."""

    variation: Variation = AS_RECORDED
    tolerance: Tolerance = USUAL
    jobs: int | None = None
    """Recipes at once; by default one a core."""
    memory_bytes: int | None = None
    """They start beside each other only while they fit; by default into what is free."""
    invocation: str | None = None
    """Id of the call of the command."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of one run."""

    run: Run
    """As recorded."""
    sameness: Sameness
    reason: str
    """Why it is no better, in a line; empty if identical."""
    hint: str = ""
    """What to do, if it could not be compared."""
    products: tuple[ProductVerdict, ...] = ()
    again: Run | None = None
    """The record of the replay; None if the recipe was not started."""
    unproven: str = ""
    """Of an imported run: what of its record the replay did not prove. Empty if it is trusted."""

    @property
    def step(self) -> str:
        """What a person types to name it."""
        return step_id(self.run.stage, self.run.unit)

    @property
    def is_challenge(self) -> bool:
        """Whether another action was run than the recorded one."""
        return self.again is not None and self.again.action != self.run.action


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of all."""

    links: tuple[Replayed, ...]
    """In an order in which what makes comes before what reads."""
    wall_s: float

    @property
    def sameness(self) -> Sameness:
        """The worst of the runs."""
        return worst(link.sameness for link in self.links)

    @property
    def has_same_data(self) -> bool:
        """Whether every product came out with the same data; then nothing differs but volatile cards."""
        return self.sameness in (Sameness.IDENTICAL, Sameness.SAME_SCIENCE)

    @property
    def unproven(self) -> "tuple[Replayed, ...]":
        """Imported runs that gave the same data, and whose records claim more than that proves."""
        same = (Sameness.IDENTICAL, Sameness.SAME_SCIENCE)
        return tuple(link for link in self.links if link.unproven and link.sameness in same)


Listen = Callable[[Run, Replayed | None], None]
"""Told of a run when it is begun, with None, and when it is judged; from several threads, one at a time."""


def chain(store: Store, runs: Iterable[Run], *, closure: bool) -> tuple[Link, ...]:
    """List what has to be made again.

    Parameters
    ----------
    store : Store
        Knows the runs.
    runs : iterable of Run
        What was asked for.
    closure : bool
        With all they are made from, back to raw frames; else each reads what it read when it was recorded.

    Returns
    -------
    tuple of Link
        Each run once; what makes before what reads.

    Raises
    ------
    UsageError
        One of them did not succeed, so that there is nothing to compare with.
    """
    links: dict[str, Link] = {}
    for run in runs:
        if not run.is_success:
            raise UsageError(
                f"run {run.run} of {step_id(run.stage, run.unit)} did not succeed ({run.status.value})",
                "a replay is compared with products; to try again: clio run --retry-failed",
            )
        if closure:
            _add_with_makers(store, run, links)
        else:
            links.setdefault(run.run, Link(run))
    return tuple(links.values())


def newest_reduction(store: Store, workspace: str) -> tuple[Run, ...]:
    """List the runs that make up the newest reduction of a workspace: those its last calls believed.

    Raises
    ------
    UsageError
        There is none.
    """
    from pipeline.diff import reduction_of

    found = tuple(run for run in reduction_of(store, workspace).values() if run.is_success)
    if not found:
        raise UsageError("nothing was ever reduced here", "reduce it with: clio run")
    return found


def sample(runs: tuple[Run, ...], count: int, seed: int = 0) -> tuple[Run, ...]:
    """Draw some runs by lot: the same ones from the same actions, wherever and whenever it is drawn.

    Parameters
    ----------
    runs : tuple of Run
        To choose from.
    count : int
        How many at most.
    seed : int
        Another number, other runs.
    """

    def lot(run: Run) -> str:
        return hashlib.sha256(f"{seed} {run.action} {run.run}".encode()).hexdigest()

    chosen = {run.run for run in sorted(runs, key=lot)[:count]}
    return tuple(run for run in runs if run.run in chosen)


def replay(
    workshop: Workshop,
    links: tuple[Link, ...],
    terms: Terms | None = None,
    listen: Listen = lambda run, replayed: None,
) -> Replay:
    """Make runs again and judge each by its record.

    Parameters
    ----------
    workshop : Workshop
        What to do it with. Records, statements and products go to its `target`.
    links : tuple of Link
        As `chain` lists them.
    terms : Terms, optional
        What is set otherwise, and how much at once.
    listen : callable
        Told of every start and end.

    Raises
    ------
    Interrupted
        `workshop.cancel` was set. What was judged before is recorded.
    EngineUnavailable, ProvenanceError
        Nothing can be run, or the store takes nothing more.
    """
    return _Replaying(workshop, links, terms or Terms(), listen)()


class _Replaying:
    """A chain while it is made again."""

    def __init__(self, workshop: Workshop, links: tuple[Link, ...], terms: Terms, listen: Listen) -> None:
        self._workshop = workshop
        self._links = {link.run.run: link for link in links}
        self._terms = terms
        self._listen = listen
        self._done: dict[str, Replayed] = {}
        self._telling = threading.Lock()

    def __call__(self) -> Replay:
        begin = time.monotonic()
        self._ask_images()
        cancel = self._workshop.cancel
        run_tasks(
            tuple(Task(id_, tuple(link.makers.values())) for id_, link in self._links.items()),
            self._do,
            self._memory,
            budget(self._terms.jobs, self._terms.memory_bytes),
            cancel,
        )
        if cancel.is_set():
            raise Interrupted("stopped on request", "what was replayed until then is recorded")
        return Replay(tuple(self._done[id_] for id_ in self._links), time.monotonic() - begin)

    def _ask_images(self) -> None:
        """Ask each image for its recipes before threads do; one that is missing is told with its runs."""
        store, library = self._workshop.store, self._workshop.library
        for digest in {store.action(link.run.action).image for link in self._links.values()}:
            with suppress(ImageError):
                library.recipes(library.find(digest), self._workshop.engine)

    def _do(self, id_: str, grant: Grant) -> After:
        link = self._links[id_]
        self._tell(link.run, None)
        replayed = self._replayed(link)
        if replayed is not None:
            self._done[id_] = replayed
            self._tell(link.run, replayed)
        return After.DONE

    def _tell(self, run: Run, replayed: Replayed | None) -> None:
        with self._telling:
            self._listen(run, replayed)

    def _replayed(self, link: Link) -> Replayed | None:
        """Make a run again; None if it was stopped."""
        instead: dict[str, OutputFile] = {}
        for digest, maker in link.makers.items():
            made = _stand_in(self._links[maker].run, self._done[maker], digest)
            if made is None:
                reason = f"needs {self._done[maker].step}, which was not made again"
                return Replayed(link.run, Sameness.NOT_COMPARABLE, reason)
            instead[digest] = made
        try:
            return self._made_again(link.run, instead)
        except (InputsMissing, ImageError, UsageError) as error:
            hint = _BY_CLOSURE if isinstance(error, InputsMissing) and error.is_all_made else error.hint
            return Replayed(link.run, Sameness.NOT_COMPARABLE, error.message, hint)

    def _made_again(self, run: Run, instead: Mapping[str, OutputFile]) -> Replayed | None:
        shop, terms = self._workshop, self._terms
        with remake(shop, run, variation=terms.variation, instead=instead) as remade:
            if shop.cancel.is_set():
                return None
            found = judge(shop, remade, terms.tolerance)
            again = record_again(shop, remade, Purpose.REPLAY, invocation=terms.invocation)
            state(shop, remade, found, again.run)
            unproven = vouch(shop, remade, found, again)
        with shop.target.files.linking(again):
            pass  # the scratch name went: what was just stored is remembered as it looks now
        return Replayed(run, found.sameness, found.reason, "", found.products, again, unproven)

    def _memory(self, id_: str) -> int:
        """Estimate the memory of a run: what it took, else the table's guess."""
        run = self._links[id_].run
        if run.peak_memory_bytes is not None:
            return round(run.peak_memory_bytes * 1.1)
        row = RECIPES.get(self._workshop.store.action(run.action).recipe)
        read = sum(item.size or 0 for item in run.inputs)
        return row.base_memory + round(row.memory_factor * read) if row else 0


def _stand_in(recorded: Run, replayed: Replayed, digest: str) -> OutputFile | None:
    """Find what came out in the place of a product; None if nothing did."""
    places = {(item.tag, item.name) for item in recorded.outputs if item.digest == digest}
    made = replayed.again.outputs if replayed.again else ()
    return next((item for item in made if (item.tag, item.name) in places), None)


def _add_with_makers(store: Store, run: Run, links: dict[str, Link]) -> None:
    """Add a run behind all it is made from; records that tell of a circle are not followed round it."""
    stack: list[tuple[Run, dict[str, Run] | None]] = [(run, None)]
    begun: set[str] = set()
    while stack:
        at, makers = stack.pop()
        if makers is not None:
            links.setdefault(at.run, Link(at, {d: maker.run for d, maker in makers.items()}))
        elif at.run not in begun and at.run not in links:
            begun.add(at.run)
            makers = _makers(store, at, begun - links.keys())
            stack.append((at, makers))
            stack += [(maker, None) for maker in reversed(makers.values())]


def _makers(store: Store, run: Run, below: set[str]) -> dict[str, Run]:
    """Find the run that made each input, where one did."""
    found: dict[str, Run] = {}
    for item in run.inputs:
        made = tuple(maker for maker in store.runs_making(item.digest) if maker.is_success)
        if made and (maker := believed(made)).run not in below:
            found[item.digest] = maker
    return found
