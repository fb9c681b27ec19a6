"""What to look for in ESO's archive when a calibration is missing: keywords and dates, for its form.

Pure: nothing is asked of the archive.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.model import Frame
from pipeline.rules import DAY_S, Rule, era
from pipeline.tags import RAW_TAGS

_LEAST = {"BIAS": 3, "DARK": 3, "FLAT": 3, "ARC": 3, "SKYFLAT": 3}
"""Frames of a template without which its recipe does not start."""

_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """Dates between which a calibration would be of a level."""

    level: int
    begin_mjd: float | None
    """None for any date."""
    end_mjd: float | None
    """None for any date."""

    @property
    def begin(self) -> str:
        """In UTC, to the minute, within the window; empty for any date."""
        return "" if self.begin_mjd is None else _date(math.ceil(self.begin_mjd * _MINUTES))

    @property
    def end(self) -> str:
        """In UTC, to the minute, within the window; empty for any date."""
        return "" if self.end_mjd is None else _date(math.floor(self.end_mjd * _MINUTES))

    def in_words(self) -> str:
        """Write the dates as a person would."""
        begin, end = self.begin.replace("T", " "), self.end.replace("T", " ")
        if begin and end:
            return f"{begin} to {end}"
        return f"from {begin} on" if begin else f"until {end}" if end else "at any date"

    def common(self, other: "Window") -> "Window | None":
        """Give the dates that lie in both; None if there are none."""
        begins = [w.begin_mjd for w in (self, other) if w.begin_mjd is not None]
        ends = [w.end_mjd for w in (self, other) if w.end_mjd is not None]
        begin, end = max(begins, default=None), min(ends, default=None)
        if begin is not None and end is not None and end < begin:
            return None
        return Window(self.level, begin, end)


@dataclass(frozen=True, slots=True)
class Search:
    """A query for frames of which a missing calibration can be made."""

    tag: str
    """The calibration that is missing."""
    wanted_by: tuple[str, ...]
    """Exposures and templates that need it."""
    dpr_catg: str
    """ESO DPR CATG; empty for a static calibration, which is no raw frame."""
    dpr_types: tuple[str, ...]
    """Values of ESO DPR TYPE that will do, the best first."""
    ins_mode: str
    """ESO INS MODE, `WFM-*` for all of a field; empty where it does not matter."""
    readout: str
    """ESO DET READ CURID and CURNAME; empty where they do not matter."""
    windows: tuple[Window, ...]
    """By level."""
    least: int
    """Frames of one template that are needed."""

    def with_(self, other: "Search") -> "Search | None":
        """Join with the search of another exposure, if the same frames can serve both."""
        key = ("tag", "dpr_types", "ins_mode", "readout")
        if any(getattr(self, name) != getattr(other, name) for name in key):
            return None
        common = [a.common(b) for a, b in zip(self.windows, other.windows, strict=True)]
        if common[-1] is None:
            return None
        names = tuple(dict.fromkeys((*self.wanted_by, *other.wanted_by)))
        return replace(self, wanted_by=names, windows=tuple(w for w in common if w is not None))

    def in_words(self) -> str:
        """Say it as it is typed into the archive's form for raw data of MUSE."""
        if not self.dpr_catg:
            of = f" for {self.ins_mode.rstrip('-*')}" if self.ins_mode else ""
            where = "the static calibrations that come with the pipeline"
            dated = "" if self.windows[-1].in_words() == "at any date" else f", {self.windows[-1].in_words()}"
            return f"{self.tag}{of} (ESO PRO CATG), from {where}{dated}"
        words = [f"DPR CATG {self.dpr_catg}", f"DPR TYPE {' or '.join(self.dpr_types)}"]
        words += [f"INS MODE {self.ins_mode}"] if self.ins_mode else []
        number, _, name = self.readout.partition(" ")
        words += [f"DET READ CURID {number} ({name})"] if self.readout else []
        best, widest = self.windows[0], self.windows[-1]
        dates = f"taken {widest.in_words()}"
        if best.in_words() != widest.in_words():
            dates += f", best {best.in_words()}"
        few = f"; {self.least} of one template at least" if self.least > 1 else ""
        few += ", one of each lamp: Ne, Xe, HgCd" if "WAVE" in self.dpr_types else ""
        return f"{', '.join(words)}; {dates}{few}"


def search_for(rule: Rule, name: str, wanted: Frame, mjd: float) -> Search:
    """Say where a calibration that is missing would be found.

    Parameters
    ----------
    rule : Rule
        Of the calibration, with the policy of the settings.
    name : str
        The exposure or template that needs it.
    wanted : Frame
        A frame of it.
    mjd : float
        When it was taken.
    """
    tags = [tag for tag in (rule.preferred, rule.made_from) if tag]
    raw = [row for tag in tags for row in RAW_TAGS if row.tag == tag]
    mode = wanted.mode if "mode" in rule.agree else f"{wanted.field}-*" if "field" in rule.agree else ""
    return Search(
        tag=rule.tag,
        wanted_by=(name,),
        dpr_catg=raw[0].categories[0] if raw else "",
        dpr_types=tuple(type_ for row in raw for type_ in row.types),
        ins_mode=mode,
        readout=wanted.readout if "readout" in rule.agree else "",
        windows=_windows(rule, mjd),
        least=max((_LEAST.get(tag, 1) for tag in tags), default=1),
    )


def _windows(rule: Rule, mjd: float) -> tuple[Window, ...]:
    """Give the dates of each level that is accepted, cut at the interventions on the instrument."""
    before, after = era(mjd) if not (rule.is_timeless or rule.may_cross) else (-math.inf, math.inf)
    most = rule.poorest if rule.max_level is None else rule.max_level
    windows = []
    for level, window_s in enumerate(rule.windows_s[: most + 1]):
        days = math.inf if window_s is None else window_s / DAY_S
        begin, end = max(mjd - days, before), min(mjd + days, after)
        end = min(end, mjd) if rule.is_before_only else end
        windows.append(Window(level, *(None if math.isinf(at) else at for at in (begin, end))))
    return tuple(windows)


def _date(minutes: int) -> str:
    """Write minutes since MJD 0 as a date and time."""
    return (datetime(1858, 11, 17) + timedelta(minutes=minutes)).isoformat(timespec="minutes")
