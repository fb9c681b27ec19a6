"""Exposures that the alignment did not match: left out of what follows, never shifted as others are. Pure.

Our own alignment names each by a product, so that a record, a lock and a replay all say so.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from pipeline.model import Problem, ProductInput, Stage, Step
from pipeline.recipes import expected_products
from provenance.model import OutputFile

TAG = "UNMATCHED"
"""Of the product that stands for an exposure that was not matched: `UNMATCHED_<DATE-OBS>.fits`."""
_REDUCED = {
    Stage.SCIPOST: "PIXTABLE_OBJECT",
    **dict.fromkeys((Stage.COMBINE, Stage.COMBINE_TARGET), "PIXTABLE_REDUCED"),
}
"""What the stages that take many exposures take of each."""
_LEAST = {Stage.SCIPOST: 1, Stage.COMBINE: 2, Stage.COMBINE_TARGET: 2}
"""How many they need."""


class Maker(Protocol):
    """What made products: a run, or what a lock says of a step."""

    @property
    def outputs(self) -> tuple[OutputFile, ...]:
        """The products."""


def unmatched_exposure(tag: str, name: str) -> str:
    """Give the DATE-OBS of the exposure that a product says was not matched; empty for other products."""
    return name.removeprefix(f"{TAG}_").removesuffix(".fits") if tag == TAG else ""


def without_unmatched(step: Step, made: Mapping[str, Maker]) -> Step:
    """Leave out of a step the exposures that the alignment it reads did not match.

    Parameters
    ----------
    step : Step
        As planned.
    made : mapping of str to Maker
        What made the products of steps it depends on, as far as that is known.

    Returns
    -------
    Step
        With a problem, if too few are left, or it is of such an exposure alone.
    """
    lists = (
        item.step for item in step.inputs if isinstance(item, ProductInput) and item.tag == "OFFSET_LIST"
    )
    found = (output for id_ in lists if id_ in made for output in made[id_].outputs)
    lost = tuple(sorted(e for output in found if (e := unmatched_exposure(output.tag, output.name))))
    if not lost:
        return step
    if step.stage in (Stage.SCIPOST_PEREXPO, Stage.FINALISE):
        return _refused(step, step.unit) if step.unit in lost else step
    tag = _REDUCED.get(step.stage)
    if tag is None:
        return step
    kept = tuple(item for item in step.inputs if not (item.tag == tag and _exposure_of(item, step) in lost))
    left = {_exposure_of(item, step) for item in kept if item.tag == tag}
    if len(left) < _LEAST[step.stage]:
        return _refused(replace(step, inputs=kept), lost[0])
    given = frozenset(item.tag for item in kept)
    expected = expected_products(step.stage, dict(step.parameters), len(left), given)
    return replace(step, inputs=kept, expected=expected)


def _exposure_of(item: object, step: Step) -> str:
    """Give the exposure of a product: the unit of its step, without the IFU where that has one."""
    if not isinstance(item, ProductInput):
        return ""
    unit = item.step.partition(":")[2]
    return unit.rpartition(":")[0] if step.stage is Stage.SCIPOST else unit


def _refused(step: Step, exposure: str) -> Step:
    what = f"exposure {exposure} was not matched by the alignment"
    dataset = step.scope.dataset if step.scope else ""
    hint = f"exclude it ([targets.NAME] exclude), or give its offset: clio align edit {dataset}"
    return replace(step, problems=(*step.problems, Problem(step.id, what, hint)))
