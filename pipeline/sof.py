"""A set of frames as the text esorex reads."""

import os
import re
from pathlib import Path

from pipeline.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9._:+-]+")
"""A canonical name: a set of frames has no quoting, blanks end a path and `$NAME` is expanded."""


def write_sof(frames: tuple[tuple[str, str], ...]) -> str:
    r"""Write a set of frames.

    Parameters
    ----------
    frames : tuple of (path, tag)
        In the order in which the recipe is to get them.

    Raises
    ------
    UsageError
        A path or tag holds a character that esorex would misread.

    Examples
    --------
    >>> write_sof((("/in/0a1b/MUSE.fits", "BIAS"),))
    '/in/0a1b/MUSE.fits BIAS\n'
    """
    for path, tag in frames:
        if not all(NAME.fullmatch(part) for part in path.strip("/").split("/")) or not NAME.fullmatch(tag):
            raise UsageError(f"a set of frames cannot hold {path!r} with tag {tag!r}")
    return "".join(f"{path} {tag}\n" for path, tag in frames)


def save_sof(path: Path, frames: tuple[tuple[str, str], ...]) -> None:
    """Write a set of frames into a file, over one that is there.

    Parameters
    ----------
    path : Path
        The file.
    frames : tuple of (path, tag)
        As `write_sof` takes them.

    Notes
    -----
    It is cut to its length at the end, not to nothing at the beginning: ext4 takes that for a file that is
    being replaced, and writes it out as soon as it is closed (its mount option `auto_da_alloc`).
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - there is no path to open
        file.write(write_sof(frames).encode())
        file.truncate()


def read_sof(text: str) -> tuple[tuple[str, str], ...]:
    """Read a set of frames back, comments and blank lines left out."""
    lines = (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return tuple((fields[0], fields[1] if len(fields) > 1 else "") for fields in lines)
