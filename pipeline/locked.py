"""A reduction and its lock: what is pinned of one that succeeded, and one held against what was pinned.

The keys of all steps are known before anything runs: what a lock says of a step's products is all that the
key of the next step needs of them. Files are written by `pipeline.lock`.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pipeline.engine import RecipeImage
from pipeline.errors import Exit, FitsError, FramesError, NotAsLocked, PipelineError
from pipeline.execute import Call
from pipeline.image import compare_packages, lock_document
from pipeline.lock import Lock, LockedFrame, LockedProduct, LockedStep, read_lock, write_lock
from pipeline.model import FrameInput, Plan, Stage, Step
from pipeline.record import Job
from pipeline.resolve import Resolver
from pipeline.stages import needed
from provenance.difference import differences, in_words
from provenance.errors import ProvenanceError
from provenance.model import OutputFile, Run
from provenance.store import Store

_SHOWN = 5
"""Differences that a message names."""


@dataclass(frozen=True, slots=True)
class Known:
    """A step whose outcome is known."""

    key: str
    """Of the action that was asked for; that of the run, unless a person accepted another."""
    run: Run

    @property
    def is_own(self) -> bool:
        """Whether the run is of that very action."""
        return self.key == self.run.action


@dataclass(frozen=True, slots=True)
class _Pinned:
    """What a lock says of the products of a step, as the key of the next one needs it."""

    outputs: tuple[OutputFile, ...]

    @classmethod
    def of(cls, step: LockedStep) -> "_Pinned":
        products = step.products
        return cls(tuple(OutputFile(p.tag, p.name, p.digest, p.data_digest) for p in products))


def keep_lock(
    path: Path, plan: Plan, known: Mapping[str, Known], resolver: Resolver, image: RecipeImage, numerics: str
) -> bool:
    """Pin a reduction that succeeded in what it covered; what it did not cover stays while it is true.

    Parameters
    ----------
    path : Path
        The lock.
    plan : Plan
        Of the whole reduction.
    known : mapping of str to Known
        The steps that were covered, by id.
    resolver, image, numerics
        What they were made with.

    Returns
    -------
    bool
        Whether the lock was written; it is not if it says so already.

    Raises
    ------
    ConfigError, FileRefused
        What is there is no lock, or cannot be replaced.
    FramesError
        A frame that was read is gone by now.

    Notes
    -----
    A step that was not covered is true if the plan still has it and the products pinned here give it the key
    that is pinned. Two runs that end at once wait for each other, so that neither loses what the other made.
    """
    with _alone(path.parent):
        old = read_lock(path, image_only=all(step.id in known for step in plan.steps))
        if old is not None and old.config_digest != image.config_digest:
            old = None
        steps = tuple(_pinned_steps(plan, known, resolver, old))
        try:
            frames = _pinned_frames(plan, {step.step for step in steps}, known, resolver)
        except (FitsError, OSError) as error:
            raise FramesError(f"{path} is not written, as a frame is gone: {error}", "run again") from error
        head = lock_document(image) if old is None else old.image
        return write_lock(path, Lock(head, numerics, frames, steps))


def locked_frames(steps: Iterable[Step], resolver: Resolver) -> set[LockedFrame]:
    """List the frames that steps read, each once."""
    items = {
        (item.tag, item.frame.path): item
        for step in steps
        for item in step.inputs
        if isinstance(item, FrameInput)
    }
    staged = map(resolver.frame, items.values())
    return {LockedFrame(file.tag, file.name, file.data_digest, file.digest) for file in staged}


class Locked:
    """What a lock allows, and what has to come of it. Threads may share it.

    Parameters
    ----------
    lock : Lock
        With its steps.
    has_clocks : bool
        Whether clocks stand where the lock says, which gives the same bytes; else where they stand in any
        run, at its beginning.
    """

    def __init__(self, lock: Lock, *, has_clocks: bool = False) -> None:
        self.lock = lock
        self._has_clocks = has_clocks
        self._steps = {step.step: step for step in lock.steps}

    def check(
        self, plan: Plan, stages: frozenset[Stage], resolver: Resolver, store: Store, image: RecipeImage
    ) -> None:
        """Hold a plan against the lock, before anything runs.

        Parameters
        ----------
        plan : Plan
            Of the whole reduction.
        stages : set of Stage
            Those that would run; of others what they need is compared.
        resolver, store, image
            What would run them; the store may know what a pinned action was.

        Raises
        ------
        NotAsLocked
            Something else would be done: exit code 3 if only frames differ, else 2.
        """
        steps = needed(plan, stages)
        gone = self._gone(plan, {*stages, *(step.stage for step in steps.values())})
        settings = [*self._other_image(image), *_told_once(self._other_parameters(steps, resolver))]
        if resolver.numerics != self.lock.numerics:
            settings.append(f"numerics is {resolver.numerics}, not {self.lock.numerics}")
        tags = {i.tag for step in steps.values() for i in step.inputs if isinstance(i, FrameInput)}
        lost = None if gone or any(step.problems for step in steps.values()) else tags
        frames = list(_other_frames(self.lock, locked_frames(steps.values(), resolver), lost))
        found = settings + frames or [*gone, *_told_once(self._other_steps(steps, resolver, store))]
        if found:
            only_frames = frames and not settings
            raise NotAsLocked(
                f"this is not what clio.lock says: {_some(found)}",
                "undo that, or take it for good with: clio run",
                Exit.FRAMES if only_frames else Exit.USAGE,
            )

    def refusal(self, step: Step, job: Job) -> str:
        """Say why a step must not run, now that its inputs are there; empty if it may."""
        pinned = self._steps.get(step.id)
        if pinned is not None and pinned.key == job.action.key:
            return ""
        return "it is not what clio.lock says any more: its inputs changed since it was compared"

    def with_clock(self, step: Step, call: Call) -> Call:
        """Let the clock of a call stand where the lock says, if that is wanted; run, if it ran then."""
        pinned = self._steps.get(step.id)
        if not self._has_clocks or pinned is None:
            return call
        clock = datetime.fromisoformat(pinned.clock) if pinned.clock else None
        return replace(call, is_clock_frozen=clock is not None, clock=clock)

    def difference(self, step: Step, run: Run) -> str:
        """Say in what the data of a run's products differ from the pinned ones; empty if they do not."""
        pinned = self._steps.get(step.id)
        then = {(p.tag, p.name): p.data_digest for p in pinned.products} if pinned else {}
        now = {(o.tag, o.name): o.data_digest for o in run.outputs}
        if then == now:
            return ""
        other = [name for name in then if name in now and then[name] != now[name]]
        words = [f"{tag} {name} has other data than clio.lock says" for tag, name in sorted(other)]
        words += [f"{tag} {name} is missing" for tag, name in sorted(then.keys() - now.keys())]
        words += [f"{tag} {name} is not in clio.lock" for tag, name in sorted(now.keys() - then.keys())]
        return _some(words)

    def _other_image(self, image: RecipeImage) -> Iterator[str]:
        if image.config_digest == self.lock.config_digest:
            return
        packages = compare_packages(image, self.lock.image)
        why = f" ({_some(list(packages))})" if packages else ""
        yield f"the image is {image.config_digest}, not {self.lock.config_digest}{why}"

    def _other_parameters(self, steps: Mapping[str, Step], resolver: Resolver) -> Iterator[tuple[str, str]]:
        for id_, step in steps.items():
            if id_ in self._steps:
                then, now = dict(self._steps[id_].parameters), dict(resolver.parameters(step).options)
                for option in sorted(then.keys() | now.keys()):
                    if then.get(option) != now.get(option):
                        values = f"{then.get(option, _DEFAULT)} -> {now.get(option, _DEFAULT)}"
                        yield id_, f": parameter {option}: {values}"

    def _gone(self, plan: Plan, stages: set[Stage]) -> list[str]:
        """List pinned steps of some stages that the plan has not."""
        planned, named = {step.id for step in plan.steps}, {stage.value for stage in stages}
        lost = (id_ for id_ in self._steps if id_ not in planned and id_.partition(":")[0] in named)
        return [f"{id_} is in clio.lock, and nothing asks for it now" for id_ in sorted(lost)]

    def _other_steps(
        self, steps: Mapping[str, Step], resolver: Resolver, store: Store
    ) -> Iterator[tuple[str, str]]:
        pinned: dict[str, _Pinned] = {}
        for id_, step in steps.items():
            if id_ not in self._steps:
                yield id_, " is not in clio.lock"
                continue
            pinned[id_] = _Pinned.of(self._steps[id_])
            if step.problems:
                yield id_, f" cannot be run: {step.problems[0].reason}"
            elif all(up in pinned for up in step.upstream):
                job = resolver.job(step, pinned)
                if job.action.key != self._steps[id_].key:
                    yield id_, f": {_in_words(self._steps[id_].key, job, store)}"


_DEFAULT = "its default"


def _other_frames(lock: Lock, now: set[LockedFrame], lost_of: set[str] | None) -> Iterator[str]:
    """Compare frames by their data: packing one changes its bytes and nothing else.

    The lock does not say which step read which. So of the frames that are gone only those of the tags in use
    are told; all of them (None) if steps want something.
    """
    then = {(f.tag, f.name, f.data_digest) for f in lock.frames}
    here = {(f.tag, f.name, f.data_digest) for f in now}
    lost, new = sorted(then - here), sorted(here - then)
    for tag, name, _ in list(new):
        twin = next((f for f in lost if f[:2] == (tag, name)), None) or _only_one(tag, lost, new)
        if twin is not None:
            lost.remove(twin)
            what = f"{tag} {name}"
            other = "" if twin[1] == name else f", which is {twin[1]} there"
            yield f"{what} holds other data than clio.lock says{other}"
            new = [f for f in new if f[:2] != (tag, name)]
    yield from (f"{tag} {name} is not in clio.lock" for tag, name, _ in new)
    for tag, name, _ in lost:
        if lost_of is None or tag in lost_of:
            yield f"{tag} {name} is in clio.lock, and not among the frames in use"


def _only_one(
    tag: str, lost: list[tuple[str, str, str]], new: list[tuple[str, str, str]]
) -> tuple[str, str, str] | None:
    """Find what a frame named by its content stands for: the one of its tag that is gone, if it is one."""
    gone = [frame for frame in lost if frame[0] == tag]
    come = [frame for frame in new if frame[0] == tag]
    return gone[0] if len(gone) == len(come) == 1 else None


def _in_words(key: str, job: Job, store: Store) -> str:
    """Say in what an action differs from the pinned one, as far as the store knows that one."""
    try:
        return "; ".join(in_words(differences(store.action(key), job.action)))
    except ProvenanceError:
        return (
            "it would be called otherwise: its inputs, its environment or what is expected of it differ; "
            f"the store does not know the action {key[:12]} of clio.lock"
        )


def _pinned_steps(
    plan: Plan, known: Mapping[str, Known], resolver: Resolver, old: Lock | None
) -> Iterator[LockedStep]:
    before = {step.step: step for step in old.steps} if old else {}
    made: dict[str, _Pinned] = {}
    for step in plan.steps:
        found = before.get(step.id)
        if step.id in known:
            found = _pin(step, known[step.id], resolver)
        elif found is None or not _is_true(step, found, made, resolver):
            continue
        made[step.id] = _Pinned.of(found)
        yield found


def _pinned_frames(
    plan: Plan, pinned: set[str], known: Mapping[str, Known], resolver: Resolver
) -> tuple[LockedFrame, ...]:
    """List the frames of the pinned steps, each once: as their runs read them, else as they are."""
    found: set[LockedFrame] = set()
    others = []
    for step in plan.steps:
        if step.id in known and known[step.id].is_own:
            tags = {item.tag for item in step.inputs if isinstance(item, FrameInput)}
            read = (file for file in known[step.id].run.inputs if file.tag in tags)
            found |= {LockedFrame(f.tag, f.name, f.data_digest or "", f.digest) for f in read}
        elif step.id in pinned:
            others.append(step)
    found |= locked_frames(others, resolver)
    # Packed at one time and not at another it is one frame all the same.
    return tuple({(f.tag, f.name, f.data_digest): f for f in sorted(found, reverse=True)}.values())


def _pin(step: Step, known: Known, resolver: Resolver) -> LockedStep:
    run = known.run
    made = tuple(LockedProduct(o.tag, o.name, o.data_digest or "", o.digest) for o in run.outputs)
    options = resolver.parameters(step).options
    return LockedStep(step.id, known.key, run.clock_at or "", options, tuple(sorted(made)))


def _is_true(step: Step, pinned: LockedStep, made: Mapping[str, _Pinned], resolver: Resolver) -> bool:
    if step.problems or any(up not in made for up in step.upstream):
        return False
    try:
        return resolver.job(step, made).action.key == pinned.key
    except (PipelineError, OSError):
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for others that write the lock; where the file system knows no locks, the last one wins."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _told_once(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Say what is the same for many steps once: with the first of them, and how many more there are."""
    steps: dict[str, list[str]] = {}
    for id_, words in found:
        steps.setdefault(words, []).append(id_)
    for words, ids in steps.items():
        yield f"{ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''}{words}"


def _some(found: list[str]) -> str:
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more
