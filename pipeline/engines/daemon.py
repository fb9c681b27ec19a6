"""What has to be known of a container daemon: where it listens, who it is, what it can do. No SDK here."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine import EngineRequest, Surroundings
from pipeline.errors import EngineUnavailable

START_IT = (
    "start Docker (`systemctl start docker`) or Podman's socket (`systemctl --user start podman.socket`), "
    'set DOCKER_HOST if it listens elsewhere, or set `engine = "bubblewrap"`, which needs no daemon'
)
"""What to do when no daemon answers."""


def usual_sockets(runtime_directory: str | None) -> tuple[str, ...]:
    """List where Docker and Podman usually listen, in the order in which they are tried."""
    places = ["/var/run/docker.sock"]
    if runtime_directory:
        places += [f"{runtime_directory}/docker.sock", f"{runtime_directory}/podman/podman.sock"]
    return (*places, "/run/podman/podman.sock")


def find_host(sockets: Sequence[str] | None = None) -> str:
    """Find the daemon's address: DOCKER_HOST, then the first socket that is there.

    Parameters
    ----------
    sockets : sequence of str, optional
        Paths to try; the usual ones without.

    Raises
    ------
    EngineUnavailable
        DOCKER_HOST is not set and no socket is there.
    """
    if named := os.environ.get("DOCKER_HOST"):
        return named
    places = usual_sockets(os.environ.get("XDG_RUNTIME_DIR")) if sockets is None else sockets
    for place in places:
        if Path(place).is_socket():
            return f"unix://{place}"
    raise EngineUnavailable(
        f"no Docker or Podman daemon was found (looked for {', '.join(places)})", hint=START_IT
    )


def find_podman() -> str:
    """Find the address of Podman's service, whoever answers as Docker: CONTAINER_HOST, then its sockets.

    Raises
    ------
    EngineUnavailable
        CONTAINER_HOST is not set and no socket is there.
    """
    if named := os.environ.get("CONTAINER_HOST"):
        return named
    places = [p for p in usual_sockets(os.environ.get("XDG_RUNTIME_DIR")) if p.endswith("/podman.sock")]
    for place in places:
        if Path(place).is_socket():
            return f"unix://{place}"
    raise EngineUnavailable(
        f"no service of Podman was found (looked for {', '.join(places)})",
        "start it (`systemctl --user start podman.socket`), or set CONTAINER_HOST if it listens elsewhere",
    )


@dataclass(frozen=True, slots=True)
class Daemon:
    """What has to be known of a daemon."""

    version: str
    """As it says, with `(Podman)` behind it if it is."""
    user: str
    """What to ask for as user, so that files on the host belong to the caller."""
    user_namespace: str | None
    """Mode to ask for; rootless Podman needs `keep-id`."""
    limits_memory: bool
    """Whether it can limit memory."""
    limits_processes: bool
    """Whether it can limit the number of processes."""
    labels_files: bool
    """Whether SELinux would keep a container from our files."""
    is_podman: bool
    """Whether it is Podman that speaks Docker's API."""
    seccomp: str
    """Profile of system calls that it applies by default."""

    def user_of(self, around: Surroundings) -> str:
        """Say what to ask for as user; another than the caller only where it can be mapped to him."""
        if around.user is None or self.user_namespace is None:
            return self.user
        user, group = around.user
        return f"{user}:{group}"

    def user_namespace_of(self, around: Surroundings) -> str | None:
        """Say what user namespace to ask for."""
        if around.user is None or self.user_namespace is None:
            return self.user_namespace
        user, group = around.user
        return f"{self.user_namespace}:uid={user},gid={group}"

    def own_isolation(self, request: EngineRequest) -> dict[str, str]:
        """Say what this daemon adds to the isolation that every engine applies."""
        is_mapped = request.surroundings.user is not None and self.user_namespace is not None
        own = {
            "user": self.user_of(request.surroundings) if is_mapped else f"{os.getuid()}:{os.getgid()}",
            "namespaces": "mount, pid, ipc, uts, network",
            "system calls": self.seccomp,
        }
        if request.memory_bytes is not None and not self.limits_memory:
            own["memory limit"] = "not applied: the daemon cannot limit memory here"
        if not self.limits_processes:
            own["processes"] = "not applied: the daemon cannot limit them here"
        return own


def describe(version: dict[str, Any], info: dict[str, Any]) -> Daemon:
    """Read what a daemon says of itself: its answers to `/version` and `/info`."""
    options = ",".join(info.get("SecurityOptions") or ())
    podman = any("Podman" in part.get("Name", "") for part in version.get("Components") or ())
    rootless = "rootless" in options
    seccomp = re.search(r"name=seccomp,profile=([^,]+)", options)
    return Daemon(
        version=f"{version['Version']} (Podman)" if podman else version["Version"],
        # Rootless Docker maps its root to the caller; rootless Podman can keep the caller's own number.
        user="0:0" if rootless and not podman else f"{os.getuid()}:{os.getgid()}",
        user_namespace="keep-id" if rootless and podman else None,
        limits_memory=info.get("MemoryLimit") is not False,
        limits_processes=info.get("PidsLimit") is not False,
        labels_files="selinux" in options,
        is_podman=podman,
        seccomp=f"profile {seccomp[1]}"
        if seccomp
        else ("filtered" if "seccomp" in options else "not applied"),
    )
