"""The engine of clusters: the `apptainer` command, unprivileged, over a SIF made from the same image archive.

The SIF lies beside the archive in the image library and is made once. Where it cannot be mounted (no
`squashfuse`, no `/dev/fuse` for us), the unpacked root file system beside it is run instead: the same files.
"""

import csv
import io
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine import USUAL, EngineRequest, EngineResult, RecipeImage, Surroundings
from pipeline.engines.keeper import FIGURES, check_request, clear_traces, conclude, isolation, keeper_argv
from pipeline.engines.process import Groups, attend, groups_for, namespace_hint, proc_of_root
from pipeline.errors import EngineUnavailable, ImageError
from pipeline.image.unpack import require_rootfs
from pipeline.places import cache_root

_INSTALL = "install Apptainer 1.2 or newer (`apt-get install apptainer`, or ask those who run the cluster)"
_SIF, _STAMP, _CONFIGURATION = "image.sif", "image.sif.stamp", "apptainer.conf"
_PACKING = "-noI -noD -noF -noX"
"""What mksquashfs is told: nothing is compressed, which any squashfuse reads, and starts fastest."""
_OURS = "config passwd = no\nconfig group = no\nconfig resolv_conf = no\nmount devpts = no\n"
"""What Apptainer would put into /etc of the container from the host; no option turns it off."""
_FROM_HOST = (
    "not applied: /etc/resolv.conf, and lines of /etc/passwd and /etc/group, are the host's; Apptainer "
    "is installed setuid and takes no configuration of ours"
)
_CONVERTS = "temporary sandbox"
"""Apptainer says so when it cannot mount a SIF and unpacks it, at every start."""
_GRACE_S = 1.0
"""Ended by the keeper, Apptainer unmounts what it mounted; killed, it leaves its squashfuse running."""


class ApptainerEngine:
    """Runs programs with `apptainer exec`; any number of threads may call at once."""

    name = "apptainer"

    def __init__(self) -> None:
        self._containers: dict[str, _Container] = {}
        self._lock = threading.Lock()

    def version(self) -> str:
        """Version of Apptainer; raises `EngineUnavailable` if it is not installed."""
        return _said(_call(["--silent", "--version"], _environment())).removeprefix("apptainer version ")

    def prepare(self, image: RecipeImage) -> None:
        """Make the SIF if it is not there, and find out what of it can be run here.

        Raises
        ------
        EngineUnavailable
            Apptainer is missing, or cannot isolate a program here.
        ImageError
            The SIF or the root file system was changed after it was made, or the SIF cannot be made.
        """
        self._container(image).check(image)

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request to its end; see `pipeline.engine.Engine`.

        Raises
        ------
        EngineUnavailable
            Apptainer could not start it.
        ImageError
            As `prepare`: what ran is not what the image's digest names.
        """
        check_request(request)
        clear_traces(request.out)
        container = self._container(image)
        command = [_program(), *container.argv(request.surroundings, _mounts(request)), *keeper_argv(request)]
        with groups_for(request) as groups:
            watched, message = attend(
                command, request, cancel, groups, environment=_environment(), grace_s=_GRACE_S
            )
        # Apptainer itself says only what kept it from starting the run, and then there are no figures.
        was_ended = watched.stopped is not None or watched.out_of_memory
        if message and not was_ended and not (request.out / FIGURES).exists():
            raise EngineUnavailable(
                f"apptainer cannot start the run: {_reason(message)}", hint=namespace_hint(message)
            )
        container.check(image)  # somebody may have changed it since the engine was prepared
        return conclude(request.out, watched, _isolation(request, container, groups))

    def _container(self, image: RecipeImage) -> "_Container":
        with self._lock:
            known = self._containers.get(image.config_digest)
            if known is None:
                place = _made(image)
                known = self._containers[image.config_digest] = _startable(image, place)
        return known


@dataclass(frozen=True, slots=True)
class _Container:
    """What is run, and how."""

    path: Path
    """A SIF, or a directory."""
    form: str
    """What that is, in words."""
    configuration: Path | None
    """Of Apptainer, instead of its own; None where it takes no other."""

    def argv(self, around: Surroundings, mounts: Sequence[str]) -> list[str]:
        """Arguments of apptainer up to the container; the command in it comes next."""
        configured = ["--config", str(self.configuration)] if self.configuration else []
        options = ["exec", "--userns", "--containall", "--cleanenv", "--no-home"]
        options += ["--no-mount", "sys,hostfs,bind-paths,cwd", "--no-privs", "--drop-caps", "all"]
        options += ["--uts", "--hostname", around.hostname, "--net", "--network", "none"]
        options += ["--pwd", around.directory]
        for mount in mounts:
            options += ["--mount", mount]
        return ["--silent", "--nocolor", *configured, *options, str(self.path)]

    def check(self, image: RecipeImage) -> None:
        """Raise `ImageError` if it is no longer what was made."""
        if self.path == image.rootfs:
            require_rootfs(image)
        elif _stamp(self.path) != _read(self.path.with_name(_STAMP)):
            raise ImageError(
                f"{self.path} is not what was made from the image archive",
                hint=f"remove {self.path.parent}; it is made again from the archive beside it",
            )


def _program() -> str:
    program = shutil.which("apptainer")
    if program is None:
        raise EngineUnavailable("Apptainer is not installed: there is no `apptainer` in PATH", hint=_INSTALL)
    return program


def _environment() -> dict[str, str]:
    """Our environment without what would steer Apptainer: APPTAINER_BIND mounts what nobody declared."""
    steering = ("APPTAINER", "SINGULARITY")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    # Else it makes itself a directory in the home directory.
    return ours | {"APPTAINER_CONFIGDIR": str(cache_root() / "apptainer")}


def _call(arguments: Sequence[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [_program(), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode != 0:
        raise EngineUnavailable(f"apptainer does not run: {_reason(done.stdout)}", hint=_INSTALL)
    return done.stdout.strip()


def _made(image: RecipeImage) -> Path:
    """Find the directory with the SIF of an image, made if it is not there; whole or not at all."""
    place = image.archive.with_name("apptainer")
    if place.is_dir():
        return place
    require_rootfs(image)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as scratch:
        new = Path(scratch) / "apptainer"
        new.mkdir()
        (new / _CONFIGURATION).write_text(_OURS, encoding="ascii")
        # The unpacked layers, each checked against the digest in the configuration, and not the archive
        # itself: Apptainer would read other kinds of archives in other ways.
        build = ["--nocolor", "build", "--disable-cache", "--mksquashfs-args", _PACKING]
        within = {"APPTAINER_TMPDIR": scratch, "APPTAINER_CACHEDIR": scratch}
        done = _call([*build, str(new / _SIF), str(image.rootfs)], _environment() | within)
        if done.returncode != 0:
            raise ImageError(
                f"apptainer makes no SIF of the image {image.config_digest[:19]}: {_reason(done.stdout)}",
                hint="is there room for it in the cache? CLIO_CACHE names another place",
            )
        (new / _STAMP).write_text(_stamp(new / _SIF), encoding="ascii")
        with suppress(OSError):  # another process was faster, and its SIF is as good
            new.rename(place)
    return place


def _startable(image: RecipeImage, place: Path) -> _Container:
    """Find what can be started here: better without files of the host's, better a SIF."""
    forms = ((place / _SIF, "SIF"), (image.rootfs, "unpacked, for the SIF cannot be mounted here"))
    reason = ""
    for configuration in (place / _CONFIGURATION, None):
        for path, form in forms:
            container = _Container(path, form, configuration)
            container.check(image)
            arguments = container.argv(USUAL, tuple(_mounts_of_root()))
            # Not silent: it has to say that it unpacks the SIF.
            done = _call([*arguments[1:], "/bin/sh", "-c", ":"], _environment())
            if done.returncode == 0 and _CONVERTS not in done.stdout:
                return container
            reason = _reason(done.stdout)
    raise EngineUnavailable(f"apptainer cannot isolate a program here: {reason}", hint=namespace_hint(reason))


def _mounts(request: EngineRequest) -> list[str]:
    """Whatever the run sees of the host, as arguments of `--mount`, and where it begins."""
    around = request.surroundings
    mounts = [*_mounts_of_root(), *(_mount(mount.source, mount.target) for mount in request.inputs)]
    return [*mounts, _mount(request.out, around.directory, is_writable=True)]


def _mounts_of_root() -> Iterator[str]:
    return (_mount(Path(place), place) for place in proc_of_root())


def _mount(source: Path, target: str, *, is_writable: bool = False) -> str:
    """Put together an argument of `--mount`: a line of CSV, so that names may hold `:`, `,` and quotes."""
    try:
        str(source).encode()
    except UnicodeEncodeError:
        raise EngineUnavailable(
            f"apptainer cannot mount {str(source)!r}: it takes names in UTF-8 only",
            hint="rename the file or directory, or use another engine",
        ) from None
    fields = ["type=bind", f"source={source}", f"destination={target}", *([] if is_writable else ["ro"])]
    line = io.StringIO()
    csv.writer(line).writerow(fields)
    return line.getvalue().removesuffix("\r\n")


def _isolation(request: EngineRequest, container: _Container, groups: Groups) -> tuple[tuple[str, str], ...]:
    own = {
        "root file system": f"read-only, {container.form}",
        "/tmp": "tmpfs; not applied: Apptainer sets no limit to its size",
        "user": f"{os.getuid()}:{os.getgid()}",
        "namespaces": "mount, pid, ipc, uts, network, user",
        "system calls": "not applied: Apptainer brings no filter",
    }
    if container.configuration is None:
        own["files of the host"] = _FROM_HOST
    return isolation(request, own | groups.own_isolation(request))


def _stamp(path: Path) -> str:
    """Write down size and times of a file; the inode's own time no ordinary tool can set back."""
    try:
        info = path.stat()
    except OSError:
        return "missing"
    return f"{info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _reason(output: str) -> str:
    """Find the line that says why: the last that Apptainer calls fatal or an error, else the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    grave = [line for line in lines if re.match(r"(FATAL|ERROR)\s*:", line)]
    return re.sub(r"^[A-Z]+\s*:\s*", "", (grave or lines or ["it said nothing"])[-1])
