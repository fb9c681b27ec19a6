"""What goes wrong with real recipes: recorded with its cause, contained, and said. Promises 6, 10 and 11."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from astropy.io import fits

from tests.end_to_end.commands import CLIO, Done, call, new_workspace

Clio = Callable[..., Done]

ONE_IFU = "ifus = [1]\n"


def frames_of(night: Path, type_: str) -> list[Path]:
    return [
        path for path in sorted((night / "raw").iterdir()) if fits.getheader(path)["ESO DPR TYPE"] == type_
    ]


@pytest.fixture
def few(night: Path, tmp_path: Path) -> Path:
    """A night of which a test may change the files: biases and flats, linked."""
    folder = tmp_path / "few"
    (folder / "raw").mkdir(parents=True)
    for path in (*frames_of(night, "BIAS"), *frames_of(night, "FLAT,LAMP"), *frames_of(night, "WAVE")):
        (folder / "raw" / path.name).symlink_to(path)
    (folder / "calib").symlink_to(night / "calib")
    return folder


def error_of(done: Done) -> str:
    return str(json.loads(done.stderr.splitlines()[-1])["error"]["message"])


def test_a_recipe_that_fails_blocks_what_depends_on_it_and_nothing_else(
    image: str, few: Path, tmp_path: Path, clio: Clio
) -> None:
    for path in frames_of(few, "FLAT,LAMP"):
        with fits.open(path.resolve(), memmap=False) as dark:
            dark["CHAN01"].data[:] = 1200  # no light: no slices to trace
            path.unlink()
            dark.writeto(path)
    folder = new_workspace(tmp_path / "ws", few, image, ONE_IFU)

    done = clio("run", "bias", "flat", "wave", "--json", cwd=folder)

    assert done.exit_status == 4
    did = {step["stage"]: step["did"] for step in done.lines[:-1]}
    assert did == {"bias": "ran", "flat": "failed", "wave": "blocked"}
    assert "recipe error" in error_of(done)
    blocked = next(step for step in done.lines[:-1] if step["did"] == "blocked")
    assert blocked["why"][0].startswith("needs flat:")
    failed = next(step for step in done.lines[:-1] if step["did"] == "failed")
    shown = clio("show", failed["run"], "--log", cwd=folder)
    assert "ERROR" in shown.stdout
    assert not list((folder / "products").rglob("MASTER_FLAT*"))
    assert clio("check", "--json", cwd=folder).document["ok"] is True


def test_a_recipe_that_hangs_is_ended_after_its_time(
    image: str, few: Path, tmp_path: Path, clio: Clio
) -> None:
    folder = new_workspace(tmp_path / "ws", few, image, ONE_IFU + "[clio]\ntimeout_min = 0.02\n")

    done = clio("run", "bias", "--json", cwd=folder)

    assert done.exit_status == 4
    assert "timeout" in error_of(done)


def test_a_recipe_out_of_memory_is_recorded_as_that(
    image: str, few: Path, tmp_path: Path, clio: Clio, engine: str
) -> None:
    folder = new_workspace(tmp_path / "ws", few, image, ONE_IFU + "[clio]\nmemory_gb = 0.2\n")

    done = clio("run", "bias", "--json", "--engine", engine, cwd=folder)

    assert done.exit_status == 4
    assert "out of memory" in error_of(done)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 MB, half of what a master bias takes."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100M", "clio-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_promise_11_a_full_disk_is_a_failure_although_esorex_leaves_with_0(
    image: str, few: Path, small_disk: Path, tmp_path: Path, clio: Clio
) -> None:
    store = small_disk / "store"
    folder = new_workspace(tmp_path / "ws", few, image, ONE_IFU + f'[clio]\nstore = "{store}"\n')

    done = clio("run", "bias", "--json", cwd=folder)

    assert done.exit_status == 4
    assert "disk full" in error_of(done)
    assert not list((folder / "products").rglob("*.fits"))
    assert clio("check", "--json", cwd=folder).document["ok"] is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_promise_1_a_run_that_is_stopped_leaves_nothing_half_done(
    image: str, few: Path, tmp_path: Path, clio: Clio, engine: str, number: signal.Signals
) -> None:
    folder = new_workspace(tmp_path / "ws", few, image, ONE_IFU)
    argv = [CLIO, "run", "bias", "--json", "--engine", engine]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["did"] == "started"
        os.kill(running.pid, number)
        running.communicate(timeout=60)

    assert running.returncode == 130
    assert list((folder / ".clio/work").iterdir()) == []
    assert clio("check", "--json", cwd=folder).document["ok"] is True
    assert clio("plan", "bias", "--json", cwd=folder).document["steps"][0]["outcome"] == "miss"


def test_two_biases_are_refused_before_anything_runs(
    few: Path, image: str, tmp_path: Path, clio: Clio
) -> None:
    frames_of(few, "BIAS")[0].unlink()
    folder = new_workspace(tmp_path / "ws", few, image, ONE_IFU)

    done = clio("run", "bias", "--json", cwd=folder)

    assert done.exit_status == 3
    assert "2 BIAS, at least 3 are needed" in error_of(done)


def test_a_truncated_frame_is_a_problem_and_the_rest_goes_on(
    few: Path, image: str, tmp_path: Path, clio: Clio
) -> None:
    victim = frames_of(few, "WAVE")[0]
    data = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(data[: len(data) // 2])
    folder = new_workspace(tmp_path / "ws", few, image, ONE_IFU)

    scanned = clio("scan", "--json", cwd=folder).document
    planned = clio("plan", "bias", "flat", "--json", cwd=folder).document

    assert [p["path"] for p in scanned["problems"]] == [str(victim)]
    assert "truncated" in scanned["problems"][0]["reason"]
    assert planned["problems"] == scanned["problems"]
    assert [step["outcome"] for step in planned["steps"]] == ["miss", "miss"]


def test_an_empty_folder_is_said_and_left_with_3(image: str, tmp_path: Path, clio: Clio) -> None:
    clio("init", tmp_path / "ws")

    done = clio("run", "--json", cwd=tmp_path / "ws")

    assert done.exit_status == 3
    assert "no FITS file in" in error_of(done)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[clio]\nengin = 'docker'\n", "line 2: unknown key clio.engin"),
        ("[recipes.muse_bais]\nnlow = 1\n", "line 1: unknown recipe muse_bais"),
        ("[recipes.muse_bias]\nnlaw = 1\n", "muse_bias has no parameter nlaw"),
        ("[recipes.muse_bias]\nnlow = 'x'\n", "muse_bias.nlow = 'x', expected int"),
        ("[clio]\njobs = 0\n", "clio.jobs = 0"),
    ],
)
def test_settings_nobody_knows_are_refused_with_2(
    image: str, few: Path, tmp_path: Path, clio: Clio, settings: str, message: str
) -> None:
    folder = tmp_path / "ws"
    folder.mkdir()
    (folder / "clio.toml").write_text(settings + f'[data]\nraw = ["{few / "raw"}"]\ncalib = []\n')

    done = clio("plan", "--json", cwd=folder)

    assert done.exit_status == 2
    assert message in error_of(done)


def test_promise_10_raw_frames_are_never_written_to(
    image: str, few: Path, night: Path, tmp_path: Path, clio: Clio
) -> None:
    """As every test shares the night, its status after a run tells."""
    raw = frames_of(night, "BIAS")
    before = [(path.stat().st_mtime_ns, path.stat().st_mode, path.stat().st_nlink) for path in raw]
    folder = new_workspace(tmp_path / "ws", few, image, ONE_IFU)

    assert call("run", "bias", cwd=folder).exit_status == 0

    assert [(path.stat().st_mtime_ns, path.stat().st_mode, path.stat().st_nlink) for path in raw] == before
    shutil.rmtree(folder)
