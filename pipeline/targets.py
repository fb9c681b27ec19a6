"""Which OBJECT exposures belong to a target and a dataset, and which are left out. Pure.

The settings name targets and their datasets; what they do not name goes by its header: the target by
ESO OBS TARG NAME, the dataset by ESO OBS ID. A dataset is of one target and one instrument mode.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from pipeline.config import TargetTable
from pipeline.model import Dataset, Frame


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


def into_datasets(
    blocks: Iterable[Dataset], targets: Mapping[str, TargetTable]
) -> tuple[tuple[Dataset, ...], tuple[str, ...]]:
    """Sort exposures into the datasets that a person named, and give each dataset a name of its own.

    Parameters
    ----------
    blocks : iterable of Dataset
        By observing block, as headers say; of each target and mode apart.
    targets : mapping of str to TargetTable
        `[targets.NAME.datasets.ID] match`: patterns for ESO OBS ID, DATE-OBS, ARCFILE, the start of the
        template, or the night (the day on which it began).

    Returns
    -------
    datasets : tuple of Dataset
        By target, name and mode; the order of the input leaves no trace. Exposures that no named dataset
        matches stay in one of their block.
    remarks : tuple of str
        Such exposures, where the target has named datasets.

    Notes
    -----
    A dataset of the settings goes by `target.name`, for people call theirs 1 and 2 in every target; one of
    the headers by its block, which is unique at ESO. Where two go by one name all the same, target and mode
    are added to both.
    """
    exposures: defaultdict[_Key, list[Frame]] = defaultdict(list)
    remarks = []
    for block in blocks:
        named = targets[block.target].datasets if block.target in targets else {}
        for frame in block.exposures:
            name = next((name for name in sorted(named) if is_of(named[name].match or [name], frame)), "")
            if named and not name:
                what = f"belongs to no dataset of {block.target} in clio.toml"
                remarks.append(f"OBJECT {frame.exposure} {what}: reduced with its block {block.name}")
            exposures[block.target, name or block.name, frame.mode, bool(name)].append(frame)
    units = _units(list(exposures))
    found = (Dataset(*key[:2], in_time(frames), units[key]) for key, frames in exposures.items())
    return tuple(sorted(found, key=lambda d: (d.target, d.name, d.mode))), tuple(remarks)


_Key = tuple[str, str, str, bool]
"""Target, name and mode of a dataset, and whether the settings name it."""


def _units(keys: list[_Key]) -> dict[_Key, str]:
    """Find a name for each dataset, as short as tells it from the others."""
    targets_of: defaultdict[str, set[str]] = defaultdict(set)
    for target, name, _, _ in keys:
        targets_of[name].add(target)
    short = {key: f"{key[0]}.{key[1]}" if key[3] or len(targets_of[key[1]]) > 1 else key[1] for key in keys}
    count = Counter(short.values())
    return {key: f"{unit}.{key[2]}" if count[unit] > 1 else unit for key, unit in short.items()}


def in_time(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    """Sort exposures by time, then by name."""
    return tuple(sorted(frames, key=lambda f: (f.mjd or 0.0, f.arcfile, str(f.path))))


def whole_targets(datasets: Iterable[Dataset]) -> tuple[Dataset, ...]:
    """Put all exposures of a target in one mode together, over its datasets; by target and mode."""
    together: defaultdict[tuple[str, str], list[Frame]] = defaultdict(list)
    for dataset in datasets:
        together[dataset.target, dataset.mode] += dataset.exposures
    modes = Counter(target for target, _ in together)
    return tuple(
        Dataset(
            *(target, "", in_time(frames)),
            unit=f"{target}.{mode}" if modes[target] > 1 else target,
        )
        for (target, mode), frames in sorted(together.items())
    )


def by_template(dataset: Dataset) -> tuple[Dataset, ...]:
    """Divide the exposures of a dataset by the template that took them, in the order of time."""
    groups: defaultdict[str, list[Frame]] = defaultdict(list)
    for frame in dataset.exposures:
        groups[frame.template].append(frame)
    return tuple(
        replace(dataset, exposures=tuple(frames), unit=f"{dataset.unit}.{template}")
        for template, frames in groups.items()
    )


def is_of(patterns: list[str], frame: Frame) -> bool:
    """Tell whether an exposure belongs to a dataset with these patterns."""
    return is_like(patterns, frame.block, frame.exposure, frame.arcfile, frame.template, night_of(frame))


def night_of(frame: Frame) -> str:
    """Give the day on which the night of a frame began, noon to noon in UTC; empty without a time.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> night_of(SimpleNamespace(mjd=60001.05)), night_of(SimpleNamespace(mjd=60000.6))
    ('2023-02-25', '2023-02-25')
    """
    if frame.mjd is None:
        return ""
    # From day numbers to the calendar: Fliegel and Van Flandern 1968, doi:10.1145/364096.364097.
    a = int(frame.mjd - 0.5) + 2400001 + 68569
    century = 4 * a // 146097
    a -= (146097 * century + 3) // 4
    year = 4000 * (a + 1) // 1461001
    a = a - 1461 * year // 4 + 31
    month = 80 * a // 2447
    day = a - 2447 * month // 80
    late = month // 11
    return f"{100 * (century - 49) + year + late:04d}-{month + 2 - 12 * late:02d}-{day:02d}"


def is_like(patterns: list[str], *names: str) -> bool:
    """Tell whether one of the names fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
