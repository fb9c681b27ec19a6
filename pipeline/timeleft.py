"""How much of a reduction is done, and how long the rest takes, by what each step is expected to take."""

import threading
import time
from collections import defaultdict, deque
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


@dataclass(frozen=True, slots=True)
class _Expected:
    own_us: int
    below_us: int
    """What the longest chain of steps takes that waits for it."""
    is_learned: bool

    @property
    def chain_us(self) -> int:
        """What the longest chain takes that begins with it."""
        return self.own_us + self.below_us


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

    Sums are kept, and only the steps that run are gone through: with all of twenty thousand, telling of a
    step would cost more than doing it. They are of whole microseconds, so that in the end nothing is left.
    """

    def __init__(
        self,
        steps: Iterable[tuple[str, tuple[str, ...], Duration]],
        jobs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = _with_what_waits(tuple(steps))
        self._began: dict[str, float] = {}
        """When those began that run."""
        self._jobs = jobs
        self._clock = clock
        self._total_us = self._waiting_us = sum(step.own_us for step in self._left.values())
        self._learned_us = sum(step.own_us for step in self._left.values() if step.is_learned)
        """Of those that wait."""
        self.most_urgent_first = tuple(sorted(self._left, key=lambda id_: -self._left[id_].chain_us))
        """All steps, those on which the longest work waits first: begun so, no core idles at the end."""
        self._to_come = deque(self.most_urgent_first)
        """The same, without those at the front that have begun."""
        self._expected = self._took = _GRACE_S
        self._lock = threading.Lock()

    def start(self, id_: str) -> float:
        """Take down that a step runs from now on; gives the seconds it is expected to take."""
        with self._lock:
            step = self._left.get(id_)
            if step is None:
                return 0.0
            if id_ not in self._began:
                self._waits_no_more(step)
            self._began[id_] = self._clock()
            return self._seconds(step.own_us)

    def end(self, id_: str) -> None:
        """Take down that a step has ended, by a recipe or without one."""
        with self._lock:
            step = self._left.pop(id_, None)
            if step is None:
                return
            began = self._began.pop(id_, None)
            if began is None:
                self._waits_no_more(step)
                self._total_us -= step.own_us  # there was nothing to do
            else:
                self._expected += step.own_us / _SECOND_US
                self._took += self._clock() - began

    def left(self) -> Left:
        """Say where the reduction stands."""
        with self._lock:
            now = self._clock()
            running = [
                (step := self._left[id_], self._rest(step, now - at)) for id_, at in self._began.items()
            ]
            work = self._seconds(self._waiting_us) + sum(rest for _, rest in running)
            known = self._seconds(self._learned_us) + sum(rest for step, rest in running if step.is_learned)
            chains = (rest + self._seconds(step.below_us) for step, rest in running)
            undone, total = work / self._pace, self._total_us / _SECOND_US
            done = max(0.0, 1.0 - undone / total) if undone and total > 0 else 1.0
            return Left(max(work / self._jobs, self._longest_to_come(), *chains), done, known >= work / 2)

    def _waits_no_more(self, step: _Expected) -> None:
        self._waiting_us -= step.own_us
        self._learned_us -= step.own_us * step.is_learned

    def _longest_to_come(self) -> float:
        """Give the seconds of the longest chain of those that wait."""
        ids = self._to_come
        while ids and (ids[0] not in self._left or ids[0] in self._began):
            ids.popleft()
        return self._seconds(self._left[ids[0]].chain_us) if ids else 0.0

    @property
    def _pace(self) -> float:
        return self._took / self._expected

    def _seconds(self, expected_us: int) -> float:
        return expected_us / _SECOND_US * self._pace

    def _rest(self, step: _Expected, ran_s: float) -> float:
        seconds = self._seconds(step.own_us)
        return max(seconds - ran_s, seconds / 10)


def _with_what_waits(
    steps: tuple[tuple[str, tuple[str, ...], Duration], ...],
) -> dict[str, _Expected]:
    """Find out what waits for each step, however indirectly; in the order in which they came."""
    below: defaultdict[str, int] = defaultdict(int)
    made: dict[str, _Expected] = {}
    for id_, after, duration in reversed(steps):
        own = round(duration.seconds * _SECOND_US)
        made[id_] = _Expected(own, below[id_], duration.is_learned)
        for before in after:
            below[before] = max(below[before], own + below[id_])
    return dict(reversed(made.items()))


_SECOND_US = 1_000_000
_GRACE_S = 60.0
"""Seconds of work that are believed to take as long as expected, before any was seen."""
