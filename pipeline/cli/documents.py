"""Runs, products, lineages and reasons as JSON; `docs/json.md` is the reference of these forms."""

from typing import TYPE_CHECKING, Any

from provenance.documents import to_document

if TYPE_CHECKING:
    from pipeline.causes import Cause
    from pipeline.report import FrameReport, Mark, ProductReport, RunReport, Trace
    from pipeline.why import Now, Past, Reason
    from provenance.acceptances import Acceptance
    from provenance.imports import Origin
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
        "accepted": [acceptance_document(item) for item in report.accepted],
        "verdicts": [to_document(item) for item in report.verdicts],
        "taints": [mark_document(mark) for mark in report.taints],
        "imported": origin_document(report.origin),
    }


def origin_document(origin: "Origin | None") -> Document | None:
    """Describe where a run was imported from; None for one made here."""
    if origin is None:
        return None
    trust = origin.trust
    return {
        "bundle": origin.bundle,
        "at": origin.at,
        "trusted": None
        if trust is None
        else {
            "how": trust.said.how.value,
            "reason": trust.said.reason,
            "evidence": trust.said.evidence,
            "at": trust.said.at,
        },
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
        "pruned_at": report.pruned_at,
        "taints": [mark_document(mark) for mark in report.taints],
        "pins": [{"at": pin.said.at, "reason": pin.said.reason} for pin in report.pins],
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
        "taints": [mark_document(mark) for mark in report.taints],
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


def trace_document(trace: "Trace", newest: frozenset[str] = frozenset()) -> Document:
    """Describe a lineage as a graph of artifacts and runs; `newest` are the runs of the newest reduction."""
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
                "taints": [mark_document(mark) for mark in trace.taints.get(node.digest, ())],
            }
            for node in trace.artifacts.values()
        ],
        "runs": [_traced_run(report, report.run.run in newest) for report in trace.runs.values()],
    }


def reason_document(reason: "Reason") -> Document:
    """Describe why a step ran, or will."""
    return {
        "step": reason.step,
        "last": _past(reason.last),
        "ran": _past(reason.ran),
        "now": None if reason.now is None else now_document(reason.now),
        "accepted": [acceptance_document(item) for item in reason.accepted],
    }


def now_document(now: "Now") -> Document:
    """Describe what would become of a step now."""
    found = now.forecast
    return {
        "outcome": found.outcome.value,
        "why": list(found.why),
        "waits_for": list(found.roots),
        "if_unchanged": now.if_unchanged and now.if_unchanged.value,
        "caveats": list(found.caveats),
        "before": now.against and now.against.run,
        "before_at": now.against and now.against.when,
        "causes": [cause_document(cause) for cause in now.causes],
    }


def cause_document(cause: "Cause") -> Document:
    """Describe a cause, with what made it so."""
    return {
        "kind": cause.kind.value,
        "step": cause.step,
        "text": cause.text,
        "name": cause.name or None,
        "old": cause.old,
        "new": cause.new,
        "is_told": cause.is_told,
        "causes": [cause_document(inner) for inner in cause.causes],
    }


def acceptance_document(acceptance: "Acceptance") -> Document:
    """Describe an acceptance, and what became of it."""
    said, back = acceptance.said, acceptance.revoked
    return {
        "acceptance": acceptance.statement,
        "step": said.step,
        "action": said.action,
        "run": said.run,
        "differences": list(said.differences),
        "reason": said.reason,
        "at": said.at,
        "revoked_at": back and back.at,
        "revoked_reason": back and back.reason,
    }


def mark_document(mark: "Mark") -> Document:
    """Describe a taint of a run or file."""
    said = mark.taint.said
    return {
        "taint": mark.taint.statement,
        "kind": said.kind.value,
        "subject": said.subject,
        "name": said.name,
        "reason": said.reason,
        "at": said.at,
        "through": mark.through or None,
    }


def _traced_run(report: "RunReport", is_newest: bool) -> Document:
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
        "is_newest": is_newest,
        "imported": origin_document(report.origin),
        "taints": [mark_document(mark) for mark in report.taints],
        "accepted": [acceptance_document(item) for item in report.accepted],
        "inputs": [{"tag": i.tag, "name": i.name, "digest": i.digest} for i in run.inputs],
        "outputs": [{"tag": o.tag, "name": o.name, "digest": o.digest} for o in run.outputs],
    }


def _past(past: "Past | None") -> Document | None:
    if past is None:
        return None
    compared = past.compared
    return {
        "when": past.when,
        "outcome": past.outcome,
        "why": list(past.why),
        "run": past.run,
        "before": compared and compared.run,
        "before_at": compared and compared.when,
        "causes": [] if compared is None else [cause_document(cause) for cause in compared.causes],
    }
