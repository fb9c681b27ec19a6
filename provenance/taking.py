"""From the files into the index: everything at a rebuild, what is new at each opening."""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

from provenance.errors import ProvenanceError, RecordRefused, StoreMissing
from provenance.index import Index
from provenance.model import Action, Run
from provenance.records import Entry, Records
from provenance.rows import Row, action_rows, run_rows, statement_rows

_DAYS_BACK = 2
"""Days read again before the watermark: hosts disagree about midnight, and clocks about more."""
_WATERMARK = "journal_day"

_BATCH = 200
"""Files whose rows are inserted at once."""
_File = tuple[str, list[Row]]
"""What a file is called in messages, and its rows."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def fill(index: Index, records: Records) -> None:
    """Put every record, its action and every statement into empty tables; what is unreadable is logged.

    Notes
    -----
    An action nobody recorded a run of is left out: whoever wrote it died before his run came to anything.
    """
    _fill_with(index, (_rows_of_record(records, *name) for name in records.iterate_records()))
    _fill_with(index, (_rows_of_statement(records, digest) for digest in records.iterate_statements()))
    _set_watermark(index, records.days())


def take_in(index: Index, records: Records) -> None:
    """Put into the index what the journal's last days name and it lacks.

    Notes
    -----
    An action is looked for with its first run. A name without a file is of a process that died between
    the two, or that is right there now; it is looked for again next time.
    """
    days = records.days(since=_first_day(index, records))
    missing = _unknown(index, {entry for day in days for entry in records.noted(day)})
    if not missing and not _is_behind(index, days):
        return
    with index.writing():
        for entry in sorted(missing):
            if entry.key:
                _take_in_record(index, records, entry.key, entry.name)
            else:
                _take_in_statement(index, records, f"sha256:{entry.name}")
        _set_watermark(index, days)


def recorded_rows(action: Action, run: Run, record_digest: str) -> Iterator[Row]:
    """Yield the rows of one run and of its action."""
    yield from action_rows(run.action, action)
    yield from run_rows(run, record_digest)


def _fill_with(index: Index, files: Iterable[_File]) -> None:
    """Insert the rows of many files, a batch at a time; if one of a batch is refused, one by one."""
    files = iter(files)
    while batch := list(islice(files, _BATCH)):
        try:
            index.insert_many(chain.from_iterable(rows for _, rows in batch))
        except RecordRefused:
            for what, rows in batch:
                _insert(index, what, rows)


def _take_in_record(index: Index, records: Records, key: str, run_id: str) -> None:
    _insert(index, *_rows_of_record(records, key, run_id))


def _take_in_statement(index: Index, records: Records, digest: str) -> None:
    _insert(index, *_rows_of_statement(records, digest))


def _rows_of_record(records: Records, key: str, run_id: str) -> _File:
    """Return the rows of a run and of its action; none if its record cannot be read."""
    what = f"run {run_id}"
    found = _read(f"record of {what}", lambda: records.record(key, run_id))
    if found is None:
        return what, []
    action = _read(f"action {key}", lambda: records.action(key))
    run, digest = found
    return what, list(run_rows(run, digest) if action is None else recorded_rows(action, run, digest))


def _rows_of_statement(records: Records, digest: str) -> _File:
    what = f"statement {digest}"
    return what, _read(what, lambda: list(statement_rows(records.statement(digest)))) or []


def _read(what: str, read: Callable[[], T]) -> T | None:
    """Read one file; one that is unreadable is named and skipped, one that is not there is no news."""
    try:
        return read()
    except StoreMissing:
        return None
    except ProvenanceError as error:
        _log.warning("%s is not in the index: %s", what, error.message)
        return None


def _insert(index: Index, what: str, rows: Iterable[Row]) -> None:
    try:
        index.insert(rows)
    except RecordRefused as error:
        _log.warning("%s is not in the index: %s", what, error.message)


def _unknown(index: Index, entries: set[Entry]) -> set[Entry]:
    # Ids begin with the time, so that runs older than any named need not be read.
    first = min((entry.name for entry in entries if entry.key), default="~")
    indexed = {run for (run,) in index.read("SELECT run_id FROM run WHERE run_id >= ?", (first,))}
    indexed |= {digest.removeprefix("sha256:") for (digest,) in index.read("SELECT digest FROM statement")}
    return {entry for entry in entries if entry.name not in indexed}


def _first_day(index: Index, records: Records) -> str:
    mark = _watermark(index)
    earlier = [day for day in records.days() if day <= mark]
    return earlier[-_DAYS_BACK] if len(earlier) >= _DAYS_BACK else ""


def _is_behind(index: Index, days: tuple[str, ...]) -> bool:
    return bool(days) and days[-1] != _watermark(index)


def _watermark(index: Index) -> str:
    rows = index.read("SELECT value FROM meta WHERE name = ?", (_WATERMARK,))
    return str(rows[0][0]) if rows else ""


def _set_watermark(index: Index, days: tuple[str, ...]) -> None:
    if days:
        index.insert([("INSERT OR REPLACE INTO meta VALUES (?,?)", (_WATERMARK, days[-1]))])
