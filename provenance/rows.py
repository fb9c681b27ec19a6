"""Values to rows of the index. Pure: what is to be inserted, not where."""

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from provenance.digest import compact_json, digest_bytes
from provenance.model import Action, Invocation, Run, Statement

Row = tuple[str, tuple[object, ...]]
"""A statement of SQL and its parameters."""

_ARTIFACT = """INSERT INTO artifact VALUES (?,?,?) ON CONFLICT(digest) DO UPDATE SET
  size = coalesce(size, excluded.size), data_digest = coalesce(data_digest, excluded.data_digest)
  WHERE size IS NULL OR data_digest IS NULL"""
"""What is known is not written again: a static that every step reads would cost each of them a page."""


_TABLES = "artifact parameters action run run_input run_output qc statement invocation step"
_ORDER = {name: position for position, name in enumerate(_TABLES.split())}
"""Tables, those that others refer to first."""


def by_table(rows: Iterable[Row]) -> list[tuple[str, list[tuple[object, ...]]]]:
    """Put rows together that go into one table, in an order in which what is referred to is there.

    What is the same in several steps, as the statics are that all of them read, is put in once.
    """
    found: dict[str, dict[tuple[object, ...], None]] = {}
    for sql, parameters in rows:
        found.setdefault(sql, {})[parameters] = None
    return sorted(((sql, list(each)) for sql, each in found.items()), key=lambda item: _place(item[0]))


@cache
def _place(sql: str) -> int:
    """Give the place of the table a statement inserts into; what refers to nothing comes last."""
    return _ORDER.get(sql.partition(" INTO ")[2].split(maxsplit=1)[0], len(_ORDER))


def action_rows(key: str, action: Action) -> Iterator[Row]:
    """Yield the rows of an action; inserting them again changes nothing."""
    digest, body = _parameters(action.parameters)
    yield _insert("parameters", (digest, body))
    fixed = (key, action.recipe, action.spec, action.image, action.platform, action.numerics)
    yield _insert("action", (*fixed, digest))


def run_rows(run: Run, record_digest: str) -> Iterator[Row]:
    """Yield the rows of a run and of the artifacts it read and made; inserting them again changes nothing."""
    for item in run.inputs:
        yield _ARTIFACT, (item.digest, item.size, item.data_digest)
    for output in run.outputs:
        yield _ARTIFACT, (output.digest, output.size, output.data_digest)
    for extra in run.extras:
        yield _ARTIFACT, (extra.digest, extra.size, None)
    if run.log is not None:
        yield _ARTIFACT, (run.log, None, None)
    yield _insert("run", _run_columns(run, record_digest))
    for position, item in enumerate(run.inputs):
        yield _insert("run_input", (run.run, position, item.tag, item.name, item.digest, item.seen_at))
    yield from _output_rows(run)


def statement_rows(statement: Statement) -> Iterator[Row]:
    """Yield the rows of a statement; an invocation is also kept step by step."""
    yield _insert("statement", (statement.digest, statement.kind, compact_json(statement.body)))
    if statement.kind == "invocation":
        yield from _invocation_rows(Invocation.from_document(statement.body), statement.digest)


def _invocation_rows(call: Invocation, digest: str) -> Iterator[Row]:
    times = (
        call.started,
        call.ended,
        compact_json(call.argv),
        call.clio_version,
        call.workspace,
        call.exit_status,
    )
    yield _insert("invocation", (call.invocation, digest, *times))
    for position, step in enumerate(call.steps):
        place = (call.invocation, position, step.stage, step.unit, step.recipe, step.action, step.run)
        yield _insert("step", (*place, step.outcome, _texts(step.why)))


def _run_columns(run: Run, record_digest: str) -> tuple[object, ...]:
    how = (
        run.run,
        run.action,
        run.purpose.value,
        run.status.value,
        int(run.is_success),
        run.cause,
        run.reason,
    )
    what = (run.stage, run.unit, run.exit_status, run.signal)
    when = (run.started, run.ended, run.clock_mode, run.clock_at)
    cost = (run.wall_ms, run.cpu_user_ms, run.cpu_system_ms, run.peak_memory_bytes, run.read_bytes)
    where = (run.written_bytes, run.threads, dict(run.engine).get("name"), dict(run.host).get("name"))
    said = (run.log, run.warnings, run.errors, _texts(run.caveats), run.invocation, record_digest)
    return how + what + when + cost + where + said


def _output_rows(run: Run) -> Iterator[Row]:
    for position, output in enumerate(run.outputs):
        yield _insert("run_output", (run.run, position, output.tag, output.name, output.digest, 0))
        for keyword, value in output.qc:
            yield _insert("qc", (run.run, position, keyword, value, _number(value)))
    for position, extra in enumerate(run.extras, start=len(run.outputs)):
        yield _insert("run_output", (run.run, position, "", extra.name, extra.digest, 1))


@lru_cache(maxsize=256)
def _parameters(parameters: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Give the digest and the text of all parameters of an action; most actions of a stage share them."""
    body = compact_json(dict(parameters))
    return digest_bytes(body.encode()), body


def _insert(table: str, values: tuple[object, ...]) -> Row:
    return _insertion(table, len(values)), values


@cache
def _insertion(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({','.join('?' * columns)}) ON CONFLICT DO NOTHING"


def _number(token: str) -> float | None:
    # For ordering and plotting only; the token as it stands in the card is beside it. NaN is no number
    # to SQLite.
    try:
        number = float(token)
    except ValueError:
        return None
    return number if number == number else None


@lru_cache(maxsize=1024)
def _texts(values: tuple[str, ...]) -> str:
    # A night's thousand steps have the same reasons, call after call.
    return compact_json(values)
