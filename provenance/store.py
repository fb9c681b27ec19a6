"""The store: one directory that remembers what was made, from what, and how. The only door for others.

A record on disk is the commit point. What comes before it is invisible, what comes after it (the index,
the memo) can be made again. Threads may share a store; processes and hosts may too.
"""

import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from provenance import marks, queries
from provenance.acceptances import ACCEPTED, REVOKED, Acceptance, Accepted, InForce, Revoked, acceptances
from provenance.claims import LeaseTerms, claim
from provenance.claims import sweep as sweep_claims
from provenance.costs import PastCost, select_costs
from provenance.digest import is_digest
from provenance.doubts import Doubts
from provenance.dropped import PRUNED, Dropped, DroppedObject, newest_of
from provenance.errors import (
    RecordRefused,
    StoreDamaged,
    StoreExists,
    StoreFull,
    StoreLocked,
    StoreMissing,
    UnknownReference,
    short,
)
from provenance.filesystems import filesystem_of
from provenance.identity import new_run_id
from provenance.imports import (
    DISTRUSTED,
    TRUSTED,
    Distrusted,
    How,
    Importing,
    Imports,
    Trust,
    Trusted,
    imports_of,
    trusts_of,
)
from provenance.index import Index, database_path
from provenance.layout import StoreCard, read_card, write_layout
from provenance.lookup import Lookup, Shelves, look_up, look_up_accepted
from provenance.memo import Memos
from provenance.model import Action, Invocation, Purpose, Run, Statement
from provenance.objects import Objects
from provenance.pins import PINNED, UNPINNED, Pin, Pinned, Unpinned, pins
from provenance.queries import Attempt, KnownFile, PastStep, Target
from provenance.readings import Readings
from provenance.records import Records
from provenance.rows import statement_rows
from provenance.taints import CLEARED, TAINTED, Taint, taints
from provenance.taints import InForce as TaintsInForce
from provenance.taking import fill, recorded_rows, take_in
from provenance.work import Leftover, Work

_log = logging.getLogger(__name__)

_NEAREST_OF = 32
"""Actions tried for a step that are compared with a new one, to find the nearest."""


class Store:
    """An open store. Use `Store.open` or `Store.create`, and close it, best in a `with` block."""

    def __init__(self, path: Path, card: StoreCard, index: Index) -> None:
        self._path = path
        self._card = card
        self._index = index
        self._records = Records(path)
        self._work = Work(path)
        self._in_force = InForce(self.acceptances)
        self.objects = Objects(path)
        memos = Memos(index)
        self.files = Readings(memos, self.objects, writable=index.writable)
        """What is known of files by their times."""
        self._tainted: TaintsInForce | None = None
        self._importing = Importing(self._read_imports, self._records.imports)
        self._doubts = Doubts(lambda: self.tainted or None)
        self._shelves = Shelves(
            *(self._records, self.objects, memos, index.writable),
            dropped=self.dropped,
            stranger=lambda run: self.imports.doubt(run),
            indexed=lambda run: queries.record_digest_of(index, run),
            doubt=self._doubts.doubt,
        )

    @classmethod
    def create(cls, path: Path, *, terms: LeaseTerms | None = None) -> "Store":
        """Make an empty store and open it. Somebody else making it at the same time does no harm.

        Raises
        ------
        StoreExists
            There is a store already.
        ProvenanceError
            The file system cannot hold one.
        """
        path = Path(path)
        write_layout(path, terms or LeaseTerms())
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, create: bool = False) -> "Store":
        """Open a store; its index is brought up to date, or made again if it is missing or unreadable.

        Parameters
        ----------
        path : Path
            The store's directory. One that may not be written to is read without leaving a trace.
        create : bool
            Make it if there is none.

        Raises
        ------
        StoreMissing
            There is none, and none is to be made.
        StoreVersion
            A newer program wrote it.
        StoreDamaged
            Its `store.json` is unreadable.
        """
        path = Path(path)
        if create and not os.path.exists(path / "store.json"):  # noqa: PTH110 - false where we may not look
            with suppress(StoreExists):
                return cls.create(path)
        card = read_card(path)
        database = database_path(path, card.id, filesystem_of(path), os.environ)
        index = _open_index(database, Records(path), writable=os.access(path, os.W_OK))
        return cls(path, card, index)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database, and tidy away what was kept for runs to come."""
        self._work.close()
        marks.forget(self._path)
        self._index.close()

    @property
    def id(self) -> str:
        """The store's id: a UUID, the same wherever the directory is moved."""
        return self._card.id

    @property
    def path(self) -> Path:
        """The store's directory."""
        return self._path

    @property
    def records(self) -> Records:
        """The files that are the truth."""
        return self._records

    @property
    def index(self) -> Index:
        """The database, for those who check or rebuild it."""
        return self._index

    # Scratch of runs.

    def new_run_id(self) -> str:
        """Return a new UUID of version 7."""
        return new_run_id()

    def work(self, run: str) -> Path:
        """Make the scratch directory of a run, with `in/` and `out/`, on the file system of the objects.

        Raises
        ------
        StoreFull
            The disk is full.
        """
        return self._work.make(run)

    def discard_work(self, run: str, *, is_quiet: bool = False) -> None:
        """Remove the scratch directory of a run, or set it by for another one; see `Work.discard`."""
        self._work.discard(run, is_quiet=is_quiet)

    def keep_work(self, run: str) -> Path:
        """Leave the scratch directory of a run for a look, and return it."""
        return self._work.keep(run)

    def kept_work(self) -> tuple[str, ...]:
        """Return the runs whose scratch was kept on purpose."""
        return self._work.kept()

    def leftovers(self) -> tuple[Leftover, ...]:
        """Return the scratch of dead processes."""
        return self._work.leftovers()

    def sweep(self) -> tuple[Leftover, ...]:
        """Remove the scratch and the claims of dead processes, and return what the scratch was."""
        sweep_claims(self._path)
        return self._work.sweep()

    def claim(self, key: str, cancel: threading.Event | None = None) -> AbstractContextManager[bool]:
        """Hold the claim on an action; gives whether somebody else had it first. See `claims.claim`."""
        return claim(self._path, key, self._card.terms, cancel)

    # Writing.

    def put_action(self, action: Action) -> str:
        """Write an action unless it is there, and return its key."""
        return self._records.put_action(action)

    def commit(self, action: Action, run: Run) -> None:
        """Write a run's record, and with it make its outcome known; then index it.

        Parameters
        ----------
        action : Action
            What was run.
        run : Run
            How it went; its outputs, extras and log are in `objects` already.

        Raises
        ------
        RecordRefused
            The run is of another action, a file it names is not in the store, or it is said to be
            successful and an expected output is missing.
        StoreFull
            The disk is full; nothing was committed.
        """
        self.check_agreement(action, run)
        self.put_action(action)
        digest = self._records.put_record(run)
        # Committed. What follows can be made again from the files, so its failure is not the run's.
        self.index_run(action, run, digest)

    def check_agreement(self, action: Action, run: Run) -> None:
        """Refuse a record that does not fit its action, or whose files are not there.

        Raises
        ------
        RecordRefused
            As `commit`.
        """
        if run.action != action.key:
            raise RecordRefused(f"run {run.run} is of action {short(run.action)}, not {short(action.key)}")
        for item in run.inputs:
            if not is_digest(item.digest):
                raise RecordRefused(f"run {run.run} names input {item.name} by {item.digest!r}, no digest")
        for digest, size in run.artifacts:
            if not self.objects.has(digest, size):
                raise RecordRefused(f"run {run.run} names object {short(digest)}, which is not in the store")
        if run.is_success:
            _check_outputs(action, run, f"run {run.run} is said to be successful and")

    def index_run(self, action: Action, run: Run, record_digest: str) -> None:
        """Put a recorded run into the index, now or soon; see `Index.insert_late`."""
        rows = recorded_rows(action, run, record_digest)
        self._index.insert_late(queries.topic_of(run.stage, run.unit), rows, f"run {run.run}")

    def take_in(self) -> None:
        """Put into the index what others recorded since it was opened, if it can be written."""
        _take_in(self._index, self._records)

    def statement(self, kind: str, body: object) -> Statement:
        """Keep what a person or a check said, for good.

        Parameters
        ----------
        kind : str
            A word such as `passport` or `verdict`.
        body : object
            A JSON value without floats; it should hold its own time.
        """
        statement = self._records.put_statement(kind, body)
        try:
            self._index.insert(statement_rows(statement))
        except (StoreDamaged, StoreFull, StoreLocked) as error:
            _log.warning("statement %s is not yet in the index: %s", short(statement.digest), error.message)
        self.forget_statements()
        return statement

    def forget_statements(self) -> None:
        """Read again what was said when next asked: something was."""
        self._in_force.forget()
        self._tainted = None
        self._doubts.forget()
        self._importing.forget()

    def record_invocation(self, invocation: Invocation) -> Statement:
        """Keep how one call of the command went."""
        return self.statement("invocation", invocation.document())

    def accept(
        self, action: Action, run: Run, step: str, differences: tuple[str, ...], reason: str
    ) -> Acceptance:
        """Let the outcome of an earlier run stand for that of an action, because a person says so.

        Parameters
        ----------
        action : Action
            The new one; it holds for this key and for no other.
        run : Run
            The earlier run, of another action.
        step : str
            `stage:unit`.
        differences : tuple of str
            In what the two differ, in words.
        reason : str
            Why that does not matter.

        Raises
        ------
        RecordRefused
            The run is no success, was not made for its products, or lacks a product the action is to make.
        """
        if not run.is_success or run.purpose is not Purpose.RUN:
            raise RecordRefused(f"run {run.run} ({run.purpose.value}, {run.status.value}) cannot be accepted")
        _check_outputs(action, run, f"run {run.run}, which is to be accepted,")
        key = self.put_action(action)
        said = Accepted(key, run.run, run.action, step, differences, reason, _now())
        statement = self.statement(ACCEPTED, said.document())
        return Acceptance(statement.digest, said)

    def revoke(self, acceptance: Acceptance, reason: str) -> Acceptance:
        """Take an acceptance back: from now on it is a miss again."""
        said = Revoked(acceptance.statement, reason, _now())
        self.statement(REVOKED, said.document())
        return Acceptance(acceptance.statement, acceptance.said, said)

    def acceptances(self) -> tuple[Acceptance, ...]:
        """Return all acceptances, oldest first, those taken back among them."""
        return acceptances(self.statements(ACCEPTED), self.statements(REVOKED))

    def pin(self, digest: str, tag: str, name: str, *, step: str, reason: str) -> Pin:
        """Keep an artifact from being pruned.

        Parameters
        ----------
        digest : str
            The artifact.
        tag, name, step : str
            What it is to a reader: its tag and name, and `stage:unit` of the run that made it.
        reason : str
            Why; may be empty.
        """
        said = Pinned(digest, tag, name, step, reason, _now())
        return Pin(self.statement(PINNED, said.document()).digest, said)

    def unpin(self, pin: Pin, reason: str) -> Pin:
        """Take a pin out: from now on it keeps nothing."""
        said = Unpinned(pin.statement, reason, _now())
        self.statement(UNPINNED, said.document())
        return Pin(pin.statement, pin.said, said)

    def pins(self) -> tuple[Pin, ...]:
        """Return all pins, oldest first, those taken out among them."""
        return pins(self.statements(PINNED), self.statements(UNPINNED))

    def taints(self) -> tuple[Taint, ...]:
        """Return all taints, oldest first, those cleared among them."""
        tainted = self._said(TAINTED)
        return taints(tainted, self._said(CLEARED), self.imports.statements) if tainted else ()

    @property
    def tainted(self) -> TaintsInForce:
        """The taints that hold; read once, and false if there are none."""
        if self._tainted is None:
            self._tainted = TaintsInForce(self.taints(), self.action)
        return self._tainted

    def dropped(self) -> dict[str, tuple[Dropped, DroppedObject]]:
        """Return what was said last of each object that was ever pruned, whether it is there again or not."""
        return newest_of(self.statements(PRUNED))

    # What was imported, and what is believed of it.

    @property
    def imports(self) -> Imports:
        """What bundles brought, as it is now."""
        return self._importing()

    def trust(self, runs: Iterable[Run], how: How, reason: str, evidence: str = "") -> Trust:
        """Vouch for imported runs: from now on a lookup believes them as it does those made here.

        Parameters
        ----------
        runs : iterable of Run
            Those meant; what they were made from is not vouched for with them.
        how : How
            What is behind it.
        reason, evidence : str
            See `Trusted`.
        """
        said = Trusted(tuple(run.run for run in runs), how, reason, evidence, _now())
        return Trust(self.statement(TRUSTED, said.document()).digest, said)

    def distrust(self, trust: Trust, reason: str) -> Trust:
        """Take trust back: what it spoke for is a miss again, unless something else does."""
        said = Distrusted(trust.statement, reason, _now())
        self.statement(DISTRUSTED, said.document())
        return Trust(trust.statement, trust.said, said)

    def trusts(self) -> tuple[Trust, ...]:
        """Return all that was ever vouched for, oldest first, what was taken back among it."""
        return trusts_of(self.statements(TRUSTED), self.statements(DISTRUSTED))

    def _read_imports(self) -> Imports:
        try:
            imported = [self._records.statement(digest) for digest in self._records.imports()]
        except StoreMissing as error:
            raise StoreDamaged(
                f"what was imported is not known: {error.message}", "import the bundle again, from its file"
            ) from error
        return imports_of(imported, self._said(TRUSTED), self._said(DISTRUSTED))

    # Reading.

    def lookup(self, key: str) -> Lookup:
        """Return the run whose outcome is believed for an action, or the reason why there is none.

        Notes
        -----
        A run of the action itself comes first, then one of another that a person accepted in its place.
        """
        found = look_up(self._shelves, key)
        accepted = None if found.is_hit else self._in_force.of(key)
        return found if accepted is None else look_up_accepted(self._shelves, accepted, found)

    def run(self, run_id: str) -> Run:
        """Return a run.

        Raises
        ------
        UnknownReference
            There is none of that id.
        StoreDamaged
            Its record is unreadable.
        """
        key = queries.key_of(self._index, run_id)
        if key is None:
            raise UnknownReference(f"no run {run_id} in the store")
        return self._records.record(key, run_id)[0]

    def action(self, key: str) -> Action:
        """Return an action.

        Raises
        ------
        StoreMissing
            There is none of that key.
        StoreDamaged
            Its file is unreadable.
        """
        return self._records.action(key)

    def runs(
        self, stage: str | None = None, unit: str | None = None, key: str | None = None, limit: int = -1
    ) -> tuple[Run, ...]:
        """Return runs, newest first; those of a stage, a unit or an action if given, at most so many."""
        return self.load(queries.select_runs(self._index, stage=stage, unit=unit, key=key, limit=limit))

    def newest_runs(
        self, stage: str, *, successful: bool = False, recipe: str | None = None
    ) -> tuple[Run, ...]:
        """Return the newest run of each unit of a stage, ours before imported; as `queries.select_newest`."""
        found = self.load(queries.select_newest(self._index, stage, successful=successful, recipe=recipe))
        if not self.imports.runs:
            return found
        return tuple(self._ours(run, successful=successful, recipe=recipe) for run in found)

    def _ours(self, newest: Run, *, successful: bool, recipe: str | None) -> Run:
        """Return the newest run of a step that somebody vouches for, in place of one that nobody does."""
        if not self.imports.doubt(newest):
            return newest
        runs = self.runs(newest.stage, newest.unit)
        ours = (
            run
            for run in runs
            if run.purpose is Purpose.RUN
            and (run.is_success or not successful)
            and not self.imports.doubt(run)
            and (recipe is None or self.action(run.action).recipe == recipe)
        )
        return next(ours, newest)

    def past_steps(self, stage: str, unit: str) -> tuple[PastStep, ...]:
        """Return what the calls of the command did with a step, newest first."""
        return queries.select_past_steps(self._index, stage, unit)

    def last_run(self, stage: str, unit: str) -> Run | None:
        """Return the newest run of a stage's unit whose record can be read."""
        names = queries.select_runs(self._index, stage=stage, unit=unit, limit=1)
        found = self.load(names)
        if names and not found:
            found = self.load(queries.select_runs(self._index, stage=stage, unit=unit))
        return found[0] if found else None

    def attempts(self, stage: str, unit: str, *, before: str | None = None) -> tuple[Attempt, ...]:
        """Return the actions that were tried for a stage's unit, the last first; before a run, if given."""
        return queries.select_attempts(self._index, stage, unit, before=before, limit=_NEAREST_OF)

    def costs(self, stage: str, out_of_memory: str, limit: int) -> tuple[PastCost, ...]:
        """Return what the newest runs of a stage took; see `provenance.costs`."""
        return select_costs(self._index, stage, out_of_memory, limit)

    def runs_making(self, digest: str) -> tuple[Run, ...]:
        """Return the runs that made an artifact: newest first, but those nobody vouches for last."""
        return self.imports.ours_first(self.load(queries.select_makers(self._index, digest)))

    def runs_reading(self, digest: str) -> tuple[Run, ...]:
        """Return the runs that read an artifact, newest first."""
        return self.load(queries.select_readers(self._index, digest))

    def files_named(self, name: str) -> tuple[KnownFile, ...]:
        """Return the files that runs read or made under a name, products first."""
        return queries.select_files_named(self._index, name)

    def files_of_data(self, data_digest: str) -> tuple[KnownFile, ...]:
        """Return the files of a data digest, products first."""
        return queries.select_files_of_data(self._index, data_digest)

    def products_of(self, tag: str, limit: int) -> tuple[KnownFile, ...]:
        """Return the newest products of a tag, at most so many."""
        return queries.select_products_of(self._index, tag, limit)

    def resolve(self, reference: str) -> tuple[Target, ...]:
        """Return what a reference means, at most one thing of each kind. See `queries.resolve`."""
        return queries.resolve(self._index, reference)

    def invocations(self) -> tuple[Invocation, ...]:
        """Return all calls of the command, newest first."""
        return tuple(self._invocations("1", ()))

    def last_invocation(self, workspace: str | None = None) -> Invocation | None:
        """Return the newest call of the command, in a workspace if given."""
        where, values = ("workspace = ?", (workspace,)) if workspace is not None else ("1", ())
        return next(self._invocations(where, values), None)

    def statements(self, kind: str) -> tuple[Statement, ...]:
        """Return all statements of a kind that were said here, by digest; see `brought`."""
        foreign = self.imports.statements
        return tuple(said for said in self._said(kind) if said.digest not in foreign)

    def brought(self, kind: str) -> tuple[Statement, ...]:
        """Return the statements of a kind that bundles brought, by digest: others said them, elsewhere.

        Notes
        -----
        They are for people to read, and for what proves itself, such as a signature. They may add a doubt,
        and must never take one away.
        """
        foreign = self.imports.statements
        return tuple(said for said in self._said(kind) if said.digest in foreign)

    def _said(self, kind: str) -> tuple[Statement, ...]:
        rows = self._index.read("SELECT digest, body FROM statement WHERE kind = ? ORDER BY digest", (kind,))
        return tuple(Statement(digest, kind, json.loads(body)) for digest, body in rows)

    def all_statements(self, *, but: Iterable[str] = ()) -> tuple[Statement, ...]:
        """Return all statements but those of some kinds, by digest."""
        left_out = tuple(but)
        places = ",".join("?" * len(left_out))
        sql = f"SELECT digest, kind, body FROM statement WHERE kind NOT IN ({places}) ORDER BY digest"
        rows = self._index.read(sql, left_out)
        return tuple(Statement(digest, kind, json.loads(body)) for digest, kind, body in rows)

    def _invocations(self, where: str, values: tuple[str, ...]) -> Iterator[Invocation]:
        sql = (
            "SELECT body FROM statement JOIN invocation ON statement.digest = invocation.statement"
            f" WHERE {where} ORDER BY invocation_id DESC"
        )
        return (Invocation.from_document(json.loads(body)) for (body,) in self._index.read(sql, values))

    def load(self, names: Iterable[queries.RunName]) -> tuple[Run, ...]:
        """Read records by action key and run id; one that is gone or unreadable is passed over.

        `check` names it.
        """
        found = []
        for key, run in names:
            try:
                found.append(self._records.record(key, run)[0])
            except (StoreMissing, StoreDamaged) as error:
                _log.info("run %s is passed over: %s", run, error.message)
        return tuple(found)


def _check_outputs(action: Action, run: Run, who: str) -> None:
    for expected in action.outputs:
        made = sum(output.tag == expected.tag for output in run.outputs)
        if made < expected.least:
            raise RecordRefused(f"{who} made {made} {expected.tag} of {expected.least} at least")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _open_index(database: Path, records: Records, *, writable: bool) -> Index:
    """Open the index and bring it up to date; where that cannot be written down, in memory."""
    try:
        index = Index(database, lambda index: fill(index, records), writable=writable)
    except (StoreFull, StoreLocked) as error:
        if not writable:
            raise
        _log.warning("%s; the index is kept in memory", error.message)
        return _open_index(database, records, writable=False)
    _take_in(index, records)
    return index


def _take_in(index: Index, records: Records) -> None:
    try:
        take_in(index, records)
    except (StoreFull, StoreLocked) as error:
        _log.warning("the index lags behind the records: %s", error.message)
