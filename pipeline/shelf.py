"""The candidates for one calibration, in order of time: finds the best without looking at all of them. Pure.

Candidates lie in bins, one for each set of values that must agree, each sorted by time. From the time of the
exposure the search goes outwards, both ways, and ends where nothing better can come: what it costs depends
on how many lie within the window that decides, not on how many there are.
"""

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import NamedTuple

from pipeline.model import Association, Frame, NextBest
from pipeline.rules import DAY_S, HOUR_S, Rule, agreeing, crossed, differing, does_agree, era
from pipeline.tags import Kind

SHOWN = 3
"""How many of those left are named, the nearest first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A calibration that might be chosen."""

    name: str
    """What a person calls it: the template start, the exposure, or the file."""
    frame: Frame
    """A frame of it, for the properties that must agree."""
    mjd: float | None
    """Mean MJD-OBS; None for one without date."""
    fault: str = ""
    """Why it cannot be used although it is there; empty if it can."""
    trace: str = ""
    """The flat whose trace it was made with; empty where that does not matter."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What needs a calibration."""

    frame: Frame
    mjd: float | None
    """Of the exposure, or the mean of the template."""
    ifu: int | None = None
    """IFU whose detector must agree; None for all."""
    trace: str = ""
    """The flat whose trace is used with it, where that is chosen."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was found for an exposure."""

    association: Association
    candidate: Candidate | None
    """The chosen one."""
    rival: Candidate | None = None
    """A static calibration that is as good: a person has to choose."""


class _Rank(NamedTuple):
    """How good a candidate is: the smaller the better."""

    group: int
    """0 for the preferred tag, 1 for others, 2 without a date where dates matter, 3 for a static."""
    level: int
    is_later: bool
    """Only where the past comes first."""
    distance_s: int
    airmass: float
    """0 where it does not matter."""
    mjd: float
    name: str


_Ranked = tuple[_Rank, Candidate]
_Bin = list[Candidate]


@dataclass(slots=True)
class Shelf:
    """All candidates for one calibration."""

    looked_at: int = 0
    """How many were judged so far: what the searches cost."""
    _all: list[Candidate] = field(default_factory=list)
    _dated: list[Candidate] = field(default_factory=list)
    """Those with a date, by it."""
    _bins: dict[tuple[str, ...], dict[tuple[str, bool], _Bin]] = field(default_factory=dict)
    """By the values that must agree, then by tag and whether there is a date; without those with a fault."""
    _sorted_by: tuple[tuple[str, ...], int | None] | None = None
    """Properties and IFU for which the bins were made; None for not yet."""

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> "Shelf":
        """Put candidates on a shelf, in any order."""
        return cls(_all=list(candidates))

    def add(self, candidate: Candidate) -> None:
        """Put one more there."""
        self._all.append(candidate)
        self._sorted_by = None

    def find(self, rule: Rule, wanted: Wanted) -> Choice:
        """Choose: the nearest in time within the best level.

        Parameters
        ----------
        rule : Rule
            What must agree and how far it may lie.
        wanted : Wanted
            The exposure that needs it.

        Returns
        -------
        Choice
            With no candidate if none will do. Ties go to the smaller MJD, then to the name.
        """
        self._sort(rule, wanted.ifu)
        best: list[_Ranked] = []
        for bin_ in self._agreeing(rule, wanted):
            for side in _sides(rule, wanted, bin_):
                self._search(rule, wanted, (bin_[place] for place in side), best)
        chosen = best[0][1] if best else None
        others = [c for c in self._nearest(wanted) if c is not chosen][:SHOWN]
        rejected = tuple(f"{c.name}: {_against(rule, wanted, c)}" for c in others)
        if not best:
            return Choice(Association(rule.tag, "", 0, 0, "none can be used", rejected), None)
        rival = best[1][1] if len(best) > 1 and _are_rivals(rule, *best) else None
        return Choice(_association(rule, wanted, best, rejected), chosen, rival)

    def _sort(self, rule: Rule, ifu: int | None) -> None:
        key = (rule.agree, ifu)
        if self._sorted_by == key:
            return
        ordered = sorted(self._all, key=lambda c: (c.mjd or 0.0, c.name, str(c.frame.path)))
        self._dated = [c for c in ordered if c.mjd is not None]
        self._bins = {}
        for candidate in ordered:
            if not candidate.fault:
                kind = (candidate.frame.tag, candidate.mjd is not None)
                bins = self._bins.setdefault(agreeing(rule, candidate.frame, ifu), {})
                bins.setdefault(kind, []).append(candidate)
        self._sorted_by = key

    def _agreeing(self, rule: Rule, wanted: Wanted) -> Iterator[_Bin]:
        """List the bins whose candidates agree with the exposure; there are few, as modes are."""
        values = agreeing(rule, wanted.frame, wanted.ifu)
        for found, bins in self._bins.items():
            if found == values:
                yield from bins.values()
            elif "" in found:  # statics that do not say
                for bin_ in bins.values():
                    if all(map(does_agree, values, found, repeat(bin_[0].frame))):
                        yield bin_

    def _search(self, rule: Rule, wanted: Wanted, outwards: Iterable[Candidate], best: list[_Ranked]) -> None:
        """Go outwards in time, keep the two best, stop where no better one can come."""
        for candidate in outwards:
            distance_s = _distance_s(wanted, candidate)
            self.looked_at += 1
            if rule.level(distance_s) is None and not rule.is_named:
                return
            bound = _bound(rule, wanted, candidate, distance_s)
            if len(best) > 1 and bound > best[1][0][:4]:
                return
            rank = _rank(rule, wanted, candidate, bound)
            if rule.max_level is None or rank.level <= rule.max_level:
                bisect.insort(best, (rank, candidate), key=_first)
                del best[2:]

    def _nearest(self, wanted: Wanted) -> list[Candidate]:
        """List the few nearest of all, whatever speaks against them."""
        if wanted.mjd is None:
            return self._all[: SHOWN + 1]
        middle = bisect.bisect_left(self._dated, wanted.mjd, key=_mjd)
        around = self._dated[max(middle - SHOWN - 1, 0) : middle + SHOWN + 1]
        if len(self._dated) < len(self._all):
            around += [c for c in self._all if c.mjd is None]
        around.sort(key=lambda c: (_distance_s(wanted, c), c.mjd or 0.0, c.name))
        return around[: SHOWN + 1]


def choose(rule: Rule, wanted: Frame, candidates: Iterable[Candidate], ifu: int | None = None) -> Association:
    """Choose a calibration for an exposure; see `Shelf.find`."""
    return Shelf.of(candidates).find(rule, Wanted(wanted, wanted.mjd, ifu)).association


def in_words(distance_s: int) -> str:
    """Write a distance in time as a person would say it.

    Examples
    --------
    >>> in_words(90), in_words(3 * 3600), in_words(950400)
    ('2 min', '3.0 h', '11.0 d')
    """
    if distance_s < HOUR_S:
        return f"{round(distance_s / 60)} min"
    if distance_s < DAY_S:
        return f"{distance_s / HOUR_S:.1f} h"
    return f"{distance_s / DAY_S:.1f} d"


def window_in_words(rule: Rule) -> str:
    """Write the widest window of a rule."""
    widest = rule.windows_s[-1]
    return "any distance" if widest is None else in_words(widest)


def age_s(wanted_mjd: float | None, mjd: float | None) -> int | None:
    """Give the time from an exposure to a calibration in seconds, negative if it was taken before."""
    return None if wanted_mjd is None or mjd is None else round((mjd - wanted_mjd) * DAY_S)


def _first(ranked: _Ranked) -> _Rank:
    return ranked[0]


def _mjd(candidate: Candidate) -> float:
    assert candidate.mjd is not None
    return candidate.mjd


def _distance_s(wanted: Wanted, candidate: Candidate) -> int:
    return abs(age_s(wanted.mjd, candidate.mjd) or 0)


def _sides(rule: Rule, wanted: Wanted, bin_: list[Candidate]) -> tuple[Iterable[int], ...]:
    """Give the places in a bin outwards from the exposure: into the past, and into the future."""
    if wanted.mjd is None or bin_[0].mjd is None:
        return (range(len(bin_)),)
    begin, end = 0, len(bin_)
    if not (rule.is_timeless or rule.may_cross):
        before, after = era(wanted.mjd)
        begin = bisect.bisect_left(bin_, before, key=_mjd)
        end = bisect.bisect_left(bin_, after, key=_mjd)
    middle = bisect.bisect_right(bin_, wanted.mjd, begin, end, key=_mjd)
    past, future = range(middle - 1, begin - 1, -1), range(middle, end)
    return (past,) if rule.is_before_only else (past, future)


_Bound = tuple[int, int, bool, int]
"""Group, level, whether it is later, distance: as a rank begins."""


def _bound(rule: Rule, wanted: Wanted, candidate: Candidate, distance_s: int) -> _Bound:
    """Say how good a candidate, or one further out on its side, is at best: by its distance alone."""
    level = rule.level(distance_s)
    return (
        _group(rule, candidate, distance_s),
        rule.poorest if level is None else level,
        _is_later(rule, wanted, candidate),
        distance_s,
    )


def _group(rule: Rule, candidate: Candidate, distance_s: int) -> int:
    if candidate.frame.kind is Kind.STATIC and not rule.is_static:
        return 3
    if candidate.mjd is None and not rule.is_timeless:
        return 2
    return 0 if candidate.frame.tag == rule.preferred and distance_s <= rule.preferred_s else 1


def _is_later(rule: Rule, wanted: Wanted, candidate: Candidate) -> bool:
    return rule.prefers_past and (age_s(wanted.mjd, candidate.mjd) or 0) > 0


def _rank(rule: Rule, wanted: Wanted, candidate: Candidate, bound: _Bound) -> _Rank:
    """Say how good a candidate is that can be used."""
    group, level, is_later, distance_s = bound
    if rule.may_cross and crossed(rule, wanted.mjd, candidate.mjd):
        level = rule.poorest
    if candidate.mjd is None or wanted.mjd is None:
        level = min(1, rule.poorest)
    if rule.prefers_block:
        level = 0 if _is_of_block(wanted, candidate) else max(level, 1)
    if rule.temperature_c is not None:
        warmer = _warmer_c(rule, wanted, candidate)
        level = max(level, 0 if warmer is not None and abs(warmer) <= rule.temperature_c else 1)
    if _inconsistent(rule, wanted, candidate):
        level = min(level + 1, rule.poorest)
    return _Rank(
        *(group, level, is_later, distance_s),
        airmass=(candidate.frame.airmass or 9.9) if rule.prefers_low_airmass else 0.0,
        mjd=candidate.mjd or 0.0,
        name=candidate.name,
    )


def _reason(rule: Rule, wanted: Wanted, candidate: Candidate) -> str:
    """Say what decided about the level of a candidate."""
    if candidate.mjd is None or wanted.mjd is None:
        reasons = ["no date needed" if rule.is_timeless else "without a date"]
    else:
        reasons = [f"{in_words(_distance_s(wanted, candidate))} away"]
    reasons += [f"across an intervention ({i})" for i in crossed(rule, wanted.mjd, candidate.mjd)]
    if rule.prefers_block:
        reasons.append(f"{'same' if _is_of_block(wanted, candidate) else 'another'} observing block")
    if rule.temperature_c is not None:
        warmer = _warmer_c(rule, wanted, candidate)
        told = "temperature unknown" if warmer is None else f"{abs(warmer):.1f} degrees warmer or colder"
        reasons.append(told)
    inconsistent = _inconsistent(rule, wanted, candidate)
    return ", ".join((*reasons, inconsistent) if inconsistent else reasons)


def _is_of_block(wanted: Wanted, candidate: Candidate) -> bool:
    return candidate.frame.block == wanted.frame.block


def _inconsistent(rule: Rule, wanted: Wanted, candidate: Candidate) -> str:
    """Say in what a candidate does not belong with what was chosen before; empty if it does."""
    if not rule.prefers_trace or not wanted.trace or candidate.trace in ("", wanted.trace):
        return ""
    return f"made with the trace of {candidate.trace}, not of {wanted.trace}"


def _warmer_c(rule: Rule, wanted: Wanted, candidate: Candidate) -> float | None:
    own, other = candidate.frame.temperature_c, wanted.frame.temperature_c
    return None if rule.temperature_c is None or own is None or other is None else own - other


def _against(rule: Rule, wanted: Wanted, candidate: Candidate) -> str:
    """Say why a candidate was left: why it cannot be used, else how good it would be."""
    difference = differing(rule, wanted.frame, candidate.frame, wanted.ifu)
    if difference:
        return difference
    age, distance_s = age_s(wanted.mjd, candidate.mjd), _distance_s(wanted, candidate)
    if rule.is_before_only and (age or 0) > 0:
        return "later than the exposure"
    across = crossed(rule, wanted.mjd, candidate.mjd)
    if across and not rule.may_cross:
        return f"on the other side of an intervention ({across[0]})"
    if rule.level(distance_s) is None and not rule.is_named:
        return f"{in_words(distance_s)} away, at most {window_in_words(rule)} allowed"
    if candidate.fault:
        return candidate.fault
    rank, most = _rank(rule, wanted, candidate, _bound(rule, wanted, candidate, distance_s)), rule.max_level
    level = rank.level
    accepted = "" if most is None or level <= most else f", at most {most} accepted"
    return f"{_reason(rule, wanted, candidate)}, level {level}{accepted}"


def _are_rivals(rule: Rule, best: _Ranked, second: _Ranked) -> bool:
    """Tell whether nothing but its name speaks for the best of two static calibrations."""
    if not all(candidate.frame.kind is Kind.STATIC for _, candidate in (best, second)):
        return False
    if rule.is_timeless and not rule.is_before_only:
        return True
    mine, other = best[0], second[0]
    return (mine.group, mine.level, mine.mjd) == (other.group, other.level, other.mjd)


def _association(rule: Rule, wanted: Wanted, best: list[_Ranked], rejected: tuple[str, ...]) -> Association:
    (rank, chosen), *others = best
    reason = _reason(rule, wanted, chosen)
    next_best = None
    if others:
        (other_rank, other), *_ = others
        next_best = NextBest(other.name, other_rank.level, age_s(wanted.mjd, other.mjd))
    return Association(
        *(rule.tag, chosen.name, rank.level, rank.distance_s),
        reason=f"{reason}, named in clio.toml" if rule.is_named else reason,
        rejected=rejected,
        age_s=age_s(wanted.mjd, chosen.mjd),
        warmer_c=_warmer_c(rule, wanted, chosen),
        crossed=tuple(str(i) for i in crossed(rule, wanted.mjd, chosen.mjd)),
        inconsistent=_inconsistent(rule, wanted, chosen),
        next_best=next_best,
    )
