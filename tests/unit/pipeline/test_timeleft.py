"""The time left."""

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


def test_of_many_steps_not_all_are_looked_at_each_time() -> None:
    account, clock = left(*((str(n), 10.0, ()) for n in range(1000)), jobs=10)
    assert account.left().seconds == pytest.approx(1000)

    account.end("1")
    clock.now += 0.5
    assert account.left().seconds == pytest.approx(999.5)
    clock.now += 1.0
    assert account.left().seconds == pytest.approx(999)


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
