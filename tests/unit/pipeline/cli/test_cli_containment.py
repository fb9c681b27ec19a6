"""A night that went wrong, as the command tells it: exit codes, a summary that fits a screen. Promise 6."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import write_raw
from fakes import Fault, Workspace
from typer.testing import Result

from pipeline.errors import Exit, PipelineError
from pipeline.events import failure
from pipeline.model import Stage

Clio = Callable[..., Result]

LINES, COLUMNS = 24, 80
"""Of the smallest screen."""

MAIN = "from pipeline.cli.start import main; main()"


def rows(text: str) -> int:
    """Count the rows that text takes on that screen."""
    return sum(max(1, math.ceil(len(line) / COLUMNS)) for line in text.splitlines())


def end_of(result: Result) -> str:
    """Give what stands on the screen when a run has ended: the summary, and the error as main prints it."""
    error = result.exception
    assert isinstance(error, PipelineError)
    return f"{result.stdout}error: {error.message}\nhint: {error.hint}\n"


def run_command(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    environment = os.environ | {
        "CLIO_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(Path(__file__).parents[4]),
    }
    argv = [sys.executable, "-c", MAIN, *words]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def narrow(tmp_path: Path) -> Workspace:
    """A night of one IFU, where the command finds it."""
    return Workspace.make(tmp_path, ifus=(1,))


def test_a_known_failure_ends_with_4_and_is_told_without_an_engine(narrow: Workspace) -> None:
    """What failed for a cause that stays is not tried again: no engine is opened to say so."""
    narrow.engine.fail(Fault.EXIT, "muse_bias", text="levels disagree")
    narrow.run(Stage.BIAS, Stage.FLAT)

    done = run_command(narrow.root, "run", "bias", "flat")

    assert done.returncode == Exit.RECIPE
    assert done.stdout.splitlines()[0].startswith("0 ran, 0 hits, 1 failed, 1 blocked in ")
    assert "levels disagree" in done.stdout
    assert "clio run --retry-failed" in done.stderr


def test_frames_that_are_missing_end_with_3_and_as_json_with_the_chain(narrow: Workspace) -> None:
    """Nothing runs, and each step says what it waits for, down to the frames that are missing."""
    for path in narrow.raw("BIAS")[1:]:
        path.unlink()

    done = run_command(narrow.root, "run", "bias", "flat", "wave", "--json")

    assert done.returncode == Exit.FRAMES
    steps = {line["stage"]: line for line in map(json.loads, done.stdout.splitlines()[:-1])}
    assert {stage: line["did"] for stage, line in steps.items()} == {
        **{"bias": "blocked", "flat": "blocked", "wave": "blocked"},
    }
    assert all("1 BIAS, at least 3 are needed" in " ".join(line["why"]) for line in steps.values())
    assert json.loads(done.stdout.splitlines()[-1])["blocked"] == 3
    assert json.loads(done.stderr.splitlines()[-1])["error"]["exit"] == 3


def test_a_stage_for_which_nothing_is_planned_is_said_to_be_so(narrow: Workspace, clio: Clio) -> None:
    """`all 0 steps are known` would pass for success; pymusepipe#17 is about that."""
    result = clio("run", "dark")

    assert result.exit_code == Exit.OK
    assert result.stdout.startswith("nothing to run: no step is planned for these stages (")


WORDS = "ERROR while handling frame of the detector, the level of the overscan is not what it should be " * 3


@pytest.mark.parametrize("is_alike", [True, False], ids=["one-cause", "many-causes"])
def test_the_summary_of_300_steps_that_failed_or_are_blocked_fits_a_screen(
    tmp_path: Path, clio: Clio, is_alike: bool
) -> None:
    """However many steps failed, for however many and however long reasons."""
    workspace = Workspace.make(tmp_path, objects=4, ifus=range(1, 25))
    for template in (60000.5, 60000.55):
        for number in range(3):
            write_raw(tmp_path / "raw", "BIAS", template + number / 1440, start=template, ifus=range(1, 25))
    for ifu in range(1, 25):
        text = WORDS if is_alike else f"{ifu} {WORDS}"
        workspace.engine.fail(Fault.EXIT, "muse_bias", where=f"--nifu={ifu}\n", text=text)
    summary = workspace.run()
    assert summary.failed == 72
    assert summary.failed + summary.blocked > 300
    assert failure(summary.events) is not None

    result = clio("run")

    shown = end_of(result)
    assert rows(shown) <= LINES, shown
    assert f"0 ran, 0 hits, {summary.failed} failed, {summary.blocked} blocked" in shown
    assert "of the overscan" in shown
    lines = [line for line in result.stdout.splitlines() if line.startswith(("failed", "blocked"))]
    assert len(lines) == (2 if is_alike else 6)
    assert ("clio plan" in shown) is not is_alike


def test_the_summary_of_300_steps_blocked_for_want_of_frames_fits_a_screen(
    tmp_path: Path, clio: Clio
) -> None:
    """As above, with nothing that failed."""
    workspace = Workspace.make(tmp_path, objects=8, ifus=range(1, 25))
    for tag in ("BIAS", "FLAT"):
        workspace.raw(tag)[0].unlink()

    result = clio("run")

    shown = end_of(result)
    assert rows(shown) <= LINES, shown
    assert "2 BIAS, at least 3 are needed" in shown
