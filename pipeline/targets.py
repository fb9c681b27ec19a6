"""Which OBJECT exposures belong to a target of the settings, and which are left out. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from pipeline.config import TargetTable
from pipeline.model import Frame


def by_target(
    frames: Iterable[Frame], targets: Mapping[str, TargetTable]
) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """Give OBJECT exposures the target a person named, and leave out those a person excluded.

    Parameters
    ----------
    frames : iterable of Frame
        Of any tag; only OBJECT exposures belong to a target.
    targets : mapping of str to TargetTable
        `[targets.NAME]`: `match` holds patterns for ESO OBS TARG NAME or ESO OBS ID, NAME itself if there are
        none; `exclude` patterns for DATE-OBS or ARCFILE.

    Returns
    -------
    frames : tuple of Frame
        In the same order; what no target matches keeps the name of its header.
    remarks : tuple of str
        What was left out.
    """
    kept: list[Frame] = []
    remarks: list[str] = []
    for frame in frames:
        name = target_of(frame, targets)
        if not name:
            kept.append(frame)
        elif is_like(targets[name].exclude, frame.exposure, frame.arcfile):
            remarks.append(f"OBJECT {frame.exposure} is left out of {name}, as clio.toml says")
        else:
            kept.append(replace(frame, target=name))
    return tuple(kept), tuple(remarks)


def target_of(frame: Frame, targets: Mapping[str, TargetTable]) -> str:
    """Find the first target of the settings that an exposure belongs to; empty for none."""
    if frame.tag != "OBJECT":
        return ""
    matching = (
        name for name, target in targets.items() if is_like(target.match or [name], frame.target, frame.block)
    )
    return next(matching, "")


def is_like(patterns: list[str], *names: str) -> bool:
    """Tell whether one of the names fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
