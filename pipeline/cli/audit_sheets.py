"""How what is known of a file reads: as lines on screen, and as a JSON object."""

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.audit.findings import Finding, FoundInput, FoundParameter, FoundRecipe
    from pipeline.audit.places import Candidate

FEW = 3
"""Inputs alike that are named one by one."""


def finding_lines(finding: "Finding", image: str, *, everything: bool) -> Iterator[str]:
    """Describe a file.

    Parameters
    ----------
    finding : Finding
        What was found out.
    image : str
        First digits of the image whose defaults were compared; empty for none.
    everything : bool
        Parameters at their default and every input too.
    """
    yield f"{finding.path}: {finding.kind}"
    for fact in finding.facts:
        value = fact.value or "-"
        why = f" ({fact.why})" if fact.why else ""
        yield from _folded(f"  {fact.name:<12} {fact.standing.value:<8} ", f"{value}{why}")
    for recipe in finding.recipes:
        yield from _recipe_lines(recipe, image, everything)
    for remark in finding.remarks:
        word = "contradiction" if remark.is_contradiction else "remark"
        yield from _folded(f"{word}: ", remark.text)
    if finding.known is not None and finding.known.differing:
        cards = ", ".join(finding.known.differing)
        same = "nothing but names of files" if finding.known.is_but_for_names else "its header"
        yield from _folded("differs: ", f"from the product in the store in {same}: {cards}")


def finding_document(finding: "Finding") -> dict[str, Any]:
    """Write what is known of a file as a JSON object."""
    digests = finding.evidence.digests if finding.evidence else None
    known = finding.known
    return {
        "path": str(finding.path),
        "kind": finding.kind,
        "digest": digests.digest if digests else None,
        "data_digest": digests.data_digest if digests else None,
        "known": None
        if known is None
        else {
            "by": known.by,
            "digest": known.digest,
            "run": known.run,
            "tag": known.tag,
            "differing": list(known.differing),
            "is_but_for_names": known.is_but_for_names,
            "is_product": known.is_product,
        },
        "facts": [
            {"name": fact.name, "value": fact.value, "standing": fact.standing.value, "why": fact.why}
            for fact in finding.facts
        ],
        "recipes": [_recipe_document(recipe) for recipe in finding.recipes],
        "remarks": [
            {"kind": r.kind, "contradiction": r.is_contradiction, "text": r.text} for r in finding.remarks
        ],
    }


def _recipe_lines(recipe: "FoundRecipe", image: str, everything: bool) -> Iterator[str]:
    claim = recipe.claim
    versions = " ".join(filter(None, (claim.pipeline, claim.library))) or "of an unknown version"
    yield f"REC{claim.number} {claim.recipe or 'an unknown recipe'} {versions}: {_words(recipe.standing)}"
    shown = [
        p for p in recipe.parameters if everything or p.is_changed or p.differs_here or p.is_there is False
    ]
    if not recipe.parameters:
        yield "  parameters unknown: the header names none"
    else:
        rest = "" if everything or len(shown) == len(recipe.parameters) else "; --all shows the rest"
        changed = sum(bool(p.is_changed) for p in recipe.parameters)
        yield f"  parameters ({changed} of {len(recipe.parameters)} not at their default{rest})"
        for parameter in shown:
            yield from _folded("    ", _parameter_words(parameter, image))
        if recipe.missing:
            yield from _folded("    ", f"unknown: {', '.join(recipe.missing)}: only image {image} has them")
    if recipe.inputs:
        yield "  inputs"
    else:
        yield "  inputs unknown: the header names none"
    for group in _groups(recipe.inputs, everything):
        yield from _folded("    ", _input_words(group))


def _words(standing: object) -> str:
    return {"claimed": "claimed by the header", "proven": "proven"}.get(str(standing), str(standing))


def _parameter_words(parameter: "FoundParameter", image: str) -> str:
    claim = parameter.claim
    cut = "..." if claim.is_default_cut else ""
    then = "unknown" if claim.default is None else f"{claim.default or 'empty'}{cut}"
    told = f"{claim.name} = {claim.value or 'empty'} (default {then}"
    if parameter.is_there is False:
        return f"{told}; image {image} has no such parameter)"
    here = parameter.default
    if here is not None and (claim.default is None or (parameter.differs_here and not claim.is_changed)):
        return f"{told}; in image {image} {here or 'empty'})"
    return f"{told})"


def _groups(inputs: "tuple[FoundInput, ...]", everything: bool) -> "Iterator[list[FoundInput]]":
    """Put inputs together that are of one tag and have one fate."""
    for _, group in groupby(inputs, lambda item: (item.claim.is_raw, item.claim.tag, item.why)):
        alike = list(group)
        if everything or len(alike) <= FEW:
            yield from ([item] for item in alike)
        else:
            yield alike


def _input_words(group: "list[FoundInput]") -> str:
    first, last = group[0], group[-1]
    place, name = first.claim.place, first.claim.name or "without a name"
    if first is not last:
        place, name = f"{place}-{last.claim.place[3:]}", f"{name} to {last.claim.name}"
    best = next((c for c in first.candidates if not c.against), None)
    where = f" at {best.path}" if best and best.path and first is last else ""
    return f"{place} {first.claim.tag or 'no tag'} {name}: {first.standing.value}; {first.why}{where}"


def _recipe_document(recipe: "FoundRecipe") -> dict[str, Any]:
    claim = recipe.claim
    return {
        "number": claim.number,
        "recipe": claim.recipe,
        "pipeline": claim.pipeline,
        "library": claim.library,
        "standing": recipe.standing.value,
        "parameters": [
            {
                "name": p.claim.name,
                "value": p.claim.value,
                "default": p.claim.default,
                "image_default": p.default,
                "is_in_image": p.is_there,
                "is_changed": p.is_changed,
                "standing": p.standing.value,
            }
            for p in recipe.parameters
        ],
        "unknown_parameters": list(recipe.missing),
        "inputs": [
            {
                "place": item.claim.place,
                "tag": item.claim.tag,
                "name": item.claim.name,
                "arcfile": item.claim.archive_name if item.claim.archive_name.startswith("MUSE.") else None,
                "datamd5": item.claim.datamd5,
                "standing": item.standing.value,
                "why": item.why,
                "candidates": [_candidate(candidate) for candidate in item.candidates],
            }
            for item in recipe.inputs
        ],
    }


def _candidate(candidate: "Candidate") -> dict[str, Any]:
    return {
        "path": str(candidate.path) if candidate.path else None,
        "by": list(candidate.by),
        "against": candidate.against,
        "digest": candidate.digest,
        "data_digest": candidate.data_digest,
        "run": candidate.run,
        "is_product": candidate.is_product,
    }


def _folded(head: str, text: str) -> Iterator[str]:
    """Fold a line where it grows wider than 80 columns; what is one word stays whole."""
    import textwrap

    indent = " " * (24 if len(head) > 20 else len(head) - len(head.lstrip()) + 2)
    yield from textwrap.wrap(
        text,
        80,
        initial_indent=head,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
