"""What `trace` writes for others: a sidecar beside a product."""

from pathlib import Path

from pipeline.cli.options import open_reduction
from pipeline.cli.output import OUTPUT
from pipeline.cli.references import FoundFile, find
from pipeline.errors import UsageError


def write_sidecar(workspace: Path | None, reference: str, *, as_json: bool) -> None:
    """Write how a product was made beside it.

    Raises
    ------
    UsageError
        The reference is no path of a product that a run of the store made.
    """
    from pipeline.exchange.graph import read_graph
    from pipeline.exchange.sidecar import sidecar
    from pipeline.exchange.verified import sidecar_of
    from pipeline.replacing import replace_text

    product = Path(reference)
    if not product.is_file():
        raise UsageError(f"{reference} is no file: a sidecar lies beside a product", "name it by its path")
    with open_reduction(workspace) as reduction:
        found = find(reduction.store, reference)
        if not isinstance(found, FoundFile):
            raise UsageError(
                f"{reference} names runs: a sidecar lies beside a product", "name it by its path"
            )
        graph = read_graph(reduction.store, [found.digest])
    if found.digest not in graph.products:
        raise UsageError(
            f"no run of this store made {reference} ({found.digest[:19]})",
            "raw frames have no sidecar; a product edited since is another file: `clio check` finds those",
        )
    path = sidecar_of(product)
    written = sidecar(graph, found.digest)
    replace_text(path, written.decode())
    if as_json:
        body = {"product": reference, "path": str(path), "bytes": len(written), "digest": found.digest}
        OUTPUT.document("clio-sidecar-written/1", body)
    else:
        OUTPUT.line(str(path))
        OUTPUT.say(f"{len(written)} bytes; check the product anywhere with: clio verify {product.name}")
