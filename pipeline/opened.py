"""A workspace that is open, and what can be seen of it before anything runs: frames, plan, forecast."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.arguments import Argument, by_stage, read_arguments
from pipeline.calibrations import Sheet, sheets
from pipeline.config import Settings, load, spell
from pipeline.drafts import Asked
from pipeline.engine import Engine, RecipeImage
from pipeline.engines.deferred import DeferredEngine
from pipeline.errors import FramesError, Slip, UsageError
from pipeline.forecast import Forecast, forecast
from pipeline.frame_memo import FrameMemo
from pipeline.given import given_frames
from pipeline.image import ImageLibrary, RecipeParameter
from pipeline.layers import Arguments, Setter
from pipeline.lock import resolve_image
from pipeline.model import Plan, Scan, Scope, Stage
from pipeline.parameters import effective
from pipeline.plan import plan as make_plan
from pipeline.policy import rule_with
from pipeline.recipes import FINAL, ON_REQUEST, STAGES
from pipeline.resolve import Resolver
from pipeline.rules import RULES
from pipeline.scan import scan
from pipeline.selections import selection_slips
from pipeline.slips import parameter_slips, refusal
from pipeline.stages import EVERYTHING, Only, narrowed
from pipeline.tags import Kind
from provenance.store import Store


class Opened:
    """A workspace opened to be looked at; `pipeline.reduce.Reduction` is one that work is done in.

    Parameters
    ----------
    settings, engine, library
        As for a `Reduction`.
    """

    def __init__(
        self, settings: Settings, *, engine: str | Engine = "", library: ImageLibrary | None = None
    ) -> None:
        self.settings = settings
        self.cancel = threading.Event()
        """Set it from another thread to stop a run."""
        self.library = library or ImageLibrary()
        self.store = Store.open(settings.store, create=True)
        wanted = engine or settings.table.clio.engine
        self.engine = DeferredEngine(lambda: _open_engine(wanted) if isinstance(wanted, str) else wanted)
        self.resolver = Resolver(
            *(self.store, self.library, lambda: self.image, self.engine),
            numerics=settings.table.clio.numerics,
        )
        self._arguments: dict[Stage, dict[str, str]] = {}
        self._illum: dict[Stage, bool] = {}
        self._asked = Asked()
        self._argued_by = Setter.CALL
        self._set: tuple[Argument, ...] = ()
        self._may_pin = True

    @classmethod
    def open(cls, path: str | Path = "clio.toml", *, engine: str = "") -> Self:
        """Open the workspace of a configuration file.

        Parameters
        ----------
        path : str or Path
            `clio.toml`, or the folder that holds it.
        engine : str, optional
            Engine to use instead of the one in the settings.

        Raises
        ------
        ConfigError
            The file is missing or says something unknown.
        """
        return cls(load(Path(path)), engine=engine)

    @cached_property
    def image(self) -> RecipeImage:
        """The recipe image of this workspace, pinned in `clio.lock` when it is first asked for.

        Raises
        ------
        ImageError
            There is none, or nothing says which.
        """
        return resolve_image(self.settings, self.library, pin=self._may_pin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def scan(self) -> Scan:
        """Look through the folders of the workspace.

        Raises
        ------
        FramesError
            There is no FITS file in them.
        """
        memo = FrameMemo(self.store)
        try:
            found = scan(self.settings.folders, self.resolver.data_digest, memo.read)
        finally:
            memo.save()
        frames, problems = given_frames(self.settings)
        return replace(found, frames=(*found.frames, *frames), problems=(*found.problems, *problems))

    def known_digest(self, path: Path) -> str | None:
        """Give the digest of a file if it is remembered; reads nothing of it."""
        known = self.store.files.memo(path.stat())
        return known.digest if known else None

    def plan(self) -> Plan:
        """Plan every step of the reduction, and check all parameters.

        Raises
        ------
        FramesError
            There is no raw frame that can be used.
        ConfigError, UsageError
            A parameter that a recipe does not know, or a value it does not take; a name that fits nothing.
        """
        found, made = self._drafted()
        slips = (*self.parameter_slips(), *selection_slips(self.settings, found, made))
        if slips:
            raise refusal(self.settings.file, sorted(slips, key=lambda slip: slip.line))
        for recipe, options in {(step.recipe, step.parameters) for step in made.steps}:
            self._check(recipe, options)
        return made

    def set_parameters(self, texts: Iterable[str]) -> None:
        """Take parameters for the calls of this object; they win over the settings.

        Parameters
        ----------
        texts : iterable of str
            As `clio run --set` takes them: `muse_scipost.dx=0.4`, or `scipost.dx=0.4` for a stage.

        Raises
        ------
        UsageError
            One that names no recipe, no stage, or a parameter that cannot be set.
        """
        self._set = read_arguments(texts)
        for stage, given in by_stage(self._set).items():
            self._arguments.setdefault(stage, {}).update(given)
        self._argued_by = Setter.COMMAND if self._set else Setter.CALL

    @property
    def arguments(self) -> Arguments:
        """Parameters that were given with calls."""
        return Arguments(self._arguments, self._argued_by, self._asked.arguments)

    def ask_for(self, stages: Iterable[Stage]) -> None:
        """Plan stages that are not planned unless somebody asks for them; others are left as they are.

        Parameters
        ----------
        stages : iterable of Stage
            As a person named them; of those that put whole targets together one stands for all.
        """
        asked = ON_REQUEST.intersection(stages)
        asked |= frozenset(FINAL) if asked.intersection(FINAL) else frozenset()
        self._asked = replace(self._asked, stages=self._asked.stages | asked)

    def argue(self, stage: Stage, target: str, dataset: str, **parameters: str | float | bool) -> None:
        """Give parameters to the steps of a stage in one target, or in one of its datasets.

        They hold for this object's later calls, and win over those for all targets.

        Raises
        ------
        UsageError
            A parameter that later stages rely on.
        """
        part = (Scope(stage, target=target, dataset=dataset), spelled(stage, parameters))
        self._asked = replace(self._asked, arguments=(*self._asked.arguments, part))

    @property
    def _is_as_configured(self) -> bool:
        """Whether the settings alone decide, and no call asked for more."""
        workflow, asked = self.settings.table.workflow, self._asked
        is_set = {*(FINAL if workflow.finalise else ())}
        is_set |= {Stage.ALIGN_BYGROUP} if workflow.align_by == "template" else set()
        is_same = asked.align_by in ("", workflow.align_by)
        is_argued = self._arguments or self._illum or asked.arguments
        return is_same and asked.stages <= is_set and not is_argued

    def parameter_slips(self) -> tuple[Slip, ...]:
        """Check the recipe parameters of the settings against what the recipes of the image take."""
        document = self.settings.table.model_dump(exclude_unset=True)
        if not {"recipes", "override"} & document.keys():
            return ()  # without asking the image
        text = self.settings.file.read_text(encoding="utf-8")
        return tuple(parameter_slips(text, document, self.known_parameters))

    def selection_slips(self) -> tuple[Slip, ...]:
        """Check what the settings name against the frames that are there.

        Raises
        ------
        FramesError
            There is no raw frame that can be used.
        """
        return selection_slips(self.settings, *self._drafted())

    def _drafted(self) -> tuple[Scan, Plan]:
        """Scan and plan, nothing checked yet."""
        found = self.scan()
        _require_raw(found)
        return found, make_plan(
            *(found, self.settings, self._arguments, self._illum),
            argued_by=self._argued_by,
            asked=self._asked,
        )

    def calibrations(self) -> tuple[Sheet, ...]:
        """Say for each exposure and template which calibrations it needs, has and lacks; needs no image.

        Raises
        ------
        FramesError
            There is no raw frame that can be used.
        ConfigError
            A name of the settings that fits nothing.
        """
        found, made = self._drafted()
        slips = selection_slips(self.settings, found, made)
        if slips:
            raise refusal(self.settings.file, slips)
        policies = self.settings.table.associate
        return sheets(made, lambda tag: rule_with(RULES[tag], policies.get(tag)))

    def forecast(
        self, plan: Plan | None = None, only: Only | None = None, *, is_lean: bool = False
    ) -> tuple[Forecast, ...]:
        """Say for each step of the plan whether it is a hit, a miss or blocked, and why; runs nothing.

        Parameters
        ----------
        plan : Plan, optional
            By default that of the whole reduction.
        only : Only, optional
            Targets and datasets; all by default.
        is_lean : bool
            Leave out the jobs of hits: of a year's steps they fill the memory.
        """
        found: dict[str, Forecast] = {}
        for step in narrowed(plan or self.plan(), only or EVERYTHING).steps:
            seen = forecast(step, found, self.resolver, self.store)
            found[step.id] = seen.without_job if is_lean and seen.is_hit else seen
        return tuple(found.values())

    def known_parameters(self, recipe: str) -> tuple[RecipeParameter, ...]:
        """Give the parameters of a recipe as the image declares them."""
        return self.library.parameters(self.image, self.engine, recipe)

    def _check(self, recipe: str, options: tuple[tuple[str, str], ...]) -> None:
        effective(recipe, self.known_parameters(recipe), options)


def spelled(stage: Stage, parameters: Mapping[str, str | float | bool | None]) -> dict[str, str]:
    """Write parameters as the recipe takes them; refuse those that later stages rely on."""
    given = {name: spell(value) for name, value in parameters.items() if value is not None}
    for name in STAGES[stage].fixed:
        if name in given:
            hint = "see [workflow] in clio.toml" if name == "filter" else ""
            raise UsageError(f"{name} of {stage} is set by the workflow: later stages rely on it", hint)
    return given


def _require_raw(found: Scan) -> None:
    """Refuse to go on with problems only; `scan` alone shows them."""
    if not any(frame.kind is Kind.RAW for frame in found.frames):
        searched = ", ".join(str(folder) for folder in found.searched)
        first = f": {found.problems[0]}" if found.problems else ""
        raise FramesError(f"no raw frame in {searched} can be used{first}", "list all with: clio scan")


def _open_engine(name: str) -> Engine:
    from pipeline.engines import open_engine

    return open_engine(name)
