"""Scratch: made, kept, swept. And the names of processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provenance.identity import Owner, new_run_id, this_process
from provenance.store import Store

DEAD_PID = 4194305
"""One more than any Linux gives."""


def disown(store: Store, run: str, **changes: object) -> None:
    """Write another owner into a scratch directory."""
    mine = this_process()
    owner = Owner(**({"host": mine.host, "boot": mine.boot, "pid": mine.pid, "start": mine.start} | changes))  # type: ignore[arg-type]
    (store.path / "work" / run / "owner").write_text(str(owner))


def test_work_has_room_for_inputs_and_outputs(store: Store) -> None:
    work = store.work("01930000-0000-7000-8000-000000000001")

    assert work == store.path / "work" / "01930000-0000-7000-8000-000000000001"
    assert sorted(path.name for path in work.iterdir() if path.is_dir()) == ["in", "out"]


def test_discarded_work_is_gone_whatever_a_recipe_left_in_it(store: Store) -> None:
    work = store.work("run")
    locked = work / "out" / "locked"
    locked.mkdir()
    (locked / "file").write_bytes(b"")
    (work / "out" / "link").symlink_to("/nowhere")
    locked.chmod(0)

    store.discard_work("run")
    store.discard_work("run")

    assert list((store.path / "work").iterdir()) == []


def inodes(work: Path) -> list[int]:
    return [path.stat().st_ino for path in (work, work / "in", work / "out")]


def test_scratch_of_a_run_that_ended_well_serves_the_next_one_empty(store: Store) -> None:
    first = store.work("first")
    before = inodes(first)
    for name in ("in", "out"):
        (first / name / "frames.sof").write_text("what the next run writes anew, if it is of its inputs")
        (first / name / "product.fits").write_bytes(b"product")
    store.discard_work("first", is_quiet=True)
    assert list((store.path / "work").iterdir()) == []

    second = store.work("second")

    assert inodes(second) == before
    assert [[path.name for path in (second / name).iterdir()] for name in ("in", "out")] == [
        ["frames.sof"],
        [],
    ]
    assert (second / "owner").read_text() == str(this_process())


def _leave_folder(work: Path) -> None:
    (work / "out" / "folder").mkdir()


def _close(work: Path) -> None:
    (work / "out").chmod(0o500)


def _add(work: Path) -> None:
    (work / "kept").touch()


def _list_folder(work: Path) -> None:
    (work / "in" / "frames.sof").mkdir()


def _replace(work: Path) -> None:
    (work / "out").rmdir()
    (work / "out").symlink_to(work / "in")


def test_a_link_in_place_of_the_set_of_frames_is_not_written_through(store: Store, tmp_path: Path) -> None:
    work = store.work("first")
    (work / "in" / "frames.sof").symlink_to(tmp_path / "somebody's")
    store.discard_work("first", is_quiet=True)

    assert list((store.work("second") / "in").iterdir()) == []


@pytest.mark.parametrize("spoil", [_leave_folder, _list_folder, _close, _add, _replace])
def test_scratch_that_is_odd_serves_nobody_again(store: Store, spoil: Callable[[Path], None]) -> None:
    first = store.work("first")
    spoil(first)
    store.discard_work("first", is_quiet=True)

    assert list((store.path / "tmp").iterdir()) == []
    assert inodes(store.work("second"))
    assert sorted(path.name for path in (store.path / "work" / "second").iterdir()) == ["in", "out", "owner"]


def test_scratch_set_by_goes_with_the_store_and_with_its_process(store: Store) -> None:
    """Promise 1: nothing is left that nobody takes away."""
    store.work("first")
    store.discard_work("first", is_quiet=True)
    assert len(list((store.path / "tmp").iterdir())) == 1
    assert store.sweep() == ()  # its owner lives
    store.close()
    assert list((store.path / "tmp").iterdir()) == []

    script = (
        "import sys; from pathlib import Path; from provenance.store import Store\n"
        "store = Store.open(Path(sys.argv[1])); store.work('a'); store.discard_work('a', is_quiet=True)\n"
        "with store.claim('0' * 64): pass"
    )
    subprocess.run([sys.executable, "-c", script, str(store.path)], check=True)
    assert list((store.path / "tmp").iterdir()) == []


def test_a_child_does_not_take_its_parents_scratch(store: Store) -> None:
    store.work("first")
    store.discard_work("first", is_quiet=True)
    child = os.fork()
    if child == 0:
        store.work("of the child")
        os._exit(0)
    os.waitpid(child, 0)

    owner = (store.path / "work" / "of the child" / "owner").read_text()
    assert owner.partition(".")[0] == str(child)
    assert [item.name for item in store.leftovers() if item.kind == "work"] == ["of the child"]


def test_a_sweep_takes_the_scratch_of_the_dead_and_leaves_that_of_the_living(store: Store) -> None:
    """Promise 1."""
    for run in ("alive", "dead", "kept", "rebooted", "recycled", "elsewhere"):
        store.work(run)
    disown(store, "dead", pid=DEAD_PID)
    disown(store, "kept", pid=DEAD_PID)
    disown(store, "rebooted", boot="0" * 32)
    disown(store, "recycled", start=1)
    disown(store, "elsewhere", host="another-host", pid=DEAD_PID)
    store.keep_work("kept")

    swept = store.sweep()

    assert [(item.kind, item.name) for item in swept] == [
        ("work", "dead"),
        ("work", "rebooted"),
        ("work", "recycled"),
    ]
    assert sorted(path.name for path in (store.path / "work").iterdir()) == ["alive", "elsewhere", "kept"]
    assert store.kept_work() == ("kept",)


def test_a_sweep_takes_partial_files_of_the_dead_only(store: Store) -> None:
    mine = str(this_process())
    dead = mine.replace(str(os.getpid()), str(DEAD_PID), 1)
    for name in (f"{mine}~a", f"{dead}~b", "who knows"):
        (store.path / "tmp" / name).write_bytes(b"half")

    assert [item.name for item in store.sweep()] == [f"{dead}~b"]
    assert sorted(path.name for path in (store.path / "tmp").iterdir()) == sorted([f"{mine}~a", "who knows"])


def test_scratch_half_removed_by_the_dead_is_swept(store: Store) -> None:
    """Promise 1: what is to be removed is renamed first, so that it still tells whose it was."""
    half = store.path / "tmp" / f"{str(this_process()).replace(str(os.getpid()), str(DEAD_PID), 1)}~half"
    (half / "out" / "deep").mkdir(parents=True)

    assert [item.name for item in store.sweep()] == [half.name]
    assert list((store.path / "tmp").iterdir()) == []


def test_nothing_is_swept_from_an_empty_store(store: Store) -> None:
    assert store.sweep() == ()


def test_a_process_is_alive_until_it_ends() -> None:
    script = "from provenance.identity import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        owner = Owner.from_text(child.stdout.readline().strip())
        assert owner is not None
        assert owner.pid == child.pid
        assert not owner.is_dead()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert owner.is_dead()  # a zombie owns nothing
    assert owner.is_dead()


def test_an_owner_reads_back_from_its_word() -> None:
    mine = this_process()

    assert Owner.from_text(str(mine)) == mine
    assert not mine.is_dead()
    assert "/" not in str(mine) and "~" not in str(mine)


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3", "a.2.b.c", "1.b.c.d", "1.2..d"])
def test_other_words_name_no_owner(text: str) -> None:
    assert Owner.from_text(text) is None


def test_run_ids_sort_by_time_and_never_repeat() -> None:
    ids = [new_run_id() for _ in range(20_000)]

    assert ids == sorted(set(ids))
    assert all(id_[14] == "7" and id_[19] in "89ab" and len(id_) == 36 for id_ in ids)


def test_importing_the_store_brings_nothing_heavy_along() -> None:
    heavy = {"sqlite_utils", "numpy", "astropy", "docker", "rfc8785"}
    script = "import sys, provenance.store, provenance.check, provenance.lineage; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert heavy & set(done.stdout.split()) == set()


def test_scratch_that_cannot_be_removed_stays_for_the_next_sweep(store: Store) -> None:
    """It is no reason to fail, least of all when a failure is being tidied up."""
    work = store.work("run")
    scratch = store.path / "tmp"
    scratch.rename(store.path / "elsewhere")

    store.discard_work("run")

    assert work.is_dir()
    (store.path / "elsewhere").rename(scratch)
    store.discard_work("run")
    assert not work.exists()
