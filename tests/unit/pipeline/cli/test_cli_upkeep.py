"""`check` and `reindex`: what they print on both streams, and the exit code."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from history import History
from typer.testing import Result

from pipeline.errors import Exit
from provenance.errors import StoreMissing
from provenance.store import Store

Clio = Callable[..., Result]


def object_path(workspace: Path, digest: str) -> Path:
    return workspace / ".clio" / "objects" / digest[7:9] / digest[7:]


@pytest.mark.usefixtures("history")
def test_check_of_a_sound_store_says_what_is_there(clio: Clio) -> None:
    result = clio("check")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "ok: 6 objects, 4 runs, 4 actions, 0 statements\n"
    assert clio("check", "--deep").stdout == (
        "ok: 6 objects, 4 runs, 4 actions, 0 statements, every byte read\n"
    )


def test_check_names_what_is_missing_and_leaves_with_6(clio: Clio, history: History, workspace: Path) -> None:
    digest = history.bias.outputs[0].digest
    object_path(workspace, digest).unlink()
    result = clio("check")

    assert result.exit_code == Exit.STORE
    assert result.stdout == f"missing   object {digest[7:19]} of run {history.bias.run} is missing\n"
    assert result.stderr == (
        "damaged: 1 of 5 objects, 4 runs, 4 actions, 0 statements\n"
        "hint: `clio run` makes lost products again, `clio reindex` the index; copy back the rest\n"
    )


def test_check_as_json_has_ok_and_damage(clio: Clio, history: History, workspace: Path) -> None:
    """Promise 4: bytes that were edited are found."""
    digest = history.bias.outputs[0].digest
    path = object_path(workspace, digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[::-1])
    path.chmod(0o444)
    result = clio("check", "--deep", "--json")

    assert result.exit_code == Exit.STORE
    document = json.loads(result.stdout)
    assert 0 < document.pop("wall_s") < 10
    assert document == {
        "schema": "clio-check/1",
        "ok": False,
        "status": 2,
        "deep": True,
        "damage": [
            {"kind": "edited", "subject": digest, "message": f"object {digest[7:19]} was edited"},
        ],
        "remarks": [],
        "counts": {"objects": 6, "runs": 4, "actions": 4, "statements": 0},
        "read": {"objects": 6, "bytes": 187, "carried_on": 0},
    }


@pytest.mark.usefixtures("history")
def test_a_deep_check_says_how_fast_it_read(clio: Clio) -> None:
    said = clio("check", "--deep").stderr

    assert re.fullmatch(r"read 0\.00 GB in \d+\.\d s, \d+\.\d GB/s\n", said)


@pytest.mark.usefixtures("history")
def test_check_passes_over_leftovers_with_a_remark(clio: Clio, workspace: Path) -> None:
    with Store.open(workspace / ".clio") as store:
        store.work("019be5a0-0000-7000-8000-00000000000f")
        store.keep_work("019be5a0-0000-7000-8000-00000000000f")
    result = clio("check")

    assert result.exit_code == 0
    assert result.stderr == "remark: work/019be5a0-0000-7000-8000-00000000000f was kept for a look\n"


@pytest.mark.parametrize("verb", ["check", "reindex"])
def test_upkeep_makes_no_store_where_there_is_none(clio: Clio, tmp_path: Path, verb: str) -> None:
    (tmp_path / "clio.toml").write_text("")
    result = clio(verb)

    assert isinstance(result.exception, StoreMissing)
    assert not (tmp_path / ".clio").exists()


@pytest.mark.usefixtures("history")
def test_reindex_brings_back_a_deleted_index(clio: Clio, workspace: Path) -> None:
    """Promise 8: the index is disposable."""
    before = clio("trace", "scibasic").stdout
    for path in (workspace / ".clio").glob("provenance.db*"):
        path.unlink()
    result = clio("reindex")

    database = workspace / ".clio" / "provenance.db"
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"indexed 4 runs, 4 actions, 0 statements in {database}\n"
    assert clio("trace", "scibasic").stdout == before
    assert json.loads(clio("reindex", "--json").stdout) == {
        "schema": "clio-reindex/1",
        "database": str(database),
        "indexed": {"runs": 4, "actions": 4, "statements": 0},
        "on_disk": {"objects": 6, "runs": 4, "actions": 4, "statements": 0},
    }


def test_reindex_says_what_it_had_to_leave_out(clio: Clio, history: History, workspace: Path) -> None:
    with Store.open(workspace / ".clio") as store:
        path = store.records.record_path(history.broken.action, history.broken.run)
    path.chmod(0o644)
    path.write_text("{")
    result = clio("reindex")

    assert result.stdout.startswith("indexed 3 runs, ")
    assert (
        "left out because they cannot be read: 1 run, 0 statements; `clio check` names them\n"
        in result.stderr
    )
