"""The verb for those who come from another program: `import-config`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json
from pipeline.cli.output import OUTPUT
from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from pipeline.imported import Imported, Line


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("import-config")(import_config)


def import_config(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="rc.dic and calib_tables.dic, or settings.yml.", show_default=False
        ),
    ],
    pymusepipe: Annotated[bool, typer.Option("--pymusepipe", help="They are of pymusepipe.")] = False,
    musered: Annotated[bool, typer.Option("--musered", help="They are of musered.")] = False,
    folder: Annotated[
        Path, typer.Option("--workspace", "-C", help="The workspace to write clio.toml into.")
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a clio.toml that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a clio.toml that does what settings of pymusepipe or musered do, and say so line by line.

    What cannot be carried over is said with the reason. Of the old files nothing is changed.

    Example: `clio import-config --pymusepipe rc.dic calib_tables.dic`

    Example: `clio import-config --musered settings.yml -C my-galaxy`
    """
    from pipeline.places import FILE

    if pymusepipe == musered:
        raise UsageError("say of which program the settings are", "one of --pymusepipe and --musered")
    if musered and len(files) != 1:
        raise UsageError(f"musered has one file of settings, and {len(files)} are named", "name settings.yml")
    path = folder / FILE
    if path.exists() and not force:
        raise UsageError(f"{path} is there already", "choose another workspace with -C, or say --force")
    imported = _read(files, folder, pymusepipe)
    _write(path, imported)
    if as_json:
        OUTPUT.document("clio-import-config/1", _document(path, imported))
        return
    OUTPUT.say_table(("where", "setting", "what became of it"), map(_row, imported.lines))
    for remark in imported.remarks:
        OUTPUT.say(remark)
    OUTPUT.line(str(path))
    OUTPUT.say("next: clio config check, clio config show")


def _read(files: list[Path], folder: Path, is_pymusepipe: bool) -> "Imported":
    from pipeline.cli.config import parameters_here
    from pipeline.imported import Imported

    into = Imported(folder, parameters_here(None, {}))
    if is_pymusepipe:
        from pipeline.from_pymusepipe import from_pymusepipe

        from_pymusepipe(files, into, Path.cwd())
    else:
        from pipeline.from_musered import from_musered

        from_musered(files[0], into)
    return into


def _write(path: Path, imported: "Imported") -> None:
    """Write the settings once they are seen to be right."""
    import tomllib

    from pipeline.cli.config import schema_here
    from pipeline.config import check_document
    from pipeline.config_text import SCHEMA_FILE, write_commented
    from pipeline.replacing import replace_text

    text = write_commented(imported.document)
    _, slips = check_document(text, tomllib.loads(text))
    if slips:
        raise PipelineError(f"settings that were carried over are not right: {slips[0].message}")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path.with_name(SCHEMA_FILE), schema_here(path.parent))
    replace_text(path, text)


def _row(line: "Line") -> tuple[str, str, str]:
    to = f"{line.outcome.value}: {line.to}" if line.to else line.outcome.value
    told = f"{to}; {line.why}" if line.to else f"{to}: {line.why}"
    return f"{line.file.name}:{line.number}", f"{line.key} = {line.value}", told if line.why else to


def _document(path: Path, imported: "Imported") -> dict[str, Any]:
    rows = [
        {
            "file": str(line.file),
            "line": line.number,
            "key": line.key,
            "value": line.value,
            "outcome": line.outcome.value,
            "to": line.to or None,
            "why": line.why,
        }
        for line in imported.lines
    ]
    return {"path": str(path), "lines": rows, "remarks": list(imported.remarks)}
