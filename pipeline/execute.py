"""One action, run: the scratch directory, the set of frames, the engine, and what came out."""

import json
import os
import stat
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pipeline.engine import Engine, EngineRequest, EngineResult, Mount, RecipeImage
from pipeline.environment import clock_environment
from pipeline.errors import FitsError
from pipeline.products import Product, read_product
from pipeline.sof import write_sof

LOG = "esorex.log"
PRODUCTS = "products.json"
LOG_LEFT_BY_DEATH = ".logfile"


@dataclass(frozen=True, slots=True)
class StagedInput:
    """An input whose bytes are known, ready to be mounted."""

    tag: str
    name: str
    """Canonical name."""
    path: Path
    digest: str
    data_digest: str
    size: int

    @property
    def target(self) -> str:
        """Where the recipe sees it."""
        return f"/in/{self.data_digest.partition(':')[2][:12]}/{self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A recipe with everything it is given."""

    run: str
    store: str
    recipe: str
    options: tuple[tuple[str, str], ...]
    """Parameters that are not at their default."""
    environment: tuple[tuple[str, str], ...]
    """Without the clock's variables."""
    inputs: tuple[StagedInput, ...]
    is_clock_frozen: bool
    memory_bytes: int | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """How a call ended and what it left."""

    call: Call
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    """As given, the clock's variables included."""
    clock: datetime | None
    """Where the clock stood still, UTC; None if it ran."""
    result: EngineResult
    log: str
    log_path: Path | None
    products: tuple[Product, ...]
    faults: tuple[str, ...]
    """Declared products that cannot be read, or are no regular files."""
    changed: tuple[str, ...]
    """Inputs that changed while the recipe ran."""


def execute(call: Call, work: Path, engine: Engine, image: RecipeImage, cancel: threading.Event) -> Ran:
    """Run a recipe to its end and read what it left.

    Parameters
    ----------
    call : Call
        What to run, on what.
    work : Path
        A fresh directory with `in/` and `out/`, on the file system of the store.
    engine, image
        What runs it, prepared.
    cancel : threading.Event
        Once set, the recipe is stopped.

    Raises
    ------
    EngineUnavailable
        The engine cannot run anything.
    """
    sof = work / "in" / "frames.sof"
    sof.write_text(write_sof(tuple((item.target, item.tag) for item in call.inputs)), encoding="utf-8")
    clock = datetime.now(UTC).replace(microsecond=0) if call.is_clock_frozen else None
    environment = (*call.environment, *clock_environment(clock, image.platform))
    argv = command(call)
    before = [_signature(item.path) for item in call.inputs]
    mounts = dict.fromkeys(Mount(item.path.resolve(), item.target) for item in call.inputs)
    request = EngineRequest(
        run=call.run,
        store=call.store,
        argv=argv,
        environment=environment,
        inputs=(Mount(sof, "/in/frames.sof"), *mounts),
        out=work / "out",
        memory_bytes=call.memory_bytes,
        timeout_s=call.timeout_s,
    )
    result = engine.run(image, request, cancel)
    changed = tuple(
        str(item.path) for item, old in zip(call.inputs, before, strict=True) if _signature(item.path) != old
    )
    log_path = next((p for p in (work / "out" / LOG, work / "out" / LOG_LEFT_BY_DEATH) if p.is_file()), None)
    log = log_path.read_text(encoding="utf-8", errors="replace") if log_path else ""
    products, faults = _collect(work / "out") if result.exit_status == 0 else ((), ())
    return Ran(call, argv, environment, clock, result, log, log_path, products, faults, changed)


def command(call: Call) -> tuple[str, ...]:
    """Write the command line of a call, as it stands inside the container."""
    return (
        *("esorex", "--output-dir=.", "--log-dir=.", f"--log-file={LOG}", "--msg-level=off"),
        *(f"--products-sof={PRODUCTS}", "--suppress-prefix=TRUE", call.recipe),
        *(f"--{name}={value}" for name, value in call.options),
        "/in/frames.sof",
    )


def _signature(path: Path) -> tuple[int, ...]:
    """Tell whether a file is still the one it was; links to it change its ctime, so that is left out."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _collect(out: Path) -> tuple[tuple[Product, ...], tuple[str, ...]]:
    """Read the products that esorex declares; anything else it left is no product."""
    try:
        declared = json.loads((out / PRODUCTS).read_text(encoding="utf-8"))
        entries = [(PurePosixPath(item["name"]).name, str(item["category"])) for item in declared]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return (), (f"the list of products cannot be read: {error}",)
    products: list[Product] = []
    faults: list[str] = []
    for name, tag in sorted(entries):
        path = out / name
        fault = _irregular(path)
        if fault:
            faults.append(f"{tag} {name} {fault}")
            continue
        try:
            products.append(read_product(path, tag))
        except FitsError as error:
            faults.append(error.message.replace(f"{out}{os.sep}", ""))
    return tuple(products), tuple(faults)


def _irregular(path: Path) -> str:
    """Say why a declared product cannot be taken; empty if it can."""
    try:
        found = path.lstat()
    except OSError:
        return "was declared but is not there"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    if found.st_nlink != 1:
        return "has more than one name"
    if found.st_uid != os.geteuid():
        return "belongs to another user"
    return ""
