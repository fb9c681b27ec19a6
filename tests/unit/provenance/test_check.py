"""All damage is found and named, and nothing is changed by looking."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import a_run, an_action, commit, move_change_time, overwrite, product, tree

from provenance.check import Damage, DamageKind, Progress, check, examine, remarks
from provenance.digest import digest_bytes
from provenance.errors import short
from provenance.identity import this_process
from provenance.model import Run
from provenance.store import Store
from provenance.verified import CARRIED_ON_NS, Verified

BIAS = digest_bytes(b"bias")
WHAT = f"object {short(BIAS)}"

Harm = Callable[[Store, Run], None]


def bias_path(store: Store, run: Run) -> Path:
    return store.objects.path(run.outputs[0].digest)


def record_path(store: Store, run: Run) -> Path:
    return store.records.record_path(run.action, run.run)


def remove_object(store: Store, run: Run) -> None:
    bias_path(store, run).unlink()


def edit_object(store: Store, run: Run) -> None:
    overwrite(bias_path(store, run), b"BIAS")


def truncate_object(store: Store, run: Run) -> None:
    overwrite(bias_path(store, run), b"")


def make_object_writable(store: Store, run: Run) -> None:
    bias_path(store, run).chmod(0o644)


def make_object_a_link(store: Store, run: Run) -> None:
    path = bias_path(store, run)
    path.rename(store.path / "moved")
    path.symlink_to(store.path / "moved")


def garble_record(store: Store, run: Run) -> None:
    overwrite(record_path(store, run), b"{")


def edit_record(store: Store, run: Run) -> None:
    path = record_path(store, run)
    overwrite(path, path.read_bytes().replace(b'"unit":"night"', b'"unit":"Night"'))


def move_record(store: Store, run: Run) -> None:
    target = record_path(store, run).with_name("01930000-0000-7000-8000-000000000001.json")
    record_path(store, run).rename(target)


def remove_record(store: Store, run: Run) -> None:
    record_path(store, run).unlink()


def remove_action(store: Store, run: Run) -> None:
    store.records.action_path(run.action).unlink()


def edit_action(store: Store, run: Run) -> None:
    path = store.records.action_path(run.action)
    overwrite(path, path.read_bytes().replace(b'"vpoly"', b'"mean!"'))


def edit_statement(store: Store, run: Run) -> None:
    statement = store.statement("pin", {"name": "paper"})
    overwrite(store.records.statement_path(statement.digest), b"{}")


def forget_journal(store: Store) -> None:
    """Make it as if all was recorded days ago: what is newer, a check puts into the index."""
    shutil.rmtree(store.path / "journal")


def drop_rows(store: Store, run: Run) -> None:
    store.index.insert([("DELETE FROM run", ())])
    forget_journal(store)


def record_beside_the_index(store: Store, run: Run) -> None:
    run_id = store.new_run_id()
    later = a_run(an_action(), run_id, outputs=(product(store, run_id, b"bias"),))
    store.records.put_record(later)
    store.discard_work(run_id)
    forget_journal(store)


def add_foreign_file(store: Store, run: Run) -> None:
    (store.path / "objects" / "notes.txt").write_text("mine")


CASES: list[tuple[Harm, set[tuple[DamageKind, str]]]] = [
    (remove_object, {(DamageKind.MISSING, f"{WHAT} of run RUN is missing")}),
    (edit_object, {(DamageKind.EDITED, f"{WHAT} was edited")}),
    (truncate_object, {(DamageKind.TRUNCATED, f"{WHAT} was truncated")}),
    (make_object_writable, {(DamageKind.MODE, f"{WHAT} has mode 0644, not 0444")}),
    (make_object_a_link, {(DamageKind.MODE, f"{WHAT} is not a regular file")}),
    (
        garble_record,
        {
            (DamageKind.RECORD, "RECORD is not JSON: "),
            (DamageKind.INDEX, "record of run RUN is in the index, and its file is gone or unreadable"),
        },
    ),
    (edit_record, {(DamageKind.INDEX, "record of run RUN was edited after it was indexed")}),
    (
        move_record,
        {
            (DamageKind.RECORD, "holds the record of run RUN"),
            (DamageKind.INDEX, "record of run RUN is in the index, and its file is gone or unreadable"),
        },
    ),
    (
        remove_record,
        {(DamageKind.INDEX, "record of run RUN is in the index, and its file is gone or unreadable")},
    ),
    (
        remove_action,
        {
            (DamageKind.ACTION, "action ACTION of run RUN is missing"),
            (DamageKind.INDEX, "action KEY is in the index, and its file is gone or unreadable"),
        },
    ),
    (edit_action, {(DamageKind.RECORD, ".json was edited: it holds ")}),
    (edit_statement, {(DamageKind.RECORD, "was edited: it holds ")}),
    (drop_rows, {(DamageKind.INDEX, "record of run RUN is not in the index; run `clio reindex`")}),
    (record_beside_the_index, {(DamageKind.INDEX, "is not in the index; run `clio reindex`")}),
    (add_foreign_file, {(DamageKind.FOREIGN, "objects/notes.txt is not ours")}),
]


@pytest.mark.parametrize(("harm", "expected"), CASES, ids=[case[0].__name__ for case in CASES])
def test_damage_is_named_and_nothing_is_changed(
    store: Store, harm: Harm, expected: set[tuple[DamageKind, str]]
) -> None:
    run = commit(store, an_action(), b"bias")
    assert check(store) == ()
    harm(store, run)
    before = tree(store.path)

    found = check(store)

    texts = {
        (kind, text.replace("RUN", run.run).replace("KEY", run.action).replace("ACTION", short(run.action)))
        for kind, text in expected
    }
    texts = {(kind, text.replace("RECORD", str(record_path(store, run)))) for kind, text in texts}
    assert len(found) == len(texts)
    assert all(
        any(damage.kind is kind and text in damage.message for kind, text in texts) for damage in found
    )
    assert tree(store.path) == before
    assert check(store) == found


def test_an_empty_store_is_sound(store: Store) -> None:
    assert check(store) == check(store, deep=True) == ()
    assert remarks(store) == ()


def test_an_edit_that_put_size_and_time_back_is_seen(store: Store, tmp_path: Path) -> None:
    run = commit(store, an_action(), b"bias")
    path = bias_path(store, run)
    before = path.stat()
    move_change_time(path, tmp_path / "link")
    overwrite(path, b"BIAS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert check(store) == check(store, deep=True)
    assert check(store) == (Damage(DamageKind.EDITED, BIAS, f"{WHAT} was edited"),)


def test_an_object_without_a_record_is_no_damage(store: Store) -> None:
    """Promise 1: what a killed process published is invisible, and there for the next."""
    store.objects.put_bytes(b"orphan")

    assert check(store, deep=True) == ()


def test_damage_is_listed_in_a_stable_order(store: Store) -> None:
    for number in range(5):
        run = commit(store, an_action(spec=number), b"%04d" % number)
        (remove_object if number % 2 else edit_object)(store, run)

    found = check(store)
    assert [damage.kind for damage in found] == ["edited"] * 3 + ["missing"] * 2
    assert list(found) == sorted(found, key=lambda damage: (damage.kind, damage.subject))


def test_a_deep_check_tells_how_far_it_is(store: Store) -> None:
    commit(store, an_action(), b"bias", b"more!")
    seen: list[Progress] = []

    check(store, deep=True, listen=seen.append)
    assert [(progress.files, progress.of_files, progress.of_bytes) for progress in seen] == [
        (1, 2, 9),
        (2, 2, 9),
    ]
    assert seen[-1].bytes == 9


def test_what_looks_as_it_did_is_read_by_a_deep_check_only(store: Store) -> None:
    commit(store, an_action(), b"bias", b"more!")

    assert (examine(store).read_files, examine(store, deep=True).read_files) == (0, 2)


def test_a_file_that_looks_otherwise_is_read_once_and_remembered(store: Store, tmp_path: Path) -> None:
    run = commit(store, an_action(), b"bias")
    move_change_time(bias_path(store, run), tmp_path / "link")

    assert [examine(store).read_files for _ in range(2)] == [1, 0]


class Stop(Exception):
    """Whoever watched had enough."""


def stop_after(count: int) -> Callable[[Progress], None]:
    """Interrupt a check once so many objects were read."""

    def listen(progress: Progress) -> None:
        if progress.files == count:
            raise Stop

    return listen


def test_an_interrupted_deep_check_is_carried_on_where_it_was(store: Store) -> None:
    for number in range(10):
        commit(store, an_action(spec=number), b"%04d" % number)
    with pytest.raises(Stop):
        check(store, deep=True, listen=stop_after(6))

    carried_on = examine(store, deep=True)
    assert (carried_on.carried_on, carried_on.read_files) == (6, 4)
    anew = examine(store, deep=True)
    assert (anew.carried_on, anew.read_files) == (0, 10)


def test_damage_done_while_a_check_was_interrupted_is_found(store: Store) -> None:
    """What was read before counts only while it looks the same."""
    runs = [commit(store, an_action(spec=number), b"%04d" % number) for number in range(4)]
    with pytest.raises(Stop):
        check(store, deep=True, listen=stop_after(4))
    edit_object(store, runs[2])

    assert [damage.subject for damage in check(store, deep=True)] == [runs[2].outputs[0].digest]


def test_what_was_damaged_before_the_interruption_is_named_again(store: Store) -> None:
    runs = [commit(store, an_action(spec=number), b"%04d" % number) for number in range(4)]
    edit_object(store, runs[1])
    with pytest.raises(Stop):
        check(store, deep=True, listen=stop_after(4))

    assert [damage.subject for damage in check(store, deep=True)] == [runs[1].outputs[0].digest]


def test_a_deep_check_reads_first_what_was_read_longest_ago(store: Store) -> None:
    runs = [commit(store, an_action(spec=number), b"%04d" % number) for number in range(3)]
    digests = [run.outputs[0].digest for run in runs]
    at = time.time_ns() - 10**12
    for age, digest in enumerate(digests):
        store.index.insert([("INSERT INTO verified VALUES (?,?)", (digest, at - age))])
    with pytest.raises(Stop):
        check(store, deep=True, listen=stop_after(1))

    verified = Verified(store.index).times()
    assert max(verified, key=verified.__getitem__) == digests[2]


def test_a_check_forgotten_for_a_week_begins_anew(store: Store) -> None:
    commit(store, an_action(), b"bias")
    with pytest.raises(Stop):
        check(store, deep=True, listen=stop_after(1))
    long_ago = str(time.time_ns() - CARRIED_ON_NS - 1)
    store.index.insert([("UPDATE meta SET value = ? WHERE name = 'deep_check_began'", (long_ago,))])

    assert examine(store, deep=True).read_files == 1


def test_each_kind_of_damage_has_a_bit_of_its_own_and_they_add_up(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    make_object_writable(store, run)
    add_foreign_file(store, run)

    assert [kind.bit for kind in DamageKind] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert examine(store).status == DamageKind.MODE.bit + DamageKind.FOREIGN.bit == 72


def test_what_is_there_is_counted(store: Store) -> None:
    for number in range(5):
        commit(store, an_action(spec=number), b"%04d" % number)
    found = examine(store)

    assert (found.objects, found.runs, found.actions, found.statements) == (5, 5, 5, 0)


def test_a_damaged_object_that_was_made_again_is_no_damage_any_more(store: Store) -> None:
    """Promise 4."""
    run = commit(store, an_action(), b"bias")
    edit_object(store, run)
    store.lookup(run.action)
    commit(store, an_action(), b"bias")

    assert check(store, deep=True) == ()
    assert [remark.message.partition("~")[0] for remark in remarks(store)] == [f"damaged/{BIAS[7:]}"]


def test_an_object_whose_action_now_gives_other_bytes_is_a_remark(store: Store) -> None:
    """A recipe that is not the same twice leaves an old name without bytes, and a later run is believed."""
    run = commit(store, an_action(), b"bias")
    remove_object(store, run)
    assert [damage.kind for damage in check(store)] == [DamageKind.MISSING]
    commit(store, an_action(), b"bias, made again")

    assert check(store) == ()
    assert [remark.message for remark in remarks(store)] == [
        f"{WHAT} of run {run.run} is gone; a later run took its place"
    ]


def test_what_dead_processes_left_and_what_was_kept_are_remarks(store: Store) -> None:
    kept = store.new_run_id()
    store.work(kept)
    store.keep_work(kept)
    dead = f"{str(this_process()).replace(str(os.getpid()), '4194305', 1)}~partial"
    (store.path / "tmp" / dead).write_bytes(b"half")
    store.work(store.new_run_id())  # of a live process: nothing to say

    assert check(store) == ()
    assert [remark.message for remark in remarks(store)] == [
        f"work/{kept} was kept for a look",
        f"tmp/{dead} was left by a process that died; the next run sweeps it",
    ]
