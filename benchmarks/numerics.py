"""What pinned numerics and a frozen clock cost, recipe by recipe: recorded runs, run again four ways.

Usage: python benchmarks/numerics.py WORKSPACE [ROUNDS [RECIPE ...]]

Of each recipe the run that cost least is run again, one run at a time. A round is the four ways once, and
every other round has them in the opposite order; it gives two pairs for either question, and a ratio is
taken within a pair, so that a load that comes and goes meets both sides alike. User CPU seconds are what to
go by on a machine that others use too. Nothing is recorded.
"""

import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.again import Clock, Variation, Workshop, remake
from pipeline.config import load
from pipeline.recipes import RECIPES
from pipeline.reduce import Reduction
from provenance.model import Purpose, Run
from provenance.store import Store


@dataclass(frozen=True, slots=True)
class Way:
    """How a recorded run is run again."""

    numerics: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run cost; as the engine gives it."""

    cpu_s: float
    """User CPU seconds."""
    wall_s: float


USUAL = Way("pinned", Clock.RECORDED)
NATIVE = Way("native", Clock.RECORDED)
RUNNING = Way("pinned", Clock.RUNNING)
NEITHER = Way("native", Clock.RUNNING)
WAYS = (USUAL, NATIVE, RUNNING, NEITHER)

Round = dict[Way, Cost]

LEAST_S = 0.5
"""CPU time is told in steps of 10 ms: a ratio of shorter runs says nothing."""

PAIRS = {
    "pinned / native": ((USUAL, NATIVE), (RUNNING, NEITHER)),
    "frozen / real": ((USUAL, RUNNING), (NATIVE, NEITHER)),
    "both / neither": ((USUAL, NEITHER),),
}


def cheapest_runs(store: Store, recipes: Iterable[str]) -> dict[str, Run]:
    """Find a good run of each recipe; those without one under a frozen clock are left out."""
    found: dict[str, Run] = {}
    for run in store.runs():
        recipe = store.action(run.action).recipe
        if run.purpose is Purpose.RUN and run.is_success and run.clock_mode == "frozen":
            found[recipe] = min(found.get(recipe, run), run, key=lambda item: item.cpu_user_ms or 0)
    return {recipe: found[recipe] for recipe in recipes if recipe in found}


def cost(shop: Workshop, run: Run, way: Way) -> Cost:
    """Run a recorded run again."""
    with remake(shop, run, clock=way.clock, variation=Variation(numerics=way.numerics)) as remade:
        assert not remade.failure, remade.failure
        result = remade.ran.result
    spent = Cost((result.cpu_user_ms or 0) / 1000, result.wall_ms / 1000)
    print(
        f"{run.stage}: {way.numerics}, {way.clock} clock: {spent.cpu_s} s of CPU", file=sys.stderr, flush=True
    )
    return spent


def rounds_of(shop: Workshop, run: Run, count: int) -> list[Round]:
    """Run it again all ways, so many times."""
    orders = (WAYS, WAYS[::-1])
    return [{way: cost(shop, run, way) for way in orders[number % 2]} for number in range(count)]


def row(recipe: str, rounds: list[Round]) -> str:
    """Write a line of the table: seconds in the usual way, then the ratios, their median and range."""
    usual = statistics.median(costs[USUAL].cpu_s for costs in rounds)
    if usual < LEAST_S:
        return f"| `{recipe}` | {usual:.2f} | {'too short to say | ' * 2 * len(PAIRS)}".rstrip()
    cells = [f"`{recipe}`", f"{usual:.2f}"]
    for pairs in PAIRS.values():
        met = [(costs[one], costs[other]) for costs in rounds for one, other in pairs]
        cells.append(_spread([one.cpu_s / other.cpu_s for one, other in met]))
        cells.append(_spread([one.wall_s / other.wall_s for one, other in met]))
    return f"| {' | '.join(cells)} |"


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def main(workspace: str, rounds: str = "2", *recipes: str) -> None:
    heads = ["recipe", "CPU s", *(head for name in PAIRS for head in (f"{name}: CPU", "wall"))]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    with Reduction(load(Path(workspace))) as reduction:
        shop = Workshop.of(reduction)
        for recipe, run in cheapest_runs(reduction.store, recipes or tuple(RECIPES)).items():
            print(row(recipe, rounds_of(shop, run, int(rounds))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
