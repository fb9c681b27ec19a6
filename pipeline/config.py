"""The settings of a workspace: one frozen value, read once from `clio.toml` and checked by a schema.

Each key of the file is a field of a table below. The text under a field is its meaning: `clio init` writes it
into the file, and `clio config schema` into the schema for editors; an example stands where there is no
default to show.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import ConfigError, Slip
from pipeline.model import Scope, SofLine, Stage
from pipeline.places import FILE, LOCK
from pipeline.recipes import ALIGNMENT_FILTER
from pipeline.slips import name_slips, refusal, schema_slips, syntax_slip

Parameter = str | bool | int | float
"""A value of a recipe parameter, as TOML has it."""

Text = Annotated[str, Field(min_length=1)]
Names = str | Annotated[list[Text], Field(min_length=1)]
"""One name or several; `*`, `?` and `[...]` stand for what is left open."""

StageName = Annotated[Stage, Field(strict=False)]
SOF_LINE = re.compile(r"^[A-Za-z0-9_:+-][A-Za-z0-9._:+-]* [A-Z0-9_]+( [1-9][0-9]{0,3})?$")
"""A line of a set of frames: a name as of `pipeline.sof.NAME`, a tag, perhaps which of that tag."""
SofText = Annotated[str, Field(pattern=SOF_LINE.pattern)]


class Table(BaseModel):
    """A table of the file: no key that is not known, no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ClioTable(Table):
    """How work is done here."""

    store: Text = ".clio"
    """Folder where products and their records are kept; several workspaces may share one."""
    engine: Literal["auto", "docker", "podman", "bubblewrap", "apptainer"] = "auto"
    """What runs the recipes; auto takes the first that works of docker, bubblewrap and apptainer."""
    clock: Literal["frozen", "real"] = "frozen"
    """Whether the clock stands still in a recipe; with a real one products differ in their DATE."""
    numerics: Literal["pinned", "native"] = "pinned"
    """Whether the C library computes alike on every processor, or as it likes on this one."""
    jobs: Annotated[Annotated[int, Field(ge=1)] | None, Field(examples=[2])] = None
    """Recipes at once; without it, one a core."""
    memory_gb: Annotated[Annotated[float, Field(gt=0)] | None, Field(examples=[16])] = None
    """Memory in GB that recipes may take; without it, what is free."""
    timeout_min: Annotated[Annotated[float, Field(gt=0)] | None, Field(examples=[240])] = None
    """Minutes after which a recipe is stopped; without it, none is."""
    link: Literal["auto", "reflink", "hardlink", "symlink", "copy"] = "auto"
    """How products/ shows what is in the store; copy for those who edit in place."""


class DataTable(Table):
    """Where frames lie, and which of them count."""

    raw: list[Text] = Field(default_factory=lambda: ["raw"])
    """Folders of raw frames, searched with all that is in them."""
    calib: list[Text] = Field(default_factory=lambda: ["calib"])
    """Folders of static calibrations."""
    mode: Annotated[str, Field(examples=["WFM-NOAO-N"])] = ""
    """The instrument mode to reduce; without it, all that are there, each apart."""
    ifus: Annotated[list[Annotated[int, Field(ge=1, le=24)]], Field(examples=[[1, 2]])] = Field(
        default_factory=list
    )
    """IFUs to reduce; without it, all."""


class ImageTable(Table):
    """The recipe image, by digest."""

    reference: Annotated[str, Field(examples=["sha256:..."])] = ""
    """Digest of the image; without it, the one in clio.lock."""
    archive: Annotated[str, Field(examples=["image.tar"])] = ""
    """File of the image, taken in if it is not here yet."""


class WorkflowTable(Table):
    """What the stages use beyond the parameters of recipes."""

    dark: bool = False
    """Whether darks are subtracted; ESO advises against it."""
    illum: bool = True
    """Whether ILLUM exposures correct twilights and exposures."""
    offset_list: bool = True
    """Whether exposures are shifted by the offsets that align finds."""
    filter_for_alignment: Text = ALIGNMENT_FILTER
    """Filter of the images by which exposures are aligned."""
    align: Literal["recipe", "reference"] = "recipe"
    """Align by sources with muse_exp_align, or by all that a reference image shows with clio_align."""
    align_by: Literal["dataset", "template"] = "dataset"
    """Whether exposures are shifted by the offsets of their dataset, or by those of their template."""
    finalise: bool = False
    """Whether whole targets are aligned and combined, with a cube of each exposure on the same grid."""


class DatasetTable(Table):
    """Which exposures of a target belong together."""

    match: Annotated[list[Text], Field(examples=[["200012345"]])] = Field(default_factory=list)
    """Patterns for ESO OBS ID, DATE-OBS, ARCFILE, the template's start or the night; without it, its name."""


class TargetTable(Table):
    """Which exposures belong to a target, and to which of its datasets."""

    match: Annotated[list[str], Field(examples=[["NGC 1068*", "200012345"]])] = Field(default_factory=list)
    """Patterns for ESO OBS TARG NAME or ESO OBS ID; without it, the name of the table."""
    exclude: Annotated[list[str], Field(examples=[["2026-01-16T01:42:00.490"]])] = Field(default_factory=list)
    """Patterns for DATE-OBS or ARCFILE of exposures to leave out."""
    reference: Annotated[str, Field(examples=["wide.fits"])] = ""
    """Image of the sky by which its exposures are aligned; without it, by each other."""
    datasets: dict[str, DatasetTable] = Field(default_factory=dict)
    """Datasets by name; what none matches is reduced by observing block."""


class AssociateTable(Table):
    """The policy for one calibration."""

    window_d: Annotated[Annotated[float, Field(gt=0)] | None, Field(examples=[5])] = None
    """Days within which it is looked for, at the poorest level; without it, as the rule of the tag says."""
    levels_d: Annotated[
        Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, max_length=3)] | None,
        Field(examples=[[1, 3, 7]]),
    ] = None
    """Days within which it is of level 0, 1 and 2; without it, as the rule of the tag says."""
    max_level: Annotated[Annotated[int, Field(ge=0, le=2)] | None, Field(examples=[1])] = None
    """The poorest level that is accepted; without it, any."""
    agree: Annotated[
        list[Literal["mode", "readout", "binning", "chip", "field", "instrument"]] | None,
        Field(examples=[["mode", "readout"]]),
    ] = None
    """What has to be alike; without it, as the rule of the tag says."""
    cross_interventions: bool = False
    """Whether it may be used across an intervention on the instrument, at the poorest level."""
    use: Annotated[str, Field(examples=["MUSE.2026-01-16T00:12:00.000.fits"])] = ""
    """The one to use, at any distance: its template start, exposure, file or ARCFILE."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        levels = self.levels_d or []
        if levels != sorted(levels):
            raise ValueError(f"levels_d = {levels} has to ascend: level 0 is the nearest")
        return self


class RecipeTable(Table):
    """Parameters of a recipe, by its own names; clio params RECIPE lists them."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, Parameter]

    environment: Annotated[dict[str, str], Field(examples=[{"MUSE_SUPERFLAT_POS": "1"}])] = Field(
        default_factory=dict
    )
    """Variables of the MUSE library, part of the key of what is made."""

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters that are set: option to value."""
        return self.model_extra or {}


class WhereTable(Table):
    """Steps for which something holds: all that is named must fit."""

    exposure: Annotated[Names, Field(examples=["2026-01-16T01:42:00.490"])] = ""
    """DATE-OBS, of steps that work on one exposure."""
    template: Annotated[Names, Field(examples=["2026-01-15T13:59:52"])] = ""
    """TPL START of what a step reduces; steps of a dataset have none."""
    dataset: Annotated[Names, Field(examples=["200012345"])] = ""
    """A dataset, by default ESO OBS ID."""
    target: Annotated[Names, Field(examples=["NGC 1068"])] = ""
    """A target."""
    stage: StageName | Annotated[list[StageName], Field(min_length=1)] | None = None
    """A stage of the workflow, or several."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are named; all if none is."""
        if self.stage is None:
            return tuple(Stage)
        return (self.stage,) if isinstance(self.stage, Stage) else tuple(self.stage)

    @property
    def rank(self) -> tuple[int, ...]:
        """How particular it is, for comparison: see `Settings.overrides`."""
        names = (self.exposure, self.template, self.dataset, self.target)
        return (*(_particular(each) for each in names), 2 * (self.stage is not None))

    def fits(self, scope: Scope) -> bool:
        """Tell whether a step is meant; what is not said fits every step."""
        return scope.stage in self.stages and all(
            not wanted or is_named(wanted, name)
            for wanted, name in (
                (self.exposure, scope.exposure),
                (self.template, scope.template),
                (self.dataset, scope.dataset),
                (self.target, scope.target),
            )
        )


class OverrideTable(Table):
    """Parameters for some steps only."""

    where: WhereTable
    """Which steps: exposure, template, dataset, target and stage; names, lists, or with * and ?."""
    recipes: dict[str, RecipeTable]
    """What holds for them, as in [recipes.NAME]."""


class SofTable(Table):
    """The set of frames of a step as it was given elsewhere, to make the very same header again."""

    where: WhereTable
    """Which step: exposure, template, dataset, target and stage, as in [[override]]."""
    ifu: Annotated[int, Field(ge=1, le=24, examples=[1])] | None = None
    """The IFU, of steps that work on one."""
    frames: Annotated[list[SofText], Field(min_length=1, examples=[["MASTER_BIAS-01.fits MASTER_BIAS"]])]
    """NAME TAG, in order; with a third word N, the N-th frame of this tag. What is not named, and not
    needed, is not given."""

    @property
    def lines(self) -> tuple[SofLine, ...]:
        """The frames, line by line."""
        words = (text.split() for text in self.frames)
        return tuple(SofLine(name, tag, int(number[0]) if number else None) for name, tag, *number in words)

    def fits(self, scope: Scope, ifu: int | None) -> bool:
        """Tell whether a step is meant."""
        return self.ifu in (None, ifu) and self.where.fits(scope)


class ReportTable(Table):
    """What to draw; there is nothing to choose yet."""


class FileTable(Table):
    """The whole of `clio.toml`."""

    clio: ClioTable = ClioTable()
    """How work is done here."""
    data: DataTable = DataTable()
    """Where frames lie, and which of them count."""
    image: ImageTable = ImageTable()
    """The recipe image, by digest."""
    workflow: WorkflowTable = WorkflowTable()
    """What the stages use beyond the parameters of recipes."""
    targets: dict[str, TargetTable] = Field(default_factory=dict)
    """Which exposures belong to which target; without it, headers say."""
    associate: dict[str, AssociateTable] = Field(default_factory=dict)
    """The policy for a calibration, by its tag."""
    recipes: dict[str, RecipeTable] = Field(default_factory=dict)
    """Parameters of recipes, everywhere."""
    override: list[OverrideTable] = Field(default_factory=list)
    """Parameters for some steps only; the most particular wins, then the later."""
    sof: list[SofTable] = Field(default_factory=list)
    """Sets of frames as they were given elsewhere; the most particular wins, then the later."""
    report: ReportTable = ReportTable()
    """What to draw; there is nothing to choose yet."""


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

    def overrides(self, recipe: str, scope: Scope) -> Iterator[tuple[int, RecipeTable]]:
        """List the overrides of a recipe that hold for a step: what comes later wins.

        Parameters
        ----------
        recipe : str
            Name of the recipe.
        scope : Scope
            What the step works on, compared with the `where` of each override.

        Yields
        ------
        int, RecipeTable
            Its place in the file, and what it sets.

        Notes
        -----
        The most particular comes last: what names an exposure, then a template, a dataset, a target, a stage.
        Of two that name the same, one that leaves nothing open is more particular than a pattern. Of equals
        the later in the file comes last.
        """
        found = [
            (override.where.rank, number, override.recipes[recipe])
            for number, override in enumerate(self.table.override)
            if recipe in override.recipes and override.where.fits(scope)
        ]
        for _, number, table in sorted(found, key=lambda item: item[:2]):
            yield number, table

    def sof(self, scope: Scope, ifu: int | None) -> tuple[SofLine, ...]:
        """Give the set of frames of a step as it was given elsewhere; empty if nothing is said of it."""
        found = [
            (table.where.rank, table.ifu is not None, number)
            for number, table in enumerate(self.table.sof)
            if table.fits(scope, ifu)
        ]
        return self.table.sof[max(found)[-1]].lines if found else ()

    def environment(self, recipe: str, scope: Scope) -> tuple[tuple[str, str], ...]:
        """Give the variables of the MUSE library that a person set for a step, sorted."""
        found: dict[str, str] = {}
        if recipe in self.table.recipes:
            found |= self.table.recipes[recipe].environment
        for _, table in self.overrides(recipe, scope):
            found |= table.environment
        return tuple(sorted(found.items()))


def spell(value: Parameter) -> str:
    """Write a value of TOML or Python as esorex takes it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)


def is_named(wanted: Names, name: str) -> bool:
    """Tell whether a name is among those wanted, or fits one of their patterns."""
    patterns = [wanted] if isinstance(wanted, str) else wanted
    return bool(name) and any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def load(path: Path) -> Settings:
    """Read the settings of a workspace.

    Parameters
    ----------
    path : Path
        `clio.toml`, or the folder that holds it.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or has an unknown key or a value of the wrong type; all of them,
        each with its line.
    """
    file = path / FILE if path.is_dir() else path
    text, document = read_document(file)
    table, slips = check_document(text, document)
    if slips or table is None:
        raise refusal(file, slips)
    return Settings(file.absolute().parent, table, file.absolute())


def read_document(file: Path) -> tuple[str, dict[str, Any]]:
    """Read a file of TOML: its text, and what it says.

    Raises
    ------
    ConfigError
        It is missing, is no text, or is not TOML; with the line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        hint = "start a workspace with: clio init"
        raise ConfigError(f"cannot read {file}: {error.strerror}", hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text") from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise syntax_slip(file, str(error)) from error


def check_document(text: str, document: dict[str, Any]) -> tuple[FileTable | None, tuple[Slip, ...]]:
    """Check what a file says against the tables of this module.

    Returns
    -------
    table : FileTable or None
        None if there are slips.
    slips : tuple of Slip
        All that is wrong, by line.
    """
    slips = list(name_slips(text, document))
    table = None
    try:
        table = FileTable.model_validate(document)
    except ValidationError as error:
        slips += schema_slips(text, document, error.errors(), FileTable)
    return (None if slips else table), tuple(sorted(slips, key=lambda slip: slip.line))


def _particular(wanted: Names) -> int:
    """Rank what is said of a name: not at all, a pattern, or the name itself."""
    if not wanted:
        return 0
    patterns = [wanted] if isinstance(wanted, str) else wanted
    return 1 if any(set(pattern) & set("*?[") for pattern in patterns) else 2
