"""Association rules: for each calibration what must agree, how far in time it may lie, and why.

References
----------
ESO MUSE calibration plan; MUSE pipeline manual 2.8.7, section on calibrations; `muse_wkf.oca`;
the published windows of EDPS and musered where ESO's workflow has none.
"""

from dataclasses import dataclass

from pipeline.model import Frame

HOUR_S = 3600
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Rule:
    """How a calibration of one tag is chosen."""

    tag: str
    made_from: str
    """Tag of the raw frames or pixel tables it is made from; empty for a static calibration."""
    agree: tuple[str, ...]
    """Properties of the two frames that must be equal; `chip` is that of the IFU in question."""
    windows_s: tuple[int | None, ...]
    """Largest distance in time for level 0, 1, 2, in seconds; None for any."""
    is_required: bool = True
    """Whether a step is blocked without it; else the lack is said."""
    temperature_c: float | None = None
    """For level 0 the temperatures may differ by no more than this."""
    is_before_only: bool = False
    """Only calibrations of an earlier date count."""
    source: str = ""
    """Where the rule comes from."""

    @property
    def is_static(self) -> bool:
        """Whether it is shipped with the recipes and not made from raw frames."""
        return not self.made_from


def _days(*days: float | None) -> tuple[int | None, ...]:
    return tuple(None if d is None else int(d * DAY_S) for d in days)


_MASTER = "calibration plan: daily; manual, calibrations; workflow +-3 d"
_DETECTOR = ("readout", "binning", "chip")
_ANY = (None,)

RULES = {
    rule.tag: rule
    for rule in (
        # Biases since 2017-06-14 are taken in the AO set-up and serve all modes: mode need not agree.
        Rule("MASTER_BIAS", "BIAS", _DETECTOR, _days(1, 3, 7), source=_MASTER),
        Rule("MASTER_DARK", "DARK", _DETECTOR, _days(5, 15, 40), is_required=False, source="workflow +-5 d"),
        Rule("MASTER_FLAT", "FLAT", ("mode", *_DETECTOR), _days(1, 3, 7), source=_MASTER),
        Rule("WAVECAL_TABLE", "ARC", ("mode", *_DETECTOR), _days(1, 3, 7), source=_MASTER),
        Rule("LSF_PROFILE", "ARC", ("mode", "readout"), _days(7, 30, None), source="stable over months"),
        Rule(
            "ILLUM",
            "ILLUM",
            ("readout", "field"),
            (2 * HOUR_S, 4 * HOUR_S, 12 * HOUR_S),
            is_required=False,
            temperature_c=1.0,
            source="manual: nearest in temperature, within the hour",
        ),
        Rule(
            "TWILIGHT_CUBE",
            "SKYFLAT",
            ("mode", "readout"),
            _days(3, 14, 30),
            is_required=False,
            source="workflow +-30 d",
        ),
        Rule("STD_RESPONSE", "STD", ("mode",), _days(1, 5, 30), source="calibration plan: nightly"),
        Rule(
            "SKY_CONTINUUM",
            "SKY",
            ("mode",),
            _days(0.25, 0.25, 0.25),
            is_required=False,
            source="workflow: same template; same night allowed",
        ),
        Rule("GEOMETRY_TABLE", "", ("instrument", "field"), _days(30, 180, None), source="by observing run"),
        Rule(
            "ASTROMETRY_WCS",
            "",
            ("instrument", "field"),
            _days(30, 180, None),
            is_required=False,
            source="by observing run",
        ),
        Rule("BADPIX_TABLE", "", ("instrument",), _ANY, is_required=False, is_before_only=True),
        Rule("VIGNETTING_MASK", "", ("instrument",), _ANY, is_required=False, source="until 2017-03-11"),
        *(
            Rule(tag, "", ("instrument",), _ANY, source="valid for all of MUSE")
            for tag in ("EXTINCT_TABLE", "STD_FLUX_TABLE", "LINE_CATALOG", "SKY_LINES")
        ),
        *(
            Rule(tag, "", ("instrument",), _ANY, is_required=False, source="valid for all of MUSE")
            for tag in ("FILTER_LIST", "TELLURIC_REGIONS")
        ),
        Rule("RAMAN_LINES", "", ("instrument",), _ANY, is_required=False, source="AO modes only"),
    )
}
"""By the tag that is looked for."""

VIGNETTING_ENDS_MJD = 57823.0
"""2017-03-11: twilight exposures from then on show no vignetting; manual, `muse_twilight`."""

AO_MODES = frozenset({"WFM-AO-N", "WFM-AO-E", "NFM-AO-N"})
"""Modes with the lasers on, which need RAMAN_LINES."""

BREAKPOINTS = (
    (57112.0, "2015-03-31, the detector vessel of CHAN01 was exchanged"),
    (57352.0, "2015-11-26, the cables of the preamplifiers were changed"),
)
"""Interventions on the instrument, MJD and reason: no calibration is used across one."""

TELLURIC_WINDOW_S = 5 * DAY_S
"""The telluric absorption of a standard is not used for exposures further away."""


def differing(rule: Rule, wanted: Frame, candidate: Frame, ifu: int | None) -> str:
    """Name the first property in which two frames must agree and do not.

    Parameters
    ----------
    rule : Rule
        The rule of the calibration.
    wanted, candidate : Frame
        The exposure that needs a calibration, and a frame of the calibration.
    ifu : int or None
        IFU whose chips are compared; None for all they have in common.

    Returns
    -------
    str
        Such as `mode WFM-AO-N instead of WFM-NOAO-N`; empty if they agree. What a static calibration does
        not say agrees with everything.
    """
    for name in rule.agree:
        if name == "chip":
            want, have = _chips(wanted, ifu), _chips(candidate, ifu)
        else:
            want, have = getattr(wanted, name), getattr(candidate, name)
            if rule.is_static and not have:
                continue
        if want != have:
            return f"{name} {have or 'missing'} instead of {want}"
    return ""


def _chips(frame: Frame, ifu: int | None) -> str:
    return " ".join(f"{c.name}/{c.id}" for c in frame.chips if ifu is None or c.ifu == ifu)
