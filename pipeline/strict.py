"""A run that begins nothing if anything of it is in doubt (`--strict`). Pure."""

from collections.abc import Iterable

from pipeline.errors import FramesError
from pipeline.model import Plan, Step

_SHOWN = 20


def refuse_problems(plan: Plan, steps: Iterable[Step]) -> None:
    """Refuse a plan with a file that cannot be used, or a step that cannot run.

    Parameters
    ----------
    plan : Plan
        With the problems of its files.
    steps : iterable of Step
        Those that would run, and those whose products they read.

    Raises
    ------
    FramesError
        With every problem once, on a line of its own.
    """
    found = [*plan.problems, *(problem for step in steps for problem in step.problems)]
    if not found:
        return
    by_reason: dict[tuple[str, str], list[str]] = {}
    for problem in found:
        by_reason.setdefault((problem.reason, problem.hint), []).append(problem.subject)
    lines = [
        f"  {subjects[0]}{f' and {len(subjects) - 1} more' if len(subjects) > 1 else ''}: {reason}"
        for (reason, _), subjects in by_reason.items()
    ]
    if len(lines) > _SHOWN:
        lines = [*lines[:_SHOWN], f"  and {len(lines) - _SHOWN} more; all of them: clio plan"]
    what = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    hint = next((hint for _, hint in by_reason if hint), "")
    raise FramesError("\n".join((f"nothing is begun with {what}, as --strict asks", *lines)), hint)
