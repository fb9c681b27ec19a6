"""What is tainted is cured by the least work; what would only be as bad again is not begun."""

from pathlib import Path

import pytest
from fakes import Workspace, did

from pipeline.errors import FramesError
from pipeline.events import Did, failure
from pipeline.forecast import Outcome
from pipeline.model import Stage
from provenance.model import Run
from provenance.taints import Tainted, TaintKind, clear, state

STAGES = (Stage.BIAS, Stage.FLAT, Stage.WAVE)
AT = "2026-11-24T00:00:00.000Z"


@pytest.fixture
def reduced(tmp_path: Path) -> Workspace:
    """A workspace of one IFU, reduced to the arcs."""
    made = Workspace.make(tmp_path, ifus=(1,))
    made.run(*STAGES)
    return made


def taint(workspace: Workspace, kind: TaintKind, subject: str, **fields: str) -> str:
    with workspace.open() as reduction:
        said = Tainted(kind, subject, "the thing", "it is bad", AT, **fields)
        return state(reduction.store, said).statement


def run_of(workspace: Workspace, stage: Stage) -> Run:
    with workspace.open() as reduction:
        (run,) = reduction.store.newest_runs(stage.value, successful=True)
    return run


def test_a_tainted_run_is_made_again_and_nothing_else_if_it_comes_out_the_same(reduced: Workspace) -> None:
    """Early cut-off: its product has another date, and the same data."""
    bias = run_of(reduced, Stage.BIAS)
    taint(reduced, TaintKind.RUN, bias.run)

    with reduced.open() as reduction:
        found = {f.step.stage: f for f in reduction.forecast() if f.step.stage in STAGES}
    assert found[Stage.BIAS].why == (f"run {bias.run} of the thing is tainted: it is bad",)
    assert found[Stage.FLAT].why[0].startswith("waits for bias:")

    summary = reduced.run(*STAGES)

    assert did(summary, Did.RAN) == [f"bias:{bias.unit}"]
    assert (summary.hits, summary.blocked) == (2, 0)
    (said,) = (remark for remark in summary.remarks if "tainted" in remark)
    assert said.startswith(f"bias:{bias.unit} came out with the same ")
    assert said.endswith(f"as run {bias.run}, which is tainted: it is bad")
    assert reduced.run(*STAGES).hits == 3


def test_a_tainted_product_is_made_again(reduced: Workspace) -> None:
    bias = run_of(reduced, Stage.BIAS)
    with reduced.open() as reduction:
        said = Tainted(TaintKind.PRODUCT, bias.outputs[0].digest, "it", "bad", AT, runs=(bias.run,))
        state(reduction.store, said)

    assert reduced.run(*STAGES).ran == 1
    assert reduced.run(*STAGES).hits == 3


def test_a_tainted_frame_blocks_what_reads_it_and_says_what_to_do(reduced: Workspace) -> None:
    """Promise 6: the rest goes on. Making it again would only give the same."""
    frame = run_of(reduced, Stage.FLAT).inputs[0]
    with reduced.open() as reduction:
        said = Tainted(
            TaintKind.FRAME, frame.digest, f"{frame.tag} {frame.name}", "a lamp was off", AT,
            content=frame.data_digest or "",
        )  # fmt: skip
        made = state(reduction.store, said)

    summary = reduced.run(*STAGES)

    assert (summary.hits, summary.ran, summary.blocked) == (1, 0, 2)
    error = failure(summary.events)
    assert isinstance(error, FramesError)
    assert f"{frame.tag} {frame.name} is tainted: a lamp was off" in error.message
    assert "take it out of the folders of frames" in error.hint
    assert f"clio taint --clear {made.statement[7:19]} --reason TEXT" in error.hint
    with reduced.open() as reduction:
        clear(reduction.store, made, "it was on", AT)
    assert reduced.run(*STAGES).hits == 3


def test_a_tainted_value_blocks_until_another_is_set(reduced: Workspace) -> None:
    flat = run_of(reduced, Stage.FLAT)
    with reduced.open() as reduction:
        (name, value) = next(p for p in reduction.store.action(flat.action).parameters if "order" in p[0])
    taint(reduced, TaintKind.PARAMETER, name, value=value)

    with reduced.open() as reduction:
        found = {f.step.stage: f for f in reduction.forecast() if f.step.stage in STAGES}
    assert found[Stage.FLAT].outcome is Outcome.BLOCKED
    assert found[Stage.FLAT].why == ("the thing is tainted: it is bad",)
    assert "set another value" in found[Stage.FLAT].step.problems[0].hint
    assert found[Stage.WAVE].why[0].startswith("needs flat:")

    reduced.configure(f"[recipes.muse_flat]\n{name.rpartition('.')[2]} = {int(value) + 1}\n")
    summary = reduced.run(*STAGES)
    assert (summary.failed, summary.blocked) == (0, 0)


def test_a_tainted_image_blocks_everything(reduced: Workspace) -> None:
    with reduced.open() as reduction:
        image = reduction.store.action(run_of(reduced, Stage.BIAS).action).image
    taint(reduced, TaintKind.IMAGE, image)

    summary = reduced.run(*STAGES)

    assert (summary.hits, summary.ran, summary.blocked) == (0, 0, 3)


def test_a_tainted_run_of_today_is_not_what_a_standing_says(reduced: Workspace) -> None:
    """A run that found nothing to do keeps how things stood; a taint is something new."""
    reduced.run(*STAGES)
    taint(reduced, TaintKind.RUN, run_of(reduced, Stage.WAVE).run)

    assert reduced.run(*STAGES).ran == 1
