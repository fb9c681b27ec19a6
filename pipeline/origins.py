"""Who sets a parameter of a recipe in a workspace, and where: the workflow, or a line of `clio.toml`."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.config import Settings, WhereTable, spell
from pipeline.layers import Setter
from pipeline.model import Stage
from pipeline.modes import MODES
from pipeline.recipes import PER_IFU, ROWS, StageRow
from pipeline.toml_lines import locate


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that a workspace gives to a parameter of a recipe."""

    option: str
    value: str
    """As typed; empty for what differs from step to step."""
    by: Setter
    stages: tuple[Stage, ...]
    """For which it is set."""
    line: int | None = None
    """Of `clio.toml`."""
    where: tuple[tuple[str, str], ...] = ()
    """Of an `[[override]]`: only for these steps."""


def settings_of(recipe: str, settings: Settings | None = None) -> tuple[Setting, ...]:
    """List what is set of a recipe's parameters; of several for the same step the last one holds.

    Parameters
    ----------
    recipe : str
        Its name; of one that no stage calls nothing is set.
    settings : Settings, optional
        Of a workspace; without, only what the workflow sets is told.
    """
    rows = tuple(row for row in ROWS if row.recipe == recipe)
    found = [setting for row in rows for setting in _by_workflow(row, settings)]
    if settings is not None and rows:
        found += _by_settings(recipe, rows, settings)
    return tuple(found)


def _by_workflow(row: StageRow, settings: Settings | None) -> Iterator[Setting]:
    if row.stage in PER_IFU:
        yield Setting("nifu", "", Setter.CLIO, (row.stage,))
    for option, value in row.parameters:
        if option == "filter" and row.stage is Stage.PREP_ALIGN and settings is not None:
            yield _alignment_filter(row, settings)
        else:
            yield Setting(option, value, Setter.WORKFLOW, (row.stage,))
    yield from _by_mode(row)


def _by_mode(row: StageRow) -> Iterator[Setting]:
    """Tell what the workflow sets otherwise in some modes of the instrument."""
    modes: dict[tuple[str, str], list[str]] = {}
    for mode in MODES.values():
        for recipe, option, value in mode.parameters:
            if recipe == row.recipe:
                modes.setdefault((option, value), []).append(mode.name)
    for (option, value), names in modes.items():
        where = (("mode", ", ".join(names)),)
        yield Setting(option, value, Setter.WORKFLOW, (row.stage,), where=where)


def _alignment_filter(row: StageRow, settings: Settings) -> Setting:
    """Tell who chose the filter for the alignment: it has a place of its own in the settings."""
    workflow = settings.table.workflow
    value = workflow.filter_for_alignment
    if "filter_for_alignment" not in workflow.model_fields_set:
        return Setting("filter", value, Setter.WORKFLOW, (row.stage,))
    line = locate(_text(settings), ("workflow", "filter_for_alignment"))
    return Setting("filter", value, Setter.SETTINGS, (row.stage,), line)


def _by_settings(recipe: str, rows: tuple[StageRow, ...], settings: Settings) -> Iterator[Setting]:
    text = _text(settings)
    if recipe in settings.table.recipes:
        for option, value in settings.table.recipes[recipe].parameters.items():
            line = locate(text, ("recipes", recipe, option))
            yield Setting(option, spell(value), Setter.SETTINGS, _free(option, rows), line)
    # The most particular comes last, as it wins.
    for number, override in sorted(
        enumerate(settings.table.override), key=lambda item: (item[1].where.rank, item[0])
    ):
        if recipe not in override.recipes:
            continue
        meant = tuple(row for row in rows if row.stage in override.where.stages)
        where = words(override.where)
        for option, value in override.recipes[recipe].parameters.items():
            line = locate(text, ("override", number, "recipes", recipe, option))
            yield Setting(option, spell(value), Setter.SETTINGS, _free(option, meant), line, where)


def words(where: WhereTable) -> tuple[tuple[str, str], ...]:
    """Give what a `where` names: word and names, joined by commas."""
    named = where.model_dump(mode="json").items()
    return tuple(
        (word, ", ".join([names] if isinstance(names, str) else names)) for word, names in named if names
    )


def _free(option: str, rows: tuple[StageRow, ...]) -> tuple[Stage, ...]:
    """Leave out the stages in which the workflow keeps an option as it is."""
    return tuple(row.stage for row in rows if option not in row.fixed)


def _text(settings: Settings) -> str:
    return settings.file.read_text(encoding="utf-8")
