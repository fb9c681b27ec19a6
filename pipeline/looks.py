"""What a file looks like: this tells it from another, and from itself before it was written to."""

import os
from pathlib import Path


def look(path: Path) -> os.stat_result | None:
    """Look at a file, links followed; None if there is none, or none that may be looked at."""
    try:
        return os.stat(path)  # noqa: PTH116 - asked for each input, again and again
    except OSError:
        return None


def looks(found: os.stat_result | None) -> tuple[int, ...]:
    """Give device, inode, size, and the times of content and of change, this one last; nothing of no file."""
    if found is None:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
