"""Stages as a person names them: one, or a stretch of the workflow; and the steps that they take."""

from pipeline.errors import UsageError
from pipeline.model import Plan, Stage, Step


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
    import difflib

    try:
        return Stage(name)
    except ValueError as error:
        close = difflib.get_close_matches(name, [stage.value for stage in Stage], n=1)
        known = ", ".join(Stage)
        hint = f"did you mean {close[0]}?" if close else f"stages are {known}"
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
