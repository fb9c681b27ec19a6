"""File systems of their own: one small enough to fill, one whose clock is coarse."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk_at(disk: Path) -> Iterator[Path]:
    """Mount a file system of 4 MB on a new folder; skip the test where that is not allowed."""
    with _mounted(disk, "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        yield disk


@contextmanager
def coarse_disk_at(disk: Path) -> Iterator[Path]:
    """Mount an ext4 whose times count seconds, as ext3 does; skip the test where that is not allowed."""
    image = disk.with_suffix(".img")
    image.touch()
    os.truncate(image, 8 << 20)
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    made = ["mkfs.ext4", "-q", "-I", "128", "-O", "^has_journal", str(image)]
    subprocess.run(made, check=True, capture_output=True, env=environment)  # inodes with no room for more
    with _mounted(disk, "-o", "loop", str(image)):
        yield disk
    image.unlink()


@contextmanager
def _mounted(disk: Path, *how: str) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip(f"mounting {how[-1]} needs root")
    disk.mkdir()
    done = subprocess.run(["mount", *how, str(disk)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"mounting {how[-1]} is not possible here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


def fill(disk: Path, leave: int = 0) -> None:
    """Leave so many bytes free."""
    free = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        file.write(b"\0" * max(0, free.f_bavail * free.f_frsize - leave))
