"""A clock that is moved back or forward: by libfaketime, in the process that reduces. Promises 1 and 3."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines import absent
from tests.faults.nursery import Nursery
from tests.faults.trials import Strike, Striking
from tests.faults.yard import Plot, Yard, assert_carries_on, assert_finished, assert_nothing_half_done

Points = Callable[[str], list[tuple[int, str]]]

FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"


@pytest.fixture(scope="session")
def libfaketime() -> Path:
    """The library, of the host or of a recipe image."""
    from pipeline.image import ImageLibrary

    roots = [Path("/"), *(image.rootfs for image in ImageLibrary().list())]
    found = [path for root in roots for path in root.glob(FAKETIME.lstrip("/"))]
    if not found:
        absent("faketime", "there is no libfaketime, nor an image that has it")
    return found[0]


@pytest.fixture(scope="session")
def shifted(yard: Yard, libfaketime: Path) -> Iterator[Callable[[str], Nursery]]:
    """Nurseries whose clock differs: by `-2d`, `+2d`; one for each, opened when it is first asked for."""
    opened: dict[str, Nursery] = {}

    def open_one(shift: str) -> Nursery:
        if shift not in opened:
            environment = {"LD_PRELOAD": str(libfaketime), "FAKETIME": shift, "NO_FAKE_STAT": "1"}
            opened[shift] = Nursery(**environment, FAKETIME_DONT_FAKE_MONOTONIC="1")
            plot = yard.plot()
            assert opened[shift].start(replace(plot.order, is_first=True)).wait().status == 0
        return opened[shift]

    yield open_one
    for nursery in opened.values():
        nursery.close()


@pytest.mark.parametrize("shift", ["-2d", "+2d"])
def test_a_run_under_another_clock_believes_what_is_known(
    yard: Yard, shifted: Callable[[str], Nursery], shift: str
) -> None:
    """Before and after: nothing is run again, and both runs are found."""
    plot = yard.plot()
    assert plot.run(stages=("bias",)).status == 0

    there = shifted(shift).start(plot.order).wait()
    back = plot.run()

    assert (there.status, there.message) == (0, "")
    assert (len(there.steps("hit")), len(there.steps("ran"))) == (1, 1)
    assert len(back.steps("hit")) == 2
    assert_finished(plot)


@pytest.mark.parametrize("shift", ["-2d", "+2d"])
def test_a_run_killed_is_carried_on_under_another_clock(
    yard: Yard, points: Points, dice: random.Random, shifted: Callable[[str], Nursery], shift: str
) -> None:
    """Promise 1: what is left of the dead is told by process and boot, never by a date."""
    everywhere = points("clock")
    for at, label in dice.sample(everywhere, min(len(everywhere), 12)):
        plot = yard.plot()
        child = plot.start(is_told=True)
        child.follow(Striking(plot, Strike(at, label, signal=9), child.pid))
        child.wait()

        ended = shifted(shift).start(plot.order).wait()

        assert (ended.status, ended.message) == (0, ""), (at, label)
        assert_nothing_half_done(plot)
        assert_carries_on(plot)


def test_two_runs_at_once_whose_clocks_differ_share_the_work(
    yard: Yard, shifted: Callable[[str], Nursery]
) -> None:
    """A claim's age is measured by the one who waits, on a clock that nobody moves."""
    plot = yard.plot()
    other = plot.beside()

    first = plot.start(delay_s=0.3)
    second = shifted("+2d").start(replace(other.order, delay_s=0.3))
    ended = (first.wait(), second.wait())

    assert [(e.status, e.message) for e in ended] == [(0, ""), (0, "")]
    assert len(ended[0].steps("ran")) + len(ended[1].steps("ran")) == 2
    assert_finished(plot)
    assert_finished(other)


@pytest.mark.parametrize("shift", ["-2d", "+2d"])
def test_an_edited_frame_is_seen_although_the_clock_was_elsewhere_when_it_was_read(
    yard: Yard, shifted: Callable[[str], Nursery], shift: str
) -> None:
    """Promise 3: the memo is a hint; what was remembered in the future is not believed of a new file."""
    plot = with_own_night(yard)
    assert shifted(shift).start(plot.order).wait().status == 0
    victim = next((plot.folder / "night" / "raw").glob("MUSE.2023-02-25T14*.fits"))
    found, content = victim.stat(), bytearray(victim.read_bytes())
    at = content.index(b"CHAN01")
    first_pixel = -(-(content.index(b"END".ljust(80), at) + 80) // 2880) * 2880
    content[first_pixel + 1] ^= 1
    victim.write_bytes(content)
    os.utime(victim, ns=(found.st_atime_ns, found.st_mtime_ns))

    ended = plot.run()

    assert (ended.status, ended.message) == (0, "")
    assert len(ended.steps("ran")) >= 1


def with_own_night(yard: Yard) -> Plot:
    """Begin a workspace whose frames may be edited."""
    plot = yard.plot()
    shutil.copytree(yard.root / "night", plot.folder / "night")
    settings = plot.folder / "clio.toml"
    settings.write_text(settings.read_text().replace(str(yard.root / "night"), str(plot.folder / "night")))
    return plot
