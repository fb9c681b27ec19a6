"""The verbs that take in what others made: `import`, and `trust`, without which it is shown only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace
from pipeline.cli.output import OUTPUT
from pipeline.cli.references import FoundRuns, find, find_run
from pipeline.cli.sheets import counted, digits, in_bytes
from pipeline.cli.upkeep import open_store
from pipeline.errors import UsageError
from pipeline.places import find_workspace

if TYPE_CHECKING:
    from provenance.importing import Import
    from provenance.imports import Imported, Imports, Trust
    from provenance.model import Run
    from provenance.store import Store

_SHOWN = 20
"""Steps that are listed of a bundle; --json lists all."""


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("import")(import_)
    app.command()(trust)


def import_(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="A file of `clio export`.", show_default=False)
    ],
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Take a bundle into the store: its records and products can be shown and traced from then on.

    Nothing in it is believed and nothing runs because of it. A step is a hit by an imported run only once
    that is replayed here with the same data (`clio replay REF`), is signed by somebody you allow, or you say
    so (`clio trust`). Anything wrong with the bundle, to the last byte, and nothing of it is stored: exit 6.

    Example: `clio import m77.clio.zip`
    """
    from pipeline.config import load
    from provenance.importing import import_bundle
    from provenance.store import Store

    with Store.open(load(find_workspace(workspace)).store, create=True) as store:
        try:
            found = import_bundle(store, bundle)
        except OSError as error:
            raise UsageError(
                f"cannot read {bundle}: {error.strerror}", "name a file of `clio export`"
            ) from error
    if as_json:
        OUTPUT.document("clio-import/1", _import_document(found))
    else:
        _print_import(found)


def trust(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="An imported run or product as `clio show` takes it, or the id of a bundle: all it brought.",
            show_default=False,
        ),
    ] = "",
    reason: Annotated[str, typer.Option(help="Why you believe it.", metavar="TEXT")] = "",
    everything: Annotated[
        bool, typer.Option("--list", help="List what was imported and what is trusted.")
    ] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take back all trust in it.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Believe what was imported, as if it had been made here; or take that back.

    It holds for the run that is named, not for what it was made from. A replay with the same data (`clio
    replay REF`) makes a run trusted by itself, and is better: it proves what trust only says.

    Example: `clio trust 3f9a51c07be2 --reason "from the ESO archive, checked against its DOI"`
    """
    if everything == bool(reference) or (everything and (reason or revoke)):
        raise UsageError("name what to trust, or ask for --list", "such as: clio trust REF --reason TEXT")
    if reference and not reason.strip():
        raise UsageError("trust needs its reason", "add --reason TEXT: it is shown ever after")
    with open_store(workspace) as store:
        if everything:
            _print_trusts(store.trusts(), store, as_json)
            return
        runs = _imported(store, reference)
        if revoke:
            found = tuple(store.distrust(item, reason.strip()) for item in _held(store, runs, reference))
        else:
            found = (_by_hand(store, runs, reason.strip()),)
    _print_done(found, as_json)


def _by_hand(store: "Store", runs: "tuple[Run, ...]", reason: str) -> "Trust":
    from provenance.imports import How

    return store.trust(runs, How.HAND, reason)


def _held(store: "Store", runs: "tuple[Run, ...]", reference: str) -> "tuple[Trust, ...]":
    """List the trusts that hold for any of some runs."""
    names = {run.run for run in runs}
    held = tuple(t for t in store.trusts() if t.revoked is None and names.intersection(t.said.runs))
    if not held:
        raise UsageError(f"nothing imported is trusted of {reference}", "`clio trust --list` shows what is")
    return held


def _imported(store: "Store", reference: str) -> "tuple[Run, ...]":
    """Find the imported runs that are meant."""
    imports = store.imports
    digits_ = reference.removeprefix("sha256:")
    of_bundle = [
        run
        for run, said in imports.runs.items()
        if len(digits_) >= 8 and said.bundle.removeprefix("sha256:").startswith(digits_)
    ]
    if of_bundle:
        return tuple(store.run(run) for run in of_bundle)
    found = find(store, reference)
    meant = found.runs if isinstance(found, FoundRuns) else (find_run(store, reference),)
    runs = tuple(run for run in meant if run.run in imports.runs)
    if not runs:
        raise UsageError(
            f"{reference} was not imported: what was made here needs no trust", "`clio trust --list`"
        )
    return runs


def _import_document(found: "Import") -> dict[str, Any]:
    new = {run.run for run in found.runs}
    roots = set(found.bundle.description.roots)
    return {
        "bundle": found.bundle.id,
        "created_by": found.bundle.description.created_by,
        "runs": [
            {
                "run": run.run,
                "step": f"{run.stage}:{run.unit}",
                "is_new": run.run in new,
                "is_root": run.run in roots,
            }
            for run in found.bundle.runs
        ],
        "statements": len(found.statements),
        "objects": len(found.objects),
        "bytes": found.bytes,
        "statement": found.statement or None,
    }


def _print_import(found: "Import") -> None:
    bundle, new = found.bundle, {run.run for run in found.runs}
    roots = [run for run in bundle.runs if run.run in bundle.description.roots]
    for run in roots[:_SHOWN]:
        OUTPUT.line(f"{run.stage}:{run.unit}  run {run.run}{'' if run.run in new else '  (here already)'}")
    if len(roots) > _SHOWN:
        OUTPUT.say(f"and {len(roots) - _SHOWN} more; --json lists all")
    what = f"{counted(len(found.runs), 'run')}, {counted(len(found.statements), 'statement')}"
    OUTPUT.line(
        f"bundle {digits(bundle.id)} of {bundle.description.created_by}: {what}, "
        f"{counted(len(found.objects), 'object')} ({in_bytes(found.bytes)}) that were not here"
    )
    if found.runs:
        OUTPUT.say(
            "none of it is believed yet: replay it (clio replay REF), let who signed it vouch for it (clio "
            "verify BUNDLE --allowed-signers FILE --trust), or trust it by hand "
            f"(clio trust {digits(bundle.id)} --reason TEXT)"
        )


def _print_trusts(items: "tuple[Trust, ...]", store: "Store", as_json: bool) -> None:
    imports = store.imports
    said = {item.bundle: item for item in imports.runs.values()}
    if as_json:
        rows = [_imported_row(item, imports) for item in said.values()]
        OUTPUT.document(
            "clio-trust/1", {"trusts": [_trust_document(item) for item in items], "imports": rows}
        )
        return
    for item in items:
        OUTPUT.line(_words(item))
    for bundle in said.values():
        row = _imported_row(bundle, imports)
        OUTPUT.line(
            f"imported {bundle.at}: bundle {digits(bundle.bundle)}, {counted(row['runs'], 'run')}, "
            f"{row['trusted']} trusted"
        )
    if not said:
        OUTPUT.say("nothing was ever imported here")


def _print_done(items: "tuple[Trust, ...]", as_json: bool) -> None:
    if as_json:
        body = {"trusts": [_trust_document(item) for item in items], "imports": []}
        OUTPUT.document("clio-trust/1", body)
        return
    for item in items:
        OUTPUT.line(_words(item))


def _words(item: "Trust") -> str:
    runs = ", ".join(item.said.runs[:3]) + (
        f" and {len(item.said.runs) - 3} more" * (len(item.said.runs) > 3)
    )
    back = f"; taken back {item.revoked.at}: {item.revoked.reason}" if item.revoked else ""
    why = f": {item.said.reason}" if item.said.reason else ""
    return f"trusted {item.said.at}, by {item.said.how.value}{why}{back} (run {runs})"


def _trust_document(item: "Trust") -> dict[str, Any]:
    return {
        "trust": item.statement,
        "runs": list(item.said.runs),
        "how": item.said.how.value,
        "reason": item.said.reason,
        "evidence": item.said.evidence,
        "at": item.said.at,
        "revoked_at": item.revoked.at if item.revoked else None,
        "revoked_reason": item.revoked.reason if item.revoked else None,
    }


def _imported_row(said: "Imported", imports: "Imports") -> dict[str, Any]:
    runs = [run for run, item in imports.runs.items() if item.bundle == said.bundle]
    return {
        "bundle": said.bundle,
        "at": said.at,
        "created_by": said.created_by,
        "runs": len(runs),
        "trusted": sum(run in imports.trusts for run in runs),
    }
