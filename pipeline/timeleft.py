"""How much of a reduction is done, and how long the rest takes, by what each step is expected to take."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.costs import Duration


@dataclass(frozen=True, slots=True)
class Left:
    """Where a reduction stands."""

    seconds: float
    """Until it ends."""
    done: float
    """Share of the work that is done, from 0 to 1."""
    is_learned: bool
    """Whether most of it goes by what earlier runs took, and not by a first guess."""


@dataclass(slots=True)
class _Expected:
    after: tuple[str, ...]
    duration: Duration
    began: float | None = None


class TimeLeft:
    """Keeps account of the steps that are still to run. Threads may share it.

    Parameters
    ----------
    steps : iterable of (str, tuple of str, Duration)
        Id, ids of those it waits for, and how long it is expected to take; what is waited for comes first.
    jobs : int
        Steps that run at once.
    clock : callable
        Seconds that never go back.

    Notes
    -----
    The time left is that of the work left, shared by all jobs, or that of the longest chain of steps that
    wait for each other, whichever is longer. A step that runs longer than expected is expected to run a tenth
    more. What steps took in this call against what was expected of them corrects what is expected of the
    rest: the first minute counts little.
    """

    def __init__(
        self,
        steps: Iterable[tuple[str, tuple[str, ...], Duration]],
        jobs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = {id_: _Expected(after, duration) for id_, after, duration in steps}
        self._jobs = jobs
        self._clock = clock
        self._total = sum(step.duration.seconds for step in self._left.values())
        self._expected = self._took = _GRACE_S
        self._lock = threading.Lock()
        self._last: tuple[float, Left] | None = None

    def start(self, id_: str) -> float:
        """Take down that a step runs from now on; gives the seconds it is expected to take."""
        with self._lock:
            step = self._left.get(id_)
            if step is None:
                return 0.0
            step.began = self._clock()
            return step.duration.seconds * self._pace

    def end(self, id_: str) -> None:
        """Take down that a step has ended, by a recipe or without one."""
        with self._lock:
            step = self._left.pop(id_, None)
            if step is None:
                return
            if step.began is None:
                self._total -= step.duration.seconds  # there was nothing to do
            else:
                self._expected += step.duration.seconds
                self._took += self._clock() - step.began

    def left(self) -> Left:
        """Say where the reduction stands."""
        with self._lock:
            now = self._clock()
            if self._last is not None and len(self._left) > _MANY and now - self._last[0] < _PAUSE_S:
                at, last = self._last
                return Left(max(0.0, last.seconds - (now - at)), last.done, last.is_learned)
            self._last = (now, self._counted(now))
            return self._last[1]

    def _counted(self, now: float) -> Left:
        """Go through all steps that are left."""
        chain: dict[str, float] = {}
        work = known = 0.0
        for id_, step in self._left.items():
            rest = self._rest(step, now)
            work += rest
            known += rest * step.duration.is_learned
            chain[id_] = rest + max((chain.get(before, 0.0) for before in step.after), default=0.0)
        undone = work / self._pace
        done = max(0.0, 1.0 - undone / self._total) if undone and self._total > 0 else 1.0
        seconds = max(work / self._jobs, *chain.values(), 0.0)
        return Left(seconds, done, known >= work / 2)

    @property
    def _pace(self) -> float:
        return self._took / self._expected

    def _rest(self, step: _Expected, now: float) -> float:
        seconds = step.duration.seconds * self._pace
        if step.began is None:
            return seconds
        return max(seconds - (now - step.began), seconds / 10)


_GRACE_S = 60.0
"""Seconds of work that are believed to take as long as expected, before any was seen."""
_MANY = 50
"""Steps up to which going through all of them takes no time that counts."""
_PAUSE_S = 1.0
"""For more of them it is done only so often."""
