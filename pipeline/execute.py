"""One action, run: the scratch directory, the set of frames, the engine, and what came out."""

import functools
import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pipeline.emulator import emulated, mounts_of
from pipeline.engine import (
    USUAL,
    Ending,
    Engine,
    EngineRequest,
    EngineResult,
    Mount,
    RecipeImage,
    Surroundings,
)
from pipeline.environment import clock_environment, own_clock, settled
from pipeline.errors import FitsError
from pipeline.fitsdigest import digest_file
from pipeline.fitsfile import read_hdus
from pipeline.host import cores
from pipeline.looks import look, looks
from pipeline.own.table import PROGRAM
from pipeline.packing import Packing, Unpacked
from pipeline.products import Product, read_product
from pipeline.recipes import RECIPES
from pipeline.sof import write_sof
from pipeline.structure import STATICS, header_fault, number_fault, tables

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
    hdus: str | None = None
    """Of a frame, what each HDU holds in short; see `InputFile` of the store."""

    def target(self, below: str) -> str:
        """Say where the recipe sees it, below the directory of all inputs."""
        return f"{below}/{self.data_digest.partition(':')[2][:12]}/{self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A recipe with everything it is given."""

    run: str
    store: str
    recipe: str
    options: tuple[tuple[str, str], ...]
    """Parameters that are not at their default."""
    environment: tuple[tuple[str, str], ...]
    """Without the clock's variables; the number of threads may be free."""
    inputs: tuple[StagedInput, ...]
    is_clock_frozen: bool
    memory_bytes: int | None = None
    timeout_s: float | None = None
    clock: datetime | None = None
    """Where a frozen clock stands, UTC, whole seconds; None for the second in which the run begins."""
    surroundings: Surroundings = USUAL
    threads: int | None = None
    """How many, if the environment leaves it free; None for as many as there are cores."""


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
    touched: tuple[StagedInput, ...] = ()
    """Inputs of which the time of change alone moved: by a link or another mode, or by an edit put back."""
    packings: frozenset[Packing] = frozenset()
    """How inputs were packed that the recipe was given plain."""


def execute(
    call: Call,
    work: Path,
    engine: Engine,
    image: RecipeImage,
    cancel: threading.Event,
    unpacked: Unpacked | None = None,
    seen: tuple[os.stat_result | None, ...] | None = None,
) -> Ran:
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
    unpacked : Unpacked, optional
        Plain copies of packed frames that several calls share; made in `work`, for this one, without.
    seen : tuple of os.stat_result or None, optional
        What the inputs looked like when they were last proven; without, they are looked at first.

    Raises
    ------
    EngineUnavailable
        The engine cannot run anything.
    FitsError
        A packed frame cannot be unpacked any more.
    """
    out, sof = work / "out", work / "in/frames.sof"
    targets = [item.target(call.surroundings.inputs) for item in call.inputs]
    frames = tuple((target, item.tag) for target, item in zip(targets, call.inputs, strict=True))
    _overwrite(sof, write_sof(frames).encode())
    clock = (call.clock or datetime.now(UTC).replace(microsecond=0)) if call.is_clock_frozen else None
    chosen = settled(call.environment, call.threads or cores())
    told = own_clock(clock) if _is_ours(call) else clock_environment(clock, image.platform)
    environment = (*chosen, *told)
    argv, emulator = command(call), call.surroundings.emulator
    seen = look_at(call) if seen is None else seen
    unpacked = unpacked or Unpacked(lambda: work / "in")
    sources = [
        unpacked.plain(item.path, item.data_digest, _data_digest, found)
        for item, found in zip(call.inputs, seen, strict=True)
    ]
    mounts = dict.fromkeys(
        Mount(source.path, target) for source, target in zip(sources, targets, strict=True)
    )
    packings = frozenset(source.packing for source in sources if source.packing)
    request = EngineRequest(
        run=call.run,
        store=call.store,
        argv=emulated(argv, emulator),
        environment=environment,
        inputs=(Mount(sof, argv[-1]), *mounts, *mounts_of(emulator)),
        out=out,
        memory_bytes=call.memory_bytes,
        timeout_s=call.timeout_s,
        surroundings=call.surroundings,
    )
    result = engine.run(image, request, cancel)
    changed, touched = _moved(call.inputs, seen)
    log_path = next((p for name in (LOG, LOG_LEFT_BY_DEATH) if (p := out / name).is_file()), None)
    log = log_path.read_text(encoding="utf-8", errors="replace") if log_path else ""
    products, faults = _collect(out) if result.exit_status == 0 else ((), ())
    return Ran(
        *(call, request.argv, environment, clock, result, log, log_path, products, faults),
        changed=tuple(str(item.path) for item in changed),
        touched=touched,
        packings=packings,
    )


def proven(ran: Ran, holds: Callable[[StagedInput], bool]) -> Ran:
    """Have read again what somebody may have written to while the recipe ran, and put its times back.

    Parameters
    ----------
    ran : Ran
        How a call ended.
    holds : callable
        Tells whether an input still has the bytes it had.
    """
    changed = tuple(str(item.path) for item in ran.touched if not holds(item))
    return replace(ran, changed=(*ran.changed, *changed))


def look_at(call: Call) -> tuple[os.stat_result | None, ...]:
    """Look at the inputs of a call; None for one that is not there."""
    return tuple(look(item.path) for item in call.inputs)


def unfit(call: Call, seen: tuple[os.stat_result | None, ...] | None = None) -> tuple[str, str]:
    """Say why a call must not be run: the recipe would make something wrong of it, and not say so.

    Parameters
    ----------
    call : Call
        What would be run.
    seen : tuple of os.stat_result or None, optional
        What its inputs look like; without, they are looked at.

    Returns
    -------
    cause, reason : str
        Kind of failure, and a sentence with what to do behind a semicolon; both empty if it may run.
    """
    given: set[tuple[str, str]] = set()
    for item, found in zip(call.inputs, look_at(call) if seen is None else seen, strict=True):
        if (item.tag, item.data_digest) in given:
            return "unproven", f"{item.tag} {item.name} was given twice; give it once"
        given.add((item.tag, item.data_digest))
        size = found.st_size if found is not None and stat.S_ISREG(found.st_mode) else 0
        if size != item.size:
            # It is remade or read anew next time, so this is no lasting failure.
            what = f"{item.tag} {item.name} has {size} bytes where {item.size} were expected"
            return "input changed", f"{what}: {item.path} was damaged; run again, and see: clio check --deep"
        if item.tag in STATICS:
            fault, known = _examined(item.tag, item.path, item.data_digest)
            if fault:
                return "unproven", f"{fault}; replace it"
            lacking = _unknown_filters(call, item, known)
            if lacking:
                return "unproven", lacking
    return "", ""


@functools.lru_cache(maxsize=1024)
def _examined(tag: str, path: Path, data_digest: str) -> tuple[str, tuple[str, ...]]:
    """Say what is wrong with a static calibration, and name its tables; once, whoever reads it."""
    try:
        hdus = read_hdus(path)
        fault = header_fault(STATICS[tag], hdus) or number_fault(STATICS[tag], path, hdus)
    except FitsError as error:
        return error.message, ()
    return f"{path} is a {tag} {fault}" if fault else "", tables(hdus)


def _unknown_filters(call: Call, item: StagedInput, tables_of_list: tuple[str, ...]) -> str:
    """Say which filters are wanted that a FILTER_LIST has not; `white` is built into the recipes."""
    options = dict(call.options)
    if item.tag != "FILTER_LIST" or "cube" not in options.get("save", "cube").split(","):
        return ""  # without a cube there are no images of it
    wanted = [name for name in options.get("filter", "").split(",") if name]
    known = ("white", *tables_of_list)
    lacking = [name for name in wanted if name not in known]
    if not lacking:
        return ""
    return (
        f"the filter {', '.join(lacking)} is not in the FILTER_LIST {item.path}; name one of "
        f"{', '.join(sorted(set(known)))} under filter of {call.recipe}, case counts"
    )


def not_run(call: Call) -> Ran:
    """Stand for a call that was refused before it began."""
    now = datetime.now(UTC)
    clock = now.replace(microsecond=0) if call.is_clock_frozen else None
    ended = EngineResult(Ending.EXITED, None, None, now, now, 0, None, None, None, None, None, ())
    chosen = settled(call.environment, call.threads or cores())
    return Ran(call, command(call), chosen, clock, ended, "", None, (), (), ())


def command(call: Call) -> tuple[str, ...]:
    """Write the command line of a call, as it stands inside the container."""
    program = ("esorex", "--output-dir=.", "--log-dir=.", f"--log-file={LOG}", "--msg-level=off")
    return (
        *((PROGRAM, f"--log-file={LOG}") if _is_ours(call) else program),
        f"--products-sof={PRODUCTS}",
        *(() if _is_ours(call) else ("--suppress-prefix=TRUE",)),
        call.recipe,
        *(f"--{name}={value}" for name, value in call.options),
        f"{call.surroundings.inputs}/frames.sof",
    )


def _is_ours(call: Call) -> bool:
    row = RECIPES.get(call.recipe)
    return row is not None and row.is_ours


def _data_digest(path: Path) -> str:
    return digest_file(path).data_digest


def _overwrite(path: Path, data: bytes) -> None:
    """Write a file, over one that an earlier run left.

    Notes
    -----
    It is cut to its length at the end, not to nothing at the beginning: ext4 takes that for a file that is
    being replaced, and writes it out as soon as it is closed (its mount option `auto_da_alloc`).
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - there is no path to open
        file.write(data)
        file.truncate()


def _moved(
    inputs: tuple[StagedInput, ...], before: tuple[os.stat_result | None, ...]
) -> tuple[tuple[StagedInput, ...], tuple[StagedInput, ...]]:
    """Find the inputs that are not what they were, and those of which only the time of change moved."""
    each = ((item, looks(old), looks(look(item.path))) for item, old in zip(inputs, before, strict=True))
    moved = [(item, old, new) for item, old, new in each if old != new]
    changed = tuple(item for item, old, new in moved if old[:-1] != new[:-1])
    return changed, tuple(item for item, _, _ in moved if item not in changed)


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
