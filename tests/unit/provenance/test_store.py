"""The store: created, opened, committed to, asked."""

import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from stored import RAW, a_run, an_action, commit, product, tree

from provenance.claims import LeaseTerms, claimed
from provenance.errors import (
    ProvenanceError,
    RecordRefused,
    StoreDamaged,
    StoreExists,
    StoreMissing,
    StoreVersion,
    UnknownReference,
)
from provenance.layout import read_card
from provenance.memo import MemoEntry
from provenance.model import ExpectedOutput, InputFile, Invocation, Purpose, Status, StepOutcome
from provenance.store import Store, _open_index


def invocation(store: Store, **changes: object) -> Invocation:
    id_ = store.new_run_id()
    call = Invocation(id_, "2026-11-22T09:00:00.000Z", None, ("clio", "run"), "0.1.0", "/galaxy", 0)
    return replace(call, **changes)  # type: ignore[arg-type]


def test_a_store_says_what_it_is(tmp_path: Path) -> None:
    with Store.create(tmp_path / "deep" / "store", terms=LeaseTerms(60, 6)) as store:
        card = json.loads((store.path / "store.json").read_text())

        assert card["type"] == "clio-store"
        assert (card["version"], card["digest"], card["id"]) == (1, "sha256", store.id)
        assert (card["lease_s"], card["beat_s"]) == (60, 6)


def test_a_store_keeps_its_id_when_it_moves(tmp_path: Path) -> None:
    with Store.create(tmp_path / "here") as store:
        before = store.id
        run = commit(store, an_action(), b"bias")
    (tmp_path / "here").rename(tmp_path / "there")

    with Store.open(tmp_path / "there") as moved:
        assert (moved.id, moved.lookup(run.action).run) == (before, run)


def test_opening_nothing_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing) as caught:
        Store.open(tmp_path / "store")

    assert (caught.value.message, caught.value.hint) == (
        f"no store at {tmp_path / 'store'}",
        "make one with `clio init`",
    )


def test_opening_may_create_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", create=True) as first:
        id_ = first.id
    with Store.open(tmp_path / "store", create=True) as second:
        assert second.id == id_


def test_creating_over_a_store_is_refused(store: Store) -> None:
    with pytest.raises(StoreExists):
        Store.create(store.path)


@pytest.mark.parametrize("change", [{"version": 2}, {"digest": "sha512"}])
def test_a_store_of_another_format_is_refused(store: Store, change: dict[str, object]) -> None:
    rewrite_card(store, change)

    with pytest.raises(StoreVersion, match="this program knows format 1, digest sha256"):
        Store.open(store.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "something else"}', '{"type": "clio-store"'])
def test_a_damaged_card_is_named(store: Store, text: str) -> None:
    (store.path / "store.json").chmod(0o644)
    (store.path / "store.json").write_text(text)

    with pytest.raises(StoreDamaged, match=r"store\.json"):
        Store.open(store.path)


def test_a_committed_run_is_known_and_found_by_all_its_names(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    digest = run.outputs[0].digest

    assert store.lookup(run.action).run == run
    assert store.run(run.run) == run
    assert store.action(run.action) == an_action()
    assert store.runs() == store.runs(stage="bias") == store.runs(unit="night") == store.runs(key=run.action)
    assert store.last_run("bias", "night") == run
    assert store.runs_making(digest) == (run,)
    assert store.runs_reading(RAW) == (run,)
    assert store.runs_reading(digest) == store.runs(stage="flat") == ()
    assert store.last_run("flat", "night") is None


def test_runs_come_newest_first(store: Store) -> None:
    made = [commit(store, an_action(), b"bias", unit=f"night-{number}") for number in range(5)]

    assert store.runs() == tuple(reversed(made))
    assert store.last_run("bias", "night-2") == made[2]


def test_an_unknown_run_is_said_to_be_so(store: Store) -> None:
    with pytest.raises(UnknownReference, match="no run 0193 in the store"):
        store.run("0193")


def test_a_run_of_another_action_is_refused(store: Store) -> None:
    run = a_run(an_action(spec=2), store.new_run_id(), status=Status.FAILED)

    with pytest.raises(RecordRefused, match="is of action"):
        store.commit(an_action(), run)
    assert store.lookup(an_action(spec=2).key).reason == "never run"


def test_a_record_without_its_bytes_is_refused(store: Store) -> None:
    """Promise 1: no record without its bytes."""
    run_id = store.new_run_id()
    output = product(store, run_id, b"bias")
    store.objects.path(output.digest).unlink()

    with pytest.raises(RecordRefused, match="which is not in the store"):
        store.commit(an_action(), a_run(an_action(), run_id, outputs=(output,)))
    assert list(store.records.iterate_records()) == []


def test_a_record_of_another_size_than_its_bytes_is_refused(store: Store) -> None:
    run_id = store.new_run_id()
    output = replace(product(store, run_id, b"bias"), size=5)

    with pytest.raises(RecordRefused):
        store.commit(an_action(), a_run(an_action(), run_id, outputs=(output,)))


def test_success_without_every_expected_product_is_refused(store: Store) -> None:
    """Promise 11."""
    action = an_action(outputs=(ExpectedOutput("MASTER_BIAS", 2),))

    with pytest.raises(RecordRefused, match="made 1 MASTER_BIAS of 2 at least"):
        commit(store, action, b"bias")


def test_a_failed_run_may_lack_products(store: Store) -> None:
    """Promise 6."""
    run = commit(store, an_action(), status=Status.FAILED, exit_status=1, reason="no fit for IFU 7")

    assert store.runs() == (run,)
    assert store.lookup(run.action).reason == "failed before: no fit for IFU 7"


def test_an_input_that_is_named_by_no_digest_is_refused(store: Store) -> None:
    with pytest.raises(RecordRefused, match="no digest"):
        commit(store, an_action(), b"bias", inputs=(InputFile("BIAS", "raw.fits", "raw.fits"),))


def test_committing_the_same_record_twice_is_once(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    store.commit(an_action(), run)

    assert store.runs() == (run,)


def test_a_record_is_never_rewritten(store: Store) -> None:
    run = commit(store, an_action(), b"bias")

    with pytest.raises(StoreDamaged, match="has a record already"):
        store.commit(an_action(), replace(run, warnings=3))
    assert store.run(run.run).warnings == 0


def test_the_same_work_elsewhere_leaves_the_same_files_but_for_run_and_store_ids(tmp_path: Path) -> None:
    """Promise 2."""
    trees = []
    for name in ("one", "two"):
        with Store.create(tmp_path / name) as store:
            commit(store, an_action(), b"bias")
            trees.append(tree(store.path))

    kept = [{n: data for n, data in files.items() if n.startswith(("objects", "actions"))} for files in trees]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 2


def test_many_threads_commit_at_once(store: Store) -> None:
    actions = [an_action(spec=number) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda action: commit(store, action, b"bias", b"%d" % action.spec), actions))

    assert set(store.runs()) == set(runs)
    assert all(store.lookup(action.key).is_hit for action in actions)


def test_an_invocation_is_kept_with_its_steps(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    steps = (StepOutcome("bias", "night", "muse_bias", run.action, run.run, "ran", ("never run",)),)
    call = invocation(store, steps=steps)
    store.record_invocation(call)

    assert store.invocations() == (call,)
    assert store.last_invocation() == store.last_invocation("/galaxy") == call
    assert store.last_invocation("/elsewhere") is None


def test_invocations_come_newest_first(store: Store) -> None:
    calls = [invocation(store, workspace=f"/galaxy/{number % 2}") for number in range(4)]
    for call in calls:
        store.record_invocation(call)

    assert store.invocations() == tuple(reversed(calls))
    assert store.last_invocation("/galaxy/0") == calls[2]


def test_a_statement_said_twice_is_one(store: Store) -> None:
    first = store.statement("passport", {"recipe": "muse_bias", "threads": [1, 2]})
    again = store.statement("passport", {"threads": [1, 2], "recipe": "muse_bias"})

    assert store.statements("passport") == (first,)
    assert first == again
    assert store.statements("pin") == ()


def test_what_another_process_committed_is_known_without_opening_again(store: Store) -> None:
    with Store.open(store.path) as other:
        run = commit(other, an_action(), b"bias")

    assert store.lookup(run.action).run == run
    assert store.runs() == (run,)


def test_an_index_that_missed_a_commit_takes_it_in_at_the_next_opening(store: Store) -> None:
    """Promise 1: killed between record and index, nothing is lost."""
    run_id = store.new_run_id()
    run = a_run(an_action(), run_id, outputs=(product(store, run_id, b"bias"),))
    store.put_action(an_action())
    store.records.put_record(run)
    statement = store.records.put_statement("pin", {"name": "paper"})

    assert store.runs() == ()
    with Store.open(store.path) as again:
        assert again.runs() == (run,)
        assert again.statements("pin") == (statement,)


def test_a_journal_entry_without_its_record_is_no_news(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 1: killed just before the commit point, nothing is there."""
    name = f"{store.new_run_id()}.{an_action().key}"
    day = store.path / "journal" / "20261122"
    day.mkdir()
    (day / name).touch()

    with caplog.at_level(logging.WARNING), Store.open(store.path) as again:
        assert again.runs() == ()
    assert caplog.records == []


def test_a_run_is_found_long_after_the_journal_went_on(store: Store) -> None:
    """An index that last looked weeks ago takes in all days since."""
    run_id = store.new_run_id()
    run = a_run(an_action(), run_id, outputs=(product(store, run_id, b"bias"),))
    store.put_action(an_action())
    store.records.put_record(run)
    (today,) = (store.path / "journal").iterdir()
    for later in ("29990101", "29990102", "29990103"):
        (today.parent / later).mkdir()

    with Store.open(store.path) as again:
        assert again.runs() == (run,)


def test_a_store_that_may_not_be_written_to_is_read_without_a_trace(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    store.close()
    before = sorted(path for path in store.path.rglob("*"))

    with reading_only(store) as reader:
        assert reader.lookup(run.action).run == run
        assert reader.runs() == (run,)
        reader.files.memoize(MemoEntry(Path(__file__).stat(), "sha256:a", time.time_ns()))
    assert sorted(store.path.rglob("*")) == before


def test_reading_without_a_trace_takes_in_what_the_index_lacks(store: Store) -> None:
    run_id = store.new_run_id()
    run = a_run(an_action(), run_id, outputs=(product(store, run_id, b"bias"),))
    store.put_action(an_action())
    store.records.put_record(run)

    with reading_only(store) as reader:
        assert reader.runs() == (run,)


def test_a_failure_of_the_index_is_not_the_failure_of_a_commit(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 8: the record stands, whatever happens to the database."""
    run_id = store.new_run_id()
    outputs = (product(store, run_id, b"bias"),)
    run = a_run(an_action(), run_id, outputs=outputs, caveats=("a long remark " * 20_000,))
    store.index.read("PRAGMA max_page_count = 1")  # as if its disk were full

    with caplog.at_level(logging.WARNING):
        store.commit(an_action(), run)

    assert "is recorded but not yet in the index" in caplog.text
    with Store.open(store.path) as again:
        assert again.runs() == (run,)


def test_replays_and_imports_are_kept_beside(store: Store) -> None:
    first = commit(store, an_action(), b"bias")
    replay = commit(store, an_action(), b"other", purpose=Purpose.REPLAY)

    assert store.runs() == (replay, first)
    assert store.lookup(first.action).run == first


def test_a_claim_through_the_store_is_on_its_terms(tmp_path: Path) -> None:
    with Store.create(tmp_path / "store", terms=LeaseTerms(60, 6)) as store:
        with store.claim("a" * 64, threading.Event()) as waited:
            assert waited is False
            assert claimed(store.path) == ("a" * 64,)
        assert claimed(store.path) == ()


def test_every_error_has_one_base() -> None:
    assert issubclass(StoreMissing, ProvenanceError)


def reading_only(store: Store) -> Store:
    """Open a store as somebody who may not write to it; root may everything, so it is said outright."""
    index = _open_index(store.index.path, store.records, writable=False)
    return Store(store.path, read_card(store.path), index)


def rewrite_card(store: Store, change: dict[str, object]) -> None:
    path = store.path / "store.json"
    card = json.loads(path.read_text()) | change
    path.chmod(0o644)
    path.write_text(json.dumps(card))
