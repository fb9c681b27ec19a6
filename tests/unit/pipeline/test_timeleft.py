"""The time left."""

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.costs import Duration
from pipeline.timeleft import TimeLeft


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def left(
    *steps: tuple[str, float, tuple[str, ...]], jobs: int = 2, learned: bool = True
) -> tuple[TimeLeft, Clock]:
    clock = Clock()
    made = TimeLeft(((id_, after, Duration(s, learned)) for id_, s, after in steps), jobs, clock)
    return made, clock


def test_work_is_shared_by_all_jobs() -> None:
    account, _ = left(*((str(n), 10.0, ()) for n in range(6)), jobs=2)

    assert account.left().seconds == pytest.approx(30)


def test_a_chain_of_steps_that_wait_for_each_other_is_not_shared() -> None:
    account, _ = left(("a", 10, ()), ("b", 50, ("a",)), ("c", 20, ("b",)), ("d", 5, ()), jobs=4)

    assert account.left().seconds == pytest.approx(80)


def test_steps_on_which_the_longest_work_waits_are_the_most_urgent() -> None:
    account, _ = left(("a", 10, ()), ("b", 40, ()), ("c", 5, ("a",)), ("d", 30, ("c",)), ("e", 30, ()))

    assert account.most_urgent_first == ("a", "b", "c", "d", "e")


def test_while_a_step_runs_its_time_runs_down_but_never_to_nothing() -> None:
    account, clock = left(("a", 40, ()))
    assert account.start("a") == pytest.approx(40)

    clock.now += 30
    assert account.left().seconds == pytest.approx(10)
    clock.now += 100
    assert account.left().seconds == pytest.approx(4)


def test_a_step_that_ended_is_done_and_one_that_had_nothing_to_do_never_was_work() -> None:
    account, clock = left(("a", 30, ()), ("b", 30, ()), ("c", 60, ()))

    account.end("c")  # a hit
    assert account.left().done == pytest.approx(0.0)
    account.start("a")
    clock.now += 30
    account.end("a")
    assert account.left().done == pytest.approx(0.5)
    account.end("b")
    assert (account.left().done, account.left().seconds) == (1.0, 0.0)


def test_a_machine_that_is_slower_than_expected_is_allowed_for() -> None:
    account, clock = left(("a", 60, ()), ("b", 60, ()), jobs=1)
    account.start("a")
    clock.now += 180
    account.end("a")

    # The first minute is believed to have taken one: (60 + 180) / (60 + 60).
    assert account.left().seconds == pytest.approx(120)
    assert account.start("b") == pytest.approx(120)


def test_a_first_guess_is_told_from_what_was_learned() -> None:
    known, guessed = Duration(10, True), Duration(30, False)
    account = TimeLeft((("a", (), known), ("b", (), guessed)), 1, Clock())

    assert not account.left().is_learned
    account.end("b")
    assert account.left().is_learned


def test_nothing_to_do_takes_no_time() -> None:
    account, _ = left()

    assert (account.left().seconds, account.left().done) == (0.0, 1.0)
    account.end("unheard of")
    assert account.start("unheard of") == 0.0


def test_telling_costs_the_same_of_few_steps_and_of_thousands() -> None:
    def lines(many: int) -> int:
        account, _ = left(*((str(n), 10.0, (str(n - 1),)) for n in range(many)))
        account.start("0")
        account.left()  # what has begun is passed over once
        counted = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal counted
            counted += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            account.left()
        finally:
            sys.settrace(before)
        return counted

    assert lines(10) == lines(10_000)


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.sets(st.integers(0, 11)), st.booleans()), max_size=12),
    st.integers(1, 8),
    st.data(),
)
def test_it_says_what_going_through_all_that_is_left_would(
    steps: list[tuple[float, set[int], bool]], jobs: int, data: st.DataObject
) -> None:
    clock = Clock()
    after = {n: {m for m in before if m < n} for n, (_, before, _) in enumerate(steps)}
    account = TimeLeft(
        (
            (str(n), tuple(map(str, after[n])), Duration(seconds, learned))
            for n, (seconds, _, learned) in enumerate(steps)
        ),
        jobs,
        clock,
    )
    expected = took = 60.0
    total = sum(seconds for seconds, _, _ in steps)
    began: dict[int, float] = {}
    going = set(after)
    while going:
        rest = {n: steps[n][0] * took / expected for n in going}
        rest |= {n: max(rest[n] - (clock.now - at), rest[n] / 10) for n, at in began.items()}
        work = sum(rest.values())
        chain: dict[int, float] = {}
        for n in sorted(going):
            chain[n] = rest[n] + max((chain[m] for m in after[n] & going), default=0.0)
        found = account.left()
        assert found.seconds == pytest.approx(max(work / jobs, *chain.values()), abs=1e-4)
        known = sum(rest[n] for n in going if steps[n][2])
        if abs(known - work / 2) > 1e-4:
            assert found.is_learned == (known >= work / 2)
        undone = work * expected / took
        if undone > 1e-4:
            assert found.done == pytest.approx(max(0.0, 1 - undone / total), abs=1e-4 / total + 1e-9)

        ready = sorted(n for n in going if not after[n] & going)
        n = data.draw(st.sampled_from(ready))
        if n not in began and data.draw(st.booleans()):
            account.start(str(n))
            began[n] = clock.now
            clock.now += data.draw(st.floats(0, 2000))
            continue
        account.end(str(n))
        going.remove(n)
        if n in began:
            expected, took = expected + steps[n][0], took + clock.now - began.pop(n)
        else:
            total -= steps[n][0]
    assert (account.left().seconds, account.left().done) == (0.0, 1.0)


@given(st.lists(st.floats(0, 1000), max_size=20), st.integers(1, 8), st.data())
def test_it_ends_with_nothing_left_whatever_happens(
    times: list[float], jobs: int, data: st.DataObject
) -> None:
    """At every instant it is not negative, and the share that is done stays between none and all."""
    clock = Clock()
    steps = tuple((str(n), (str(n - 1),) if n % 2 else (), Duration(s, True)) for n, s in enumerate(times))
    account = TimeLeft(steps, jobs, clock)
    for id_, _, _ in steps:
        if data.draw(st.booleans()):
            account.start(id_)
            clock.now += data.draw(st.floats(0, 2000))
        found = account.left()
        assert found.seconds >= 0
        assert 0 <= found.done <= 1
        account.end(id_)

    assert account.left().seconds == 0
    assert account.left().done == 1
