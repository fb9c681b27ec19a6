"""Which engine to use, and which of them work on this machine."""

import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pipeline.engine import Ending, Engine, EngineRequest, RecipeImage
from pipeline.errors import EngineUnavailable, PipelineError, UsageError

ENGINES = ("docker", "podman", "bubblewrap", "apptainer")
"""Names in the configuration. What answers as Docker may be Podman; `podman` is nothing else."""
AUTO = ("docker", "bubblewrap", "apptainer")
"""What `auto` tries, in this order."""
_INSTALL = {
    "docker": "install Docker (`apt-get install docker.io`) or Podman (`apt-get install podman`), "
    "and start its socket",
    "podman": "install Podman (`apt-get install podman`), and start its socket "
    "(`systemctl --user start podman.socket`)",
    "bubblewrap": "install bubblewrap (`apt-get install bubblewrap`)",
    "apptainer": "install Apptainer (`apt-get install apptainer`, or ask those who run the cluster)",
}


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What `clio doctor` says of an engine."""

    name: str
    """As in the configuration."""
    works: bool
    """Whether a program was really run, or could be if there were an image."""
    version: str
    """Of the engine's program; empty if it does not answer."""
    reason: str
    """Why it does not work, or what was not tried; empty if all is well."""
    install: str
    """What to do about it; empty if all is well."""
    start_ms: int | None
    """Time of one `esorex --version`, start to end; None if none was run."""


def open_engine(name: str) -> Engine:
    """Open an engine by its name, or the first that works for `auto`.

    Parameters
    ----------
    name : str
        `auto`, `docker`, `podman`, `bubblewrap` or `apptainer`.

    Raises
    ------
    UsageError
        There is no engine of that name.
    EngineUnavailable
        It does not answer; for `auto`, none does.
    """
    if name != "auto":
        engine = _make(name)
        engine.version()
        return engine
    reasons = []
    for candidate in AUTO:
        engine = _make(candidate)
        try:
            engine.version()
            return engine
        except EngineUnavailable as error:
            reasons.append(f"{candidate}: {error.message}")
    raise EngineUnavailable(
        "no engine works here; " + "; ".join(reasons), hint="; or ".join(_INSTALL[name] for name in AUTO)
    )


def probe(image: RecipeImage | None = None) -> tuple[EngineStatus, ...]:
    """Try every engine for real: run `esorex --version` in an image, if there is one.

    Parameters
    ----------
    image : RecipeImage, optional
        The image to try; any of this machine's images without.
    """
    if image is None:
        from pipeline.image import ImageLibrary

        image = next(iter(ImageLibrary().list()), None)
    return tuple(_probe(name, image) for name in ENGINES)


def _make(name: str) -> Engine:
    match name:
        case "docker":
            from pipeline.engines.docker import DockerEngine

            return DockerEngine()
        case "podman":
            from pipeline.engines.docker import PodmanEngine

            return PodmanEngine()
        case "bubblewrap":
            from pipeline.engines.bubblewrap import BubblewrapEngine

            return BubblewrapEngine()
        case "apptainer":
            from pipeline.engines.apptainer import ApptainerEngine

            return ApptainerEngine()
        case _:
            raise UsageError(
                f"there is no engine {name!r}", hint=f"engine is one of auto, {', '.join(ENGINES)}"
            )


def _probe(name: str, image: RecipeImage | None) -> EngineStatus:
    engine = _make(name)
    version = ""
    try:
        version = engine.version()
        if image is None:
            return EngineStatus(
                name, True, version, "not tried: there is no image", "run `clio image build`", None
            )
        engine.prepare(image)
        return _try(engine, image, version)
    except PipelineError as error:
        return EngineStatus(name, False, version, error.message, error.hint or _INSTALL[name], None)
    finally:
        # Only engines that hold connections have something to let go of.
        getattr(engine, "close", lambda: None)()


def _try(engine: Engine, image: RecipeImage, version: str) -> EngineStatus:
    out = Path(tempfile.mkdtemp(prefix="clio-doctor-"))
    try:
        request = EngineRequest(
            run=f"doctor-{uuid4().hex[:8]}",
            store="doctor",
            argv=("esorex", "--version"),
            environment=(("HOME", "/tmp"), ("LC_ALL", "C"), ("PATH", "/usr/bin:/bin")),
            inputs=(),
            out=out,
            timeout_s=60.0,
        )
        clock = time.monotonic()
        result = engine.run(image, request, threading.Event())
        start_ms = round(1000 * (time.monotonic() - clock))
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if result.ending is Ending.EXITED and result.exit_status == 0:
        return EngineStatus(engine.name, True, version, "", "", start_ms)
    status = "" if result.exit_status is None else f", exit status {result.exit_status}"
    reason = f"esorex does not run in the image {image.config_digest[:19]}: {result.ending}{status}"
    return EngineStatus(
        engine.name, False, version, reason, "build the image anew: `clio image build`", start_ms
    )
