"""Parameters joined with the defaults of the image, each in one spelling."""

import pytest
from fakes import parameters_of
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Exit, UsageError
from pipeline.image.recipes import RecipeParameter
from pipeline.parameters import Aspect, ParameterChange, allowed, effective, parameter_changes, spell

KINDS = {"int": st.integers(), "double": st.floats(allow_nan=False, allow_infinity=False)}


def parameter(kind: str, default: str = "1") -> RecipeParameter:
    return RecipeParameter("muse.r.x", "x", default, kind, (), None, None, "")


@given(
    st.one_of(
        st.tuples(st.just("int"), st.integers().map(str)),
        st.tuples(st.just("double"), KINDS["double"].map(str)),
        st.tuples(st.just("bool"), st.sampled_from(["TRUE", "false", "T", "f", "Yes", "no", "1", "0"])),
        st.tuples(st.just("string"), st.text(max_size=10)),
    )
)
def test_spelling_is_idempotent(case: tuple[str, str]) -> None:
    kind, value = case
    once = spell(parameter(kind), value)

    assert spell(parameter(kind), once) == once


@given(KINDS["double"])
def test_spelling_a_double_loses_nothing(value: float) -> None:
    assert float(spell(parameter("double"), repr(value))) == value


@pytest.mark.parametrize(
    ("kind", "spellings", "one"),
    [
        ("double", ("30", "30.0", "3e1", "+30", " 30 "), "30"),
        ("double", ("0.5", ".5", "5e-1", "0.50"), "0.5"),
        ("double", ("0", "-0", "0.0", "-0.0"), "0"),
        ("int", ("5", "+5", "05"), "5"),
        ("bool", ("TRUE", "true", "T", "yes", "1"), "TRUE"),
        ("bool", ("FALSE", "False", "f", "No", "0"), "FALSE"),
        ("string", ("cube,skymodel",), "cube,skymodel"),
    ],
)
def test_one_value_has_one_spelling(kind: str, spellings: tuple[str, ...], one: str) -> None:
    """Promise 3, DESIGN.md section 3: `30`, `30.0` and `3e1` are one value of a double."""
    assert {spell(parameter(kind), value) for value in spellings} == {one}


def test_all_values_are_effective_defaults_included() -> None:
    """Promise 3."""
    known = parameters_of("muse_bias")
    full = effective("muse_bias", known, (("nifu", "2"), ("ovscsigma", "3e1"), ("nlow", "2.0"[:1])))

    assert {name for name, _ in full.values} == {p.name for p in known}
    assert dict(full.values)["muse.muse_bias.nlow"] == "2"
    assert full.options == (("nifu", "2"), ("nlow", "2"))
    assert "muse.muse_bias.ovscsigma" in full.defaults
    assert set(full.defaults) == {p.name for p in known if p.option not in ("nifu", "nlow")}


@pytest.mark.parametrize(
    ("option", "value", "message", "hint"),
    [
        ("nloww", "1", "muse_bias has no parameter nloww", "did you mean nlow?"),
        ("zzz", "1", "muse_bias has no parameter zzz", "see: clio params muse_bias"),
        ("nlow", "two", "muse_bias.nlow = 'two', expected int", ""),
        ("nlow", "1.5", "muse_bias.nlow = '1.5', expected int", ""),
        ("lsigma", "high", "muse_bias.lsigma = 'high', expected double", ""),
        ("merge", "maybe", "muse_bias.merge = 'maybe', expected bool", ""),
        (
            "combine",
            "mode",
            "muse_bias.combine = 'mode', expected one of average, median, minmax, sigclip",
            "",
        ),
        ("nifu", "25", "muse_bias.nifu = 25, expected at most 24", ""),
        ("nifu", "-2", "muse_bias.nifu = -2, expected at least -1", ""),
        ("lsigma", "nan", "muse_bias.lsigma = 'nan', expected double", ""),
        ("lsigma", "inf", "muse_bias.lsigma = 'inf', expected double", ""),
    ],
    ids=["misspelt", "unknown", "text", "fraction", "double", "bool", "choice", "high", "low", "nan", "inf"],
)
def test_what_a_recipe_does_not_take_is_refused(option: str, value: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        effective("muse_bias", parameters_of("muse_bias"), ((option, value),))

    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code is Exit.USAGE


def test_the_order_of_options_leaves_no_trace() -> None:
    """Promise 2."""
    known = parameters_of("muse_flat")
    options = (("order", "7"), ("nifu", "1"), ("nsum", "16"))

    assert effective("muse_flat", known, options) == effective(
        "muse_flat", tuple(reversed(known)), tuple(reversed(options))
    )


# Two images


def declared(**fields: object) -> RecipeParameter:
    known: dict[str, object] = {
        "name": "muse.r.x",
        "option": "x",
        "value": "1",
        "kind": "double",
        "choices": (),
        "low": None,
        "high": None,
        "help": "a number",
    }
    return RecipeParameter(**(known | fields))  # type: ignore[arg-type]


def test_the_same_parameters_in_another_order_and_spelling_are_no_change() -> None:
    first, second = declared(value="0.1"), declared(name="muse.r.y", option="y")

    assert parameter_changes((first, second), (second, declared(value="0.10000000000000001"))) == ()


@pytest.mark.parametrize(
    ("fields", "aspect", "old", "new"),
    [
        ({"value": "2"}, Aspect.DEFAULT, "1", "2"),
        ({"kind": "int"}, Aspect.TYPE, "double", "int"),
        ({"choices": ("1", "2")}, Aspect.ALLOWED, "", "1, 2"),
        ({"low": "0"}, Aspect.ALLOWED, "", "from 0"),
        ({"low": "0", "high": "5"}, Aspect.ALLOWED, "", "from 0 to 5"),
        ({"help": "another number"}, Aspect.HELP, "a number", "another number"),
        ({"option": "ex"}, Aspect.OPTION, "x", "ex"),
    ],
)
def test_what_changed_of_a_parameter_is_named(
    fields: dict[str, object], aspect: Aspect, old: str, new: str
) -> None:
    later = declared(**fields)

    assert parameter_changes((declared(),), (later,)) == (
        ParameterChange("muse.r.x", later.option, aspect, old, new),
    )


def test_what_is_there_in_one_image_only_is_named_with_its_default() -> None:
    extra = declared(name="muse.r.y", option="y", value="7")

    added, removed = (parameter_changes(*pair) for pair in (((), (extra,)), ((extra,), ())))

    assert added == (ParameterChange("muse.r.y", "y", Aspect.ADDED, None, "7"),)
    assert removed == (ParameterChange("muse.r.y", "y", Aspect.REMOVED, "7", None),)


@pytest.mark.parametrize("recipe", ["muse_bias", "muse_scipost", "muse_exp_align"])
def test_comparing_two_images_the_other_way_round_tells_the_same(recipe: str) -> None:
    old, new = parameters_of(recipe), parameters_of("muse_flat")
    mirrored = {Aspect.ADDED: Aspect.REMOVED, Aspect.REMOVED: Aspect.ADDED}

    there = {(c.name, c.aspect, c.old, c.new) for c in parameter_changes(old, new)}
    back = {(c.name, mirrored.get(c.aspect, c.aspect), c.new, c.old) for c in parameter_changes(new, old)}

    assert there
    assert there == back


def test_what_a_parameter_takes_is_said_in_words() -> None:
    assert allowed(declared(choices=("a", "b"))) == "a, b"
    assert allowed(declared(low="-1", high="24")) == "from -1 to 24"
    assert allowed(declared()) == ""
