"""Small things that many names mean: the owner of a claim, the emptiness of a journal's entry.

One more name of a file costs a tenth of a file more. So each process keeps one of a kind in the store's
`tmp/`, its mark, and gives it the names that are wanted; where the file system does not allow that, or no
more of it, whoever asks makes a file.
"""

import atexit
import os
import threading
from contextlib import suppress
from pathlib import Path

from provenance.files import scratch_name

EMPTY = ""
"""Of a mark that is an empty file; any other text is where a symbolic link leads."""


class NoMark(Exception):
    """There is no mark, or it can have no more names."""


class _Marks:
    """The marks of this process, one a store and text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[Path, str], Path] = {}
        atexit.register(self.forget)
        os.register_at_fork(after_in_child=self._renew)

    def name(self, path: Path, root: Path, text: str) -> None:
        try:
            with self._lock:
                mark = self._made.get((root, text))
                if mark is None or not os.path.lexists(mark):
                    self._made[root, text] = mark = _make(scratch_name(root / "tmp"), text)
            os.link(mark, path, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:
            with self._lock:
                self._remove((root, text))  # it may have as many names as it can
            raise NoMark from error

    def forget(self, root: Path | None = None) -> None:
        with self._lock:
            for key in [key for key in self._made if root in (None, key[0])]:
                self._remove(key)

    def _remove(self, key: tuple[Path, str]) -> None:
        with suppress(KeyError, OSError):
            self._made.pop(key).unlink()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._made = {}


_MARKS = _Marks()


def give_name(path: Path, root: Path, text: str = EMPTY) -> None:
    """Give a mark of this process one more name.

    Parameters
    ----------
    path : Path
        The name; its directory is there.
    root : Path
        The store's directory.
    text : str
        What the mark is: see `EMPTY`.

    Raises
    ------
    FileExistsError
        The name is taken.
    NoMark
        It cannot be made in this way; a file of its own may do.
    """
    _MARKS.name(path, root, text)


def forget(root: Path) -> None:
    """Remove this process's marks in a store; whoever wants one makes another."""
    _MARKS.forget(root)


def _make(mark: Path, text: str) -> Path:
    if text == EMPTY:
        mark.touch(mode=0o644, exist_ok=False)
    else:
        mark.symlink_to(text)
    return mark
