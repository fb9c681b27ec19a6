"""Kinds of failure in the reduction, each with its data, its sentence and its exit code.

A message says what happened and why; `hint` says what to do. The top of the command line prints both.
"""

from enum import IntEnum


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


class ConfigError(PipelineError):
    """The configuration file is missing, unreadable, or says something unknown."""

    exit_code = Exit.USAGE


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


class Interrupted(PipelineError):
    """A person or the system asked the program to stop."""

    exit_code = Exit.INTERRUPTED
