"""A process that makes the same actions as its brothers, over and over; to be killed at any instant.

Usage: store_worker.py STORE SEED ACTIONS claims|races
"""

import hashlib
import random
import sys
from collections.abc import Callable
from pathlib import Path

from provenance.model import Action, ActionInput, ExpectedOutput, InputFile, OutputFile, Run, Status
from provenance.store import Store

PRODUCTS = 3


def action(number: int) -> Action:
    """The same for all workers."""
    content = "fits1:" + hashlib.sha256(b"raw %d" % number).hexdigest()
    return Action(
        "muse_bias",
        number,
        "sha256:" + "1" * 64,
        "linux/amd64",
        (("nifu", str(number)),),
        (("TZ", "UTC"),),
        (ActionInput("BIAS", f"raw{number}.fits", content),),
        (ExpectedOutput("MASTER_BIAS", PRODUCTS),),
        "pinned",
    )


def make(store: Store, wanted: Action, before_publishing: Callable[[], object] = lambda: None) -> Run:
    """Run an action, so to speak: products of a few pages, hashed, published, recorded."""
    run_id = store.new_run_id()
    out = store.work(run_id) / "out"
    paths = [out / f"MASTER_BIAS_{number}.fits" for number in range(PRODUCTS)]
    for number, path in enumerate(paths):
        path.write_bytes(hashlib.sha256(b"%d %d" % (wanted.spec, number)).digest() * 1024)
    before_publishing()
    outputs = []
    for path in paths:
        stored = store.objects.put(path)
        outputs.append(OutputFile("MASTER_BIAS", path.name, stored.digest, size=stored.size))
    raw = "sha256:" + hashlib.sha256(b"raw %d" % wanted.spec).hexdigest()
    run = Run(
        run=run_id,
        action=wanted.key,
        status=Status.OK,
        exit_status=0,
        started="2026-11-22T09:00:00.000Z",
        stage="bias",
        unit=f"ifu {wanted.spec}",
        inputs=(InputFile("BIAS", f"raw{wanted.spec}.fits", raw),),
        outputs=tuple(outputs),
        log=store.objects.put_bytes(b"log of %d" % wanted.spec).digest,
    )
    store.commit(wanted, run)
    store.discard_work(run_id)
    return run


def main(path: str, seed: str, count: str, how: str) -> None:
    """Make every action once, in an order of our own; say which ones we made."""
    numbers = list(range(int(count)))
    random.Random(int(seed)).shuffle(numbers)
    with Store.open(Path(path), create=True) as store:
        store.sweep()
        for number in numbers:
            wanted = action(number)
            if how == "races":
                make(store, wanted)
                continue
            with store.claim(wanted.key):
                if not store.lookup(wanted.key).is_hit:
                    make(store, wanted)
                    sys.stdout.write(f"{number}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
