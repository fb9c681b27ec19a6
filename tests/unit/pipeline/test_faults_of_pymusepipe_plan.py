"""Faults of pymusepipe that a plan must not have: which calibration, which exposures, what overwrites what.

The others of the list, F1 to F38, stand in `test_faults_of_pymusepipe.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from builders import date_of, frame, night_frames

from pipeline.config import FileTable, Settings
from pipeline.model import Frame, Plan, ProductInput, Scan, Stage, Step
from pipeline.plan import plan
from pipeline.publish import folder

FRAMES = night_frames()
OBJECTS = tuple(f for f in FRAMES if f.tag == "OBJECT")
FIRST, SECOND = (f.exposure for f in OBJECTS)


def planned(frames: Sequence[Frame] = FRAMES, **tables: object) -> Plan:
    """Plan frames under settings given table by table."""
    root = Path("/galaxy")
    settings = Settings(root, FileTable.model_validate(tables), root / "clio.toml")
    return plan(Scan(tuple(frames), (), (), (root / "raw",)), settings)


def steps(made: Plan, stage: Stage) -> list[Step]:
    return [step for step in made.steps if step.stage is stage]


def without(*tags: str) -> list[Frame]:
    return [f for f in FRAMES if f.tag not in tags]


def given(step: Step, tag: str) -> list[str]:
    """List the steps that make the inputs of a tag; a frame by the name of its file."""
    inputs = [item for item in step.inputs if item.tag == tag]
    return [item.step if isinstance(item, ProductInput) else item.frame.path.name for item in inputs]


def shifted(tag: str, days: float) -> list[Frame]:
    """Move the frames of a tag in time."""
    return [
        replace(f, mjd=(f.mjd or 0) + days, date_obs=date_of((f.mjd or 0) + days)) if f.tag == tag else f
        for f in FRAMES
    ]


def test_f06_each_dataset_has_a_list_of_its_own_that_covers_its_exposures_once() -> None:
    """The first template's list serves all templates; here a list is of one dataset, whole."""
    others = [
        frame("OBJECT", 60001.1 + n / 100, template=date_of(60001.1 + n / 100)[:19], block="2002")
        for n in range(3)
    ]
    made = planned([*FRAMES, *others])

    aligned = {step.unit: given(step, "IMAGE_FOV") for step in steps(made, Stage.ALIGN)}
    assert aligned == {
        "1001": [f"prep_align:{f.exposure}" for f in OBJECTS],
        "2002": [f"prep_align:{f.exposure}" for f in others],
    }
    for stage in (Stage.SCIPOST, Stage.COMBINE):
        assert {step.unit: given(step, "OFFSET_LIST") for step in steps(made, stage)} == {
            "1001": ["align:1001"],
            "2002": ["align:2002"],
        }
    assert {given(s, "OFFSET_LIST")[0] for s in steps(made, Stage.SCIPOST_PEREXPO) if s.unit != FIRST} == {
        *("align:1001", "align:2002"),
    }


def test_f08_an_exposure_a_person_excludes_is_in_no_step() -> None:
    """What is "excluded" stays in the mosaic; here it is in no step, and that is said."""
    third = frame("OBJECT", 60001.09, template=OBJECTS[0].template)
    made = planned([*FRAMES, third], targets={"NGC 1": {"exclude": [SECOND]}})

    assert not [step.id for step in made.steps if SECOND in step.id]
    assert not [i for s in made.steps for i in s.inputs if getattr(i, "frame", None) is OBJECTS[1]]
    assert f"OBJECT {SECOND} is left out of NGC 1, as clio.toml says" in made.remarks
    assert given(steps(made, Stage.COMBINE)[0], "PIXTABLE_REDUCED") == [
        *(f"scipost_perexpo:{f.exposure}" for f in (OBJECTS[0], third)),
    ]


def test_f09_an_illum_of_40_days_ago_is_not_used_and_this_is_said() -> None:
    """The nearest calibration is taken at any age, without a word; here none is, with a word."""
    made = planned(shifted("ILLUM", -40))

    assert not any(given(step, "ILLUM") for step in made.steps)
    assert "ILLUM: 1 frame is not used: chosen for no exposure" in made.remarks
    (said,) = (remark for remark in made.remarks if "no ILLUM" in remark)
    assert said == (
        "no ILLUM for 9 steps, done without; "
        "nearest: 2023-01-17T00:28:48.000: 39.9 d away, at most 12.0 h allowed"
    )


def test_f09_a_master_of_40_days_ago_blocks_and_names_the_knob() -> None:
    """As above, for what a recipe cannot do without."""
    made = planned(shifted("STD", -31))

    problem = steps(made, Stage.SCIPOST)[0].problems[0]
    assert problem.reason.endswith(
        "within 30.0 d; nearest: 2023-01-26T00:00:00.000: 31.1 d away, at most 30.0 d allowed"
    )
    assert problem.hint.endswith("[associate.STD_RESPONSE] window_d")


def test_f09_a_calibration_of_the_poorest_level_is_used_and_said() -> None:
    """As above, for what may be old: how old is said."""
    old = [
        replace(f, mjd=f.mjd - 20, date_obs=date_of(f.mjd - 20), template=f"20 d before {f.template}")
        for f in FRAMES
        if f.tag in ("BIAS", "FLAT", "ARC", "SKYFLAT") and f.mjd
    ]
    made = planned([*without("SKYFLAT"), *old])

    assert not [step.id for step in made.steps if step.problems]
    (said,) = (remark for remark in made.remarks if "TWILIGHT_CUBE" in remark)
    assert said == (
        "TWILIGHT_CUBE of level 2, the poorest, for 8 steps; "
        f"furthest: 20 d before 2023-02-25T22:48:00 for scibasic:{SECOND}:01, 20.1 d away"
    )


@pytest.mark.parametrize(
    ("tag", "changes", "reason"),
    [
        ("BIAS", {"readout": "2 FAST"}, "readout 2 FAST instead of 1 SCI1.0"),
        ("FLAT", {"binning": "2x2"}, "binning 2x2 instead of 1x1"),
        ("ARC", {"mode": "NFM-AO-N"}, "mode NFM-AO-N instead of WFM-NOAO-N"),
        ("BIAS", {"chips": tuple(replace(c, id="NEW") for c in FRAMES[0].chips)}, "chip CHIP01/NEW instead"),
    ],
    ids=["readout", "binning", "mode", "chip"],
)
def test_f10_a_calibration_of_another_detector_set_up_is_refused(
    tag: str, changes: dict[str, object], reason: str
) -> None:
    """Neither read-out nor chip is compared; here they have to agree, and the one that does not is named."""
    made = planned([replace(f, **changes) if f.tag == tag else f for f in FRAMES])  # type: ignore[arg-type]

    found = [p.reason for step in steps(made, Stage.SCIBASIC) for p in step.problems]
    assert any(reason in text for text in found)


def test_f10_an_illum_of_another_temperature_is_of_a_poorer_level() -> None:
    """The temperature is not looked at; here the nearest in temperature wins within its level."""
    warm, like = (
        frame("ILLUM", 60001.049, temperature_c=15.0),
        frame("ILLUM", 60001.03, temperature_c=10.1),
    )
    made = planned([*without("ILLUM"), warm, like])

    step = next(s for s in steps(made, Stage.SCIBASIC) if s.unit.startswith(FIRST))
    (choice,) = (a for a in step.associations if a.tag == "ILLUM")
    assert (choice.chosen, choice.level) == (like.exposure, 0)
    assert choice.rejected == (f"{warm.exposure}: 1 min away, 5.0 degrees warmer or colder, level 1",)


def test_f21_two_standards_of_one_template_give_two_responses() -> None:
    """They overwrite each other and the last wins; here each exposure takes the nearest."""
    template = "2023-02-26T00:00:00"
    pair = [frame("STD", 60001.0 + n / 100, template=template) for n in range(2)]
    made = planned([*without("STD"), *pair])

    responses = steps(made, Stage.STANDARD)
    assert [step.unit for step in responses] == [f.exposure for f in pair]
    assert len({folder(Path("products"), step) for step in responses}) == 2
    assert given(steps(made, Stage.SCIPOST)[0], "STD_RESPONSE") == [f"standard:{pair[1].exposure}"]


def test_f23_two_templates_of_one_exposure_each_are_two_exposures() -> None:
    """ "Only one exposure", and nothing is combined; here exposures are counted, not their numbers."""
    apart = [replace(f, template=f.date_obs[:19]) for f in OBJECTS]
    made = planned([*without("OBJECT"), *apart])

    assert len({f.template for f in apart}) == 2
    assert len(given(steps(made, Stage.COMBINE)[0], "PIXTABLE_REDUCED")) == 2


@pytest.mark.parametrize(
    ("mjd", "chosen", "level"),
    [(57113.0, "2015.fits", 0), (57500.0, "2016.fits", 1), (60001.0, "2019.fits", 2)],
    ids=["near", "between", "years-later"],
)
def test_f38_of_dated_geometries_the_nearest_is_taken_with_its_level(
    mjd: float, chosen: str, level: int
) -> None:
    """Ends of periods decide, and all after 2019-05 take the last in silence; here the distance does."""
    tables = [
        frame("GEOMETRY_TABLE", at, path=Path(f"calib/{year}.fits"))
        for year, at in (("2015", 57120.0), ("2016", 57600.0), ("2019", 58620.0))
    ]
    night = [f for f in night_frames(mjd - 1.0) if f.tag != "GEOMETRY_TABLE"]
    made = planned([*night, *tables])

    for step in steps(made, Stage.SCIBASIC):
        (choice,) = (a for a in step.associations if a.tag == "GEOMETRY_TABLE")
        assert (choice.chosen, choice.level) == (chosen, level)
    said = [remark for remark in made.remarks if remark.startswith("GEOMETRY_TABLE of level 2, the poorest")]
    assert len(said) == (level == 2)


def test_issue_22_every_dataset_is_reduced() -> None:
    """pymusepipe#22: two of 51 datasets are reduced; here each has its cube."""
    more = [frame("OBJECT", 60001.06 + n / 1000, block=str(2000 + n)) for n in range(51)]
    made = planned([*without("OBJECT"), *more])

    assert len(steps(made, Stage.SCIPOST)) == 51
    assert not [step.id for step in made.steps if step.problems]
