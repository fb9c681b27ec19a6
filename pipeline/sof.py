"""A set of frames as the text esorex reads. Pure."""

import re

from pipeline.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9._:+-]+")
"""A canonical name: a set of frames has no quoting, blanks end a path and `$NAME` is expanded."""
_PATH = re.compile(rf"/*{NAME.pattern}(?:/{NAME.pattern})*/*")


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
        if not _PATH.fullmatch(path) or not NAME.fullmatch(tag):
            raise UsageError(f"a set of frames cannot hold {path!r} with tag {tag!r}")
    return "".join(f"{path} {tag}\n" for path, tag in frames)


def read_sof(text: str) -> tuple[tuple[str, str], ...]:
    """Read a set of frames back, comments and blank lines left out."""
    lines = (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return tuple((fields[0], fields[1] if len(fields) > 1 else "") for fields in lines)
