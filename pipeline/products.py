"""What a product is: its tag, digests, QC parameters and history, read from its file."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline import keywords as kw
from pipeline.fitsdigest import FileDigest, digest_file
from pipeline.fitsfile import Hdu, Header, Value, read_hdus
from pipeline.structure import PRODUCTS, header_fault, number_fault

_HISTORY = "ESO PRO REC"
_RECORD = re.compile(r"ESO PRO REC(\d+) (ID|(?:RAW|CAL)\d+ (?:NAME|CATG))")
_VERSIONS = {"PIPE ID": "recipe", "DRS ID": "cpl"}
_KEYWORDS = 1 << 13
"""Keywords of histories that are not read again: those of all products of a night, and more."""


@dataclass(frozen=True, slots=True)
class UsedFrame:
    """A frame that a product's header says it was made from."""

    name: str
    tag: str
    is_raw: bool
    """Whether it was an input to reduce, and not a calibration."""


@dataclass(frozen=True, slots=True)
class Product:
    """A file a recipe made, with all that acceptance and the record need of it."""

    tag: str
    path: Path
    digests: FileDigest
    hdus: tuple[Hdu, ...]
    fault: str = ""
    """What it lacks of what its tag promises, to be read behind its name; empty for nothing."""

    @property
    def name(self) -> str:
        """What the recipe called it."""
        return self.path.name

    @property
    def header(self) -> Header:
        """The primary header."""
        return self.hdus[0].header

    @property
    def qc(self) -> tuple[tuple[str, str], ...]:
        """QC parameters of all headers: keyword and value as written."""
        cards = (card for hdu in self.hdus for card in hdu.cards if card.keyword[:7] == "ESO QC ")
        found: dict[str, str] = {}
        for card in cards:
            found.setdefault(card.keyword, card.token.strip("'"))
        return tuple(found.items())


def read_product(path: Path, tag: str) -> Product:
    """Read a product in one pass, checking its checksums and whether it is what its tag says.

    Raises
    ------
    FitsError
        It is not a whole FITS file.
    """
    hdus = read_hdus(path)
    digests = digest_file(path, verify=True, hdus=hdus)
    return Product(tag, path, digests, hdus, _fault(tag, path, hdus))


def _fault(tag: str, path: Path, hdus: tuple[Hdu, ...]) -> str:
    named = hdus[0].header.get(kw.PRO_CATG)
    if named != tag:
        return f"was declared as {tag}, and its header says {named or 'nothing'}"
    structure = PRODUCTS.get(tag)
    if structure is None:
        return ""
    fault = header_fault(structure, hdus) or number_fault(structure, path, hdus)
    return f"is a {tag} {fault}" if fault else ""


def used_frames(header: Header, recipe: str) -> tuple[UsedFrame, ...]:
    """List the frames a product's header names for the last call of a recipe.

    Parameters
    ----------
    header : Header
        Primary header of the product.
    recipe : str
        The recipe whose record is wanted; a chain of recipes leaves `PRO REC1`, `REC2`, ...

    Returns
    -------
    tuple of UsedFrame
        Empty if the recipe left no record.
    """
    records: dict[int, dict[str, str]] = {}
    for keyword, value in _history(header):
        if (place := _place(keyword)) is not None:
            records.setdefault(place[0], {})[place[1]] = str(value)
    ours = [number for number, record in records.items() if record.get("ID") == recipe]
    if not ours:
        return ()
    record = records[max(ours)]
    return tuple(
        UsedFrame(record[key], record.get(key.replace("NAME", "CATG"), ""), key.startswith("RAW"))
        for key in sorted(record)
        if key.endswith("NAME")
    )


def _history(header: Header) -> list[tuple[str, Value]]:
    """List what a header says of how it was made: hundreds of cards, of which a call has to be quick."""
    length = len(_HISTORY)
    return [item for item in header.items() if item[0][:length] == _HISTORY]


@functools.lru_cache(_KEYWORDS)
def _place(keyword: str) -> tuple[int, str] | None:
    """Give the number of the record a keyword stands in, and its name there; None if it says no frame."""
    match = _RECORD.fullmatch(keyword)
    return None if match is None else (int(match[1]), match[2])


def versions(header: Header) -> tuple[tuple[str, str], ...]:
    """Name the versions of the recipe and of its library, as a product's header has them.

    Returns
    -------
    tuple of (str, str)
        `recipe`, such as muse/2.8.7, and `cpl`, such as cpl-7.2.3; what the header lacks is left out.
    """
    found = {
        name: str(value)
        for keyword, value in _history(header)
        if keyword.endswith(" ID") and (name := _VERSIONS.get(keyword.split(" ", 3)[-1]))
    }
    return tuple(sorted(found.items()))


def filter_of(product: Product) -> str:
    """Give the filter of an image; numbers of images count only the filters that worked."""
    return str(product.header.get(kw.FILTER_NAME) or "")
