"""What a person who waits for a run sees: a bar with the time left, lines, or JSON lines."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from pipeline.cli.output import OUTPUT, print_json, seconds

if TYPE_CHECKING:
    from pipeline.conduct import Event
    from pipeline.forecast import Forecast
    from pipeline.model import Stage
    from pipeline.reduce import Reduction
    from pipeline.stages import Only


@contextlib.contextmanager
def watching(
    reduction: "Reduction", stages: "tuple[Stage, ...]", *, only: "Only | None" = None, as_json: bool = False
) -> "Iterator[Callable[[Event], None]]":
    """Give what listens to a run: it shows progress, and stops the recipes first when asked to stop."""
    with stopping(reduction.cancel):
        if as_json or not OUTPUT.shows_progress:
            yield _json_lines if as_json else _lines
        else:
            with _progress(reduction, stages, only) as listen:
                yield listen


@contextlib.contextmanager
def stopping(cancel: threading.Event) -> Iterator[None]:
    """Set an event when a person or the system asks to stop, in place of raising at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if not cancel.is_set():
            OUTPUT.say("stopping: the recipes that run are ended, what is made stays")
        cancel.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lines(event: "Event") -> None:
    """Say one line for each step that ran or failed; of hits and what is blocked only with --verbose."""
    from pipeline.conduct import Did

    if event.did is Did.STARTED or (event.did not in (Did.RAN, Did.FAILED) and not OUTPUT.verbose):
        return
    wall = f" {seconds(event.run.wall_ms)} s" if event.run and event.did is not Did.HIT else ""
    why = event.did in (Did.FAILED, Did.BLOCKED) or OUTPUT.verbose
    OUTPUT.say(f"{event.did:8}{event.step.id}{wall}{f': {event.why[0]}' if why and event.why else ''}")


def _json_lines(event: "Event") -> None:
    print_json(
        {
            "schema": "clio-run-step/1",
            "stage": event.step.stage.value,
            "recipe": event.step.recipe,
            "unit": event.step.unit,
            "did": event.did.value,
            "why": list(event.why),
            "run": event.run.run if event.run else None,
            "wall_s": event.run.wall_ms / 1000 if event.run and event.run.wall_ms else None,
        }
    )


@contextlib.contextmanager
def _progress(
    reduction: "Reduction", stages: "tuple[Stage, ...]", only: "Only | None"
) -> "Iterator[Callable[[Event], None]]":
    """Show a bar with the time left, and a line for each recipe that runs."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    from pipeline.conduct import Did

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=OUTPUT.talk, transient=True) as bars:
        overall = bars.add_task("reduction", total=None, left="")
        expected: dict[str, float] = {}
        running: dict[str, TaskID] = {}
        begin = time.monotonic()
        done = 0.0

        def listen(event: "Event") -> None:
            nonlocal done
            if event.did is Did.STARTED:
                if not expected:  # only now is it worth asking: a run of hits is over before
                    wanted = [f for f in reduction.forecast(only=only) if f.step.stage in stages]
                    expected.update((f.step.id, _expected_s(reduction, f)) for f in wanted)
                    bars.update(overall, total=sum(expected.values()))
                about = f"about {expected.get(event.step.id, 0):.0f} s"
                running[event.step.id] = bars.add_task(event.step.id, total=None, left=about)
                return
            if event.step.id in running:
                bars.remove_task(running.pop(event.step.id))
                done += expected.get(event.step.id, 0.0)
                left = (time.monotonic() - begin) * (sum(expected.values()) / done - 1) if done else 0.0
                bars.update(overall, completed=done, left=f"{int(left // 60)} min {left % 60:.0f} s left")
            _lines(event)

        yield listen


def _expected_s(reduction: "Reduction", found: "Forecast") -> float:
    """Guess how long a step will take: as long as last time, or as its stage usually does."""
    from pipeline.recipes import TYPICAL_S

    if found.outcome.value != "miss":
        return 0.0
    last = reduction.store.last_run(found.step.stage.value, found.step.unit)
    if last is not None and last.is_success and last.wall_ms:
        return last.wall_ms / 1000
    return TYPICAL_S[found.step.stage]
