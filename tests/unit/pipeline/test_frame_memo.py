"""What files were found to be is remembered by their status, and never where that moved."""

import os
import time
from pathlib import Path

import pytest
from builders import write_raw

from pipeline.frame_memo import FrameMemo
from pipeline.model import Frame, Problem
from pipeline.scan import read_frame
from provenance.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


def old_frame(folder: Path, tag: str = "BIAS") -> Path:
    folder.mkdir(exist_ok=True)
    path = write_raw(folder, tag, 60000.0)
    os.utime(path, (time.time() - 60, time.time() - 60))
    time.sleep(0.03)  # its time of change settles
    return path


def recalled(store: Store, path: Path) -> "Frame | Problem | None":
    """Read a file through a memo of its own, and remember it."""
    memo = FrameMemo(store)
    found = memo.read(path)
    memo.save()
    return found


def test_a_remembered_frame_is_what_reading_gives(store: Store, tmp_path: Path) -> None:
    path = old_frame(tmp_path / "raw")
    first = recalled(store, path)

    assert first == recalled(store, path) == read_frame(path)


def test_a_frame_is_not_read_twice(store: Store, tmp_path: Path) -> None:
    path = old_frame(tmp_path / "raw")
    first = recalled(store, path)
    memo = FrameMemo(store)

    assert isinstance(first, Frame)
    assert memo.remembers(path)


def test_a_moved_frame_goes_by_its_new_name(store: Store, tmp_path: Path) -> None:
    """Promise 2."""
    path = old_frame(tmp_path / "raw")
    recalled(store, path)
    moved = path.rename(tmp_path / "raw" / "renamed.fits")

    found = recalled(store, moved)

    assert isinstance(found, Frame)
    assert found.path == moved


def test_a_frame_edited_with_size_and_time_put_back_is_read_again(store: Store, tmp_path: Path) -> None:
    """Promise 3."""
    path = old_frame(tmp_path / "raw")
    recalled(store, path)
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(path.read_bytes().replace(b"'BIAS    '", b"'FLAT    '"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    found = recalled(store, path)

    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert found == read_frame(path)


def test_what_is_wrong_with_a_file_is_looked_at_each_time(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "bad.fits"
    path.write_text("no FITS")
    os.utime(path, (1, 1))

    assert isinstance(recalled(store, path), Problem)
    assert isinstance(recalled(store, path), Problem)
    assert not FrameMemo(store).remembers(path)
