"""Why steps ran or will run, told from the store and from what would happen now.

Reads, and neither writes nor prints; how a reason looks on screen or as JSON is decided under `cli/`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.causes import Cause, CauseKind, leaves
from pipeline.caveats import arose
from pipeline.errors import FitsError, PipelineError, UsageError
from pipeline.forecast import Forecast, Outcome
from pipeline.reasons import Comparison, Explainer, asked_of_job, asked_of_run
from pipeline.record import Job
from pipeline.report import step_id
from pipeline.resolve import Resolver
from provenance.acceptances import Acceptance
from provenance.errors import ProvenanceError
from provenance.model import Action, Purpose, Run
from provenance.queries import PastStep
from provenance.store import Store

_NEWEST = 16
"""Runs of a step that are looked at for one that no call tells of."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a call of the command did with a step."""

    when: str
    """Start of that call; of the run, if no call that ended tells of it."""
    outcome: str
    """`hit`, `ran`, `failed` or `blocked`."""
    why: tuple[str, ...]
    """As the call saw it."""
    run: str | None
    """The run made, or the one believed."""
    compared: Comparison | None = None
    """That run beside the nearest before it; None for a hit, and for the first."""


@dataclass(frozen=True, slots=True)
class Now:
    """What would become of a step now."""

    forecast: Forecast
    against: Comparison | None = None
    """The step beside the nearest action before it, if it would run and is not the first."""
    causes: tuple[Cause, ...] = ()
    """Why it would run, down to what began it."""
    if_unchanged: Outcome | None = None
    """For a step that waits: what it is if what it waits for comes out as before; None if nobody knows."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step ran, or will."""

    step: str
    last: Past | None
    """What the last call of the command did with it; None if it never came up."""
    ran: Past | None
    """When it ran last, if the last call did not run it."""
    now: Now | None
    """What would happen now; None if that cannot be told, or it is not in the plan."""
    accepted: tuple[Acceptance, ...] = ()
    """What was accepted of it, oldest first; those taken back among them."""


@dataclass(frozen=True, slots=True)
class RootCause:
    """Something that is otherwise, and all steps that have to run for it."""

    stage: str
    """Where it lies."""
    kind: CauseKind
    text: str
    details: tuple[str, ...]
    """Such as the cards or packages that differ."""
    steps: tuple[str, ...]
    """Steps that have to run for it at once."""
    waiting: tuple[str, ...]
    """Steps that wait for those."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that may be accepted in place of a step that would run."""

    action: Action
    """What the step would do."""
    run: Run
    causes: tuple[Cause, ...]
    words: tuple[str, ...]
    """The causes in words, for the record."""


@dataclass(frozen=True, slots=True)
class Caveat:
    """What a reader should know, with the step in which it arose."""

    step: str
    text: str
    also: tuple[str, ...]
    """Other steps whose products carry it."""


class Teller:
    """Says why steps ran, or will.

    Parameters
    ----------
    store : Store
        The store.
    resolver : Resolver
        Turns a step into a job.
    explainer : Explainer
        Follows differences to their cause.
    forecasts : mapping of str to Forecast
        What would happen to each step of the plan now, by id; empty if that cannot be told.
    """

    def __init__(
        self, store: Store, resolver: Resolver, explainer: Explainer, forecasts: Mapping[str, Forecast]
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._explainer = explainer
        self._forecasts = forecasts
        self._made: dict[str, tuple[Run, ...]] = {}

    def reason(self, stage: str, unit: str, workspace: str = "") -> Reason:
        """Say why a step ran, or will.

        Parameters
        ----------
        stage, unit : str
            The step.
        workspace : str
            Calls made there count; if there are none, as after it was moved, all do.
        """
        steps = self._store.past_steps(stage, unit)
        pasts = [_past(past) for past in steps if past.workspace == workspace]
        pasts = pasts or [_past(past) for past in steps]
        runs = self._store.runs(stage=stage, unit=unit, limit=_NEWEST)
        known = {past.run for past in steps if past.outcome in ("ran", "failed")}
        # A call that was killed left runs and no word of itself.
        pasts += [_orphan(run) for run in runs if run.purpose is Purpose.RUN and run.run not in known]
        pasts.sort(key=lambda past: past.when, reverse=True)
        last = pasts[0] if pasts else None
        ran = next((past for past in pasts if past.outcome in ("ran", "failed")), None)
        step = step_id(stage, unit)
        found = self._forecasts.get(step)
        return Reason(
            step=step,
            last=self._compared(last),
            ran=None if ran is last else self._compared(ran),
            now=None if found is None else self.now(found),
            accepted=tuple(item for item in self._store.acceptances() if item.said.step == step),
        )

    def now(self, found: Forecast) -> Now:
        """Say what would become of a step, and follow it to the cause."""
        self._explainer.forget()
        if found.outcome is not Outcome.MISS:
            return Now(found)
        if found.job is not None:
            against, causes = self._own(found)
            return Now(found, against, causes)
        against, if_unchanged = self._if_unchanged(found)
        at_once = against.causes if against is not None else ()
        return Now(found, against, (*at_once, *self._waits(found)), if_unchanged)

    def against_success(self, job: Job) -> Comparison | None:
        """Compare a step with the nearest action before it of which a run succeeded."""
        self._explainer.forget()
        return self._explainer.compare(asked_of_job(job), successful=True)

    def root_causes(self) -> tuple[RootCause, ...]:
        """List what makes steps run, by the number of steps it touches."""
        steps: dict[tuple[str, CauseKind, str], dict[str, None]] = {}
        details: dict[tuple[str, CauseKind, str], tuple[str, ...]] = {}
        waiting: dict[str, list[str]] = {}
        for found in self._forecasts.values():
            for root in found.roots:
                waiting.setdefault(root, []).append(found.step.id)
            if found.outcome is Outcome.MISS:
                self._explainer.forget()
                for leaf in leaves(self._at_once(found)):
                    key = (leaf.step.partition(":")[0], leaf.kind, leaf.text)
                    steps.setdefault(key, {})[found.step.id] = None
                    details[key] = tuple(_details(leaf))
        causes = [
            RootCause(
                *(*key, details[key], tuple(found)),
                waiting=tuple(dict.fromkeys(step for root in found for step in waiting.get(root, ()))),
            )
            for key, found in steps.items()
        ]
        return tuple(sorted(causes, key=lambda cause: -len(cause.steps) - len(cause.waiting)))

    def _compared(self, past: Past | None) -> Past | None:
        """Add what a run was asked otherwise than the nearest before it; a hit was asked nothing new."""
        if past is None or past.run is None or past.outcome not in ("ran", "failed"):
            return past
        self._explainer.forget()
        try:
            run = self._store.run(past.run)
            compared = self._explainer.compare(asked_of_run(self._store, run), before=run.run)
        except ProvenanceError:
            return past  # a record is damaged: `check` names it, and what was said is still told
        return Past(past.when, past.outcome, past.why, past.run, compared)

    def _at_once(self, found: Forecast) -> tuple[Cause, ...]:
        """List why a step would run whatever becomes of those it waits for."""
        if found.job is not None:
            return self._own(found)[1]
        against, _ = self._if_unchanged(found)
        return against.causes if against is not None else ()

    def _own(self, found: Forecast) -> tuple[Comparison | None, tuple[Cause, ...]]:
        """Compare a step that would run with what was done before."""
        assert found.job is not None
        against = self._explainer.compare(asked_of_job(found.job))
        if against is not None and against.causes:
            return against, against.causes
        kind = CauseKind.NEVER if against is None else CauseKind.REMADE
        return against, (Cause(kind, found.step.id, found.why[0]),)

    def _waits(self, found: Forecast) -> tuple[Cause, ...]:
        """Say for what a step waits, and what began that; each once, by the shortest way."""
        ways = self._ways(found)
        causes = []
        for root in found.roots:
            through = ", ".join(ways.get(root, ()))
            text = f"waits for {root}{f' through {through}' if through else ''}"
            up = self._forecasts.get(root)
            began = () if up is None else self._own(up)[1]
            causes.append(Cause(CauseKind.WAITS, root, text, through, causes=began))
        return tuple(causes)

    def _ways(self, found: Forecast) -> dict[str, tuple[str, ...]]:
        """Find the stages between a step and each that has to run before it."""
        ways: dict[str, tuple[str, ...]] = {found.step.id: ()}
        layer = [found]
        while layer:
            above = []
            for below in layer:
                own = () if below is found else (below.step.stage.value,)
                for id_ in below.step.upstream:
                    up = self._forecasts.get(id_)
                    if up is not None and up.outcome is Outcome.MISS and id_ not in ways:
                        ways[id_] = (*ways[below.step.id], *own)
                        above.append(up)
            layer = above
        return ways

    def _if_unchanged(self, found: Forecast) -> tuple[Comparison | None, Outcome | None]:
        """Suppose that what a step waits for comes out as it last did: say what is new all the same."""
        last = next(iter(self._successes(found.step.id)), None)
        read = {item.digest for item in last.inputs} if last is not None else set()
        runs: dict[str, Run] = {}
        for id_ in found.step.upstream:
            run = self._forecasts[id_].run if id_ in self._forecasts else None
            run = run or self._read_last(id_, read)
            if run is None:
                return None, None
            runs[id_] = run
        try:
            job = self._resolver.job(found.step, runs)
        except (FitsError, PipelineError, OSError):
            return None, None
        if self._store.lookup(job.action.key).is_hit:
            return None, Outcome.HIT
        return self._explainer.compare(asked_of_job(job)), Outcome.MISS

    def _read_last(self, id_: str, read: set[str]) -> Run | None:
        """Find the run of a step whose products were read, else its newest."""
        made = self._successes(id_)
        return next(
            (run for run in made if any(o.digest in read for o in run.outputs)), next(iter(made), None)
        )

    def _successes(self, id_: str) -> tuple[Run, ...]:
        """List a successful run of each action that was tried for a step, the newest first."""
        if id_ not in self._made:
            stage, _, unit = id_.partition(":")
            attempts = (attempt for attempt in self._store.attempts(stage, unit) if attempt.is_success)
            self._made[id_] = tuple(self._store.run(attempt.run) for attempt in attempts)
        return self._made[id_]


def candidate(store: Store, found: Forecast, teller: Teller) -> Candidate:
    """Find the earlier run that could stand for a step that would run.

    Parameters
    ----------
    store : Store
        The store.
    found : Forecast
        The step.
    teller : Teller
        Says in what they differ.

    Raises
    ------
    UsageError
        The step is made, blocked or waits, or there is nothing sound to stand for it.
    """
    id_ = found.step.id
    if found.outcome is Outcome.HIT:
        raise UsageError(f"{id_} is made: there is nothing to accept", f"see: clio why {id_}")
    if found.outcome is Outcome.BLOCKED:
        raise UsageError(f"{id_} is blocked: {found.why[-1]}", "only what could run can be accepted instead")
    if found.job is None:
        hint = f"accept or run {found.roots[0]} first" if found.roots else ""
        raise UsageError(f"{id_} {found.why[0]}: what it will read is not known yet", hint)
    against = teller.against_success(found.job)
    if against is None:
        raise UsageError(f"no run of {id_} ever succeeded: there is nothing to accept instead", f"run {id_}")
    run = store.run(against.run)
    known = store.lookup(run.action)
    if known.run is None or known.accepted is not None:
        raise UsageError(f"run {run.run} of {id_} cannot stand for it: {known.reason}", "run it again")
    words = tuple(_flat(against.causes))
    return Candidate(found.job.action, known.run, against.causes, words)


def caveats(found: Mapping[str, Forecast]) -> tuple[Caveat, ...]:
    """List the caveats of all products, each once, with the steps that carry it."""
    carriers: dict[tuple[str, str], dict[str, None]] = {}
    for forecast in found.values():
        for text in forecast.caveats:
            carriers.setdefault(arose(forecast.step.id, text), {})[forecast.step.id] = None
    return tuple(
        Caveat(step, text, tuple(name for name in steps if name != step))
        for (step, text), steps in carriers.items()
    )


def _past(past: PastStep) -> Past:
    return Past(past.when, past.outcome, past.why, past.run)


def _orphan(run: Run) -> Past:
    return Past(run.started, "ran" if run.is_success else "failed", (), run.run)


def _flat(causes: Iterable[Cause]) -> Iterator[str]:
    """Write each cause in a line with what began it."""
    for cause in causes:
        ends = [leaf.text for leaf in leaves(cause.causes)]
        yield " <- ".join((cause.text, "; ".join(dict.fromkeys(ends)))) if ends else cause.text


def _details(cause: Cause) -> Iterator[str]:
    for inner in cause.causes:
        yield inner.text
        yield from _details(inner)
