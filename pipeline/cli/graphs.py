"""A lineage as text for drawing programs: Graphviz's DOT and Mermaid."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.cli.drawing import folded
from pipeline.cli.sheets import digits

if TYPE_CHECKING:
    from pipeline.report import RunReport, Trace
    from provenance.lineage import ArtifactNode


@dataclass(frozen=True, slots=True)
class Node:
    """A thing in the drawing."""

    id: str
    """A letter and a number."""
    lines: tuple[str, ...]
    """What is written on it."""
    is_run: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """What a drawing program is told."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]
    """Ids of nodes: from what was read to the run, from the run to what it made."""


def graph(trace: "Trace", *, unfolded: bool) -> Graph:
    """Make a lineage into nodes and arrows.

    Parameters
    ----------
    trace : Trace
        Up or down.
    unfolded : bool
        A node for every frame; else frames from outside of one tag that the same runs read are one node.
    """
    node_of: dict[str, str] = {}
    nodes: list[Node] = []
    for number, group in enumerate(_groups(trace, unfolded), start=1):
        node = Node(f"a{number}", _artifact_lines(group), is_run=False)
        nodes.append(node)
        node_of |= {artifact.digest: node.id for artifact in group}
    edges: dict[tuple[str, str], None] = {}
    for number, report in enumerate(trace.runs.values(), start=1):
        run = Node(f"r{number}", _run_lines(report), is_run=True)
        nodes.append(run)
        for item in report.run.inputs:
            if item.digest in node_of:
                edges[node_of[item.digest], run.id] = None
        for made in report.run.outputs:
            if made.digest in node_of:
                edges[run.id, node_of[made.digest]] = None
    return Graph(tuple(nodes), tuple(edges))


def dot(drawn: Graph) -> str:
    """Write a graph for Graphviz."""
    lines = ["digraph trace {", "  rankdir=LR;", '  node [shape=box, fontname="Helvetica"];']
    for node in drawn.nodes:
        label = r"\n".join(line.replace("\\", r"\\").replace('"', r"\"") for line in node.lines)
        shape = ", style=rounded" if node.is_run else ""
        lines.append(f'  {node.id} [label="{label}"{shape}];')
    lines += [f"  {begin} -> {end};" for begin, end in drawn.edges]
    return "\n".join((*lines, "}"))


def mermaid(drawn: Graph) -> str:
    """Write a graph for Mermaid, as GitHub and GitLab draw it in a page."""
    lines = ["flowchart LR"]
    for node in drawn.nodes:
        label = "<br/>".join(map(_escaped, node.lines))
        lines.append(f'  {node.id}(["{label}"])' if node.is_run else f'  {node.id}["{label}"]')
    lines += [f"  {begin} --> {end}" for begin, end in drawn.edges]
    return "\n".join(lines)


_OF_MERMAID = {
    '"': "#quot;",
    "&": "#amp;",
    "<": "#lt;",
    ">": "#gt;",
    "#": "#35;",
    "`": "#96;",
    "\n": " ",
    "\r": " ",
}
"""What a label cannot hold as it is: quotes end it, and `#...;` is a character by its name or number."""


def _escaped(line: str) -> str:
    return "".join(_OF_MERMAID.get(character, character) for character in line)


def _groups(trace: "Trace", unfolded: bool) -> "tuple[tuple[ArtifactNode, ...], ...]":
    found: dict[object, list[ArtifactNode]] = {}
    for digest, artifact in trace.artifacts.items():
        key: object = digest
        if artifact.made_by is None and not unfolded:
            key = (artifact.tag, *(reader.run.run for reader in trace.readers(digest)))
        found.setdefault(key, []).append(artifact)
    return tuple(tuple(group) for group in found.values())


def _artifact_lines(group: "tuple[ArtifactNode, ...]") -> tuple[str, ...]:
    first = group[0]
    if len(group) > 1:
        return (first.tag, folded(first.tag, (artifact.name for artifact in group)))
    return (first.tag, first.name, digits(first.digest))


def _run_lines(report: "RunReport") -> tuple[str, ...]:
    options = tuple(f"{name}={value}" for name, value in report.options)
    caveats = tuple(f"caveat: {caveat}" for caveat in report.own_caveats)
    head = (report.action.recipe, report.step, f"image {digits(report.action.image)}")
    return (*head, *options, *caveats)
