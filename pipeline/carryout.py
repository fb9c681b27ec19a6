"""One step, carried out: run, judged, published and recorded, whatever comes of it."""

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.accept import Given, Verdict, accept
from pipeline.config import Settings
from pipeline.costs import OUT_OF_MEMORY
from pipeline.engine import Engine, RecipeImage
from pipeline.errors import FitsError
from pipeline.events import Event
from pipeline.execute import Call, Ran, StagedInput, execute, look_at, not_run, proven, unfit
from pipeline.fitsfile import reason
from pipeline.host import cores
from pipeline.locked import Locked
from pipeline.model import FrameInput, ProductInput, Step
from pipeline.own.engine import own_engine
from pipeline.own.environment import own_image, remember
from pipeline.own.table import is_own
from pipeline.packing import Unpacked
from pipeline.record import Job, make_call, record
from pipeline.resolve import Resolver
from pipeline.schedule import Grant
from pipeline.tags import Kind
from provenance.errors import StoreFull
from provenance.files import writing_to
from provenance.model import Run
from provenance.store import Store

_FULL_BELOW = 32 * 1024**2
"""Free bytes below which a failure is put down to the disk."""

_SMALL = 64 * 1024**2
"""Bytes of products that are kept faster than it takes two threads to get out of each other's way."""

_KEPT_FOR_A_LOOK = frozenset({"unproven", "missing product"})


@dataclass(frozen=True, slots=True)
class Tools:
    """What steps are carried out with."""

    settings: Settings
    store: Store
    resolver: Resolver
    engine: Engine
    image: RecipeImage
    cancel: threading.Event
    invocation: str
    """Id of this call of the command."""
    listen: Callable[[Event], None]
    """Told of every start and end; called from several threads, one at a time."""
    retry_failed: bool = False
    """Try again what failed for a cause that stays."""
    locked: Locked | None = None
    """What has to come of every step; None if nothing says so."""
    has_limits: bool = False
    """Whether a recipe is held to the memory it is granted; without, nobody said how much there is."""
    unpacked: Unpacked | None = None
    """Plain copies of packed frames, for all steps; None to make them anew for each."""


def carry_out(job: Job, tools: Tools, grant: Grant | None = None) -> Run:
    """Run a job, judge what it left, publish and record it.

    Parameters
    ----------
    job, tools
        What to do, and with what.
    grant : Grant, optional
        What it may take of the machine, given back once the recipe has ended; all there is without.

    Returns
    -------
    Run
        As recorded, successful or not.
    """
    store = tools.store
    engine, image = _setting(job.step.recipe, tools)  # first: without an engine there is nothing to tidy up
    id_ = store.new_run_id()
    work = store.work(id_)
    table = tools.settings.table.clio
    call = make_call(
        *(job, id_, store.id),
        frozen=table.clock == "frozen",
        timeout_s=table.timeout_min * 60 if table.timeout_min else None,
        memory_bytes=grant.memory_bytes if grant and tools.has_limits else None,
        threads=max(1, cores() // grant.beside) if grant else None,
    )
    if tools.locked is not None:
        call = tools.locked.with_clock(job.step, call)
    keep = is_quiet = False
    try:
        seen = look_at(call)
        cause, reason = _unusable(call, seen, tools.resolver)
        if cause:
            ran, verdict = not_run(call), Verdict(cause, reason, (), 0, 0)
        else:
            try:
                with writing_to(work):
                    ran = execute(call, work, engine, image, tools.cancel, tools.unpacked, seen)
                if grant and sum(product.digests.size for product in ran.products) > _SMALL:
                    grant.release()  # another recipe runs while this one's products are kept
                verdict = judge(job, proven(ran, lambda item: not _fault(item, tools.resolver)), store.path)
            except FitsError as error:
                # A packed frame is not what it was when it was digested.
                ran, verdict = (
                    not_run(call),
                    Verdict("input changed", f"{error.message}; run again", (), 0, 0),
                )
            keep = verdict.cause in _KEPT_FOR_A_LOOK
        try:
            run = record(store, job, ran, verdict, engine=engine, invocation=tools.invocation)
            is_quiet = run.is_success
            return run
        except StoreFull:
            keep = False
            store.discard_work(id_)  # makes room for the record of the failure
            full = replace(verdict, cause="disk full", reason=f"no space left on the disk of {store.path}")
            return record(store, job, ran, full, engine=engine, invocation=tools.invocation)
    finally:
        if keep:
            store.keep_work(id_)
        else:
            store.discard_work(id_, is_quiet=is_quiet)


def _unusable(call: Call, seen: tuple[os.stat_result | None, ...], resolver: Resolver) -> tuple[str, str]:
    """Say why a call must not be run: what it is given would not do, or is not what its job was made of."""
    cause, reason = unfit(call, seen)
    if cause:
        return cause, reason
    for item, found in zip(call.inputs, seen, strict=True):
        if fault := _fault(item, resolver, found):
            return "input changed", f"{fault}; run again"
    return "", ""


def _fault(item: StagedInput, resolver: Resolver, found: os.stat_result | None = None) -> str:
    """Say what became of an input since its job was made; nothing of one that still holds what it held."""
    try:
        return "" if resolver.holds(item, found) else f"{item.path} changed since it was looked up"
    except (FitsError, OSError) as error:
        return f"{item.path} cannot be read any more: {reason(error)}"


def _setting(recipe: str, tools: Tools) -> tuple[Engine, RecipeImage]:
    """Give what runs a recipe, and what it runs in: of one of ours, Python and its libraries."""
    if not is_own(recipe):
        return tools.engine, tools.image
    remember(tools.store, recipe)
    return own_engine(), own_image(recipe)


def judge(job: Job, ran: Ran, store: Path) -> Verdict:
    """Judge what a job left; a disk without room is the cause of whatever else went wrong.

    Parameters
    ----------
    job, ran
        What was to be done, and what happened.
    store : Path
        Any place on the disk on which it ran.
    """
    step = job.step
    given = Given(
        recipe=step.recipe,
        inputs=tuple((item.tag, item.name) for item in job.inputs),
        raw_tags=_reduced_tags(step),
        expected=step.expected,
        ifus=step.ifus,
        exposures=_exposures(step),
    )
    verdict = accept(given, ran.result, ran.log, ran.products, ran.faults)
    if verdict.cause == OUT_OF_MEMORY and ran.call.memory_bytes:
        limit = f"memory limit of {ran.call.memory_bytes / 1e9:.1f} GB"
        return replace(verdict, reason=verdict.reason.replace("memory limit", limit))
    if ran.changed:
        reason = f"{ran.changed[0]} changed while the recipe ran"
        return replace(verdict, cause="input changed", reason=reason)
    if not verdict.is_accepted and shutil.disk_usage(store).free < _FULL_BELOW:
        reason = f"no space left on the disk of {store}; {verdict.reason}"
        return replace(verdict, cause="disk full", reason=reason)
    return verdict


def _reduced_tags(step: Step) -> frozenset[str]:
    """Tags that the recipe reduces, as against calibrations."""
    raw = {item.tag for item in step.inputs if isinstance(item, FrameInput) and item.frame.kind is Kind.RAW}
    return frozenset(raw | {item.tag for item in step.inputs if item.tag.startswith("PIXTABLE_")})


def _exposures(step: Step) -> tuple[str, ...]:
    """DATE-OBS of the exposures whose images are aligned."""
    made = (item.step for item in step.inputs if isinstance(item, ProductInput) and item.tag == "IMAGE_FOV")
    return tuple(id_.partition(":")[2] for id_ in made)
