"""The alignment by reference in the plan, and what becomes of exposures it did not match (F4, F6, F8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import frame, night_frames

from pipeline.config import FileTable, Settings
from pipeline.given import EDIT, REFERENCE
from pipeline.model import Expected, Frame, Plan, Scan, Stage, Step
from pipeline.plan import plan
from pipeline.unmatched import unmatched_exposure, without_unmatched
from provenance.model import OutputFile

ROOT = Path("/galaxy")
FRAMES = night_frames(objects=3)
FIRST, SECOND, THIRD = (f.exposure for f in FRAMES if f.tag == "OBJECT")
DIGEST = "sha256:" + "0" * 64
BY_REFERENCE = {"workflow": {"align": "reference"}}


@dataclass(frozen=True)
class Made:
    """What an alignment left."""

    outputs: tuple[OutputFile, ...]


def planned(frames: Sequence[Frame] = FRAMES, **tables: object) -> Plan:
    table = FileTable.model_validate(tables)
    return plan(Scan(tuple(frames), (), (), ()), Settings(ROOT, table, ROOT / "clio.toml"))


def steps(stage: Stage, frames: Sequence[Frame] = FRAMES, **tables: object) -> list[Step]:
    return [step for step in planned(frames, **tables).steps if step.stage is stage]


def left(step: Step, *lost: str) -> Step:
    """Take what an alignment did not match out of a step."""
    names = [("OFFSET_LIST", "OFFSET_LIST.fits"), *(("UNMATCHED", f"UNMATCHED_{d}.fits") for d in lost)]
    made = Made(tuple(OutputFile(tag, name, DIGEST) for tag, name in names))
    return without_unmatched(step, {"align:1001": made})


def given(step: Step, tag: str) -> list[str]:
    return [item.step for item in step.inputs if item.tag == tag]  # type: ignore[union-attr]


# The plan


def test_the_settings_say_which_recipe_aligns() -> None:
    assert [step.recipe for step in steps(Stage.ALIGN)] == ["muse_exp_align"]
    assert [step.recipe for step in steps(Stage.ALIGN, **BY_REFERENCE)] == ["clio_align"]


def test_a_reference_image_is_an_input_and_aligns_a_dataset_of_one_exposure_too() -> None:
    wide = frame(REFERENCE, None, block="wide.fits")
    tables = {"targets": {"NGC 1": {"reference": "wide.fits"}}}
    (step,) = steps(Stage.ALIGN, [*night_frames(objects=1), wide], **tables)

    assert step.recipe == "clio_align"
    assert sorted(item.tag for item in step.inputs) == ["IMAGE_FOV", "REFERENCE_IMAGE"]
    assert step.problems == ()


def test_a_reference_image_that_is_not_there_blocks() -> None:
    (step,) = steps(Stage.ALIGN, targets={"NGC 1": {"reference": "wide.fits"}})

    assert [p.reason for p in step.problems] == ["the reference image wide.fits of NGC 1 cannot be read"]


def test_a_table_of_corrections_is_a_step_of_its_own_whose_list_holds() -> None:
    edit = frame(EDIT, None, target="NGC_1", block="1001")
    first, second = steps(Stage.ALIGN, [*FRAMES, edit])

    assert (first.id, second.id) == ("align:1001", "align:1001.edited")
    assert (second.recipe, given(second, "OFFSET_LIST")) == ("clio_offsets", ["align:1001"])
    for stage in (Stage.SCIPOST, Stage.SCIPOST_PEREXPO, Stage.COMBINE):
        for step in steps(stage, [*FRAMES, edit]):
            assert given(step, "OFFSET_LIST") == ["align:1001.edited"]


def test_a_table_of_corrections_that_fits_no_dataset_is_said() -> None:
    edit = frame(EDIT, None, target="NGC_1", block="7")

    assert any("are of no dataset that is aligned" in text for text in planned([*FRAMES, edit]).remarks)


# What was not matched


@pytest.mark.parametrize(
    ("tag", "name", "exposure"),
    [
        ("UNMATCHED", f"UNMATCHED_{FIRST}.fits", FIRST),
        ("OFFSET_LIST", "OFFSET_LIST.fits", ""),
        ("IMAGE_FOV", f"UNMATCHED_{FIRST}.fits", ""),
    ],
)
def test_a_product_says_which_exposure_was_not_matched(tag: str, name: str, exposure: str) -> None:
    assert unmatched_exposure(tag, name) == exposure


@pytest.mark.parametrize("stage", [Stage.SCIPOST, Stage.COMBINE, Stage.SCIPOST_PEREXPO])
def test_a_step_stays_as_it_is_if_all_were_matched(stage: Stage) -> None:
    for step in steps(stage):
        assert left(step) == step


def test_the_cube_is_made_of_what_was_matched() -> None:
    (step,) = steps(Stage.SCIPOST)
    found = left(step, SECOND)

    assert given(found, "PIXTABLE_OBJECT") == [
        f"scibasic:{date}:{ifu:02d}" for date in (FIRST, THIRD) for ifu in (1, 2)
    ]
    assert Expected("PIXTABLE_REDUCED", 2) in found.expected
    assert Expected("PIXTABLE_REDUCED", 3) in step.expected
    assert found.problems == ()


def test_the_combination_is_of_what_was_matched() -> None:
    (step,) = steps(Stage.COMBINE)

    assert given(left(step, SECOND), "PIXTABLE_REDUCED") == [
        f"scipost_perexpo:{date}" for date in (FIRST, THIRD)
    ]


def test_fewer_than_two_exposures_are_not_combined() -> None:
    (step,) = steps(Stage.COMBINE)
    found = left(step, FIRST, SECOND)

    assert [p.reason for p in found.problems] == [f"exposure {FIRST} was not matched by the alignment"]
    assert "clio align edit 1001" in found.problems[0].hint


def test_an_exposure_that_was_not_matched_is_not_reduced_unshifted() -> None:
    """F8."""
    found = {step.unit: left(step, SECOND) for step in steps(Stage.SCIPOST_PEREXPO)}

    assert {unit for unit, step in found.items() if step.problems} == {SECOND}


def test_stages_before_the_alignment_know_nothing_of_it() -> None:
    for step in steps(Stage.PREP_ALIGN):
        assert left(step, SECOND) == step
