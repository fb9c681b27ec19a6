"""Files packed as a whole, by gzip (`.gz`) or compress (`.Z`): known by their first bytes, and unpacked.

The recipes' CFITSIO reads no `.Z` (4.2.0: "error uncompressing image"), and unpacks a `.gz` whole in memory
each time it opens it: 0.9 GB an exposure, many times a recipe. So both are unpacked where a recipe is to
read them. Images compressed by tiles (`.fz`) are FITS themselves, and read as they are; see `fitsdigest`.
"""

import functools
import gzip
import io
import os
import shutil
import subprocess
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from pipeline.errors import FitsError
from pipeline.looks import looks

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PROGRAM = "gzip"
"""Unpacks what compress packed; Python knows no LZW."""

_CHUNK = 1 << 20


class Packing(Enum):
    """How a file is packed: the two bytes it begins with."""

    GZIP = b"\x1f\x8b"
    COMPRESS = b"\x1f\x9d"


_BY_MAGIC = {packing.value: packing for packing in Packing}


def packing_of(path: Path) -> Packing | None:
    """Tell how a file is packed, whatever its name; None if it is not.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    with path.open("rb") as file:
        return packing_in(file)


def packing_in(file: io.BufferedReader) -> Packing | None:
    """Tell how a file is packed that is open, at its beginning, and stays there."""
    return _BY_MAGIC.get(file.peek(2)[:2])


def as_it_lies(path: Path, found: os.stat_result | None = None) -> tuple[Path, Packing | None]:
    """Give where a file really lies, links followed, and how it is packed; found out once while it stays so.

    Parameters
    ----------
    path : Path
        Of the file.
    found : os.stat_result, optional
        What it looked like a moment ago.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    return _looked_at(path, looks(found or path.stat()))


@functools.lru_cache(maxsize=8192)
def _looked_at(path: Path, seen: tuple[int, ...]) -> tuple[Path, Packing | None]:
    resolved = path.resolve()
    return resolved, packing_of(resolved)


def open_packed(path: Path, packing: Packing) -> IO[bytes]:
    """Open a packed file for reading as if it were unpacked; reading forward is quick, seeking back is not.

    Raises
    ------
    OSError
        Now, or when reading: it cannot be opened, or is damaged.
    """
    if packing is Packing.GZIP:
        return cast(IO[bytes], gzip.open(path, "rb"))
    return io.BufferedReader(_Uncompressed(path), _CHUNK)


@dataclass(frozen=True, slots=True)
class Plain:
    """A file that a recipe can read."""

    path: Path
    packing: Packing | None = None
    """How that was packed of which it is a copy; None for the file itself."""


class Unpacked:
    """Plain copies of packed frames, each made once for all steps that read it.

    Parameters
    ----------
    folder : callable
        Gives the directory to put them in; asked when the first one is made.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        self._made: dict[Path, tuple[str, Path]] = {}
        self._readers: Counter[Path] = Counter()
        self._at: Path | None = None

    def plain(
        self,
        path: Path,
        content: str,
        data_digest: Callable[[Path], str],
        found: os.stat_result | None = None,
    ) -> "Plain":
        """Give a file that a recipe can read: itself, links followed, or its unpacked copy.

        Parameters
        ----------
        path : Path
            The frame.
        content : str
            Its data digest, which the copy is proven to have.
        data_digest : callable
            Gives the data digest of a plain file.
        found : os.stat_result, optional
            What the frame looked like a moment ago.

        Raises
        ------
        FitsError
            It cannot be unpacked, or holds something else by now.
        OSError
            The copy cannot be written.
        """
        path, packing = as_it_lies(path, found)
        if packing is None:
            return Plain(path)
        with self._locks[path]:
            made, copy = self._made.get(path, ("", path))
            if made != content:
                self._remove(path)
                copy = self._place() / f"{content.rpartition(':')[2]}.fits"
                unpack(path, packing, copy)
                self._made[path] = (content, copy)
                if data_digest(copy) != content:
                    self._remove(path)
                    raise FitsError(f"{path} is not what it was when it was first read")
        return Plain(copy, packing)

    def expect(self, paths: Iterable[Path]) -> None:
        """Take note of frames that are going to be read; one as often as it stands there."""
        with self._lock:
            self._readers.update(paths)

    def leave(self, paths: Iterable[Path]) -> None:
        """Take note that frames were read, or will not be; what nobody expects any more is removed."""
        with self._lock:
            self._readers.subtract(left := tuple(paths))
            done = [path.resolve() for path in left if self._readers[path] <= 0] if self._made else []
        for path in done:
            with self._locks[path]:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        _, copy = self._made.pop(path, ("", path))
        if copy != path:
            copy.unlink(missing_ok=True)

    def _place(self) -> Path:
        with self._lock:
            self._at = self._at or self._folder()
            return self._at


def unpack(path: Path, packing: Packing, copy: Path) -> None:
    """Write the plain file of a packed one, readable and no more.

    Raises
    ------
    FitsError
        It cannot be unpacked.
    OSError
        The copy cannot be written.
    """
    with copy.open("xb") as target:
        try:
            source = open_packed(path, packing)
        except OSError as error:
            raise FitsError(f"cannot read {path}: {error.strerror or error}") from error
        with source:
            while chunk := _next(source, path):
                target.write(chunk)
    copy.chmod(0o444)


@functools.cache
def version() -> str:
    """Name the program that unpacks `.Z`, with its version; only its name if it does not say."""
    try:
        told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return PROGRAM
    return told.splitlines()[0] if told else PROGRAM


def _next(source: IO[bytes], path: Path) -> bytes:
    try:
        return source.read(_CHUNK)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FitsError(f"cannot read {path}: {reason}") from error


class _Uncompressed(io.RawIOBase):
    """What `gzip -dc` makes of a file; begun anew when it is asked for what has gone by."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._at = 0
        self._begin()

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any place can be gone to."""
        return True

    def tell(self) -> int:
        """Tell the place."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, by reading up to it."""
        if whence == io.SEEK_END:
            while self.read(_CHUNK):
                pass
        place = offset if whence == io.SEEK_SET else offset + self._at
        if place < self._at:
            self._end()
            self._begin()
        while self._at < place and self.read(min(_CHUNK, place - self._at)):
            pass
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read on; what is damaged raises OSError."""
        if self._process is None or self._process.stdout is None:
            return 0
        view = memoryview(buffer)
        data = self._process.stdout.read(len(view))
        view[: len(data)] = data
        self._at += len(data)
        if len(data) < len(view):
            self._finish()
        return len(data)

    def close(self) -> None:
        """Stop the program."""
        self._end()
        super().close()

    def _begin(self) -> None:
        if shutil.which(PROGRAM) is None:
            raise OSError(f"the program {PROGRAM} is needed to unpack it, and is not on this machine")
        with self._path.open("rb") as file:
            self._process = subprocess.Popen(
                [PROGRAM, "-dc"],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            )
        self._at = 0

    def _finish(self) -> None:
        """Take leave of a program that came to its end, and raise if it could not do its work."""
        process, self._process = self._process, None
        assert process is not None
        _, errors = process.communicate()
        if process.returncode:
            said = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
            raise OSError(said[0].removeprefix("gzip: stdin: ") if said else "it cannot be unpacked")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
