"""`clio run --locked` and what `clio replay --lock` prints."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeEngine, Workspace
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.cli.replay_lock import SCHEMA, document, print_lock_replay, refuse_beside_lock
from pipeline.config import load
from pipeline.errors import ConfigError, NotAsLocked, UsageError
from pipeline.model import Stage
from pipeline.replay_lock import LockReplay, beside, replay_lock

Clio = Callable[..., Result]


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    """Biases and flats of one IFU, made and pinned, where `clio` is called."""
    workspace = Workspace.make(tmp_path, ifus=(1,))
    workspace.run(Stage.BIAS, Stage.FLAT)
    return workspace


def replayed(workspace: Workspace, engine: FakeEngine) -> LockReplay:
    settings = load(workspace.root)
    with beside(settings, settings.lock, engine=engine, library=workspace.library) as reduction:
        return replay_lock(reduction)


def test_what_is_pinned_and_known_is_no_work(made: Workspace, clio: Clio) -> None:
    before = (made.root / "clio.lock").read_text()

    done = clio("run", "bias", "flat", "--locked")

    assert done.exit_code == 0
    assert done.stdout.startswith("nothing to run: all 2 steps are known")
    assert (made.root / "clio.lock").read_text() == before


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_something_else_is_refused(made: Workspace, clio: Clio, form: tuple[str, ...]) -> None:
    made.configure("[recipes.muse_flat]\norder = 7\n")

    done = clio("run", "bias", "flat", "--locked", *form)

    assert isinstance(done.exception, NotAsLocked)
    assert done.exception.exit_code == 2
    assert done.stdout == ""


def test_a_quick_answer_is_no_answer_to_locked(made: Workspace, clio: Clio) -> None:
    """What was seen of a run without --locked says nothing of the lock."""
    clio("run", "bias", "flat")
    clio("run", "bias", "flat")
    (made.root / "clio.lock").unlink()

    done = clio("run", "bias", "flat", "--locked")

    assert isinstance(done.exception, ConfigError)


def test_every_field_of_a_replay_is_documented(made: Workspace) -> None:
    found = replayed(made, FakeEngine(restless={"muse_flat"}))

    body = {"schema": SCHEMA, **document(found, made.root / "clio.lock", None)}
    known = documented(SCHEMA)

    assert set(paths(json.loads(json.dumps(body)), known)) == known.keys()


def test_a_replay_is_told_step_by_step_and_in_sum(
    made: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found = replayed(made, FakeEngine(restless={"muse_flat"}))

    print_lock_replay(found)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["sameness", "step", "products", "why"]
    assert lines[1].split() == ["identical", "bias:2023-02-25T14:24:00:01", "1"]
    assert lines[2].startswith("different")
    assert "MASTER_FLAT MASTER_FLAT-01.fits has other data than clio.lock says" in lines[2]
    assert lines[-1].startswith("2 steps, 3 products: 1 identical, 2 different, ")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("references", ["combine"], "a reference"),
        ("closure", True, "--closure"),
        ("sample", 3, "--sample"),
        ("threads", 2, "--threads"),
    ],
)
def test_what_says_otherwise_what_is_replayed_is_refused(option: str, value: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_beside_lock(**{"references": None, "closure": False, option: value})

    assert caught.value.message == f"{said} and --lock exclude each other"
    assert caught.value.hint == "the lock says what is made, and how"


def test_without_any_of_that_nothing_is_refused() -> None:
    refuse_beside_lock(references=None, closure=False, sample=None, tolerance="")
