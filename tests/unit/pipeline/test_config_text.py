"""The commented file says every key, and the schema says what the tables say."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fakes import parameters_of
from jsonschema import Draft7Validator

from pipeline import config
from pipeline.config import FileTable, load
from pipeline.config_text import meanings, schema, toml_key, toml_value, write_commented
from pipeline.image import RecipeParameter
from pipeline.own.table import OWN
from pipeline.recipes import RECIPES

TABLES = [
    table for table in vars(config).values() if isinstance(table, type) and issubclass(table, config.Table)
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_has_its_meaning(table: type[config.Table]) -> None:
    if table is not config.Table:
        assert [name for name in table.model_fields if not meanings().get((table.__name__, name))] == []


def test_the_file_is_right_as_it_is_and_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "clio.toml").write_text(write_commented())

    assert load(tmp_path).table == FileTable()


TEMPLATE = write_commented().splitlines()
KEYS = [number for number, line in enumerate(TEMPLATE) if re.match(r"#\w[\w.]* = ", line)]


@pytest.mark.parametrize("number", KEYS, ids=lambda number: TEMPLATE[number].partition(" ")[0])
def test_every_key_may_be_uncommented(tmp_path: Path, number: int) -> None:
    """Each by itself, with the header of its table; those of a table in a list together."""
    header = max(n for n in range(number) if re.match(r"#?\[", TEMPLATE[n]))
    lines = [TEMPLATE[header].lstrip("#"), TEMPLATE[number].lstrip("#")]
    if lines[0].startswith("[["):
        end = TEMPLATE.index("", header)
        lines = [line.lstrip("#") for line in TEMPLATE[header:end] if re.match(r"#\w|#\[\[", line)]
    (tmp_path / "clio.toml").write_text("\n".join(lines))

    load(tmp_path)


def test_the_file_shows_every_key() -> None:
    shown = {TEMPLATE[number].lstrip("#").partition(" ")[0] for number in KEYS}

    tables = [t for t in TABLES if t not in (config.Table, config.FileTable, config.WhereTable)]
    names = {name for table in tables if table is not config.OverrideTable for name in table.model_fields}
    assert names - shown - NESTED == set()


NESTED: set[str] = set()
"""Keys that are shown otherwise."""


def test_what_is_shown_as_a_default_is_the_default(tmp_path: Path) -> None:
    """Keys without an example: uncommented, nothing changes."""
    text = write_commented()
    kept = [
        line[1:] for line in text.splitlines() if re.match(r"#(store|engine|clock|link|dark|illum) =", line)
    ]
    found = tomllib.loads("\n".join(kept))

    flat = {**FileTable().clio.model_dump(), **FileTable().workflow.model_dump()}
    assert found == {name: flat[name] for name in found}
    assert len(found) == 6


def test_lines_fit_a_terminal() -> None:
    assert max(map(len, write_commented().splitlines())) <= 80


@pytest.mark.parametrize("value", [True, 3, 0.5, 'a "quoted" ü\n', ["a", 1], {"a b": [True]}])
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    assert tomllib.loads(f"{toml_key('a key')} = {toml_value(value)}") == {"a key": value}


def known(recipe: str) -> tuple[RecipeParameter, ...]:
    return OWN[recipe].parameters if recipe in OWN else parameters_of(recipe)


GOOD = """
[clio]
jobs = 2
[associate.MASTER_FLAT]
window_d = 2
[recipes.muse_flat]
order = 7
environment = { MUSE_SUPERFLAT_POS = "1" }
[recipes.clio_align]
search = 4.5
[[override]]
where = { exposure = ["a", "b*"], stage = "scipost" }
recipes.muse_scipost = { skymethod = "none", dx = 0.3 }
"""

BAD = {
    "key": "[clio]\njbos = 2\n",
    "type": "[clio]\njobs = 'two'\n",
    "choice": "[clio]\nclock = 'stopped'\n",
    "recipe": "[recipes.muse_baas]\nx = 1\n",
    "tag": "[associate.MASTER_FALT]\nwindow_d = 2\n",
    "parameter": "[recipes.muse_flat]\nordre = 7\n",
    "kind": "[recipes.muse_flat]\norder = 'many'\n",
    "parameter-choice": "[recipes.muse_bias]\ncombine = 'mode'\n",
    "where": "[[override]]\nwhere = { exposrue = 'x' }\nrecipes = {}\n",
}


def test_the_schema_takes_what_is_right() -> None:
    document = schema(known)
    Draft7Validator.check_schema(document)

    assert list(Draft7Validator(document).iter_errors(tomllib.loads(GOOD))) == []
    assert list(Draft7Validator(document).iter_errors(tomllib.loads(write_commented()))) == []


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_the_schema_refuses_what_the_program_refuses(text: str) -> None:
    assert list(Draft7Validator(schema(known)).iter_errors(tomllib.loads(text)))


def test_without_an_image_any_parameter_is_taken_and_recipes_are_still_known() -> None:
    validator = Draft7Validator(schema())

    assert list(validator.iter_errors(tomllib.loads(BAD["parameter"]))) == []
    assert list(validator.iter_errors(tomllib.loads(BAD["recipe"])))


def test_the_schema_describes_keys_and_parameters() -> None:
    document = schema(known)

    assert set(document["$defs"]["Recipes"]["properties"]) == set(RECIPES)
    assert document["$defs"]["ClioTable"]["properties"]["jobs"]["description"].startswith("Recipes at once")
    order = document["$defs"]["Recipes"]["properties"]["muse_flat"]["properties"]["order"]
    assert (order["type"], order["default"]) == ("integer", 5)
    json.dumps(document)
