"""Is a bundle what it says it is? Reads all of its papers and believes none; writes nothing.

What is proven here: the file is one zip file as bundles are, its members are those its manifest lists, every
paper is canonical and of the name that its content gives it, records agree with their actions, nothing was
made from itself, no object is there that nothing names, and none is missing that should be. The bytes of
objects are proven while they are copied, by `importing`.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TypeVar

from provenance.bundle_checks import (
    BundledRun,
    check_action,
    check_description,
    check_objects,
    check_record,
    check_runs,
)
from provenance.bundle_layout import (
    BAG_INFO,
    BAGIT,
    CRATE,
    DESCRIPTION,
    MANIFEST,
    SETTINGS,
    TAG_MANIFEST,
    TYPE,
    VERSION,
    Description,
    Part,
    place_of,
)
from provenance.digest import digest_bytes
from provenance.documents import Document, from_document
from provenance.errors import BundleRefused, ProvenanceError, StoreVersion
from provenance.model import Action, Run, opened_statement
from provenance.strictjson import read_canonical
from provenance.zipped import TORN, Zipped, shown

PAPER_BYTES_MOST = 8 << 20
"""Of an action, a record or a statement; the largest records have a tenth of that."""
LIST_BYTES_MOST = 64 << 20
"""Of the manifest, the description and what is kept unread."""

_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S+)")
_KINDS_REFUSED = ("invocation",)
"""Statements that no bundle has: what commands were called elsewhere is nothing to this store."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose papers are in order."""

    id: str
    """Digest of its manifest."""
    description: Description
    runs: tuple[BundledRun, ...]
    """By run id."""
    actions: tuple[str, ...]
    """Keys."""
    statements: tuple[str, ...]
    """Digests."""
    objects: tuple[str, ...]
    """Digests."""
    manifest: dict[str, str]
    """By name of a member: the 64 digits of its digest."""


def examine(zipped: Zipped) -> Bundle:
    """Read the papers of a bundle and prove that they are in order.

    Raises
    ------
    BundleRefused
        They are not; says which, and why.
    """
    return _Intake(zipped).bundle()


class _Intake:
    """A bundle while it is looked at."""

    def __init__(self, zipped: Zipped) -> None:
        self._zipped = zipped
        self._manifest: dict[str, str] = {}

    def bundle(self) -> Bundle:
        """Look at everything, the cheapest first."""
        parts = self._sorted_members()
        bundle_id = self._read_tags()
        description = self._describe()
        runs = tuple(self._runs(parts[Part.ACTION], parts[Part.RECORD]))
        said = b"".join(self._statement(name) for name in parts[Part.STATEMENT])
        bundle = Bundle(
            id=bundle_id,
            description=description,
            runs=tuple(sorted(runs, key=lambda run: run.run)),
            actions=tuple(_stem(name) for name in parts[Part.ACTION]),
            statements=tuple(f"sha256:{_stem(name)}" for name in parts[Part.STATEMENT]),
            objects=tuple(f"sha256:{_stem(name)}" for name in parts[Part.OBJECT]),
            manifest=self._manifest,
        )
        for name in parts[Part.OBJECT]:
            if self._manifest[name] != _stem(name):
                raise BundleRefused(f"{name} is listed with another digest than its name")
        sizes = {f"sha256:{_stem(name)}": self._zipped.members[name].size for name in parts[Part.OBJECT]}
        check_runs(bundle.runs, sizes)
        check_description(bundle.description, bundle.runs, sizes)
        check_objects(bundle.description, bundle.runs, sizes, said)
        return bundle

    def _sorted_members(self) -> dict[Part, list[str]]:
        """Put the members into their parts by name; a name that is none of a bundle is refused."""
        parts: dict[Part, list[str]] = {part: [] for part in Part}
        known = {BAGIT, BAG_INFO, MANIFEST, TAG_MANIFEST, DESCRIPTION, CRATE, *SETTINGS}
        for name, member in sorted(self._zipped.members.items()):
            place = place_of(name)
            if place is not None:
                parts[place.part].append(name)
                is_paper = place.part is not Part.OBJECT
                if is_paper and member.size > PAPER_BYTES_MOST:
                    raise BundleRefused(
                        f"{name} has {member.size} bytes, where {PAPER_BYTES_MOST} are allowed"
                    )
            elif name not in known:
                raise BundleRefused(f"member {shown(name)} is none that a bundle has")
        return parts

    # The bag.

    def _read_tags(self) -> str:
        """Compare the lists of the bag with what is there, and return the bundle's id."""
        if not self._zipped.read(BAGIT, 1024).startswith(b"BagIt-Version: 1.0\n"):
            raise BundleRefused(f"{BAGIT} is not that of BagIt 1.0")
        manifest = self._zipped.read(MANIFEST, LIST_BYTES_MOST)
        self._manifest = _listed(manifest, MANIFEST)
        payload = {name for name in self._zipped.members if name.startswith("data/")}
        _compare(self._manifest.keys(), payload, MANIFEST)
        tags = _listed(self._zipped.read(TAG_MANIFEST, LIST_BYTES_MOST), TAG_MANIFEST)
        _compare(tags.keys(), self._zipped.members.keys() - payload - {TAG_MANIFEST}, TAG_MANIFEST)
        for name, expected in tags.items():
            self._prove(name, self._zipped.read(name, LIST_BYTES_MOST), expected)
        self._prove_unread(payload)
        return digest_bytes(manifest)

    def _prove_unread(self, payload: set[str]) -> None:
        """Prove what is kept as it is, or not at all: settings, lock and crate."""
        for name in sorted(payload & {CRATE, *SETTINGS}):
            self._prove(name, self._zipped.read(name, LIST_BYTES_MOST), self._manifest[name])

    def _prove(self, name: str, data: bytes, expected: str) -> None:
        if hashlib.sha256(data).hexdigest() != expected:
            raise BundleRefused(f"{name} is not what the manifest says: it was changed")

    def _paper(self, name: str, most: int = PAPER_BYTES_MOST) -> tuple[bytes, Document]:
        data = self._zipped.read(name, most)
        self._prove(name, data, self._manifest[name])
        return data, read_canonical(data, name)

    # The papers.

    def _describe(self) -> Description:
        if DESCRIPTION not in self._manifest:
            raise BundleRefused(f"it has no {DESCRIPTION}, so it is no bundle of clio")
        _, document = self._paper(DESCRIPTION, LIST_BYTES_MOST)
        version = document.get("version")
        if document.get("type") != TYPE or type(version) is not int:
            raise BundleRefused(f"{DESCRIPTION} describes no bundle of clio")
        if version > VERSION:
            by = document.get("created_by")
            raise BundleRefused(
                f"it is a bundle of version {version}, and this program knows {VERSION}",
                f"use the clio that wrote it, or a newer one: {by if isinstance(by, str) else 'not said'}",
            )
        if document.get("digest_algorithm") != "sha256":
            raise BundleRefused("its digests are not those of SHA-256")
        return _told(DESCRIPTION, lambda: from_document(Description, document, "description"))

    def _runs(self, actions: list[str], records: list[str]) -> Iterator[BundledRun]:
        """Read each action and its records, one action after the other."""
        of_action: dict[str, list[str]] = {_stem(name): [] for name in actions}
        for name in records:
            key = name.split("/")[3]
            if key not in of_action:
                raise BundleRefused(f"the action of {name} is missing")
            of_action[key].append(name)
        for name in actions:
            action = self._action(name)
            yield from (self._run(record, action) for record in of_action[action.key])

    def _action(self, name: str) -> Action:
        data, document = self._paper(name)
        action = _told(name, lambda: Action.from_document(document))
        if digest_bytes(data) != f"sha256:{_stem(name)}" or action.key != _stem(name):
            raise BundleRefused(f"{name} is not the action of that key")
        check_action(action)
        return action

    def _run(self, name: str, action: Action) -> BundledRun:
        _, document = self._paper(name)
        run = _told(name, lambda: Run.from_document(document))
        if (run.action, run.run) != (action.key, _stem(name)):
            raise BundleRefused(f"{name} is the record of run {shown(run.run)} of another action")
        check_record(run, action)
        return BundledRun(
            run=run.run,
            action=run.action,
            stage=run.stage,
            unit=run.unit,
            recipe=action.recipe,
            image=action.image,
            argv=run.argv,
            is_success=run.is_success,
            reads=tuple((item.digest, item.size) for item in run.inputs),
            makes=tuple((item.tag, item.name, item.digest, item.size) for item in run.outputs),
            keeps=run.artifacts,
        )

    def _statement(self, name: str) -> bytes:
        data, document = self._paper(name)
        if digest_bytes(data) != f"sha256:{_stem(name)}":
            raise BundleRefused(f"{name} is not the statement of that digest")
        said = _told(name, lambda: opened_statement(document, f"sha256:{_stem(name)}"))
        if said.kind in _KINDS_REFUSED:
            raise BundleRefused(f"{name} says what commands were called elsewhere, which no bundle does")
        return data


def _told(what: str, read: Callable[[], T]) -> T:
    """Read a paper, and say which one it is that cannot be read."""
    try:
        return read()
    except StoreVersion as error:
        raise BundleRefused(f"{what}: {error.message}", "use a newer clio to import it") from error
    except ProvenanceError as error:
        raise BundleRefused(f"{what}: {error.message}") from error


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")


def _listed(data: bytes, what: str) -> dict[str, str]:
    """Read a list of digests, as `sha256sum` writes it."""
    found: dict[str, str] = {}
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise BundleRefused(f"{what} is not of plain letters") from error
    if lines.pop() != "":
        raise BundleRefused(f"{what} was cut off")
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise BundleRefused(f"{what} has a line that lists nothing: {shown(line)}")
        if match[2] in found:
            raise BundleRefused(f"{what} lists {shown(match[2])} twice")
        found[match[2]] = match[1]
    return found


def _compare(listed: Collection[str], there: Collection[str], what: str) -> None:
    if missing := sorted(set(listed) - set(there)):
        raise BundleRefused(f"{shown(missing[0])} is missing, which {what} lists", TORN)
    if more := sorted(set(there) - set(listed)):
        raise BundleRefused(f"{shown(more[0])} is there, and {what} does not list it")
