"""Carry out a plan: each step in its turn, a hit shown, a miss carried out."""

import threading
from dataclasses import replace
from pathlib import Path

from pipeline.carryout import Tools, carry_out
from pipeline.costs import OUT_OF_MEMORY, Costs, Duration, Load, load_of
from pipeline.events import Did, Event
from pipeline.forecast import Forecast, Outcome, forecast
from pipeline.hashing import Reader, reading_ahead
from pipeline.locked import Known
from pipeline.model import FrameInput, Plan, Stage, Step
from pipeline.publish import publish, withdraw
from pipeline.reasons import reasons
from pipeline.record import Job
from pipeline.schedule import After, Budget, Grant, Task, run_tasks
from pipeline.stages import needed
from pipeline.tainted import repeated
from pipeline.timeleft import TimeLeft
from provenance.errors import StoreLocked
from provenance.model import OutputFile, Run

_FORESEEN = 10_000
"""Misses kept from the first look until their turn comes, at 2 kB each; more would fill the memory."""


class Conductor:
    """Carries out a plan, or the stages of it that are wanted.

    Parameters
    ----------
    plan : Plan
        Every step of the reduction.
    wanted : set of Stage
        Stages that may run; steps of others are only looked up.
    tools : Tools
        What it works with.
    """

    def __init__(self, plan: Plan, wanted: frozenset[Stage], tools: Tools) -> None:
        self._steps = needed(plan, wanted)
        self._wanted = wanted
        self._tools = tools
        self._forecasts: dict[str, Forecast] = {}
        self._foreseen: dict[str, Forecast] = {}
        self._loads: dict[str, Load] = {}
        self._lock = threading.Lock()
        self._costs = Costs(tools.store.costs, lambda step: tools.resolver.parameters(step).values)
        self._outlook: TimeLeft | None = None
        self.events: list[Event] = []
        """The end of every wanted step, in the order in which they came."""
        self.remarks: list[str] = []
        """What a person should know of what was made: the same again as something tainted."""

    def __call__(self, budget: Budget) -> None:
        """Carry it out.

        Raises
        ------
        EngineUnavailable, ProvenanceError
            Nothing can go on: no engine, a store that takes nothing more.
        """
        self._settle_what_is_known()
        left = {id_: step for id_, step in self._steps.items() if id_ not in self._forecasts}
        expected = ((step.id, step.upstream, self._duration(step)) for step in left.values())
        self._outlook = TimeLeft(expected, budget.jobs)
        order = tuple(left[id_] for id_ in self._outlook.most_urgent_first)
        if self._tools.unpacked is not None:
            self._tools.unpacked.expect(path for step in order for path in _frames_of(step))
        with reading_ahead(order, self._tools.resolver.digests, 4 * budget.jobs) as reader:
            run_tasks(
                tuple(Task(step.id, step.upstream) for step in order),
                lambda id_, grant: self._begin(id_, grant, reader),
                self._memory,
                budget,
                self._tools.cancel,
            )

    @property
    def believed(self) -> tuple[Run, ...]:
        """The run believed for each step whose outcome is known, stages that are not wanted included."""
        found = (self._forecasts.get(id_) for id_ in self._steps)
        return tuple(f.run for f in found if f and f.run and f.outcome is Outcome.HIT)

    @property
    def known(self) -> dict[str, Known]:
        """The key and the run of each step whose outcome is known, by id."""
        found = ((id_, self._forecasts.get(id_)) for id_ in self._steps)
        return {id_: Known(f.key, f.run) for id_, f in found if f and f.is_hit and f.run and f.key}

    def _settle_what_is_known(self) -> None:
        """End what needs neither a file read nor a recipe, step by step: threads would only slow it down."""
        for step in self._steps.values():
            is_next = all(id_ in self._forecasts or id_ not in self._steps for id_ in step.upstream)
            if is_next and not self._tools.cancel.is_set() and self._tools.resolver.knows_frames(step):
                found = self._forecast(step, in_full=False)
                if found.outcome is not Outcome.MISS:
                    self._end(found, _did(found))
                elif found.job is not None and len(self._foreseen) < _FORESEEN:
                    self._foreseen[step.id] = found

    def _forecast(self, step: Step, *, in_full: bool = True) -> Forecast:
        tools = self._tools
        return forecast(
            *(step, self._forecasts, tools.resolver, tools.store),
            retry_failed=tools.retry_failed,
            in_full=in_full,
        )

    def _begin(self, id_: str, grant: Grant, reader: Reader) -> After:
        reader.begun()
        return self._do(id_, grant)

    def _miss(self, step: Step) -> Forecast | None:
        """Give the miss that was found before, unless a frame changed while it waited."""
        found, tools = self._foreseen.pop(step.id, None), self._tools
        if found is None or found.job is None or not tools.resolver.still_fits(found.job):
            return None
        return replace(found, why=reasons(found.job, found.why[0], tools.store))

    def _do(self, id_: str, grant: Grant) -> After:
        step, locked = self._steps[id_], self._tools.locked
        found = self._miss(step) or self._forecast(step)
        refused = locked.refusal(step, found.job) if locked and found.job else ""
        if refused:
            self._end(Forecast(step, Outcome.BLOCKED, (refused,)), Did.BLOCKED)
        elif found.outcome is Outcome.MISS and step.stage not in self._wanted:
            why = f"{step.id} is not made yet ({found.why[0]}): run {step.stage} first"
            self._forecasts[id_] = Forecast(step, Outcome.BLOCKED, (why,))
            self._is_over(id_)
        elif found.outcome is Outcome.MISS and found.job is not None:
            return self._run(found, found.job, grant)
        else:
            self._end(found, _did(found))
        return After.DONE

    def _run(self, found: Forecast, job: Job, grant: Grant) -> After:
        store, cancel = self._tools.store, self._tools.cancel
        try:
            with store.claim(job.action.key, cancel) as waited:
                # Another process may have made it since it was looked up, whether we had to wait or not.
                known = store.lookup(job.action.key)
                if known.run is not None:
                    why = ("made by another run meanwhile",)
                    hit = replace(found, outcome=Outcome.HIT, run=known.run, why=why, accepted=known.accepted)
                    self._end(hit, Did.HIT)
                    return After.DONE
                if cancel.is_set():
                    return After.DONE
                if not waited:
                    self._tell(found.step, Did.STARTED, found.why)
                    run = carry_out(job, self._tools, grant)
        except StoreLocked:
            if cancel.is_set():
                return After.DONE  # the wait for somebody else's run was given up, as asked
            raise
        if waited:
            # Whoever had the claim failed, or died; and frames may have changed meanwhile.
            return self._do(found.step.id, grant)
        return self._take_in(found, job, run, grant)

    def _take_in(self, found: Forecast, job: Job, run: Run, grant: Grant) -> After:
        """Learn from a run that has ended, and say how; what ran out of memory gets all there is, once."""
        with self._lock:
            self._costs.learn(found.step, run, self._load(found.step))
        reason = f"{run.cause}: {run.reason}"
        if run.is_success:
            if same := repeated(run, self._tools.store):
                with self._lock:
                    self.remarks.append(same)
            self._end(replace(found, outcome=Outcome.HIT, run=run), Did.RAN)
        elif run.cause == OUT_OF_MEMORY and not grant.is_whole and not self._tools.cancel.is_set():
            self._tell(found.step, Did.AGAIN, (reason,), run)
            return After.AGAIN_ALONE
        else:
            self._end(Forecast(found.step, Outcome.BLOCKED, (reason,), job, run), Did.FAILED)
        return After.DONE

    def _end(self, found: Forecast, did: Did) -> None:
        step, run = found.step, found.run
        found, is_different = self._held_against_lock(found)
        did = Did.FAILED if is_different else did
        if run is not None and found.outcome is Outcome.HIT:
            objects = self._tools.store.objects
            products = tuple((o.tag, o.name, objects.path(o.digest)) for o in run.outputs)
            settings = self._tools.settings
            with self._tools.store.files.linking(run):
                publish(settings.products, step, products, settings.table.clio.link, self._tools.store.files)
        elif did is Did.FAILED and not is_different:
            # What it made of other inputs or parameters is not what is asked for now.
            withdraw(self._tools.settings.products, step)
        self._forecasts[step.id] = found.without_job
        self._is_over(step.id)
        if step.stage in self._wanted:
            self._tell(step, did, found.why, run, is_different=is_different)

    def _held_against_lock(self, found: Forecast) -> tuple[Forecast, bool]:
        """Block what follows from products that are not those of the lock, and say whether they are not."""
        locked, run = self._tools.locked, found.run
        if locked is None or run is None or found.outcome is not Outcome.HIT:
            return found, False
        difference = locked.difference(found.step, run)
        if not difference:
            return found, False
        return replace(found, outcome=Outcome.BLOCKED, why=(difference,)), True

    def _tell(
        self,
        step: Step,
        did: Did,
        why: tuple[str, ...],
        run: Run | None = None,
        *,
        is_different: bool = False,
    ) -> None:
        with self._lock:
            expected = left = None
            if self._outlook is not None:
                expected = self._outlook.start(step.id) if did is Did.STARTED else None
                left = self._outlook.left()
            event = Event(step, did, why, run, is_different, expected, left)
            if did not in (Did.STARTED, Did.AGAIN):
                self.events.append(event)
            self._tools.listen(event)

    def _is_over(self, id_: str) -> None:
        if self._outlook is None:
            return  # it was known, and stands in no line
        self._outlook.end(id_)
        self._loads.pop(id_, None)
        if self._tools.unpacked is not None:
            self._tools.unpacked.leave(_frames_of(self._steps[id_]))

    def _outputs(self, id_: str) -> tuple[OutputFile, ...]:
        """List the products of a step; none before it is made."""
        found = self._forecasts.get(id_)
        return found.run.outputs if found is not None and found.run is not None else ()

    def _memory(self, id_: str) -> int:
        step = self._steps[id_]
        with self._lock:
            return self._costs.memory_bytes(step, self._load(step))

    def _load(self, step: Step) -> Load:
        """Sum up what a step is given; asked when all it depends on has ended, so that it stays as it is."""
        if step.id not in self._loads:
            self._loads[step.id] = load_of(step, self._outputs)
        return self._loads[step.id]

    def _duration(self, step: Step) -> Duration:
        """Estimate how long a step takes; those that may not run or cannot take no time."""
        if step.stage not in self._wanted or step.problems:
            return Duration(0.0, is_learned=True)
        return self._costs.duration(step)


def _frames_of(step: Step) -> tuple[Path, ...]:
    return tuple(item.frame.path for item in step.inputs if isinstance(item, FrameInput))


def _did(found: Forecast) -> Did:
    """Say what becomes of a step that is not run."""
    if found.outcome is Outcome.HIT:
        return Did.HIT
    return Did.FAILED if found.has_failed else Did.BLOCKED
