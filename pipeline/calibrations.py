"""The calibrations of each exposure: which are needed, which were chosen, what is missing. Pure.

Read from the plan, so that what is told here is what a run would use.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.archive import Search, search_for
from pipeline.model import Association, Frame, FrameInput, Plan, Stage, Step
from pipeline.recipes import PER_IFU
from pipeline.rules import Rule
from pipeline.tags import Kind

EXPOSURES = ("OBJECT", "SKY", "STD")
"""Tags of frames that are reduced one by one."""

_OF_EXPOSURES = frozenset({Stage.STANDARD, Stage.SKY, Stage.PREP_ALIGN, Stage.SCIPOST_PEREXPO})
"""Stages after `scibasic` whose steps are named after an exposure."""


@dataclass(frozen=True, slots=True)
class Need:
    """A calibration that an exposure or a template needs."""

    association: Association
    rule: Rule
    ifus: tuple[int, ...]
    """IFUs for which the choice is this."""
    search: Search | None = None
    """Where it would be found, if there is none."""

    @property
    def tag(self) -> str:
        """What is needed."""
        return self.association.tag

    @property
    def is_missing(self) -> bool:
        """Whether there is none, and nothing can be done without."""
        return self.rule.is_required and not self.association.chosen


@dataclass(frozen=True, slots=True)
class Sheet:
    """All calibrations of an exposure, or of a template of calibration frames."""

    name: str
    """DATE-OBS of an exposure, template start of a template."""
    frames: tuple[Frame, ...]
    """By time."""
    needs: tuple[Need, ...]
    problems: tuple[str, ...]
    """What else blocks its steps."""

    @property
    def frame(self) -> Frame:
        """The exposure, or the first of a template."""
        return self.frames[0]

    @property
    def is_exposure(self) -> bool:
        """Whether it is an exposure of the sky and no template of calibrations."""
        return self.frame.tag in EXPOSURES

    @property
    def missing(self) -> tuple[Need, ...]:
        """What it cannot be reduced without and is not there."""
        return tuple(need for need in self.needs if need.is_missing)

    @property
    def is_complete(self) -> bool:
        """Whether nothing stands in the way of its reduction."""
        return not self.missing and not self.problems


def sheets(plan: Plan, rule_of: Callable[[str], Rule]) -> tuple[Sheet, ...]:
    """Write a sheet for each exposure and each template of a plan.

    Parameters
    ----------
    plan : Plan
        The whole plan.
    rule_of : callable
        Gives the rule of a tag, with the policy of the settings.

    Returns
    -------
    tuple of Sheet
        Exposures by time, then templates of calibrations by time.
    """
    frames: dict[str, list[Frame]] = {}
    steps: dict[str, list[Step]] = {}
    for step in plan.steps:
        name = _name(step)
        raw = [i.frame for i in step.inputs if isinstance(i, FrameInput) and i.frame.kind is Kind.RAW]
        own = [f for f in raw if f.tag != "ILLUM" and (f.template == name or f.exposure == name)]
        if own and step.stage not in _OF_EXPOSURES:
            frames.setdefault(name, own)
        if own or step.stage in _OF_EXPOSURES:
            steps.setdefault(name, []).append(step)
    made = [_sheet(name, frames[name], steps[name], rule_of) for name in frames]
    return tuple(sorted(made, key=lambda s: (not s.is_exposure, s.frame.mjd or 0.0, s.frame.tag, s.name)))


def searches(found: Iterable[Sheet], everything: Iterable[Sheet]) -> tuple[Search, ...]:
    """List what to look for in the archive, once for all exposures that one set of frames would serve.

    Parameters
    ----------
    found : iterable of Sheet
        Those that are to be completed.
    everything : iterable of Sheet
        All of the plan. Where a calibration is there but blocked, what it lacks itself is looked for instead.

    Returns
    -------
    tuple of Search
        In the order of the first sheet that needs it; each with the names of those that do.
    """
    by_name = {sheet.name: sheet for sheet in everything}
    waiting = {sheet.name: sheet for sheet in found}
    done: set[str] = set()
    wanted: list[Search] = []
    while waiting:
        sheet = waiting.pop(next(iter(waiting)))
        done.add(sheet.name)
        for need in sheet.missing:
            blocked = [name for name in _blocked(need) if name in by_name]
            waiting |= {name: by_name[name] for name in blocked if name not in done}
            if need.search is not None and not blocked:
                _join(wanted, need.search)
    return tuple(wanted)


def _blocked(need: Need) -> list[str]:
    """Name the candidates that would do if they were not blocked."""
    parts = (text.partition(": blocked: ") for text in need.association.rejected)
    return [name for name, blocked, _ in parts if blocked]


def _join(wanted: list[Search], search: Search) -> None:
    for number, other in enumerate(wanted):
        both = other.with_(search)
        if both is not None:
            wanted[number] = both
            return
    wanted.append(search)


def _name(step: Step) -> str:
    return step.unit.removesuffix(f":{step.ifus[0]:02d}") if step.stage in PER_IFU else step.unit


def _sheet(name: str, frames: list[Frame], steps: list[Step], rule_of: Callable[[str], Rule]) -> Sheet:
    mjd = sum(frame.mjd or 0.0 for frame in frames) / len(frames)
    ifus: dict[Association, list[int]] = {}
    for step in steps:
        for association, of in _by_ifu(step):
            known = ifus.setdefault(association, [])
            known += [ifu for ifu in of if ifu not in known]
    needs = []
    for association, which in ifus.items():
        rule = rule_of(association.tag)
        search = None if association.chosen else search_for(rule, name, frames[0], mjd)
        needs.append(Need(association, rule, tuple(sorted(which)), search))
    lacking = tuple(f"no {need.tag} " for need in needs if need.is_missing)
    others = [p.reason for step in steps for p in step.problems if not p.reason.startswith(lacking)]
    return Sheet(name, tuple(frames), tuple(needs), tuple(dict.fromkeys(others)))


def _by_ifu(step: Step) -> Iterator[tuple[Association, tuple[int, ...]]]:
    """Tell for which IFUs each choice of a step was made: a tag chosen as often as there are, for each."""
    counts = Counter(choice.tag for choice in step.associations)
    seen: dict[str, int] = {}
    for choice in step.associations:
        number = seen[choice.tag] = seen.get(choice.tag, -1) + 1
        is_each = counts[choice.tag] == len(step.ifus) > 1
        yield choice, (step.ifus[number],) if is_each else step.ifus


def worst(sheet: Sheet) -> Mapping[int, int]:
    """Count the calibrations of a sheet by level."""
    return Counter(need.association.level for need in sheet.needs if need.association.chosen)
