"""`clio calibrations`: for a person, for a program, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import write_night, write_raw
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.cli.calibrations import WIDTH
from pipeline.errors import AssociationError, Exit, FramesError, UsageError

Clio = Callable[..., Result]
FIRST = "2023-02-26T01:12:00.000"


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """The tiny night; neither image nor engine."""
    (tmp_path / "clio.toml").write_text("[clio]\n")
    write_night(tmp_path)
    return tmp_path


def remove(night: Path, day: str) -> None:
    for path in (night / "raw").glob(f"MUSE.{day}*"):
        path.unlink()


def test_a_complete_night_ends_with_0(clio: Clio, night: Path) -> None:
    told = clio("calibrations")

    assert told.exit_code == 0
    assert told.stdout.count("OBJECT 2023") == 2
    assert "MISSING" not in told.stdout
    assert "archive" not in told.stdout


def test_the_table_shows_age_temperature_level_and_the_next_best(clio: Clio, night: Path) -> None:
    write_raw(night / "raw", "ILLUM", 60001.04, changes={"ESO INS TEMP7 VAL": 12.5})
    line = next(row for row in clio("calibrations", FIRST).stdout.splitlines() if row.startswith("ILLUM"))

    assert line.split() == [
        "ILLUM",
        "2023-02-26T00:28:48.000",
        "-43",
        "min",
        "+0.0",
        "0",
        "-14",
        "min",
        "(1)",
    ]


def test_what_is_missing_ends_with_3_and_says_what_to_look_for(clio: Clio, night: Path) -> None:
    remove(night, "2023-02-26T00:00")

    told = clio("calibrations", FIRST)

    assert isinstance(told.exception, AssociationError)
    assert told.exception.exit_code is Exit.FRAMES
    assert told.exception.message == (
        f"1 of 1 cannot be reduced; the first is OBJECT {FIRST}: no STD_RESPONSE"
    )
    words = " ".join(told.stdout.split())
    assert "STD_RESPONSE MISSING" in words
    assert (
        f"STD_RESPONSE for {FIRST}: DPR CATG CALIB, DPR TYPE STD, INS MODE WFM-NOAO-N; "
        "taken 2023-01-27 01:12 to 2023-03-28 01:12, best 2023-02-25 01:12 to 2023-02-27 01:12" in words
    )


def test_raw_frames_alone_are_enough_to_be_told_what_is_missing(clio: Clio, night: Path) -> None:
    for path in (night / "calib").iterdir():
        path.unlink()

    told = clio("calibrations", FIRST, "--json")

    found = json.loads(told.stdout)
    missing = {n["tag"] for n in found["exposures"][0]["needs"] if n["is_required"] and not n["chosen"]}
    assert {"GEOMETRY_TABLE", "EXTINCT_TABLE", "WAVECAL_TABLE"} <= missing
    assert {"GEOMETRY_TABLE", "LINE_CATALOG"} <= {s["tag"] for s in found["searches"]}
    assert isinstance(told.exception, AssociationError)


@pytest.mark.parametrize("words", [(), ("--short",), ("--all",)], ids=["sheets", "short", "all"])
def test_what_is_printed_fits_80_columns(
    clio: Clio, night: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    remove(night, "2023-02-25T15")

    lines = clio("calibrations", *words).stdout.splitlines()

    assert len(lines) > 5
    assert max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize(
    "name",
    [FIRST, FIRST[:16], f"MUSE.{FIRST}.fits", "raw/MUSE*T01:12*", "*T01:12:00*"],
    ids=["date", "beginning", "arcfile", "path", "pattern"],
)
def test_an_exposure_goes_by_many_names(clio: Clio, night: Path, name: str) -> None:
    name = str(night / name) if name.startswith("raw") else name
    found = json.loads(clio("calibrations", name, "--json").stdout)

    assert [e["name"] for e in found["exposures"]] == [FIRST]


def test_a_template_is_shown_when_it_is_named_asked_for_or_incomplete(clio: Clio, night: Path) -> None:
    def tags(*words: str) -> list[str]:
        return [e["tag"] for e in json.loads(clio("calibrations", *words, "--json").stdout)["exposures"]]

    assert tags("2023-02-25T14:52:48") == ["FLAT"]
    assert "BIAS" in tags("--all")
    assert set(tags()) == {"OBJECT", "SKY", "STD"}
    remove(night, "2023-02-25T14:2")
    assert "FLAT" in tags()


def test_a_name_that_fits_nothing_is_refused(clio: Clio, night: Path) -> None:
    told = clio("calibrations", "2024-01-01")

    assert isinstance(told.exception, UsageError)
    assert told.exception.message == "no exposure and no template goes by 2024-01-01"
    assert FIRST in told.exception.hint


def test_without_raw_frames_it_ends_with_3(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "clio.toml").write_text("[clio]\n")
    (tmp_path / "raw").mkdir()

    assert isinstance(clio("calibrations").exception, FramesError)


def test_every_field_of_the_document_is_documented(clio: Clio, night: Path) -> None:
    remove(night, "2023-02-26T00:00")
    write_raw(night / "raw", "ILLUM", 60001.04)
    document = json.loads(clio("calibrations", "--all", "--json").stdout)

    known = documented("clio-calibrations/1")
    assert document["searches"]
    assert set(paths(document, known)) - known.keys() == set()
