"""From folders to frames: every file is a frame, a problem, or left alone and counted. Reads disk."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipeline.classify import classify, is_product
from pipeline.errors import FitsError, FramesError
from pipeline.fitsfile import read_hdus
from pipeline.model import Frame, Problem, Scan
from pipeline.tags import Kind

SUFFIXES = (".fits", ".fits.fz", ".fits.gz", ".fits.Z", ".fit", ".fts")
"""Names by which a file claims to be FITS, in any case; others are left alone, and counted."""

_ENDINGS = tuple(suffix.lower() for suffix in SUFFIXES)
_NO_FOLDER = "no such folder"


def scan(
    folders: tuple[Path, ...],
    data_digest: Callable[[Path], str],
    read: Callable[[Path], Frame | Problem | None] | None = None,
) -> Scan:
    """Look through folders for frames.

    Parameters
    ----------
    folders : tuple of Path
        Searched with all that lies below them, links followed; one may also be a file.
    data_digest : callable
        Gives the data digest of a file; called only for exposures found more than once.
    read : callable, optional
        Reads a file, or remembers it; `read_frame` without.

    Returns
    -------
    Scan
        The same whatever the order in which a file system lists its files.

    Raises
    ------
    FramesError
        There is no raw frame in any of the folders, nor a file that should have been one.
    """
    problems: list[Problem] = []
    frames: list[Frame] = []
    left_alone = products = 0
    for path in list_files(folders, problems):
        if not path.name.lower().endswith(_ENDINGS):
            left_alone += 1
            continue
        found = (read or read_frame)(path)
        match found:
            case Frame():
                frames.append(found)
            case Problem():
                problems.append(found)
            case None:
                products += 1
    if not any(frame.kind is Kind.RAW for frame in frames) and not any(map(_is_of_file, problems)):
        raise _nothing(folders, len(frames), products)
    frames, remarks = _without_repeats(frames, problems, data_digest)
    if left_alone:
        remarks.append(f"{left_alone} files that are not FITS by their name were left alone")
    if products:
        remarks.append(f"{products} products of other reductions were left alone")
    frames.sort(key=lambda frame: (frame.kind is Kind.STATIC, frame.mjd or 0.0, frame.tag, frame.arcfile))
    return Scan(tuple(frames), tuple(problems), tuple(remarks), folders)


def _nothing(folders: tuple[Path, ...], statics: int, products: int) -> FramesError:
    """Say that there is nothing to reduce, and what is there instead."""
    searched = ", ".join(str(folder) for folder in folders)
    what = f"{statics} static calibrations and {products} products of other reductions"
    message = f"no raw frame in {searched}: only {what}" if statics or products else ""
    return FramesError(
        message or f"no FITS file in {searched}",
        f"put raw frames there (names ending in {', '.join(SUFFIXES[:4])}), or name their folder under "
        "[data] raw in clio.toml",
    )


def _is_of_file(problem: Problem) -> bool:
    return problem.reason != _NO_FOLDER


def list_files(folders: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    """List files in sorted order, links followed once; what cannot be read becomes a problem."""
    seen: set[str] = set()
    for folder in folders:
        if folder.is_file():
            yield folder
        elif not folder.is_dir():
            problems.append(Problem(str(folder), _NO_FOLDER))
        else:
            yield from _below(str(folder), seen, problems)


def _below(folder: str, seen: set[str], problems: list[Problem]) -> Iterator[Path]:
    """List the files of a folder, then those of the folders in it; hidden ones are left out."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    try:
        with os.scandir(folder) as entries:
            ordered = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        problems.append(Problem(folder, f"cannot be listed: {error.strerror}"))
        return
    folders = []
    for entry in ordered:
        path = Path(entry.path)
        if entry.is_symlink() and not path.exists():  # to nowhere, or to itself
            problems.append(Problem(str(path), f"dangling link to {path.readlink()}"))
        elif entry.is_dir():
            folders.append(path)
        elif entry.name.lower().endswith(_ENDINGS) and not entry.is_file():
            problems.append(Problem(str(path), "no regular file"))  # a pipe would never end
        else:
            yield path
    for path in folders:
        yield from _below(str(path), seen, problems)


def read_frame(path: Path) -> Frame | Problem | None:
    """Read and classify one file; None for a product of another reduction."""
    try:
        hdus = read_hdus(path)
        if is_product(hdus[0].header):
            return None
        return classify(path, path.stat().st_size, hdus)
    except FitsError as error:
        return Problem(str(path), _without_path(error, path))
    except OSError as error:
        return Problem(str(path), f"cannot be read: {error.strerror}")


def _without_path(error: FitsError, path: Path) -> str:
    return error.message.replace(f"{path} ", "").replace(f" {path}", "")


def _without_repeats(
    frames: list[Frame], problems: list[Problem], data_digest: Callable[[Path], str]
) -> tuple[list[Frame], list[str]]:
    """Use an exposure once, however often it lies there; two contents under one name are a problem."""
    groups: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[_identity(frame)].append(frame)
    kept: list[Frame] = []
    remarks: list[str] = []
    for identity, group in groups.items():
        if len(group) == 1:
            kept += group
            continue
        group.sort(key=lambda frame: (len(frame.path.name), str(frame.path)))
        contents = defaultdict(list)
        for frame in group:
            try:
                contents[data_digest(frame.path)].append(frame)
            except FitsError as error:
                problems.append(Problem(str(frame.path), _without_path(error, frame.path)))
        if len(contents) > 1 and group[0].kind is Kind.RAW:
            paths = ", ".join(str(frame.path) for frame in group)
            what = f"{group[0].tag} {identity[1]} lies there with different contents: {paths}"
            problems.append(Problem(str(group[0].path), what, "keep one of them"))
            continue
        for same in contents.values():
            kept.append(same[0])
            remarks += [
                f"{frame.tag} {frame.exposure or frame.path.name} was found twice and is used once: "
                f"{same[0].path}, not {frame.path}"
                for frame in same[1:]
            ]
    return kept, remarks


def _identity(frame: Frame) -> tuple[str, ...]:
    """Tell what makes two files candidates for being the same."""
    if frame.kind is Kind.STATIC:
        return (frame.tag, str(frame.size))
    return (frame.tag, frame.date_obs, " ".join(chip.id for chip in frame.chips))
