"""The verb `verify`: a product against its sidecar, or anything signed against its signature.

A sidecar needs nothing but the file. A signature needs a list of keys that are allowed, and says besides who
vouches for the file; of a run it is looked for in the store.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace
from pipeline.cli.output import OUTPUT
from pipeline.cli.sign import check_signed, print_signed, signed_document
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.exchange.verified import Verified


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(verify)


def verify(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Products, each with its sidecar; with --allowed-signers any signed file, or a run.",
            show_default=False,
        ),
    ],
    sidecar: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The sidecar of the one product; by default FILE.prov.json beside it."
        ),
    ] = None,
    allowed: Annotated[
        Path | None,
        typer.Option(
            "--allowed-signers",
            metavar="FILE",
            help="Check signatures: by which keys, as ssh-keygen lists them.",
        ),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="That of the one file; by default FILE.dsse.json beside it."),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Trust what was imported and is so signed: it counts as made here."),
    ] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Check products against the sidecars beside them, or files and runs against their signatures.

    Every byte is checked; what moved is named: the member of a bundle, the HDU, the card. Sidecars and
    signed files need neither workspace nor store nor network. Leaves with 7 if something is not as it was
    recorded or signed, or the signature is of nobody allowed. `clio trace PRODUCT --sidecar` writes
    sidecars, `clio sign` signatures.

    Example: `clio verify DATACUBE_FINAL.fits`

    Example: `clio verify paper.clio.zip --allowed-signers allowed_signers`
    """
    if len(files) > 1 and (sidecar is not None or signature is not None):
        what = "--sidecar" if sidecar is not None else "--signature"
        raise UsageError(f"{what} names one file, and there are several products", "verify them one by one")
    if allowed is not None:
        if sidecar is not None:
            raise UsageError("--sidecar and --allowed-signers exclude each other", "verify twice")
        options = {"allowed": allowed, "signature": signature, "trust": trust, "workspace": workspace}
        _verify_signed(files, options, as_json=as_json)
    elif signature is not None or trust:
        raise UsageError("a signature needs a list of keys that are allowed", "add --allowed-signers FILE")
    else:
        _verify_sidecars([Path(name) for name in files], sidecar, as_json=as_json)


def _verify_signed(names: list[str], options: dict[str, Any], *, as_json: bool) -> None:
    found, trusted = check_signed(names, **options)
    if as_json:
        signed = [signed_document(item) for item in found]
        OUTPUT.document("clio-verify/1", {"files": [], "signed": signed, "trusted": trusted})
    else:
        print_signed(found)
        for run in trusted:
            OUTPUT.line(f"trusted: run {run}")
    if not all(item.holds for item in found):
        raise typer.Exit(int(Exit.DIFFERENT))


def _verify_sidecars(files: list[Path], sidecar: Path | None, *, as_json: bool) -> None:
    from pipeline.exchange import verified

    found = [verified.verify(f, verified.read_sidecar(sidecar or verified.sidecar_of(f))) for f in files]
    if as_json:
        OUTPUT.document(
            "clio-verify/1", {"files": [_document(item) for item in found], "signed": [], "trusted": []}
        )
    else:
        for item in found:
            OUTPUT.line(f"{item.path}: {item.sameness.value}")
            for line in item.moved:
                OUTPUT.line(f"  moved: {line}")
            OUTPUT.say(f"  {item.sidecar.tag} of {item.sidecar.recipe}, {item.sidecar.step}")
    if not all(item.is_same for item in found):
        raise typer.Exit(int(Exit.DIFFERENT))


def _document(item: "Verified") -> dict[str, Any]:
    recorded = item.sidecar
    return {
        "path": str(item.path),
        "sidecar": str(recorded.path),
        "verdict": item.sameness.value,
        "digest": item.digest,
        "data_digest": item.data_digest,
        "recorded": {
            "digest": recorded.digest,
            "data_digest": recorded.data_digest,
            "name": recorded.name,
            "tag": recorded.tag,
            "step": recorded.step,
            "recipe": recorded.recipe,
        },
        "moved": list(item.moved),
    }
