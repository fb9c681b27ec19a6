"""The verbs about `clio.toml`: `config check`, `config show`, `config schema`."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.groups import Group
from pipeline.cli.options import Json, Set, Workspace, open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.errors import (
    ConfigError,
    EngineUnavailable,
    FramesError,
    ImageError,
    PipelineError,
    Slip,
    UsageError,
)
from pipeline.places import find_workspace

if TYPE_CHECKING:
    from pipeline.effective import Value
    from pipeline.image import ImageLibrary, RecipeParameter
    from pipeline.model import Step
    from pipeline.reduce import Reduction

app = typer.Typer(cls=Group, no_args_is_help=True, help="Check clio.toml, and say what holds and why.")


def add_to(parent: typer.Typer) -> None:
    """Add the verbs of this module, under one name."""
    parent.add_typer(app, name="config")


@app.command()
def check(workspace: Workspace = None, as_json: Json = False) -> None:
    """Find all that is wrong in clio.toml, each with its line and the nearest name; then the exit code is 2.

    Names, types and ranges; parameters of recipes against what the image's own recipes take; targets,
    exposures, datasets and calibrations against the frames that are there.

    Example: `clio config check`
    """
    from pipeline.slips import refusal

    found = _checked(find_workspace(workspace))
    if as_json:
        rows = [
            {"line": s.line, "message": s.message, "hint": s.hint, "keys": [str(key) for key in s.keys]}
            for s in found.slips
        ]
        body = {"file": str(found.file), "ok": not rows, "slips": rows, "unchecked": list(found.unchecked)}
        OUTPUT.document("clio-config-check/1", body)
    for what in found.unchecked:
        OUTPUT.say(f"not checked: {what}")
    if found.slips:
        if as_json:
            raise typer.Exit(2)
        raise refusal(found.file, found.slips)
    if not as_json:
        OUTPUT.line(f"{found.file} is right")


@app.command()
def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[STEP|RECIPE]",
            help="A step such as `scipost:200012345`, or a recipe; the keys of the file without.",
            show_default=False,
        ),
    ] = "",
    full: Annotated[bool, typer.Option("--effective", help="Everything that holds, defaults too.")] = False,
    parameters: Set = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say what is set, and by whom: recipe, workflow, a line of clio.toml, the command line.

    Of values that differ from step to step: the most particular override wins (exposure, then template,
    dataset, target, stage; a name before a pattern), then the later one; --set wins over all.

    Example: `clio config show muse_scipost --effective`
    """
    from pipeline.recipes import RECIPES

    if not what:
        if parameters:
            raise UsageError("--set has no part in the keys of clio.toml", "name a step or a recipe")
        kind, values = "settings", _of_file(find_workspace(workspace), full)
    else:
        kind = "recipe" if what in RECIPES else "step"
        with open_reduction(workspace) as reduction:
            reduction.set_parameters(parameters or ())
            find = _of_recipe if kind == "recipe" else _of_step
            what, values = find(reduction, what, full)
    if as_json:
        body = {"kind": kind, "of": what or None, "values": [_document(value) for value in values]}
        OUTPUT.document("clio-config-show/1", body)
    else:
        _print_values(kind, values, full)


@app.command()
def schema(workspace: Workspace = None) -> None:
    """Print the JSON Schema of clio.toml for editors, with the recipes' parameters if there is an image.

    `clio init` writes it beside clio.toml, whose first line names it to editors that know `#:schema`.

    Example: `clio config schema > clio.schema.json`
    """
    OUTPUT.line(schema_here(workspace).removesuffix("\n"))


def schema_here(workspace: Path | None = None) -> str:
    """Write the schema, with the parameters of recipes if they are known without running anything."""
    import json

    from pipeline import config_text
    from pipeline.config import read_document
    from pipeline.places import FILE

    document: dict[str, Any] = {}
    with contextlib.suppress(ConfigError):  # without settings, or before they are right, it is the same
        workspace = find_workspace(workspace)
        _, document = read_document(workspace / FILE)
    known = parameters_here(workspace, document)
    return json.dumps(config_text.schema(known), indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class _Checked:
    """What a check of the settings found."""

    file: Path
    slips: tuple[Slip, ...]
    unchecked: tuple[str, ...]
    """What could not be looked at, and why."""


def _checked(folder: Path) -> _Checked:
    """Check the file by itself, then against the image and the frames, as far as these are there."""
    from pipeline.config import check_document, read_document
    from pipeline.places import FILE
    from pipeline.slips import parameter_slips

    file = folder / FILE if folder.is_dir() else folder
    try:
        text, document = read_document(file)
    except ConfigError as error:
        if not error.slips:
            raise
        return _Checked(file, error.slips, ("what stands behind it",))
    table, slips = check_document(text, document)
    unchecked: list[str] = []
    known = parameters_here(folder, document)
    if known is None:
        unchecked.append("parameters of recipes, as there is no image whose recipes were asked yet")
    else:
        slips = (*slips, *parameter_slips(text, document, known))
    if table is None:
        unchecked.append("targets, exposures and calibrations, before the rest is right")
    else:
        more, why = _against_frames(folder)
        slips, unchecked = (*slips, *more), [*unchecked, *why]
    return _Checked(file, tuple(sorted(slips, key=lambda slip: slip.line)), tuple(unchecked))


def _against_frames(folder: Path) -> tuple[tuple[Slip, ...], tuple[str, ...]]:
    with open_reduction(folder) as reduction:
        try:
            return reduction.selection_slips(), ()
        except FramesError as error:
            return (), (f"targets, exposures and calibrations, as {error.message}",)


def parameters_here(
    folder: Path | None, document: Mapping[str, Any]
) -> "Callable[[str], tuple[RecipeParameter, ...]] | None":
    """Find the parameters of the workspace's recipes; None if that would take an image or a run in it."""
    from pipeline.engines.deferred import DeferredEngine
    from pipeline.image import ImageLibrary
    from pipeline.recipes import RECIPES

    def refuse() -> Any:
        raise EngineUnavailable("nothing is run for this")

    library, engine = ImageLibrary(), DeferredEngine(refuse)
    try:
        image = library.find(_image_named(library, folder, document))
        found = {name: library.parameters(image, engine, name) for name in RECIPES}
    except PipelineError:
        return None
    return found.__getitem__


def _image_named(library: "ImageLibrary", folder: Path | None, document: Mapping[str, Any]) -> str:
    """Say which image a workspace means, whether its settings are right or not."""
    from pipeline.lock import read_lock
    from pipeline.places import LOCK

    table = document.get("image")
    reference = table.get("reference") if isinstance(table, dict) else None
    if isinstance(reference, str) and reference:
        return reference
    lock = read_lock(folder / LOCK) if folder is not None else None
    if lock is not None:
        return lock.config_digest
    images = library.list()
    if len(images) != 1:
        raise ImageError(f"{len(images)} images are on this machine, and nothing says which is meant")
    return images[0].config_digest


def _of_file(folder: Path, full: bool) -> "tuple[Value, ...]":
    from pipeline.config import load
    from pipeline.effective import of_file

    return of_file(load(folder), full=full)


def _of_recipe(reduction: "Reduction", recipe: str, full: bool) -> "tuple[str, tuple[Value, ...]]":
    from pipeline.effective import of_recipe

    known = reduction.known_parameters
    return recipe, of_recipe(recipe, reduction.settings, reduction.arguments, known, full=full)


def _of_step(reduction: "Reduction", name: str, full: bool) -> "tuple[str, tuple[Value, ...]]":
    from pipeline.effective import of_step

    step = _the_step(reduction.plan().steps, name)
    known = reduction.known_parameters
    return step.id, of_step(step, reduction.settings, reduction.arguments, known, full=full)


def _the_step(steps: "Iterable[Step]", name: str) -> "Step":
    """Find the step that is meant.

    Raises
    ------
    UsageError
        Nothing or several go by that name.
    """
    from pipeline.cli.references import is_stage, match_units
    from pipeline.recipes import RECIPES
    from pipeline.slips import nearest

    stage, _, unit = name.partition(":")
    if not is_stage(stage):
        from pipeline.model import Stage

        raise UsageError(f"{name} is no step and no recipe", nearest(stage, (*RECIPES, *Stage)))
    by_unit = {step.unit: step for step in steps if step.stage == stage}
    found = match_units(by_unit, unit)
    if len(found) == 1:
        return by_unit[found[0]]
    if not found:
        raise UsageError(f"no step goes by {name}", "`clio plan` lists the steps")
    names = ", ".join(f"{stage}:{each}" for each in found[:4])
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    raise UsageError(f"{name} may be any of {names}{more}", "name one of them")


def _print_values(kind: str, values: "tuple[Value, ...]", full: bool) -> None:
    if not values:
        OUTPUT.say("nothing is set" if full else "nothing is set; what holds by default: --effective")
        return
    if kind == "recipe":
        OUTPUT.table(
            ("parameter", "value", "from", "for"),
            ((v.name, v.value, _from(v), _reach(v)) for v in values),
        )
    else:
        first = "key" if kind == "settings" else "parameter"
        OUTPUT.table((first, "value", "from"), ((v.name, v.value, _from(v)) for v in values))


def _from(value: "Value") -> str:
    return f"line {value.line}" if value.line is not None else value.by


def _reach(value: "Value") -> str:
    stages = ", ".join(value.stages)
    where = ", ".join(f"{word} {name}" for word, name in value.where if word != "stage")
    return f"{stages}; {where}" if where else stages


def _document(value: "Value") -> dict[str, Any]:
    return {
        "name": value.name,
        "value": value.value,
        "by": value.by,
        "line": value.line,
        "stages": [stage.value for stage in value.stages],
        "where": dict(value.where),
    }
