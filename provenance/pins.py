"""Pins: products that a person wants kept, with the reason. Statements, and so is taking one out; pure.

A pin holds bytes, not names: one artifact, for good, until it is taken out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from provenance.documents import Document, from_document, to_document
from provenance.model import Statement

PINNED = "pin"
"""Kind of the statement that pins."""
UNPINNED = "unpin"
"""Kind of the statement that takes one out."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """What the statement says."""

    digest: str
    """Of the artifact."""
    tag: str
    name: str
    step: str
    """`stage:unit` that made it; empty for a file from outside."""
    reason: str
    at: str
    """RFC 3339, UTC, milliseconds."""

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


@dataclass(frozen=True, slots=True)
class Unpinned:
    """What the statement says that takes a pin out."""

    pin: str
    """Digest of its statement."""
    reason: str
    at: str

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin, and what became of it."""

    statement: str
    """Digest of the statement, by which it is named."""
    said: Pinned
    unpinned: Unpinned | None = None
    """None while it holds."""


def pins(pinned: Iterable[Statement], unpinned: Iterable[Statement]) -> tuple[Pin, ...]:
    """Put statements together, oldest first; those taken out are among them.

    Parameters
    ----------
    pinned, unpinned : iterable of Statement
        Those of the two kinds.

    Raises
    ------
    StoreDamaged
        One of them cannot be read: what it protects is not known, so nothing may be dropped.
    """
    taken_out: dict[str, Unpinned] = {}
    for statement in unpinned:
        back = from_document(Unpinned, statement.body, statement.kind)
        taken_out.setdefault(back.pin, back)
    found = [
        Pin(item.digest, from_document(Pinned, item.body, item.kind), taken_out.get(item.digest))
        for item in pinned
    ]
    return tuple(sorted(found, key=lambda pin: (pin.said.at, pin.statement)))
