"""From frames to steps: what is planned, with what, and what is blocked before running."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from builders import date_of, frame, night_frames
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import FileTable, Settings
from pipeline.model import Frame, Plan, ProductInput, Scan, Stage, Step
from pipeline.plan import plan
from pipeline.recipes import BY_HAND, BY_REFERENCE, ON_REQUEST, PER_IFU, RECIPES, STAGES, TYPICAL_S
from pipeline.rules import RULES

ROOT = Path("/galaxy")
FRAMES = night_frames()
FIRST, SECOND = (f.exposure for f in FRAMES if f.tag == "OBJECT")


def planned(
    frames: Sequence[Frame] = FRAMES, arguments: dict[Stage, dict[str, str]] | None = None, **tables: object
) -> Plan:
    """Plan frames under settings given table by table."""
    table = FileTable.model_validate(tables)
    found = Scan(tuple(frames), (), (), (ROOT / "raw",))
    return plan(found, Settings(ROOT, table, ROOT / "clio.toml"), arguments or {})


def without(*tags: str) -> list[Frame]:
    return [f for f in FRAMES if f.tag not in tags]


def steps(made: Plan, stage: Stage) -> list[Step]:
    return [step for step in made.steps if step.stage is stage]


def blocked(made: Plan) -> dict[str, list[str]]:
    return {step.id: [p.reason for p in step.problems] for step in made.steps if step.problems}


def tags(step: Step) -> list[str]:
    return sorted({item.tag for item in step.inputs})


# A whole night


def test_a_whole_night_is_planned_without_a_problem() -> None:
    made = planned()

    counts = {stage.value: len(steps(made, stage)) for stage in Stage}
    assert counts == {
        **{"bias": 2, "dark": 0, "flat": 2, "wave": 2, "lsf": 2, "twilight": 1, "scibasic": 8},
        **{"standard": 1, "sky": 1, "prep_align": 2, "align": 1, "scipost": 1, "scipost_perexpo": 2},
        **{"combine": 1},
        **dict.fromkeys(ON_REQUEST, 0),
    }
    assert blocked(made) == {}
    assert made.problems == ()


def test_steps_come_after_those_they_depend_on_and_ids_are_unique() -> None:
    seen: set[str] = set()
    for step in planned().steps:
        assert set(step.upstream) <= seen
        assert step.id not in seen
        seen.add(step.id)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_frames(shuffle: random.Random) -> None:
    """Promise 2."""
    frames = list(FRAMES)
    shuffle.shuffle(frames)

    assert planned(frames) == planned()


@pytest.mark.parametrize(
    ("method", "reads"), [("model", True), ("subtract-model", True), ("simple", False), ("none", False)]
)
def test_a_sky_that_is_not_modelled_needs_no_lines_and_no_profiles(method: str, reads: bool) -> None:
    """The recipe leaves them unread, and they would be no part of what its products are made from."""
    made = planned(recipes={"muse_scipost": {"skymethod": method}})

    for stage in (Stage.PREP_ALIGN, Stage.SCIPOST, Stage.SCIPOST_PEREXPO):
        given_ = set(tags(steps(made, stage)[0]))
        assert ({"LSF_PROFILE", "SKY_LINES", "SKY_CONTINUUM"} & given_ != set()) is reads
        assert {"EXTINCT_TABLE", "STD_RESPONSE"} <= given_


def test_the_plan_of_moved_frames_differs_in_paths_alone() -> None:
    """Promise 2."""
    moved = [replace(f, path=Path("/elsewhere") / f"{n}.fits") for n, f in enumerate(reversed(FRAMES))]

    def shape(made: Plan) -> list[tuple[object, ...]]:
        return [(s.id, s.parameters, s.expected, [item.tag for item in s.inputs]) for s in made.steps]

    assert shape(planned(moved)) == shape(planned())


INPUTS: dict[Stage, list[str]] = {
    Stage.BIAS: ["BIAS"],
    Stage.FLAT: ["FLAT", "MASTER_BIAS"],
    Stage.WAVE: ["ARC", "LINE_CATALOG", "MASTER_BIAS", "TRACE_TABLE"],
    Stage.LSF: ["ARC", "LINE_CATALOG", "MASTER_BIAS", "TRACE_TABLE", "WAVECAL_TABLE"],
    Stage.TWILIGHT: [
        *("GEOMETRY_TABLE", "ILLUM", "MASTER_BIAS", "MASTER_FLAT", "SKYFLAT", "TRACE_TABLE", "WAVECAL_TABLE"),
    ],
    Stage.STANDARD: ["EXTINCT_TABLE", "PIXTABLE_STD", "STD_FLUX_TABLE"],
    Stage.SKY: [
        *("EXTINCT_TABLE", "LSF_PROFILE", "PIXTABLE_SKY", "SKY_LINES", "STD_RESPONSE", "STD_TELLURIC"),
    ],
    Stage.PREP_ALIGN: [
        *("ASTROMETRY_WCS", "EXTINCT_TABLE", "FILTER_LIST", "LSF_PROFILE", "PIXTABLE_OBJECT"),
        *("SKY_CONTINUUM", "SKY_LINES", "STD_RESPONSE", "STD_TELLURIC"),
    ],
    Stage.ALIGN: ["IMAGE_FOV"],
    Stage.SCIPOST: [
        *("ASTROMETRY_WCS", "EXTINCT_TABLE", "FILTER_LIST", "LSF_PROFILE", "OFFSET_LIST"),
        *("PIXTABLE_OBJECT", "SKY_CONTINUUM", "SKY_LINES", "STD_RESPONSE", "STD_TELLURIC"),
    ],
    Stage.COMBINE: ["FILTER_LIST", "OFFSET_LIST", "PIXTABLE_REDUCED"],
}


@pytest.mark.parametrize("stage", INPUTS)
def test_each_stage_gets_what_its_recipe_needs(stage: Stage) -> None:
    assert tags(steps(planned(), stage)[0]) == INPUTS[stage]


@pytest.mark.parametrize("tag", ["OBJECT", "SKY", "STD"])
def test_scibasic_gets_one_exposure_and_the_calibrations_of_its_ifu(tag: str) -> None:
    ours = [s for s in steps(planned(), Stage.SCIBASIC) if tag in tags(s)]

    assert tags(ours[0]) == sorted(
        [
            *("GEOMETRY_TABLE", "ILLUM", "MASTER_BIAS", "MASTER_FLAT", tag, "TRACE_TABLE"),
            *("TWILIGHT_CUBE", "WAVECAL_TABLE"),
        ]
    )
    for step in ours:
        makers = {i.step.rpartition(":")[2] for i in step.inputs if isinstance(i, ProductInput)}
        assert makers - {f"{step.ifus[0]:02d}"} == {"00"}  # seconds of the twilight's name


def test_a_flat_and_its_trace_come_from_one_run() -> None:
    for step in steps(planned(), Stage.SCIBASIC):
        made = {i.tag: i.step for i in step.inputs if isinstance(i, ProductInput)}
        assert made["MASTER_FLAT"] == made["TRACE_TABLE"]


def test_every_stage_has_its_row_and_typical_time() -> None:
    assert list(STAGES) == list(Stage)
    assert TYPICAL_S.keys() == set(Stage)
    rows = (*STAGES.values(), BY_REFERENCE, BY_HAND)
    assert {row.recipe for row in rows} == RECIPES.keys()
    assert {s.stage for s in planned().steps if len(s.ifus) == 1} == PER_IFU - {Stage.DARK}


# What settings change


def test_darks_are_used_when_they_are_wanted() -> None:
    darks = [frame("DARK", 60000.5 + n / 1000, template="T") for n in range(3)]

    assert steps(planned([*FRAMES, *darks]), Stage.DARK) == []
    made = planned([*FRAMES, *darks], workflow={"dark": True})
    assert len(steps(made, Stage.DARK)) == 2
    assert "MASTER_DARK" in tags(steps(made, Stage.FLAT)[0])


def test_ifus_can_be_narrowed() -> None:
    made = planned(data={"ifus": [1]})

    assert {step.ifus for step in made.steps} == {(1,)}


def test_frames_of_another_mode_are_left_out_and_said() -> None:
    other = frame("OBJECT", 60001.2, mode="WFM-AO-N")
    made = planned([*FRAMES, other], data={"mode": "WFM-NOAO-N"})

    assert made.steps == planned().steps
    assert [str(problem) for problem in made.problems] == [
        f"{other.path}: OBJECT of mode WFM-AO-N, and [data] mode asks for WFM-NOAO-N"
    ]


def test_targets_are_named_and_exposures_left_out_as_a_person_says() -> None:
    targets = {"galaxy": {"match": ["NGC *"], "exclude": [SECOND]}, "other": {}}
    made = planned(targets=targets)

    assert {s.target for s in steps(made, Stage.SCIPOST)} == {"galaxy"}
    assert [s.unit for s in steps(made, Stage.PREP_ALIGN)] == [FIRST]
    assert f"OBJECT {SECOND} is left out of galaxy, as clio.toml says" in made.remarks


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ({"match": ["1001"]}, "x"),
        ({"match": ["ngc 1"]}, "NGC 1"),
        ({}, "NGC 1"),
        ({"match": ["NGC ?"], "exclude": ["MUSE.1999*"]}, "x"),
    ],
    ids=["block", "case", "nothing", "pattern"],
)
def test_a_target_is_matched_by_name_or_block(target: dict[str, list[str]], name: str) -> None:
    assert {s.target for s in steps(planned(targets={"x": target}), Stage.ALIGN)} == {name}


def test_illum_can_be_left_out() -> None:
    made = planned(workflow={"illum": False})

    assert not any("ILLUM" in tags(step) for step in made.steps)


def test_what_later_stages_rely_on_is_left_alone_by_parameters_for_all_calls() -> None:
    made = planned(recipes={"muse_scipost": {"filter": "white", "save": "cube"}})

    def of(stage: Stage) -> dict[str, str]:
        return dict(steps(made, stage)[0].parameters)

    assert (of(Stage.PREP_ALIGN)["save"], of(Stage.PREP_ALIGN)["filter"]) == ("cube", "Cousins_R")
    assert (of(Stage.SCIPOST)["save"], of(Stage.SCIPOST)["filter"]) == ("cube", "white")
    assert of(Stage.SCIPOST_PEREXPO)["save"] == "individual"


def test_the_alignment_filter_comes_from_the_settings() -> None:
    made = planned(workflow={"filter_for_alignment": "SDSS_r"})

    step = steps(made, Stage.PREP_ALIGN)[0]
    assert dict(step.parameters)["filter"] == "SDSS_r"
    assert [e.filter for e in step.expected if e.tag == "IMAGE_FOV"] == ["SDSS_r"]


def test_parameters_of_the_more_particular_win() -> None:
    made = planned(
        arguments={Stage.SCIPOST: {"dx": "4"}},
        recipes={"muse_scipost": {"dx": 1, "dy": 1, "lambdamin": 1.5, "astrometry": False}},
        override=[
            {"where": {"exposure": FIRST}, "recipes": {"muse_scipost": {"dx": 2}}},
            {"where": {"dataset": "1001"}, "recipes": {"muse_scipost": {"dy": 3}}},
            {"where": {"target": "another"}, "recipes": {"muse_scipost": {"dy": 9}}},
        ],
    )

    def of(id_: str) -> dict[str, str]:
        found = dict(next(s.parameters for s in made.steps if s.id == id_))
        return {name: found[name] for name in ("dx", "dy", "lambdamin", "astrometry")}

    common = {"dy": "3", "lambdamin": "1.5", "astrometry": "FALSE"}
    assert of(f"prep_align:{FIRST}") == {"dx": "2", **common}
    assert of(f"prep_align:{SECOND}") == {"dx": "1", **common}
    assert of("scipost:1001") == {"dx": "4", **common}


def test_a_calibration_can_be_named() -> None:
    more = [frame("STD", 60000.9)]
    exposure = more[0].exposure

    made = planned([*FRAMES, *more], associate={"STD_RESPONSE": {"use": exposure}})

    chosen = {a.chosen for s in steps(made, Stage.SCIPOST) for a in s.associations if a.tag == "STD_RESPONSE"}
    assert chosen == {exposure}


@pytest.mark.parametrize(("window_d", "is_blocked"), [(2.0, True), (9.0, False)], ids=["narrow", "wide"])
def test_a_window_can_be_set(window_d: float, is_blocked: bool) -> None:
    early = [frame("BIAS", 60000.6 - 8 + n / 1000, template="T") for n in range(3)]
    made = planned([*early, *without("BIAS")], associate={"MASTER_BIAS": {"window_d": window_d}})

    assert (f"flat:{_start('FLAT')}:01" in blocked(made)) is is_blocked


def _start(tag: str) -> str:
    return next(f.template for f in FRAMES if f.tag == tag)


# What is blocked before it runs


@pytest.mark.parametrize(
    ("tag", "stage", "reason"),
    [
        ("BIAS", "bias", "2 BIAS, at least 3 are needed"),
        ("FLAT", "flat", "2 FLAT, at least 3 are needed"),
        ("SKYFLAT", "twilight", "2 SKYFLAT, at least 3 are needed"),
    ],
)
def test_too_few_frames_block_with_the_minimum(tag: str, stage: str, reason: str) -> None:
    first = next(f for f in FRAMES if f.tag == tag)
    made = planned([f for f in FRAMES if f is not first])

    found = {id_: why for id_, why in blocked(made).items() if id_.startswith(f"{stage}:")}
    assert found
    assert all(why[0] == reason for why in found.values())


def test_two_templates_of_one_name_block_each_other() -> None:
    """A step must not replace another in silence."""
    start = _start("BIAS")
    others = [frame("BIAS", 60000.61 + n / 1e4, template=start, readout="2 FAST") for n in range(3)]

    why = blocked(planned([*FRAMES, *others]))

    assert why[f"bias:{start}:01"] == [
        "two sets of frames go by this name: same start, other mode or read-out"
    ]


def test_a_lamp_that_is_missing_blocks_and_is_named() -> None:
    made = planned([f for f in FRAMES if f.lamp != "Xe"])

    assert "no ARC frame of Xe in the template" in blocked(made)[f"wave:{_start('ARC')}:01"]


def test_no_bias_at_all_blocks_with_what_to_add() -> None:
    made = planned(without("BIAS"))

    step = next(s for s in made.steps if s.stage is Stage.FLAT)
    mode = "WFM-NOAO-N"
    exposure = next(f.exposure for f in FRAMES if f.tag == "FLAT")
    assert step.problems[0].reason == f"no MASTER_BIAS of IFU 1 for {exposure} ({mode}): there is none"
    assert step.problems[0].hint == "add BIAS frames to the folders of clio.toml"


def test_a_calibration_too_far_away_blocks_with_the_nearest_and_the_knob() -> None:
    early = [frame("FLAT", 60000.62 - 11 + n / 1000, template="2023-02-14T00:00:00") for n in range(3)]
    biases = [frame("BIAS", 60000.6 - 11 + n / 1000, template="2023-02-13T00:00:00") for n in range(3)]
    made = planned([*early, *biases, *without("FLAT")])

    step = next(s for s in made.steps if s.stage is Stage.SCIBASIC)
    problem = next(p for p in step.problems if "MASTER_FLAT" in p.reason)
    assert problem.reason.endswith(
        "within 7.0 d; nearest: 2023-02-14T00:00:00: 11.4 d away, at most 7.0 d allowed"
    )
    assert problem.hint == "add a nearer one, or widen it in clio.toml: [associate.MASTER_FLAT] window_d"


def test_no_standard_blocks_the_post_processing_and_not_the_pixel_tables() -> None:
    """Promise 6."""
    made = planned(without("STD"))

    stages = {id_.partition(":")[0] for id_ in blocked(made)}
    assert stages == {"sky", "prep_align", "scipost", "scipost_perexpo"}
    assert all(any("STD_RESPONSE" in text for text in why) for why in blocked(made).values())


@pytest.mark.parametrize("tag", ["EXTINCT_TABLE", "LINE_CATALOG", "GEOMETRY_TABLE", "STD_FLUX_TABLE"])
def test_a_static_that_is_missing_blocks_what_needs_it(tag: str) -> None:
    texts = [text for why in blocked(planned(without(tag))).values() for text in why]

    assert any(f"no {tag} for" in text and "there is none" in text for text in texts)


def test_two_statics_without_a_date_have_to_be_chosen_by_a_person() -> None:
    more = frame("EXTINCT_TABLE", None, path=Path("calib/other.fits"))
    made = planned([*FRAMES, more])

    step = steps(made, Stage.STANDARD)[0]
    assert [p.reason for p in step.problems] == [
        "extinct_table.fits and other.fits are different EXTINCT_TABLE, and nothing says which to use"
    ]
    assert "[associate.EXTINCT_TABLE] use = 'extinct_table.fits'" in step.problems[0].hint
    chosen = planned([*FRAMES, more], associate={"EXTINCT_TABLE": {"use": "other.fits"}})
    assert blocked(chosen) == {}


@pytest.mark.parametrize("tag", ["ILLUM", "SKYFLAT", "SKY", "ASTROMETRY_WCS", "FILTER_LIST"])
def test_what_may_be_missing_is_said_and_blocks_nothing(tag: str) -> None:
    made = planned(without(tag))

    lacking = {a.tag for s in made.steps for a in s.associations if not a.chosen}
    assert blocked(made) == {}
    assert lacking & {tag, "TWILIGHT_CUBE", "SKY_CONTINUUM"}


def test_without_a_sky_exposure_the_static_lines_are_taken() -> None:
    step = steps(planned(without("SKY")), Stage.SCIPOST)[0]

    assert "SKY_LINES" in tags(step)
    assert "SKY_CONTINUUM" not in tags(step)


def test_with_lasers_on_the_continuum_is_left_out() -> None:
    frames = [replace(f, mode="WFM-AO-N") if f.mode else f for f in FRAMES]
    made = planned([*frames, frame("RAMAN_LINES", None, path=Path("calib/raman.fits"))])

    step = steps(made, Stage.SCIPOST)[0]
    assert "SKY_CONTINUUM" not in tags(step)
    assert {"RAMAN_LINES", "SKY_LINES"} <= set(tags(step))


def test_a_telluric_correction_far_away_is_not_used() -> None:
    std = frame("STD", 60001.05 - 6)
    calibrations = [
        frame(f.tag, (f.mjd or 0) - 6, template=date_of((f.mjd or 0) - 6)[:16], lamp=f.lamp)
        for f in FRAMES
        if f.tag in ("BIAS", "FLAT", "ARC")
    ]
    made = planned([std, *calibrations, *without("STD")])

    step = steps(made, Stage.SCIPOST)[0]
    assert "STD_RESPONSE" in tags(step)
    assert "STD_TELLURIC" not in tags(step)


def test_exposures_of_a_dataset_with_other_ifus_block_it() -> None:
    frames = [replace(f, chips=f.chips[:1]) if f.exposure == SECOND else f for f in FRAMES]

    why = blocked(planned(frames))["scipost:1001"]
    assert why == [f"{FIRST} has other IFUs than the exposures it belongs with"]


def test_one_exposure_is_neither_aligned_nor_combined() -> None:
    made = planned(night_frames(objects=1))

    assert steps(made, Stage.ALIGN) == steps(made, Stage.COMBINE) == []
    assert made.remarks[-1].endswith("nothing to align or to combine, the cube of scipost stands")


def test_twilight_without_ifu_1_is_blocked() -> None:
    why = blocked(planned(data={"ifus": [2]}))

    assert why[f"twilight:{_start('SKYFLAT')}"] == ["IFU 1 is not among those reduced"]


def test_old_twilights_get_the_vignetting_mask() -> None:
    mask = frame("VIGNETTING_MASK", None, path=Path("calib/mask.fits"))

    old = planned([*night_frames(57800.0), mask])
    new = planned([*FRAMES, mask])

    assert "VIGNETTING_MASK" in tags(steps(old, Stage.TWILIGHT)[0])
    assert "VIGNETTING_MASK" not in tags(steps(new, Stage.TWILIGHT)[0])


def test_every_choice_is_recorded_with_its_reason() -> None:
    for step in planned().steps:
        for choice in step.associations:
            assert choice.tag in RULES
            assert choice.reason
