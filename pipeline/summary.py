"""What a run did, as a value; and how far it was bound to `clio.lock`."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.events import Did, Event
from pipeline.model import Problem, Stage
from provenance.model import Run


@dataclass(frozen=True, slots=True)
class Made:
    """A product of a reduction."""

    tag: str
    path: Path
    """Under `products/`."""
    digest: str
    data_digest: str
    stage: Stage
    unit: str
    did: Did
    """Whether it was made now (`ran`) or was known (`hit`)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did."""

    ran: int
    hits: int
    failed: int
    blocked: int
    wall_s: float
    products: tuple[Made, ...]
    events: tuple[Event, ...]
    """The end of each step, in order."""
    problems: tuple[Problem, ...] = ()
    """Files that could not be used."""
    remarks: tuple[str, ...] = ()
    """What a person should know: an exposure found twice, for example."""
    believed: tuple[Run, ...] = ()
    """The run believed for each step that was looked at, those of other stages included."""


class AsLocked(StrEnum):
    """How far a run is bound to `clio.lock`."""

    NO = "no"
    """Not at all: it writes the lock."""
    IN_DATA = "in data"
    """Steps and the data of their products are those of the lock; clocks stand where runs begin."""
    TO_THE_BYTE = "to the byte"
    """Clocks stand where the lock says too."""
