"""`clio replay BUNDLE`: a bundle made again from raw frames, with nothing else, and the question before."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.output import OUTPUT
from pipeline.cli.sheets import counted, digits, in_bytes
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.bundle_replay import Missing, Opened
    from pipeline.replay import Replay, Terms
    from provenance.model import Run
    from provenance.store import Store

SCHEMA = "clio-replay-bundle/1"

_SHOWN = 12
"""Runs that are shown before somebody agrees; -v shows all."""


def is_bundle(reference: str) -> bool:
    """Tell a file that is called or looks like a bundle from a product; what is in it, its reader says."""
    path = Path(reference)
    try:
        if not path.is_file():  # a pipe would keep us for ever
            return False
        with path.open("rb") as file:
            return path.suffix == ".zip" or file.read(4) == b"PK\3\4"
    except OSError:
        return False


def refuse_beside_bundle(references: list[str], **given: object) -> None:
    """Refuse what says otherwise what is replayed: the bundle says that.

    Raises
    ------
    UsageError
        There is another reference, or one of the options is given.
    """
    if len(references) > 1:
        raise UsageError("a bundle is replayed alone", "name one bundle, or import it and name its runs")
    for name, value in given.items():
        if value:
            raise UsageError(
                f"--{name} and a bundle exclude each other", "all of a bundle is made again, from raw frames"
            )


def replay_bundle(
    path: Path,
    terms: "Terms",
    *,
    into: Path | None,
    folders: tuple[Path, ...],
    engine: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a bundle again and print how each run compares; leaves with 7 if one is not the same.

    What is missing is named, and nothing is run: it leaves with 3, or with 5 if images alone are missing.
    """
    from pipeline.bundle_replay import bring_images, missing, opened_bundle, runs_of
    from pipeline.cli.replay import watching
    from pipeline.replay import replay

    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", "--raw and --calib name folders of frames")
    with opened_bundle(path, into=into, folders=folders, engine=engine or "auto") as opened:
        OUTPUT.say(f"bundle {digits(opened.imported.bundle.id)}: {counted(len(opened.links), 'run')}")
        lost = missing(opened)
        if lost:
            _tell_missing(opened, lost, into, as_json=as_json)
        agree(opened.workshop.store, runs_of(opened.links), yes=yes)
        bring_images(opened.workshop, opened.images, (opened.imported.bundle.description,))
        workshop = replace(opened.workshop, is_agreed=True)
        with watching(opened.links, workshop.cancel) as listen:
            found = replay(workshop, opened.links, terms, listen)
        _tell(opened, found, into, as_json=as_json)
    if not found.has_same_data or found.unproven:
        raise typer.Exit(int(Exit.DIFFERENT))


def agree(store: "Store", runs: "Iterable[Run]", *, yes: bool) -> bool:
    """Ask before imported runs are started that nobody vouches for; show what they would do.

    Returns
    -------
    bool
        Whether there are any.

    Raises
    ------
    UsageError
        Nobody is there to answer, or the answer is no.
    """
    doubted = [run for run in runs if store.imports.doubt(run)]
    if not doubted:
        return False
    images = sorted({store.action(run.action).image for run in doubted})
    if not yes:
        shown = doubted if OUTPUT.verbose else doubted[:_SHOWN]
        OUTPUT.say(
            f"{counted(len(doubted), 'imported run')} would be started here, shut in as every recipe is:"
        )
        for run in shown:
            OUTPUT.say(f"  {run.stage}:{run.unit}: {_command(store, run)}")
        if len(shown) < len(doubted):
            OUTPUT.say(f"  and {len(doubted) - len(shown)} more: clio -v replay shows them")
        for image in images:
            OUTPUT.say(f"  in the image {image}")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            "replay asks before it starts what was imported, and there is no terminal", "add --yes"
        )
    if not typer.confirm("start them?", err=True):
        raise UsageError("nothing was started", "what was imported stays imported")
    return True


def _command(store: "Store", run: "Run") -> str:
    """Write what would be called: from the action, since that is what runs whatever the record says."""
    action = store.action(run.action)
    changed = (pair for pair in action.parameters if pair[0] not in run.defaults)
    options = (f"--{name.rpartition('.')[2]}={value}" for name, value in changed)
    return " ".join(("esorex", action.recipe, *options))


def _tell_missing(opened: "Opened", lost: "tuple[Missing, ...]", into: Path | None, *, as_json: bool) -> None:
    """Name what is missing, and leave."""
    if as_json:
        OUTPUT.document(SCHEMA, _document(opened, None, lost, into))
    else:
        for item in lost:
            named = " ".join(filter(None, (item.kind, item.tag, item.name)))
            OUTPUT.line(f"{named}{'' if item.size is None else f', {in_bytes(item.size)}'}")
            OUTPUT.line(f"  {item.digest}")
            OUTPUT.line(f"  {item.where or 'nobody says where it is to be had'}")
    files = [m for m in lost if m.kind != "image"]
    if files:
        OUTPUT.say(
            f"{counted(len(files), 'file')} missing: put them into a folder, under any name, and say "
            "--raw FOLDER"
        )
    if len(files) < len(lost):
        OUTPUT.say(f"{counted(len(lost) - len(files), 'image')} missing: clio image import ARCHIVE")
    raise typer.Exit(int(Exit.FRAMES if files else Exit.ENGINE))


def _tell(opened: "Opened", found: "Replay", into: Path | None, *, as_json: bool) -> None:
    from pipeline.cli.replay import print_replay

    if as_json:
        OUTPUT.document(SCHEMA, _document(opened, found, (), into))
        return
    print_replay(found)
    bundle = opened.imported.bundle
    OUTPUT.line(f"bundle {digits(bundle.id)}: {found.sameness}{' (claims more)' if found.unproven else ''}")


def _document(
    opened: "Opened", found: "Replay | None", lost: "tuple[Missing, ...]", into: Path | None
) -> dict[str, Any]:
    from pipeline.cli.replay import document
    from provenance.documents import to_document

    return {
        "bundle": opened.imported.bundle.id,
        "into": str(into) if into else None,
        "missing": [to_document(item) for item in lost],
        "replay": None if found is None else document(found),
    }
