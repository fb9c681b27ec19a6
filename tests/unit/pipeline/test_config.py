"""The settings: what is read, and what is refused with its line (DESIGN.md section 13)."""

from pathlib import Path

import pytest

from pipeline.config import load, spell
from pipeline.errors import ConfigError, Exit
from pipeline.model import Scope, Stage
from pipeline.slips import nearest
from pipeline.toml_lines import locate


def written(folder: Path, text: str) -> Path:
    path = folder / "clio.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    settings = load(written(tmp_path, ""))

    assert settings.root == tmp_path
    assert settings.store == tmp_path / ".clio"
    assert settings.products == tmp_path / "products"
    assert settings.lock == tmp_path / "clio.lock"
    assert settings.folders == (tmp_path / "raw", tmp_path / "calib")
    assert settings.table.clio.clock == "frozen"
    assert settings.table.clio.numerics == "pinned"


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    written(tmp_path, '[data]\nraw = ["/data/night1"]\ncalib = []\n')

    assert load(tmp_path).folders == (Path("/data/night1"),)


CASES = [
    ("[clio]\njbos = 2\n", 2, "unknown key clio.jbos", "did you mean jobs?"),
    ("[cilo]\n", 1, "unknown key cilo", "did you mean clio?"),
    ("\n[data]\nraw = 'raw'\n", 3, "data.raw = 'raw': input should be a valid list", ""),
    ("[clio]\njobs = 'two'\n", 2, "clio.jobs = 'two': input should be a valid integer", ""),
    ("[clio]\njobs = 0\n", 2, "clio.jobs = 0: input should be greater than or equal to 1", ""),
    ("[clio]\nclock = 'stopped'\n", 2, "clio.clock = 'stopped': input should be 'frozen' or 'real'", ""),
    ("[data]\nifus = [1, 25]\n", 2, "data.ifus.1 = 25: input should be less than or equal to 24", ""),
    ("[recipes.muse_baas]\nnlow = 1\n", 1, "unknown recipe muse_baas", "did you mean muse_bias?"),
    (
        "[recipes.muse_bias]\nnlow = [1]\n",
        2,
        "recipes.muse_bias.nlow = [1]: expected text, a number, true or false",
        "",
    ),
    ("[associate.MASTER_FALT]\nwindow_d = 2\n", 1, "unknown tag MASTER_FALT", "did you mean MASTER_FLAT?"),
    (
        "[associate.MASTER_FLAT]\nwindow = 2\n",
        2,
        "unknown key associate.MASTER_FLAT.window",
        "did you mean window_d?",
    ),
    (
        "[[override]]\nwhere = {exposure = 'x'}\nrecipes.muse_bias.nlow = 1\n\n"
        "[[override]]\nwhere = {exposrue = 'x'}\nrecipes.muse_bias.nlow = 1\n",
        6,
        "unknown key override.1.where.exposrue",
        "did you mean exposure?",
    ),
    (
        "[[override]]\nwhere = {}\nrecipes.muse_bais.nlow = 1\n",
        3,
        "unknown recipe muse_bais",
        "did you mean muse_bias?",
    ),
    (
        "[[override]]\nrecipes.muse_bias.nlow = 1\n",
        1,
        "override.0.where is missing",
        "",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    CASES,
    ids=[
        *("key", "table", "list", "type", "range", "choice", "ifu", "recipe", "parameter", "tag", "policy"),
        *("where", "override-recipe", "no-where"),
    ],
)
def test_what_is_wrong_ends_with_2_and_file_line_and_nearest_name(
    tmp_path: Path, text: str, line: int, message: str, hint: str
) -> None:
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.message.startswith(f"{path}, line {line}: {message}")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {path}: No such file or directory"),
        (b"[clio\n", "{path} is not TOML: "),
        (b"a = '\xff'\n", "{path} is not UTF-8 text"),
    ],
    ids=["missing", "toml", "text"],
)
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "clio.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert caught.value.message.startswith(message.format(path=path))
    if content is None:
        assert caught.value.hint == "start a workspace with: clio init"


@pytest.mark.parametrize(
    ("value", "spelled"),
    [(True, "TRUE"), (False, "FALSE"), (3, "3"), (0.5, "0.5"), ("cube,skymodel", "cube,skymodel")],
)
def test_values_are_written_as_esorex_takes_them(value: str | bool | int | float, spelled: str) -> None:
    assert spell(value) == spelled


@pytest.mark.parametrize(
    ("where", "applies"),
    [
        ({"exposure": "E"}, True),
        ({"exposure": "F"}, False),
        ({"target": "T", "dataset": "D"}, True),
        ({"target": "T", "dataset": "other"}, False),
        ({"template": "TPL"}, True),
        ({"template": "other"}, False),
        ({"stage": "prep_align"}, False),
        ({"stage": "scipost"}, True),
        ({}, True),
    ],
    ids=[
        *("exposure", "another", "both", "one-of-two", "template", "other-template", "other-stage", "stage"),
        "everywhere",
    ],
)
def test_an_override_applies_where_all_it_names_agrees(
    tmp_path: Path, where: dict[str, str], applies: bool
) -> None:
    inline = ", ".join(f'{name} = "{value}"' for name, value in where.items())
    text = f"[[override]]\nwhere = {{{inline}}}\nrecipes.muse_scipost.dx = 1\n"
    settings = load(written(tmp_path, text))

    found = list(settings.overrides("muse_scipost", Scope(Stage.SCIPOST, "E", "TPL", "D", "T")))

    assert [number for number, _ in found] == ([0] if applies else [])


TEXT = """\
[clio]
jobs = 2

[targets."NGC 1"]
match = ["a", "b"]

[[override]]
where = {exposure = "x"}

[[ override ]]
where.target = "y"
[override.recipes.muse_flat]
order = 5
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("clio",), 1),
        (("clio", "jobs"), 2),
        (("clio", "absent"), 1),
        (("targets", "NGC 1", "match", 1), 5),
        (("override", 0, "where", "exposure"), 8),
        (("override", 1, "where", "target"), 11),
        (("nothing",), 1),
    ],
)
def test_keys_are_found_in_the_text(keys: tuple[str | int, ...], line: int) -> None:
    assert locate(TEXT, keys) == line


def test_the_nearest_name_is_suggested_or_all_are_listed() -> None:
    assert nearest("jbos", ["jobs", "store"]) == "did you mean jobs?"
    assert nearest("zzz", ["store", "jobs"]) == "known are jobs, store"
