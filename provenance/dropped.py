"""What was pruned, as statements say it: its absence is no damage, and it can be brought back. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from provenance.documents import Document, from_document, to_document
from provenance.errors import StoreDamaged
from provenance.model import Run, Statement

PRUNED = "pruned"
"""Kind of the statement."""


@dataclass(frozen=True, slots=True)
class DroppedObject:
    """An object that was dropped."""

    digest: str
    size: int
    """Bytes."""
    run: str
    """Id of the run that makes it again."""
    tag: str
    name: str
    links: tuple[str, ...] = ()
    """Where it was shown below the products of the workspace, relative to them."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What the statement says: it is written before anything is removed."""

    at: str
    """RFC 3339, UTC, milliseconds."""
    workspace: str
    """From which it was done."""
    objects: tuple[DroppedObject, ...]

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


def dropped_of(statement: Statement) -> Dropped | None:
    """Return what a statement of that kind says; None if it cannot be read."""
    try:
        return from_document(Dropped, statement.body, statement.kind)
    except StoreDamaged:
        return None


def newest_of(statements: Iterable[Statement]) -> dict[str, tuple[Dropped, DroppedObject]]:
    """Return what was said last of each object that was ever dropped, by its digest."""
    said = [dropped for statement in statements if (dropped := dropped_of(statement)) is not None]
    found: dict[str, tuple[Dropped, DroppedObject]] = {}
    for dropped in sorted(said, key=lambda item: item.at):
        found |= {item.digest: (dropped, item) for item in dropped.objects}
    return found


def is_after(dropped_at: str, run: Run) -> bool:
    """Tell whether something was dropped after a run made it: if not, it was made again and then lost."""
    return dropped_at >= (run.ended or run.started)
