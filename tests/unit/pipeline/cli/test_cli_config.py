"""`clio config` and `clio init`: what is wrong, what holds and why, what editors are told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import write_night
from fakes import install_image
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.config import load
from pipeline.errors import ConfigError, UsageError

Clio = Callable[..., Result]


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A workspace with frames and an image."""
    write_night(tmp_path, ifus=(1,))
    install_image(tmp_path / "cache")
    (tmp_path / "clio.toml").write_text("")
    return tmp_path


def document(result: Result, schema: str, exit_code: int = 0) -> Any:
    assert (result.exit_code, result.stderr) == (exit_code, "")
    found = json.loads(result.stdout)
    assert found["schema"] == schema
    known = documented(schema)
    assert set(paths(found, known)) - known.keys() == set()
    return found


# init


def test_init_writes_a_file_that_is_right_and_a_schema_it_names(clio: Clio, tmp_path: Path) -> None:
    result = clio("init", "ws", "--raw", "/data/night 1")

    assert result.stdout == "ws/clio.toml\n"
    folder = tmp_path / "ws"
    assert load(folder).table.data.raw == ["/data/night 1"]
    first = (folder / "clio.toml").read_text().splitlines()[0]
    assert (folder / first.removeprefix("#:schema ")).resolve() == folder / "clio.schema.json"
    assert json.loads((folder / "clio.schema.json").read_text()) == json.loads(
        clio("config", "schema").stdout
    )


def test_init_overwrites_nothing(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "clio.toml").write_text("# mine\n")

    assert isinstance(clio("init").exception, UsageError)
    assert (tmp_path / "clio.toml").read_text() == "# mine\n"
    assert not (tmp_path / "clio.schema.json").exists()


# check


def test_what_is_right_is_said(clio: Clio, night: Path) -> None:
    result = clio("config", "check")

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{night / 'clio.toml'} is right\n", "")
    assert document(clio("config", "check", "--json"), "clio-config-check/1")["ok"] is True


SLIPS = """\
[clio]
jbos = 1
[recipes.muse_flat]
order = "many"
"""


def test_parameters_are_checked_although_another_key_is_wrong(clio: Clio, night: Path) -> None:
    (night / "clio.toml").write_text(SLIPS)

    result = clio("config", "check")

    assert isinstance(result.exception, ConfigError)
    assert result.exception.message.splitlines() == [
        f"{night / 'clio.toml'} has 2 slips",
        "  line 2: unknown key clio.jbos (did you mean jobs?)",
        "  line 4: muse_flat.order = 'many', expected int",
    ]
    assert result.stderr == "not checked: targets, exposures and calibrations, before the rest is right\n"


def test_slips_are_a_document_too_and_end_with_2(clio: Clio, night: Path) -> None:
    (night / "clio.toml").write_text('[data]\nmode = "NFM"\n[targets.x]\n')

    result = clio("config", "check", "--json")

    found = document(result, "clio-config-check/1", 2)
    assert [(slip["line"], slip["keys"]) for slip in found["slips"]] == [
        (2, ["data", "mode"]),
        (3, ["targets", "x", "match"]),
    ]


def test_without_image_and_frames_what_was_not_looked_at_is_said(clio: Clio, workspace: Path) -> None:
    result = clio("config", "check")

    assert result.exit_code == 0
    assert [line.split(",")[0] for line in result.stderr.splitlines()] == [
        "not checked: parameters of recipes",
        "not checked: targets",
    ]


def test_f26_a_file_that_is_missing_or_no_toml_is_said_with_its_line(clio: Clio, night: Path) -> None:
    (night / "clio.toml").write_text("[clio]\n\njobs 2\n")
    result = clio("config", "check")
    assert isinstance(result.exception, ConfigError)
    assert "line 3" in result.exception.message
    (night / "clio.toml").unlink()

    assert isinstance(clio("config", "check").exception, ConfigError)


# show

TEXT = """\
[clio]
jobs = 2

[recipes.muse_scipost]
dx = 0.3
lambdamin = 4750.0

[[override]]
where = { exposure = "2023-02-26T01:12:00.000" }
recipes.muse_scipost.dx = 0.4
[override.recipes.muse_scipost.environment]
MUSE_SUPERFLAT_POS = "1"
"""


def shown(result: Result) -> dict[str, tuple[str, ...]]:
    assert result.exception is None, result.exception
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    return {row[0]: tuple(row[1:]) for row in rows}


def test_keys_that_are_set_are_shown_with_their_lines(clio: Clio, night: Path) -> None:
    (night / "clio.toml").write_text(TEXT)

    found = shown(clio("config", "show"))

    assert found["clio.jobs"] == ("2", "line", "2")
    assert "clio.clock" not in found
    assert shown(clio("config", "show", "--effective"))["clio.clock"] == ("frozen", "default")


def test_every_value_of_a_step_is_told_with_who_set_it(clio: Clio, night: Path) -> None:
    (night / "clio.toml").write_text(TEXT)

    step = "scipost_perexpo:2023-02-26T01:12"
    found = shown(clio("config", "show", step, "--effective", "--set", "muse_scipost.lambdamax=9000.0"))

    assert found["save"] == ("individual", "workflow")
    assert found["dx"] == ("0.4", "line", "10")
    assert found["lambdamin"] == ("4750", "line", "6")
    assert found["lambdamax"] == ("9000", "command", "line")
    assert found["crsigma"][-1] == "recipe"
    assert found["MUSE_SUPERFLAT_POS"] == ("1", "line", "12")
    other = shown(clio("config", "show", "scipost_perexpo:2023-02-26T01:26"))
    assert other["dx"] == ("0.3", "line", "5")
    assert "crsigma" not in other


def test_a_recipe_is_told_by_stage_and_overrides_apart(clio: Clio, night: Path) -> None:
    (night / "clio.toml").write_text(TEXT)

    found = document(clio("config", "show", "muse_scipost", "--json"), "clio-config-show/1")

    dx = [value for value in found["values"] if value["name"] == "dx"]
    assert [(v["value"], v["line"], v["where"]) for v in dx] == [
        ("0.3", 5, {}),
        ("0.4", 10, {"exposure": "2023-02-26T01:12:00.000"}),
    ]
    assert dx[0]["stages"] == ["prep_align", "scipost", "scipost_perexpo", "finalise"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("scipots:1001",), "scipots:1001 is no step and no recipe"),
        (("bias:1999",), "no step goes by bias:1999"),
        (("scibasic",), "scibasic may be any of scibasic:2023-02-26T00:00:00.000:01"),
        (("--set", "muse_bias.nkeep=1"), "--set has no part in the keys of clio.toml"),
    ],
    ids=["stage", "unit", "several", "set"],
)
def test_what_means_nothing_is_refused(clio: Clio, night: Path, words: tuple[str, ...], message: str) -> None:
    result = clio("config", "show", *words)

    assert isinstance(result.exception, UsageError)
    assert result.exception.message.startswith(message)


# --set


def test_locked_and_set_exclude_each_other(clio: Clio, night: Path) -> None:
    result = clio("run", "--locked", "--set", "muse_bias.nkeep=2")

    assert isinstance(result.exception, UsageError)
    assert result.exception.message == "--locked and --set exclude each other"


def test_a_plan_tells_what_an_argument_would_run(clio: Clio, night: Path) -> None:
    result = clio("plan", "bias", "--set", "muse_bias.nkep=2")

    assert isinstance(result.exception, UsageError)
    assert result.exception.message == "muse_bias has no parameter nkep"
