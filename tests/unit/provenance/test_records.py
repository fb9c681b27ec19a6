"""What lies in the place of a record, an action or a statement, and is none."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import an_action, commit, overwrite

from provenance.errors import StoreDamaged
from provenance.store import Store


def garble(path: Path) -> None:
    overwrite(path, b"{")


def put_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_a_link(path: Path) -> None:
    path.rename(path.parents[3] / "moved")
    path.symlink_to(path.parents[3] / "moved")


def put_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


HARMS = [garble, put_a_directory, put_a_link, put_a_pipe]


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_no_record_is_refused_and_not_waited_for(store: Store, harm: Callable[[Path], None]) -> None:
    """A pipe would keep its reader for ever; what a link leads to may change at any time."""
    run = commit(store, an_action(), b"bias")
    harm(store.records.record_path(run.action, run.run))

    with pytest.raises(StoreDamaged):
        store.records.record(run.action, run.run)
    assert not store.lookup(run.action).is_hit


@pytest.mark.parametrize("harm", HARMS)
def test_the_last_run_is_the_newest_whose_record_can_be_read(
    store: Store, harm: Callable[[Path], None]
) -> None:
    """Promise 6: one damaged record is no reason for a reduction to stop; `check` names it."""
    older = commit(store, an_action(), b"bias")
    newer = commit(store, an_action(spec=2), b"bias 2")
    harm(store.records.record_path(newer.action, newer.run))

    assert store.last_run("bias", "night") == older
    assert store.runs() == (older,)


@pytest.mark.parametrize("harm", HARMS)
def test_what_lies_in_the_place_of_an_action_is_set_aside(store: Store, harm: Callable[[Path], None]) -> None:
    """Its name follows from its content, so that anything else there is damage."""
    key = store.put_action(an_action())
    harm(store.records.action_path(key))

    store.put_action(an_action())

    assert store.action(key) == an_action()
    assert [path.name.partition("~")[0] for path in (store.path / "damaged").iterdir()] == [f"{key}.json"]


@pytest.mark.parametrize("harm", HARMS)
def test_what_lies_in_the_place_of_a_statement_is_set_aside(
    store: Store, harm: Callable[[Path], None]
) -> None:
    said = store.statement("pin", {"name": "paper"})
    harm(store.records.statement_path(said.digest))

    again = store.statement("pin", {"name": "paper"})

    assert store.records.statement(again.digest) == said
