"""The file that `clio init` writes, and the schema for editors, made from the tables of `pipeline.config`.

A key is described where it is defined, by the text under its field; nothing of it is said here a second time.
"""

import ast
import functools
import inspect
import json
import textwrap
import typing
from collections.abc import Callable, Iterator
from typing import Any

from pipeline import config
from pipeline.image import RecipeParameter
from pipeline.recipes import RECIPES, ROWS, STAGES
from pipeline.rules import RULES

SCHEMA_FILE = "clio.schema.json"
"""Where `clio init` puts the schema, beside the settings."""

_WIDTH = 79

_HEAD = f"""\
#:schema ./{SCHEMA_FILE}
# What a person decides about this reduction; everything else is found out.
#
# A key with a # right before it shows its default, or an example where there
# is none: take the # away to set it. What is wrong here, clio config check
# says; what holds for a step, and why: clio config show.
"""

_SECTIONS: tuple[tuple[str, type[config.Table]], ...] = (
    ("clio", config.ClioTable),
    ("data", config.DataTable),
    ("image", config.ImageTable),
    ("workflow", config.WorkflowTable),
    ("targets.NAME", config.TargetTable),
    ("associate.STD_RESPONSE", config.AssociateTable),
    ("recipes.muse_scipost", config.RecipeTable),
    ("override", config.OverrideTable),
    ("sof", config.SofTable),
    ("report", config.ReportTable),
)


_LISTS = {"override", "sof"}
"""Sections that stand there several times."""


def write_commented(values: dict[str, Any] | None = None) -> str:
    """Write a file of settings that says every key with its default and meaning.

    Parameters
    ----------
    values : dict, optional
        What is set, as the file will say it; all other keys stand behind a #.
    """
    set_ = values or {}
    parts = [_HEAD]
    for name, table in _SECTIONS:
        head = name.partition(".")[0]
        is_named = head != name or name in _LISTS
        lines = [*_section(name, table, {} if is_named else set_.get(name, {}))]
        if is_named:
            lines += _set_tables(head, set_.get(head))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def toml_value(value: Any) -> str:
    """Write a value as TOML has it."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case list():
            return f"[{', '.join(toml_value(item) for item in value)}]"
        case dict():
            inner = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
            return f"{{ {inner} }}"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def toml_key(name: str) -> str:
    """Write a key as TOML has it: bare if it can be."""
    return (
        name if name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name) else toml_value(name)
    )


def schema(known: Callable[[str], tuple[RecipeParameter, ...]] | None = None) -> dict[str, Any]:
    """Make the JSON Schema of `clio.toml`.

    Parameters
    ----------
    known : callable, optional
        Gives the parameters of a recipe as an image declares them; without, any name and value is taken.

    References
    ----------
    JSON Schema, draft 7, which editors of TOML read.
    """
    document = config.FileTable.model_json_schema()
    for name, definition in document["$defs"].items():
        _describe(name, definition)
    _describe("FileTable", document)
    recipe = document["$defs"].pop("RecipeTable")
    tables = {name: _recipe_schema(name, recipe, known) for name in RECIPES}
    recipes = {"type": "object", "properties": tables, "additionalProperties": False}
    document["$defs"]["Recipes"] = recipes
    for owner in (document, document["$defs"]["OverrideTable"]):
        about = owner["properties"]["recipes"].get("description", "")
        owner["properties"]["recipes"] = {"allOf": [{"$ref": "#/$defs/Recipes"}], "description": about}
    policies = document["properties"]["associate"]
    policies["propertyNames"] = {"enum": sorted(RULES)}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "clio.toml"}
    return head | {name: part for name, part in document.items() if name != "title"}


@functools.cache
def meanings() -> dict[tuple[str, str], str]:
    """Read the text under each field of the tables: class and field to text; the class alone to its own."""
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(config)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        found[node.name, ""] = ast.get_docstring(node) or ""
        for field, text in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[node.name, field.target.id] = inspect.cleandoc(str(text.value.value))
    return found


def _section(name: str, table: type[config.Table], values: dict[str, Any]) -> Iterator[str]:
    """Write a table: its meaning, its header, its keys."""
    yield from _comment(meanings()[table.__name__, ""])
    is_named = "." in name or name in _LISTS
    header = f"[[{name}]]" if name in _LISTS else f"[{name}]"
    yield f"#{header}" if is_named and not values else header
    if table is config.RecipeTable:
        yield from _workflow_remarks(name.partition(".")[2])
    for key, field in table.model_fields.items():
        if table is not config.OverrideTable:
            yield from _comment(meanings()[table.__name__, key])
        if key in values:
            yield f"{key} = {toml_value(values[key])}"
        else:
            yield from _example(name, key, field)


def _set_tables(head: str, values: Any) -> Iterator[str]:
    """Write tables that have a name, or a place in a list, with what is set in them."""
    if isinstance(values, list):
        for table in values:
            yield from ("", f"[[{head}]]")
            yield from (f"{toml_key(key)} = {toml_value(value)}" for key, value in table.items())
        return
    for name, table in (values or {}).items():
        yield from ("", f"[{head}.{toml_key(name)}]")
        yield from (f"{toml_key(key)} = {toml_value(value)}" for key, value in table.items())


def _example(name: str, key: str, field: Any) -> Iterator[str]:
    """Show a key behind a #: at its default, or with an example."""
    if name == "override":
        if key == "where":
            yield from _where_remarks()
        shown = {"where": {"stage": "scipost", "target": "NGC 1068"}, "recipes": None}[key]
        yield f"#where = {toml_value(shown)}" if shown else "#recipes.muse_scipost.skymodel_fraction = 0.1"
        return
    if key == "where":
        where = {"stage": "flat", "template": "2026-01-15T15:36:00"}
        yield f"#where = {toml_value(where)}"
        return
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    examples = _examples(field)
    value = examples[0] if default in (None, "", [], {}) and examples else default
    yield f"#{key} = {toml_value('...' if value is None else value)}"


def _examples(field: Any) -> list[Any]:
    """Give the examples of a field, or of a type that it may be of."""
    if field.examples:
        return list(field.examples)
    notes = (note for arm in typing.get_args(field.annotation) for note in getattr(arm, "__metadata__", ()))
    return next((list(note.examples) for note in notes if getattr(note, "examples", None)), [])


def _where_remarks() -> Iterator[str]:
    for key in config.WhereTable.model_fields:
        yield f"# {key}: {meanings()['WhereTable', key]}"


def _workflow_remarks(recipe: str) -> Iterator[str]:
    """Say what the workflow sets of a recipe."""
    for row in STAGES.values():
        if row.recipe == recipe and row.parameters:
            said = ", ".join(f"{option}={value}" for option, value in row.parameters)
            stay = f"; {', '.join(row.fixed)} cannot be changed" if row.fixed else ""
            yield from _comment(f"The workflow sets for {row.stage}: {said}{stay}.")
    yield "#lambdamin = 4750"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _describe(name: str, definition: dict[str, Any]) -> None:
    """Put the meanings of keys into a definition of the schema."""
    definition.pop("title", None)
    about = meanings().get((name, ""))
    if about:
        definition["description"] = about
    for key, field in definition.get("properties", {}).items():
        field.pop("title", None)
        meaning = meanings().get((name, key))
        if meaning:
            field["description"] = meaning


def _recipe_schema(
    name: str, recipe: dict[str, Any], known: Callable[[str], tuple[RecipeParameter, ...]] | None
) -> dict[str, Any]:
    """Describe the table of a recipe; with an image, each of its parameters."""
    table = {**recipe, "description": f"Parameters of {name}, for {_stages(name)}."}
    if known is None:
        return table
    parameters = {p.option: _parameter_schema(p) for p in known(name)}
    return {**table, "properties": {**parameters, **recipe["properties"]}, "additionalProperties": False}


def _stages(recipe: str) -> str:
    return ", ".join(row.stage for row in ROWS if row.recipe == recipe)


def _parameter_schema(parameter: RecipeParameter) -> dict[str, Any]:
    kind = {"int": "integer", "double": "number", "bool": "boolean"}.get(parameter.kind)
    found: dict[str, Any] = {"type": kind or ["string", "number"], "description": parameter.help}
    if parameter.choices and kind is None:
        found |= {"type": "string", "enum": list(parameter.choices)}
    if kind in ("integer", "number"):
        bounds = (("minimum", parameter.low), ("maximum", parameter.high))
        found |= {word: float(bound) for word, bound in bounds if bound is not None}
    return found | {"default": _default(parameter, kind)}


def _default(parameter: RecipeParameter, kind: str | None) -> str | bool | int | float:
    match kind:
        case "integer":
            return int(parameter.value)
        case "number":
            return float(parameter.value)
        case "boolean":
            return parameter.value == "TRUE"
        case _:
            return parameter.value
