"""The machine a run happened on, for the record; no part of any key. Reads /proc and /sys."""

import functools
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path


@functools.cache
def host() -> tuple[tuple[str, str], ...]:
    """Describe this machine: name, processor, flags, cores, memory, kernel, boot."""
    processor, flags = _processor()
    return (
        ("boot_id", _read("/proc/sys/kernel/random/boot_id")),
        ("cores", str(cores())),
        ("cpu", processor),
        ("flags", flags),
        ("kernel", platform.release()),
        ("memory_bytes", str(memory_bytes())),
        ("name", platform.node()),
    )


@functools.cache
def cores() -> int:
    """Count the cores this process may use: a container or a batch job may have a share of them only."""
    allowed = len(os.sched_getaffinity(0))
    return min([allowed, *(max(1, math.ceil(share)) for share in _shares())])


def memory_bytes() -> int:
    """Give the memory in bytes: of the machine, or what our control group may have of it."""
    return min([_meminfo("MemTotal"), *(limit for limit, _ in _limits())])


def free_memory_bytes() -> int:
    """Give the memory that could be had without swapping, in bytes."""
    return max(0, min([_meminfo("MemAvailable"), *(limit - taken for limit, taken in _limits())]))


def _limits() -> Iterator[tuple[int, int]]:
    """Yield the limit of memory of each control group we are in, and what is taken of it; bytes."""
    names = {
        "": ("memory.max", "memory.current", "inactive_file"),
        "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    }
    for controller, (most, used, cached) in names.items():
        for folder in control_groups(controller):
            limit = _read(folder / most)
            if limit.isdecimal() and int(limit) < _NO_LIMIT:
                statistics = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
                # What is cached of files is given up when it is needed.
                taken = int(_read(folder / used) or 0) - int(statistics.get(cached, 0))
                yield int(limit), max(0, taken)


def _shares() -> Iterator[float]:
    """Yield how many cores each control group we are in may use at once."""
    for folder in control_groups(""):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)
    for folder in control_groups("cpu"):
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)


_GROUPS = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60
"""What version 1 writes for no limit is more than this."""


def control_groups(controller: str, membership: str | None = None, root: Path = _GROUPS) -> tuple[Path, ...]:
    """List the folders of the control groups that this process is in, from its own upwards.

    Parameters
    ----------
    controller : str
        Of version 1, such as `memory`; empty for version 2.
    membership : str, optional
        Content of `/proc/self/cgroup`.
    root : Path
        Where control groups are mounted.

    Notes
    -----
    In a container the path may be that of the host, of which only the last group is to be seen, at the top.
    """
    for line in (_read("/proc/self/cgroup") if membership is None else membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            own = root / controller / path.strip("/")
            top = root / controller
            inside = (own, *own.parents)[: len(own.parts) - len(top.parts) + 1]
            return tuple(folder for folder in inside if folder.is_dir())
    return ()


def _meminfo(name: str) -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _processor() -> tuple[str, str]:
    model = flags = ""
    for line in _read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name" and not model:
            model = value.strip()
        if name.strip() in ("flags", "Features") and not flags:
            flags = value.strip()
    return model or platform.machine(), flags


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
