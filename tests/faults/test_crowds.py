"""Several runs on one store at once, some of them killed. Promise 1."""

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.calls import SILENT, Call
from tests.faults.nursery import Child
from tests.faults.trials import Strike, Striking
from tests.faults.yard import Plot, Yard, assert_carries_on, assert_finished, assert_nothing_half_done

Points = Callable[[str], list[tuple[int, str]]]


class Holding(Striking):
    """Holds a run at a call until another one has ended, or waits for it."""

    def __init__(self, first: Plot, second: Plot, at: int, pid: int, *, kill: bool) -> None:
        super().__init__(first)
        self.other: Child | None = None
        self._second = second
        self._at = at
        self._first_pid = pid
        self._kill = kill

    def __call__(self, call: Call) -> int | None:
        """Decide about a call."""
        known = len(self.labels)
        super().__call__(call)
        if len(self.labels) > known and known == self._at:
            self.other = self._second.start()
            # A run of nothing but waiting costs the others nothing, so a short time is enough.
            self.other.has_ended(0.4)
            if self._kill:
                os.kill(self._first_pid, signal.SIGKILL)
                return SILENT
        return None


def calls_of_the_engine(plot: Plot) -> Counter[str]:
    lines = [json.loads(line) for line in plot.log.read_text().splitlines()]
    return Counter(line["action"] for line in lines if line["what"] == "begin")


@pytest.mark.parametrize("where", ["same workspace", "another workspace"])
def test_of_two_runs_at_once_each_action_runs_once(yard: Yard, points: Points, where: str) -> None:
    """Promise 1: whatever call the first is held at while the second goes as far as it can."""
    bad = []
    for at, label in points("two")[where == "same workspace" :: 2]:
        plot = yard.plot()
        other = plot if where == "same workspace" else plot.beside()
        child = plot.start(is_told=True)
        holding = Holding(plot, other, at, child.pid, kill=False)
        child.follow(holding)
        try:
            ended = [child.wait(), *([holding.other.wait()] if holding.other else [])]
            assert [(e.status, e.message) for e in ended] == [(0, "")] * len(ended)
            assert set(calls_of_the_engine(plot).values()) == {1}
            for each in {id(plot): plot, id(other): other}.values():
                assert_carries_on(each)
        except (AssertionError, TimeoutError) as error:
            bad.append(f"{at} {label}: {error}")

    assert bad == []


@pytest.mark.parametrize("where", ["same workspace", "another workspace"])
def test_of_two_runs_one_is_killed_and_the_other_finishes(yard: Yard, points: Points, where: str) -> None:
    """Promise 1: the claim of the dead is free at once, its half-made files do no harm."""
    bad = []
    for at, label in points("two, one killed")[where == "same workspace" :: 2]:
        plot = yard.plot()
        other = plot if where == "same workspace" else plot.beside()
        child = plot.start(is_told=True)
        holding = Holding(plot, other, at, child.pid, kill=True)
        child.follow(holding)
        try:
            child.wait()
            if holding.other is not None:
                ended = holding.other.wait()
                assert (ended.status, ended.message) == (0, "")
            assert_nothing_half_done(other)
            for each in {id(plot): plot, id(other): other}.values():
                assert_carries_on(each)
        except (AssertionError, TimeoutError) as error:
            bad.append(f"{at} {label}: {error}")

    assert bad == []


def test_eight_runs_at_once_four_of_them_killed(
    yard: Yard, labels: list[str], trials: Callable[[str], int], dice: random.Random
) -> None:
    """Promise 1: four workspaces on one store, two runs in each; those that were killed come again."""
    for _ in range(trials("eight")):
        plot = yard.plot()
        plots = [plot, *(plot.beside() for _ in range(3))] * 2
        strikes = [Strike(dice.randrange(len(labels)), "", signal=signal.SIGKILL) for _ in range(4)]

        def run(number: int, plots: list[Plot] = plots, strikes: list[Strike] = strikes) -> tuple[int, str]:
            child = plots[number].start(is_told=True, delay_s=0.05)
            strike = strikes[number] if number < len(strikes) else None
            child.follow(Striking(plots[number], strike, child.pid))
            ended = child.wait()
            return ended.status, ended.message

        with ThreadPoolExecutor(8) as pool:
            ended = list(pool.map(run, range(8)))

        assert {status for status, _ in ended[:4]} <= {0, -9}, ended
        assert ended[4:] == [(0, "")] * 4
        for each in plots[:4]:
            assert_nothing_half_done(each)
            assert_carries_on(each)
        assert_finished(plot)
