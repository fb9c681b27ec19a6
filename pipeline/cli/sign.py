"""The verb `sign`, and what `verify` does with signatures."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.cli.sheets import counted
from pipeline.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pipeline.reduce import Reduction
    from pipeline.signing.checking import Signed
    from pipeline.signing.envelope import Envelope
    from provenance.model import Run
    from provenance.store import Store


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(sign)


def sign(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REF|FILE",
            help="A run, step or digest of the store; or a bundle, product or any other file.",
            show_default=False,
        ),
    ],
    key: Annotated[
        Path, typer.Option(help="SSH key to sign with; of one in an agent the public half.", metavar="FILE")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the signature is written.", metavar="FILE")
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Sign a run with its products, a bundle, or any file, with an SSH key.

    Of a file the signature is written beside it, as FILE.dsse.json. Of a run it is kept as a statement, which
    bundles carry; --output writes it too. It is an in-toto statement with SLSA provenance in a DSSE envelope.

    Example: `clio sign paper.clio.zip --key ~/.ssh/id_ed25519`

    Example: `clio sign scipost:200012345 --key ~/.ssh/id_ed25519`
    """
    from pipeline.signing.envelope import SUFFIX

    path = Path(reference)
    if path.is_file():
        target = output or path.with_name(path.name + SUFFIX)
        envelope = _of_file(path, key, workspace)
        _write(envelope, target)
        rows = [_document(reference, envelope, str(target), None)]
    else:
        with open_reduction(workspace) as reduction:
            rows = _sign_runs(reduction, reference, key, output)
    if as_json:
        OUTPUT.document("clio-sign/1", {"signed": rows})
        return
    for row in rows:
        OUTPUT.line(row["path"] or f"signed: {row['what']}")
        OUTPUT.say(f"{counted(row['subjects'], 'file')} signed by {row['key']}")


def check_signed(
    references: Iterable[str],
    *,
    allowed: Path,
    signature: Path | None,
    trust: bool,
    workspace: Path | None,
) -> "tuple[list[Signed], list[str]]":
    """Check signatures; give what was found, and the runs that are trusted for them.

    Parameters
    ----------
    references : iterable of str
        Files, or runs of the store.
    allowed : Path
        List of allowed signers.
    signature : Path or None
        Of the one file; by default beside it.
    trust : bool
        Vouch for what was imported and is signed.
    workspace : Path or None
        Where the store is; not needed for files alone.
    """
    from pipeline.signing.checking import check_file
    from pipeline.signing.envelope import SUFFIX

    found: list[Signed] = []
    for reference in references:
        path = Path(reference)
        if path.is_file():
            found.append(check_file(path, signature or path.with_name(path.name + SUFFIX), allowed))
        else:
            found.append(_check_reference(reference, allowed, workspace))
    trusted: list[str] = []
    if trust:
        with open_reduction(workspace) as reduction:
            trusted = [run for signed in found if signed.holds for run in _trust(reduction.store, signed)]
    return found, trusted


def print_signed(found: "Iterable[Signed]") -> None:
    """Say of each thing whether it is as somebody allowed signed it, and what is altered."""
    for signed in found:
        verdict = f"signed by {signed.signer}" if signed.signer else "not signed by anybody allowed"
        OUTPUT.line(f"{signed.what}: {verdict}{', and altered since' if signed.altered else ''}")
        for one in signed.signatures:
            if not one.holds:
                OUTPUT.line(f"  refused: {one.key}: {one.reason}")
        for line in signed.altered:
            OUTPUT.line(f"  altered: {line}")


def signed_document(signed: "Signed") -> dict[str, Any]:
    """Describe what was found of a signed thing."""
    return {
        "what": signed.what,
        "source": signed.source,
        "kind": signed.build_type,
        "holds": signed.holds,
        "signer": signed.signer or None,
        "signatures": [
            {"key": one.key, "signer": one.signer or None, "refused": one.reason or None}
            for one in signed.signatures
        ],
        "altered": list(signed.altered),
    }


def _of_file(path: Path, key: Path, workspace: Path | None) -> "Envelope":
    from pipeline.exchange.verified import sidecar_of
    from pipeline.signing.attest import attest_bundle, attest_files
    from pipeline.signing.envelope import envelope_of
    from pipeline.signing.keys import sign as sign_with

    if _is_bundle(path):
        statement = attest_bundle(path)
    else:
        beside = sidecar_of(path)
        statement = _of_store(path, workspace) or attest_files(
            [path, *([beside] if beside.is_file() else [])]
        )
    return sign_with(envelope_of(statement), key)


def _is_bundle(path: Path) -> bool:
    from provenance.bundle_layout import DESCRIPTION
    from provenance.errors import BundleRefused
    from provenance.zipped import Zipped

    try:
        with Zipped(path) as found:
            return DESCRIPTION in found.members
    except BundleRefused:
        return False


def _of_store(path: Path, workspace: Path | None) -> dict[str, Any] | None:
    """Describe a product by the run that made it; None if no store here knows it."""
    from pipeline.cli.references import digest_of
    from pipeline.signing.attest import attest_run
    from provenance.lineage import believed

    try:
        with open_reduction(workspace) as reduction:
            digest = digest_of(reduction.store, path)
            makers = [
                r for r in reduction.store.runs_making(digest) if any(o.digest == digest for o in r.outputs)
            ]
            return attest_run(reduction.store, believed(tuple(makers))) if makers else None
    except ConfigError:
        if workspace is not None:
            raise
        return None


def _sign_runs(
    reduction: "Reduction", reference: str, key: Path, output: Path | None
) -> list[dict[str, Any]]:
    from pipeline.cli.references import FoundRuns, find, find_run
    from pipeline.signing.attest import attest_run
    from pipeline.signing.envelope import envelope_of
    from pipeline.signing.keys import sign as sign_with
    from provenance.about import SIGNED

    store = reduction.store
    found = find(store, reference, successful=True)
    runs = found.runs if isinstance(found, FoundRuns) else (find_run(store, reference),)
    if output is not None and len(runs) > 1:
        raise UsageError(f"{reference} is {len(runs)} runs, and --output is one file", "name one of them")
    rows = []
    for run in runs:
        if not run.outputs:
            raise UsageError(f"run {run.run} made nothing: there is nothing to sign", f"clio show {run.run}")
        envelope = sign_with(envelope_of(attest_run(store, run)), key)
        body = {"run": run.run, "at": _now(), "key": _key(envelope), "envelope": envelope.document()}
        statement = store.statement(SIGNED, body).digest
        if output is not None:
            _write(envelope, output)
        what = f"run {run.run} of {run.stage}:{run.unit}"
        rows.append(_document(what, envelope, str(output) if output else None, statement))
    return rows


def _check_reference(reference: str, allowed: Path, workspace: Path | None) -> "Signed":
    from pipeline.cli.references import find_run
    from pipeline.signing.checking import check_run

    if reference.endswith((".fits", ".zip", ".json")):
        raise UsageError(f"there is no file {reference}", "name a file, or a run of the store")
    with open_reduction(workspace) as reduction:
        run: Run = find_run(reduction.store, reference, successful=True)
        found = check_run(reduction.store, run, allowed)
    # Of several signatures one that holds is enough; else the newest says why not.
    return next((signed for signed in found if signed.holds), found[-1])


def _trust(store: "Store", signed: "Signed") -> list[str]:
    """Vouch for imported runs whose records are signed as they lie here."""
    from provenance.digest import digest_bytes
    from provenance.imports import How

    imports = store.imports
    found = [
        run
        for run in (store.run(id_) for id_ in imports.runs if id_ not in imports.trusts)
        if store.records.record(run.action, run.run)[1] in signed.records
    ]
    if found:
        key = next(one.key for one in signed.signatures if one.holds)
        store.trust(found, How.SIGNATURE, f"{signed.signer} ({key})", digest_bytes(signed.envelope.payload))
    return [run.run for run in found]


def _write(envelope: "Envelope", path: Path) -> None:
    from pipeline.replacing import replace_text

    replace_text(path, json.dumps(envelope.document(), indent=1) + "\n")


def _document(what: str, envelope: "Envelope", path: str | None, statement: str | None) -> dict[str, Any]:
    return {
        "what": what,
        "path": path,
        "statement": statement,
        "key": _key(envelope),
        "subjects": len(envelope.statement["subject"]),
        "payload": _digest(envelope),
    }


def _digest(envelope: "Envelope") -> str:
    from provenance.digest import digest_bytes

    return digest_bytes(envelope.payload)


def _key(envelope: "Envelope") -> str:
    return envelope.signatures[-1].key


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
