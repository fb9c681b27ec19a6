"""Lineages of real products as others read them, and a real cube beside its sidecar."""

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import CLIO, Done, Reduced
from tests.readers import crate_faults, prov_records, runcrate_report

Clio = Callable[..., Done]


@pytest.fixture(scope="module")
def lineage(reduced: Reduced, clio: Clio) -> Any:
    """The lineage of the combined cube as Clio's own JSON."""
    return json.loads(clio("trace", "combine", "--format", "json", cwd=reduced.folder).stdout)


def test_readers_of_crates_accept_a_bundle_of_the_combined_cube(
    reduced: Reduced, clio: Clio, lineage: Any, tmp_path: Path
) -> None:
    bundle, folder = tmp_path / "bundle.zip", tmp_path / "bag"
    assert clio("export", "combine", "-o", bundle, cwd=reduced.folder).exit_status == 0
    with zipfile.ZipFile(bundle) as opened:
        opened.extractall(folder)

    assert crate_faults(folder / "data", tmp_path) == []
    report = runcrate_report(folder / "data")
    calls = {run["invocation"] for run in lineage["runs"]}
    assert report.count("action: ") == len(lineage["runs"]) + len(calls)
    assert "step: #stage/combine" in report


@pytest.mark.parametrize("form", ["prov-json", "ivoa"])
def test_readers_of_provenance_find_every_run_and_file(
    form: str, reduced: Reduced, clio: Clio, lineage: Any, tmp_path: Path
) -> None:
    path = tmp_path / "lineage.json"
    path.write_text(clio("trace", "combine", "--format", form, cwd=reduced.folder).stdout)
    found = prov_records(path)

    assert found.keys() >= {"run:" + run["run"] for run in lineage["runs"]}
    assert found.keys() >= {item["digest"] for item in lineage["files"]}
    assert set(found.values()) >= {"Activity", "Entity", "Agent"}


def test_the_lineage_reaches_every_raw_frame(reduced: Reduced, lineage: Any) -> None:
    names = {item["name"] for item in lineage["files"] if item["kind"] == "raw"}

    assert len(lineage["runs"]) > 20
    assert names and all(name.startswith("MUSE.2026-01-1") for name in names)
    esos = [run for run in lineage["runs"] if run["recipe"]["name"].startswith("muse_")]
    assert all(any(p["is_default"] for p in run["parameters"]) for run in esos)


def test_a_cube_is_verified_with_nothing_but_its_sidecar(
    reduced: Reduced, clio: Clio, tmp_path: Path
) -> None:
    """No store, no network, no home: the two files and the program."""
    cube = tmp_path / "CUBE.fits"
    shutil.copyfile(reduced.product("combine", "DATACUBE_FINAL")["path"], cube)
    made = clio("trace", cube, "--sidecar", cwd=reduced.folder)
    sidecar = Path(made.stdout.strip())
    assert sidecar.stat().st_size < 20_000

    alone = [
        "bwrap",
        "--dev-bind",
        "/",
        "/",
        "--unshare-net",
        "--tmpfs",
        str(reduced.folder),
        "--chdir",
        str(tmp_path),
    ]
    assert _verified(alone) == (0, "CUBE.fits: identical\n")
    content = bytearray(cube.read_bytes())
    content[-10_000] ^= 1
    cube.write_bytes(content)
    status, told = _verified(alone)
    assert status == 7
    assert "moved: HDU 2 STAT: its data" in told


def _verified(alone: list[str]) -> tuple[int, str]:
    done = subprocess.run([*alone, CLIO, "verify", "CUBE.fits"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
