"""Nights that are incomplete or odd, each reduced or refused with a sentence (issue 5; DESIGN 13).

Frames are made without files, but where a file is what is odd; names say what the night has, or has not.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from builders import date_of, frame, night_frames, write_raw
from fakes import Workspace, did
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import FileTable, Settings
from pipeline.errors import Exit, FramesError
from pipeline.events import Did
from pipeline.fitsdigest import digest_file
from pipeline.model import Frame, Plan, ProductInput, Scan, Stage, Step
from pipeline.oddities import in_ranges
from pipeline.plan import plan
from pipeline.scan import scan

FRAMES = night_frames()
OBJECTS = tuple(f for f in FRAMES if f.tag == "OBJECT")


def planned(frames: Sequence[Frame], **tables: object) -> Plan:
    root = Path("/galaxy")
    found = Settings(root, FileTable.model_validate(tables), root / "clio.toml")
    return plan(Scan(tuple(frames), (), (), (root / "raw",)), found)


def steps(made: Plan, stage: Stage) -> list[Step]:
    return [step for step in made.steps if step.stage is stage]


def tags(step: Step) -> set[str]:
    return {item.tag for item in step.inputs}


def blocked(made: Plan) -> dict[str, str]:
    return {step.id: step.problems[0].reason for step in made.steps if step.problems}


def without(*left_out: str) -> list[Frame]:
    return [f for f in FRAMES if f.tag not in left_out]


def moved(frames: Sequence[Frame], mjd: float) -> list[Frame]:
    """Move a night to another date."""
    days = mjd - 60000.0
    return [
        f
        if f.mjd is None
        else replace(
            f,
            mjd=f.mjd + days,
            date_obs=date_of(f.mjd + days),
            template=f"{f.template}+{days}",
            path=Path(f"raw/{f.tag}-{f.mjd + days:.6f}.fits"),
        )
        for f in frames
    ]


# What a night may lack


def test_no_sky_exposure_the_field_itself_is_taken_at_level_2_and_it_is_said() -> None:
    """F13."""
    made = planned(without("SKY"))

    assert not blocked(made)
    for step in steps(made, Stage.SCIPOST):
        assert "SKY_LINES" in tags(step)
        assert "SKY_CONTINUUM" not in tags(step)
        (choice,) = (a for a in step.associations if a.tag == "SKY_CONTINUUM")
        assert (choice.chosen, choice.level) == ("", 2)
        assert choice.reason == "from the darkest part of the field itself"
    (said,) = (r for r in made.remarks if "SKY" in r)
    assert said.startswith("no SKY exposure for 5 steps: the sky is taken from the darkest part of the field")


def test_no_standard_blocks_what_needs_a_response_and_says_what_to_do() -> None:
    """F12."""
    made = planned(without("STD"))

    assert {id_.partition(":")[0] for id_ in blocked(made)} >= {"prep_align", "scipost", "sky"}
    assert not {id_ for id_ in blocked(made) if id_.startswith(("scibasic", "flat", "wave", "twilight"))}
    (problem,) = steps(made, Stage.SCIPOST)[0].problems[:1]
    assert problem.reason.endswith("there is none")
    assert problem.hint == "add STD frames to the folders of clio.toml"


def test_a_standard_of_last_week_is_taken_with_its_level_when_the_night_has_none() -> None:
    old = frame("STD", 59993.0, template="last week")
    days = [f for f in moved(FRAMES, 59992.0) if f.tag in ("BIAS", "FLAT", "ARC")]
    made = planned([*without("STD"), old, *days])

    (choice,) = (a for a in steps(made, Stage.SCIPOST)[0].associations if a.tag == "STD_RESPONSE")
    assert (choice.chosen, choice.level) == (old.exposure, 2)
    assert "STD_TELLURIC" not in tags(steps(made, Stage.SCIPOST)[0])


@pytest.mark.parametrize(("tag", "need"), [("SKYFLAT", "TWILIGHT_CUBE"), ("ILLUM", "ILLUM")])
def test_a_night_without_twilight_or_illum_is_reduced_and_the_lack_said(tag: str, need: str) -> None:
    made = planned(without(tag))

    assert not blocked(made)
    assert all(need not in tags(step) for step in steps(made, Stage.SCIBASIC))
    (said,) = (r for r in made.remarks if f"no {need} " in r)
    assert said.endswith("done without; there is none")


@pytest.mark.parametrize("wanted", [True, False])
def test_darks_are_subtracted_if_wanted_and_else_said_to_be_left(wanted: bool) -> None:
    darks = [frame("DARK", 60000.5 + n / 1000, template="darks") for n in range(3)]
    made = planned([*FRAMES, *darks], workflow={"dark": wanted})

    assert bool(steps(made, Stage.DARK)) is wanted
    assert all(("MASTER_DARK" in tags(s)) is wanted for s in steps(made, Stage.SCIBASIC))
    said = [r for r in made.remarks if r.startswith("DARK: 3 frames are not used: ")]
    assert bool(said) is not wanted


def test_darks_that_are_wanted_and_not_there_are_said_and_block_nothing() -> None:
    made = planned(FRAMES, workflow={"dark": True})

    assert not blocked(made)
    assert any(r.startswith("no MASTER_DARK for ") for r in made.remarks)


# What a night may have too much of


def test_two_modes_in_one_folder_are_reduced_each_apart() -> None:
    other = [
        replace(f, mode="WFM-NOAO-E", block="E", target="NGC 2")
        for f in moved(FRAMES, 60000.2)
        if f.mjd is not None
    ]
    made = planned([*FRAMES, *other])

    assert not blocked(made)
    modes = {f.exposure: f.mode for f in (*FRAMES, *other) if f.tag in ("OBJECT", "STD", "SKY")}
    modes |= {f.template: f.mode for f in (*FRAMES, *other) if f.tag in ("FLAT", "ARC", "SKYFLAT")}
    made_by = {step.id: step for step in made.steps}
    for step in steps(made, Stage.SCIBASIC):
        for item in step.inputs:
            if isinstance(item, ProductInput) and item.tag in ("MASTER_FLAT", "WAVECAL_TABLE"):
                source = made_by[item.step].unit.rpartition(":")[0]
                assert modes[source] == modes[step.unit.rpartition(":")[0]], (step.id, item)
    assert {s.target for s in steps(made, Stage.COMBINE)} == {"NGC 1", "NGC 2"}


def test_of_several_standards_each_has_a_response_and_the_nearest_is_taken() -> None:
    """F21."""
    second = frame("STD", OBJECTS[1].mjd + 0.001 if OBJECTS[1].mjd else 0.0, template=FRAMES[0].template)
    made = planned([*FRAMES, second])

    assert len(steps(made, Stage.STANDARD)) == 2
    for step in steps(made, Stage.SCIPOST_PEREXPO):
        (choice,) = (a for a in step.associations if a.tag == "STD_RESPONSE")
        assert choice.chosen == second.exposure
        assert len(choice.rejected) == 1


def test_exposures_of_two_targets_are_two_datasets() -> None:
    """pymusepipe#22."""
    other = [replace(f, target="NGC 2", block="2002") for f in moved(OBJECTS, 60000.03)]
    made = planned([*FRAMES, *other])

    assert not blocked(made)
    assert {(s.target, s.unit) for s in steps(made, Stage.COMBINE)} == {("NGC 1", "1001"), ("NGC 2", "2002")}


def test_an_exposure_of_no_target_is_filed_as_unnamed_and_how_to_name_it_is_said(tmp_path: Path) -> None:
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    for path in night.raw("OBJECT"):
        path.unlink()
    for mjd in (60001.05, 60001.06):
        changes = {"ESO OBS TARG NAME": "", "OBJECT": ""}
        write_raw(night.root / "raw", "OBJECT", mjd, start=60001.05, ifus=(1,), changes=changes)

    summary = night.run()

    assert (summary.failed, summary.blocked) == (0, 0)
    assert (night.root / "products" / "unnamed" / "combine").is_dir()
    assert (
        "no target is named by 2 frames of OBJECT, such as 2023-02-26T01:12:00.000: filed under unnamed; "
        "name it in clio.toml: [targets.NAME] match = ['1001']"
    ) in summary.remarks


# Templates cut short


def test_a_template_of_two_biases_is_blocked_with_the_minimum_before_anything_runs(tmp_path: Path) -> None:
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    night.raw("BIAS")[0].unlink()

    summary = night.run()

    assert summary.ran == 0
    assert "muse_bias" not in night.engine.recipes
    (reason,) = (e.why[0] for e in summary.events if e.step.id == "bias:2023-02-25T14:24:00:01")
    assert reason == "2 BIAS, at least 3 are needed"
    assert "template 2023-02-25T14:24:00 (BIAS) is cut short: 2 of 3 exposures are there" in summary.remarks


def test_a_template_cut_short_with_enough_left_is_used_and_it_is_said() -> None:
    long = [replace(f, template_length=5) if f.tag == "FLAT" else f for f in FRAMES]
    made = planned(long)

    assert not blocked(made)
    (said,) = (r for r in made.remarks if "cut short" in r)
    assert said.endswith("(FLAT) is cut short: 3 of 5 exposures are there")


def test_frames_of_a_template_count_whatever_their_tags() -> None:
    """An observing template alternates between the object and the sky."""
    same = {"template": "both", "template_length": 3}
    sky = [replace(f, **same) if f.tag in ("SKY", "OBJECT") else f for f in FRAMES]  # type: ignore[arg-type]

    assert not [r for r in planned(sky).remarks if "cut short" in r]


# Detectors


def test_of_24_detectors_those_that_live_are_reduced_and_the_dead_are_said(tmp_path: Path) -> None:
    night = Workspace.make(tmp_path / "galaxy", ifus=(1, 2))
    for path in (night.root / "raw").iterdir():
        path.write_bytes(path.read_bytes() + b"".join(_dead(n) for n in range(3, 25)))

    summary = night.run(Stage.BIAS)

    assert sorted(e.step.ifus for e in summary.events) == [(1,), (2,)]
    assert "IFUs 3-24 are dead in all raw frames, and not reduced" in summary.remarks


def _dead(ifu: int) -> bytes:
    from builders import hdu

    cards = {"XTENSION": "IMAGE", "BITPIX": 8, "NAXIS": 0, "PCOUNT": 0, "GCOUNT": 1}
    return hdu({**cards, "EXTNAME": f"CHAN{ifu:02d}", "ESO DET CHIP LIVE": False})


def test_a_detector_that_died_in_some_frames_is_left_out_of_those_and_it_is_said() -> None:
    one = tuple(c for c in FRAMES[0].chips if c.ifu == 1)
    biases = [replace(f, chips=one, dead=(2,)) if f.tag == "BIAS" else f for f in FRAMES]
    made = planned(biases)

    assert [s.ifus for s in steps(made, Stage.BIAS)] == [(1,)]
    assert any(
        "IFU 2 is dead in 3 of 17 raw frames, such as 2023-02-25T14:24:00.000" in r for r in made.remarks
    )
    reasons = set(blocked(made).values())
    assert any(r.startswith("no MASTER_BIAS of IFU 2 for ") for r in reasons)
    assert not [id_ for id_ in blocked(made) if id_.endswith(":01")]


@pytest.mark.parametrize(
    ("numbers", "words"), [([1], "1"), ([1, 2], "1-2"), ([1, 3, 4, 5, 24], "1, 3-5, 24")]
)
def test_ifus_are_written_in_ranges(numbers: list[int], words: str) -> None:
    assert in_ranges(numbers) == words


def test_calibrations_of_another_read_out_mode_are_not_chosen_and_it_is_said_why() -> None:
    """F10."""
    fast = [replace(f, readout="2 FAST", template="fast") for f in moved(FRAMES, 60000.01) if f.tag == "BIAS"]
    made = planned([*FRAMES, *fast])

    assert not blocked(made)
    (choice,) = (a for a in steps(made, Stage.FLAT)[0].associations if a.tag == "MASTER_BIAS")
    assert choice.chosen == "2023-02-25T14:24:00"
    assert choice.rejected == ("fast: readout 2 FAST instead of 1 SCI1.0",)


# Dates


def test_a_night_across_midnight_utc_and_years_end_is_one_night() -> None:
    """Days are counted between MJDs: the last evening of 2022 calibrates the first morning of 2023."""
    made = planned(moved(FRAMES, 59944.0))  # noon of 2022-12-31 is 59944.5

    assert not blocked(made)
    assert {f.exposure[:4] for f in moved(OBJECTS, 59944.0)} == {"2023"}
    assert {a.level for s in made.steps for a in s.associations if a.tag == "MASTER_FLAT"} == {0}


@pytest.mark.parametrize("mjd", [57112.0, 57352.0])
def test_a_night_across_an_intervention_uses_no_calibration_of_the_other_side(mjd: float) -> None:
    made = planned(moved(FRAMES, mjd - 0.9))  # biases, flats and arcs before, everything else after

    reasons = [p.reason for s in steps(made, Stage.SCIBASIC) for p in s.problems]
    assert reasons
    assert all("on the other side of an intervention" in reason for reason in reasons)


# Frames that are known and not used


@pytest.mark.parametrize(
    ("type_", "tag", "instead"),
    [
        ("STD,TELLURIC", "TELLURIC", "STD_TELLURIC"),
        ("STD,TELLU", "TELLURIC", "STD_TELLURIC"),
        ("ASTROMETRY", "ASTROMETRY", "ASTROMETRY_WCS"),
        ("AST", "ASTROMETRY", "ASTROMETRY_WCS"),
        ("WAVE,MASK", "MASK", "GEOMETRY_TABLE"),
    ],
)
def test_a_frame_of_no_part_in_the_workflow_is_known_by_name_and_said_not_to_be_used(
    tmp_path: Path, type_: str, tag: str, instead: str
) -> None:
    """F14."""
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    write_raw(night.root / "raw", "STD", 60001.01, ifus=(1,), changes={"ESO DPR TYPE": type_})

    with night.open() as reduction:
        made = reduction.plan()

    assert made.problems == ()
    (said,) = (r for r in made.remarks if r.startswith(f"{tag}: "))
    assert said.startswith(f"{tag}: 1 frame is not used: ")
    assert instead in said


def test_a_telluric_standard_is_no_standard_star() -> None:
    made = planned([*FRAMES, replace(frame("STD", 60001.04), tag="TELLURIC")])

    assert len(steps(made, Stage.STANDARD)) == 1


# Files


def test_frames_in_nested_folders_and_behind_links_are_each_found_once(tmp_path: Path) -> None:
    deep = tmp_path / "raw" / "2023" / "02" / "25"
    first = write_raw(deep, "BIAS", 60000.0)
    second = write_raw(tmp_path / "archive", "BIAS", 60000.1)
    (tmp_path / "raw" / "archive").symlink_to(tmp_path / "archive")
    (tmp_path / "raw" / "again").symlink_to(deep)
    (tmp_path / "raw" / "2023" / "loop").symlink_to(tmp_path / "raw")
    (tmp_path / "raw" / "first.fits").symlink_to(first)
    (tmp_path / "raw" / "gone.fits").symlink_to(tmp_path / "gone.fits")
    (tmp_path / "raw" / "gone").symlink_to(tmp_path / "gone")

    found = scan((tmp_path / "raw",), lambda path: digest_file(path).data_digest)

    assert [f.mjd for f in found.frames] == [60000.0, 60000.1]
    assert found.frames[1].path.resolve() == second
    assert sorted(Path(p.subject).name for p in found.problems) == ["gone", "gone.fits"]
    (said,) = found.remarks
    assert said.startswith("BIAS 2023-02-25T00:00:00.000 was found twice and is used once: ")


@pytest.mark.parametrize("name", ["A.FITS", "a.Fits", "b.FIT"])
def test_a_name_in_capitals_claims_to_be_fits_too(tmp_path: Path, name: str) -> None:
    write_raw(tmp_path, "BIAS", 60000.0, name=name)

    assert len(scan((tmp_path,), lambda path: digest_file(path).data_digest).frames) == 1


@given(st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_what_is_said_of_an_odd_night_does_not_depend_on_the_order_of_its_frames(shuffle: object) -> None:
    """Promise 2."""
    odd = [replace(f, dead=(3,), template_length=5) for f in without("SKY", "ILLUM")]
    mixed = list(odd)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]  # a random.Random

    assert planned(mixed).remarks == planned(odd).remarks


# --strict: any problem ends a run before it begins


def test_a_strict_run_of_a_good_night_is_a_run(tmp_path: Path) -> None:
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))

    with night.open() as reduction:
        summary = reduction.run((Stage.BIAS,), is_strict=True)

    assert did(summary, Did.RAN) == ["bias:2023-02-25T14:24:00:01"]


def test_a_strict_run_begins_nothing_if_a_file_cannot_be_used(tmp_path: Path) -> None:
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    (night.root / "raw" / "broken.fits").write_bytes(b"SIMPLE  =")

    with night.open() as reduction, pytest.raises(FramesError) as caught:
        reduction.run((Stage.BIAS,), is_strict=True)

    assert caught.value.exit_code is Exit.FRAMES
    assert caught.value.message == (
        "nothing is begun with 1 problem, as --strict asks\n"
        f"  {night.root}/raw/broken.fits: is truncated: the header of HDU 0 has no END"
    )
    assert night.engine.seen == []


def test_a_strict_run_begins_nothing_if_a_step_that_is_wanted_is_blocked(tmp_path: Path) -> None:
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    night.raw("STD")[0].unlink()

    with night.open() as reduction:
        with pytest.raises(FramesError) as caught:
            reduction.run(is_strict=True)
        assert night.engine.seen == []
        ran = reduction.run((Stage.BIAS, Stage.FLAT), is_strict=True).ran

    assert "no STD_RESPONSE for " in caught.value.message
    assert caught.value.hint == "add STD frames to the folders of clio.toml"
    assert ran == 2
