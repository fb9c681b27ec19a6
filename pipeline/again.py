"""A recorded run, run again: same recipe, inputs, parameters, environment and clock; and what comes out now.

Owns how a record becomes a call. It judges nothing: what came out stands beside what was recorded, and
whoever asked compares. Nothing is published, no product is replaced, and the record is never touched.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine import USUAL, Ending, Engine, RecipeImage, Surroundings
from pipeline.errors import FitsError, FramesError, UsageError
from pipeline.execute import Call, Ran, StagedInput, execute
from pipeline.fitsdigest import FileDigest
from pipeline.image import ImageLibrary
from pipeline.messages import complaints, telling
from pipeline.products import Product
from pipeline.recipes import RECIPES
from pipeline.record import output_of, software, status_of, with_measures
from pipeline.scan import list_files
from provenance.model import Action, InputFile, OutputFile, Purpose, Run, Status
from provenance.store import Store

if TYPE_CHECKING:
    from pipeline.reduce import Reduction

_SHOWN = 3
"""Missing inputs that a message names; the others are counted."""


class Clock(StrEnum):
    """Where the clock of a run stands that is run again, if no date says it."""

    RECORDED = "recorded"
    """Where it stood the first time; running, if it ran."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a recorded run is run again with."""

    store: Store
    library: ImageLibrary
    engine: Engine
    folders: tuple[Path, ...]
    """Searched for raw frames and static calibrations that lie no more where they were seen."""
    digest: Callable[[Path], str]
    """Gives the digest of a file."""
    cancel: threading.Event
    """Once set, the recipe is stopped."""

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


class InputsMissing(FramesError):
    """Files that a run read are not to be found any more.

    Parameters
    ----------
    run : Run
        The run.
    missing : tuple of InputFile
        What it read and nobody has.
    made : frozenset of str
        Digests of those that a run of this store made: products, which can be made again.
    """

    def __init__(self, run: Run, missing: tuple[InputFile, ...], made: frozenset[str]) -> None:
        self.run = run
        self.missing = missing
        self.made = made
        named = "; ".join(_described(item, item.digest in made) for item in missing[:_SHOWN])
        more = f"; and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        count = "an input is" if len(missing) == 1 else f"{len(missing)} inputs are"
        raw = any(item.digest not in made for item in missing)
        super().__init__(
            f"{run.stage}:{run.unit} cannot be run again, {count} missing: {named}{more}",
            "put the files into a folder of [data] in clio.toml, under any name"
            if raw
            else "make the product again first",
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
    ran: Ran
    outputs: tuple[RemadeOutput, ...]
    """By tag and name."""
    cause: str
    """Kind of failure, as in a record; empty if it ended well."""
    failure: str
    """The failure in a sentence; empty if it ended well."""

    @property
    def is_identical(self) -> bool:
        """Whether every product came out, with the same bytes, and no other."""
        return not self.failure and all(output.is_identical for output in self.outputs)

    @property
    def is_same_science(self) -> bool:
        """Whether every product came out, with the same data digest, and no other."""
        return not self.failure and all(output.is_same_science for output in self.outputs)


@contextmanager
def remake(
    workshop: Workshop,
    run: Run,
    *,
    clock: datetime | Clock = Clock.RECORDED,
    surroundings: Surroundings = USUAL,
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

    Yields
    ------
    Remade
        What came out. To keep bytes for good, give `output.product.path` to `store.objects.put` in the
        block: it lies on the file system of the store and is taken over without a copy. To record the
        run, call `record_again` in the block.

    Raises
    ------
    InputsMissing
        A file it read is not to be found; its `missing` says which, its `made` which of them are products
        that runs of this store made, so that they can be made again first.
    UsageError
        The recipe was staged otherwise than this program does it.
    ImageError
        Its image is not on this machine.
    EngineUnavailable, ProvenanceError
        Nothing can be run, or the store cannot take it.

    Examples
    --------
    Bytes that were dropped, made again and proven::

        with remake(Workshop.of(reduction), run) as remade:
            for output in remade.outputs:
                if output.is_identical:
                    store.objects.put(output.product.path)
    """
    store = workshop.store
    action = store.action(run.action)
    image = workshop.library.find(action.image)
    call = _call(workshop, run, action, image, clock, surroundings)
    work = store.work(call.run)
    try:
        ran = execute(call, work, workshop.engine, image, workshop.cancel)
        yield Remade(run, action, ran, _outputs(run, ran), *_failure(action, ran))
    finally:
        store.discard_work(call.run)


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
        As recorded, under the key of the first.

    Raises
    ------
    ProvenanceError
        The store cannot take it.
    ValueError
        The purpose is that of a run proper.
    """
    if purpose not in (Purpose.REPLAY, Purpose.PASSPORT):
        raise ValueError(f"a run that was run again is not recorded as {purpose}")
    store, ran = workshop.store, remade.ran
    products = () if remade.failure else tuple(o.product for o in remade.outputs if o.product)
    errors, warnings = complaints(ran.log)
    proven = remade.recorded.status if remade.recorded.is_success else Status.OK
    told = replace(
        remade.recorded,
        purpose=purpose,
        status=status_of(remade.cause) if remade.failure else proven,
        cause=remade.cause or None,
        reason=remade.failure or None,
        inputs=tuple(
            replace(item, seen_at=str(found.path))
            for item, found in zip(remade.recorded.inputs, ran.call.inputs, strict=True)
        ),
        outputs=tuple(output_of(store, product) for product in products),
        extras=(),
        warnings=len(warnings),
        errors=len(errors),
        log=store.objects.put_bytes(ran.log.encode()).digest if ran.log else None,
        software=tuple((dict(remade.recorded.software) | dict(software())).items()),
    )
    run = with_measures(told, ran, engine=workshop.engine, invocation=invocation)
    store.commit(remade.action, run)
    return run


def find_files(workshop: Workshop, inputs: Iterable[InputFile]) -> dict[str, Path]:
    """Find files that runs read: in the store, where they were seen, else by their content in the folders.

    Returns
    -------
    dict of str to Path
        By digest; what is nowhere is left out.
    """
    paths: dict[str, Path] = {}
    wanted = {item.digest: item for item in inputs}
    for digest, item in wanted.items():
        path = _in_store(workshop.store, item) or _where_seen(workshop, item)
        if path is not None:
            paths[digest] = path
    missing = {digest: item for digest, item in wanted.items() if digest not in paths}
    return paths | (_searched(workshop, missing) if missing else {})


def _call(
    workshop: Workshop,
    run: Run,
    action: Action,
    image: RecipeImage,
    clock: datetime | Clock,
    surroundings: Surroundings,
) -> Call:
    """Write the call of a recorded run."""
    staged_now = RECIPES[action.recipe].spec
    if action.spec != staged_now:
        made_by = dict(run.software).get("clio", "another")
        raise UsageError(
            f"run {run.run} staged {action.recipe} in way {action.spec}, this clio in way {staged_now}",
            f"run it again with the clio that made it: {made_by}",
        )
    if clock is Clock.RECORDED and run.clock_mode == "frozen" and run.clock_at:
        clock = datetime.fromisoformat(run.clock_at)
    return Call(
        run=workshop.store.new_run_id(),
        store=workshop.store.id,
        recipe=action.recipe,
        options=_options(workshop, run, action, image),
        environment=action.environment,
        inputs=_found(workshop, run, action),
        is_clock_frozen=not isinstance(clock, Clock),
        memory_bytes=run.memory_limit_bytes,
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


def _found(workshop: Workshop, run: Run, action: Action) -> tuple[StagedInput, ...]:
    """Find every file the run read."""
    paths = find_files(workshop, run.inputs)
    lost = tuple({item.digest: item for item in run.inputs if item.digest not in paths}.values())
    if lost:
        made = frozenset(item.digest for item in lost if workshop.store.runs_making(item.digest))
        raise InputsMissing(run, lost, made)
    return tuple(
        StagedInput(
            tag=item.tag,
            name=item.name,
            path=paths[item.digest],
            digest=item.digest,
            data_digest=asked.content,
            size=paths[item.digest].stat().st_size,
        )
        for item, asked in zip(run.inputs, action.inputs, strict=True)
    )


def _in_store(store: Store, item: InputFile) -> Path | None:
    """Find an input among the objects; a damaged one is none."""
    path = store.objects.path(item.digest)
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    is_sound = store.remembers_object(item.digest, found) or store.objects.damage(item.digest) is None
    return path if is_sound else None


def _where_seen(workshop: Workshop, item: InputFile) -> Path | None:
    path = Path(item.seen_at) if item.seen_at else None
    return path if path is not None and _holds(workshop, path, item.digest) else None


def _searched(workshop: Workshop, missing: dict[str, InputFile]) -> dict[str, Path]:
    """Look for files by their content; only those of a size that is wanted are read."""
    found: dict[str, Path] = {}
    sizes = {item.size for item in missing.values()}
    for path in list_files(workshop.folders, []):
        if not path.is_file() or not (None in sizes or path.stat().st_size in sizes):
            continue
        for digest in missing:
            if digest not in found and _holds(workshop, path, digest):
                found[digest] = path
    return found


def _holds(workshop: Workshop, path: Path, digest: str) -> bool:
    try:
        return path.is_file() and workshop.digest(path) == digest
    except (OSError, FitsError):
        return False


def _described(item: InputFile, is_made: bool) -> str:
    where = "made here, and gone from the store" if is_made else f"seen at {item.seen_at or 'no known place'}"
    return f"{item.tag} {item.name} ({item.digest[:19]}, {where})"


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
