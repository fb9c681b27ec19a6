"""Small actions, runs and stores for the tests of the memory."""

from pathlib import Path
from typing import Any

from provenance.digest import digest_bytes
from provenance.model import Action, ActionInput, ExpectedOutput, InputFile, OutputFile, Run, Status
from provenance.store import Store

BIAS, FLAT, RAW_FRAME = b"a master bias", b"a master flat", b"a raw frame"
STARTED = "2026-11-22T09:00:00.000Z"
RAW = digest_bytes(RAW_FRAME)


def an_action(**changes: Any) -> Action:
    fields: dict[str, Any] = {
        "recipe": "muse_bias",
        "spec": 1,
        "image": "sha256:" + "1" * 64,
        "platform": "linux/amd64",
        "parameters": (("muse.muse_bias.nifu", "1"), ("muse.muse_bias.overscan", "vpoly")),
        "environment": (("LC_ALL", "C"), ("TZ", "UTC")),
        "inputs": (ActionInput("BIAS", "MUSE.2017-06-14T10:01:02.345.fits", "fits1:" + "2" * 64),),
        "outputs": (ExpectedOutput("MASTER_BIAS", 1),),
        "numerics": "pinned",
    }
    return Action(**(fields | changes))


def a_run(action: Action, run: str, **changes: Any) -> Run:
    fields: dict[str, Any] = {
        "run": run,
        "action": action.key,
        "status": Status.OK,
        "exit_status": 0,
        "started": STARTED,
        "stage": "bias",
        "unit": "night",
        "inputs": (InputFile("BIAS", "raw.fits", RAW, size=11, seen_at="/data/raw/raw.fits"),),
    }
    return Run(**(fields | changes))


def product(store: Store, run: str, content: bytes, tag: str = "MASTER_BIAS", **changes: Any) -> OutputFile:
    """Put a product into the store as a recipe leaves it, in the scratch of its run."""
    out = store.path / "work" / run / "out"
    if not out.is_dir():
        store.work(run)
    path = out / f"{tag}_{len(list(out.iterdir()))}.fits"
    path.write_bytes(content)
    stored = store.objects.put(path)
    return OutputFile(tag, path.name, stored.digest, size=stored.size, **changes)


def commit(store: Store, action: Action, *contents: bytes, tag: str = "MASTER_BIAS", **changes: Any) -> Run:
    """Run an action, so to speak: products in, record written, scratch gone."""
    run_id = store.new_run_id()
    outputs = tuple(product(store, run_id, content, tag) for content in contents)
    run = a_run(action, run_id, **({"outputs": outputs} | changes))
    store.commit(action, run)
    with store.files.linking(run):
        store.discard_work(run_id)
    return run


def overwrite(path: Path, content: bytes) -> None:
    """Write into a file that is not meant to be written to, as its owner or root can."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def move_change_time(path: Path, link: Path) -> None:
    """Make links until the clock of the file system has gone on."""
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        link.unlink(missing_ok=True)
        link.hardlink_to(path)


def tree(root: Path) -> dict[str, bytes]:
    """Everything a store holds but its database."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith("provenance.db")
    }


def two_runs(path: Path) -> tuple[Store, Run, Run]:
    """Make a store with a bias and a flat made from it."""
    store = Store.create(path)
    raw = ActionInput("BIAS", "MUSE.2017-06-14T10:01:02.345.fits", "fits1:" + "2" * 64)
    bias = commit(
        store,
        an_action(inputs=(raw,)),
        BIAS,
        inputs=(InputFile("BIAS", raw.name, RAW, raw.content, len(RAW_FRAME), "/data/raw/raw.fits"),),
        log=store.objects.put_bytes(b"[ INFO ] bias\n").digest,
    )
    made = bias.outputs[0]
    content = ActionInput("MASTER_BIAS", made.name, made.digest)
    flat = commit(
        store,
        an_action(recipe="muse_flat", inputs=(content,), outputs=(ExpectedOutput("MASTER_FLAT", 1),)),
        FLAT,
        tag="MASTER_FLAT",
        stage="flat",
        inputs=(InputFile("MASTER_BIAS", made.name, made.digest, None, made.size),),
    )
    return store, bias, flat
