"""What a step that runs costs beside its recipe: looking up, staging, judging, publishing, recording.

Usage: python benchmarks/bookkeeping.py WORKSPACE

In a workspace of known steps the parameters of a stage are changed, so that all of it runs, with an engine
that computes nothing. Its own CPU time is taken off, and so is that of the same call once nothing is left to
do, and that of reading and hashing the products once more. One step at a time: where recipes take no time,
two threads only fight for the interpreter, which doubles the figure; with real recipes they hardly meet.
And each step takes a quarter of a second, as the quickest recipe does: ext4 passes over every inode removed
in the last five seconds, one by one, whenever a file is made, and no recipe comes a hundred times a second.
"""

import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import graph  # noqa: F401  # finds the tests' fakes

from fakes import FakeEngine  # isort: skip
from pipeline.config import Settings, load
from pipeline.engine import EngineRequest, EngineResult, RecipeImage
from pipeline.fitsdigest import digest_file
from pipeline.reduce import Reduction

QUICKEST_S = 0.25
"""What the quickest recipe takes."""


@dataclass(slots=True)
class Timed:
    """An engine that computes nothing and tells how much CPU it took all the same."""

    inner: FakeEngine = field(default_factory=FakeEngine)
    name: str = "fake"
    spent_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def version(self) -> str:
        return self.inner.version()

    def prepare(self, image: RecipeImage) -> None:
        self.inner.prepare(image)

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        begin = time.thread_time()
        result = self.inner.run(image, request, cancel)
        time.sleep(QUICKEST_S)
        with self._lock:
            self.spent_s += time.thread_time() - begin
        return result


def main(workspace: str) -> None:
    engine = Timed()
    with Reduction(_one_at_a_time(load(Path(workspace))), engine=engine) as reduction:
        # What is loaded once is loaded now: NumPy, for the tables this stage is given.
        reduction.run_combine_dataset(crsigma=14.5)
        import numpy  # noqa: F401

        costs = []
        for _ in range(2):
            engine.spent_s, before = 0.0, len(engine.inner.seen)
            begin = time.process_time()
            made = reduction.run_scipost_perexpo(skymodel_fraction=0.0625)
            costs.append((time.process_time() - begin - engine.spent_s, len(engine.inner.seen) - before))
    begin = time.process_time()
    for product in made:
        digest_file(product.path, verify=True)
    hashing = time.process_time() - begin
    (first, ran), (second, again) = costs
    assert ran and not again
    each = (first - second - hashing) / ran * 1000
    print(f"a step that runs: {each:.1f} ms of CPU beside engine and hashing ({ran} ran in this store)")


def _one_at_a_time(settings: Settings) -> Settings:
    clio = settings.table.clio.model_copy(update={"jobs": 1})
    return replace(settings, table=settings.table.model_copy(update={"clio": clio}))


if __name__ == "__main__":
    main(sys.argv[1])
