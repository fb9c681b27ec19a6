"""What integration tests share: the recipe image, built once a machine, and the engines that are here.

An engine that is not here skips its tests and says what to install; CLIO_REQUIRE_ENGINES, a list with commas,
turns that into a failure, as CI does.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

import pipeline.image
from pipeline.engine import Engine, RecipeImage
from pipeline.engines.apptainer import ApptainerEngine
from pipeline.engines.bubblewrap import BubblewrapEngine
from pipeline.engines.docker import DockerEngine, PodmanEngine
from pipeline.errors import EngineUnavailable, ImageError
from pipeline.image import ImageLibrary
from tests.engines import absent


@pytest.fixture(scope="session")
def library() -> ImageLibrary:
    """The machine's own library, so that the image is built once."""
    return ImageLibrary()


@pytest.fixture(scope="session")
def image(library: ImageLibrary) -> RecipeImage:
    """The recipe image as the present sources build it."""
    package = Path(pipeline.image.__file__).parent
    sources = b"".join(path.read_bytes() for path in (package / "rootfs.sh", package / "archive.py"))
    known = library.root / "tests" / f"image-{hashlib.sha256(sources).hexdigest()[:16]}"
    known.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(known.with_suffix(".lock")):
        if known.is_file():
            try:
                return library.find(known.read_text())
            except ImageError:
                known.unlink()
        built = library.build()
        known.write_text(built.config_digest)
        return built


@pytest.fixture(scope="session")
def docker_host() -> str:
    """Address of a Docker daemon."""
    engine = DockerEngine()
    try:
        version = engine.version()
    except EngineUnavailable as error:
        absent("docker", error.message)
    finally:
        engine.close()
    if "Podman" in version:
        absent("docker", "what answers is Podman")
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


@pytest.fixture(scope="session")
def podman_host() -> Iterator[str]:
    """Address of a Podman service of our own, with storage of its own."""
    for program in ("podman", "runc"):
        if shutil.which(program) is None:
            absent("podman", f"there is no {program}")
    with _scratch() as directory, _podman_service(directory) as host:
        yield host


@pytest.fixture(scope="session")
def open_docker(docker_host: str) -> Iterator[Engine]:
    """The engine behind Docker's socket."""
    engine = DockerEngine(docker_host)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def open_podman(podman_host: str) -> Iterator[Engine]:
    """The same engine behind Podman's socket."""
    engine = PodmanEngine(podman_host)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def open_bubblewrap(image: RecipeImage) -> Engine:
    """The engine without a daemon."""
    engine = BubblewrapEngine()
    try:
        engine.prepare(image)
    except EngineUnavailable as error:
        absent("bubblewrap", error.message)
    return engine


@pytest.fixture(scope="session")
def open_apptainer(image: RecipeImage) -> Engine:
    """The engine of clusters."""
    engine = ApptainerEngine()
    try:
        engine.prepare(image)
    except EngineUnavailable as error:
        absent("apptainer", error.message)
    return engine


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("podman", marks=pytest.mark.podman),
        pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
        pytest.param("apptainer", marks=pytest.mark.apptainer),
    ]
)
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn, by name."""
    return str(request.param)


@pytest.fixture
def engine(engine_name: str, request: pytest.FixtureRequest, image: RecipeImage) -> Engine:
    """Each engine in turn, the recipe image prepared."""
    opened: Engine = request.getfixturevalue(f"open_{engine_name}")
    opened.prepare(image)
    return opened


@pytest.fixture
def host(engine_name: str, request: pytest.FixtureRequest) -> str:
    """Address of the daemon behind `engine`; empty if there is none."""
    has_daemon = engine_name in ("docker", "podman")
    return str(request.getfixturevalue(f"{engine_name}_host")) if has_daemon else ""


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], float], bool]:
    """Wait until something holds, for so many seconds at most; say whether it came to hold."""

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if holds():
                return True
            time.sleep(0.05)
        return holds()

    return wait


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a directory for a service: a short path for its socket, and its mounts undone in the end."""
    directory = Path(tempfile.mkdtemp(prefix="clio-podman-"))
    try:
        yield directory
    finally:
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for place in sorted(mounted, reverse=True):
            if Path(place).is_relative_to(directory):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(directory)


@contextmanager
def _podman_service(directory: Path) -> Iterator[str]:
    # runc and cgroupfs, because crun and systemd are not everywhere that tests are run.
    service = ["podman", "--root", str(directory / "storage"), "--runroot", str(directory / "run")]
    service += ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
    host = f"unix://{directory}/podman.sock"
    with (directory / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [*service, "system", "service", "--time", "0", host],
            cwd=directory,  # conmon leaves a file `oom` where it was started
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(process, directory)
            yield host
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(process: "subprocess.Popen[bytes]", directory: Path) -> None:
    end = time.monotonic() + 30
    while not (directory / "podman.sock").is_socket():
        if process.poll() is not None or time.monotonic() > end:
            absent("podman", (directory / "service.log").read_text(errors="replace").strip()[-300:])
        time.sleep(0.05)
