"""When which step runs: as soon as its inputs are there, packed into cores and memory. Knows no recipe."""

import contextlib
import queue
import threading
from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do once others are done."""

    id: str
    after: tuple[str, ...]
    """Ids of tasks that must have ended; those not in the schedule count as ended."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What tasks may take together."""

    jobs: int
    """Most tasks at once."""
    memory_bytes: int
    """Most memory at once."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a task may take while it runs. Those of all that run fit the budget, at every instant."""

    memory_bytes: int
    """At least what was asked for, unless it is all there is."""
    beside: int
    """How many tasks are likely to run at the same time, this one included."""
    is_whole: bool
    """Whether it is all the memory there is: then nothing runs beside it, and there is no more to be had."""
    release: Callable[[], None] = lambda: None
    """Tells that what is left to do takes neither a core nor memory worth counting."""


class After(Enum):
    """What becomes of a task whose work came to an end."""

    DONE = auto()
    AGAIN_ALONE = auto()
    """It is done once more, with all the memory there is and nothing beside it, before others start."""


Work = Callable[[str, Grant], After]


def run_tasks(
    tasks: tuple[Task, ...],
    work: Work,
    memory_of: Callable[[str], int],
    budget: Budget,
    cancel: threading.Event,
) -> None:
    """Do every task, those that are ready at the same time beside each other.

    Parameters
    ----------
    tasks : tuple of Task
        In the order of preference: of several that are ready the first starts.
    work : callable
        Does the task of an id with what it is granted; runs in a thread of its own. What it raises ends
        the schedule.
    memory_of : callable
        Bytes the task of an id will need; asked whenever it might start, so that what was learned meanwhile
        counts.
    budget : Budget
        What they may take together. A task that needs more than all runs alone, with all.
    cancel : threading.Event
        Once set nothing new starts.

    Raises
    ------
    Exception
        The first that `work` raised, once all that was running has ended.

    Notes
    -----
    While the first of the ready tasks waits for memory, others that fit go ahead of it; so many that it waits
    for those that run and a few more, and not until there is nothing small left.
    """
    _Schedule(tasks, work, memory_of, budget, cancel)()


_LOOK_AHEAD = 64
_OVERTAKING = 4
"""How many tasks for each job may go ahead of one that waits for memory."""


@dataclass(frozen=True, slots=True)
class _News:
    """A word from a thread that works."""

    id: str
    ended: Future[After] | None = None
    """How it ended; None if it only gives back what it was granted."""


class _Schedule:
    """Tasks on their way. All of its state belongs to the thread that calls it; others send it news."""

    def __init__(
        self,
        tasks: tuple[Task, ...],
        work: Work,
        memory_of: Callable[[str], int],
        budget: Budget,
        cancel: threading.Event,
    ) -> None:
        self._queue = _Queue(tasks)
        self._work = work
        self._memory_of = memory_of
        self._budget = budget
        self._cancel = cancel
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        self._granted: dict[str, Grant] = {}
        """What is taken now, by task."""
        self._at_work: set[str] = set()
        """Tasks whose thread has not ended; some have given back what they took."""
        self._alone: deque[str] = deque()
        """Tasks that are to be done once more, with nothing beside them."""
        self._overtaken: Counter[str] = Counter()
        """How often others went ahead of a task that waits for memory."""
        self._failure: BaseException | None = None

    def __call__(self) -> None:
        # Twice as many threads: as many again may hash and publish what they made while recipes run.
        with ThreadPoolExecutor(2 * self._budget.jobs) as pool, _ended_by(self._cancel):
            while True:
                if self._failure is None and not self._cancel.is_set():
                    self._start_what_fits(pool)
                if not self._at_work:
                    break
                # A timeout, so that the thread of the signals gets its turn.
                with contextlib.suppress(queue.Empty):
                    self._hear(self._news.get(timeout=1.0))
        if self._failure is not None:
            raise self._failure

    def _hear(self, news: _News) -> None:
        self._granted.pop(news.id, None)
        if news.ended is None:
            return
        self._at_work.remove(news.id)
        error = news.ended.exception()
        if error is not None:
            self._failure = self._failure or error
            self._cancel.set()
        elif news.ended.result() is After.AGAIN_ALONE:
            self._alone.append(news.id)
        else:
            self._queue.end(news.id)

    def _start_what_fits(self, pool: ThreadPoolExecutor) -> None:
        if self._alone:
            if not self._granted:
                self._start(pool, self._alone.popleft(), self._budget.memory_bytes, 1)
            return
        ready = self._queue.candidates()
        waits = ""
        for place, id_ in enumerate(ready):
            if not self._has_room():
                return
            size = self._size_of(self._memory_of(id_))
            if size is None:
                waits = waits or id_
                if self._overtaken[waits] >= _OVERTAKING * self._budget.jobs:
                    return
                continue
            if waits:
                self._overtaken[waits] += 1
            self._queue.begin(id_)
            self._start(pool, id_, size, len(ready) - place)

    def _has_room(self) -> bool:
        jobs = self._budget.jobs
        return len(self._granted) < jobs and len(self._at_work) < 2 * jobs

    def _size_of(self, need: int) -> int | None:
        """Say how much memory to grant; None if there is not enough.

        Up to twice the need, if its even share is as much: a need is an estimate, and a limit kills. Not
        more, as what is granted keeps others from starting.
        """
        whole = self._budget.memory_bytes
        free = whole - sum(grant.memory_bytes for grant in self._granted.values())
        if not self._granted and (need >= whole or self._budget.jobs == 1):
            return whole
        if need > free or free <= 0:
            return None
        return min(max(need, min(whole // self._budget.jobs, 2 * need)), free)

    def _start(self, pool: ThreadPoolExecutor, id_: str, size: int, ready: int) -> None:
        is_whole = size >= self._budget.memory_bytes and not self._granted
        beside = 1 if is_whole else min(self._budget.jobs, len(self._granted) + ready)
        self._granted[id_] = grant = Grant(size, beside, is_whole, lambda: self._news.put(_News(id_)))
        self._at_work.add(id_)
        future = pool.submit(self._work, id_, grant)
        future.add_done_callback(lambda ended: self._news.put(_News(id_, ended)))


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


@contextlib.contextmanager
def _ended_by(cancel: threading.Event) -> Iterator[None]:
    """Stop what runs if the waiting is interrupted: a notebook's ctrl-C arrives as an exception."""
    try:
        yield
    except BaseException:
        cancel.set()
        raise
