"""A bundle of a real product, replayed in an empty folder with nothing else, or refused (promises 7, 9)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.commands import Done, Reduced

Clio = Callable[..., Done]

STEP = "bias:2026-01-15T13:59:52:01"
"""The cheapest step there is, from three raw frames."""


@pytest.fixture(scope="module")
def bundle(reduced: Reduced, clio: Clio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A master bias with the raw frames and calibrations it was made from."""
    path = tmp_path_factory.mktemp("bundles") / "bias.clio.zip"
    done = clio("export", STEP, "-o", path, "--with-raw", "--with-calib", cwd=reduced.folder)
    assert done.exit_status == 0, done.stderr
    return path


def test_it_is_made_again_to_the_byte_in_an_empty_folder(bundle: Path, clio: Clio, tmp_path: Path) -> None:
    """Promises 7 and 9: it asks first, and needs no workspace; what is replayed is trusted."""
    asked = clio("replay", bundle, cwd=tmp_path)
    done = clio("replay", bundle, "--engine", "bubblewrap", "--yes", "--json", cwd=tmp_path)

    assert asked.exit_status == 2
    assert "esorex muse_bias --nifu=1" in asked.stderr
    assert done.exit_status == 0, done.stderr
    assert done.document["missing"] == []
    assert [run["sameness"] for run in done.document["replay"]["runs"]] == ["identical"]
    assert [run["unproven"] for run in done.document["replay"]["runs"]] == [""]
    assert list(tmp_path.iterdir()) == []


def test_without_raw_frames_they_are_named_and_nothing_runs(
    reduced: Reduced, night: Path, clio: Clio, tmp_path: Path
) -> None:
    """By their names in the archive; elsewhere the folders they were seen in are not there."""
    bare, away = tmp_path / "bare.clio.zip", tmp_path / "away"
    assert clio("export", STEP, "-o", bare, cwd=reduced.folder).exit_status == 0
    raw = night / "raw"
    hidden = raw.rename(away)
    try:
        done = clio("replay", bare, "--json", cwd=tmp_path)
    finally:
        hidden.rename(raw)

    missing = {item["name"] for item in done.document["missing"]}
    assert done.exit_status == 3
    assert len(missing) == 3
    assert missing <= {path.name for path in raw.iterdir()}
    assert done.document["replay"] is None


def test_a_bundle_that_was_changed_or_cut_leaves_nothing(bundle: Path, clio: Clio, tmp_path: Path) -> None:
    """Promise 9."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "clio.toml").write_text("")
    before = clio("import", bundle, "--json", cwd=workspace)
    hostile = tmp_path / "hostile.clio.zip"
    shutil.copyfile(bundle, hostile)
    with hostile.open("r+b") as file:
        file.seek(hostile.stat().st_size // 2)
        file.write(b"another byte")
    changed = clio("import", hostile, "--json", cwd=workspace)
    with hostile.open("r+b") as file:
        file.truncate(hostile.stat().st_size - 1)
    cut = clio("import", hostile, "--json", cwd=workspace)

    assert before.exit_status == 0, before.stderr
    assert (changed.exit_status, cut.exit_status) == (6, 6)
    assert clio("check", "--deep", cwd=workspace).exit_status == 0
