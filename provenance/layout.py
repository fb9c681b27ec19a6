"""`store.json` and the directories beside it: what makes a directory a store."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from provenance.claims import LeaseTerms
from provenance.digest import canonical_json
from provenance.errors import ProvenanceError, StoreDamaged, StoreExists, StoreMissing, StoreVersion
from provenance.files import make_directory, write_once, writing_to

FORMAT = 1
"""Version of the layout on disk."""
DIRECTORIES = ("objects", "actions", "records", "statements", "journal", "claims", "work", "tmp")
"""What a store has from the start; `damaged` comes with the first need."""


@dataclass(frozen=True, slots=True)
class StoreCard:
    """What `store.json` says."""

    id: str
    """UUID, the same wherever the directory is moved."""
    terms: LeaseTerms


def write_layout(path: Path, terms: LeaseTerms) -> None:
    """Make an empty store; `store.json` comes last and makes it one.

    Raises
    ------
    StoreExists
        There is one already.
    ProvenanceError
        The file system has no hard links.
    StoreFull, StoreUnwritable
        The disk is full, or the place is not ours.
    """
    with writing_to(path):
        for name in DIRECTORIES:
            make_directory(path / name)
    card = {
        "type": "clio-store",
        "version": FORMAT,
        "id": str(uuid4()),
        "digest": "sha256",
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lease_s": terms.lease_s,
        "beat_s": terms.beat_s,
    }
    try:
        is_new = write_once(path / "store.json", canonical_json(card) + b"\n", path / "tmp")
    except PermissionError as error:
        raise ProvenanceError(
            f"{path} cannot hold a store: its file system has no hard links",
            "put the store on another one",
        ) from error
    if not is_new:
        raise StoreExists(f"{path} is a store already")


def read_card(path: Path) -> StoreCard:
    """Return what `store.json` says.

    Raises
    ------
    StoreMissing
        There is none.
    StoreDamaged
        It is unreadable.
    StoreVersion
        It tells of a format or a digest this program does not know.
    """
    file = path / "store.json"
    try:
        card = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreMissing(f"no store at {path}", "make one with `clio init`") from error
    except (OSError, ValueError) as error:
        raise StoreDamaged(f"{file} cannot be read: {error}") from error
    if not isinstance(card, dict) or card.get("type") != "clio-store":
        raise StoreDamaged(f"{file} does not describe a store")
    if card.get("version") != FORMAT or card.get("digest") != "sha256":
        form = f"format {card.get('version')}, digest {card.get('digest')}"
        raise StoreVersion(
            f"{path} is a store of {form}; this program knows format {FORMAT}, digest sha256",
            "use a newer clio",
        )
    try:
        return StoreCard(str(card["id"]), LeaseTerms(int(card["lease_s"]), int(card["beat_s"])))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreDamaged(f"{file} is incomplete: {error}") from error
