"""The embedded engine: `bwrap` over the unpacked root file system. No daemon, no root, some 10 ms a start."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.engine import USUAL, EngineRequest, EngineResult, RecipeImage, Surroundings
from pipeline.engines.keeper import (
    FIGURES,
    TMP_BYTES,
    check_request,
    clear_traces,
    conclude,
    isolation,
    keeper_argv,
)
from pipeline.engines.process import Groups, attend, groups_for, namespace_hint, proc_of_root
from pipeline.errors import EngineUnavailable
from pipeline.image.unpack import require_rootfs

_INSTALL = 'install it (`apt-get install bubblewrap`), or set `engine = "docker"` where a daemon answers'


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
        self._require_unchanged(image)
        with self._lock:
            if image.config_digest not in self._prepared:
                _try_namespaces(program, self._root(image))
                self._prepared.add(image.config_digest)

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request to its end; see `pipeline.engine.Engine`.

        Raises
        ------
        EngineUnavailable
            bwrap could not start it.
        ImageError
            As `prepare`: what ran is not what the image's digest names.
        """
        check_request(request)
        clear_traces(request.out)
        program = _program()
        root = self._root(image)
        with groups_for(request) as groups, _options_file(_options(root, self._in_tmp(), request)) as options:
            command = [program, "--args", str(options), *keeper_argv(request)]
            watched, message = attend(command, request, cancel, groups, descriptors=(options,))
        # bwrap itself is silent unless it could not start the run, and then there are no figures.
        if message and watched.stopped is None and not (request.out / FIGURES).exists():
            raise EngineUnavailable(f"bwrap cannot start the run: {message}", hint=namespace_hint(message))
        self._require_unchanged(image)  # somebody may have, since the engine was prepared
        return conclude(request.out, watched, _isolation(request, groups))

    def _require_unchanged(self, image: RecipeImage) -> None:
        """Raise `ImageError` if what runs is not what the image's digest names."""
        require_rootfs(image)

    def _root(self, image: RecipeImage) -> list[str]:
        """Options that mount the root file system."""
        return ["--ro-bind", str(image.rootfs), "/"]

    def _in_tmp(self) -> tuple[str, ...]:
        """Directories of the host below /tmp that a run sees; its own /tmp would hide them."""
        return ()


def _program() -> str:
    program = shutil.which("bwrap")
    if program is None:
        raise EngineUnavailable("bubblewrap is not installed: there is no `bwrap` in PATH", hint=_INSTALL)
    return program


def _options(root: Sequence[str], in_tmp: Sequence[str], request: EngineRequest) -> list[str]:
    """Options of bwrap: what the run sees, in the order in which it is mounted."""
    around = request.surroundings
    base = _isolating(root, around)
    base += ["--size", str(TMP_BYTES), "--tmpfs", "/tmp", "--tmpfs", "/in"]
    for place in in_tmp:
        base += ["--ro-bind", place, place]
    for mount in request.inputs:
        base += ["--ro-bind", str(mount.source), mount.target]
    # The places to mount on are made first; after that nothing can be added.
    base += ["--remount-ro", "/in", "--bind", str(request.out), around.directory]
    return [*base, "--chdir", around.directory]


def _isolating(root: Sequence[str], around: Surroundings = USUAL) -> list[str]:
    """Put together the options that shut a program in."""
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    if around.user is not None:
        user, group = map(str, around.user)
        options += ["--unshare-user", "--uid", user, "--gid", group]
    options += ["--hostname", around.hostname, *root, "--proc", "/proc"]
    for place in proc_of_root():
        options += ["--ro-bind", place, place]
    return [*options, "--dev", "/dev"]


def _try_namespaces(program: str, root: Sequence[str]) -> None:
    done = subprocess.run(
        [program, *_isolating(root), "/bin/sh", "-c", ":"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = done.stderr.strip() or f"exit status {done.returncode}"
        raise EngineUnavailable(
            f"bwrap cannot isolate a program here: {message}", hint=namespace_hint(message)
        )


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


def _isolation(request: EngineRequest, groups: Groups) -> tuple[tuple[str, str], ...]:
    user, group = request.surroundings.user or (os.getuid(), os.getgid())
    own = {
        "user": f"{user}:{group}",
        "namespaces": "mount, pid, ipc, uts, network; user and cgroup where the kernel has them",
        "system calls": "not applied: bubblewrap brings no filter",
    }
    return isolation(request, own | groups.own_isolation(request))
