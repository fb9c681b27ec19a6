"""Targets and datasets: which exposure belongs where, and what runs if only some are asked for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from builders import date_of, frame, night_frames, write_raw
from fakes import Workspace, did
from hypothesis import given
from hypothesis import strategies as st

from pipeline.associate import group
from pipeline.config import DatasetTable, FileTable, Settings, TargetTable
from pipeline.errors import ConfigError, Exit, UsageError
from pipeline.events import Did
from pipeline.model import Frame, Plan, Scan, Stage, Step
from pipeline.plan import plan
from pipeline.publish import folder
from pipeline.stages import Only, datasets_by_target, narrowed
from pipeline.targets import into_datasets, night_of

CALIBRATIONS = tuple(f for f in night_frames() if f.tag != "OBJECT")
AO = "WFM-AO-N"


def object_(minutes: float, target: str, block: str, **changes: object) -> Frame:
    """Make an exposure some minutes after the beginning of the tiny night's exposures."""
    mjd = 60001.05 + minutes / 1440
    return frame("OBJECT", mjd, target=target, block=block, template=date_of(mjd)[:19], **changes)


NIGHT = (
    *(object_(n, "NGC 1", "11") for n in (0, 5)),
    *(object_(n, "NGC 1", "12") for n in (10, 15)),
    *(object_(n, "NGC 2", "21") for n in (20, 25)),
    *(object_(n, "NGC 2", "22") for n in (30, 35)),
)
"""Two targets with two blocks of two exposures each."""


def planned(frames: Sequence[Frame] = NIGHT, **tables: object) -> Plan:
    root = Path("/galaxy")
    found = Settings(root, FileTable.model_validate(tables), root / "clio.toml")
    return plan(Scan((*CALIBRATIONS, *frames), (), (), (root / "raw",)), found)


def steps(made: Plan, *stages: Stage) -> list[Step]:
    return [step for step in made.steps if step.stage in stages]


def units(made: Plan, stage: Stage = Stage.SCIPOST) -> list[str]:
    return [step.unit for step in steps(made, stage)]


# Which exposure belongs where


def test_without_settings_target_and_block_of_the_header_decide() -> None:
    made = planned()

    assert datasets_by_target(made) == {"NGC 1": ("11", "12"), "NGC 2": ("21", "22")}
    assert units(made) == ["11", "12", "21", "22"]


PATTERNS = {
    "block": ["11"],
    "exposures": [NIGHT[0].exposure, NIGHT[1].exposure],
    "files": ["MUSE.2023-02-26T01:1*"],
    "templates": [NIGHT[0].template, NIGHT[1].template],
}


@pytest.mark.parametrize("match", PATTERNS.values(), ids=PATTERNS)
def test_a_dataset_is_named_by_block_exposures_templates_or_night(match: list[str]) -> None:
    made = planned(targets={"NGC 1": {"datasets": {"P01": {"match": match}, "P02": {"match": ["12"]}}}})

    assert datasets_by_target(made)["NGC 1"] == ("P01", "P02")
    assert units(made)[:2] == ["NGC 1.P01", "NGC 1.P02"]
    first = next(s for s in steps(made, Stage.COMBINE) if s.dataset == "P01")
    assert first.upstream[:2] == tuple(f"scipost_perexpo:{f.exposure}" for f in NIGHT[:2])
    assert folder(Path("products"), first) == Path("products/NGC_1/combine/P01")


def test_a_dataset_of_a_night_takes_blocks_together() -> None:
    later = [replace(f, mjd=(f.mjd or 0) + 1, date_obs=date_of((f.mjd or 0) + 1)) for f in NIGHT[:2]]
    nights = {"one": {"match": ["2023-02-25"]}, "two": {"match": ["2023-02-26"]}}
    made = planned([*NIGHT[:4], *later], targets={"NGC 1": {"datasets": nights}})

    tables = [
        (step.dataset, sum(item.tag == "PIXTABLE_REDUCED" for item in step.inputs))
        for step in steps(made, Stage.COMBINE)
    ]
    assert tables == [("one", 4), ("two", 2)]


@pytest.mark.parametrize(
    ("mjd", "night"),
    [
        (60000.4, "2023-02-24"),
        (60000.6, "2023-02-25"),
        (60001.05, "2023-02-25"),
        (57388.2, "2015-12-31"),
        (60369.9, "2024-02-29"),
    ],
    ids=["morning", "afternoon", "after midnight", "across the year", "leap day"],
)
def test_a_night_goes_by_the_day_on_which_it_began(mjd: float, night: str) -> None:
    assert night_of(frame("OBJECT", mjd)) == night


def test_people_may_call_a_dataset_of_each_target_1() -> None:
    """pymusepipe's users count the datasets of every target from 1."""
    named = {
        target: {"datasets": {"1": {"match": [one]}, "2": {"match": [two]}}}
        for target, one, two in (("NGC 1", "11", "12"), ("NGC 2", "21", "22"))
    }
    made = planned(targets=named)

    assert units(made) == ["NGC 1.1", "NGC 1.2", "NGC 2.1", "NGC 2.2"]
    assert not [step.id for step in made.steps if step.problems]
    places = {folder(Path("products"), step) for step in steps(made, Stage.SCIPOST)}
    assert len(places) == 4


def test_an_exposure_of_no_dataset_is_reduced_with_its_block_and_this_is_said() -> None:
    made = planned(targets={"NGC 1": {"datasets": {"P01": {"match": ["11"]}}}})

    assert datasets_by_target(made)["NGC 1"] == ("12", "P01")
    said = [remark for remark in made.remarks if "belongs to no dataset" in remark]
    assert said == [
        f"OBJECT {f.exposure} belongs to no dataset of NGC 1 in clio.toml: reduced with its block 12"
        for f in NIGHT[2:4]
    ]


def test_one_block_of_two_modes_is_two_datasets_of_one_name() -> None:
    """ESO combines neither modes nor fields; asked for by its name, both are meant."""
    made = planned([*NIGHT[:2], *(replace(f, mode=AO) for f in NIGHT[2:4])])
    both = planned([*NIGHT[:2], *(replace(f, mode=AO, block="11") for f in NIGHT[2:4])])

    assert units(made) == ["11", "12"]
    assert units(both) == ["11.WFM-AO-N", "11.WFM-NOAO-N"]
    part = narrowed(both, Only.named(["NGC 1"], ["11"]))
    assert {s.unit for s in steps(part, Stage.SCIPOST)} == {"11.WFM-AO-N", "11.WFM-NOAO-N"}


def test_one_block_of_two_targets_is_two_datasets() -> None:
    made = planned([*NIGHT[:2], *(replace(f, block="11") for f in NIGHT[4:6])])

    assert units(made) == ["NGC 1.11", "NGC 2.11"]


NAMED = {
    "NGC 1": TargetTable(
        datasets={
            "P": DatasetTable(match=["12", NIGHT[0].exposure]),
            "Q": DatasetTable(match=[f"*{NIGHT[1].exposure}*"]),
        }
    )
}


@given(st.permutations(NIGHT))
def test_f32_grouping_is_that_of_any_other_order(frames: list[Frame]) -> None:
    """Which group a pointing is put into depends on the order; here the frames' order leaves no trace."""
    found, remarks = into_datasets(group(frames).datasets, NAMED)

    assert (found, remarks) == into_datasets(group(NIGHT).datasets, NAMED)
    assert sorted(f.exposure for d in found for f in d.exposures) == [f.exposure for f in NIGHT]


SLIPS = {
    "nothing": (
        '[targets."NGC 1".datasets.P01]\nmatch = ["1101"]\n',
        "line 2: dataset P01 of target NGC 1 has no exposure: match = ['1101']",
        "there are block 1001, night 2023-02-25, exposure 2023-02-26T01:12:00.000",
    ),
    "by its own name": (
        '[targets."NGC 1".datasets.1101]\n',
        "line 1: dataset 1101 of target NGC 1 has no exposure: match = ['1101']",
        "there are block 1001",
    ),
    "twice": (
        '[targets."NGC 1".datasets]\nP01.match = ["1001"]\nP02.match = ["2023-02-25"]\n',
        "line 3: exposure 2023-02-26T01:12:00.000 and 1 more of target NGC 1 in two datasets, P01 and P02",
        "an exposure is reduced in one: narrow",
    ),
    "key": (
        '[targets."NGC 1".datasets.P01]\nmacth = ["1001"]\n',
        "line 2: unknown key targets.NGC 1.datasets.P01.macth",
        "did you mean match?",
    ),
}


@pytest.mark.parametrize(("text", "message", "hint"), SLIPS.values(), ids=SLIPS)
def test_a_dataset_that_fits_nothing_or_too_much_is_refused(
    narrow: Workspace, text: str, message: str, hint: str
) -> None:
    """pymusepipe#11, #13, #17."""
    narrow.configure(text)

    with pytest.raises(ConfigError) as caught:
        narrow.run()

    assert caught.value.exit_code is Exit.USAGE
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)
    assert narrow.engine.seen == []


def test_an_override_reaches_the_exposures_of_a_named_dataset() -> None:
    recipes = {"muse_scipost": {"dx": 2}, "muse_scibasic": {"crop": 0}}
    made = planned(
        targets={"NGC 1": {"datasets": {"P01": {"match": ["11"]}}}},
        override=[{"where": {"dataset": "P01"}, "recipes": recipes}],
    )

    changed = {step.unit.split(":01")[0].split(":02")[0] for step in made.steps if _is_changed(step)}
    assert changed == {"NGC 1.P01", NIGHT[0].exposure, NIGHT[1].exposure}


def _is_changed(step: Step) -> bool:
    return {"dx": "2", "crop": "0"}.items() & dict(step.parameters).items() != set()


# Only some of them


def test_a_target_alone_takes_its_steps_and_the_calibrations_they_need() -> None:
    part = narrowed(planned(), Only.named(["NGC 1"]))

    assert {step.target for step in part.steps} == {"NGC 1", "calibrations"}
    assert units(part) == ["11", "12"]
    whole = [step for step in planned().steps if step.target == "calibrations"]
    assert [step for step in part.steps if step.target == "calibrations"] == whole


def test_calibrations_that_only_others_need_are_left_out() -> None:
    later = frame("STD", 60001.2)
    far = [object_(n, "NGC 2", "21") for n in (300, 305)]
    made = planned([*NIGHT[:2], *far, later])

    part = narrowed(made, Only.named(["NGC 1"]))

    assert f"standard:{later.exposure}" in {step.id for step in made.steps}
    assert f"standard:{later.exposure}" not in {step.id for step in part.steps}


def test_a_dataset_alone_takes_its_exposures_only() -> None:
    part = narrowed(planned(), Only.named([], ["12", "21"]))

    assert units(part) == ["12", "21"]
    assert units(part, Stage.PREP_ALIGN) == [NIGHT[n].exposure for n in (2, 3, 4, 5)]


UNKNOWN = {
    "target": (["NGC 11"], [], "no exposure belongs to target NGC 11", "did you mean NGC 1?"),
    "far": (["M 33"], [], "no exposure belongs to target M 33", "there are NGC 1, NGC 2"),
    "dataset": ([], ["13"], "there is no dataset 13", "there are 11, 12, 21, 22"),
    "of another": (["NGC 2"], ["11"], "target NGC 2 has no dataset 11", "there are 21, 22"),
}


@pytest.mark.parametrize(("targets", "datasets", "message", "hint"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_name_that_selects_nothing_is_refused_with_the_nearest(
    targets: list[str], datasets: list[str], message: str, hint: str
) -> None:
    """pymusepipe#11, #13, #17: "Selected 0/0", and nothing is done; here it is wrong usage."""
    with pytest.raises(UsageError) as caught:
        narrowed(planned(), Only.named(targets, datasets))

    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code is Exit.USAGE


# In a workspace


@pytest.fixture
def two_targets(tmp_path: Path) -> Workspace:
    """A workspace with two targets of two blocks each, one IFU."""
    made = Workspace.make(tmp_path / "galaxy", objects=0, ifus=(1,))
    for number, exposure in enumerate(NIGHT):
        changes = {"ESO OBS ID": int(exposure.block), "ESO OBS TARG NAME": exposure.target}
        mjd = exposure.mjd or 0.0
        write_raw(made.root / "raw", "OBJECT", mjd, start=mjd, ifus=(1,), changes=changes, seed=number)
    return made


def of_targets(ids: list[str]) -> set[str]:
    """Give stage and unit of steps that are of no calibration."""
    stages = ("prep_align", "align", "scipost", "scipost_perexpo", "combine")
    return {id_ for id_ in ids if id_.partition(":")[0] in stages}


def test_two_targets_share_calibrations_and_nothing_is_made_twice(two_targets: Workspace) -> None:
    summary = two_targets.run()

    assert (summary.failed, summary.blocked, summary.hits) == (0, 0, 0)
    recipes = two_targets.engine.recipes
    for recipe in ("muse_bias", "muse_flat", "muse_wavecal", "muse_lsf", "muse_standard", "muse_create_sky"):
        assert recipes.count(recipe) == 1
    assert recipes.count("muse_exp_combine") == 4
    shown = {path.relative_to(two_targets.root / "products").parts[0] for path in _products(two_targets)}
    assert shown == {"NGC_1", "NGC_2", "calibrations"}
    again = two_targets.run()
    assert (again.ran, again.hits) == (0, summary.ran)


def _products(workspace: Workspace) -> list[Path]:
    return list((workspace.root / "products").rglob("*.fits"))


def test_an_exposure_left_out_reruns_only_what_contained_it(two_targets: Workspace) -> None:
    """The done-line of many targets."""
    two_targets.run()
    two_targets.configure(f'[targets."NGC 2"]\nexclude = ["{NIGHT[7].exposure}"]\n')

    again = two_targets.run()

    assert did(again, Did.RAN) == ["scipost:22", f"scipost_perexpo:{NIGHT[6].exposure}"]
    assert not [event.step.id for event in again.events if NIGHT[7].exposure in event.step.id]
    two_targets.configure("")
    assert two_targets.run().ran == 0


def test_a_run_of_one_target_leaves_the_others_to_run(two_targets: Workspace) -> None:
    with two_targets.open() as reduction:
        first = reduction.run(only=Only.named(["NGC 1"], ["12"]))
        rest = reduction.run()

    assert of_targets(did(first, Did.RAN)) == {
        *("align:12", "scipost:12", "combine:12"),
        *(f"{stage}:{f.exposure}" for stage in ("prep_align", "scipost_perexpo") for f in NIGHT[2:4]),
    }
    assert of_targets(did(first, Did.RAN)) == of_targets(did(rest, Did.HIT))
    assert (rest.failed, rest.blocked) == (0, 0)


def test_f18_the_lock_of_all_survives_a_run_of_a_part(two_targets: Workspace) -> None:
    """A run restricted to a part erases the rest; here the lock keeps what still holds."""
    two_targets.run()
    before = (two_targets.root / "clio.lock").read_text()

    with two_targets.open() as reduction:
        reduction.run(only=Only.named(["NGC 1"]))

    assert (two_targets.root / "clio.lock").read_text() == before


def test_issue_13_a_run_of_an_unknown_target_runs_nothing(two_targets: Workspace) -> None:
    with two_targets.open() as reduction, pytest.raises(UsageError, match="NGC 3"):
        reduction.run(only=Only.named(["NGC 3"]))

    assert two_targets.engine.seen == []
