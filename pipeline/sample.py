"""Many targets at once, as users of pymusepipe have them: a dictionary of targets and their datasets.

A sample is a view of one workspace: frames are known by their headers, calibrations are shared between
targets and made once, and what runs is what `clio run --target ... --dataset ...` runs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import PipelineError, UsageError
from pipeline.events import Did, Event, failure
from pipeline.model import Stage
from pipeline.recipes import FINAL
from pipeline.reduce import Reduction
from pipeline.stages import Only, datasets_by_target, narrowed, stage_of, stretch
from pipeline.summary import Made

Datasets = Sequence[object] | Mapping[object, object] | str | int | None
"""What a dictionary says of a target: its datasets, all of them for None, or as pymusepipe writes them:
`["P05", {1: 1, 2: 0}]`, a folder, and whether each dataset is wanted."""


@dataclass(frozen=True, slots=True)
class TargetResult:
    """What a call did for one target."""

    target: str
    products: tuple[Made, ...]
    """Of its own steps, made now or known; those of calibrations are in none."""
    error: PipelineError | None
    """What failed or is blocked, the first of it; None if all went well."""
    ran: int
    hits: int


class Sample:
    """Targets and their datasets, reduced together.

    Parameters
    ----------
    reduction : Reduction or str or Path
        An open workspace, or its `clio.toml`.
    targets : mapping, optional
        Target to datasets, see `Datasets`; all targets with all their datasets without it.

    Raises
    ------
    UsageError
        No exposure belongs to a target or dataset that is named; with the nearest name.

    Examples
    --------
    >>> from pipeline import Sample
    >>> sample = Sample("clio.toml", {"NGC1087": ["P05", {1: 1, 2: 1}]})  # doctest: +SKIP
    >>> sample.run_recipes(last="prep_align")  # doctest: +SKIP
    """

    def __init__(
        self, reduction: Reduction | str | Path, targets: Mapping[str, Datasets] | None = None
    ) -> None:
        self._is_ours = not isinstance(reduction, Reduction)
        self.reduction = reduction if isinstance(reduction, Reduction) else Reduction.open(reduction)
        try:
            plan = self.reduction.plan()
            known = datasets_by_target(plan)
            named = {str(target): wanted_datasets(of) for target, of in (targets or {}).items()}
            narrowed(plan, Only(tuple(named.items())))
        except BaseException:
            self.close()
            raise
        self.targets: dict[str, tuple[str, ...]] = {
            target: named.get(target, ()) or known[target] for target in (known if targets is None else named)
        }
        """Target to the names of its datasets."""
        self._whole = frozenset(target for target in self.targets if not named.get(target))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the workspace, if this sample opened it."""
        if self._is_ours:
            self.reduction.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self.targets)

    def set_parameters(
        self, stage: str, target: str = "", dataset: str | int = "", **parameters: str
    ) -> None:
        """Give parameters of a recipe to a stage in one target, or in one of its datasets.

        Raises
        ------
        UsageError
            No such stage, target or dataset; a parameter that cannot be set.
        """
        name = str(dataset)
        datasets = [name] if name else []
        narrowed(self.reduction.plan(), Only.named([target] if target else [], datasets))
        self.reduction.argue(stage_of(stage), target, name, **parameters)

    def run_recipes(
        self, first: str | None = None, last: str | None = None, *, targets: Iterable[str] = ()
    ) -> dict[str, TargetResult]:
        """Run a stretch of the workflow; by target.

        Parameters
        ----------
        first, last : str, optional
            Names of stages, both included.
        targets : iterable of str
            Some of the sample's targets; all without.

        Returns
        -------
        dict of str to TargetResult
            A target that failed has its error; the others were done.

        Raises
        ------
        UsageError
            No stage or target has that name.
        """
        self.reduction.ask_for(stage_of(name) for name in (first, last) if name)
        return self._run(stretch(first, last), targets)

    def run(self, *stages: str, targets: Iterable[str] = ()) -> dict[str, TargetResult]:
        """Run stages by name; as `run_recipes`."""
        wanted = tuple(stage_of(name) for name in stages)
        self.reduction.ask_for(wanted)
        return self._run(wanted, targets)

    def run_bias(self, *targets: str) -> dict[str, TargetResult]:
        """Run `bias` of all targets, or of those that are named."""
        return self.run(Stage.BIAS, targets=targets)

    def run_dark(self, *targets: str) -> dict[str, TargetResult]:
        """Run `dark` of all targets, or of those that are named."""
        return self.run(Stage.DARK, targets=targets)

    def run_flat(self, *targets: str) -> dict[str, TargetResult]:
        """Run `flat` of all targets, or of those that are named."""
        return self.run(Stage.FLAT, targets=targets)

    def run_wave(self, *targets: str) -> dict[str, TargetResult]:
        """Run `wave` of all targets, or of those that are named."""
        return self.run(Stage.WAVE, targets=targets)

    def run_lsf(self, *targets: str) -> dict[str, TargetResult]:
        """Run `lsf` of all targets, or of those that are named."""
        return self.run(Stage.LSF, targets=targets)

    def run_twilight(self, *targets: str) -> dict[str, TargetResult]:
        """Run `twilight` of all targets, or of those that are named."""
        return self.run(Stage.TWILIGHT, targets=targets)

    def run_scibasic_all(self, *targets: str) -> dict[str, TargetResult]:
        """Run `scibasic` of all targets, or of those that are named."""
        return self.run(Stage.SCIBASIC, targets=targets)

    def run_standard(self, *targets: str) -> dict[str, TargetResult]:
        """Run `standard` of all targets, or of those that are named."""
        return self.run(Stage.STANDARD, targets=targets)

    def run_sky(self, *targets: str) -> dict[str, TargetResult]:
        """Run `sky` of all targets, or of those that are named."""
        return self.run(Stage.SKY, targets=targets)

    def run_prep_align(self, *targets: str) -> dict[str, TargetResult]:
        """Run `prep_align` of all targets, or of those that are named."""
        return self.run(Stage.PREP_ALIGN, targets=targets)

    def run_align_bydataset(self, *targets: str) -> dict[str, TargetResult]:
        """Run `align` of all targets, or of those that are named."""
        return self.run(Stage.ALIGN, targets=targets)

    def run_align_bygroup(self, *targets: str) -> dict[str, TargetResult]:
        """Run `align_bygroup` of all targets, or of those that are named."""
        return self.run(Stage.ALIGN_BYGROUP, targets=targets)

    def run_scipost(self, *targets: str) -> dict[str, TargetResult]:
        """Run `scipost` of all targets, or of those that are named."""
        return self.run(Stage.SCIPOST, targets=targets)

    def run_scipost_perexpo(self, *targets: str) -> dict[str, TargetResult]:
        """Run `scipost_perexpo` of all targets, or of those that are named."""
        return self.run(Stage.SCIPOST_PEREXPO, targets=targets)

    def run_combine_dataset(self, *targets: str) -> dict[str, TargetResult]:
        """Run `combine` of all targets, or of those that are named."""
        return self.run(Stage.COMBINE, targets=targets)

    combine_dataset = run_combine_dataset

    def run_finalise(self, *targets: str) -> dict[str, TargetResult]:
        """Put whole targets together; a target of which only some datasets are in the sample is refused."""
        chosen = self._chosen(targets)
        for target in chosen:
            if target not in self._whole:
                what = f"only some datasets of {target} are in the sample, and finalise is of whole targets"
                raise UsageError(what, "name the target without datasets")
        self.reduction.ask_for(FINAL)
        return self._run(FINAL, chosen)

    finalise = run_finalise

    def _run(self, stages: tuple[Stage, ...], targets: Iterable[str]) -> dict[str, TargetResult]:
        chosen = self._chosen(targets)
        parts = tuple((t, () if t in self._whole else self.targets[t]) for t in chosen)
        if not parts:
            return {}
        summary = self.reduction.run(stages, only=Only(parts))
        return {target: self._result(target, summary.events) for target in chosen}

    def _chosen(self, targets: Iterable[str]) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(targets)) or tuple(self.targets)
        for target in chosen:
            if target not in self.targets:
                raise UsageError(f"{target} is not in the sample", f"there are {', '.join(self.targets)}")
        return chosen

    def _result(self, target: str, events: tuple[Event, ...]) -> TargetResult:
        ours = tuple(event for event in events if event.step.target == target)
        return TargetResult(
            target,
            self.reduction.made(ours),
            failure(ours),
            ran=sum(event.did is Did.RAN for event in ours),
            hits=sum(event.did is Did.HIT for event in ours),
        )


def wanted_datasets(of: Datasets) -> tuple[str, ...]:
    """Read the datasets of a target, written in any of the ways of `Datasets`.

    Raises
    ------
    UsageError
        None is wanted, or it is written in another way.

    Examples
    --------
    >>> wanted_datasets(["P05", {1: 1, 2: 0}]), wanted_datasets([1, 2]), wanted_datasets(None)
    (('1',), ('1', '2'), ())
    """
    match of:
        case None:
            return ()
        case str() | int():
            return (str(of),)
        case [str(), Mapping() as flags]:  # the folder says nothing: frames are known by their headers
            return wanted_datasets(flags)
        case Mapping():
            wanted = tuple(str(name) for name, is_wanted in of.items() if is_wanted)
            if not wanted:
                raise UsageError(f"of the datasets {', '.join(map(str, of))} none is wanted", "give one a 1")
            return wanted
        case [*names] if names and all(isinstance(name, str | int) for name in names):
            return tuple(map(str, names))
    raise UsageError(f"{of!r} names no datasets", 'write ["1", "2"], or ["P05", {1: 1, 2: 1}]')
