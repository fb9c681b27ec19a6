"""Writes a bundle: what goes in, streamed, proven while it is read, with the lists that make it a bag.

Owns the file; what belongs into it is said by whoever asks. A bundle holds no time, place or name of this
machine but those that stand in records, so the same content is the same file.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from provenance.bundle_layout import BAG_INFO, BAGIT, BAGIT_TEXT, MANIFEST, TAG_MANIFEST
from provenance.digest import CHUNK_BYTES, digest_bytes
from provenance.errors import ProvenanceError, short
from provenance.zipping import MemberChanged, Zipping


class ItemRefused(ProvenanceError):
    """A file that goes into a bundle cannot be read, or holds other bytes than those that belong there.

    Parameters
    ----------
    item : Item
        What was to go in.
    message : str
        What is wrong with it.
    """

    def __init__(self, item: "Item", message: str) -> None:
        super().__init__(message, item.remedy)
        self.item = item


@dataclass(frozen=True, slots=True)
class Item:
    """A member of a bundle, before it is written: bytes, or a file that holds them."""

    member: str
    """Its name in the bundle."""
    digest: str
    size: int
    """Bytes."""
    data: bytes | None = None
    """The bytes, of something small."""
    path: Path | None = None
    """The file, of anything else."""
    what: str = ""
    """What it is to a reader, for messages."""
    remedy: str = ""
    """What to do if it is damaged."""

    @classmethod
    def of(cls, member: str, data: bytes) -> "Item":
        """Make a member of some bytes."""
        return cls(member, digest_bytes(data), len(data), data)

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes; a file is read once, piece by piece, and never written to.

        Raises
        ------
        ItemRefused
            The file cannot be read, or has another size than its record says.
        """
        if self.data is not None:
            yield self.data
            return
        assert self.path is not None
        try:
            with self.path.open("rb", buffering=0) as file:
                found = os.fstat(file.fileno()).st_size
                if found != self.size:
                    raise self._changed(f"has {found} bytes, not {self.size}")
                while piece := file.read(CHUNK_BYTES):
                    yield piece
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ItemRefused(self, f"{self.what} cannot be read: {self.path}: {why}") from error

    def prove(self, listen: Callable[[int], None] = lambda size: None) -> None:
        """Read it whole, trusting no date.

        Parameters
        ----------
        listen : callable
            Told of bytes as they are read.

        Raises
        ------
        ItemRefused
            As `pieces`; or its bytes are others.
        """
        hasher = hashlib.sha256()
        for piece in self.pieces():
            hasher.update(piece)
            listen(len(piece))
        self._compare(f"sha256:{hasher.hexdigest()}")

    def write(self, zipping: Zipping, listen: Callable[[int], None]) -> None:
        """Write it into a bundle; its bytes are proven on their way.

        Raises
        ------
        ItemRefused
            As `prove`.
        """
        try:
            self._compare(zipping.add(self.member, self.size, _told(self.pieces(), listen)))
        except MemberChanged as error:
            raise self._changed("was written to while it was read") from error

    def _compare(self, actual: str) -> None:
        if actual != self.digest:
            raise self._changed(f"holds {short(actual)}, not {short(self.digest)}")

    def _changed(self, how: str) -> ItemRefused:
        return ItemRefused(self, f"{self.what} changed since it was recorded: {self.path} {how}")


@dataclass(frozen=True, slots=True)
class Written:
    """A bundle that was written."""

    id: str
    """Digest of its manifest: the root of all others."""
    size: int
    """Bytes of the file."""
    payload_bytes: int
    members: int
    """Files of the payload."""


def write_bundle(
    path: Path,
    payload: Iterable[Item],
    info: Iterable[tuple[str, str]] = (),
    listen: Callable[[int], None] = lambda size: None,
) -> Written:
    """Write a bundle.

    Parameters
    ----------
    path : Path
        The file; whoever calls this gives it its name once it is whole.
    payload : iterable of Item
        All below `data/`.
    info : iterable of (name, value)
        For `bag-info.txt`; how much is in it is added.
    listen : callable
        Told of bytes as they are written.

    Raises
    ------
    ItemRefused
        A file cannot be read, or holds other bytes than those that belong there.
    OSError
        The bundle cannot be written.
    """
    items = sorted(payload, key=lambda item: item.member)
    size = sum(item.size for item in items)
    said = sorted((*info, ("Payload-Oxum", f"{size}.{len(items)}")))
    tags = [
        Item.of(BAG_INFO, "".join(f"{name}: {value}\n" for name, value in said).encode()),
        Item.of(BAGIT, BAGIT_TEXT),
    ]
    with path.open("xb") as file:
        zipping = Zipping(file)
        for item in (*tags, *items):
            item.write(zipping, listen)
        manifest = Item.of(MANIFEST, _lines(items))
        manifest.write(zipping, listen)
        Item.of(TAG_MANIFEST, _lines((*tags, manifest))).write(zipping, listen)
        zipping.close()
        file.flush()
        os.fsync(file.fileno())
        return Written(manifest.digest, file.tell(), size, len(items))


def _lines(items: Iterable[Item]) -> bytes:
    """List members as `sha256sum` does."""
    return "".join(f"{item.digest.removeprefix('sha256:')}  {item.member}\n" for item in items).encode()


def _told(pieces: Iterable[bytes], listen: Callable[[int], None]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        listen(len(piece))
