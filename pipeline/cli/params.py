"""The verb about parameters of recipes: `params`."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.chains import FEW_CAUSES
from pipeline.cli.options import Engine, Json, Workspace
from pipeline.cli.output import OUTPUT
from pipeline.cli.sheets import counted
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.causes import Cause
    from pipeline.engine import RecipeImage
    from pipeline.engines.deferred import DeferredEngine
    from pipeline.image import ImageLibrary, RecipeParameter
    from pipeline.origins import Setting
    from pipeline.parameters import ParameterChange

_WIDTH = 100
"""Columns of text at most: longer lines are hard to read."""


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(params)


def params(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="A recipe, such as `muse_flat`; all without.", show_default=False
        ),
    ] = "",
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="DIGEST",
            help="An image instead of the workspace's; given twice, what changed between the two.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Name every package that differs.")] = False,
    engine: Engine = "auto",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """List the recipes of an image, or the parameters of one and what this workspace sets of them.

    Defaults, types, allowed values and help are what the recipe in the image itself declares. With two
    images, in what they differ: recipes, parameters, packages.

    Example: `clio params muse_scipost`
    """
    from pipeline.cli.image import choose_image
    from pipeline.engines import open_engine
    from pipeline.engines.deferred import DeferredEngine
    from pipeline.image import ImageLibrary

    library, named = ImageLibrary(), images or [""]
    if len(named) > 2:
        raise UsageError(f"{len(named)} images are named", "name one, or two to compare")
    asked = DeferredEngine(lambda: open_engine(engine))
    sides = [_Side(library, choose_image(library, name, workspace), asked) for name in named]
    if recipe:
        _require(recipe, sides)
    if len(sides) == 2:
        _print_comparison(recipe, sides[0], sides[1], everything, as_json)
    elif recipe:
        _print_recipe(recipe, sides[0], workspace, as_json)
    else:
        _print_recipes(sides[0], as_json)


@dataclass(frozen=True)
class _Side:
    """An image that is asked."""

    library: "ImageLibrary"
    image: "RecipeImage"
    engine: "DeferredEngine"

    @cached_property
    def versions(self) -> dict[str, str]:
        """Recipes and their versions; of ours, which no image has, that of their row."""
        from pipeline.recipes import RECIPES

        ours = {row.name: f"clio {row.spec}" for row in RECIPES.values() if row.is_ours}
        return dict(self.library.recipes(self.image, self.engine)) | ours

    def parameters(self, recipe: str) -> "tuple[RecipeParameter, ...]":
        """Parameters of a recipe; none of one that it does not have."""
        if recipe not in self.versions:
            return ()
        return self.library.parameters(self.image, self.engine, recipe)


def _require(recipe: str, sides: list[_Side]) -> None:
    """Refuse a recipe that none of the images has."""
    from pipeline.slips import nearest

    known = sorted({name for side in sides for name in side.versions})
    if recipe not in known:
        whose = " and ".join(_short(side.image) for side in sides)
        verb = "have" if len(sides) > 1 else "has"
        raise UsageError(f"{whose} {verb} no recipe {recipe}", nearest(recipe, known))


# One image


def _print_recipes(side: _Side, as_json: bool) -> None:
    rows = [(name, version, len(side.parameters(name))) for name, version in side.versions.items()]
    if as_json:
        recipes = [
            {"name": name, "version": version, "parameter_count": count} for name, version, count in rows
        ]
        _print_document("", side, None, recipes)
        return
    OUTPUT.line(_short(side.image))
    OUTPUT.table(("recipe", "version", "parameters"), ((n, v, str(count)) for n, v, count in rows))
    OUTPUT.say("the parameters of one: clio params RECIPE")


def _print_recipe(recipe: str, side: _Side, workspace: Path | None, as_json: bool) -> None:
    from pipeline.cli.image import settings_here
    from pipeline.origins import settings_of

    parameters = side.parameters(recipe)
    settings = settings_here(workspace)
    made = settings_of(recipe, settings)
    if as_json:
        rows = [_parameter_document(p, made) for p in parameters]
        body = {"name": recipe, "version": side.versions[recipe], "parameter_count": len(rows)}
        _print_document(recipe, side, None, [body | {"parameters": rows}])
        return
    OUTPUT.line(f"{recipe} {side.versions[recipe]} of {_short(side.image)}")
    width = _width()
    for parameter in parameters:
        OUTPUT.line("")
        for line in _parameter_lines(parameter, [s for s in made if s.option == parameter.option], width):
            OUTPUT.line(line)


def _parameter_lines(parameter: "RecipeParameter", made: "list[Setting]", width: int) -> Iterator[str]:
    from pipeline.parameters import allowed, default_of

    takes = ": ".join(filter(None, (parameter.kind, allowed(parameter))))
    head = f"{parameter.option} = {default_of(parameter)}"
    if len(head) + len(takes) + 4 <= width:
        yield f"{head}  ({takes})"
    else:
        yield head
        yield from _folded(f"({takes})", width)
    if parameter.name.rpartition(".")[2] != parameter.option:
        yield from _folded(f"in records: {parameter.name}", width)
    yield from _folded(parameter.help, width)
    for setting in made:
        yield from _folded(f"set: {_setting_words(setting)}", width)


def _setting_words(setting: "Setting") -> str:
    stages = ", ".join(setting.stages)
    if setting.by == "clio":
        return f"by clio, the IFU of each step of {stages}"
    where = "".join(f", only {name} {value}" for name, value in setting.where)
    if setting.by == "workflow":
        return f"{setting.value} by the workflow in {stages}{where}"
    # A stage that keeps the workflow's value is left out; with none left the line has no effect.
    reach = f"for {stages}" if setting.stages else "for no stage: the workflow keeps its own"
    return f"{setting.value} by clio.toml, line {setting.line}, {reach}{where}"


# Two images


def _print_comparison(recipe: str, old: _Side, new: _Side, everything: bool, as_json: bool) -> None:
    from pipeline.causes import package_causes
    from pipeline.parameters import parameter_changes

    packages = tuple(package_causes("", *(s.library.packages(s.image) for s in (old, new))))
    names = [recipe] if recipe else sorted(old.versions.keys() | new.versions.keys())
    changes = {
        name: parameter_changes(old.parameters(name), new.parameters(name))
        for name in names
        if name in old.versions and name in new.versions
    }
    if as_json:
        rows = [_comparison_document(name, old, new, changes.get(name, ())) for name in names]
        _print_document(recipe, old, new, rows, packages)
        return
    OUTPUT.line(f"{_short(old.image)} -> {_short(new.image)}")
    width = _width()
    for line in (*_package_lines(packages, everything), *_comparison_lines(names, old, new, changes)):
        OUTPUT.line(textwrap.fill(line, width, subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2)))


def _comparison_lines(
    names: list[str], old: _Side, new: _Side, changes: "dict[str, tuple[ParameterChange, ...]]"
) -> Iterator[str]:
    same: dict[tuple[str, str], list[str]] = {}
    for name in names:
        before, after = old.versions.get(name), new.versions.get(name)
        if before is None or after is None:
            yield f"{name} {after or before}: {'added' if before is None else 'removed'}"
        elif changes[name]:
            yield f"{name} {before if before == after else f'{before} -> {after}'}"
            yield from (f"  {_change_words(change)}" for change in changes[name])
        else:
            same.setdefault((before, after), []).append(name)
    for (before, after), alike in same.items():
        which = alike[0] if len(alike) == 1 else f"{len(alike)} recipes"
        version = before if before == after else f"{before} -> {after}"
        yield f"{which} {version}: the same parameters"


def _package_lines(packages: "tuple[Cause, ...]", everything: bool) -> Iterator[str]:
    shown = packages if everything else packages[:FEW_CAUSES]
    yield from (f"  {cause.text}" for cause in shown)
    if len(shown) < len(packages):
        yield f"  {counted(len(packages) - len(shown), 'more package')} differ; --all names them"
    if not packages:
        yield "  the same packages"


def _change_words(change: "ParameterChange") -> str:
    match change.aspect:
        case "added":
            return f"{change.option}: added, default {change.new or 'empty'}"
        case "removed":
            return f"{change.option}: removed, default was {change.old or 'empty'}"
        case _:
            return f"{change.option}: {change.aspect} {change.old or 'none'} -> {change.new or 'none'}"


# JSON


def _print_document(
    recipe: str,
    side: _Side,
    other: _Side | None,
    recipes: list[dict[str, Any]],
    packages: "tuple[Cause, ...]" = (),
) -> None:
    body = {
        "image": side.image.config_digest,
        "other": None if other is None else other.image.config_digest,
        "recipe": recipe or None,
        "recipes": recipes,
        "packages": [{"name": c.name, "old": c.old, "new": c.new, "text": c.text} for c in packages],
    }
    OUTPUT.document("clio-params/1", body)


def _parameter_document(parameter: "RecipeParameter", made: "tuple[Setting, ...]") -> dict[str, Any]:
    from pipeline.parameters import default_of

    return {
        "name": parameter.name,
        "option": parameter.option,
        "type": parameter.kind,
        "default": default_of(parameter),
        "choices": list(parameter.choices),
        "low": parameter.low,
        "high": parameter.high,
        "help": parameter.help,
        "set": [
            {
                "by": setting.by.value,
                "value": setting.value or None,
                "stages": [stage.value for stage in setting.stages],
                "line": setting.line,
                "where": dict(setting.where),
            }
            for setting in made
            if setting.option == parameter.option
        ],
    }


def _comparison_document(
    name: str, old: _Side, new: _Side, changes: "tuple[ParameterChange, ...]"
) -> dict[str, Any]:
    return {
        "name": name,
        "version": old.versions.get(name),
        "other_version": new.versions.get(name),
        "changes": [
            {"name": c.name, "option": c.option, "what": c.aspect.value, "old": c.old, "new": c.new}
            for c in changes
        ],
    }


def _short(image: "RecipeImage") -> str:
    return f"image {image.config_digest[7:19]}"


def _width() -> int:
    """Give the columns there are for text."""
    return min(OUTPUT.data.width, _WIDTH)


def _folded(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
