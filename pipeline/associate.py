"""Which calibration belongs to which exposure: grouping, and the choice by rule. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.model import Association, Dataset, Frame, Night, Template
from pipeline.rules import BREAKPOINTS, DAY_S, HOUR_S, Rule, differing
from pipeline.tags import Kind

TEMPLATE_TAGS = ("BIAS", "DARK", "FLAT", "ARC", "ARC_LSF", "SKYFLAT")
"""Tags of calibration frames that a recipe takes a template at a time."""

EXPOSURE_TAGS = ("OBJECT", "SKY", "STD")
"""Tags of frames that are reduced one by one."""


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


def group(frames: Sequence[Frame]) -> Night:
    """Sort frames into templates, exposures, datasets and static calibrations.

    Parameters
    ----------
    frames : sequence of Frame
        In any order.

    Returns
    -------
    Night
        Everything by time, then name: the order of the input leaves no trace.
    """
    ordered = sorted(frames, key=lambda f: (f.mjd or 0.0, f.tag, f.arcfile, str(f.path)))
    templates: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    datasets: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for frame in ordered:
        if frame.tag in TEMPLATE_TAGS:
            templates[frame.tag, frame.template, frame.mode, frame.readout].append(frame)
        elif frame.tag == "OBJECT":
            datasets[frame.target, frame.block, frame.mode].append(frame)
    return Night(
        templates=tuple(Template(key[0], key[1], tuple(group)) for key, group in sorted(templates.items())),
        exposures=tuple(f for f in ordered if f.tag in EXPOSURE_TAGS),
        illums=tuple(f for f in ordered if f.tag == "ILLUM"),
        statics=tuple(f for f in ordered if f.kind is Kind.STATIC),
        datasets=tuple(Dataset(key[0], key[1], tuple(group)) for key, group in sorted(datasets.items())),
    )


def choose(rule: Rule, wanted: Frame, candidates: Sequence[Candidate], ifu: int | None = None) -> Association:
    """Choose a calibration for an exposure: the nearest in time within the best level.

    Parameters
    ----------
    rule : Rule
        What must agree and how far it may lie.
    wanted : Frame
        The exposure that needs it.
    candidates : sequence of Candidate
        In any order.
    ifu : int, optional
        IFU whose detector must agree; None for all.

    Returns
    -------
    Association
        With `chosen` empty if no candidate will do. Ties go to the smaller MJD, then to the name.
    """
    accepted: list[tuple[int, int, float, str, str]] = []
    rejected: list[tuple[int, str]] = []
    for candidate in candidates:
        distance_s = _distance_s(wanted, candidate)
        fault = _fault(rule, wanted, candidate, distance_s, ifu)
        if fault:
            rejected.append((distance_s, f"{candidate.name}: {fault}"))
            continue
        level, reason = _level(rule, wanted, candidate, distance_s)
        accepted.append((level, distance_s, candidate.mjd or 0.0, candidate.name, reason))
    accepted.sort()
    if not accepted:
        return Association(rule.tag, "", 0, 0, "none can be used", _texts(rejected))
    level, distance_s, _, name, reason = accepted[0]
    rejected += [(d, f"{n}: {r}, level {v}") for v, d, _, n, r in accepted[1:]]
    return Association(rule.tag, name, level, distance_s, reason, _texts(rejected))


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


def _distance_s(wanted: Frame, candidate: Candidate) -> int:
    if wanted.mjd is None or candidate.mjd is None:
        return 0
    return round(abs(wanted.mjd - candidate.mjd) * DAY_S)


def _fault(rule: Rule, wanted: Frame, candidate: Candidate, distance_s: int, ifu: int | None) -> str:
    """Say why a candidate cannot be used; empty if it can."""
    difference = differing(rule, wanted, candidate.frame, ifu)
    if difference:
        return difference
    if candidate.fault:
        return candidate.fault
    if wanted.mjd is not None and candidate.mjd is not None:
        if rule.is_before_only and candidate.mjd > wanted.mjd:
            return "later than the exposure"
        for mjd, reason in BREAKPOINTS:
            if rule.windows_s != (None,) and (candidate.mjd < mjd) != (wanted.mjd < mjd):
                return f"on the other side of an intervention ({reason})"
    if all(window is not None and distance_s > window for window in rule.windows_s):
        return f"{in_words(distance_s)} away, at most {window_in_words(rule)} allowed"
    return ""


def _level(rule: Rule, wanted: Frame, candidate: Candidate, distance_s: int) -> tuple[int, str]:
    level = next(n for n, window in enumerate(rule.windows_s) if window is None or distance_s <= window)
    reason = "no date needed" if candidate.mjd is None else f"{in_words(distance_s)} away"
    if rule.tag == "SKY_CONTINUUM" and candidate.frame.block == wanted.block:
        return 0, f"{reason}, same observing block"
    if rule.tag == "SKY_CONTINUUM":
        return max(level, 1), f"{reason}, another observing block"
    if rule.temperature_c is not None:
        if wanted.temperature_c is None or candidate.frame.temperature_c is None:
            return max(level, 1), f"{reason}, temperature unknown"
        difference = abs(wanted.temperature_c - candidate.frame.temperature_c)
        reason = f"{reason}, {difference:.1f} degrees warmer or colder"
        level = max(level, 0 if difference <= rule.temperature_c else 1)
    return level, reason


def _texts(rejected: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(text for _, text in sorted(rejected))
