"""What earlier runs took, as the index knows it: for estimates of what comes. Pure SQL in, values out."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from provenance.index import Index


@dataclass(frozen=True, slots=True)
class PastInputs:
    """What a run read of one tag."""

    tag: str
    count: int
    size: int
    """Bytes of all of them."""


@dataclass(frozen=True, slots=True)
class PastCost:
    """What a run took, and of what."""

    is_success: bool
    """Else it ended for want of memory."""
    peak_memory_bytes: int | None
    wall_ms: int | None
    parameters: tuple[tuple[str, str], ...]
    """All of its action, by name."""
    inputs: tuple[PastInputs, ...]
    """By tag."""


def select_costs(index: Index, stage: str, out_of_memory: str, limit: int) -> tuple[PastCost, ...]:
    """Return what the newest runs of a stage took, newest first.

    Parameters
    ----------
    index : Index
        Of the store.
    stage : str
        Which.
    out_of_memory : str
        The cause of failure that tells of memory: such runs count too, no other failures do.
    limit : int
        At most so many.
    """
    sql = (
        "SELECT run_id, action_key, is_success, peak_memory_bytes, wall_ms FROM run WHERE stage = ?"
        " AND purpose = 'run' AND (is_success OR cause = ?) ORDER BY run_id DESC LIMIT ?"
    )
    runs = index.read(sql, (stage, out_of_memory, limit))
    inputs = _inputs(index, [run[0] for run in runs])
    parameters = _parameters(index, {run[1] for run in runs})
    return tuple(
        PastCost(bool(is_success), peak, wall, parameters[key], inputs[run])
        for run, key, is_success, peak, wall in runs
    )


def _inputs(index: Index, runs: list[str]) -> dict[str, tuple[PastInputs, ...]]:
    sql = (
        "SELECT run_id, tag, count(*), coalesce(sum(size), 0)"
        " FROM run_input LEFT JOIN artifact USING (digest)"
        f" WHERE run_id IN ({_marks(runs)}) GROUP BY run_id, tag ORDER BY run_id, tag"
    )
    found: defaultdict[str, tuple[PastInputs, ...]] = defaultdict(tuple)
    for run, *row in index.read(sql, runs):
        found[run] += (PastInputs(*row),)
    return found


def _parameters(index: Index, keys: Iterable[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    asked = sorted(keys)
    sql = (
        "SELECT action_key, name, value FROM action_parameter"
        f" WHERE action_key IN ({_marks(asked)}) ORDER BY action_key, name"
    )
    found: defaultdict[str, tuple[tuple[str, str], ...]] = defaultdict(tuple)
    for key, name, value in index.read(sql, asked):
        found[key] += ((name, value),)
    return found


def _marks(values: Iterable[str]) -> str:
    return ",".join("?" for _ in values)
