"""Find all damage in a store and change nothing; and make its index again.

Damage is what breaks a promise: bytes that are gone or others than their name says, records nobody can
read, an index that tells of something else than the records. Leftovers of dead processes, scratch kept
on purpose, artifacts that later runs superseded and what was pruned are remarks: worth a line, not an exit
code.

One pass: every directory is listed once, every record read once, and of a record nothing is kept but what
it names, so that memory follows from the number of objects and not from the size of records.
"""

import os
import re
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from provenance.claims import claimed
from provenance.dropped import PRUNED, dropped_of
from provenance.errors import ProvenanceError, short
from provenance.files import READ_ONLY, listing
from provenance.memo import MemoEntry
from provenance.store import Store
from provenance.verified import Verified

THREADS = 2
"""Files read at once: hashing leaves the other thread alone, and more than two rarely read faster."""

_HEX = r"[0-9a-f]"
_RUN = rf"{_HEX}{{8}}-{_HEX}{{4}}-7{_HEX}{{3}}-{_HEX}{{4}}-{_HEX}{{12}}"
_TREES = {
    "objects": re.compile(rf"(?P<prefix>..)/(?P<name>(?P=prefix){_HEX}{{62}})"),
    "actions": re.compile(rf"(?P<prefix>..)/(?P<name>(?P=prefix){_HEX}{{62}})\.json"),
    "statements": re.compile(rf"(?P<prefix>..)/(?P<name>(?P=prefix){_HEX}{{62}})\.json"),
    "records": re.compile(rf"(?P<prefix>..)/(?P<name>(?P=prefix){_HEX}{{62}}/{_RUN})\.json"),
}
"""What the files of each directory are called; any other is not ours."""
_INDEXED = {
    "records": ("run", "run_id", "record_digest"),
    "actions": ("action", "action_key", "''"),
    "statements": ("statement", "digest", "''"),
}
"""Table, name and digest of each kind of file that is in the index."""
_NOTED_EVERY_S = 1.0
"""How often it is written down what was found sound: what was read since is read again after a kill."""


class DamageKind(StrEnum):
    """What is wrong."""

    MISSING = "missing"
    """A record names an object that is not there."""
    EDITED = "edited"
    """An object's bytes are others than its name says."""
    TRUNCATED = "truncated"
    MODE = "mode"
    """An object can be written to, or is no regular file."""
    RECORD = "record"
    """A record, action or statement is unreadable or contradicts its name."""
    ACTION = "action"
    """The action a record names is not there."""
    FOREIGN = "foreign"
    """A file that nothing of ours put there."""
    INDEX = "index"
    """The database is unsound, or out of step with the records."""

    @property
    def bit(self) -> int:
        """Its bit in the status of a check; they add up, and none ever means something else."""
        return _BITS[self]


_BITS = {kind: 1 << position for position, kind in enumerate(DamageKind)}


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong."""

    kind: DamageKind
    subject: str
    """Digest, run id, key or path: what it is about."""
    message: str
    """The same in a sentence, for people."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing worth a line that breaks no promise."""

    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check is with the objects it has to read."""

    files: int
    """Read so far."""
    of_files: int
    bytes: int
    """Read so far."""
    of_bytes: int


Listener = Callable[[Progress], None]
"""Told after every object that was read."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found."""

    damage: tuple[Damage, ...]
    """By kind and subject; empty when the store is sound."""
    remarks: tuple[Remark, ...]
    """By subject."""
    objects: int
    runs: int
    actions: int
    statements: int
    read_files: int
    """Objects that were read whole."""
    read_bytes: int
    carried_on: int
    """Objects not read again, since the deep check this one carries on had read them."""

    @property
    def status(self) -> int:
        """The kinds of damage, a bit each, added."""
        return sum({found.kind.bit for found in self.damage})


def examine(store: Store, *, deep: bool = False, listen: Listener = lambda progress: None) -> Findings:
    """Look at everything in a store, and change nothing of it.

    Parameters
    ----------
    store : Store
        The store. Its index remembers what was read and found sound.
    deep : bool
        Read every object whole, those first whose last reading is longest ago. Without, an object is read
        only where its file does not look as it did when it was last read.
    listen : callable
        Told how far the reading is.

    Notes
    -----
    A deep check that was interrupted is carried on by the next one within a week: what was found sound since
    it began, and looks the same, is not read again.
    """
    found = _Examination(store)
    found.look_at_index()
    found.read_files()
    found.look_at_objects(deep, listen)
    found.look_for_missing()
    found.look_at_leftovers()
    return found.findings()


def check(store: Store, deep: bool = False, listen: Listener = lambda progress: None) -> tuple[Damage, ...]:
    """Return all damage in a store, sorted by kind and subject; empty when it is sound. See `examine`."""
    return examine(store, deep=deep, listen=listen).damage


def remarks(store: Store) -> tuple[Remark, ...]:
    """Return what is worth a line though nothing is broken, sorted."""
    return examine(store).remarks


def reindex(store: Store) -> None:
    """Make the database anew from records, actions and statements alone; the memo is kept if readable.

    Raises
    ------
    StoreFull, StoreLocked
        It cannot be written; the old one still stands.
    """
    store.index.rebuild()


@dataclass(frozen=True, slots=True)
class _Maker:
    """A run that names an object which is not there."""

    run: str
    action: str
    ended: str


class _Examination:
    """A check while it goes on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._damage: list[Damage] = []
        self._remarks: list[Remark] = []
        self._counts = dict.fromkeys(_TREES, 0)
        self._indexed: dict[str, dict[str, str]] | None = None
        """Of each kind of file the names the index has, with digests of records; None if it is unsound."""
        self._unindexed: list[tuple[str, str, str, str]] = []
        """What the index did not have when it was looked at: kind, what it is called, name and digest."""
        self._there: set[str] = set()
        self._sizes: dict[str, tuple[int | None, str]] = {}
        """Of each object that is named the size, and the newest run that names it."""
        self._missing: dict[str, list[_Maker]] = {}
        self._complete: dict[str, str] = {}
        """Of each action the newest successful run whose objects are all there."""
        self._dropped_at: dict[str, str] = {}
        self._read = Progress(0, 0, 0, 0)
        self._carried_on = 0

    def findings(self) -> Findings:
        """Sum up."""
        return Findings(
            damage=tuple(sorted(set(self._damage), key=lambda d: (d.kind, d.subject, d.message))),
            remarks=tuple(sorted(self._remarks, key=lambda r: (r.subject, r.message))),
            objects=self._counts["objects"],
            runs=self._counts["records"],
            actions=self._counts["actions"],
            statements=self._counts["statements"],
            read_files=self._read.files,
            read_bytes=self._read.bytes,
            carried_on=self._carried_on,
        )

    def _damaged(self, kind: DamageKind, subject: str, message: str) -> None:
        self._damage.append(Damage(kind, subject, message))

    # The index, before anything is read: what a run of another process adds meanwhile is then no damage.

    def look_at_index(self) -> None:
        """Let SQLite check its file, and note what it has."""
        index = self._store.index
        problems = index.problems()
        if problems:
            self._damaged(DamageKind.INDEX, index.path.name, f"{index.path.name}: {problems[0]}")
            return
        self._indexed = {kind: self._in_index(kind) for kind in _INDEXED}

    def _in_index(self, kind: str, name: str | None = None) -> dict[str, str]:
        """Return the names the index has of a kind of file, or of one of them, with digests of records."""
        table, column, digest = _INDEXED[kind]
        where, values = (f" WHERE {column} = ?", (name,)) if name else ("", ())
        return dict(self._store.index.read(f"SELECT {column}, {digest} FROM {table}{where}", values))

    def _compare(self, kind: str, what: str, name: str, digest: str = "") -> None:
        """Compare a sound file with what the index has of it, and forget that."""
        if self._indexed is None:
            return
        found = self._indexed[kind].pop(name, None)
        if found is None:  # somebody may have written it since
            self._unindexed.append((kind, what, name, digest))
        else:
            self._tell_edited(what, name, found, digest)

    def _look_again(self) -> None:
        """Look once more for what the index did not have: others put theirs into it up to a second late."""
        if self._unindexed:
            self._store.take_in()
        for kind, what, name, digest in self._unindexed:
            found = self._in_index(kind, name).get(name)
            if found is None:
                message = f"{what} {name} is not in the index; run `clio reindex`"
                self._damaged(DamageKind.INDEX, name, message)
            else:
                self._tell_edited(what, name, found, digest)

    def _tell_edited(self, what: str, name: str, found: str, digest: str) -> None:
        if found != digest:
            self._damaged(DamageKind.INDEX, name, f"{what} {name} was edited after it was indexed")

    # Files.

    def read_files(self) -> None:
        """List the objects, and read every statement, action and record."""
        self._there = {f"sha256:{name}" for name in self._names("objects")}
        for name in self._names("statements"):
            self._look_at_statement(f"sha256:{name}")
        actions = set(self._names("actions"))
        for key in sorted(actions):
            self._look_at_action(key)
        used: set[str] = set()
        for name in self._names("records"):
            key, _, run_id = name.partition("/")
            used.add(key)
            if key not in actions:
                self._damaged(DamageKind.ACTION, run_id, f"action {short(key)} of run {run_id} is missing")
            self._look_at_record(key, run_id)
        if self._indexed is not None:
            # An action without a run is of somebody who died early: it need not be in the index, and may.
            for key in sorted(actions & (used | self._indexed["actions"].keys())):
                self._compare("actions", "action", key)
            for kind, what in (
                ("records", "record of run"),
                ("actions", "action"),
                ("statements", "statement"),
            ):
                for name in self._indexed[kind]:
                    message = f"{what} {name} is in the index, and its file is gone or unreadable"
                    self._damaged(DamageKind.INDEX, name, message)
            self._look_again()

    def _names(self, tree: str) -> Iterator[str]:
        """Yield the names of our files in a directory of the store, sorted; others are damage."""
        top = str(self._store.path / tree)
        for directory, below, files in os.walk(top):
            below.sort()
            within = directory[len(top) + 1 :]
            for file in sorted(files):
                place = f"{within}/{file}" if within else file
                match = _TREES[tree].fullmatch(place)
                if match is None:
                    self._damaged(DamageKind.FOREIGN, f"{tree}/{place}", f"{tree}/{place} is not ours")
                else:
                    self._counts[tree] += 1
                    yield match["name"]

    def _look_at_statement(self, digest: str) -> None:
        try:
            statement = self._store.records.statement(digest)
        except ProvenanceError as error:
            self._damaged(DamageKind.RECORD, digest, error.message)
        else:
            dropped = dropped_of(statement) if statement.kind == PRUNED else None
            for item in dropped.objects if dropped is not None else ():
                self._dropped_at[item.digest] = max(
                    self._dropped_at.get(item.digest, ""), dropped.at if dropped else ""
                )
        self._compare("statements", "statement", digest)

    def _look_at_action(self, key: str) -> None:
        try:
            self._store.records.prove_action(key)
        except ProvenanceError as error:
            self._damaged(DamageKind.RECORD, key, error.message)

    def _look_at_record(self, key: str, run_id: str) -> None:
        try:
            run, digest = self._store.records.record(key, run_id)
        except ProvenanceError as error:
            self._damaged(DamageKind.RECORD, run_id, error.message)
            return
        self._compare("records", "record of run", run_id, digest)
        gone = []
        for artifact, size in run.artifacts:
            known, newest = self._sizes.get(artifact, (None, ""))
            self._sizes[artifact] = (size if size is not None else known, max(newest, run_id))
            if artifact not in self._there:
                gone.append(artifact)
        for artifact in gone:
            maker = _Maker(run_id, key, run.ended or run.started)
            self._missing.setdefault(artifact, []).append(maker)
        if not gone and run.is_success:
            self._complete[key] = max(self._complete.get(key, ""), run_id)

    # Objects.

    def look_at_objects(self, deep: bool, listen: Listener) -> None:
        """Look at the file of every object, and read those that have to be read."""
        verified = Verified(self._store.index)
        began = verified.begin() if deep else 0
        times = verified.times() if deep else {}
        to_read: list[tuple[int, str, os.stat_result]] = []
        for digest in sorted(self._there):
            found = self._status_of(digest)
            if found is None:
                continue
            at = times.get(digest, 0)
            if (not deep or at >= began) and self._store.files.remembers(digest, found):
                self._carried_on += deep
            else:
                to_read.append((at, digest, found))
        to_read.sort(key=lambda item: item[:2])
        self._read_all(to_read, verified if deep else None, listen)
        if deep:
            verified.finish()

    def _status_of(self, digest: str) -> os.stat_result | None:
        """Return the status of an object's file; None if there is nothing to read."""
        what = f"object {short(digest)}"
        try:
            found = os.lstat(self._store.objects.path(digest))
        except FileNotFoundError:
            self._damaged(DamageKind.MISSING, digest, f"{what} vanished during the check")
            return None
        if not stat.S_ISREG(found.st_mode):
            self._damaged(DamageKind.MODE, digest, f"{what} is not a regular file")
            return None
        mode = stat.S_IMODE(found.st_mode)
        if mode != READ_ONLY:
            self._damaged(DamageKind.MODE, digest, f"{what} has mode {mode:04o}, not {READ_ONLY:04o}")
        size, _ = self._sizes.get(digest, (None, ""))
        if size is not None and found.st_size < size:
            self._damaged(DamageKind.TRUNCATED, digest, f"{what} was truncated")
            return None
        return found

    def _read_all(
        self,
        to_read: list[tuple[int, str, os.stat_result]],
        verified: Verified | None,
        listen: Listener,
    ) -> None:
        of_bytes = sum(found.st_size for _, _, found in to_read)
        self._read = Progress(0, len(to_read), 0, of_bytes)
        sound: list[MemoEntry] = []
        noted, began_ns = time.monotonic(), time.time_ns()
        try:
            for digest, found, harm in _in_threads(self._store, to_read):
                if harm is None:
                    sound.append(MemoEntry(found, digest, began_ns))
                else:
                    self._damaged(DamageKind.EDITED, digest, f"object {short(digest)} {harm}")
                files, size = self._read.files + 1, self._read.bytes + found.st_size
                self._read = Progress(files, len(to_read), size, of_bytes)
                listen(self._read)
                if time.monotonic() - noted > _NOTED_EVERY_S:
                    self._note(sound, verified)
                    noted = time.monotonic()
        finally:
            self._note(sound, verified)

    def _note(self, sound: list[MemoEntry], verified: Verified | None) -> None:
        """Remember what was read and is sound."""
        self._store.files.memoize_all(
            entry for entry in sound if stat.S_IMODE(entry.stat.st_mode) == READ_ONLY
        )
        if verified is not None:
            verified.add(entry.digest for entry in sound)
        sound.clear()

    def look_for_missing(self) -> None:
        """Tell what was lost from what was given up: pruned, or superseded by a later run.

        Notes
        -----
        A damaged object is set aside and its action run again. A recipe that does not give the same bytes
        twice then leaves the old name without an object for good: the later run is believed instead.
        """
        trash = set(listing(self._store.path / "trash"))
        imported = self._store.imports.runs
        not_brought: dict[str, int] = {}
        for digest, makers in sorted(self._missing.items()):
            newest = max(makers, key=lambda maker: maker.run)
            what = f"object {short(digest)} of run {newest.run}"
            if all(self._dropped_at.get(digest, "") >= maker.ended for maker in makers):
                message = f"{what} was pruned; `clio restore {short(digest)}` brings it back"
                self._remarks.append(Remark(digest, message))
            elif all(self._complete.get(maker.action, "") > maker.run for maker in makers):
                self._remarks.append(Remark(digest, f"{what} is gone; a later run took its place"))
            elif digest.removeprefix("sha256:") in trash:
                self._remarks.append(Remark(digest, f"{what} was being pruned; `clio prune` goes on with it"))
            elif all(maker.run in imported for maker in makers):
                bundle = imported[newest.run].bundle
                not_brought[bundle] = not_brought.get(bundle, 0) + 1
            else:
                self._damaged(DamageKind.MISSING, digest, f"{what} is missing")
        for bundle, count in sorted(not_brought.items()):
            what = "an object" if count == 1 else f"{count} objects"
            self._remarks.append(Remark(bundle, f"bundle {short(bundle)} names {what} that it did not bring"))

    def look_at_leftovers(self) -> None:
        """Remark what lies about."""
        store = self._store
        said = [
            (item.name, f"{item.kind}/{item.name} was left by a process that died; the next run sweeps it")
            for item in store.leftovers()
        ]
        said += [(run, f"work/{run} was kept for a look") for run in store.kept_work()]
        said += [
            (name, f"damaged/{name} was found damaged and set aside")
            for name in listing(store.path / "damaged")
        ]
        said += [
            (key, f"action {short(key)} is claimed, or was by a process that died")
            for key in claimed(store.path)
        ]
        self._remarks += [Remark(subject, message) for subject, message in said]


def _in_threads(
    store: Store, to_read: list[tuple[int, str, os.stat_result]]
) -> Iterator[tuple[str, os.stat_result, str | None]]:
    """Read objects two at a time, and yield each in its turn with what is wrong with it."""

    def read(digest: str, found: os.stat_result) -> tuple[str, os.stat_result, str | None]:
        try:
            harm = store.objects.damage(digest)
        except OSError as error:
            return digest, found, f"cannot be read: {error.strerror}"
        return digest, found, None if harm is None else f"was {harm}"

    waiting: deque[Future[tuple[str, os.stat_result, str | None]]] = deque()
    pool = ThreadPoolExecutor(THREADS)
    try:
        for _, digest, found in to_read:
            waiting.append(pool.submit(read, digest, found))
            if len(waiting) > 4 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Interrupted: what is being read is read to its end, the rest not begun.
        pool.shutdown(cancel_futures=True)
