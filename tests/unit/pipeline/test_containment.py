"""One bad frame, one recipe that fails, one exposure without calibration: the others go on. Promise 6.

pypeit#1193 and #580, desispec#2244, romancal#1544, jwst#8049: a whole night ends with one bad frame, or a
failure ends with status 0.
"""

from pathlib import Path

import pytest
from builders import Value, date_of, write_raw
from fakes import Fault, Workspace, did

from pipeline.errors import Exit, FramesError, RecipeFailed
from pipeline.events import Did, Event, failure
from pipeline.model import Stage
from pipeline.summary import Summary

BIAS, FLAT, ARC = (f"2023-02-25T{t}" for t in ("14:24:00", "14:52:48", "15:21:36"))
FIRST, SECOND, THIRD = (date_of(60001.05 + n / 100) for n in range(3))


def ends_with(summary: Summary) -> Exit:
    """Give the exit code of a run."""
    error = failure(summary.events)
    return error.exit_code if error else Exit.OK


def events(summary: Summary) -> dict[str, Event]:
    return {event.step.id: event for event in summary.events}


def third_exposure(workspace: Workspace, mode: str = "WFM-NOAO-N", block: int = 1001) -> Path:
    changes: dict[str, Value] = {"ESO INS MODE": mode, "ESO OBS ID": block}
    return write_raw(workspace.root / "raw", "OBJECT", 60001.07, start=60001.05, ifus=(1,), changes=changes)


def test_a_corrupt_exposure_is_left_out_and_the_others_are_combined(narrow: Workspace) -> None:
    """It is a problem with its reason, shown by every command that plans."""
    path = third_exposure(narrow)
    path.write_bytes(path.read_bytes()[:-2880])

    summary = narrow.run()

    assert [str(problem) for problem in summary.problems] == [
        f"{path}: is truncated: 2880 bytes are missing from HDU 1"
    ]
    assert (summary.failed, summary.blocked) == (0, 0)
    assert {step.unit for step in (e.step for e in summary.events) if step.stage is Stage.PREP_ALIGN} == {
        *(FIRST, SECOND),
    }
    assert "combine:1001" in did(summary, Did.RAN)


def test_a_frame_that_becomes_unreadable_after_the_scan_blocks_its_step_only(narrow: Workspace) -> None:
    """What was whole when it was looked at, and is gone when its turn comes."""
    (sky,) = narrow.raw("SKY")
    narrow.engine.on_run = lambda seen: sky.unlink(missing_ok=True) if seen.recipe == "muse_bias" else None

    summary = narrow.run()

    found = events(summary)[f"scibasic:{date_of(60001.03)}:01"]
    assert found.did is Did.BLOCKED
    assert sky.name in found.why[0]
    assert f"scibasic:{FIRST}:01" in did(summary, Did.RAN)
    assert ends_with(summary) is Exit.FRAMES


def test_a_recipe_that_fails_for_one_exposure_leaves_the_others_alone(narrow: Workspace) -> None:
    third_exposure(narrow, block=2002)
    narrow.engine.fail(Fault.EXIT, "muse_scibasic", where=f"MUSE.{THIRD}.fits", text="no light")

    summary = narrow.run()

    assert did(summary, Did.FAILED) == [f"scibasic:{THIRD}:01"]
    assert did(summary, Did.BLOCKED) == [
        *(f"prep_align:{THIRD}", "scipost:2002", f"scipost_perexpo:{THIRD}"),
    ]
    assert "combine:1001" in did(summary, Did.RAN)
    assert ends_with(summary) is Exit.RECIPE


def test_an_exposure_without_a_calibration_leaves_the_others_alone(narrow: Workspace) -> None:
    """Nothing failed: frames are missing, and the exit code says so."""
    third_exposure(narrow, mode="WFM-AO-N", block=2002)

    summary = narrow.run()

    assert did(summary, Did.FAILED) == []
    blocked = events(summary)[f"scibasic:{THIRD}:01"]
    assert blocked.did is Did.BLOCKED
    assert blocked.why[0] == (
        f"no MASTER_FLAT of IFU 1 for {THIRD} (WFM-AO-N) within 7.0 d; "
        f"nearest: {FLAT}: mode WFM-NOAO-N instead of WFM-AO-N"
    )
    assert "combine:1001" in did(summary, Did.RAN)
    assert ends_with(summary) is Exit.FRAMES


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault.EXIT, "recipe error: esorex left with 255: "),
        (Fault.ABORT, "recipe error: the recipe died of signal 6"),
        (Fault.KILLED, "killed: "),
        (Fault.TIMEOUT, "timeout: "),
        (Fault.OUT_OF_MEMORY, "out of memory: "),
        (Fault.EMPTY, "unproven: "),
    ],
    ids=["fails", "crashes", "is-killed", "hangs", "needs-more-memory", "fills-the-disk"],
)
def test_whatever_ends_a_recipe_is_recorded_blocks_and_ends_with_4(
    narrow: Workspace, fault: Fault, cause: str
) -> None:
    """DESIGN.md, section 13: recorded with its cause, dependants blocked, exit 4."""
    narrow.engine.fail(fault, "muse_bias")

    summary = narrow.run(Stage.BIAS, Stage.FLAT)

    found = events(summary)
    assert found[f"bias:{BIAS}:01"].why[0].startswith(cause)
    assert found[f"flat:{FLAT}:01"].why == (f"needs bias:{BIAS}:01", *found[f"bias:{BIAS}:01"].why)
    assert ends_with(summary) is Exit.RECIPE
    with narrow.open() as reduction:
        runs = reduction.store.runs()
    assert len(runs) == (2 if fault is Fault.OUT_OF_MEMORY else 1)  # with more memory it is tried again
    assert all(cause.startswith(f"{run.cause}: ") for run in runs)
    assert {(run.is_success, run.outputs) for run in runs} == {(False, ())}


def test_of_a_step_with_two_problems_reason_and_hint_belong_together(narrow: Workspace) -> None:
    """The error tells what is wrong first, and what to do about that."""
    for tag in ("BIAS", "FLAT"):
        narrow.raw(tag)[0].unlink()

    with narrow.open() as mypipe, pytest.raises(FramesError) as caught:
        mypipe.run_flat()

    assert caught.value.message.startswith(f"flat:{FLAT}:01 is blocked: no MASTER_BIAS of IFU 1 for ")
    assert "blocked: 2 BIAS, at least 3 are needed" in caught.value.message
    assert caught.value.hint == "add a nearer one, or widen it in clio.toml: [associate.MASTER_BIAS] window_d"


@pytest.mark.parametrize("fault", [Fault.EXIT, Fault.OUT_OF_MEMORY, Fault.TRUNCATED], ids=lambda f: f.name)
def test_every_blocked_step_tells_the_chain_down_to_the_cause(narrow: Workspace, fault: Fault) -> None:
    """Each link of the chain is a step the one before reads; the last word is what went wrong."""
    narrow.engine.fail(fault, "muse_wavecal")

    found = events(narrow.run())

    cause = found[f"wave:{ARC}:01"].why[0]
    blocked = [event for event in found.values() if event.did is Did.BLOCKED]
    assert len(blocked) == 15
    for event in blocked:
        *links, last = event.why
        assert last == cause
        below = event.step
        for link in links:
            assert link.removeprefix("needs ") in below.upstream
            below = found[link.removeprefix("needs ")].step
        assert below.id == f"wave:{ARC}:01"


def test_the_chain_is_kept_with_the_call_and_told_again_by_the_next(narrow: Workspace) -> None:
    """What was blocked is in the record of the call, and blocked again as long as nothing changes."""
    narrow.engine.fail(Fault.EXIT, "muse_wavecal")
    first = events(narrow.run())
    with narrow.open() as reduction:
        call = reduction.store.last_invocation()
        forecasts = {found.step.id: found.why for found in reduction.forecast()}
    second = events(narrow.run())

    assert call is not None
    assert call.exit_status == Exit.RECIPE
    assert {(s.stage, s.unit): s.why for s in call.steps} == {
        (e.step.stage.value, e.step.unit): e.why for e in first.values()
    }
    for id_, event in first.items():
        if event.did in (Did.FAILED, Did.BLOCKED):
            assert forecasts[id_] == second[id_].why == event.why


def test_what_was_blocked_runs_when_the_cause_is_gone(narrow: Workspace) -> None:
    """And what was made meanwhile does not run again."""
    narrow.engine.fail(Fault.EXIT, "muse_wavecal", times=1)
    first = narrow.run()

    second = narrow.run(retry_failed=True)

    assert (second.hits, second.ran) == (first.ran, first.failed + first.blocked)
    assert ends_with(second) is Exit.OK


def test_a_missing_calibration_that_is_added_unblocks(narrow: Workspace) -> None:
    (standard,) = narrow.raw("STD")
    content = standard.read_bytes()
    standard.unlink()
    first = narrow.run()
    standard.write_bytes(content)

    second = narrow.run()

    assert ends_with(first) is Exit.FRAMES
    assert first.blocked > 0
    assert ends_with(second) is Exit.OK
    assert second.hits == first.ran


def test_jwst_8049_methods_raise_what_the_command_exits_with(narrow: Workspace) -> None:
    """A notebook hears of a failure as the shell does; all that could be done was done before."""
    narrow.engine.fail(Fault.EXIT, "muse_lsf")
    with narrow.open() as mypipe:
        with pytest.raises(RecipeFailed):
            mypipe.run_recipes(last="standard")
        with pytest.raises(FramesError) as blocked:
            mypipe.run_sky()

    assert narrow.engine.recipes.count("muse_standard") == 1
    assert "needs" not in blocked.value.message
    assert "it was told to fail" in blocked.value.message
