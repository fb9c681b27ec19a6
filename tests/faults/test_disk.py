"""Disks that are full, read-only or not ours, for real. Promises 1 and 10."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.disks import fill, small_disk_at
from tests.faults.calls import Call
from tests.faults.nursery import Ended
from tests.faults.trials import Striking, says
from tests.faults.yard import Plot, Yard, assert_carries_on, assert_nothing_half_done

PAGE = 4096
NOBODY = 65534


@pytest.fixture
def small_disk(ground: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    with small_disk_at(ground / "disk") as disk:
        yield disk


PAGES = (0, 1, 2, 3, 4, 6, 8, 12, 20, 40, 80, 160)


@pytest.mark.parametrize("pages", PAGES)
@pytest.mark.parametrize("when", ["as the run begins", "as the recipe begins"])
def test_a_disk_that_fills_up_leaves_a_sound_store_and_the_next_run_finishes(
    yard: Yard, small_disk: Path, labels: list[str], pages: int, when: str
) -> None:
    """Promise 1: wherever the space runs out."""
    plot = yard.plot(folder=small_disk / "workspace")
    plot.order = replace(plot.order, log=str(small_disk.with_name("disk.log")))
    if when == "as the run begins":
        assert plot.run(stages=("bias",)).status == 0
        fill(small_disk, pages * PAGE)
        ended = plot.run()
    else:
        ended = _run_and_fill(plot, small_disk, labels, pages)
    (small_disk / "filler").unlink()

    assert ended.status in (0, 4, 6), ended
    assert ended.status == 0 or says(ended, "no space left") or says(ended, "disk full"), ended
    assert_nothing_half_done(plot)
    assert_carries_on(plot)
    plot.log.unlink()


def _run_and_fill(plot: Plot, disk: Path, labels: list[str], pages: int) -> Ended:
    at = labels.index("openat work", labels.index("openat work") + 1)
    counting = Striking(plot)
    child = plot.start(is_told=True)

    def decide(call: Call) -> int | None:
        verdict = counting(call)
        if len(counting.labels) - 1 == at and not (disk / "filler").exists():
            fill(disk, pages * PAGE)
        return verdict

    child.follow(decide)
    return child.wait()


def test_a_store_that_is_mounted_read_only_is_said_and_finished_later(yard: Yard, small_disk: Path) -> None:
    plot = yard.plot(store=small_disk / "store")
    assert plot.run(stages=("bias",)).status == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    ended = plot.run()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)

    assert ended.status == 6, ended
    assert "may not be written to" in ended.message
    assert ended.steps("hit") == ["bias:2023-02-25T14:24:00:01"]
    assert_nothing_half_done(plot)
    assert_carries_on(plot)


def objects_of_one(plot: Plot) -> Path:
    """A directory that holds an object."""
    return next(path for path in sorted((plot.store / "objects").iterdir()) if any(path.iterdir()))


PLACES: dict[str, Callable[[Plot], Path]] = {
    "store": lambda plot: plot.store,
    "objects": lambda plot: plot.store / "objects",
    "objects/ab": objects_of_one,
    "actions": lambda plot: plot.store / "actions",
    "records": lambda plot: plot.store / "records",
    "statements": lambda plot: plot.store / "statements",
    "journal": lambda plot: plot.store / "journal",
    "claims": lambda plot: plot.store / "claims",
    "work": lambda plot: plot.store / "work",
    "tmp": lambda plot: plot.store / "tmp",
    "provenance.db": lambda plot: plot.store / "provenance.db",
    "products": lambda plot: plot.products,
    "workspace": lambda plot: plot.folder,
}


@pytest.mark.parametrize("mode", [0o000, 0o555])
@pytest.mark.parametrize("place", PLACES)
def test_what_may_not_be_written_or_read_is_said_by_name(yard: Yard, place: str, mode: int) -> None:
    """Promise 1: one of two steps is made, then a mode is taken away; it comes back, and the rest is made."""
    user = NOBODY if os.geteuid() == 0 else None
    plot = yard.plot()
    if user is not None:
        for path in (plot.folder, *plot.folder.rglob("*")):
            os.chown(path, user, user)
        plot.log.touch()
        os.chown(plot.log, user, user)
    assert plot.run(stages=("bias",), user=user).status == 0
    path = PLACES[place](plot)
    before = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode)

    ended = plot.run(user=user)
    path.chmod(before)

    assert ended.status in (0, 2, 6), ended
    assert ended.status == 0 or str(plot.folder) in ended.message, ended
    assert plot.run(user=user).status == 0
    assert plot.shown() == yard.science
    owners = {found.lstat().st_uid for found in plot.folder.rglob("*")}
    assert owners == {plot.folder.stat().st_uid}
    # Looked at as the owner would, so that nothing of ours is made by another user.
    assert_nothing_half_done(plot)
