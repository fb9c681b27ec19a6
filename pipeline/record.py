"""Between the reduction and its memory: a step becomes an action, a run becomes a record.

The only translator between the two packages; what it writes, it writes through one call of the store.
"""

import functools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pipeline.accept import Verdict
from pipeline.as_given import as_given
from pipeline.engine import Engine, RecipeImage
from pipeline.environment import THREADS, environment, own_environment
from pipeline.execute import Call, Ran, StagedInput
from pipeline.host import host
from pipeline.model import FrameInput, Step
from pipeline.packing import Packing
from pipeline.packing import version as unpacker
from pipeline.parameters import Effective
from pipeline.products import Product, versions
from pipeline.recipes import RECIPES
from provenance.errors import FileChanged, NotAFile
from provenance.model import (
    Action,
    ActionInput,
    Choice,
    ExpectedOutput,
    InputFile,
    OutputFile,
    Part,
    Run,
    Status,
)
from provenance.store import Store

_STATUS = {"killed": Status.KILLED, "timeout": Status.TIMEOUT, "input changed": Status.INPUT_CHANGED}


@dataclass(frozen=True, slots=True)
class Job:
    """A step whose inputs are bytes."""

    step: Step
    action: Action
    effective: Effective
    inputs: tuple[StagedInput, ...]
    """In the order of the set of frames."""
    caveats: tuple[str, ...] = ()
    """Caveats of the products it reads, carried on to what is made of them."""


def in_order(step: Step, staged: tuple[StagedInput, ...]) -> tuple[StagedInput, ...]:
    """Put the inputs of a step, given as they stand in it, into the order of the set of frames.

    Notes
    -----
    By tag; raw frames and statics then by MJD-OBS, ARCFILE and data digest, products as planned, which is
    by exposure and IFU. Names and places of files have no part in it, unless the settings say in which order
    and by which names they were given elsewhere.
    """
    keyed = []
    for position, (item, file) in enumerate(zip(step.inputs, staged, strict=True)):
        if isinstance(item, FrameInput):
            frame = item.frame
            keyed.append(((item.tag, frame.mjd or 0.0, frame.arcfile, file.data_digest), file))
        else:
            keyed.append(((item.tag, 0.0, "", f"{position:06d}"), file))
    own = tuple(file for _, file in sorted(keyed, key=lambda pair: pair[0]))
    if not step.sof:
        return own
    given = as_given([(file.tag, file.name) for file in own], step.sof)
    return tuple(replace(own[place], name=name) for place, name in given)


def make_action(
    step: Step,
    effective: Effective,
    inputs: tuple[StagedInput, ...],
    image: RecipeImage,
    numerics: str,
) -> Action:
    """Write down everything that decides the outcome of a step.

    Parameters
    ----------
    step : Step
        What is to be done.
    effective : Effective
        All its parameters.
    inputs : tuple of StagedInput
        In the order of the set of frames.
    image, numerics
        What runs it, and whether the variants of the library's functions are pinned.
    """
    recipe = RECIPES[step.recipe]
    return Action(
        recipe=recipe.name,
        spec=recipe.spec,
        image=image.config_digest,
        platform=image.platform,
        parameters=effective.values,
        environment=own_environment(numerics, image.platform)
        if recipe.is_ours
        else environment(recipe.threads, numerics, image.platform, step.environment),
        inputs=tuple(ActionInput(item.tag, item.name, item.data_digest) for item in inputs),
        outputs=_outputs(step),
        numerics=numerics,
    )


def make_call(
    job: Job,
    run: str,
    store: str,
    *,
    frozen: bool,
    timeout_s: float | None,
    memory_bytes: int | None,
    threads: int | None = None,
) -> Call:
    """Write the call of a job's recipe; `threads` counts if the environment leaves their number free."""
    return Call(
        run=run,
        store=store,
        recipe=job.step.recipe,
        options=job.effective.options,
        environment=job.action.environment,
        inputs=job.inputs,
        is_clock_frozen=frozen,
        memory_bytes=memory_bytes,
        timeout_s=timeout_s,
        threads=threads,
    )


def record(store: Store, job: Job, ran: Ran, verdict: Verdict, *, engine: Engine, invocation: str) -> Run:
    """Keep the products, the log and the story of a run; this makes an accepted outcome known.

    Parameters
    ----------
    store : Store
        Where.
    job, ran, verdict
        What was to be done, what happened, and whether it is believed. The products of a run that is not
        accepted are not kept.
    engine : Engine
        What ran it.
    invocation : str
        Id of the call of the command.

    Returns
    -------
    Run
        As recorded.

    Raises
    ------
    ProvenanceError
        The store cannot take it: a full disk, a record that contradicts its action.
    """
    outputs = tuple(output_of(store, product) for product in ran.products) if verdict.is_accepted else ()
    log = _kept_log(store, ran, is_own=verdict.is_accepted)
    run = _run(job, ran, verdict, outputs, log, measures(ran, engine=engine, invocation=invocation))
    store.commit(job.action, run)
    return run


def _kept_log(store: Store, ran: Ran, *, is_own: bool) -> str | None:
    """Take a log into the store, the file itself if nobody looks at it any more; None if there is none."""
    if not ran.log:
        return None
    if is_own and ran.log_path is not None:
        with suppress(OSError, NotAFile, FileChanged):
            return store.objects.put(ran.log_path).digest
    return store.objects.put_bytes(ran.log.encode()).digest


def measures(ran: Ran, *, engine: Engine, invocation: str | None) -> dict[str, Any]:
    """Give the fields of a record that say how a call went: when, how long, with what."""
    result = ran.result
    return {
        "run": ran.call.run,
        "exit_status": result.exit_status,
        "signal": result.signal,
        "started": time_of(result.started),
        "ended": time_of(result.ended),
        "clock_mode": "frozen" if ran.clock else "real",
        "clock_at": time_of(ran.clock, "seconds") if ran.clock else None,
        "wall_ms": result.wall_ms,
        "cpu_user_ms": result.cpu_user_ms,
        "cpu_system_ms": result.cpu_system_ms,
        "peak_memory_bytes": result.peak_memory_bytes,
        "read_bytes": result.read_bytes,
        "written_bytes": result.written_bytes,
        "threads": int(dict(ran.environment)[THREADS]),
        "argv": ran.argv,
        "environment": ran.environment,
        "engine": tuple(engine_of(engine).items()),
        "isolation": result.isolation,
        "host": host(),
        "invocation": invocation,
    }


def _run(
    job: Job,
    ran: Ran,
    verdict: Verdict,
    outputs: tuple[OutputFile, ...],
    log: str | None,
    how: Mapping[str, Any],
) -> Run:
    """Describe what was asked, how it went, and what came of it."""
    call = ran.call
    caveats = (*verdict.caveats, *job.caveats)
    return Run(
        **how,
        action=job.action.key,
        status=_status(verdict, caveats),
        cause=verdict.cause or None,
        reason=verdict.reason or None,
        stage=job.step.stage.value,
        unit=job.step.unit,
        memory_limit_bytes=call.memory_bytes,
        timeout_ms=None if call.timeout_s is None else round(call.timeout_s * 1000),
        defaults=job.effective.defaults,
        origins=job.step.origins,
        inputs=tuple(
            InputFile(i.tag, i.name, i.digest, i.data_digest, i.size, str(i.path), i.hdus)
            for i in call.inputs
        ),
        outputs=outputs,
        log=log,
        warnings=verdict.warnings,
        errors=verdict.errors,
        caveats=caveats,
        software=(
            *software(),
            *_unpackers(ran),
            *(versions(ran.products[0].header) if ran.products else ()),
        ),
        choices=tuple(
            Choice(a.tag, a.chosen or "none", a.level, a.distance_s, a.reason, a.rejected[:5])
            for a in job.step.associations
        ),
    )


def _unpackers(ran: Ran) -> tuple[tuple[str, str], ...]:
    """Name what unpacked frames that the recipe was given plain; Python stands in `software` already."""
    return (("unpacker", unpacker()),) if Packing.COMPRESS in ran.packings else ()


@functools.cache
def software() -> tuple[tuple[str, str], ...]:
    """Name the versions of what runs on the host."""
    import platform

    return (("clio", version("clio-muse")), ("python", platform.python_version()))


def output_of(store: Store, product: Product) -> OutputFile:
    """Take a product into the store and describe it.

    Raises
    ------
    OSError
        It changed since it was read.
    StoreFull
        The disk is full.
    """
    digests = product.digests
    kept = store.objects.put(product.path)
    if kept.digest != digests.digest:
        raise OSError(f"{product.name} changed between its check and its publication")
    return OutputFile(
        tag=product.tag,
        name=product.name,
        digest=kept.digest,
        data_digest=digests.data_digest,
        parts=tuple(Part(part.name or str(n), part.cards, part.data) for n, part in enumerate(digests.parts)),
        size=kept.size,
        qc=product.qc,
    )


def _outputs(step: Step) -> tuple[ExpectedOutput, ...]:
    """Sum the expected products by tag; a filter's images are told apart by acceptance."""
    counts: dict[str, int] = {}
    for expected in step.expected:
        counts[expected.tag] = counts.get(expected.tag, 0) + expected.least
    return tuple(ExpectedOutput(tag, least) for tag, least in sorted(counts.items()))


def _status(verdict: Verdict, caveats: tuple[str, ...]) -> Status:
    if verdict.is_accepted:
        return Status.CAVEAT if caveats else Status.OK
    return status_of(verdict.cause)


def status_of(cause: str) -> Status:
    """Give the status of a run that failed for a cause."""
    return _STATUS.get(cause, Status.FAILED)


def engine_of(engine: Engine) -> dict[str, str]:
    """Name an engine and its version."""
    return {"name": engine.name, "version": engine.version()}


def time_of(at: datetime, exactly: str = "milliseconds") -> str:
    """Write a time as records hold it."""
    return at.astimezone(UTC).isoformat(timespec=exactly).replace("+00:00", "Z")
