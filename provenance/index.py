"""The SQLite database beside the records: opened, locked, rebuilt. It can be deleted at any time.

One connection a process, shared by its threads behind a lock; every write is one `BEGIN IMMEDIATE`
transaction, and where steps follow quickly on each other the rows of several are one. This module and
`schema` alone import sqlite-utils, and only when a database is opened: it costs as much as all the rest of a
light command.
"""

import fcntl
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provenance import schema
from provenance.errors import (
    ProvenanceError,
    RecordRefused,
    StoreDamaged,
    StoreFull,
    StoreLocked,
    StoreVersion,
)
from provenance.filesystems import is_network
from provenance.rows import Row, by_table

if TYPE_CHECKING:
    from sqlite_utils import Database

BUSY_S = 30.0
"""How long a writer waits for another one."""

LATE_S = 1.0
"""How long rows may wait for others, so that one transaction does for all."""
_MOST_LATE = 2048
"""Rows that wait at most: a megabyte or two, those of a hundred steps."""

_PRAGMAS = (
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "temp_store=MEMORY",
    # Most steps write the same few pages again: so they are copied into the database once in 16 MB, not in 4.
    "wal_autocheckpoint=4000",
)

_log = logging.getLogger(__name__)
_SHM_FULL = 4874  # SQLITE_IOERR_SHMSIZE: the -shm file could not grow


@dataclass(frozen=True, slots=True)
class _Lot:
    """Rows that wait to be inserted."""

    what: str
    """What they tell of, for a message; empty if nobody needs to hear that they are lost."""
    rows: tuple[Row, ...]


class Index:
    """An open database.

    Parameters
    ----------
    path : Path
        Of the database.
    fill : callable
        Puts everything into empty tables, inside a transaction.
    writable : bool
        False keeps a copy in memory: somebody else's store is read without leaving a trace.
    """

    def __init__(self, path: Path, fill: "Callable[[Index], None]", *, writable: bool = True) -> None:
        self.path = path
        self.writable = writable
        self._fill = fill
        self._lock = threading.RLock()
        self._speaking = _Speaking(self._lock, self._understood)
        self._late: list[_Lot] = []
        self._late_topics: set[Hashable] = set()
        self._late_rows = 0
        self._timer: threading.Timer | None = None
        self._written_at = 0.0
        """When rows that were late were inserted last, on the clock that only runs."""
        self._database = self._open()

    def read(
        self, sql: str, parameters: Iterable[object] = (), *, topic: Hashable = None
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Parameters
        ----------
        sql, parameters
            The query.
        topic : hashable, optional
            What is asked about, if nothing else is: rows of other topics may stay late.

        Raises
        ------
        StoreDamaged, StoreLocked, StoreVersion
            The database cannot be read.
        """
        with self._speaking:
            if self._late and (topic is None or topic in self._late_topics):
                self.catch_up()
            return self._database.conn.execute(sql, tuple(parameters)).fetchall()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold a transaction open: all that is inserted in the block, or nothing.

        Raises
        ------
        StoreDamaged, StoreLocked, StoreFull, StoreVersion
            The database cannot be written.
        """
        with self._speaking:
            if self._is_writing:
                yield
                return
            self.catch_up()
            self._database.conn.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.conn.execute("COMMIT")
            except BaseException:
                self._database.rollback()
                raise

    def insert(self, rows: Iterable[Row]) -> None:
        """Insert rows, all or none of them, in the caller's transaction or in one of their own.

        Raises
        ------
        RecordRefused
            A row contradicts the tables; the caller's transaction goes on without these rows.
        StoreDamaged, StoreLocked, StoreFull
            The database cannot be written.
        """
        with self._all_or_none():
            for sql, parameters in rows:
                self._database.conn.execute(sql, parameters)

    def insert_many(self, rows: Iterable[Row]) -> None:
        """Insert many rows as `insert` does, table by table: what refers comes after what it refers to.

        Raises
        ------
        RecordRefused, StoreDamaged, StoreLocked, StoreFull
            As `insert`.
        """
        with self._all_or_none():
            for sql, parameters in by_table(rows):
                self._database.conn.executemany(sql, parameters)

    def insert_late(self, topic: Hashable, rows: Iterable[Row], what: str = "") -> None:
        """Insert rows soon: at once, unless others were within the last second.

        Late rows go in together: before anything else is inserted or read, before the database is closed, or
        when a second is over. If the process dies, the next command takes them in from the files.

        Parameters
        ----------
        topic : hashable
            What they are about: who asks about another thing alone does not wait for them. See `read`.
        rows : iterable of Row
            What to insert.
        what : str
            What to call them in a message, should they not go in. Without, they are hints, which may wait
            for longer, and are lost in silence.
        """
        with self._speaking:
            lot = _Lot(what, tuple(rows))
            self._late.append(lot)
            self._late_topics.add(topic)
            self._late_rows += len(lot.rows)
            if self._late_rows > _MOST_LATE or time.monotonic() - self._written_at >= LATE_S:
                self.catch_up()
            elif what and self._timer is None:
                self._timer = threading.Timer(LATE_S, self._catch_up_in_time)
                self._timer.daemon = True
                self._timer.start()

    def catch_up(self) -> None:
        """Insert what is late. What does not go in is said and forgotten: the files tell it again."""
        with self._lock:
            late, self._late, self._late_topics, self._late_rows = self._late, [], set(), 0
            if not late:
                return
            try:
                self.insert_many(chain.from_iterable(lot.rows for lot in late))
            except RecordRefused:
                for lot in late:
                    self._insert_alone(lot)
            except (StoreDamaged, StoreFull, StoreLocked, StoreVersion) as error:
                told = [lot.what for lot in late if lot.what]
                level = logging.WARNING if told else logging.DEBUG
                _log.log(level, "%s recorded but not yet in the index: %s", _named(told), error.message)
            self._written_at = time.monotonic()

    def _catch_up_in_time(self) -> None:
        with self._lock:
            self._timer = None
            self.catch_up()

    def _insert_alone(self, lot: _Lot) -> None:
        try:
            self.insert_many(lot.rows)
        except ProvenanceError as error:
            level = logging.WARNING if lot.what else logging.DEBUG
            _log.log(level, "%s is not in the index: %s", lot.what or "a hint", error.message)

    def rebuild(self) -> None:
        """Make all tables but the memo anew from the files, in one transaction: readers see old or new.

        A database that cannot be read is set aside first.
        """
        try:
            with self.writing():
                self._make_tables()
        except StoreDamaged:
            self.close()
            self._set_aside(whatever=True)
            self._database = self._open()

    def problems(self) -> tuple[str, ...]:
        """Return what SQLite's own check says of the file; empty when it is sound."""
        try:
            rows = self.read("PRAGMA quick_check")
        except ProvenanceError as error:
            return (error.message,)
        return tuple(str(text) for (text,) in rows if text != "ok")

    def dump(self) -> Mapping[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables but the memo and the index's own facts, sorted."""
        with self._lock:
            names = sorted(set(self._database.table_names()) - {"stat_memo", "note", "verified", "meta"})
            return {name: sorted(self.read(f'SELECT * FROM "{name}"'), key=repr) for name in names}

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self.catch_up()
            if self._timer is not None:
                self._timer.cancel()
            self._database.close()

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Hold a transaction open, or within the caller's a part of it that can be undone alone."""
        with self._speaking, self._database.atomic() if self._is_writing else self.writing():
            yield

    @property
    def _is_writing(self) -> bool:
        return bool(self._database.conn.in_transaction)

    def _understood(self, error: sqlite3.DatabaseError) -> Exception:
        """Give this package's error for one of SQLite's, met with the connection in hand."""
        if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_ERROR:
            return _translated(error, self.path)
        with _errors(self.path):
            version = schema.version_of(self._database)
        if version == schema.VERSION:
            return error
        return StoreVersion(
            f"another clio made {self.path} anew meanwhile, of version {version} where this one knows"
            f" {schema.VERSION}",
            "run again: what was done is recorded",
        )

    def _open(self) -> "Database":
        if not self.writable:
            return self._open_copy()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._opened(_connect(str(self.path)))
        except StoreDamaged as error:
            _log.warning("%s; it is set aside and made again from the records", error.message)
            self._set_aside()
            return self._opened(_connect(str(self.path)))

    def _open_copy(self) -> "Database":
        copy = _connect(":memory:")
        if self.path.is_file():
            # immutable: nothing is locked or written, and a -wal file is not looked at; what it holds is
            # newer than the watermark and taken in from the records.
            uri = f"file:{self.path.as_posix().replace('?', '%3f').replace('#', '%23')}?mode=ro&immutable=1"
            try:
                with closing(sqlite3.connect(uri, uri=True)) as source:
                    source.backup(copy.conn)
            except sqlite3.DatabaseError:
                copy.close()
                copy = _connect(":memory:")
        return self._opened(copy)

    def _opened(self, database: "Database") -> "Database":
        try:
            with _errors(self.path):
                self._prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: "Database") -> None:
        for pragma in _PRAGMAS:
            database.execute(f"PRAGMA {pragma}")
        if self.writable:
            _use_wal(database)
        version = schema.version_of(database)
        if version > schema.VERSION:
            raise StoreVersion(
                f"{self.path} has tables of version {version}, and this program knows {schema.VERSION}",
                "use a newer clio with this store, or delete that database: it is only an index",
            )
        if not schema.is_current(database):
            self._database = database
            with self.writing():
                # Asked again: another process may have made them while this one waited for its turn.
                if not schema.is_current(database):
                    self._make_tables()

    def _make_tables(self) -> None:
        _log.info("making %s from the records", self.path)
        schema.create(self._database)
        self._fill(self)
        schema.create_indexes(self._database)

    def _set_aside(self, *, whatever: bool = False) -> None:
        beside = self.path.with_name(self.path.name + "-lock")
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # Two processes may find it at once: the second one finds a sound one.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.path.exists() and (whatever or not _is_readable(self.path)):
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
                self.path.replace(self.path.with_name(self.path.name + "-damaged"))
        finally:
            os.close(lock)


def database_path(store: Path, store_id: str, filesystem: str, environment: Mapping[str, str]) -> Path:
    """Return where a store's database lies: inside it, or on local disk if the store is on a network.

    Parameters
    ----------
    store : Path
        The store's directory.
    store_id : str
        Its id.
    filesystem : str
        Type of the file system it lies on, as `/proc/self/mountinfo` says.
    environment : mapping
        `XDG_STATE_HOME` and `HOME` are looked at.
    """
    if not is_network(filesystem):
        return store / "provenance.db"
    home = environment.get("HOME", "/")
    state = environment.get("XDG_STATE_HOME", "") or f"{home}/.local/state"
    return Path(state) / "clio" / f"{store_id}.db"


def _connect(path: str) -> "Database":
    with _errors(Path(path)):
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    return _library()(connection, recursive_triggers=False, execute_plugins=False)


def _library() -> "type[Database]":
    """Import sqlite-utils without numpy.

    It takes numpy where it is installed, to know its types as columns: a tenth of a second at each start and
    fifteen megabytes, and none are stored here.
    """
    is_hidden = "numpy" not in sys.modules
    if is_hidden:
        sys.modules["numpy"] = None  # type: ignore[assignment]  # how an import is told to fail
    try:
        from sqlite_utils import Database
    finally:
        if is_hidden:
            del sys.modules["numpy"]
    return Database


def _use_wal(database: "Database") -> None:
    """Switch to write-ahead logging, once for a file.

    Notes
    -----
    The switch wants the file alone and does not wait: of several processes that open a new database at
    once, all but one are told that it is locked.
    """
    deadline = time.monotonic() + BUSY_S
    while database.journal_mode != "wal":
        try:
            database.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _is_readable(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


class _Speaking:
    """Uses a connection alone, and turns its errors into this package's; again and again, and nested."""

    def __init__(
        self, lock: threading.RLock, understood: Callable[[sqlite3.DatabaseError], Exception]
    ) -> None:
        self._lock = lock
        self._understood = understood

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            if isinstance(error, sqlite3.DatabaseError) and (ours := self._understood(error)) is not error:
                raise ours from error
        finally:
            self._lock.release()


def _named(told: list[str]) -> str:
    """Name the first of some things, as the beginning of a sentence."""
    if len(told) < 2:
        return f"{told[0] if told else 'a hint'} is"
    return f"{told[0]} and {len(told) - 1} more are"


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into this package's."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if (ours := _translated(error, path)) is error:
            raise
        raise ours from error


def _translated(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """Give this package's error for one of SQLite's; a mistake in our own SQL stays what it is."""
    code = getattr(error, "sqlite_errorcode", 0)
    match code & 0xFF:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreDamaged(f"{path} is damaged: {error}", "run `clio reindex`")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked(f"{path} is in use: {error}", "wait for the other process")
        case sqlite3.SQLITE_FULL:
            return StoreFull(path)
        case sqlite3.SQLITE_IOERR if code == _SHM_FULL:
            return StoreFull(path)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreLocked(f"{path} cannot be used: {error}", "look at its permissions")
        case sqlite3.SQLITE_CONSTRAINT:
            return RecordRefused(f"a row does not fit the index: {error}")
        case _:
            return error
