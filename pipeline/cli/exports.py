"""What `trace` writes for others: a lineage in the form of their choice, a sidecar beside a product."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.options import open_reduction
from pipeline.cli.output import OUTPUT, print_json
from pipeline.cli.references import FoundFile, find
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.exchange.graph import Graph
    from pipeline.exchange.ivoa import Declared
    from pipeline.reduce import Reduction


_OTHER_WAY = {
    False: "with --down it is told what was made from it",
    True: "without --down it is told how it was made",
}


def print_export(reduction: "Reduction", digests: tuple[str, ...], form: str, *, down: bool) -> None:
    """Print the lineage of files in a form that others read.

    Parameters
    ----------
    reduction : Reduction
        The workspace.
    digests : tuple of str
        The files.
    form : str
        `prov-json`, `prov-n`, `ivoa`, `crate` or `json`.
    down : bool
        What was made from them, and not what they were made from.

    Raises
    ------
    UsageError
        There is no run in it.
    """
    from pipeline.exchange import crate, ivoa, lineage_json, prov, provdoc
    from pipeline.exchange.graph import read_graph

    graph = read_graph(reduction.store, digests, down=down)
    if not graph.runs:
        way = "read" if down else "made"
        raise UsageError(
            f"no run of this store {way} {digests[0]}: there is no lineage to tell", _OTHER_WAY[down]
        )
    match form:
        case "prov-json":
            OUTPUT.line(provdoc.prov_json_text(prov.prov_document(graph)))
        case "prov-n":
            OUTPUT.line(provdoc.prov_n(prov.prov_document(graph)))
        case "ivoa":
            OUTPUT.line(provdoc.prov_json_text(ivoa.ivoa_document(graph, _declared(reduction, graph))))
        case "crate":
            print_json(crate.crate(graph, {}), indent=1)
        case _:
            OUTPUT.document(lineage_json.SCHEMA, lineage_json.lineage_document(graph))


def _declared(reduction: "Reduction", graph: "Graph") -> "Declared":
    """Gather what the recipes say of their parameters, as far as their images are here."""
    calls = {(report.action.image, report.action.recipe) for report in graph.runs.values()}
    return {call: reduction.library.declared(*call) for call in sorted(calls)}


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
