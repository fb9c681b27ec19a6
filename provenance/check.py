"""Find all damage in a store and change nothing; and make its index again.

Damage is what breaks a promise: bytes that are gone or others than their name says, records nobody can
read, an index that tells of something else than the records. Leftovers of dead processes, scratch kept
on purpose and artifacts that later runs superseded are remarks: worth a line, not an exit code.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from provenance.claims import claimed
from provenance.errors import ProvenanceError, short
from provenance.files import READ_ONLY, listing
from provenance.model import Run
from provenance.store import Store

Progress = Callable[[int, int], None]
"""Called with objects looked at so far, and objects in all."""

_TREES = ("objects", "actions", "records", "statements")
_ELSEWHERE = ("journal", "claims", "work", "tmp", "damaged")


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


def check(store: Store, deep: bool = False, progress: Progress | None = None) -> tuple[Damage, ...]:
    """Return all damage in a store, sorted by kind and subject; empty when it is sound.

    Parameters
    ----------
    store : Store
        The store; nothing in it is changed.
    deep : bool
        Read every object whole. Without, an object is read only where its file does not look as it did
        when it was last read, so that an edit that put size and time back is not seen.
    progress : callable, optional
        Told how far it is.
    """
    runs, damage = _check_files(store)
    damage += _check_objects(store, runs, deep, progress or (lambda done, total: None))
    damage += _check_foreign(store)
    damage += _check_index(store, runs)
    return tuple(sorted(set(damage), key=lambda item: (item.kind, item.subject, item.message)))


def remarks(store: Store) -> tuple[Remark, ...]:
    """Return what is worth a line though nothing is broken, sorted."""
    found = [
        Remark(item.name, f"{item.kind}/{item.name} was left by a process that died; the next run sweeps it")
        for item in store.leftovers()
    ]
    found += [Remark(run, f"work/{run} was kept for a look") for run in store.kept_work()]
    found += [
        Remark(name, f"damaged/{name} was found damaged and set aside")
        for name in listing(store.path / "damaged")
    ]
    found += [
        Remark(key, f"action {short(key)} is claimed, or was by a process that died")
        for key in claimed(store.path)
    ]
    runs, _ = _check_files(store)
    for digest, run in _superseded(store, runs):
        found.append(
            Remark(digest, f"object {short(digest)} of run {run} is gone; a later run took its place")
        )
    return tuple(sorted(found, key=lambda item: (item.subject, item.message)))


def reindex(store: Store) -> None:
    """Make the database anew from records, actions and statements alone; the memo is kept if readable.

    Raises
    ------
    StoreFull, StoreLocked
        It cannot be written; the old one still stands.
    """
    store.index.rebuild()


def _check_files(store: Store) -> tuple[dict[str, tuple[Run, str]], list[Damage]]:
    """Read every record, action and statement; return the runs with the digests of their records."""
    records, damage = store.records, []
    runs: dict[str, tuple[Run, str]] = {}
    sound = set()
    for key in records.iterate_actions():
        try:
            records.action(key)
            sound.add(key)
        except ProvenanceError as error:
            damage.append(Damage(DamageKind.RECORD, key, error.message))
    for key, run_id in records.iterate_records():
        try:
            runs[run_id] = records.record(key, run_id)
        except ProvenanceError as error:
            damage.append(Damage(DamageKind.RECORD, run_id, error.message))
        if key not in sound and not records.action_path(key).exists():
            message = f"action {short(key)} of run {run_id} is missing"
            damage.append(Damage(DamageKind.ACTION, run_id, message))
    for digest in records.iterate_statements():
        try:
            records.statement(digest)
        except ProvenanceError as error:
            damage.append(Damage(DamageKind.RECORD, digest, error.message))
    return runs, damage


def _check_objects(
    store: Store, runs: dict[str, tuple[Run, str]], deep: bool, progress: Progress
) -> list[Damage]:
    wanted = _wanted(runs)
    gone = {digest for digest, _ in _superseded(store, runs)}
    there = set(store.objects.iterate())
    damage: list[Damage] = []
    for done, digest in enumerate(sorted(there | wanted.keys()), start=1):
        size, run = wanted.get(digest, (None, ""))
        if digest in there:
            damage += _check_object(store, digest, size, deep)
        elif digest not in gone:
            message = f"object {short(digest)} of run {run} is missing"
            damage.append(Damage(DamageKind.MISSING, digest, message))
        progress(done, len(there | wanted.keys()))
    return damage


def _check_object(store: Store, digest: str, size: int | None, deep: bool) -> Iterator[Damage]:
    what = f"object {short(digest)}"
    try:
        found = os.lstat(store.objects.path(digest))
        if not stat.S_ISREG(found.st_mode):
            yield Damage(DamageKind.MODE, digest, f"{what} is not a regular file")
            return
        if stat.S_IMODE(found.st_mode) != READ_ONLY:
            mode = stat.S_IMODE(found.st_mode)
            yield Damage(DamageKind.MODE, digest, f"{what} has mode {mode:04o}, not {READ_ONLY:04o}")
        if not deep and store.remembers_object(digest, found):
            return
        if store.objects.damage(digest) is not None:
            is_short = size is not None and found.st_size < size
            kind = DamageKind.TRUNCATED if is_short else DamageKind.EDITED
            yield Damage(kind, digest, f"{what} was {kind.value}")
    except OSError as error:
        yield Damage(DamageKind.EDITED, digest, f"{what} cannot be read: {error.strerror}")


def _wanted(runs: dict[str, tuple[Run, str]]) -> dict[str, tuple[int | None, str]]:
    """Return the digest of every object records name, with its size and the newest run that made it."""
    wanted: dict[str, tuple[int | None, str]] = {}
    for run_id in sorted(runs):
        for digest, size in runs[run_id][0].artifacts:
            known = wanted.get(digest, (None, ""))[0]
            wanted[digest] = (size if size is not None else known, run_id)
    return wanted


def _superseded(store: Store, runs: dict[str, tuple[Run, str]]) -> Iterator[tuple[str, str]]:
    """Yield missing objects that nothing needs any more, each with the run that made it.

    Notes
    -----
    A damaged object is set aside and its action run again. A recipe that does not give the same bytes
    twice then leaves the old name without an object for good: the later run is believed instead.
    """
    complete: dict[str, str] = {}
    missing: dict[str, list[Run]] = {}
    for run_id in sorted(runs):
        run = runs[run_id][0]
        gone = [digest for digest, _ in run.artifacts if not store.objects.has(digest)]
        for digest in gone:
            missing.setdefault(digest, []).append(run)
        if not gone and run.is_success:
            complete[run.action] = run_id
    for digest, makers in sorted(missing.items()):
        if all(complete.get(run.action, "") > run.run for run in makers):
            yield digest, makers[-1].run


def _check_foreign(store: Store) -> Iterator[Damage]:
    ours = {f"{digest[7:9]}/{digest[7:]}" for digest in store.objects.iterate()}
    known = {store.path / "objects" / name for name in ours}
    known |= {store.records.action_path(key) for key in store.records.iterate_actions()}
    known |= {store.records.record_path(key, run) for key, run in store.records.iterate_records()}
    known |= {store.records.statement_path(digest) for digest in store.records.iterate_statements()}
    for tree in _TREES:
        for directory, _, names in os.walk(store.path / tree):
            for name in names:
                path = Path(directory) / name
                if path not in known:
                    relative = path.relative_to(store.path).as_posix()
                    yield Damage(DamageKind.FOREIGN, relative, f"{relative} is not ours")


def _check_index(store: Store, runs: dict[str, tuple[Run, str]]) -> Iterator[Damage]:
    for problem in store.index.problems():
        yield Damage(DamageKind.INDEX, store.index.path.name, f"{store.index.path.name}: {problem}")
        return
    indexed = dict(store.index.read("SELECT run_id, record_digest FROM run"))
    yield from _compare(indexed, {run_id: digest for run_id, (_, digest) in runs.items()}, "record of run")
    # An action without a run is of somebody who died early: it need not be in the index, and may.
    files = set(store.records.iterate_actions())
    keys = {key for (key,) in store.index.read("SELECT action_key FROM action")}
    wanted = {run.action for run, _ in runs.values()} & files | (keys & files)
    yield from _compare(dict.fromkeys(keys, ""), dict.fromkeys(wanted, ""), "action")
    said = {digest: "" for (digest,) in store.index.read("SELECT digest FROM statement")}
    yield from _compare(said, dict.fromkeys(store.records.iterate_statements(), ""), "statement")


def _compare(indexed: dict[str, str], files: dict[str, str], what: str) -> Iterator[Damage]:
    for name in sorted(indexed.keys() - files.keys()):
        yield Damage(
            DamageKind.INDEX, name, f"{what} {name} is in the index, and its file is gone or unreadable"
        )
    for name in sorted(files.keys() - indexed.keys()):
        yield Damage(DamageKind.INDEX, name, f"{what} {name} is not in the index; run `clio reindex`")
    for name in sorted(indexed.keys() & files.keys()):
        if indexed[name] != files[name]:
            yield Damage(DamageKind.INDEX, name, f"{what} {name} was edited after it was indexed")
