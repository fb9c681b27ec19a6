"""What statements say, read into values: what was said, and what took it back."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from provenance.documents import from_document
from provenance.errors import StoreDamaged
from provenance.model import Statement

_log = logging.getLogger(__name__)

T = TypeVar("T")


def read_body(kind: type[T], statement: Statement) -> T | None:
    """Read what a statement says; None, and a warning, if it cannot be read."""
    try:
        return from_document(kind, statement.body, statement.kind)
    except StoreDamaged as error:
        _log.warning("statement %s is passed over: %s", statement.digest, error.message)
        return None


def taken_back(kind: type[T], statements: Iterable[Statement], what: Callable[[T], str]) -> dict[str, T]:
    """Read statements that take others back.

    Parameters
    ----------
    kind : type
        What they say.
    statements : iterable of Statement
        Those that cannot be read are passed over.
    what : callable
        Gives the digest of the statement that one takes back.

    Returns
    -------
    dict of str to kind
        By that digest; of several the first.
    """
    found: dict[str, T] = {}
    for statement in statements:
        back = read_body(kind, statement)
        if back is not None:
            found.setdefault(what(back), back)
    return found
