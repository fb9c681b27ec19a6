"""The alignment by reference as a step: a process of its own, keyed, recorded, cached, replayed.

The night and ESO's recipes are made up; the alignment, its process and its store are real.
"""

import math
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Event

import pytest
from astropy.io import fits
from builders import primary
from fakes import Workspace, did
from fields import DEC, Grid, Shot, extension, scene, shoot

from pipeline.again import Workshop, remake
from pipeline.corrections import alignment_of, drop, take, write_draft
from pipeline.engine import Engine, RecipeImage
from pipeline.environment import environment, own_environment
from pipeline.errors import ImageError, LibraryMissing
from pipeline.events import Did
from pipeline.execute import Call, StagedInput, execute
from pipeline.fitsdigest import digest_file
from pipeline.model import Stage
from pipeline.own.engine import own_engine
from pipeline.own.environment import bill, digest_of, own_image, remembered
from pipeline.passport import measure, newest_run
from pipeline.passport_matrix import Matrix
from pipeline.passports import Axis
from pipeline.reasons import Asked, Explainer
from pipeline.reference.offsets import Row, read_list
from pipeline.verdict import Sameness
from pipeline.volatile import MEASURED
from provenance.identity import new_run_id
from provenance.model import Purpose

DATES = ("2023-02-26T01:12:00.000", "2023-02-26T01:26:24.000", "2023-02-26T01:40:48.000")
FIELD = Grid(70, 50)
AT = datetime(2023, 2, 25, 12, 0, 1, tzinfo=UTC)
SETTINGS = '[workflow]\nalign = "reference"\n[recipes.clio_align]\nsearch = 4\n'


@pytest.fixture
def drawn(tmp_path: Path) -> Workspace:
    """A night of three exposures that show a field, the second with a wrong header."""
    made = Workspace.make(tmp_path / "galaxy", objects=3, ifus=(1,))
    of = scene(2, 40, (14, 12))
    shots = (Shot(FIELD, seed=1), Shot(FIELD, error_east=0.9, error_north=-0.6, seed=2), Shot(FIELD, seed=3))
    made.engine.pictures = {d: extension(shoot(of, s)) for d, s in zip(DATES, shots, strict=True)}
    made.configure(SETTINGS)
    return made


def test_it_runs_once_and_is_known_then(drawn: Workspace) -> None:
    first = drawn.run()
    again = drawn.run()

    assert did(first, Did.FAILED) == did(first, Did.BLOCKED) == []
    assert (again.ran, again.hits) == (0, first.ran)


def test_offsets_are_those_that_were_put_in(drawn: Workspace) -> None:
    """Sign and size, through the file that the recipes read (F7)."""
    rows = offsets(drawn)

    assert [row.date_obs for row in rows] == list(DATES)
    assert [row.east for row in rows] == pytest.approx([0.0, 0.9, 0.0], abs=0.03)
    assert [row.north for row in rows] == pytest.approx([0.0, -0.6, 0.0], abs=0.03)
    cos = math.cos(math.radians(DEC))
    assert rows[1].ra_offset * 3600 * cos == pytest.approx(0.9, abs=0.03)


def offsets(workspace: Workspace) -> tuple[Row, ...]:
    """Run the alignment and read the list that holds."""
    summary = workspace.run(*list(Stage)[: list(Stage).index(Stage.ALIGN) + 1])
    made = [product for product in summary.products if product.tag == "OFFSET_LIST"]
    return read_list(made[-1].path)


def test_what_is_recorded_is_enough_to_make_it_again_to_the_byte(drawn: Workspace) -> None:
    """Promise 7; and the record names what computed, how it was shut in, and no program of ESO's."""
    drawn.run()
    with drawn.open() as reduction:
        run = next(r for r in reduction.store.runs(stage="align") if r.purpose is Purpose.RUN)
        action = reduction.store.action(run.action)
        shop = Workshop.of(reduction)
        with remake(shop, run) as remade:
            is_identical = remade.is_identical
        known = remembered(reduction.store, action.image)

    assert is_identical
    assert action.recipe == "clio_align"
    assert action.image == own_image("clio_align").config_digest
    assert known is not None
    assert set(known) == set(bill("clio_align"))
    assert dict(run.engine)["name"].startswith("python")
    assert dict(run.isolation)["environment"] == "nothing inherited"
    assert run.clock_mode == "frozen"
    assert dict(run.environment)["OMP_NUM_THREADS"] == "1"


def test_its_passport_is_that_of_the_table(drawn: Workspace) -> None:
    """Promise 7; and it is the run of this recipe that is measured, not the newest of its stage."""
    drawn.run()
    drawn.configure("")
    drawn.run()
    matrix = Matrix(threads=(2,), numerics=("native",), engines=("docker",), is_heap_filled=True)
    with drawn.open() as reduction:
        run = newest_run(reduction.store, "clio_align")
        found = measure(Workshop.of(reduction), run, matrix=matrix)
        theirs = newest_run(reduction.store, "muse_exp_align")
        stages = {one.run: reduction.store.action(one.action).recipe for one in (run, theirs)}

    assert set(stages.values()) == {"clio_align", "muse_exp_align"}
    assert found.version == MEASURED["clio_align"].version
    assert set(found.values) == set(MEASURED["clio_align"].values)
    assert (found.comments, found.unlisted, found.worse) == ((), (), ())
    assert found.engine.startswith("python in bubblewrap")
    rows = {row.value: row for row in found.rows if row.axis is not Axis.RUN}
    assert rows.keys() == {"2", "native", "0x55", "0xaa"}  # of the engines there is one
    assert {row.sameness for row in rows.values()} == {Sameness.IDENTICAL}
    assert set(found.rows[0].variants or ()) <= set(rows["native"].variants or ())


def test_another_library_is_another_key_and_why_names_it(drawn: Workspace) -> None:
    """The bill of the earlier run is made up: nobody installs another scipy for a test."""
    drawn.run()
    with drawn.open() as reduction:
        run = next(r for r in reduction.store.runs(stage="align") if r.purpose is Purpose.RUN)
        action = reduction.store.action(run.action)
        old = tuple(replace(p, version="0.1") if p.name == "scipy" else p for p in bill("clio_align"))
        body = {"digest": digest_of(old), "packages": {p.name: p.version for p in old}}
        reduction.store.statement("environment", body)
        now = Asked("align:1001", "align", "1001", action, run.inputs, run.defaults)
        before = replace(now, action=replace(action, image=digest_of(old)))
        reduction.store.commit(before.action, replace(run, run=new_run_id(), action=before.action.key))
        explainer = Explainer(reduction.store, lambda digest: None)
        then = next(r for r in reduction.store.runs(stage="align") if r.action == before.action.key)
        causes = explainer.between(then, run)
        with pytest.raises(LibraryMissing, match=r"clio_align ran with scipy 0\.1, and here are others"):
            Workshop.of(reduction).surroundings(before.action)

    assert before.action.key != action.key
    assert [inner.text for inner in causes[0].causes] == [f"package scipy: 0.1 -> {version('scipy')}"]


def test_a_library_exchanged_while_a_reduction_runs_is_seen(
    drawn: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 3: the key was made when the reduction began; nobody installs another scipy for a test."""
    own_image("clio_align")
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.own.environment.version", lambda name: "0.1")
        with pytest.raises(
            ImageError, match="the libraries that it computes with were exchanged while it ran"
        ):
            drawn.run()
    with drawn.open() as reduction:
        assert reduction.store.runs(stage="align") == ()

    assert "align:1001" in did(drawn.run(), Did.RAN)


def test_an_exposure_of_noise_is_left_out_and_never_shifted(drawn: Workspace) -> None:
    """F4, F8: it is said, its pixel table is not combined, and nothing is blocked but its own."""
    noise = shoot(scene(2, 40, (14, 12)), Shot(FIELD, scale=0.0, seed=5))
    drawn.engine.pictures[DATES[1]] = extension(noise)
    summary = drawn.run()

    assert did(summary, Did.FAILED) == []
    assert did(summary, Did.BLOCKED) == [f"scipost_perexpo:{DATES[1]}"]
    for recipe, tag in (("muse_scipost", "PIXTABLE_OBJECT"), ("muse_exp_combine", "PIXTABLE_REDUCED")):
        (seen,) = [s for s in drawn.engine.seen if s.recipe == recipe and is_of_many(s.frames, tag)]
        assert len([name for name in seen.names if name[0] == tag]) == 2
    cube = next(event for event in summary.events if event.step.stage is Stage.COMBINE)
    assert cube.run is not None
    assert any(f"exposure {DATES[1]} was not matched and is left out" in text for text in cube.run.caveats)


def is_of_many(frames: tuple[tuple[str, str], ...], tag: str) -> bool:
    return sum(found == tag for _, found in frames) > 1


def test_a_field_that_matches_no_other_fails_with_its_reason(drawn: Workspace) -> None:
    """F4: with one exposure left there is nothing to combine, and no list is made up."""
    for number in (1, 2):
        other = shoot(scene(60 + number, 40, (14, 12)), Shot(FIELD, seed=number))
        drawn.engine.pictures[DATES[number]] = extension(other)
    summary = drawn.run()

    assert did(summary, Did.FAILED) == ["align:1001"]
    failed = next(event for event in summary.events if event.did is Did.FAILED)
    assert "1 of 3 exposures are matched, at least 2 are needed" in failed.why[0]
    assert "combine:1001" in did(summary, Did.BLOCKED)


def test_a_reference_image_sets_the_places_and_the_brightness_of_all(drawn: Workspace) -> None:
    of = scene(2, 40, (14, 12))
    wide = Shot(Grid(110, 100, 0.35, angle=25.0), fwhm=1.0, noise=0.2, scale=2.0, seed=9)
    (drawn.root / "wide.fits").write_bytes(primary() + extension(shoot(of, wide)))
    drawn.configure(f'[targets."NGC 1"]\nreference = "wide.fits"\n{SETTINGS}')
    rows = offsets(drawn)

    assert [row.east for row in rows] == pytest.approx([0.0, 0.9, 0.0], abs=0.03)
    assert [row.applied for row in rows] == pytest.approx([2.0] * 3, rel=0.01)
    shutil.move(drawn.root / "wide.fits", drawn.root / "same.fits")
    drawn.configure(f'[targets."NGC 1"]\nreference = "same.fits"\n{SETTINGS}')
    assert drawn.run(Stage.ALIGN).ran == 0  # promise 2: another name, nothing to do


def test_a_correction_is_a_step_of_its_own_and_can_be_taken_back(drawn: Workspace, tmp_path: Path) -> None:
    """F27: what was measured stays; what holds says who changed it, and why; so does all made of it."""
    drawn.run()
    measured = offsets(drawn)
    table = tmp_path / "1001.ecsv"
    with drawn.open() as reduction:
        write_draft(alignment_of(reduction, ""), table)
        lines = table.read_text().splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith(DATES[1]))
        words = lines[at].split()
        lines[at] = " ".join([*words[:2], "1.5", *words[3:]])
        at = next(n for n, line in enumerate(lines) if line.startswith(DATES[2]))
        lines[at] = lines[at].replace("True", "False")
        table.write_text("\n".join(lines))
        changes = take(reduction, alignment_of(reduction, ""), table, by="A. Astronomer", why="a companion")
    summary = drawn.run()
    corrected = offsets(drawn)

    assert len(changes) == 2
    assert [row.date_obs for row in corrected] == list(DATES[:2])
    assert corrected[1].east == 1.5
    assert corrected[1].north == measured[1].north
    cube = next(event for event in summary.events if event.step.stage is Stage.COMBINE)
    assert cube.run is not None
    assert any("by A. Astronomer: a companion" in text for text in cube.run.caveats)
    with drawn.open() as reduction:
        assert repr(alignment_of(reduction, "").measured) == repr(measured)
        drop(reduction, alignment_of(reduction, ""), by="A. Astronomer", why="no companion after all")
    assert drawn.run().ran == 0
    assert repr(offsets(drawn)) == repr(measured)


# Beside muse_exp_align, and without bubblewrap


SHIFTS = ((0.0, 0.0), (0.85, -0.43), (-1.21, 0.57))
"""East and north by which headers are wrong, arcsec."""


@pytest.fixture
def staged(tmp_path: Path) -> tuple[StagedInput, ...]:
    """Images of a field as prep_align leaves them."""
    found = []
    for number, (east, north) in enumerate(SHIFTS):
        shown = shoot(
            scene(5, 60, (14, 10)), Shot(Grid(150, 90), error_east=east, error_north=north, seed=number)
        )
        head = fits.PrimaryHDU()
        head.header.update({"INSTRUME": "MUSE", "EXPTIME": 600.0, "RA": 150.0, "DEC": DEC})
        head.header.update({"DATE-OBS": DATES[number], "MJD-OBS": 60001.05 + number / 100})
        head.header.update({"HIERARCH ESO INS MODE": "WFM-NOAO-N", "HIERARCH ESO PRO CATG": "IMAGE_FOV"})
        data = fits.ImageHDU(shown.data.astype(">f4"), shown.wcs.to_header(), name="DATA")
        data.header["BUNIT"] = shown.unit
        for key in ("PC1_1", "PC1_2", "PC2_1", "PC2_2", "CDELT1", "CDELT2"):
            data.header.remove(key, ignore_missing=True)
        data.header.update({f"CD{i + 1}_{j + 1}": shown.wcs.wcs.cd[i, j] for i in (0, 1) for j in (0, 1)})
        path = tmp_path / f"field-{number}.fits"
        fits.HDUList([head, data]).writeto(path)
        digests, size = digest_file(path), path.stat().st_size
        found.append(StagedInput("IMAGE_FOV", path.name, path, digests.digest, digests.data_digest, size))
    return tuple(found)


def aligned(
    recipe: str,
    options: dict[str, str],
    staged: tuple[StagedInput, ...],
    engine: Engine,
    image: RecipeImage,
    work: Path,
) -> Path:
    """Run an alignment by itself; gives the list it made."""
    (work / "in").mkdir(parents=True)
    (work / "out").mkdir()
    is_ours = recipe.startswith("clio")
    told = own_environment("pinned", image.platform) if is_ours else environment(1, "pinned", image.platform)
    call = Call("align", "align", recipe, tuple(options.items()), told, staged, True, clock=AT)
    ran = execute(call, work, engine, image, Event())
    assert (ran.result.exit_status, ran.faults) == (0, ()), ran.log
    return next(product.path for product in ran.products if product.tag == "OFFSET_LIST")


@pytest.mark.bubblewrap
def test_it_agrees_with_muse_exp_align_and_with_the_truth(
    staged: tuple[StagedInput, ...], open_bubblewrap: Engine, image: RecipeImage, tmp_path: Path
) -> None:
    """F7: the sign is that of the recipe whose list it replaces; to 0.03 arcsec."""
    theirs = aligned(
        "muse_exp_align", {"srcmin": "3", "threshold": "10"}, staged, open_bubblewrap, image, tmp_path / "a"
    )
    here = own_image("clio_align")
    ours = aligned("clio_align", {"search": "4"}, staged, own_engine(), here, tmp_path / "b")

    rows, listed = read_list(ours), read_list(theirs)
    assert [row.date_obs for row in listed] == [row.date_obs for row in rows]
    for row, other, (east, north) in zip(rows, listed, SHIFTS, strict=True):
        assert (row.east, row.north) == pytest.approx((east, north), abs=0.03)
        assert (row.east, row.north) == pytest.approx((other.east, other.north), abs=0.03)
