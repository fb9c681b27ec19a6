"""Where the files lie that a run read: in a store, where they were seen, or elsewhere by their content."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import FitsError, FramesError
from pipeline.execute import StagedInput
from pipeline.scan import list_files
from provenance.model import Action, ActionInput, InputFile, OutputFile, Run
from provenance.store import Store

if TYPE_CHECKING:
    from pipeline.again import Workshop

_SHOWN = 3
"""Missing inputs that a message names; the others are counted."""


class InputsMissing(FramesError):
    """Files that a run read are not to be found any more.

    Parameters
    ----------
    run : Run
        The run.
    missing : tuple of InputFile
        What it read and nobody has.
    made : frozenset of str
        Digests of those that a run of this store made: products, which can be made again.
    """

    def __init__(self, run: Run, missing: tuple[InputFile, ...], made: frozenset[str]) -> None:
        self.run = run
        self.missing = missing
        self.made = made
        named = "; ".join(_described(item, item.digest in made) for item in missing[:_SHOWN])
        more = f"; and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        count = "an input is" if len(missing) == 1 else f"{len(missing)} inputs are"
        raw = any(item.digest not in made for item in missing)
        super().__init__(
            f"{run.stage}:{run.unit} cannot be run again, {count} missing: {named}{more}",
            "put the files into a folder of [data] in clio.toml, under any name"
            if raw
            else "make the product again first",
        )

    @property
    def is_all_made(self) -> bool:
        """Whether all of it can be made again."""
        return all(item.digest in self.made for item in self.missing)


def find_files(workshop: "Workshop", inputs: Iterable[InputFile]) -> dict[str, Path]:
    """Find files that runs read: in the store, where they were seen, else by their content in the folders.

    Returns
    -------
    dict of str to Path
        By digest; what is nowhere is left out.
    """
    paths: dict[str, Path] = {}
    wanted = {item.digest: item for item in inputs}
    for digest, item in wanted.items():
        path = in_stores(workshop, item.digest) or _where_seen(workshop, item)
        if path is not None:
            paths[digest] = path
    missing = {digest: item for digest, item in wanted.items() if digest not in paths}
    return paths | (_searched(workshop, missing) if missing else {})


def stage_inputs(
    workshop: "Workshop", run: Run, action: Action, instead: Mapping[str, OutputFile]
) -> tuple[StagedInput, ...]:
    """Find every file a run is to read.

    Parameters
    ----------
    workshop : Workshop
        Where to look.
    run, action
        As recorded.
    instead : mapping of str to OutputFile
        By digest of a recorded input: what is read in its place, an object of `workshop.target`.

    Raises
    ------
    InputsMissing
        Some are nowhere.
    """
    paths = find_files(workshop, (item for item in run.inputs if item.digest not in instead))
    wanted = {item.digest: item for item in run.inputs if item.digest not in instead}
    lost = tuple(item for digest, item in wanted.items() if digest not in paths)
    if lost:
        made = frozenset(item.digest for item in lost if workshop.store.runs_making(item.digest))
        raise InputsMissing(run, lost, made)
    objects = workshop.target.objects
    return tuple(
        _stood_in(item, asked, instead[item.digest], objects.path(instead[item.digest].digest))
        if item.digest in instead
        else _staged(item, asked, paths[item.digest])
        for item, asked in zip(run.inputs, action.inputs, strict=True)
    )


def in_stores(workshop: "Workshop", digest: str) -> Path | None:
    """Find an object in the stores of a workshop; a damaged one is none."""
    stores = (workshop.store, workshop.target)
    return next((path for store in stores if (path := in_store(store, digest))), None)


def in_store(store: Store, digest: str) -> Path | None:
    """Find an object in a store; a damaged one is none."""
    return store.objects.path(digest) if store.files.proves(digest) else None


def _staged(item: InputFile, asked: ActionInput, path: Path) -> StagedInput:
    return StagedInput(item.tag, item.name, path, item.digest, asked.content, path.stat().st_size, item.hdus)


def _stood_in(item: InputFile, asked: ActionInput, made: OutputFile, path: Path) -> StagedInput:
    """Stage a product that was made again; as everywhere, its name shows the first digits of its data."""
    data = made.data_digest or ""
    name = item.name.replace(_short(asked.content), _short(data))
    return StagedInput(item.tag, name, path, made.digest, data, made.size)


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]


def _where_seen(workshop: "Workshop", item: InputFile) -> Path | None:
    path = Path(item.seen_at) if item.seen_at else None
    return path if path is not None and _holds(workshop, path, item.digest) else None


def _searched(workshop: "Workshop", missing: dict[str, InputFile]) -> dict[str, Path]:
    """Look for files by their content; only those of a size that is wanted are read."""
    found: dict[str, Path] = {}
    sizes = {item.size for item in missing.values()}
    for path in list_files(workshop.folders, []):
        if not path.is_file() or not (None in sizes or path.stat().st_size in sizes):
            continue
        for digest in missing:
            if digest not in found and _holds(workshop, path, digest):
                found[digest] = path
    return found


def _holds(workshop: "Workshop", path: Path, digest: str) -> bool:
    try:
        return path.is_file() and workshop.digest(path) == digest
    except (OSError, FitsError):
        return False


def _described(item: InputFile, is_made: bool) -> str:
    where = "made here, and gone from the store" if is_made else f"seen at {item.seen_at or 'no known place'}"
    return f"{item.tag} {item.name} ({item.digest[:19]}, {where})"
