"""What a person should know of the calibrations of a plan: which are missing, which are poor. Pure."""

from collections.abc import Iterable, Mapping

from pipeline.model import Association, Step
from pipeline.rules import Rule

USUAL = frozenset(
    (
        *("ASTROMETRY_WCS", "FILTER_LIST", "ILLUM", "MASTER_DARK", "RAMAN_LINES", "SKY_CONTINUUM"),
        "TWILIGHT_CUBE",
    )
)
"""Calibrations that most reductions have, or those with lasers: their lack is said even if there is nothing
that came near."""


def doubts(steps: Iterable[Step], rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Say, a sentence a tag, what steps do without and what they use although it is of the poorest level.

    Parameters
    ----------
    steps : iterable of Step
        Of the whole plan.
    rules : mapping of str to Rule
        By tag.

    Returns
    -------
    tuple of str
        By tag. What blocks a step is a problem of the step and not said here.
    """
    lacking: dict[str, list[Association]] = {}
    poor: dict[str, list[tuple[Step, Association]]] = {}
    for step in steps:
        for choice in step.associations:
            rule = rules[choice.tag]
            if not choice.chosen and not rule.is_required and (choice.rejected or choice.tag in USUAL):
                lacking.setdefault(choice.tag, []).append(choice)
            elif choice.chosen and 0 < choice.level == rule.poorest:
                poor.setdefault(choice.tag, []).append((step, choice))
    said = {tag: _lack(tag, choices) for tag, choices in lacking.items()}
    said |= {f"{tag} ": _poor(tag, found) for tag, found in poor.items()}
    return tuple(said[name] for name in sorted(said))


def _lack(tag: str, choices: list[Association]) -> str:
    rejected = (f"nearest: {choice.rejected[0]}" for choice in choices if choice.rejected)
    nearest = next(rejected, "there is none")
    if tag == "SKY_CONTINUUM" and choices[0].level:
        return (
            f"no SKY exposure for {_counted(len(choices))}: the sky is taken {choices[0].reason}, level "
            f"{choices[0].level}, too much of it where an object fills the field; {nearest}"
        )
    return f"no {tag} for {_counted(len(choices))}, done without; {nearest}"


def _poor(tag: str, found: list[tuple[Step, Association]]) -> str:
    step, choice = max(found, key=lambda pair: pair[1].distance_s)
    return (
        f"{tag} of level {choice.level}, the poorest, for {_counted(len(found))}; "
        f"furthest: {choice.chosen} for {step.id}, {choice.reason}"
    )


def _counted(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"
