"""`--target` and `--dataset` of the command: what is shown, and names that select nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import NIGHT_MJD, write_raw
from fakes import Workspace
from typer.testing import Result

from pipeline.errors import Exit, UsageError

Clio = Callable[..., Result]


@pytest.fixture
def two_targets(tmp_path: Path) -> Workspace:
    """The tiny night of one IFU with an exposure of a second target, where the command finds it."""
    made = Workspace.make(tmp_path, ifus=(1,))
    at = NIGHT_MJD + 1.09
    changes = {"ESO OBS ID": 2002, "ESO OBS TARG NAME": "NGC 2"}
    write_raw(tmp_path / "raw", "OBJECT", at, start=at, ifus=(1,), changes=changes)
    return made


def test_a_plan_of_a_dataset_shows_its_steps_and_the_calibrations_it_needs(
    two_targets: Workspace, clio: Clio
) -> None:
    where = ("-C", str(two_targets.root))
    steps = json.loads(clio("plan", "--json", "--dataset", "2002", *where).stdout)["steps"]

    assert {(s["target"], s["dataset"]) for s in steps if s["stage"] == "scipost"} == {("NGC 2", "2002")}
    assert {s["stage"] for s in steps if s["target"] == "calibrations"} >= {"bias", "standard"}
    assert {s["target"] for s in steps} == {"NGC 2", "calibrations"}


@pytest.mark.parametrize("verb", ["plan", "run", "status"])
def test_a_name_that_selects_nothing_ends_with_2_and_the_nearest(
    two_targets: Workspace, clio: Clio, verb: str
) -> None:
    """pymusepipe#11, #13, #17."""
    done = clio(verb, "--target", "NGC2", "-C", str(two_targets.root))

    assert isinstance(done.exception, UsageError)
    assert done.exception.exit_code is Exit.USAGE
    assert done.exception.message == "no exposure belongs to target NGC2"
    assert done.exception.hint == "did you mean NGC 2?"
