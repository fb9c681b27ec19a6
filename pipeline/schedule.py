"""When which step runs: as soon as its inputs are there, packed into cores and memory. Knows no recipe."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
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
    waiting = {task.id: task for task in tasks}
    running: dict[Future[None], tuple[str, int]] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=jobs) as pool, _ended_by(cancel):
        while waiting or running:
            if failure is None and not cancel.is_set():
                _start(waiting, running, pool, work, memory_of, jobs=jobs, memory_bytes=memory_bytes)
            else:
                waiting.clear()
            if not running:
                break
            # A timeout, so that the thread of the signals gets its turn.
            ended, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                del running[future]
                error = future.exception()
                if error is not None and failure is None:
                    failure = error
                    cancel.set()
    if failure is not None:
        raise failure


@contextlib.contextmanager
def _ended_by(cancel: threading.Event) -> Iterator[None]:
    """Stop what runs if the waiting is interrupted: a notebook's ctrl-C arrives as an exception."""
    try:
        yield
    except BaseException:
        cancel.set()
        raise


def _start(
    waiting: dict[str, Task],
    running: dict[Future[None], tuple[str, int]],
    pool: ThreadPoolExecutor,
    work: Callable[[str], None],
    memory_of: Callable[[str], int],
    *,
    jobs: int,
    memory_bytes: int,
) -> None:
    """Start what is ready and fits."""
    for id_ in _ready(waiting, running):
        if len(running) >= jobs:
            return
        need = memory_of(id_)
        taken = sum(memory for _, memory in running.values())
        if running and taken + need > memory_bytes:
            continue
        del waiting[id_]
        running[pool.submit(work, id_)] = (id_, need)


def _ready(waiting: Mapping[str, Task], running: Mapping[Future[None], tuple[str, int]]) -> list[str]:
    unfinished = waiting.keys() | {id_ for id_, _ in running.values()}
    return [id_ for id_, task in waiting.items() if not unfinished.intersection(task.after)]
