"""The two sides of a comparison: what each reference means, and in whose store it is found."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipeline.cli.references import FoundFile, digest_of, find, is_stage, match_units
from pipeline.errors import ConfigError, UsageError
from pipeline.places import find_workspace

if TYPE_CHECKING:
    from pipeline.image import ImageLibrary, Package
    from pipeline.reasons import Packages
    from provenance.model import Invocation, OutputFile, Run
    from provenance.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """A store, and the workspace it was found through."""

    folder: Path
    """As it is named on screen."""
    store: "Store"
    workspace: str
    """The workspace's folder, as calls of the command are recorded under it; empty for a bare store."""
    lock: Path | None


@dataclass(frozen=True, slots=True)
class Steps:
    """A side that is the runs of several steps."""

    place: Place
    runs: "dict[str, Run]"
    """By step."""
    is_whole: bool
    """Whether it is a reduction; else the steps of one stage."""


@dataclass(frozen=True, slots=True)
class OneRun:
    """A side that is a run, or one product of it."""

    place: Place
    run: "Run"
    product: "OutputFile | None"


@dataclass(frozen=True, slots=True)
class Loose:
    """A side that is a file which no run made, as far as is known."""

    path: Path | None
    """None if it is not there any more."""
    digest: str


Side = Steps | OneRun | Loose


class Sides:
    """Finds what references mean; opens each store once, and closes all in the end.

    Parameters
    ----------
    workspace : Path, optional
        Where what is no path is looked up; by default the nearest folder upwards.
    other : Path, optional
        The same for the second reference.
    """

    def __init__(self, workspace: Path | None, other: Path | None) -> None:
        self._workspace, self._other = workspace, other
        self._places: dict[Path, Place] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def find(self, reference: str, *, is_second: bool) -> Side:
        """Find what a reference means.

        Parameters
        ----------
        reference : str
            A folder, a file, an id of a call, or as `references.find` takes it.
        is_second : bool
            Look in the other workspace, if there is one.

        Raises
        ------
        UsageError
            Nothing goes by that name.
        ConfigError
            There is no workspace to look in.
        """
        path = Path(reference)
        if not is_stage(reference.partition(":")[0]):
            if path.is_dir():
                place = self._opened(path)
                return self._reduction(place)
            if path.is_file() or path.is_symlink():
                return self._file(path, is_second=is_second)
        return self._named(self._home(is_second=is_second), reference)

    def packages(self, library: "ImageLibrary") -> "Packages":
        """Make what gives the packages of an image: from this machine, else from the lock of a workspace."""

        def bill(digest: str) -> "tuple[Package, ...] | None":
            from pipeline.image import packages_from_json
            from pipeline.lock import read_lock

            here = {image.config_digest: image for image in library.list()}
            if digest in here:
                return library.packages(here[digest])
            for place in self._places.values():
                lock = read_lock(place.lock) if place.lock else None
                if lock is not None and lock.config_digest == digest:
                    return packages_from_json(lock.image["packages"])
            return None

        return bill

    def _home(self, *, is_second: bool) -> Place:
        if is_second and self._other is not None:
            return self._opened(self._other)
        return self._opened(find_workspace(self._workspace))

    def _opened(self, folder: Path) -> Place:
        from pipeline.config import load
        from pipeline.places import FILE
        from provenance.store import Store

        known = folder.resolve()
        if known not in self._places:
            lock, workspace = None, ""
            if (folder / FILE).is_file():
                settings = load(folder)
                lock, workspace, path = settings.lock, str(settings.root), settings.store
            elif (folder / "store.json").is_file():
                path = folder
            else:
                raise UsageError(
                    f"{folder} is neither a workspace nor a store",
                    f"name the folder of a {FILE} or of a store.json",
                )
            same = next((p for p in self._places.values() if p.store.path.samefile(path)), None)
            store = same.store if same else self._open.enter_context(Store.open(path))
            self._places[known] = Place(folder, store, workspace, lock)
        return self._places[known]

    def _reduction(self, place: Place, call: "Invocation | None" = None) -> Steps:
        from pipeline.diff import reduction_of

        runs = reduction_of(place.store, place.workspace, call)
        if not runs:
            raise UsageError(f"nothing was ever run in {place.folder}", "reduce it with: clio run")
        return Steps(place, runs, is_whole=True)

    def _file(self, path: Path, *, is_second: bool) -> Side:
        """Find the run that made a file: in the workspace or store it lies in, else in the one at hand."""
        for place in self._around(path, is_second=is_second):
            side = self._known(place, digest_of(place.store, path))
            if side is not None:
                return side
        return Loose(path, _digest(path))

    def _around(self, path: Path, *, is_second: bool) -> tuple[Place, ...]:
        from pipeline.places import FILE
        from provenance.errors import StoreMissing

        # Not resolved: a link under products/ is of the workspace that shows it.
        folders = path.absolute().parents
        nearest = next((f for f in folders if (f / FILE).is_file() or (f / "store.json").is_file()), None)
        found: list[Place] = []
        # Neither has to be there: then only the files are compared.
        with suppress(StoreMissing):
            found += [] if nearest is None else [self._opened(nearest)]
        with suppress(StoreMissing, ConfigError):
            found.append(self._home(is_second=is_second))
        return tuple({place.store.path: place for place in found}.values())

    def _known(self, place: Place, digest: str) -> OneRun | None:
        from pipeline.report import ProductReport, RunReport, report_file

        try:
            report = report_file(place.store, digest)
        except UsageError:
            return None
        if isinstance(report, ProductReport):
            return OneRun(place, report.made.run, report.file)
        return OneRun(place, report.run, None) if isinstance(report, RunReport) else None

    def _named(self, place: Place, reference: str) -> Side:
        """Find what is no path in a store."""
        from pipeline.diff import reduction_of

        stage, _, unit = reference.partition(":")
        if is_stage(stage):
            runs = reduction_of(place.store, place.workspace, stage=stage)
            units = match_units((run.unit for run in runs.values()), unit)
            chosen = {step: run for step, run in runs.items() if run.unit in units}
            if chosen:
                return Steps(place, chosen, is_whole=False)
        call = next((item for item in place.store.invocations() if item.invocation == reference), None)
        if call is not None:
            return self._reduction(place, call)
        found = find(place.store, reference, successful=True)
        if isinstance(found, FoundFile):
            return self._known(place, found.digest) or _frame(place, found.digest)
        if len(found.runs) > 1:
            return Steps(place, {f"{run.stage}:{run.unit}": run for run in found.runs}, is_whole=False)
        return OneRun(place, found.runs[0], None)


def _frame(place: Place, digest: str) -> Loose:
    """Find a file from outside where a run saw it, if it still lies there."""
    from provenance.digest import digest_file

    for run in place.store.runs_reading(digest):
        for item in run.inputs:
            path = Path(item.seen_at or "")
            if item.digest == digest and path.is_file() and digest_file(path) == digest:
                return Loose(path, digest)
    return Loose(None, digest)


def _digest(path: Path) -> str:
    from provenance.digest import digest_file

    try:
        return digest_file(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
