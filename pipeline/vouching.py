"""Trust in imported runs that were run again here, as far as the same data prove what their records claim.

A record of a stranger may be false in ways that a verdict does not see: a product that comes out as recorded
proves nothing of an input that is said to be another frame, of a parameter that is said to be a default, nor
of data that are said to lie in other bytes. So all that a later lookup would rely on is compared too.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.again import Remade, Workshop
from pipeline.errors import FitsError, UsageError
from pipeline.finding import in_store
from pipeline.fitsdigest import digest_file
from pipeline.judging import Judgement
from pipeline.parameters import effective
from pipeline.verdict import Sameness
from provenance.digest import digest_file as digest_of_bytes
from provenance.imports import How
from provenance.model import OutputFile, Run

_PROVES = (Sameness.IDENTICAL, Sameness.SAME_SCIENCE)


def vouch(workshop: Workshop, remade: Remade, judgement: Judgement, replay: Run) -> str:
    """Trust an imported run that came out again with the same data; say why not, if not.

    Parameters
    ----------
    workshop : Workshop
        What it was made again with; `store` has the imported record.
    remade, judgement
        What came out, while its files are there, and how it compares.
    replay : Run
        The record of the replay.

    Returns
    -------
    str
        Empty if it is trusted now, or needed no trust.
    """
    run, store = remade.recorded, workshop.store
    if not store.imports.doubt(run):
        return ""
    if remade.is_challenge or judgement.sameness not in _PROVES:
        return f"not made again with the same data: {judgement.sameness}"
    for claim in _false_claims(workshop, remade, replay):
        return claim
    if workshop.into is None:
        store.trust([run], How.REPLAY, judgement.sameness.value, replay.run)
    return ""


def _false_claims(workshop: Workshop, remade: Remade, replay: Run) -> Iterator[str]:
    """Say what a record claims and a replay disproves, or cannot prove."""
    if not _are_parameters_as_claimed(workshop, remade):
        yield "it ran with other parameters than the imported action names"
    for item in remade.ran.call.inputs:
        if content_of(item.path, item.name) != item.data_digest:
            yield f"{item.tag} {item.name} holds other data than the imported action names"
    now = {(output.tag, output.name): output for output in replay.outputs}
    for recorded in remade.recorded.outputs:
        made, what = now.get((recorded.tag, recorded.name)), f"{recorded.tag} {recorded.name}"
        if made is None or _claims(recorded) != _claims(made):
            yield f"{what} has other data or QC parameters than the imported record claims"
        elif recorded.digest != made.digest:
            path = in_store(workshop.store, recorded.digest)
            if path is None:
                yield f"the recorded bytes of {what} are not here to be compared"
            elif content_of(path, recorded.name) != recorded.data_digest:
                yield f"the recorded bytes of {what} hold other data than is claimed"


def _claims(output: OutputFile) -> tuple[object, ...]:
    """Give what a record says of a product beside its bytes, which another clock changes."""
    return output.data_digest, output.parts, output.qc


def _are_parameters_as_claimed(workshop: Workshop, remade: Remade) -> bool:
    """Whether what was given, with the defaults of the image, makes up the parameters of the action."""
    action = remade.action
    engine, image = workshop.surroundings(action)
    known = workshop.library.parameters(image, engine, action.recipe)
    try:
        return effective(action.recipe, known, remade.ran.call.options).values == action.parameters
    except UsageError:
        return False


def content_of(path: Path, name: str) -> str:
    """Give what a key names of a file: the data digest of a FITS file, the digest of anything else.

    Parameters
    ----------
    path : Path
        Where it lies, under any name.
    name : str
        Its canonical name, which tells what it is.
    """
    try:
        return digest_file(path).data_digest if name.endswith(".fits") else digest_of_bytes(path)
    except (FitsError, OSError):
        return ""
