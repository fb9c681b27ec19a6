"""A reduction with its proof, for others: put together here, written down by `provenance`.

Owns what a bundle says of itself and how it comes to be; where its files lie is `bundle_parts`'s.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.bundle_parts import Holding, described, frames, images, logs, products_of
from pipeline.errors import FramesError
from pipeline.replacing import replacing
from provenance.bundle_layout import (
    CRATE,
    DESCRIPTION,
    SETTINGS,
    BundledImage,
    BundledProduct,
    Description,
)
from provenance.bundling import Item, ItemRefused, Written, write_bundle
from provenance.closure import Closure, closure_of, papers_of, with_vouchers
from provenance.digest import canonical_json
from provenance.importing import look_into
from provenance.model import Run

if TYPE_CHECKING:
    from pipeline.again import Workshop
    from pipeline.config import Settings

_SHOWN = 3
"""Products that a description names; the others are counted."""


@dataclass(frozen=True)  # no slots: what is put together once is kept
class Draft:
    """A bundle before it is written. Its papers are read when it is: what is said until then goes with it."""

    workshop: "Workshop"
    settings: "Settings"
    closure: Closure
    products: tuple[str, ...]
    """Digests of what was asked for, sorted."""
    objects: tuple[Item, ...]
    """Logs, products, frames and images that it holds, by digest."""
    images: tuple[BundledImage, ...]

    @cached_property
    def held(self) -> frozenset[str]:
        """Digests of what it holds."""
        return frozenset(item.digest for item in self.objects)

    @cached_property
    def description(self) -> Description:
        """What it says of itself."""
        return Description(
            roots=self.closure.roots,
            products=tuple(
                BundledProduct(run.run, o.tag, o.name, o.digest, o.size, o.digest in self.held)
                for run in self.closure.runs
                for o in run.outputs
            ),
            images=self.images,
            frames=tuple(described(item, self.held) for item in self.closure.outside.values()),
            created_by=f"clio {version('clio-muse')}",
        )

    def payload(self) -> tuple[Item, ...]:
        """List everything below `data/`.

        Raises
        ------
        StoreDamaged
            A paper is missing, or was edited.
        """
        store = self.workshop.store
        names = (self.settings.file, self.settings.lock)
        kept = [
            Item.of(name, path.read_bytes())
            for name, path in zip(SETTINGS, names, strict=True)
            if path.is_file()
        ]
        described = Item.of(DESCRIPTION, canonical_json(self.description.document()))
        items = (*papers_of(store, self.closure), *self.objects, *kept, described)
        return (*items, *self._crate(items))

    def _crate(self, items: Iterable[Item]) -> Iterator[Item]:
        """Say the same for archivists; of runs that made nothing there is nothing to say."""
        from pipeline.exchange.crate import crate
        from pipeline.exchange.graph import read_graph

        if self.products:
            files = {item.digest: item.member.removeprefix("data/") for item in items}
            graph = read_graph(self.workshop.store, self.products)
            document = crate(graph, files, plan=DESCRIPTION.removeprefix("data/"))
            yield Item.of(CRATE, canonical_json(document))


def draft(
    workshop: "Workshop",
    settings: "Settings",
    roots: Iterable[Run],
    products: Iterable[str],
    holding: Holding,
) -> Draft:
    """Put a bundle together; nothing is written.

    Parameters
    ----------
    workshop : Workshop
        Where to look for what goes in.
    settings : Settings
        Of the workspace; they go with it, and so does the lock.
    roots : iterable of Run
        What it is made for.
    products : iterable of str
        Digests of their products that were asked for.
    holding : Holding
        What goes in beside.

    Raises
    ------
    FramesError
        A product was pruned, or a frame is nowhere or was changed.
    StoreDamaged, StoreMissing
        The store lacks what is never pruned.
    ImageError
        The image is not on this machine.
    """
    closure = with_vouchers(workshop.store, closure_of(workshop.store, roots))
    asked = frozenset(products)
    wanted = closure.made if holding.intermediate else asked
    objects = {
        item.digest: item for item in (*logs(workshop, closure), *products_of(workshop, closure, wanted))
    }
    objects |= {item.digest: item for item in frames(workshop, closure, holding)}
    found = tuple(images(workshop, settings, closure, holding))
    objects |= {archive.digest: archive for _, archive in found if archive}
    return Draft(
        workshop,
        settings,
        closure,
        tuple(sorted(asked)),
        tuple(objects[digest] for digest in sorted(objects)),
        tuple(image for image, _ in found),
    )


def prove(made: Draft, listen: Callable[[int], None] = lambda size: None) -> None:
    """Read everything whole that goes into a bundle, trusting no date.

    Raises
    ------
    FramesError
        A frame holds other bytes than were read from it.
    ItemRefused
        An object is damaged.
    """
    for item in made.objects:
        with _telling_frames(made):
            item.prove(listen)


def write(made: Draft, path: Path, listen: Callable[[int], None] = lambda size: None) -> Written:
    """Write a bundle under its name, whole or not at all; the same draft gives the same bytes.

    Parameters
    ----------
    made : Draft
        What goes in.
    path : Path
        The file.
    listen : callable
        Told of bytes as they are written.

    Raises
    ------
    FramesError, ItemRefused
        As `prove`: all bytes are proven on their way.
    BundleRefused
        It could not be imported.
    FileRefused
        The system does not let it be written.
    """
    payload = made.payload()
    by = made.description.created_by
    info = (("Bag-Software-Agent", by), ("External-Description", _in_words(made)))
    with replacing(path) as aside, _telling_frames(made):
        written = write_bundle(aside, payload, info, listen)
        look_into(aside)  # what nobody could import is never handed out
    return written


@contextmanager
def _telling_frames(made: Draft) -> Iterator[None]:
    """Say of a frame that was changed what it is: no damage to the store, but a frame that is missing."""
    try:
        yield
    except ItemRefused as error:
        if error.item.digest in made.closure.outside:
            raise FramesError(error.message, error.hint) from error
        raise


def _in_words(made: Draft) -> str:
    asked = frozenset(made.products)
    names = sorted({o.name for run in made.closure.runs for o in run.outputs if o.digest in asked})
    what = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"How {what or 'nothing'} came to be, in {len(made.closure.runs)} runs of recipes recorded by Clio"
