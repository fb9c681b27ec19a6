"""Offsets by template, and what puts a whole target together: its steps, its grid, its exposure map."""

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import date_of, frame, night_frames, write_raw
from fakes import Fault, Workspace, did

from pipeline.config import FileTable, Settings
from pipeline.drafts import Asked
from pipeline.errors import RecipeFailed, UsageError
from pipeline.events import Did
from pipeline.model import Frame, Plan, ProductInput, Scan, Stage, Step
from pipeline.plan import plan
from pipeline.recipes import FINAL
from pipeline.reduce import Reduction

CALIBRATIONS = tuple(f for f in night_frames() if f.tag != "OBJECT")


def object_(minutes: float, template: float, block: str = "11", **changes: object) -> Frame:
    mjd = 60001.05 + minutes / 1440
    start = date_of(60001.05 + template / 1440)[:19]
    return frame("OBJECT", mjd, block=block, template=start, **changes)


TWO_TEMPLATES = tuple(object_(n, 10 * (n // 10)) for n in (0, 5, 10, 15))
TWO_BLOCKS = (*TWO_TEMPLATES[:2], *(object_(n, 10, "12") for n in (10, 15)))


def planned(frames: tuple[Frame, ...], asked: Asked | None = None, **tables: object) -> Plan:
    root = Path("/galaxy")
    found = Settings(root, FileTable.model_validate(tables), root / "clio.toml")
    scan = Scan((*CALIBRATIONS, *frames), (), (), (root / "raw",))
    return plan(scan, found, asked=asked or Asked())


def steps(made: Plan, stage: Stage) -> list[Step]:
    return [step for step in made.steps if step.stage is stage]


def makers(step: Step, tag: str) -> list[str]:
    return [item.step for item in step.inputs if isinstance(item, ProductInput) and item.tag == tag]


# Offsets by template


def test_without_being_asked_for_nothing_is_aligned_by_template_or_put_together() -> None:
    stages = {step.stage for step in planned(TWO_TEMPLATES).steps}

    assert not stages & {Stage.ALIGN_BYGROUP, *FINAL}


def test_f06_each_template_has_a_list_of_its_own_that_covers_its_exposures_once() -> None:
    """The first template's list is used for all; here each exposure stands in the list of its own."""
    made = planned(TWO_TEMPLATES, workflow={"align_by": "template"})

    lists = steps(made, Stage.ALIGN_BYGROUP)
    assert [makers(step, "IMAGE_FOV") for step in lists] == [
        [f"prep_align:{f.exposure}" for f in pair] for pair in (TWO_TEMPLATES[:2], TWO_TEMPLATES[2:])
    ]
    given = [makers(step, "OFFSET_LIST") for step in steps(made, Stage.SCIPOST_PEREXPO)]
    assert given == [[lists[0].id]] * 2 + [[lists[1].id]] * 2
    assert steps(made, Stage.ALIGN) == []


@pytest.mark.parametrize("stage", [Stage.SCIPOST, Stage.COMBINE])
def test_f06_what_reads_one_list_is_not_given_one_that_leaves_exposures_out(stage: Stage) -> None:
    """The others would be combined unshifted, without a word."""
    (step,) = steps(planned(TWO_TEMPLATES, workflow={"align_by": "template"}), stage)

    assert makers(step, "OFFSET_LIST") == []
    assert step.problems[0].reason == "its exposures are of 2 templates, each with offsets of its own"
    assert step.problems[0].hint.startswith('[workflow] align_by = "dataset"')


def test_f06_exposures_of_templates_of_one_are_not_combined_unshifted() -> None:
    apart = tuple(object_(n, n) for n in (0, 5))
    made = planned(apart, workflow={"align_by": "template"})

    assert steps(made, Stage.ALIGN_BYGROUP) == []
    assert all(step.problems for step in steps(made, Stage.COMBINE))


def test_f05_both_lists_are_there_under_names_of_their_own_and_the_datasets_is_taken() -> None:
    """One stage writes a name that the next does not read; here a list has one owner."""
    made = planned(TWO_TEMPLATES, Asked(frozenset({Stage.ALIGN_BYGROUP})))

    names = [step.id for stage in (Stage.ALIGN, Stage.ALIGN_BYGROUP) for step in steps(made, stage)]
    assert names == ["align:11", *(f"align_bygroup:11.{TWO_TEMPLATES[n].template}" for n in (0, 2))]
    for stage in (Stage.SCIPOST, Stage.SCIPOST_PEREXPO, Stage.COMBINE):
        assert {makers(step, "OFFSET_LIST")[0] for step in steps(made, stage)} == {"align:11"}


def test_one_template_gives_the_list_of_its_dataset() -> None:
    made = planned(TWO_TEMPLATES[:2], Asked(align_by="template"))

    (step,) = steps(made, Stage.SCIPOST)
    assert makers(step, "OFFSET_LIST") == [f"align_bygroup:11.{TWO_TEMPLATES[0].template}"]
    assert not step.problems


# Whole targets


def test_a_target_is_aligned_combined_and_each_exposure_put_on_its_grid() -> None:
    made = planned(TWO_BLOCKS, workflow={"finalise": True})

    (align,), (cube,) = steps(made, Stage.ALIGN_TARGET), steps(made, Stage.COMBINE_TARGET)
    assert (align.id, cube.id) == ("align_target:NGC 1", "combine_target:NGC 1")
    assert makers(align, "IMAGE_FOV") == [f"prep_align:{f.exposure}" for f in TWO_BLOCKS]
    assert makers(cube, "PIXTABLE_REDUCED") == [f"scipost_perexpo:{f.exposure}" for f in TWO_BLOCKS]
    assert makers(cube, "OFFSET_LIST") == [align.id]
    final = steps(made, Stage.FINALISE)
    assert [step.unit for step in final] == [f.exposure for f in TWO_BLOCKS]
    assert {(*makers(s, "OUTPUT_WCS"), *makers(s, "OFFSET_LIST")) for s in final} == {(cube.id, align.id)}
    assert [step.dataset for step in final] == ["11", "11", "12", "12"]


def test_modes_are_put_together_apart() -> None:
    """OCA: by target name and mode, never across."""
    ao = tuple(object_(n, 20, "13", mode="WFM-AO-N") for n in (20, 25))
    made = planned((*TWO_BLOCKS, *ao), workflow={"finalise": True})

    assert [step.unit for step in steps(made, Stage.COMBINE_TARGET)] == ["NGC 1.WFM-AO-N", "NGC 1.WFM-NOAO-N"]


def test_a_target_of_one_exposure_is_not_put_together_and_this_is_said() -> None:
    made = planned(TWO_BLOCKS[:1], workflow={"finalise": True})

    assert not [step.id for stage in FINAL for step in steps(made, stage)]
    assert "target NGC 1 has one exposure: there is nothing to put together" in made.remarks


# In a workspace


@pytest.fixture
def two_blocks(tmp_path: Path) -> Workspace:
    """A target of two blocks of two exposures each, one IFU."""
    made = Workspace.make(tmp_path / "galaxy", objects=0, ifus=(1,))
    for number, exposure in enumerate(TWO_BLOCKS):
        changes = {"ESO OBS ID": int(exposure.block), "ESO TPL START": exposure.template}
        write_raw(made.root / "raw", "OBJECT", exposure.mjd or 0, ifus=(1,), changes=changes, seed=number)
    return made


def test_f30_the_exposure_map_of_a_target_is_kept(two_blocks: Workspace) -> None:
    """Maps of the mosaic are thrown away; here they are products, beside the cubes on one grid."""
    two_blocks.configure("[workflow]\nfinalise = true\n")
    summary = two_blocks.run()

    assert (summary.failed, summary.blocked) == (0, 0)
    shown = {made.path.relative_to(two_blocks.root / "products").as_posix() for made in summary.products}
    assert "NGC_1/align_target/NGC_1/EXPOSURE_MAP.fits" in shown
    assert "NGC_1/combine_target/NGC_1/DATACUBE_FINAL.fits" in shown
    assert {f"NGC_1/finalise/{f.exposure}/DATACUBE_FINAL.fits" for f in TWO_BLOCKS} <= shown
    grid = next(m for m in summary.products if m.stage is Stage.COMBINE_TARGET and m.tag == "DATACUBE_FINAL")
    of_final = [e.run for e in summary.events if e.step.stage is Stage.FINALISE and e.run]
    given = {item.digest for run in of_final for item in run.inputs if item.tag == "OUTPUT_WCS"}
    assert given == {grid.digest}
    assert two_blocks.run().ran == 0


def test_an_exposure_left_out_reruns_what_contained_it(two_blocks: Workspace) -> None:
    two_blocks.configure("[workflow]\nfinalise = true\n")
    two_blocks.run()
    left = f'[targets."NGC 1"]\nexclude = ["{TWO_BLOCKS[0].exposure}"]\n'
    two_blocks.configure(f"[workflow]\nfinalise = true\n{left}")

    ran = did(two_blocks.run(), Did.RAN)

    others = [f.exposure for f in TWO_BLOCKS[1:]]
    assert ran == sorted(
        [
            *("scipost:11", f"scipost_perexpo:{others[0]}"),
            *("align_target:NGC 1", "combine_target:NGC 1"),
            *(f"finalise:{exposure}" for exposure in others),
        ]
    )


def test_an_alignment_of_the_target_that_fails_leaves_the_datasets_alone(two_blocks: Workspace) -> None:
    """Promise 6."""
    two_blocks.configure("[workflow]\nfinalise = true\n")
    two_blocks.engine.fail(Fault.UNMATCHED, "muse_exp_align", where="expmap")

    summary = two_blocks.run()

    assert did(summary, Did.FAILED) == ["align_target:NGC 1"]
    assert {id_.partition(":")[0] for id_ in did(summary, Did.BLOCKED)} == {"combine_target", "finalise"}


def test_the_lock_stays_when_a_call_asked_for_more_than_the_settings(two_blocks: Workspace) -> None:
    two_blocks.run()
    before = (two_blocks.root / "clio.lock").read_bytes()
    with two_blocks.open() as mypipe:
        made = mypipe.finalise()

    assert {m.stage for m in made} == set(FINAL)
    assert (two_blocks.root / "clio.lock").read_bytes() == before


CALLS: dict[str, Callable[[Reduction], object]] = {
    "run_align_bygroup": lambda p: p.run_align_bygroup(),
    "run_scipost": lambda p: p.run_scipost(offset_list="bygroup"),
    "run_scipost_perexpo": lambda p: p.run_scipost_perexpo(offset_list="bygroup"),
    "combine_dataset": lambda p: p.combine_dataset(),
}


def test_f35_the_calls_of_an_alignment_by_group_do_what_they_say(two_blocks: Workspace) -> None:
    """Documented methods do not exist; here they are called, one after the other."""
    with two_blocks.open() as mypipe:
        mypipe.run_recipes(last="prep_align")
        for call in CALLS.values():
            call(mypipe)

    runs = [seen for seen in two_blocks.engine.seen if seen.recipe == "muse_exp_combine"]
    assert len(runs) == 2
    assert two_blocks.engine.recipes.count("muse_exp_align") == 2


def test_f19_a_list_of_one_session_is_not_that_of_the_next(two_blocks: Workspace) -> None:
    """Flags stay changed for all later calls; here they are of an object, and end with it."""
    with two_blocks.open() as mypipe:
        mypipe.run_recipes(last="prep_align")
        mypipe.run_align_bygroup()
        mypipe.run_scipost(offset_list="bygroup")
    with two_blocks.open() as mypipe:
        assert {step.stage for step in mypipe.plan().steps} & {Stage.ALIGN, Stage.ALIGN_BYGROUP} == {
            Stage.ALIGN
        }


def test_a_list_by_another_name_is_refused(two_blocks: Workspace) -> None:
    with two_blocks.open() as mypipe, pytest.raises(UsageError) as caught:
        mypipe.run_scipost(offset_list="bytarget")

    assert caught.value.hint == "it is bydataset or bygroup"


def test_a_failed_target_raises_what_went_wrong(two_blocks: Workspace) -> None:
    two_blocks.run()
    two_blocks.engine.fail(Fault.EXIT, "muse_exp_align", where="expmap", text="no light")
    with two_blocks.open() as mypipe, pytest.raises(RecipeFailed, match="no light"):
        mypipe.run_finalise()
