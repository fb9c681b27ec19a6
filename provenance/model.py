"""The values this package keeps: actions, runs of them, invocations, and what was decided on the way.

Pure: no disk, no clock. A value becomes a file through `document()` and comes back through
`from_document()`; numbers are whole (milliseconds, bytes), so that no spelling of a float ever matters.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from provenance.digest import canonical_json, digest_bytes
from provenance.documents import Document, Pairs, from_document, sorted_pairs, to_document
from provenance.errors import NotCanonical, StoreDamaged, StoreVersion

VERSION = 1
"""Version of the documents below; a field added raises nothing, a field that changes its meaning does."""


class Status(StrEnum):
    """How a run ended."""

    OK = "ok"
    """Every expected product is there and proven."""
    CAVEAT = "caveat"
    """The same, with remarks a reader should know."""
    FAILED = "failed"
    """The recipe failed, or what it left could not be believed."""
    KILLED = "killed"
    TIMEOUT = "timeout"
    LOST = "lost"
    """Whoever ran it died, and nobody knows how it ended."""
    INPUT_CHANGED = "input-changed"
    """A file it read was written to meanwhile."""


class Purpose(StrEnum):
    """Why a run was made. Only runs proper are believed by a later lookup."""

    RUN = "run"
    REPLAY = "replay"
    PASSPORT = "passport"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class ActionInput:
    """A file an action reads, as its key sees it."""

    tag: str
    """The part it plays in the set of frames: `BIAS`, `MASTER_FLAT`."""
    name: str
    """Canonical name, made from the content."""
    content: str
    """Data digest of a FITS file, digest of anything else."""


@dataclass(frozen=True, slots=True)
class ExpectedOutput:
    """What an action has to make to count as successful."""

    tag: str
    least: int
    """So many of that tag, or more."""


@dataclass(frozen=True, slots=True)
class Action:
    """A step whose inputs are bytes: everything that decides the outcome, and nothing else."""

    recipe: str
    spec: int
    """Raised by hand when our staging of the recipe changes."""
    image: str
    """Config digest of the image: `sha256:...`."""
    platform: str
    """Such as `linux/amd64`."""
    parameters: Pairs
    """All effective values, defaults included, each in the one spelling of its type."""
    environment: Pairs
    """The whole environment of the process, but for what varies from run to run by design."""
    inputs: tuple[ActionInput, ...]
    """In the planner's order, which is part of the key."""
    outputs: tuple[ExpectedOutput, ...]
    numerics: str
    """`pinned` or `native`."""
    _key: str = field(default="", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("parameters", "environment"):
            object.__setattr__(self, name, sorted_pairs(getattr(self, name), name))

    @property
    def key(self) -> str:
        """64 hex digits: the SHA-256 of the document's canonical JSON.

        Raises
        ------
        NotCanonical
            The document has no such form.
        """
        if not self._key:  # found out once, and never for what is read to be compared
            digest = digest_bytes(canonical_json(self.document()))
            object.__setattr__(self, "_key", digest.partition(":")[2])
        return self._key

    def document(self) -> Document:
        """Return the canonical structure that is hashed: a type word, a version, and every field."""
        return {
            "type": "clio-action",
            "version": VERSION,
            "recipe": {"name": self.recipe, "spec": self.spec},
            "image": {"config": self.image, "platform": self.platform},
            "parameters": dict(self.parameters),
            "environment": dict(self.environment),
            "inputs": [to_document(item) for item in self.inputs],
            "outputs": [to_document(item) for item in self.outputs],
            "numerics": self.numerics,
        }

    @classmethod
    def from_document(cls, document: Document) -> "Action":
        """Return the action a document describes.

        Raises
        ------
        StoreDamaged
            It is no whole action.
        StoreVersion
            It was written by a newer program.
        """
        flat = dict(_opened(document, "clio-action"))
        for group, names in _ACTION_GROUPS.items():
            inner = flat.pop(group, None)
            if not isinstance(inner, dict) or not inner.keys() >= names.keys():
                raise StoreDamaged(f"action is not as it should be: {group} is incomplete")
            flat |= {field: inner[name] for name, field in names.items()}
        return from_document(cls, flat, "action")


_ACTION_GROUPS = {
    "recipe": {"name": "recipe", "spec": "spec"},
    "image": {"config": "image", "platform": "platform"},
}


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file a run really read."""

    tag: str
    name: str
    """Canonical name, as the recipe saw it."""
    digest: str
    data_digest: str | None = None
    size: int | None = None
    """Bytes."""
    seen_at: str | None = None
    """Where it lay; for people, never part of a key."""
    hdus: str | None = None
    """Of a FITS file from outside, a line an HDU: first digits of its cards' and its data's digest, and its
    name. Tells which one changed when the file itself is gone; proves nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file with digests of its own: an HDU of a FITS file."""

    name: str
    cards: str
    """Digest of its header without the volatile cards."""
    data: str
    """Digest of its data unit."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A product of a run."""

    tag: str
    name: str
    digest: str
    data_digest: str | None = None
    parts: tuple[Part, ...] = ()
    size: int = 0
    """Bytes."""
    qc: Pairs = ()
    """Quality figures by keyword, each as it stands in its card."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "qc", sorted_pairs(self.qc, "qc"))


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """Another file kept with a run; nothing depends on it."""

    name: str
    digest: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Why a calibration was chosen."""

    tag: str
    name: str
    level: int
    """0 is the calibration plan; larger is poorer."""
    distance_s: int
    """Seconds between the calibration and what it calibrates."""
    reason: str = ""
    rejected: tuple[str, ...] = ()
    """What else was there, each with the reason against it."""


_PAIR_FIELDS = ("environment", "origins", "engine", "isolation", "host", "software")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt at an action: what happened, where, how long, what came out. None is unknown."""

    run: str
    """UUID of version 7: sorts by the time it began."""
    action: str
    """Key of the action: 64 hex digits."""
    purpose: Purpose = Purpose.RUN
    status: Status
    cause: str | None = None
    """Kind of failure, in a word or two: `recipe error`, `out of memory`."""
    reason: str | None = None
    """The failure in a sentence."""
    stage: str = ""
    unit: str = ""
    """What of the night it worked on: an exposure, a template, a target."""
    exit_status: int | None = None
    signal: int | None = None
    started: str
    """RFC 3339, UTC, milliseconds."""
    ended: str | None = None
    clock_mode: str = "real"
    """`frozen` or `real`."""
    clock_at: str | None = None
    """Where a frozen clock stood: RFC 3339, UTC, whole seconds."""
    wall_ms: int | None = None
    cpu_user_ms: int | None = None
    cpu_system_ms: int | None = None
    peak_memory_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    threads: int | None = None
    memory_limit_bytes: int | None = None
    timeout_ms: int | None = None
    argv: tuple[str, ...] = ()
    environment: Pairs = ()
    """As it was given to the process, the clock's variables included."""
    defaults: tuple[str, ...] = ()
    """Names of the parameters left at the recipe's default."""
    origins: Pairs = ()
    """Who set each of the other options: the workflow, a file of settings, an argument, the command line."""
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[OutputFile, ...] = ()
    extras: tuple[ExtraFile, ...] = ()
    log: str | None = None
    """Digest of the recipe's log."""
    warnings: int = 0
    """Counted in the log."""
    errors: int = 0
    caveats: tuple[str, ...] = ()
    engine: Pairs = ()
    isolation: Pairs = ()
    """What was applied, item by item."""
    host: Pairs = ()
    software: Pairs = ()
    invocation: str | None = None
    choices: tuple[Choice, ...] = ()

    def __post_init__(self) -> None:
        for name in _PAIR_FIELDS:
            object.__setattr__(self, name, sorted_pairs(getattr(self, name), name))
        if "isolation" in dict(self.engine):
            raise NotCanonical("engine holds isolation, which is a field of its own")

    @property
    def is_success(self) -> bool:
        """Whether the run proved its outcome: status `ok` or `caveat`, and exit status 0."""
        return self.status in (Status.OK, Status.CAVEAT) and self.exit_status == 0

    @property
    def artifacts(self) -> tuple[tuple[str, int | None], ...]:
        """Digest and size of every file the run gave to the store: products, extras, log; no digest twice."""
        sizes: dict[str, int | None] = {item.digest: item.size for item in self.outputs}
        sizes |= {item.digest: item.size for item in self.extras}
        if self.log is not None:
            sizes.setdefault(self.log, None)
        return tuple(sizes.items())

    def document(self) -> Document:
        """Return the record as it is written: every field, with the clock and the engine as objects."""
        flat = to_document(self)
        clock = {"mode": flat.pop("clock_mode"), "at": flat.pop("clock_at")}
        engine = flat.pop("engine") | {"isolation": flat.pop("isolation")}
        association = flat.pop("choices")
        head: Document = {"type": "clio-record", "version": VERSION}
        return head | flat | {"clock": clock, "engine": engine, "association": association}

    @classmethod
    def from_document(cls, document: Document) -> "Run":
        """Return the run a record describes.

        Raises
        ------
        StoreDamaged
            It is no whole record.
        StoreVersion
            It was written by a newer program.
        """
        flat = dict(_opened(document, "clio-record"))
        clock, engine = flat.pop("clock", {}), flat.pop("engine", {})
        if not isinstance(clock, dict) or not isinstance(engine, dict):
            raise StoreDamaged("record is not as it should be: clock and engine are no objects")
        flat |= {f"clock_{name}": clock[name] for name in ("mode", "at") if name in clock}
        flat["isolation"] = engine.get("isolation", {})
        flat["engine"] = {name: value for name, value in engine.items() if name != "isolation"}
        flat["choices"] = flat.pop("association", [])
        return from_document(cls, flat, "record")


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How one step of an invocation went; a hit is a step without a run of its own."""

    stage: str
    unit: str
    recipe: str
    action: str | None
    """Key of the action; None if its inputs never came to be."""
    run: str | None
    """The run made, or the one believed."""
    outcome: str
    """`hit`, `ran`, `failed` or `blocked`."""
    why: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise NotCanonical(f"outcome of a step is {self.outcome}, not one of {', '.join(OUTCOMES)}")


OUTCOMES = ("hit", "ran", "failed", "blocked")
"""Words for the outcome of a step."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the command by a person."""

    invocation: str
    """UUID of version 7."""
    started: str
    """RFC 3339, UTC, milliseconds."""
    ended: str | None
    argv: tuple[str, ...]
    clio_version: str
    workspace: str | None
    exit_status: int | None
    steps: tuple[StepOutcome, ...] = ()

    def document(self) -> Document:
        """Return the body of the statement that keeps it."""
        return to_document(self)

    @classmethod
    def from_document(cls, document: Document) -> "Invocation":
        """Return the invocation a statement describes.

        Raises
        ------
        StoreDamaged
            It is no whole invocation.
        """
        return from_document(cls, document, "invocation")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person or a check said that no run record holds. Never changed, only said anew."""

    digest: str
    """Of the statement's file; its name in the store."""
    kind: str
    body: Any
    """A JSON value, given back as it was put in."""


def opened_statement(document: Document, digest: str) -> Statement:
    """Return the statement a document holds.

    Raises
    ------
    StoreDamaged
        It is no whole statement.
    StoreVersion
        It was written by a newer program.
    """
    inner = _opened(document, "clio-statement")
    kind = inner.get("kind")
    if not isinstance(kind, str) or "body" not in inner:
        raise StoreDamaged("statement is not as it should be: no kind or no body")
    return Statement(digest, kind, inner["body"])


def statement_document(kind: str, body: object) -> Document:
    """Return the document of a statement."""
    return {"type": "clio-statement", "version": VERSION, "kind": kind, "body": body}


def _opened(document: object, word: str) -> Document:
    """Return a document's fields without its type word and version, once these are right."""
    if not isinstance(document, dict) or document.get("type") != word:
        raise StoreDamaged(f"not a {word}")
    version = document.get("version")
    if not isinstance(version, int):
        raise StoreDamaged(f"{word} of no version")
    if version > VERSION:
        raise StoreVersion(
            f"{word} of version {version}, and this program knows {VERSION}",
            "use a newer clio with this store",
        )
    return {name: value for name, value in document.items() if name not in ("type", "version")}
