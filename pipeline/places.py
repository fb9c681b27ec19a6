"""Names and folders that have to be known before anything is opened."""

import os
from pathlib import Path

from pipeline.errors import ConfigError

FILE = "clio.toml"
"""What a person decides, in a workspace."""
LOCK = "clio.lock"
"""What it was resolved to."""
WORKSPACE = "CLIO_WORKSPACE"
"""The variable that may name the workspace."""


def find_workspace(given: Path | None) -> Path:
    """Find the folder of the workspace.

    Raises
    ------
    ConfigError
        There is no clio.toml here or above, or no folder here any more.
    """
    if given is not None:
        return given
    try:
        here = Path.cwd()
    except FileNotFoundError as error:
        hint = "go to a workspace, or name one: clio ... --workspace FOLDER"
        raise ConfigError("the folder in which this was called is gone", hint) from error
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder
    raise ConfigError(f"no {FILE} in {here} or above", "start a workspace here with: clio init")


def cache_root() -> Path:
    """Find where Clio keeps things on this machine: $CLIO_CACHE, else clio in $XDG_CACHE_HOME or ~/.cache."""
    if named := os.environ.get("CLIO_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "clio"
