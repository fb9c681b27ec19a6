"""A synthetic night and its reductions, made once a session with the installed command."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.engines import open_engine
from pipeline.errors import EngineUnavailable
from tests.end_to_end.commands import (
    CLIO,
    Done,
    Killed,
    Reduced,
    Replayed,
    call,
    kill_in_the_middle,
    new_workspace,
)
from tests.engines import absent


@pytest.fixture(scope="session")
def clio() -> Callable[..., Done]:
    return call


@pytest.fixture(scope="session")
def image() -> str:
    """Digest of the recipe image that today's packages make."""
    done = call("image", "build", "--json", cwd=Path("/"))
    assert done.exit_status == 0, done.stderr
    return str(done.document["digest"])


@pytest.fixture(scope="session")
def docker() -> str:
    """Name of the engine, if a daemon answers."""
    try:
        open_engine("docker")
    except EngineUnavailable as error:
        absent("docker", error.message)
    return "docker"


@pytest.fixture(scope="session")
def apptainer() -> str:
    """Name of the engine, if it is installed."""
    try:
        open_engine("apptainer")
    except EngineUnavailable as error:
        absent("apptainer", error.message)
    return "apptainer"


@pytest.fixture(params=["docker", "bubblewrap", "apptainer"])
def engine(request: pytest.FixtureRequest) -> str:
    """Name of each engine in turn."""
    name = str(request.param)
    return name if name == "bubblewrap" else str(request.getfixturevalue(name))


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night of IFUs 1 and 2 with three exposures; twilight needs IFU 1, the standard star two."""
    folder = tmp_path_factory.mktemp("night")
    done = call("simulate", folder, "--ifus", "1,2", "--exposures", "3", "--seed", "1")
    assert done.exit_status == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def reduced(image: str, night: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reduced]:
    """The night reduced in bubblewrap; killed with SIGKILL in the middle, and carried on."""
    folder = new_workspace(tmp_path_factory.mktemp("bubblewrap"), night, image)
    kill_in_the_middle(folder)
    check = call("check", "--json", cwd=folder)
    finished = call("run", "--engine", "bubblewrap", "--json", cwd=folder)
    assert finished.exit_status == 0, finished.stderr
    killed = Killed(check, finished, call("check", "--json", cwd=folder))
    yield Reduced(folder, killed, finished.summary)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def replayed_in_docker(
    docker: str, reduced: Reduced, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replayed]:
    """The same night replayed in Docker from raw frames, into another store; its own cannot be written to."""
    store = tmp_path_factory.mktemp("replayed") / "store"
    summary, folder = reduced.run().summary, str(reduced.folder)
    mounts = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", folder, folder]
    verb = ["replay", "--closure", "--engine", docker, "--into", str(store), "--json"]
    done = subprocess.run([*mounts, CLIO, *verb], cwd=folder, capture_output=True, text=True, check=False)
    yield Replayed(Done(done.returncode, done.stdout, done.stderr), store, summary)
    shutil.rmtree(store)
