"""Replace a file in one move: a reader meets the old one or the new one, a second writer disturbs neither."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

PART = ".part"
"""How the hidden names end, so that what a killed process left can be told and swept."""


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
    """
    aside = path.with_name(f".{path.name}.{uuid4().hex}{PART}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")
