"""What engines without a daemon share: their program is a child of ours, in control groups of its own."""

import math
import os
import re
import select
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.engine import Ending, EngineRequest
from pipeline.engines.cgroup import Group, make_group
from pipeline.engines.keeper import MOST_PROCESSES, Watched, why_stop
from pipeline.errors import EngineUnavailable

_LOOK_MS = 100
"""How often a running program is looked at for a deadline or a wish to stop."""
_MOST_MESSAGE = 1 << 16
_PROC_OF_ROOT = ("/proc/acpi", "/proc/fs", "/proc/mtrr", "/proc/scsi", "/proc/sys", "/proc/sysrq-trigger")
# Joins the groups named before `--`, then becomes the command after it. Writing 0 means "me".
_JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


def proc_of_root() -> tuple[str, ...]:
    """List what of /proc has to be made read-only: nothing, unless we are root.

    The kernel lets user 0 write to parts of /proc without any capability; another user could not write
    there, nor may mount over it.
    """
    return tuple(filter(os.path.exists, _PROC_OF_ROOT)) if os.getuid() == 0 else ()


def namespace_hint(message: str) -> str:
    """Say what to do about a failure to isolate, from what the engine's program said."""
    if re.search(r"namespace|uid map|Operation not permitted|Permission denied", message):
        return (
            "user namespaces look switched off: `sysctl kernel.unprivileged_userns_clone=1` (Debian) or "
            "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu) turns them on; "
            "or use another engine"
        )
    return "`clio doctor` says which engines work here"


@dataclass(frozen=True, slots=True)
class Groups:
    """Control groups of a run, or why there is none."""

    memory: Group | str
    processes: Group | str

    def made(self) -> tuple[Group, ...]:
        """List those that there are."""
        return tuple(group for group in (self.memory, self.processes) if isinstance(group, Group))

    def own_isolation(self, request: EngineRequest) -> dict[str, str]:
        """Say what of the usual limits was not applied, for want of a group."""
        own = {}
        if isinstance(self.processes, str):
            own["processes"] = f"not applied: {self.processes}"
        if isinstance(self.memory, str) and request.memory_bytes is not None:
            own["memory limit"] = f"not applied: {self.memory}"
        return own


@contextmanager
def groups_for(request: EngineRequest) -> Iterator[Groups]:
    """Control groups for a run, gone afterwards."""
    name = "clio-" + re.sub(r"[^A-Za-z0-9_-]", "-", request.run)
    memory: Group | str = "none asked for"
    if request.memory_bytes is not None:
        memory = make_group("memory", name, {"memory.max": request.memory_bytes, "memory.swap.max": 0})
    groups = Groups(memory, make_group("pids", name, {"pids.max": MOST_PROCESSES}))
    try:
        yield groups
    finally:
        for group in groups.made():
            group.remove()


def attend(
    command: Sequence[str],
    request: EngineRequest,
    cancel: threading.Event,
    groups: Groups,
    *,
    descriptors: Sequence[int] = (),
    environment: dict[str, str] | None = None,
    grace_s: float = 0.0,
) -> tuple[Watched, str]:
    """Run an engine's program to its end, in control groups: (what was seen, what it said on its stderr).

    Parameters
    ----------
    command : sequence of str
        The engine's program and its arguments. Every process it starts in the container holds its stderr.
    descriptors : sequence of int
        What it inherits beside the standard ones.
    environment : dict, optional
        Its environment; ours without.
    grace_s : float
        How long after its standard input was closed, at which the keeper ends the run, it is killed.

    Raises
    ------
    EngineUnavailable
        It cannot be started.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        process = subprocess.Popen(
            [*_join(groups), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            env=environment,
        )
    except OSError as error:
        raise EngineUnavailable(f"{command[0]} cannot be started: {error}") from error
    stopped, message = _follow(process, request.timeout_s, cancel, grace_s)
    watched = Watched(
        started=started,
        wall_ms=round(1000 * (time.monotonic() - clock)),
        stopped=stopped,
        status=process.returncode if process.returncode >= 0 else None,
        out_of_memory=isinstance(groups.memory, Group) and groups.memory.oom_kills() > 0,
    )
    return watched, message


def _join(groups: Groups) -> list[str]:
    directories = [str(group.directory) for group in groups.made()]
    return ["/bin/sh", "-c", _JOIN, "join", *directories, "--"] if directories else []


def _follow(
    process: "subprocess.Popen[bytes]", timeout_s: float | None, cancel: threading.Event, grace_s: float
) -> tuple[Ending | None, str]:
    """Stay until the last process inside is gone: (why we stopped it, what the program said).

    Every process inside holds the writing end of our pipe, so its end says that all have ended. bwrap's
    `--die-with-parent` acts when the *thread* that started it ends: it is the one that waits here. The
    keeper's standard input is a second, independent reason to end.
    """
    with process:
        try:
            stopped, message = _read_to_the_end(process, timeout_s, cancel, grace_s)
        except BaseException:
            (process.terminate if grace_s else process.kill)()
            raise
    return stopped, message.decode("utf-8", "replace").strip()


def _read_to_the_end(
    process: "subprocess.Popen[bytes]", timeout_s: float | None, cancel: threading.Event, grace_s: float
) -> tuple[Ending | None, bytes]:
    assert process.stdin is not None  # pipes, see `attend`
    assert process.stderr is not None
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
    killing = math.inf
    poll = select.poll()
    poll.register(process.stderr, select.POLLIN | select.POLLHUP)
    stopped: Ending | None = None
    message = b""
    while True:
        if poll.poll(_LOOK_MS):
            data = os.read(process.stderr.fileno(), 4096)
            if not data:
                return stopped, message
            message = (message + data)[:_MOST_MESSAGE]
        if stopped is None and (stopped := why_stop(deadline, cancel)) is not None:
            killing = time.monotonic() + grace_s
            with suppress(OSError):
                process.stdin.close()
        if time.monotonic() >= killing:
            process.kill()
