"""Files that appear whole or not at all: written aside, synced, linked into place, never replaced."""

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from provenance.errors import NotAFile, ProvenanceError, StoreDamaged, StoreFull, StoreUnwritable
from provenance.identity import this_process

READ_ONLY = 0o444
"""Mode of all that is written once."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NAMELESS = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NOT_HERE = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS)
"""What file systems say that know no files without a name: NFS, some of FUSE."""
_PART = uuid4().hex[:12]
"""Tells apart what two programs name whose owner looks the same: the system may not say when they began."""
_NUMBERS = itertools.count()


class _Writing:
    """Turns the system's refusals to write into this package's."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError) and (ours := _understood(error, self._path)) is not None:
            raise ours from error


def _understood(error: OSError, path: Path) -> ProvenanceError | None:
    """Give this package's error for one of the system's; None if it has none."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(path)
        case errno.EACCES | errno.EROFS:
            return StoreUnwritable(path)
        case errno.EIO:
            hint = "look at the disk: the kernel's log says more"
            return StoreDamaged(f"{path} cannot be written: the disk fails", hint)
        case _:
            return None


def writing_to(path: Path) -> _Writing:
    """Turn the system's refusals to write, in the block, into this package's.

    Raises
    ------
    StoreFull
        The disk or the quota is full.
    StoreUnwritable
        It may not be written to: permissions, or mounted read-only.
    StoreDamaged
        The disk fails.
    """
    return _Writing(path)


def scratch_name(directory: Path) -> Path:
    """Return a new name for a partial file; it tells its owner, so that a sweep knows the orphans."""
    return directory / f"{this_process()}~{_PART}{next(_NUMBERS):x}"


@contextmanager
def partial_file(directory: Path) -> Iterator[int]:
    """Open a new file for writing and reading, which is gone with the block unless `link` named it.

    It has no name where the file system allows that, so that nothing is left of whoever is killed.
    """
    aside = None
    try:
        descriptor = os.open(directory, _NAMELESS, 0o644)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        aside = scratch_name(directory)
        descriptor = os.open(aside, _NEW, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        if aside is not None:
            with suppress(OSError):  # if it cannot go now, a sweep takes it
                aside.unlink()


def write_once(target: Path, data: bytes, scratch: Path) -> bool:
    """Make a file appear under its name, whole and on disk, unless that name is taken.

    Parameters
    ----------
    target : Path
        The final name; its directory is made if need be.
    data : bytes
        All it holds.
    scratch : Path
        A directory on the same file system.

    Returns
    -------
    bool
        False if the name was taken; what lies there is left alone.

    Raises
    ------
    StoreFull
        The disk is full; nothing is left behind.
    """
    with writing_to(target), partial_file(scratch) as descriptor:
        write_all(descriptor, data)
        os.fchmod(descriptor, READ_ONLY)
        os.fsync(descriptor)
        return link(descriptor, target)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of some bytes, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def link(descriptor: int, target: Path) -> bool:
    """Give an open file its final name, and sync the directory.

    The link is made from the descriptor, not from a name, so that what was hashed is what appears.

    Returns
    -------
    bool
        False if the name was taken.
    """
    place, name = os.path.split(target)
    try:
        directory = os.open(place, _DIRECTORY)
    except FileNotFoundError:
        make_directory(target.parent)
        directory = os.open(place, _DIRECTORY)
    try:
        try:
            # Following the link in /proc takes linkat(2), which Python calls only when a directory is given.
            source = f"/proc/self/fd/{descriptor}"
            os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)
        except FileExistsError:
            return _is_same_file(descriptor, target)
        except OSError:
            # On NFS the link may be made and the answer lost on the way.
            if not _is_same_file(descriptor, target):
                raise
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def make_directory(directory: Path) -> None:
    """Make a directory of mode 0755 and its parents, each on disk before something is put into it."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    with suppress(FileExistsError):
        directory.mkdir(mode=0o755)
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Bring a directory's entries to disk."""
    descriptor = os.open(directory, _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def open_regular(path: Path) -> Iterator[int]:
    """Open a regular file for reading; a link is not followed, a pipe does not block.

    Raises
    ------
    NotAFile
        It is something else.
    FileNotFoundError
        It is not there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotAFile(f"{path} is a link or a socket, not a file") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotAFile(f"{path} is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def listing(directory: Path) -> tuple[str, ...]:
    """Return the names in a directory, sorted; none if it is not there."""
    try:
        return tuple(sorted(os.listdir(directory)))  # noqa: PTH208 - names only, a third of the time
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _is_same_file(descriptor: int, target: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.lstat(target))
    return False
