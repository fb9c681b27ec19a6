"""What the bytes of a file prove: digests, checksums, and whether DATAMD5 is what esorex would write."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline import keywords as kw
from pipeline.audit.facts import COVERED, EMPTY_MD5, UNFINISHED
from pipeline.errors import FitsError
from pipeline.fitsdigest import FileDigest, digest_file, is_packed
from pipeline.fitsfile import Hdu, open_stream, read_hdus
from pipeline.packing import packing_of


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was computed of a file."""

    digests: FileDigest | None
    """None for a file that is not whole."""
    has_data: bool
    """Whether any HDU holds data; headers alone are kept for the record, by some."""
    sums: int = 0
    """HDUs whose DATASUM or CHECKSUM was checked."""
    md5: str = ""
    """How DATAMD5 of the header fits; one of the words below, empty if there is none."""
    is_packed: bool = False
    """Whether its sums were not checked, as they are of the bytes before packing."""


FITS_AS_ESOREX = "as esorex computes it"
FITS_WHOLE = "over all data"
FITS_NOT = "does not fit"
FITS_EMPTY = "of no data"
FITS_UNKNOWN = "not to be checked"
"""Words for `Evidence.md5`."""


def look_at(path: Path) -> Evidence:
    """Compute what there is to compute of a file, reading it twice.

    Raises
    ------
    FitsError
        It is not a whole FITS file.
    """
    hdus = read_hdus(path)
    has_data = any(hdu.data_size for hdu in hdus)
    digests = digest_file(path, verify=True, hdus=hdus)
    # Sums are of the bytes before packing, and `digest_file` checks none of a packed file.
    is_packed_ = bool(packing_of(path)) or any(is_packed(hdu) for hdu in hdus)
    sums = sum(any(key in hdu.header for key in ("DATASUM", kw.CHECKSUM)) for hdu in hdus)
    claimed = str(hdus[0].header.get(kw.DATAMD5) or "")
    md5 = _judged(claimed, path, hdus, has_data) if claimed else ""
    return Evidence(digests, has_data, 0 if is_packed_ else sums, md5, is_packed_)


def datamd5(path: Path, hdus: tuple[Hdu, ...]) -> str:
    """Compute DATAMD5 as esorex 3.13.6 does: of each data unit its first bytes, again for each chunk.

    Notes
    -----
    Of every HDU only the first 46080 bytes and the length have a part in it: it finds candidates, and proves
    nothing about the rest.

    Raises
    ------
    FitsError
        The file cannot be opened.
    """
    total = hashlib.md5(usedforsecurity=False)
    with open_stream(path) as stream:
        for hdu in hdus:
            stream.seek(hdu.data_offset)
            first, left = stream.read(min(COVERED, hdu.data_size)), hdu.data_size
            while left > 0:
                total.update(first[:left])
                left -= COVERED
    return total.hexdigest()


def _judged(claimed: str, path: Path, hdus: tuple[Hdu, ...], has_data: bool) -> str:
    if claimed == UNFINISHED:
        return FITS_NOT
    if any(is_packed(hdu) for hdu in hdus):
        return FITS_UNKNOWN  # it is of the tiles before they were packed
    if not has_data:
        return FITS_EMPTY if claimed == EMPTY_MD5 else FITS_UNKNOWN
    if claimed == datamd5(path, hdus):
        return FITS_AS_ESOREX
    return FITS_WHOLE if claimed == _whole_md5(path, hdus) else FITS_NOT


def _whole_md5(path: Path, hdus: tuple[Hdu, ...]) -> str:
    total = hashlib.md5(usedforsecurity=False)
    with open_stream(path) as stream:
        for hdu in hdus:
            stream.seek(hdu.data_offset)
            for chunk in _chunks(stream.read, hdu.data_size):
                total.update(chunk)
    return total.hexdigest()


def _chunks(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := read(min(1 << 20, size))):
        size -= len(chunk)
        yield chunk


def quietly(path: Path) -> Evidence | None:
    """Look at a file that may be anything; None for one that is not whole."""
    try:
        return look_at(path)
    except (FitsError, OSError):
        return None
