"""When which step runs: as soon as its inputs are there, packed into cores and memory. Knows no recipe."""

import contextlib
import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do once others are done."""

    id: str
    after: tuple[str, ...]
    """Ids of tasks that must have ended; those not in the schedule count as ended."""


def run_tasks(
    tasks: tuple[Task, ...],
    work: Callable[[str], None],
    memory_of: Callable[[str], int],
    *,
    jobs: int,
    memory_bytes: int,
    cancel: threading.Event,
) -> None:
    """Do every task, those that are ready at the same time beside each other.

    Parameters
    ----------
    tasks : tuple of Task
        In the order of preference: of several that are ready the first starts.
    work : callable
        Does the task of an id; runs in a thread of its own. What it raises ends the schedule.
    memory_of : callable
        Bytes the task of an id will need; asked when it is ready.
    jobs : int
        Most tasks at once.
    memory_bytes : int
        Tasks start beside each other only while their memory fits; one alone always starts.
    cancel : threading.Event
        Once set nothing new starts.

    Raises
    ------
    Exception
        The first that `work` raised, once all that was running has ended.
    """
    queue = _Queue(tasks)
    running: dict[Future[None], tuple[str, int]] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=jobs) as pool, _ended_by(cancel):
        while True:
            if failure is None and not cancel.is_set():
                _start(queue, running, pool, work, memory_of, jobs=jobs, memory_bytes=memory_bytes)
            if not running:
                break
            # A timeout, so that the thread of the signals gets its turn.
            ended, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                queue.end(running.pop(future)[0])
                error = future.exception()
                if error is not None and failure is None:
                    failure = error
                    cancel.set()
    if failure is not None:
        raise failure


class _Queue:
    """Tasks that have not begun: what each still waits for, and which are ready, by preference."""

    def __init__(self, tasks: tuple[Task, ...]) -> None:
        known = {task.id for task in tasks}
        self._place = {task.id: place for place, task in enumerate(tasks)}
        self._lacks = {task.id: len(known.intersection(task.after)) for task in tasks}
        self._followers: defaultdict[str, list[str]] = defaultdict(list)
        for task in tasks:
            for id_ in known.intersection(task.after):
                self._followers[id_].append(task.id)
        self._ready = [(place, id_) for id_, place in self._place.items() if not self._lacks[id_]]

    def candidates(self) -> list[str]:
        """List the first tasks that are ready; what does not fit now is passed over."""
        return [id_ for _, id_ in self._ready[:_LOOK_AHEAD]]

    def begin(self, id_: str) -> None:
        """Take a task out."""
        del self._ready[bisect_left(self._ready, (self._place[id_], id_))]

    def end(self, id_: str) -> None:
        """Make ready what waited for this task alone."""
        for follower in self._followers.pop(id_, ()):
            self._lacks[follower] -= 1
            if not self._lacks[follower]:
                insort(self._ready, (self._place[follower], follower))


_LOOK_AHEAD = 64


@contextlib.contextmanager
def _ended_by(cancel: threading.Event) -> Iterator[None]:
    """Stop what runs if the waiting is interrupted: a notebook's ctrl-C arrives as an exception."""
    try:
        yield
    except BaseException:
        cancel.set()
        raise


def _start(
    queue: _Queue,
    running: dict[Future[None], tuple[str, int]],
    pool: ThreadPoolExecutor,
    work: Callable[[str], None],
    memory_of: Callable[[str], int],
    *,
    jobs: int,
    memory_bytes: int,
) -> None:
    """Start what is ready and fits."""
    for id_ in queue.candidates():
        if len(running) >= jobs:
            return
        need = memory_of(id_)
        taken = sum(memory for _, memory in running.values())
        if running and taken + need > memory_bytes:
            continue
        queue.begin(id_)
        running[pool.submit(work, id_)] = (id_, need)
