"""Runs, products, lineages and reasons as JSON; `docs/json.md` is the reference of these forms."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.report import FrameReport, Past, ProductReport, Reason, RunReport, Trace
    from provenance.model import Run

Document = dict[str, Any]


def run_document(report: "RunReport") -> Document:
    """Describe a run: its record, and the action it is of, whole."""
    record, action = report.run.document(), report.action.document()
    for document in (record, action):
        del document["type"], document["version"]
    return {
        "kind": "run",
        "product": None,
        "run": record | {"step": report.step, "changed_parameters": dict(report.changed)},
        "action": action,
    }


def product_document(report: "ProductReport") -> Document:
    """Describe a product and the run that made it."""
    item = report.file
    product = {
        "tag": item.tag,
        "name": item.name,
        "digest": item.digest,
        "data_digest": item.data_digest,
        "size": item.size,
        "qc": dict(item.qc),
        "path": str(report.path),
        "is_there": report.is_there,
        "also_made_by": list(report.also_made_by),
        "read_by": [run_row(run) for run in report.read_by],
    }
    return run_document(report.made) | {"kind": "product", "product": product}


def frame_document(report: "FrameReport") -> Document:
    """Describe a file from outside."""
    item = report.file
    frame = {
        "tag": item.tag,
        "name": item.name,
        "digest": item.digest,
        "data_digest": item.data_digest,
        "size": item.size,
        "seen_at": item.seen_at,
        "read_by": [run_row(run) for run in report.read_by],
    }
    return {"kind": "frame", "frame": frame}


def run_row(run: "Run") -> Document:
    """Name a run in a list."""
    return {
        "run": run.run,
        "step": f"{run.stage}:{run.unit}",
        "status": run.status.value,
        "started": run.started,
        "wall_ms": run.wall_ms,
        "products": [{"tag": o.tag, "name": o.name, "digest": o.digest} for o in run.outputs],
    }


def trace_document(trace: "Trace") -> Document:
    """Describe a lineage as a graph of artifacts and runs."""
    return {
        "direction": trace.direction,
        "digests": list(trace.digests),
        "artifacts": [
            {
                "digest": node.digest,
                "tag": node.tag,
                "name": node.name,
                "data_digest": node.data_digest,
                "size": node.size,
                "depth": node.depth,
                "made_by": node.made_by,
                "also_made_by": list(node.also_made_by),
                "seen_at": node.seen_at,
            }
            for node in trace.artifacts.values()
        ],
        "runs": [_traced_run(report) for report in trace.runs.values()],
    }


def reason_document(reason: "Reason") -> Document:
    """Describe why a step ran, or will."""
    now = reason.now
    return {
        "step": reason.step,
        "last": _past(reason.last),
        "ran": _past(reason.ran),
        "now": now and {"outcome": now.outcome.value, "why": list(now.why)},
    }


def _traced_run(report: "RunReport") -> Document:
    run, action = report.run, report.action
    return {
        "run": run.run,
        "action": run.action,
        "step": report.step,
        "status": run.status.value,
        "started": run.started,
        "recipe": action.recipe,
        "image": action.image,
        "platform": action.platform,
        "changed_parameters": dict(report.changed),
        "caveats": list(run.caveats),
        "inputs": [{"tag": i.tag, "name": i.name, "digest": i.digest} for i in run.inputs],
        "outputs": [{"tag": o.tag, "name": o.name, "digest": o.digest} for o in run.outputs],
    }


def _past(past: "Past | None") -> Document | None:
    if past is None:
        return None
    return {
        "when": past.when,
        "outcome": past.outcome,
        "why": list(past.why),
        "run": past.run,
        "before": past.before,
        "changes": list(past.changes),
    }
