"""`clio run` with nothing to do is answered without a command line, and nothing else is."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import Workspace
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import Result

from pipeline.cli.at_once import asked, is_answered
from pipeline.errors import Exit
from pipeline.model import Stage

Clio = Callable[..., Result]

SCRIPT = """
import json, sys
from pipeline.cli.start import main

sys.argv = ["clio", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps([name for name in ("typer", "pipeline.cli.app", "sqlite3") if name in sys.modules]))
"""


def call(
    root: Path, *words: str, cwd: Path | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Call the command as it is installed; its last line of output names what it imported."""
    environment = os.environ | {"CLIO_CACHE": str(root / "cache")}
    for name in ("CLIO_WORKSPACE", "PYTHONPATH"):  # other tests write into folders of this one's path
        environment.pop(name, None)
    argv = [sys.executable, "-c", SCRIPT, *words]
    return subprocess.run(
        argv, cwd=cwd or root, env=environment | variables, capture_output=True, text=True, check=False
    )


def imported(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """List what a call imported of the command line and the store."""
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def known(tmp_path: Path) -> Workspace:
    """A workspace whose bias is known; a run of it that found nothing to do has kept how things stand."""
    workspace = Workspace.make(tmp_path, ifus=(1,))
    for frame in workspace.raw("BIAS"):
        os.utime(frame, (1e9, 1e9))  # what was written just now is read again and again
    workspace.run(Stage.BIAS)
    for _ in range(2):  # the first writes clio.lock as the command sees it
        time.sleep(0.05)
        assert call(tmp_path, "run", "bias").returncode == 0
    return workspace


def test_nothing_to_do_is_said_without_a_command_line(known: Workspace, clio: Clio) -> None:
    """In the workspace, below it, and from elsewhere; in the words of the command line."""
    root = known.root
    calls = [
        call(root, "run", "bias"),
        call(root, "run", "bias", cwd=root / "raw"),
        call(root, "run", "bias", cwd=Path("/"), CLIO_WORKSPACE=str(root)),
    ]
    built = clio("run", "bias")

    assert built.stdout.startswith("nothing to run: 1 step is known (")
    for done in calls:
        assert (done.returncode, imported(done), done.stderr) == (0, [], built.stderr)
        assert done.stdout.partition("(")[0] == built.stdout.partition("(")[0]


def test_whatever_else_is_asked_goes_through_the_command_line(known: Workspace) -> None:
    """And what only looks like the word of an option is no stage."""
    for words in (("--quiet", "run", "bias"), ("run", "bias", "--json"), ("run", "bias", "--strict")):
        done = call(known.root, *words)
        assert done.returncode == 0
        assert "pipeline.cli.app" in imported(done)

    assert asked(["NGC 300/"]) != asked([], only=["NGC 300/"])
    assert call(known.root, "run", "NGC 300/").returncode == 2


def test_a_frame_that_moved_is_looked_at(known: Workspace) -> None:
    """Promise 4: answering at once relies on nothing more than any run does."""
    frame = known.raw("BIAS")[0]
    frame.write_bytes(bytes(frame.read_bytes()))

    assert "sqlite3" in imported(call(known.root, "run", "bias"))


@pytest.mark.parametrize("words", [(), ("plan",), ("run", "-C", "x"), ("--run",), ("run", "no-stage")])
def test_what_is_not_known_is_not_answered(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLIO_CACHE", str(tmp_path / "cache"))

    assert not is_answered(words)
    (tmp_path / "clio.toml").touch()
    assert not is_answered(words)


def test_a_folder_that_is_gone_is_told_by_the_command_line(tmp_path: Path) -> None:
    (gone := tmp_path / "gone").mkdir()
    script = f"import os; os.rmdir({str(gone)!r})\n{SCRIPT}"
    argv = [sys.executable, "-c", script, "run"]
    done = subprocess.run(argv, cwd=gone, capture_output=True, text=True, check=False)

    assert done.returncode == Exit.USAGE
    assert "pipeline.cli.app" in imported(done)
    assert done.stderr.startswith("error: the folder in which this was called is gone\nhint: ")


_OPTIONS = st.fixed_dictionaries(
    {
        "first": st.text(max_size=4),
        "last": st.text(max_size=4),
        "only": st.lists(st.text(min_size=1, max_size=4)),
    }
)
_STAGES = st.lists(st.text(min_size=1, max_size=4).filter(lambda word: not word.startswith("-")))


@given(_STAGES, _OPTIONS, _STAGES, _OPTIONS)
def test_other_questions_have_other_words(
    stages: list[str], options: dict[str, str], others: list[str], other_options: dict[str, str]
) -> None:
    """Promise 4: no answer is given to a question that was not asked."""
    assume((stages, options) != (others, other_options))

    assert asked(stages, **options) != asked(others, **other_options)
