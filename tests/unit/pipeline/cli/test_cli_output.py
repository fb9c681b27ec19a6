"""What others wrote is shown, and does nothing else to a terminal (promise 9)."""

import json
from collections.abc import Iterator

import pytest
from rich.tree import Tree

from pipeline.cli.output import Output, print_error, print_json, shown

EVIL = "\x1b]0;evil\x07\x1b[2J\x9b31m\x7f\u202eabc"
HARMLESS = "\\x1b]0;evil\\x07\\x1b[2J\\x9b31m\\x7f\\u202eabc"


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[Output]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    yield Output()


@pytest.mark.parametrize("text", ["M 77", "flux 1e-20 erg/s/cm² Å", "two\nlines\tand a tab", "β Ori 日本語"])
def test_what_a_reader_reads_stays(text: str) -> None:
    assert shown(text) == text


def test_what_steers_a_terminal_is_written_out() -> None:
    """Titles, colours, erased lines, text turned round, a carriage return over what stands there."""
    assert shown(EVIL) == HARMLESS
    assert shown("good\rbad") == "good\\rbad"
    assert shown("\x00\x85\u2028\ufeff") == "\\x00\\x85\\u2028\\ufeff"
    assert shown("\udc80") == "\\udc80"


def test_all_that_is_printed_goes_that_way(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    output.line(EVIL)
    output.say(EVIL)
    output.table((EVIL,), [(EVIL,)])
    output.say_table(("a",), [(EVIL,)])
    output.data.print(Tree(EVIL))
    output.say(EVIL)
    print_error("Kind", EVIL, EVIL, 6, as_json=False)

    for stream in capsys.readouterr():
        assert "evil" in stream
        assert shown(stream) == stream


def test_json_says_the_same_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": EVIL, "target": "β Ori"})

    (text, _) = capsys.readouterr()
    assert json.loads(text) == {"name": EVIL, "target": "β Ori"}
    assert shown(text) == text
    assert "β Ori" in text
