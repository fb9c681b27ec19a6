"""Names and folders that have to be known before anything is opened."""

import os
from pathlib import Path

FILE = "clio.toml"
"""What a person decides, in a workspace."""
LOCK = "clio.lock"
"""What it was resolved to."""


def cache_root() -> Path:
    """Find where Clio keeps things on this machine: $CLIO_CACHE, else clio in $XDG_CACHE_HOME or ~/.cache."""
    if named := os.environ.get("CLIO_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "clio"
