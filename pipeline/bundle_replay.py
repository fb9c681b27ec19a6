"""A bundle made again from its raw frames, on any machine, with nothing but the bundle where it holds all.

Owns what that takes: a store to import it into, the images and files its runs need, what of that is missing,
and where it could be found. How runs are made again is `pipeline.replay`'s.
"""

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.again import Workshop
from pipeline.engine import Engine
from pipeline.engines.deferred import DeferredEngine
from pipeline.errors import ImageError
from pipeline.finding import find_files
from pipeline.image import ImageLibrary
from pipeline.own.table import is_own
from pipeline.replay import Link, chain
from provenance.bundle_layout import DESCRIPTION, BundledFrame, Description
from provenance.documents import from_document
from provenance.errors import ProvenanceError
from provenance.importing import Import, import_bundle
from provenance.model import InputFile, Run
from provenance.store import Store


@dataclass(frozen=True, slots=True)
class Missing:
    """Something a replay needs and nobody has."""

    kind: str
    """`image`, `raw` or `static`."""
    tag: str
    """Of a file; empty for an image."""
    name: str
    """Name in ESO's archive of a raw frame, canonical name of another file, platform of an image."""
    digest: str
    size: int | None
    """Bytes."""
    where: str
    """Where to get it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle that was imported, and all it takes to make it again."""

    imported: Import
    workshop: Workshop
    """Not agreed yet."""
    links: tuple[Link, ...]
    """From raw frames; what makes before what reads."""

    @property
    def images(self) -> tuple[str, ...]:
        """Digests of the images it needs, sorted."""
        return images_of(self.workshop.store, self.links)


@contextmanager
def opened_bundle(
    path: Path,
    *,
    into: Path | None = None,
    folders: tuple[Path, ...] = (),
    engine: str | Engine = "auto",
    library: ImageLibrary | None = None,
) -> Iterator[Opened]:
    """Import a bundle into a store of its own, and list what has to be made again.

    Parameters
    ----------
    path : Path
        The bundle.
    into : Path, optional
        The store, made if there is none; by default a temporary one, which is gone in the end.
    folders : tuple of Path
        Searched by content for files that it does not hold.
    engine, library
        As of `Reduction`.

    Raises
    ------
    BundleRefused
        It is no whole and honest bundle.
    UsageError
        A run it was made for did not succeed.
    """
    temporary = Path(tempfile.mkdtemp(prefix="clio-replay-")) if into is None else None
    try:
        with Store.open(into or _below(temporary), create=True) as store:
            imported = import_bundle(store, path)
            runs = tuple(store.run(run) for run in imported.bundle.description.roots)
            workshop = Workshop(
                store=store,
                library=library or ImageLibrary(),
                engine=DeferredEngine(lambda: _open_engine(engine) if isinstance(engine, str) else engine),
                folders=folders,
                digest=store.files.digest_of,
                cancel=threading.Event(),
            )
            yield Opened(imported, workshop, chain(store, runs, closure=True))
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def missing(opened: Opened) -> tuple[Missing, ...]:
    """Name all that a replay needs and that is neither in the bundle nor here: images, then files by tag."""
    store, description = opened.workshop.store, opened.imported.bundle.description
    images = tuple(
        Missing("image", "", _platform(description, digest), digest, None, _IMAGE_HINT)
        for digest in opened.images
        if not _is_here(opened.workshop.library, digest) and archive_of(store, description, digest) is None
    )
    wanted = {item.digest: item for item in _outside(opened.links)}
    found = find_files(opened.workshop, wanted.values())
    told = {frame.digest: frame for frame in description.frames}
    lost = (_missing(item, told.get(digest)) for digest, item in wanted.items() if digest not in found)
    return images + tuple(sorted(lost, key=lambda item: (item.kind, item.tag, item.name)))


def images_of(store: Store, links: tuple[Link, ...]) -> tuple[str, ...]:
    """List the images that a chain needs, sorted; our own recipes need none."""
    actions = (store.action(link.run.action) for link in links)
    return tuple(sorted({action.image for action in actions if not is_own(action.recipe)}))


def descriptions_of(store: Store) -> tuple[Description, ...]:
    """Read what the bundles said of themselves that were ever imported; one that is gone says nothing."""
    said = {item.bundle: item for item in store.imports.runs.values()}
    names = (file.digest for item in said.values() for file in item.files if file.name == _DESCRIPTION)
    found = []
    for name in names:
        with suppress(OSError, ValueError, ProvenanceError):
            store.objects.verify(name)
            document = json.loads(store.objects.path(name).read_bytes())
            found.append(from_document(Description, document, "description"))
    return tuple(found)


def bring_images(
    workshop: Workshop, images: tuple[str, ...], descriptions: tuple[Description, ...]
) -> tuple[str, ...]:
    """Take the images into the library that it lacks and bundles brought; nothing of them is run.

    Parameters
    ----------
    workshop : Workshop
        Its store has the archives.
    images : tuple of str
        Digests of those that are needed.
    descriptions : tuple of Description
        Of the bundles.

    Returns
    -------
    tuple of str
        Digests of those that were taken in.

    Raises
    ------
    ImageError
        An archive is damaged, or holds another image than its bundle says.
    """
    brought = []
    store, library = workshop.store, workshop.library
    for digest in images:
        archives = (archive_of(store, description, digest) for description in descriptions)
        archive = next(filter(None, archives), None)
        if archive is None or _is_here(library, digest):
            continue
        if (other := library.add_archive(archive).config_digest) != digest:
            raise ImageError(
                f"the bundle says that its archive holds the image {digest}, and it holds {other}",
                "import it from somewhere else: clio image import ARCHIVE",
            )
        brought.append(digest)
    return tuple(brought)


def archive_of(store: Store, description: Description, digest: str) -> Path | None:
    """Find the archive of an image among the objects that a bundle brought."""
    archives = (image.archive for image in description.images if image.config == digest)
    return next((store.objects.path(name) for name in archives if name and store.objects.has(name)), None)


_DESCRIPTION = DESCRIPTION.rpartition("/")[2]
_IMAGE_HINT = "clio image build, or clio image import ARCHIVE"


def _outside(links: tuple[Link, ...]) -> tuple[InputFile, ...]:
    """List what is read and not made again."""
    return tuple(item for link in links for item in link.run.inputs if item.digest not in link.makers)


def _missing(item: InputFile, frame: BundledFrame | None) -> Missing:
    if frame is None:
        return Missing("raw", item.tag, item.name, item.digest, item.size, "")
    name = frame.arcfile or item.name
    return Missing(frame.kind, item.tag, name, item.digest, item.size, frame.where)


def _is_here(library: ImageLibrary, digest: str) -> bool:
    with suppress(ImageError):
        library.find(digest)
        return True
    return False


def _platform(description: Description, digest: str) -> str:
    return next((image.platform for image in description.images if image.config == digest), "")


def _below(folder: Path | None) -> Path:
    assert folder is not None  # one of the two is given
    return folder / ".clio"


def _open_engine(name: str) -> Engine:
    from pipeline.engines import open_engine

    return open_engine(name)


def runs_of(links: tuple[Link, ...]) -> tuple[Run, ...]:
    """List the recorded runs of a chain."""
    return tuple(link.run for link in links)
