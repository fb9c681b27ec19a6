"""A recorded run, run again: same recipe, inputs, parameters, environment and clock; and what comes out now.

Owns how a record becomes a call. It judges nothing: what came out stands beside what was recorded, and
whoever asked compares. Nothing is published, no product is replaced, and the record is never touched.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.emulator import find_emulator
from pipeline.engine import USUAL, Ending, Engine, RecipeImage, Surroundings
from pipeline.environment import FREE, THREADS, THREADS_OF_PYTHON, pins
from pipeline.errors import FitsError, UsageError
from pipeline.execute import Call, Ran, StagedInput, execute, proven
from pipeline.finding import stage_inputs
from pipeline.fitsdigest import FileDigest
from pipeline.image import ImageLibrary
from pipeline.messages import complaints, telling
from pipeline.own.engine import own_engine
from pipeline.own.environment import as_recorded
from pipeline.own.table import is_own
from pipeline.products import Product
from pipeline.recipes import RECIPES
from pipeline.record import measures, output_of, software, status_of
from provenance.errors import ProvenanceError
from provenance.files import writing_to
from provenance.model import Action, ActionInput, InputFile, OutputFile, Purpose, Run, Status
from provenance.store import Store

if TYPE_CHECKING:
    from pipeline.reduce import Reduction


class Clock(StrEnum):
    """Where the clock of a run stands that is run again, if no date says it."""

    RECORDED = "recorded"
    """Where it stood the first time; running, if it ran."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Variation:
    """What is set otherwise than recorded; nothing, unless it is said here."""

    threads: int | None = None
    """OMP_NUM_THREADS."""
    numerics: str | None = None
    """`pinned` or `native`."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that are added, or stand in place of those of the same name."""
    emulator: str = ""
    """Model of a processor to emulate, as `pipeline.emulator` knows it; empty for that of the machine."""

    def of(self, action: Action) -> Action:
        """Give the action that is run: the recorded one, unless what its key holds is set otherwise."""
        told = dict(action.environment)
        if self.threads is not None and told.get(THREADS) != FREE:
            told |= {name: str(self.threads) for name in (THREADS, *THREADS_OF_PYTHON) if name in told}
        if self.numerics not in (None, action.numerics):
            is_ours = is_own(action.recipe)
            for name in pins("pinned", action.platform, is_ours=is_ours):
                told.pop(name, None)
            told |= pins(self.numerics, action.platform, is_ours=is_ours)
        environment = tuple((told | dict(self.environment)).items())
        return replace(action, environment=environment, numerics=self.numerics or action.numerics)


AS_RECORDED = Variation()
"""Nothing is set otherwise."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a recorded run is run again with."""

    store: Store
    """Holds the records, and what the runs read."""
    library: ImageLibrary
    engine: Engine
    folders: tuple[Path, ...]
    """Searched for raw frames and static calibrations that lie no more where they were seen."""
    digest: Callable[[Path], str]
    """Gives the digest of a file."""
    cancel: threading.Event
    """Once set, the recipe is stopped."""
    into: Store | None = None
    """Takes what is made, in place of `store`, which is then only read."""
    is_agreed: bool = False
    """Whether a person agreed that imported runs are started, whom nobody vouches for."""

    @property
    def target(self) -> Store:
        """Where what is made is written."""
        return self.into or self.store

    def holds(self, file: StagedInput) -> bool:
        """Tell whether an input still has the bytes that it was staged with."""
        try:
            return self.digest(file.path) == file.digest
        except (FitsError, OSError, ProvenanceError):
            return False

    def surroundings(self, action: Action) -> tuple[Engine, RecipeImage]:
        """Give what runs an action: an engine, and its image or what stands for that.

        Raises
        ------
        ImageError
            Its image is not on this machine, or Python and its libraries are others here.
        """
        if is_own(action.recipe):
            return own_engine(), as_recorded(action.recipe, action.image, self.store)
        return self.engine, self.library.find(action.image)

    @classmethod
    def of(cls, reduction: "Reduction") -> "Workshop":
        """Take what a workspace has."""
        return cls(
            store=reduction.store,
            library=reduction.library,
            engine=reduction.engine,
            folders=reduction.settings.folders,
            digest=lambda path: reduction.resolver.digests(path).digest,
            cancel=reduction.cancel,
        )


@dataclass(frozen=True, slots=True)
class RemadeOutput:
    """A product of the record, of the run that was run again, or of both."""

    tag: str
    name: str
    recorded: OutputFile | None
    """None if the first run did not make it."""
    product: Product | None
    """What came out now, in the scratch; None if it did not come out."""

    @property
    def digests(self) -> FileDigest | None:
        """Digest, data digest and parts of what came out."""
        return self.product.digests if self.product else None

    @property
    def is_identical(self) -> bool:
        """Whether it came out with the same bytes."""
        return self._both and self.recorded.digest == self.product.digests.digest  # type: ignore[union-attr]

    @property
    def is_same_science(self) -> bool:
        """Whether it came out with the same data digest."""
        return (
            self._both and self.recorded.data_digest == self.product.digests.data_digest  # type: ignore[union-attr]
        )

    @property
    def _both(self) -> bool:
        return self.recorded is not None and self.product is not None


@dataclass(frozen=True, slots=True)
class Remade:
    """What came out of a run that was run again; its files live as long as the block of `remake`."""

    recorded: Run
    action: Action
    """As it was run; not the recorded one if something its key holds was set otherwise."""
    ran: Ran
    outputs: tuple[RemadeOutput, ...]
    """By tag and name."""
    cause: str
    """Kind of failure, as in a record; empty if it ended well."""
    failure: str
    """The failure in a sentence; empty if it ended well."""

    @property
    def is_challenge(self) -> bool:
        """Whether it is another action than the recorded one."""
        return self.action.key != self.recorded.action

    @property
    def is_identical(self) -> bool:
        """Whether every product came out, with the same bytes, and no other."""
        return not self.failure and all(output.is_identical for output in self.outputs)

    @property
    def is_same_science(self) -> bool:
        """Whether every product came out, with the same data digest, and no other."""
        return not self.failure and all(output.is_same_science for output in self.outputs)


class NotAgreed(UsageError):
    """An imported run would start without anybody having agreed to that.

    Parameters
    ----------
    run : Run
        The run.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(
            f"run {run.run} of {run.stage}:{run.unit} was imported, and nothing imported runs by itself",
            f"clio replay {run.run} shows what it would do, and asks",
        )


@contextmanager
def remake(
    workshop: Workshop,
    run: Run,
    *,
    clock: datetime | Clock = Clock.RECORDED,
    surroundings: Surroundings = USUAL,
    variation: Variation = AS_RECORDED,
    instead: Mapping[str, OutputFile] = MappingProxyType({}),
) -> Iterator[Remade]:
    """Run a recorded run again in a scratch of the store, which is gone once the block is left.

    Parameters
    ----------
    workshop : Workshop
        What to do it with.
    run : Run
        As recorded; of any status, though only a successful one has products to compare with.
    clock : datetime or Clock
        Where the clock stands: by default as recorded, which is what the same bytes need.
    surroundings : Surroundings
        Host name, user and directories inside; by default those of every run.
    variation : Variation
        What is set otherwise than recorded. Where a key holds it, the action is another: a challenge.
    instead : mapping of str to OutputFile
        By digest of a recorded input: what is read in its place, an object of `workshop.target`. With other
        data than the recorded one, the action is another too.

    Yields
    ------
    Remade
        What came out. To keep bytes for good, give `output.product.path` to `store.objects.put` in the
        block: it lies on the file system of the store and is taken over without a copy. To record the
        run, call `record_again` in the block.

    Raises
    ------
    NotAgreed
        It was imported, nobody vouches for it, and the workshop is not agreed.
    InputsMissing
        A file it read is not to be found; its `missing` says which, its `made` which of them are products
        that runs of this store made, so that they can be made again first.
    UsageError
        The recipe was staged otherwise than this program does it.
    ImageError
        Its image is not on this machine.
    EngineUnavailable, ProvenanceError
        Nothing can be run, the processor cannot be emulated, or the store cannot take it.

    Examples
    --------
    Bytes that were dropped, made again and proven::

        with remake(Workshop.of(reduction), run) as remade:
            for output in remade.outputs:
                if output.is_identical:
                    store.objects.put(output.product.path)
    """
    if not workshop.is_agreed and workshop.store.imports.doubt(run):
        raise NotAgreed(run)
    recorded = workshop.store.action(run.action)
    engine, image = workshop.surroundings(recorded)
    inputs = stage_inputs(workshop, run, recorded, instead)
    read = tuple(ActionInput(item.tag, item.name, item.data_digest) for item in inputs)
    action = replace(variation.of(recorded), inputs=read)
    if variation.emulator:
        surroundings = replace(surroundings, emulator=find_emulator(variation.emulator, action.platform))
    call = _call(workshop, run, action, image, inputs, clock, surroundings)
    call = replace(call, threads=variation.threads)
    work = workshop.target.work(call.run)
    try:
        with writing_to(work):
            ran = proven(execute(call, work, engine, image, workshop.cancel), workshop.holds)
        yield Remade(run, action, ran, _outputs(run, ran), *_failure(action, ran))
    finally:
        workshop.target.discard_work(call.run)


def record_again(
    workshop: Workshop, remade: Remade, purpose: Purpose, *, invocation: str | None = None
) -> Run:
    """Record what came out as a run of its own, which no lookup ever believes; products are kept with it.

    Parameters
    ----------
    workshop : Workshop
        As given to `remake`, in whose block this is called.
    remade : Remade
        What came out. Products that differ from the record come beside it; those that do not cost nothing.
    purpose : Purpose
        `REPLAY` or `PASSPORT`.
    invocation : str, optional
        Id of the call of the command.

    Returns
    -------
    Run
        As recorded, under the key of the action as it was run.

    Raises
    ------
    ProvenanceError
        The store cannot take it.
    ValueError
        The purpose is that of a run proper.
    """
    if purpose not in (Purpose.REPLAY, Purpose.PASSPORT):
        raise ValueError(f"a run that was run again is not recorded as {purpose}")
    store, ran = workshop.target, remade.ran
    products = () if remade.failure else tuple(o.product for o in remade.outputs if o.product)
    errors, warnings = complaints(ran.log)
    if_good = remade.recorded.status if remade.recorded.is_success else Status.OK
    engine, _ = workshop.surroundings(remade.action)
    run = replace(
        remade.recorded,
        **measures(ran, engine=engine, invocation=invocation),
        action=remade.action.key,
        purpose=purpose,
        status=status_of(remade.cause) if remade.failure else if_good,
        cause=remade.cause or None,
        reason=remade.failure or None,
        inputs=tuple(
            _read(item, found) for item, found in zip(remade.recorded.inputs, ran.call.inputs, strict=True)
        ),
        outputs=tuple(output_of(store, product) for product in products),
        extras=(),
        warnings=len(warnings),
        errors=len(errors),
        log=store.objects.put_bytes(ran.log.encode()).digest if ran.log else None,
        software=tuple((dict(remade.recorded.software) | dict(software())).items()),
    )
    store.commit(remade.action, run)
    return run


def _call(
    workshop: Workshop,
    run: Run,
    action: Action,
    image: RecipeImage,
    inputs: tuple[StagedInput, ...],
    clock: datetime | Clock,
    surroundings: Surroundings,
) -> Call:
    """Write the call of a recorded run."""
    row = RECIPES.get(action.recipe)
    if row is None:
        raise UsageError(f"run {run.run} is of {action.recipe}, a recipe that this clio does not know")
    if action.spec != row.spec:
        made_by = dict(run.software).get("clio", "another")
        raise UsageError(
            f"run {run.run} staged {action.recipe} in way {action.spec}, this clio in way {row.spec}",
            f"run it again with the clio that made it: {made_by}",
        )
    if clock is Clock.RECORDED and run.clock_mode == "frozen" and run.clock_at:
        clock = datetime.fromisoformat(run.clock_at)
    return Call(
        run=workshop.target.new_run_id(),
        store=workshop.target.id,
        recipe=action.recipe,
        options=_options(workshop, run, action, image),
        environment=action.environment,
        inputs=inputs,
        is_clock_frozen=not isinstance(clock, Clock),
        memory_bytes=None,  # the recorded limit was a share of what there was, beside what ran then
        timeout_s=None if run.timeout_ms is None else run.timeout_ms / 1000,
        clock=None if isinstance(clock, Clock) else clock,
        surroundings=surroundings,
    )


def _options(workshop: Workshop, run: Run, action: Action, image: RecipeImage) -> tuple[tuple[str, str], ...]:
    """Give the options of the parameters that were not left at the default of the image."""
    known = workshop.library.parameters(image, workshop.engine, action.recipe)
    option_of = {parameter.name: parameter.option for parameter in known}
    changed = [(name, value) for name, value in action.parameters if name not in run.defaults]
    for name, _ in changed:
        if name not in option_of:
            raise UsageError(
                f"{action.recipe} of the image {image.config_digest[:19]} has no parameter {name}"
            )
    return tuple(sorted((option_of[name], value) for name, value in changed))


def _read(recorded: InputFile, found: StagedInput) -> InputFile:
    """Describe a file that was read in the place of a recorded one, which it mostly is."""
    if found.digest == recorded.digest:
        return replace(recorded, seen_at=str(found.path))
    return InputFile(found.tag, found.name, found.digest, found.data_digest, found.size, str(found.path))


def _outputs(run: Run, ran: Ran) -> tuple[RemadeOutput, ...]:
    recorded = {(output.tag, output.name): output for output in run.outputs}
    now = {(product.tag, product.name): product for product in ran.products}
    return tuple(
        RemadeOutput(tag, name, recorded.get((tag, name)), now.get((tag, name)))
        for tag, name in sorted(recorded.keys() | now.keys())
    )


def _failure(action: Action, ran: Ran) -> tuple[str, str]:
    """Say how a run failed: the kind, as in a record, and a sentence; both empty if it did not."""
    result, (errors, _) = ran.result, complaints(ran.log)
    last = f": {telling(errors)}" if errors else ""
    if ran.changed:
        return "input changed", f"{ran.changed[0]} changed while the recipe ran"
    if result.ending is not Ending.EXITED:
        return result.ending.value, f"the recipe did not end by itself: {result.ending}"
    if result.exit_status != 0 or errors:
        return "recipe error", f"esorex left with {result.exit_status}{last}"
    if ran.faults:
        return "unproven", ran.faults[0]
    for expected in action.outputs:
        made = sum(product.tag == expected.tag for product in ran.products)
        if made < expected.least:
            return "missing product", f"{made} {expected.tag} where {expected.least} had to be made"
    unsound = [fault for product in ran.products for fault in product.digests.faults]
    return ("unproven", unsound[0]) if unsound else ("", "")
