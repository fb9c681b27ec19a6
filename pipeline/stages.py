"""Stages as a person names them: one, or a stretch of the workflow."""

from pipeline.errors import UsageError
from pipeline.model import Stage


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
