"""Takes a bundle into a store: all of it, or nothing.

Everything is proven before anything is visible: first the papers, then the bytes of every object, while they
are copied aside. Then names are given, in an order in which nothing is ever believed that should not be: the
objects, the actions, the statement that says what is imported and its name, what others stated, and last the
records.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provenance.bundle_checks import BundledRun
from provenance.bundle_layout import DESCRIPTION, SETTINGS, Part, member_of
from provenance.errors import BundleRefused, UnknownReference, short
from provenance.files import READ_ONLY, scratch_name, write_all, writing_to
from provenance.imports import IMPORTED, Imported
from provenance.intake import LIST_BYTES_MOST, Bundle, examine
from provenance.memo import MemoEntry
from provenance.model import ExtraFile
from provenance.store import Store
from provenance.taking import take_in
from provenance.zipped import Member, Zipped

SPARE_BYTES = 64 << 20
"""Left free on the disk of the store, beside what a bundle needs."""


@dataclass(frozen=True, slots=True)
class Import:
    """What came of an import."""

    bundle: Bundle
    runs: tuple[BundledRun, ...]
    """Those that were not here before."""
    statements: tuple[str, ...]
    """Digests of those that were not here before."""
    objects: tuple[str, ...]
    """Digests of those that were not here before."""
    bytes: int
    """Of these."""
    statement: str
    """Digest of the statement that says so; empty if everything was here."""


def import_bundle(store: Store, path: Path) -> Import:
    """Take in a bundle. What it says is shown from then on, and nothing of it is believed or run.

    Parameters
    ----------
    store : Store
        Takes it.
    path : Path
        The file.

    Raises
    ------
    BundleRefused
        It is no whole and honest bundle, contradicts what is here, or needs more room than there is. Nothing
        of it was stored.
    StoreFull, StoreUnwritable
        The store cannot take it.
    OSError
        The file cannot be read.
    """
    with Zipped(path) as zipped:
        bundle = examine(zipped)
        return _Importing(store, zipped, bundle)()


def look_into(path: Path) -> Bundle:
    """Prove that the papers of a bundle are in order, and store nothing.

    Raises
    ------
    BundleRefused, OSError
        As `import_bundle`; the bytes of its objects are not read.
    """
    with Zipped(path) as zipped:
        return examine(zipped)


class _Importing:
    """A bundle while it is taken in."""

    def __init__(self, store: Store, zipped: Zipped, bundle: Bundle) -> None:
        self._store = store
        self._zipped = zipped
        self._bundle = bundle

    def __call__(self) -> Import:
        store, bundle = self._store, self._bundle
        runs = tuple(run for run in bundle.runs if not self._has_record(run))
        statements = tuple(name for name in bundle.statements if not store.records.holds_statement(name))
        wanted = {digest: self._zipped.members[member_of(Part.OBJECT, digest)] for digest in bundle.objects}
        kept = [name for name in (DESCRIPTION, *SETTINGS) if name in self._zipped.members]
        files = {self._digest(name): name for name in kept if runs or statements}
        wanted |= {digest: self._zipped.members[name] for digest, name in files.items()}
        new = tuple(digest for digest, member in wanted.items() if not self._is_sound(digest, member))
        store.sweep()  # what an import that was killed left, which may be much
        self._ask_for_room(sum(wanted[digest].size for digest in new))
        with _aside(store) as incoming:
            for digest, member in wanted.items():
                incoming.take(digest, self._zipped, member, keep=digest in new)
            incoming.publish()
        at_ns = time.time_ns()
        store.files.memoize_all(
            MemoEntry(os.lstat(store.objects.path(digest)), digest, at_ns) for digest in new
        )
        for key in bundle.actions:
            store.records.copy_action(key, self._paper(member_of(Part.ACTION, key)))
        statement = self._state(runs, statements, files) if runs or statements else ""
        for digest in statements:
            store.records.copy_statement(digest, self._paper(member_of(Part.STATEMENT, digest)))
        for run in runs:
            store.records.copy_record(
                run.action, run.run, self._paper(member_of(Part.RECORD, run.action, run.run))
            )
        take_in(store.index, store.records)
        store.forget_statements()
        size = sum(wanted[digest].size for digest in new)
        return Import(bundle, runs, statements, new, size, statement)

    def _has_record(self, run: BundledRun) -> bool:
        """Tell whether a run is here already.

        Raises
        ------
        BundleRefused
            It is, and its record says something else.
        """
        here = self._store.records.holds_record(
            run.action, run.run, self._digest(member_of(Part.RECORD, run.action, run.run))
        )
        try:
            other = self._store.run(run.run).action
        except UnknownReference:
            return here
        if other != run.action:
            raise BundleRefused(f"run {run.run} is here already, and is of another action")
        return here

    def _digest(self, name: str) -> str:
        return f"sha256:{self._bundle.manifest[name]}"

    def _is_sound(self, digest: str, member: Member) -> bool:
        objects = self._store.objects
        return objects.has(digest, member.size) and objects.damage(digest) is None

    def _ask_for_room(self, needed: int) -> None:
        papers = sum(m.size for m in self._zipped.members.values()) - sum(
            self._zipped.members[member_of(Part.OBJECT, digest)].size for digest in self._bundle.objects
        )
        free = shutil.disk_usage(self._store.path).free
        if needed + 2 * papers + SPARE_BYTES > free:
            raise BundleRefused(
                f"it needs {needed + papers} bytes, and {free} are free where the store lies",
                "free space there, or import it into another store",
            )

    def _paper(self, name: str) -> bytes:
        """Read a paper once more; it is proven again, since the file may have been written to meanwhile."""
        data = self._zipped.read(name, LIST_BYTES_MOST)
        if hashlib.sha256(data).hexdigest() != self._bundle.manifest[name]:
            raise BundleRefused(f"{name} was changed while it was read", "import it again")
        return data

    def _state(self, runs: tuple[BundledRun, ...], statements: tuple[str, ...], files: dict[str, str]) -> str:
        """Say what is imported before any of it appears."""
        said = Imported(
            bundle=self._bundle.id,
            at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            runs=tuple(run.run for run in runs),
            statements=statements,
            files=tuple(
                ExtraFile(name.rpartition("/")[2], digest, self._zipped.members[name].size)
                for digest, name in files.items()
            ),
            created_by=self._bundle.description.created_by,
        )
        statement = self._store.statement(IMPORTED, said.document())
        self._store.records.put_import(statement.digest)
        return statement.digest


@dataclass(slots=True)
class _Incoming:
    """Objects that were copied aside, and are no objects yet."""

    store: Store
    paths: dict[str, Path]

    def take(self, digest: str, zipped: Zipped, member: Member, *, keep: bool) -> None:
        """Copy an object aside while its bytes are hashed; without `keep`, only hash it.

        Raises
        ------
        BundleRefused
            They are others than its name says.
        """
        hasher = hashlib.sha256()
        if not keep:
            for piece in zipped.pieces(member):
                hasher.update(piece)
        else:
            path = scratch_name(self.store.path / "tmp")
            with writing_to(path):
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                self.paths[digest] = path
                try:
                    for piece in zipped.pieces(member):
                        hasher.update(piece)
                        write_all(descriptor, piece)
                    os.fchmod(descriptor, READ_ONLY)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        if f"sha256:{hasher.hexdigest()}" != digest:
            raise BundleRefused(f"{member.name} holds {hasher.hexdigest()[:12]}, not {short(digest)}")

    def publish(self) -> None:
        """Give them their names."""
        for digest, path in self.paths.items():
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self.store.objects.publish(descriptor, digest)
            finally:
                os.close(descriptor)


@contextmanager
def _aside(store: Store) -> Iterator[_Incoming]:
    incoming = _Incoming(store, {})
    try:
        yield incoming
    finally:
        for path in incoming.paths.values():
            with suppress(OSError):  # if it cannot go now, a sweep takes it
                path.unlink()
