"""What was otherwise around two runs and is no part of what they were asked: engine, CPU, clock. Pure."""

from pipeline.causes import Cause, CauseKind
from provenance.model import Run


def not_reproduced(old: Run, new: Run, parts: tuple[Cause, ...] = ()) -> Cause:
    """Say that two runs were asked the same and came out otherwise, and what around them was otherwise.

    Parameters
    ----------
    old, new : Run
        The runs.
    parts : tuple of Cause
        Where their data differ.
    """
    step = f"{new.stage}:{new.unit}"
    ended = "gave other data" if old.status == new.status else f"ended {new.status}, not {old.status}"
    text = f"{step} was asked the same and {ended} (run {new.run}, not {old.run})"
    around = tuple(
        Cause(CauseKind.AROUND, step, f"{name}: {before} -> {after}", name, before, after)
        for name, before, after in surroundings(old, new)
    )
    return Cause(CauseKind.UNSTABLE, step, text, "", old.run, new.run, (*parts, *around))


def surroundings(old: Run, new: Run) -> tuple[tuple[str, str, str], ...]:
    """List what around two runs was otherwise and is no part of a key: name, and its value in each.

    Notes
    -----
    Which host, when, and how much memory it has is left out: it says nothing about the outcome.
    """
    sides = [
        {
            "engine": " ".join(dict(run.engine).get(name, "") for name in ("name", "version")).strip(),
            "cpu": dict(run.host).get("cpu", ""),
            "cpu flags": dict(run.host).get("flags", ""),
            "kernel": dict(run.host).get("kernel", ""),
            "threads": str(run.threads or "unknown"),
            "clock": run.clock_mode,
        }
        for run in (old, new)
    ]
    before, after = sides
    found = ((name, before[name], after[name]) for name in before if before[name] != after[name])
    return tuple((name, *(_flags(a, b) if name == "cpu flags" else (a, b))) for name, a, b in found)


def _flags(old: str, new: str) -> tuple[str, str]:
    """Keep of two lists of CPU flags what stands in one of them only."""
    before, after = set(old.split()), set(new.split())
    return " ".join(sorted(before - after)) or "no other", " ".join(sorted(after - before)) or "no other"
