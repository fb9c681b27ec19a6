"""The machine a run happened on, for the record; no part of any key. Reads /proc."""

import functools
import os
import platform
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


def cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Give the memory of the machine in bytes."""
    return _meminfo("MemTotal")


def free_memory_bytes() -> int:
    """Give the memory that could be had without swapping, in bytes."""
    return _meminfo("MemAvailable")


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


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
