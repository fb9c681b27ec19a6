"""What is learnt of a daemon from its own words, and where one is looked for."""

import os
import socket
from pathlib import Path

import pytest

from pipeline.engine import EngineRequest
from pipeline.engines.daemon import describe, find_host, find_podman, usual_sockets
from pipeline.engines.owner import is_alive, this_process
from pipeline.errors import EngineUnavailable

DOCKER = {"Version": "20.10.24", "Components": [{"Name": "Engine"}]}
PODMAN = {"Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]}
SELF = f"{os.getuid()}:{os.getgid()}"


@pytest.mark.parametrize(
    ("version", "options", "user", "namespace"),
    [
        pytest.param(DOCKER, ["name=seccomp,profile=default"], SELF, None, id="docker"),
        pytest.param(DOCKER, ["name=rootless"], "0:0", None, id="rootless docker"),
        pytest.param(PODMAN, ["name=seccomp,profile=default"], SELF, None, id="podman"),
        pytest.param(PODMAN, ["name=rootless"], SELF, "keep-id", id="rootless podman"),
        pytest.param(DOCKER, None, SELF, None, id="says nothing"),
    ],
)
def test_files_belong_to_the_caller_whatever_the_daemon(
    version: dict[str, object], options: list[str] | None, user: str, namespace: str | None
) -> None:
    daemon = describe(version, {"SecurityOptions": options})

    assert (daemon.user, daemon.user_namespace) == (user, namespace)


def test_version_names_podman() -> None:
    assert describe(DOCKER, {}).version == "20.10.24"
    assert describe(PODMAN, {}).version == "4.3.1 (Podman)"


def test_daemon_without_memory_controller_says_so(tmp_path: Path) -> None:
    request = EngineRequest("r", "s", ("a",), (), (), tmp_path, memory_bytes=1)

    assert "memory limit" not in describe(DOCKER, {"MemoryLimit": True}).own_isolation(request)
    said = describe(DOCKER, {"MemoryLimit": False}).own_isolation(request)
    assert said["memory limit"].startswith("not applied: ")


def test_docker_host_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere.sock")

    assert find_host() == "unix:///somewhere.sock"


def test_usual_sockets_are_docker_then_podman_of_the_system_last() -> None:
    assert usual_sockets("/run/user/7") == (
        "/var/run/docker.sock",
        "/run/user/7/docker.sock",
        "/run/user/7/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    assert usual_sockets(None) == ("/var/run/docker.sock", "/run/podman/podman.sock")


def test_first_socket_that_is_there_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    (tmp_path / "file").touch()
    # Bound by a relative name, because the path of a socket may not be long.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("there")

        found = find_host([str(tmp_path / name) for name in ("gone", "file", "there")])

    assert found == f"unix://{tmp_path}/there"


def test_no_daemon_says_where_was_looked_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)

    with pytest.raises(EngineUnavailable) as caught:
        find_host(["/nowhere/a.sock", "/nowhere/b.sock"])

    assert caught.value.message == (
        "no Docker or Podman daemon was found (looked for /nowhere/a.sock, /nowhere/b.sock)"
    )
    assert "DOCKER_HOST" in caught.value.hint


def test_owner_is_this_process_until_it_is_gone() -> None:
    boot, pid, start = this_process().split("/")

    assert is_alive(this_process())
    assert not is_alive(f"{boot}/{pid}/{int(start) + 1}")
    assert not is_alive(f"{boot}/999999999/{start}")
    assert not is_alive("")


def test_owner_of_another_machine_is_left_alone() -> None:
    assert is_alive("0f0f/1/1")


def test_podman_is_looked_for_by_itself_whoever_answers_as_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///docker.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("CONTAINER_HOST", raising=False)
    (tmp_path / "podman").mkdir()

    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(tmp_path / "podman" / "podman.sock"))
        found = find_podman()
    monkeypatch.setenv("CONTAINER_HOST", "unix:///podman.sock")

    assert found == f"unix://{tmp_path}/podman/podman.sock"
    assert find_podman() == "unix:///podman.sock"
