"""The files that are the truth: actions, records of runs, statements; and the journal that lists them by day.

All are canonical JSON, linked into place whole and never changed. The journal holds an empty file for
each record and statement, named after it and made just before it, in a directory a day: an index that
lags behind reads the last days' names instead of listing every record. It is a hint: losing it loses
nothing that `reindex` does not find.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from provenance.digest import canonical_json, digest_bytes
from provenance.documents import Document
from provenance.errors import NotAFile, StoreDamaged, StoreMissing, short
from provenance.files import listing, make_directory, open_regular, write_once, writing_to
from provenance.marks import NoMark, give_name
from provenance.model import Action, Run, Statement, opened_statement, statement_document

_PIECE = 1 << 16
"""Bytes read at once: most records have a tenth of that."""

_KEY = re.compile(r"[0-9a-f]{64}")
_RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A name in the journal: of a record (run and key) or of a statement (hex digest, no key)."""

    name: str
    """Run id, or 64 hex digits."""
    key: str = ""
    """Key of the run's action; empty for a statement."""


class Records:
    """The actions, records, statements and journal of a store.

    Parameters
    ----------
    root : Path
        The store's directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._actions = root / "actions"
        self._records = root / "records"
        self._statements = root / "statements"
        self._journal = root / "journal"
        self._imports = root / "imports"
        self._scratch = root / "tmp"
        self._damaged = root / "damaged"

    def action_path(self, key: str) -> Path:
        """Return where an action lies, or would lie."""
        return self._actions / f"{key[:2]}/{key}.json"

    def record_path(self, key: str, run: str) -> Path:
        """Return where a run's record lies, or would lie."""
        return self._records / f"{key[:2]}/{key}/{run}.json"

    def statement_path(self, digest: str) -> Path:
        """Return where a statement lies, or would lie."""
        name = digest.removeprefix("sha256:")
        return self._statements / f"{name[:2]}/{name}.json"

    def put_action(self, action: Action) -> str:
        """Write an action unless it is there, and return its key.

        Notes
        -----
        The name follows from the content, so a file of that name with other bytes is damaged; it is set
        aside.
        """
        data = canonical_json(action.document())
        key = digest_bytes(data).removeprefix("sha256:")
        self._put_by_content(self.action_path(key), data)
        return key

    def put_record(self, run: Run) -> str:
        """Write the record of a run: the commit point. Return its digest.

        Raises
        ------
        StoreDamaged
            A record of that run is there already and says something else.
        """
        data = canonical_json(run.document())
        self._commit(run.action, run.run, data)
        return digest_bytes(data)

    def put_statement(self, kind: str, body: object) -> Statement:
        """Write a statement unless it is there."""
        data = canonical_json(statement_document(kind, body))
        digest = digest_bytes(data)
        self._note(digest.removeprefix("sha256:"))
        self._put_by_content(self.statement_path(digest), data)
        return Statement(digest, kind, orjson.loads(data)["body"])

    def copy_action(self, key: str, data: bytes) -> None:
        """Write an action as its file is elsewhere; somebody proved that it is the one of that key."""
        self._put_by_content(self.action_path(key), data)

    def copy_statement(self, digest: str, data: bytes) -> None:
        """Write a statement as its file is elsewhere; somebody proved its digest."""
        self._note(digest.removeprefix("sha256:"))
        self._put_by_content(self.statement_path(digest), data)

    def copy_record(self, key: str, run: str, data: bytes) -> None:
        """Write a record as its file is elsewhere: the commit point of an import.

        Raises
        ------
        StoreDamaged
            As `put_record`.
        """
        self._commit(key, run, data)

    def action(self, key: str) -> Action:
        """Read an action.

        Raises
        ------
        StoreMissing
            It is not there.
        StoreDamaged
            It is unreadable, or not the action of that key.
        """
        path = self.action_path(key)
        data = _read(path, f"action {short(key)}")
        if digest_bytes(data) != f"sha256:{key}":
            raise StoreDamaged(f"{path} was edited: it holds {short(digest_bytes(data))}")
        return Action.from_document(_parse(data, path))

    def prove_action(self, key: str) -> None:
        """Prove that an action's file is as it was written; it is not parsed, as its name says all.

        Raises
        ------
        StoreMissing
            It is not there.
        StoreDamaged
            It is unreadable, or not the action of that key.
        """
        path = self.action_path(key)
        found = digest_bytes(_read(path, f"action {short(key)}"))
        if found != f"sha256:{key}":
            raise StoreDamaged(f"{path} was edited: it holds {short(found)}")

    def record(self, key: str, run: str) -> tuple[Run, str]:
        """Read a record; return the run, and the digest of the file.

        Raises
        ------
        StoreMissing
            It is not there.
        StoreDamaged
            It is unreadable, or of another run or action.
        """
        path = self.record_path(key, run)
        data = _read(path, f"record of run {run}")
        found = Run.from_document(_parse(data, path))
        if (found.action, found.run) != (key, run):
            raise StoreDamaged(f"{path} holds the record of run {found.run} of action {short(found.action)}")
        return found, digest_bytes(data)

    def statement(self, digest: str) -> Statement:
        """Read a statement.

        Raises
        ------
        StoreMissing
            It is not there.
        StoreDamaged
            It is unreadable, or its bytes are others.
        """
        path = self.statement_path(digest)
        data = _read(path, f"statement {short(digest)}")
        if digest_bytes(data) != digest:
            raise StoreDamaged(f"{path} was edited: it holds {short(digest_bytes(data))}")
        return opened_statement(_parse(data, path), digest)

    def holds_record(self, key: str, run: str, digest: str) -> bool:
        """Tell whether a record is there.

        Raises
        ------
        StoreDamaged
            It is, and says something else.
        """
        try:
            found = digest_bytes(_read(self.record_path(key, run), f"record of run {run}"))
        except StoreMissing:
            return False
        if found != digest:
            raise StoreDamaged(f"run {run} has a record already, and it says something else")
        return True

    def holds_statement(self, digest: str) -> bool:
        """Tell whether a statement is there and sound."""
        path = self.statement_path(digest)
        try:
            return digest_bytes(_read(path, path.name)) == digest
        except (StoreMissing, StoreDamaged):
            return False

    def runs_of(self, key: str) -> tuple[str, ...]:
        """Return the ids of all runs of an action with a record, oldest first."""
        names = listing(self._records / f"{key[:2]}/{key}")
        return tuple(name[:-5] for name in names if name.endswith(".json") and _RUN.fullmatch(name[:-5]))

    def iterate_records(self) -> Iterator[tuple[str, str]]:
        """Yield key and run of every record, by key, then oldest first."""
        for prefix in listing(self._records):
            for key in listing(self._records / prefix):
                if _KEY.fullmatch(key) and key.startswith(prefix):
                    yield from ((key, run) for run in self.runs_of(key))

    def iterate_actions(self) -> Iterator[str]:
        """Yield the keys of all actions, sorted."""
        yield from _names(self._actions)

    def iterate_statements(self) -> Iterator[str]:
        """Yield the digests of all statements, sorted."""
        yield from (f"sha256:{name}" for name in _names(self._statements))

    def imports(self) -> tuple[str, ...]:
        """Return the digests of the statements that say what was imported here, sorted.

        Notes
        -----
        A bundle may bring such statements too, which say what was imported elsewhere: those decide nothing.
        """
        names = listing(self._imports)
        return tuple(f"sha256:{name}" for name in names if _KEY.fullmatch(name))

    def put_import(self, statement: str) -> None:
        """Name a statement that says what is imported, before any of that appears."""
        write_once(self._imports / statement.removeprefix("sha256:"), b"", self._scratch)

    def days(self, since: str = "") -> tuple[str, ...]:
        """Return the days of the journal, `YYYYMMDD`, from one on."""
        return tuple(day for day in listing(self._journal) if day >= since and day.isdigit())

    def noted(self, day: str) -> tuple[Entry, ...]:
        """Return what the journal says of a day. A name without its file was never committed."""
        entries = []
        for name in listing(self._journal / day):
            head, _, key = name.partition(".")
            if (_RUN.fullmatch(head) and _KEY.fullmatch(key)) or (_KEY.fullmatch(head) and not key):
                entries.append(Entry(head, key))
        return tuple(entries)

    def _commit(self, key: str, run: str, data: bytes) -> None:
        path = self.record_path(key, run)
        self._note(f"{run}.{key}")
        if not write_once(path, data, self._scratch) and not _holds(path, data):
            raise StoreDamaged(f"run {run} has a record already, and it says something else")

    def _put_by_content(self, path: Path, data: bytes) -> None:
        while not write_once(path, data, self._scratch) and not _holds(path, data):
            make_directory(self._damaged)
            with suppress(FileNotFoundError):
                path.rename(self._damaged / f"{path.name}~{time.time_ns()}")

    def _note(self, name: str) -> None:
        directory = self._journal / time.strftime("%Y%m%d", time.gmtime())
        # Not synced: after a power cut the index may lag, and `check` says so; syncing would double the
        # price of a commit for it.
        with writing_to(directory):
            make_directory(directory)
            try:
                give_name(directory / name, self.root)
            except NoMark:
                (directory / name).touch(mode=0o644)
            except FileExistsError:
                pass  # as it should be


def _names(directory: Path) -> Iterator[str]:
    for prefix in listing(directory):
        for name in listing(directory / prefix):
            if name.endswith(".json") and _KEY.fullmatch(name[:-5]) and name.startswith(prefix):
                yield name[:-5]


def _holds(path: Path, data: bytes) -> bool:
    with suppress(StoreMissing, StoreDamaged):
        return _read(path, path.name) == data
    return False


def _read(path: Path, what: str) -> bytes:
    try:
        # A pipe in its place would keep the reader for ever; what a link leads to may change at any time.
        with open_regular(path) as descriptor:
            return b"".join(iter(lambda: os.read(descriptor, _PIECE), b""))
    except FileNotFoundError as error:
        raise StoreMissing(f"{what} is not in the store") from error
    except NotAFile as error:
        raise StoreDamaged(error.message) from error
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {error.strerror}") from error


def _parse(data: bytes, path: Path) -> Document:
    try:
        document = orjson.loads(data)
    except ValueError as error:
        raise StoreDamaged(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise StoreDamaged(f"{path} is not a JSON object")
    return document
