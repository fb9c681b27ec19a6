"""Marks: one small file, many names."""

import errno
import os
from pathlib import Path

import pytest

from provenance import marks
from provenance.marks import EMPTY, NoMark, give_name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("tmp", "names"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_names_of_a_text_are_one_link_and_empty_ones_one_file(root: Path) -> None:
    for name, text in (("a", "300 30 me"), ("b", "300 30 me"), ("c", EMPTY), ("d", EMPTY)):
        give_name(root / "names" / name, root, text)

    found = {path.name: path for path in (root / "names").iterdir()}
    assert [str(found[name].readlink()) for name in "ab"] == ["300 30 me"] * 2
    assert [found[name].read_bytes() for name in "cd"] == [b"", b""]
    assert len({os.lstat(path).st_ino for path in found.values()}) == 2
    marks.forget(root)
    assert list((root / "tmp").iterdir()) == []
    assert sorted(found) == ["a", "b", "c", "d"]  # the names stay


def test_a_name_that_is_taken_is_left_alone(root: Path) -> None:
    (root / "names" / "a").write_text("somebody's")

    with pytest.raises(FileExistsError):
        give_name(root / "names" / "a", root)
    assert (root / "names" / "a").read_text() == "somebody's"


def test_a_mark_that_was_tidied_away_is_made_again(root: Path) -> None:
    give_name(root / "names" / "a", root)
    for path in (root / "tmp").iterdir():
        path.unlink()
    give_name(root / "names" / "b", root)

    assert sorted(path.name for path in (root / "names").iterdir()) == ["a", "b"]


@pytest.mark.parametrize("refusal", [errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP])
def test_where_no_more_names_can_be_given_it_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    """The fault cannot be had otherwise: 65,000 names, a file system without links."""
    give_name(root / "names" / "a", root)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    with monkeypatch.context() as patch, pytest.raises(NoMark):
        patch.setattr(os, "link", refuse)
        give_name(root / "names" / "b", root)
    give_name(root / "names" / "b", root)

    inodes = {os.lstat(root / "names" / name).st_ino for name in "ab"}
    assert len(inodes) == 2  # another mark has room


def test_a_child_makes_marks_of_its_own(root: Path) -> None:
    give_name(root / "names" / "a", root)
    child = os.fork()
    if child == 0:
        give_name(root / "names" / "b", root)
        os._exit(0)
    os.waitpid(child, 0)

    assert len({os.lstat(root / "names" / name).st_ino for name in "ab"}) == 2
