"""What a person types to name a thing: a path, a digest, a run id, or `stage[:exposure[:ifu]]`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from provenance.model import Run
    from provenance.queries import Target
    from provenance.store import Store

FORMS = "a reference is a path, 8 digits or more of a digest, a run id, or stage[:exposure[:ifu]]"

Reference = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="A path, 8 digits or more of a digest, a run id, or `stage[:exposure[:ifu]]`.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """A reference that means runs: one, or the newest of each of several steps."""

    runs: "tuple[Run, ...]"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A reference that means a file, known to the store or not."""

    digest: str
    reference: str
    """What was typed."""


def find(store: "Store", reference: str, *, successful: bool = False) -> FoundRuns | FoundFile:
    """Find what a reference means.

    Parameters
    ----------
    store : Store
        Where to look.
    reference : str
        As typed.
    successful : bool
        For steps: the newest run that succeeded, and not the newest attempt.

    Raises
    ------
    UsageError
        Nothing goes by that name, or several things of one kind do.
    """
    stage, _, unit = reference.partition(":")
    if is_stage(stage):
        return FoundRuns(_find_steps(store, stage, unit, successful))
    path = Path(reference)
    if path.is_file() or path.is_symlink():
        return FoundFile(digest_of(store, path), reference)
    if path.is_dir():
        raise UsageError(f"{reference} is a directory; a reference names one file", "name a file in it")
    return _find_digits(store, reference)


def find_run(store: "Store", reference: str, *, successful: bool = False) -> "Run":
    """Find the one run that a reference means; for a product, the run that made it.

    Raises
    ------
    UsageError
        Nothing or several go by that name, or the file was made by no run.
    """
    from pipeline.report import FrameReport, ProductReport, report_file

    found = find(store, reference, successful=successful)
    if isinstance(found, FoundRuns):
        return the_one(found, reference)
    report = report_file(store, found.digest, reference)
    if isinstance(report, FrameReport):
        raise UsageError(f"{reference} came from outside: no run of this store made it")
    return report.made.run if isinstance(report, ProductReport) else report.run


def the_one(found: FoundRuns, reference: str) -> "Run":
    """Take the run out of what was found.

    Raises
    ------
    UsageError
        There are several.
    """
    if len(found.runs) > 1:
        names = [f"{run.stage}:{run.unit}" for run in found.runs]
        raise UsageError(f"{reference} may be any of {len(names)} steps: {_few(names)}", "name one of them")
    return found.runs[0]


def is_stage(text: str) -> bool:
    """Tell whether a text is the name of a stage."""
    from pipeline.model import Stage

    return text in {stage.value for stage in Stage}


def match_units(units: Iterable[str], text: str) -> tuple[str, ...]:
    """Choose the units that a text may mean, in their order.

    Notes
    -----
    A whole unit is only itself; else any that begins so counts, else any that begins so up to its last colon
    and is of the IFU behind it.

    Examples
    --------
    >>> match_units(["2026-01-15T15:35:52:01", "2026-01-15T15:35:52:02"], "2026-01-15:2")
    ('2026-01-15T15:35:52:02',)
    """
    units = tuple(units)
    if text in units:
        return (text,)
    begun = tuple(unit for unit in units if unit.startswith(text))
    exposure, _, ifu = text.rpartition(":")
    if begun or not re.fullmatch(r"\d{1,2}", ifu):
        return begun
    return tuple(u for u in units if u.startswith(exposure) and u.endswith(f":{int(ifu):02d}"))


def digest_of(store: "Store", path: Path) -> str:
    """Give the digest of a file, read only if nothing is remembered of it.

    Raises
    ------
    UsageError
        It cannot be read.
    """
    from provenance.digest import is_digest

    target = path.resolve()
    named = f"sha256:{target.name}"
    if is_digest(named) and store.objects.path(named).resolve() == target:
        return named  # a link into the store; whether its bytes are sound, `check` says
    try:
        return store.files.digest_of(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _find_steps(store: "Store", stage: str, unit: str, successful: bool) -> "tuple[Run, ...]":
    from pipeline.report import newest_runs

    newest = newest_runs(store, stage, successful=successful)
    found = tuple(newest[name] for name in match_units(newest, unit))
    if found:
        return found
    did = "succeeded" if successful else "ran"
    if unit and newest:
        raise UsageError(f"no step of {stage} that {did} is {unit}", f"there are {_few(list(newest))}")
    raise UsageError(f"no step of {stage} ever {did} here", f"run it with: clio run {stage}")


def _find_digits(store: "Store", reference: str) -> FoundRuns | FoundFile:
    from provenance.errors import AmbiguousReference, UnknownReference
    from provenance.queries import TargetKind

    try:
        targets = _targets(store, reference)
    except UnknownReference as error:
        raise UsageError(*_unknown(reference)) from error
    except AmbiguousReference as error:
        raise UsageError(error.message, error.hint) from error
    if len(targets) > 1:
        names = ", ".join(f"{target.kind.value} {target.value}" for target in targets)
        raise UsageError(f"{reference} may be any of {names}", "give more digits")
    target = targets[0]
    if target.kind is TargetKind.ARTIFACT:
        return FoundFile(target.value, reference)
    if target.kind is TargetKind.RUN:
        return FoundRuns((store.run(target.value),))
    runs = store.runs(key=target.value)
    if not runs:
        raise UsageError(
            f"action {target.value} has no run", "its only run was killed before it was recorded"
        )
    return FoundRuns((next((run for run in runs if run.is_success), runs[0]),))


def _targets(store: "Store", reference: str) -> "tuple[Target, ...]":
    from provenance.errors import UnknownReference

    try:
        return store.resolve(reference)
    except UnknownReference:
        if not re.fullmatch(r"[0-9a-f]{8,64}", reference):
            raise
        # Canonical names show the first digits of the data digest.
        return store.resolve(f"fits1:{reference}")


def _unknown(reference: str) -> tuple[str, str]:
    """Say that a reference means nothing, and what may have been meant."""
    import difflib

    from pipeline.model import Stage

    if "/" in reference or reference.endswith((".fits", ".fits.fz")):
        return f"there is no file {reference}", FORMS
    stage, colon, rest = reference.partition(":")
    close = difflib.get_close_matches(stage, [known.value for known in Stage], n=1)
    hint = f"did you mean {close[0]}{colon}{rest}? {FORMS}" if close else FORMS
    return f"nothing here goes by {reference}", hint


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
