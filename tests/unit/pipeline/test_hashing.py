"""Frames are read while recipes run, so that none waits for a digest."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from builders import night_frames

from pipeline.config import FileTable, Settings
from pipeline.errors import FitsError
from pipeline.hashing import reading_ahead
from pipeline.model import FrameInput, Scan, Step
from pipeline.plan import plan

ROOT = Path("/galaxy")
STEPS = plan(
    Scan(night_frames(), (), (), (ROOT / "raw",)), Settings(ROOT, FileTable(), ROOT / "clio.toml")
).steps


def frames_of(steps: tuple[Step, ...]) -> list[Path]:
    """List the frames of steps, each once, in their order."""
    paths = (item.frame.path for step in steps for item in step.inputs if isinstance(item, FrameInput))
    return list(dict.fromkeys(paths))


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_frames_are_read_in_the_order_of_the_steps_some_ahead_of_those_that_have_begun() -> None:
    """A night is larger than the memory: what is read too early is read twice from the disk."""
    seen: list[Path] = []

    with reading_ahead(STEPS, seen.append, 2) as reader:
        wait_until(lambda: seen == frames_of(STEPS[:2]))
        time.sleep(0.02)
        assert seen == frames_of(STEPS[:2])
        for _ in STEPS:
            reader.begun()
        wait_until(lambda: seen == frames_of(STEPS))


def test_a_frame_that_cannot_be_read_is_left_to_its_step() -> None:
    seen: list[Path] = []

    def read(path: Path) -> None:
        seen.append(path)
        if len(seen) % 2:
            raise FitsError("it is none")
        raise FileNotFoundError(path)

    with reading_ahead(STEPS, read, len(STEPS)):
        wait_until(lambda: seen == frames_of(STEPS))


def test_when_all_is_over_nothing_more_is_read() -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    seen: list[Path] = []

    def read(path: Path) -> None:
        seen.append(path)
        begun.set()
        may_go_on.wait(10)

    with reading_ahead(STEPS, read, len(STEPS)):
        assert begun.wait(10)
        threading.Timer(0.05, may_go_on.set).start()

    assert 1 <= len(seen) < len(frames_of(STEPS))
