"""What a lock says, reduced from raw frames in an empty store, and compared with it.

The workspace it is of is only read, its store not even that: a lock, `clio.toml` and the frames are enough.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Settings
from pipeline.errors import ConfigError, UsageError
from pipeline.events import Event
from pipeline.image import ImageLibrary
from pipeline.lock import LockedProduct, LockedStep, read_lock
from pipeline.model import Stage
from pipeline.places import LOCK
from pipeline.reduce import Reduction
from pipeline.summary import AsLocked
from pipeline.verdict import Sameness, worst
from provenance.model import OutputFile


@dataclass(frozen=True, slots=True)
class ProductVerdict:
    """A product beside the one that the lock names."""

    tag: str
    name: str
    pinned: LockedProduct | None
    """None if the lock has no such product."""
    made: OutputFile | None
    """None if it was not made."""

    @property
    def sameness(self) -> Sameness:
        """How like they are; digests are all a lock has, so a difference has no figures."""
        if self.pinned is None or self.made is None:
            return Sameness.NOT_COMPARABLE
        if self.pinned.digest == self.made.digest:
            return Sameness.IDENTICAL
        is_same = self.pinned.data_digest == self.made.data_digest
        return Sameness.SAME_SCIENCE if is_same else Sameness.DIFFERENT


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """A step of the lock, and what came of it."""

    step: str
    products: tuple[ProductVerdict, ...]
    """By tag and name."""
    run: str | None
    """The run that made them; None if there was none."""
    reason: str
    """Why it is no better; empty if it is identical."""

    @property
    def sameness(self) -> Sameness:
        """The worst of its products."""
        return worst(product.sameness for product in self.products)


@dataclass(frozen=True, slots=True)
class LockReplay:
    """What came of a lock."""

    steps: tuple[StepVerdict, ...]
    """In the order of the lock."""
    wall_s: float

    @property
    def sameness(self) -> Sameness:
        """The worst of its steps."""
        return worst(step.sameness for step in self.steps)

    @property
    def has_same_data(self) -> bool:
        """Whether every product came out with the data that the lock names."""
        return self.sameness in (Sameness.IDENTICAL, Sameness.SAME_SCIENCE)


@contextmanager
def beside(
    settings: Settings,
    lock: Path,
    *,
    into: Path | None = None,
    raw: Path | None = None,
    calib: Path | None = None,
    engine: str = "",
    library: ImageLibrary | None = None,
) -> Iterator[Reduction]:
    """Open the reduction of a workspace in an empty store, under a lock.

    Parameters
    ----------
    settings : Settings
        Of the workspace; its parameters and choices hold, its store is left alone.
    lock : Path
        What has to be done.
    into : Path, optional
        Where the store is made, which stays; by default in a temporary folder.
    raw, calib : Path, optional
        Where the frames lie, instead of where the settings say.
    engine, library
        As of `Reduction`.

    Raises
    ------
    ConfigError
        There is no such lock, or it pins nothing but an image.
    UsageError
        The store to be made is there already.
    """
    if not (found := read_lock(lock)) or not found.steps:
        raise ConfigError(f"{lock} pins no step", "clio run writes a lock that does")
    if into is not None and into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"{into} is not empty: what is known there would not be made again", "name another")
    place = Path(tempfile.mkdtemp(prefix="clio-replay-"))
    try:
        shutil.copyfile(lock, place / LOCK)
        store = place / ".clio" if into is None else into.absolute()
        with Reduction(_moved(settings, place, store, raw, calib), engine=engine, library=library) as opened:
            yield opened
    finally:
        shutil.rmtree(place, ignore_errors=True)


def replay_lock(
    reduction: Reduction,
    listen: Callable[[Event], None] = lambda event: None,
    argv: tuple[str, ...] = (),
    jobs: int | None = None,
) -> LockReplay:
    """Reduce what the lock says, with the clocks it says, and compare.

    Parameters
    ----------
    reduction : Reduction
        Of `beside`.
    listen, argv, jobs
        As of `Reduction.run`.

    Raises
    ------
    NotAsLocked
        Frames, image or settings are not those of the lock; nothing was run.
    """
    lock = read_lock(reduction.settings.lock)
    assert lock is not None  # `beside` wrote it
    summary = reduction.run(
        stages_of(reduction.settings.lock), listen, argv, jobs, as_locked=AsLocked.TO_THE_BYTE
    )
    ended = {event.step.id: event for event in summary.events}
    steps = tuple(_verdict(step, ended.get(step.step)) for step in lock.steps)
    return LockReplay(steps, summary.wall_s)


def stages_of(path: Path) -> tuple[Stage, ...]:
    """List the stages of which a lock has steps, in their order."""
    lock = read_lock(path)
    pinned = {step.step.partition(":")[0] for step in lock.steps} if lock else set()
    return tuple(stage for stage in Stage if stage.value in pinned)


def _moved(settings: Settings, place: Path, store: Path, raw: Path | None, calib: Path | None) -> Settings:
    """Give a workspace another place, and leave what it reads where it lies."""
    table, root = settings.table, settings.root
    data = table.data.model_copy(
        update={
            "raw": [str(root / name) for name in ([str(raw.absolute())] if raw else table.data.raw)],
            "calib": [str(root / name) for name in ([str(calib.absolute())] if calib else table.data.calib)],
        }
    )
    archive = str(root / table.image.archive) if table.image.archive else ""
    changed = {
        "data": data,
        "clio": table.clio.model_copy(update={"store": str(store)}),
        "image": table.image.model_copy(update={"archive": archive}),
    }
    return Settings(place, table.model_copy(update=changed), settings.file)


def _verdict(pinned: LockedStep, event: Event | None) -> StepVerdict:
    run = event.run if event else None
    then = {(p.tag, p.name): p for p in pinned.products}
    now = {(o.tag, o.name): o for o in run.outputs} if run else {}
    products = tuple(
        ProductVerdict(*key, then.get(key), now.get(key)) for key in sorted(then.keys() | now.keys())
    )
    verdict = StepVerdict(pinned.step, products, run.run if run else None, "")
    if verdict.sameness is Sameness.IDENTICAL:
        return verdict
    if verdict.sameness is Sameness.SAME_SCIENCE:
        reason = "the same data, other bytes"
    else:
        reason = event.why[0] if event and event.why else "it was not run"
    return StepVerdict(verdict.step, verdict.products, verdict.run, reason)
