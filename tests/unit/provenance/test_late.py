"""Rows that wait for each other, so that quick steps share a transaction; nobody must notice (promise 8)."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stored import a_run, an_action, commit, product

from provenance.check import check, reindex
from provenance.index import LATE_S
from provenance.memo import MemoEntry
from provenance.model import Run
from provenance.store import Store

SOON_S = 20 * LATE_S
"""For a timer of a second, on a machine that is busy with other tests."""


@pytest.fixture
def busy(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store into whose index something was written a moment ago, for as long as a test takes."""
    monkeypatch.setattr("provenance.index.LATE_S", 3600.0)
    commit(store, an_action(), b"first", unit="first")
    store.index.catch_up()
    return store


@pytest.fixture
def beside(busy: Store) -> Iterator[sqlite3.Connection]:
    """Another process's connection, which takes nothing in."""
    with closing(sqlite3.connect(busy.index.path)) as connection:
        yield connection


def indexed(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT run_id FROM run WHERE unit != 'first' ORDER BY run_id")
    return [run for (run,) in rows]


def two(store: Store) -> list[Run]:
    return [commit(store, an_action(), unit.encode(), unit=unit) for unit in ("a", "b")]


def test_a_run_after_a_pause_is_indexed_at_once(store: Store) -> None:
    commit(store, an_action(), b"first")
    store.index._written_at -= 2 * LATE_S
    run = commit(store, an_action(), b"bias")

    with closing(sqlite3.connect(store.index.path)) as beside:
        assert run.run in [run for (run,) in beside.execute("SELECT run_id FROM run")]


def test_runs_that_follow_quickly_go_in_together(busy: Store, beside: sqlite3.Connection) -> None:
    runs = two(busy)

    assert indexed(beside) == []
    busy.index.catch_up()
    assert indexed(beside) == [run.run for run in runs]


def test_whoever_asks_in_this_process_sees_what_is_late(busy: Store) -> None:
    runs = two(busy)

    assert busy.runs(stage="bias", unit="b") == (runs[1],)
    assert busy.run(runs[0].run) == runs[0]


def test_a_question_about_one_step_waits_for_that_step_alone(busy: Store, beside: sqlite3.Connection) -> None:
    runs = two(busy)

    assert busy.attempts("bias", "c") == ()
    assert indexed(beside) == []
    assert [attempt.run for attempt in busy.attempts("bias", "b")] == [runs[1].run]
    assert indexed(beside) == [run.run for run in runs]


def test_a_file_whose_memo_is_late_is_known(busy: Store, tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    path.write_bytes(b"frame")
    found = path.stat()
    busy.files.memoize_all([MemoEntry(found, "sha256:a", found.st_mtime_ns + 3 * 10**9)])

    memo = busy.files.memo(found)

    assert memo is not None and memo.digest == "sha256:a"


def test_what_is_said_stands_behind_what_was_recorded_before(busy: Store, beside: sqlite3.Connection) -> None:
    runs = two(busy)

    busy.statement("pin", {"name": "paper"})

    assert indexed(beside) == [run.run for run in runs]


def test_closing_leaves_nothing_behind(busy: Store, beside: sqlite3.Connection) -> None:
    runs = two(busy)

    busy.close()

    assert indexed(beside) == [run.run for run in runs]


def test_nothing_is_late_for_long(store: Store) -> None:
    """A recipe of hours follows on quick ones: others want to see what they made."""
    commit(store, an_action(), b"first")
    run = commit(store, an_action(), b"second")

    with closing(sqlite3.connect(store.index.path)) as beside:
        until = time.monotonic() + SOON_S
        while run.run not in [run for (run,) in beside.execute("SELECT run_id FROM run")]:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_many_rows_do_not_wait_for_time(busy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provenance.index._MOST_LATE", 10)

    two(busy)

    assert busy.index._late_rows <= 10


def test_who_dies_with_rows_that_are_late_loses_none(busy: Store) -> None:
    """Nothing is called at the end, as after SIGKILL: the journal names what was recorded."""
    runs = two(busy)

    with Store.open(busy.path) as next_command:
        assert {run.run for run in next_command.runs()} >= {run.run for run in runs}
        assert check(next_command) == ()


def test_a_check_meanwhile_finds_no_damage(busy: Store) -> None:
    with Store.open(busy.path) as other:
        two(busy)
        assert check(other) == ()


def test_rows_that_are_late_come_to_what_a_reindex_makes(busy: Store) -> None:
    """What several steps share is put in once."""
    two(busy)
    late = busy.index.dump()

    reindex(busy)

    assert busy.index.dump() == late


def test_a_row_that_is_refused_takes_no_other_with_it(busy: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, last = (busy.new_run_id() for _ in range(2))
    good = [a_run(an_action(), run, outputs=(product(busy, run, b"x"),)) for run in (first, last)]
    bad = a_run(an_action(), busy.new_run_id(), wall_ms="no number")
    for run in (good[0], bad, good[1]):
        busy.index_run(an_action(), run, "sha256:" + "0" * 64)

    with caplog.at_level(logging.WARNING):
        busy.index.catch_up()

    assert f"run {bad.run} is not in the index: a row does not fit the index" in caplog.text
    found = {run for (run,) in busy.index.read("SELECT run_id FROM run")}
    assert {first, last} <= found and bad.run not in found


def test_a_full_disk_costs_the_rows_and_says_whose(busy: Store, caplog: pytest.LogCaptureFixture) -> None:
    busy.index.read("PRAGMA max_page_count = 1")  # as if its disk were full
    runs = [
        commit(busy, an_action(), unit.encode(), unit=unit, caveats=("a long remark " * 20_000,))
        for unit in ("a", "b")
    ]

    with caplog.at_level(logging.WARNING):
        busy.index.catch_up()

    assert f"run {runs[0].run} and 1 more are recorded but not yet in the index" in caplog.text
    with Store.open(busy.path) as next_command:
        assert {run.run for run in next_command.runs()} >= {run.run for run in runs}


def test_what_this_process_stored_a_moment_ago_is_known_without_asking(
    busy: Store, beside: sqlite3.Connection
) -> None:
    """A step reads what the one before it made: that alone must not bring on a transaction."""
    run = commit(busy, an_action(), b"made a moment ago", unit="a")

    made = run.outputs[0].digest
    assert busy.files.remembers(made, busy.objects.path(made).lstat())
    assert indexed(beside) == []
