"""What an artifact was made from, and what was made from it: a graph of artifacts and runs. Pure.

The graph is walked through two questions, so that it does not care who answers them. Nothing appears
twice: a master bias read by forty runs is one artifact with forty arrows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from provenance.documents import Document, to_document
from provenance.model import InputFile, Purpose, Run


class Source(Protocol):
    """Whoever knows the runs; a `Store` does."""

    def runs_making(self, digest: str) -> tuple[Run, ...]:
        """Return the runs that made an artifact: newest first, but those nobody vouches for last."""

    def runs_reading(self, digest: str) -> tuple[Run, ...]:
        """Return the runs that read an artifact, newest first."""


@dataclass(frozen=True, slots=True)
class ArtifactNode:
    """An artifact in a lineage."""

    digest: str
    tag: str
    """As the run that made it says; else as its first reader does."""
    name: str
    data_digest: str | None
    size: int | None
    """Bytes."""
    depth: int
    """Runs between it and the artifact asked about, by the shortest way."""
    made_by: str | None
    """The run that is followed; None for what came from outside."""
    also_made_by: tuple[str, ...]
    """Other runs that made the same bytes: replays, mostly."""
    seen_at: str | None
    """Where a reader found it, if it came from outside."""


@dataclass(frozen=True, slots=True)
class RunNode:
    """A run in a lineage, with the artifacts it links."""

    run: str
    action: str
    stage: str
    unit: str
    status: str
    started: str
    inputs: tuple[str, ...]
    """Digests, in the order the recipe read them."""
    outputs: tuple[str, ...]
    """Digests of its products."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """All that lies upstream or downstream of an artifact."""

    digest: str
    """The artifact asked about."""
    direction: str
    """`up` or `down`."""
    artifacts: tuple[ArtifactNode, ...]
    """By depth, then in the order the runs name them; the one asked about first."""
    runs: tuple[RunNode, ...]
    """In the order they were met."""

    def document(self) -> Document:
        """Return it as a JSON object."""
        return to_document(self)

    def artifact(self, digest: str) -> ArtifactNode:
        """Return the node of an artifact.

        Raises
        ------
        KeyError
            It is not part of this lineage.
        """
        return {node.digest: node for node in self.artifacts}[digest]

    def run(self, run_id: str) -> RunNode:
        """Return the node of a run.

        Raises
        ------
        KeyError
            It is not part of this lineage.
        """
        return {node.run: node for node in self.runs}[run_id]

    def maker(self, digest: str) -> RunNode | None:
        """Return the run an artifact is followed to; None if it came from outside."""
        made_by = self.artifact(digest).made_by
        return None if made_by is None else self.run(made_by)

    def readers(self, digest: str) -> tuple[RunNode, ...]:
        """Return the runs of this lineage that read an artifact."""
        return tuple(node for node in self.runs if digest in node.inputs)


def ancestors(source: Source, digest: str, follow: Callable[[tuple[Run, ...]], Run] | None = None) -> Lineage:
    """Return all that an artifact was made from, back to what came from outside.

    Parameters
    ----------
    source : Source
        Knows the runs.
    digest : str
        The artifact.
    follow : callable, optional
        Chooses among several runs that made the same bytes; `believed` if left out.

    Notes
    -----
    Breadth first. Bytes that some run wrote and that came from outside as well are followed to the run.
    """
    walk = _Walk(source, follow or believed)
    walk.up(digest)
    return walk.lineage(digest, "up")


def descendants(source: Source, digest: str) -> Lineage:
    """Return all that was made from an artifact, directly or not; failed runs that read it too.

    Notes
    -----
    What else those runs read is not part of it: their nodes name it by digest only.
    """
    walk = _Walk(source, believed)
    walk.down(digest)
    return walk.lineage(digest, "down")


def believed(runs: tuple[Run, ...]) -> Run:
    """Return the run to follow: a successful run proper before a replay, then the first that is given."""
    return max(runs, key=lambda run: (run.is_success and run.purpose is Purpose.RUN, run.is_success))


class _Walk:
    """A lineage while it is walked."""

    def __init__(self, source: Source, follow: Callable[[tuple[Run, ...]], Run]) -> None:
        self._source = source
        self._follow = follow
        self._artifacts: dict[str, ArtifactNode] = {}
        self._runs: dict[str, Run] = {}
        self._read: dict[str, InputFile] = {}
        """By digest, as the first of these runs saw it."""

    def up(self, digest: str) -> None:
        """Take in an artifact and all above it."""
        # A loop cannot be, since no run reads what it makes. Edited records could say so, and the walk
        # still ends: every artifact is taken in once.
        layer, depth = [digest], 0
        while layer:
            above: dict[str, None] = {}
            for name in layer:
                maker = self._take(name, depth)
                if maker is not None:
                    self._meet(maker)
                    above |= dict.fromkeys(item.digest for item in maker.inputs)
            layer, depth = [name for name in above if name not in self._artifacts], depth + 1

    def down(self, digest: str) -> None:
        """Take in an artifact and all below it."""
        layer, depth = [digest], 0
        while layer:
            below: dict[str, None] = {}
            for name in layer:
                self._take(name, depth)
                for run in reversed(self._source.runs_reading(name)):
                    self._meet(run)
                    below |= dict.fromkeys(item.digest for item in run.outputs)
            layer, depth = [name for name in below if name not in self._artifacts], depth + 1

    def lineage(self, digest: str, direction: str) -> Lineage:
        """Return what was walked."""
        runs = tuple(_run_node(run) for run in self._runs.values())
        return Lineage(digest, direction, tuple(self._artifacts.values()), runs)

    def _meet(self, run: Run) -> None:
        if run.run not in self._runs:
            self._runs[run.run] = run
            for item in run.inputs:
                self._read.setdefault(item.digest, item)

    def _take(self, digest: str, depth: int) -> Run | None:
        makers = tuple(
            run
            for run in self._source.runs_making(digest)
            if any(item.digest == digest for item in run.outputs)
        )
        maker = self._follow(makers) if makers else None
        self._artifacts[digest] = self._artifact_node(digest, depth, maker, makers)
        return maker

    def _artifact_node(
        self, digest: str, depth: int, maker: Run | None, makers: tuple[Run, ...]
    ) -> ArtifactNode:
        others = tuple(run.run for run in makers if run is not maker)
        if maker is not None:
            made = next(item for item in maker.outputs if item.digest == digest)
            return ArtifactNode(
                digest, made.tag, made.name, made.data_digest, made.size, depth, maker.run, others, None
            )
        seen = self._read.get(digest) or self._first_read(digest)
        if seen is not None:
            return ArtifactNode(
                digest, seen.tag, seen.name, seen.data_digest, seen.size, depth, None, (), seen.seen_at
            )
        return ArtifactNode(digest, "", "", None, None, depth, None, (), None)

    def _first_read(self, digest: str) -> InputFile | None:
        runs = self._source.runs_reading(digest)
        return next((item for run in runs for item in run.inputs if item.digest == digest), None)


def _run_node(run: Run) -> RunNode:
    return RunNode(
        run.run,
        run.action,
        run.stage,
        run.unit,
        run.status.value,
        run.started,
        tuple(item.digest for item in run.inputs),
        tuple(item.digest for item in run.outputs),
    )
