"""The verbs that begin: `init`, `doctor`, `scan`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.errors import EngineUnavailable, Exit, UsageError

if TYPE_CHECKING:
    from pipeline.model import Frame


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(init)
    app.command()(doctor)
    app.command()(scan)


def init(
    folder: Annotated[Path, typer.Argument(help="The workspace to start.")] = Path(),
    raw: Annotated[list[str] | None, typer.Option(help="A folder of raw frames.")] = None,
    calib: Annotated[list[str] | None, typer.Option(help="A folder of static calibrations.")] = None,
) -> None:
    """Start a workspace: write a clio.toml that says every key, and a schema of it for editors.

    Example: `clio init my-galaxy --raw /data/night1`
    """
    path = write_settings(folder, raw or ["raw"], calib or ["calib"])
    OUTPUT.line(str(path))
    OUTPUT.say("next: put frames into its folders, then: clio scan, clio plan, clio run")


def write_settings(folder: Path, raw: list[str], calib: list[str]) -> Path:
    """Write the settings of a new workspace; what is there already is never overwritten."""
    from pipeline.cli.config import schema_here
    from pipeline.config_text import SCHEMA_FILE, write_commented
    from pipeline.places import FILE
    from pipeline.replacing import replace_text

    path = folder / FILE
    if path.exists():
        raise UsageError(f"{path} is there already", "edit it, or start in another folder")
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / SCHEMA_FILE, schema_here())
    replace_text(path, write_commented({"data": {"raw": raw, "calib": calib}}))
    for name in (*raw, *calib):
        if not Path(name).is_absolute():
            (folder / name).mkdir(exist_ok=True)
    return path


def doctor(as_json: Json = False) -> None:
    """Say what works here: each engine is tried for real, and what is missing is named.

    Example: `clio doctor`
    """
    from pipeline.engines import probe
    from pipeline.host import cores, free_memory_bytes, memory_bytes
    from pipeline.image import ImageLibrary

    library = ImageLibrary()
    images = library.list()
    engines = probe(images[0] if images else None)
    host = {"cores": cores(), "memory_bytes": memory_bytes(), "free_memory_bytes": free_memory_bytes()}
    if as_json:
        rows: list[dict[str, Any]] = [
            {
                "name": e.name,
                "works": e.works,
                "version": e.version,
                "reason": e.reason,
                "install": e.install,
                "start_ms": e.start_ms,
            }
            for e in engines
        ]
        found = [image.config_digest for image in images]
        OUTPUT.document("clio-doctor/1", {"engines": rows, "images": found, "host": host})
    else:
        OUTPUT.table(
            ("engine", "state", "version", "start", "remark"),
            (
                (
                    e.name,
                    "works" if e.works else "does not work",
                    e.version,
                    f"{e.start_ms} ms" if e.start_ms is not None else "-",
                    " ".join(filter(None, (e.reason, e.install))),
                )
                for e in engines
            ),
        )
        for image in images:
            OUTPUT.line(f"image {image.config_digest}")
        if not images:
            OUTPUT.line("no recipe image: build one with: clio image build")
        memory = f"{host['free_memory_bytes'] / 1e9:.1f} of {host['memory_bytes'] / 1e9:.1f} GB free"
        OUTPUT.line(f"{host['cores']} cores, memory {memory}")
    if not any(e.works for e in engines):
        easiest = next(e for e in engines if e.name == "bubblewrap")
        raise EngineUnavailable("no engine works here", easiest.install)


def scan(workspace: Workspace = None, as_json: Json = False) -> None:
    """List the frames of the workspace and what they are; what cannot be used, with its reason.

    Example: `clio scan --json | jq '.frames[].tag'`
    """
    with open_reduction(workspace) as reduction:
        found = reduction.scan()
        documents = []
        if as_json:
            documents = [_frame_document(frame, reduction.known_digest(frame.path)) for frame in found.frames]
    if as_json:
        problems = [{"path": p.subject, "reason": p.reason, "hint": p.hint} for p in found.problems]
        OUTPUT.document(
            "clio-scan/1", {"frames": documents, "problems": problems, "remarks": list(found.remarks)}
        )
    else:
        OUTPUT.table(("tag", "mode", "taken", "IFUs", "exptime s", "file"), map(_frame_row, found.frames))
        for problem in found.problems:
            OUTPUT.line(f"problem: {problem}")
        for remark in found.remarks:
            OUTPUT.say(remark)
        OUTPUT.say(f"{len(found.frames)} frames, {len(found.problems)} problems")
    if not found.frames:
        raise typer.Exit(int(Exit.FRAMES))


def _frame_row(frame: "Frame") -> tuple[str, ...]:
    ifus = frame.ifus
    shown = ",".join(map(str, ifus)) if len(ifus) < 5 else f"{ifus[0]}-{ifus[-1]} ({len(ifus)})"
    exptime = f"{frame.exptime_s:.1f}" if ifus else ""
    return (frame.tag, frame.mode, frame.date_obs, shown, exptime, frame.path.name)


def _frame_document(frame: "Frame", digest: str | None) -> dict[str, Any]:
    return {
        "path": str(frame.path),
        "tag": frame.tag,
        "kind": frame.kind.value,
        "mjd": frame.mjd,
        "mode": frame.mode,
        "digest": digest,
        "date_obs": frame.date_obs,
        "ifus": list(frame.ifus),
        "exptime_s": frame.exptime_s,
        "template": frame.template,
        "block": frame.block,
        "target": frame.target,
        "size": frame.size,
    }
