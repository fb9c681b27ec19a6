"""`clio params`: what recipes take, what a workspace sets of it, and what changed between two images."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import DIGEST, install_image
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.errors import ConfigError, Exit, ImageError, UsageError

Clio = Callable[..., Result]

NEWER = "sha256:" + "d0" * 32
"""Another image."""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where an image is."""
    install_image(tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def newer(cache: Path) -> Path:
    """The home of another image: another esorex, a recipe more, one less, and one with other parameters."""
    install_image(cache, NEWER)
    home = cache / "images" / NEWER.removeprefix("sha256:")
    edit(home / "packages.json", lambda rows: rows[0].update(version="3.13.8-1"))
    recipes = json.loads((home / "recipes.json").read_text())
    kept = [row for row in recipes if row["name"] != "muse_dark"]
    kept.append({"name": "muse_new", "version": "2.9.0"})
    (home / "recipes.json").write_text(json.dumps(kept))
    (home / "parameters" / "muse_new.json").write_text("[]")
    edit(home / "parameters" / "muse_flat.json", change_flat)
    return home


def edit(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def change_flat(rows: list[dict[str, Any]]) -> None:
    by_option = {row["option"]: row for row in rows}
    by_option["order"]["value"] = "6"
    by_option["nsum"] |= {"low": "1", "high": "64"}
    by_option["trace"]["help"] = "Trace the slices."
    rows.remove(by_option["edgefrac"])
    rows.append({**by_option["order"], "name": "muse.muse_flat.smooth", "option": "smooth"})


def refusal(result: Result) -> UsageError | ImageError:
    assert isinstance(result.exception, UsageError | ImageError)
    assert result.stdout == ""
    return result.exception


def document(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


# One image


def test_without_a_recipe_all_are_listed(clio: Clio, cache: Path) -> None:
    shown = clio("params").stdout.splitlines()

    assert shown[0] == "image c0c0c0c0c0c0"
    assert shown[1].split() == ["recipe", "version", "parameters"]
    assert ["muse_bias", "2.8.7", "14"] in [line.split() for line in shown]


def test_outside_of_a_workspace_the_only_image_answers(clio: Clio, cache: Path) -> None:
    shown = clio("params", "muse_bias").stdout

    assert shown.startswith("muse_bias 2.8.7 of image c0c0c0c0c0c0\n")
    assert "\ncombine = sigclip  (string: average, median, minmax, sigclip)\n" in shown
    assert "\nnifu = 0  (int: from -1 to 24)\n    set: by clio, the IFU of each step of bias\n" in shown


def test_what_the_workspace_sets_is_told_with_its_line(clio: Clio, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "clio.toml").write_text("[recipes.muse_flat]\norder = 7\n")

    shown = clio("params", "muse_flat").stdout

    assert "\norder = 5  (int)\n    set: 7 by clio.toml, line 2, for flat\n" in shown


def test_a_line_without_effect_is_refused(clio: Clio, cache: Path, tmp_path: Path) -> None:
    text = '[[override]]\nwhere = { stage = "prep_align" }\nrecipes.muse_scipost.save = "cube"\n'
    (tmp_path / "clio.toml").write_text(text)

    result = clio("params", "muse_scipost")

    assert isinstance(result.exception, ConfigError)
    assert "line 3: save of prep_align is set by the workflow" in result.exception.message


def test_nothing_is_wider_than_a_narrow_terminal(
    clio: Clio, cache: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    both = ("--image", DIGEST, "--image", NEWER)

    for words in (("--image", DIGEST), ("muse_scipost", "--image", DIGEST), both, ("muse_flat", *both)):
        assert max(map(len, clio("params", *words).stdout.splitlines())) <= 80


def test_a_recipe_nobody_knows_gets_the_nearest_name(clio: Clio, cache: Path) -> None:
    refused = refusal(clio("params", "muse_bais"))

    assert refused.exit_code is Exit.USAGE
    assert refused.message == "image c0c0c0c0c0c0 has no recipe muse_bais"
    assert refused.hint == "did you mean muse_bias?"


def test_a_parameter_as_json(clio: Clio, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "clio.toml").write_text("[recipes.muse_flat]\norder = 7\n")

    found = document(clio("params", "muse_flat", "--json"))

    assert (found["schema"], found["image"], found["other"]) == ("clio-params/1", DIGEST, None)
    (recipe,) = found["recipes"]
    assert (recipe["name"], recipe["version"]) == ("muse_flat", "2.8.7")
    assert next(p for p in recipe["parameters"] if p["option"] == "order") == {
        "name": "muse.muse_flat.order",
        "option": "order",
        "type": "int",
        "default": "5",
        "choices": [],
        "low": None,
        "high": None,
        "help": "",
        "set": [{"by": "clio.toml", "value": "7", "stages": ["flat"], "line": 2, "where": {}}],
    }


# Two images


def test_two_images_are_compared_recipe_by_recipe(clio: Clio, newer: Path) -> None:
    shown = clio("params", "--image", DIGEST, "--image", "d0d0d0d0").stdout.splitlines()

    assert shown == [
        "image c0c0c0c0c0c0 -> image d0d0d0d0d0d0",
        "  package esorex: 3.13.6-1 -> 3.13.8-1",
        "muse_dark 2.8.7: removed",
        "muse_flat 2.8.7",
        "  trace: help none -> Trace the slices.",
        "  nsum: allowed values none -> from 1 to 64",
        "  order: default 5 -> 6",
        "  edgefrac: removed, default was 0.5",
        "  smooth: added, default 6",
        "muse_new 2.9.0: added",
        "2 recipes clio 1: the same parameters",
        "10 recipes 2.8.7: the same parameters",
    ]


def test_two_images_are_compared_for_one_recipe(clio: Clio, newer: Path) -> None:
    both = ("--image", DIGEST, "--image", NEWER)

    same, changed = (clio("params", recipe, *both).stdout for recipe in ("muse_bias", "muse_flat"))

    assert same.splitlines()[-1] == "muse_bias 2.8.7: the same parameters"
    assert "muse_bias" not in changed


def test_two_images_as_json(clio: Clio, newer: Path) -> None:
    found = document(clio("params", "muse_flat", "--image", DIGEST, "--image", NEWER, "--json"))

    assert (found["image"], found["other"], found["recipe"]) == (DIGEST, NEWER, "muse_flat")
    assert found["packages"] == [
        {
            "name": "esorex",
            "old": "3.13.6-1",
            "new": "3.13.8-1",
            "text": "package esorex: 3.13.6-1 -> 3.13.8-1",
        }
    ]
    (recipe,) = found["recipes"]
    assert (recipe["version"], recipe["other_version"]) == ("2.8.7", "2.8.7")
    assert {(c["option"], c["what"], c["old"], c["new"]) for c in recipe["changes"]} == {
        ("order", "default", "5", "6"),
        ("nsum", "allowed values", "", "from 1 to 64"),
        ("trace", "help", "", "Trace the slices."),
        ("edgefrac", "removed", "0.5", None),
        ("smooth", "added", None, "6"),
    }


@pytest.mark.parametrize("recipe", [(), ("muse_flat",)])
def test_every_field_of_a_comparison_is_documented(clio: Clio, newer: Path, recipe: tuple[str, ...]) -> None:
    found = document(clio("params", *recipe, "--image", DIGEST, "--image", NEWER, "--json"))

    assert set(paths(found, documented("clio-params/1"))) <= documented("clio-params/1").keys()


def test_a_recipe_in_neither_image_is_refused(clio: Clio, newer: Path) -> None:
    refused = refusal(clio("params", "muse_nev", "--image", DIGEST, "--image", NEWER))

    assert refused.message == "image c0c0c0c0c0c0 and image d0d0d0d0d0d0 have no recipe muse_nev"
    assert refused.hint == "did you mean muse_new?"


def test_three_images_are_one_too_many(clio: Clio, newer: Path) -> None:
    refused = refusal(clio("params", *("--image", DIGEST) * 3))

    assert refused.message == "3 images are named"


def test_several_images_and_none_named_is_refused(clio: Clio, newer: Path) -> None:
    assert refusal(clio("params", "muse_bias")).hint == "name one"
