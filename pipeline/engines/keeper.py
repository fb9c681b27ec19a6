"""What all engines share: the keeper in front of the program, its figures, and how an ending is judged.

The keeper is a few lines of shell inside the container (`keeper.sh`). It ends the program when Clio is gone,
and leaves what the program cost in the output directory, because a container's accounts go when it does.
"""

import os
import re
import stat
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from pipeline.engine import Ending, EngineRequest, EngineResult
from pipeline.errors import EngineUnavailable

FIGURES = ".clio-figures"
PEAK = ".clio-peak"
TERMINAL = ".terminal"
"""What the program printed; stays in the output directory when the program failed and said something."""
TMP_BYTES = 1 << 30
"""Size of /tmp inside."""
MOST_PROCESSES = 4096
"""Processes and threads a run may have: 64 threads of OpenMP are welcome, a fork bomb is not."""
_TIMES = re.compile(r"(\d+)m([\d.]+)s (\d+)m([\d.]+)s")
_MOST_FIGURES = 1 << 16


@dataclass(frozen=True, slots=True)
class Figures:
    """What the keeper saw of the program. None stands for what it could not see."""

    status: int | None = None
    """As a shell has it: 128 + n for signal n; None if the keeper itself was killed."""
    cpu_user_ms: int | None = None
    """Of the program and all it waited for."""
    cpu_system_ms: int | None = None
    """Likewise."""
    peak_memory_bytes: int | None = None
    """Largest resident size of the program, looked at four times a second; page cache is not in it."""
    read_bytes: int | None = None
    """Asked of the kernel by read(2), from page cache or disk."""
    written_bytes: int | None = None
    """Handed to the kernel by write(2)."""
    oom_kills: int = 0
    """Processes of the container that the kernel killed for want of memory, where its cgroup can be seen."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What an engine saw of a run from outside."""

    started: datetime
    """UTC."""
    wall_ms: int
    """By a monotonic clock."""
    stopped: Ending | None
    """`TIMEOUT` or `KILLED` if we stopped it."""
    status: int | None
    """Exit status of the container, which is that of the keeper; None if it has none."""
    out_of_memory: bool
    """Whether the kernel killed something in it for want of memory, as far as can be seen from outside."""


def keeper_argv(request: EngineRequest) -> list[str]:
    """Put together the command inside the container: keeper, `env -i` with the environment, program."""
    script = files("pipeline.engines").joinpath("keeper.sh").read_text(encoding="utf-8")
    environment = [f"{name}={value}" for name, value in request.environment]
    return ["/bin/sh", "-c", script, "keeper", "env", "-i", *environment, *request.argv]


def clear_traces(out: Path) -> None:
    """Remove the keeper's files of an earlier run, so that they are not taken for those of the next."""
    for name in (FIGURES, PEAK, TERMINAL):
        (out / name).unlink(missing_ok=True)


def conclude(out: Path, watched: Watched, applied: tuple[tuple[str, str], ...]) -> EngineResult:
    """Put together what was seen of a run from outside and what the keeper noted inside.

    Parameters
    ----------
    out : Path
        The output directory; the keeper's files in it are removed.
    watched : Watched
        What the engine saw.
    applied : tuple of (str, str)
        The isolation, item by item.
    """
    figures = take_figures(out)
    ending, exit_status, signal = judge(
        status_of(figures, watched.status),
        watched.stopped,
        out_of_memory=watched.out_of_memory or figures.oom_kills > 0,
    )
    return EngineResult(
        ending=ending,
        exit_status=exit_status,
        signal=signal,
        started=watched.started,
        ended=datetime.now(UTC),
        wall_ms=watched.wall_ms,
        cpu_user_ms=figures.cpu_user_ms,
        cpu_system_ms=figures.cpu_system_ms,
        peak_memory_bytes=figures.peak_memory_bytes,
        read_bytes=figures.read_bytes,
        written_bytes=figures.written_bytes,
        isolation=applied,
    )


def take_figures(out: Path) -> Figures:
    """Read what the keeper left and remove it; `.terminal` stays if the program failed and said something."""
    figures = parse_figures(_read(out / FIGURES), _read(out / PEAK))
    for name in (FIGURES, PEAK):
        (out / name).unlink(missing_ok=True)
    terminal = out / TERMINAL
    if figures.status == 0 or (terminal.exists() and terminal.stat().st_size == 0):
        terminal.unlink(missing_ok=True)
    return figures


def parse_figures(text: str, peak: str) -> Figures:
    """Read the keeper's lines; what is missing or cut off is None.

    Parameters
    ----------
    text : str
        `status N`, two lines of the shell's `times`, `/proc/<pid>/io`, and lines of the cgroup.
    peak : str
        Kibibytes.
    """
    lines = text.splitlines()
    words = {words[0].rstrip(":"): words[1] for line in lines if len(words := line.split()) == 2}
    times = [match for line in lines if (match := _TIMES.fullmatch(line.strip()))]
    # The first line of `times` is the shell, the second its children.
    user, system = _milliseconds(times[1]) if len(times) == 2 else (None, None)
    kibibytes = _number(peak.strip())
    return Figures(
        status=_number(words.get("status", "")),
        cpu_user_ms=user,
        cpu_system_ms=system,
        peak_memory_bytes=None if kibibytes is None else kibibytes * 1024,
        read_bytes=_number(words.get("rchar", "")),
        written_bytes=_number(words.get("wchar", "")),
        oom_kills=_number(words.get("oom_kill", "")) or 0,
    )


def why_stop(deadline: float, cancel: threading.Event) -> Ending | None:
    """Say why a run that goes on has to be stopped, if it has to.

    Parameters
    ----------
    deadline : float
        On the monotonic clock, s.
    cancel : threading.Event
        Set by whoever wants the run stopped.
    """
    if cancel.is_set():
        return Ending.KILLED
    return Ending.TIMEOUT if time.monotonic() > deadline else None


def judge(
    status: int | None, stopped: Ending | None, *, out_of_memory: bool
) -> tuple[Ending, int | None, int | None]:
    """Say how a run ended: (ending, exit status, signal).

    Parameters
    ----------
    status : int or None
        Of the program, as a shell has it; None if it did not end by itself.
    stopped : Ending or None
        `TIMEOUT` or `KILLED` if we stopped it.
    out_of_memory : bool
        Whether the kernel killed something in the run for want of memory.

    Notes
    -----
    A program that leaves with 128 + n by itself looks like one ended by signal n, as in every shell; esorex
    does not (its statuses are CPL's error codes, and 255).
    """
    signal = status - 128 if status is not None and 128 < status <= 128 + 64 else None
    if status is None or signal is not None:
        signal = signal or 9
        if out_of_memory and signal == 9:
            return Ending.OUT_OF_MEMORY, None, signal
        if stopped is not None:
            return stopped, None, signal
        return (Ending.KILLED if signal in (9, 15) else Ending.EXITED), None, signal
    if out_of_memory and status != 0:
        return Ending.OUT_OF_MEMORY, status, None
    return Ending.EXITED, status, None


def isolation(request: EngineRequest, own: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Say what was applied to a run, item by item: what every engine does, then what this one adds."""
    items = {
        "network": "none",
        "root file system": "read-only",
        "inputs": "read-only, file by file",
        "/tmp": f"tmpfs of {TMP_BYTES} bytes",
        "environment": "nothing inherited",
        "capabilities": "none",
        "new privileges": "none",
        "host name": request.surroundings.hostname,
        "processes": f"at most {MOST_PROCESSES}",
        "memory limit": f"{request.memory_bytes} bytes" if request.memory_bytes else "none asked for",
    }
    if request.surroundings.emulator is not None:
        items["processor"] = f"emulated: {request.surroundings.emulator.cpu}"
    return tuple((items | own).items())


def status_of(figures: Figures, outer: int | None) -> int | None:
    """Take the program's status from the keeper, or from the container where the keeper could not write it.

    A full disk keeps the keeper from writing; it still leaves with the program's status. 137 is what a
    container leaves with when it was killed from outside, so from there it says nothing of the program.
    """
    return figures.status if figures.status is not None or outer in (None, 137) else outer


def check_request(request: EngineRequest) -> None:
    """Refuse a request whose inputs are not what an engine may mount.

    Raises
    ------
    EngineUnavailable
        An input is missing or no regular file, or the output directory is missing.
    """
    for mount in request.inputs:
        try:
            regular = stat.S_ISREG(os.lstat(mount.source).st_mode)
        except OSError as error:
            raise EngineUnavailable(
                f"the input {mount.source} cannot be given to a run: {error.strerror}"
            ) from error
        if not regular:
            raise EngineUnavailable(
                f"the input {mount.source} cannot be given to a run: it is no regular file",
                hint="links have to be resolved before",
            )
    if not request.out.is_dir():
        raise EngineUnavailable(f"the output directory {request.out} of a run is missing")


def _read(path: Path) -> str:
    """Read a small file that the program may have replaced by a link or a pipe: neither is followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return stream.read(_MOST_FIGURES).decode("utf-8", "replace")


def _milliseconds(match: re.Match[str]) -> tuple[int, int]:
    minutes, seconds, system_minutes, system_seconds = match.groups()
    return (
        round(60_000 * int(minutes) + 1000 * float(seconds)),
        round(60_000 * int(system_minutes) + 1000 * float(system_seconds)),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
