"""Taints: what a person found to be bad, with the reason. Statements, and so is clearing one; pure.

A taint of a run names that run and not its key: the same action made again is believed. A taint of a product
names the runs that had made it. A taint of a frame, an image or a parameter holds for every action that has
it: making that again would only give the same. What lies downstream is tainted by inheritance; see `blast`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from provenance.documents import Document, to_document
from provenance.errors import ProvenanceError, short
from provenance.model import Action, Run, Statement
from provenance.statements import read_body, taken_back

TAINTED = "taint"
"""Kind of the statement that taints."""
CLEARED = "taint-cleared"
"""Kind of the statement that clears one."""


class TaintKind(StrEnum):
    """What is tainted."""

    RUN = "run"
    PRODUCT = "product"
    """An artifact that a run made."""
    FRAME = "frame"
    """An artifact from outside: a raw frame, a static calibration."""
    IMAGE = "image"
    PARAMETER = "parameter"
    """A value of a parameter."""


@dataclass(frozen=True, slots=True)
class Tainted:
    """What the statement says."""

    kind: TaintKind
    subject: str
    """Id of the run, digest of the artifact or image, whole name of the parameter."""
    name: str
    """What it is to a reader: a step, tag and name of a file, a parameter with its value."""
    reason: str
    at: str
    """RFC 3339, UTC, milliseconds."""
    value: str = ""
    """Of a parameter."""
    content: str = ""
    """Data digest of a FITS file: a frame packed otherwise is the same frame."""
    runs: tuple[str, ...] = ()
    """Of a product: the runs that had made it by then."""

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)

    @property
    def words(self) -> str:
        """Say what is tainted, and why."""
        what = {
            TaintKind.RUN: f"run {self.subject} of {self.name}",
            TaintKind.IMAGE: f"image {short(self.subject)}",
        }.get(self.kind, self.name)
        return f"{what} is tainted: {self.reason}"


@dataclass(frozen=True, slots=True)
class Cleared:
    """What the statement says that clears one."""

    taint: str
    """Digest of its statement."""
    reason: str
    at: str

    def document(self) -> Document:
        """Return the body of the statement."""
        return to_document(self)


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint, and what became of it."""

    statement: str
    """Digest of the statement, by which it is named."""
    said: Tainted
    cleared: Cleared | None = None
    """None while it holds."""
    is_foreign: bool = False
    """Whether a bundle brought it: somebody said it elsewhere."""

    @property
    def holds(self) -> bool:
        """Whether it counts here. What others said counts for what they made, and blocks nothing of ours."""
        ours = not self.is_foreign or self.said.kind in (TaintKind.RUN, TaintKind.PRODUCT)
        return ours and self.cleared is None


class Keeper(Protocol):
    """Whoever keeps statements; a `Store` does."""

    def statement(self, kind: str, body: object) -> Statement:
        """Keep one."""


def state(store: Keeper, said: Tainted) -> Taint:
    """Taint something."""
    return Taint(store.statement(TAINTED, said.document()).digest, said)


def clear(store: Keeper, taint: Taint, reason: str, at: str) -> Taint:
    """Clear a taint: from now on it taints nothing."""
    said = Cleared(taint.statement, reason, at)
    store.statement(CLEARED, said.document())
    return Taint(taint.statement, taint.said, said, taint.is_foreign)


def taints(
    tainted: Iterable[Statement], cleared: Sequence[Statement], foreign: Collection[str] = ()
) -> tuple[Taint, ...]:
    """Put statements together, oldest first; one that cannot be read is passed over.

    Parameters
    ----------
    tainted, cleared : iterable of Statement
        Those of the two kinds.
    foreign : collection of str
        Digests of statements that bundles brought: of these none clears what was said here.
    """
    backs = taken_back(Cleared, cleared, _of)
    ours = taken_back(Cleared, (item for item in cleared if item.digest not in foreign), _of)
    found = [
        Taint(
            item.digest,
            said,
            (backs if item.digest in foreign else ours).get(item.digest),
            item.digest in foreign,
        )
        for item in tainted
        if (said := read_body(Tainted, item)) is not None
    ]
    return tuple(sorted(found, key=lambda taint: (taint.said.at, taint.statement)))


def _of(back: Cleared) -> str:
    return back.taint


class InForce:
    """The taints that hold, by what they are of. Empty, it is false, and nothing is asked of it.

    Parameters
    ----------
    known : iterable of Taint
        All there are; those that do not hold are passed over.
    action : callable
        Gives the action of a key; asked only where an image or a parameter is tainted.
    """

    def __init__(self, known: Iterable[Taint], action: Callable[[str], Action]) -> None:
        self.all = tuple(taint for taint in known if taint.holds)
        """Oldest first."""
        self._action = action
        self._runs: dict[str, Taint] = {}
        self._frames: dict[str, Taint] = {}
        self._products: dict[str, Taint] = {}
        self._images: dict[str, Taint] = {}
        self._parameters: dict[tuple[str, str], Taint] = {}
        for taint in self.all:
            self._take(taint)

    def __bool__(self) -> bool:
        return bool(self.all)

    def doubt(self, run: Run) -> str:
        """Say why a run is not to be believed: it is tainted itself, or something that its key names is."""
        found = self.of_run(run)
        return found[0].said.words if found else ""

    def of_run(self, run: Run) -> tuple[Taint, ...]:
        """Return the taints of a run itself, and of what it was given from outside; none that it inherits."""
        found = [self._runs[run.run]] if run.run in self._runs else []
        if self._frames:
            found += self._of_frames(name for item in run.inputs for name in (item.digest, item.data_digest))
        if self._images or self._parameters:
            with suppress(ProvenanceError):  # its action is gone: `check` names it
                found += self._of_action(self._action(run.action))
        return tuple(dict.fromkeys(found))

    def of_action(self, action: Action, outside: Iterable[str] = ()) -> tuple[Taint, ...]:
        """Return the taints of what an action's key names: making it would only give the same again.

        Parameters
        ----------
        action : Action
            What is wanted.
        outside : iterable of str
            Digests and data digests of the files it reads that no step makes: there a tainted product is
            tainted too.
        """
        outside = tuple(outside)
        found = [*self._of_frames((*outside, *(item.content for item in action.inputs)))]
        found += [self._products[name] for name in outside if name in self._products]
        return tuple(dict.fromkeys((*found, *self._of_action(action))))

    def of_artifact(self, digest: str, content: str | None = None) -> tuple[Taint, ...]:
        """Return the taints that name an artifact or its data."""
        names = (digest, content or "")
        found = (held[name] for held in (self._frames, self._products) for name in names if name in held)
        return tuple(dict.fromkeys(found))

    def _take(self, taint: Taint) -> None:
        said = taint.said
        match said.kind:
            case TaintKind.RUN:
                self._runs.setdefault(said.subject, taint)
            case TaintKind.FRAME | TaintKind.PRODUCT:
                held = self._frames if said.kind is TaintKind.FRAME else self._products
                for name in filter(None, (said.subject, said.content)):
                    held.setdefault(name, taint)
                for run in said.runs:
                    self._runs.setdefault(run, taint)
            case TaintKind.IMAGE:
                self._images.setdefault(said.subject, taint)
            case TaintKind.PARAMETER:
                self._parameters.setdefault((said.subject, said.value), taint)

    def _of_frames(self, names: Iterable[str | None]) -> list[Taint]:
        return [self._frames[name] for name in names if name in self._frames]

    def _of_action(self, action: Action) -> list[Taint]:
        found = [self._images[action.image]] if action.image in self._images else []
        if self._parameters:
            found += [self._parameters[pair] for pair in action.parameters if pair in self._parameters]
        return found
