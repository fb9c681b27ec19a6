"""The shelves of a plan: for each calibration and IFU what there is, which step makes it, what was chosen.

The detectors of an exposure are calibrated by the same templates, so that a choice made for one IFU holds for
all others with the same candidates; it is made once.
"""

from collections.abc import Iterable

from pipeline.model import Frame
from pipeline.rules import Rule, chip_of
from pipeline.shelf import Candidate, Choice, Shelf, Wanted

_EMPTY = -1
"""What the shelves without any candidate have in common."""


class Shelves:
    """All shelves of a plan."""

    def __init__(self) -> None:
        self._shelves: dict[tuple[str, int | None], Shelf] = {}
        self._steps: dict[tuple[str, int | None, str], str] = {}
        self._contents: dict[tuple[str, int | None], int] = {}
        """A number a shelf: the same for shelves of the same candidates. 0 for one that is like no other."""
        self._numbers: dict[tuple[object, ...], int] = {}
        self._chips: dict[tuple[str, int | None], str] = {}
        self._found: dict[tuple[object, ...], Choice] = {}

    @property
    def looked_at(self) -> int:
        """How many candidates were judged so far: what the searches cost."""
        return sum(shelf.looked_at for shelf in self._shelves.values())

    def put(self, tag: str, candidates: Iterable[Candidate], ifu: int | None = None, step: str = "") -> None:
        """Put candidates on the shelf of a tag and an IFU.

        Parameters
        ----------
        tag : str
            What they are candidates for.
        candidates : iterable of Candidate
            In any order.
        ifu : int, optional
            The IFU they are of; None for all.
        step : str
            Id of the step that makes them; empty for frames.
        """
        place = (tag, ifu)
        shelf = self._shelves.setdefault(place, Shelf())
        for candidate in candidates:
            shelf.add(candidate)
            self._steps.setdefault((tag, ifu, candidate.name), step)
            self._number(place, candidate)

    def forget(self) -> None:
        """Forget what was chosen, so that it is chosen again; for measuring."""
        self._found.clear()

    def has(self, tag: str) -> bool:
        """Tell whether there is a shelf of a tag for all IFUs."""
        return (tag, None) in self._shelves

    def step(self, tag: str, ifu: int | None, name: str) -> str:
        """Find the step that makes the candidate of that name."""
        return self._steps[tag, ifu, name]

    def find(self, rule: Rule, wanted: Wanted) -> Choice:
        """Choose, as `Shelf.find`, from what is on the shelf of the rule's tag and the IFU.

        A tag has to come with the same rule each time.
        """
        place = (rule.tag, wanted.ifu)
        shelf = self._shelves.get(place)
        if shelf is None:
            shelf = self._shelves.setdefault(place, Shelf())
        number = self._contents.get(place, _EMPTY)
        if (
            number != _EMPTY
            and "chip" in rule.agree
            and _chip(wanted.frame, wanted.ifu) != self._chips.get(place)
        ):
            number = 0
        if not number:
            return shelf.find(rule, wanted)
        key = (number, rule.tag, id(wanted.frame), wanted.mjd, wanted.trace)
        if key not in self._found:
            self._found[key] = shelf.find(rule, wanted)
        return self._found[key]

    def _number(self, place: tuple[str, int | None], candidate: Candidate) -> None:
        chip = _chip(candidate.frame, place[1])
        before = self._contents.get(place)
        if before == 0 or chip != self._chips.setdefault(place, chip):
            self._contents[place] = 0  # of two detectors: what is said of them names them
            return
        token = (before, place[0], candidate.name, id(candidate.frame), candidate.mjd, candidate.fault)
        self._contents[place] = self._numbers.setdefault((*token, candidate.trace), len(self._numbers) + 1)


def _chip(frame: Frame, ifu: int | None) -> str:
    """Name the detector of an IFU; empty if no IFU is meant."""
    return "" if ifu is None else chip_of(frame, ifu)
