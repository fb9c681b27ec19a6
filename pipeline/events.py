"""What a run tells of its steps while it goes on, and the error that it ends with."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import Exit, FramesError, NotAsLocked, PipelineError, RecipeFailed
from pipeline.model import Step
from pipeline.timeleft import Left
from provenance.model import Run


class Did(StrEnum):
    """What was done with a step."""

    HIT = "hit"
    RAN = "ran"
    FAILED = "failed"
    BLOCKED = "blocked"
    STARTED = "started"
    """Not an end: it runs now."""
    AGAIN = "again"
    """Not an end: it ran out of memory, and is run once more, alone and with all there is."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person who waits wants to see."""

    step: Step
    did: Did
    why: tuple[str, ...]
    run: Run | None = None
    is_different: bool = False
    """Whether it failed because what it made is not what the lock says."""
    expected_s: float | None = None
    """Seconds it is expected to take, for a start."""
    left: Left | None = None
    """Where the whole stands."""


def failure(events: tuple[Event, ...]) -> PipelineError | None:
    """Make the error that a run with failed or blocked steps ends with; None if all went well."""
    failed = [event for event in events if event.did is Did.FAILED]
    blocked = [event for event in events if event.did is Did.BLOCKED]
    others = len(failed) + len(blocked) - 1
    more = f"; {others} more steps failed or are blocked" if others else ""
    different = [event for event in failed if event.is_different]
    if different and len(different) == len(failed):
        first = different[0]
        log = f"its record: clio show {first.run.run}" if first.run else ""
        return NotAsLocked(f"{first.step.id} is not as locked: {first.why[0]}{more}", log, Exit.DIFFERENT)
    if failed:
        first = failed[0]
        log = f"its log: clio show {first.run.run} --log; " if first.run else ""
        hint = f"{log}to try again all the same: clio run --retry-failed"
        return RecipeFailed(f"{first.step.id} failed: {first.why[0]}{more}", hint)
    if blocked:
        first = blocked[0]
        hints = [problem.hint for problem in first.step.problems if problem.hint]
        return FramesError(
            f"{first.step.id} is blocked: {root_of(first)[1]}{more}", hints[0] if hints else ""
        )
    return None


def root_of(event: Event) -> tuple[str, str]:
    """Name the step at which the chain of reasons of an event begins, and what is wrong there."""
    id_, *reasons = event.step.id, *event.why
    while len(reasons) > 1 and reasons[0].startswith(_NEEDS):
        id_ = reasons.pop(0).removeprefix(_NEEDS)
    return id_, reasons[0]


_NEEDS = "needs "
"""Begins a reason that names the step another one waits for; see `pipeline.forecast`."""
