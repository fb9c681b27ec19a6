"""A file system of its own, small enough to fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk_at(disk: Path) -> Iterator[Path]:
    """Mount a file system of 4 MB on a new folder; skip the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"mounting a small tmpfs is not possible here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


@contextmanager
def coarse_disk_at(disk: Path) -> Iterator[Path]:
    """Mount an ext4 whose times count seconds, as ext3 does; skip the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("mounting a disk image needs root")
    image = disk.with_suffix(".img")
    image.touch()
    os.truncate(image, 8 << 20)
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    made = ["mkfs.ext4", "-q", "-I", "128", "-O", "^has_journal", str(image)]
    subprocess.run(made, check=True, capture_output=True, env=environment)  # inodes with no room for more
    disk.mkdir()
    done = subprocess.run(["mount", "-o", "loop", str(image), str(disk)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"mounting a disk image is not possible here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        image.unlink()


def fill(disk: Path, leave: int = 0) -> None:
    """Leave so many bytes free."""
    free = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        file.write(b"\0" * max(0, free.f_bavail * free.f_frsize - leave))
