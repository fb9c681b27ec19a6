"""CPU seconds, wall seconds and peak memory of a program with all it starts."""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAUNCH = """
import json, os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
figures = [usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]
os.write(int(sys.argv[1]), json.dumps(figures).encode())
"""
# A process counts its parent's memory as its own until it is another program: so the parent has to be small.


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call of a program cost."""

    cpu_s: float
    """User and system, of the program and of all children it waited for."""
    wall_s: float
    peak_mb: float
    """Of the largest of its processes; what takes less than 10 shows as that."""
    status: int
    """Exit status, or a signal's number below zero."""


class TooSlow(Exception):
    """A program was stopped because it took longer than allowed."""


def measure(
    argv: Sequence[str | Path],
    cwd: Path,
    *,
    environment: Mapping[str, str] | None = None,
    limit_s: float = 3600.0,
    output: Path | None = None,
) -> Cost:
    """Run a program to its end; what it prints goes to a file, or nowhere."""
    reading, writing = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reading)
        sink = stack.enter_context((output or Path(os.devnull)).open("wb"))
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-ISc", _LAUNCH, str(writing), *map(str, argv)],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(writing,),
        )
        os.close(writing)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise TooSlow from None
        wall_s = time.perf_counter() - begin
        cpu_s, peak_kb, status = json.loads(os.read(reading, 1000))
    return Cost(cpu_s, wall_s, peak_kb / 1024, status)


def median(costs: Sequence[Cost]) -> Cost:
    """Give the median of each figure; of the statuses the worst."""
    return Cost(
        statistics.median(cost.cpu_s for cost in costs),
        statistics.median(cost.wall_s for cost in costs),
        statistics.median(cost.peak_mb for cost in costs),
        max((cost.status for cost in costs), key=abs),
    )
