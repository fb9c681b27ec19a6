"""A lineage as one JSON document, `clio-lineage/1`: all that the other forms are made of, places left out."""

from typing import Any

from pipeline.exchange.graph import Graph
from pipeline.report import RunReport

SCHEMA = "clio-lineage/1"

Document = dict[str, Any]


def lineage_document(graph: Graph) -> Document:
    """Describe a lineage; `docs/json.md` names every field."""
    return {
        "direction": graph.direction,
        "roots": list(graph.roots),
        "files": [
            {
                "digest": digest,
                "kind": graph.kind(digest).value,
                "tag": node.tag,
                "name": node.name,
                "data_digest": node.data_digest,
                "size": node.size,
                "made_by": node.made_by,
                "also_made_by": sorted(node.also_made_by),
            }
            for digest, node in graph.files.items()
        ],
        "runs": [_run(graph, report) for report in graph.runs.values()],
        "images": [{"config": image, "platform": platform} for image, platform in graph.images],
        "statements": [
            {
                "digest": said.digest,
                "kind": said.kind,
                "at": said.at or None,
                "reason": said.reason,
                "about": list(said.about),
            }
            for said in graph.statements
        ],
    }


_MEASURES = ("wall_ms", "cpu_user_ms", "cpu_system_ms", "peak_memory_bytes", "threads", "exit_status")


def _run(graph: Graph, report: RunReport) -> Document:
    run, action = report.run, report.action
    return {
        "run": run.run,
        "action": run.action,
        "step": report.step,
        "purpose": run.purpose.value,
        "status": run.status.value,
        "cause": run.cause,
        "reason": run.reason,
        "started": run.started,
        "ended": run.ended,
        "clock": {"mode": run.clock_mode, "at": run.clock_at},
        "recipe": {"name": action.recipe, "spec": action.spec},
        "image": action.image,
        "platform": action.platform,
        "numerics": action.numerics,
        "parameters": [
            {"name": name, "value": value, "is_default": name in run.defaults}
            for name, value in action.parameters
        ],
        "environment": dict(action.environment),
        "inputs": [{"tag": i.tag, "name": i.name, "digest": i.digest} for i in run.inputs],
        "outputs": [
            {"tag": o.tag, "name": o.name, "digest": o.digest, "qc": dict(o.qc)} for o in run.outputs
        ],
        "log": run.log,
        "caveats": list(run.caveats),
        "engine": {name: value for name, value in run.engine if name in ("name", "version")},
        "software": dict(run.software),
        "invocation": run.invocation,
        **{name: getattr(run, name) for name in _MEASURES},
        "verdicts": [
            {
                "at": said.at,
                "verdict": said.verdict,
                "reason": said.reason,
                "engine": said.engine,
                "clio": said.clio,
                "replay": said.replay,
                "is_challenge": said.is_challenge,
            }
            for said in graph.verdicts.get(run.run, ())
        ],
    }
