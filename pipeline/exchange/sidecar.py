"""What lies beside a single product: how it was made, in short, and digests to check it by.

Small whatever the product, so that it can go with the file for good: what would be too long is told by its
number, and by the digest of the whole list.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pipeline.exchange.graph import Graph, Kind
from pipeline.exchange.verified import SCHEMA
from pipeline.report import RunReport
from provenance.digest import canonical_digest, canonical_json

LARGEST_BYTES = 20_000

_SPARE = 200
"""Bytes kept free, for what the summaries take more than is counted here."""

Document = dict[str, Any]


def sidecar(graph: Graph, digest: str) -> bytes:
    """Describe a product for those who have nothing but the file.

    Parameters
    ----------
    graph : Graph
        Its lineage, upwards.
    digest : str
        The product; a run of the lineage made it.

    Returns
    -------
    bytes
        Canonical JSON, smaller than 20 kB, the same for the same arguments.

    Notes
    -----
    The lists of inputs, raw frames and static calibrations are written out in this order as long as there is
    room; of one that does not fit there is `count` and `tags` and, as `digest`, the SHA-256 of its canonical
    JSON.
    """
    made = graph.products[digest]
    report = graph.runs[graph.files[digest].made_by or ""]
    document: Document = {
        "schema": SCHEMA,
        "product": {
            "name": made.name,
            "tag": made.tag,
            "digest": made.digest,
            "data_digest": made.data_digest,
            "size": made.size,
            "parts": [{"name": p.name, "cards": p.cards, "data": p.data} for p in made.parts],
        },
        "run": _run(report),
        "lineage": _lineage(graph),
        "said": [],
    }
    lists = {
        "said": _said(graph),
        "inputs": [_file(item.tag, item.name, item.digest) for item in report.run.inputs],
        "raw": _outside(graph, Kind.RAW),
        "static": _outside(graph, Kind.STATIC),
    }
    document |= {name: _in_short(items) for name, items in lists.items()}
    for name, items in lists.items():
        longer = document | {name: items}
        if len(canonical_json(longer)) < LARGEST_BYTES - _SPARE:
            document = longer
    while len(written := canonical_json(document)) >= LARGEST_BYTES:
        document = _without_longest(document)
    return written


def _run(report: RunReport) -> Document:
    run, action = report.run, report.action
    return {
        "run": run.run,
        "action": run.action,
        "step": report.step,
        "recipe": action.recipe,
        "spec": action.spec,
        "image": action.image,
        "platform": action.platform,
        "numerics": action.numerics,
        "parameters": dict(report.changed),
        "defaults": len(action.parameters) - len(report.changed),
        "software": dict(run.software),
        "engine": {name: value for name, value in run.engine if name in ("name", "version")},
        "status": run.status.value,
        "caveats": list(run.caveats),
        "started": run.started,
        "ended": run.ended,
        "clock": {"mode": run.clock_mode, "at": run.clock_at},
    }


def _lineage(graph: Graph) -> Document:
    """Count what the product was made by, and name it all by one digest."""
    recipes: Counter[tuple[str, str, str]] = Counter()
    for report in graph.runs.values():
        version = dict(report.run.software).get("recipe", "")
        recipes[report.action.recipe, version, report.action.image] += 1
    return {
        "runs": len(graph.runs),
        "digest": canonical_digest([[r.run.action, r.run.run] for r in graph.runs.values()]),
        "recipes": [
            {"recipe": recipe, "version": version, "image": image, "runs": number}
            for (recipe, version, image), number in sorted(recipes.items())
        ],
    }


def _said(graph: Graph) -> list[Document]:
    """List verdicts of replays and statements, without their bodies."""
    verdicts = [
        {"kind": "verdict", "about": [run], "at": said.at, "verdict": said.verdict, "reason": said.reason}
        for run, all_said in graph.verdicts.items()
        for said in all_said
    ]
    others = [
        {"kind": said.kind, "about": list(said.about), "at": said.at, "reason": said.reason}
        for said in graph.statements
    ]
    return [*verdicts, *others]


def _outside(graph: Graph, kind: Kind) -> list[Document]:
    found = (node for digest, node in graph.files.items() if graph.kind(digest) is kind)
    return [_file(node.tag, node.name, node.digest) for node in sorted(found, key=lambda n: (n.tag, n.name))]


def _file(tag: str, name: str, digest: str) -> Document:
    return {"tag": tag, "name": name, "digest": digest}


def _in_short(items: list[Document]) -> Document:
    """Say how many there are, of which tags or kinds, and which list is meant."""
    words: Iterable[str] = (item.get("tag") or item.get("kind") or "" for item in items)
    return {
        "count": len(items),
        "tags": dict(sorted(Counter(words).items())),
        "digest": canonical_digest(items),
    }


def _without_longest(document: Document) -> Document:
    """Shorten what cannot be short: parameters, caveats or HDUs that fill the file by themselves."""
    run, product = document["run"], document["product"]
    places = {
        "parameters": (run, len(canonical_json(run["parameters"]))),
        "caveats": (run, len(canonical_json(run["caveats"]))),
        "parts": (product, len(canonical_json(product["parts"]))),
    }
    name, (_, _) = max(places.items(), key=lambda place: place[1][1])
    value = places[name][0][name]
    short = {"count": len(value), "digest": canonical_digest(value)}
    group = "product" if name == "parts" else "run"
    return document | {group: document[group] | {name: short}}
