"""Raw frames to the combined cube with the installed command, real recipes in a real sandbox."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pipeline.places import cache_root
from pipeline.reference.image import read_image
from pipeline.reference.measure import Options, measure
from pipeline.reference.offsets import read_list
from pipeline.simulate import compare_offsets, compare_with_truth
from tests.end_to_end.commands import Done, Reduced, Replayed, call, new_workspace

Clio = Callable[..., Done]


def edit(folder: Path, old: str, new: str) -> None:
    settings = folder / "clio.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))


def test_every_star_is_where_and_as_bright_as_it_was_put(reduced: Reduced, night: Path) -> None:
    cube = Path(reduced.product("combine", "DATACUBE_FINAL")["path"])

    found = compare_with_truth(cube, night / "truth.json")

    assert len(found.stars) >= 5
    for star in found.stars:
        assert star.signal_to_noise > 10
        assert star.distance_arcsec < 0.1, star
        assert abs(star.flux_ratio - 1) < 0.05, star


def test_the_offsets_found_are_the_pointing_errors_simulated(reduced: Reduced, night: Path) -> None:
    """F7 of pymusepipe: a first guess of the wrong sign left 97 pixels; here the sign is the true one."""
    offsets = Path(reduced.product("align", "OFFSET_LIST")["path"])

    found = compare_offsets(offsets, night / "truth.json")

    assert len(found) == 3
    assert max(abs(o.simulated_east) for o in found) > 0.1
    for offset in found:
        assert offset.residual_arcsec < 0.03, offset


def test_line_spread_and_throughput_are_those_of_the_real_instrument(reduced: Reduced) -> None:
    profile = fits.getheader(reduced.product("lsf", "LSF_PROFILE")["path"])
    response = fits.getheader(reduced.product("standard", "STD_RESPONSE")["path"])

    widths = [profile[key] for key in profile if re.fullmatch(r"ESO QC LSF SLICE\d+ FWHM MEAN", key)]
    assert len(widths) == 48
    assert 2.38 <= min(widths) <= max(widths) <= 2.68
    assert response["ESO QC STANDARD THRU7000"] == pytest.approx(0.328, rel=0.05)


def test_promise_1_the_store_is_clean_after_a_kill_and_the_next_run_finishes(reduced: Reduced) -> None:
    killed = reduced.killed

    assert killed is not None
    assert killed.check.document == {"schema": "clio-check/1", "ok": True, "damage": []} | {
        key: value for key, value in killed.check.document.items() if key not in ("schema", "ok", "damage")
    }
    assert killed.finished.summary["hits"] >= 1
    assert killed.finished.summary["failed"] == 0
    assert killed.check_afterwards.exit_status == 0


def test_a_second_run_runs_nothing_and_needs_no_engine(reduced: Reduced, clio: Clio) -> None:
    nothing = {"PATH": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent"}

    done = clio("run", "--json", cwd=reduced.folder, **nothing)

    assert done.exit_status == 0, done.stderr
    assert done.ran == []
    assert done.summary["hits"] == reduced.summary["ran"] + reduced.summary["hits"]


def test_how_things_stood_is_asked_first(reduced: Reduced) -> None:
    """What one process keeps in the store's scratch is gone when the next one looks."""

    def kept() -> dict[str, int]:
        found = (path for path in (cache_root() / "standing").iterdir() if path.is_file())
        ours = (path for path in found if f'"store": "{reduced.folder / ".clio"}"' in path.read_text())
        return {path.name: path.stat().st_mtime_ns for path in ours}

    for _ in range(2):
        assert call("run", cwd=reduced.folder).exit_status == 0
    before = kept()

    assert before
    assert call("run", cwd=reduced.folder).exit_status == 0
    assert kept() == before  # where it does not hold, it is written anew

    # Promise 4: nor is what a person gives beside the frames passed over.
    (given := reduced.folder / "offsets" / "nobody" / "1.ecsv").parent.mkdir(parents=True)
    try:
        given.write_text("corrected by hand")
        assert "1.ecsv are of no dataset" in call("run", cwd=reduced.folder).stderr
    finally:
        shutil.rmtree(given.parent.parent)


def test_a_changed_parameter_reruns_what_depends_on_it_and_no_more(reduced: Reduced, clio: Clio) -> None:
    edit(reduced.folder, "[recipes.muse_exp_combine]\n", "[recipes.muse_exp_combine]\ncrsigma = 9\n")
    try:
        why = clio("why", "combine", "--json", cwd=reduced.folder)
        changed = reduced.run()
    finally:
        edit(reduced.folder, "crsigma = 9\n", "")
    back = reduced.run()

    assert [step.partition(":")[0] for step in changed.ran] == ["combine"]
    assert "muse.muse_exp_combine.crsigma: 10 -> 9" in why.stdout
    assert back.ran == []


def test_promise_2_moved_and_renamed_frames_rerun_nothing(
    reduced: Reduced, night: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for number, path in enumerate(sorted((night / "raw").iterdir())):
        shutil.copy(path, moved / f"frame_{number:03d}.fits")
    edit(reduced.folder, str(night / "raw"), str(moved))
    try:
        done = reduced.run()
    finally:
        edit(reduced.folder, str(moved), str(night / "raw"))

    assert done.exit_status == 0, done.stderr
    assert done.ran == []


def test_packed_frames_are_the_same_frames(reduced: Reduced, night: Path, tmp_path: Path, clio: Clio) -> None:
    packed = tmp_path / "packed"
    done = clio("simulate", packed, "--ifus", "1,2", "--exposures", "3", "--seed", "1", "--compress", "fz")
    assert done.exit_status == 0, done.stderr
    assert all(path.name.endswith(".fits.fz") for path in (packed / "raw").iterdir())
    edit(reduced.folder, str(night / "raw"), str(packed / "raw"))
    try:
        done = reduced.run()
    finally:
        edit(reduced.folder, str(packed / "raw"), str(night / "raw"))

    assert done.exit_status == 0, done.stderr
    assert done.ran == []


def test_promise_4_a_flipped_byte_is_found_and_only_that_product_is_made_again(
    reduced: Reduced, clio: Clio
) -> None:
    product = reduced.product("bias", "MASTER_BIAS")
    path = Path(product["path"])
    with path.open("r+b") as file:  # root may write to a file of mode 0444; the object is the same file
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte[0] ^ 1]))

    check = clio("check", "--json", cwd=reduced.folder)
    done = reduced.run()

    assert check.exit_status == 6
    assert check.document["ok"] is False
    assert done.ran == [f"bias:{product['unit']}"]  # early cut-off: the same science came out
    assert clio("check", "--deep", "--json", cwd=reduced.folder).document["ok"] is True


def test_promise_4_a_deleted_product_is_made_again(reduced: Reduced) -> None:
    product = reduced.product("align", "OFFSET_LIST")
    name = product["digest"].removeprefix("sha256:")
    (reduced.folder / ".clio/objects" / name[:2] / name).unlink()

    done = reduced.run()

    assert done.ran == [f"align:{product['unit']}"]


def test_products_are_shown_again_when_their_tree_was_removed(reduced: Reduced) -> None:
    shutil.rmtree(reduced.folder / "products")

    done = reduced.run()

    assert done.ran == []
    assert all(Path(product["path"]).is_file() for product in done.summary["products"])


def test_promise_8_the_index_is_disposable(reduced: Reduced, clio: Clio) -> None:
    for path in (reduced.folder / ".clio").glob("provenance.db*"):
        path.unlink()

    assert clio("reindex", "--json", cwd=reduced.folder).exit_status == 0
    assert reduced.run().ran == []


def test_scipost_without_its_offset_list_is_refused_with_what_to_run_first(reduced: Reduced) -> None:
    edit(
        reduced.folder,
        "[recipes.muse_standard]",
        "[recipes.muse_exp_align]\nthreshold = 11\n\n[recipes.muse_standard]",
    )
    try:
        done = reduced.run("scipost")
    finally:
        edit(reduced.folder, "[recipes.muse_exp_align]\nthreshold = 11\n\n", "")

    assert done.exit_status == 3
    assert done.ran == []
    assert "run align first" in json.loads(done.stderr.splitlines()[-1])["error"]["message"]


def test_alignment_by_reference_agrees_with_the_recipe_and_the_truth(
    reduced: Reduced, night: Path, clio: Clio
) -> None:
    """F7: to 0.03 arcsec, on images that the recipes made; made again it gives the same bytes."""
    theirs = read_list(Path(reduced.product("align", "OFFSET_LIST")["path"]))
    edit(reduced.folder, "[recipes.muse_standard]", f"{BY_REFERENCE}[recipes.muse_standard]")
    try:
        done = reduced.run("align")
        made = next(product for product in done.summary["products"] if product["tag"] == "OFFSET_LIST")
        ours, path = read_list(Path(made["path"])), Path(made["path"])
        found = compare_offsets(path, night / "truth.json")
        replay = clio("replay", f"align:{made['unit']}", "--json", cwd=reduced.folder)
    finally:
        edit(reduced.folder, BY_REFERENCE, "")
        reduced.run("align")

    assert done.exit_status == 0, done.stderr
    assert done.ran == [f"align:{made['unit']}"]
    assert max(offset.residual_arcsec for offset in found) < 0.03
    assert [(row.east, row.north) for row in ours] == [
        pytest.approx((row.east, row.north), abs=0.03) for row in theirs
    ]
    assert replay.exit_status == 0, replay.stderr
    assert replay.document["sameness"] == "identical"


def test_flux_scale_is_right_on_images_that_the_recipes_made_and_a_flipped_one_is_refused(
    reduced: Reduced,
) -> None:
    """To 1 %; the field of two IFUs is 12 times as wide as it is high (F31)."""
    first, second = [
        read_image(Path(product["path"]))
        for product in reduced.summary["products"]
        if (product["stage"], product["tag"]) == ("prep_align", "IMAGE_FOV")
    ][:2]
    options = Options(search=4.0)
    dimmed = replace(first, data=0.8 * first.data + 2.0)
    turns = (np.s_[:, ::-1], np.s_[::-1], np.s_[::-1, ::-1])
    flipped = [replace(second, data=second.data[turn].copy()) for turn in turns]

    told = measure(second, dimmed, options)
    assert told.fault == ""
    assert told.flux_scale == pytest.approx(0.8, rel=0.01)
    assert told.background == pytest.approx(-2.0 / 0.8, abs=0.3)
    assert all(measure(image, first, options).fault for image in flipped)


BY_REFERENCE = '[workflow]\nalign = "reference"\n\n'


def test_trace_leads_from_the_cube_to_the_raw_frames(reduced: Reduced, night: Path, clio: Clio) -> None:
    cube = reduced.product("combine", "DATACUBE_FINAL")

    tree = clio("trace", cube["path"], cwd=reduced.folder)
    document = clio("trace", cube["digest"], "--format", "json", cwd=reduced.folder)
    drawn = clio("trace", cube["digest"], "--format", "dot", cwd=reduced.folder)

    assert tree.exit_status == 0, tree.stderr
    for word in ("muse_exp_combine", "muse_scipost", "muse_bias", "lambdamin", "OBJECT"):
        assert word in tree.stdout, word
    raw = {path.name for path in (night / "raw").iterdir() if "DARK" not in path.name}
    named = {name for name in raw if name in document.stdout}
    assert len(named) >= len(raw) - 3  # the darks are not used
    assert drawn.stdout.startswith("digraph")


def test_products_belong_to_the_caller(reduced: Reduced, replayed_in_docker: Replayed) -> None:
    for folder in (reduced.folder, replayed_in_docker.store):
        owners = {path.lstat().st_uid for path in folder.rglob("*")}

        assert owners == {os.geteuid()}


def test_notebooks_do_what_the_command_does(reduced: Reduced) -> None:
    from pipeline import Reduction

    with Reduction.open(reduced.folder / "clio.toml", engine="bubblewrap") as mypipe:
        bias = mypipe.run_bias()
        twilight = mypipe.run_twilight(illum=True)
        sky = mypipe.run_sky(fraction=0.8)
        offsets = mypipe.run_align_bydataset()
        dataset = mypipe.run_scipost(offset_list=True)
        exposures = mypipe.run_scipost_perexpo()
        combined = mypipe.combine_dataset()
        prepared = mypipe.run_recipes(last="prep_align")

    assert [made.tag for made in bias] == ["MASTER_BIAS", "MASTER_BIAS"]
    assert {made.tag for made in twilight} == {"TWILIGHT_CUBE", "DATACUBE_SKYFLAT"}
    assert "SKY_CONTINUUM" in {made.tag for made in sky}
    assert "OFFSET_LIST" in {made.tag for made in offsets}
    assert [made.tag for made in exposures] == ["PIXTABLE_REDUCED"] * 3
    assert "PIXTABLE_REDUCED" in {made.tag for made in dataset}
    cube = next(made for made in combined if made.tag == "DATACUBE_FINAL")
    assert cube.digest == reduced.product("combine", "DATACUBE_FINAL")["digest"]
    assert {made.did.value for made in prepared} == {"hit"}


def test_two_runs_at_once_share_the_work(image: str, night: Path, tmp_path: Path, clio: Clio) -> None:
    """Promise 1: of two processes that want the same action one runs it and the other finds a hit."""
    from concurrent.futures import ThreadPoolExecutor

    folder = new_workspace(tmp_path / "shared", night, image, "ifus = [1]\n")
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(clio, "run", "bias", "--json", cwd=folder) for _ in range(2)]
        done = [run.result() for run in runs]

    assert [(d.exit_status, d.stderr) for d in done if d.exit_status] == []
    assert sum(d.summary["ran"] for d in done) == 1
    assert sum(d.summary["hits"] for d in done) == 1
    assert clio("check", "--json", cwd=folder).document["ok"] is True


def test_eight_may_open_a_new_workspace_at_once(image: str, night: Path, tmp_path: Path, clio: Clio) -> None:
    """Promise 1: the store, the lock and the index are made once, whoever comes first."""
    from concurrent.futures import ThreadPoolExecutor

    folder = new_workspace(tmp_path / "shared", night, image, "ifus = [1]\n")
    with ThreadPoolExecutor(8) as pool:
        plans = [pool.submit(clio, "plan", "bias", "--json", cwd=folder) for _ in range(8)]
        done = [plan.result() for plan in plans]

    assert [(d.exit_status, d.stderr) for d in done if d.exit_status] == []
    assert len({d.stdout for d in done}) == 1
    assert not list(folder.glob(".clio.lock*"))


@pytest.mark.parametrize("command", ["plan", "status", "scan"])
def test_answers_come_as_json_documents(reduced: Reduced, clio: Clio, command: str) -> None:
    done = clio(command, "--json", cwd=reduced.folder)

    assert done.exit_status == 0, done.stderr
    assert done.document["schema"] == f"clio-{command}/1"
