"""A synthetic night and its reductions, made once a session with the installed command."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.engines import open_engine
from pipeline.errors import EngineUnavailable
from tests.end_to_end.commands import Done, Killed, Reduced, call, kill_in_the_middle, new_workspace
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


@pytest.fixture(params=["docker", "bubblewrap"])
def engine(request: pytest.FixtureRequest) -> str:
    """Name of each engine in turn."""
    return str(request.getfixturevalue("docker")) if request.param == "docker" else "bubblewrap"


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
def reduced_in_docker(
    image: str, docker: str, night: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reduced]:
    """The same night reduced in Docker."""
    folder = new_workspace(tmp_path_factory.mktemp("docker"), night, image)
    done = call("run", "--engine", "docker", "--json", cwd=folder)
    assert done.exit_status == 0, done.stderr
    yield Reduced(folder, None, done.summary)
    shutil.rmtree(folder)
