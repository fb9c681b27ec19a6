"""Two products, runs or reductions compared: from what came out back to where their lineages part.

Reads, and neither writes nor prints; how a difference looks on screen or as JSON is decided under `cli/`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

from pipeline.causes import Cause, CauseKind
from pipeline.model import Stage
from pipeline.reasons import Explainer, Packages
from pipeline.report import step_id
from pipeline.surroundings import not_reproduced, surroundings
from pipeline.verdict import Comparison, Sameness, compare, worst
from provenance.model import Invocation, OutputFile, Run
from provenance.store import Store

Pair = tuple[OutputFile | None, OutputFile | None]
"""A product of each of two runs; None where one has no such product."""

_OF_ANOTHER_RECIPE = frozenset(
    {CauseKind.PARAMETER, CauseKind.EXPECTED, CauseKind.INPUT, CauseKind.PART, CauseKind.ORDER}
)
"""What two recipes do not share, so that comparing it says nothing."""


@dataclass(frozen=True, slots=True)
class Root:
    """Where two lineages part first."""

    cause: Cause
    """With what it holds: the packages of an image, the cards of a file."""
    steps: tuple[str, ...]
    """In which it lies: the same in twenty-four IFUs is one cause."""
    through: tuple[tuple[str, str], ...]
    """Tag and step of the products by which it came to the outcome, its own first."""


@dataclass(frozen=True, slots=True)
class ProductPair:
    """A product of both runs, or of one."""

    tag: str
    name: str
    old: OutputFile | None
    new: OutputFile | None
    compared: Comparison


@dataclass(frozen=True, slots=True)
class RunPair:
    """Two runs compared."""

    old: Run
    new: Run
    sameness: Sameness
    """The worst of their products."""
    roots: tuple[Root, ...]
    """Where they part, those furthest from the outcome first; empty if they were asked the same."""
    products: tuple[ProductPair, ...]
    around: tuple[tuple[str, str, str], ...]
    """What else was otherwise and is no part of a key: name, and its value in each."""

    @property
    def is_same(self) -> bool:
        """Whether they were asked the same and gave the same data."""
        return not self.roots and is_same(self.sameness) and self.old.status == self.new.status


class StepState(StrEnum):
    """How a step of two reductions compares."""

    SAME = "same"
    SAME_DATA = "same data"
    """It was asked otherwise and gave the same data."""
    DIFFERS = "differs"
    ONLY_OLD = "only in A"
    ONLY_NEW = "only in B"


@dataclass(frozen=True, slots=True)
class StepPair:
    """A step of both reductions, or of one."""

    step: str
    old: Run | None
    new: Run | None
    state: StepState


@dataclass(frozen=True, slots=True)
class ReductionPair:
    """Two reductions compared, by what is recorded of their products."""

    steps: tuple[StepPair, ...]
    """In the order of the workflow."""
    roots: tuple[Root, ...]
    """Where they part, each once: in the order of the workflow."""

    @property
    def is_same(self) -> bool:
        """Whether every step is there in both, was asked the same and gave the same data."""
        return all(step.state is StepState.SAME for step in self.steps)


@dataclass(frozen=True, slots=True)
class FilePair:
    """Two files compared of which no run is known, or of one only."""

    compared: Comparison

    @property
    def is_same(self) -> bool:
        """Whether they hold the same data."""
        return is_same(self.compared.sameness)


def is_same(sameness: Sameness) -> bool:
    """Say whether two files hold the same data; a card that only tells when a run began is no difference."""
    return sameness in (Sameness.IDENTICAL, Sameness.SAME_SCIENCE)


class Differ:
    """Compares what two stores, or one, hold.

    Parameters
    ----------
    old, new : Store
        Where the two sides are.
    packages : callable
        Gives the packages of an image.
    """

    def __init__(self, old: Store, new: Store, packages: Packages) -> None:
        self._old, self._new = old, new
        self._explainer = Explainer(new, packages, old)

    def runs(self, old: Run, new: Run, products: Iterable[Pair] | None = None) -> RunPair:
        """Compare two runs.

        Parameters
        ----------
        old, new : Run
            One of each store.
        products : iterable of pairs of OutputFile, optional
            Those to compare; by default all, as `paired` puts them together.
        """
        self._explainer.forget()
        together = paired(old.outputs, new.outputs) if products is None else products
        pairs = tuple(self._product(*pair) for pair in together)
        sameness = worst(pair.compared.sameness for pair in pairs) if pairs else _of_nothing(old, new)
        causes = self._causes(old, new)
        if not causes and not (is_same(sameness) and old.status == new.status) and old.run != new.run:
            causes = (not_reproduced(old, new),)
        roots = sorted(_roots(causes, step_id(new.stage, new.unit)), key=lambda root: -len(root.through))
        return RunPair(old, new, sameness, merged(roots), pairs, surroundings(old, new))

    def reductions(self, old: Mapping[str, Run], new: Mapping[str, Run]) -> ReductionPair:
        """Compare the runs of two reductions, step by step.

        Parameters
        ----------
        old, new : mapping of str to Run
            By step, as `reduction_of` gives them.
        """
        self._explainer.forget()
        steps: list[StepPair] = []
        roots: list[Root] = []
        for step in sorted(old.keys() | new.keys(), key=_place):
            first, second = old.get(step), new.get(step)
            pair = _step(step, first, second)
            steps.append(pair)
            if first is not None and second is not None and pair.state is not StepState.SAME:
                causes = self._causes(first, second) or (not_reproduced(first, second),)
                roots += _roots(causes, step)
        return ReductionPair(tuple(steps), merged(roots))

    def _causes(self, old: Run, new: Run) -> tuple[Cause, ...]:
        if old.run == new.run:
            return ()
        found = self._explainer.between(old, new)
        if self._old.action(old.action).recipe == self._new.action(new.action).recipe:
            return found
        return tuple(cause for cause in found if cause.kind not in _OF_ANOTHER_RECIPE)

    def _product(self, old: OutputFile | None, new: OutputFile | None) -> ProductPair:
        shown = new or old
        assert shown is not None
        first = None if old is None else _path(self._old, old)
        second = None if new is None else _path(self._new, new)
        if old is not None and new is not None and old.digest == new.digest:
            compared = Comparison(Sameness.IDENTICAL, (), (), "")
        else:
            compared = compare(first, second)
        is_gone = first is None or second is None
        if is_gone and old is not None and new is not None and old.digest != new.digest:
            compared = _by_record(old, new, compared)
        return ProductPair(shown.tag, shown.name, old, new, compared)


def paired(old: tuple[OutputFile, ...], new: tuple[OutputFile, ...]) -> Iterator[Pair]:
    """Put the products of two runs beside each other: by tag and name, else by their place among a tag."""
    left, right = list(old), list(new)
    for before in old:
        after = next((item for item in right if (item.tag, item.name) == (before.tag, before.name)), None)
        if after is not None:
            left.remove(before)
            right.remove(after)
            yield before, after
    for tag in dict.fromkeys(item.tag for item in (*left, *right)):
        yield from zip_longest(*([item for item in side if item.tag == tag] for side in (left, right)))


def reduction_of(
    store: Store, workspace: str = "", call: Invocation | None = None, stage: str = ""
) -> dict[str, Run]:
    """List the run that is believed for each step of a reduction.

    Parameters
    ----------
    store : Store
        Where it is.
    workspace : str
        Calls made there count; if there are none, as after it was moved, all do.
    call : Invocation, optional
        As this call left it; by default as the last one did.
    stage : str
        Only this one; all without.

    Notes
    -----
    The newest call that looked at a stage says which steps it has. Of a stage that no call tells of, the
    newest successful run of each unit counts.
    """
    calls = [item for item in store.invocations() if call is None or item.invocation <= call.invocation]
    place = call.workspace if call is not None else workspace
    calls = [item for item in calls if item.workspace == place] or calls
    found: dict[str, Run] = {}
    for name in [stage] if stage else [known.value for known in Stage]:
        told = next((item for item in calls if any(step.stage == name for step in item.steps)), None)
        if told is not None:
            named = [step.run for step in told.steps if step.stage == name and step.run is not None]
            runs = tuple(store.run(run) for run in named)
        else:
            runs = () if call is not None else store.newest_runs(name, successful=True)
        found |= {step_id(run.stage, run.unit): run for run in runs}
    return found


def merged(roots: Iterable[Root]) -> tuple[Root, ...]:
    """Put together what is the same cause in several steps; the longest way to the outcome is kept."""
    found: dict[tuple[str, ...], Root] = {}
    for root in roots:
        key = _same_cause(root.cause)
        known = found.get(key)
        if known is None:
            found[key] = root
        else:
            steps = tuple(dict.fromkeys((*known.steps, *root.steps)))
            longest = max(known, root, key=lambda item: len(item.through))
            found[key] = replace(longest, steps=steps)
    return tuple(found.values())


def _same_cause(cause: Cause) -> tuple[str, ...]:
    stage = cause.step.partition(":")[0]
    if cause.kind is CauseKind.UNSTABLE:
        return cause.kind, stage
    return cause.kind, cause.name, cause.text.replace(cause.step, "")


def _roots(causes: Iterable[Cause], outcome: str, below: tuple[tuple[str, str], ...] = ()) -> Iterator[Root]:
    """Walk from an outcome to where the lineages part; what was told before is told there."""
    for cause in causes:
        if cause.kind is CauseKind.PRODUCT:
            yield from _roots(cause.causes, outcome, ((cause.name, cause.step), *below))
        else:
            yield Root(cause, (cause.step,), (*below, ("", outcome)))


def _step(step: str, old: Run | None, new: Run | None) -> StepPair:
    if old is None or new is None:
        return StepPair(step, old, new, StepState.ONLY_NEW if old is None else StepState.ONLY_OLD)
    data = [sorted((i.tag, i.name, i.data_digest or i.digest) for i in run.outputs) for run in (old, new)]
    if data[0] != data[1] or old.status != new.status:
        return StepPair(step, old, new, StepState.DIFFERS)
    return StepPair(step, old, new, StepState.SAME if old.action == new.action else StepState.SAME_DATA)


def _place(step: str) -> tuple[int, str]:
    """Give the place of a step in the workflow."""
    stages = [stage.value for stage in Stage]
    stage, _, unit = step.partition(":")
    return stages.index(stage) if stage in stages else len(stages), unit


def _of_nothing(old: Run, new: Run) -> Sameness:
    """Judge two runs that made nothing."""
    return Sameness.IDENTICAL if old.status == new.status else Sameness.NOT_COMPARABLE


def _path(store: Store, item: OutputFile) -> Path | None:
    return store.objects.path(item.digest) if store.objects.has(item.digest, item.size) else None


def _by_record(old: OutputFile, new: OutputFile, compared: Comparison) -> Comparison:
    """Judge by the recorded data digests, where a file is gone."""
    if old.data_digest is None or new.data_digest is None:
        return compared
    same = old.data_digest == new.data_digest
    reason = f"by the recorded data digests; {compared.reason}".rstrip("; ")
    return Comparison(Sameness.SAME_SCIENCE if same else Sameness.DIFFERENT, (), (), reason)
