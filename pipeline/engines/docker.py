"""The engine behind a daemon: Docker's API, spoken by Docker and by Podman's socket.

This is the only importer of the SDK, and imports it when a daemon is first needed, so that commands which run
nothing do not wait for it.
"""

import math
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pipeline.engine import Ending, EngineRequest, EngineResult, RecipeImage
from pipeline.engines.daemon import START_IT, Daemon, describe, find_host, find_podman
from pipeline.engines.keeper import (
    MOST_PROCESSES,
    TMP_BYTES,
    Watched,
    check_request,
    clear_traces,
    conclude,
    isolation,
    keeper_argv,
    why_stop,
)
from pipeline.engines.owner import is_alive, this_process
from pipeline.errors import EngineUnavailable, ImageError
from pipeline.image.archive import read_index

_LOOK_S = 0.1
"""How often a running container is looked at for a deadline or a wish to stop."""
_FIRST_INSPECT_S = 0.05
_LONGEST_INSPECT_S = 5.0
_API_TIMEOUT_S = 120
_MOST_CONNECTIONS = 64
# Podman asks for more than some virtual machines allow unless told; well above what a recipe opens or starts.
_LIMITS = (("nofile", 4096), ("nproc", MOST_PROCESSES))
_STORE, _RUN, _OWNER = "clio.store", "clio.run", "clio.owner"


class DockerEngine:
    """Runs programs in containers of Docker or Podman; any number of threads may call at once.

    Parameters
    ----------
    host : str, optional
        Address of the daemon, such as `unix:///run/docker.sock`. Without: DOCKER_HOST, then the sockets of
        Docker and of Podman where they usually lie.
    """

    name = "docker"

    def __init__(self, host: str | None = None) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._api: Any = None
        self._daemon: Daemon | None = None
        self._ids: dict[str, str] = {}
        self._swept: set[str] = set()

    def version(self) -> str:
        """Version of the daemon, `4.3.1 (Podman)` if it is Podman's."""
        return self._connected()[1].version

    def prepare(self, image: RecipeImage) -> None:
        """Load the image if the daemon does not have it, and compare its layers with the archive's.

        Raises
        ------
        EngineUnavailable
            The daemon does not answer, or does not take the archive.
        ImageError
            The daemon holds another image under that digest.
        """
        api, _ = self._connected()
        with self._lock:
            if image.config_digest not in self._ids:
                with _failures("the image cannot be loaded"):
                    self._ids[image.config_digest] = _loaded(api, image)

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request to its end; see `pipeline.engine.Engine`."""
        check_request(request)
        clear_traces(request.out)
        self.prepare(image)
        api, daemon = self._connected()
        if request.store not in self._swept:
            self._swept.add(request.store)
            self.sweep(request.store)
        container = _container_name(request)
        with _failures(f"the run {request.run} cannot be followed"):
            try:
                _create(api, daemon, self._ids[image.config_digest], request, container)
                watched = _follow(api, container, request.timeout_s, cancel)
            finally:
                # By name, because a create that timed out may still have made it.
                _remove(api, container)
        return conclude(request.out, watched, isolation(request, daemon.own_isolation(request)))

    def sweep(self, store: str) -> tuple[str, ...]:
        """Remove containers of a store whose Clio is dead; those of living processes stay.

        `run` does this once for each store it meets.

        Returns
        -------
        tuple of str
            Ids of the runs whose containers were removed.
        """
        api, _ = self._connected()
        removed = []
        with _failures("containers of earlier runs cannot be listed"):
            for container in api.containers(all=True, filters={"label": f"{_STORE}={store}"}):
                labels = container["Labels"]
                if not is_alive(labels.get(_OWNER, "")):
                    _remove(api, container["Id"])
                    removed.append(labels.get(_RUN, ""))
        return tuple(removed)

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        with self._lock:
            if self._api is not None:
                self._api.close()
            self._api = self._daemon = None
            self._ids.clear()

    def _connected(self) -> tuple[Any, Daemon]:
        with self._lock:
            if self._api is None or self._daemon is None:
                self._api, self._daemon = _connect(self._host or self._find_host())
            return self._api, self._daemon

    def _find_host(self) -> str:
        return find_host()


class PodmanEngine(DockerEngine):
    """The same through Podman's socket, whoever else answers as Docker.

    Parameters
    ----------
    host : str, optional
        Address of the service. Without: CONTAINER_HOST, then the sockets of Podman where they usually lie.
    """

    name = "podman"

    def _find_host(self) -> str:
        return find_podman()


def _connect(host: str) -> tuple[Any, Daemon]:
    import docker

    with _failures(f"no container daemon answers at {host}"):
        _knock(host)
        api = docker.APIClient(
            base_url=host, version="auto", timeout=_API_TIMEOUT_S, max_pool_size=_MOST_CONNECTIONS
        )
        return api, describe(api.version(), api.info())


def _knock(host: str) -> None:
    """Connect to a socket and let go of it: the SDK leaves its end open where nobody listens."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(host.removeprefix("unix://"))


def _loaded(api: Any, image: RecipeImage) -> str:
    """Find the daemon's id of an image, loaded if need be and compared layer by layer.

    The id is the configuration's digest, but the manifest's in a daemon with containerd's store; there the
    image is found by the label that names its layer. Tags are never looked at.
    """
    from docker.errors import ImageNotFound

    index = read_index(image.archive)
    if index.config_digest != image.config_digest:
        raise ImageError(f"{image.archive} holds the image {index.config_digest}, not {image.config_digest}")
    for attempt in ("as it is", "after loading"):
        for candidate in (image.config_digest, *_labelled(api, index.diff_ids)):
            try:
                found = api.inspect_image(candidate)
            except ImageNotFound:
                continue
            layers = tuple(found["RootFS"]["Layers"])
            if layers == index.diff_ids:
                return str(found["Id"])
            if candidate == image.config_digest:
                raise ImageError(
                    f"the daemon holds other layers under {image.config_digest} than {image.archive} does",
                    hint=f"remove it there (`docker image rm {image.config_digest}`) and run again",
                )
        if attempt == "as it is":
            _load(api, image)
    raise ImageError(f"the daemon loaded {image.archive} and does not have the image {image.config_digest}")


def _labelled(api: Any, diff_ids: tuple[str, ...]) -> list[str]:
    listed = api.images(filters={"label": f"clio.layer={diff_ids[0]}"}) if len(diff_ids) == 1 else []
    return [entry["Id"] for entry in listed]


def _load(api: Any, image: RecipeImage) -> None:
    with image.archive.open("rb") as stream:
        said = list(api.load_image(stream))
    for line in said:
        if isinstance(line, dict) and "error" in line:
            raise ImageError(f"the daemon does not take {image.archive}: {line['error']}")
    # A name keeps `docker image prune` away; nothing is ever looked up by it.
    digest = image.config_digest.removeprefix("sha256:")
    identifier = next(iter(re.findall(r"sha256:[0-9a-f]{64}", str(said))), image.config_digest)
    api.tag(identifier, "clio", digest[:12])


def _container_name(request: EngineRequest) -> str:
    return f"clio-{re.sub(r'[^A-Za-z0-9_.-]', '-', request.run)}-{uuid4().hex[:8]}"


def _create(api: Any, daemon: Daemon, image_id: str, request: EngineRequest, name: str) -> None:
    from docker.types import LogConfig, Mount, Ulimit

    argv = keeper_argv(request)
    for path in (*(mount.source for mount in request.inputs), request.out):
        if daemon.is_podman and "," in str(path):
            raise EngineUnavailable(
                f"Podman cannot mount {path}: it takes a comma for the end of the name",
                hint="rename the file or directory, or use another engine",
            )
    # Not `volumes`: that makes a missing source a directory of root's, and splits at `:`, which stands in
    # every ARCFILE name.
    mounts = [Mount(mount.target, str(mount.source), type="bind", read_only=True) for mount in request.inputs]
    around = request.surroundings
    mounts.append(Mount(around.directory, str(request.out), type="bind"))
    security = ["no-new-privileges:true"] + (["label=disable"] if daemon.labels_files else [])
    memory = request.memory_bytes if daemon.limits_memory else None
    host_config = api.create_host_config(
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=security,
        pids_limit=MOST_PROCESSES,
        mem_limit=memory,
        memswap_limit=memory,
        ipc_mode="private",
        userns_mode=daemon.user_namespace_of(around),
        tmpfs={"/tmp": f"rw,nosuid,nodev,mode=1777,size={TMP_BYTES}"},
        mounts=mounts,
        log_config=LogConfig(type="none"),
        ulimits=[Ulimit(name=limit, soft=most, hard=most) for limit, most in _LIMITS if daemon.is_podman],
    )
    api.create_container(
        image=image_id,
        entrypoint=argv[:1],
        command=argv[1:],
        name=name,
        hostname=around.hostname,
        user=daemon.user_of(around),
        working_dir=around.directory,
        # Attached, with standard input closed for good when its holder, this process, is gone.
        detach=False,
        stdin_open=True,
        labels={_STORE: request.store, _RUN: request.run, _OWNER: this_process()},
        host_config=host_config,
    )


def _follow(api: Any, name: str, timeout_s: float | None, cancel: threading.Event) -> Watched:
    """Start a container and stay until it has ended.

    The attached connection ends with the container, which saves waiting; what counts is `inspect`. The
    deadline is our own, because `wait(timeout=)` limits the connection and leaves the container running.
    """
    with _attached(api, name) as connection:
        started, clock = datetime.now(UTC), time.monotonic()
        api.start(name)
        deadline = math.inf if timeout_s is None else clock + timeout_s
        stopped, state = _look_until_ended(api, name, connection, deadline, cancel)
        return Watched(
            started=started,
            wall_ms=round(1000 * (time.monotonic() - clock)),
            stopped=stopped,
            status=state["ExitCode"],
            out_of_memory=bool(state.get("OOMKilled")),
        )


def _look_until_ended(
    api: Any, name: str, connection: "_Connection", deadline: float, cancel: threading.Event
) -> tuple[Ending | None, dict[str, Any]]:
    stopped: Ending | None = None
    pause, inspected = _FIRST_INSPECT_S, time.monotonic()
    while True:
        closed = connection.wait(_LOOK_S)
        stopped = stopped or why_stop(deadline, cancel)
        if stopped is not None:
            _kill(api, name)
        if closed or stopped is not None or time.monotonic() - inspected > pause:
            state = api.inspect_container(name)["State"]
            if state["Status"] in ("exited", "dead", "stopped"):
                return stopped, state
            pause, inspected = min(2 * pause, _LONGEST_INSPECT_S), time.monotonic()


class _Connection:
    """The attached connection to a container; holding it open keeps the container's standard input open."""

    def __init__(self, stream: Any) -> None:
        self._socket = getattr(stream, "_sock", stream)
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN | select.POLLHUP)
        self._ended = False

    def close(self) -> None:
        """Close our end; the container's standard input ends."""
        self._socket.close()

    def wait(self, seconds: float) -> bool:
        """Wait for the other side to close; whatever it sends is thrown away."""
        if self._ended:
            # A short rest: the daemon closes a moment before the container counts as ended.
            time.sleep(0.005)
            return True
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._poll.poll(1000 * left):
                try:
                    self._ended = not self._socket.recv(1 << 16)
                except OSError:
                    self._ended = True
            if self._ended:
                return True
        return False


@contextmanager
def _attached(api: Any, name: str) -> Iterator[_Connection]:
    parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    stream = api.attach_socket(name, params=parameters)
    connection = _Connection(stream)
    try:
        yield connection
    finally:
        # The SDK hangs the response on the stream, lest it be collected and close the connection too early.
        getattr(stream, "_response", stream).close()
        connection.close()


def _kill(api: Any, name: str) -> None:
    from docker.errors import APIError

    try:
        api.kill(name, signal="SIGKILL")
    except APIError as error:
        # It ended by itself in between: 409 of Docker, 404 or 500 of Podman.
        if api.inspect_container(name)["State"]["Running"]:
            raise EngineUnavailable(f"the container {name} cannot be stopped: {error.explanation}") from error


def _remove(api: Any, container: str) -> None:
    from docker.errors import APIError, NotFound

    try:
        api.remove_container(container, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        # 409: a removal is under way already.
        if error.status_code != 409:
            raise


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Turn what the SDK and the connection raise into our own error."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        raise EngineUnavailable(
            f"{what}: {error.explanation or error}", hint="the daemon's log may say more"
        ) from error
    except (DockerException, RequestException, OSError) as error:
        raise EngineUnavailable(f"{what}: {error}", hint=START_IT) from error
