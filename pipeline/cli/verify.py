"""The verb that needs nothing but the file: `verify`.

Where a signature belongs: it is made over the bytes of the sidecar (`Sidecar.body`), which name the product
by its digest. `--allowed-signers FILE` is then an option of `verify`, checked for each file after
`read_sidecar` and before the product is read; what it says is printed with the file's line, goes into the
document beside `sidecar`, and a signature that does not hold leaves with 7 as moved bytes do.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json
from pipeline.cli.output import OUTPUT
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.exchange.verified import Verified


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(verify)


def verify(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Products, each with its sidecar.", show_default=False),
    ],
    sidecar: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The sidecar of the one product; by default FILE.prov.json beside it."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check products against the sidecars beside them: every byte, and if one moved, in which HDU.

    Needs neither workspace nor store nor network. Leaves with 7 if a file is not what its sidecar says.
    `clio trace PRODUCT --sidecar` writes sidecars.

    Example: `clio verify DATACUBE_FINAL.fits`
    """
    from pipeline.exchange import verified

    if sidecar is not None and len(files) > 1:
        raise UsageError("--sidecar names one file, and there are several products", "verify them one by one")
    found = [verified.verify(f, verified.read_sidecar(sidecar or verified.sidecar_of(f))) for f in files]
    if as_json:
        OUTPUT.document("clio-verify/1", {"files": [_document(item) for item in found]})
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
