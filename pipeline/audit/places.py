"""Where the inputs that a header names may be: in folders, by ARCFILE, name and DATAMD5, and in the store.

A file that is found so is a candidate: that the product was made from these very bytes, only a record of the
store can prove.
"""

import contextlib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipeline import keywords as kw
from pipeline.audit.cards import FullCard, read_headers
from pipeline.audit.claims import FileClaims, InputClaim, read_claims, unpacked_name
from pipeline.audit.facts import EMPTY_MD5
from pipeline.errors import FitsError
from pipeline.fitsdigest import digest_file
from pipeline.scan import SUFFIXES, list_files
from provenance.errors import FileChanged
from provenance.memo import Memo
from provenance.model import Run
from provenance.queries import KnownFile
from provenance.store import Store

_ENDINGS = tuple(suffix.lower() for suffix in SUFFIXES)
_DIGITS = re.compile(r"_([0-9a-f]{12})\.fits$")
_BY_DIGITS = "digits of its name"
_MOST_LOOKED_AT = 500
"""Products of a tag whose headers are read for a DATAMD5, the newest."""


def _read(path: Path) -> Memo:
    found = digest_file(path)
    return Memo(found.digest, found.data_digest, None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be an input that a header names."""

    path: Path | None
    """Where it lies; None for one that only records know."""
    by: tuple[str, ...]
    """By what it was found: `ARCFILE`, `name`, `DATAMD5`, `digits of its name`."""
    against: str = ""
    """What speaks against it; empty for nothing."""
    digest: str | None = None
    data_digest: str | None = None
    run: str | None = None
    """The run of the store that made or read it."""
    is_product: bool = False
    """Whether a recipe made it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A FITS file in a folder, as its first header shows it."""

    path: Path
    arcfile: str
    tag: str
    """ESO PRO CATG; empty for a raw frame."""
    datamd5: str
    mode: str
    date: str
    cards: tuple[FullCard, ...] = field(repr=False, compare=False, default=())

    @property
    def claims(self) -> FileClaims:
        """What its primary header says of how it was made."""
        return read_claims((self.cards,))


class Places:
    """Folders and a store, looked through once they are asked.

    Parameters
    ----------
    folders : tuple of Path
        Searched with all that lies below them; one may be a file.
    beside : tuple of Path
        Folders that are searched without those below them.
    store : Store, optional
        Asked for what its runs read and made.
    """

    def __init__(
        self, folders: tuple[Path, ...], beside: tuple[Path, ...] = (), store: Store | None = None
    ) -> None:
        self.folders = folders
        self.store = store
        self._beside = beside
        self._computed: dict[Path, tuple[str | None, str | None]] = {}

    @cached_property
    def files(self) -> tuple[Seen, ...]:
        """All FITS files in the folders, each once, in a sorted order."""
        paths = [path for path in list_files(self.folders, []) if path.is_file()]
        for folder in self._beside:
            with contextlib.suppress(OSError):  # a folder whose files can be read and not be listed
                paths += sorted(path for path in folder.iterdir() if path.is_file())
        chosen = {path.resolve(): path for path in reversed(paths) if path.name.lower().endswith(_ENDINGS)}
        return tuple(seen for path in reversed(chosen.values()) if (seen := _see(path)))

    def find(self, claim: InputClaim, *, but: frozenset[Path] = frozenset()) -> tuple[Candidate, ...]:
        """Look for an input, the likeliest first; none that is among `but`, such as the product itself."""
        found = [
            self._known(item, claim) for item in self._in_folders(claim) if item.path.resolve() not in but
        ]
        paths = {candidate.digest for candidate in found if candidate.digest}
        found += [item for item in self._in_store(claim) if item.digest not in paths]
        return tuple(sorted(found, key=lambda item: (bool(item.against), -len(item.by))))

    def seen(self, path: Path) -> Seen | None:
        """Give what the first header of a file of the folders shows."""
        return next((item for item in self.files if item.path == path), None) or _see(path)

    def run(self, run_id: str) -> Run | None:
        """Give a run of the store."""
        return None if self.store is None else self.store.run(run_id)

    # In folders

    @cached_property
    def _index(self) -> dict[tuple[str, str], list[Seen]]:
        found: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        for item in self.files:
            found["name", unpacked_name(item.path.name)].append(item)
            if item.arcfile and not item.tag:
                found[kw.ARCFILE, unpacked_name(item.arcfile)].append(item)
            if item.datamd5 and item.datamd5 != EMPTY_MD5:
                found[kw.DATAMD5, item.datamd5].append(item)
        return found

    def _in_folders(self, claim: InputClaim) -> "tuple[_Found, ...]":
        """Find files by each of the ways there are; one found by several counts once."""
        asked = [("name", claim.archive_name), (kw.ARCFILE, claim.archive_name)]
        if claim.datamd5 and claim.datamd5 != EMPTY_MD5:
            asked.append((kw.DATAMD5, claim.datamd5))
        by: dict[Path, list[str]] = defaultdict(list)
        items = {}
        for item in self._of_digits(claim):
            by[item.path].append(_BY_DIGITS)
            items[item.path] = item
        for key in asked:
            for item in self._index.get(key, ()) if key[1] else ():
                by[item.path].append(key[0])
                items[item.path] = item
        return tuple(
            _Found(path, tuple(ways), _against(claim, items[path]), bool(items[path].claims.recipes))
            for path, ways in by.items()
            if kw.DATAMD5 in ways or items[path].tag in ("", claim.tag) or items[path].claims.recipes
        )

    def _of_digits(self, claim: InputClaim) -> list[Seen]:
        """Find files whose data digest begins with the digits in a name: so Clio names what recipes read."""
        digits = _DIGITS.search(claim.archive_name)
        if digits is None:
            return []
        alike = [item for item in self.files if item.tag == claim.tag]
        return [item for item in alike if self._data_digest(item.path).startswith(f"fits1:{digits[1]}")]

    def _data_digest(self, path: Path) -> str:
        if path not in self._computed:
            self._computed[path] = self._digests(path)
        return self._computed[path][1] or ""

    def _known(self, item: "_Found", claim: InputClaim) -> Candidate:
        """Ask the store whether it knows a file that was found."""
        if self.store is None:
            return Candidate(item.path, item.by, item.against, is_product=item.is_product)
        digest, data = self._digests(item.path)
        runs = self.store.files_of_data(data) if data else ()
        run = runs[0].run if runs else None
        return Candidate(item.path, item.by, item.against, digest, data, run, item.is_product)

    def _digests(self, path: Path) -> tuple[str | None, str | None]:
        try:
            known = self.store.files.memo(path.stat()) if self.store is not None else None
            if known is None or known.data_digest is None:
                known = self.store.files.read(path, _read) if self.store is not None else _read(path)
        except (OSError, FitsError, FileChanged):
            return None, None
        return known.digest, known.data_digest

    # In the store

    def _in_store(self, claim: InputClaim) -> list[Candidate]:
        if self.store is None or not claim.name:
            return []
        found = [
            self._stored(self._standing(item), ("name",), claim)
            for item in self.store.files_named(claim.archive_name)
            if item.tag == claim.tag
        ]
        digits = _DIGITS.search(claim.archive_name)
        if digits and not found:
            found += [
                self._stored(item, (_BY_DIGITS,), claim)
                for item in self.store.products_of(claim.tag, _MOST_LOOKED_AT)
                if (item.data_digest or "").startswith(f"fits1:{digits[1]}")
            ]
        if claim.datamd5 and claim.datamd5 != EMPTY_MD5 and not any(not c.against for c in found):
            products = self.store.products_of(claim.tag, _MOST_LOOKED_AT)
            found += [
                self._stored(item, (kw.DATAMD5,), claim)
                for item in products
                if (seen := _see(self.store.objects.path(item.digest))) and seen.datamd5 == claim.datamd5
            ]
        unique = {candidate.digest: candidate for candidate in reversed(found)}
        return list(reversed(unique.values()))

    def _standing(self, item: KnownFile) -> KnownFile:
        """Give the product that is there now for one that a recipe read: the very bytes, else the same data.

        The place where its reader saw it may be gone: the store was moved, or the product was made again and
        nobody had to read its new bytes.
        """
        assert self.store is not None
        alike = self.store.files_of_data(item.data_digest) if item.data_digest else ()
        there = [made for made in alike if made.is_product and self.store.objects.has(made.digest)]
        return min(there, key=lambda made: made.digest != item.digest, default=item)

    def _stored(self, item: KnownFile, by: tuple[str, ...], claim: InputClaim) -> Candidate:
        assert self.store is not None
        path = self.store.objects.path(item.digest) if item.is_product else Path(item.seen_at or "")
        seen = _see(path) if path.is_file() else None
        against = _against(claim, seen) if seen is not None else ""
        there = path if seen is not None else None
        return Candidate(there, by, against, item.digest, item.data_digest, item.run, item.is_product)


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    by: tuple[str, ...]
    against: str
    is_product: bool


def _against(claim: InputClaim, seen: Seen) -> str:
    """Say what speaks against a file of the right name."""
    if claim.datamd5 and seen.datamd5 and claim.datamd5 != seen.datamd5:
        return f"its DATAMD5 is {seen.datamd5}, and {claim.place} names {claim.datamd5}: other data"
    if claim.datamd5 and not seen.datamd5 and claim.datamd5 != EMPTY_MD5:
        return f"it has no DATAMD5, and {claim.place} names {claim.datamd5}"
    if seen.tag and claim.tag and seen.tag != claim.tag:
        return f"it is a {seen.tag}"
    return ""


def _see(path: Path) -> Seen | None:
    """Read the first header of a file; None for one that cannot be read."""
    try:
        cards = read_headers(path, most=1).hdus[0]
    except (FitsError, OSError):
        return None
    values = {card.keyword: card.value for card in reversed(cards)}

    def text(keyword: str) -> str:
        value = values.get(keyword)
        return "" if value is None else str(value)

    return Seen(
        path,
        arcfile=text(kw.ARCFILE),
        tag=text(kw.PRO_CATG),
        datamd5=text(kw.DATAMD5),
        mode=text(kw.INS_MODE),
        date=text(kw.DATE),
        cards=cards,
    )
