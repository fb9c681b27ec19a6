"""Two recipe images that differ in one default, with real recipes: what the answers say of it.

The second image is the first with another default written into the plugin of muse_bias, and a version of its
own for the package; nothing is fetched.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.app import app
from pipeline.config import load
from pipeline.engine import Engine, RecipeImage
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.simulate import NightOptions
from pipeline.simulate.frames import write_frame
from pipeline.simulate.night import night
from tests.images import LOCAL, RECIPES, image_with_another_default

OPTIONS = NightOptions(ifus=(1,), exposures=1)
NAME = "muse.muse_bias.ovscreject"
"""The parameter whose default differs."""

pytestmark = pytest.mark.bubblewrap

Clio = Callable[..., Result]


@pytest.fixture(scope="module")
def cache(image: RecipeImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library of two images."""
    folder = tmp_path_factory.mktemp("cache")
    ImageLibrary(folder).add_archive(image.archive)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def patched(image: RecipeImage, cache: Path) -> RecipeImage:
    """The image with another default."""
    how = {"plugin": "muse_bias", "old": "dcr", "new": "fit"}
    return image_with_another_default(image, ImageLibrary(cache), cache, **how)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three biases of one IFU."""
    folder = tmp_path_factory.mktemp("raw")
    for exposure in night(OPTIONS):
        if exposure.tag == "BIAS":
            write_frame(folder / exposure.arcfile, exposure, OPTIONS)
    return folder


@pytest.fixture(scope="module")
def clio(cache: Path, patched: RecipeImage) -> Clio:
    """Call the command on a machine that has both images."""

    def call(*words: object) -> Result:
        environment = {**os.environ, "CLIO_CACHE": str(cache), "CLIO_ENGINE": "bubblewrap"}
        return CliRunner().invoke(app, [str(word) for word in words], env=environment)

    return call


Reduce = Callable[..., Path]


@pytest.fixture(scope="module")
def reduce(
    raw: Path, cache: Path, open_bubblewrap: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Reduce:
    """Reduce the biases in a new workspace with an image, and settings beyond."""

    def call(image: RecipeImage, text: str = "") -> Path:
        root = tmp_path_factory.mktemp("workspace")
        pin(root, raw, image, text)
        with Reduction(load(root), engine=open_bubblewrap, library=ImageLibrary(cache)) as reduction:
            summary = reduction.run((Stage.BIAS,))
        assert (summary.ran, summary.failed, summary.blocked) == (1, 0, 0)
        return root

    return call


@pytest.fixture(scope="module")
def workspace(reduce: Reduce, image: RecipeImage, cache: Path) -> Path:
    """The biases reduced with the first image."""
    return reduce(image)


@pytest.fixture(scope="module")
def with_default(reduce: Reduce, patched: RecipeImage) -> Path:
    """The same with the second image, whose default is another."""
    return reduce(patched)


@pytest.fixture(scope="module")
def with_parameter(reduce: Reduce, image: RecipeImage, cache: Path) -> Path:
    """The same with the first image, and what is the default of the second set by hand."""
    return reduce(image, '[recipes.muse_bias]\novscreject = "fit"\n')


def pin(root: Path, raw: Path, image: RecipeImage, text: str = "") -> None:
    """Write the settings of a workspace."""
    settings = f'[data]\nraw = ["{raw}"]\n[image]\nreference = "{image.config_digest}"\n{text}'
    (root / "clio.toml").write_text(settings)


def document(result: Result, exit_code: int = 0) -> Any:
    assert result.exit_code == exit_code, result.stderr
    return json.loads(result.stdout)


def test_params_names_the_default_and_the_package_that_differ(
    clio: Clio, image: RecipeImage, patched: RecipeImage
) -> None:
    """esorex in each image is asked; nothing but the default and the version of the package differs."""
    both = ("--image", image.config_digest, "--image", patched.config_digest)

    found = document(clio("params", *both, "--json"))

    changes = {row["name"]: row["changes"] for row in found["recipes"] if row["changes"]}
    assert changes == {
        "muse_bias": [{"name": NAME, "option": "ovscreject", "what": "default", "old": "dcr", "new": "fit"}]
    }
    (package,) = found["packages"]
    assert package["name"] == RECIPES
    assert package["new"] == f"{package['old']}{LOCAL}"


def test_why_and_plan_name_a_default_that_moved_between_images(
    clio: Clio, raw: Path, workspace: Path, image: RecipeImage, patched: RecipeImage
) -> None:
    """Promise 3: a default that moves between versions is a change."""
    pin(workspace, raw, patched)
    try:
        why = document(clio("why", "bias", "-C", workspace, "--json"))
        plan = document(clio("plan", "--why", "-C", workspace, "--json"))
    finally:
        pin(workspace, raw, image)

    (step,) = why["steps"]
    told = {cause["kind"]: cause for cause in step["now"]["causes"]}
    assert told.keys() == {"image", "parameter"}
    assert told["parameter"]["text"] == f"parameter {NAME}: dcr -> fit, the default of the other image"
    assert [inner["name"] for inner in told["image"]["causes"]] == [RECIPES]
    assert {cause["text"] for cause in plan["causes"]} == {cause["text"] for cause in told.values()}


# Real products, one beside the other


def test_diff_leads_from_the_pixels_to_the_parameter(
    clio: Clio, workspace: Path, with_parameter: Path
) -> None:
    found = document(clio("diff", *map(master_bias, (workspace, with_parameter)), "--json"), 7)

    (root,) = found["roots"]
    assert (root["cause"]["kind"], root["cause"]["name"]) == ("parameter", NAME)
    assert (root["cause"]["old"], root["cause"]["new"]) == ("dcr", "fit")
    (pair,) = found["products"]
    assert pair["tag"] == "MASTER_BIAS"
    assert found["sameness"] == pair["sameness"] == "different"


def test_diff_names_the_default_that_moved_and_the_package_that_moved_it(
    clio: Clio, workspace: Path, with_default: Path
) -> None:
    found = document(clio("diff", workspace, with_default, "--json"), 7)

    roots = {root["cause"]["kind"]: root["cause"] for root in found["roots"]}
    assert roots.keys() == {"image", "parameter"}
    assert roots["parameter"]["text"] == f"parameter {NAME}: dcr -> fit, the default of the other image"
    assert [inner["name"] for inner in roots["image"]["causes"]] == [RECIPES]
    assert [step["state"] for step in found["steps"]] == ["differs"]


def test_a_default_and_the_same_value_set_by_hand_give_the_same_data(
    clio: Clio, with_default: Path, with_parameter: Path
) -> None:
    """The recipe in the second image does take the other default; only the image tells the two apart."""
    found = document(clio("diff", *map(master_bias, (with_default, with_parameter)), "--json"), 7)

    assert {root["cause"]["kind"] for root in found["roots"]} == {"image"}
    assert found["sameness"] == "same science"


def master_bias(workspace: Path) -> Path:
    """Find the product by its readable name."""
    return next((workspace / "products").rglob("MASTER_BIAS*.fits"))
