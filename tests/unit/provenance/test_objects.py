"""The content-addressed directory."""

import os
import stat
import time
from pathlib import Path

import pytest
from stored import overwrite

from provenance.digest import digest_bytes
from provenance.errors import DigestMismatch, NotAFile, StoreDamaged
from provenance.objects import Objects
from provenance.store import Store


def in_work(store: Store, content: bytes, name: str = "product.fits") -> Path:
    run = store.new_run_id()
    path = store.work(run) / "out" / name
    path.write_bytes(content)
    return path


def test_a_file_put_lies_read_only_under_its_digest(store: Store) -> None:
    stored = store.objects.put(in_work(store, b"bytes"))
    path = store.objects.path(stored.digest)

    assert (stored.digest, stored.size) == (digest_bytes(b"bytes"), 5)
    assert path == store.path / "objects" / stored.digest[7:9] / stored.digest[7:]
    assert path.read_bytes() == b"bytes"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_a_product_in_scratch_is_taken_over_without_a_copy(store: Store) -> None:
    path = in_work(store, b"bytes")

    stored = store.objects.put(path)

    assert store.objects.path(stored.digest).samefile(path)


def test_a_file_outside_is_copied_and_left_alone(store: Store, tmp_path: Path) -> None:
    """Promise 10."""
    raw = tmp_path / "raw.fits"
    raw.write_bytes(b"raw")
    before = raw.stat()

    stored = store.objects.put(raw)

    after = raw.stat()
    assert (after.st_mode, after.st_nlink, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_mode,
        1,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    assert not store.objects.path(stored.digest).samefile(raw)


def test_a_product_with_a_second_name_is_copied(store: Store) -> None:
    path = in_work(store, b"bytes")
    path.with_name("other.fits").hardlink_to(path)

    stored = store.objects.put(path)
    path.write_bytes(b"later")

    assert store.objects.path(stored.digest).read_bytes() == b"bytes"


def test_putting_the_same_bytes_twice_keeps_the_first_object(store: Store) -> None:
    first = store.objects.put(in_work(store, b"bytes"))
    inode = store.objects.path(first.digest).stat().st_ino

    again = store.objects.put(in_work(store, b"bytes"))
    more = store.objects.put_bytes(b"bytes")

    assert first == again == more
    assert store.objects.path(first.digest).stat().st_ino == inode


def test_putting_the_same_path_twice_is_no_harm(store: Store) -> None:
    path = in_work(store, b"bytes")

    assert store.objects.put(path) == store.objects.put(path)


@pytest.mark.parametrize("content", [b"BYTES", b"byt", b""])
def test_bytes_put_again_replace_an_object_that_was_damaged(store: Store, content: bytes) -> None:
    """Promise 4: a damaged object does not keep its sound bytes from being published."""
    stored = store.objects.put_bytes(b"bytes")
    overwrite(store.objects.path(stored.digest), content)

    store.objects.put(in_work(store, b"bytes"))

    assert store.objects.verify(stored.digest) == 5
    (aside,) = (store.path / "damaged").iterdir()
    assert aside.read_bytes() == content


def test_links_directories_and_pipes_are_refused(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"target")
    symlink, pipe, directory = tmp_path / "link", tmp_path / "pipe", tmp_path / "directory"
    symlink.symlink_to(target)
    os.mkfifo(pipe)
    directory.mkdir()

    for path in (symlink, pipe, directory):
        with pytest.raises(NotAFile):
            store.objects.put(path)
    assert list(store.objects.iterate()) == []


def test_nothing_is_left_in_scratch_after_a_put(store: Store, tmp_path: Path) -> None:
    store.objects.put_bytes(b"bytes")
    with pytest.raises(NotAFile):
        store.objects.put(tmp_path)

    assert list((store.path / "tmp").iterdir()) == []


def test_an_object_was_last_changed_long_enough_ago_for_its_times_to_tell(store: Store) -> None:
    stored = store.objects.put(in_work(store, b"bytes"))

    assert time.time_ns() - store.objects.path(stored.digest).stat().st_mtime_ns >= 2_000_000_000


def test_verify_says_what_is_there_instead(store: Store) -> None:
    stored = store.objects.put_bytes(b"bytes")
    overwrite(store.objects.path(stored.digest), b"other")

    with pytest.raises(DigestMismatch) as caught:
        store.objects.verify(stored.digest)

    assert (caught.value.expected, caught.value.actual) == (stored.digest, digest_bytes(b"other"))
    assert str(caught.value) == "object 277089d91c0b holds d9298a10d1b0, not 277089d91c0b"


def test_verify_misses_an_object_that_is_not_there(store: Store) -> None:
    with pytest.raises(StoreDamaged) as caught:
        store.objects.verify(digest_bytes(b"never"))

    assert str(caught.value) == f"object {digest_bytes(b'never')[7:19]} is missing"


@pytest.mark.parametrize("name", ["sha256:../../etc/passwd", "", "sha256:" + "A" * 64, "md5:" + "a" * 64])
def test_a_path_is_made_from_digests_only(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreDamaged):
        Objects(tmp_path).path(name)


def test_iterate_gives_sorted_digests_and_passes_over_what_is_not_ours(store: Store) -> None:
    digests = sorted(store.objects.put_bytes(bytes([number])).digest for number in range(20))
    (store.path / "objects" / "README").write_text("hello")
    (store.path / "objects" / digests[0][7:9] / "hello").write_text("hello")

    assert list(store.objects.iterate()) == digests


def test_a_sound_object_is_never_set_aside(store: Store) -> None:
    stored = store.objects.put_bytes(b"bytes")

    assert store.objects.set_aside(stored.digest) is None
    assert store.objects.verify(stored.digest) == 5
