"""The store read into values for people: a run or a product in full, a lineage, the reason of a step.

Reads, and neither writes nor prints; how a value looks on screen or as JSON is decided under `cli/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.forecast import Forecast
from provenance.difference import differences
from provenance.documents import Pairs
from provenance.lineage import ArtifactNode, ancestors, believed, descendants
from provenance.model import Action, InputFile, Invocation, OutputFile, Purpose, Run
from provenance.store import Store


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run with what it was asked to do."""

    run: Run
    action: Action

    @property
    def step(self) -> str:
        """What a person types to name it."""
        return step_id(self.run.stage, self.run.unit)

    @property
    def changed(self) -> Pairs:
        """Parameters that are not at the recipe's default: long name and value."""
        return tuple(pair for pair in self.action.parameters if pair[0] not in self.run.defaults)

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


@dataclass(frozen=True, slots=True)
class FrameReport:
    """A file from outside that runs have read."""

    file: InputFile
    """As the newest of them saw it."""
    read_by: tuple[Run, ...]
    """Newest first."""


@dataclass(frozen=True, slots=True)
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

    def maker(self, digest: str) -> RunReport | None:
        """Return the run of this graph that made an artifact; None if it came from outside of it."""
        return self.runs.get(self.artifacts[digest].made_by or "")

    def readers(self, digest: str) -> tuple[RunReport, ...]:
        """Return the runs of this graph that read an artifact."""
        return tuple(r for r in self.runs.values() if any(i.digest == digest for i in r.run.inputs))


@dataclass(frozen=True, slots=True)
class Past:
    """What a call of the command did with a step."""

    when: str
    """Start of that call; of the run, if no call that ended tells of it."""
    outcome: str
    """`hit`, `ran`, `failed` or `blocked`."""
    why: tuple[str, ...]
    """As the call saw it."""
    run: str | None
    """The run made, or the one believed."""
    before: str | None = None
    """The attempt before that run; None if it was the first."""
    changes: tuple[str, ...] = ()
    """What that run was asked otherwise than the attempt before."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step ran, or will."""

    step: str
    last: Past | None
    """What the last call of the command did with it; None if it never came up."""
    ran: Past | None
    """When it ran last, if the last call did not run it."""
    now: Forecast | None
    """What would happen now; None if that cannot be told, or it is not in the plan."""


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
    return RunReport(run, store.action(run.action))


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
        )
    seen = [item for run in readers for item in run.inputs if item.digest == digest]
    if not seen:
        raise UsageError(
            f"no run of this store made or read {called or digest} ({digest[:19]})",
            "it may be of another store, or was edited since; `clio check` finds edited products",
        )
    return FrameReport(seen[0], readers)


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


def trace(store: Store, digests: tuple[str, ...], *, down: bool = False) -> Trace:
    """Follow products up to the raw frames, or down to all that was made from them."""
    walk = descendants if down else ancestors
    artifacts: dict[str, ArtifactNode] = {}
    runs: dict[str, RunReport] = {}
    for digest in digests:
        found = walk(store, digest)
        artifacts |= {node.digest: node for node in found.artifacts if node.digest not in artifacts}
        runs |= {
            node.run: report_run(store, store.run(node.run)) for node in found.runs if node.run not in runs
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
    found: dict[str, list[Run]] = {}
    for run in store.runs(stage=stage):
        if run.is_success or not successful:
            found.setdefault(run.unit, []).append(run)
    return {unit: _newest(found[unit]) for unit in sorted(found)}


def reason(
    store: Store, stage: str, unit: str, *, calls: tuple[Invocation, ...], now: Forecast | None
) -> Reason:
    """Say why a step ran, or will.

    Parameters
    ----------
    store : Store
        The store.
    stage, unit : str
        The step.
    calls : tuple of Invocation
        Earlier calls of the command, newest first.
    now : Forecast, optional
        What would happen to it now.
    """
    pasts = [
        Past(call.started, step.outcome, step.why, step.run)
        for call in calls
        for step in call.steps
        if (step.stage, step.unit) == (stage, unit)
    ]
    runs = tuple(run for run in store.runs(stage=stage, unit=unit) if run.purpose is Purpose.RUN)
    known = {past.run for past in pasts if past.outcome in ("ran", "failed")}
    # A call that was killed left runs and no word of itself.
    pasts += [_orphan(run) for run in runs if run.run not in known]
    pasts.sort(key=lambda past: past.when, reverse=True)
    last = pasts[0] if pasts else None
    ran = next((past for past in pasts if past.outcome in ("ran", "failed")), None)
    return Reason(
        step=step_id(stage, unit),
        last=_compared(store, last, runs),
        ran=None if ran is last else _compared(store, ran, runs),
        now=now,
    )


def _orphan(run: Run) -> Past:
    return Past(run.started, "ran" if run.is_success else "failed", (), run.run)


def _compared(store: Store, past: Past | None, runs: tuple[Run, ...]) -> Past | None:
    """Add what a run was asked otherwise than the attempt before it; a hit was asked nothing new."""
    if past is None or past.outcome not in ("ran", "failed"):
        return past
    this = next((run for run in runs if run.run == past.run), None)
    before = next((run for run in runs if run.run < (past.run or "")), None)
    if this is None or before is None:
        return past
    changes = differences(store.action(before.action), store.action(this.action))
    return Past(past.when, past.outcome, past.why, past.run, before.run, changes)


def _newest(runs: list[Run]) -> Run:
    proper = [run for run in runs if run.purpose in (Purpose.RUN, Purpose.IMPORT)]
    return (proper or runs)[0]
