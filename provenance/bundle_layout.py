"""What a bundle is made of: names of its members, and what it says of itself. For writer and reader alike.

A bundle is a zip file with members stored as they are, sorted by name, and a BagIt 1.0 bag at once:

    bagit.txt  bag-info.txt  manifest-sha256.txt  tagmanifest-sha256.txt
    data/clio-bundle.json                      what it is a bundle of: `Description`, canonical JSON
    data/actions/ab/<key>.json                 files of the store, byte by byte
    data/records/ab/<key>/<run>.json
    data/statements/ab/<64 hex>.json
    data/objects/ab/<64 hex>                   logs, products, and on request image, statics and raw frames
    data/clio.toml  data/clio.lock             of the workspace, if it has them
    data/ro-crate-metadata.json                the same for archivists, as a Provenance Run Crate

Its id is the digest of `manifest-sha256.txt`. Pure.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from provenance.documents import Document, to_document

TYPE = "clio-bundle"
VERSION = 1
"""Of the layout; a field or a member added raises nothing that an older reader could do without."""

BAGIT = "bagit.txt"
BAG_INFO = "bag-info.txt"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
BAGIT_TEXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
DESCRIPTION = "data/clio-bundle.json"
CRATE = "data/ro-crate-metadata.json"
SETTINGS = ("data/clio.toml", "data/clio.lock")


class Part(StrEnum):
    """What a member is, if its name is made from its content: the directory it comes from."""

    ACTION = "actions"
    RECORD = "records"
    STATEMENT = "statements"
    OBJECT = "objects"


@dataclass(frozen=True, slots=True)
class Place:
    """What the name of a member says."""

    part: Part
    name: str
    """64 hex digits: a key or a digest; of a record, the key of its action."""
    run: str = ""
    """Id of the run, for a record."""

    @property
    def member(self) -> str:
        """The name of the member."""
        inner = f"/{self.run}" if self.run else ""
        ending = "" if self.part is Part.OBJECT else ".json"
        return f"data/{self.part}/{self.name[:2]}/{self.name}{inner}{ending}"


_HEX = r"[0-9a-f]"
_NAMED = r"data/(?P<part>actions|records|statements|objects)/(?P<prefix>..)/(?P<name>(?P=prefix)[0-9a-f]{62})"
_RUN = rf"/(?P<run>{_HEX}{{8}}-{_HEX}{{4}}-7{_HEX}{{3}}-{_HEX}{{4}}-{_HEX}{{12}})"
_PLACE = re.compile(rf"{_NAMED}({_RUN})?(?P<ending>\.json)?", re.ASCII)


def place_of(member: str) -> Place | None:
    """Read the name of a member; None if it is not made from content, or is none that a bundle has.

    Examples
    --------
    >>> place_of("data/objects/ab/ab" + 62 * "0").part
    <Part.OBJECT: 'objects'>
    >>> place_of("data/objects/ab/../../evil")
    """
    match = _PLACE.fullmatch(member)
    if match is None:
        return None
    place = Place(Part(match["part"]), match["name"], match["run"] or "")
    return place if place.member == member and (place.run != "") == (place.part is Part.RECORD) else None


def member_of(part: Part, digest: str, run: str = "") -> str:
    """Return the name of the member that is an action, a record, a statement or an object.

    Parameters
    ----------
    part : Part
        Which of them.
    digest : str
        Its key or digest, with or without `sha256:`; of a record, the key of its action.
    run : str
        Id of the run, for a record.
    """
    return Place(part, digest.removeprefix("sha256:"), run).member


@dataclass(frozen=True, slots=True)
class BundledProduct:
    """A product of a run in a bundle."""

    run: str
    tag: str
    name: str
    digest: str
    size: int
    """Bytes."""
    stored: bool
    """Whether the bundle holds its bytes."""


@dataclass(frozen=True, slots=True)
class BundledImage:
    """An image that runs in a bundle used."""

    config: str
    """Its digest."""
    platform: str
    archive: str | None
    """Digest of its archive; None where that is not known."""
    stored: bool


@dataclass(frozen=True, slots=True)
class BundledFrame:
    """A file from outside that runs in a bundle read."""

    digest: str
    data_digest: str | None
    tag: str
    name: str
    """Canonical."""
    size: int | None
    """Bytes."""
    arcfile: str | None
    """Its name in ESO's archive, of a raw frame."""
    kind: str
    """`raw` or `static`."""
    stored: bool
    where: str
    """Where to get it, in words."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a bundle says of itself."""

    roots: tuple[str, ...]
    """Ids of the runs it was made for."""
    products: tuple[BundledProduct, ...]
    images: tuple[BundledImage, ...]
    frames: tuple[BundledFrame, ...]
    created_by: str
    """Program and version."""

    def document(self) -> Document:
        """Return it as it is written."""
        head = {"type": TYPE, "version": VERSION, "digest_algorithm": "sha256"}
        return head | to_document(self)
