"""What is remembered of a file by its inode and times."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import an_action, commit, move_change_time

from provenance import memo
from provenance.memo import Memo, MemoEntry
from provenance.store import Store
from tests.disks import coarse_disk_at

SECOND = 1_000_000_000


def remember(store: Store, found: os.stat_result, digest: str = "sha256:a", *more: str) -> None:
    """Remember a file as if it had been left alone for a second."""
    store.files.memoize(MemoEntry(found, digest, time.time_ns() + SECOND, *more))


def old_file(path: Path, content: bytes = b"content", age_s: float = 60) -> os.stat_result:
    path.write_bytes(content)
    at = time.time() - age_s
    os.utime(path, (at, at))
    return path.stat()


def test_what_was_remembered_is_given_back(store: Store, tmp_path: Path) -> None:
    found = old_file(tmp_path / "raw")
    remember(store, found, "sha256:a", "fits1:b", '{"DPR": "BIAS"}')

    assert store.files.memo(found) == Memo("sha256:a", "fits1:b", '{"DPR": "BIAS"}')


def test_a_file_asked_for_again_is_known_without_the_database(store: Store, tmp_path: Path) -> None:
    """A static calibration is an input of every exposure."""
    found = old_file(tmp_path / "static")
    remember(store, found, "sha256:a")
    assert store.files.memo(found) == Memo("sha256:a", None, None)

    store.index.insert([("DELETE FROM stat_memo", ())])
    assert store.files.memo(found) == Memo("sha256:a", None, None)

    remember(store, found, "sha256:b")
    assert store.files.memo(found) == Memo("sha256:b", None, None)


def test_files_known_without_the_database_do_not_fill_the_memory(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memo, "_MOST_FOUND", 2)
    files = {name: old_file(tmp_path / name) for name in "abcde"}
    for name, found in files.items():
        remember(store, found, f"sha256:{name}")
    assert [store.files.memo(found) for found in files.values()] == [
        Memo(f"sha256:{name}", None, None) for name in files
    ]

    store.index.insert([("DELETE FROM stat_memo", ())])

    known = [name for name, found in files.items() if store.files.memo(found) is not None]
    assert len(known) <= 2


def test_nothing_is_known_of_a_file_never_seen(store: Store, tmp_path: Path) -> None:
    assert store.files.memo(old_file(tmp_path / "raw")) is None


@pytest.mark.parametrize("age_s", [-3600, -1, 0, 1, 1.9])
def test_a_file_changed_within_two_seconds_of_being_hashed_is_not_believed(
    store: Store, tmp_path: Path, age_s: float
) -> None:
    found = old_file(tmp_path / "raw", age_s=age_s)
    store.files.memoize_all([MemoEntry(found, "sha256:a", time.time_ns())])

    assert store.files.memo(found) is None


def test_a_fresh_file_is_believed_once_it_was_hashed_again_later(store: Store, tmp_path: Path) -> None:
    found = old_file(tmp_path / "raw", age_s=0)
    store.files.memoize_all([MemoEntry(found, "sha256:a", time.time_ns())])
    store.files.memoize_all([MemoEntry(found, "sha256:a", found.st_mtime_ns + 2 * SECOND)])

    assert store.files.memo(found) == Memo("sha256:a", None, None)


def test_a_write_of_the_same_size_with_its_time_put_back_is_seen(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    found = old_file(path, b"content")
    remember(store, found)
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    assert path.stat().st_mtime_ns == found.st_mtime_ns
    assert store.files.memo(path.stat()) is None


def test_another_file_at_the_same_path_is_another_file(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    found = old_file(path)
    remember(store, found)
    other = old_file(tmp_path / "other")
    (tmp_path / "other").replace(path)

    assert path.stat().st_ino == other.st_ino
    assert store.files.memo(path.stat()) is None


def test_a_file_that_was_only_renamed_is_known(store: Store, tmp_path: Path) -> None:
    """Promise 2: on file systems where a rename leaves the change time alone, and by hashing elsewhere."""
    path = tmp_path / "raw"
    found = old_file(path)
    remember(store, found)
    path.rename(tmp_path / "moved")
    moved = (tmp_path / "moved").stat()

    expected = Memo("sha256:a", None, None) if moved.st_ctime_ns == found.st_ctime_ns else None
    assert store.files.memo(moved) == expected


@pytest.mark.parametrize(("after_ns", "is_believed"), [(0, False), (19_000_000, False), (20_000_000, True)])
def test_a_file_of_somebody_else_is_remembered_once_its_change_time_is_settled(
    store: Store, tmp_path: Path, after_ns: int, is_believed: bool
) -> None:
    """Promise 3: within a tick of the kernel's clock an edit with size and time put back leaves no trace."""
    found = with_change_time(old_file(tmp_path / "raw"), 1_700_000_000_123_456_789)
    store.files.memoize(MemoEntry(found, "sha256:a", found.st_ctime_ns + after_ns))

    assert (store.files.memo(found) is not None) == is_believed


@pytest.mark.parametrize(
    ("after_ns", "is_believed"), [(0, False), (1_999_999_999, False), (2 * SECOND, True)]
)
def test_a_change_time_in_whole_seconds_is_settled_two_seconds_later(
    store: Store, tmp_path: Path, after_ns: int, is_believed: bool
) -> None:
    found = with_change_time(old_file(tmp_path / "raw"), 1_700_000_000 * SECOND)
    store.files.memoize(MemoEntry(found, "sha256:a", found.st_ctime_ns + after_ns))

    assert (store.files.memo(found) is not None) == is_believed


def with_change_time(found: os.stat_result, ctime_ns: int) -> os.stat_result:
    times = {"st_mtime_ns": ctime_ns - 60 * SECOND, "st_ctime_ns": ctime_ns}
    return os.stat_result(tuple(found), times)


def test_two_writes_within_a_second_are_told_apart_on_a_disk_that_counts_seconds(
    store: Store, tmp_path: Path
) -> None:
    """Promise 3, on a real disk of that kind."""
    with coarse_disk_at(tmp_path / "disk") as disk:
        path = disk / "raw"
        while True:
            path.write_bytes(b"content")
            began_ns, found = time.time_ns(), path.stat()
            path.write_bytes(b"CONTENT")
            if path.stat() == found:
                break  # written twice within the same second: nothing tells them apart
        store.files.memoize(MemoEntry(found, "sha256:of what was read first", began_ns))

        assert store.files.memo(path.stat()) is None


def test_linking_an_object_does_not_make_the_memo_forget_it(store: Store, tmp_path: Path) -> None:
    run = commit(store, an_action(), b"bias")
    path = store.objects.path(run.outputs[0].digest)
    with store.files.linking(run):
        move_change_time(path, tmp_path / "link")

    assert store.files.remembers(run.outputs[0].digest, path.stat())


def test_what_a_run_made_is_noted_once_as_it_looks_in_the_end(store: Store) -> None:
    run = commit(store, an_action(), b"bias", b"flat")

    rows = store.index.read("SELECT digest FROM stat_memo")

    assert sorted(digest for (digest,) in rows) == sorted(output.digest for output in run.outputs)
    assert all(store.files.proves(output.digest) for output in run.outputs)


def test_an_object_edited_while_it_is_linked_is_not_remembered(store: Store, tmp_path: Path) -> None:
    """Promise 4."""
    run = commit(store, an_action(), b"bias")
    path = store.objects.path(run.outputs[0].digest)
    with store.files.linking(run):
        path.chmod(0o644)
        path.write_bytes(b"other bytes")

    assert not store.files.remembers(run.outputs[0].digest, path.stat())


def test_an_object_edited_with_size_and_time_put_back_is_seen(store: Store, tmp_path: Path) -> None:
    """Promise 4."""
    run = commit(store, an_action(), b"bias")
    path = store.objects.path(run.outputs[0].digest)
    found = path.stat()
    move_change_time(path, tmp_path / "link")
    path.chmod(0o644)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    path.chmod(0o444)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    assert (path.stat().st_size, path.stat().st_mtime_ns) == (found.st_size, found.st_mtime_ns)
    assert not store.files.remembers(run.outputs[0].digest, path.stat())
    assert not store.lookup(run.action).is_hit


def test_many_files_are_remembered_in_one_transaction(store: Store, tmp_path: Path) -> None:
    found = [old_file(tmp_path / f"raw{number}") for number in range(50)]
    store.files.memoize_all(
        MemoEntry(stat, f"sha256:{number}", time.time_ns()) for number, stat in enumerate(found)
    )

    assert [store.files.memo(stat) for stat in found] == [Memo(f"sha256:{n}", None, None) for n in range(50)]


@given(
    inode=st.integers(0, 2**64 - 1),
    device=st.integers(0, 2**64 - 1),
    size=st.integers(0, 2**62),
    mtime=st.integers(-SECOND, 4 * 10**18),
    age=st.integers(-(10**10), 10**10),
)
def test_any_numbers_a_file_system_gives_are_taken(
    tmp_path_factory: pytest.TempPathFactory, inode: int, device: int, size: int, mtime: int, age: int
) -> None:
    found = stat_of(inode, device, size, mtime)
    with Store.open(tmp_path_factory.getbasetemp() / "memo-store", create=True) as store:
        store.files.memoize_all([MemoEntry(found, "sha256:a", mtime + age)])

        assert (store.files.memo(found) is not None) == (age >= 2 * SECOND)


def stat_of(inode: int, device: int, size: int, mtime_ns: int) -> os.stat_result:
    fields = (0o100644, inode, device, 1, 0, 0, size, 0, 0, 0)
    return os.stat_result(fields, {"st_mtime_ns": mtime_ns, "st_ctime_ns": mtime_ns})
