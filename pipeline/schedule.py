"""When which step runs: as soon as its inputs are there, packed into cores and memory. Knows no recipe."""

import contextlib
import threading
from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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

_Begun = tuple[str, Grant]
"""A task that was taken out, and what it may take."""


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
        counts, but not where one task at a time gets all there is.
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


class _Schedule:
    """Tasks on their way: a thread whose task has ended sees itself what comes next, and does it.

    Handing each task from one thread to another would cost two changes of thread a task.
    """

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
        # Twice as many threads: as many again may hash and publish what they made while recipes run.
        self._pool = ThreadPoolExecutor(2 * budget.jobs)
        self._lock = threading.Lock()
        """Of all that follows."""
        self._granted: dict[str, Grant] = {}
        """What is taken now, by task."""
        self._at_work: set[str] = set()
        """Tasks that have not ended; some have given back what they took."""
        self._alone: deque[str] = deque()
        """Tasks that are to be done once more, with nothing beside them."""
        self._overtaken: Counter[str] = Counter()
        """How often others went ahead of a task that waits for memory."""
        self._failure: BaseException | None = None
        self._is_over = threading.Event()

    def __call__(self) -> None:
        with self._pool, _ended_by(self._cancel):
            self._start(self._next())
            # A timeout, so that the thread of the signals gets its turn.
            while not self._is_over.wait(timeout=1.0):
                pass
        if self._failure is not None:
            raise self._failure

    def _start(self, begun: Iterable[_Begun]) -> None:
        for task in begun:
            self._pool.submit(self._do, task)

    def _do(self, task: _Begun | None) -> None:
        """Do a task, and what comes after it, in a thread of the pool."""
        while task is not None:
            id_, grant = task
            try:
                after = self._work(id_, grant)
            except BaseException as error:
                after = After.DONE
                self._fail(error)
            begun = self._next(id_, after)
            task = begun.pop(0) if begun else None
            self._start(begun)

    def _release(self, id_: str) -> None:
        with self._lock:
            self._granted.pop(id_, None)
        self._start(self._next())

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._cancel.set()

    def _next(self, ended: str = "", after: After = After.DONE) -> list[_Begun]:
        """Take out what may start now that a task has ended, and tell whether that was all."""
        with self._lock:
            if ended:
                self._end(ended, after)
            begun: list[_Begun] = []
            try:
                if self._failure is None and not self._cancel.is_set():
                    begun.extend(self._what_fits())
            except BaseException as error:
                self._fail(error)
            if not self._at_work:
                self._is_over.set()
        return begun

    def _end(self, id_: str, after: After) -> None:
        self._granted.pop(id_, None)
        self._at_work.remove(id_)
        if after is After.AGAIN_ALONE:
            self._alone.append(id_)
        else:
            self._queue.end(id_)

    def _what_fits(self) -> Iterator[_Begun]:
        if self._alone:
            if not self._granted:
                yield self._begin(self._alone.popleft(), self._budget.memory_bytes, 1)
            return
        ready = self._queue.candidates()
        waits = ""
        for place, id_ in enumerate(ready):
            if not self._has_room():
                return
            size = self._size_for(id_)
            if size is None:
                waits = waits or id_
                if self._overtaken[waits] >= _OVERTAKING * self._budget.jobs:
                    return
                continue
            if waits:
                self._overtaken[waits] += 1
            self._queue.begin(id_)
            yield self._begin(id_, size, len(ready) - place)

    def _has_room(self) -> bool:
        jobs = self._budget.jobs
        return len(self._granted) < jobs and len(self._at_work) < 2 * jobs

    def _size_for(self, id_: str) -> int | None:
        """Say how much memory to grant; None if there is not enough.

        Up to twice the need, if its even share is as much: a need is an estimate, and a limit kills. Not
        more, as what is granted keeps others from starting.
        """
        whole = self._budget.memory_bytes
        if self._budget.jobs == 1 and not self._granted:
            return whole
        need = self._memory_of(id_)
        free = whole - sum(grant.memory_bytes for grant in self._granted.values())
        if need >= whole and not self._granted:
            return whole
        if need > free or free <= 0:
            return None
        return min(max(need, min(whole // self._budget.jobs, 2 * need)), free)

    def _begin(self, id_: str, size: int, ready: int) -> _Begun:
        is_whole = size >= self._budget.memory_bytes and not self._granted
        beside = 1 if is_whole else min(self._budget.jobs, len(self._granted) + ready)
        self._granted[id_] = grant = Grant(size, beside, is_whole, lambda: self._release(id_))
        self._at_work.add(id_)
        return id_, grant


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
