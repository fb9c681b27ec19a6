"""`passport`: what it prints of a measurement, and which runs it refuses."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Workspace
from history import History
from test_docs_json import documented, paths

from pipeline.again import Workshop
from pipeline.cli.output import OUTPUT
from pipeline.cli.passport import _named, _runs, in_a_line, print_kept, print_passport
from pipeline.errors import UsageError
from pipeline.model import Stage
from pipeline.passport import Passport, measure, newest_run
from pipeline.passport_matrix import NOTHING, Matrix
from pipeline.passports import Axis, MovedUnit, Row
from pipeline.reduce import Reduction
from pipeline.verdict import Sameness


@pytest.fixture(autouse=True)
def _streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the command write to the streams of this test."""
    monkeypatch.setenv("COLUMNS", "200")
    _forget_consoles()
    yield
    _forget_consoles()


def _forget_consoles() -> None:
    for stream in ("data", "talk"):
        OUTPUT.__dict__.pop(stream, None)


@pytest.fixture
def reduced(tmp_path: Path) -> Workspace:
    """A night of one IFU with a master bias."""
    made = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    made.run(Stage.BIAS)
    return made


def measured(workspace: Workspace, matrix: Matrix = NOTHING) -> Passport:
    with workspace.open() as reduction:
        run = newest_run(reduction.store, "muse_bias")
        return measure(Workshop.of(reduction), run, matrix=matrix)


def printed(
    found: Passport, capsys: pytest.CaptureFixture[str], *, everything: bool = False
) -> tuple[list[str], list[str]]:
    capsys.readouterr()
    print_passport(found, everything=everything, as_json=False)
    streams = capsys.readouterr()
    return (
        [line.rstrip() for line in streams.out.splitlines()],
        [line.rstrip() for line in streams.err.splitlines()],
    )


def test_it_says_what_moved_and_that_the_table_has_it(
    reduced: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(reduced)

    out, err = printed(found, capsys)

    assert out[0] == f"muse_bias muse/2.8.7 in image {'c0' * 6}: bias:{found.run.unit} on fake 1.0"
    assert [line.split() for line in out[2:4]] == [
        ["1", found.repeats[0].clock, "clio", "/out", "0.0", "identical"],
        ["2", found.repeats[1].clock, "elsewhere", "/tmp/another/place", "0.0", "same", "science"],
    ]
    assert [line.split() for line in out[5:7]] == [
        ["CHECKSUM", "value", "1", "1", "of", "1", "yes"],
        ["DATE", "value", "1", "1", "of", "1", "yes"],
    ]
    assert out[-1] == "all within the table"
    assert err == [
        "the same in all repeats, as fake 1.0 sets no other: user",
        "in the table for muse_bias, and did not move: DATASUM (comment)",
    ]


def test_it_is_loud_about_what_the_table_does_not_have(
    reduced: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promise 7."""
    reduced.engine.restless.add("muse_bias")
    found = measured(reduced)

    out, _ = printed(found, capsys)

    loud = [line for line in out if line.startswith("moved and not listed: MASTER_BIAS-01.fits HDU ")]
    assert len(loud) == len(found.unlisted) > 0
    assert any(re.search(r" HDU 1 \w+: data: sha256:", line) for line in loud)
    assert "all within the table" not in out


def test_every_card_is_listed_when_asked(reduced: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(reduced)

    out, _ = printed(found, capsys, everything=True)

    before, after = (repeat.clock.rstrip("Z") for repeat in found.repeats)
    line = (
        f"listed      MASTER_BIAS-01.fits HDU 0 CHAN01: DATE (value): DATE = '{before}' -> DATE = '{after}'"
    )
    assert line in out


def test_a_recipe_the_table_does_not_have_is_said(
    reduced: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    found = replace(measured(reduced), version="muse/9.9.9")

    _, err = printed(found, capsys)

    assert "the table has no measurement of muse_bias muse/9.9.9 yet" in err


def test_every_field_is_documented(reduced: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(reduced)
    capsys.readouterr()

    print_passport(found, everything=False, as_json=True)

    streams = capsys.readouterr()
    document = json.loads(streams.out)
    known = documented("clio-passport/1")
    assert streams.err == ""
    assert set(paths(document, known)) - known.keys() == set()
    assert {name.partition("[")[0].partition(".")[0] for name in known} == document.keys()


MANY = Matrix(threads=(8,), numerics=("native",))


def test_what_the_matrix_gave_is_a_line_a_run(reduced: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(reduced, MANY)

    out, _ = printed(found, capsys)

    assert [line.split() for line in out[7:-1]] == [
        ["varied", "to", "wall", "s", "products", "functions", "by"],
        ["run", "again", "0.0", "identical", "AVX"],
        ["run", "elsewhere,", "later", "0.0", "same", "science", "AVX"],
        ["threads", "8", "0.0", "identical", "AVX"],
        ["numerics", "native", "0.0", "identical", "AVX", "FMA"],
    ]
    assert out[-1] == "all within the table"


def test_it_is_loud_about_more_than_the_published_passport_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promise 7."""
    minding = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    minding.engine.depends["muse_bias"] = "OMP_NUM_THREADS"
    minding.run(Stage.BIAS)
    found = measured(minding, MANY)

    out, _ = printed(found, capsys)

    assert any(line.startswith("threads 8: MASTER_BIAS-01.fits HDU 1 ") for line in out)
    assert out[-1].startswith("moved more than the passport says: threads 8: different")
    assert "all within the table" not in out


def test_a_run_is_said_in_a_line_with_its_largest_sigma() -> None:
    units = tuple(MovedUnit("x.fits", "HDU 1", "1 of 2", "1", sigma) for sigma in ("0.2", "", "0.031"))
    row = Row(Axis.THREADS, "8", Sameness.WITHIN_TOLERANCE, moved=units)

    assert in_a_line(row) == "within tolerance, at most 0.2 sigma"
    assert in_a_line(replace(row, moved=())) == "within tolerance"
    assert in_a_line(Row(Axis.CPU, "Nehalem", None, "no qemu")) == "not measured: no qemu"


def test_what_was_measured_is_said_again_without_running(
    reduced: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(reduced, MANY)
    calls = len(reduced.engine.seen)
    capsys.readouterr()

    print_kept(reduced.root, "", as_markdown=False, as_json=False)
    table = capsys.readouterr().out.splitlines()
    print_kept(reduced.root, "muse_flat", as_markdown=False, as_json=False)
    nothing = capsys.readouterr().out.splitlines()

    assert table[1].split()[:6] == ["muse_bias", "bias", "again,", "elsewhere,", "later", "8"]
    assert (len(table), len(nothing)) == (2, 1)
    assert len(reduced.engine.seen) == calls


def test_what_was_measured_is_a_page_and_a_document(
    reduced: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(reduced, MANY)
    capsys.readouterr()

    print_kept(reduced.root, "", as_markdown=True, as_json=False)
    page = capsys.readouterr().out
    print_kept(reduced.root, "", as_markdown=False, as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert page.startswith("# Passports\n")
    assert page.endswith("|\n")
    assert set(paths(document, known := documented("clio-passports/1"))) - known.keys() == set()
    assert [sheet["rows"] for sheet in document["passports"]] == [found.document()["rows"]]


def test_without_a_recipe_all_that_ran_are_meant(reduced: Workspace) -> None:
    with reduced.open() as reduction:
        assert [run.stage for run in _runs(reduction, "", "")] == ["bias"]

        with pytest.raises(UsageError, match="--run names the run of one recipe, and none is named"):
            _runs(reduction, "", "bias")


def test_a_run_can_be_named(reduced: Workspace) -> None:
    with reduced.open() as reduction:
        run = reduction.store.runs()[0]

        assert _named(reduction, "muse_bias", "bias") == run
        assert _named(reduction, "muse_bias", run.run) == run


def test_a_run_of_another_recipe_is_refused(reduced: Workspace) -> None:
    with reduced.open() as reduction, pytest.raises(UsageError) as caught:
        _named(reduction, "muse_flat", "bias")

    assert caught.value.message == "bias is a run of muse_bias, not of muse_flat"
    assert caught.value.hint == "try: clio passport muse_bias"


def test_a_run_that_failed_is_refused(history: History, workspace: Path) -> None:
    with Reduction.open(workspace) as reduction, pytest.raises(UsageError) as caught:
        _named(reduction, "muse_flat", history.broken.run)

    assert caught.value.message == (
        f"run {history.broken.run} of muse_flat did not succeed: there is nothing to compare with"
    )
