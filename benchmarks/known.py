"""A workspace of which every step is known: real frames, real records, products nobody reduced.

Usage: python benchmarks/known.py FOLDER [STEPS]

Each step becomes a job, and its run a record, by the same code as in `clio run`; only the recipe is left out:
its products are small FITS files with the cards a record is made from. Then `clio run` has nothing to do.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from graph import exposures_for, settle, write_workspace  # first: it finds the tests' builders

from builders import image, primary, sealed  # isort: skip
from pipeline.accept import Verdict
from pipeline.config import load
from pipeline.engine import Ending, EngineResult
from pipeline.environment import clock_environment, settled
from pipeline.execute import Ran, command
from pipeline.model import Plan, Step
from pipeline.products import Product, read_product
from pipeline.publish import publish
from pipeline.record import Job, make_call, record
from pipeline.reduce import Reduction
from provenance.model import Run

WALL_MS = 12_000
"""Of a recipe that was not run."""


@dataclass(frozen=True, slots=True)
class NoEngine:
    """Names what ran nothing."""

    name: str = "none"

    def version(self) -> str:
        return "1"


def make_known(root: Path) -> Plan:
    """Record a run of every step of a workspace, and show its products."""
    # Whoever breaks off builds again; syncing every file would take longer than all the rest.
    os.fsync = lambda descriptor: None
    accepted = Verdict("", "", (), 1, 0)
    with Reduction(load(root)) as reduction:
        plan = reduction.plan()
        store, settings = reduction.store, reduction.settings
        invocation = store.new_run_id()
        runs: dict[str, Run] = {}
        for step in plan.steps:
            job = reduction.resolver.job(step, runs)
            id_ = store.new_run_id()
            work = store.work(id_)
            ran = _pretend(job, id_, store.id, work)
            run = record(store, job, ran, accepted, engine=NoEngine(), invocation=invocation)
            store.discard_work(id_, is_quiet=True)  # as where a recipe ran
            products = tuple((o.tag, o.name, store.objects.path(o.digest)) for o in run.outputs)
            with store.files.linking(run):
                publish(settings.products, step, products, settings.table.clio.link, store.files)
            runs[step.id] = run
    return plan


def _pretend(job: Job, run: str, store: str, work: Path) -> Ran:
    call = make_call(job, run, store, frozen=True, timeout_s=None, memory_bytes=None)
    clock = datetime.now(UTC).replace(microsecond=0)
    argv = command(call)
    result = EngineResult(
        ending=Ending.EXITED,
        exit_status=0,
        signal=None,
        started=clock,
        ended=clock,
        wall_ms=WALL_MS,
        cpu_user_ms=11_000,
        cpu_system_ms=500,
        peak_memory_bytes=900_000_000,
        read_bytes=None,
        written_bytes=None,
        isolation=(("network", "none"),),
    )
    return Ran(
        call=call,
        argv=argv,
        environment=(*settled(call.environment, 2), *clock_environment(clock, job.action.platform)),
        clock=clock,
        result=result,
        log=f"[ INFO  ] run {run}: {' '.join(argv)}\n" + "[ INFO  ] nothing was computed\n" * 40,
        log_path=None,
        products=tuple(_products(job, work / "out")),
        faults=(),
        changed=(),
    )


def _products(job: Job, out: Path) -> Iterator[Product]:
    names = tuple(_names(job.step))
    for number, (tag, name) in enumerate(names):
        cards = {
            "INSTRUME": "MUSE",
            "DATE-OBS": job.step.unit[:23],
            "ESO PRO CATG": tag,
            "ESO PRO REC1 ID": job.step.recipe,
            "ESO PRO REC1 PIPE ID": "muse/2.8.7",
            "ESO QC BENCH LEVEL": number,
        }
        pixels = [value % 256 for value in (job.action.key + name).encode()]
        path = out / name
        path.write_bytes(sealed(primary(cards)) + sealed(image("DATA", pixels)))
        yield read_product(path, tag)


def _names(step: Step) -> Iterator[tuple[str, str]]:
    """Give tag and file name of each product, as the recipes call them."""
    ifu = f"-{step.ifus[0]:02d}" if step.unit.endswith(f":{step.ifus[0]:02d}") else ""
    for expected in step.expected:
        for number in range(1, expected.least + 1):
            words = (expected.tag, expected.filter, f"{number:04d}")
            yield expected.tag, f"{'_'.join(filter(None, words))}{ifu}.fits"


def main(folder: str, steps: str = "2000") -> None:
    root = Path(folder)
    begin = time.process_time()
    write_workspace(root, exposures_for(int(steps)))
    written = time.process_time()
    plan = make_known(root)
    settle([root / "clio.toml"])
    print(
        f"{len(plan.steps)} steps known in {root}: frames {written - begin:.0f} s of CPU, "
        f"records {time.process_time() - written:.0f} s"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
