"""What a person, or a program, is told while a run goes on."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import night_frames
from fakes import Workspace
from rich.console import Console
from typer.testing import Result

from pipeline.cli.output import OUTPUT
from pipeline.cli.progress import duration, time_left, time_of_step, watching
from pipeline.config import FileTable, Settings
from pipeline.errors import UsageError
from pipeline.events import Did, Event
from pipeline.model import Scan, Stage, Step
from pipeline.plan import plan
from pipeline.timeleft import Left

Clio = Callable[..., Result]


@pytest.fixture
def step() -> Step:
    root = Path("/galaxy")
    settings = Settings(root, FileTable(), root / "clio.toml")
    return plan(Scan(night_frames(), (), (), (root / "raw",)), settings).steps[0]


@pytest.fixture
def screen() -> Iterator[io.StringIO]:
    """A terminal that somebody watches."""
    text = io.StringIO()
    OUTPUT.__dict__["talk"] = Console(file=text, force_terminal=True, width=80, color_system=None)
    yield text
    OUTPUT.__dict__.pop("talk", None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (9e4, "25 h 0 min"),
    ],
)
def test_a_duration_is_written_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_time_left_counts_down_and_says_how_sure_it_is() -> None:
    assert time_left(Left(200, 0.5, is_learned=True), 20) == "about 3 min 0 s left"
    assert time_left(Left(10, 0.5, is_learned=True), 20) == "about 0 s left"
    assert time_left(Left(200, 0.0, is_learned=False), 0) == "perhaps 3 min 20 s left"
    assert time_of_step(12, 75) == "12 s of about 1 min 15 s"


def test_a_step_that_runs_has_a_line_and_the_whole_a_bar_with_the_time_left(
    step: Step, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    left = Left(125, 0.25, is_learned=True)
    with watching(threading.Event()) as listen:
        listen(Event(step, Did.STARTED, ("never run",), expected_s=40.0, left=left))
        listen(Event(step, Did.AGAIN, ("out of memory: it met its limit",), left=left))
        listen(Event(step, Did.STARTED, ("failed before",), expected_s=40.0, left=left))
        during = screen.getvalue()
        listen(Event(step, Did.FAILED, ("recipe error",), left=replace(left, seconds=0, done=1.0)))

    assert f"again   {step.id}: out of memory: it met its limit" in during
    assert f"failed  {step.id}: recipe error" in screen.getvalue()


def test_json_lines_tell_when_it_will_end(narrow_run: list[dict[str, object]]) -> None:
    """Started: how long the step is expected to take; each line: what is done, what is left, when it ends."""
    started = [line for line in narrow_run if line["did"] == "started"]
    assert started
    for line in started:
        assert isinstance(line["expected_s"], float)
    for line in narrow_run:
        assert isinstance(line["left_s"], float)
        assert isinstance(line["done"], float)
        assert str(line["eta"]).endswith("Z")
    assert narrow_run[-1]["done"] == 1.0


@pytest.fixture
def narrow_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    made = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    with made.open() as reduction, watching(reduction.cancel, as_json=True) as listen:
        reduction.run((Stage.BIAS, Stage.FLAT), listen)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--memory", "16"), "'16' is no amount of memory"),
        (("--memory", "lots"), "'lots' is no amount of memory"),
        (("--memory", "1MB"), "1MB of memory is too little: recipes take 200 MB and more"),
    ],
    ids=["no-unit", "no-size", "too-little"],
)
def test_memory_that_is_none_is_refused_before_anything_runs(
    clio: Clio, words: tuple[str, ...], message: str
) -> None:
    result = clio("run", *words)

    assert isinstance(result.exception, UsageError)
    assert result.exception.message == message


def test_no_job_is_refused(clio: Clio) -> None:
    assert clio("run", "--jobs", "0").exit_code == 2
