"""A lineage in the words of W3C PROV.

Files are entities, runs are activities, actions are plans, recipes and images are software agents; what was
read and made has its tag as role.
"""

import re
from collections.abc import Iterator

from pipeline.exchange.graph import Graph, Kind
from pipeline.exchange.provdoc import Attribute, Document, Name, Record, Typed, prefixes_used
from pipeline.report import RunReport

PREFIXES = {
    "prov": "http://www.w3.org/ns/prov#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "sha256": "nih:sha-256;",
    "fits1": "urn:x-clio:fits1:",
    "run": "urn:uuid:",
    "call": "urn:x-clio:call:",
    "again": "urn:x-clio:again:",
    "recipe": "urn:x-clio:recipe:",
    "engine": "urn:x-clio:engine:",
    "program": "urn:x-clio:program:",
    "parameter": "urn:x-clio:parameter:",
    "at_default": "urn:x-clio:default:",
    "tag": "urn:x-clio:tag:",
    "clio": "urn:x-clio:term:",
    "voprov": "http://www.ivoa.net/documents/ProvenanceDM/index.html#",
}
"""Files, actions, images and statements are named by their SHA-256 (RFC 6920), runs by their UUID."""

_KINDS = {Kind.PRODUCT: "clio:Product", Kind.RAW: "clio:RawFrame", Kind.STATIC: "clio:StaticCalibration"}

_UNSAFE = re.compile(r"[^A-Za-z0-9._]+")


def prov_document(graph: Graph) -> Document:
    """Say a lineage in PROV.

    Notes
    -----
    Bytes that several runs made would be an entity generated twice, which PROV does not allow: what a replay
    made is an entity of its own, `alternateOf` the file. A file is a `specializationOf` its data, so that two
    files with the same data digest meet there. A parameter that was left at its default stands in the plan as
    `at_default:NAME`, any other as `parameter:NAME`.
    """
    records = (*_elements(graph), *_relations(graph))
    return Document(prefixes_used(PREFIXES, records), records)


def hashed(digest: str) -> str:
    """Name what has a SHA-256, with or without the word before it."""
    return f"sha256:{digest.rpartition(':')[2]}"


def local(text: str) -> str:
    """Make a text into the second half of a qualified name that needs no escapes."""
    return _UNSAFE.sub("_", text).strip("._") or "_"


def recipe_name(report: RunReport) -> str:
    """Name a recipe as it is in one image."""
    return f"recipe:{local(report.action.recipe)}_{report.action.image.rpartition(':')[2][:12]}"


def _elements(graph: Graph) -> Iterator[Record]:
    yield from _files(graph)
    yield from _plans(graph)
    for said in graph.statements:
        about: list[Attribute] = [("prov:type", Name("clio:Statement")), ("clio:kind", said.kind)]
        about += [("clio:reason", said.reason)] if said.reason else []
        about += [("clio:at", said.at)] if said.at else []
        yield Record("entity", (hashed(said.digest),), tuple(about))
    for report in graph.runs.values():
        yield _activity(graph, report)
    for call in sorted({r.run.invocation for r in graph.runs.values() if r.run.invocation}):
        yield Record("activity", (f"call:{call}", None, None), (("prov:type", Name("clio:Invocation")),))
    for replay in sorted({run for node in graph.files.values() for run in node.also_made_by}):
        yield Record("activity", (f"run:{replay}", None, None), (("prov:type", Name("clio:Replay")),))
    yield from _agents(graph)


def _files(graph: Graph) -> Iterator[Record]:
    data = set()
    for digest, node in graph.files.items():
        attributes: list[Attribute] = [
            ("prov:label", node.name),
            ("prov:type", Name(_KINDS[graph.kind(digest)])),
            ("clio:tag", node.tag),
        ]
        if node.size is not None:
            attributes.append(("clio:size", Typed(str(node.size), "xsd:long")))
        if digest in graph.products:
            attributes += [(f"clio:{local(name)}", value) for name, value in graph.products[digest].qc]
        yield Record("entity", (hashed(digest),), tuple(attributes))
        if node.data_digest:
            data.add(node.data_digest)
        for replay in node.also_made_by:
            same = (("prov:type", Name("clio:MadeAgain")), ("prov:label", node.name))
            yield Record("entity", (_again(replay, digest),), same)
    for name in sorted(data):
        yield Record("entity", (name,), (("prov:type", Name("clio:Data")),))


def _plans(graph: Graph) -> Iterator[Record]:
    actions = {r.run.action: r for r in graph.runs.values()}
    for key in sorted(actions):
        report = actions[key]
        action = report.action
        attributes: list[Attribute] = [
            ("prov:type", Name("prov:Plan")),
            ("prov:label", f"{action.recipe} of {report.step}"),
            ("clio:recipe", action.recipe),
            ("clio:spec", Typed(str(action.spec), "xsd:int")),
            ("clio:image", action.image),
            ("clio:platform", action.platform),
            ("clio:numerics", action.numerics),
        ]
        attributes += [("clio:environment", f"{name}={value}") for name, value in action.environment]
        for name, value in action.parameters:
            prefix = "at_default" if name in report.run.defaults else "parameter"
            attributes.append((f"{prefix}:{local(name)}", value))
        yield Record("entity", (hashed(key),), tuple(attributes))


_MEASURES = ("wall_ms", "cpu_user_ms", "cpu_system_ms", "peak_memory_bytes", "threads", "exit_status")


def _activity(graph: Graph, report: RunReport) -> Record:
    run = report.run
    attributes: list[Attribute] = [
        ("prov:label", f"{report.action.recipe} of {report.step}"),
        ("prov:type", Name("clio:Run")),
        ("clio:stage", run.stage),
        ("clio:unit", run.unit),
        ("clio:status", run.status.value),
        ("clio:purpose", run.purpose.value),
    ]
    attributes += [(f"clio:{n}", text) for n in ("cause", "reason", "log") if (text := getattr(run, n))]
    attributes += [("clio:caveat", caveat) for caveat in run.caveats]
    attributes += [("clio:clock", run.clock_at)] if run.clock_at else []
    for name in _MEASURES:
        value = getattr(run, name)
        if value is not None:
            attributes.append((f"clio:{name}", Typed(str(value), "xsd:long")))
    verdicts = graph.verdicts.get(run.run, ())
    attributes += [("clio:replayed", f"{said.verdict} at {said.at}") for said in verdicts]
    return Record("activity", (f"run:{run.run}", run.started, run.ended), tuple(attributes))


def _agents(graph: Graph) -> Iterator[Record]:
    agents: dict[str, list[Attribute]] = {}
    for report in graph.runs.values():
        for name, about in _agents_of(report):
            agents.setdefault(name, about)
    for name in sorted(agents):
        kind: Attribute = ("prov:type", Name("prov:SoftwareAgent"))
        yield Record("agent", (name,), (kind, *agents[name]))


def _agents_of(report: RunReport) -> Iterator[tuple[str, list[Attribute]]]:
    """Name what carried out a run, the recipe first."""
    run, action = report.run, report.action
    software, engine = dict(run.software), dict(run.engine)
    version = software.get("recipe", "")
    about: list[Attribute] = [("prov:label", action.recipe)]
    yield recipe_name(report), [*about, *([("clio:version", version)] if version else [])]
    yield hashed(action.image), [("prov:label", "image of recipes"), ("clio:platform", action.platform)]
    if "name" in engine:
        number = engine.get("version", "")
        label = f"{engine['name']} {number}".strip()
        yield f"engine:{local(label)}", [("prov:label", label)]
    if "clio" in software:
        yield f"program:{local('clio ' + software['clio'])}", [("prov:label", f"Clio {software['clio']}")]


def _relations(graph: Graph) -> Iterator[Record]:
    for report in graph.runs.values():
        yield from _of_run(graph, report)
    for digest, node in graph.files.items():
        if node.data_digest:
            yield Record("specializationOf", (hashed(digest), node.data_digest))
        for replay in node.also_made_by:
            again = _again(replay, digest)
            yield Record("wasGeneratedBy", (again, f"run:{replay}", None), (("prov:role", node.tag),))
            yield Record("alternateOf", (again, hashed(digest)))
    for said in graph.statements:
        for name in said.about:
            about = f"run:{name}" if name in graph.runs else hashed(name)
            yield Record("wasInfluencedBy", (hashed(said.digest), about))


def _of_run(graph: Graph, report: RunReport) -> Iterator[Record]:
    run, name = report.run, f"run:{report.run.run}"
    informants: dict[str, None] = {}
    for place, item in enumerate(run.inputs, start=1):
        role: tuple[Attribute, ...] = (
            ("prov:role", item.tag),
            ("clio:position", Typed(str(place), "xsd:int")),
        )
        yield Record("used", (name, hashed(item.digest), None), role)
        maker = graph.files[item.digest].made_by
        if maker in graph.runs:
            informants[f"run:{maker}"] = None
    for made in run.outputs:
        yield Record("wasGeneratedBy", (hashed(made.digest), name, run.ended), (("prov:role", made.tag),))
    for informant in informants:
        yield Record("wasInformedBy", (name, informant))
    agents = [agent for agent, _ in _agents_of(report)]
    yield Record("wasAssociatedWith", (name, agents[0], hashed(run.action)), (("prov:role", "recipe"),))
    for agent in agents[1:]:
        role_of = {"sha256": "image", "engine": "engine", "program": "conductor"}[agent.partition(":")[0]]
        yield Record("wasAssociatedWith", (name, agent, None), (("prov:role", role_of),))
    if run.invocation:
        yield Record("wasStartedBy", (name, None, f"call:{run.invocation}", run.started))


def _again(replay: str, digest: str) -> str:
    return f"again:{replay}.{digest.rpartition(':')[2]}"
