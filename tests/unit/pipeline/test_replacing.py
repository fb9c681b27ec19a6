"""Replacing a file in one move, however many do so at once."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from pipeline.errors import FileRefused, refusal
from pipeline.replacing import replace_text, replacing, sweep_partial
from provenance.identity import this_process


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "clio.lock"
    path.write_text("old")

    replace_text(path, "new")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "clio.lock"
    path.write_text("old")

    with pytest.raises(RuntimeError), replacing(path) as aside:
        aside.write_text("half")
        raise RuntimeError

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_who_write_at_once_do_not_meet(tmp_path: Path) -> None:
    """The first to finish must not take the second one's half-written file away."""
    path = tmp_path / "clio.lock"
    both_wrote = Barrier(2)

    def write(text: str) -> None:
        with replacing(path) as aside:
            aside.write_text(text)
            both_wrote.wait(10)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, text) for text in ("one", "two")]:
            done.result()

    assert path.read_text() in ("one", "two")
    assert list(tmp_path.iterdir()) == [path]


DEAD_PID = 4194305
"""One more than any Linux gives."""


def test_partial_files_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    """Promise 1: a kill before the move leaves a hidden name, and it tells whose it was."""
    mine = this_process()
    dead, elsewhere = replace(mine, pid=DEAD_PID), replace(mine, pid=DEAD_PID, host="another-host")
    for owner in (mine, dead, elsewhere):
        (tmp_path / f".clio.lock~{owner}~0.part").touch()
    (tmp_path / "clio.lock").touch()

    sweep_partial(tmp_path)

    left = {f".clio.lock~{mine}~0.part", f".clio.lock~{elsewhere}~0.part", "clio.lock"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_what_cannot_be_written_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "clio.lock").mkdir()

    with pytest.raises(FileRefused) as caught:
        replace_text(tmp_path / "clio.lock", "new")

    assert caught.value.message == f"{tmp_path / 'clio.lock'} cannot be written: is a directory"
    assert caught.value.hint == "move away what lies there"
    assert [path.name for path in tmp_path.iterdir()] == ["clio.lock"]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free space on that file system, then run again"),
        (errno.EDQUOT, "free space within your quota, then run again"),
        (errno.EACCES, "look at its permissions"),
        (errno.EIO, "look at the disk: the kernel's log says more"),
    ],
)
def test_what_the_system_refuses_is_a_sentence_and_no_defect(number: int, hint: str) -> None:
    refused = refusal(OSError(number, os.strerror(number), "products"))

    assert refused is not None
    assert refused.message == f"products cannot be used: {os.strerror(number).lower()}"
    assert (refused.hint, refused.exit_code) == (hint, 6)


def test_what_only_a_defect_brings_about_stays_one() -> None:
    assert refusal(OSError(errno.EBADF, "Bad file descriptor")) is None
    assert refusal(OSError(errno.ENOENT, "No such file or directory", "products")) is None
