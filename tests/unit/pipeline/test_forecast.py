"""What would happen to each step, and why, without running anything."""

from fakes import Fault, Workspace

from pipeline.forecast import Forecast, Outcome
from pipeline.model import Stage

ARC, FLAT = "2023-02-25T15:21:36", "2023-02-25T14:52:48"


def forecast(workspace: Workspace) -> dict[str, Forecast]:
    with workspace.open() as reduction:
        return {found.step.id: found for found in reduction.forecast()}


def test_after_a_whole_run_every_step_is_a_hit_with_its_run(narrow: Workspace) -> None:
    narrow.run()

    found = forecast(narrow)

    assert {item.outcome for item in found.values()} == {Outcome.HIT}
    assert all(item.run is not None and item.job is not None for item in found.values())
    assert {item.why for item in found.values()} == {("same inputs, parameters and image",)}


def test_a_changed_parameter_is_named_and_what_follows_waits(narrow: Workspace) -> None:
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")

    found = forecast(narrow)

    assert found[f"flat:{FLAT}:01"].why == ("parameter muse.muse_flat.order: 5 -> 7",)
    cause = "parameter muse.muse_flat.order: 5 -> 7"
    assert found[f"wave:{ARC}:01"].why == (f"waits for flat:{FLAT}:01 ({cause})",)
    assert found["combine:1001"].roots == (f"flat:{FLAT}:01",)
    assert found["combine:1001"].outcome is Outcome.MISS


def test_a_blocked_step_tells_the_chain_of_reasons(narrow: Workspace) -> None:
    """Promise 6."""
    narrow.raw("FLAT")[0].unlink()

    found = forecast(narrow)

    why = "2 FLAT, at least 3 are needed"
    assert found[f"flat:{FLAT}:01"].why == (why,)
    assert found[f"wave:{ARC}:01"].outcome is Outcome.BLOCKED
    assert why in found[f"wave:{ARC}:01"].why[0]


def test_a_step_whose_frames_are_missing_altogether_is_blocked(narrow: Workspace) -> None:
    for path in narrow.raw("STD"):
        path.unlink()

    found = forecast(narrow)

    assert found["scipost:1001"].outcome is Outcome.BLOCKED
    assert "no STD_RESPONSE for" in found["scipost:1001"].why[0]
    assert found["scibasic:2023-02-26T01:12:00.000:01"].outcome is Outcome.MISS


def test_a_failure_is_a_miss_that_tells_how_it_failed(narrow: Workspace) -> None:
    narrow.engine.fail(Fault.OUT_OF_MEMORY, "muse_bias")
    narrow.run(Stage.BIAS)

    found = next(iter(forecast(narrow).values()))

    assert (found.outcome, found.why) == (
        Outcome.MISS,
        ("failed before: the recipe met its memory limit; give it more (--memory), or reduce fewer IFUs",),
    )
