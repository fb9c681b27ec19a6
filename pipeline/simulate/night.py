"""The schedule: which exposures are taken when, of what, and where the telescope points. Pure.

Calibrations of the day, twilight flats and a standard star for each mode, and observing blocks with an object
and a sky exposure.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.modes import DEFAULT_MODE, MODES, Mode
from pipeline.simulate.field import scale_of
from pipeline.simulate.mathematics import random_stream
from pipeline.simulate.options import NIGHT_START, NightOptions, ObservingBlock
from pipeline.simulate.scene import (
    SKY_OFFSET_ARCSEC,
    STANDARD_DEC_DEG,
    STANDARD_NAME,
    STANDARD_OFFSET_ARCSEC,
    STANDARD_RA_DEG,
    STANDARD_SEEING,
    target_position_deg,
)
from pipeline.simulate.sky import offset_position_deg

DITHERS_ARCSEC = ((0.0, 0.0), (1.7, 0.3), (-1.3, -0.3), (0.8, -0.3), (-1.9, 0.3), (2.3, 0.0))
"""Offsets of the object exposures, west and north; small in y, where two IFUs see but 4.8 arcsec."""
MAX_ERROR_ARCSEC = (0.45, 0.25)
"""Largest pointing error, west and north."""
ILLUM_EVERY = 6
"""Object exposures between two illumination flats, which must be less than two hours away."""
_OVERHEAD_S = 52.0
_BY_DAY_H, _AT_TWILIGHT_H, _STANDARD_H = 1.2, 0.06, 0.07
"""Hours by which the calibrations of one mode follow those of another."""


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where the telescope was sent, and by how much it missed."""

    ra_deg: float
    """As the header says."""
    dec_deg: float
    error_west: float = 0.0
    """Header minus true position, arcsec on the sky."""
    error_north: float = 0.0
    seeing_arcsec: float = 0.65
    """FWHM of the point-spread function."""

    @property
    def true_position(self) -> tuple[float, float]:
        """RA and Dec that the field centre really had, in degrees."""
        return offset_position_deg(self.ra_deg, self.dec_deg, -self.error_west, -self.error_north)


@dataclass(frozen=True, slots=True)
class SimulatedExposure:
    """One exposure of the night."""

    tag: str
    """What a classifier should find: `BIAS`, `ARC`, `OBJECT`..."""
    number: int
    """Among the exposures of its tag, from 1."""
    start: datetime
    exptime_s: float
    template_start: datetime
    template_size: int
    """Exposures in the template (ESO TPL NEXP)."""
    template_number: int
    """Place in the template, from 1 (ESO TPL EXPNO)."""
    obs_id: int
    obs_name: str
    target: str
    illum: float
    """Strength of the slice-to-slice illumination difference against the lamp flats."""
    temperature_c: float
    """Of the instrument (ESO INS TEMP7 VAL)."""
    lamp: str = ""
    """Arc lamp."""
    pointing: Pointing | None = None
    """None for exposures without the sky."""
    air_level: float = 1.0
    """Strength of the airglow relative to its mean."""
    mode: Mode = MODES[DEFAULT_MODE]
    target_number: int = 0
    """Of an OBJECT, from 0."""

    @property
    def name(self) -> str:
        """Name in the truth and in the key of the noise, such as `OBJECT-2`."""
        return f"{self.tag}-{self.number}"

    @property
    def middle(self) -> datetime:
        """Middle of the exposure."""
        return self.start + timedelta(seconds=self.exptime_s / 2)

    @property
    def arcfile(self) -> str:
        """Name in the archive, `MUSE.<DATE-OBS>.fits`."""
        return f"MUSE.{iso(self.start)}.fits"


def iso(time: datetime) -> str:
    """Write a time as FITS does, to the millisecond."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}"


def night(options: NightOptions) -> tuple[SimulatedExposure, ...]:
    """Give all exposures of a night, in order of time."""
    modes = [MODES[name] for name in options.modes]
    exposures = [*_dark_frames(modes[0]), *_science(options)]
    for number, mode in enumerate(modes):
        exposures += [*_lamps(mode, number), *_twilight(mode, number), *_standard(mode, number)]
    return _numbered(sorted(exposures, key=lambda exposure: exposure.start))


def _numbered(exposures: Iterable[SimulatedExposure]) -> tuple[SimulatedExposure, ...]:
    """Count the exposures of each tag in order of time."""
    counts: Counter[str] = Counter()
    numbered = []
    for exposure in exposures:
        counts[exposure.tag] += 1
        numbered.append(replace(exposure, number=counts[exposure.tag]))
    return tuple(numbered)


def _at(hour: float) -> datetime:
    """Give a time from hours after noon (UTC), with milliseconds that look like a clock's."""
    milliseconds = round(hour * 3600e3) + int(hour * 7919) % 1000
    return NIGHT_START + timedelta(milliseconds=milliseconds)


def _template(base: SimulatedExposure, times: list[tuple[datetime, float]]) -> list[SimulatedExposure]:
    """Repeat an exposure at some (start, exposure time)."""
    first = times[0][0] - timedelta(seconds=8)
    return [
        replace(
            base,
            start=start,
            exptime_s=exptime,
            template_start=first,
            template_size=len(times),
            template_number=number,
        )
        for number, (start, exptime) in enumerate(times, 1)
    ]


def _series(mode: Mode, tag: str, hour: float, count: int, exptime_s: float) -> list[SimulatedExposure]:
    """Give a template of daytime calibrations."""
    base = SimulatedExposure(
        tag,
        1,
        _at(hour),
        exptime_s,
        _at(hour),
        count,
        1,
        200000000 + int(hour * 100),
        f"MUSE_{tag}",
        "",
        0.0,
        13.8,
        mode=mode,
    )
    step = (exptime_s + _OVERHEAD_S) / 3600.0
    return _template(base, [(_at(hour + k * step), exptime_s) for k in range(count)])


def _dark_frames(mode: Mode) -> list[SimulatedExposure]:
    """Give biases and darks: no light falls in, so that those of one mode serve all."""
    return [*_series(mode, "BIAS", 2.0, 3, 0.0), *_series(mode, "DARK", 2.4, 3, 900.0)]


def _lamps(mode: Mode, turn: int) -> list[SimulatedExposure]:
    later = turn * _BY_DAY_H
    arcs = _series(mode, "ARC", 4.1 + later, 3, 15.0)
    lit = [replace(arc, lamp=lamp) for arc, lamp in zip(arcs, ("HgCd", "Ne", "Xe"), strict=True)]
    return [*_series(mode, "FLAT", 3.6 + later, 3, 7.0), *lit]


def _illum(mode: Mode, hour: float, temperature_c: float, strength: float) -> SimulatedExposure:
    base = _series(mode, "ILLUM", hour, 1, 7.0)[0]
    return replace(base, temperature_c=temperature_c, illum=strength)


def _twilight(mode: Mode, turn: int) -> list[SimulatedExposure]:
    hour = 11.9 + turn * _AT_TWILIGHT_H
    pointing = Pointing(50.0, -20.0)
    flats = [
        replace(flat, pointing=pointing, illum=0.8, temperature_c=13.3, target="TWILIGHT")
        for flat in _series(mode, "SKYFLAT", hour, 3, 2.5)
    ]
    return [_illum(mode, hour - 0.3, 13.3, 0.8), *flats]


def _standard(mode: Mode, turn: int) -> list[SimulatedExposure]:
    base = _series(mode, "STD", 13.2 + turn * _STANDARD_H, 1, 40.0)[0]
    scale = scale_of(mode)
    west, north = STANDARD_OFFSET_ARCSEC
    ra, dec = offset_position_deg(STANDARD_RA_DEG, STANDARD_DEC_DEG, -west * scale, -north * scale)
    pointing = Pointing(round(ra, 7), round(dec, 7), seeing_arcsec=STANDARD_SEEING * scale)
    return [replace(base, pointing=pointing, illum=1.0, temperature_c=12.7, target=STANDARD_NAME)]


def _science(options: NightOptions) -> list[SimulatedExposure]:
    exposures: list[SimulatedExposure] = []
    hour = 13.6
    for block in options.blocks:
        exposures += _block(options, block, hour)
        hour += 0.1 + (690.0 * options.exposures + 210.0) / 3600.0
        hour += 0.05 * ((options.exposures - 1) // ILLUM_EVERY)
    return exposures


def _block(options: NightOptions, block: ObservingBlock, hour: float) -> list[SimulatedExposure]:
    """Give an observing block: objects, the sky after the first of them, illumination flats in between."""
    exposures = [_illum(block.mode, hour, 12.6, 1.0)]
    hour += 0.1
    base = SimulatedExposure(
        "OBJECT", 1, _at(hour), 600.0, _at(hour), options.exposures + 1, 1, 200012345 + block.number,
        f"CLIO_FIELD_{block.number + 1}", options.targets[block.target], 1.0, 12.5, mode=block.mode,
        target_number=block.target,
    )  # fmt: skip
    template_start = _at(hour) - timedelta(seconds=8)
    for k in range(options.exposures):
        if k and k % ILLUM_EVERY == 0:
            exposures.append(_illum(block.mode, hour, 12.5, 1.0))
            hour += 0.05
        exposures.append(
            replace(
                base,
                start=_at(hour),
                template_start=template_start,
                template_number=k + 1 + (k > 0),
                pointing=_object_pointing(options, block, k),
                air_level=1.0 + 0.01 * (k % 5),
            )
        )
        hour += 690.0 / 3600.0
        if k == 0:
            exposures.append(_sky(options, block, replace(base, start=_at(hour)), template_start))
            hour += 210.0 / 3600.0
    return exposures


def _sky(
    options: NightOptions, block: ObservingBlock, base: SimulatedExposure, template_start: datetime
) -> SimulatedExposure:
    ra, dec = offset_position_deg(*target_position_deg(block.target), *SKY_OFFSET_ARCSEC)
    pointing = Pointing(round(ra, 7), round(dec, 7), seeing_arcsec=_seeing(options, block, "SKY"))
    return replace(
        base, tag="SKY", exptime_s=120.0, template_start=template_start, template_number=2,
        pointing=pointing, air_level=1.02,
    )  # fmt: skip


def _object_pointing(options: NightOptions, block: ObservingBlock, k: int) -> Pointing:
    """Give where object exposure `k` (from 0) of a block pointed; the first one points truly."""
    scale = scale_of(block.mode)
    dither = (scale * offset for offset in DITHERS_ARCSEC[k % len(DITHERS_ARCSEC)])
    ra, dec = offset_position_deg(*target_position_deg(block.target), *dither)
    west, north = (0.0, 0.0)
    if k:
        random = random_stream(options.seed, "pointing error", k, *_own(block))
        west, north = (round(float(random.uniform(-most, most)), 3) * scale for most in MAX_ERROR_ARCSEC)
    return Pointing(round(ra, 7), round(dec, 7), west, north, _seeing(options, block, "OBJECT", k))


def _seeing(options: NightOptions, block: ObservingBlock, *key: object) -> float:
    random = random_stream(options.seed, "seeing", *key, *_own(block))
    return round(float(random.uniform(0.60, 0.70)), 3) * scale_of(block.mode)


def _own(block: ObservingBlock) -> tuple[object, ...]:
    """Give what is added to the keys of a block's random numbers; nothing for the first."""
    return ("block", block.number) if block.number else ()
