"""The door of the reduction, for the command line and for notebooks: open a workspace, run its stages."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from pipeline.arguments import refuse_idle
from pipeline.budget import budget
from pipeline.carryout import Tools
from pipeline.conduct import Conductor
from pipeline.errors import ConfigError, Exit, Interrupted, UsageError
from pipeline.events import Did, Event, failure
from pipeline.given import given_places
from pipeline.lock import Lock, read_lock
from pipeline.locked import Locked, keep_lock
from pipeline.model import Plan, Stage
from pipeline.opened import Opened, spelled
from pipeline.packing import Unpacked
from pipeline.publish import folder
from pipeline.recipes import FINAL
from pipeline.record import software
from pipeline.replacing import sweep_partial
from pipeline.stages import EVERYTHING, Only, narrowed, needed, stage_of, stretch
from pipeline.standing import Beginning, Relied
from pipeline.strict import refuse_problems
from pipeline.summary import AsLocked, Made, Summary
from provenance.errors import StoreDamaged, StoreFull, StoreUnwritable
from provenance.model import Invocation, StepOutcome

_log = logging.getLogger(__name__)


class Reduction(Opened):
    """A workspace opened for work. Close it, best in a `with` block.

    Parameters
    ----------
    settings : Settings
        As `pipeline.config.load` reads them.
    engine : str or Engine, optional
        Engine to use instead of the one in the settings: its name, or itself.
    library : ImageLibrary, optional
        Images to choose from; by default those of this machine.

    Raises
    ------
    ProvenanceError
        The store cannot be opened.

    Examples
    --------
    >>> from pipeline import Reduction
    >>> mypipe = Reduction.open("clio.toml")  # doctest: +SKIP
    >>> mypipe.run_recipes(last="prep_align")  # doctest: +SKIP
    """

    def run(
        self,
        stages: Iterable[Stage] = tuple(Stage),
        listen: Callable[[Event], None] = lambda event: None,
        argv: tuple[str, ...] = (),
        jobs: int | None = None,
        *,
        memory_bytes: int | None = None,
        only: Only = EVERYTHING,
        retry_failed: bool = False,
        as_locked: AsLocked = AsLocked.NO,
        is_strict: bool = False,
    ) -> Summary:
        """Run stages; whatever is known is not run again.

        Parameters
        ----------
        stages : iterable of Stage
            Which may run. What they need of others has to be known.
        listen : callable
            Told of each step's start and end.
        argv : tuple of str
            The command, for the record.
        jobs : int, optional
            Recipes at once; by default as the settings say, else one a core.
        memory_bytes : int, optional
            What recipes may take together; by default as the settings say, else what is free. If it is said,
            each is held to its share.
        only : Only
            Targets and datasets to reduce, with the calibrations they need; by default all.
        retry_failed : bool
            Try again what failed for a cause that stays: the same inputs, parameters and image end the
            same way, unless the machine was to blame.
        as_locked : AsLocked
            Whether to do what `clio.lock` says and nothing else. Then the lock is left as it is; else it is
            written if all went well, unless parameters were given with a call.
        is_strict : bool
            Whether to begin nothing if a frame cannot be used, or a step that is wanted cannot run.

        Returns
        -------
        Summary
            Also if steps failed or are blocked: the others were done.

        Raises
        ------
        FramesError, EngineUnavailable, ImageError, ProvenanceError
            Nothing can go on.
        UsageError
            No exposure belongs to a target or dataset that is asked for.
        NotAsLocked
            Something else than what the lock says would be done.
        Interrupted
            `cancel` was set.
        """
        begin, started = time.monotonic(), _now()
        wanted = frozenset(stages)
        self.store.sweep()
        sweep_partial(self.settings.root)
        self._may_pin = as_locked is AsLocked.NO
        lock = read_lock(self.settings.lock)  # if it is damaged it is said now, and not hours later
        plan = self.plan()
        part = narrowed(plan, only)
        steps = needed(part, wanted)
        refuse_idle(self._set, steps)
        if is_strict:
            refuse_problems(plan, steps.values())
        locked = self._held_against(lock, as_locked, plan, wanted)
        invocation = self.store.new_run_id()
        table = self.settings.table.clio
        given = memory_bytes or (None if table.memory_gb is None else round(table.memory_gb * 1e9))
        tools = Tools(
            *(self.settings, self.store, self.resolver, self.engine, self.image, self.cancel),
            invocation=invocation,
            listen=listen,
            retry_failed=retry_failed,
            locked=locked,
            has_limits=given is not None,
            unpacked=Unpacked(lambda: self.store.work(invocation)),
        )
        conductor = Conductor(part, wanted, tools)
        exit_status: int | None = None
        try:
            conductor(budget(jobs or table.jobs, given))
            error = failure(tuple(conductor.events))
            exit_status = int(error.exit_code) if error else 0
            if self.cancel.is_set():
                exit_status = int(Exit.INTERRUPTED)
        finally:
            is_stopped = self.cancel.is_set()
            self.cancel.clear()  # the next call carries on
            self.store.discard_work(invocation)
            self._record_invocation(invocation, started, argv, exit_status, conductor.events)
        if is_stopped:
            raise Interrupted("stopped on request", "run the same command again to carry on")
        remarks = (*plan.remarks, *conductor.remarks)
        if not self._is_as_configured:
            what = "parameters came with the call" if self._arguments or self._illum else _ASKED
            remarks = (*remarks, f"{self.settings.lock.name} is left as it is: {what}")
        elif error is None and locked is None:
            numerics = self.settings.table.clio.numerics
            keep_lock(self.settings.lock, plan, conductor.known, self.resolver, self.image, numerics)
        summary = self._summary(conductor.events, time.monotonic() - begin)
        return replace(summary, problems=plan.problems, remarks=remarks, believed=conductor.believed)

    def relied(self, summary: Summary, beginning: Beginning) -> Relied | None:
        """List what a run that found nothing to do relied on; None if there was something to do.

        Parameters
        ----------
        summary : Summary
            What the run did.
        beginning : Beginning
            From before this workspace was opened.
        """
        if summary.ran or summary.failed or summary.blocked or not self._is_as_configured:
            return None
        if self.resolver.has_restless:
            return None
        files = [made.path for made in summary.products]
        for run in summary.believed:
            files.append(self.store.records.record_path(run.action, run.run))
            for digest in (*(o.digest for o in run.outputs), *(e.digest for e in run.extras)):
                path = self.store.objects.path(digest)
                if not self.store.files.remembers(digest, path.lstat()):
                    return None  # edited while we looked, or on a disk that takes no memo
                files.append(path)
        read = (*self.settings.folders, *given_places(self.settings))
        return Relied(self.store.path, read, tuple(files), beginning)

    def run_recipes(
        self, first: str | None = None, last: str | None = None, *, retry_failed: bool = False
    ) -> tuple[Made, ...]:
        """Run a stretch of the workflow.

        Parameters
        ----------
        first, last : str, optional
            Names of stages, both included; by default from the first to the last.
        retry_failed : bool
            As in `run`.

        Returns
        -------
        tuple of Made
            Every product of these stages, made now or known.

        Raises
        ------
        UsageError
            No stage has that name, or the last comes before the first.
        RecipeFailed, FramesError
            Steps failed or are blocked; all others were done.
        """
        self.ask_for(stage_of(name) for name in (first, last) if name)
        return self._checked(stretch(first, last), retry_failed=retry_failed)

    def run_bias(self) -> tuple[Made, ...]:
        """Make the master biases."""
        return self._checked((Stage.BIAS,))

    def run_dark(self) -> tuple[Made, ...]:
        """Make the master darks, if the settings want them."""
        return self._checked((Stage.DARK,))

    def run_flat(self) -> tuple[Made, ...]:
        """Make the master flats and trace tables."""
        return self._checked((Stage.FLAT,))

    def run_wave(self) -> tuple[Made, ...]:
        """Make the wavelength calibrations."""
        return self._checked((Stage.WAVE,))

    def run_lsf(self) -> tuple[Made, ...]:
        """Make the line spread profiles."""
        return self._checked((Stage.LSF,))

    def run_twilight(self, illum: bool | None = None) -> tuple[Made, ...]:
        """Make the twilight cubes; `illum` says whether with an ILLUM exposure (by the settings: yes)."""
        return self._with_illum(Stage.TWILIGHT, illum)

    def run_scibasic_all(self, illum: bool | None = None) -> tuple[Made, ...]:
        """Make the pixel tables of all OBJECT, SKY and STD exposures; `illum` as in `run_twilight`."""
        return self._with_illum(Stage.SCIBASIC, illum)

    run_scibasic = run_scibasic_all

    def run_standard(self) -> tuple[Made, ...]:
        """Make the response curves of the standard stars."""
        return self._checked((Stage.STANDARD,))

    def run_sky(self, fraction: float | None = None) -> tuple[Made, ...]:
        """Make the sky models; `fraction` of the field is taken for sky (by the workflow: 0.8)."""
        return self._with(Stage.SKY, fraction=fraction)

    def run_prep_align(self, **parameters: str | float | bool) -> tuple[Made, ...]:
        """Make an image of each exposure in the alignment filter."""
        return self._with(Stage.PREP_ALIGN, **parameters)

    def run_align_bydataset(self, **parameters: str | float | bool) -> tuple[Made, ...]:
        """Find the offsets of the exposures of each dataset."""
        return self._with(Stage.ALIGN, **parameters)

    def run_align_bygroup(self, **parameters: str | float | bool) -> tuple[Made, ...]:
        """Find offsets within each template of a dataset; `run_scipost(offset_list="bygroup")` takes them."""
        self.ask_for((Stage.ALIGN_BYGROUP,))
        return self._with(Stage.ALIGN_BYGROUP, **parameters)

    def run_scipost(
        self, offset_list: bool | str = True, **parameters: str | float | bool
    ) -> tuple[Made, ...]:
        """Reduce each dataset to a cube, its exposures shifted by the list that `align` made.

        Parameters
        ----------
        offset_list : bool or str
            `bydataset` or `bygroup`: whose list, for this and all later calls of this object; by default
            as the settings say.
        **parameters
            Of the recipe.

        Raises
        ------
        FramesError
            There is no such list yet: run the alignment first.
        UsageError
            `offset_list=False` contradicts the settings, or it is no such word.
        """
        self._check_offsets(offset_list)
        return self._with(Stage.SCIPOST, **parameters)

    def run_scipost_perexpo(
        self, offset_list: bool | str = True, **parameters: str | float | bool
    ) -> tuple[Made, ...]:
        """Reduce each exposure to a pixel table; raises as `run_scipost`."""
        self._check_offsets(offset_list)
        return self._with(Stage.SCIPOST_PEREXPO, **parameters)

    def run_combine_dataset(self, **parameters: str | float | bool) -> tuple[Made, ...]:
        """Combine the pixel tables of each dataset to its final cube."""
        return self._with(Stage.COMBINE, **parameters)

    combine_dataset = run_combine_dataset

    def run_finalise(self, **parameters: str | float | bool) -> tuple[Made, ...]:
        """Put whole targets together: aligned, combined, and a cube of each exposure on the same grid.

        `parameters` are of the cubes of exposures. What comes before has to be made: up to `scipost_perexpo`.
        """
        self.ask_for(FINAL)
        self._argue(Stage.FINALISE, **parameters)
        return self._checked(FINAL)

    finalise = run_finalise

    def made(self, events: Iterable[Event]) -> tuple[Made, ...]:
        """List the products of steps that ran or were hits."""
        return tuple(
            Made(
                tag=output.tag,
                path=folder(self.settings.products, event.step) / output.name,
                digest=output.digest,
                data_digest=output.data_digest or "",
                stage=event.step.stage,
                unit=event.step.unit,
                did=event.did,
            )
            for event in events
            if event.run is not None and event.did in (Did.HIT, Did.RAN)
            for output in event.run.outputs
        )

    def _held_against(
        self, lock: Lock | None, as_locked: AsLocked, plan: Plan, wanted: frozenset[Stage]
    ) -> Locked | None:
        """Hold a plan against the lock, if that is asked for."""
        if as_locked is AsLocked.NO:
            return None
        if lock is None or not lock.steps:
            path = self.settings.lock
            what = f"{path} pins the image alone" if lock else f"there is no {path}"
            raise ConfigError(f"{what}: nothing says what to do", "run without --locked first: that pins it")
        locked = Locked(lock, has_clocks=as_locked is AsLocked.TO_THE_BYTE)
        locked.check(plan, wanted, self.resolver, self.store, self.image)
        return locked

    def _with(self, stage: Stage, **parameters: str | float | bool | None) -> tuple[Made, ...]:
        """Run a stage with parameters of its recipe; they hold for this object's later calls too."""
        self._argue(stage, **parameters)
        return self._checked((stage,))

    def _argue(self, stage: Stage, **parameters: str | float | bool | None) -> None:
        given = spelled(stage, parameters)
        if given:
            self._arguments.setdefault(stage, {}).update(given)

    def _with_illum(self, stage: Stage, illum: bool | None) -> tuple[Made, ...]:
        if illum is not None:
            self._illum[stage] = illum
        return self._checked((stage,))

    def _check_offsets(self, offset_list: bool | str) -> None:
        if isinstance(offset_list, str):
            if offset_list not in _ALIGNED_BY:
                known = " or ".join(_ALIGNED_BY)
                raise UsageError(f"offset_list={offset_list!r} is no list of offsets", f"it is {known}")
            self._asked = replace(self._asked, align_by=_ALIGNED_BY[offset_list])
            offset_list = True
        wanted = self.settings.table.workflow.offset_list
        if offset_list != wanted:
            raise UsageError(
                f"offset_list={offset_list}, and the settings say {wanted}",
                "set it in clio.toml, where combine reads it too: [workflow] offset_list",
            )

    def _checked(self, stages: tuple[Stage, ...], *, retry_failed: bool = False) -> tuple[Made, ...]:
        summary = self.run(stages, retry_failed=retry_failed)
        error = failure(summary.events)
        if error is not None:
            raise error
        return summary.products

    def _summary(self, events: list[Event], wall_s: float) -> Summary:
        counts = {did: sum(event.did is did for event in events) for did in Did}
        return Summary(
            ran=counts[Did.RAN],
            hits=counts[Did.HIT],
            failed=counts[Did.FAILED],
            blocked=counts[Did.BLOCKED],
            wall_s=wall_s,
            products=self.made(events),
            events=tuple(events),
        )

    def _record_invocation(
        self,
        id_: str,
        started: str,
        argv: tuple[str, ...],
        exit_status: int | None,
        events: list[Event],
    ) -> None:
        steps = tuple(
            StepOutcome(
                stage=event.step.stage.value,
                unit=event.step.unit,
                recipe=event.step.recipe,
                action=event.run.action if event.run else None,
                run=event.run.run if event.run else None,
                outcome=event.did.value,
                why=event.why,
            )
            for event in events
        )
        clio = dict(software())["clio"]
        workspace = str(self.settings.root)
        call = Invocation(id_, started, _now(), argv, clio, workspace, exit_status, steps)
        try:
            self.store.record_invocation(call)
        except (StoreDamaged, StoreFull, StoreUnwritable) as error:
            # Each step has its record; losing the word about the call must not hide how it ended.
            _log.warning("this call is not recorded: %s", error.message)


_ALIGNED_BY = {"bydataset": "dataset", "bygroup": "template"}
"""Lists of offsets, as methods name them and as the settings do."""
_ASKED = "the call asked for more than the settings do"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
