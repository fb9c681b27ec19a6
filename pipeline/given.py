"""Frames that a person gives beside the folders: reference images, and tables of offsets. Reads disk."""

import re
from pathlib import Path

from pipeline.config import Settings
from pipeline.errors import FitsError
from pipeline.fitsfile import read_hdus
from pipeline.model import Frame, Problem
from pipeline.tags import Kind

REFERENCE = "REFERENCE_IMAGE"
EDIT = "OFFSET_EDIT"
ECSV = ".ecsv"
FOLDER = "offsets"
"""Where edited offsets lie in a workspace: `offsets/<target>/<dataset>.ecsv`."""


def edit_path(root: Path, target: str, dataset: str) -> Path:
    """Say where the edited offsets of a dataset lie in a workspace."""
    return root / FOLDER / plain(target) / f"{plain(dataset)}{ECSV}"


def plain(name: str) -> str:
    """Write the name of a target or dataset so that a file can have it."""
    return re.sub(r"[^\w.+-]|^\.+", "_", name) or "_"


def given_places(settings: Settings) -> tuple[Path, ...]:
    """List where something is given, or may be: tables of offsets, reference images, the image's archive."""
    names = {table.reference for table in settings.table.targets.values()} | {settings.table.image.archive}
    return settings.root / FOLDER, *(settings.root / name for name in sorted(names) if name)


def given_frames(settings: Settings) -> tuple[tuple[Frame, ...], tuple[Problem, ...]]:
    """Find the frames that are given for targets and datasets.

    Parameters
    ----------
    settings : Settings
        Of the workspace.

    Returns
    -------
    frames : tuple of Frame
        A reference image has the name in the settings as its block, a table `plain` names of its target and
        dataset.
    problems : tuple of Problem
        What is named and cannot be used.
    """
    frames: list[Frame] = []
    problems: list[Problem] = []
    names = {table.reference for table in settings.table.targets.values() if table.reference}
    for name in sorted(names):
        path = settings.root / name
        try:
            read_hdus(path)
            frames.append(_frame(path, REFERENCE, block=name))
        except (FitsError, OSError) as error:
            reason = getattr(error, "message", None) or str(error)
            problems.append(Problem(str(path), f"is no reference image: {reason}"))
    for path in sorted((settings.root / FOLDER).glob(f"*/*{ECSV}")):
        frames.append(_frame(path, EDIT, target=path.parent.name, block=path.stem))
    return tuple(frames), tuple(problems)


def _frame(path: Path, tag: str, *, target: str = "", block: str = "") -> Frame:
    return Frame(
        path=path,
        tag=tag,
        kind=Kind.STATIC,
        arcfile="",
        size=path.stat().st_size,
        mjd=None,
        date_obs="",
        instrument="",
        mode="",
        field="",
        readout="",
        binning="",
        chips=(),
        exptime_s=0.0,
        template="",
        block=block,
        target=target,
        lamp="",
        temperature_c=None,
        airmass=None,
    )
