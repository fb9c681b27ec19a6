"""What a person names to follow it down or to taint it: any file, run, image, or value of a parameter."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.references import FORMS, FoundRuns, digest_of, find, is_stage, the_one
from pipeline.cli.sheets import digits
from pipeline.errors import FitsError, UsageError

if TYPE_CHECKING:
    from pipeline.blast import Subject
    from pipeline.reduce import Reduction
    from provenance.model import Run
    from provenance.store import Store

_PARAMETER = re.compile(r"([A-Za-z_]\w*(?:\.\w+)+)=(.*)")
_ARCHIVED = re.compile(r"MUSE\.\d{4}-\d\d-\d\dT[\d:.]+?(?:\.fits)?")
_DIGITS = re.compile(r"(?:sha256:)?[0-9a-f]{8,64}")


def is_parameter(reference: str) -> bool:
    """Tell whether a reference is a parameter with its value, and no file."""
    return _PARAMETER.fullmatch(reference) is not None and not Path(reference).exists()


def is_of_many(store: "Store", reference: str) -> bool:
    """Tell whether a reference is no file or run, but something that many runs have in common."""
    if is_parameter(reference):
        return True
    return (
        bool(_DIGITS.fullmatch(reference)) and not Path(reference).exists() and bool(_image(store, reference))
    )


def archived(store: "Store", reference: str) -> str:
    """Give the digest of a frame that is named as in the archive; other references are left as they are."""
    if Path(reference).exists() or not _ARCHIVED.fullmatch(reference):
        return reference
    return _archived(store, reference).subject


def find_subject(reduction: "Reduction", reference: str) -> "Subject":
    """Find what a reference means.

    Raises
    ------
    UsageError
        Nothing goes by that name here, or several things do.
    """
    store = reduction.store
    if is_parameter(reference):
        return _parameter(store, reference)
    path = Path(reference)
    if path.is_file() and not is_stage(reference):
        return _file(reduction, path)
    if _ARCHIVED.fullmatch(reference):
        return _archived(store, reference)
    if _DIGITS.fullmatch(reference) and (image := _image(store, reference)):
        return image
    found = find(store, reference, successful=True)
    if isinstance(found, FoundRuns):
        return _run(the_one(found, reference))
    return _artifact(store, found.digest, reference)


def _run(run: "Run") -> "Subject":
    from pipeline.blast import Subject
    from provenance.taints import TaintKind

    return Subject(TaintKind.RUN, run.run, f"{run.stage}:{run.unit}", runs=(run.run,))


def _file(reduction: "Reduction", path: Path) -> "Subject":
    """Take a file on disk, which no run may have read yet."""
    from pipeline.blast import Subject
    from provenance.blast import read_graph
    from provenance.taints import TaintKind

    store = reduction.store
    digest = digest_of(store, path)
    if store.runs_making(digest) or store.runs_reading(digest):
        return _artifact(store, digest, str(path))
    try:
        content = reduction.resolver.data_digest(path.resolve())
    except (FitsError, OSError) as error:
        raise UsageError(f"{path} is no frame: {error}", FORMS) from error
    graph = read_graph(store.index)
    if content in graph.makers:  # a copy of a product, with another date
        made = next(item for item in graph.makes[graph.makers[content][0]] if item.content == content)
        return _artifact(store, made.digest, str(path))
    found = next((f for f in reduction.scan().frames if f.path.resolve() == path.resolve()), None)
    return Subject(TaintKind.FRAME, digest, f"{found.tag if found else 'file'} {path.name}", content=content)


def _artifact(store: "Store", digest: str, reference: str) -> "Subject":
    from pipeline.blast import Subject
    from pipeline.report import FrameReport, RunReport, report_file
    from provenance.taints import TaintKind

    report = report_file(store, digest, reference)
    if isinstance(report, RunReport):
        raise UsageError(f"{reference} is no product but what run {report.run.run} left", "name the run")
    item = report.file
    name, content = f"{item.tag} {item.name}", item.data_digest or ""
    if isinstance(report, FrameReport):
        return Subject(TaintKind.FRAME, digest, name, content=content)
    makers = tuple(run.run for run in store.runs_making(digest))
    return Subject(TaintKind.PRODUCT, digest, name, content=content, runs=makers)


def _archived(store: "Store", reference: str) -> "Subject":
    from provenance.blast import named

    name = reference if reference.endswith(".fits") else f"{reference}.fits"
    digests = named(store.index, name)
    if not digests:
        raise UsageError(
            f"no run of this store read {name}", "name its file, which is read, if no run read it yet"
        )
    found = [_artifact(store, digest, reference) for digest in digests]
    if len({item.content or item.subject for item in found}) > 1:
        few = ", ".join(digits(item.subject) for item in found)
        raise UsageError(f"{name} was {len(found)} different files: {few}", "name one by its digits")
    return found[0]


def _image(store: "Store", reference: str) -> "Subject | None":
    from pipeline.blast import Subject
    from provenance.blast import images
    from provenance.taints import TaintKind

    begin = f"sha256:{reference.removeprefix('sha256:')}"
    found = [image for image in images(store.index) if image.startswith(begin)]
    if len(found) > 1:
        raise UsageError(f"{reference} may be any of {len(found)} images", "give more digits")
    return Subject(TaintKind.IMAGE, found[0], "image") if found else None


def _parameter(store: "Store", reference: str) -> "Subject":
    from pipeline.blast import Subject
    from provenance.blast import values_of_parameter
    from provenance.taints import TaintKind

    name, _, value = reference.partition("=")
    known = values_of_parameter(store.index, name)
    if not known:
        raise UsageError(f"no run had a parameter {name}", "such as muse_scipost.skymethod=model")
    if len(known) > 1:
        raise UsageError(f"{name} may be any of {', '.join(known)}", "give more of the name")
    (whole, values) = next(iter(known.items()))
    spelled = next((v for v in values if v == value), None) or next(
        (v for v in values if _plain(v) == _plain(value)), None
    )
    if spelled is None:
        raise UsageError(f"no run had {name}={value}", f"runs had {', '.join(values)}")
    short = whole.removeprefix("muse.")
    return Subject(TaintKind.PARAMETER, whole, f"{short}={spelled}", value=spelled)


def _plain(value: str) -> object:
    """Give what a value is, however it is spelled."""
    try:
        return float(value)
    except ValueError:
        return value.strip().lower()
