"""The settings of a workspace: one frozen value, read once from `clio.toml` and checked by a schema."""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError, UsageError
from pipeline.model import Stage
from pipeline.places import FILE, LOCK
from pipeline.recipes import ALIGNMENT_FILTER, RECIPES

Parameter = str | bool | int | float
"""A value of a recipe parameter, as TOML has it."""

_OURS = {
    "nifu": "choose IFUs with [data] ifus",
    "merge": "there is nothing to merge: each step works on one IFU",
}
"""Parameters that a step needs as they are, each with what to do instead."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ClioTable(_Table):
    """`[clio]`: how work is done here."""

    store: str = ".clio"
    engine: Literal["auto", "docker", "podman", "bubblewrap", "apptainer"] = "auto"
    clock: Literal["frozen", "real"] = "frozen"
    numerics: Literal["pinned", "native"] = "pinned"
    jobs: Annotated[int, Field(ge=1)] | None = None
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    timeout_min: Annotated[float, Field(gt=0)] | None = None
    link: Literal["auto", "reflink", "hardlink", "symlink", "copy"] = "auto"


class DataTable(_Table):
    """`[data]`: where frames lie and which of them count."""

    raw: list[str] = Field(default_factory=lambda: ["raw"])
    calib: list[str] = Field(default_factory=lambda: ["calib"])
    mode: str = ""
    ifus: list[Annotated[int, Field(ge=1, le=24)]] = Field(default_factory=list)


class ImageTable(_Table):
    """`[image]`: the recipe image, by digest."""

    reference: str = ""
    archive: str = ""


class WorkflowTable(_Table):
    """`[workflow]`: what the stages use beyond the recipes' parameters."""

    dark: bool = False
    illum: bool = True
    offset_list: bool = True
    filter_for_alignment: str = ALIGNMENT_FILTER


class TargetTable(_Table):
    """`[targets.NAME]`: which exposures belong to a target."""

    match: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)


class AssociateTable(_Table):
    """`[associate.TAG]`: the policy for one calibration."""

    window_d: Annotated[float, Field(gt=0)] | None = None
    agree: list[Literal["mode", "readout", "binning", "chip", "field", "instrument"]] | None = None
    use: str = ""


class WhereTable(_Table):
    """`where` of an `[[override]]`."""

    exposure: str = ""
    target: str = ""
    dataset: str = ""
    stage: Annotated[Stage | None, Field(strict=False)] = None

    def fits(self, stage: Stage, exposure: str, target: str, dataset: str) -> bool:
        """Tell whether a step is meant; what is not said fits every step."""
        return (
            self.exposure in ("", exposure)
            and self.target in ("", target)
            and self.dataset in ("", dataset)
            and self.stage in (None, stage)
        )


class OverrideTable(_Table):
    """`[[override]]`: parameters for some steps only."""

    where: WhereTable
    recipes: dict[str, dict[str, Parameter]]


class FileTable(_Table):
    """The whole of `clio.toml`."""

    clio: ClioTable = ClioTable()
    data: DataTable = DataTable()
    image: ImageTable = ImageTable()
    workflow: WorkflowTable = WorkflowTable()
    targets: dict[str, TargetTable] = Field(default_factory=dict)
    associate: dict[str, AssociateTable] = Field(default_factory=dict)
    recipes: dict[str, dict[str, Parameter]] = Field(default_factory=dict)
    override: list[OverrideTable] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person decided, resolved against the folder of the workspace."""

    root: Path
    """The workspace."""
    table: FileTable
    """The file as checked."""
    file: Path
    """The file itself, for messages."""

    @property
    def store(self) -> Path:
        """Folder of the store."""
        return self.root / self.table.clio.store

    @property
    def products(self) -> Path:
        """Folder of the readable tree of products."""
        return self.root / "products"

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.root / LOCK

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where frames are looked for."""
        return tuple(self.root / name for name in (*self.table.data.raw, *self.table.data.calib))

    def parameters(
        self, recipe: str, *, stage: Stage, exposure: str, target: str, dataset: str
    ) -> dict[str, str]:
        """Give the parameters a person set for a step; what is more particular wins.

        Parameters
        ----------
        recipe : str
            Name of the recipe.
        stage, exposure, target, dataset
            What the step works on, compared with the `where` of each override.

        Returns
        -------
        dict of str to str
            Option to value, as typed.
        """
        found = {name: spell(value) for name, value in self.table.recipes.get(recipe, {}).items()}
        for override in self.table.override:
            if override.where.fits(stage, exposure, target, dataset):
                found |= {n: spell(v) for n, v in override.recipes.get(recipe, {}).items()}
        return found


def spell(value: Parameter) -> str:
    """Write a value of TOML or Python as esorex takes it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)


def load(path: Path) -> Settings:
    """Read the settings of a workspace.

    Parameters
    ----------
    path : Path
        `clio.toml`, or the folder that holds it.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or has an unknown key or a value of the wrong type; with the line.
    """
    file = path / FILE if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        hint = "start a workspace with: clio init"
        raise ConfigError(f"cannot read {file}: {error.strerror}", hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {_lower(str(error))}") from error
    try:
        table = FileTable.model_validate(document)
    except ValidationError as error:
        raise ConfigError(*_explain(file, text, error)) from error
    _check_names(file, text, table)
    return Settings(file.absolute().parent, table, file.absolute())


def nearest(name: str, known: list[str]) -> str:
    """Suggest the known name that looks most like one that is not known."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else f"known are {', '.join(sorted(known))}"


def check_parameters(settings: Settings, check: Callable[[str, str, str], None]) -> None:
    """Check every recipe parameter of the settings, of recipes that are not in use too.

    Parameters
    ----------
    settings : Settings
        The settings.
    check : callable
        Given recipe, option and value; raises `UsageError` for what the recipe does not take.

    Raises
    ------
    ConfigError
        With file and line.
    """
    for keys, value in _parameters(settings.table):
        recipe, option = str(keys[-2]), str(keys[-1])
        try:
            if option in _OURS:
                raise UsageError(f"{recipe}.{option} is set by clio, step by step", _OURS[option])
            check(recipe, option, spell(value))
        except UsageError as error:
            line = locate(settings.file.read_text(encoding="utf-8"), keys)
            raise ConfigError(f"{settings.file}, line {line}: {error.message}", error.hint) from error


def locate(text: str, keys: tuple[str | int, ...]) -> int:
    """Find the line of a key in TOML text.

    Parameters
    ----------
    text : str
        The file.
    keys : tuple
        Path of tables and key; a number is the place in a list.

    Returns
    -------
    int
        Counted from 1; of the innermost table or list that is found, 1 if none is.
    """
    table: tuple[str | int, ...] = ()
    tables: Counter[tuple[str | int, ...]] = Counter()
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)([^\[\]]+)\]", line):
            table = _path(header[2])
            if header[1] == "[[":
                tables[table] += 1
                table = (*table, tables[table] - 1)
            path = table
        elif key := re.match(rf"\s*({_KEY.pattern}(?:\s*\.\s*{_KEY.pattern})*)\s*=", line):
            path = (*table, *_path(key[1]))
        else:
            continue
        if path[: len(keys)] == keys:
            return number
        if depth < len(path) and keys[: len(path)] == path:
            best, depth = number, len(path)
    return best


_KEY = re.compile(r"""(?:[\w-]+|"[^"]*"|'[^']*')""")


def _path(text: str) -> tuple[str | int, ...]:
    """Split a dotted key."""
    return tuple(part.strip("\"'") for part in _KEY.findall(text))


def _parameters(table: FileTable) -> Iterator[tuple[tuple[str | int, ...], Parameter]]:
    """List the recipe parameters of the file: path and value."""
    tables: list[tuple[tuple[str | int, ...], dict[str, dict[str, Parameter]]]]
    tables = [(("recipes",), table.recipes)]
    tables += [(("override", n, "recipes"), entry.recipes) for n, entry in enumerate(table.override)]
    for keys, recipes in tables:
        for recipe, options in recipes.items():
            for option, value in options.items():
                yield (*keys, recipe, option), value


def _explain(file: Path, text: str, error: ValidationError) -> tuple[str, str]:
    """Turn the first complaint of the schema into a sentence and a hint."""
    first = error.errors()[0]
    keys, message = first["loc"], _lower(first["msg"])
    if keys[0] in ("recipes", "override") and keys[-1] in ("str", "bool", "int", "float"):
        keys, message = keys[:-1], "expected text, a number, true or false"
    name = ".".join(str(key) for key in keys)
    where = f"{file}, line {locate(text, keys)}"
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key {name}", nearest(str(keys[-1]), _known_keys(keys[:-1]))
    found = first.get("input")
    return f"{where}: {name} = {found!r}: {message}", ""


def _known_keys(keys: tuple[str | int, ...]) -> list[str]:
    """List the keys of the table at a path."""
    tables: dict[str, type[BaseModel]] = {
        "clio": ClioTable,
        "data": DataTable,
        "image": ImageTable,
        "workflow": WorkflowTable,
        "targets": TargetTable,
        "associate": AssociateTable,
        "override": OverrideTable,
    }
    model: type[BaseModel] = FileTable
    if keys:
        model = WhereTable if "where" in keys else tables.get(str(keys[0]), FileTable)
    return list(model.model_fields)


def _check_names(file: Path, text: str, table: FileTable) -> None:
    """Refuse names of recipes and tags that do not exist."""
    from pipeline.rules import RULES

    recipe_tables: list[tuple[tuple[str | int, ...], dict[str, Any]]] = [(("recipes",), table.recipes)]
    recipe_tables += [(("override", n, "recipes"), o.recipes) for n, o in enumerate(table.override)]
    for keys, names in recipe_tables:
        for name in names:
            if name not in RECIPES:
                line = locate(text, (*keys, name))
                raise ConfigError(f"{file}, line {line}: unknown recipe {name}", nearest(name, list(RECIPES)))
    for name in table.associate:
        if name not in RULES:
            line = locate(text, ("associate", name))
            raise ConfigError(f"{file}, line {line}: unknown tag {name}", nearest(name, list(RULES)))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
