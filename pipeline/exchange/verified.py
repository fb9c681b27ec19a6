"""A file against its sidecar: needs neither store nor network nor image.

A sidecar is no proof by itself: whoever edits a product can edit what lies beside it. Its bytes are what a
signature is made over.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pipeline.comparison import Sameness
from pipeline.errors import Exit, FitsError, PipelineError
from pipeline.fitsdigest import FileDigest, HduDigest, digest_file
from provenance.digest import digest_file as digest_bytes_of
from provenance.digest import is_digest

SCHEMA = "clio-sidecar/1"

SUFFIX = ".prov.json"
"""Put behind the whole name of the product."""

_LARGEST_BYTES = 1_000_000
"""Of a sidecar that is read: ours are smaller than 20 kB."""


class SidecarRefused(PipelineError):
    """What lies beside a product is no sidecar, or one this program cannot read."""

    exit_code = Exit.STORE


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a sidecar says of its file."""

    path: Path
    name: str
    """Of the product, when it was recorded."""
    tag: str
    digest: str
    data_digest: str | None
    size: int
    parts: tuple[HduDigest, ...]
    """Empty if it is no FITS file, or has too many HDUs to name."""
    step: str
    recipe: str
    body: bytes
    """All of it, as it lies on disk."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How a file compares with its sidecar."""

    path: Path
    sidecar: Sidecar
    sameness: Sameness
    """Identical, same science, or different."""
    digest: str
    data_digest: str | None
    """None if it is no FITS file, or not a whole one."""
    moved: tuple[str, ...]
    """What is otherwise, a line each; empty if nothing is."""

    @property
    def is_same(self) -> bool:
        """Whether every byte is as it was recorded."""
        return self.sameness is Sameness.IDENTICAL


def sidecar_of(product: Path) -> Path:
    """Name the sidecar of a file."""
    return product.with_name(product.name + SUFFIX)


def read_sidecar(path: Path) -> Sidecar:
    """Read a sidecar.

    Raises
    ------
    SidecarRefused
        It is missing, too large, no sidecar, or of a newer form.
    """
    try:
        with path.open("rb") as file:
            body = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        hint = "`clio trace FILE --sidecar` writes one in the workspace that made the file"
        raise SidecarRefused(f"cannot read {path}: {(error.strerror or str(error)).lower()}", hint) from error
    try:
        if len(body) > _LARGEST_BYTES:
            raise ValueError(f"more than {_LARGEST_BYTES} bytes")
        return _opened(path, body, json.loads(body))
    except RecursionError as error:
        raise SidecarRefused(f"{path} is no sidecar: nested too deeply") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SidecarRefused(f"{path} is no sidecar: {error}", "it was edited, or cut short") from error


def verify(path: Path, sidecar: Sidecar) -> Verified:
    """Compare a file with its sidecar, HDU by HDU; the file is read once.

    Raises
    ------
    FitsError
        The file is not there, or cannot be read.
    """
    found, fault = _digests(path)
    if found is None:
        digest = digest_bytes_of(path)
        if digest == sidecar.digest:
            return Verified(path, sidecar, Sameness.IDENTICAL, digest, None, ())
        return Verified(path, sidecar, Sameness.DIFFERENT, digest, None, (fault or "its bytes",))
    if found.digest == sidecar.digest:
        return Verified(path, sidecar, Sameness.IDENTICAL, found.digest, found.data_digest, ())
    moved = (*_moved(sidecar.parts, found.parts), *found.faults) if sidecar.parts else found.faults
    if found.data_digest == sidecar.data_digest:
        here = (
            "volatile cards (DATE, CHECKSUM), comments of cards, or how it is packed; no data, no other card"
        )
        return Verified(path, sidecar, Sameness.SAME_SCIENCE, found.digest, found.data_digest, (here, *moved))
    moved = moved or ("its data or cards; the sidecar does not name them HDU by HDU",)
    return Verified(path, sidecar, Sameness.DIFFERENT, found.digest, found.data_digest, moved)


def _opened(path: Path, body: bytes, document: Any) -> Sidecar:
    schema = document["schema"]
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema!r}, and this program reads {SCHEMA}")
    product, run = document["product"], document["run"]
    parts = product["parts"]
    read = Sidecar(
        path=path,
        name=_text(product["name"]),
        tag=_text(product["tag"]),
        digest=_text(product["digest"]),
        data_digest=None if product["data_digest"] is None else _text(product["data_digest"]),
        size=int(product["size"]),
        parts=tuple(HduDigest(*(_text(p[n]) for n in ("name", "cards", "data"))) for p in parts)
        if isinstance(parts, list)
        else (),
        step=_text(run["step"]),
        recipe=_text(run["recipe"]),
        body=body,
    )
    if not is_digest(read.digest):
        raise ValueError("it names no digest")
    return read


def _text(value: object) -> str:
    """Take a text that a terminal can be given.

    Raises
    ------
    TypeError
        It is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]} stands where a text should")
    return "".join(c if c.isprintable() else "?" for c in value)


def _digests(path: Path) -> tuple[FileDigest | None, str]:
    """Digest a FITS file; of anything else say why it is none."""
    try:
        return digest_file(path, verify=True), ""
    except FitsError as error:
        if not path.is_file():
            raise
        return None, error.message


def _moved(recorded: tuple[HduDigest, ...], found: tuple[HduDigest, ...]) -> Iterator[str]:
    for index, (old, new) in enumerate(zip_longest(recorded, found)):
        name = f"HDU {index} {_called(index, old or new)}".rstrip()
        if new is None:
            yield f"{name}: missing"
        elif old is None:
            yield f"{name}: added"
        else:
            if _called(index, old) != _called(index, new):
                yield f"{name}: it is called {_called(index, new) or 'nothing'} now"
            pairs = (("cards", old.cards, new.cards), ("data", old.data, new.data))
            if what := [word for word, before, after in pairs if before != after]:
                yield f"{name}: its {' and its '.join(what)}"


def _called(index: int, part: HduDigest | None) -> str:
    """Give the name of an HDU; records number those that have none."""
    name = _text(part.name) if part else ""
    return "" if name == str(index) else name
