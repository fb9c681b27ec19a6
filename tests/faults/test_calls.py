"""Faults at each system call of a run: killed, asked to stop, refused. Promises 1, 6 and 10."""

import errno
import signal
from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.calls import Call
from tests.faults.trials import GROWING, Strike, Striking, count, misses, says, struck
from tests.faults.yard import Yard, assert_carries_on, assert_nothing_half_done

Points = Callable[[str], list[tuple[int, str]]]

PARTS = 8
"""Every call is struck; several tests, so that several processes share them."""


def test_every_step_of_a_publication_is_among_the_calls(labels: list[str]) -> None:
    """What strikes at every call strikes between any two steps of the protocol."""
    steps = [
        *("linkat claims", "rename work", "openat work", "write work"),
        *("fchmod work", "utimensat work", "fsync work", "linkat objects", "fsync objects"),
        *("openat tmp", "write tmp", "fchmod tmp", "fsync tmp", "linkat actions", "fsync actions"),
        *("linkat journal", "linkat records", "fsync records", "pwrite64 provenance.db-wal"),
        *("linkat statements", "rename tmp", "unlinkat tmp", "unlink claims"),
        *("link workspace/products", "rename workspace/products", "rename workspace/clio.lock"),
    ]

    assert [step for step in steps if step not in labels] == []
    assert len(labels) > 300


def test_the_calls_of_a_run_are_the_same_each_time(yard: Yard, labels: list[str]) -> None:
    """Call number k is the same one in each trial, but for the database's own writes and for folders.

    Reports and records hold times, so their digests are others each time: now and then two of them begin
    with the same two letters and share the folder that is named after these.
    """
    assert _steady(count(yard)) == _steady(labels)


def test_a_shared_folder_is_no_other_call() -> None:
    apart = ["mkdir objects", "fsync objects", "linkat objects", "fsync objects"] * 2

    assert _steady(apart) == _steady(apart[:4] + apart[6:])
    assert _steady(apart) != _steady(apart[:4] + apart[4:6])


def _steady(labels: list[str]) -> Counter[str]:
    """Count calls; without the database's, and without each folder made and the sync of its entry."""
    found = Counter(name for name in labels if "provenance.db" not in name)
    for name in [name for name in found if name.startswith("mkdir ")]:
        found.subtract({name.replace("mkdir", "fsync"): found[name]})
        del found[name]
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_killed_before_any_call_leaves_a_sound_store(yard: Yard, points: Points, part: int) -> None:
    """Promise 1: a kill at any instant; afterwards `check` is clean and `run` carries on."""
    strikes = [Strike(at, label, signal=signal.SIGKILL) for at, label in points("SIGKILL")[part::PARTS]]

    assert misses(yard, strikes, frozenset({-9})) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_run_asked_to_stop_before_any_call_leaves_a_sound_store(
    yard: Yard, points: Points, name: str
) -> None:
    """Promise 1: it stops with 130, unless all is done."""
    strikes = [Strike(at, label, signal=signal.Signals[name]) for at, label in points(name)]

    assert misses(yard, strikes, frozenset({130})) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_run_that_is_asked_to_stop_stops_and_tidies_up(yard: Yard, labels: list[str], name: str) -> None:
    """While the recipe writes its product: nothing is published, no scratch and no claim stay."""
    at = labels.index("write work", labels.index("fsync records"))

    plot, ended = struck(yard, Strike(at, labels[at], signal=signal.Signals[name]))

    assert (ended.status, ended.error) == (130, "Interrupted")
    assert [sorted((plot.store / name).iterdir()) for name in ("work", "tmp", "claims")] == [[], [], []]
    assert_nothing_half_done(plot)
    assert_carries_on(plot)


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EIO", "EACCES"])
def test_a_call_that_is_refused_is_said_and_leaves_a_sound_store(
    yard: Yard, points: Points, name: str
) -> None:
    """Promise 1: once; never a defect of the program (exit 1), never a product that is not whole."""
    number = getattr(errno, name)
    is_full = name in ("ENOSPC", "EDQUOT")
    strikes = [
        Strike(at, label, error=number)
        for at, label in points(name)
        if not is_full or label.split()[0] in GROWING
    ]

    assert misses(yard, strikes, frozenset({4, 6})) == []


@pytest.mark.parametrize("name", ["ENOSPC on", "EIO on", "EROFS on"])
def test_a_disk_that_stays_bad_is_said_and_leaves_a_sound_store(
    yard: Yard, points: Points, name: str
) -> None:
    """Promise 1: from a call on, to the end of the run; when the disk is good again the work goes on."""
    number = getattr(errno, name.removesuffix(" on"))
    strikes = [
        Strike(at, label, error=number, goes_on=True)
        for at, label in points(name)
        if number != errno.ENOSPC or label.split()[0] in GROWING
    ]

    assert misses(yard, strikes, frozenset({4, 6})) == []


def test_a_full_disk_is_called_that(yard: Yard, labels: list[str]) -> None:
    for label in ("write work", "linkat objects", "linkat records", "link workspace/products"):
        at = labels.index(label)

        _, ended = struck(yard, Strike(at, label, error=errno.ENOSPC, goes_on=True))

        assert ended.status in (4, 6), label
        assert says(ended, "no space left"), (label, ended)


def test_calls_outside_a_workspace_are_not_struck(yard: Yard) -> None:
    plot = yard.plot()
    elsewhere: list[Call] = []
    counting = Striking(plot)

    def decide(call: Call) -> int | None:
        known = len(counting.labels)
        verdict = counting(call)
        if len(counting.labels) == known:
            elsewhere.append(call)
        return verdict

    child = plot.start(is_told=True)
    child.follow(decide)
    child.wait()

    assert {call.path for call in elsewhere if call.path.is_relative_to(yard.root)} == {plot.log}
