"""The store on a real disk: full, of another file system, fast enough."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_worker import action, make

from provenance.check import check
from provenance.errors import StoreFull, StoreUnwritable
from provenance.store import Store
from tests.disks import fill, small_disk_at


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    with small_disk_at(tmp_path / "disk") as disk:
        yield disk


@pytest.mark.parametrize("pages", [*range(24), 32, 48, 64])
def test_a_full_disk_leaves_a_sound_store_and_the_next_run_carries_on(small_disk: Path, pages: int) -> None:
    """Promise 1: wherever the space runs out while products are published."""
    path = small_disk / "store"
    run = None
    with Store.create(path) as store:
        first = make(store, action(0))
        with contextlib.suppress(StoreFull):
            run = make(store, action(1), lambda: fill(small_disk, pages * 4096))
        known = store.lookup(action(1).key).run
        (small_disk / "filler").unlink()

    assert known == run
    with Store.open(path) as store:
        for left in (path / "work").iterdir():
            store.discard_work(left.name)
        assert check(store, deep=True) == ()
        assert store.lookup(action(0).key).run == first
        assert store.lookup(action(1).key).run == run
        assert list((path / "tmp").iterdir()) == []
        again = make(store, action(1))
        assert store.lookup(action(1).key).run == again
        assert check(store, deep=True) == ()


def test_a_store_on_a_full_disk_can_still_be_read(small_disk: Path) -> None:
    with Store.create(small_disk / "store") as store:
        run = make(store, action(0))
    fill(small_disk, 0)

    with Store.open(small_disk / "store") as store:
        assert store.lookup(run.action).run == run
        assert store.runs() == (run,)
        assert check(store, deep=True) == ()
        with pytest.raises(StoreFull):
            store.objects.put_bytes(b"x" * 2**16)


def test_a_store_on_a_read_only_file_system_is_read_and_not_written(small_disk: Path) -> None:
    with Store.create(small_disk / "store") as store:
        run = make(store, action(0))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    with Store.open(small_disk / "store") as store:
        assert store.lookup(action(0).key).run == run
        assert store.runs() == (run,)
        assert check(store, deep=True) == ()
        with pytest.raises(StoreUnwritable) as caught:
            store.objects.put_bytes(b"more")
    assert str(caught.value) == f"{small_disk / 'store' / 'objects'} may not be written to"


def test_a_full_disk_is_said_to_be_full(small_disk: Path) -> None:
    with Store.create(small_disk / "store") as store:
        fill(small_disk, 0)
        with pytest.raises(StoreFull) as caught:
            store.objects.put_bytes(b"bytes" * 10_000)

    assert caught.value.message.startswith(f"no space left for {small_disk / 'store' / 'objects'}")
    assert caught.value.hint == "free space on that file system, then run again"


def test_a_product_on_another_file_system_is_copied_into_the_store(small_disk: Path, tmp_path: Path) -> None:
    product = small_disk / "product.fits"
    product.write_bytes(b"product")
    with Store.create(tmp_path / "store") as store:
        stored = store.objects.put(product)

        assert store.objects.verify(stored.digest) == 7


def test_eighty_hits_are_found_in_a_second(tmp_path: Path) -> None:
    """CPU time, and far more than it takes (0.02 s), so that a busy machine does not fail it."""
    with Store.create(tmp_path / "store") as store:
        for number in range(80):
            make(store, action(number))

    began = time.process_time()
    with Store.open(tmp_path / "store") as store:
        hits = sum(store.lookup(action(number).key).is_hit for number in range(80))
    spent_s = time.process_time() - began

    assert hits == 80
    assert spent_s < 1


def test_no_process_is_needed_to_read_a_store_again(tmp_path: Path) -> None:
    """Promise 8: copied without its database, a store answers the same."""
    with Store.create(tmp_path / "store") as store:
        runs = {make(store, action(number)) for number in range(3)}
    subprocess.run(["cp", "-a", str(tmp_path / "store"), str(tmp_path / "copy")], check=True)
    for path in (tmp_path / "copy").glob("provenance.db*"):
        path.unlink()

    with Store.open(tmp_path / "copy") as copy:
        assert set(copy.runs()) == runs
        assert check(copy, deep=True) == ()
        assert all(copy.lookup(run.action).is_hit for run in runs)
