"""Who sets the parameters of a step, layer upon layer: the workflow, `clio.toml`, the call. Pure.

The one place that says what wins. Later layers win over earlier ones: the row of the stage, `[workflow]`,
`[recipes.NAME]`, `[[override]]` from the least to the most particular, arguments of the call. What later
stages rely on (`StageRow.fixed`) stays as the workflow has it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.config import Settings, spell
from pipeline.model import Scope, Stage
from pipeline.recipes import STAGES, StageRow
from pipeline.toml_lines import Keys


class Setter(StrEnum):
    """Who sets a parameter."""

    RECIPE = "recipe"
    """Nobody: it is the default of the recipe in the image."""
    CLIO = "clio"
    """Step by step: it cannot be set."""
    WORKFLOW = "workflow"
    SETTINGS = "clio.toml"
    CALL = "call"
    """An argument of a method of the Python API."""
    COMMAND = "command line"


@dataclass(frozen=True, slots=True)
class Given:
    """A value that is given to a parameter of a step."""

    option: str
    value: str
    """As typed."""
    by: Setter
    keys: Keys = ()
    """Where in `clio.toml`."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """Parameters that were given with a call; they win over the settings."""

    by_stage: Mapping[Stage, Mapping[str, str]]
    """Option to value, by stage."""
    by: Setter = Setter.CALL
    of_parts: tuple[tuple[Scope, Mapping[str, str]], ...] = ()
    """The same for the steps of a stage in one target or dataset, named by a scope; later ones win."""


def layers(
    scope: Scope, ifu: int | None, settings: Settings, arguments: Arguments, row: StageRow | None = None
) -> Iterator[Given]:
    """Give every value that is set for a parameter of a step; the last of an option is the one that holds.

    Parameters
    ----------
    scope : Scope
        What the step works on.
    ifu : int or None
        The IFU of a step of one.
    settings, arguments
        What a person decided, in the file and with the call.
    row : StageRow, optional
        What the step calls, if it is not what its stage usually does.
    """
    row = row or STAGES[scope.stage]
    fixed = frozenset(row.fixed)
    yield from _by_workflow(row, ifu, settings)
    called = _by_call(scope, arguments) if row.takes_arguments else ()
    by_person = (*_by_settings(row, scope, settings), *called)
    yield from (given for given in by_person if given.option not in fixed)


def holding(given: Iterator[Given]) -> dict[str, Given]:
    """Keep of each option the value that holds."""
    return {each.option: each for each in given}


def _by_workflow(row: StageRow, ifu: int | None, settings: Settings) -> Iterator[Given]:
    for option, value in row.parameters:
        yield Given(option, value, Setter.WORKFLOW)
    if ifu is not None:
        yield Given("nifu", str(ifu), Setter.CLIO)
    workflow = settings.table.workflow
    if row.stage is Stage.PREP_ALIGN:
        is_set = "filter_for_alignment" in workflow.model_fields_set
        by, keys = (Setter.SETTINGS, _FILTER) if is_set else (Setter.WORKFLOW, ())
        yield Given("filter", workflow.filter_for_alignment, by, keys)


_FILTER: Keys = ("workflow", "filter_for_alignment")


def _by_settings(row: StageRow, scope: Scope, settings: Settings) -> Iterator[Given]:
    everywhere = settings.table.recipes.get(row.recipe)
    tables: list[tuple[Keys, Mapping[str, str | bool | int | float]]] = []
    if everywhere is not None:
        tables.append((("recipes", row.recipe), everywhere.parameters))
    for number, table in settings.overrides(row.recipe, scope):
        tables.append((("override", number, "recipes", row.recipe), table.parameters))
    for keys, parameters in tables:
        for option, value in parameters.items():
            yield Given(option, spell(value), Setter.SETTINGS, (*keys, option))


def _by_call(scope: Scope, arguments: Arguments) -> Iterator[Given]:
    of_parts = (options for part, options in arguments.of_parts if _is_within(scope, part))
    for options in (arguments.by_stage.get(scope.stage, {}), *of_parts):
        for option, value in options.items():
            yield Given(option, value, arguments.by)


def _is_within(scope: Scope, part: Scope) -> bool:
    return (
        scope.stage is part.stage
        and part.target in ("", scope.target)
        and part.dataset in ("", scope.dataset)
    )
