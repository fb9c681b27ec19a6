"""When which task runs."""

import threading
import time

import pytest

from pipeline.schedule import Task, run_tasks


class Diary:
    """Notes who runs beside whom; so many have to come together before any may go."""

    def __init__(self, together: int = 1) -> None:
        self.order: list[str] = []
        self.most = 0
        self._now = 0
        self._barrier = threading.Barrier(together, timeout=10)
        self._lock = threading.Lock()

    def __call__(self, id_: str) -> None:
        with self._lock:
            self.order.append(id_)
            self._now += 1
            self.most = max(self.most, self._now)
        self._barrier.wait()
        time.sleep(0.005)  # for one too many to show itself
        with self._lock:
            self._now -= 1


def run(work: object, *tasks: Task, jobs: int = 4, memory: int = 100, need: int = 1) -> None:
    run_tasks(
        tasks,
        work,  # type: ignore[arg-type]  # whatever can be called
        lambda id_: need,
        jobs=jobs,
        memory_bytes=memory,
        cancel=threading.Event(),
    )


def test_a_task_runs_after_those_it_needs() -> None:
    diary = Diary()

    run(diary, Task("c", ("a", "b")), Task("b", ("a",)), Task("a", ()), Task("d", ("c",)))

    assert diary.order == ["a", "b", "c", "d"]


def test_of_several_that_are_ready_the_first_starts() -> None:
    diary = Diary()

    run(diary, *(Task(name, ()) for name in "xyz"), jobs=1)

    assert diary.order == ["x", "y", "z"]


def test_what_is_not_in_the_schedule_counts_as_done() -> None:
    diary = Diary()

    run(diary, Task("a", ("elsewhere",)))

    assert diary.order == ["a"]


@pytest.mark.parametrize(
    ("jobs", "memory", "need", "most"),
    [(3, 100, 1, 3), (1, 100, 1, 1), (4, 100, 50, 2), (4, 100, 51, 1), (4, 100, 1000, 1)],
    ids=["jobs", "one-job", "memory", "no-pair-fits", "one-alone-always-starts"],
)
def test_tasks_run_beside_each_other_while_jobs_and_memory_last(
    jobs: int, memory: int, need: int, most: int
) -> None:
    diary = Diary(most)

    run(diary, *(Task(str(n), ()) for n in range(6)), jobs=jobs, memory=memory, need=need)

    assert diary.most == most
    assert len(diary.order) == 6


def test_a_small_task_starts_beside_a_big_one_that_waits() -> None:
    started: list[str] = []
    both = threading.Barrier(2, timeout=10)
    needs = {"first": 60, "big": 60, "small": 10}

    def work(id_: str) -> None:
        started.append(id_)
        if id_ != "big":
            both.wait()

    tasks = tuple(Task(name, ()) for name in needs)
    run_tasks(tasks, work, needs.__getitem__, jobs=3, memory_bytes=100, cancel=threading.Event())

    assert (set(started[:2]), started[2]) == ({"first", "small"}, "big")


def test_what_work_raises_ends_the_schedule_once_all_that_ran_has_ended() -> None:
    ended: list[str] = []

    def work(id_: str) -> None:
        if id_ == "bad":
            raise ValueError("no")
        time.sleep(0.03)
        ended.append(id_)

    with pytest.raises(ValueError, match="no"):
        run(work, Task("slow", ()), Task("bad", ()), Task("after", ("slow",)), jobs=2)

    assert ended == ["slow"]


def test_once_cancelled_nothing_new_starts() -> None:
    cancel = threading.Event()
    diary = Diary()

    def work(id_: str) -> None:
        diary(id_)
        cancel.set()

    tasks = (Task("a", ()), Task("b", ("a",)))
    run_tasks(tasks, work, lambda id_: 1, jobs=2, memory_bytes=100, cancel=cancel)

    assert diary.order == ["a"]
