"""Several processes on one store, some of them killed (promise 1)."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_worker import PRODUCTS, action, make

from provenance.check import check, reindex, remarks
from provenance.store import Store

WORKER = Path(__file__).with_name("store_worker.py")
ACTIONS = 16


def start(store: Path, seed: int, how: str) -> subprocess.Popen[str]:
    argv = [sys.executable, str(WORKER), str(store), str(seed), str(ACTIONS), how]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def finish(workers: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for all to end by themselves, without an error; return what they said."""
    said = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(workers)
    return said


def assert_whole(path: Path) -> None:
    """Every action known, everything sound, nothing half done lying about, the index as good as new."""
    with Store.open(path) as store:
        store.sweep()
        assert check(store, deep=True) == ()
        assert all(store.lookup(action(number).key).is_hit for number in range(ACTIONS))
        assert len(list(store.objects.iterate())) == ACTIONS * (PRODUCTS + 1)
        assert list((path / "work").iterdir()) == []
        assert [remark for remark in remarks(store) if "claimed" not in remark.message] == []
        before = store.index.dump()
        reindex(store)
        assert store.index.dump() == before


def test_processes_racing_for_the_same_actions_all_succeed(tmp_path: Path) -> None:
    """Promise 1."""
    finish([start(tmp_path / "store", seed, "races") for seed in range(5)])

    assert_whole(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        assert len(store.runs()) == 5 * ACTIONS


def test_processes_with_claims_make_each_action_once(tmp_path: Path) -> None:
    """Promise 1: one runs, the others wait and find a hit."""
    said = finish([start(tmp_path / "store", seed, "claims") for seed in range(4)])

    assert sorted(int(number) for text in said for number in text.split()) == list(range(ACTIONS))
    assert_whole(tmp_path / "store")


@pytest.mark.parametrize("how", ["races", "claims"])
def test_processes_killed_at_any_instant_leave_a_sound_store(tmp_path: Path, how: str) -> None:
    """Promise 1: whole or not at all; the next run carries on."""
    dice = random.Random(7)
    workers = [start(tmp_path / "store", seed, how) for seed in range(5)]
    killed = 0
    deadline = time.monotonic() + 120
    # Beginning takes a worker some tenths of a second, so that a good part of these hit the middle of it.
    while killed < 24 and time.monotonic() < deadline:
        time.sleep(dice.uniform(0.05, 0.4))
        victim = dice.randrange(len(workers))
        if workers[victim].poll() is None:
            workers[victim].send_signal(signal.SIGKILL)
            killed += 1
        workers[victim].communicate()
        workers[victim] = start(tmp_path / "store", 100 + killed, how)

    finish(workers)
    assert killed == 24
    assert_whole(tmp_path / "store")


def test_a_claim_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from provenance.store import Store\n"
        "with Store.open(Path(sys.argv[1])) as store, store.claim(sys.argv[2]):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    with Store.create(tmp_path / "store") as store:
        key = action(0).key
        argv = [sys.executable, "-c", script, str(store.path), key]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            holder.kill()
        began = time.monotonic()
        with store.claim(key):
            assert time.monotonic() - began < 5


STEPS = ("scratch", "product", "object", "action", "record", "index", "tidy")


@pytest.mark.parametrize("last", range(len(STEPS) + 1), ids=("nothing", *STEPS))
def test_a_process_killed_between_two_steps_leaves_a_sound_store(tmp_path: Path, last: int) -> None:
    """Promise 1: after each step of a publication the store is sound, and its outcome whole or absent."""
    path = tmp_path / "store"
    Store.create(path).close()
    child = os.fork()
    if child == 0:
        try:
            publish_in_steps(path, last)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL

    with Store.open(path) as store:
        known_before = store.lookup(action(0).key).is_hit
        damage_before = check(store, deep=True)
        swept = store.sweep()
        run = make(store, action(0))

        assert damage_before == ()
        assert known_before == (last >= STEPS.index("record") + 1)
        scratch = [item for item in swept if item.kind == "work"]
        assert len(scratch) == (1 if STEPS.index("scratch") < last <= STEPS.index("index") + 1 else 0)
        # The file that entries of the journal are names of lives as long as its process.
        assert len(swept) - len(scratch) == (last > STEPS.index("record"))
        assert store.lookup(action(0).key).run == run
        assert check(store, deep=True) == ()
        assert remarks(store) == ()
    assert list((path / "tmp").iterdir()) == []


def publish_in_steps(path: Path, last: int) -> None:
    """Do the first steps of `store_worker.make` and `Store.commit`, and no more."""
    import hashlib

    from provenance.model import OutputFile, Run, Status

    store = Store.open(path)
    wanted, run_id = action(0), store.new_run_id()
    product = path / "work" / run_id / "out" / "MASTER_BIAS_0.fits"
    outputs: list[OutputFile] = []

    def publish_objects() -> None:
        for number in range(PRODUCTS):
            product.write_bytes(hashlib.sha256(b"0 %d" % number).digest() * 1024)
            stored = store.objects.put(product)
            outputs.append(OutputFile("MASTER_BIAS", product.name, stored.digest, size=stored.size))
            product.unlink()

    def run() -> Run:
        return Run(
            run=run_id,
            action=wanted.key,
            status=Status.OK,
            exit_status=0,
            started="2026-11-22T09:00:00.000Z",
            outputs=tuple(outputs),
        )

    steps = {
        "scratch": lambda: store.work(run_id),
        "product": lambda: product.write_bytes(b"half a product"),
        "object": publish_objects,
        "action": lambda: store.put_action(wanted),
        "record": lambda: store.records.put_record(run()),
        "index": lambda: store.index_run(wanted, run(), store.records.record(wanted.key, run_id)[1]),
        "tidy": lambda: store.discard_work(run_id),
    }
    for name in STEPS[:last]:
        steps[name]()
