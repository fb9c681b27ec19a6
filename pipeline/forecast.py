"""What would happen to a step now: a hit, a miss or blocked, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline.caveats import carried
from pipeline.errors import FitsError
from pipeline.model import Step
from pipeline.reasons import reasons
from pipeline.record import Job
from pipeline.resolve import Resolver
from pipeline.tainted import refused
from pipeline.unmatched import without_unmatched
from provenance.acceptances import Acceptance
from provenance.model import Run
from provenance.store import Store


class Outcome(StrEnum):
    """What becomes of a step."""

    HIT = "hit"
    """Its outcome is known and intact."""
    MISS = "miss"
    """It has to run."""
    BLOCKED = "blocked"
    """It cannot run, or ran and failed for a cause that stays."""


LASTING = frozenset({"recipe error", "unproven", "missing product"})
"""Causes of failure that follow from the inputs: the same action ends the same way, an hour later.

A full disk, a memory limit, a signal or a time limit may be gone by then, and is tried again.
"""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would happen to a step."""

    step: Step
    outcome: Outcome
    why: tuple[str, ...]
    """Reasons, the first the most telling."""
    job: Job | None = None
    """With its bytes, once all its inputs are there."""
    run: Run | None = None
    """The run that is believed, for a hit; the one that failed, where trying again would change nothing."""
    roots: tuple[str, ...] = ()
    """For a step that waits: the steps further up that have to run for a reason of their own."""
    inherited: tuple[str, ...] = ()
    """Caveats of what it is made from."""
    accepted: Acceptance | None = None
    """If the run is of another action, whose difference a person accepted."""

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader of its products should know; nothing before they are made."""
        if self.outcome is not Outcome.HIT or self.run is None:
            return ()
        accepted = () if self.accepted is None else (self.accepted.caveat,)
        return tuple(dict.fromkeys((*accepted, *self.run.caveats, *self.inherited)))

    @property
    def key(self) -> str | None:
        """Key of its action; None where that is not known yet."""
        if self.job is not None:
            return self.job.action.key
        if self.accepted is not None:
            return self.accepted.said.action
        return self.run.action if self.run is not None else None

    @property
    def without_job(self) -> "Forecast":
        """The same without what only running it takes: twenty thousand jobs would fill the memory."""
        return replace(self, job=None)

    @property
    def is_hit(self) -> bool:
        """Whether its outcome is known."""
        return self.outcome is Outcome.HIT

    @property
    def has_failed(self) -> bool:
        """Whether it is blocked by its own failure."""
        return self.outcome is Outcome.BLOCKED and self.run is not None


def forecast(
    step: Step,
    before: Mapping[str, Forecast],
    resolver: Resolver,
    store: Store,
    *,
    retry_failed: bool = False,
    in_full: bool = True,
) -> Forecast:
    """Say what would happen to a step.

    Parameters
    ----------
    step : Step
        The step.
    before : mapping of str to Forecast
        What is true of the steps it depends on.
    resolver, store
        Turn it into a job, and know what was made.
    retry_failed : bool
        Try again what failed for a cause that stays.
    in_full : bool
        Compare a miss with what was made earlier, to say what changed; else why only says what is missing.
    """
    if step.problems:
        return Forecast(step, Outcome.BLOCKED, tuple(problem.reason for problem in step.problems))
    ready = ((id_, before[id_]) for id_ in step.upstream if id_ in before)
    made = {id_: up.run for id_, up in ready if up.run and up.is_hit}
    step = without_unmatched(step, made)
    if step.problems:
        return Forecast(step, Outcome.BLOCKED, tuple(problem.reason for problem in step.problems))
    upstream = [before[id_] for id_ in step.upstream if id_ in before]
    lacking = [id_ for id_ in step.upstream if id_ not in before]
    if lacking:
        return Forecast(step, Outcome.BLOCKED, (f"needs {lacking[0]}, of which there are no frames",))
    for up in upstream:
        if up.outcome is Outcome.BLOCKED:
            return Forecast(step, Outcome.BLOCKED, (f"needs {up.step.id}", *up.why))
    roots = _roots(upstream)
    if roots:
        others = f" and {len(roots) - 1} more" if len(roots) > 1 else ""
        why = f"waits for {roots[0]} ({before[roots[0]].why[0]}){others}"
        return Forecast(step, Outcome.MISS, (why,), roots=roots)
    runs = {up.step.id: up.run for up in upstream if up.run is not None}
    try:
        job = resolver.job(step, runs)
        inherited = _handed_on(upstream)
        if inherited:
            job = replace(job, caveats=inherited)
    except (FitsError, OSError) as error:
        return Forecast(step, Outcome.BLOCKED, (str(error),))
    tainted = refused(job, store)
    if tainted is not None:
        return Forecast(tainted, Outcome.BLOCKED, tuple(problem.reason for problem in tainted.problems))
    found = store.lookup(job.action.key)
    if found.run is not None:
        why = "same inputs, parameters and image" if found.accepted is None else found.accepted.caveat
        known = Forecast(step, Outcome.HIT, (why,), job, found.run, inherited=inherited)
        return known if found.accepted is None else replace(known, accepted=found.accepted)
    failed = found.failed
    if failed is not None and _will_last(failed) and not retry_failed:
        return Forecast(step, Outcome.BLOCKED, (f"{failed.cause}: {failed.reason}",), job, failed)
    why_not = reasons(job, found.reason, store) if in_full else (found.reason,)
    return Forecast(step, Outcome.MISS, why_not, job, inherited=inherited)


def _roots(upstream: list[Forecast]) -> tuple[str, ...]:
    """Name the steps that have to run first for a reason of their own: what lies between only waits."""
    waits = (up for up in upstream if up.outcome is Outcome.MISS)
    return tuple(dict.fromkeys(root for up in waits for root in (up.roots or (up.step.id,))))


def _handed_on(upstream: list[Forecast]) -> tuple[str, ...]:
    """List the caveats of what a step reads, each once, with the step in which it arose."""
    return tuple(dict.fromkeys(text for up in upstream for text in carried(up.step.id, up.caveats)))


def _will_last(run: Run) -> bool:
    """Tell whether a failure is of the inputs; a recipe that died of a signal may have lacked memory."""
    return run.cause in LASTING and run.signal is None
