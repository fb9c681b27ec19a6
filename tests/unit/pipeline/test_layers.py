"""What wins: the workflow, `clio.toml` from the least to the most particular, then the call."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import FileTable, Settings
from pipeline.layers import Arguments, Given, Setter, holding, layers
from pipeline.model import Scope, Stage

SCOPE = Scope(Stage.SCIPOST_PEREXPO, "2026-01-16T01:42:00.490", "2026-01-16T01:40:00", "2001", "NGC 1")

WORDS = {
    "exposure": SCOPE.exposure,
    "template": SCOPE.template,
    "dataset": SCOPE.dataset,
    "target": SCOPE.target,
    "stage": SCOPE.stage.value,
}
"""From the most to the least particular."""


def settings(**tables: object) -> Settings:
    return Settings(Path("/w"), FileTable.model_validate(tables), Path("/w/clio.toml"))


def override(value: int, **where: object) -> dict[str, object]:
    return {"where": where, "recipes": {"muse_scipost": {"dx": value}}}


NONE = Arguments({})


def dx(made: Settings, arguments: Arguments = NONE) -> Given:
    return holding(layers(SCOPE, None, made, arguments))["dx"]


@pytest.mark.parametrize("word", WORDS)
def test_what_names_something_particular_wins_whatever_stands_later(word: str) -> None:
    words = list(WORDS)
    less = {name: WORDS[name] for name in words[words.index(word) + 1 :]}
    made = settings(override=[override(1, **{word: WORDS[word]}), override(2, **less)])

    assert dx(made).value == "1"


def test_a_name_is_more_particular_than_a_pattern_and_a_list_of_names_is_a_name() -> None:
    by_name = override(1, exposure=[SCOPE.exposure, "another"])
    made = settings(override=[by_name, override(2, exposure="2026-01-16*"), override(3)])

    assert [number for number, _ in made.overrides("muse_scipost", SCOPE)] == [2, 1, 0]


def test_of_two_that_name_the_same_the_later_wins() -> None:
    made = settings(override=[override(1, target="NGC 1"), override(2, target="NGC 1")])

    assert dx(made) == Given("dx", "2", Setter.SETTINGS, ("override", 1, "recipes", "muse_scipost", "dx"))


@given(st.permutations(list(WORDS)))
def test_the_order_in_the_file_counts_only_among_equals(order: list[str]) -> None:
    made = settings(override=[override(n, **{word: WORDS[word]}) for n, word in enumerate(order)])

    assert dx(made).value == str(order.index("exposure"))


def test_an_argument_of_the_call_wins_over_everything() -> None:
    arguments = Arguments({SCOPE.stage: {"dx": "9"}}, Setter.COMMAND)
    made = settings(recipes={"muse_scipost": {"dx": 1}}, override=[override(2, exposure=SCOPE.exposure)])

    assert dx(made, arguments) == Given("dx", "9", Setter.COMMAND)
    assert dx(made).value == "2"


def test_what_later_stages_rely_on_stays() -> None:
    made = settings(recipes={"muse_scipost": {"save": "cube"}})

    held = holding(layers(SCOPE, None, made, Arguments({SCOPE.stage: {"save": "cube"}})))

    assert held["save"] == Given("save", "individual", Setter.WORKFLOW)


def test_variables_of_the_library_follow_the_same_order() -> None:
    def table(value: str) -> dict[str, object]:
        return {"muse_scipost": {"environment": {"MUSE_SUPERFLAT_POS": value}}}

    overrides = [{"where": {"target": "NGC 1"}, "recipes": table("2")}, {"where": {}, "recipes": table("3")}]
    made = settings(recipes=table("1"), override=overrides)

    assert made.environment("muse_scipost", SCOPE) == (("MUSE_SUPERFLAT_POS", "2"),)
    assert made.environment("muse_bias", SCOPE) == ()
