"""The complete environment of a recipe's process: nothing is inherited. Pure."""

import functools
from datetime import datetime

LIBRARY_FOLDERS = {"linux/amd64": "x86_64-linux-gnu", "linux/arm64": "aarch64-linux-gnu"}
"""Debian's name of the platform, where the clock's library lies."""

PINNED = {"linux/amd64": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-FMA,-FMA4"}
"""Keeps glibc 2.36 from choosing other variants of exp, sin, pow on newer CPUs, 1 ulp apart."""


@functools.cache
def environment(threads: int, numerics: str, platform: str) -> tuple[tuple[str, str], ...]:
    """Give the environment that is part of an action's key.

    Parameters
    ----------
    threads : int
        OMP_NUM_THREADS, a property of the recipe and not of the machine.
    numerics : str
        `pinned` or `native`.
    platform : str
        Such as `linux/amd64`.
    """
    variables = {
        "HOME": "/tmp",
        "LC_ALL": "C",
        "OMP_DYNAMIC": "FALSE",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PATH": "/usr/bin:/bin",
        "TZ": "UTC",
    }
    if numerics == "pinned" and platform in PINNED:
        variables["GLIBC_TUNABLES"] = PINNED[platform]
    return tuple(sorted(variables.items()))


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
