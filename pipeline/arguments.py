"""Parameters given on the command line, as `--set muse_scipost.pixfrac=0.7,0.7` writes them. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.model import Stage, Step
from pipeline.recipes import RECIPES, ROWS
from pipeline.slips import OURS, nearest

FORM = "as in --set muse_scipost.pixfrac=0.7,0.7 or --set scipost.save=cube"

_WRITTEN = re.compile(r"(?P<name>\w+)\.(?P<option>\w+)=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter for one call."""

    text: str
    """As it was typed."""
    option: str
    value: str
    stages: tuple[Stage, ...]
    """Stages whose calls of the recipe it is meant for."""


def read_arguments(texts: Iterable[str]) -> tuple[Argument, ...]:
    """Read parameters as `--set` writes them.

    Parameters
    ----------
    texts : iterable of str
        `NAME.PARAMETER=VALUE` each; NAME is a recipe, for all stages that call it, or one stage.

    Returns
    -------
    tuple of Argument
        Those of recipes first, as one of a stage is more particular; else as given. The later wins.

    Raises
    ------
    UsageError
        One is not of that form, names neither a recipe nor a stage, or a parameter that cannot be set.
    """
    found = [_read(text) for text in texts]
    return tuple(sorted(found, key=lambda argument: argument.text.partition(".")[0] not in RECIPES))


def by_stage(arguments: Iterable[Argument]) -> dict[Stage, dict[str, str]]:
    """Give option to value by stage; what later stages rely on is left out."""
    found: dict[Stage, dict[str, str]] = {}
    for argument in arguments:
        for stage in argument.stages:
            found.setdefault(stage, {})[argument.option] = argument.value
    return found


def refuse_idle(arguments: Iterable[Argument], steps: Mapping[str, Step]) -> None:
    """Refuse an argument that has no part in what a call does.

    Parameters
    ----------
    arguments : iterable of Argument
        Given with the call.
    steps : mapping of str to Step
        All steps the call looks at, those it needs included.

    Raises
    ------
    UsageError
        No step of its stages is among them.
    """
    stages = {step.stage for step in steps.values()}
    for argument in arguments:
        if stages.isdisjoint(argument.stages):
            names = ", ".join(argument.stages)
            raise UsageError(
                f"--set {argument.text} changes nothing: no step of {names} has a part in this call",
                "leave it out, or ask for these stages",
            )


def _read(text: str) -> Argument:
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise UsageError(f"--set {text} is no NAME.PARAMETER=VALUE", FORM)
    name, option, value = written["name"], written["option"], written["value"]
    if name not in RECIPES and name not in set(Stage):
        raise UsageError(f"--set {text}: {name} is no recipe and no stage", nearest(name, (*RECIPES, *Stage)))
    if option in OURS:
        raise UsageError(f"--set {text}: {option} is set by clio, step by step", OURS[option])
    rows = [row for row in ROWS if name in (row.recipe, row.stage.value) and row.takes_arguments]
    stages = tuple(dict.fromkeys(row.stage for row in rows if option not in row.fixed))
    if not stages:
        hint = "see [workflow] in clio.toml" if option == "filter" else ""
        raise UsageError(
            f"--set {text}: {option} of {name} is set by the workflow: later stages rely on it", hint
        )
    return Argument(text, option, value, stages)
