"""What a person who waits for a run sees: a bar with the time left, lines, or JSON lines."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING

from pipeline.cli.output import OUTPUT, print_json, seconds

if TYPE_CHECKING:
    from rich.progress_bar import ProgressBar

    from pipeline.events import Event
    from pipeline.timeleft import Left


@contextlib.contextmanager
def watching(cancel: threading.Event, *, as_json: bool = False) -> "Iterator[Callable[[Event], None]]":
    """Give what listens to a run: it shows progress, and stops the recipes first when asked to stop."""
    with stopping(cancel):
        if as_json or not OUTPUT.shows_progress:
            yield _json_lines if as_json else _lines
        else:
            with _progress() as listen:
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
    from pipeline.events import Did

    shown = (Did.RAN, Did.FAILED, Did.AGAIN)
    if event.did is Did.STARTED or (event.did not in shown and not OUTPUT.verbose):
        return
    wall = f" {seconds(event.run.wall_ms)} s" if event.run and event.did is not Did.HIT else ""
    why = event.did in (Did.FAILED, Did.BLOCKED, Did.AGAIN) or OUTPUT.verbose
    OUTPUT.say(f"{event.did:8}{event.step.id}{wall}{f': {event.why[0]}' if why and event.why else ''}")


def _json_lines(event: "Event") -> None:
    left = event.left.seconds if event.left else None
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
            "expected_s": None if event.expected_s is None else round(event.expected_s, 1),
            "done": round(event.left.done, 4) if event.left else None,
            "left_s": None if left is None else round(left, 1),
            "eta": None if left is None else _in(left),
        }
    )


def _in(left_s: float) -> str:
    at = datetime.now(UTC) + timedelta(seconds=left_s)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """Write a duration as people say it.

    Examples
    --------
    >>> duration(42.3), duration(200), duration(5000)
    ('42 s', '3 min 20 s', '1 h 23 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def time_left(left: "Left", since_s: float) -> str:
    """Say how long it takes still, some time after it was reckoned; less surely where nothing ran before."""
    about = "about" if left.is_learned else "perhaps"
    return f"{about} {duration(max(0.0, left.seconds - since_s))} left"


def time_of_step(elapsed_s: float, expected_s: float) -> str:
    """Say how long a recipe has run and how long it is expected to."""
    return f"{duration(elapsed_s)} of about {duration(expected_s)}"


@contextlib.contextmanager
def _progress() -> "Iterator[Callable[[Event], None]]":
    """Show a bar with the time left, and a line for each recipe that runs."""
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
    from rich.text import Text

    from pipeline.events import Did

    class Times(ProgressColumn):
        """Counts on between two events."""

        def render(self, task: Task) -> Text:
            if task.fields.get("expected_s") is not None:
                return Text(time_of_step(task.elapsed or 0.0, task.fields["expected_s"]))
            left, at = task.fields["left"], task.fields["at"]
            return Text(time_left(left, time.monotonic() - at) if left else "")

    class Bar(BarColumn):
        """Of a recipe that runs it shows the time it is expected to take."""

        def render(self, task: Task) -> "ProgressBar":
            if task.fields.get("expected_s"):
                task.total = task.fields["expected_s"]
                task.completed = min(task.elapsed or 0.0, 0.97 * task.total)
            return super().render(task)

    columns = (SpinnerColumn(), TextColumn("{task.description}"), Bar(20), Times())
    with Progress(*columns, console=OUTPUT.talk, transient=True) as bars:
        overall = bars.add_task("reduction", total=None, left=None, at=0.0)
        running: dict[str, TaskID] = {}

        def listen(event: "Event") -> None:
            if event.step.id in running:
                bars.remove_task(running.pop(event.step.id))
            if event.did is Did.STARTED:
                expected = event.expected_s or 0.0
                running[event.step.id] = bars.add_task(event.step.id, expected_s=expected)
            if event.left is not None:
                done = event.left.done
                bars.update(overall, total=1.0, completed=done, left=event.left, at=time.monotonic())
            _lines(event)

        yield listen
