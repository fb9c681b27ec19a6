"""Association rules: for each calibration what must agree, how far in time it may lie, and why.

References
----------
ESO MUSE calibration plan; MUSE pipeline manual 2.8.7, section on calibrations; `muse_wkf.oca`;
the published windows of EDPS and musered where ESO's workflow has none.
"""

from dataclasses import dataclass

from pipeline.model import Frame
from pipeline.modes import AO_MODES
from pipeline.tags import Kind

HOUR_S = 3600
DAY_S = 24 * HOUR_S

VIGNETTING_ENDS_MJD = 57823.0
"""2017-03-11: twilight exposures from then on show no vignetting; manual, `muse_twilight`."""


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
    prefers_past: bool = False
    """Within a level those of an earlier date come first."""
    prefers_low_airmass: bool = False
    """Of two that are equally near, the one taken at the lower airmass."""
    prefers_block: bool = False
    """One of the same observing block is of level 0, any other of level 1 at best."""
    prefers_trace: bool = False
    """One made with another trace than that of the chosen flat is one level down."""
    preferred: str = ""
    """Of those made from frames of several tags, the tag that comes first."""
    preferred_s: int = 0
    """How far away those of the preferred tag may lie to come first."""
    until_mjd: float | None = None
    """Exposures from this MJD on do not need it."""
    modes: frozenset[str] = frozenset()
    """Instrument modes whose exposures need it; empty for all."""
    fields: frozenset[str] = frozenset()
    """Fields (WFM, NFM) whose exposures need it; empty for all."""
    may_cross: bool = False
    """Whether it may be used across an intervention, at the poorest level."""
    max_level: int | None = None
    """The poorest level that is accepted; None for all."""
    is_named: bool = False
    """A person named the one to use: no distance in time speaks against it."""
    without: str = ""
    """What is done without it, for a person."""
    source: str = ""
    """Where the rule comes from."""

    @property
    def is_static(self) -> bool:
        """Whether it is shipped with the recipes and not made from raw frames."""
        return not self.made_from

    @property
    def is_timeless(self) -> bool:
        """Whether any distance in time is of level 0, so that interventions do not matter either."""
        return self.windows_s == (None,)

    @property
    def poorest(self) -> int:
        """The last level that its windows have."""
        return len(self.windows_s) - 1

    def level(self, distance_s: int) -> int | None:
        """Give the best level whose window holds a distance in time, in seconds; None if none does."""
        for level, window in enumerate(self.windows_s):
            if window is None or distance_s <= window:
                return level
        return None

    def is_needed_by(self, wanted: Frame, mjd: float | None) -> bool:
        """Tell whether an exposure of that mode, field and date needs it at all."""
        return (
            (not self.modes or wanted.mode in self.modes)
            and (not self.fields or wanted.field in self.fields)
            and (self.until_mjd is None or mjd is None or mjd < self.until_mjd)
        )


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
        Rule(
            "MASTER_DARK",
            "DARK",
            _DETECTOR,
            _days(5, 15, 40),
            is_required=False,
            without="the dark current stays",
            source="workflow +-5 d, optional",
        ),
        # The TRACE_TABLE is that of the same run: one choice for both.
        Rule("MASTER_FLAT", "FLAT", ("mode", *_DETECTOR), _days(1, 3, 7), source=_MASTER),
        Rule(
            "WAVECAL_TABLE",
            "ARC",
            ("mode", *_DETECTOR),
            _days(1, 3, 7),
            prefers_trace=True,
            source=_MASTER,
        ),
        Rule(
            "LSF_PROFILE",
            "ARC",
            ("mode", "readout"),
            _days(7, 30, None),
            preferred="ARC_LSF",
            preferred_s=30 * DAY_S,
            source="stable over months; EDPS lsfmode: lsf, then arc",
        ),
        Rule(
            "ILLUM",
            "ILLUM",
            ("readout", "field"),
            (2 * HOUR_S, 4 * HOUR_S, 12 * HOUR_S),
            is_required=False,
            temperature_c=1.0,
            without="slices are not corrected against each other for the hour's temperature",
            source="manual: nearest in temperature, within the hour; EDPS 2 h, 4 h; musered 1 degree",
        ),
        Rule(
            "TWILIGHT_CUBE",
            "SKYFLAT",
            ("mode", "readout"),
            _days(3, 14, 30),
            is_required=False,
            without="the field is not corrected by the twilight",
            source="workflow +-30 d, optional; pymusepipe +-3 nights",
        ),
        Rule(
            "STD_RESPONSE",
            "STD",
            ("mode",),
            _days(1, 5, 30),
            prefers_low_airmass=True,
            source="calibration plan: nightly; pymusepipe +-5 nights",
        ),
        Rule(
            "STD_TELLURIC",
            "STD",
            ("mode",),
            _days(1, 5),
            is_required=False,
            without="the absorption of the atmosphere stays",
            source="of the response's run; workflow +-1 d, optional",
        ),
        Rule(
            "SKY_CONTINUUM",
            "SKY",
            ("mode",),
            _days(0.25, 0.25, 0.25),
            is_required=False,
            prefers_block=True,
            without="the sky is that of the field itself, level 2",
            source="workflow: same template; same night allowed",
        ),
        Rule(
            "GEOMETRY_TABLE",
            "",
            ("instrument", "field"),
            _days(30, 180, None),
            prefers_past=True,
            source="measured about monthly; workflow: no limit",
        ),
        Rule(
            "ASTROMETRY_WCS",
            "",
            ("instrument", "field"),
            _days(30, 180, None),
            is_required=False,
            prefers_past=True,
            without="the recipe's built-in solution",
            source="measured about monthly; workflow: no limit",
        ),
        Rule(
            "BADPIX_TABLE",
            "",
            ("instrument",),
            _ANY,
            is_required=False,
            is_before_only=True,
            without="only pixels found bad in the frames",
            source="pixels once bad stay bad: the latest before the exposure; changed on 2015-05-11",
        ),
        Rule(
            "VIGNETTING_MASK",
            "",
            ("instrument",),
            _ANY,
            is_required=False,
            until_mjd=VIGNETTING_ENDS_MJD,
            fields=frozenset({"WFM"}),
            without="the vignetted corner is not corrected",
            source="manual, muse_twilight: exposures before 2017-03-11",
        ),
        *(
            Rule(tag, "", ("instrument",), _ANY, source="valid for all of MUSE")
            for tag in ("EXTINCT_TABLE", "STD_FLUX_TABLE", "LINE_CATALOG", "SKY_LINES")
        ),
        Rule(
            "FILTER_LIST",
            "",
            ("instrument",),
            _ANY,
            is_required=False,
            without="no filter but white",
            source="valid for all of MUSE",
        ),
        Rule(
            "TELLURIC_REGIONS",
            "",
            ("instrument",),
            _ANY,
            is_required=False,
            without="the recipe's built-in regions",
            source="valid for all of MUSE",
        ),
        Rule(
            "RAMAN_LINES",
            "",
            ("instrument",),
            _ANY,
            is_required=False,
            modes=AO_MODES,
            without="lines scattered from the lasers stay",
            source="manual, muse_scipost: AO modes only",
        ),
    )
}
"""By the tag that is looked for."""


@dataclass(frozen=True, slots=True)
class Intervention:
    """Work on the instrument after which calibrations from before do not hold."""

    mjd: float
    date: str
    """The day, UTC."""
    what: str
    source: str

    def __str__(self) -> str:
        return f"{self.date}, {self.what}"


INTERVENTIONS = (
    Intervention(
        *(57112.0, "2015-03-31", "the detector vessel of CHAN01 was exchanged"),
        source="breakpoints of MUSE as in ESO's calselector",
    ),
    Intervention(
        *(57352.0, "2015-11-26", "the cables of the preamplifiers were changed"),
        source="breakpoints of MUSE as in ESO's calselector",
    ),
)
"""By date. They cut a window whatever its width; ESO's calselector knows more of them."""


def crossed(rule: Rule, mjd: float | None, other: float | None) -> tuple[Intervention, ...]:
    """List the interventions between two MJDs that matter to a calibration; none for what has no date."""
    if rule.is_timeless or mjd is None or other is None:
        return ()
    return tuple(i for i in INTERVENTIONS if (mjd < i.mjd) != (other < i.mjd))


def era(mjd: float) -> tuple[float, float]:
    """Give the MJDs of the interventions before (or at) and after an MJD; infinite for none."""
    before = (i.mjd for i in INTERVENTIONS if i.mjd <= mjd)
    after = (i.mjd for i in INTERVENTIONS if i.mjd > mjd)
    return max(before, default=float("-inf")), min(after, default=float("inf"))


def agreeing(rule: Rule, frame: Frame, ifu: int | None) -> tuple[str, ...]:
    """Give the values in which a frame has to agree with another, in the order of the rule."""
    return tuple(_chips(frame, ifu) if name == "chip" else getattr(frame, name) for name in rule.agree)


def does_agree(want: str, have: str, candidate: Frame) -> bool:
    """Tell whether two values agree; what a static calibration does not say agrees with everything."""
    return want == have or (not have and candidate.kind is Kind.STATIC)


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
    pairs = zip(rule.agree, agreeing(rule, wanted, ifu), agreeing(rule, candidate, ifu), strict=True)
    for name, want, have in pairs:
        if not does_agree(want, have, candidate):
            return f"{name} {have or 'missing'} instead of {want}"
    return ""


def chip_of(frame: Frame, ifu: int) -> str:
    """Name the detector of an IFU; empty if it is not live."""
    chips = frame.chips
    if len(chips) >= ifu and chips[ifu - 1].ifu == ifu:  # as it is where all IFUs are live
        return f"{chips[ifu - 1].name}/{chips[ifu - 1].id}"
    return next((f"{c.name}/{c.id}" for c in chips if c.ifu == ifu), "")


def _chips(frame: Frame, ifu: int | None) -> str:
    return " ".join(f"{c.name}/{c.id}" for c in frame.chips) if ifu is None else chip_of(frame, ifu)
