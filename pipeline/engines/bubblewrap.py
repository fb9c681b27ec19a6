"""The embedded engine: `bwrap` over the unpacked root file system. No daemon, no root, some 10 ms a start."""

import math
import os
import re
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.engine import USUAL, Ending, EngineRequest, EngineResult, RecipeImage, Surroundings
from pipeline.engines.cgroup import Group, make_group
from pipeline.engines.keeper import (
    FIGURES,
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
from pipeline.errors import EngineUnavailable, ImageError
from pipeline.image.unpack import changed_rootfs

_LOOK_MS = 100
"""How often a running program is looked at for a deadline or a wish to stop."""
_MOST_MESSAGE = 1 << 16
_PROC_OF_ROOT = ("/proc/acpi", "/proc/fs", "/proc/mtrr", "/proc/scsi", "/proc/sys", "/proc/sysrq-trigger")
_INSTALL = 'install it (`apt-get install bubblewrap`), or set `engine = "docker"` where a daemon answers'
# Joins the groups named before `--`, then becomes the command after it. Writing 0 means "me".
_JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


class BubblewrapEngine:
    """Runs programs with `bwrap`; any number of threads may call at once."""

    name = "bubblewrap"

    def __init__(self) -> None:
        self._prepared: set[str] = set()
        self._lock = threading.Lock()

    def version(self) -> str:
        """Version of bwrap; raises `EngineUnavailable` if it is not installed."""
        done = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=False)
        return done.stdout.strip().removeprefix("bubblewrap ")

    def prepare(self, image: RecipeImage) -> None:
        """Check that the root file system is what was unpacked and that namespaces can be made here.

        Raises
        ------
        EngineUnavailable
            bwrap is missing, or the system lets us make no namespaces.
        ImageError
            The root file system was changed after it was unpacked.
        """
        program = _program()
        if changed_rootfs(image):
            raise ImageError(
                f"the root file system {image.rootfs} is not what was unpacked from the image archive",
                hint=f"remove {image.rootfs}; it is unpacked again from the archive beside it",
            )
        with self._lock:
            if image.config_digest not in self._prepared:
                _try_namespaces(program, image)
                self._prepared.add(image.config_digest)

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request to its end; see `pipeline.engine.Engine`."""
        check_request(request)
        clear_traces(request.out)
        program = _program()
        with _groups(request) as groups, _options_file(_options(image, request)) as options:
            command = [*_join(groups), program, "--args", str(options), *keeper_argv(request)]
            started, clock = datetime.now(UTC), time.monotonic()
            process = _start(command, options)
            stopped, message = _follow(process, request.timeout_s, cancel)
            watched = Watched(
                started=started,
                wall_ms=round(1000 * (time.monotonic() - clock)),
                stopped=stopped,
                status=process.returncode if process.returncode >= 0 else None,
                out_of_memory=isinstance(groups.memory, Group) and groups.memory.oom_kills() > 0,
            )
        # bwrap itself is silent unless it could not start the run, and then there are no figures.
        if message and stopped is None and not (request.out / FIGURES).exists():
            raise EngineUnavailable(f"bwrap cannot start the run: {message}", hint=_hint(message))
        return conclude(request.out, watched, _isolation(request, groups))


@dataclass(frozen=True, slots=True)
class _Groups:
    """Control groups of a run, or why there is none."""

    memory: Group | str
    processes: Group | str

    def made(self) -> tuple[Group, ...]:
        return tuple(group for group in (self.memory, self.processes) if isinstance(group, Group))


def _program() -> str:
    program = shutil.which("bwrap")
    if program is None:
        raise EngineUnavailable("bubblewrap is not installed: there is no `bwrap` in PATH", hint=_INSTALL)
    return program


def _options(image: RecipeImage, request: EngineRequest) -> list[str]:
    """Options of bwrap: what the run sees, in the order in which it is mounted."""
    around = request.surroundings
    base = _isolating(image, around)
    base += ["--size", str(TMP_BYTES), "--tmpfs", "/tmp", "--tmpfs", "/in"]
    for mount in request.inputs:
        base += ["--ro-bind", str(mount.source), mount.target]
    # The places to mount on are made first; after that nothing can be added.
    base += ["--remount-ro", "/in", "--bind", str(request.out), around.directory]
    return [*base, "--chdir", around.directory]


def _isolating(image: RecipeImage, around: Surroundings = USUAL) -> list[str]:
    """Put together the options that shut a program in.

    The kernel lets user 0 write to parts of /proc without any capability, and bwrap leaves some of them
    writable; another user could not write there, nor may mount over it.
    """
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    if around.user is not None:
        user, group = map(str, around.user)
        options += ["--unshare-user", "--uid", user, "--gid", group]
    options += ["--hostname", around.hostname, "--ro-bind", str(image.rootfs), "/", "--proc", "/proc"]
    if os.getuid() == 0:
        for place in filter(os.path.exists, _PROC_OF_ROOT):
            options += ["--ro-bind", place, place]
    return [*options, "--dev", "/dev"]


def _try_namespaces(program: str, image: RecipeImage) -> None:
    done = subprocess.run(
        [program, *_isolating(image), "/bin/sh", "-c", ":"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = done.stderr.strip() or f"exit status {done.returncode}"
        raise EngineUnavailable(f"bwrap cannot isolate a program here: {message}", hint=_hint(message))


def _hint(message: str) -> str:
    if re.search(r"namespace|uid map|Operation not permitted|Permission denied", message):
        return (
            "user namespaces look switched off: `sysctl kernel.unprivileged_userns_clone=1` (Debian) or "
            "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu) turns them on; "
            "or use another engine"
        )
    return "`clio doctor` says which engines work here"


@contextmanager
def _groups(request: EngineRequest) -> Iterator[_Groups]:
    """Control groups for a run, gone afterwards."""
    name = "clio-" + re.sub(r"[^A-Za-z0-9_-]", "-", request.run)
    memory: Group | str = "none asked for"
    if request.memory_bytes is not None:
        memory = make_group("memory", name, {"memory.max": request.memory_bytes, "memory.swap.max": 0})
    groups = _Groups(memory, make_group("pids", name, {"pids.max": MOST_PROCESSES}))
    try:
        yield groups
    finally:
        for group in groups.made():
            group.remove()


def _join(groups: _Groups) -> list[str]:
    directories = [str(group.directory) for group in groups.made()]
    return ["/bin/sh", "-c", _JOIN, "join", *directories, "--"] if directories else []


@contextmanager
def _options_file(options: Sequence[str]) -> Iterator[int]:
    """Make a descriptor for bwrap to read its options from: a night's inputs are many for a command line."""
    descriptor = os.memfd_create("bwrap-options", 0)
    try:
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(b"".join(os.fsencode(option) + b"\0" for option in options))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _start(command: Sequence[str], options: int) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(options,),
        )
    except OSError as error:
        raise EngineUnavailable(f"bwrap cannot be started: {error}") from error


def _follow(
    process: "subprocess.Popen[bytes]", timeout_s: float | None, cancel: threading.Event
) -> tuple[Ending | None, str]:
    """Stay until the last process inside is gone: (why we stopped it, what bwrap said).

    Every process inside holds the writing end of our pipe, so its end says that all have ended.
    `--die-with-parent` acts when the *thread* that started bwrap ends: it is the one that waits here. The
    keeper's standard input is a second, independent reason to end.
    """
    with process:
        try:
            stopped, message = _read_to_the_end(process, timeout_s, cancel)
        except BaseException:
            process.kill()
            raise
    return stopped, message.decode("utf-8", "replace").strip()


def _read_to_the_end(
    process: "subprocess.Popen[bytes]", timeout_s: float | None, cancel: threading.Event
) -> tuple[Ending | None, bytes]:
    assert process.stderr is not None  # a pipe, see _start
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
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
        stopped = stopped or why_stop(deadline, cancel)
        if stopped is not None:
            process.kill()


def _isolation(request: EngineRequest, groups: _Groups) -> tuple[tuple[str, str], ...]:
    user, group = request.surroundings.user or (os.getuid(), os.getgid())
    own = {
        "user": f"{user}:{group}",
        "namespaces": "mount, pid, ipc, uts, network; user and cgroup where the kernel has them",
        "system calls": "not applied: bubblewrap brings no filter",
    }
    if isinstance(groups.processes, str):
        own["processes"] = f"not applied: {groups.processes}"
    if isinstance(groups.memory, str) and request.memory_bytes is not None:
        own["memory limit"] = f"not applied: {groups.memory}"
    return isolation(request, own)
