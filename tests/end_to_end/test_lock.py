"""A lock replayed with real recipes where nothing is as it was. Promises 2 and 7."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.image import ImageLibrary
from tests.end_to_end.commands import CLIO, call, new_workspace

STAGES = ("bias", "flat")
OTHER_HOST = (
    *("unshare", "--user", "--map-root-user", "--uts", "sh", "-ec"),
    'hostname elsewhere.test; exec unshare --user --map-user=12345 --map-group=12345 "$@"',
    "sh",
)
"""As another user and on another host, as far as a process can tell, without being allowed anything."""


@pytest.fixture
def reduced(image: str, night: Path, tmp_path: Path) -> Path:
    """A workspace whose biases and flats are made and pinned."""
    folder = new_workspace(tmp_path / "galaxy", night, image, "ifus = [1]\n")
    done = call("run", *STAGES, "--engine", "bubblewrap", cwd=folder)
    assert done.exit_status == 0, done.stderr
    return folder


def renamed(folder: Path, place: Path, lock: str) -> Path:
    """Copy the frames that are pinned to other names, and date them otherwise."""
    place.mkdir()
    pinned = [path for path in folder.iterdir() if path.parent.name == "calib" or path.name in lock]
    for number, path in enumerate(sorted(pinned, reverse=True)):
        copy = place / f"{number:03d}.fits"
        shutil.copyfile(path, copy)
        os.utime(copy, (1e9 + number, 1e9 - number))
    return place


def test_promise_7_a_lock_is_replayed_to_the_byte_elsewhere(
    reduced: Path, night: Path, image: str, tmp_path: Path
) -> None:
    """Another directory, user, host name, time zone and cache; frames under other names and dates."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    for name in ("clio.toml", "clio.lock"):
        shutil.copyfile(reduced / name, place / name)
    lock = (place / "clio.lock").read_text()
    raw, calib = (renamed(night / name, place / name, lock) for name in ("raw", "calib"))
    environment = {
        "CLIO_CACHE": str(place / "cache"),
        "HOME": str(place),
        "LANG": "de_DE.UTF-8",
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(place),
        "TZ": "Pacific/Auckland",
    }
    archive = ImageLibrary().find(image).archive
    frames = f"--raw {raw} --calib {calib}"
    script = f'"$1" image import {archive} >&2; "$1" replay --lock clio.lock {frames} --engine bubblewrap'
    argv = (*OTHER_HOST, "sh", "-ec", script, "sh", CLIO)

    done = subprocess.run(argv, cwd=place, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "2 steps, 3 products: 3 identical" in done.stdout
