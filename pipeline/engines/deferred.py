"""An engine that is opened when it is first needed: a run of hits starts none, and imports none."""

import threading
from collections.abc import Callable

from pipeline.engine import Engine, EngineRequest, EngineResult, RecipeImage


class DeferredEngine:
    """Stands for an engine until one is needed.

    Parameters
    ----------
    opening : callable
        Opens the real one.
    """

    def __init__(self, opening: Callable[[], Engine]) -> None:
        self._opening = opening
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._prepared: set[str] = set()

    @property
    def real(self) -> Engine:
        """The engine itself, opened if it was not."""
        with self._lock:
            if self._engine is None:
                self._engine = self._opening()
            return self._engine

    @property
    def is_open(self) -> bool:
        """Whether the real one was needed yet."""
        return self._engine is not None

    @property
    def name(self) -> str:
        """Name of the real one."""
        return self.real.name

    def version(self) -> str:
        """Version of the real one."""
        return self.real.version()

    def prepare(self, image: RecipeImage) -> None:
        """Make the image usable, once."""
        engine = self.real
        with self._lock:
            if image.config_digest not in self._prepared:
                engine.prepare(image)
                self._prepared.add(image.config_digest)

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request in the real one, its image prepared."""
        self.prepare(image)
        return self.real.run(image, request, cancel)
