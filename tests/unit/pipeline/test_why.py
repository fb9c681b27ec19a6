"""Why a step ran, told from the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import frame
from fakes import FakeEngine, install_image
from history import BROKEN_UNIT, EXPOSURE_UNIT, FLAT_UNIT, History, call, keep, outcome, raw, write_history

from pipeline.causes import Cause, CauseKind
from pipeline.forecast import Forecast, Outcome
from pipeline.model import FrameInput, Stage, Step
from pipeline.reasons import Comparison, Explainer
from pipeline.resolve import Resolver
from pipeline.why import Now, Past, Teller
from provenance.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made


@pytest.fixture
def history(store: Store) -> History:
    return write_history(store)


def teller(store: Store, tmp_path: Path, *forecasts: Forecast) -> Teller:
    library = install_image(tmp_path / "cache")
    resolver = Resolver(store, library, lambda: library.list()[0], FakeEngine(), "pinned")
    explainer = Explainer(store, lambda digest: None)
    return Teller(store, resolver, explainer, {found.step.id: found for found in forecasts})


def test_reason_tells_the_last_call_and_the_last_time_it_ran(
    store: Store, history: History, tmp_path: Path
) -> None:
    call(store, 10, tmp_path, outcome(history.flat, "ran", "never run"))
    call(store, 11, tmp_path, outcome(history.flat, "hit", "same inputs, parameters and image"))

    found = teller(store, tmp_path).reason("flat", FLAT_UNIT, str(tmp_path))

    same = ("same inputs, parameters and image",)
    assert found.last == Past("2026-11-23T00:11:59.000Z", "hit", same, history.flat.run)
    assert found.ran == Past("2026-11-23T00:10:59.000Z", "ran", ("never run",), history.flat.run)
    assert found.now is None


def test_reason_compares_a_run_with_the_nearest_before_it(
    store: Store, history: History, tmp_path: Path
) -> None:
    """Not with the last: that one was asked more things otherwise."""
    fields = {"inputs": history.flat.inputs, "outputs": history.flat.outputs}
    keep(*(store, "muse_flat", 12, FLAT_UNIT), **fields, changed={"order": "8", "combine": "median"})
    again = keep(*(store, "muse_flat", 13, FLAT_UNIT), **fields, changed={"order": "9"})
    call(store, 14, tmp_path, outcome(again, "ran", "image: a -> b"))

    found = teller(store, tmp_path).reason("flat", FLAT_UNIT, str(tmp_path))

    text = "parameter muse.muse_flat.order: 7 -> 9"
    cause = Cause(CauseKind.PARAMETER, f"flat:{FLAT_UNIT}", text, "muse.muse_flat.order", "7", "9")
    assert found.last is not None
    assert found.last.compared == Comparison(history.flat.run, history.flat.started, True, (cause,))
    assert found.ran is None


def test_reason_knows_a_run_whose_call_was_killed(store: Store, history: History, tmp_path: Path) -> None:
    found = teller(store, tmp_path).reason("flat", BROKEN_UNIT)

    assert found.last == Past("2026-11-23T00:03:00.000Z", "failed", (), history.broken.run)


def test_reason_of_a_step_that_never_came_up_is_what_would_happen(store: Store, tmp_path: Path) -> None:
    step = Step(
        *("scibasic:x", Stage.SCIBASIC, "muse_scibasic", "x", "NGC 1", (1,)),
        inputs=(FrameInput("OBJECT", frame("OBJECT")),),
        parameters=(),
        expected=(),
    )
    now = Forecast(step, Outcome.BLOCKED, ("no GEOMETRY_TABLE",))

    found = teller(store, tmp_path, now).reason("scibasic", "x")
    assert (found.step, found.last, found.ran, found.now) == ("scibasic:x", None, None, Now(now))


def test_reason_passes_over_other_steps(store: Store, history: History, tmp_path: Path) -> None:
    call(store, 10, tmp_path, outcome(history.bias, "ran", "never run"))
    keep(store, "muse_scibasic", 14, "another", inputs=(raw("OBJECT", 2),), outputs=history.exposure.outputs)

    found = teller(store, tmp_path).reason("scibasic", EXPOSURE_UNIT, str(tmp_path))
    assert found.last is not None
    assert found.last.run == history.exposure.run


def test_reason_of_a_workspace_that_was_moved_is_told_by_the_calls_made_elsewhere(
    store: Store, history: History, tmp_path: Path
) -> None:
    call(store, 10, tmp_path / "before", outcome(history.bias, "ran", "never run"))

    found = teller(store, tmp_path).reason("bias", history.bias.unit, str(tmp_path / "after"))

    assert found.last == Past("2026-11-23T00:10:59.000Z", "ran", ("never run",), history.bias.run)
