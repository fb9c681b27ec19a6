"""What is wrong in `clio.toml`, each slip with its line, and the nearest name that is known. Pure.

Checks what was read from the file, whether or not it can be used as a whole: all slips are told at once.
"""

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.environment import refused_variable
from pipeline.errors import ConfigError, Slip, UsageError
from pipeline.model import Stage
from pipeline.recipes import RECIPES, ROWS
from pipeline.rules import RULES
from pipeline.toml_lines import Keys, locate

if typing.TYPE_CHECKING:
    from pipeline.image.recipes import RecipeParameter

OURS = {
    "nifu": "choose IFUs with [data] ifus",
    "merge": "there is nothing to merge: each step works on one IFU",
}
"""Parameters that a step needs as they are, each with what to do instead."""

ENVIRONMENT = "environment"
"""Key of the variables among the parameters of a recipe."""


def refusal(file: Path, slips: Sequence[Slip]) -> ConfigError:
    """Put slips into one error: one as a sentence with its hint, several as a list."""
    if len(slips) == 1:
        slip = slips[0]
        return ConfigError(f"{file}, line {slip.line}: {slip.message}", slip.hint, tuple(slips))
    lines = [f"  line {s.line}: {s.message}{f' ({s.hint})' if s.hint else ''}" for s in slips]
    return ConfigError("\n".join((f"{file} has {len(slips)} slips", *lines)), "", tuple(slips))


def syntax_slip(file: Path, said: str) -> ConfigError:
    """Tell that a file is not TOML; the reader of TOML stops at the first fault."""
    line = re.search(r"line (\d+)", said)
    slip = Slip(int(line[1]) if line else 1, f"not TOML: {_lower(said)}")
    return ConfigError(f"{file} is not TOML: {_lower(said)}", "", (slip,))


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that looks most like one that is not known."""
    names = sorted(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else f"known are {', '.join(names)}"


def schema_slips(
    text: str, document: Mapping[str, Any], errors: Sequence[Mapping[str, Any]], root: type
) -> Iterator[Slip]:
    """Turn the complaints of the schema into sentences.

    Parameters
    ----------
    text, document
        The file, and what it says.
    errors : sequence of mapping
        As pydantic lists them; for a choice of types, one for each.
    root : type
        The table of the whole file.
    """
    by_keys: dict[Keys, list[Mapping[str, Any]]] = {}
    for error in errors:
        by_keys.setdefault(_written(document, error["loc"]), []).append(error)
    for keys, found in by_keys.items():
        yield Slip(locate(text, keys), *_sentence(keys, found, root), keys=keys)


def name_slips(text: str, document: Mapping[str, Any]) -> Iterator[Slip]:
    """Find names of recipes, tags and variables that do not exist, and overrides that change nothing."""

    def slip(keys: Keys, message: str, hint: str = "") -> Slip:
        return Slip(locate(text, keys), message, hint, keys)

    for name in _table(document.get("associate")):
        if name not in RULES:
            yield slip(("associate", name), f"unknown tag {name}", nearest(name, RULES))
    for keys, name, options in _recipes(document):
        if name not in RECIPES:
            yield slip(keys, f"unknown recipe {name}", nearest(name, RECIPES))
            continue
        for variable in _table(options.get(ENVIRONMENT)):
            what, hint = refused_variable(variable)
            if what:
                yield slip((*keys, ENVIRONMENT, variable), what, hint)
        if keys[0] == "override":
            where = _table(document["override"][keys[1]].get("where"))
            for inner, message, hint in _idle(where, name, options):
                yield slip((*keys, *inner), message, hint)


def parameter_slips(
    text: str, document: Mapping[str, Any], known: "Callable[[str], tuple[RecipeParameter, ...]]"
) -> Iterator[Slip]:
    """Check every recipe parameter of the file, of recipes that are not in use too.

    Parameters
    ----------
    text, document
        The file, and what it says.
    known : callable
        Gives the parameters of a recipe as the image declares them.
    """
    for keys, recipe, options in _recipes(document):
        if recipe not in RECIPES:
            continue
        for option, value in options.items():
            if option != ENVIRONMENT and isinstance(value, str | bool | int | float):
                try:
                    check_parameter(recipe, option, value, known(recipe))
                except UsageError as error:
                    path = (*keys, option)
                    yield Slip(locate(text, path), error.message, error.hint, path)


def check_parameter(
    recipe: str, option: str, value: str | bool | int | float, known: "tuple[RecipeParameter, ...]"
) -> None:
    """Check one parameter of a recipe: name, type, range and choice.

    Raises
    ------
    UsageError
        What the recipe does not take, or what Clio sets step by step.
    """
    from pipeline.parameters import effective

    name = f"{recipe}.{option}"
    if option in OURS:
        raise UsageError(f"{name} is set by clio, step by step", OURS[option])
    kinds = {parameter.option: parameter.kind for parameter in known}
    if isinstance(value, bool) and kinds.get(option) == "string":
        raise UsageError(f"{name} = {str(value).lower()}, expected text", "put it into quotes")
    spelled = str(value).upper() if isinstance(value, bool) else str(value)
    effective(recipe, known, ((option, spelled),))


def _sentence(keys: Keys, found: list[Mapping[str, Any]], root: type) -> tuple[str, str]:
    """Say what is wrong with a value, and what to do."""
    name, error = ".".join(map(str, keys)), found[0]
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key {name}", _nearest_key(str(keys[-1]), keys[:-1], root)
        case "missing":
            return f"{name} is missing", ""
        case "value_error":  # of a table whose keys contradict each other
            return f"{name}: {str(error['msg']).removeprefix('Value error, ')}", ""
        case "literal_error" | "enum":
            choices = re.findall(r"'([^']*)'", str(error["ctx"]["expected"]))
            close = difflib.get_close_matches(str(error["input"]), choices, n=1)
            hint = f"did you mean {close[0]}?" if close else ""
            return f"{name} = {error['input']!r}: {_lower(error['msg'])}", hint
    if len(found) == 1:
        return f"{name} = {error.get('input')!r}: {_lower(error['msg'])}", ""
    wanted = [words for type_, words in _TYPES.items() if any(e["type"] == type_ for e in found)]
    return f"{name} = {error.get('input')!r}: expected {', '.join(wanted)}", ""


_TYPES = {
    "string_type": "text",
    "list_type": "a list",
    "int_type": "a number",
    "bool_type": "true or false",
}
"""What a value may be that has a choice of types, in the order in which it is said."""


def _nearest_key(name: str, keys: Keys, root: type) -> str:
    """Suggest a key of the same table, or say of which table it is a key."""
    own = list(_fields(root, keys))
    if difflib.get_close_matches(name, own, n=1, cutoff=0.5):
        return nearest(name, own)
    others = [table for table in _fields(root, ()) if name in _fields(root, (table,))]
    return f"{name} is a key of [{others[0]}]" if others else nearest(name, own)


def _fields(root: type, keys: Keys) -> dict[str, Any]:
    """Give the keys of the table at a path, through named tables and lists of tables."""
    found: Any = root
    for key in keys:
        fields = getattr(_model(found), "model_fields", {})
        if key in fields:
            found = fields[key].annotation
        else:  # a name that a person chose, or the place in a list
            found = typing.get_args(found)[-1] if typing.get_args(found) else found
    return dict(getattr(_model(found), "model_fields", {}))


def _model(annotation: Any) -> Any:
    """Look through what wraps a table."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return next((a for a in typing.get_args(annotation) if hasattr(a, "model_fields")), annotation)
    return annotation


def _written(document: Any, loc: Sequence[str | int]) -> Keys:
    """Keep of the path of a complaint what stands in the file: pydantic adds the type it tried."""
    keys: list[str | int] = []
    for part in loc:
        if isinstance(document, dict):
            document = document.get(part)  # None for a key that is missing
        elif isinstance(document, list) and isinstance(part, int):
            document = document[part]
        else:
            break
        keys.append(part)
    return tuple(keys)


def _recipes(document: Mapping[str, Any]) -> Iterator[tuple[Keys, str, Mapping[str, Any]]]:
    """List the tables of recipes of a file: path, name, options."""
    tables: list[tuple[Keys, Any]] = [(("recipes",), document.get("recipes"))]
    overrides = document.get("override")
    for number, entry in enumerate(overrides if isinstance(overrides, list) else ()):
        tables.append((("override", number, "recipes"), _table(entry).get("recipes")))
    for keys, recipes in tables:
        for name, options in _table(recipes).items():
            yield (*keys, name), name, _table(options)


def _idle(
    where: Mapping[str, Any], recipe: str, options: Mapping[str, Any]
) -> Iterator[tuple[Keys, str, str]]:
    """Find what of an override has no effect because of the stages it names."""
    stage = where.get("stage")
    named = [stage] if isinstance(stage, str) else stage if isinstance(stage, list) else list(Stage)
    rows = [row for name in named for row in ROWS if row.stage == name]
    callers = [row for row in rows if row.recipe == recipe]
    if rows and not callers:
        what = f"no step of {recipe} has stage = {str(rows[0].stage)!r}: the override changes nothing"
        by = ", ".join(row.stage for row in ROWS if row.recipe == recipe)
        yield (), what, f"stages that call it: {by}"
        return
    for option in options:
        if callers and all(option in row.fixed for row in callers):
            what = f"{option} of {callers[0].stage} is set by the workflow: later stages rely on it"
            yield (option,), what, "see [workflow]" if option == "filter" else ""


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
