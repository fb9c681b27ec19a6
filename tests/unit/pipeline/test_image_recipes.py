"""Parameters as esorex declares them, spelled as it spells them."""

import json

import pytest

from pipeline.errors import ImageError
from pipeline.image.recipes import RecipeParameter, parameters_from_json, parameters_to_json, read_parameters

ROW = {
    "name": "muse.muse_bias.x",
    "value": 0,
    "valtype": "int",
    "partype": "value",
    "display_name": "x",
    "description": "what it does",
    "recipe": "muse_bias",
}


def parameter(text: str) -> RecipeParameter:
    (only,) = read_parameters(text)
    return only


def declared(**fields: object) -> str:
    return json.dumps([{**ROW, **fields}])


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        ('"value": 30', "30"),
        ('"value": -1', "-1"),
        ('"value": 0.10000000000000001', "0.10000000000000001"),
        ('"value": 1e-30', "1e-30"),
        ('"value": true', "TRUE"),
        ('"value": false', "FALSE"),
        ('"value": "vpoly"', "vpoly"),
        ('"value": ""', ""),
    ],
)
def test_values_stay_as_they_are_spelled(given: str, spelled: str) -> None:
    text = declared(value=12345).replace('"value": 12345', given)

    assert parameter(text).value == spelled


def test_range_and_choices_are_text_too() -> None:
    ranged = parameter(declared(partype="range", valmin=-1, valmax=24))
    chosen = parameter(declared(partype="enum", valtype="string", value="b", valenum=["a", "b"]))

    assert (ranged.low, ranged.high, ranged.choices) == ("-1", "24", ())
    assert (chosen.low, chosen.high, chosen.choices) == (None, None, ("a", "b"))


def test_parameters_survive_the_cache() -> None:
    parameters = read_parameters(declared(valenum=["a"], valmin=0.5))

    assert parameters_from_json(parameters_to_json(parameters)) == parameters


@pytest.mark.parametrize("text", ["", "{}x", '[{"name": "a"}]', "[1]"])
def test_unknown_form_is_said(text: str) -> None:
    with pytest.raises(ImageError, match="in an unknown form"):
        read_parameters(text)
