"""The conductor, end to end, with an engine that needs no container."""

import mmap
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest
from builders import edit_and_put_back, write_raw
from fakes import Fault, Seen, Workspace, did

from pipeline.errors import (
    ConfigError,
    Exit,
    FramesError,
    Interrupted,
    PipelineError,
    RecipeFailed,
    UsageError,
)
from pipeline.events import Did
from pipeline.fitsdigest import digest_file
from pipeline.forecast import LASTING, Outcome
from pipeline.model import Stage, Step
from pipeline.record import Job
from pipeline.reduce import Reduction
from pipeline.resolve import Maker, Resolver
from pipeline.stages import stage_of, stretch
from pipeline.standing import Beginning
from pipeline.summary import Made
from provenance.digest import digest_bytes
from provenance.model import Status

FIRST, SECOND = "2023-02-26T01:12:00.000", "2023-02-26T01:26:24.000"
BIAS, FLAT, ARC, TWILIGHT = (f"2023-02-25T{t}" for t in ("14:24:00", "14:52:48", "15:21:36", "22:48:00"))
LAST_PART = [
    "align:1001",
    "combine:1001",
    f"prep_align:{FIRST}",
    f"prep_align:{SECOND}",
    "scipost:1001",
    f"scipost_perexpo:{FIRST}",
    f"scipost_perexpo:{SECOND}",
]
"""Steps that read the pixel tables of OBJECT exposures."""


# What is known is not done again


def test_everything_runs_once_and_then_nothing(workspace: Workspace) -> None:
    first = workspace.run()
    calls = len(workspace.engine.seen)
    second = workspace.run()

    assert (first.ran, first.hits, first.failed, first.blocked) == (26, 0, 0, 0)
    assert (second.ran, second.hits, second.failed, second.blocked) == (0, 26, 0, 0)
    assert len(workspace.engine.seen) == calls == 26
    assert [made.digest for made in sorted(second.products, key=lambda m: m.path)] == [
        made.digest for made in sorted(first.products, key=lambda m: m.path)
    ]


def test_a_run_of_hits_opens_no_engine(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)

    with narrow.open() as reduction:
        assert reduction.run((Stage.BIAS,)).hits == 1
        assert not reduction.engine.is_open


def test_a_changed_parameter_reruns_what_depends_on_it_and_no_more(workspace: Workspace) -> None:
    """Promise 3."""
    workspace.run()
    workspace.configure("[recipes.muse_lsf]\nlsf_range = 8\n")

    again = workspace.run()

    sky = [event.step.id for event in again.events if event.step.stage is Stage.SKY]
    assert did(again, Did.RAN) == sorted([f"lsf:{ARC}:01", f"lsf:{ARC}:02", *sky, *LAST_PART])
    assert again.hits == 26 - again.ran
    whys = {event.step.id: event.why for event in again.events}
    assert whys[f"lsf:{ARC}:01"] == ("parameter muse.muse_lsf.lsf_range: 7.5 -> 8",)


def test_a_parameter_changed_back_reruns_nothing(narrow: Workspace) -> None:
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")
    changed = narrow.run(Stage.FLAT)
    narrow.configure("")

    assert changed.ran == 1
    assert narrow.run().ran == 0


@pytest.mark.parametrize("value", ["30", "30.0", "3e1"])
def test_a_default_written_out_is_no_change(narrow: Workspace, value: str) -> None:
    """Promise 3: the key holds every effective value, in the one spelling of its type."""
    narrow.run(Stage.BIAS)
    narrow.configure(f"[recipes.muse_bias]\novscsigma = {value}\n")

    assert narrow.run(Stage.BIAS).ran == 0


def test_an_override_reruns_its_exposure_only(narrow: Workspace) -> None:
    narrow.run()
    where = f'where = {{exposure = "{SECOND}", stage = "prep_align"}}'
    narrow.configure(f"[[override]]\n{where}\nrecipes.muse_scipost.lambdamin = 4700\n")

    assert f"prep_align:{FIRST}" in did(narrow.run(Stage.PREP_ALIGN), Did.HIT)
    assert narrow.engine.seen[-1].options["lambdamin"] == "4700"


def test_numerics_are_part_of_the_key(narrow: Workspace) -> None:
    """Promise 3."""
    narrow.run(Stage.BIAS)
    narrow.configure('[clio]\nnumerics = "native"\n')

    again = narrow.run(Stage.BIAS)

    assert again.ran == 1
    assert again.events[0].why[0] == "numerics: pinned -> native"


@pytest.mark.parametrize("clocks", [("frozen", "real"), ("real", "frozen")], ids="-".join)
def test_the_clock_is_no_part_of_the_key(clocks: tuple[str, str], narrow: Workspace) -> None:
    """Promise 2: what it changes, DATE and CHECKSUM, is no science."""
    for clock in clocks:
        narrow.configure(f'[clio]\nclock = "{clock}"\n')
        last = narrow.run(Stage.BIAS)

    assert last.ran == 0


# Only content counts


def test_frames_moved_and_renamed_rerun_nothing(narrow: Workspace) -> None:
    """Promise 2."""
    narrow.run()
    deep = narrow.root / "raw" / "elsewhere" / "deep"
    deep.mkdir(parents=True)
    for number, path in enumerate(sorted((narrow.root / "raw").glob("*.fits"), reverse=True)):
        path.rename(deep / f"frame-{number}.fits")

    assert narrow.run().ran == 0


def test_frames_with_other_comments_and_dates_of_writing_rerun_nothing(narrow: Workspace) -> None:
    """Promise 2."""
    narrow.run(Stage.BIAS)
    for path in narrow.raw("BIAS"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"'CALIB   '", b"'CALIB   ' / a remark", 1)[: len(content)])
        assert path.read_bytes() != content

    assert narrow.run(Stage.BIAS).ran == 0


def test_another_place_and_another_day_give_the_same_actions_and_data(tmp_path: Path) -> None:
    """Promise 2: neither place nor name nor day changes a key or a pixel."""
    here = Workspace.make(tmp_path / "here", ifus=(1,))
    there = Workspace.make(tmp_path / "there" / "far", ifus=(1,))
    for number, path in enumerate(sorted((there.root / "raw").iterdir(), reverse=True)):
        path.rename(path.with_name(f"{number}.fits"))
    there.engine.today = datetime(2031, 5, 4, 3, 2, 1)

    first, second = here.run(), there.run()

    def keys(summary: object) -> dict[str, str]:
        return {e.step.id: e.run.action for e in summary.events if e.run}  # type: ignore[attr-defined]

    assert keys(first) == keys(second)
    assert {m.data_digest for m in first.products} == {m.data_digest for m in second.products}
    assert {m.digest for m in first.products}.isdisjoint({m.digest for m in second.products})


def test_a_changed_pixel_reruns_what_depends_on_it(narrow: Workspace) -> None:
    """Promise 3."""
    narrow.run()
    write_raw(narrow.root / "raw", "SKY", 60001.03, start=60001.03, ifus=(1,), seed="other")

    again = narrow.run()

    assert f"scibasic:{FIRST}:01" in did(again, Did.HIT)
    assert did(again, Did.RAN) == sorted(
        ["scibasic:2023-02-26T00:43:12.000:01", "sky:2023-02-26T00:43:12.000", *LAST_PART]
    )


# A hit is verified


def _delete(path: Path) -> None:
    path.unlink()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def _truncate(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-100])
    path.chmod(0o444)


def _product(made: tuple[Made, ...], tag: str, unit: str = "") -> Made:
    return next(m for m in made if m.tag == tag and unit in m.unit)


@pytest.mark.parametrize(
    ("damage", "word"), [(_delete, "is missing"), (_flip, "was edited"), (_truncate, "was truncated")]
)
@pytest.mark.parametrize("age_s", [0, 3600], ids=["frames of now", "frames of an hour ago"])
def test_a_damaged_product_is_made_again_and_nothing_after_it(
    workspace: Workspace, damage: Callable[[Path], None], word: str, age_s: int
) -> None:
    """Promise 4, and early cut-off: the same science under another DATE keeps the night.

    Frames that have not changed for a while are believed by their times, and the step is looked at twice.
    """
    then = time.time() - age_s
    for path in (*(workspace.root / "raw").iterdir(), *(workspace.root / "calib").iterdir()):
        os.utime(path, (then, then))
    bias = _product(workspace.run().products, "MASTER_BIAS", ":02")
    damage(workspace.object_of(bias))
    workspace.engine.today = datetime(2030, 1, 1)

    again = workspace.run()

    assert did(again, Did.RAN) == [f"bias:{BIAS}:02"]
    why = next(event.why[0] for event in again.events if event.did is Did.RAN)
    assert why.startswith(f"object {bias.digest.partition(':')[2][:12]} (MASTER_BIAS) {word}")
    remade = _product(again.products, "MASTER_BIAS", ":02")
    assert remade.digest != bias.digest
    assert remade.data_digest == bias.data_digest


def test_a_product_made_again_with_other_pixels_reruns_what_reads_it(workspace: Workspace) -> None:
    """Only what truly changed runs: the other IFU's calibrations stay."""
    bias = _product(workspace.run().products, "MASTER_BIAS", ":02")
    workspace.object_of(bias).unlink()
    workspace.engine.restless.add("muse_bias")

    again = workspace.run()

    assert {f"flat:{FLAT}:02", f"wave:{ARC}:02", "combine:1001"} <= set(did(again, Did.RAN))
    assert {f"bias:{BIAS}:01", f"flat:{FLAT}:01", f"wave:{ARC}:01"} <= set(did(again, Did.HIT))


def test_the_tree_of_products_is_made_again_without_running(narrow: Workspace) -> None:
    summary = narrow.run()
    shutil.rmtree(narrow.root / "products")

    assert narrow.run().ran == 0
    assert all(made.path.is_file() for made in summary.products)


# Failure is contained


def test_a_failed_recipe_blocks_what_depends_on_it_and_nothing_else(workspace: Workspace) -> None:
    """Promise 6: each blocked step tells the chain of reasons down to the failure."""
    workspace.engine.fail(Fault.EXIT, "muse_flat", where="--nifu=2", text="no light in the lamp")

    summary = workspace.run()

    assert did(summary, Did.FAILED) == [f"flat:{FLAT}:02"]
    assert f"wave:{ARC}:01" in did(summary, Did.RAN)
    assert f"lsf:{ARC}:01" in did(summary, Did.RAN)
    whys = {event.step.id: event.why for event in summary.events}
    cause = "recipe error: esorex left with 255: no light in the lamp"
    assert whys[f"flat:{FLAT}:02"] == (cause,)
    assert whys[f"wave:{ARC}:02"] == (f"needs flat:{FLAT}:02", cause)
    assert whys["combine:1001"][-1] == cause
    assert whys["combine:1001"][0] == f"needs scipost_perexpo:{FIRST}"
    assert summary.ran + summary.failed + summary.blocked == 26


def test_a_failed_step_shows_no_product_of_other_parameters(narrow: Workspace) -> None:
    """Promise 1: a name under `products/` is what was asked for, or is not there."""
    made = {output.path.name for output in narrow.run(Stage.BIAS).products}
    narrow.configure("[recipes.muse_bias]\nlsigma = 4\n")
    narrow.engine.fail(Fault.EXIT, "muse_bias", times=1)

    narrow.run(Stage.BIAS)

    shown = {path.name for path in (narrow.root / "products").rglob("*.fits")}
    assert not made & shown
    narrow.configure("")
    assert narrow.run(Stage.BIAS).hits == 1
    assert made <= {path.name for path in (narrow.root / "products").rglob("*.fits")}


def test_a_failed_exposure_leaves_the_others_alone(workspace: Workspace) -> None:
    """Promise 6."""
    workspace.engine.fail(Fault.EXIT, "muse_scibasic", where=f"MUSE.{SECOND}.fits")

    summary = workspace.run()

    assert did(summary, Did.FAILED) == [f"scibasic:{SECOND}:01", f"scibasic:{SECOND}:02"]
    assert did(summary, Did.BLOCKED) == sorted(set(LAST_PART) - {f"prep_align:{FIRST}"})


def test_a_failure_of_the_inputs_is_not_tried_again(narrow: Workspace) -> None:
    """An hour of a recipe that ends the same way each time is an hour lost each time."""
    narrow.engine.fail(Fault.EXIT, "muse_wavecal", times=1)

    first, second = narrow.run(), narrow.run()

    assert (second.ran, second.hits) == (0, first.ran)
    assert (second.failed, second.blocked) == (first.failed, first.blocked)
    assert narrow.engine.recipes.count("muse_wavecal") == 1
    whys = [{event.step.id: event.why for event in summary.events} for summary in (first, second)]
    assert whys[0][f"wave:{ARC}:01"] == whys[1][f"wave:{ARC}:01"]


def test_a_failure_is_tried_again_where_asked_and_the_rest_follows(narrow: Workspace) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_wavecal", times=1)

    first, second = narrow.run(), narrow.run(retry_failed=True)

    assert (first.ran, first.failed) == (2, 1)
    assert second.ran == first.failed + first.blocked
    why = next(event.why for event in second.events if event.step.stage is Stage.WAVE)
    assert why == ("failed before: esorex left with 255: it was told to fail",)


def test_a_failure_ends_a_method_with_its_cause_and_where_the_log_is(narrow: Workspace) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_bias", text="levels disagree")

    with narrow.open() as reduction, pytest.raises(RecipeFailed) as caught:
        reduction.run_recipes(last="flat")

    assert caught.value.exit_code is Exit.RECIPE
    assert caught.value.message == (
        f"bias:{BIAS}:01 failed: recipe error: esorex left with 255: levels disagree; "
        "1 more steps failed or are blocked"
    )
    with narrow.open() as reduction:
        run = reduction.store.runs(stage="bias")[0]
        assert run.log is not None
        assert "levels disagree" in reduction.store.objects.path(run.log).read_text()
    assert caught.value.hint == (
        f"its log: clio show {run.run} --log; to try again all the same: clio run --retry-failed"
    )


FAULTS = [
    (Fault.EXIT, "", Status.FAILED, "recipe error", "esorex left with 255: it was told to"),
    (Fault.ABORT, "", Status.FAILED, "recipe error", "the recipe died of signal 6"),
    (Fault.KILLED, "", Status.KILLED, "killed", "the recipe was stopped by signal 9"),
    (Fault.OUT_OF_MEMORY, "", Status.FAILED, "out of memory", "the recipe met its memory limit"),
    (Fault.TIMEOUT, "", Status.TIMEOUT, "timeout", "the recipe did not end in the time it was given"),
    (Fault.ERROR_IN_LOG, "", Status.FAILED, "recipe error", "the fit of the sky lines failed (Sky line"),
    (Fault.WARNING, "X could not be loaded, it will be ignored!", Status.FAILED, "unproven", "an input was"),
    (
        Fault.WARNING,
        "Channel for IFU 1 is missing",
        Status.FAILED,
        "unproven",
        "the recipe missed a frame of IFU 1",
    ),
    (Fault.NO_LIST, "", Status.FAILED, "unproven", "the list of products cannot be read: "),
    (Fault.LIST_IS_NO_JSON, "", Status.FAILED, "unproven", "the list of products cannot be read: "),
    (Fault.MISSING, "", Status.FAILED, "missing product", "0 MASTER_BIAS where 1 had to be made"),
    (Fault.NOT_THERE, "", Status.FAILED, "unproven", "MASTER_BIAS MASTER_BIAS-01.fits was declared but is"),
    (Fault.TRUNCATED, "", Status.FAILED, "unproven", "MASTER_BIAS-01.fits is truncated: 2880 bytes are"),
    (Fault.EMPTY, "", Status.FAILED, "unproven", "MASTER_BIAS-01.fits is empty"),
    (Fault.FLIPPED, "", Status.FAILED, "unproven", "MASTER_BIAS-01.fits: DATASUM of HDU 3 STAT does not"),
    (Fault.UNFINISHED, "", Status.FAILED, "unproven", "MASTER_BIAS-01.fits was not finished: it has no"),
    (Fault.LINK, "", Status.FAILED, "unproven", "MASTER_BIAS MASTER_BIAS-01.fits is no regular file"),
    (Fault.DROPPED, "", Status.FAILED, "unproven", "BIAS MUSE.2023-02-25T14:26:00.000.fits was dropped by"),
    (Fault.UNLISTED, "", Status.FAILED, "unproven", "a product names EXTINCT_TABLE STRANGE.fits, which was"),
    (Fault.INPUT_CHANGED, "BIAS", Status.INPUT_CHANGED, "input changed", ""),
]


@pytest.mark.parametrize(
    ("fault", "text", "status", "cause", "reason"),
    FAULTS,
    ids=[f"{f[0].name}-{f[1][:9]}".rstrip("-").lower() for f in FAULTS],
)
def test_a_bad_run_is_recorded_with_its_cause_and_never_believed(
    narrow: Workspace, fault: Fault, text: str, status: Status, cause: str, reason: str
) -> None:
    """Promise 11: exit status 0 proves nothing; and promise 1: of a bad run no product is visible."""
    narrow.configure("[clio]\njobs = 1\n")  # with all the memory from the start: there is no more to try with
    narrow.engine.fail(fault, "muse_bias", text=text, times=1)

    summary = narrow.run(Stage.BIAS)

    run = summary.events[0].run
    assert summary.failed == 1
    assert run is not None
    assert (run.status, run.cause, run.outputs) == (status, cause, ())
    assert run.reason is not None
    assert run.reason.startswith(reason)
    assert not (narrow.root / "products").exists()
    lasts = cause in LASTING and run.signal is None
    assert narrow.run(Stage.BIAS).failed == lasts
    assert narrow.run(Stage.BIAS, retry_failed=True).failed == 0


CHAIN_FAULTS = [
    (Fault.COUNTS, "muse_scipost", "", "DATACUBE_FINAL.fits is a DATACUBE_FINAL in count: it is not"),
    (Fault.UNUSED, "muse_scipost", "EXTINCT_TABLE", "EXTINCT_TABLE EXTINCT_TABLE_"),
    (Fault.UNMATCHED, "muse_exp_align", "", f"exposure {SECOND} was matched by 0 sources, at least 3 are"),
    (Fault.INVENTED, "muse_exp_align", "", f"OFFSET_LIST.fits has 0 rows for exposure {SECOND}"),
    (Fault.NOT_A_NUMBER, "muse_exp_align", "", "OFFSET_LIST.fits holds an offset that is not a number"),
    (Fault.LOST_IFU, "muse_scipost", "", "PIXTABLE_REDUCED_0001.fits holds 0 IFUs where 1 were given"),
]


@pytest.mark.parametrize(
    ("fault", "recipe", "text", "reason"), CHAIN_FAULTS, ids=[f[0].name.lower() for f in CHAIN_FAULTS]
)
def test_a_wrong_result_that_ends_with_status_0_is_refused(
    narrow: Workspace, fault: Fault, recipe: str, text: str, reason: str
) -> None:
    """Promise 11."""
    narrow.engine.fail(fault, recipe, text=text)

    summary = narrow.run()

    reasons = [event.run.reason or "" for event in summary.events if event.did is Did.FAILED and event.run]
    assert reasons
    assert all(found.startswith(reason) for found in reasons)


def test_a_filter_nobody_knows_is_refused_before_anything_runs(narrow: Workspace) -> None:
    """Promise 11: the recipe would leave the image out in silence."""
    narrow.configure('[workflow]\nfilter_for_alignment = "Cousins_X"\n')

    summary = narrow.run()

    why = next(event.why for event in summary.events if event.did is Did.FAILED)
    assert why == (
        f"unproven: the filter Cousins_X is not in the FILTER_LIST {narrow.root}/calib/filter_list.fits; "
        "name one of Cousins_R, white under filter of muse_scipost, case counts",
    )


def test_scratch_of_an_unproven_run_is_kept_for_a_look_and_else_none(narrow: Workspace) -> None:
    narrow.engine.fail(Fault.FLIPPED, "muse_bias", times=1)
    unproven = narrow.run(Stage.BIAS).events[0].run
    narrow.run(Stage.FLAT, Stage.BIAS)

    assert unproven is not None
    with narrow.open() as reduction:
        assert reduction.store.kept_work() == (unproven.run,)
        assert reduction.store.leftovers() == ()


def test_caveats_are_carried_on(narrow: Workspace) -> None:
    text = "Adapt pixel table to STD_RESPONSE"
    narrow.engine.fail(Fault.WARNING, "muse_scipost", where="save=individual", text=text)

    summary = narrow.run()

    combined = next(event.run for event in summary.events if event.step.stage is Stage.COMBINE)
    assert combined is not None
    assert combined.status is Status.CAVEAT
    known = (
        "the flat-field spectrum was taken out again, as the STD_RESPONSE is without (Adapt pixel table to "
        "STD_RESPONSE); reduce STD and OBJECT exposures with flats of the same kind"
    )
    assert combined.caveats == tuple(f"from scipost_perexpo:{e}: {known}" for e in (FIRST, SECOND))
    assert narrow.run().ran == 0


# Stages one by one


def test_each_method_runs_its_stage_and_gives_its_products(narrow: Workspace) -> None:
    with narrow.open() as mypipe:
        given = {
            "run_bias": mypipe.run_bias(),
            "run_dark": mypipe.run_dark(),
            "run_flat": mypipe.run_flat(),
            "run_wave": mypipe.run_wave(),
            "run_lsf": mypipe.run_lsf(),
            "run_twilight": mypipe.run_twilight(illum=True),
            "run_scibasic_all": mypipe.run_scibasic_all(illum=True),
            "run_standard": mypipe.run_standard(),
            "run_sky": mypipe.run_sky(fraction=0.8),
            "run_prep_align": mypipe.run_prep_align(),
            "run_align_bydataset": mypipe.run_align_bydataset(),
            "run_scipost": mypipe.run_scipost(offset_list=True),
            "run_scipost_perexpo": mypipe.run_scipost_perexpo(),
            "run_combine_dataset": mypipe.run_combine_dataset(),
            "combine_dataset": mypipe.combine_dataset(),
        }

    tags = {name: sorted({made.tag for made in products}) for name, products in given.items()}
    sky = ["SKY_CONTINUUM", "SKY_IMAGE", "SKY_LINES", "SKY_MASK", "SKY_SPECTRUM"]
    assert tags == {
        "run_bias": ["MASTER_BIAS"],
        "run_dark": [],
        "run_flat": ["MASTER_FLAT", "TRACE_TABLE"],
        "run_wave": ["WAVECAL_TABLE"],
        "run_lsf": ["LSF_PROFILE"],
        "run_twilight": ["DATACUBE_SKYFLAT", "TWILIGHT_CUBE"],
        "run_scibasic_all": ["PIXTABLE_OBJECT", "PIXTABLE_SKY", "PIXTABLE_STD"],
        "run_standard": ["DATACUBE_STD", "STD_FLUXES", "STD_RESPONSE", "STD_TELLURIC"],
        "run_sky": sky,
        "run_prep_align": ["DATACUBE_FINAL", "IMAGE_FOV"],
        "run_align_bydataset": ["OFFSET_LIST", "SOURCE_LIST"],
        "run_scipost": sorted(["DATACUBE_FINAL", "IMAGE_FOV", "PIXTABLE_REDUCED", *sky[1:]]),
        "run_scipost_perexpo": ["PIXTABLE_REDUCED"],
        "run_combine_dataset": ["DATACUBE_FINAL", "IMAGE_FOV"],
        "combine_dataset": ["DATACUBE_FINAL", "IMAGE_FOV"],
    }
    assert {made.did for made in given["run_combine_dataset"]} == {Did.RAN}
    assert {made.did for made in given["combine_dataset"]} == {Did.HIT}
    assert all(made.path.is_file() for products in given.values() for made in products)


def test_a_stretch_of_the_workflow_runs_by_the_names_of_its_stages(narrow: Workspace) -> None:
    with narrow.open() as mypipe:
        made = mypipe.run_recipes(last="prep_align")

    assert {m.stage for m in made} == set(stretch(None, "prep_align")) - {Stage.DARK}


def test_scipost_without_offsets_says_what_to_run_first(narrow: Workspace) -> None:
    with narrow.open() as mypipe:
        mypipe.run_recipes(last="prep_align")
        with pytest.raises(FramesError) as caught:
            mypipe.run_scipost()

    assert caught.value.exit_code is Exit.FRAMES
    assert caught.value.message == (
        "scipost:1001 is blocked: align:1001 is not made yet (never run): run align first"
    )


def test_a_stage_runs_no_other(narrow: Workspace) -> None:
    with narrow.open() as mypipe, pytest.raises(FramesError, match="run bias first"):
        mypipe.run_flat()

    assert narrow.engine.seen == []


def test_scipost_without_offsets_is_refused_when_the_settings_want_them(narrow: Workspace) -> None:
    with narrow.open() as mypipe, pytest.raises(UsageError) as caught:
        mypipe.run_scipost(offset_list=False)

    assert caught.value.message == "offset_list=False, and the settings say True"


def test_a_parameter_given_with_a_call_wins_over_the_settings(narrow: Workspace) -> None:
    narrow.configure("[recipes.muse_create_sky]\nfraction = 0.7\n")
    with narrow.open() as mypipe:
        mypipe.run_recipes(last="standard")
        mypipe.run_sky(fraction=0.5)

    assert narrow.engine.seen[-1].options["fraction"] == "0.5"


def test_illum_is_left_out_when_a_call_says_so(narrow: Workspace) -> None:
    with narrow.open() as mypipe:
        mypipe.run_recipes(last="lsf")
        mypipe.run_twilight(illum=False)

    assert "ILLUM" not in {tag for _, tag in narrow.engine.seen[-1].frames}


@pytest.mark.parametrize(
    ("first", "last", "message", "hint"),
    [
        ("wave", "bias", "stage bias comes before wave: there is nothing between them", ""),
        (None, "scipots", "unknown stage scipots", "did you mean scipost?"),
        ("zzz", None, "unknown stage zzz", f"stages are {', '.join(Stage)}"),
    ],
    ids=["backwards", "misspelt", "unknown"],
)
def test_a_stretch_that_is_none_is_refused(
    first: str | None, last: str | None, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        stretch(first, last)

    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code is Exit.USAGE


def test_stages_are_found_by_name() -> None:
    assert [stage_of(stage.value) for stage in Stage] == list(Stage)


def test_one_exposure_has_nothing_to_align_and_this_is_said(tmp_path: Path) -> None:
    workspace = Workspace.make(tmp_path, objects=1, ifus=(1,))

    with workspace.open() as reduction:
        assert "dataset 1001 of NGC 1 has one exposure" in reduction.plan().remarks[-1]
    stages = {event.step.stage for event in workspace.run().events}
    assert not stages & {Stage.ALIGN, Stage.COMBINE}


# What a recipe is given


def test_a_recipe_gets_what_its_key_names_and_nothing_else(
    narrow: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 5: nothing is inherited, and only the frames of the set are mounted (the fake checks)."""
    monkeypatch.setenv("MUSE_DEBUG_IGNORE_READOUT", "1")
    monkeypatch.setenv("ESOREX_OUTPUT_DIR", "/tmp")

    narrow.run(Stage.BIAS)

    seen = narrow.engine.seen[0]
    assert sorted(name for name, _ in seen.request.environment) == [
        *("FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC", "GLIBC_TUNABLES", "HOME", "LC_ALL", "LD_PRELOAD"),
        *("NO_FAKE_STAT", "OMP_DYNAMIC", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "PATH", "TZ"),
    ]
    assert [name for _, name in seen.names] == [path.name for path in narrow.raw("BIAS")]


def test_a_real_clock_is_not_faked(narrow: Workspace) -> None:
    narrow.configure('[clio]\nclock = "real"\n')

    run = narrow.run(Stage.BIAS).events[0].run

    assert run is not None
    assert (run.clock_mode, run.clock_at) == ("real", None)
    assert "FAKETIME" not in dict(narrow.engine.seen[0].request.environment)


def test_canonical_names_are_unique_in_a_set_of_frames(workspace: Workspace) -> None:
    workspace.run()

    for seen in workspace.engine.seen:
        assert len(set(seen.names)) == len(seen.names)


# Looking


def test_a_forecast_says_what_would_run_and_why_and_runs_nothing(narrow: Workspace) -> None:
    with narrow.open() as reduction:
        found = {item.step.id: item for item in reduction.forecast()}

    assert narrow.engine.seen == []
    assert found[f"bias:{BIAS}:01"].outcome is Outcome.MISS
    assert found[f"bias:{BIAS}:01"].why == ("never run",)
    assert found[f"wave:{ARC}:01"].why == (f"waits for bias:{BIAS}:01 (never run)",)


def test_a_call_is_recorded_with_what_became_of_each_step(narrow: Workspace) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_flat")
    with narrow.open() as reduction:
        reduction.run(stretch(None, "wave"), argv=("clio", "run"))
        call = reduction.store.last_invocation()

    assert call is not None
    assert call.argv == ("clio", "run")
    assert call.exit_status == 4
    assert [(step.stage, step.outcome) for step in call.steps] == [
        ("bias", "ran"),
        ("flat", "failed"),
        ("wave", "blocked"),
    ]


# Bad input (DESIGN.md section 13)


def test_a_workspace_without_raw_frames_ends_with_3_and_what_was_looked_for(narrow: Workspace) -> None:
    shutil.rmtree(narrow.root / "raw")
    (narrow.root / "raw").mkdir()

    with narrow.open() as reduction, pytest.raises(FramesError) as caught:
        reduction.run()

    assert caught.value.exit_code is Exit.FRAMES
    assert "no raw frame" in caught.value.message
    assert str(narrow.root / "raw") in caught.value.message


def test_a_workspace_of_broken_frames_ends_with_3_and_names_one(narrow: Workspace) -> None:
    for path in (narrow.root / "raw").iterdir():
        path.write_bytes(b"")

    with narrow.open() as reduction, pytest.raises(FramesError) as caught:
        reduction.run()

    assert "no raw frame" in caught.value.message
    assert "is empty" in caught.value.message


def test_a_broken_frame_is_a_problem_and_the_rest_goes_on(narrow: Workspace) -> None:
    """Promise 6."""
    narrow.raw("SKYFLAT")[0].write_bytes(b"no FITS")

    summary = narrow.run()

    whys = {event.step.id: event.why for event in summary.events}
    assert did(summary, Did.FAILED) == []
    assert did(summary, Did.BLOCKED) == [f"twilight:{TWILIGHT}"]
    assert whys[f"twilight:{TWILIGHT}"] == ("2 SKYFLAT, at least 3 are needed",)


def test_two_biases_block_before_running_with_the_minimum(narrow: Workspace) -> None:
    narrow.raw("BIAS")[0].unlink()

    with narrow.open() as reduction, pytest.raises(FramesError) as caught:
        reduction.run_bias()

    assert caught.value.message.endswith("is blocked: 2 BIAS, at least 3 are needed")
    assert caught.value.hint == "muse_bias needs at least 3: add the missing frames"
    assert narrow.engine.seen == []


@pytest.mark.parametrize(
    ("setting", "line", "message", "hint"),
    [
        (
            "[recipes.muse_flat]\nodrer = 5\n",
            2,
            "muse_flat has no parameter odrer",
            "did you mean order?",
        ),
        (
            '[recipes.muse_flat]\nnsum = 3\norder = "five"\n',
            3,
            "muse_flat.order = 'five', expected int",
            "",
        ),
        (
            '[recipes.muse_bias]\ncombine = "mode"\n',
            2,
            "muse_bias.combine = 'mode', expected one of average, median, minmax, sigclip",
            "",
        ),
        (
            "[recipes.muse_dark]\nhotsgima = 4\n",
            2,
            "muse_dark has no parameter hotsgima",
            "did you mean hotsigma?",
        ),
        (
            '[[override]]\nwhere = {target = "NGC 1"}\nrecipes.muse_scipost.sav = "cube"\n',
            3,
            "muse_scipost has no parameter sav",
            "did you mean save?",
        ),
        (
            "[recipes.muse_bias]\nnifu = 2\n",
            2,
            "muse_bias.nifu is set by clio, step by step",
            "choose IFUs with [data] ifus",
        ),
    ],
    ids=["unknown", "ill-typed", "choice", "recipe-not-in-use", "override", "ours"],
)
def test_a_wrong_parameter_ends_with_2_and_file_line_and_nearest_name(
    narrow: Workspace, setting: str, line: int, message: str, hint: str
) -> None:
    narrow.configure(setting)

    with narrow.open() as reduction, pytest.raises(ConfigError) as caught:
        reduction.run()

    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.message == f"{narrow.root / 'clio.toml'}, line {line}: {message}"
    assert caught.value.hint == hint
    assert narrow.engine.seen == []


def test_a_wrong_parameter_of_a_call_is_a_wrong_use(narrow: Workspace) -> None:
    with narrow.open() as reduction, pytest.raises(UsageError) as caught:
        reduction.run_prep_align(skymehtod="none")

    assert caught.value.message == "muse_scipost has no parameter skymehtod"
    assert caught.value.hint == "did you mean skymethod?"


# Stopping, and two at once


def _stop_when_running(workspace: Workspace, reduction: Reduction) -> PipelineError:
    workspace.engine.on_run = lambda seen: reduction.cancel.set()
    with pytest.raises(Interrupted) as caught:
        reduction.run()
    workspace.engine.on_run = lambda seen: None
    return caught.value


def test_a_cancelled_run_ends_with_130_leaves_nothing_and_carries_on(workspace: Workspace) -> None:
    """Promise 1."""
    workspace.engine.fail(Fault.HANG, "muse_bias", times=1)
    with workspace.open() as reduction:
        error = _stop_when_running(workspace, reduction)

    assert error.exit_code is Exit.INTERRUPTED
    assert error.message == "stopped on request"
    with workspace.open() as reduction:
        assert {run.status for run in reduction.store.runs()} == {Status.KILLED}
        assert reduction.store.leftovers() == ()
    assert list((workspace.root / ".clio" / "work").iterdir()) == []
    assert workspace.run().ran == 26


def test_a_run_cancelled_before_it_begins_starts_nothing(narrow: Workspace) -> None:
    with narrow.open() as reduction:
        reduction.cancel.set()
        with pytest.raises(Interrupted):
            reduction.run()

    assert narrow.engine.seen == []


def test_two_at_once_on_one_store_run_no_action_twice(workspace: Workspace) -> None:
    """Promise 1: one runs, the other waits on its claim and finds a hit."""
    workspace.engine.delay_s = 0.005
    counts: list[tuple[int, int, int]] = []

    def reduce() -> None:
        summary = workspace.run()
        counts.append((summary.ran, summary.hits, summary.failed + summary.blocked))

    threads = [threading.Thread(target=reduce) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    texts = [seen.text for seen in workspace.engine.seen]
    assert len(texts) == len(set(texts)) == 26
    assert sum(ran for ran, _, _ in counts) == 26
    assert [ran + hits for ran, hits, _ in counts] == [26, 26]


def test_a_frame_that_changes_during_the_wait_for_another_is_read_anew(narrow: Workspace) -> None:
    """Promise 3: what is recorded is what was read, and not what was there when the wait began."""
    frame = narrow.raw("BIAS")[0]
    begun, summaries = threading.Event(), []
    with narrow.open() as holding:
        job = next(f.job for f in holding.forecast() if f.step.stage is Stage.BIAS)
        assert job is not None
        thread = threading.Thread(target=lambda: summaries.append(narrow.run(Stage.BIAS)))
        with holding.store.claim(job.action.key):
            narrow.engine.on_run = lambda seen: begun.set()
            thread.start()
            assert not begun.wait(0.5)
            content = bytearray(frame.read_bytes())
            content[-2880] ^= 1
            frame.write_bytes(content)
        thread.join()

    with narrow.open() as reduction:
        (run,) = reduction.store.runs(stage="bias")
    assert run.action != job.action.key
    assert digest_bytes(bytes(content)) in {item.digest for item in run.inputs}
    assert summaries[0].ran == 1


def test_a_frame_that_changes_while_its_step_waits_its_turn_is_read_anew(workspace: Workspace) -> None:
    """Promise 3: what was found before the first step began may be out of date when the last one does."""
    for path in workspace.raw("BIAS"):
        os.utime(path, (1e9, 1e9))  # long ago, so that what is known of it is believed
    workspace.run(Stage.BIAS)
    workspace.configure("[clio]\njobs = 1\n[recipes.muse_bias]\nlosigmabadpix = 20\n")
    frame = workspace.raw("BIAS")[0]
    contents = [frame.read_bytes()]

    def change(seen: Seen) -> None:
        if len(contents) == 1:
            content = bytearray(contents[0])
            content[-2880] ^= 1
            frame.write_bytes(content)
            contents.append(bytes(content))

    workspace.engine.on_run = change
    again = workspace.run(Stage.BIAS)

    # As they began: while the products of the first are read the second runs, and it may end before it.
    runs = sorted((event.run for event in again.events if event.run is not None), key=lambda run: run.run)
    assert len(runs) == len(again.events)
    read = [{item.digest for item in run.inputs} for run in runs]
    assert [digest_bytes(contents[1]) in digests for digests in read] == [False, True]
    assert runs[0].status is Status.INPUT_CHANGED


def between_lookup_and_run(recipe: str, act: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Do something once a step of a recipe was looked up, before it runs."""
    make, todo = Resolver.job, [act]

    def job(self: Resolver, step: Step, runs: Mapping[str, Maker]) -> Job:
        made = make(self, step, runs)
        if todo and step.recipe == recipe:
            todo.pop()()
        return made

    patch.setattr(Resolver, "job", job)


@pytest.mark.parametrize("is_remembered", [False, True], ids=["new", "remembered"])
def test_a_frame_that_changes_between_its_lookup_and_its_recipe_is_not_taken_for_what_it_was(
    narrow: Workspace, monkeypatch: pytest.MonkeyPatch, is_remembered: bool
) -> None:
    """Promise 3: else the outcome would be known under the digest of a frame that it was not made from."""
    frame = narrow.raw("BIAS")[0]
    if is_remembered:
        os.utime(frame, (1e9, 1e9))
        time.sleep(0.03)
    between_lookup_and_run("muse_bias", lambda: edit_and_put_back(frame), monkeypatch)

    first = narrow.run(Stage.BIAS).events[0].run
    again = narrow.run(Stage.BIAS)

    assert first is not None and (first.status, first.exit_status) == (Status.INPUT_CHANGED, None)
    assert "changed since it was looked up; run again" in str(first.reason)
    assert again.ran == 1
    assert again.events[0].run is not None
    assert digest_bytes(frame.read_bytes()) in {item.digest for item in again.events[0].run.inputs}


def test_a_product_edited_between_its_lookup_and_its_use_is_not_used(
    narrow: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promises 3 and 4: else what is made from it would be known as made from what it was."""
    product = narrow.object_of(narrow.run(Stage.BIAS).products[0])
    whole = digest_file(product).data_digest
    between_lookup_and_run("muse_flat", lambda: edit_and_put_back(product), monkeypatch)

    first = narrow.run(Stage.FLAT)
    again = narrow.run(Stage.BIAS, Stage.FLAT)

    assert [event.run and event.run.status for event in first.events] == [Status.INPUT_CHANGED]
    assert [(event.step.stage, event.did) for event in again.events] == [
        (Stage.BIAS, Did.RAN),
        (Stage.FLAT, Did.RAN),
    ]
    # The bytes may hold another second, and lie elsewhere.
    assert digest_file(narrow.object_of(again.products[0])).data_digest == whole


def test_a_frame_edited_while_its_recipe_runs_is_seen_with_its_time_put_back(narrow: Workspace) -> None:
    """Promise 3."""
    frame = narrow.raw("BIAS")[0]
    narrow.engine.on_run = lambda seen: edit_and_put_back(frame)

    run = narrow.run(Stage.BIAS).events[0].run

    assert run is not None and (run.status, run.outputs) == (Status.INPUT_CHANGED, ())


def test_while_a_frame_is_open_for_writing_every_run_looks_at_it(narrow: Workspace) -> None:
    """Promise 4: a write through a mapping moves no time, so times do not tell how things stand."""
    narrow.run(Stage.BIAS)
    frame = narrow.raw("BIAS")[0]
    time.sleep(0.03)
    with frame.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[-1] ^= 0  # the page is written to, though with what it held
        os.utime(frame, (1e9, 1e9))
        time.sleep(0.03)
        with narrow.open() as reduction:
            beginning = Beginning.now(reduction.store.path)
            summary = reduction.run((Stage.BIAS,))
            assert (summary.hits, summary.ran) == (1, 0)
            assert reduction.relied(summary, beginning) is None
        mapped[-1] ^= 1

    assert narrow.run(Stage.BIAS).ran == 1


def test_a_link_made_while_a_recipe_runs_is_no_change(narrow: Workspace, tmp_path: Path) -> None:
    """A backup that links, or somebody who write-protects frames, moves the time of change too."""
    frame = narrow.raw("BIAS")[0]

    def link(seen: Seen) -> None:
        (tmp_path / "backup.fits").hardlink_to(frame)
        frame.chmod(0o444)

    narrow.engine.on_run = link

    assert narrow.run(Stage.BIAS).ran == 1


def test_one_who_waits_for_another_can_be_stopped(narrow: Workspace) -> None:
    narrow.engine.fail(Fault.HANG, "muse_bias", times=1)
    begun = threading.Event()
    narrow.engine.on_run = lambda seen: begun.set()
    with narrow.open() as running, narrow.open() as waiting:

        def hang() -> None:
            with pytest.raises(Interrupted):
                running.run()

        thread = threading.Thread(target=hang)
        thread.start()
        assert begun.wait(10)
        threading.Timer(0.2, waiting.cancel.set).start()
        at = time.monotonic()
        with pytest.raises(Interrupted):
            waiting.run()
        assert time.monotonic() - at < 5
        running.cancel.set()
        thread.join()

    assert len(narrow.engine.seen) == 1


def test_an_option_the_workflow_sets_is_refused_in_a_call(workspace: Workspace) -> None:
    with workspace.open() as mypipe, pytest.raises(UsageError) as caught:
        mypipe.run_prep_align(save="individual")

    assert caught.value.message == "save of prep_align is set by the workflow: later stages rely on it"
