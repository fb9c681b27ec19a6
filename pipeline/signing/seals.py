"""What a signature is made over, down to HDUs and cards, so that whatever was altered can be named.

The digest of the whole decides whether anything was altered; the rest only says where.
"""

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import FitsError
from pipeline.fitsfile import Hdu, parse_card, walk
from provenance.zipped import Member

_CHUNK = 1 << 20
_CARD = 80
_CARDS_MOST = 20_000
"""Of an HDU with more, only the header as a whole is told."""
_SHOWN = 12
"""Cards of an HDU that are named."""


@dataclass(frozen=True, slots=True)
class HduSeal:
    """An HDU."""

    name: str
    cards: tuple[str, ...]
    """Of each card its keyword and the first digits of its digest, comment included."""
    data: str
    """SHA-256 of the data unit, 64 digits."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A file, or a member of a bundle."""

    name: str
    digest: str
    """SHA-256, 64 digits."""
    size: int | None = None
    """Bytes."""
    hdus: tuple[HduSeal, ...] = ()
    """Empty for what is no FITS file."""
    data_digest: str | None = None
    """As the store has it."""

    def document(self) -> dict[str, Any]:
        """Return it as a resource descriptor of in-toto."""
        digest = {"sha256": self.digest}
        if self.data_digest:
            algorithm, _, digits = self.data_digest.partition(":")
            digest |= {algorithm: digits} if algorithm != "sha256" else {}
        document: dict[str, Any] = {"name": self.name, "digest": digest}
        notes: dict[str, Any] = {} if self.size is None else {"size": self.size}
        if self.hdus:
            notes["hdus"] = [{"name": h.name, "cards": list(h.cards), "data": h.data} for h in self.hdus]
        return document | ({"annotations": notes} if notes else {})

    @classmethod
    def from_document(cls, document: Any) -> "Seal":
        """Read a resource descriptor.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError
            It is none, or has no SHA-256.
        """
        notes = document.get("annotations") or {}
        hdus = tuple(
            HduSeal(str(h["name"]), tuple(map(str, h["cards"])), str(h["data"]))
            for h in notes.get("hdus", ())
        )
        size = notes.get("size")
        digest = document["digest"]["sha256"]
        if not isinstance(digest, str) or len(digest) != 64:
            raise ValueError("a subject has no SHA-256")
        return cls(str(document.get("name", "")), digest, size if isinstance(size, int) else None, hdus)


def seal_file(path: Path, name: str = "") -> Seal:
    """Read a file.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        return _seal(file, name or path.name, os.fstat(file.fileno()).st_size)


def seal_member(path: Path, member: Member) -> Seal:
    """Read a member of a bundle.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        return _seal(_Slice(file, member.start, member.size), member.name, member.size)


def differences(signed: Seal, found: Seal) -> Iterator[str]:
    """Say what of a file is otherwise than it was signed, in words; nothing if all is the same."""
    if signed.digest == found.digest:
        return
    said = False
    for index in range(max(len(signed.hdus), len(found.hdus))):
        old = signed.hdus[index] if index < len(signed.hdus) else None
        new = found.hdus[index] if index < len(found.hdus) else None
        name = f"HDU {index} {(old or new or HduSeal('', (), '')).name}".rstrip()
        if signed.hdus and found.hdus:
            for what in _of_hdu(old, new):
                said = True
                yield f"{name}: {what}"
    if signed.hdus and not found.hdus:
        yield "it is no whole FITS file any more"
    elif signed.size not in (None, found.size):
        yield f"it has {found.size} bytes, not {signed.size}"
    elif not said:
        yield "its bytes, outside of cards and data" if signed.hdus else "its bytes"


def likeness(one: Seal, other: Seal) -> float:
    """Give how much of the cards of two files is the same, from 0 to 1; 0 for what is no FITS file."""
    cards = [Counter(card for hdu in seal.hdus for card in hdu.cards) for seal in (one, other)]
    most = max(count.total() for count in cards)
    return (cards[0] & cards[1]).total() / most if most else 0.0


def _of_hdu(old: HduSeal | None, new: HduSeal | None) -> Iterator[str]:
    if old is None or new is None:
        yield "missing" if new is None else "added"
        return
    yield from _of_cards(old.cards, new.cards)
    if old.data != new.data:
        yield "its data"


def _of_cards(old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[str]:
    if old == new:
        return
    gone, come = (
        list((Counter(old) - Counter(new)).elements()),
        list((Counter(new) - Counter(old)).elements()),
    )
    if not gone and not come:
        yield "the order of its cards"
        return
    before, after = Counter(map(_keyword, gone)), Counter(map(_keyword, come))
    keywords = list(dict.fromkeys(map(_keyword, (*gone, *come))))
    for keyword in keywords[:_SHOWN]:
        what = "altered" if before[keyword] and after[keyword] else "missing" if before[keyword] else "added"
        yield f"card {keyword} {what}"
    if len(keywords) > _SHOWN:
        yield f"and {len(keywords) - _SHOWN} cards more"


def _keyword(card: str) -> str:
    return card.rpartition(" ")[0] or "COMMENT"


def _seal(file: "io.BufferedIOBase | _Slice", name: str, size: int) -> Seal:
    hdus = _walk(file, name, size)
    file.seek(0)
    whole = hashlib.sha256()
    sealed = []
    for hdu in hdus:
        header = file.read(hdu.data_offset - hdu.header_offset)
        whole.update(header)
        data = hashlib.sha256()
        left = hdu.data_size
        while left and (chunk := file.read(min(left, _CHUNK))):
            whole.update(chunk)
            data.update(chunk)
            left -= len(chunk)
        sealed.append(HduSeal(hdu.name, tuple(_cards(header)), data.hexdigest()))
    while chunk := file.read(_CHUNK):
        whole.update(chunk)
    return Seal(name, whole.hexdigest(), size, tuple(sealed))


def _walk(file: "io.BufferedIOBase | _Slice", name: str, size: int) -> tuple[Hdu, ...]:
    try:
        return walk(file, Path(name), size)
    except (FitsError, OSError, ValueError):
        return ()


def _cards(header: bytes) -> Iterator[str]:
    lines = [header[at : at + _CARD] for at in range(0, len(header), _CARD)]
    used = [line for line in lines if line.strip()]
    if len(used) > _CARDS_MOST:
        yield f"HEADER {hashlib.sha256(header).hexdigest()[:8]}"
        return
    for line in used:
        card = parse_card(line.decode("latin-1"))
        keyword = card.keyword if card else line[:8].decode("latin-1").strip()
        shown = "".join(c if c.isprintable() and c.isascii() else "?" for c in keyword)
        yield f"{shown} {hashlib.sha256(line).hexdigest()[:8]}"


class _Slice:
    """A part of an open file, as a file of its own."""

    def __init__(self, file: "io.BufferedReader", start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0
        file.seek(start)

    def seek(self, offset: int) -> int:
        """Go to a place."""
        self._at = min(offset, self._size)
        self._file.seek(self._start + self._at)
        return self._at

    def read(self, size: int) -> bytes:
        """Read on, at most to the end of the part."""
        data = self._file.read(max(0, min(size, self._size - self._at)))
        self._at += len(data)
        return data
