"""What a person asks for by name, stages, targets and datasets; and the steps that it takes. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from pipeline.errors import UsageError
from pipeline.model import CALIBRATIONS, Plan, Stage, Step


@dataclass(frozen=True, slots=True)
class Only:
    """The targets and datasets that are asked for; all if none is."""

    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Target, and names of its datasets; an empty name for any target, no dataset for the whole target."""

    @classmethod
    def named(cls, targets: Collection[str] = (), datasets: Collection[str] = ()) -> "Only":
        """Ask for datasets of some targets."""
        names = tuple(dict.fromkeys(datasets))
        return cls(tuple((target, names) for target in dict.fromkeys(targets or [""] * bool(names))))

    @property
    def words(self) -> tuple[str, ...]:
        """What is asked for, as words that tell one question from another."""
        return tuple(f"{target}/{','.join(datasets)}" for target, datasets in self.parts)


EVERYTHING = Only()


def stretch(first: str | None, last: str | None) -> tuple[Stage, ...]:
    """List the stages from one to another, both included.

    Raises
    ------
    UsageError
        No stage has that name, or the last comes before the first.
    """
    stages = tuple(Stage)
    begin = stages.index(stage_of(first)) if first else 0
    end = stages.index(stage_of(last)) if last else len(stages) - 1
    if end < begin:
        raise UsageError(f"stage {last} comes before {first}: there is nothing between them")
    return stages[begin : end + 1]


def stage_of(name: str) -> Stage:
    """Find a stage by its name.

    Raises
    ------
    UsageError
        There is none.
    """
    try:
        return Stage(name)
    except ValueError as error:
        hint = _nearest(name, [stage.value for stage in Stage], f"stages are {', '.join(Stage)}")
        raise UsageError(f"unknown stage {name}", hint) from error


def needed(plan: Plan, wanted: frozenset[Stage]) -> dict[str, Step]:
    """Keep the steps that are wanted and those whose products they read, in the order of the plan."""
    steps = {step.id: step for step in plan.steps}
    found: set[str] = set()
    waiting = [step.id for step in plan.steps if step.stage in wanted]
    while waiting:
        id_ = waiting.pop()
        if id_ not in found and id_ in steps:
            found.add(id_)
            waiting += steps[id_].upstream
    return {id_: step for id_, step in steps.items() if id_ in found}


def narrowed(plan: Plan, only: Only) -> Plan:
    """Keep the steps of the targets and datasets that are asked for, and all that they depend on.

    Raises
    ------
    UsageError
        No exposure belongs to a target or dataset of that name.
    """
    if not only.parts:
        return plan
    datasets_of = datasets_by_target(plan)
    for target, names in only.parts:
        _check_names(target, names, datasets_of)
    steps = {step.id: step for step in plan.steps}
    found = {step.id for step in plan.steps if any(_is_of(step, *part) for part in only.parts)}
    waiting = list(found)
    while waiting:
        new = [id_ for id_ in steps[waiting.pop()].upstream if id_ in steps and id_ not in found]
        found.update(new)
        waiting += new
    return replace(plan, steps=tuple(step for step in plan.steps if step.id in found))


def datasets_by_target(plan: Plan) -> dict[str, tuple[str, ...]]:
    """List the datasets of each target; sorted."""
    found: dict[str, set[str]] = {}
    for step in plan.steps:
        if step.target != CALIBRATIONS:
            found.setdefault(step.target, set()).update(filter(None, (step.dataset,)))
    return {target: tuple(sorted(found[target])) for target in sorted(found)}


def _is_of(step: Step, target: str, datasets: tuple[str, ...]) -> bool:
    return (
        step.target != CALIBRATIONS
        and target in ("", step.target)
        and (not datasets or step.dataset in datasets)
    )


def _check_names(target: str, datasets: tuple[str, ...], datasets_of: dict[str, tuple[str, ...]]) -> None:
    if target and target not in datasets_of:
        known = f"there are {', '.join(datasets_of)}" if datasets_of else "there is no OBJECT exposure"
        raise UsageError(f"no exposure belongs to target {target}", _nearest(target, datasets_of, known))
    known_here = datasets_of[target] if target else sorted({n for ns in datasets_of.values() for n in ns})
    for name in datasets:
        if name not in known_here:
            of = f"target {target} has" if target else "there is"
            known = f"there are {', '.join(known_here)}"
            raise UsageError(f"{of} no dataset {name}", _nearest(name, known_here, known))


def _nearest(name: str, known: Collection[str], otherwise: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise
