"""What bundles brought, and who vouches for it: without that, an imported run is not believed.

What a bundle brought is shown and never believed, neither its records nor its statements: those speak for
whoever said them, elsewhere. It counts once somebody here says so, in a statement: a replay that gave the
same, a signature, a person.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provenance.documents import Document, from_document, to_document
from provenance.model import ExtraFile, Run, Statement
from provenance.statements import read_body, taken_back

IMPORTED = "imported"
"""Kind of the statement that says what a bundle brought."""
TRUSTED = "trusted"
"""Kind of the statement that vouches for imported runs."""
DISTRUSTED = "trust-revoked"
"""Kind of the statement that takes that back."""


class How(StrEnum):
    """What makes an imported run believable."""

    REPLAY = "replay"
    """Run again here, with the same data."""
    SIGNATURE = "signature"
    """Signed by somebody whose key is allowed here."""
    HAND = "hand"
    """A person said so."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What the statement says of a bundle; only the store's own are asked, which `imports/` names."""

    bundle: str
    """Its id: digest of its manifest."""
    at: str
    """RFC 3339, UTC, milliseconds."""
    runs: tuple[str, ...] = ()
    """Ids of the runs that were not here before."""
    statements: tuple[str, ...] = ()
    """Digests of the statements that were not here before: others said them."""
    files: tuple[ExtraFile, ...] = ()
    """What it says of itself, and settings and lock if it brought them: as objects."""
    created_by: str = ""
    """Program and version that wrote the bundle."""

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


@dataclass(frozen=True, slots=True)
class Trusted:
    """What the statement says that vouches for runs."""

    runs: tuple[str, ...]
    """Their ids."""
    how: How
    reason: str
    """A person's reason, the verdict of the replay, or who signed."""
    evidence: str
    """Id of the replay, or digest of the signed statement; empty if a person said so."""
    at: str
    """RFC 3339, UTC, milliseconds."""

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


@dataclass(frozen=True, slots=True)
class Distrusted:
    """What the statement says that takes trust back."""

    trust: str
    """Digest of its statement."""
    reason: str
    at: str

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


@dataclass(frozen=True, slots=True)
class Trust:
    """A trust, and what became of it."""

    statement: str
    """Digest of the statement, by which it is named."""
    said: Trusted
    revoked: Distrusted | None = None
    """None while it holds."""


@dataclass(frozen=True, slots=True)
class Imports:
    """What a store has from elsewhere, and what was said for it here."""

    runs: Mapping[str, Imported] = field(default_factory=dict)
    """By id of a run: the bundle that brought it."""
    trusts: Mapping[str, Trust] = field(default_factory=dict)
    """By id of a run: the newest trust that holds."""
    statements: frozenset[str] = frozenset()
    """Digests of the statements that bundles brought."""

    def doubt(self, run: Run) -> str:
        """Say why a run is not believed whatever it says of itself; empty if nothing speaks against it."""
        if run.run in self.runs and run.run not in self.trusts:
            return "imported, and neither verified nor trusted"
        return ""

    @property
    def trusted_count(self) -> int:
        """Imported runs that are trusted."""
        return len(self.runs.keys() & self.trusts.keys())

    def ours_first(self, runs: tuple[Run, ...]) -> tuple[Run, ...]:
        """Put runs last that nobody vouches for, and leave the order as it is otherwise."""
        return tuple(sorted(runs, key=lambda run: bool(self.doubt(run)))) if self.runs else runs

    def origin(self, run: Run) -> "Origin | None":
        """Say where a run came from; None for one made here."""
        found = self.runs.get(run.run)
        return None if found is None else Origin(found.bundle, found.at, self.trusts.get(run.run))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an imported run came from, and who vouches for it."""

    bundle: str
    """Id of the bundle."""
    at: str
    """When it was imported."""
    trust: Trust | None
    """The newest that holds; None if nobody does."""

    @property
    def words(self) -> str:
        """Say it."""
        return f"from bundle {self.bundle.removeprefix('sha256:')[:12]} at {self.at}, {self.trusted}"

    @property
    def trusted(self) -> str:
        """Say whether it is trusted, and why."""
        if self.trust is None:
            return "not trusted"
        said = self.trust.said
        why = f": {said.reason}" if said.reason else ""
        return f"trusted, {_VOUCHED[said.how]} at {said.at}{why}"


_VOUCHED = {
    How.REPLAY: "replayed here",
    How.SIGNATURE: "signed",
    How.HAND: "by hand",
}


def imports_of(
    imported: Iterable[Statement], trusted: Iterable[Statement], distrusted: Iterable[Statement]
) -> Imports:
    """Put together what was imported and what was said for it.

    Parameters
    ----------
    imported : iterable of Statement
        The store's own, of that kind.
    trusted, distrusted : iterable of Statement
        All of those kinds; what a bundle brought is passed over.

    Raises
    ------
    StoreDamaged
        One of the first cannot be read: what it brought would be believed.
    """
    runs: dict[str, Imported] = {}
    foreign: set[str] = set()
    for statement in imported:
        said = from_document(Imported, statement.body, statement.kind)
        runs |= dict.fromkeys(said.runs, said)
        foreign |= set(said.statements)
    trusts = trusts_of(*([s for s in told if s.digest not in foreign] for told in (trusted, distrusted)))
    holding = {run: trust for trust in trusts if trust.revoked is None for run in trust.said.runs}
    return Imports(runs, holding, frozenset(foreign))


def trusts_of(trusted: Iterable[Statement], distrusted: Iterable[Statement]) -> tuple[Trust, ...]:
    """Put statements together, oldest first; one that cannot be read vouches for nothing."""
    backs = taken_back(Distrusted, distrusted, lambda back: back.trust)
    found = [
        Trust(item.digest, said, backs.get(item.digest))
        for item in trusted
        if (said := read_body(Trusted, item)) is not None
    ]
    return tuple(sorted(found, key=lambda trust: (trust.said.at, trust.statement)))


class Importing:
    """The imports of a store, read when first asked for, and again when something was said or imported.

    Parameters
    ----------
    read : callable
        Gives the imports as they are.
    names : callable
        Lists them: another process may have added one since.
    """

    def __init__(self, read: Callable[[], Imports], names: Callable[[], tuple[str, ...]]) -> None:
        self._read = read
        self._names = names
        self._lock = threading.Lock()
        self._found: tuple[tuple[str, ...], Imports] | None = None

    def __call__(self) -> Imports:
        """Return the doubts."""
        # Before they are read: an import that comes in between is seen the next time.
        imports = self._names()
        with self._lock:
            if self._found is None or self._found[0] != imports:
                self._found = imports, self._read()
            return self._found[1]

    def forget(self) -> None:
        """Read again when next asked: something was said."""
        with self._lock:
            self._found = None
