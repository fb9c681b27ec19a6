"""Hits that are verified, and misses with their reasons (promise 4)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import an_action, commit, overwrite

from provenance.digest import digest_bytes
from provenance.errors import short
from provenance.model import ExpectedOutput, ExtraFile, Purpose, Run, Status
from provenance.store import Store

BIAS = short(digest_bytes(b"bias"))


def object_path(store: Store, run: Run) -> Path:
    return store.objects.path(run.outputs[0].digest)


def remove(path: Path) -> None:
    path.unlink()


def edit(path: Path) -> None:
    overwrite(path, b"BIAS")


def edit_and_put_size_and_mode_back(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, b"X", 2)
    except OSError:
        path.chmod(0o644)
        path.write_bytes(b"biXs")
        path.chmod(0o444)
    finally:
        os.close(descriptor)


def truncate(path: Path) -> None:
    overwrite(path, b"bi")


def lengthen(path: Path) -> None:
    overwrite(path, b"biased")


def replace_by_link(path: Path) -> None:
    elsewhere = path.parent.parent.parent / "elsewhere"
    elsewhere.write_bytes(b"bias")
    path.unlink()
    path.symlink_to(elsewhere)


def test_a_record_that_was_edited_is_not_believed(store: Store) -> None:
    """Promise 4: it names another product, which is there and sound, and belongs to another action."""
    run = commit(store, an_action(), b"bias")
    other = commit(store, an_action(spec=7), b"BIAS")
    path = store.records.record_path(run.action, run.run)
    mine, theirs = (made.outputs[0].digest.encode() for made in (run, other))
    overwrite(path, path.read_bytes().replace(mine, theirs))

    found = store.lookup(run.action)

    assert (found.run, found.reason) == (None, f"the record of run {run.run} was edited after it was indexed")
    assert store.lookup(other.action).is_hit


def test_a_record_that_is_not_indexed_yet_is_believed(store: Store) -> None:
    """Promise 8: the index is disposable, and may lag."""
    run = commit(store, an_action(), b"bias")
    with store.index.writing():
        store.index.insert([("DELETE FROM run WHERE run_id = ?", (run.run,))])

    assert store.lookup(run.action).run == run


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove, f"object {BIAS} (MASTER_BIAS) is missing"),
        (edit, f"object {BIAS} (MASTER_BIAS) was edited"),
        (edit_and_put_size_and_mode_back, f"object {BIAS} (MASTER_BIAS) was edited"),
        (truncate, f"object {BIAS} (MASTER_BIAS) was truncated"),
        (lengthen, f"object {BIAS} (MASTER_BIAS) was edited"),
        (replace_by_link, f"object {BIAS} (MASTER_BIAS) was replaced by something that is no file"),
    ],
)
def test_a_damaged_object_is_a_miss_and_can_be_made_again(
    store: Store, damage: Callable[[Path], None], reason: str
) -> None:
    """Promise 4."""
    run = commit(store, an_action(), b"bias")
    assert store.lookup(run.action).is_hit
    damage(object_path(store, run))

    missed = store.lookup(run.action)
    again = commit(store, an_action(), b"bias")

    assert (missed.run, missed.reason) == (None, reason)
    assert store.lookup(run.action).run == again
    assert object_path(store, run).read_bytes() == b"bias"


def test_what_was_never_run_is_said_so(store: Store) -> None:
    assert store.lookup(an_action().key).reason == "never run"


def test_a_hit_says_nothing(store: Store) -> None:
    run = commit(store, an_action(), b"bias")

    assert store.lookup(run.action).reason == ""


def test_a_run_that_made_nothing_but_was_to_is_no_hit(store: Store) -> None:
    """Promise 11."""
    commit(store, an_action(), status=Status.FAILED, exit_status=0, cause="missing product")

    assert store.lookup(an_action().key).reason == "failed before: missing product"


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.OK, Status.CAVEAT)])
def test_runs_that_did_not_succeed_are_never_believed(store: Store, status: Status) -> None:
    commit(store, an_action(), b"bias", status=status)

    assert store.lookup(an_action().key).reason == f"failed before: {status.value}"


@pytest.mark.parametrize(
    ("purpose", "reason"),
    [
        (Purpose.REPLAY, "only replayed, never run for its products"),
        (Purpose.PASSPORT, "only run to measure the recipe"),
        (Purpose.IMPORT, "imported, and neither verified nor trusted"),
    ],
)
def test_only_runs_proper_are_believed(store: Store, purpose: Purpose, reason: str) -> None:
    """Promise 9, for imports."""
    commit(store, an_action(), b"bias", purpose=purpose)

    assert store.lookup(an_action().key).reason == reason


def test_a_later_failure_does_not_take_a_hit_away(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    commit(store, an_action(), status=Status.KILLED, exit_status=None)

    assert store.lookup(run.action).run == run


def test_the_newest_complete_success_is_believed(store: Store) -> None:
    first = commit(store, an_action(), b"bias")
    second = commit(store, an_action(), b"bias of another mood")

    assert store.lookup(first.action).run == second


def test_an_older_success_is_believed_when_the_newest_lost_its_bytes(store: Store) -> None:
    first = commit(store, an_action(), b"bias")
    second = commit(store, an_action(), b"other")
    object_path(store, second).unlink()

    assert store.lookup(first.action).run == first


def test_the_reason_is_that_of_the_success_not_of_a_later_failure(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    object_path(store, run).unlink()
    commit(store, an_action(), status=Status.KILLED, exit_status=None)

    assert store.lookup(run.action).reason == f"object {BIAS} (MASTER_BIAS) is missing"


def test_every_output_counts(store: Store) -> None:
    action = an_action(outputs=(ExpectedOutput("MASTER_BIAS", 24),))
    run = commit(store, action, *(bytes([number]) for number in range(24)))
    store.objects.path(run.outputs[17].digest).unlink()

    assert store.lookup(run.action).reason.endswith("(MASTER_BIAS) is missing")


def test_extras_count_and_the_log_does_not(store: Store) -> None:
    extra, log = store.objects.put_bytes(b"extra"), store.objects.put_bytes(b"log")
    extras = (ExtraFile("extra.txt", extra.digest, extra.size),)
    run = commit(store, an_action(), b"bias", extras=extras, log=log.digest)

    store.objects.path(log.digest).unlink()
    with_extra = store.lookup(run.action)
    store.objects.path(extra.digest).unlink()

    assert with_extra.is_hit
    assert store.lookup(run.action).reason == f"object {short(extra.digest)} (extra.txt) is missing"


def test_an_object_made_writable_but_left_alone_is_a_hit_and_read_only_again(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    object_path(store, run).chmod(0o644)

    assert store.lookup(run.action).is_hit
    assert object_path(store, run).stat().st_mode & 0o777 == 0o444


def test_an_object_that_was_touched_but_left_alone_is_a_hit(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    os.utime(object_path(store, run), (1, 1))

    assert store.lookup(run.action).is_hit
    assert store.files.remembers(run.outputs[0].digest, object_path(store, run).stat())


def test_an_object_linked_into_products_stays_remembered(store: Store, tmp_path: Path) -> None:
    """A link moves an object's change time; who makes it says so."""
    run = commit(store, an_action(), b"bias")
    with store.files.linking(run):
        (tmp_path / "product.fits").hardlink_to(object_path(store, run))

    assert store.files.remembers(run.outputs[0].digest, object_path(store, run).stat())


def test_a_commit_remembers_only_what_it_saw_hashed(store: Store) -> None:
    """An object edited long ago is not believed because a new record names it."""
    first = commit(store, an_action(), b"bias")
    edit(object_path(store, first))
    action = an_action(spec=2)
    store.commit(action, Run(**_fields(first, store, action.key)))

    assert not store.files.remembers(first.outputs[0].digest, object_path(store, first).stat())
    assert store.lookup(action.key).reason == f"object {BIAS} (MASTER_BIAS) was edited"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"type":"clio-record","version":1}', b"\xff\xfe"])
def test_an_unreadable_record_is_a_miss(store: Store, content: bytes) -> None:
    run = commit(store, an_action(), b"bias")
    overwrite(store.records.record_path(run.action, run.run), content)

    missed = store.lookup(run.action)
    again = commit(store, an_action(), b"bias")

    assert missed.reason.startswith(f"the record of run {run.run} cannot be used: ")
    assert store.lookup(run.action).run == again


def test_a_record_of_a_newer_version_is_a_miss(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    path = store.records.record_path(run.action, run.run)
    overwrite(path, path.read_bytes().replace(b'"version":1', b'"version":9'))

    assert "of version 9, and this program knows 1" in store.lookup(run.action).reason


def test_a_record_moved_to_another_key_is_a_miss(store: Store) -> None:
    """Promise 3: a record speaks for the action it names, wherever it lies."""
    run = commit(store, an_action(), b"bias")
    other = an_action(spec=2).key
    target = store.records.record_path(other, run.run)
    target.parent.mkdir(parents=True)
    store.records.record_path(run.action, run.run).rename(target)

    assert not store.lookup(other).is_hit
    assert store.lookup(run.action).reason == "never run"


def test_a_hit_needs_no_index(store: Store) -> None:
    """Promise 8."""
    run = commit(store, an_action(), b"bias")
    store.close()
    store.index.path.unlink()

    with Store.open(store.path) as again:
        assert again.lookup(run.action).run == run


def _fields(run: Run, store: Store, key: str) -> dict[str, object]:
    names = ("status", "started", "exit_status", "stage", "unit", "outputs")
    return {name: getattr(run, name) for name in names} | {"run": store.new_run_id(), "action": key}
