"""What would happen to a step now: a hit, a miss or blocked, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import FitsError
from pipeline.model import Step
from pipeline.record import Job
from pipeline.resolve import Resolver
from provenance.difference import differences
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
    """
    if step.problems:
        return Forecast(step, Outcome.BLOCKED, tuple(problem.reason for problem in step.problems))
    upstream = [before[id_] for id_ in step.upstream if id_ in before]
    lacking = [id_ for id_ in step.upstream if id_ not in before]
    if lacking:
        return Forecast(step, Outcome.BLOCKED, (f"needs {lacking[0]}, of which there are no frames",))
    for up in upstream:
        if up.outcome is Outcome.BLOCKED:
            return Forecast(step, Outcome.BLOCKED, (f"needs {up.step.id}", *up.why))
    waits = [up.step.id for up in upstream if up.outcome is Outcome.MISS]
    if waits:
        others = f" and {len(waits) - 1} more" if len(waits) > 1 else ""
        return Forecast(step, Outcome.MISS, (f"waits for {waits[0]}{others}",))
    runs = {up.step.id: up.run for up in upstream if up.run is not None}
    try:
        job = resolver.job(step, runs)
    except (FitsError, OSError) as error:
        return Forecast(step, Outcome.BLOCKED, (str(error),))
    found = store.lookup(job.action.key)
    if found.run is not None:
        return Forecast(step, Outcome.HIT, ("same inputs, parameters and image",), job, found.run)
    failed = found.failed
    if failed is not None and _will_last(failed) and not retry_failed:
        return Forecast(step, Outcome.BLOCKED, (f"{failed.cause}: {failed.reason}",), job, failed)
    return Forecast(step, Outcome.MISS, _reasons(job, found.reason, store), job)


def _will_last(run: Run) -> bool:
    """Tell whether a failure is of the inputs; a recipe that died of a signal may have lacked memory."""
    return run.cause in LASTING and run.signal is None


def _reasons(job: Job, reason: str, store: Store) -> tuple[str, ...]:
    """Say what made a known step into one that has to run."""
    last = store.last_run(job.step.stage.value, job.step.unit)
    if last is None:
        return ("never run",)
    changes = differences(store.action(last.action), job.action)
    return changes or (reason,)
