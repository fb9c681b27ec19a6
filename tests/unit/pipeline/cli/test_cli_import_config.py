"""`clio import-config`: what is written, what is said, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import install_image
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.config import load
from pipeline.errors import UsageError

Clio = Callable[..., Result]


@pytest.fixture
def old(tmp_path: Path) -> tuple[str, ...]:
    """The words of the command for settings of pymusepipe."""
    install_image(tmp_path / "cache")
    (tmp_path / "rc.dic").write_text("root data\nmusecalib cal\nndigits 3\n")
    (tmp_path / "calib_tables.dic").write_text("badpix_table badpix_table.fits\n")
    return ("import-config", "--pymusepipe", "rc.dic", "calib_tables.dic", "-C", "ws")


def test_the_settings_written_pass_the_check_and_the_report_goes_to_stderr(
    clio: Clio, old: tuple[str, ...], tmp_path: Path
) -> None:
    result = clio(*old)

    assert (result.exit_code, result.stdout) == (0, "ws/clio.toml\n")
    rows = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert rows[0] == "where setting what became of it"
    assert rows[4] == (
        "calib_tables.dic:1 badpix_table = badpix_table.fits "
        "carried over: associate.BADPIX_TABLE.use; the file is not here"
    )
    assert load(tmp_path / "ws").table.data.raw == [str(tmp_path / "data")]
    assert (tmp_path / "ws" / "clio.schema.json").exists()
    assert clio("config", "check", "-C", "ws").exit_code == 0


def test_the_report_is_a_document_too(clio: Clio, old: tuple[str, ...]) -> None:
    result = clio(*old, "--json")

    assert result.stderr == ""
    found = json.loads(result.stdout)
    known = documented("clio-import-config/1")
    assert set(paths(found, known)) - known.keys() == set()
    assert [(row["line"], row["outcome"], row["to"]) for row in found["lines"]] == [
        (1, "carried over", "data.raw"),
        (2, "carried over", "data.calib"),
        (3, "left out", None),
        (1, "carried over", "associate.BADPIX_TABLE.use"),
    ]


def test_what_is_there_is_overwritten_only_by_force(clio: Clio, old: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "clio.toml").write_text("# mine\n")

    assert isinstance(clio(*old).exception, UsageError)
    assert (tmp_path / "ws" / "clio.toml").read_text() == "# mine\n"
    assert clio(*old, "--force").exit_code == 0
    assert load(tmp_path / "ws").table.data.calib == [str(tmp_path / "cal")]


@pytest.mark.parametrize(
    "words",
    [("rc.dic",), ("--pymusepipe", "--musered", "rc.dic"), ("--musered", "rc.dic", "calib_tables.dic")],
    ids=["neither", "both", "two"],
)
def test_which_program_has_to_be_said(clio: Clio, old: tuple[str, ...], words: tuple[str, ...]) -> None:
    result = clio("import-config", *words)

    assert isinstance(result.exception, UsageError)
    assert not Path("clio.toml").exists()


def test_without_the_library_for_yaml_its_name_is_said(
    clio: Clio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "settings.yml").write_text("raw_path: raw\n")

    result = clio("import-config", "--musered", "settings.yml")

    assert isinstance(result.exception, UsageError)
    assert result.exception.hint == "install it: pip install 'clio-muse[musered]'"
