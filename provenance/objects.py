"""The content-addressed directory: bytes under the name of their digest, mode 0444, written once.

An object appears by link(2) from the very descriptor that was hashed, after it was synced, so that no
power cut leaves a right name on wrong bytes. Nothing here replaces a sound object, and only `drop` removes
one; a damaged one is moved aside, so that making it again can publish it.
"""

import functools
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provenance.digest import CHUNK_BYTES, digest_bytes, digest_descriptor, is_digest
from provenance.errors import DigestMismatch, FileChanged, NotAFile, StoreDamaged, short
from provenance.files import (
    READ_ONLY,
    link,
    listing,
    make_directory,
    open_regular,
    partial_file,
    write_all,
    writing_to,
)
from provenance.settled import SETTLED_NS


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An artifact that lies in the store."""

    digest: str
    size: int
    """Bytes."""


class Objects:
    """The objects of a store.

    Parameters
    ----------
    root : Path
        The store's directory; `objects/`, `tmp/`, `work/` and `damaged/` lie in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects = root / "objects"
        self._place = functools.lru_cache(maxsize=4096)(functools.partial(_place, self._objects))
        self._scratch = root / "tmp"
        self._damaged = root / "damaged"
        self._taken_over = f"{root.resolve()}/work/"
        """What lies there is taken over, not copied."""
        self._fresh: dict[str, os.stat_result] = {}

    def path(self, digest: str) -> Path:
        """Return where an artifact lies, or would lie.

        Raises
        ------
        StoreDamaged
            That is no digest, so no name of an object: it may come from a record somebody edited.
        """
        return self._place(digest)

    def put(self, path: Path) -> StoredObject:
        """Take a file into the store.

        A file in the store's own `work/` is taken over: it becomes the object, and read-only. Any other
        is copied and never touched.

        Raises
        ------
        NotAFile
            It is no regular file.
        FileChanged
            Somebody wrote to it meanwhile.
        StoreFull
            The disk is full.
        OSError
            It cannot be read.
        """
        with open_regular(path) as descriptor:
            is_ours = self._is_ours(descriptor)
            kept = (self._adopt if is_ours else self._copy)(descriptor, str(path))
        return self._noted(kept)

    def put_bytes(self, data: bytes) -> StoredObject:
        """Take bytes into the store.

        Raises
        ------
        StoreFull
            The disk is full.
        """
        target = self.path(digest_bytes(data))
        if target.exists() and self.damage(digest_bytes(data)) is None:
            return StoredObject(digest_bytes(data), len(data))
        with writing_to(self._objects), partial_file(self._scratch) as descriptor:
            write_all(descriptor, data)
            kept = self._adopt(descriptor, "bytes")
        return self._noted(kept)

    def publish(self, descriptor: int, digest: str) -> None:
        """Give a file its name: one of the store's `tmp/`, read-only and on disk, whose bytes were proven."""
        with writing_to(self._objects):
            self._link(descriptor, digest)

    def has(self, digest: str, size: int | None = None) -> bool:
        """Tell whether an object is there, of that size if given; its bytes are not read."""
        try:
            found = os.lstat(self.path(digest))
        except FileNotFoundError:
            return False
        return size is None or found.st_size == size

    def verify(self, digest: str) -> int:
        """Read an object whole and return its size.

        Raises
        ------
        StoreDamaged
            It is not there.
        NotAFile
            Something else lies there.
        DigestMismatch
            Its bytes are others.
        """
        path = self.path(digest)
        try:
            with open_regular(path) as descriptor:
                actual = digest_descriptor(descriptor)
                size = os.fstat(descriptor).st_size
        except FileNotFoundError as error:
            raise StoreDamaged(f"object {short(digest)} is missing") from error
        if actual != digest:
            raise DigestMismatch(f"object {short(digest)}", expected=digest, actual=actual)
        return size

    def damage(self, digest: str) -> str | None:
        """Read an object whole and say what happened to it: `edited`, `removed`, ...; None if sound."""
        try:
            self.verify(digest)
        except DigestMismatch:
            return "edited"
        except NotAFile:
            return "replaced by something that is no file"
        except StoreDamaged:
            return "removed"
        return None

    def set_aside(self, digest: str) -> Path | None:
        """Move a damaged object to `damaged/`, so that its name is free again.

        Returns
        -------
        Path or None
            Where it lies now; None if it was sound after all, or gone: somebody was faster.
        """
        path = self.path(digest)
        try:
            before = os.lstat(path)
        except FileNotFoundError:
            return None
        if self.damage(digest) is None:
            return None
        make_directory(self._damaged)
        target = self._damaged / f"{path.name}~{time.time_ns()}"
        with suppress(FileNotFoundError):
            if not os.path.samestat(before, os.lstat(path)):
                return None
            path.rename(target)
            return target
        return None

    def drop(self, digest: str) -> None:
        """Remove an object for good, by way of `trash/`; only `prune` does so, and says it first."""
        doomed = self._to_trash(digest)
        with suppress(FileNotFoundError):
            doomed.unlink()

    def clear_trash(self) -> None:
        """Remove what was on its way out when somebody was stopped."""
        for name in listing(self.root / "trash"):
            (self.root / "trash" / name).unlink(missing_ok=True)

    def empty(self, digest: str) -> None:
        """Free the bytes of an object on a full disk; its name stays in `trash/` until it is dropped.

        One that has other names is left as it is: they may be somebody's.
        """
        path = self.path(digest)
        with suppress(FileNotFoundError):
            if os.lstat(path).st_nlink == 1:
                doomed = self._to_trash(digest)
                doomed.chmod(0o644)
                os.truncate(doomed, 0)

    def _to_trash(self, digest: str) -> Path:
        """Move an object out of sight and return where it lies; it may be there, or gone, already."""
        path, trash = self.path(digest), self.root / "trash"
        with suppress(FileNotFoundError):
            try:
                make_directory(trash)
            except OSError:  # no room for a directory
                path.unlink()
            else:
                path.rename(trash / path.name)
        return trash / path.name

    def iterate(self) -> Iterator[str]:
        """Yield the digests of all objects, sorted; foreign files are passed over."""
        for prefix in listing(self._objects):
            for name in listing(self._objects / prefix):
                if is_digest(f"sha256:{name}") and name.startswith(prefix):
                    yield f"sha256:{name}"

    def fresh(self, digest: str) -> os.stat_result | None:
        """Return what an object's file looked like when this process stored it; None if it did not."""
        return self._fresh.get(digest)

    def forget_fresh(self, digest: str) -> None:
        """Drop what `fresh` tells, once somebody else remembers it."""
        self._fresh.pop(digest, None)

    def _is_ours(self, descriptor: int) -> bool:
        # A second link could be written through by whoever made it; a file outside may be raw data,
        # which is never written to, not even its mode.
        found, lies_at = os.fstat(descriptor), os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        is_inside = lies_at.startswith(self._taken_over)
        return is_inside and found.st_nlink == 1 and found.st_uid == os.geteuid()

    def _copy(self, source: int, name: str) -> StoredObject:
        before = os.fstat(source)
        with writing_to(self._objects), partial_file(self._scratch) as descriptor:
            offset = 0
            while piece := os.pread(source, CHUNK_BYTES, offset):
                write_all(descriptor, piece)
                offset += len(piece)
            after = os.fstat(source)
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise FileChanged(f"{name} was written to while it was copied")
            return self._adopt(descriptor, name)

    def _adopt(self, descriptor: int, name: str) -> StoredObject:
        with writing_to(self._objects):
            os.fchmod(descriptor, READ_ONLY)
            before = _settle(descriptor)
            digest = digest_descriptor(descriptor)
            os.fsync(descriptor)
            after = os.fstat(descriptor)
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise FileChanged(f"{name} was written to while it was hashed")
            self._link(descriptor, digest)
        return StoredObject(digest, after.st_size)

    def _noted(self, kept: StoredObject) -> StoredObject:
        """Note what an object looks like once its name aside is gone, which moves its change time."""
        self._fresh[kept.digest] = os.lstat(self.path(kept.digest))
        return kept

    def _link(self, descriptor: int, digest: str) -> None:
        while not link(descriptor, self.path(digest)):
            # The name is taken: by the same bytes, or by what is left of them.
            if self.damage(digest) is None:
                return
            self.set_aside(digest)


def _place(objects: Path, digest: str) -> Path:
    if not is_digest(digest):
        raise StoreDamaged(f"{digest!r} is no digest")
    name = digest.partition(":")[2]
    return objects / f"{name[:2]}/{name}"


def _settle(descriptor: int) -> os.stat_result:
    """Date a file's last change back, if it is recent, so that any later one shows in its times."""
    found = os.fstat(descriptor)
    settled = time.time_ns() - SETTLED_NS
    if found.st_mtime_ns > settled:
        os.utime(descriptor, ns=(found.st_atime_ns, settled))
    return os.fstat(descriptor)
