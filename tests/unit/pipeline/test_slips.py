"""All slips of a file at once, each with its line and the nearest name (DESIGN.md section 13; F26)."""

import tomllib
from pathlib import Path

import pytest

from pipeline.config import check_document, load, read_document
from pipeline.errors import ConfigError, UsageError
from pipeline.image import RecipeParameter
from pipeline.slips import check_parameter, parameter_slips

TEXT = """\
[clio]
jbos = 2
raw = ["x"]
timeout_min = inf

[data]
ifus = [1, 25]

[recipes.muse_scipost]
dx = [1]

[recipes.muse_scipost.environment]
MUSE_SUPERFLAT_PSO = "1"
MUSE_DEBUG_IGNORE_READOUT = "1"
MUSE_TWILIGHT_SKIP = "/tmp/x.fits"
OMP_NUM_THREADS = "8"

[[override]]
where = { stage = "sciposst", exposure = 3 }
recipes.muse_scipost.dx = 1

[[override]]
where = { stage = "prep_align" }
[override.recipes.muse_scipost]
filter = "white"
skymethod = "none"

[[override]]
where.target = "x"
recipes.muse_baas.nlow = 1

[report]
figures = ["all"]
"""

SLIPS = [
    (2, "unknown key clio.jbos", "did you mean jobs?"),
    (3, "unknown key clio.raw", "raw is a key of [data]"),
    (4, "clio.timeout_min = inf: input should be a finite number", ""),
    (7, "data.ifus.1 = 25: input should be less than or equal to 24", ""),
    (10, "recipes.muse_scipost.dx = [1]: expected text, a number, true or false", ""),
    (
        13,
        "MUSE_SUPERFLAT_PSO is no variable that the MUSE library reads",
        "did you mean MUSE_SUPERFLAT_POS?",
    ),
    (14, "MUSE_DEBUG_IGNORE_READOUT is refused: it makes a recipe check less", ""),
    (15, "MUSE_TWILIGHT_SKIP is refused: it lets a recipe read a file that is no input of it", ""),
    (16, "OMP_NUM_THREADS is no variable that the MUSE library reads", "known are MUSE_AIT_HACK"),
    (19, "override.0.where.exposure = 3: expected text, a list", ""),
    (19, "override.0.where.stage = 'sciposst': input should be 'bias', 'dark'", "did you mean scipost?"),
    (25, "filter of prep_align is set by the workflow: later stages rely on it", "see [workflow]"),
    (30, "unknown recipe muse_baas", "did you mean muse_bias?"),
    (33, "unknown key report.figures", "known are "),
]


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "clio.toml"
    path.write_text(TEXT)

    with pytest.raises(ConfigError) as caught:
        load(path)

    for slip, (line, message, hint) in zip(caught.value.slips, SLIPS, strict=True):
        assert (slip.line, slip.message[: len(message)], slip.hint[: len(hint)]) == (line, message, hint)
    first, *lines = caught.value.message.splitlines()
    assert first == f"{path} has 14 slips"
    assert lines[0] == "  line 2: unknown key clio.jbos (did you mean jobs?)"


@pytest.mark.parametrize("text", ["a = \n", "[clio\n", "a = 1\na = 2\n"], ids=["value", "table", "twice"])
def test_what_is_no_toml_is_said_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clio.toml"
    path.write_text(f"\n{text}")

    with pytest.raises(ConfigError) as caught:
        read_document(path)

    assert caught.value.message.startswith(f"{path} is not TOML: ")
    assert [slip.line for slip in caught.value.slips] == [3 if text.startswith("a = 1") else 2]


KNOWN = (
    RecipeParameter("muse.r.order", "order", "5", "int", (), "1", "9", ""),
    RecipeParameter("muse.r.sigma", "sigma", "3.0", "double", (), None, None, ""),
    RecipeParameter("muse.r.method", "method", "a", "string", ("a", "b"), None, None, ""),
    RecipeParameter("muse.r.pixfrac", "pixfrac", "0.8,0.8", "string", (), None, None, ""),
    RecipeParameter("muse.r.crop", "crop", "TRUE", "bool", (), None, None, ""),
)

REFUSED = {
    "name": ("ordre", 3, "muse_flat has no parameter ordre", "did you mean order?"),
    "type": ("order", "three", "muse_flat.order = 'three', expected int", ""),
    "whole": ("order", 2.5, "muse_flat.order = '2.5', expected int", ""),
    "low": ("order", 0, "muse_flat.order = 0, expected at least 1", ""),
    "high": ("order", 10, "muse_flat.order = 10, expected at most 9", ""),
    "nan": ("sigma", float("nan"), "muse_flat.sigma = 'nan', expected double", ""),
    "choice": ("method", "c", "muse_flat.method = 'c', expected one of a, b", ""),
    "bool-for-text": ("pixfrac", True, "muse_flat.pixfrac = true, expected text", "put it into quotes"),
    "text-for-bool": ("crop", "perhaps", "muse_flat.crop = 'perhaps', expected bool", ""),
    "ours": ("nifu", 3, "muse_flat.nifu is set by clio, step by step", "choose IFUs with [data] ifus"),
}


@pytest.mark.parametrize(("option", "value", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_is_held_against_the_list_of_its_recipe(
    option: str, value: str | bool | int | float, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_parameter("muse_flat", option, value, KNOWN)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_number_may_stand_for_a_text_of_one_number() -> None:
    check_parameter("muse_flat", "pixfrac", 0.7, KNOWN)
    check_parameter("muse_flat", "sigma", 3, KNOWN)
    check_parameter("muse_flat", "crop", False, KNOWN)


def test_parameters_of_every_table_are_checked_with_their_lines() -> None:
    """Also where another slip keeps the file from being used, and of recipes that are not in use."""
    text = (
        "[recipes.muse_dark]\norder = 99\nenvironment = {}\n[recipes.muse_baas]\nx = 1\n"
        "[[override]]\nwhere = 3\nrecipes.muse_flat.sigma = 'x'\n"
    )
    document = tomllib.loads(text)
    slips = tuple(parameter_slips(text, document, lambda recipe: KNOWN))

    assert [(slip.line, slip.message) for slip in slips] == [
        (2, "muse_dark.order = 99, expected at most 9"),
        (8, "muse_flat.sigma = 'x', expected double"),
    ]
    assert [slip.line for slip in check_document(text, document)[1]] == [4, 7]


def test_every_way_in_which_a_stage_calls_a_recipe_counts() -> None:
    text = "[[override]]\nwhere.stage = 'align'\nrecipes.clio_align.search = 4\n"
    text += "recipes.muse_exp_align.fwhm = 4\n"

    assert check_document(text, tomllib.loads(text))[1] == ()
