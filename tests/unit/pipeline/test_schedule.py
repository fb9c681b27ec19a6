"""When which task runs."""

import threading
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.schedule import After, Budget, Grant, Task, Work, run_tasks


class Diary:
    """Notes who runs beside whom; so many have to come together before any may go."""

    def __init__(self, together: int = 1) -> None:
        self.order: list[str] = []
        self.most = 0
        self._now = 0
        self._barrier = threading.Barrier(together, timeout=10)
        self._lock = threading.Lock()

    def __call__(self, id_: str, grant: Grant) -> After:
        with self._lock:
            self.order.append(id_)
            self._now += 1
            self.most = max(self.most, self._now)
        self._barrier.wait()
        time.sleep(0.005)  # for one too many to show itself
        with self._lock:
            self._now -= 1
        return After.DONE


def run(work: Work, *tasks: Task, jobs: int = 4, memory: int = 100, need: int = 1) -> None:
    run_tasks(tasks, work, lambda id_: need, Budget(jobs, memory), threading.Event())


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

    def work(id_: str, grant: Grant) -> After:
        started.append(id_)
        if id_ != "big":
            both.wait()
        return After.DONE

    tasks = tuple(Task(name, ()) for name in needs)
    run_tasks(tasks, work, needs.__getitem__, Budget(3, 100), threading.Event())

    assert (set(started[:2]), started[2]) == ({"first", "small"}, "big")


def test_what_work_raises_ends_the_schedule_once_all_that_ran_has_ended() -> None:
    ended: list[str] = []

    def work(id_: str, grant: Grant) -> After:
        if id_ == "bad":
            raise ValueError("no")
        time.sleep(0.03)
        ended.append(id_)
        return After.DONE

    with pytest.raises(ValueError, match="no"):
        run(work, Task("slow", ()), Task("bad", ()), Task("after", ("slow",)), jobs=2)

    assert ended == ["slow"]


def test_once_cancelled_nothing_new_starts() -> None:
    cancel = threading.Event()
    diary = Diary()

    def work(id_: str, grant: Grant) -> After:
        cancel.set()
        return diary(id_, grant)

    tasks = (Task("a", ()), Task("b", ("a",)))
    run_tasks(tasks, work, lambda id_: 1, Budget(2, 100), cancel)

    assert diary.order == ["a"]


class Ledger:
    """Takes down what tasks were granted, and what is held at each instant."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self.held: dict[str, Grant] = {}
        self.grants: dict[str, list[Grant]] = {}
        self.wrong: list[str] = []

    def take(self, id_: str, grant: Grant) -> None:
        with self._lock:
            self.held[id_] = grant
            self.grants.setdefault(id_, []).append(grant)
            total = sum(held.memory_bytes for held in self.held.values())
            if total > self._memory:
                self.wrong.append(f"{total} of {self._memory} held by {sorted(self.held)}")
            if len(self.held) > 1 and any(held.is_whole for held in self.held.values()):
                self.wrong.append(f"{sorted(self.held)} run, and one of them alone")

    def give_back(self, id_: str) -> None:
        with self._lock:
            del self.held[id_]


@given(
    needs=st.lists(st.integers(1, 150), min_size=1, max_size=12),
    edges=st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=12),
    starving=st.sets(st.integers(0, 11), max_size=4),
    jobs=st.integers(1, 5),
)
@example(needs=[90, 10, 6], edges=set(), starving=set(), jobs=3)
@settings(max_examples=60)
def test_what_runs_never_holds_more_memory_than_there_is(
    needs: list[int], edges: set[tuple[int, int]], starving: set[int], jobs: int
) -> None:
    """Whatever tasks need, wait for, and run out of: at no instant do grants exceed the budget."""
    ledger = Ledger(100)
    tasks = tuple(Task(str(n), tuple(str(a) for a, b in edges if a < b == n)) for n in range(len(needs)))

    def work(id_: str, grant: Grant) -> After:
        ledger.take(id_, grant)
        time.sleep(0.0005)
        ledger.give_back(id_)
        grant.release()
        return After.AGAIN_ALONE if int(id_) in starving and not grant.is_whole else After.DONE

    run_tasks(tasks, work, lambda id_: needs[int(id_)], Budget(jobs, 100), threading.Event())

    assert ledger.wrong == []
    assert ledger.grants.keys() == {task.id for task in tasks}
    for id_, grants in ledger.grants.items():
        assert grants[0].memory_bytes >= min(needs[int(id_)], 100)
        assert len(grants) <= 2
        assert grants[-1].is_whole or int(id_) not in starving


def test_a_task_that_ran_out_of_memory_is_done_again_alone_before_others_start() -> None:
    ledger = Ledger(100)
    order: list[str] = []
    both = threading.Barrier(2, timeout=10)

    def work(id_: str, grant: Grant) -> After:
        ledger.take(id_, grant)
        order.append(id_)
        if len(order) <= 2:
            both.wait()
        if id_ == "other":
            time.sleep(0.1)  # until it is known that the first ran out of memory
        ledger.give_back(id_)
        return After.AGAIN_ALONE if id_ == "hungry" and order.count(id_) == 1 else After.DONE

    tasks = tuple(Task(name, ()) for name in ("hungry", "other", "c", "d"))
    run_tasks(tasks, work, lambda id_: 10, Budget(2, 100), threading.Event())

    assert sorted(order[:2]) == ["hungry", "other"]
    assert ledger.wrong == []
    assert [(g.memory_bytes, g.is_whole) for g in ledger.grants["hungry"]] == [(20, False), (100, True)]
    assert order[2:] == ["hungry", "c", "d"] or order[2:] == ["hungry", "d", "c"]


@pytest.mark.parametrize(
    ("jobs", "need", "granted"),
    [(4, 10, 20), (4, 20, 25), (4, 60, 60), (2, 100, 100), (2, 250, 100), (1, 10, 100)],
    ids=["twice", "even-share", "need", "all", "more-than-all", "one-job"],
)
def test_a_grant_is_the_need_and_up_to_as_much_again(jobs: int, need: int, granted: int) -> None:
    ledger = Ledger(100)

    def work(id_: str, grant: Grant) -> After:
        ledger.take(id_, grant)
        return After.DONE

    run(work, Task("a", ()), jobs=jobs, need=need)

    assert [grant.memory_bytes for grant in ledger.grants["a"]] == [granted]


def test_a_big_task_is_not_overtaken_for_ever() -> None:
    """Small ones go ahead while it waits for memory, but not all of them."""
    order: list[str] = []
    needs = {"first": 30, "big": 90} | {f"small{n:02d}": 30 for n in range(40)}

    def work(id_: str, grant: Grant) -> After:
        order.append(id_)
        time.sleep(0.002)
        return After.DONE

    tasks = tuple(Task(name, ()) for name in needs)
    run_tasks(tasks, work, needs.__getitem__, Budget(2, 100), threading.Event())

    assert 1 <= order.index("big") <= 10
    assert len(order) == 42


def test_what_gives_back_its_grant_lets_the_next_start_while_it_goes_on() -> None:
    """A recipe runs while the products of the one before are hashed."""
    has_begun = threading.Event()

    def work(id_: str, grant: Grant) -> After:
        if id_ == "a":
            grant.release()
            assert has_begun.wait(10)
        else:
            has_begun.set()
        return After.DONE

    run(work, Task("a", ()), Task("b", ()), jobs=1)


def test_what_was_given_back_is_no_reason_to_start_what_waits_for_it() -> None:
    order: list[str] = []

    def work(id_: str, grant: Grant) -> After:
        grant.release()
        time.sleep(0.02 if id_ == "a" else 0)
        order.append(id_)
        return After.DONE

    run(work, Task("a", ()), Task("b", ("a",)), jobs=2)

    assert order == ["a", "b"]


def test_those_that_hash_are_never_more_than_the_jobs() -> None:
    """Else recipes would run far ahead of what is recorded."""
    most, now, lock = 0, 0, threading.Lock()

    def work(id_: str, grant: Grant) -> After:
        nonlocal most, now
        grant.release()
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.003)
        with lock:
            now -= 1
        return After.DONE

    run(work, *(Task(str(n), ()) for n in range(12)), jobs=2)

    assert most <= 4


def test_a_task_is_told_how_many_are_likely_to_run_beside_it() -> None:
    beside: dict[str, int] = {}

    def work(id_: str, grant: Grant) -> After:
        beside[id_] = grant.beside
        time.sleep(0.02)
        return After.DONE

    run(work, Task("a", ()), Task("b", ()), Task("c", ("a", "b")), jobs=4)

    assert beside == {"a": 2, "b": 2, "c": 1}


@pytest.mark.parametrize("last", ["a", "b"])
def test_a_need_that_cannot_be_told_ends_the_schedule_once_all_that_ran_has_ended(last: str) -> None:
    ended: list[str] = []

    def need(id_: str) -> int:
        if id_ == last:
            raise LookupError(f"nothing known of {id_}")
        return 1

    def work(id_: str, grant: Grant) -> After:
        ended.append(id_)
        return After.DONE

    tasks = (Task("a", ()), Task("b", ("a",)))
    with pytest.raises(LookupError, match=f"nothing known of {last}"):
        run_tasks(tasks, work, need, Budget(2, 100), threading.Event())

    assert ended == ["a"][: last == "b"]


def test_what_follows_runs_in_the_thread_in_which_what_it_waits_for_ended() -> None:
    """A change of thread costs more than most of what is done for a step beside its recipe."""
    threads: set[int] = set()

    def work(id_: str, grant: Grant) -> After:
        threads.add(threading.get_ident())
        return After.DONE

    run(work, *(Task(str(n), (str(n - 1),)) for n in range(40)))

    assert len(threads) == 1
    assert threading.get_ident() not in threads
