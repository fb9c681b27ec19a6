"""The store read into values for people: a run or a product in full, a lineage.

Reads, and neither writes nor prints; how a value looks on screen or as JSON is decided under `cli/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.caveats import arose
from pipeline.errors import UsageError
from provenance.acceptances import Acceptance
from provenance.documents import Pairs
from provenance.imports import Origin
from provenance.lineage import ArtifactNode, ancestors, believed, descendants
from provenance.model import Action, InputFile, OutputFile, Run
from provenance.pins import Pin
from provenance.prune import VERDICT
from provenance.remembered import Remembered
from provenance.store import Store
from provenance.taints import Taint


@dataclass(frozen=True, slots=True)
class PastVerdict:
    """What was said of a run when it was replayed."""

    at: str
    """RFC 3339, UTC."""
    verdict: str
    reason: str
    """Why it was no better; empty if identical."""
    engine: str
    """Name and version."""
    clio: str
    """Version."""
    replay: str | None
    """Id of the record of the replay, if one was kept."""
    is_challenge: bool
    """Whether another action was run, with other threads, for example."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A taint of a run or file, and the way it came."""

    taint: Taint
    through: str = ""
    """What it was inherited from: tag and first digits of an input; empty if the thing itself is tainted."""

    @property
    def words(self) -> str:
        """Say it."""
        through = f"through {self.through}: " if self.through else ""
        return f"{through}{self.taint.said.words}"

    @property
    def brief(self) -> str:
        """Say it beside the thing itself, where what began it stands elsewhere."""
        through = f" through {self.through}" if self.through else ""
        return f"tainted{through}: {self.taint.said.reason}"


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run with what it was asked to do."""

    run: Run
    action: Action
    accepted: tuple[Acceptance, ...] = ()
    """Where a person let it stand for another action; those taken back among them."""
    verdicts: tuple[PastVerdict, ...] = ()
    """Of its replays in this store, the newest first; not read for lineages."""
    taints: tuple[Mark, ...] = ()
    """That reach it; see `pipeline.tainted`."""
    origin: Origin | None = None
    """Where it was imported from; None for a run of this store."""

    @property
    def step(self) -> str:
        """What a person types to name it."""
        return step_id(self.run.stage, self.run.unit)

    @property
    def changed(self) -> Pairs:
        """Parameters that are not at the recipe's default: long name and value."""
        return tuple(pair for pair in self.action.parameters if pair[0] not in self.run.defaults)

    @property
    def own_caveats(self) -> tuple[str, ...]:
        """Caveats that arose in it, and not in what it was made from."""
        return tuple(text for text in self.run.caveats if arose("", text)[0] == "")

    @property
    def options(self) -> Pairs:
        """The same by the names that esorex takes: `order`, not `muse.muse_flat.order`."""
        return tuple((name.rpartition(".")[2], value) for name, value in self.changed)


@dataclass(frozen=True, slots=True)
class ProductReport:
    """A product with the run that made it."""

    file: OutputFile
    path: Path
    """Where its bytes lie in the store, or would lie."""
    is_there: bool
    """Whether they do; they are not read."""
    made: RunReport
    also_made_by: tuple[str, ...]
    """Other runs that made the same bytes: replays, mostly."""
    read_by: tuple[Run, ...]
    """Runs that read it, newest first."""
    pins: tuple[Pin, ...] = ()
    """That hold it; those taken out are left out."""
    pruned_at: str | None = None
    """When it was pruned, if it is not there and was."""
    taints: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class FrameReport:
    """A file from outside that runs have read."""

    file: InputFile
    """As the newest of them saw it."""
    read_by: tuple[Run, ...]
    """Newest first."""
    taints: tuple[Mark, ...] = ()


@dataclass(frozen=True)  # no slots: who reads what is asked of every artifact, and looked up once
class Trace:
    """What products were made from, or what was made from them: a graph."""

    digests: tuple[str, ...]
    """What was asked about."""
    direction: str
    """`up` or `down`."""
    artifacts: Mapping[str, ArtifactNode]
    """By digest, nearest first."""
    runs: Mapping[str, RunReport]
    """By id, in the order they were met."""
    taints: Mapping[str, tuple[Mark, ...]] = field(default_factory=dict)
    """Of artifacts that are tainted, by digest."""

    def maker(self, digest: str) -> RunReport | None:
        """Return the run of this graph that made an artifact; None if it came from outside of it."""
        return self.runs.get(self.artifacts[digest].made_by or "")

    def readers(self, digest: str) -> tuple[RunReport, ...]:
        """Return the runs of this graph that read an artifact."""
        return tuple(self._readers.get(digest, ()))

    @cached_property
    def _readers(self) -> Mapping[str, list[RunReport]]:
        found: dict[str, list[RunReport]] = {}
        for report in self.runs.values():
            for digest in dict.fromkeys(item.digest for item in report.run.inputs):
                found.setdefault(digest, []).append(report)
        return found


def step_id(stage: str, unit: str) -> str:
    """Write the id of a step."""
    return f"{stage}:{unit}"


def report_run(store: Store, run: Run) -> RunReport:
    """Read a run in full.

    Raises
    ------
    ProvenanceError
        Its action is missing or unreadable.
    """
    told = _report(store, run, store.acceptances())
    return replace(told, verdicts=past_verdicts(store, run), origin=store.imports.origin(run))


def past_verdicts(store: Store, run: Run) -> tuple[PastVerdict, ...]:
    """Read what was said of a run when it was replayed, the newest first."""
    bodies = (said.body for said in store.statements(VERDICT) if isinstance(said.body, dict))
    found = (past_verdict(body) for body in bodies if body.get("run") == run.run)
    return tuple(sorted(found, key=lambda said: said.at, reverse=True))


def past_verdict(body: Mapping[str, Any]) -> PastVerdict:
    """Take from the body of a statement what a reader of a verdict wants to know."""
    return PastVerdict(
        at=str(body.get("at", "")),
        verdict=str(body.get("verdict", "")),
        reason=str(body.get("reason", "")),
        engine=str(body.get("engine", "")),
        clio=str(body.get("clio", "")),
        replay=body.get("replay"),
        is_challenge=body.get("challenge") is not None,
    )


def report_file(store: Store, digest: str, called: str = "") -> ProductReport | FrameReport | RunReport:
    """Read what is known of a file.

    Parameters
    ----------
    store : Store
        The store.
    digest : str
        Of the file.
    called : str
        What a person called it, for the message.

    Returns
    -------
    ProductReport, FrameReport or RunReport
        A product, a frame from outside, or the run whose log or other remains it is.

    Raises
    ------
    UsageError
        No run made or read it.
    """
    makers, readers = store.runs_making(digest), store.runs_reading(digest)
    if makers:
        maker = believed(makers)
        made = [item for item in maker.outputs if item.digest == digest]
        if not made:
            return report_run(store, maker)
        return ProductReport(
            file=made[0],
            path=store.objects.path(digest),
            is_there=store.objects.has(digest, made[0].size),
            made=report_run(store, maker),
            also_made_by=tuple(run.run for run in makers if run is not maker),
            read_by=readers,
            pins=tuple(p for p in store.pins() if p.unpinned is None and p.said.digest == digest),
            pruned_at=None if store.objects.has(digest) else _pruned_at(store, digest),
        )
    seen = [item for run in readers for item in run.inputs if item.digest == digest]
    if not seen:
        raise UsageError(
            f"no run of this store made or read {called or digest} ({digest[:19]})",
            "it may be of another store, or was edited since; `clio check` finds edited products",
        )
    return FrameReport(seen[0], readers)


def _pruned_at(store: Store, digest: str) -> str | None:
    said, _ = store.dropped().get(digest, (None, None))
    return said.at if said else None


def read_log(store: Store, run: Run) -> str:
    """Read the log that a run's recipe left.

    Raises
    ------
    UsageError
        It left none.
    ProvenanceError
        It is not in the store any more.
    """
    if run.log is None:
        raise UsageError(f"run {run.run} left no log", "its recipe did not start, or was killed at once")
    store.objects.verify(run.log)
    return store.objects.path(run.log).read_text(encoding="utf-8", errors="replace")


def trace(
    store: Store, digests: tuple[str, ...], *, down: bool = False, source: Remembered | None = None
) -> Trace:
    """Follow products up to the raw frames, or down to all that was made from them."""
    walk = descendants if down else ancestors
    source = source or Remembered(store)
    artifacts: dict[str, ArtifactNode] = {}
    runs: dict[str, RunReport] = {}
    accepted, imports = store.acceptances(), store.imports
    for digest in digests:
        found = walk(source, digest)
        artifacts |= {node.digest: node for node in found.artifacts if node.digest not in artifacts}
        runs |= {
            node.run: replace(_report(source, run, accepted), origin=imports.origin(run))
            for node in found.runs
            if node.run not in runs
            for run in (source.run(node.run),)
        }
    return Trace(digests, "down" if down else "up", artifacts, runs)


def newest_runs(store: Store, stage: str, *, successful: bool = False) -> dict[str, Run]:
    """Return the newest run of each unit of a stage, by unit; replays only where there is nothing else.

    Parameters
    ----------
    store : Store
        The store.
    stage : str
        The stage.
    successful : bool
        Pass over runs that failed.
    """
    return {run.unit: run for run in store.newest_runs(stage, successful=successful)}


def _report(store: Store | Remembered, run: Run, accepted: tuple[Acceptance, ...]) -> RunReport:
    ours = tuple(item for item in accepted if item.said.run == run.run)
    return RunReport(run, store.action(run.action), ours)
