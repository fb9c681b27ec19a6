"""A lineage in the words of W3C PROV, as the package `prov` reads it."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from history import History, keep, product, raw, used
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exchange.graph import Graph, read_graph
from pipeline.exchange.prov import prov_document
from pipeline.exchange.provdoc import Document, Name, Record, Typed, prov_json_text, prov_n
from provenance.model import Purpose
from provenance.store import Store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from prov.model import ProvDocument


def opened(document: Document) -> Any:
    """Let the package read what we wrote."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ProvDocument.deserialize(content=prov_json_text(document), format="json")


# A reader of PROV-N, after the grammar of the recommendation (appendix A); enough for what has no bundles.

_TOKEN = re.compile(
    r"""\s*(?: (?P<string>"(?:[^"\\\n\r]|\\[tbnrf"'\\])*") | (?P<quoted>'[^']*') | (?P<uri><[^<>"{}|^`\\\s]*>)
    | (?P<mark>%%|[()\[\],;=]) | (?P<word>[^\s()\[\],;="'<>%]+) )""",
    re.VERBOSE,
)
_UNESCAPED = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_EXPRESSION = tuple[str, tuple[str, ...], frozenset[tuple[str, str, str]]]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        assert found is not None, text[place : place + 80]
        assert found.lastgroup is not None
        yield found.lastgroup, found[found.lastgroup]
        place = found.end()


def read_prov_n(text: str) -> tuple[dict[str, str], "Counter[_EXPRESSION]"]:
    """Read prefixes, and each expression as its kind, its arguments, and its attributes as a set."""
    tokens = list(_tokens(text))
    assert tokens[0] == ("word", "document")
    assert tokens[-1] == ("word", "endDocument")
    prefixes: dict[str, str] = {}
    found: Counter[_EXPRESSION] = Counter()
    left = tokens[1:-1][::-1]
    while left:
        _, kind = left.pop()
        if kind == "prefix":
            _, name = left.pop()
            prefixes[name] = left.pop()[1][1:-1]
            continue
        assert left.pop() == ("mark", "(")
        arguments: list[str] = []
        attributes: set[tuple[str, str, str]] = set()
        while (token := left.pop()) != ("mark", ")"):
            if token == ("mark", "["):
                attributes = set(_read_attributes(left))
            elif token != ("mark", ","):
                arguments.append(_moment(token[1]))
        while arguments[-1] == "-":
            arguments.pop()
        found[kind, tuple(arguments), frozenset(attributes)] += 1
    return prefixes, found


def _read_attributes(left: list[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    while (token := left.pop()) != ("mark", "]"):
        if token == ("mark", ","):
            continue
        assert left.pop() == ("mark", "=")
        group, value = left.pop()
        if group == "quoted":
            yield token[1], value[1:-1], "name"
        elif group == "word":
            yield token[1], value, "number"
        else:
            value = re.sub(r"\\(.)", lambda m: _UNESCAPED[m[1]], value[1:-1])
            is_typed = left[-1] == ("mark", "%%")
            type_ = (left.pop(), left.pop())[1][1] if is_typed else "text"
            yield token[1], value, "number" if type_ in ("xsd:int", "xsd:long") else type_


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return text


# What is promised


def test_the_package_reads_every_record_and_writes_the_same_graph(graph: Graph) -> None:
    document = prov_document(graph)
    read = opened(document)
    again = ProvDocument.deserialize(content=read.serialize(format="json"), format="json")

    assert len(read.get_records()) == len(document.records)
    assert again == read


def test_both_spellings_say_the_same(graph: Graph) -> None:
    """What the package makes of our PROV-JSON, in its own PROV-N, against ours."""
    document = prov_document(graph)
    prefixes, ours = read_prov_n(prov_n(document))
    _, theirs = read_prov_n(opened(document).get_provn())

    assert ours == theirs
    assert prefixes == document.prefixes


def test_runs_files_actions_and_roles_are_found_by_their_names(graph: Graph, history: History) -> None:
    read = opened(prov_document(graph))
    run = f"run:{history.flat.run}"
    used_ones = [r for r in read.get_records() if r.get_type().localpart == "Usage" and str(r.args[0]) == run]
    roles = {str(r.args[1]): str(next(iter(r.get_attribute("prov:role")))) for r in used_ones}

    assert roles == {f"sha256:{item.digest[7:]}": item.tag for item in history.flat.inputs}
    activity = read.get_record(run)[0]
    assert activity.get_startTime().isoformat() == "2026-11-23T00:02:00+00:00"
    plan = read.get_record(f"sha256:{history.flat.action}")[0]
    assert plan.get_attribute("parameter:muse.muse_flat.order") == {"7"}
    assert plan.get_attribute("at_default:muse.muse_flat.combine") == {"sigclip"}
    names = {str(identifier.uri) for identifier in (activity.identifier, plan.identifier)}
    assert names == {f"urn:uuid:{history.flat.run}", f"nih:sha-256;{history.flat.action}"}


def test_what_a_replay_made_is_an_alternate_and_nothing_is_made_twice(store: Store, history: History) -> None:
    replay = keep(
        *(store, "muse_bias", 9, history.bias.unit),
        inputs=history.bias.inputs,
        outputs=history.bias.outputs,
        purpose=Purpose.REPLAY,
    )
    _, found = read_prov_n(prov_n(prov_document(read_graph(store, [history.bias.outputs[0].digest]))))
    bias = history.bias.outputs[0].digest[7:]
    made = [arguments[0] for kind, arguments, _ in found if kind == "wasGeneratedBy"]

    assert len(made) == len(set(made))
    assert [a for kind, a, _ in found if kind == "alternateOf"] == [
        (f"again:{replay.run}.{bias}", f"sha256:{bias}")
    ]


def test_steps_inform_each_other_and_a_failure_says_why(store: Store, history: History) -> None:
    graph = read_graph(store, [history.bias.outputs[0].digest], down=True)
    _, found = read_prov_n(prov_n(prov_document(graph)))
    informed = {arguments for kind, arguments, _ in found if kind == "wasInformedBy"}
    about = {arguments[0]: attributes for kind, arguments, attributes in found if kind == "activity"}

    assert (f"run:{history.exposure.run}", f"run:{history.flat.run}") in informed
    assert ("clio:reason", "muse_flat: no light in IFU 2", "text") in about[f"run:{history.broken.run}"]


def test_two_files_with_the_same_data_meet_there(store: Store) -> None:
    first, second = product(store, "CUBE", "a.fits"), product(store, "CUBE", "b.fits")
    same = tuple(type(o)(o.tag, o.name, o.digest, first.data_digest, (), o.size) for o in (first, second))
    last = keep(store, "muse_bias", 1, "a", inputs=(raw("BIAS", 1),), outputs=same)
    keep(store, "muse_flat", 2, "b", inputs=tuple(map(used, same)), outputs=(product(store, "F", "f"),))
    _, found = read_prov_n(prov_n(prov_document(read_graph(store, [same[0].digest, same[1].digest]))))
    general = [arguments[1] for kind, arguments, _ in found if kind == "specializationOf"]

    assert last.is_success
    assert Counter(general)[str(first.data_digest)] == 2


def test_the_same_lineage_is_written_the_same(store: Store, graph: Graph, history: History) -> None:
    """Promise 2: and no place of a file is in it."""
    again = read_graph(store, [history.exposure.outputs[0].digest])

    assert prov_json_text(prov_document(graph)) == prov_json_text(prov_document(again))
    assert prov_n(prov_document(graph)) == prov_n(prov_document(again))
    assert "/data/" not in prov_n(prov_document(graph))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\b\f"), max_size=20), st.integers(-9, 9))
def test_any_text_survives_both_spellings(text: str, number: int) -> None:
    records = (
        Record("entity", ("clio:a",), (("clio:text", text), ("clio:kind", Name("clio:K")))),
        Record("entity", ("clio:b",), (("clio:number", Typed(str(number), "xsd:int")),)),
        Record("entity", ("clio:c",)),
        Record("alternateOf", ("clio:a", "clio:c")),
    )
    document = Document({"clio": "urn:x-clio:", "xsd": "http://www.w3.org/2001/XMLSchema#"}, records)
    _, ours = read_prov_n(prov_n(document))
    read = opened(document)

    assert (
        "entity",
        ("clio:a",),
        frozenset({("clio:text", text, "text"), ("clio:kind", "clio:K", "name")}),
    ) in ours
    assert ours["alternateOf", ("clio:a", "clio:c"), frozenset()] == 1
    assert read.get_record("clio:a")[0].get_attribute("clio:text") == {text}
    assert read.get_record("clio:b")[0].get_attribute("clio:number") == {number}


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (Record("activity", ("run:a", None, None)), "activity(run:a)"),
        (
            Record("activity", ("run:a", "2026-01-01T00:00:00Z", None)),
            "activity(run:a, 2026-01-01T00:00:00Z, -)",
        ),
        (
            Record("used", ("run:a", "sha256:b", None), (("prov:role", 'say "x"'),)),
            'used(run:a, sha256:b, -, [prov:role="say \\"x\\""])',
        ),
        (Record("wasInformedBy", ("run:a", "run:b")), "wasInformedBy(run:a, run:b)"),
        (Record("wasStartedBy", ("run:a", None, "call:b", None)), "wasStartedBy(run:a, -, call:b, -)"),
    ],
)
def test_what_is_not_known_is_a_dash_where_the_grammar_asks_for_one(record: Record, line: str) -> None:
    assert prov_n(Document({}, (record,))) == f"document\n  {line}\nendDocument"
