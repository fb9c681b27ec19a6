"""What came out of a run that was run again, judged by its record; and the statement that says so."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.again import Remade, RemadeOutput, Workshop
from pipeline.engine import Ending
from pipeline.finding import in_stores
from pipeline.record import engine_of, software, time_of
from pipeline.verdict import USUAL, Comparison, Sameness, Tolerance, compare, worst
from provenance.prune import VERDICT

_OF_THE_MACHINE = frozenset(
    {Ending.OUT_OF_MEMORY.value, Ending.TIMEOUT.value, Ending.KILLED.value, "input changed"}
)
"""Causes of failure that say nothing of the recipe."""


@dataclass(frozen=True, slots=True)
class ProductVerdict:
    """A product of the record beside the one that came out now."""

    tag: str
    name: str
    recorded: str | None
    """Digest; None if the recorded run did not make it."""
    now: str | None
    """Digest; None if it did not come out."""
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Judgement:
    """How what came out compares with the record."""

    sameness: Sameness
    """The worst of its products."""
    reason: str
    """Why it is no better, in a line; empty if identical."""
    products: tuple[ProductVerdict, ...]
    """By tag and name; empty if the recipe failed."""


def judge(workshop: Workshop, remade: Remade, tolerance: Tolerance = USUAL) -> Judgement:
    """Compare what came out with the record.

    Parameters
    ----------
    workshop : Workshop
        Its stores have the recorded bytes.
    remade : Remade
        What came out, while its files are there.
    tolerance : Tolerance
        How far numbers may move.

    Notes
    -----
    A recipe that fails where it succeeded is a difference, unless the machine was to blame. Recorded bytes
    that are gone are judged by their digests, without figures.
    """
    if remade.failure:
        is_machine = remade.cause in _OF_THE_MACHINE
        sameness = Sameness.NOT_COMPARABLE if is_machine else Sameness.DIFFERENT
        return Judgement(sameness, f"{remade.cause}: {remade.failure}", ())
    products = tuple(
        ProductVerdict(
            tag=output.tag,
            name=output.name,
            recorded=output.recorded.digest if output.recorded else None,
            now=output.digests.digest if output.digests else None,
            comparison=_compared(workshop, output, tolerance),
        )
        for output in remade.outputs
    )
    found = worst(product.comparison.sameness for product in products)
    if found is Sameness.IDENTICAL:
        return Judgement(found, "", products)
    first = next(product for product in products if product.comparison.sameness is found)
    return Judgement(found, f"{first.name}: {first.comparison.reason}", products)


def state(workshop: Workshop, remade: Remade, judgement: Judgement, replay: str | None) -> None:
    """Keep a judgement as a statement.

    Parameters
    ----------
    workshop : Workshop
        What it was made with.
    remade, judgement
        What came out, and how it compares.
    replay : str or None
        Id of the record of it; None if none was kept.

    Notes
    -----
    `challenge` is the key of the action that was run, if it is another than the recorded one: such a verdict
    says how little something matters, and is no proof that the recorded action gives its products again.
    """
    outputs = [
        {
            "tag": product.tag,
            "name": product.name,
            "recorded": product.recorded,
            "now": product.now,
            "comparison": product.comparison.document(),
        }
        for product in judgement.products
    ]
    engine, _ = workshop.surroundings(remade.action)
    body = {
        "at": time_of(datetime.now(UTC)),
        "store": workshop.store.id,
        "run": remade.recorded.run,
        "action": remade.recorded.action,
        "challenge": remade.action.key if remade.is_challenge else None,
        "replay": replay,
        "verdict": judgement.sameness.value,
        "reason": judgement.reason,
        "engine": " ".join(engine_of(engine).values()),
        "clio": dict(software())["clio"],
        "outputs": outputs,
    }
    workshop.target.statement(VERDICT, body)


def _compared(workshop: Workshop, output: RemadeOutput, tolerance: Tolerance) -> Comparison:
    recorded, product = output.recorded, output.product
    if recorded is None:
        return Comparison(Sameness.DIFFERENT, (), (), "it was not made when it was recorded")
    if product is None:
        return Comparison(Sameness.DIFFERENT, (), (), "it was made when it was recorded, and not now")
    if output.is_identical:
        return Comparison(Sameness.IDENTICAL, (), (), "")
    before = in_stores(workshop, recorded.digest)
    if before is not None:
        return compare(before, product.path, tolerance=tolerance)
    gone = "the recorded bytes are gone, so that there are no figures"
    if output.is_same_science:
        return Comparison(Sameness.SAME_SCIENCE, (), (), f"other bytes, the same data; {gone}")
    return Comparison(Sameness.DIFFERENT, (), (), f"other data; {gone}")
