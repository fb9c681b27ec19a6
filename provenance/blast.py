"""All that came of something: runs and products downstream, and what of them a taint reaches.

Followed by content: who read the data of a product depends on every run that made the same data. For the same
reason a product is tainted only as long as no sound run made the same data: a master bias made again on
another machine, with the same pixels, clears whatever was made of the first one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from provenance.index import Index
from provenance.taints import InForce, Taint, TaintKind

if TYPE_CHECKING:
    from provenance.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run, as the index knows it."""

    run: str
    action: str
    purpose: str
    status: str
    is_success: int
    stage: str
    unit: str
    started: str

    @property
    def vouches(self) -> bool:
        """Whether it proves what it made, if it is sound itself."""
        return bool(self.is_success) and self.purpose in ("run", "replay")


@dataclass(frozen=True, slots=True)
class Made:
    """A product of a run."""

    tag: str
    name: str
    digest: str
    content: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Every run with what it read and made."""

    runs: Mapping[str, RunRow]
    """By id, oldest first."""
    reads: Mapping[str, tuple[str, ...]]
    """Contents of what a run read: the data digest, where there is one."""
    makes: Mapping[str, tuple[Made, ...]]
    readers: Mapping[str, tuple[str, ...]]
    """Runs by the content they read, oldest first."""
    makers: Mapping[str, tuple[str, ...]]
    """Runs by the content they made, oldest first."""
    contents: Mapping[str, str]
    """Of each artifact that is a FITS file, its data digest."""

    def content(self, digest: str) -> str:
        """Return by what an artifact is followed: its data digest, else its digest."""
        return self.contents.get(digest, digest)


def read_graph(index: Index) -> Graph:
    """Read it whole: some tenths of a second for twenty thousand runs."""
    contents = dict(
        index.read("SELECT digest, data_digest FROM artifact WHERE data_digest IS NOT NULL ORDER BY digest")
    )
    columns = "run_id, action_key, purpose, status, is_success, stage, unit, started"
    rows = index.read(f"SELECT {columns} FROM run ORDER BY run_id")
    runs = {run: RunRow(run, *about) for run, *about in rows}
    reads: dict[str, list[str]] = {}
    readers: dict[str, dict[str, None]] = {}
    for run, digest in index.read("SELECT run_id, digest FROM run_input ORDER BY run_id, pos"):
        content = contents.get(digest, digest)
        reads.setdefault(run, []).append(content)
        readers.setdefault(content, {})[run] = None
    makes: dict[str, list[Made]] = {}
    makers: dict[str, dict[str, None]] = {}
    sql = "SELECT run_id, tag, name, digest FROM run_output WHERE NOT is_extra ORDER BY run_id, pos"
    for run, tag, name, digest in index.read(sql):
        made = Made(tag, name, digest, contents.get(digest, digest))
        makes.setdefault(run, []).append(made)
        makers.setdefault(made.content, {})[run] = None
    return Graph(runs, _frozen(reads), _frozen(makes), _frozen(readers), _frozen(makers), contents)


def runs_of_image(index: Index, image: str) -> tuple[str, ...]:
    """Return all runs in an image, oldest first."""
    sql = "SELECT run_id FROM run JOIN action USING (action_key) WHERE image = ? ORDER BY run_id"
    return tuple(run for (run,) in index.read(sql, (image,)))


def runs_of_parameter(index: Index, name: str, value: str) -> tuple[str, ...]:
    """Return all runs with a value of a parameter, oldest first; defaults count."""
    sql = (
        "SELECT run_id FROM run JOIN action USING (action_key) WHERE parameters IN"
        " (SELECT digest FROM parameters, json_each(body) WHERE key = ? AND atom = ?) ORDER BY run_id"
    )
    return tuple(run for (run,) in index.read(sql, (name, value)))


def values_of_parameter(index: Index, name: str) -> dict[str, tuple[str, ...]]:
    """Return the values that runs ever had, by the whole names of parameters that end in a name."""
    sql = (
        "SELECT DISTINCT key, atom FROM parameters, json_each(body) WHERE key = ? OR key LIKE ? ESCAPE '\\'"
        " ORDER BY key, atom"
    )
    escaped = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found: dict[str, list[str]] = {}
    for whole, value in index.read(sql, (name, f"%.{escaped}")):
        found.setdefault(whole, []).append(value)
    return {whole: tuple(values) for whole, values in found.items()}


def images(index: Index) -> tuple[str, ...]:
    """Return the config digests of all images that an action ever named."""
    return tuple(image for (image,) in index.read("SELECT DISTINCT image FROM action ORDER BY image"))


def named(index: Index, name: str) -> tuple[str, ...]:
    """Return the artifacts that runs read under a name, such as that in the archive; newest first."""
    sql = "SELECT digest FROM run_input WHERE name = ? GROUP BY digest ORDER BY max(run_id) DESC"
    return tuple(digest for (digest,) in index.read(sql, (name,)))


def newest_reduction(index: Index, workspace: str) -> frozenset[str]:
    """Return the run that holds for each step: made or believed by the last call that came to it.

    Parameters
    ----------
    index : Index
        Of the store.
    workspace : str
        Calls made there count; if there are none, all do.
    """
    sql = (
        "SELECT stage, unit, run_id, outcome FROM step JOIN invocation USING (invocation_id)"
        " {} ORDER BY invocation_id"
    )
    rows = index.read(sql.format("WHERE workspace = ?"), (workspace,)) or index.read(sql.format(""))
    newest = {(stage, unit): (run, outcome) for stage, unit, run, outcome in rows}
    return frozenset(run for run, outcome in newest.values() if run and outcome in ("hit", "ran"))


def downstream(graph: Graph, runs: Iterable[str], contents: Iterable[str] = ()) -> tuple[str, ...]:
    """Return all runs below some runs and contents, those runs included, oldest first."""
    found: dict[str, None] = {}
    waiting = [run for run in runs if run in graph.runs]
    waiting += [run for content in contents for run in graph.readers.get(content, ())]
    while waiting:
        run = waiting.pop()
        if run in found:
            continue
        found[run] = None
        for made in graph.makes.get(run, ()):
            waiting += graph.readers.get(made.content, ())
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class Spread:
    """What taints reach."""

    graph: Graph
    direct: Mapping[str, tuple[Taint, ...]]
    """Of runs that are tainted themselves, or by something that their key names."""
    runs: Mapping[str, tuple[Taint, ...]]
    """Of all runs that are tainted, by inheritance too."""
    contents: Mapping[str, tuple[Taint, ...]]
    """Of all artifacts that are tainted, by content."""
    through: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a run tainted by inheritance, the contents that are to blame."""

    def of(self, taint: Taint) -> tuple[str, ...]:
        """Return the runs that a taint reaches, oldest first."""
        return tuple(sorted(run for run, found in self.runs.items() if taint in found))


def spread_of(store: "Store") -> Spread:
    """Follow all taints of a store down."""
    imports = store.imports
    return spread(store.index, store.tainted, imports.runs.keys() - imports.trusts.keys())


def vouchers(reach: Spread, runs: Iterable[str]) -> tuple[str, ...]:
    """Return the sound runs that made the same data as tainted ones of some runs: they clear what follows.

    Parameters
    ----------
    reach : Spread
        What taints reach.
    runs : iterable of str
        Ids.
    """
    graph = reach.graph
    found: dict[str, None] = {}
    for made in (made for run in runs if run in reach.runs for made in graph.makes.get(run, ())):
        sound = [m for m in graph.makers[made.content] if graph.runs[m].vouches and m not in reach.runs]
        if made.content not in reach.contents and sound:
            found[sound[-1]] = None
    return tuple(sorted(found))


def spread(index: Index, held: InForce, strangers: Collection[str] = ()) -> Spread:
    """Follow all taints down.

    Parameters
    ----------
    index : Index
        Of the store.
    held : InForce
        The taints that hold.
    strangers : collection of str
        Runs that were imported and are not trusted: they vouch for each other, and for nothing made here.
    """
    graph = read_graph(index)
    direct: dict[str, dict[Taint, None]] = {}
    contents: dict[str, dict[Taint, None]] = {}
    for taint in held.all:
        for content in _frames(graph, taint):
            contents.setdefault(content, {})[taint] = None
        for run in _direct(index, graph, taint):
            direct.setdefault(run, {})[taint] = None
    return follow(graph, direct, contents, strangers)


def follow(
    graph: Graph,
    direct: Mapping[str, dict[Taint, None]],
    frames: Mapping[str, dict[Taint, None]],
    strangers: Collection[str] = (),
) -> Spread:
    """Follow taints down from the runs and the contents from outside that they are of; pure.

    Notes
    -----
    The least that is consistent: a run is tainted if it is itself, or reads what is; a product if a run that
    made its data is tainted and no sound one made it too.
    """
    runs = {run: dict(found) for run, found in direct.items()}
    contents = {content: dict(found) for content, found in frames.items()}
    waiting = list(runs)
    while waiting:
        run = waiting.pop()
        for made in graph.makes.get(run, ()):
            found = _of_content(graph, runs, made.content, strangers)
            known = contents.setdefault(made.content, {}) if found else {}
            if found.keys() <= known.keys():
                continue
            known |= found
            for reader in graph.readers.get(made.content, ()):
                held_by = runs.setdefault(reader, {})
                if not known.keys() <= held_by.keys():
                    held_by |= known
                    waiting.append(reader)
    through = {
        run: tuple(dict.fromkeys(content for content in graph.reads.get(run, ()) if contents.get(content)))
        for run in runs
    }
    return Spread(graph, _frozen(direct), _frozen(runs), _frozen(contents), through)


def _of_content(
    graph: Graph, runs: Mapping[str, dict[Taint, None]], content: str, strangers: Collection[str]
) -> dict[Taint, None]:
    """Give the taints of a product: none as long as a sound run made the same data."""
    makers = [run for run in graph.makers.get(content, ()) if graph.runs[run].vouches]
    bad, sound = [run for run in makers if run in runs], [run for run in makers if run not in runs]
    if sound and (any(run not in strangers for run in sound) or all(run in strangers for run in bad)):
        return {}
    return {taint: None for run in bad for taint in runs[run]}


def _frames(graph: Graph, taint: Taint) -> tuple[str, ...]:
    said = taint.said
    if said.kind is not TaintKind.FRAME:
        return ()
    return tuple(dict.fromkeys((said.content or graph.content(said.subject), graph.content(said.subject))))


def _direct(index: Index, graph: Graph, taint: Taint) -> tuple[str, ...]:
    said = taint.said
    match said.kind:
        case TaintKind.RUN:
            return (said.subject,)
        case TaintKind.PRODUCT:
            return said.runs
        case TaintKind.FRAME:
            return tuple(run for name in _frames(graph, taint) for run in graph.readers.get(name, ()))
        case TaintKind.IMAGE:
            return runs_of_image(index, said.subject)
        case TaintKind.PARAMETER:
            return runs_of_parameter(index, said.subject, said.value)


def _frozen(found: Mapping[str, Iterable[T]]) -> dict[str, tuple[T, ...]]:
    return {name: tuple(items) for name, items in found.items()}
