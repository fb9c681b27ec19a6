"""Pruning where there is no room left, not even for the word that something was pruned."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_worker import action, make

from provenance.check import check, remarks
from provenance.model import InputFile, Run
from provenance.prune import Means, Plan, Terms, carry_out, plan, survey
from provenance.store import Store
from tests.disks import fill, small_disk_at

LATER = "2100-01-01T00:00:00.000Z"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    with small_disk_at(tmp_path / "disk") as disk:
        yield disk


def planned(store: Store) -> Plan:
    """Plan to drop all that is proven."""

    def freed(digest: str) -> int:
        return store.objects.path(digest).stat().st_blocks * 512

    def yes(what: InputFile | Run) -> bool:
        return True

    return plan(survey(store, LATER), Means(freed, yes, yes, lambda run: run.stage), Terms(LATER))


@pytest.mark.parametrize("is_open", [True, False], ids=["opened before", "opened when it was full"])
def test_pruning_makes_room_on_a_full_disk(full_disk: Path, is_open: bool) -> None:
    path = full_disk / "store"
    with Store.create(path) as store:
        runs = [make(store, action(number)) for number in (0, 1, 0, 1)]
        if is_open:
            fill(full_disk)
            what = planned(store)
            carry_out(store, what, "/galaxy", lambda digest: (), lambda digest: None)
    if not is_open:
        fill(full_disk)
        with Store.open(path) as store:
            what = planned(store)
            carry_out(store, what, "/galaxy", lambda digest: (), lambda digest: None)
    dropped = {output.digest for drop in what.drops for output in drop.objects}

    with Store.open(path) as store:
        assert dropped == {output.digest for run in runs for output in run.outputs}
        assert check(store, deep=True) == ()
        assert sum("was pruned" in remark.message for remark in remarks(store)) == len(dropped)
        assert list((path / "trash").iterdir()) == []
        again = make(store, action(2))
        assert store.lookup(again.action).run == again
