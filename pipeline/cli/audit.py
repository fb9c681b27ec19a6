"""The verb about files of any origin: `audit`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace
from pipeline.cli.output import OUTPUT
from pipeline.errors import ConfigError, Exit, FitsError, PipelineError, UsageError
from pipeline.places import find_workspace

if TYPE_CHECKING:
    from pipeline.audit.findings import Finding, Known
    from pipeline.audit.places import Places
    from pipeline.engine import RecipeImage
    from provenance.store import Store


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(audit)


def audit(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Any FITS files.", show_default=False)
    ],
    raw: Annotated[
        list[Path] | None,
        typer.Option("--raw", metavar="FOLDER", help="Where inputs may be; those of clio.toml without."),
    ] = None,
    to_config: Annotated[
        Path | None,
        typer.Option("--to-config", metavar="FILE", help="Write a clio.toml that would make it again."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    image: Annotated[
        str, typer.Option("--image", metavar="DIGEST", help="Image whose defaults are compared.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Leave nothing out.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say how any FITS file was made: what is proven, what its header claims, what is unknown.

    A file whose bytes or data the store knows has its lineage. Of any other its own headers are read: the
    chain of recipes, inputs and parameters, held against the defaults of the image, the store and folders of
    raw frames; contradictions are pointed out. Works without a workspace too.

    Example: `clio audit downloaded.fits --raw /data/night`

    Example: `clio audit DATACUBE_FINAL.fits --to-config again/clio.toml`
    """
    if to_config is not None and len(files) != 1:
        raise UsageError(f"{len(files)} files are named, and a clio.toml makes one again", "name one file")
    with _opened(workspace, files, raw or [], image) as asked:
        findings, faults = _examine(files, asked)
        written = None
        if to_config is not None and findings:
            written = _write_config(to_config, findings[0], asked, force)
        if as_json:
            _print_documents(findings, faults, asked, written)
        else:
            _print_findings(findings, asked, everything)
            for path, fault in faults:
                OUTPUT.line(f"{path}: cannot be audited: {fault}")
            if written:
                OUTPUT.line(str(written))
    if faults:
        raise typer.Exit(int(Exit.FRAMES))


@dataclass
class _Asked:
    """What is asked about files, and what could not be."""

    places: "Places"
    parameters: "Known | None"
    image: "RecipeImage | None"
    version: str
    """Of the image's MUSE recipes; empty if unknown."""
    unlooked: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""


@contextmanager
def _opened(workspace: Path | None, files: list[Path], raw: list[Path], image: str) -> Iterator[_Asked]:
    """Open what there is: a store, folders, an image; each may be missing."""
    from pipeline.audit.places import Places

    unlooked: list[str] = []
    folders, store = _workspace(workspace, unlooked)
    for folder in raw:
        if not folder.exists():
            raise UsageError(f"there is no folder {folder}", "name one that holds frames")
    chosen = tuple(raw) if raw else folders
    beside = tuple(dict.fromkeys(path.parent for path in files if path.is_file()))
    if not chosen:
        unlooked.append("folders of raw frames: none is named (--raw FOLDER)")
    try:
        found, version, parameters = _image(workspace, image, unlooked)
        yield _Asked(Places(chosen, beside, store), parameters, found, version, unlooked)
    finally:
        if store is not None:
            store.close()


def _workspace(workspace: Path | None, unlooked: list[str]) -> "tuple[tuple[Path, ...], Store | None]":
    from pipeline.config import load
    from provenance.errors import ProvenanceError
    from provenance.store import Store

    try:
        settings = load(find_workspace(workspace))
    except ConfigError as error:
        if workspace is not None:
            raise
        unlooked.append(f"a store: {error.message}")
        return (), None
    try:
        return settings.folders, Store.open(settings.store)
    except ProvenanceError as error:
        unlooked.append(f"the store: {error.message}")
        return settings.folders, None


def _image(
    workspace: Path | None, named: str, unlooked: list[str]
) -> "tuple[RecipeImage | None, str, Known | None]":
    """Find the image whose defaults are compared; nothing is run for it."""
    from pipeline.cli.image import choose_image
    from pipeline.engines.deferred import DeferredEngine
    from pipeline.errors import EngineUnavailable
    from pipeline.image import ImageLibrary

    library = ImageLibrary()
    try:
        image = choose_image(library, named, workspace)
    except PipelineError as error:
        if named:
            raise
        unlooked.append(f"defaults of an image: {error.message}")
        return None, "", None

    def refuse() -> Any:
        raise EngineUnavailable("nothing is run for this")

    engine = DeferredEngine(refuse)

    def known(recipe: str) -> Any:
        try:
            return library.parameters(image, engine, recipe)
        except PipelineError:
            return None

    if known("muse_bias") is None:
        unlooked.append("defaults of the image: its recipes were never listed (`clio params` does)")
        return image, "", None
    return image, dict(library.recipes(image, engine)).get("muse_bias", ""), known


def _examine(files: list[Path], asked: _Asked) -> "tuple[list[Finding], list[tuple[Path, str]]]":
    from pipeline.audit.findings import examine

    findings, faults = [], []
    for path in files:
        try:
            if path.is_dir():
                raise FitsError(f"{path} is a directory")
            findings.append(examine(path, asked.places, asked.parameters))
        except FitsError as error:
            faults.append((path, error.message))
    return findings, faults


def _write_config(path: Path, finding: "Finding", asked: _Asked, force: bool) -> Path:
    from pipeline.audit.settings import settings_for
    from pipeline.places import FILE
    from pipeline.replacing import replace_text

    target = path / FILE if path.is_dir() else path
    if target.exists() and not force:
        raise UsageError(f"{target} is there already", "name another file, or say --force")
    draft = settings_for(finding, asked.places, asked.parameters, asked.image, asked.version)
    text = draft.text(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_text(target, text)
    return target


def _print_findings(findings: "list[Finding]", asked: _Asked, everything: bool) -> None:
    from pipeline.cli.audit_sheets import finding_lines

    shown = asked.image.config_digest[7:19] if asked.image and asked.parameters else ""
    for number, finding in enumerate(findings):
        if number:
            OUTPUT.line("")
        for line in finding_lines(finding, shown, everything=everything):
            OUTPUT.line(line)
        _print_lineage(finding, asked, everything)
    for text in asked.unlooked:
        OUTPUT.line(f"not looked at: {text}")


def _print_lineage(finding: "Finding", asked: _Asked, everything: bool) -> None:
    """Draw the lineage of a file that the store knows."""
    if finding.known is None or not finding.known.is_product or asked.places.store is None:
        return
    from pipeline.cli.drawing import draw
    from pipeline.report import trace

    for tree in draw(trace(asked.places.store, (finding.known.digest,)), unfolded=everything):
        OUTPUT.data.print(tree, soft_wrap=not OUTPUT.data.is_terminal)


def _print_documents(
    findings: "list[Finding]", faults: list[tuple[Path, str]], asked: _Asked, written: Path | None
) -> None:
    from pipeline.cli.audit_sheets import finding_document
    from pipeline.cli.documents import trace_document
    from pipeline.report import trace

    def lineage(finding: "Finding") -> Any:
        store = asked.places.store
        if finding.known is None or store is None:
            return None
        return trace_document(trace(store, (finding.known.digest,)))

    OUTPUT.document(
        "clio-audit/1",
        {
            "files": [finding_document(finding) | {"lineage": lineage(finding)} for finding in findings],
            "unreadable": [{"path": str(path), "reason": reason} for path, reason in faults],
            "image": asked.image.config_digest if asked.image and asked.parameters else None,
            "folders": [str(folder) for folder in asked.places.folders],
            "not_looked_at": asked.unlooked,
            "config": str(written) if written else None,
        },
    )
