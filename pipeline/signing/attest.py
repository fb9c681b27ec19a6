"""What is signed: in-toto statements with SLSA provenance, of a run, a bundle, or any file.

References
----------
in-toto Statement v1: https://in-toto.io/Statement/v1; predicate: https://slsa.dev/provenance/v1. Of the
levels of SLSA only the first may be claimed: provenance exists. Nothing here says that the machine was
trustworthy.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.record import software
from pipeline.signing.envelope import STATEMENT_TYPE
from pipeline.signing.seals import Seal, seal_file, seal_member
from provenance.bundle_layout import DESCRIPTION, MANIFEST
from provenance.errors import BundleRefused
from provenance.model import Action, Run
from provenance.store import Store
from provenance.zipped import Zipped

PREDICATE = "https://slsa.dev/provenance/v1"
RUN, BUNDLE, FILE = "urn:clio:run:1", "urn:clio:bundle:1", "urn:clio:file:1"
"""Types of what was done: a recipe run, a bundle written, a file of which nothing is known but its bytes."""
RECORD, ACTION = "record", "action"
"""Names of the by-products that are files of the store."""

_DESCRIPTION_BYTES = 64 << 20

Document = dict[str, Any]


def attest_run(store: Store, run: Run) -> Document:
    """Describe a run: its products as subjects, and all that made them so.

    Raises
    ------
    ProvenanceError
        Its record or action cannot be read.
    """
    action = store.action(run.action)
    _, record = store.records.record(run.action, run.run)
    subjects = [_product(store, item.digest, item.name, item.data_digest) for item in run.outputs]
    return _statement(
        subjects,
        kind=RUN,
        external={
            "recipe": action.recipe,
            "parameters": dict(action.parameters),
            "frames": [{"tag": i.tag, "name": i.name, "content": i.content} for i in action.inputs],
        },
        internal=_internal(action),
        dependencies=_dependencies(run, action),
        metadata={"invocationId": run.run, "startedOn": run.started}
        | ({"finishedOn": run.ended} if run.ended else {}),
        byproducts=_byproducts(run, record),
    )


def attest_bundle(path: Path) -> Document:
    """Describe a bundle: the file and every member of it as subjects.

    Raises
    ------
    BundleRefused
        It is no bundle.
    """
    whole = seal_file(path)
    with Zipped(path) as bundle:
        members = [seal_member(path, bundle.members[name]) for name in sorted(bundle.members)]
        said = _said(bundle)
    manifest = next((seal for seal in members if seal.name == MANIFEST), None)
    if manifest is None:
        raise BundleRefused(f"it has no {MANIFEST}")
    dependencies = [
        {"name": str(frame.get("name", "")), "digest": _digest(str(frame.get("digest", "")))}
        for frame in said.get("frames", ())
    ]
    dependencies += [
        {"name": "image", "digest": _digest(str(i.get("config", "")))} for i in said.get("images", ())
    ]
    return _statement(
        [Seal(whole.name, whole.digest, whole.size), *members],
        kind=BUNDLE,
        external={"bundle": f"sha256:{manifest.digest}", "roots": list(said.get("roots", ()))},
        internal={},
        dependencies=dependencies,
        metadata={},
        byproducts=[],
    )


def attest_files(paths: Iterable[Path]) -> Document:
    """Describe files of which nothing is known but their bytes, such as a product with its sidecar."""
    return _statement(
        [seal_file(path) for path in paths],
        kind=FILE, external={}, internal={}, dependencies=[], metadata={}, byproducts=[],
    )  # fmt: skip


def _statement(
    subjects: list[Seal],
    *,
    kind: str,
    external: Document,
    internal: Document,
    dependencies: list[Document],
    metadata: Document,
    byproducts: list[Document],
) -> Document:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [seal.document() for seal in subjects],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": kind,
                "externalParameters": external,
                "internalParameters": internal,
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": "urn:clio", "version": {"clio": dict(software())["clio"]}},
                "metadata": metadata,
                "byproducts": byproducts,
            },
        },
    }


def _internal(action: Action) -> Document:
    return {
        "spec": action.spec,
        "platform": action.platform,
        "numerics": action.numerics,
        "environment": dict(action.environment),
    }


def _dependencies(run: Run, action: Action) -> list[Document]:
    files = [
        Seal(i.name, i.digest.removeprefix("sha256:"), i.size, data_digest=i.data_digest) for i in run.inputs
    ]
    return [*(seal.document() for seal in files), {"name": "image", "digest": _digest(action.image)}]


def _byproducts(run: Run, record: str) -> list[Document]:
    named = [(extra.name, extra.digest) for extra in run.extras]
    named += [("log", run.log)] if run.log else []
    named += [(RECORD, record), (ACTION, f"sha256:{run.action}")]
    return [{"name": name, "digest": _digest(digest)} for name, digest in named]


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, digits = digest.rpartition(":")
    return {algorithm or "sha256": digits}


def _product(store: Store, digest: str, name: str, data_digest: str | None) -> Seal:
    """Seal a product; of one that was pruned only its digest is known."""
    path = store.objects.path(digest)
    if not store.objects.has(digest):
        return Seal(name, digest.removeprefix("sha256:"), data_digest=data_digest)
    store.objects.verify(digest)
    found = seal_file(path, name)
    return Seal(name, found.digest, found.size, found.hdus, data_digest)


def _said(bundle: Zipped) -> Document:
    """Read what a bundle says of itself."""
    try:
        found = json.loads(bundle.read(DESCRIPTION, _DESCRIPTION_BYTES))
    except (ValueError, RecursionError) as error:
        raise BundleRefused(f"{DESCRIPTION} is not JSON") from error
    if not isinstance(found, dict):
        raise BundleRefused(f"{DESCRIPTION} is no object")
    return found
