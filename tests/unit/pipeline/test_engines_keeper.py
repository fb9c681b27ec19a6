"""What the keeper noted, and how an ending is judged."""

import os
from pathlib import Path

import pytest

from pipeline.engine import Ending, EngineRequest, Mount
from pipeline.engines.keeper import (
    FIGURES,
    PEAK,
    TERMINAL,
    Figures,
    check_request,
    isolation,
    judge,
    keeper_argv,
    parse_figures,
    status_of,
    take_figures,
)
from pipeline.errors import EngineUnavailable

NOTED = """status 3
0m0.010000s 0m0.020000s
1m2.500000s 0m0.250000s
rchar: 1000
wchar: 20
read_bytes: 4096
oom_kill_disable 0
under_oom 0
oom_kill 2
"""


def request(out: Path, **fields: object) -> EngineRequest:
    given = {"run": "r", "store": "s", "argv": ("esorex",), "environment": (("A", "b c"),), "inputs": ()}
    return EngineRequest(**{**given, "out": out, **fields})  # type: ignore[arg-type]


def test_figures_are_those_of_the_program_not_of_the_shell() -> None:
    assert parse_figures(NOTED, "2048\n") == Figures(
        status=3,
        cpu_user_ms=62_500,
        cpu_system_ms=250,
        peak_memory_bytes=2048 * 1024,
        read_bytes=1000,
        written_bytes=20,
        oom_kills=2,
    )


@pytest.mark.parametrize("length", [0, 5, 30, 60, 75])
def test_figures_cut_off_are_unknown_not_wrong(length: int) -> None:
    figures = parse_figures(NOTED[:length], "")

    assert figures.written_bytes is None
    assert figures.peak_memory_bytes is None


@pytest.mark.parametrize("text", ["status -1", "status x", "\x00\xff", "status 1 2", "0m0.0s\nxmys zmws"])
def test_figures_of_any_text_do_not_raise(text: str) -> None:
    assert parse_figures(text, text) == Figures()


def test_take_figures_leaves_only_what_a_failed_program_said(tmp_path: Path) -> None:
    (tmp_path / FIGURES).write_text(NOTED)
    (tmp_path / PEAK).write_text("1")
    (tmp_path / TERMINAL).write_text("failed to allocate")

    figures = take_figures(tmp_path)

    assert figures.status == 3
    assert [path.name for path in tmp_path.iterdir()] == [TERMINAL]


def test_take_figures_removes_what_a_good_program_said(tmp_path: Path) -> None:
    (tmp_path / FIGURES).write_text("status 0\n")
    (tmp_path / TERMINAL).write_text("chatter")

    take_figures(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_take_figures_is_not_fooled_by_links_and_pipes(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(NOTED)
    (tmp_path / FIGURES).symlink_to("elsewhere")
    os.mkfifo(tmp_path / PEAK)

    assert take_figures(tmp_path) == Figures()


@pytest.mark.parametrize(
    ("status", "stopped", "oom", "expected"),
    [
        pytest.param(0, None, False, (Ending.EXITED, 0, None), id="good"),
        pytest.param(255, None, False, (Ending.EXITED, 255, None), id="esorex refuses"),
        pytest.param(139, None, False, (Ending.EXITED, None, 11), id="crash"),
        pytest.param(137, None, False, (Ending.KILLED, None, 9), id="killed by somebody"),
        pytest.param(143, None, False, (Ending.KILLED, None, 15), id="terminated by somebody"),
        pytest.param(137, None, True, (Ending.OUT_OF_MEMORY, None, 9), id="killed for its memory"),
        pytest.param(None, None, True, (Ending.OUT_OF_MEMORY, None, 9), id="container killed for its memory"),
        pytest.param(1, None, True, (Ending.OUT_OF_MEMORY, 1, None), id="a child killed for its memory"),
        pytest.param(0, None, True, (Ending.EXITED, 0, None), id="good in spite of it"),
        pytest.param(None, Ending.TIMEOUT, False, (Ending.TIMEOUT, None, 9), id="timeout"),
        pytest.param(None, Ending.KILLED, False, (Ending.KILLED, None, 9), id="asked to stop"),
        pytest.param(None, None, False, (Ending.KILLED, None, 9), id="container killed by somebody"),
        pytest.param(0, Ending.TIMEOUT, False, (Ending.EXITED, 0, None), id="ended just before the timeout"),
        pytest.param(134, Ending.KILLED, False, (Ending.KILLED, None, 6), id="dies while it is stopped"),
    ],
)
def test_judge_says_how_a_run_ended(
    status: int | None, stopped: Ending | None, oom: bool, expected: tuple[Ending, int | None, int | None]
) -> None:
    assert judge(status, stopped, out_of_memory=oom) == expected


@pytest.mark.parametrize(
    ("noted", "outer", "status"),
    [(3, 3, 3), (None, 66, 66), (None, 137, None), (None, None, None), (0, 137, 0)],
)
def test_status_of_prefers_the_keeper(noted: int | None, outer: int | None, status: int | None) -> None:
    assert status_of(Figures(status=noted), outer) == status


def test_keeper_argv_clears_the_environment_in_front_of_the_program_promise_5(tmp_path: Path) -> None:
    assert keeper_argv(request(tmp_path))[3:] == ["keeper", "env", "-i", "A=b c", "esorex"]


def test_isolation_says_what_was_not_applied(tmp_path: Path) -> None:
    said = dict(isolation(request(tmp_path, memory_bytes=5), {"memory limit": "not applied: because"}))

    assert said["network"] == "none"
    assert said["memory limit"] == "not applied: because"
    assert dict(isolation(request(tmp_path, memory_bytes=5), {}))["memory limit"] == "5 bytes"


def test_inputs_that_cannot_be_mounted_are_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    cases = {
        "gone": "the input .*/gone cannot be given to a run: No such file or directory",
        "link": "the input .*/link cannot be given to a run: it is no regular file",
        ".": "cannot be given to a run: it is no regular file",
    }
    for name, message in cases.items():
        with pytest.raises(EngineUnavailable, match=message):
            check_request(request(tmp_path, inputs=(Mount(tmp_path / name, "/in/a/b"),)))


def test_missing_output_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"the output directory .*/gone of a run is missing"):
        check_request(request(tmp_path / "gone"))
