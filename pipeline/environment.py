"""The complete environment of a recipe's process: nothing is inherited. Pure."""

import functools
from datetime import datetime

LIBRARY_FOLDERS = {"linux/amd64": "x86_64-linux-gnu", "linux/arm64": "aarch64-linux-gnu"}
"""Debian's name of the platform, where the clock's library lies."""

PINNED = {"linux/amd64": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-FMA,-FMA4"}
"""Keeps glibc 2.36 from choosing other variants of exp, sin, pow on newer CPUs, 1 ulp apart."""


FREE = "free"
"""Stands for the number of threads in the key of a recipe that gives the same bits with any."""

THREADS = "OMP_NUM_THREADS"
TUNABLES = "GLIBC_TUNABLES"


@functools.cache
def environment(threads: int | None, numerics: str, platform: str) -> tuple[tuple[str, str], ...]:
    """Give the environment that is part of an action's key.

    Parameters
    ----------
    threads : int or None
        OMP_NUM_THREADS, a property of the recipe and not of the machine; None if any number will do.
    numerics : str
        `pinned` or `native`.
    platform : str
        Such as `linux/amd64`.
    """
    variables = {
        "HOME": "/tmp",
        "LC_ALL": "C",
        "OMP_DYNAMIC": "FALSE",
        THREADS: FREE if threads is None else str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PATH": "/usr/bin:/bin",
        "TZ": "UTC",
    }
    if numerics == "pinned" and platform in PINNED:
        variables[TUNABLES] = PINNED[platform]
    return tuple(sorted(variables.items()))


def settled(variables: tuple[tuple[str, str], ...], cores: int) -> tuple[tuple[str, str], ...]:
    """Give the environment as a process gets it: a free number of threads is that of the cores."""
    return tuple((THREADS, str(cores)) if pair == (THREADS, FREE) else pair for pair in variables)


def clock_environment(at: datetime | None, platform: str) -> tuple[tuple[str, str], ...]:
    """Give the variables that make the clock stand still; none for a real clock.

    Parameters
    ----------
    at : datetime or None
        UTC, whole seconds; None lets the clock run.
    platform : str
        Such as `linux/amd64`.

    Notes
    -----
    They are no part of the key: what they change, `DATE` and `CHECKSUM`, is no science.
    libfaketime reads `FAKETIME` in the time zone of the process, which `environment` sets to UTC.
    """
    if at is None:
        return ()
    library = f"/usr/lib/{LIBRARY_FOLDERS[platform]}/faketime/libfaketime.so.1"
    return (
        ("FAKETIME", at.strftime("%Y-%m-%d %H:%M:%S")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("LD_PRELOAD", library),
        ("NO_FAKE_STAT", "1"),
    )
