"""Recipes called with inputs that no plan would give them: real engine, judge and record."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from astropy.io import fits

from pipeline.accept import Verdict
from pipeline.carryout import Tools, carry_out, judge
from pipeline.execute import Ran, StagedInput, execute, unfit
from pipeline.fitsdigest import digest_file
from pipeline.model import Stage
from pipeline.parameters import effective
from pipeline.recipes import expected_products
from pipeline.record import Job, make_action, make_call
from pipeline.reduce import Reduction
from provenance.model import Run

SKY_OF_MODEL = ("LSF_PROFILE", "SKY_CONTINUUM", "SKY_LINES")
"""What the post-processing needs only if it models the sky."""

_Hdus = Any


class Workbench:
    """A reduced workspace whose steps are carried out once more, with something exchanged.

    Parameters
    ----------
    folder : Path
        The workspace; nothing of it is changed but that runs are recorded.
    scratch : Path
        Where exchanged files and scratch directories lie.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.reduction = Reduction.open(folder, engine="bubblewrap")
        self.scratch = scratch
        self._jobs: dict[Stage, list[Job]] = {}
        for found in self.reduction.forecast():
            if found.job is not None:
                self._jobs.setdefault(found.step.stage, []).append(found.job)
        self._runs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reduction.close()

    def job(self, stage: Stage, **options: str) -> Job:
        """Give the first job of a stage, with some of its parameters set otherwise."""
        job = self._jobs[stage][0]
        step = job.step
        options = dict(step.parameters) | options
        known = self.reduction.library.parameters(self.reduction.image, self.reduction.engine, step.recipe)
        given = frozenset(item.tag for item in job.inputs)
        expected = expected_products(stage, options, 1, given)
        step = replace(step, parameters=tuple(sorted(options.items())), expected=expected)
        return self._remade(replace(job, step=step, effective=effective(step.recipe, known, step.parameters)))

    def post(self, **options: str) -> Job:
        """Give the quickest post-processing there is: 100 Angstrom of an exposure, its sky left in."""
        quick = {"skymethod": "none", "lambdamin": "6500", "lambdamax": "6600", "filter": "white"}
        job = self.job(Stage.PREP_ALIGN, **quick | options)
        return job if "skymethod" in options else self.without(job, *SKY_OF_MODEL)

    def without(self, job: Job, *names: str) -> Job:
        """Leave out inputs, by tag or name."""
        kept = tuple(item for item in job.inputs if item.tag not in names and item.name not in names)
        return self._remade(replace(job, inputs=kept))

    def exchanged(self, job: Job, old: StagedInput, *new: StagedInput) -> Job:
        """Put other inputs in the place of one."""
        inputs = tuple(given for item in job.inputs for given in (new if item is old else (item,)))
        return self._remade(replace(job, inputs=inputs))

    def edited(self, item: StagedInput, edit: Callable[[_Hdus], _Hdus | None]) -> StagedInput:
        """Copy an input and change what is in it, so that it is whole and has digests of its own."""
        self._runs += 1
        path = self.scratch / f"edited-{self._runs}.fits"
        with fits.open(item.path, memmap=False) as hdus:
            (edit(hdus) or hdus).writeto(path)
        return staged(item.tag, path)

    def damaged(self, item: StagedInput, size: int) -> StagedInput:
        """Cut an input off behind so many bytes, its digests those of the whole file."""
        self._runs += 1
        path = self.scratch / f"damaged-{self._runs}.fits"
        with item.path.open("rb") as file:
            path.write_bytes(file.read(size))
        return replace(item, path=path)

    def carry_out(self, job: Job) -> Run:
        """Run a job as Clio does; the run is recorded."""
        return carry_out(job, self._tools())

    def judged(self, job: Job) -> tuple[Ran, Verdict]:
        """Run a job although its inputs may be refused, and judge what it left; nothing is recorded."""
        self._runs += 1
        work = self.scratch / f"work-{self._runs}"
        return self.judged_in(work, job)

    def judged_in(self, work: Path, job: Job) -> tuple[Ran, Verdict]:
        """Run a job in a directory of choice."""
        for folder in (work / "in", work / "out"):
            folder.mkdir(parents=True)
        store = self.reduction.store
        call = make_call(job, store.new_run_id(), store.id, frozen=True, timeout_s=None, memory_bytes=None)
        ran = execute(call, work, self.reduction.engine, self.reduction.image, threading.Event())
        return ran, judge(job, ran, work)

    def refusal(self, job: Job) -> str:
        """Say why a job would not be run; empty if it would."""
        store = self.reduction.store
        call = make_call(job, store.new_run_id(), store.id, frozen=True, timeout_s=None, memory_bytes=None)
        return unfit(call)[1]

    def _remade(self, job: Job) -> Job:
        image = self.reduction.image
        return replace(job, action=make_action(job.step, job.effective, job.inputs, image, "pinned"))

    def _tools(self) -> Tools:
        mine = self.reduction
        return Tools(
            *(mine.settings, mine.store, mine.resolver, mine.engine, mine.image, threading.Event()),
            invocation=mine.store.new_run_id(),
            listen=lambda event: None,
        )


def staged(tag: str, path: Path) -> StagedInput:
    """Stage a file under a tag, whatever it is."""
    found = digest_file(path)
    name = f"{tag}_{found.data_digest.partition(':')[2][:12]}.fits"
    return StagedInput(tag, name, path, found.digest, found.data_digest, path.stat().st_size)


def of_tag(job: Job, tag: str, number: int = 0) -> StagedInput:
    """Find an input of a job."""
    return [item for item in job.inputs if item.tag == tag][number]
