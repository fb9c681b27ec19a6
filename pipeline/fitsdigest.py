"""A FITS file as digests: of its bytes, and of what it holds, packed or not; and its checksums verified.

References
----------
FITS Checksum Proposal (Seaman, Pence & Rots, 2002); FITS Standard 4.0, section 10 (tile compression).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import IO

from pipeline.errors import FitsError
from pipeline.fitsfile import BLOCK, Card, Hdu, Value, open_stream, read_hdus, reason
from pipeline.packing import packing_in
from pipeline.volatile import VOLATILE

CHUNK = 364 * BLOCK
"""Bytes read at once, about 1 MiB."""

# Writers order these as they like, packing or not, so their order is not content.
_UNORDERED = frozenset(
    (
        "XTENSION",
        "SIMPLE",
        "BITPIX",
        "NAXIS",
        "PCOUNT",
        "GCOUNT",
        "TFIELDS",
        "EXTEND",
        "BSCALE",
        "BZERO",
        "DATASUM",
    )
)

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_ALL_ONES = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class HduDigest:
    """What an HDU holds, as digests."""

    name: str
    cards: str
    """`sha256:` of the cards without volatile ones and comments."""
    data: str
    """`sha256:` of the data unit with its padding."""


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A FITS file by its content."""

    digest: str
    """`sha256:` of the bytes as stored."""
    data_digest: str
    """`fits1:` of the HDUs as if unpacked; see DESIGN.md section 3."""
    size: int
    parts: tuple[HduDigest, ...]
    faults: tuple[str, ...]
    """What the file's own checksums contradict; empty if sound or not checked."""


def digest_file(path: Path, *, verify: bool = False, hdus: tuple[Hdu, ...] | None = None) -> FileDigest:
    """Digest a FITS file in one pass.

    Parameters
    ----------
    path : Path
        The file.
    verify : bool
        Also check `DATASUM` and `CHECKSUM` of every HDU that has them.
    hdus : tuple of Hdu, optional
        What `read_hdus` gave of it, if it was read a moment ago.

    Raises
    ------
    FitsError
        As `read_hdus`.
    """
    hdus = read_hdus(path) if hdus is None else hdus
    whole = hashlib.sha256()
    parts: list[HduDigest] = []
    faults: list[str] = []
    with path.open("rb") as file:
        if any(is_packed(hdu) for hdu in hdus) or packing_in(file):
            return _digest_packed(path, hdus)
        for hdu in hdus:
            header = file.read(hdu.data_offset - hdu.header_offset)
            whole.update(header)
            data = hashlib.sha256()
            total = _Sum() if verify else None
            for chunk in _chunks(file, hdu.data_size):
                whole.update(chunk)
                data.update(chunk)
                if total:
                    total.add(chunk)
            parts.append(HduDigest(hdu.name, _digest_cards(hdu.cards), f"sha256:{data.hexdigest()}"))
            if total:
                faults += _checksum_faults(hdu, header, total)
        for chunk in iter(lambda: file.read(CHUNK), b""):
            whole.update(chunk)
    return FileDigest(
        f"sha256:{whole.hexdigest()}",
        _digest_parts(hdus, parts),
        path.stat().st_size,
        tuple(parts),
        tuple(faults),
    )


def in_short(parts: tuple[HduDigest, ...]) -> str:
    """Write what each HDU holds in a line: enough to tell which one changed, and no proof."""
    return "\n".join(
        " ".join((*(digest.partition(":")[2][:12] for digest in (part.cards, part.data)), part.name))
        for part in parts
    )


def _chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = file.read(min(CHUNK, size))
        if not chunk:
            return
        size -= len(chunk)
        yield chunk


def _digest_cards(cards: tuple[Card, ...]) -> str:
    """Digest cards: first those whose order is no content, sorted, then the others in the file's order."""
    first: list[tuple[str, str]] = []
    rest: list[tuple[str, str]] = []
    for card in cards:
        if card.keyword not in VOLATILE:
            (first if is_unordered(card.keyword) else rest).append((card.keyword, card.token))
    first.sort(key=itemgetter(0))
    return f"sha256:{hashlib.sha256(_canonical(first + rest)).hexdigest()}"


def _canonical(document: object) -> bytes:
    """Write what holds texts, whole numbers and ASCII names only as RFC 8785 does; that takes no more care.

    Texts of headers are Latin-1, so that none holds half a surrogate pair.
    """
    return _ENCODE(document).encode()


def is_unordered(keyword: str) -> bool:
    """Tell whether the place of a card in the header is no content."""
    return keyword in _UNORDERED or (keyword.startswith("NAXIS") and keyword[5:].isdigit())


def _digest_parts(hdus: tuple[Hdu, ...], parts: list[HduDigest]) -> str:
    document: list[dict[str, str | int]] = [
        {
            "index": hdu.index,
            "type": "PRIMARY" if hdu.index == 0 else str(_unpacked_type(hdu)),
            "name": part.name,
            "cards": part.cards,
            "data": part.data,
        }
        for hdu, part in zip(hdus, parts, strict=True)
    ]
    return f"fits1:{hashlib.sha256(_canonical(document)).hexdigest()}"


class _Sum:
    """The 32-bit ones' complement sum of the FITS checksum convention."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, data: bytes) -> None:
        import numpy as np

        self.value += int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
        while self.value > _ALL_ONES:
            self.value = (self.value & _ALL_ONES) + (self.value >> 32)


def _checksum_faults(hdu: Hdu, header: bytes, data: _Sum) -> list[str]:
    keys = hdu.header
    where = f"HDU {hdu.index} {hdu.name}".rstrip()
    faults = []
    if "DATASUM" in keys:
        stated = str(keys["DATASUM"]).strip()
        if not (stated.isascii() and stated.isdigit()) or int(stated) % _ALL_ONES != data.value % _ALL_ONES:
            faults.append(f"DATASUM of {where} does not agree with its data")
    if "CHECKSUM" in keys:
        data.add(header)
        if data.value % _ALL_ONES:
            faults.append(f"CHECKSUM of {where} does not agree with its bytes")
    return faults


def is_packed(hdu: Hdu) -> bool:
    """Tell whether an HDU is an image compressed by tiles."""
    return "ZIMAGE" in hdu.header and any(c.keyword == "ZIMAGE" and c.token == "T" for c in hdu.cards)


def _unpacked_type(hdu: Hdu) -> Value:
    return "IMAGE" if is_packed(hdu) else hdu.header.get("XTENSION")


def _digest_packed(path: Path, hdus: tuple[Hdu, ...]) -> FileDigest:
    """Digest a packed file as if it were unpacked."""
    whole = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            whole.update(chunk)
    parts: list[HduDigest] = []
    has_sums = _had_sums(hdus)
    with open_stream(path) as stream:
        for hdu in hdus:
            if is_packed(hdu):
                parts.append(_digest_tiled(path, hdu))
                continue
            data = hashlib.sha256()
            stream.seek(hdu.data_offset)
            for chunk in _chunks(stream, hdu.data_size):
                data.update(chunk)
            cards = tuple(card for card in hdu.cards if has_sums or card.keyword != "DATASUM")
            parts.append(HduDigest(hdu.name, _digest_cards(cards), f"sha256:{data.hexdigest()}"))
    return FileDigest(
        f"sha256:{whole.hexdigest()}",
        _digest_parts(hdus, parts),
        path.stat().st_size,
        tuple(parts),
        (),
    )


def _had_sums(hdus: tuple[Hdu, ...]) -> bool:
    """Tell whether a file had sums before its images were packed by tiles.

    `fpack` keeps the sums of an image it packs as ZDATASUM, and writes a DATASUM into every HDU, those it
    leaves alone too: if no packed image had one, none of the others did.
    """
    tiled = [hdu for hdu in hdus if is_packed(hdu)]
    return not tiled or any("ZDATASUM" in hdu.header for hdu in tiled)


def _digest_tiled(path: Path, hdu: Hdu) -> HduDigest:
    """Digest a tile-compressed image by the cards and bytes it had before packing."""
    from astropy.io import fits

    try:
        with fits.open(path, do_not_scale_image_data=True, memmap=False) as opened:
            array = opened[hdu.index].data
    except Exception as error:  # the decoder complains of damaged tiles by a private kind of its own
        raise FitsError(f"{path} cannot be unpacked in HDU {hdu.index}: {reason(error)}") from error
    data = array.astype(array.dtype.newbyteorder(">"), copy=False).tobytes()
    data += b"\0" * (-len(data) % BLOCK)
    cards = tuple(unpacked_cards(hdu.cards))
    return HduDigest(hdu.name, _digest_cards(cards), f"sha256:{hashlib.sha256(data).hexdigest()}")


def unpacked_cards(cards: tuple[Card, ...]) -> Iterator[Card]:
    """Undo what tile compression does to a header (FITS Standard 4.0, section 10.1)."""
    packed = {card.keyword: card.token for card in cards}
    yield Card("XTENSION", "'IMAGE'")
    yield Card("BITPIX", packed["ZBITPIX"])
    yield Card("NAXIS", packed["ZNAXIS"])
    for n in range(1, int(packed["ZNAXIS"]) + 1):
        yield Card(f"NAXIS{n}", packed[f"ZNAXIS{n}"])
    yield Card("PCOUNT", packed.get("ZPCOUNT", "0"))
    yield Card("GCOUNT", packed.get("ZGCOUNT", "1"))
    if "ZDATASUM" in packed:
        yield Card("DATASUM", packed["ZDATASUM"])
    for card in cards:
        if not _is_of_packing(card.keyword):
            yield card


def _is_of_packing(keyword: str) -> bool:
    if is_unordered(keyword):
        return keyword not in ("BSCALE", "BZERO")
    if keyword in ("THEAP", "ZDATASUM", "ZHECKSUM"):
        return True
    stem = keyword.rstrip("0123456789")
    return stem in ("TTYPE", "TFORM") or (
        stem[:1] == "Z"
        and stem[1:]
        in (
            *("IMAGE", "TENSION", "SIMPLE", "EXTEND", "BLOCKED", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT"),
            *("CMPTYPE", "TILE", "NAME", "VAL", "MASKCMP", "QUANTIZ", "DITHER", "BLANK", "SCALE", "ZERO"),
        )
    )
