"""Files that appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from provenance.files import partial_file, write_once


def _without_nameless_files(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    opened = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(error, os.strerror(error), str(path))
        return opened(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("error", [None, errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL])
def test_a_file_appears_whole_wherever_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int | None
) -> None:
    """Promise 1: with files that have no name yet, and on file systems that know none (NFS, some of FUSE)."""
    (scratch := tmp_path / "tmp").mkdir()
    if error is not None:
        _without_nameless_files(monkeypatch, error)
    target = tmp_path / "records" / "one.json"
    assert write_once(target, b"first", scratch)
    assert not write_once(target, b"second", scratch)
    assert target.read_bytes() == b"first"
    assert target.stat().st_mode & 0o777 == 0o444
    assert target.stat().st_nlink == 1
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("is_refused", [False, True])
def test_nothing_is_left_of_a_file_nobody_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    if is_refused:
        _without_nameless_files(monkeypatch, errno.EOPNOTSUPP)
    with partial_file(tmp_path) as descriptor:
        os.write(descriptor, b"half")
        assert len(list(tmp_path.iterdir())) == is_refused
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_that_has_another_cause_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_nameless_files(monkeypatch, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"), partial_file(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
