"""Replacing a file in one move, however many do so at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from pipeline.replacing import replace_text, replacing


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
