"""Does what the papers of a bundle say hang together? Pure.

A record is a claim. Whether it is true only a replay can tell; here it is only asked whether it could be, and
whether this program can hold it without harm: names that are no paths, digests that are digests, times that
are times.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from provenance.bundle_layout import Description
from provenance.digest import is_digest
from provenance.errors import BundleRefused, short
from provenance.model import Action, InputFile, OutputFile, Run
from provenance.zipped import TORN, shown

_TIME = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d(\.\d{1,6})?Z")
_CONTENT = re.compile(r"(sha256|fits\d{1,3}):[0-9a-f]{64}")
_NAME_MOST = 255


@dataclass(frozen=True, slots=True)
class BundledRun:
    """A record of a bundle: what is kept of it while the others are read."""

    run: str
    action: str
    stage: str
    unit: str
    recipe: str
    image: str
    argv: tuple[str, ...]
    is_success: bool
    reads: tuple[tuple[str, int | None], ...]
    """Digest and size of each input."""
    makes: tuple[tuple[str, str, str, int], ...]
    """Tag, name, digest and size of each product."""
    keeps: tuple[tuple[str, int | None], ...]
    """Digest and size of everything it gave to its store."""


def check_action(action: Action) -> None:
    """Refuse an action that names its image or its inputs by anything but content.

    Raises
    ------
    BundleRefused
        Says what.
    """
    who = f"action {short(action.key)}"
    if not is_digest(action.image):
        raise BundleRefused(f"{who} names its image by {shown(action.image)!r}, which is no digest")
    for item in action.inputs:
        _check_name(item.name, who)
        _check_name(item.tag, who)
        if not _CONTENT.fullmatch(item.content):
            raise BundleRefused(f"{who} names input {shown(item.name)} by {shown(item.content)!r}, no digest")
    for text in (action.recipe, action.platform, action.numerics):
        _check_text(text, who)
    _check_name(action.recipe, who)


def check_record(run: Run, action: Action) -> None:
    """Refuse a record that does not agree with its action, or holds what nobody could have recorded.

    Raises
    ------
    BundleRefused
        Says what.
    """
    who = f"the record of run {run.run}"
    files: tuple[InputFile | OutputFile, ...] = (*run.inputs, *run.outputs)
    for item in files:
        _check_name(item.tag, who)
        _check_name(item.name, who)
        if item.data_digest is not None and not _CONTENT.fullmatch(item.data_digest):
            raise BundleRefused(f"{who} names data of {item.name} by {shown(item.data_digest)!r}, no digest")
    for extra in run.extras:
        _check_name(extra.name, who)
    for digest in (*(d for d, _ in run.artifacts), *(item.digest for item in run.inputs)):
        if not is_digest(digest):
            raise BundleRefused(f"{who} names a file by {shown(digest)!r}, no digest")
    for text in (run.stage, run.unit, run.cause or "", run.clock_mode):
        _check_text(text, who)
    for time in (run.started, run.ended, run.clock_at):
        if time is not None and not _TIME.fullmatch(time):
            raise BundleRefused(f"{who} has a time that is none: {shown(time)}")
    _check_numbers(run, who)
    read = [(item.tag, item.name) for item in run.inputs]
    if read != [(item.tag, item.name) for item in action.inputs]:
        raise BundleRefused(f"{who} read other files than its action names")
    for read_file, asked in zip(run.inputs, action.inputs, strict=True):
        if asked.content not in (read_file.digest, read_file.data_digest):
            raise BundleRefused(f"{who} read {asked.name} with other content than its action names")
    for expected in action.outputs if run.is_success else ():
        made = sum(output.tag == expected.tag for output in run.outputs)
        if made < expected.least:
            raise BundleRefused(f"{who} says success, with {made} {shown(expected.tag)} of {expected.least}")


def check_runs(runs: Iterable[BundledRun], sizes: Mapping[str, int]) -> None:
    """Refuse runs of one id, files of two sizes, and products that were made from themselves.

    Parameters
    ----------
    runs : iterable of BundledRun
        All of the bundle.
    sizes : mapping of str to int
        Digest and size of its objects.

    Raises
    ------
    BundleRefused
        Says which.
    """
    found: dict[str, BundledRun] = {}
    known: dict[str, int] = dict(sizes)
    makers: dict[str, set[str]] = {}
    for run in runs:
        if run.run in found:
            raise BundleRefused(f"there are two records of run {run.run}")
        found[run.run] = run
        for digest, size in (*run.keeps, *run.reads):
            if size is not None and known.setdefault(digest, size) != size:
                raise BundleRefused(
                    f"run {run.run} says {size} bytes of {short(digest)}, which has {known[digest]}"
                )
        for _, _, digest, _ in run.makes:
            makers.setdefault(digest, set()).add(run.run)
    above = {id_: _makers(run, makers) for id_, run in found.items()}
    try:
        TopologicalSorter(above).prepare()
    except CycleError as error:
        circle = " from ".join(error.args[1])
        raise BundleRefused(f"runs are said to be made from themselves: {circle}") from error


def check_description(description: Description, runs: Iterable[BundledRun], sizes: Mapping[str, int]) -> None:
    """Refuse a description that says otherwise than records and objects.

    Raises
    ------
    BundleRefused
        Says in what.
    """
    found = {run.run: run for run in runs}
    for root in description.roots:
        if root not in found:
            raise BundleRefused(
                f"the record of run {shown(root)} is missing, for which the bundle was made", TORN
            )
    for product in description.products:
        run = found.get(product.run)
        if run is None or (product.tag, product.name, product.digest, product.size) not in run.makes:
            raise BundleRefused(f"{shown(product.name)} is described, and made by no record")
        _check_stored(product.name, product.digest, product.stored, sizes)
    images = {run.image for run in found.values()}
    for image in description.images:
        if image.config not in images:
            raise BundleRefused(f"image {shown(image.config)} is described, and used by no record")
        if image.stored or image.archive is not None:
            _check_stored(f"image {short(image.config)}", image.archive or "", image.stored, sizes)
    read = {digest for run in found.values() for digest, _ in run.reads}
    for frame in description.frames:
        if frame.digest not in read:
            raise BundleRefused(f"frame {shown(frame.name)} is described, and read by no record")
        _check_stored(frame.name, frame.digest, frame.stored, sizes)


def check_objects(
    description: Description, runs: Iterable[BundledRun], sizes: Mapping[str, int], said: bytes
) -> None:
    """Refuse an object that nothing names.

    Parameters
    ----------
    description, runs, sizes
        As above.
    said : bytes
        All statements, which may name some.

    Raises
    ------
    BundleRefused
        Says which.
    """
    named = {image.archive for image in description.images}
    for run in runs:
        named |= {digest for digest, _ in (*run.keeps, *run.reads)}
    for digest in sizes:
        if digest not in named and digest.encode() not in said:
            raise BundleRefused(f"object {short(digest)} is there, and nothing names it")


def _makers(run: BundledRun, makers: Mapping[str, set[str]]) -> set[str]:
    """List the runs that made what a run read; with itself, if it read what it makes."""
    return {maker for digest, _ in run.reads for maker in makers.get(digest, ())}


def _check_stored(name: str, digest: str, is_stored: bool, sizes: Mapping[str, int]) -> None:
    if is_stored and digest not in sizes:
        raise BundleRefused(
            f"{shown(name)} ({short(shown(digest))}) is missing, which the bundle says it holds", TORN
        )
    if not is_stored and digest in sizes:
        raise BundleRefused(
            f"{shown(name)} ({short(digest)}) is there, which the bundle says it does not hold"
        )


def _check_name(name: str, who: str) -> None:
    """Refuse a name that could lead anywhere, or do anything to a terminal."""
    is_plain = name.isprintable() and not set(name) & {"/", "\\", " "} and len(name) <= _NAME_MOST
    if not name or not is_plain or name.startswith((".", "-", "~")):
        raise BundleRefused(f"{who} has a name that none of ours has: {shown(name)!r}")


def _check_text(text: str, who: str) -> None:
    if not text.isprintable() or len(text) > _NAME_MOST:
        raise BundleRefused(f"{who} has a text that cannot be shown: {shown(text)!r}")


def _check_numbers(run: Run, who: str) -> None:
    numbers = (
        *(run.wall_ms, run.cpu_user_ms, run.cpu_system_ms, run.peak_memory_bytes, run.read_bytes),
        *(run.written_bytes, run.threads, run.memory_limit_bytes, run.timeout_ms, run.warnings, run.errors),
        *(size for _, size in run.artifacts),
        *(item.size for item in run.inputs),
    )
    if any(number is not None and number < 0 for number in numbers):
        raise BundleRefused(f"{who} has a number below nothing")
