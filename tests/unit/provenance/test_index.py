"""The database: disposable, versioned, rebuilt (promise 8)."""

import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from stored import an_action, commit, overwrite

from provenance import schema
from provenance.check import check, reindex
from provenance.digest import digest_bytes
from provenance.errors import RecordRefused, StoreVersion
from provenance.filesystems import filesystem_of
from provenance.index import database_path
from provenance.model import (
    ActionInput,
    Choice,
    ExtraFile,
    InputFile,
    Invocation,
    OutputFile,
    Part,
    Status,
    StepOutcome,
)
from provenance.store import Store


def fill(store: Store) -> None:
    """One of everything the index knows."""
    log, extra = store.objects.put_bytes(b"log"), store.objects.put_bytes(b"extra")
    first = commit(
        store,
        an_action(),
        b"bias",
        b"more",
        log=log.digest,
        extras=(ExtraFile("extra.txt", extra.digest, extra.size),),
        choices=(Choice("BADPIX", "badpix.fits", 0, 0),),
        caveats=("undeclared output extra.txt",),
        engine=(("name", "docker"),),
        wall_ms=71300,
    )
    made = first.outputs[0]
    flat = an_action(
        recipe="muse_flat", inputs=(ActionInput("MASTER_BIAS", "bias.fits", made.digest),), outputs=()
    )
    stored = store.objects.put_bytes(b"flat")
    parts = (Part("DATA", "sha256:c", "sha256:d"),)
    output = OutputFile(
        "MASTER_FLAT",
        "flat.fits",
        stored.digest,
        "fits1:" + "3" * 64,
        parts,
        stored.size,
        (("ESO QC FLAT MEAN", "1.5E3"), ("ESO QC FLAT NAME", "'x'"), ("ESO QC FLAT BAD", "nan")),
    )
    second = commit(
        store,
        flat,
        stage="flat",
        inputs=(InputFile("MASTER_BIAS", "bias.fits", made.digest, None, made.size),),
        outputs=(output,),
    )
    commit(store, flat, status=Status.FAILED, exit_status=1, cause="recipe error", stage="flat", signal=None)
    steps = (
        StepOutcome("bias", "night", "muse_bias", first.action, first.run, "ran", ("never run",)),
        StepOutcome("flat", "night", "muse_flat", second.action, second.run, "hit"),
        StepOutcome("wave", "night", "muse_wavecal", None, None, "blocked", ("no TRACE_TABLE",)),
    )
    store.record_invocation(
        Invocation(store.new_run_id(), "2026", "2026", ("clio",), "0.1.0", "/galaxy", 4, steps)
    )
    store.statement("passport", {"recipe": "muse_bias"})


def answers(store: Store) -> tuple[object, ...]:
    return store.runs(), store.invocations(), store.statements("passport"), store.index.dump()


def test_a_deleted_index_comes_back_the_same(store: Store) -> None:
    """Promise 8."""
    fill(store)
    before = answers(store)
    store.close()
    for path in store.path.glob("provenance.db*"):
        path.unlink()

    with Store.open(store.path) as again:
        assert answers(again) == before


def test_reindex_gives_the_index_there_was(store: Store) -> None:
    """Promise 8."""
    fill(store)
    before = answers(store)

    reindex(store)

    assert answers(store) == before
    assert all(before[3][table] for table in before[3])  # type: ignore[index]


def test_reindex_keeps_the_memo(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    digest = run.outputs[0].digest

    reindex(store)

    assert store.files.remembers(digest, store.objects.path(digest).stat())


def test_reindex_forgets_what_the_files_do_not_say(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    store.records.record_path(run.action, run.run).unlink()

    reindex(store)

    assert store.runs() == ()


@pytest.mark.parametrize(
    "content", [b"", b"this is no database", b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 100_000]
)
def test_an_unreadable_index_is_made_again_by_itself(
    store: Store, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 8."""
    fill(store)
    before = answers(store)
    store.close()
    for path in store.path.glob("provenance.db-*"):
        path.unlink()
    store.index.path.write_bytes(content)

    with caplog.at_level(logging.INFO), Store.open(store.path) as again:
        assert answers(again) == before
    assert f"making {store.index.path} from the records" in caplog.text


def test_an_index_damaged_in_the_middle_is_mended_by_reindex(store: Store) -> None:
    fill(store)
    before = answers(store)
    store.close()
    content = bytearray(store.index.path.read_bytes())
    content[8192:20480] = b"\xa5" * 12288
    store.index.path.write_bytes(content)

    with Store.open(store.path) as again:
        reindex(again)

        assert answers(again) == before
        assert check(again) == ()


def test_an_index_that_lost_a_table_is_made_again(store: Store) -> None:
    fill(store)
    before = answers(store)
    store.close()
    with closing(sqlite3.connect(store.index.path)) as connection:
        connection.execute("DROP TABLE step")

    with Store.open(store.path) as again:
        assert answers(again) == before


def test_an_index_of_an_older_version_is_made_again(store: Store) -> None:
    fill(store)
    before = answers(store)
    store.close()
    with closing(sqlite3.connect(store.index.path)) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("CREATE TABLE relic (x)")

    with Store.open(store.path) as again:
        assert answers(again) == before


def test_an_index_of_a_newer_version_is_refused(store: Store) -> None:
    store.close()
    with closing(sqlite3.connect(store.index.path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(StoreVersion) as caught:
        Store.open(store.path)

    assert str(caught.value) == (
        f"{store.index.path} has tables of version 99, and this program knows {schema.VERSION}"
    )


def test_tables_that_another_program_made_anew_meanwhile_lose_no_run(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer clio is installed and used while this one runs."""
    with closing(sqlite3.connect(store.index.path)) as other, other:
        other.execute("ALTER TABLE action ADD COLUMN more TEXT")
        other.execute(f"PRAGMA user_version = {schema.VERSION + 1}")

    run = commit(store, an_action(), b"bias")

    assert f"run {run.run} is recorded but not yet in the index: another clio made" in caplog.text
    assert store.lookup(run.action).run == run


def test_a_mistake_in_our_own_sql_stays_what_it_is(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        store.index.read("SELECT no_such FROM run")


def test_a_record_the_tables_refuse_does_not_stop_a_rebuild(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    good = commit(store, an_action(), b"bias")
    bad = commit(store, an_action(), b"bias")
    path = store.records.record_path(bad.action, bad.run)
    overwrite(path, path.read_bytes().replace(digest_bytes(b"a raw frame").encode(), b"sha256:short"))

    reindex(store)

    assert store.runs() == (good,)
    assert f"run {bad.run} is not in the index: a row does not fit the index" in caplog.text


def test_rows_are_inserted_all_or_none(store: Store) -> None:
    good = ("INSERT INTO meta VALUES (?,?)", ("a", "b"))
    bad = ("INSERT INTO artifact VALUES (?,?,?)", ("no digest", 1, None))

    with pytest.raises(RecordRefused):
        store.index.insert([good, bad])

    assert store.index.read("SELECT * FROM meta WHERE name = 'a'") == []


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.index.writing():
        store.index.insert([("INSERT INTO meta VALUES (?,?)", ("a", "b"))])
        raise ZeroDivisionError

    assert store.index.read("SELECT * FROM meta WHERE name = 'a'") == []


def test_the_database_tells_what_it_is(store: Store) -> None:
    ((application,),) = store.index.read("PRAGMA application_id")
    ((version,),) = store.index.read("PRAGMA user_version")
    ((journal,),) = store.index.read("PRAGMA journal_mode")

    assert (application.to_bytes(4, "big"), version, journal) == (b"Clio", schema.VERSION, "wal")


def test_all_tables_are_strict(store: Store) -> None:
    rows = store.index.read(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
    )

    assert {name for name, strict in rows if not strict} == {"sqlite_schema"}


def test_figures_are_numbers_to_sort_by_and_tokens_to_believe(store: Store) -> None:
    fill(store)

    rows = store.index.read("SELECT keyword, value, number FROM qc ORDER BY keyword")
    assert rows == [
        ("ESO QC FLAT BAD", "nan", None),
        ("ESO QC FLAT MEAN", "1.5E3", 1500.0),
        ("ESO QC FLAT NAME", "'x'", None),
    ]


def test_the_view_upstream_walks_to_the_raw_frames(store: Store) -> None:
    fill(store)
    flat = store.last_run("flat", "night")
    assert flat is not None
    root = digest_bytes(b"flat")

    rows = store.index.read("SELECT depth, digest FROM upstream WHERE root = ? ORDER BY depth", (root,))
    assert rows == [(0, root), (1, digest_bytes(b"bias")), (2, digest_bytes(b"a raw frame"))]


def test_many_open_a_new_store_at_once(tmp_path: Path) -> None:
    def open_and_commit(number: int) -> str:
        with Store.open(tmp_path / "store", create=True) as store:
            return commit(store, an_action(spec=number), b"bias").run

    with ThreadPoolExecutor(6) as pool:
        runs = set(pool.map(open_and_commit, range(6)))

    with Store.open(tmp_path / "store") as store:
        assert {run.run for run in store.runs()} == runs
        assert check(store) == ()


@pytest.mark.parametrize(
    ("filesystem", "environment", "expected"),
    [
        ("ext4", {}, "/store/provenance.db"),
        ("tmpfs", {}, "/store/provenance.db"),
        ("fuseblk", {}, "/store/provenance.db"),
        ("nfs4", {"HOME": "/home/me"}, "/home/me/.local/state/clio/id.db"),
        ("lustre", {"HOME": "/home/me", "XDG_STATE_HOME": "/state"}, "/state/clio/id.db"),
        ("gpfs", {"HOME": "/home/me", "XDG_STATE_HOME": ""}, "/home/me/.local/state/clio/id.db"),
        ("fuse.sshfs", {"HOME": "/home/me"}, "/home/me/.local/state/clio/id.db"),
    ],
)
def test_the_database_of_a_network_store_is_on_local_disk(
    filesystem: str, environment: dict[str, str], expected: str
) -> None:
    assert database_path(Path("/store"), "id", filesystem, environment) == Path(expected)


def test_the_file_system_of_proc_is_proc() -> None:
    assert filesystem_of(Path("/proc")) == "proc"
