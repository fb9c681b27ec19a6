"""Why a run is not believed though it succeeded: what was said of it later. Asked by every lookup.

Each source is read once, when first asked, and left out for good if it has nothing to say, so that a store
without doubts pays for one look at its statements.
"""

import threading
from collections.abc import Callable
from typing import Protocol

from provenance.model import Run


class Doubter(Protocol):
    """Something that knows reasons not to believe runs."""

    def doubt(self, run: Run) -> str:
        """Say why a run is not to be believed; empty if it may be."""


Source = Callable[[], Doubter | None]
"""Reads the statements of a kind; None if they doubt nothing."""


class Doubts:
    """The doubts that hold in a store.

    Parameters
    ----------
    *sources : callable
        What gives them, the weightiest first.
    """

    def __init__(self, *sources: Source) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._held: tuple[Doubter, ...] | None = None

    def doubt(self, run: Run) -> str:
        """Say why a run is not to be believed; empty if it may be."""
        for doubter in self._doubters():
            if reason := doubter.doubt(run):
                return reason
        return ""

    def forget(self) -> None:
        """Read again when next asked: something was said."""
        with self._lock:
            self._held = None

    def _doubters(self) -> tuple[Doubter, ...]:
        held = self._held
        if held is None:
            with self._lock:
                held = tuple(found for source in self._sources if (found := source()) is not None)
                self._held = held
        return held
