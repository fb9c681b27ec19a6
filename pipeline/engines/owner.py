"""Which process owns a container, in a word that holds when its number is used by another process."""

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """Name this process: boot, number and start time."""
    return f"{_boot()}/{os.getpid()}/{_start(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Say whether the process that `this_process` named is alive; in doubt (another machine's) it is.

    A word we did not write names nobody who is alive.
    """
    boot, _, rest = owner.partition("/")
    pid, _, start = rest.partition("/")
    if not (boot and pid.isdecimal() and start):
        return False
    return boot != _boot() or _start(int(pid)) == start


def _boot() -> str:
    return _BOOT.read_text(encoding="ascii").strip()


def _start(pid: int) -> str:
    """Start time in clock ticks since boot; empty if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is the program's name in parentheses, which may hold anything.
    return stat.rpartition(")")[2].split()[19]
