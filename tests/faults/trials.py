"""Faults at a system call: count the calls of an undisturbed run, choose some, strike at each."""

import errno
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.calls import SILENT, Call
from tests.faults.nursery import Ended
from tests.faults.yard import Plot, Yard, assert_carries_on, assert_nothing_half_done

GROWING = frozenset(
    ("write", "pwrite64", "writev", "sendfile", "copy_file_range", "fallocate", "open", "openat", "creat")
) | frozenset(("mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat"))
"""Calls that a full disk refuses."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at one call."""

    number: int
    """Of the call, from 0."""
    label: str
    """What call that was in the undisturbed run."""
    signal: int = 0
    """Sent when the call is about to happen."""
    error: int = 0
    """What the call is refused with."""
    goes_on: bool = False
    """Whether later calls are refused too, until the run ends."""

    def __str__(self) -> str:
        return f"{self.number} {self.label}"


class Striking:
    """Counts the calls that change something of a workspace, and strikes at one."""

    def __init__(self, plot: Plot, strike: Strike | None = None, pid: int = 0) -> None:
        self.labels: list[str] = []
        """Of the calls so far."""
        self._plot = plot
        self._strike = strike
        self._pid = pid

    def __call__(self, call: Call) -> int | None:
        """Decide about a call."""
        place = label(self._plot, call)
        if place is None:
            return None
        self.labels.append(place)
        strike, number = self._strike, len(self.labels) - 1
        if strike is None or number < strike.number:
            return None
        if strike.error:
            is_struck = number == strike.number or (strike.goes_on and _is_refused(call, strike))
            return strike.error if is_struck else None
        if number == strike.number:
            os.kill(self._pid, strike.signal)
            return SILENT if strike.signal == 9 else None
        return None


def _is_refused(call: Call, strike: Strike) -> bool:
    """Tell whether a call meets a fault that stays: a full disk still lets names be removed and moved."""
    return strike.error not in (errno.ENOSPC, errno.EDQUOT) or call.name in GROWING


def label(plot: Plot, call: Call) -> str | None:
    """Name a call and the part of the workspace it changes; None if it changes something else."""
    for root, before in ((plot.store, ""), (plot.folder, "workspace/")):
        if call.path == root or call.path.is_relative_to(root):
            parts = call.path.relative_to(root).parts
            part = parts[0].partition("~")[0].removeprefix(".") if parts else "."
            return f"{call.name} {before}{part}"
    return None


def count(yard: Yard) -> list[str]:
    """Give the labels of all calls of an undisturbed run."""
    plot = yard.plot()
    counting = Striking(plot)
    child = plot.start(is_told=True)
    child.follow(counting)
    assert child.wait().status == 0
    return counting.labels


def choose(labels: list[str], sample: int | None, dice: random.Random) -> list[tuple[int, str]]:
    """Choose calls to strike at: one of each label, then others at random; all without a number."""
    if sample is None or sample >= len(labels):
        return list(enumerate(labels))
    by_label: dict[str, list[int]] = {}
    for number, name in enumerate(labels):
        by_label.setdefault(name, []).append(number)
    chosen = {dice.choice(numbers) for numbers in by_label.values()}
    others = [number for number in range(len(labels)) if number not in chosen]
    dice.shuffle(others)
    chosen.update(others[: max(0, sample - len(chosen))])
    return [(number, labels[number]) for number in sorted(chosen)]


def struck(yard: Yard, strike: Strike) -> tuple[Plot, Ended]:
    """Run in a new workspace and strike."""
    plot = yard.plot()
    child = plot.start(is_told=True)
    child.follow(Striking(plot, strike, child.pid))
    return plot, child.wait()


def misses(yard: Yard, strikes: Iterable[Strike], statuses: frozenset[int]) -> list[str]:
    """Strike, look, carry on; list what did not hold, with the call it was struck at.

    Parameters
    ----------
    yard : Yard
        Where.
    strikes : iterable of Strike
        Each in a workspace of its own.
    statuses : frozenset of int
        Exit statuses that are right; 0 as well, for what struck where it does no harm.
    """
    found = []
    for strike in strikes:
        plot, ended = struck(yard, strike)
        try:
            assert ended.status in statuses | {0}, f"ended with {ended.status}: {ended.error} {ended.message}"
            assert_nothing_half_done(plot)
            assert_carries_on(plot)
        except AssertionError as error:
            found.append(f"{strike}, in {plot.folder}: {error}")
        else:
            plot.remove()
    return found


def says(ended: Ended, text: str) -> bool:
    """Tell whether a person is told something."""
    return any(text in said.lower() for said in (ended.message, *(why for _, _, why in ended.did)))
