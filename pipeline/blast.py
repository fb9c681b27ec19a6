"""What came of a thing: the runs and products downstream of it, and which of them a person uses now."""

from collections.abc import Iterable
from dataclasses import dataclass

from provenance.blast import (
    Graph,
    Made,
    RunRow,
    Spread,
    downstream,
    newest_reduction,
    read_graph,
    runs_of_image,
    runs_of_parameter,
    spread_of,
)
from provenance.errors import short
from provenance.store import Store
from provenance.taints import Taint, TaintKind


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing that products come of."""

    kind: TaintKind
    subject: str
    """Id of the run, digest of the artifact or image, whole name of the parameter."""
    name: str
    """What it is to a reader."""
    value: str = ""
    """Of a parameter."""
    content: str = ""
    """Data digest of a FITS file."""
    runs: tuple[str, ...] = ()
    """The run itself; of a product the runs that made it."""

    @property
    def words(self) -> str:
        """Name it with what it is."""
        match self.kind:
            case TaintKind.RUN:
                return f"run {self.subject} of {self.name}"
            case TaintKind.IMAGE:
                return f"image {short(self.subject)}"
            case TaintKind.PARAMETER:
                return self.name
            case TaintKind.FRAME | TaintKind.PRODUCT:
                return f"{self.name} {short(self.subject)}"

    def is_of(self, taint: Taint) -> bool:
        """Tell whether a taint is of this thing."""
        said = taint.said
        same = said.subject == self.subject or bool(self.content and said.content == self.content)
        return same and (said.kind, said.value) == (self.kind, self.value)


@dataclass(frozen=True, slots=True)
class Reached:
    """A run that came of it."""

    row: RunRow
    products: tuple[Made, ...]
    is_newest: bool
    """Whether the newest reduction of the workspace has it."""
    taints: tuple[Taint, ...] = ()
    """That reach it, whatever began them."""


@dataclass(frozen=True, slots=True)
class Blast:
    """All that came of something."""

    runs: tuple[Reached, ...]
    """Oldest first."""

    @property
    def newest(self) -> tuple[Reached, ...]:
        """Those of the newest reduction."""
        return tuple(reached for reached in self.runs if reached.is_newest)

    def products(self, *, newest: bool = False) -> int:
        """Count products, each datum once."""
        runs = self.newest if newest else self.runs
        return len({made.digest for reached in runs for made in reached.products})


def blast(store: Store, subject: Subject, *, workspace: str) -> Blast:
    """Follow something down.

    Parameters
    ----------
    store : Store
        The store.
    subject : Subject
        What is followed.
    workspace : str
        Whose newest reduction counts.
    """
    reach = spread_of(store) if store.tainted else None
    graph = reach.graph if reach else read_graph(store.index)
    match subject.kind:
        case TaintKind.RUN:
            found = downstream(graph, subject.runs)
        case TaintKind.IMAGE:
            found = downstream(graph, runs_of_image(store.index, subject.subject))
        case TaintKind.PARAMETER:
            found = downstream(graph, runs_of_parameter(store.index, subject.subject, subject.value))
        case TaintKind.FRAME | TaintKind.PRODUCT:
            own = graph.content(subject.subject)
            found = downstream(graph, (), {subject.content or own, own})
    return _blast(store, graph, found, workspace, reach)


def blasts(store: Store, *, workspace: str) -> dict[Taint, Blast]:
    """List what each taint that holds reaches: less than all that came of it, once it was made again."""
    if not store.tainted:
        return {}
    reach = spread_of(store)
    return {
        taint: _blast(store, reach.graph, reach.of(taint), workspace, reach) for taint in store.tainted.all
    }


def _blast(store: Store, graph: Graph, runs: Iterable[str], workspace: str, reach: Spread | None) -> Blast:
    newest = newest_reduction(store.index, workspace)
    tainted = reach.runs if reach else {}
    rows = (graph.runs[run] for run in runs if run in graph.runs)
    return Blast(
        tuple(
            Reached(row, graph.makes.get(row.run, ()), row.run in newest, tainted.get(row.run, ()))
            for row in rows
        )
    )
