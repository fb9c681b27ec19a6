"""From the layers of an archive to a directory, and whether that directory is still what was unpacked.

Member names come from a file that somebody else may have made, so no name, link or device in it reaches
outside the directory. Owners are not kept (it all belongs to whoever unpacks); set-id bits are dropped.
"""

import hashlib
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from pipeline.engine import RecipeImage
from pipeline.errors import ImageError
from pipeline.image.archive import ArchiveIndex, open_layer

MOUNT_POINTS = ("dev", "in", "out", "proc", "tmp")
"""What an engine mounts over; the root file system is read-only, so they have to be there before."""
_MOST_BYTES = 64 << 30
"""An image larger than this is a bomb or a mistake."""
_MOST_LINKS = 40
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


def unpack(archive: Path, index: ArchiveIndex, root: Path) -> None:
    """Unpack the layers of an archive into a new directory and check each against its diff id.

    Raises
    ------
    ImageError
        A layer is not what the configuration names, a member would lie outside `root`, or it is too large.
        What was unpacked until then is left to the caller to remove.
    """
    root.mkdir()
    for member, diff_id in zip(index.layers, index.diff_ids, strict=True):
        with open_layer(archive, member) as stream:
            hashing = _HashingReader(stream)
            try:
                with tarfile.open(fileobj=cast("IO[bytes]", hashing), mode="r|") as layer:
                    _unpack_layer(layer, root)
            except (tarfile.TarError, EOFError) as error:
                raise ImageError(
                    f"the layer {diff_id} in {archive} is not a whole tar file: {error}"
                ) from error
            digest = hashing.digest_of_all()
        if digest != diff_id:
            raise ImageError(
                f"a layer of {archive} has the digest {digest}; its configuration names {diff_id}",
                hint="the archive is damaged: fetch or build it again",
            )
    for name in MOUNT_POINTS:
        inside(root, name).mkdir(exist_ok=True)


def inside(root: Path, name: str) -> Path:
    """Find the place a path of the root file system has on this machine, links resolved below `root`.

    Parameters
    ----------
    root : Path
        The unpacked root file system.
    name : str
        A path inside it; the last component is not followed.

    Raises
    ------
    ImageError
        The path climbs above the root, or its links go in a circle.
    """
    if posixpath.normpath(name.lstrip("/")).split("/")[0] == "..":
        raise ImageError(f"the member {name!r} of an image lies outside its root")
    parts = name.split("/")
    place = root
    links = 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            # At the root it stays at the root, as the kernel has it.
            place = root if place == root else place.parent
        elif parts and (place / part).is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise ImageError(f"the links on the way to {name!r} in an image go in a circle")
            target = str((place / part).readlink())
            place = root if target.startswith("/") else place
            parts = [*target.split("/"), *parts]
        else:
            place /= part
    return place


def listing_digest(root: Path) -> str:
    """Digest of names, kinds, modes, sizes and times of all that lies below `root`; no content is read.

    The time of the last change of the inode is among them, which no ordinary tool can set back, so an edit
    shows even where size and modification time were kept.
    """
    lines = sorted(_lines(str(root), ""))
    return f"sha256:{hashlib.sha256(chr(0).join(lines).encode('utf-8', 'surrogateescape')).hexdigest()}"


def listing_of(image: RecipeImage) -> Path:
    """Where the digest of an image's listing is kept."""
    return image.rootfs.with_name("rootfs.listing")


def changed_rootfs(image: RecipeImage) -> bool:
    """Say whether the root file system is missing or no longer what was unpacked; takes milliseconds."""
    try:
        return listing_of(image).read_text(encoding="ascii") != listing_digest(image.rootfs)
    except FileNotFoundError:
        return True


def require_rootfs(image: RecipeImage) -> None:
    """Refuse a root file system that is not what was unpacked.

    Raises
    ------
    ImageError
        It is missing, or was changed.
    """
    if changed_rootfs(image):
        raise ImageError(
            f"the root file system {image.rootfs} is not what was unpacked from the image archive",
            hint=f"remove {image.rootfs}; it is unpacked again from the archive beside it",
        )


def _lines(directory: str, prefix: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            info = entry.stat(follow_symlinks=False)
            name = f"{prefix}/{entry.name}"
            yield f"{name} {info.st_mode:o} {info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}"
            if entry.is_dir(follow_symlinks=False):
                yield from _lines(entry.path, name)


def _unpack_layer(layer: tarfile.TarFile, root: Path) -> None:
    directories: list[tuple[Path, tarfile.TarInfo]] = []
    fresh: set[Path] = set()
    written = 0
    for member in layer:
        written += member.size if member.isreg() else 0
        if written > _MOST_BYTES:
            raise ImageError(f"a layer holds more than {_MOST_BYTES >> 30} GiB")
        place = inside(root, member.name)
        if place == root:
            continue
        _make_parents(root, place)
        if place.name.startswith(_WHITEOUT):
            _white_out(place, fresh)
            continue
        fresh.add(place)
        if member.isdir():
            if place.is_symlink() or not place.is_dir():
                _remove(place)
                place.mkdir(mode=0o755)
            directories.append((place, member))
        elif member.isreg() or member.islnk() or member.issym():
            _remove(place)
            _write(layer, member, root, place)
        # Device nodes and pipes are left out: engines bring their own /dev.
    for place, member in reversed(directories):
        if place.is_dir() and not place.is_symlink():
            place.chmod(member.mode & 0o1777 | 0o700)
            os.utime(place, (member.mtime, member.mtime))


def _write(layer: tarfile.TarFile, member: tarfile.TarInfo, root: Path, place: Path) -> None:
    if member.issym():
        place.symlink_to(member.linkname)
        os.utime(place, (member.mtime, member.mtime), follow_symlinks=False)
    elif member.islnk():
        target = inside(root, member.linkname)
        if not stat.S_ISREG(os.lstat(target).st_mode):
            raise ImageError(f"the hard link {member.name!r} in an image points at something that is no file")
        os.link(target, place, follow_symlinks=False)
    else:
        source = layer.extractfile(member)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as target_file:
            if source is not None:
                shutil.copyfileobj(source, target_file, 1 << 20)
            os.fchmod(descriptor, member.mode & 0o777 | 0o400)
        os.utime(place, (member.mtime, member.mtime))


def _make_parents(root: Path, place: Path) -> None:
    """Make directories a layer forgot to name; a file in the way is replaced, as a later layer may do."""
    for parent in reversed(place.relative_to(root).parents[:-1]):
        directory = root / parent
        if not directory.is_dir():
            _remove(directory)
            directory.mkdir(mode=0o755)


def _white_out(place: Path, fresh: set[Path]) -> None:
    """Remove what a layer says is gone from the layers below it; `fresh` is what it brought itself."""
    if place.name == _OPAQUE:
        for child in set(place.parent.iterdir()) - fresh:
            _remove(child)
    else:
        _remove(place.with_name(place.name.removeprefix(_WHITEOUT)))


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


class _HashingReader:
    """A stream that hashes what passes, and at the end the rest that the tar reader did not want."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def digest_of_all(self) -> str:
        while self.read(1 << 20):
            pass
        return f"sha256:{self._hash.hexdigest()}"
