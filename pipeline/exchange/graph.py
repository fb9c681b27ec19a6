"""A lineage as one value, read from the store: files, runs of actions, replays, and what was said of them.

What is of this machine only (host, user, places of files) stays behind.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import Any

from pipeline.report import PastVerdict, RunReport, past_verdict, trace
from pipeline.tags import RAW_TAGS
from provenance.dropped import PRUNED
from provenance.lineage import ArtifactNode, believed
from provenance.model import OutputFile, Run
from provenance.prune import VERDICT
from provenance.remembered import Remembered
from provenance.store import Store

_NOT_OF_A_LINEAGE = ("invocation", PRUNED)
"""Kinds of statements that name runs and files, and say nothing of how a product was made."""

_RAW = frozenset(rule.tag for rule in RAW_TAGS)


class Kind(StrEnum):
    """Where a file comes from."""

    PRODUCT = "product"
    RAW = "raw"
    STATIC = "static"
    """A static calibration, or anything else from outside that is no raw frame."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person or a check said of something in the lineage."""

    digest: str
    """Of the statement's file in the store."""
    kind: str
    at: str
    """RFC 3339, UTC; empty if it does not say."""
    reason: str
    """Empty if it gives none."""
    about: tuple[str, ...]
    """Runs, files and keys of actions in the lineage that it names, sorted."""


@dataclass(frozen=True)  # no slots: what is counted once is kept
class Graph:
    """A lineage. Files are named by digest, runs by id, actions by key."""

    roots: tuple[str, ...]
    """Digests of what was asked about."""
    direction: str
    """`up`: what they were made from; `down`: what was made from them."""
    files: Mapping[str, ArtifactNode]
    """By digest, sorted. A file's `made_by` may be a run that lies off the way, and is not in `runs`."""
    runs: Mapping[str, RunReport]
    """By id, sorted, which is by the time they began."""
    verdicts: Mapping[str, tuple[PastVerdict, ...]]
    """Of replays, by the id of the run that was made again; the oldest first."""
    statements: tuple[Said, ...]
    """What else was said of its runs, actions and files, by digest."""

    @cached_property
    def images(self) -> tuple[tuple[str, str], ...]:
        """Config digest and platform of every image."""
        return tuple(sorted({(r.action.image, r.action.platform) for r in self.runs.values()}))

    @cached_property
    def products(self) -> Mapping[str, OutputFile]:
        """What its runs recorded of the files they made, by digest."""
        made = chain.from_iterable(report.run.outputs for report in self.runs.values())
        return {output.digest: output for output in made}

    @cached_property
    def runs_of(self) -> Mapping[str, tuple[str, ...]]:
        """Ids of its runs, by themselves and by the keys of their actions."""
        found: dict[str, list[str]] = {}
        for run, report in self.runs.items():
            found.setdefault(run, []).append(run)
            found.setdefault(report.run.action, []).append(run)
        return {name: tuple(runs) for name, runs in found.items()}

    @cached_property
    def newest(self) -> str:
        """When its newest run ended: RFC 3339, UTC."""
        return max((r.run.ended or r.run.started for r in self.runs.values()), default="")

    def kind(self, digest: str) -> Kind:
        """Tell where a file of it comes from."""
        node = self.files[digest]
        if node.made_by is not None:
            return Kind.PRODUCT
        return Kind.RAW if node.tag in _RAW else Kind.STATIC


def read_graph(store: Store, digests: Iterable[str], *, down: bool = False) -> Graph:
    """Read the lineage of files.

    Parameters
    ----------
    store : Store
        The store.
    digests : iterable of str
        Of the files.
    down : bool
        What was made from them, and not what they were made from.

    Notes
    -----
    Several runs may have made the same bytes: the one that `provenance.lineage` follows is in it, the others
    are named in `also_made_by`. Files that a run reads or makes and that lie off the way that was followed
    are in it too, so that no run lacks an input.
    """
    roots, source = tuple(dict.fromkeys(digests)), Remembered(store)
    found = trace(store, roots, down=down, source=source)
    runs = {run: found.runs[run] for run in sorted(found.runs)}
    files = dict(found.artifacts)
    for report in runs.values():
        files |= {node.digest: node for node in _beside(source, report.run, files)}
    verdicts, statements = _said(store, runs, files)
    return Graph(
        roots=roots,
        direction=found.direction,
        files={digest: files[digest] for digest in sorted(files)},
        runs=runs,
        verdicts=verdicts,
        statements=statements,
    )


def _beside(source: Remembered, run: Run, known: Mapping[str, ArtifactNode]) -> Iterator[ArtifactNode]:
    """Name the files of a run that are not in the graph yet; their depth says nothing."""
    for made in run.outputs:
        if made.digest not in known:
            yield ArtifactNode(
                made.digest, made.tag, made.name, made.data_digest, made.size, 0, run.run, (), None
            )
    for read in run.inputs:
        if read.digest not in known:
            makers = source.runs_making(read.digest)
            maker = believed(makers).run if makers else None
            yield ArtifactNode(
                read.digest, read.tag, read.name, read.data_digest, read.size, 0, maker, (), None
            )


def _said(
    store: Store, runs: Mapping[str, RunReport], files: Mapping[str, ArtifactNode]
) -> tuple[dict[str, tuple[PastVerdict, ...]], tuple[Said, ...]]:
    """Gather the verdicts of replays, and what else was said of anything in the graph."""
    names = {*runs, *files, *(report.run.action for report in runs.values())}
    verdicts: dict[str, list[PastVerdict]] = {}
    others = []
    for said in store.all_statements(but=_NOT_OF_A_LINEAGE):
        if said.kind == VERDICT:
            if isinstance(said.body, dict) and said.body.get("run") in runs:
                verdicts.setdefault(said.body["run"], []).append(past_verdict(said.body))
        elif about := names.intersection(_texts(said.body)):
            body = said.body if isinstance(said.body, dict) else {}
            at, reason = (text if isinstance(text := body.get(n), str) else "" for n in ("at", "reason"))
            others.append(Said(said.digest, said.kind, at, reason, tuple(sorted(about))))
    in_order = {
        run: tuple(sorted(verdicts[run], key=lambda v: (v.at, v.replay or ""))) for run in sorted(verdicts)
    }
    return in_order, tuple(others)


def _texts(value: Any) -> Iterable[str]:
    """List all texts in a JSON value, names of fields too."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            left.extend((*item, *item.values()))
        elif isinstance(item, list):
            left.extend(item)
