"""The seam between Clio and whatever runs a recipe: the protocol and its values.

An engine prepares an image, runs one request inside it, and reports how that ended. It knows nothing of
FITS, recipes, keys or the store. Implementations live in `pipeline.engines`, a file each, and are all
tested by the same tests.
"""

import threading
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RecipeImage:
    """An image on this machine, ready to be given to an engine."""

    config_digest: str
    """`sha256:<64 hex>` of the OCI image configuration: the identity of the image."""
    platform: str
    """Such as `linux/amd64`."""
    archive: Path
    """The image archive (what `docker load` reads)."""
    rootfs: Path
    """The same root file system, unpacked, read-only."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file of the host that the recipe may read."""

    source: Path
    """Where it lies on the host; a regular file, resolved."""
    target: str
    """Absolute path inside the container; it may hold `:`."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A program that runs another one on a processor it emulates."""

    program: Path
    """On the host; linked statically, as it is all that the image gets of it."""
    cpu: str
    """Model of the processor, as the program names it: `Nehalem`."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program sees of where it runs: always the same, unless a passport sets it otherwise."""

    hostname: str = "clio"
    user: tuple[int, int] | None = None
    """User and group id inside, where the engine can map them; None for those of the caller."""
    directory: str = "/out"
    """Where the output directory is mounted, and the working directory: this, or a place below /tmp."""
    inputs: str = "/in"
    """Below what inputs are mounted: this, or a place below it."""
    emulator: Emulator | None = None
    """What emulates a processor; None for that of the machine."""


USUAL = Surroundings()
"""Those of every run proper."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One call of a program inside an image."""

    run: str
    """Id of the run; names the container."""
    store: str
    """Id of the store; labels the container so that orphans can be swept."""
    argv: tuple[str, ...]
    """Program and arguments; the engine puts `env -i NAME=value...` in front of it."""
    environment: tuple[tuple[str, str], ...]
    """The complete environment of the process, the clock's variables included."""
    inputs: tuple[Mount, ...]
    """All of the host that may be read."""
    out: Path
    """Host directory that is the working directory inside, and all that can be written but /tmp."""
    memory_bytes: int | None = None
    """Limit of the memory; None for no limit."""
    timeout_s: float | None = None
    """The run is stopped after so many seconds; None for no limit."""
    surroundings: Surroundings = USUAL


class Ending(StrEnum):
    """How a run ended."""

    EXITED = "exited"
    """The program ended by itself, with an exit status or by a signal of its own."""
    OUT_OF_MEMORY = "out of memory"
    """It met the memory limit."""
    TIMEOUT = "timeout"
    """It was stopped after `timeout_s`."""
    KILLED = "killed"
    """It was stopped because we were asked to stop, or by somebody else's SIGKILL or SIGTERM."""


@dataclass(frozen=True, slots=True)
class EngineResult:
    """How a request ended and what it cost. None stands for a figure the engine cannot give."""

    ending: Ending
    exit_status: int | None
    """Exit status of the program, None if a signal ended it."""
    signal: int | None
    """Number of the signal that ended it."""
    started: datetime
    """UTC."""
    ended: datetime
    """UTC."""
    wall_ms: int
    """By a monotonic clock outside the container."""
    cpu_user_ms: int | None
    cpu_system_ms: int | None
    peak_memory_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None
    isolation: tuple[tuple[str, str], ...]
    """What was applied, item by item: (`network`, `none`), (`memory limit`, `not applied: ...`)."""


class Engine(Protocol):
    """Something that runs a program inside an image, isolated from the host."""

    @property
    def name(self) -> str:
        """Name as in the configuration: `docker`, `podman`, `bubblewrap`, `apptainer`."""

    def version(self) -> str:
        """Version of the engine's program.

        Raises
        ------
        EngineUnavailable
            The engine does not answer.
        """

    def prepare(self, image: RecipeImage) -> None:
        """Make the image usable by `run`; returns at once if it already is.

        Raises
        ------
        EngineUnavailable
            The engine does not answer or cannot take the image.
        ImageError
            What the engine holds under that digest is something else.
        """

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request to its end; blocks. Many threads may call at once.

        When this returns the program and all it started have ended, whatever happened.

        Parameters
        ----------
        image : RecipeImage
            A prepared image.
        request : EngineRequest
            What to run.
        cancel : threading.Event
            Once set, the run is stopped within a second or two and reported as `KILLED`.

        Raises
        ------
        EngineUnavailable
            The engine failed to start or follow the run.
        """
