"""What a step will take, memory and time: learned from earlier runs of its stage. Asks, and is else pure.

A recipe's memory goes with the bytes it reads, its time with the exposures and IFUs it reduces, so what a run
took is scaled to what a step is given. Runs with other parameters tell less: a range of wavelengths, say,
changes both. A stage that never ran goes by the tables in `pipeline.recipes`.
"""

import functools
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.model import FrameInput, ProductInput, Stage, Step
from pipeline.recipes import PER_IFU, RECIPES, STAGES, TYPICAL_S, TYPICAL_UNITS
from pipeline.tags import RAW_TAGS
from provenance.costs import PastCost
from provenance.model import OutputFile, Run

OUT_OF_MEMORY = "out of memory"
"""Cause of failure of a run that met its limit of memory, or the machine's."""

CHIP_BYTES = 4224 * 4240 * 2
"""Of the image of one IFU of a raw frame, as a recipe reads it: packed or not, alone or among 24."""

_MARGIN = 1.1
"""More than the largest that was seen: runs of one action differ by 1 %, exposures by some more."""
_MORE_THAN_DIED = 1.5
"""A run that was killed at its limit would have taken more: by how much nobody knows."""
_NEWEST = 24
"""Runs of a stage that are learned from."""

OutputsOf = Callable[[str], tuple[OutputFile, ...]]
"""Gives the products of a step, by its id."""

_RAW = frozenset(rule.tag for rule in RAW_TAGS)
_REDUCED = ("PIXTABLE_", "IMAGE_FOV")


@dataclass(frozen=True, slots=True)
class Load:
    """What a step or a run is given."""

    size: int
    """Bytes, as the recipe reads them."""
    units: int
    """Exposures it reduces, each IFU for itself."""


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a step will take."""

    seconds: float
    is_learned: bool
    """Whether the stage ran before; else it is the table's guess."""


@dataclass(slots=True)
class _Seen:
    """What runs of a stage took, as multiples of the table's guess for what they were given."""

    memory: float = 0.0
    """The largest."""
    times: list[float] = field(default_factory=list)
    """Newest last."""


class Costs:
    """Estimates for steps, better with each run.

    Parameters
    ----------
    past : callable
        Gives what the newest runs of a stage took: `(stage, cause of death, limit)`, see `Store.costs`.
    parameters_of : callable
        Gives all parameters of a step, by name.
    """

    def __init__(
        self,
        past: Callable[[str, str, int], tuple[PastCost, ...]],
        parameters_of: Callable[[Step], tuple[tuple[str, str], ...]],
    ) -> None:
        self._past = past
        self._parameters_of = parameters_of
        self._seen: dict[Stage, dict[frozenset[tuple[str, str]], _Seen]] = {}

    def memory_bytes(self, step: Step, load: Load) -> int:
        """Estimate what a step takes at most.

        Parameters
        ----------
        step : Step
            The step.
        load : Load
            What it is given, by `load_of`.

        Returns
        -------
        int
            Bytes. Where runs with the same parameters succeeded, a tenth more than the largest, scaled; else
            at least the table's guess.
        """
        guess = _guess(step.recipe, load.size)
        seen = self._of(step.stage)
        same = seen.get(self._asked(step))
        if same is not None and same.memory and same.times:
            return round(same.memory * guess)
        return round(max([1.0, *(other.memory for other in seen.values())]) * guess)

    def duration(self, step: Step) -> Duration:
        """Estimate how long a step takes: the median of its stage, with its parameters if possible."""
        guess = TYPICAL_S[step.stage] * load_of(step, lambda maker: ()).units / TYPICAL_UNITS[step.stage]
        seen = self._of(step.stage)
        same = seen.get(self._asked(step))
        times = same.times if same and same.times else [t for other in seen.values() for t in other.times]
        if not times:
            return Duration(guess, is_learned=False)
        return Duration(statistics.median(times[-_NEWEST:]) * guess, is_learned=True)

    def learn(self, step: Step, run: Run, load: Load) -> None:
        """Take in what a run that has just ended took; of those that failed only for want of memory."""
        if run.is_success or run.cause == OUT_OF_MEMORY:
            seen = self._of(step.stage).setdefault(self._asked(step), _Seen())
            _take_in(seen, step.stage, load, run.peak_memory_bytes, run.wall_ms if run.is_success else None)

    def _of(self, stage: Stage) -> dict[frozenset[tuple[str, str]], _Seen]:
        if stage not in self._seen:
            found: dict[frozenset[tuple[str, str]], _Seen] = {}
            for past in reversed(self._past(stage.value, OUT_OF_MEMORY, _NEWEST)):
                seen = found.setdefault(_without_ifu(past.parameters), _Seen())
                wall_ms = past.wall_ms if past.is_success else None
                peak = past.peak_memory_bytes
                _take_in(seen, stage, load_then(stage, past), peak, wall_ms)
            self._seen[stage] = found
        return self._seen[stage]

    def _asked(self, step: Step) -> frozenset[tuple[str, str]]:
        return _without_ifu(self._parameters_of(step))


def load_of(step: Step, outputs_of: OutputsOf) -> Load:
    """Sum up what a step is given; products that are not made yet have no size."""
    size = units = 0
    for item in step.inputs:
        match item:
            case FrameInput(tag, frame):
                size += CHIP_BYTES * len(step.ifus) if tag in _RAW else frame.size
            case ProductInput(_, maker, product):
                size += sum(o.size for o in outputs_of(maker) if o.tag == product)
        units += _units(item.tag, 1, len(step.ifus))
    return Load(size, max(1, units))


def load_then(stage: Stage, past: PastCost) -> Load:
    """Sum up what an earlier run was given, by the measure of `load_of`."""
    counts = {item.tag: item.count for item in past.inputs}
    # Only the twilight's raw frames are of many IFUs at once: it is given a bias of each.
    ifus = 1 if stage in PER_IFU else max(1, counts.get("MASTER_BIAS", 1))
    sizes = (CHIP_BYTES * i.count * ifus if i.tag in _RAW else i.size for i in past.inputs)
    return Load(sum(sizes), max(1, sum(_units(i.tag, i.count, ifus) for i in past.inputs)))


def _units(tag: str, count: int, ifus: int) -> int:
    if tag in _RAW:
        return count * ifus
    return count if tag.startswith(_REDUCED) else 0


def _take_in(seen: _Seen, stage: Stage, load: Load, peak: int | None, wall_ms: int | None) -> None:
    """Note what a run took; without a time it was killed for want of memory."""
    if peak:
        factor = _MARGIN if wall_ms is not None else _MORE_THAN_DIED
        seen.memory = max(seen.memory, factor * peak / _guess(STAGES[stage].recipe, load.size))
    if wall_ms:
        seen.times.append(wall_ms / 1000 / (TYPICAL_S[stage] * load.units / TYPICAL_UNITS[stage]))


def _guess(recipe: str, size: int) -> float:
    row = RECIPES[recipe]
    return row.base_memory + row.memory_factor * size


@functools.lru_cache(maxsize=1024)
def _without_ifu(parameters: tuple[tuple[str, str], ...]) -> frozenset[tuple[str, str]]:
    """Leave out which IFU it was: they are alike. Steps of a stage share their parameters."""
    return frozenset(pair for pair in parameters if not pair[0].endswith(".nifu"))
