"""The complete environment of a recipe's process: nothing is inherited. Pure."""

import difflib
import functools
from datetime import datetime

LIBRARY_FOLDERS = {"linux/amd64": "x86_64-linux-gnu", "linux/arm64": "aarch64-linux-gnu"}
"""Debian's name of the platform, where the clock's library lies."""

PINNED = {"linux/amd64": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-FMA,-FMA4"}
"""Keeps glibc 2.36 from choosing other variants of exp, sin, pow on newer CPUs, 1 ulp apart."""

KEPT_MEMORY = ":".join(
    (
        f"glibc.malloc.mmap_threshold={256 * 1024**2}",
        f"glibc.malloc.trim_threshold={1024**3}",
        f"glibc.malloc.top_pad={64 * 1024**2}",
    )
)
"""Lets a recipe use again what it freed; by default glibc hands images back to the kernel, which clears each
page of the next one. No result should depend on it; what memory holds that was never written does."""

VARIABLES = frozenset(
    {
        "MUSE_AIT_HACK_SLICE_NUMBER",
        "MUSE_AUTOCAL_EXCLUDE_RAMAN",
        "MUSE_BASICPROC_SKIP_GAIN_OVERRIDE",
        "MUSE_BASICPROC_SKIP_NONLIN_CORR",
        "MUSE_COLLAPSE_PIXTABLE",
        "MUSE_COLLAPSE_USE_VARIANCE",
        "MUSE_CPL_ERRORSTATE_NDUMP",
        "MUSE_DAR_CORRECT_METHOD",
        "MUSE_EXPERT_USER",
        "MUSE_GEOMETRY_HORI_OFFSETS",
        "MUSE_GEOMETRY_MASK_ROTATION",
        "MUSE_GEOMETRY_NO_INVERSION",
        "MUSE_GEOMETRY_PINHOLE_DY",
        "MUSE_GEOMETRY_STD_GAP",
        "MUSE_PIXTABLE_SAVE_AS_TABLE",
        "MUSE_SUPERFLAT_POS",
        "MUSE_TWILIGHT_SCALES",
    }
)
"""Variables that a person may set: those that the text of libmuse 2.8.7 holds, without what is refused."""

PINNED_PYTHON = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 FMA3 AVX512F AVX512CD AVX512_SKX",
    "OPENBLAS_CORETYPE": "Nehalem",
}
"""Keeps numpy and OpenBLAS from choosing other kernels on newer CPUs; names that one of them does not know
are ignored."""

FREE = "free"
"""Stands for the number of threads in the key of a recipe that gives the same bits with any."""

THREADS = "OMP_NUM_THREADS"
THREADS_OF_PYTHON = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TUNABLES = "GLIBC_TUNABLES"


@functools.cache
def environment(
    threads: int | None, numerics: str, platform: str, chosen: tuple[tuple[str, str], ...] = ()
) -> tuple[tuple[str, str], ...]:
    """Give the environment that is part of an action's key.

    Parameters
    ----------
    threads : int or None
        OMP_NUM_THREADS, a property of the recipe and not of the machine; None if any number will do.
    numerics : str
        `pinned` or `native`.
    platform : str
        Such as `linux/amd64`.
    chosen : tuple of (str, str), optional
        Variables of the MUSE library that a person set; see `refused_variable`.
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
    variables |= pins(numerics, platform)
    return tuple(sorted((variables | dict(chosen)).items()))


def pins(numerics: str, platform: str, *, is_ours: bool = False) -> dict[str, str]:
    """Give the variables that tell libraries how to keep memory and, pinned, which functions to take.

    Parameters
    ----------
    numerics, platform : str
        As of `environment`.
    is_ours : bool
        For a recipe of our own: numpy and OpenBLAS are told, too.
    """
    if numerics != "pinned" or platform not in PINNED:
        return {TUNABLES: KEPT_MEMORY}
    return {TUNABLES: f"{PINNED[platform]}:{KEPT_MEMORY}"} | (PINNED_PYTHON if is_ours else {})


def refused_variable(name: str) -> tuple[str, str]:
    """Say why a variable may not be set for a recipe, and what to do; nothing for one that may.

    Notes
    -----
    MUSE_DEBUG_* switch off what the recipes check, or write files of their own; a *_SKIP names a file to read
    instead of computing, which no key would hold.
    """
    if name.startswith("MUSE_DEBUG_"):
        return f"{name} is refused: it makes a recipe check less, or leave files nobody asked for", ""
    if name.startswith("MUSE_") and name.endswith("_SKIP"):
        return f"{name} is refused: it lets a recipe read a file that is no input of it", ""
    if name in VARIABLES:
        return "", ""
    close = difflib.get_close_matches(name, sorted(VARIABLES), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(VARIABLES))}"
    return f"{name} is no variable that the MUSE library reads", hint


@functools.cache
def own_environment(numerics: str, platform: str) -> tuple[tuple[str, str], ...]:
    """Give the environment that is part of the key of a recipe of our own: one thread, whatever computes.

    Parameters
    ----------
    numerics, platform : str
        As of `environment`. Pinned, numpy and OpenBLAS use the instructions that every processor has.
    """
    variables = dict(environment(1, numerics, platform))
    variables |= dict.fromkeys(THREADS_OF_PYTHON, "1") | {"PYTHONHASHSEED": "0"}
    variables |= pins(numerics, platform, is_ours=True)
    return tuple(sorted(variables.items()))


def own_clock(at: datetime | None) -> tuple[tuple[str, str], ...]:
    """Give the variable by which a recipe of our own is told the time; none for a real clock."""
    return (("SOURCE_DATE_EPOCH", str(round(at.timestamp()))),) if at else ()


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
        ("FAKETIME", at.replace(tzinfo=None).isoformat(" ", "seconds")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("LD_PRELOAD", library),
        ("NO_FAKE_STAT", "1"),
    )
