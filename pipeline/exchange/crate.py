"""A lineage as a Provenance Run Crate 0.5: the `ro-crate-metadata.json` that lies beside its files.

References
----------
RO-Crate 1.1 (https://w3id.org/ro/crate/1.1); Workflow Run RO-Crate, Provenance Run Crate 0.5
(https://w3id.org/ro/wfrun/provenance/0.5); RFC 6920 for names of files by their digest.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from pipeline.exchange.crate_files import file_entities, file_id
from pipeline.exchange.crate_tools import (
    image_id,
    parameter_id,
    parameter_value_id,
    step_id,
    tool_entities,
    tool_id,
    variable_value_id,
)
from pipeline.exchange.graph import Graph, Kind, Said
from pipeline.report import RunReport

Entity = dict[str, Any]

METADATA = "ro-crate-metadata.json"
"""The name such a file has to have."""

PLAN = "lineage.json"
"""Where the plan is looked for beside a crate that is no bundle: the same lineage as Clio's own JSON."""

_CRATE = "https://w3id.org/ro/crate/1.1"
_WORKFLOW = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (_WORKFLOW, "Workflow RO-Crate", "1.0"),
)

_TERMS = {
    name: f"https://w3id.org/ro/terms/workflow-run#{name}"
    for name in (
        *("ContainerImage", "ParameterConnection", "connection", "containerImage", "environment"),
        *("resourceUsage", "sha256", "sourceParameter", "targetParameter"),
    )
}
"""What the profiles add to the vocabulary; written out, so that a reader needs one context only."""

_LICENCE = "not stated: the terms of whoever owns the observations hold"

_COMPLETED = "http://schema.org/CompletedActionStatus"
_FAILED = "http://schema.org/FailedActionStatus"


def crate(graph: Graph, files: Mapping[str, str], plan: str = PLAN) -> dict[str, Any]:
    """Describe a lineage as a Provenance Run Crate.

    Parameters
    ----------
    graph : Graph
        The lineage, upwards.
    files : mapping of str to str
        Of the files that lie in the crate, digest and path inside of it. All others are named by their
        digest (`ni:///sha-256;...`). Digests that are no part of the lineage are listed as what they are.
    plan : str
        Path inside the crate of the file that says what was done.

    Returns
    -------
    dict
        JSON-LD, flattened and compacted; the same for the same arguments, entities sorted by id.

    Notes
    -----
    A parameter that is at its default stands at the recipe's `FormalParameter` as `defaultValue`, and not at
    every run: twenty thousand runs of forty parameters would be a file of gigabytes. A run's `object`s are
    its input files, in the order of the set of frames, then the parameters that are not at their default.
    Files carry their digest as `sha256`, and their data digest as `identifier`.
    """
    at_id = quote(plan)
    listed = {entity["@id"]: entity for entity in file_entities(graph, files)}
    of_plan, *steps = _plan(graph, at_id)
    listed[at_id] = listed.get(at_id, {}) | of_plan
    body = [
        *_profiles(),
        *listed.values(),
        *steps,
        *tool_entities(graph),
        *(entity for report in graph.runs.values() for entity in _run(report, graph, files)),
        *_calls(graph, files, at_id),
        *(_statement(said, graph, files) for said in graph.statements),
    ]
    body.sort(key=lambda entity: str(entity["@id"]))
    head = (_descriptor(), _root(graph, at_id, listed))
    return {
        "@context": [f"{_CRATE}/context", _TERMS],
        "@graph": [_compact(entity) for entity in (*head, *body)],
    }


def _compact(entity: Entity) -> Entity:
    """Leave out what is empty, and write a list of one thing as that thing, as the format asks for."""
    left = {name: value for name, value in entity.items() if value not in ([], None, "")}
    return {n: v[0] if isinstance(v, list) and len(v) == 1 else v for n, v in left.items()}


def _descriptor() -> Entity:
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": _refs((_CRATE, _WORKFLOW)),
    }


def _root(graph: Graph, plan: str, parts: Iterable[str]) -> Entity:
    names = ", ".join(dict.fromkeys(graph.files[d].name for d in graph.roots if d in graph.files))
    runs = len(graph.runs)
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Lineage of {names}" if names else "Lineage",
        "description": f"How {names or 'these files'} came to be: {runs} runs of recipes"
        f" on {sum(graph.kind(d) is not Kind.PRODUCT for d in graph.files)} files from outside,"
        " with every input, parameter, image and product by its digest, as recorded by Clio.",
        "datePublished": time(graph.newest) or "1980-01-01",
        "license": _LICENCE,
        "conformsTo": _refs(url for url, _, _ in _PROFILES),
        "mainEntity": {"@id": plan},
        "hasPart": _refs(sorted(parts)),
        "mentions": _refs((*(call_id(c) for c in _by_call(graph)), *(run_id(run) for run in graph.runs))),
    }


def _profiles() -> Iterator[Entity]:
    for url, name, number in _PROFILES:
        yield {"@id": url, "@type": "CreativeWork", "name": name, "version": number}


def _plan(graph: Graph, plan: str) -> Iterator[Entity]:
    """Describe what was to be done: the recipes and their order, as the runs carried it out."""
    tools = sorted({tool_id(report) for report in graph.runs.values()})
    stages, connections = _stages(graph), _connections(graph)
    yield {
        "@id": plan,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "Reduction of MUSE data",
        "encodingFormat": "application/json" if plan.endswith(".json") else "text/plain",
        "programmingLanguage": {"@id": "#clio-plan"},
        "version": "1",
        "step": _refs(step_id(stage) for stage in stages),
        "hasPart": _refs(tools),
        "connection": _refs(connections),
        "input": _refs(sorted(_ends(graph, outside=True))),
        "output": _refs(sorted(_ends(graph, outside=False))),
    }
    yield {"@id": "#clio-plan", "@type": "ComputerLanguage", "name": "Clio"}
    for position, (stage, of_stage) in enumerate(stages.items()):
        yield {
            "@id": step_id(stage),
            "@type": "HowToStep",
            "name": stage,
            "position": str(position),
            "workExample": _refs(of_stage),
            "connection": _refs(name for name, link in connections.items() if stage in link.stages),
        }
    for name, link in connections.items():
        yield {
            "@id": name,
            "@type": "ParameterConnection",
            "sourceParameter": {"@id": link.source},
            "targetParameter": {"@id": link.target},
        }


def _stages(graph: Graph) -> dict[str, list[str]]:
    """List the stages in the order in which they first ran, each with its tools."""
    found: dict[str, dict[str, None]] = {}
    for report in graph.runs.values():
        found.setdefault(report.run.stage or report.action.recipe, {})[tool_id(report)] = None
    return {stage: sorted(tools) for stage, tools in found.items()}


@dataclass(frozen=True, slots=True)
class _Connection:
    """A product of one recipe that another reads."""

    source: str
    """The formal parameter it was made as."""
    target: str
    """The one it is read as."""
    stages: set[str] = field(default_factory=set)
    """Stages whose runs read it so."""


def _connections(graph: Graph) -> dict[str, _Connection]:
    """List which product of which recipe is read by which other, by the id of the connection, sorted."""
    found: dict[str, _Connection] = {}
    for reader in graph.runs.values():
        tool, stage = tool_id(reader), reader.run.stage or reader.action.recipe
        for item in reader.run.inputs:
            maker = graph.runs.get(graph.files[item.digest].made_by or "")
            if maker is not None:
                source = parameter_id(tool_id(maker), "output", graph.products[item.digest].tag)
                target = parameter_id(tool, "input", item.tag)
                name = f"#connection/{source[1:]}-{target[1:]}"
                found.setdefault(name, _Connection(source, target)).stages.add(stage)
    return dict(sorted(found.items()))


def _ends(graph: Graph, *, outside: bool) -> set[str]:
    """List the formal parameters through which files come in from outside, or asked-for products go out."""
    found = set()
    for report in graph.runs.values():
        tool = tool_id(report)
        if outside:
            read = (item for item in report.run.inputs if graph.kind(item.digest) is not Kind.PRODUCT)
            found |= {parameter_id(tool, "input", item.tag) for item in read}
        else:
            made = (item for item in report.run.outputs if item.digest in graph.roots)
            found |= {parameter_id(tool, "output", item.tag) for item in made}
    return found


def _run(report: RunReport, graph: Graph, files: Mapping[str, str]) -> Iterator[Entity]:
    run, action = report.run, report.action
    tool = tool_id(report)
    values = (parameter_value_id(tool, name, value) for name, value in report.changed)
    kept = (*((run.log,) if run.log else ()), *(extra.digest for extra in run.extras))
    usage = dict(_usage(report))
    entity: Entity = {
        "@id": run_id(run.run),
        "@type": "CreateAction",
        "name": f"{action.recipe} of {report.step}",
        "description": f"One run of {action.recipe} for {report.step}: {run.status.value}.",
        "identifier": run.run,
        "instrument": {"@id": tool},
        "object": _refs((*(file_id(i.digest, files) for i in run.inputs), *values)),
        "result": _refs(file_id(item.digest, files) for item in run.outputs),
        "startTime": time(run.started),
        "endTime": time(run.ended or run.started),
        "actionStatus": _COMPLETED if run.is_success else _FAILED,
        "containerImage": {"@id": image_id(action.image)},
        "environment": _refs(variable_value_id(*pair) for pair in action.environment),
        "resourceUsage": _refs(usage),
        "subjectOf": _refs(file_id(digest, files) for digest in kept),
    }
    if not run.is_success:
        entity["error"] = run.reason or run.cause or run.status.value
    yield entity
    yield from usage.values()
    yield {
        "@id": f"#control/{run.run}",
        "@type": "ControlAction",
        "name": f"Step {report.step}",
        "instrument": {"@id": step_id(run.stage or action.recipe)},
        "object": {"@id": run_id(run.run)},
        "actionStatus": _COMPLETED if run.is_success else _FAILED,
    }


_USAGE = (
    ("wall_ms", "wall time", "https://qudt.org/vocab/unit/MilliSEC"),
    ("cpu_user_ms", "processor time of the program", "https://qudt.org/vocab/unit/MilliSEC"),
    ("cpu_system_ms", "processor time of the system", "https://qudt.org/vocab/unit/MilliSEC"),
    ("peak_memory_bytes", "largest memory", "https://qudt.org/vocab/unit/BYTE"),
    ("threads", "threads", "https://qudt.org/vocab/unit/NUM"),
)


def _usage(report: RunReport) -> Iterator[tuple[str, Entity]]:
    for name, words, unit in _USAGE:
        value = getattr(report.run, name)
        if value is not None:
            at_id = f"#usage/{report.run.run}/{name}"
            entity = {"@id": at_id, "@type": "PropertyValue", "name": words, "value": str(value)}
            yield at_id, entity | {"propertyID": name, "unitCode": unit}


def _calls(graph: Graph, files: Mapping[str, str], plan: str) -> Iterator[Entity]:
    """Describe the calls of the command: each organised runs, and together they carried out the plan."""
    for call, reports in _by_call(graph).items():
        begun = min(report.run.started for report in reports)
        ended = max(report.run.ended or report.run.started for report in reports)
        is_good = all(report.run.is_success for report in reports)
        status = _COMPLETED if is_good else _FAILED
        times = {"startTime": time(begun), "endTime": time(ended), "actionStatus": status}
        made = {item.digest for report in reports for item in report.run.outputs}
        read = {item.digest for report in reports for item in report.run.inputs} - made
        yield {
            "@id": call_id(call),
            "@type": "CreateAction",
            "name": f"Reduction {call}",
            "description": f"{len(reports)} runs of recipes that one call of Clio made.",
            "instrument": {"@id": plan},
            "object": _refs(sorted(file_id(digest, files) for digest in read)),
            "result": _refs(sorted(file_id(digest, files) for digest in made)),
            **times,
        }
        yield {
            "@id": f"#organize/{call}",
            "@type": "OrganizeAction",
            "name": f"Clio at work on {call}",
            "instrument": {"@id": "#clio"},
            "object": _refs(f"#control/{report.run.run}" for report in reports),
            "result": {"@id": call_id(call)},
            **times,
        }
    yield {
        "@id": "#clio",
        "@type": "SoftwareApplication",
        "name": "Clio",
        "softwareVersion": ", ".join(_clios(graph)),
    }


def _clios(graph: Graph) -> list[str]:
    found = {dict(report.run.software).get("clio", "") for report in graph.runs.values()}
    return sorted(found - {""}) or [version("clio-muse")]


def _by_call(graph: Graph) -> dict[str, list[RunReport]]:
    found: dict[str, list[RunReport]] = {}
    for report in graph.runs.values():
        found.setdefault(report.run.invocation or "unknown", []).append(report)
    return dict(sorted(found.items()))


def _statement(said: Said, graph: Graph, files: Mapping[str, str]) -> Entity:
    """Describe what a person or a check said of the lineage."""
    runs = (run for name in said.about for run in graph.runs_of.get(name, ()))
    about = [run_id(run) for run in dict.fromkeys(runs)]
    about += [file_id(name, files) for name in said.about if name in graph.files]
    return {
        "@id": f"#statement/{said.digest.partition(':')[2]}",
        "@type": "CreativeWork",
        "name": said.kind,
        "identifier": said.digest,
        "text": said.reason,
        "dateCreated": time(said.at),
        "about": _refs(about),
    }


def run_id(run: str) -> str:
    """Name a run in a crate."""
    return f"#run/{run}"


def call_id(call: str) -> str:
    """Name a call of the command in a crate."""
    return f"#reduction/{call}"


def time(text: str) -> str:
    """Write a time as the profiles ask for it, with its offset as numbers."""
    return f"{text.removesuffix('Z')}+00:00" if text.endswith("Z") else text


def _refs(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"@id": name} for name in names]
