"""Drawings, as programs that draw read them: DOT by a parser of it, Mermaid by what flow charts allow."""

import re
import shutil
import subprocess
import warnings
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli.graphs import Graph, Node, dot, mermaid

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pydot

ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a graph with any words on its nodes."""
    labels = draw(st.lists(st.lists(ANY_TEXT, min_size=1, max_size=3).map(tuple), min_size=2, max_size=5))
    nodes = tuple(Node(f"a{n}", lines, is_run=n % 2 == 0) for n, lines in enumerate(labels))
    ids = st.sampled_from([node.id for node in nodes])
    return Graph(nodes, tuple(draw(st.sets(st.tuples(ids, ids), max_size=6))))


@settings(max_examples=25)  # a parser that takes its time
@given(graphs())
def test_dot_is_read_as_the_same_graph_whatever_is_written_on_it(drawn: Graph) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (read,) = pydot.graph_from_dot_data(dot(drawn)) or [None]

    assert read is not None
    nodes = {node.get_name(): node.get("label") for node in read.get_nodes() if node.get_name() != "node"}
    assert nodes.keys() == {node.id for node in drawn.nodes}
    for node in drawn.nodes:
        lines = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], str(nodes[node.id])[1:-1])
        assert lines == "\n".join(node.lines)
    assert {(edge.get_source(), edge.get_destination()) for edge in read.get_edges()} == set(drawn.edges)


_NODE = re.compile(r'  (\w+)(\(\[|\[)"([^"`]*)"(\]\)|\])')
_EDGE = re.compile(r"  (\w+) --> (\w+)")


@given(graphs())
def test_mermaid_is_a_flow_chart_whatever_is_written_on_it(drawn: Graph) -> None:
    head, *lines = mermaid(drawn).split("\n")
    nodes = [found for line in lines if (found := _NODE.fullmatch(line))]
    edges = [found for line in lines if (found := _EDGE.fullmatch(line))]

    assert head == "flowchart LR"
    assert len(nodes) + len(edges) == len(lines)
    assert {found[1]: found[2] for found in nodes} == {n.id: "([" if n.is_run else "[" for n in drawn.nodes}
    assert {(found[1], found[2]) for found in edges} == set(drawn.edges)
    for found, node in zip(nodes, drawn.nodes, strict=True):
        words = [unescape(re.sub(r"#(\d+|\w+);", _entity, line)) for line in found[3].split("<br/>")]
        assert words == [unescape(line.translate({38: "&amp;"})) for line in node.lines]


def _entity(found: re.Match[str]) -> str:
    return f"&#{found[1]};" if found[1].isdigit() else f"&{found[1]};"


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_it() -> None:
    drawn = Graph(
        (Node("a1", ('say "x"', "\\n <b>"), is_run=False), Node("r1", ("y",), is_run=True)), (("a1", "r1"),)
    )
    done = subprocess.run(["dot", "-Tsvg"], input=dot(drawn), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "<svg" in done.stdout
