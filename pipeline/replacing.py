"""Replace a file in one move: a reader meets the old one or the new one, a second writer disturbs neither."""

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import FileRefused
from provenance.identity import Owner, this_process

PART = ".part"
"""How the hidden names end; before it they tell who writes there, so that what the dead left can be swept."""

_FORGOTTEN_S = 3600.0
"""Age of a partial file that nobody is about to move into place any more, whoever he is."""

_count = itertools.count()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside a file to write its new content to, and move that over it in the end.

    Parameters
    ----------
    path : Path
        The file; it need not be there.

    Yields
    ------
    Path
        A hidden name nobody else uses, in the same directory. What fails leaves nothing under it.

    Raises
    ------
    FileRefused
        The system does not let it be written.
    """
    aside = path.with_name(f".{path.name}~{this_process()}~{next(_count)}{PART}")
    try:
        yield aside
        os.replace(aside, path)  # noqa: PTH105 - no new path is wanted
    except OSError as error:
        raise FileRefused(path, error) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def sweep_partial(directory: Path) -> None:
    """Remove the partial files in a directory whose writers were killed before they moved them."""
    for path in directory.glob(f".*{PART}"):
        if is_abandoned(path):
            path.unlink(missing_ok=True)  # another process may clean up as well


def is_abandoned(path: Path) -> bool:
    """Tell whether a partial file's writer is dead, or of another host and silent for an hour."""
    owner = Owner.from_text(path.name.removesuffix(PART).rpartition("~")[0].rpartition("~")[2])
    if owner is not None and owner.is_dead():
        return True
    try:
        return time.time() - path.lstat().st_ctime > _FORGOTTEN_S
    except FileNotFoundError:
        return False


def replace_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")
