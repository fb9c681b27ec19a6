"""A store with a short history, written by hand: a bias, two flats, one of them failed, an exposure.

No recipe runs and no raw frame exists; ids and digests are the same every time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance.digest import digest_bytes
from provenance.model import (
    Action,
    ActionInput,
    Choice,
    ExpectedOutput,
    InputFile,
    Invocation,
    OutputFile,
    Run,
    Status,
    StepOutcome,
)
from provenance.store import Store

IMAGE = "sha256:" + "5a" * 32
BIAS_UNIT = "2026-01-15T13:59:52:01"
FLAT_UNIT = "2026-01-15T15:35:52:01"
BROKEN_UNIT = "2026-01-15T15:35:52:02"
EXPOSURE_UNIT = "2026-01-16T01:42:00.490:01"


def run_id(number: int) -> str:
    """Make the id of a run; later runs have larger numbers."""
    return f"019be5a0-0000-7000-8000-{number:012d}"


def raw(tag: str, number: int) -> InputFile:
    """Make a raw frame that nobody has on disk."""
    content = f"{tag} {number}".encode()
    name = f"MUSE.2026-01-15T14:0{number}:00.000.fits"
    return InputFile(
        tag,
        name,
        digest_bytes(content),
        f"fits1:{digest_bytes(content)[7:]}",
        100,
        f"/data/raw/{tag}-{number}",
    )


def static(tag: str) -> InputFile:
    """Make a static calibration that nobody has on disk."""
    digest = digest_bytes(tag.encode())
    return InputFile(
        tag, f"{tag}_{digest[7:19]}.fits", digest, f"fits1:{digest[7:]}", 50, f"/data/calib/{tag}"
    )


def product(store: Store, tag: str, name: str, qc: tuple[tuple[str, str], ...] = ()) -> OutputFile:
    """Put a product into a store."""
    content = f"{tag} {name}".encode()
    kept = store.objects.put_bytes(content)
    return OutputFile(
        tag, name, kept.digest, f"fits1:{digest_bytes(b'data ' + content)[7:]}", (), kept.size, qc
    )


def used(output: OutputFile) -> InputFile:
    """Make a product into the input of a later run."""
    return InputFile(output.tag, output.name, output.digest, output.data_digest, output.size, "/store/object")


def keep(store: Store, recipe: str, number: int, unit: str, /, **fields: Any) -> Run:
    """Record a run of `muse_<stage>`; `changed` are its parameters that are not at their default."""
    inputs: tuple[InputFile, ...] = fields.pop("inputs")
    outputs: tuple[OutputFile, ...] = fields.get("outputs", ())
    changed: dict[str, str] = fields.pop("changed", {})
    defaults = {f"muse.{recipe}.order": "5", f"muse.{recipe}.combine": "sigclip"}
    parameters = defaults | {f"muse.{recipe}.{name}": value for name, value in changed.items()}
    action = Action(
        recipe=recipe,
        spec=1,
        image=IMAGE,
        platform="linux/amd64",
        parameters=tuple(parameters.items()),
        environment=(("LC_ALL", "C"),),
        inputs=tuple(ActionInput(i.tag, i.name, i.data_digest or i.digest) for i in inputs),
        outputs=tuple(ExpectedOutput(o.tag, 1) for o in outputs) or (ExpectedOutput("MASTER_FLAT", 1),),
        numerics="pinned",
    )
    known: dict[str, Any] = {
        "run": run_id(number),
        "action": action.key,
        "status": Status.OK,
        "stage": recipe.removeprefix("muse_"),
        "unit": unit,
        "exit_status": 0,
        "started": f"2026-11-23T00:{number:02d}:00.000Z",
        "ended": f"2026-11-23T00:{number:02d}:12.500Z",
        "wall_ms": 12500,
        "cpu_user_ms": 11000,
        "cpu_system_ms": 500,
        "peak_memory_bytes": 907_300_000,
        "threads": 1,
        "clock_mode": "frozen",
        "clock_at": f"2026-11-23T00:{number:02d}:00Z",
        "engine": (("name", "fake"), ("version", "1.0")),
        "inputs": inputs,
        "defaults": tuple(name for name in defaults if name.rpartition(".")[2] not in changed),
    }
    run = Run(**(known | fields))
    store.commit(action, run)
    return run


@dataclass(frozen=True, slots=True)
class History:
    """What was recorded."""

    bias: Run
    flat: Run
    broken: Run
    exposure: Run


def write_history(store: Store) -> History:
    """Record the short history."""
    bias = keep(
        *(store, "muse_bias", 1, BIAS_UNIT),
        inputs=tuple(raw("BIAS", n) for n in (1, 2, 3)),
        outputs=(product(store, "MASTER_BIAS", "MASTER_BIAS-01.fits"),),
        log=store.objects.put_bytes(b"[ INFO  ] all is well\n").digest,
        warnings=1,
    )
    flat = keep(
        *(store, "muse_flat", 2, FLAT_UNIT),
        inputs=(static("BADPIX_TABLE"), *(raw("FLAT", n) for n in (1, 2, 3)), used(bias.outputs[0])),
        outputs=(
            product(
                *(store, "MASTER_FLAT", "MASTER_FLAT-01.fits"),
                (("ESO QC FLAT MASTER MEAN", "37477.18"), ("ESO QC FLAT INPUT1 MEAN", "3.5")),
            ),
            product(store, "TRACE_TABLE", "TRACE_TABLE-01.fits"),
        ),
        changed={"order": "7"},
        choices=(
            Choice("MASTER_BIAS", "2026-01-15T13:59:52", 1, 5708, "1.6 h away", ("2026-01-14: 23 h away",)),
        ),
    )
    broken = keep(
        *(store, "muse_flat", 3, BROKEN_UNIT),
        inputs=(raw("FLAT", 1), used(bias.outputs[0])),
        status=Status.FAILED,
        exit_status=255,
        cause="recipe error",
        reason="muse_flat: no light in IFU 2",
        log=store.objects.put_bytes(b"[ ERROR ] no light in IFU 2\n").digest,
        errors=1,
    )
    exposure = keep(
        *(store, "muse_scibasic", 4, EXPOSURE_UNIT),
        inputs=(
            *(static("BADPIX_TABLE"), static("GEOMETRY_TABLE"), raw("OBJECT", 1)),
            *(used(bias.outputs[0]), *(used(output) for output in flat.outputs)),
        ),
        outputs=(product(store, "PIXTABLE_OBJECT", "PIXTABLE_OBJECT_0001-01.fits"),),
        status=Status.CAVEAT,
        caveats=("the flat-field spectrum was taken out again",),
    )
    return History(bias, flat, broken, exposure)


def call(store: Store, number: int, workspace: Path, *steps: StepOutcome) -> Invocation:
    """Record a call of the command."""
    made = Invocation(
        run_id(number),
        f"2026-11-23T00:{number:02d}:59.000Z",
        f"2026-11-23T00:{number:02d}:59.900Z",
        *(("clio", "run"), "0.1.0", str(workspace), 0, steps),
    )
    store.record_invocation(made)
    return made


def outcome(run: Run, did: str, *why: str) -> StepOutcome:
    """Say what a call did with the step of a run."""
    return StepOutcome(run.stage, run.unit, f"muse_{run.stage}", run.action, run.run, did, why)
