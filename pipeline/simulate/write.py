"""Write a simulated night: decide what, share it out among processes, rename each file into place."""

import json
import os
from collections.abc import Callable, Generator
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.simulate.frames import frame_name, write_frame
from pipeline.simulate.night import night
from pipeline.simulate.options import NightOptions
from pipeline.simulate.pool import write_in_processes
from pipeline.simulate.statics import static_names, write_statics
from pipeline.simulate.truth import SCHEMA, truth_document, write_truth

MAX_JOBS = 8
"""Most processes by default: each holds up to 1.2 GB of slice models."""

Progress = Callable[[int, int, str], None]


def simulate(directory: Path, options: NightOptions, progress: Progress | None = None) -> tuple[Path, ...]:
    """Write a synthetic night: `raw/`, `calib/`, `truth.json` and `truth.fits`.

    Parameters
    ----------
    directory : Path
        Made if need be. A night begun there with the same options is written again, to the same bytes.
    options : NightOptions
        All that decides the bytes.
    progress : callable, optional
        Called in this process with files done, files in all, and the name of the file just done.

    Returns
    -------
    tuple of Path
        All files, sorted.

    Raises
    ------
    UsageError
        The directory is a file, or holds raw frames that are not of this night.
    """
    raw = directory / "raw"
    _check_directory(directory, options)
    raw.mkdir(parents=True, exist_ok=True)
    total = 2 + len(static_names(options.modes)) + len(night(options))
    done: list[Path] = []
    files = _files(directory, raw, options)
    try:
        for path in files:
            done.append(path)
            if progress is not None:
                progress(len(done), total, path.name)
    finally:
        files.close()  # stops its processes, also when `progress` raises
        _sweep(directory)
    return tuple(sorted(done))


def _files(directory: Path, raw: Path, options: NightOptions) -> Generator[Path, None, None]:
    """Write everything, giving each file as it is done.

    The truth comes first: an interrupted night can then be told from another one.
    """
    yield from write_truth(directory, options)
    yield from write_statics(directory / "calib", options.modes)
    exposures = night(options)
    jobs = min(options.jobs or min(_cores(), MAX_JOBS), len(exposures))
    if jobs > 1:
        for index in write_in_processes(raw, options, len(exposures), jobs):
            yield raw / frame_name(exposures[index], options)
    else:
        for exposure in exposures:
            path = raw / frame_name(exposure, options)
            write_frame(path, exposure, options)
            yield path


def _check_directory(directory: Path, options: NightOptions) -> None:
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is not a directory", "name a new or empty directory")
    ours = {frame_name(exposure, options) for exposure in night(options)}
    found = sorted(path.name for path in (directory / "raw").glob("*") if not path.name.endswith(".part"))
    strangers = [name for name in found if name not in ours]
    if strangers or (found and not _is_same_night(directory / "truth.json", options)):
        raise UsageError(
            f"{directory / 'raw'} holds frames of another night, such as {(strangers or found)[0]}",
            "name an empty directory, or remove what is there",
        )


def _is_same_night(truth: Path, options: NightOptions) -> bool:
    try:
        document = json.loads(truth.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    expected = truth_document(options)
    return bool(document.get("schema") == SCHEMA and document.get("options") == expected["options"])


def _sweep(directory: Path) -> None:
    """Remove what an interrupted simulation, this or an earlier one, left under a temporary name."""
    for part in (directory, directory / "raw", directory / "calib"):
        for path in part.glob(".*.part"):
            path.unlink(missing_ok=True)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux knows it
        return os.cpu_count() or 1
