"""What a step that runs costs beside its recipe: looking up, staging, judging, publishing, recording.

Usage: python benchmarks/bookkeeping.py WORKSPACE

In a workspace of known steps a parameter of a stage is changed, so that all of it runs, with an engine that
computes nothing. What counts is the CPU time of the whole process, of all its threads, from the end of one
call of the engine to the end of the next, less what the engine took in its thread, and less reading and
hashing the product and the log, which is measured where it happens: both are read as they become objects, the
product for its digests before.

One step at a time: where recipes take no time, two threads only fight for the interpreter, which doubles the
figure; with real recipes they hardly meet.

Two figures. The first is of steps that follow at once on each other. The second is of steps that take a
quarter of a second each, as the quickest recipe does, in which another process keeps a core and its caches
busy: then all that Clio does is done with cold caches.

An ext4 without a journal passes over every inode removed in the last minutes when it makes a new one:
after a large folder was removed on the same disk a step costs up to 1.6 ms more for a while.

Each is the mean of all steps; behind it stands what half of them and what a tenth of them take at most. Where
other machines share the processor, the mean tells what they do as well.
"""

import gc
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import graph  # noqa: F401  # finds the tests' fakes

import pipeline.products
import provenance.objects

from fakes import FakeEngine  # isort: skip
from pipeline.cli.start import RARELY
from pipeline.config import Settings, load
from pipeline.engine import EngineRequest, EngineResult, RecipeImage
from pipeline.errors import Interrupted
from pipeline.reduce import Reduction

QUICKEST_S = 0.25
"""What the quickest recipe takes."""
_MOST = 700
"""Steps that are run with such recipes, after which the call is stopped: more take too long."""
_RECIPE = f"""
import sys, time
frame = bytearray(1 << 25)
for line in sys.stdin:
    end = time.perf_counter() + {QUICKEST_S}
    while time.perf_counter() < end:
        frame[::64] = frame[1::64]
    print(flush=True)
"""
"""A process that does something to a frame whenever it is told to."""


@dataclass(slots=True)
class Hashing:
    """What reading and hashing files takes."""

    cpu_s: float = 0.0

    def timed(self, function: Callable[..., object]) -> Callable[..., object]:
        """Give a function that does the same, and has its CPU time added."""

        def call(*args: object, **more: object) -> object:
            begin = time.thread_time()
            try:
                return function(*args, **more)
            finally:
                self.cpu_s += time.thread_time() - begin

        return call


HASHING = Hashing()


def time_hashing() -> None:
    """Have all readings of a product and a log timed from now on."""
    pipeline.products.read_hdus = HASHING.timed(pipeline.products.read_hdus)
    pipeline.products.digest_file = HASHING.timed(pipeline.products.digest_file)
    provenance.objects.digest_descriptor = HASHING.timed(provenance.objects.digest_descriptor)


def bookkeeping_s() -> float:
    """Give the CPU seconds of this process but those of hashing."""
    return time.process_time() - HASHING.cpu_s


@dataclass(slots=True)
class Timed:
    """An engine that computes nothing and notes when it was called."""

    inner: FakeEngine = field(default_factory=FakeEngine)
    name: str = "fake"
    cpu_s: float = 0.0
    """What it took itself, up to now."""
    ends: list[float] = field(default_factory=list)
    """CPU seconds of this process, without those of hashing and its own, at the end of each call."""
    recipe: subprocess.Popen[str] | None = None
    """What keeps a core busy meanwhile, for a limited number of calls."""

    def version(self) -> str:
        return self.inner.version()

    def prepare(self, image: RecipeImage) -> None:
        self.inner.prepare(image)

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        begin = time.thread_time()
        result = self.inner.run(image, request, cancel)
        if self.recipe is not None and self.recipe.stdin and self.recipe.stdout:
            print(file=self.recipe.stdin, flush=True)
            self.recipe.stdout.readline()
            if len(self.ends) == _MOST:
                cancel.set()
        self.cpu_s += time.thread_time() - begin
        self.ends.append(bookkeeping_s() - self.cpu_s)
        return result


def main(workspace: str) -> None:
    engine = Timed()
    time_hashing()
    gc.set_threshold(RARELY)  # as `clio` does
    with (
        subprocess.Popen(
            [sys.executable, "-c", _RECIPE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as recipe,
        Reduction(_one_at_a_time(load(Path(workspace))), engine=engine) as reduction,
    ):
        # What is loaded once is loaded now: NumPy, for the tables this stage is given.
        reduction.run_combine_dataset(crsigma=14.5)
        import numpy  # noqa: F401

        at_once = _each(reduction, engine)
        engine.recipe = recipe
        apart = _each(reduction, engine)
    print(
        f"a step that runs: {_spread(at_once)} of CPU beside engine and hashing,"
        f" {_spread(apart)} between recipes of {QUICKEST_S} s"
        f" ({len(at_once) + 1} and {len(apart) + 1} ran in this store)"
    )


def _spread(each: list[float]) -> str:
    """Write the mean, the median and the first decile."""
    ordered = sorted(each)
    half, tenth = ordered[len(ordered) // 2], ordered[len(ordered) // 10]
    return f"{sum(each) / len(each):.1f} ms (half {half:.1f}, a tenth {tenth:.1f})"


def _each(reduction: Reduction, engine: Timed) -> list[float]:
    """Give the CPU time of each step but the last, in milliseconds."""
    asked = round(random.random(), 9)  # not what an earlier call asked for
    engine.ends.clear()
    with suppress(Interrupted):  # by the engine, which has seen enough
        reduction.run_scipost_perexpo(skymodel_fraction=asked)
    return [1000 * (end - before) for before, end in pairwise(engine.ends)]


def _one_at_a_time(settings: Settings) -> Settings:
    clio = settings.table.clio.model_copy(update={"jobs": 1})
    return replace(settings, table=settings.table.model_copy(update={"clio": clio}))


if __name__ == "__main__":
    main(sys.argv[1])
