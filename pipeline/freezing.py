"""A bundle of what is proven only: every byte read, every run made again with the same data."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pipeline.bundles import Draft, prove, write
from pipeline.replay import Link, Listen, Replay, Terms, chain, replay, sample
from provenance.bundling import Written

Progress = Callable[[str], AbstractContextManager[Callable[[int], None]]]
"""Gives what is told of bytes while they are read or written, by a word for that."""
Watching = Callable[[tuple[Link, ...]], AbstractContextManager[Listen]]
"""Gives what is told of runs that are made again."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which runs are made again."""

    count: int | None = None
    """So many, by lot, each from what it read; None is all, from raw frames."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Frozen:
    """What came of it."""

    read_bytes: int
    replay: Replay
    bundle: Written | None
    """None if something did not come out with the same data."""


def freeze(
    made: Draft, path: Path, drawn: Drawn, terms: Terms, *, progress: Progress, watching: Watching
) -> Frozen:
    """Prove everything, then write a bundle; the verdicts go with it.

    Parameters
    ----------
    made : Draft
        What goes in.
    path : Path
        The file.
    drawn : Drawn
        Which runs are made again.
    terms : Terms
        How they are.
    progress, watching : callable
        Told how far it is.

    Raises
    ------
    FramesError, ItemRefused
        A file holds other bytes than were recorded.
    UsageError
        A run did not succeed, so that there is nothing to compare with.
    BundleRefused, FileRefused, Interrupted, EngineUnavailable, ProvenanceError
        As `write` and `replay`.
    """
    with progress("reading") as listen:
        prove(made, listen)
    links = _links(made, drawn)
    with watching(links) as told:
        found = replay(made.workshop, links, terms, told)
    written = None
    if found.has_same_data:
        with progress("writing") as listen:
            written = write(made, path, listen)
    return Frozen(sum(item.size for item in made.objects), found, written)


def _links(made: Draft, drawn: Drawn) -> tuple[Link, ...]:
    runs, store = made.closure.runs, made.workshop.store
    if drawn.count is not None:
        return chain(store, sample(runs, drawn.count, drawn.seed), closure=False)
    roots = frozenset(made.closure.roots)
    return chain(store, (run for run in runs if run.run in roots), closure=True)
