"""A night is packed into the memory it was given, and what ran out of memory gets all of it, once."""

import threading
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from fakes import FakeEngine, Workspace, did

from pipeline.engine import EngineRequest, EngineResult, RecipeImage
from pipeline.environment import THREADS
from pipeline.errors import Exit, RecipeFailed
from pipeline.events import Did, Event
from pipeline.host import cores, memory_bytes
from pipeline.model import Stage
from pipeline.recipes import RECIPES
from pipeline.summary import Summary

GB = 10**9
BIAS = tuple(f"bias:2023-02-25T14:24:00:{ifu:02d}" for ifu in (1, 2))


@dataclass(slots=True)
class WatchedEngine(FakeEngine):
    """Adds up what the recipes that run at the same time may take."""

    running: dict[str, int] = field(default_factory=dict)
    most_bytes: int = 0
    most_at_once: int = 0

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        with self._lock:
            self.running[request.run] = request.memory_bytes or 0
            self.most_bytes = max(self.most_bytes, sum(self.running.values()))
            self.most_at_once = max(self.most_at_once, len(self.running))
        try:
            # Named in full: a dataclass with slots is made anew, and super() would look for the old one.
            return FakeEngine.run(self, image, request, cancel)
        finally:
            with self._lock:
                del self.running[request.run]


def reduce(workspace: Workspace, *stages: Stage, jobs: int = 2, memory: int | None = 6 * GB) -> Summary:
    with workspace.open() as reduction:
        return reduction.run(stages or tuple(Stage), jobs=jobs, memory_bytes=memory)


def limits(workspace: Workspace, recipe: str) -> list[int | None]:
    return [seen.request.memory_bytes for seen in workspace.engine.seen if seen.recipe == recipe]


def test_what_runs_at_the_same_time_is_held_to_the_memory_that_was_given(workspace: Workspace) -> None:
    """Each recipe has a limit, and at no instant is their sum more than what was given."""
    engine = WatchedEngine(delay_s=0.01)
    workspace.engine = engine

    summary = reduce(workspace, jobs=4, memory=4 * GB)

    assert (summary.failed, summary.blocked) == (0, 0)
    assert 0 < engine.most_bytes <= 4 * GB
    assert 2 <= engine.most_at_once <= 4
    with workspace.open() as reduction:
        runs = reduction.store.runs()
    assert sorted(r.memory_limit_bytes or 0 for r in runs) == sorted(
        seen.request.memory_bytes or 0 for seen in engine.seen
    )


def test_where_nobody_says_how_much_there_is_nothing_is_limited(narrow: Workspace) -> None:
    """A first guess must not kill what the machine has room for."""
    reduce(narrow, Stage.BIAS, memory=None)

    assert limits(narrow, "muse_bias") == [None]


def test_the_settings_say_it_as_well_and_the_call_goes_before_them(narrow: Workspace) -> None:
    narrow.configure("[clio]\njobs = 1\nmemory_gb = 2\n")

    narrow.run(Stage.BIAS)
    with narrow.open() as reduction:
        reduction.run((Stage.FLAT,), memory_bytes=3 * GB)

    assert (limits(narrow, "muse_bias"), limits(narrow, "muse_flat")) == ([2 * GB], [3 * GB])


def test_more_than_the_machine_has_is_no_limit_to_hold_anything_to(narrow: Workspace) -> None:
    reduce(narrow, Stage.BIAS, jobs=1, memory=10**15)

    assert limits(narrow, "muse_bias") == [memory_bytes()]


def test_what_ran_out_of_memory_is_tried_again_alone_with_all_there_is(workspace: Workspace) -> None:
    """Recorded as a failed run of its own; then the retry, which is what is believed."""
    engine = WatchedEngine(delay_s=0.01, takes={"muse_bias": 3 * GB})
    workspace.engine = engine
    told: list[Event] = []

    with workspace.open() as reduction:
        summary = reduction.run((Stage.BIAS,), told.append, jobs=2, memory_bytes=6 * GB)
        runs = [reduction.store.runs("bias", unit.partition(":")[2]) for unit in BIAS]

    assert did(summary, Did.RAN) == list(BIAS)
    assert (summary.failed, summary.ran) == (0, 2)
    again = [event for event in told if event.did is Did.AGAIN]
    assert again
    assert again[0].why[0].startswith("out of memory: the recipe met its memory limit of 1.8 GB; ")
    retried = [of for of in runs if len(of) == 2]
    for newest, first in retried:
        assert (newest.is_success, newest.memory_limit_bytes) == (True, 6 * GB)
        assert (first.is_success, first.cause, first.outputs) == (False, "out of memory", ())
        assert first.memory_limit_bytes is not None
        assert first.memory_limit_bytes < 3 * GB
    assert len(retried) == len(again)
    assert engine.most_bytes <= 6 * GB
    (last,) = (event for event in told if event.did is Did.RAN and event.step.id == again[0].step.id)
    assert last.why[0].startswith("failed before: the recipe met its memory limit")


def test_what_runs_out_of_all_there_is_has_failed_and_blocks(narrow: Workspace) -> None:
    """Tried twice, not for ever; and by the next call again, as another machine may have more."""
    narrow.engine.takes["muse_bias"] = 7 * GB

    summary = reduce(narrow, Stage.BIAS, Stage.FLAT)

    assert (summary.ran, summary.failed, summary.blocked) == (0, 1, 1)
    first, second = limits(narrow, "muse_bias")
    assert first is not None
    assert first < 6 * GB
    assert second == 6 * GB
    narrow.configure("[clio]\nmemory_gb = 6\n")
    with narrow.open() as mypipe, pytest.raises(RecipeFailed, match="met its memory limit of") as caught:
        mypipe.run_bias()
    assert caught.value.exit_code is Exit.RECIPE
    narrow.engine.takes.clear()
    assert reduce(narrow, Stage.BIAS).ran == 1


def test_a_night_learns_what_a_recipe_takes_from_its_first_runs(workspace: Workspace) -> None:
    """Neither another IFU nor another parameter meets a limit that was found to be too low."""
    workspace.engine.takes["muse_bias"] = 3 * GB
    reduce(workspace, Stage.BIAS)
    before = len(workspace.engine.seen)

    workspace.configure("[recipes.muse_bias]\nnkeep = 3\n")
    summary = reduce(workspace, Stage.BIAS, memory=8 * GB)

    assert summary.ran == 2
    assert len(workspace.engine.seen) == before + 2
    assert all((limit or 0) >= 3 * GB for limit in limits(workspace, "muse_bias")[before:])


def test_a_big_step_does_not_start_beside_one_it_would_kill(workspace: Workspace) -> None:
    """With 4 GB two biases of 3 GB run one after the other, once it is known what they take."""
    workspace.engine = engine = WatchedEngine(delay_s=0.02, takes={"muse_bias": 3 * GB})
    reduce(workspace, Stage.BIAS)

    engine.most_at_once = engine.most_bytes = 0
    workspace.configure("[recipes.muse_bias]\nnkeep = 3\n")
    reduce(workspace, Stage.BIAS, memory=4 * GB)

    assert engine.most_at_once == 1


def test_recipes_whose_threads_are_free_share_the_cores(narrow: Workspace) -> None:
    """Alone one has them all; what it had is recorded, and no part of its key."""
    free = {name for name, row in RECIPES.items() if row.threads is None}

    reduce(narrow, jobs=1)

    calls = [seen for seen in narrow.engine.seen if seen.recipe in free]
    assert {dict(seen.request.environment)[THREADS] for seen in calls} == {str(cores())}
    with narrow.open() as reduction:
        for run in reduction.store.runs("combine"):
            assert run.threads == cores()
            assert dict(reduction.store.action(run.action).environment)[THREADS] == "free"


def test_whoever_waits_is_told_how_long_it_takes_still(narrow: Workspace) -> None:
    """A start says how long the step is expected to take, and every event how much is left of all."""
    told: list[Event] = []
    with narrow.open() as reduction:
        reduction.run(listen=told.append, jobs=1)

    started = [event for event in told if event.did is Did.STARTED]
    assert all((event.expected_s or 0) > 0 for event in started)
    left = [event.left for event in told if event.left is not None]
    assert len(left) == len(told)
    assert left[0].seconds > 60
    assert not left[0].is_learned
    assert (left[-1].seconds, left[-1].done) == (0.0, 1.0)
    assert all(before.done <= after.done + 1e-9 for before, after in pairwise(left))


def test_what_was_learned_is_expected_the_next_time(narrow: Workspace) -> None:
    """Of the same stage with other parameters, too: the fake recipes take 7 ms."""
    narrow.run(Stage.BIAS)
    narrow.configure("[recipes.muse_bias]\nnkeep = 3\n")
    told: list[Event] = []

    with narrow.open() as reduction:
        reduction.run((Stage.BIAS,), told.append)

    (started,) = (event for event in told if event.did is Did.STARTED)
    assert started.left is not None
    assert started.left.is_learned
    assert started.expected_s == pytest.approx(0.007, rel=0.01)
