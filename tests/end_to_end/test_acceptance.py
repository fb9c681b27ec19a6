"""Exit status 0 proves nothing: what real recipes make of wrong inputs ends as a failed run (promise 11).

`docs/acceptance.md` lists what was seen of esorex and which test shows it. What a person can cause is caused
through the settings and folders of a workspace; the rest by exchanging an input of a step that ran.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pipeline.model import Stage
from pipeline.record import Job
from provenance.model import Run, Status
from tests.end_to_end.commands import Done, Reduced, call
from tests.end_to_end.workbench import Workbench, of_tag, staged

Change = Callable[[Workbench, Job], Job]
Hdus = Any


@pytest.fixture(scope="module", autouse=True)
def names_as_written() -> Iterator[None]:
    """Extensions are called `stat` and `STAT`, and are not the same."""
    with fits.conf.set_temp("extension_name_case_sensitive", True):
        yield


def copied(reduced: Reduced, folder: Path) -> Path:
    """Copy a reduced workspace; objects, which nobody writes to, are linked."""

    def copy(source: str, target: str) -> None:
        if "/.clio/objects/" in source:
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(reduced.folder, folder, copy_function=copy, ignore=shutil.ignore_patterns("products"))
    return folder


@pytest.fixture(scope="module")
def bench(reduced: Reduced, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A copy of the reduced night, of which any step can be carried out with something exchanged."""
    folder = copied(reduced, tmp_path_factory.mktemp("bench") / "ws")
    with Workbench(folder, tmp_path_factory.mktemp("exchanged")) as opened:
        yield opened
    shutil.rmtree(folder)


# What a person can cause: static calibrations


@pytest.fixture
def workspace(reduced: Reduced, night: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the reduced night with static calibrations of its own."""
    folder = copied(reduced, tmp_path / "ws")
    shutil.copytree(night / "calib", folder / "calib")
    edit(folder, str(night / "calib"), "calib")
    yield folder
    shutil.rmtree(folder)


def edit(folder: Path, old: str, new: str) -> None:
    settings = folder / "clio.toml"
    assert old in settings.read_text()
    settings.write_text(settings.read_text().replace(old, new))


def set_in(folder: Path, recipe: str, lines: str) -> None:
    """Set parameters of a recipe; the workspace has a table for it already."""
    edit(
        folder, f"[recipes.{recipe}]\nlambdamin = 6400\nlambdamax = 7000\n", f"[recipes.{recipe}]\n{lines}\n"
    )


def error_of(done: Done) -> str:
    return str(json.loads(done.stderr.splitlines()[-1])["error"]["message"])


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def misspelt(path: Path) -> None:
    fits.setval(path, "ESO PRO CATG", value="EXTINCT_TABEL")


def another_table(path: Path) -> None:
    shutil.copy(path.with_name("filter_list.fits"), path)
    fits.setval(path, "ESO PRO CATG", value="EXTINCT_TABLE")


def as_floats(path: Path) -> None:
    with_columns(path, lambda name, values: fits.Column(name, "E", array=values))


def with_columns(path: Path, column: Callable[[str, Any], fits.Column]) -> None:
    with fits.open(path, memmap=False) as hdus:
        columns = [column(c.name, hdus[1].data[c.name]) for c in hdus[1].columns]
        table = fits.BinTableHDU.from_columns(columns)
        fits.HDUList([hdus[0], table]).writeto(path, overwrite=True)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "truncated: 2520 bytes are missing from HDU 1"),
        (emptied, "empty"),
        (misspelt, "ESO PRO CATG = EXTINCT_TABEL is no static calibration"),
        (another_table, "EXTINCT_TABLE without the column extinction"),
        (as_floats, "EXTINCT_TABLE with extinction as E, expected doubles (D): the recipe would not read it"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_static_calibration_that_is_none_is_a_problem_and_blocks_what_needs_it(
    workspace: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(workspace / "calib/extinct_table.fits")

    done = call("run", "standard", "--json", cwd=workspace)
    scanned = call("scan", "--json", cwd=workspace).document

    assert done.exit_status == 3
    assert "no EXTINCT_TABLE for" in error_of(done)
    assert done.summary["ran"] == 0
    assert reason in scanned["problems"][0]["reason"]


def in_nanometres(path: Path) -> None:
    with_columns(path, lambda name, v: fits.Column(name, "D", array=v / 10 if name == "lambda" else v))


def backwards(path: Path) -> None:
    with_columns(path, lambda name, values: fits.Column(name, "D", array=values[::-1]))


def without_numbers(path: Path) -> None:
    with_columns(path, lambda name, v: fits.Column(name, "D", array=v if name == "lambda" else v * np.nan))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (in_nanometres, "EXTINCT_TABLE whose lambda runs from 390 to 970, expected Angstrom; replace it"),
        (backwards, "EXTINCT_TABLE whose lambda does not ascend; replace it"),
        (without_numbers, "EXTINCT_TABLE whose extinction is no number in 233 of 233 rows; replace it"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_static_calibration_with_wrong_numbers_fails_before_the_recipe_runs(
    workspace: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    """The recipe takes each of these without a word: see `test_the_recipe_says_nothing_of_wrong_numbers`."""
    spoil(workspace / "calib/extinct_table.fits")

    done = call("run", "standard", "--engine", "bubblewrap", "--json", cwd=workspace)

    assert done.exit_status == 4
    assert reason in error_of(done)
    failed = next(line for line in done.lines[:-1] if line["did"] == "failed")
    shown = call("show", failed["run"], "--json", cwd=workspace).document
    assert reason in shown["run"]["reason"]
    assert shown["run"]["outputs"] == []
    assert not list((workspace / "products").rglob("STD_RESPONSE*"))


def test_the_recipe_says_nothing_of_wrong_numbers(bench: Workbench, night: Path, tmp_path: Path) -> None:
    """Why they are looked for before: nothing that it leaves tells."""
    spoilt = tmp_path / "extinct_table.fits"
    shutil.copy(night / "calib/extinct_table.fits", spoilt)
    in_nanometres(spoilt)
    job = bench.post()

    ran, verdict = bench.judged(
        bench.exchanged(job, of_tag(job, "EXTINCT_TABLE"), staged("EXTINCT_TABLE", spoilt))
    )

    assert ran.result.exit_status == 0
    assert verdict.is_accepted


# What a person can cause: settings


def test_a_filter_nobody_knows_is_refused_with_those_that_are_known(workspace: Path) -> None:
    edit(workspace, "[data]", '[workflow]\nfilter_for_alignment = "Johnson_Q"\n\n[data]')

    done = call("run", "prep_align", "--engine", "bubblewrap", "--json", cwd=workspace)

    assert done.exit_status == 4
    assert "the filter Johnson_Q is not in the FILTER_LIST" in error_of(done)
    assert "name one of Cousins_R, Johnson_B," in error_of(done)
    assert done.summary["ran"] == 0


def test_a_sky_that_cannot_be_fitted_fails_that_exposure_and_no_other(workspace: Path) -> None:
    """Promise 6 too: 20 Angstrom without a sky line."""
    exposure = next(iter(sorted(line["unit"] for line in units(workspace, "prep_align"))))
    override = f'[[override]]\nwhere = {{exposure = "{exposure}", stage = "prep_align"}}\n'
    override += "recipes.muse_scipost = {lambdamin = 6400, lambdamax = 6420}\n"
    (workspace / "clio.toml").write_text((workspace / "clio.toml").read_text() + override)

    done = call("run", "prep_align", "--engine", "bubblewrap", "--json", cwd=workspace)

    assert done.exit_status == 4
    assert "the fit of the sky lines failed (Sky line fit failed with error code" in error_of(done)
    assert "fit a range with more sky lines" in error_of(done)
    assert sorted(line["did"] for line in done.lines[:-1] if line["did"] != "started") == [
        "failed",
        "hit",
        "hit",
    ]


def units(workspace: Path, stage: str) -> list[dict[str, Any]]:
    steps = call("plan", "--json", cwd=workspace).document["steps"]
    return [step for step in steps if step["stage"] == stage]


def test_what_is_doubtful_is_a_caveat_shown_and_carried_on(workspace: Path) -> None:
    """Without an ASTROMETRY_WCS the recipe takes a built-in one, and says that it is inaccurate."""
    (workspace / "calib/astrometry_wcs_wfm.fits").unlink()
    set_in(workspace, "muse_scipost", 'lambdamin = 6500\nlambdamax = 6600\nskymethod = "none"')

    done = call("run", "prep_align", "align", "--engine", "bubblewrap", "--json", cwd=workspace)

    assert done.exit_status == 0, done.stderr
    runs = {line["stage"]: line["run"] for line in done.lines[:-1] if line["did"] == "ran"}
    for stage in ("prep_align", "align"):
        shown = call("show", runs[stage], "--json", cwd=workspace).document["run"]
        assert shown["status"] == "caveat", stage
        assert "there is no ASTROMETRY_WCS: positions are inaccurate" in shown["caveats"][0], stage
    for command in (("show", runs["align"]), ("trace", runs["align"]), ("status",)):
        done = call(*command, cwd=workspace)
        assert "positions are inaccurate" in " ".join((done.stdout + done.stderr).split()), command


# Pixel tables and calibrations that no plan would give


def keep(*names: str) -> Callable[[Hdus], Hdus]:
    """Leave extensions out."""
    return lambda hdus: fits.HDUList([hdu for hdu in hdus if hdu.name not in names])


def without_flat_flux(hdus: Hdus) -> None:
    for keyword in [name for name in hdus[0].header if "FLAT FLUX" in name]:
        del hdus[0].header[keyword]


def without_correction(hdus: Hdus) -> None:
    del hdus[0].header["ESO DRS MUSE FLUX FFCORR"]


def pixels_edited(edit_: Callable[[Hdus], Hdus | None], *ifus: int) -> Change:
    """Edit the pixel tables of IFUs, counted from 0."""

    def change(bench: Workbench, job: Job) -> Job:
        tables = [of_tag(job, "PIXTABLE_OBJECT", ifu) for ifu in ifus]
        for table in tables:
            job = bench.exchanged(job, table, bench.edited(table, edit_))
        return job

    return change


def edited(tag: str, edit_: Callable[[Hdus], Hdus | None]) -> Change:
    return lambda bench, job: bench.exchanged(job, of_tag(job, tag), bench.edited(of_tag(job, tag), edit_))


def cut(tag: str, size: int) -> Change:
    return lambda bench, job: bench.exchanged(job, of_tag(job, tag), bench.damaged(of_tag(job, tag), size))


def tagged(tag: str, as_: str) -> Change:
    from dataclasses import replace

    def change(bench: Workbench, job: Job) -> Job:
        for item in [item for item in job.inputs if item.tag == tag]:
            job = bench.exchanged(job, item, replace(item, tag=as_))
        return job

    return change


def left_out(*names: str) -> Change:
    return lambda bench, job: bench.without(job, *names)


def first_ifu_twice(bench: Workbench, job: Job) -> Job:
    one, two = (of_tag(job, "PIXTABLE_OBJECT", ifu) for ifu in (0, 1))
    return bench.exchanged(job, two, one)


def second_ifu_left_out(bench: Workbench, job: Job) -> Job:
    return bench.without(job, of_tag(job, "PIXTABLE_OBJECT", 1).name)


def filters_for_extinction(bench: Workbench, job: Job) -> Job:
    return bench.exchanged(
        job, of_tag(job, "EXTINCT_TABLE"), staged("EXTINCT_TABLE", of_tag(job, "FILTER_LIST").path)
    )


def both(*changes: Change) -> Change:
    def change(bench: Workbench, job: Job) -> Job:
        for one in changes:
            job = one(bench, job)
        return job

    return change


UNCORRECTED = pixels_edited(keep("PIXTABLE_FLAT_FIELD"), 0, 1)

ROWS: dict[str, tuple[Change, int, str, str]] = {
    # what is exchanged, exit status, the verdict's reason, what is said before the recipe would run
    "extinction-truncated": (
        *(cut("EXTINCT_TABLE", 9000), 0),
        "no correction for extinction: fluxes are some 6 % low (EXTINCT_TABLE missing!); replace the EXTINCT",
        "has 9000 bytes where 11520 were expected",
    ),
    "extinction-empty": (
        *(cut("EXTINCT_TABLE", 0), 0),
        "no correction for extinction: fluxes are some 6 % low (EXTINCT_TABLE missing!); replace the EXTINCT",
        "has 0 bytes where 11520 were expected",
    ),
    "extinction-under-a-misspelt-tag": (
        *(tagged("EXTINCT_TABLE", "EXTINCT_TABEL"), 0),
        *("no correction for extinction: fluxes are some 6 % low (EXTINCT_TABLE missing!)", ""),
    ),
    "filters-under-the-tag-of-extinction": (
        *(filters_for_extinction, 0),
        "the EXTINCT_TABLE is none, extinction was not corrected: fluxes are some 6 % low (name='extinction'",
        "is a EXTINCT_TABLE without the column extinction; replace it",
    ),
    "pixel-table-truncated": (
        *(cut("PIXTABLE_OBJECT", 200_000_000), 255),
        "esorex left with 255: a pixel table is damaged (Failed to load table part of pixel table",
        "has 200000000 bytes where",
    ),
    "pixel-table-empty": (
        *(cut("PIXTABLE_OBJECT", 0), 0),
        *("an input was left out (", "has 0 bytes where"),
    ),
    "pixel-table-without-stat": (
        *(pixels_edited(keep("stat"), 0), 255),
        *("esorex left with 255: a pixel table lacks a column (table column 'stat' not found", ""),
    ),
    "pixel-table-without-the-flux-of-its-flat": (
        *(pixels_edited(without_flat_flux, 1), 0),
        *("a pixel table does not say the flux of its flat: IFUs were left out (ESO DRS MUSE FLAT FLUX", ""),
    ),
    "missing-ifu": (
        *(second_ifu_left_out, 0),
        *("the recipe missed a frame of IFU 2, which it was given (Channel for IFU 02 is missing)", ""),
    ),
    "the-same-pixel-table-twice": (
        *(first_ifu_twice, 0),
        *("the same pixel table was given twice (we already have IFU", "was given twice; give it once"),
    ),
    "wrong-raw-tag": (
        *(tagged("PIXTABLE_OBJECT", "PIXTABLE_OBJECTS"), 255),
        *("esorex left with 255: the recipe was given nothing that it reduces (No valid raw tag(s)", ""),
    ),
    "response-corrected-by-the-flat-and-object-not": (
        *(UNCORRECTED, 0),
        *("the cube is not calibrated in flux (Flux calibration returned rc=19: Type mismatch: Cannot", ""),
    ),
    "one-ifu-corrected-by-the-flat-and-one-not": (
        *(pixels_edited(keep("PIXTABLE_FLAT_FIELD"), 0), 255),
        "esorex left with 255: some IFUs are corrected by their flat-field spectrum and some are not (Only",
        "",
    ),
    "no-response": (
        *(left_out("STD_RESPONSE", "STD_TELLURIC"), 0),
        *("DATACUBE_FINAL.fits is a DATACUBE_FINAL in count: it is not calibrated in flux", ""),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_wrong_input_is_never_a_product(bench: Workbench, row: str) -> None:
    change, exit_status, reason, refusal = ROWS[row]
    job = change(bench, bench.post())

    ran, verdict = bench.judged(job)

    assert ran.result.exit_status == exit_status
    assert not verdict.is_accepted
    assert verdict.reason.startswith(reason)
    assert refusal in bench.refusal(job)
    assert bool(bench.refusal(job)) is bool(refusal)


def test_a_sky_model_without_profiles_says_what_it_lacks(bench: Workbench) -> None:
    job = bench.without(bench.post(skymethod="model"), "LSF_PROFILE")

    ran, verdict = bench.judged(job)

    assert ran.result.exit_status == 255
    assert "the sky model needs an LSF_PROFILE of each IFU" in verdict.reason
    assert "run lsf first" in verdict.reason


@pytest.mark.parametrize(
    ("change", "caveat"),
    [
        (
            edited("STD_RESPONSE", without_correction),
            "the flat-field spectrum was taken out again, as the STD_RESPONSE is without (Adapt pixel table",
        ),
        (
            both(edited("STD_RESPONSE", without_correction), UNCORRECTED),
            "a correction was made with a flat-field spectrum and applied without, or the reverse (Applying",
        ),
    ],
    ids=["object-corrected-and-response-not", "telluric-corrected-and-object-not"],
)
def test_mixed_states_that_the_recipe_can_mend_are_caveats(
    bench: Workbench, change: Change, caveat: str
) -> None:
    ran, verdict = bench.judged(change(bench, bench.post()))

    assert ran.result.exit_status == 0
    assert verdict.is_accepted, verdict.reason
    assert caveat in verdict.caveats[0], verdict.caveats


def test_what_is_whole_has_no_caveat(bench: Workbench) -> None:
    _, verdict = bench.judged(bench.post())

    assert verdict.is_accepted, verdict.reason
    assert verdict.caveats == ()


def test_a_filter_that_the_list_lacks_is_missed_by_acceptance_too(bench: Workbench) -> None:
    ran, verdict = bench.judged(bench.post(filter="white,Johnson_Q"))

    assert ran.result.exit_status == 0
    assert verdict.reason.startswith("a filter is not in the FILTER_LIST (")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, half of what the cube takes."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M", "clio-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_said_although_esorex_leaves_with_0(bench: Workbench, small_disk: Path) -> None:
    ran, verdict = bench.judged_in(small_disk / "work", bench.post())

    assert ran.result.exit_status == 0
    assert verdict.cause == "disk full"
    assert verdict.reason.startswith(f"no space left on the disk of {small_disk / 'work'}")


# Alignment


def noise(hdus: Hdus) -> None:
    shape = hdus["DATA"].data.shape
    spread = np.nanstd(hdus["DATA"].data) / 10
    hdus["DATA"].data = np.random.default_rng(1).normal(0, spread, shape).astype("f4")


def mirrored(hdus: Hdus) -> None:
    hdus["DATA"].data = hdus["DATA"].data[:, ::-1].copy()


def far_away(hdus: Hdus) -> None:
    hdus["DATA"].header["CRVAL1"] += 0.1


def blank(hdus: Hdus) -> None:
    hdus["DATA"].data = np.full_like(hdus["DATA"].data, 100)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("change", [noise, mirrored, far_away])
def test_an_exposure_that_shows_something_else_is_not_aligned(
    bench: Workbench, change: Callable[[Hdus], None], number: int
) -> None:
    """The recipe ends well and gives it an offset; for some it counts eight matches."""
    job = bench.job(Stage.ALIGN)
    image = of_tag(job, "IMAGE_FOV", number)

    ran, verdict = bench.judged(bench.exchanged(job, image, bench.edited(image, change)))

    assert ran.result.exit_status == 0
    assert "at least 3 are needed: its offset would be invented; exclude it" in verdict.reason


def turned(hdus: Hdus) -> None:
    hdus["DATA"].data = hdus["DATA"].data[::-1, ::-1].copy()


def test_an_exposure_of_which_half_the_sources_meet_is_doubtful(bench: Workbench) -> None:
    """The simulated field looks much like itself turned by 180 degrees; the recipe counts eight matches."""
    job = bench.job(Stage.ALIGN)
    image = of_tag(job, "IMAGE_FOV", 1)

    _, verdict = bench.judged(bench.exchanged(job, image, bench.edited(image, turned)))

    assert verdict.is_accepted
    assert "only 4 of 8 sources of exposure" in verdict.caveats[0]


def test_an_exposure_without_sources_says_what_to_do(bench: Workbench) -> None:
    job = bench.job(Stage.ALIGN)
    image = of_tag(job, "IMAGE_FOV", 1)

    ran, verdict = bench.judged(bench.exchanged(job, image, bench.edited(image, blank)))

    assert ran.result.exit_status == 255
    assert "an exposure has too few sources to be aligned by (Too few sources left" in verdict.reason
    assert "exclude it" in verdict.reason


def test_one_image_cannot_be_aligned(bench: Workbench) -> None:
    job = bench.job(Stage.ALIGN)

    ran, verdict = bench.judged(bench.without(job, *(of_tag(job, "IMAGE_FOV", n).name for n in (1, 2))))

    assert ran.result.exit_status == 255
    assert "there is one image: nothing to align it with" in verdict.reason


def test_the_same_image_twice_is_refused(bench: Workbench) -> None:
    job = bench.job(Stage.ALIGN)
    first, second = (of_tag(job, "IMAGE_FOV", n) for n in (0, 1))
    job = bench.exchanged(job, second, first)

    ran, verdict = bench.judged(job)

    assert ran.result.exit_status == 0
    assert verdict.reason.startswith("two images are of the same exposure (")
    assert "was given twice" in bench.refusal(job)


# What is recorded


def test_a_refused_run_is_recorded_without_products(bench: Workbench) -> None:
    job = bench.job(Stage.ALIGN)
    image = of_tag(job, "IMAGE_FOV", 1)

    run = bench.carry_out(bench.exchanged(job, image, bench.edited(image, mirrored)))

    assert (run.status, run.cause, run.exit_status) == (Status.FAILED, "unproven", 0)
    assert "its offset would be invented" in str(run.reason)
    assert_nothing_is_kept(bench, run)


def test_an_input_that_was_damaged_is_not_run_and_not_held_against_the_action(bench: Workbench) -> None:
    """What the key names is whole elsewhere, or is made again: the next run tries."""
    job = bench.post()

    run = bench.carry_out(cut("PIXTABLE_OBJECT", 1000)(bench, job))

    assert (run.status, run.cause, run.exit_status) == (Status.INPUT_CHANGED, "input changed", None)
    assert "was damaged; run again, and see: clio check --deep" in str(run.reason)
    assert_nothing_is_kept(bench, run)


def assert_nothing_is_kept(bench: Workbench, run: Run) -> None:
    assert run.outputs == ()
    assert bench.reduction.store.lookup(run.action).run is None
