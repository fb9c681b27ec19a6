"""The files that go into a bundle, each with where it lies now; and where others get those that do not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import FramesError, ImageError
from pipeline.finding import find_files
from pipeline.own.table import is_own
from pipeline.tags import RAW_TAGS
from provenance.bundle_layout import BundledFrame, BundledImage, Part, member_of
from provenance.bundling import Item
from provenance.closure import Closure, object_item
from provenance.errors import StoreMissing, short
from provenance.model import InputFile

if TYPE_CHECKING:
    from pipeline.again import Workshop
    from pipeline.config import Settings

ARCHIVE = "https://dataportal.eso.org/dataPortal/file/"
"""Where ESO's archive gives a raw frame by its name."""

_ARCFILE = re.compile(r"[A-Z]+\.\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}\.fits")
_RAW = frozenset(rule.tag for rule in RAW_TAGS)
_SHOWN = 3
"""Files that a message names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a bundle holds beside papers, logs and what was asked for; all else is named, not held."""

    image: bool = False
    """Archives of the images."""
    calib: bool = False
    """Static calibrations, and whatever else came from outside that is no raw frame."""
    raw: bool = False
    """Raw frames."""
    intermediate: bool = False
    """All products of all runs."""


def logs(workshop: "Workshop", closure: Closure) -> Iterator[Item]:
    """Yield what runs keep beside their products, which is never pruned."""
    hint = "it is never pruned, so it was lost: see what else is damaged with: clio check"
    for run in closure.runs:
        step = f"{run.stage}:{run.unit}"
        for extra in run.extras:
            what = f"{extra.name} of {step}"
            yield object_item(workshop.store, extra.digest, extra.size, what, hint)
        if run.log:
            yield object_item(workshop.store, run.log, None, f"the log of {step}", hint)


def products_of(workshop: "Workshop", closure: Closure, wanted: frozenset[str]) -> Iterator[Item]:
    """Yield products.

    Raises
    ------
    FramesError
        One was pruned.
    """
    missing: dict[str, str] = {}
    for run in closure.runs:
        for made in run.outputs:
            if made.digest in wanted:
                what = f"{made.tag} of {run.stage}:{run.unit}"
                remedy = f"make it again: clio restore {short(made.digest)}"
                try:
                    yield object_item(workshop.store, made.digest, made.size, what, remedy)
                except StoreMissing as error:
                    missing[made.digest] = error.message
    if missing:
        names = " ".join(short(digest) for digest in missing)
        raise FramesError(_few(list(missing.values())), f"make again what was pruned: clio restore {names}")


def frames(workshop: "Workshop", closure: Closure, holding: Holding) -> Iterator[Item]:
    """Yield the frames that go in.

    Raises
    ------
    FramesError
        One is nowhere to be found, or its file holds something else by now.
    """
    wanted = {
        digest: item
        for digest, item in closure.outside.items()
        if (holding.raw if item.tag in _RAW else holding.calib)
    }
    paths = find_files(workshop, wanted.values())
    if missing := [item for digest, item in wanted.items() if digest not in paths]:
        option = "raw" if any(item.tag in _RAW for item in missing) else "calib"
        raise FramesError(
            _few([_lost(item) for item in missing]),
            "put it back as it was into a folder of [data] in clio.toml, under any name; "
            f"or leave such frames out, without --with-{option}",
        )
    for digest, item in wanted.items():
        path = paths[digest]
        yield Item(
            member_of(Part.OBJECT, digest),
            digest,
            path.stat().st_size if item.size is None else item.size,
            path=path,
            what=f"{item.tag} {item.name}",
            remedy="bring the frame back as it was, from the archive or a copy",
        )


def images(
    workshop: "Workshop", settings: "Settings", closure: Closure, holding: Holding
) -> Iterator[tuple[BundledImage, Item | None]]:
    """Yield the images, each with its archive if that goes in.

    Notes
    -----
    Without it the archive is named as the lock has it, and not as it happens to lie here.
    """
    from pipeline.image.library import lock_document
    from pipeline.lock import read_lock

    lock = read_lock(settings.lock, image_only=True)
    locked = {lock.config_digest: lock.image.get("archive_digest")} if lock else {}
    actions = {run.action: workshop.store.action(run.action) for run in closure.runs}.values()
    # Recipes of our own run in no image; a statement tells what is behind the digest that stands for one.
    used = {(action.image, action.platform) for action in actions if not is_own(action.recipe)}
    for config, platform in sorted(used):
        if not holding.image:
            yield BundledImage(config, platform, locked.get(config), False), None
            continue
        image = workshop.library.find(config)
        if not image.archive.is_file():
            raise ImageError(
                f"{image.archive} is missing, and without it the image cannot be handed on",
                f"remove {image.archive.parent}, then build or import the image again",
            )
        digest = str(lock_document(image)["archive_digest"])
        item = Item(
            member_of(Part.OBJECT, digest),
            digest,
            image.archive.stat().st_size,
            path=image.archive,
            what=f"image {short(config)}",
            remedy="see what is wrong with it: clio image verify",
        )
        yield BundledImage(config, platform, digest, True), item


def described(item: InputFile, held: frozenset[str]) -> BundledFrame:
    """Describe a frame, and say where others get it."""
    is_raw = item.tag in _RAW
    arcfile = item.name if is_raw and _ARCFILE.fullmatch(item.name) else None
    called = Path(item.seen_at).name if item.seen_at else ""
    if arcfile:
        where = f"by its name in ESO's archive: {ARCHIVE}{arcfile.removesuffix('.fits')}"
    elif is_raw:
        where = f"its name in an archive, if it has one, is not recorded; the file was called {called}"
    else:
        where = f"with ESO's MUSE pipeline, or from whoever made it; the file was called {called}"
    return BundledFrame(
        digest=item.digest,
        data_digest=item.data_digest,
        tag=item.tag,
        name=item.name,
        size=item.size,
        arcfile=arcfile,
        kind="raw" if is_raw else "static",
        stored=item.digest in held,
        where=where,
    )


def _lost(item: InputFile) -> str:
    what, seen = f"{item.tag} {item.name}", item.seen_at
    if seen and Path(seen).is_file():
        return f"{what} changed since it was read: {seen} does not hold {short(item.digest)} any more"
    return f"{what} ({short(item.digest)}) is nowhere; it was read from {seen or 'a place not known'}"


def _few(texts: list[str]) -> str:
    return "; ".join(texts[:_SHOWN]) + (f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")
