"""A signed thing as it is now, beside what was signed."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import Exit, PipelineError
from pipeline.signing.attest import ACTION, BUNDLE, RECORD, RUN
from pipeline.signing.envelope import SUFFIX, Envelope, EnvelopeRefused, read_envelope
from pipeline.signing.keys import Checked, check
from pipeline.signing.seals import Seal, differences, likeness, seal_file, seal_member
from provenance.about import SIGNED
from provenance.bundle_layout import place_of
from provenance.digest import digest_file
from provenance.errors import ProvenanceError, short
from provenance.model import Run, Statement
from provenance.store import Store
from provenance.zipped import Zipped, shown

_LARGEST_BYTES = 512 << 20
_ALIKE = 0.5
"""Of cards in common, above which a file of another name is taken for the signed one, altered."""
_MOST = 40
"""Differences that are named."""


class Unsigned(PipelineError):
    """There is no signature to check."""

    exit_code = Exit.DIFFERENT


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature says of a thing, and how the thing is now."""

    what: str
    """The thing: a path, or a step with its run."""
    envelope: Envelope
    signatures: tuple[Checked, ...]
    altered: tuple[str, ...]
    """What is otherwise than it was signed, a line each; empty if nothing is."""
    source: str = ""
    """Where the signature lies: a path, or the digest of a statement."""

    @property
    def signer(self) -> str:
        """Who signed it, of those that are allowed; empty if nobody."""
        return next((one.signer for one in self.signatures if one.holds), "")

    @property
    def holds(self) -> bool:
        """Whether it is as it was when somebody who is allowed signed it."""
        return bool(self.signer) and not self.altered

    @property
    def build_type(self) -> str:
        """What kind of thing was signed."""
        return str(_definition(self.envelope).get("buildType", ""))

    @property
    def records(self) -> frozenset[str]:
        """Digests of the records that are signed, alone or in a bundle."""
        if self.build_type == RUN:
            return frozenset(
                f"sha256:{digits}" for name, digits in _byproducts(self.envelope) if name == RECORD
            )
        if self.build_type == BUNDLE:
            seals = _subjects(self.envelope, self.what)
            return frozenset(f"sha256:{s.digest}" for s in seals if s.name.startswith("data/records/"))
        return frozenset()


def read_signature_file(path: Path) -> Envelope:
    """Read what lies beside a signed file.

    Raises
    ------
    Unsigned
        There is nothing.
    EnvelopeRefused
        It is no envelope.
    """
    try:
        with path.open("rb") as file:
            body = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        hint = f"`clio sign FILE --key KEY` writes FILE{SUFFIX}"
        raise Unsigned(f"no signature {path}: {(error.strerror or str(error)).lower()}", hint) from error
    if len(body) > _LARGEST_BYTES:
        raise EnvelopeRefused(f"{path} holds no signature: it is too large")
    return read_envelope(body, str(path))


def check_file(path: Path, signature: Path, allowed: Path) -> Signed:
    """Check a file against a signature beside it.

    Raises
    ------
    Unsigned, EnvelopeRefused, KeyUnusable, BundleRefused
        There is no signature, or none that can be read; or a bundle is too damaged to say what is altered.
    OSError
        The file cannot be read.
    """
    envelope = read_signature_file(signature)
    checked = check(envelope, allowed)
    altered = tuple(_altered(path, envelope))
    return Signed(str(path), envelope, checked, altered, str(signature))


def check_run(store: Store, run: Run, allowed: Path) -> tuple[Signed, ...]:
    """Check a run of the store, with its products, against every signature of it that the store has.

    Raises
    ------
    Unsigned
        There is none.
    """
    found = []
    for statement in signatures_of(store, run):
        envelope = read_envelope(statement.body["envelope"], f"statement {short(statement.digest)}")
        altered = tuple(_altered_run(store, run, envelope))
        what = f"run {run.run} of {run.stage}:{run.unit}"
        found.append(Signed(what, envelope, check(envelope, allowed), altered, statement.digest))
    if not found:
        hint = "`clio sign REF --key KEY` signs it"
        raise Unsigned(f"run {run.run} of {run.stage}:{run.unit} is not signed", hint)
    return tuple(found)


def signatures_of(store: Store, run: Run) -> tuple[Statement, ...]:
    """Return the statements that hold signatures of a run: said here, or brought by a bundle."""
    said = (*store.statements(SIGNED), *store.brought(SIGNED))
    return tuple(s for s in said if isinstance(s.body, dict) and s.body.get("run") == run.run)


def _altered(path: Path, envelope: Envelope) -> Iterator[str]:
    subjects = _subjects(envelope, str(path))
    is_bundle = _definition(envelope).get("buildType") == BUNDLE
    digest = digest_file(path).removeprefix("sha256:")
    if any(seal.digest == digest for seal in (subjects[:1] if is_bundle else subjects)):
        return
    if is_bundle:
        yield from _altered_bundle(path, subjects)
        return
    found = seal_file(path)
    meant = _meant(subjects, found)
    if meant is None:
        names = ", ".join(shown(seal.name) for seal in subjects[:5])
        yield f"it is not what was signed: the signature is of {names}"
        return
    yield from list(differences(meant, found))[:_MOST]


def _meant(subjects: list[Seal], found: Seal) -> Seal | None:
    """Find which of the signed files may be this one, altered: that of its name, else one much like it."""
    named = next((seal for seal in subjects if seal.name == found.name), None)
    nearest = max(subjects, key=lambda seal: likeness(seal, found), default=None)
    if named is not None or nearest is None:
        return named
    return nearest if likeness(nearest, found) > _ALIKE else None


def _altered_bundle(path: Path, subjects: list[Seal]) -> Iterator[str]:
    signed = {seal.name: seal for seal in subjects[1:]}
    if not zipfile.is_zipfile(path):
        yield "it is no zip file any more"
        return
    said: list[str] = []
    with Zipped(path) as bundle:
        for name in sorted(signed.keys() | bundle.members.keys()):
            if name not in signed or name not in bundle.members:
                said.append(f"member {_member(name)}: {'added' if name in bundle.members else 'missing'}")
                continue
            found = seal_member(path, bundle.members[name])
            said += (f"member {_member(name)}: {what}" for what in differences(signed[name], found))
    yield from said[:_MOST]
    if len(said) > _MOST:
        yield f"and {len(said) - _MOST} more"
    if not said:
        yield "its bytes outside of all members: the headers or the directory of the zip file"


def _member(name: str) -> str:
    """Write the name of a member whole, unless it is one that no bundle has."""
    return name if place_of(name) else shown(name)


def _altered_run(store: Store, run: Run, envelope: Envelope) -> Iterator[str]:
    for name, digest in _byproducts(envelope):
        if name == RECORD:
            yield from _altered_file(store.records.record_path(run.action, run.run), digest, "its record")
        elif name == ACTION:
            yield from _altered_file(store.records.action_path(run.action), digest, "its action")
    recorded = {item.name: item for item in run.outputs}
    for seal in _subjects(envelope, run.run):
        item = recorded.get(seal.name)
        if item is None or item.digest != f"sha256:{seal.digest}":
            yield f"{shown(seal.name)}: the record names another file"
        path = store.objects.path(f"sha256:{seal.digest}")
        if not path.is_file():
            continue  # pruned: what was signed is proven when it is made again
        found = seal_file(path, seal.name)
        yield from (f"{shown(seal.name)}: {what}" for what in differences(seal, found))


def _altered_file(path: Path, digits: str, what: str) -> Iterator[str]:
    try:
        found = digest_file(path)
    except (OSError, ProvenanceError):
        yield f"{what}: cannot be read"
        return
    if found != f"sha256:{digits}":
        yield f"{what}: its bytes"


def _subjects(envelope: Envelope, what: str) -> list[Seal]:
    try:
        return [Seal.from_document(one) for one in envelope.statement["subject"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvelopeRefused(f"the signature of {what} names subjects in a form unknown here") from error


def _definition(envelope: Envelope) -> dict[str, Any]:
    predicate = envelope.statement.get("predicate")
    found = predicate.get("buildDefinition") if isinstance(predicate, dict) else None
    return found if isinstance(found, dict) else {}


def _byproducts(envelope: Envelope) -> list[tuple[str, str]]:
    predicate = envelope.statement.get("predicate")
    details = predicate.get("runDetails") if isinstance(predicate, dict) else None
    found = details.get("byproducts") if isinstance(details, dict) else None
    return [
        (str(one["name"]), str(one["digest"]["sha256"]))
        for one in found or ()
        if isinstance(one, dict) and isinstance(one.get("digest"), dict) and "sha256" in one["digest"]
    ]
