"""What a person accepted: that an action differs from an earlier one in nothing that matters.

An acceptance lets the outcome of the earlier run stand for that of the new action, for exactly that key: any
further change is a miss again. It is a statement, and so is taking it back; neither is ever forgotten.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from provenance.documents import Document, to_document
from provenance.model import Statement
from provenance.statements import read_body, taken_back

ACCEPTED = "acceptance"
"""Kind of the statement that accepts."""
REVOKED = "acceptance-revoked"
"""Kind of the statement that takes one back."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the statement says."""

    action: str
    """Key of the new action: the one for which it holds."""
    run: str
    """The earlier run that is believed instead."""
    run_action: str
    """Key of that run's action."""
    step: str
    """`stage:unit`."""
    differences: tuple[str, ...]
    """In what the two actions differ, in words."""
    reason: str
    """Why that does not matter."""
    at: str
    """RFC 3339, UTC, milliseconds."""

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


@dataclass(frozen=True, slots=True)
class Revoked:
    """What the statement says that takes an acceptance back."""

    acceptance: str
    """Digest of its statement."""
    reason: str
    at: str

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An acceptance, and what became of it."""

    statement: str
    """Digest of the statement, by which it is named."""
    said: Accepted
    revoked: Revoked | None = None
    """None while it holds."""

    @property
    def caveat(self) -> str:
        """What a reader of the products should know."""
        return f"accepted: {self.said.reason}"


def acceptances(accepted: Iterable[Statement], revoked: Iterable[Statement]) -> tuple[Acceptance, ...]:
    """Put statements together, oldest first; one that cannot be read is passed over.

    Parameters
    ----------
    accepted, revoked : iterable of Statement
        Those of the two kinds.
    """
    backs = taken_back(Revoked, revoked, lambda back: back.acceptance)
    found = [
        Acceptance(statement.digest, said, backs.get(statement.digest))
        for statement in accepted
        if (said := read_body(Accepted, statement)) is not None
    ]
    return tuple(sorted(found, key=lambda item: (item.said.at, item.statement)))


class InForce:
    """The acceptances that hold, by the key of their action; read once, when first asked for.

    Parameters
    ----------
    read : callable
        Gives all acceptances, oldest first.
    """

    def __init__(self, read: Callable[[], tuple[Acceptance, ...]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._by_action: dict[str, Acceptance] | None = None

    def of(self, action: str) -> Acceptance | None:
        """Return the acceptance that holds for an action; the newest, if there are several."""
        with self._lock:
            if self._by_action is None:
                self._by_action = {item.said.action: item for item in self._read() if item.revoked is None}
            return self._by_action.get(action)

    def forget(self) -> None:
        """Read again when next asked: something was said."""
        with self._lock:
            self._by_action = None
