"""Kinds of failure in the reduction, each with its data, its sentence and its exit code.

A message says what happened and why; `hint` says what to do. The top of the command line prints both.
"""

import errno
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    DEFECT = 1
    USAGE = 2
    FRAMES = 3
    RECIPE = 4
    ENGINE = 5
    STORE = 6
    DIFFERENT = 7
    INTERRUPTED = 130


class PipelineError(Exception):
    """Base of every failure this package raises on purpose.

    Parameters
    ----------
    message : str
        What happened and why; lower case, no full stop.
    hint : str, optional
        What to do about it.
    """

    exit_code = Exit.DEFECT

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PipelineError):
    """The command, its options or an argument of the Python API make no sense."""

    exit_code = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Slip:
    """Something wrong in a file of settings."""

    line: int
    """Counted from 1."""
    message: str
    hint: str = ""
    """What to do, such as the nearest name that is known."""
    keys: tuple[str | int, ...] = ()
    """Path of tables and key; a number is the place in a list. Empty if the file cannot be read so far."""


class ConfigError(PipelineError):
    """The configuration file is missing, unreadable, or says something unknown.

    Parameters
    ----------
    message, hint : str
        As of every failure.
    slips : tuple of Slip, optional
        All that is wrong in the file.
    """

    exit_code = Exit.USAGE

    def __init__(self, message: str, hint: str = "", slips: tuple[Slip, ...] = ()) -> None:
        super().__init__(message, hint)
        self.slips = slips


class FramesError(PipelineError):
    """There are no frames to work on, or none that can be used."""

    exit_code = Exit.FRAMES


class FitsError(PipelineError):
    """A file is not FITS, or not a whole one."""

    exit_code = Exit.FRAMES


class AssociationError(PipelineError):
    """A calibration that is needed cannot be found or chosen."""

    exit_code = Exit.FRAMES


class RecipeFailed(PipelineError):
    """A recipe ended without products that can be believed."""

    exit_code = Exit.RECIPE


class EngineUnavailable(PipelineError):
    """The container engine does not answer, or cannot do what is asked."""

    exit_code = Exit.ENGINE


class ImageError(PipelineError):
    """The recipe image is missing, cannot be built, or is not the one that was pinned."""

    exit_code = Exit.ENGINE


class LibraryMissing(ImageError):
    """A library that a recipe of our own computes with is not installed, or is another than was recorded."""


class NotAsLocked(PipelineError):
    """What would be done, or what came out, is not what `clio.lock` says.

    Parameters
    ----------
    message, hint : str
        As of every failure.
    exit_code : Exit
        `FRAMES` if only frames differ, `DIFFERENT` if products do, else `USAGE`.
    """

    def __init__(self, message: str, hint: str, exit_code: Exit) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class FileRefused(PipelineError):
    """A file of the workspace cannot be used: the disk is full or fails, or it is not ours.

    Parameters
    ----------
    path : Path
        The file.
    error : OSError
        What the system says.
    what : str
        What could not be done with it.
    """

    exit_code = Exit.STORE

    def __init__(self, path: Path, error: OSError, what: str = "written") -> None:
        hint = _WHAT_TO_DO.get(error.errno or 0, "")
        super().__init__(f"{path} cannot be {what}: {(error.strerror or str(error)).lower()}", hint)
        self.path = path


def refusal(error: OSError) -> FileRefused | None:
    """Put what the system refuses into a sentence; None for what only a defect of ours can bring about."""
    if error.errno not in _WHAT_TO_DO or error.filename is None:
        return None
    return FileRefused(Path(os.fsdecode(error.filename)), error, "used")


_WHAT_TO_DO = {
    errno.EIO: "look at the disk: the kernel's log says more",
    errno.ENOSPC: "free space on that file system, then run again",
    errno.EDQUOT: "free space within your quota, then run again",
    errno.EACCES: "look at its permissions",
    errno.EPERM: "look at its permissions",
    errno.EISDIR: "move away what lies there",
    errno.ENOTDIR: "move away what lies there",
    errno.EEXIST: "move away what lies there",
    errno.EROFS: "it is mounted read-only: put the workspace elsewhere, or mount it writable",
}


class Interrupted(PipelineError):
    """A person or the system asked the program to stop."""

    exit_code = Exit.INTERRUPTED
