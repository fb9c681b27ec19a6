"""Frames read ahead of the steps that need them, so that digests are ready when a recipe could start."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import FitsError
from pipeline.model import FrameInput, Step
from provenance.errors import ProvenanceError

Read = Callable[[Path], object]
"""Reads a file; what it gives is not looked at."""


class Reader:
    """Reads the frames of steps in a thread of its own, some steps ahead of those that have begun.

    Not all at once: a night is larger than the memory, and a frame is best read again, by its recipe, while
    the system still holds it.
    """

    def __init__(self, steps: Sequence[Step], read: Read, ahead: int) -> None:
        self._steps = steps
        self._read_file = read
        self._ahead = ahead
        self._begun = 0
        self._is_stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="clio-reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End with the file that is being read."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join()

    def begun(self) -> None:
        """Take down that one more step has begun."""
        with self._changed:
            self._begun += 1
            self._changed.notify()

    def _read(self) -> None:
        seen: set[Path] = set()
        for place, step in enumerate(self._steps):
            for item in step.inputs:
                if not isinstance(item, FrameInput) or item.frame.path in seen:
                    continue
                if not self._may_read(place):
                    return
                seen.add(item.frame.path)
                # What is wrong with it is said by the step, when its turn has come.
                with contextlib.suppress(FitsError, OSError, ProvenanceError):
                    self._read_file(item.frame.path)

    def _may_read(self, place: int) -> bool:
        """Wait until a step is near; False once there is nothing more to read for."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or place < self._begun + self._ahead)
            return not self._is_stopped


@contextlib.contextmanager
def reading_ahead(steps: Sequence[Step], read: Read, ahead: int) -> Iterator[Reader]:
    """Read the frames of steps, in their order, while something else goes on.

    Parameters
    ----------
    steps : sequence of Step
        In the order in which they will begin, more or less.
    read : callable
        Reads a file, and remembers what it read; two threads that want one file read it once.
    ahead : int
        How many steps ahead of the last that has begun.
    """
    reader = Reader(steps, read, ahead)
    reader.start()
    try:
        yield reader
    finally:
        reader.stop()
