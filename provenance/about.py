"""Which statements speak of some runs: what goes with them when they are handed on. Pure."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from provenance.acceptances import ACCEPTED, REVOKED
from provenance.errors import ProvenanceError
from provenance.model import Action, Run, Statement
from provenance.pins import PINNED, UNPINNED
from provenance.taints import CLEARED, TAINTED

SIGNED = "signature"
"""Kind of the statement that holds a signature."""

KINDS = ("verdict", PINNED, UNPINNED, ACCEPTED, REVOKED, TAINTED, CLEARED, SIGNED, "environment")
"""Kinds that go with a run. Left out: calls of the command and what was pruned, which speak of a machine
and its folders; what was imported and trusted, which nobody else believes; passports, which are of images."""


class Source(Protocol):
    """Whoever keeps statements; a `Store` does."""

    def statements(self, kind: str) -> tuple[Statement, ...]:
        """Return all of a kind that were said here, by digest."""

    def brought(self, kind: str) -> tuple[Statement, ...]:
        """Return those that bundles brought."""

    def action(self, key: str) -> Action:
        """Return an action."""


def statements_about(store: Source, runs: Iterable[Run]) -> tuple[Statement, ...]:
    """Return what was said of some runs, of what they read and made, of their images and parameters.

    Parameters
    ----------
    store : Source
        Keeps the statements.
    runs : iterable of Run
        A closure: every run with all upstream of it.

    Returns
    -------
    tuple of Statement
        By digest. One that takes another back is among them if that one is; so a taint that was cleared
        arrives as cleared.
    """
    names: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    for run in runs:
        names |= {run.run, run.action, *(digest for digest, _ in run.artifacts)}
        names |= {item.digest for item in run.inputs}
        names |= {item.data_digest for item in run.inputs if item.data_digest}
        names |= {item.data_digest for item in run.outputs if item.data_digest}
        try:
            action = store.action(run.action)
        except ProvenanceError:
            continue  # `check` names it
        names.add(action.image)
        pairs |= set(action.parameters)
    every = [said for kind in KINDS for said in (*store.statements(kind), *store.brought(kind))]
    found: dict[str, Statement] = {}
    is_new = True
    while is_new:  # what takes a statement back names it, and so on
        told = [s for s in every if s.digest not in found and _speaks_of(s, names, pairs)]
        found |= {statement.digest: statement for statement in told}
        names |= {statement.digest for statement in told}
        is_new = bool(told)
    return tuple(found[digest] for digest in sorted(found))


def _speaks_of(statement: Statement, names: set[str], pairs: set[tuple[str, str]]) -> bool:
    body = statement.body
    if statement.kind == TAINTED and isinstance(body, dict) and body.get("kind") == "parameter":
        return (str(body.get("subject")), str(body.get("value"))) in pairs
    return any(text in names for text in _texts(body))


def _texts(body: object) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, dict):
        for inner in body.values():
            yield from _texts(inner)
    elif isinstance(body, list):
        for inner in body:
            yield from _texts(inner)
