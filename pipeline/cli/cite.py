"""The verb for the paper: `cite`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Json, Workspace
from pipeline.cli.output import OUTPUT
from pipeline.cli.references import FoundRuns, Reference, find, the_one
from pipeline.errors import Exit, PipelineError, UsageError
from pipeline.places import find_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.cite.facts import Cited
    from pipeline.cite.phase3 import Keyword
    from provenance.model import Run
    from provenance.store import Store


class Table(StrEnum):
    """How the exposures are written."""

    ECSV = "ecsv"
    LATEX = "latex"


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(cite)


def cite(
    reference: Reference,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print the references as BibTeX.")] = False,
    exposures: Annotated[
        Table | None, typer.Option("--exposures", help="Print the table of exposures instead.")
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Write the text for LaTeX.")] = False,
    phase3: Annotated[
        bool, typer.Option("--phase3", help="Hold its header against ESO's Phase 3 instead.")
    ] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Print words for a paper about a product: methods, acknowledgement, exposures, references.

    All is from its lineage alone, and the same every time; what is not known is said.

    Example: `clio cite combine:200012345 --bibtex`
    """
    if sum((bibtex, exposures is not None, phase3)) > 1:
        raise UsageError("--bibtex, --exposures and --phase3 are named together", "name one of them")
    from pipeline.config import load
    from provenance.store import Store

    settings = load(find_workspace(workspace))
    with Store.open(settings.store) as store:
        cited = _cited(store, reference)
        checked = _checked(store, cited) if phase3 or as_json else ()
    if as_json:
        OUTPUT.document("clio-cite/1", {"reference": reference, **_document(cited, checked)})
    elif phase3:
        _print_phase3(checked)
    else:
        _print(cited, bibtex, exposures, latex)
    if phase3 and any(keyword.state in ("missing", "wrong") for keyword in checked):
        raise typer.Exit(int(Exit.DIFFERENT))


def _cited(store: "Store", reference: str) -> "Cited":
    from pipeline.cite.facts import read_facts
    from pipeline.own.environment import remembered
    from pipeline.report import RunReport, report_file, trace

    found = find(store, reference, successful=True)
    run: Run | None = the_one(found, reference) if isinstance(found, FoundRuns) else None
    digest = "" if isinstance(found, FoundRuns) else found.digest
    if not isinstance(found, FoundRuns):
        report = report_file(store, digest, reference)
        run = report.run if isinstance(report, RunReport) else None
    if run is not None:
        if not run.outputs:
            raise UsageError(f"{run.stage}:{run.unit} made nothing ({run.status.value})", "name a product")
        digest = run.outputs[0].digest

    def known(image: str) -> "Mapping[str, str]":
        return {package.name: package.version for package in _packages(image)}

    def environment(image: str) -> "Mapping[str, str]":
        return {package.name: package.version for package in remembered(store, image) or ()}

    cited = read_facts(store, trace(store, (digest,)), known, environment)
    if not cited.calls:
        raise UsageError(f"{reference} came from outside: no run of this store made it")
    return cited


def _packages(image: str) -> Any:
    """List the packages of an image that is on this machine."""
    from pipeline.image import ImageLibrary

    library = ImageLibrary()
    try:
        return library.packages(library.find(image))
    except PipelineError:
        return ()


def _checked(store: "Store", cited: "Cited") -> "tuple[Keyword, ...]":
    """Hold the header of the product against Phase 3; nothing if its bytes are not there."""
    from pipeline import keywords as kw
    from pipeline.audit.cards import read_headers
    from pipeline.cite.phase3 import keywords
    from pipeline.errors import FitsError

    path: Path = store.objects.path(cited.digest)
    try:
        hdus = read_headers(path).hdus
    except FitsError:
        return ()
    names = [{card.keyword for card in cards} for cards in hdus]
    unsealed = tuple(f"HDU {n}" for n, found in enumerate(names) if not {kw.CHECKSUM, "DATASUM"} <= found)
    header = {card.keyword: card.value for card in reversed(hdus[0])}
    return keywords(cited, header, unsealed=unsealed)


def _print(cited: "Cited", bibtex: bool, exposures: Table | None, latex: bool) -> None:
    import textwrap

    from pipeline.cite import bibliography, tables, words

    used = bibliography.used(cited)
    if bibtex:
        OUTPUT.line(bibliography.bibtex(used).rstrip("\n"))
        return
    if exposures is not None:
        text = tables.ecsv(cited) if exposures is Table.ECSV else tables.latex(cited)
        OUTPUT.line(text.rstrip("\n"))
        return
    thanks = words.acknowledgement(cited)
    texts = (words.methods(cited, used, latex=latex), words.escaped(thanks) if latex else thanks)
    OUTPUT.line(
        "\n\n".join(
            textwrap.fill(text, 79, break_long_words=False, break_on_hyphens=False) for text in texts if text
        )
    )
    _say_unknown(cited)
    OUTPUT.say("more: --exposures ecsv|latex, --bibtex, --phase3")


def _say_unknown(cited: "Cited") -> None:
    for doubt in cited.doubts:
        OUTPUT.say(f"know before you publish: {doubt}")
    unread = [item for item in cited.exposures if not item.known_by]
    for item in unread[:3]:
        OUTPUT.say(f"unknown: programme and times of {item.tag} {item.arcfile}: no header of it is at hand")
    if len(unread) > 3:
        OUTPUT.say(f"and of {len(unread) - 3} more")
    if not any(name == "esorex" for name, _ in cited.packages) and cited.images:
        OUTPUT.say("unknown: the version of EsoRex: the image is not on this machine")


def _print_phase3(checked: "tuple[Keyword, ...]") -> None:
    if not checked:
        raise UsageError("the bytes of the product are not in the store", "bring it back with: clio restore")
    OUTPUT.table(
        ("keyword", "state", "in the header", "from the lineage"),
        ((k.name, k.state.value, k.found, " ".join(filter(None, (k.expected, _why(k))))) for k in checked),
    )


def _why(keyword: "Keyword") -> str:
    return f"({keyword.why})" if keyword.why and keyword.state.value != "right" else ""


def _document(cited: "Cited", checked: "tuple[Keyword, ...]") -> dict[str, Any]:
    from pipeline.cite import bibliography, words
    from provenance.documents import to_document

    used = bibliography.used(cited)
    body: dict[str, Any] = {
        name: getattr(cited, name) for name in ("digest", "data_digest", "tag", "name", "clio", "doubts")
    }
    body |= {
        "methods": words.methods(cited, used),
        "methods_latex": words.methods(cited, used, latex=True),
        "acknowledgement": words.acknowledgement(cited),
        "programmes": list(cited.programmes),
        "images": [{"digest": digest, "platform": platform} for digest, platform in cited.images],
        "packages": dict(cited.packages),
        "libraries": dict(cited.libraries),
        "recipes": [
            {
                **{n: getattr(call, n) for n in ("stage", "recipe", "version", "runs")},
                "changed": [{"name": n, "value": v, "by": by} for n, v, by in call.changed],
            }
            for call in cited.calls
        ],
        "calibrations": [to_document(item) for item in cited.calibrations],
        "exposures": [
            {
                **{
                    n: getattr(e, n)
                    for n in (
                        *("tag", "arcfile", "digest", "date_obs", "mjd", "exptime_s", "target"),
                        *("programme", "block", "mode", "airmass", "seeing_arcsec"),
                    )
                },
                "known_by": e.known_by or None,
            }
            for e in cited.exposures
        ],
        "frames": dict(cited.frames),
        "statics": [{"tag": tag, "digest": digest} for tag, digest in cited.statics],
        "foreign": [{"tag": tag, "name": name} for tag, name in cited.foreign],
        "references": [{"key": e.key, "label": e.label, "kind": e.kind, **_fields(e)} for e in used],
        "bibtex": bibliography.bibtex(used),
        "phase3": [
            {"name": k.name, "state": k.state.value, "found": k.found, "expected": k.expected, "why": k.why}
            for k in checked
        ],
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in body.items()}


def _fields(entry: Any) -> dict[str, Any]:
    return {"fields": dict(entry.fields)}
