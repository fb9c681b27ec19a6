"""Every effective value of a workspace, with where it comes from: for a step, a recipe, or the file itself.

Pure but for the text of `clio.toml`, which is read for its lines.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config import Settings
from pipeline.image import RecipeParameter
from pipeline.layers import Arguments, Given, Setter, holding, layers
from pipeline.model import Scope, Stage, Step
from pipeline.origins import settings_of
from pipeline.parameters import default_of, effective
from pipeline.recipes import ROWS, StageRow
from pipeline.toml_lines import locate


@dataclass(frozen=True, slots=True)
class Value:
    """A value that holds, and where it comes from."""

    name: str
    """A parameter by its option, a variable, or a key of the file."""
    value: str
    by: str
    """One of `pipeline.layers.Setter`, or `default` of a key of the file."""
    line: int | None = None
    """Of `clio.toml`."""
    stages: tuple[Stage, ...] = ()
    """For which it holds; empty for a step, or a key of the file."""
    where: tuple[tuple[str, str], ...] = ()
    """Of an `[[override]]`: it holds for these steps only."""


Known = Callable[[str], tuple[RecipeParameter, ...]]
"""Gives the parameters of a recipe as the image declares them."""


def of_step(
    step: Step, settings: Settings, arguments: Arguments, known: Known, *, full: bool
) -> tuple[Value, ...]:
    """List the parameters and variables of a step.

    Parameters
    ----------
    step : Step
        Of a plan.
    settings, arguments, known
        As for the plan.
    full : bool
        With the defaults of the recipe.

    Raises
    ------
    UsageError
        A parameter that the recipe does not know, or a value it does not take.
    """
    if step.scope is None:
        return ()
    text = settings.file.read_text(encoding="utf-8")
    # What holds is what the plan says; where in the file it stands, the layers know.
    said = holding(layers(step.scope, None, settings, arguments, _row(step)))
    values = dict(step.parameters)
    held = {
        option: Given(option, values[option], Setter(by), said[option].keys if by == Setter.SETTINGS else ())
        for option, by in step.origins
    }
    return (*_parameters(step.recipe, held, known, text, full), *_variables(step, text, settings))


def of_recipe(
    recipe: str, settings: Settings, arguments: Arguments, known: Known, *, full: bool
) -> tuple[Value, ...]:
    """List the parameters of a recipe for the stages that call it; overrides of single steps at the end."""
    text = settings.file.read_text(encoding="utf-8")
    found: dict[Value, list[Stage]] = {}
    for row in ROWS:
        if row.recipe == recipe:
            held = holding(layers(Scope(row.stage), None, settings, arguments, row))
            for value in _parameters(recipe, held, known, text, full):
                found.setdefault(value, []).append(row.stage)
    everywhere = [Value(v.name, v.value, v.by, v.line, tuple(stages)) for v, stages in found.items()]
    some = [
        Value(s.option, s.value, s.by.value, s.line, s.stages, s.where)
        for s in settings_of(recipe, settings)
        if any(word != "stage" for word, _ in s.where)
    ]
    return (*sorted(everywhere, key=lambda value: value.name), *some)


def of_file(settings: Settings, *, full: bool) -> tuple[Value, ...]:
    """List the keys of `clio.toml` that are set; with `full`, all that have a default too."""
    text = settings.file.read_text(encoding="utf-8")
    table = settings.table
    written = dict(_flat(table.model_dump(mode="json", exclude_unset=True)))
    values = dict(_flat(table.model_dump(mode="json"))) if full else written
    return tuple(
        Value(".".join(map(str, keys)), _shown(value), "clio.toml", locate(text, keys))
        if keys in written
        else Value(".".join(map(str, keys)), _shown(value), "default")
        for keys, value in values.items()
    )


def _row(step: Step) -> StageRow:
    """Find how a step calls its recipe."""
    return next(row for row in ROWS if (row.stage, row.recipe) == (step.stage, step.recipe))


def _parameters(
    recipe: str, held: Mapping[str, Given], known: Known, text: str, full: bool
) -> Iterator[Value]:
    declared = known(recipe)
    options = tuple((option, given.value) for option, given in held.items())
    values = dict(effective(recipe, declared, options).values)
    for parameter in sorted(declared, key=lambda parameter: parameter.option):
        given = held.get(parameter.option)
        if given is not None:
            line = locate(text, given.keys) if given.keys else None
            yield Value(parameter.option, values[parameter.name], given.by.value, line)
        elif full:
            yield Value(parameter.option, default_of(parameter), Setter.RECIPE.value)


def _variables(step: Step, text: str, settings: Settings) -> Iterator[Value]:
    assert step.scope is not None
    keys: dict[str, tuple[str | int, ...]] = {}
    everywhere = settings.table.recipes.get(step.recipe)
    for name in everywhere.environment if everywhere else ():
        keys[name] = ("recipes", step.recipe, "environment", name)
    for number, table in settings.overrides(step.recipe, step.scope):
        for name in table.environment:
            keys[name] = ("override", number, "recipes", step.recipe, "environment", name)
    for name, value in step.environment:
        yield Value(name, value, Setter.SETTINGS.value, locate(text, keys[name]))


def _flat(value: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """List the keys of a document that hold no further ones; lists of plain values count as values."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, (*keys, name))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, inner in enumerate(value):
            yield from _flat(inner, (*keys, number))
    elif keys != ("override",):
        yield keys, value


def _shown(value: Any) -> str:
    """Write a value for people: text without quotes, a list with commas, nothing for none."""
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
