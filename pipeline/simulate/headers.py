"""Headers of raw frames: the keywords of ESO's archive, complete enough for any classifier. Pure.

A header is a list of (keyword, value, comment); `frames` turns it into cards. Keywords are written as in the
header, `ESO` included.
"""

from datetime import datetime, timedelta

from pipeline.modes import NARROW
from pipeline.simulate.detector import QUADRANT_NX, QUADRANT_NY, SCAN, Detector
from pipeline.simulate.field import scale_of
from pipeline.simulate.night import SimulatedExposure, iso
from pipeline.simulate.sky import (
    ELEVATION_M,
    LATITUDE_DEG,
    LONGITUDE_DEG,
    Air,
    airmass,
    altitude_azimuth_deg,
    mjd,
    parallactic_angle_deg,
    sidereal_time_s,
)

Value = str | int | float | bool
Cards = list[tuple[str, Value, str]]

PROGRAMME = "60.A-9100(X)"

_DPR = {
    # tag: category, type, template identifier of a field, or of a field with its lasers on or off
    "BIAS": ("CALIB", "BIAS", "MUSE_{field}_cal_bias"),
    "DARK": ("CALIB", "DARK", "MUSE_{field}_cal_dark"),
    "FLAT": ("CALIB", "FLAT,LAMP", "MUSE_{field}_cal_specflat"),
    "ILLUM": ("CALIB", "FLAT,LAMP,ILLUM", "MUSE_{field}_cal_illum"),
    "ARC": ("CALIB", "WAVE", "MUSE_{field}_cal_wavelength"),
    "SKYFLAT": ("CALIB", "FLAT,SKY", "MUSE_{field}_cal_skyflat"),
    "STD": ("CALIB", "STD", "MUSE_{field}_cal_specphot"),
    "SKY": ("SCIENCE", "SKY", "MUSE_{field}-{loop}_obs_genericoffset{star}"),
    "OBJECT": ("SCIENCE", "OBJECT", "MUSE_{field}-{loop}_obs_genericoffset{star}"),
}
_LAMP_NAMES = ("CU-LAMP1", "CU-LAMP2", "CU-LAMP-Ne", "CU-LAMP-Xe", "CU-LAMP-HgCd", "CU-LAMP6")
_LAMP_OF = {"Ne": 3, "Xe": 4, "HgCd": 5}
_CONTINUUM_LAMP = 1


def primary_cards(exposure: SimulatedExposure) -> Cards:
    """Give the primary header of an exposure, without the structural keywords."""
    return [
        *_identity(exposure),
        *_position(exposure),
        *_observation(exposure),
        *_instrument(exposure),
        *_telescope(exposure),
    ]


def live_cards(exposure: SimulatedExposure, device: Detector) -> Cards:
    """Give the header of an IFU's extension."""
    cards: Cards = [
        ("EXTNAME", f"CHAN{device.ifu:02d}", "IFU"),
        ("EXPTIME", exposure.exptime_s, "[s] exposure time"),
        ("ESO DET CHIP LIVE", True, "Detector live"),
        ("ESO DET CHIP NAME", f"CLIO-CCD{device.ifu:02d}", "Detector name"),
        ("ESO DET CHIP ID", device.chip_id, "Detector serial number"),
        ("ESO DET CHIP NX", 2 * QUADRANT_NX, "Pixels along X"),
        ("ESO DET CHIP NY", 2 * QUADRANT_NY, "Pixels along Y"),
        ("ESO DET CHIP PSZX", 15.0, "[um] pixel size"),
        ("ESO DET CHIP PSZY", 15.0, "[um] pixel size"),
        ("ESO DET BINX", 1, "Binning along X"),
        ("ESO DET BINY", 1, "Binning along Y"),
        ("ESO DET OUTPUTS", 4, "Number of output ports"),
    ]
    corners = ((1, 1), (2 * QUADRANT_NX, 1), (2 * QUADRANT_NX, 2 * QUADRANT_NY), (1, 2 * QUADRANT_NY))
    for quadrant, (x, y) in zip(device.quadrants, corners, strict=True):
        out = f"ESO DET OUT{quadrant.port}"
        cards += [
            (f"{out} X", x, "X of the port"),
            (f"{out} Y", y, "Y of the port"),
            (f"{out} NX", QUADRANT_NX, "Data pixels along X"),
            (f"{out} NY", QUADRANT_NY, "Data pixels along Y"),
            (f"{out} PRSCX", SCAN, "Prescan pixels along X"),
            (f"{out} PRSCY", SCAN, "Prescan pixels along Y"),
            (f"{out} OVSCX", SCAN, "Overscan pixels along X"),
            (f"{out} OVSCY", SCAN, "Overscan pixels along Y"),
            (f"{out} GAIN", quadrant.gain, "[e-/ADU] conversion"),
            (f"{out} RON", quadrant.ron_e, "[e-] read-out noise"),
        ]
    return cards


def dead_cards(ifu: int) -> Cards:
    """Give the header of an IFU that is not simulated: a detector that was off."""
    return [
        ("EXTNAME", f"CHAN{ifu:02d}", "IFU"),
        ("ESO DET CHIP LIVE", False, "Detector live"),
    ]


def air(exposure: SimulatedExposure) -> Air:
    """Give the weather during an exposure."""
    return Air(temperature_c=round(exposure.temperature_c - 1.2, 2))


def effective_airmass(exposure: SimulatedExposure) -> float:
    """Give the mean airmass of an exposure with the sky (Stetson's weights 1 : 4 : 1, as the recipes)."""
    assert exposure.pointing is not None
    ra, dec = exposure.pointing.ra_deg, exposure.pointing.dec_deg
    times = (exposure.start, exposure.middle, end_of(exposure))
    first, middle, last = (airmass(ra, dec, time) for time in times)
    return (first + 4.0 * middle + last) / 6.0


def end_of(exposure: SimulatedExposure) -> datetime:
    """Give the end of an exposure."""
    return exposure.start + timedelta(seconds=exposure.exptime_s)


def template_id(exposure: SimulatedExposure) -> str:
    """Give the template (ESO TPL ID) that takes such exposures in their mode."""
    mode = exposure.mode
    return _DPR[exposure.tag][2].format(
        field=mode.field.name.lower(),
        loop="ao" if mode.has_lasers else "noao",
        star="LGS" if mode.has_lasers else "",
    )


def _identity(exposure: SimulatedExposure) -> Cards:
    category, kind, _ = _DPR[exposure.tag]
    start = iso(exposure.start)
    return [
        ("ORIGIN", "ESO", "Clio's simulator, in the form of ESO's archive"),
        ("TELESCOP", "ESO-VLT-U4", "Telescope"),
        ("INSTRUME", "MUSE", "Instrument"),
        ("OBJECT", exposure.target or kind, "Target"),
        ("OBSERVER", "SIMULATED", "Nobody was there"),
        ("PI-COI", "SIMULATED", "Principal investigator"),
        ("DATE-OBS", start, "Start of the exposure (UTC)"),
        ("MJD-OBS", round(mjd(exposure.start), 8), "[d] start of the exposure"),
        ("EXPTIME", exposure.exptime_s, "[s] exposure time"),
        ("TIMESYS", "UTC", "Time system"),
        ("UTC", _seconds_of_day(exposure), "[s] UTC at start"),
        ("LST", round(sidereal_time_s(exposure.start), 3), "[s] local sidereal time at start"),
        ("ARCFILE", exposure.arcfile, "Name in the archive"),
        ("ORIGFILE", f"MUSE_{exposure.tag}_{start[11:19].replace(':', '')}.fits", "Name at the telescope"),
        ("ESO DPR CATG", category, "Category"),
        ("ESO DPR TYPE", kind, "Type"),
        ("ESO DPR TECH", "IFU", "Technique"),
    ]


def _seconds_of_day(exposure: SimulatedExposure) -> float:
    time = exposure.start
    return time.hour * 3600 + time.minute * 60 + time.second + round(time.microsecond / 1e6, 3)


def _position(exposure: SimulatedExposure) -> Cards:
    if exposure.pointing is None:
        # Calibrations inside the dome are taken with the telescope parked.
        ra = round((sidereal_time_s(exposure.start) / 240.0) % 360.0, 6)
        return [("RA", ra, "[deg] parked"), ("DEC", LATITUDE_DEG, "[deg] parked"), *_frame()]
    return [
        ("RA", exposure.pointing.ra_deg, "[deg] pointing, J2000"),
        ("DEC", exposure.pointing.dec_deg, "[deg] pointing, J2000"),
        *_frame(),
    ]


def _frame() -> Cards:
    return [("EQUINOX", 2000.0, "Equinox"), ("RADECSYS", "FK5", "Coordinate system")]


def _observation(exposure: SimulatedExposure) -> Cards:
    template = template_id(exposure)
    return [
        ("ESO OBS ID", exposure.obs_id, "Observing block"),
        ("ESO OBS NAME", exposure.obs_name, "Name of the observing block"),
        ("ESO OBS PROG ID", PROGRAMME, "Programme"),
        ("ESO OBS TARG NAME", exposure.target, "Target"),
        ("ESO OBS START", iso(exposure.template_start)[:19], "Start of the observing block"),
        ("ESO OBS TPLNO", 1, "Template within the block"),
        ("ESO TPL ID", template, "Template"),
        ("ESO TPL NAME", template.removesuffix("LGS").replace("_", " "), "Name of the template"),
        ("ESO TPL START", iso(exposure.template_start)[:19], "Start of the template"),
        ("ESO TPL NEXP", exposure.template_size, "Exposures of the template"),
        ("ESO TPL EXPNO", exposure.template_number, "Exposure within the template"),
    ]


def _instrument(exposure: SimulatedExposure) -> Cards:
    lit = {"ARC": _LAMP_OF.get(exposure.lamp, 0), "FLAT": _CONTINUUM_LAMP, "ILLUM": _CONTINUUM_LAMP}
    on = lit.get(exposure.tag, 0)
    cards: Cards = [
        ("ESO INS MODE", exposure.mode.name, "Instrument mode"),
        ("ESO INS OPTI1 NAME", exposure.mode.filter_name, "Filter of the nominal range"),
        ("ESO INS OPTI2 NAME", exposure.mode.field.name, "Field"),
        ("ESO INS DROT MODE", "SKY", "Derotator mode"),
        ("ESO INS DROT POSANG", 0.0, "[deg] position angle"),
        ("ESO INS TEMP7 VAL", exposure.temperature_c, "[C] ambient temperature of the instrument"),
        ("ESO INS LAMPNUM", len(_LAMP_NAMES), "Number of lamps"),
    ]
    for number, name in enumerate(_LAMP_NAMES, 1):
        cards += [
            (f"ESO INS LAMP{number} NAME", name, "Lamp"),
            (f"ESO INS LAMP{number} ST", number == on, "Lamp is on"),
            (f"ESO INS SHUT{number} NAME", f"CU-SHUT{number}", "Shutter of the lamp"),
            (f"ESO INS SHUT{number} ST", number == on, "Shutter is open"),
        ]
    return [
        *cards,
        ("ESO DET READ CURID", 1, "Read-out mode"),
        ("ESO DET READ CURNAME", "SCI1.0", "Name of the read-out mode"),
        ("ESO DET BINX", 1, "Binning along X"),
        ("ESO DET BINY", 1, "Binning along Y"),
    ]


def _telescope(exposure: SimulatedExposure) -> Cards:
    weather = air(exposure)
    cards: Cards = [
        ("ESO TEL ID", "v 1.0", "Telescope control"),
        ("ESO TEL GEOELEV", ELEVATION_M, "[m] elevation above sea level"),
        ("ESO TEL GEOLAT", LATITUDE_DEG, "[deg] latitude"),
        ("ESO TEL GEOLON", LONGITUDE_DEG, "[deg] longitude, east positive"),
        ("ESO TEL AMBI TEMP", weather.temperature_c, "[C] outside temperature"),
        ("ESO TEL AMBI RHUM", weather.humidity_percent, "[%] relative humidity"),
        ("ESO TEL AMBI PRES START", weather.pressure_hpa, "[hPa] pressure"),
        ("ESO TEL AMBI PRES END", weather.pressure_hpa, "[hPa] pressure"),
    ]
    pointing = exposure.pointing
    if pointing is None:
        return cards
    end = end_of(exposure)
    ra, dec = pointing.ra_deg, pointing.dec_deg
    altitude, azimuth = altitude_azimuth_deg(ra, dec, exposure.start)
    seeing = round(pointing.seeing_arcsec / scale_of(exposure.mode), 3)
    return [
        *cards,
        ("ESO TEL ALT", round(altitude, 3), "[deg] altitude at start"),
        ("ESO TEL AZ", round(azimuth, 3), "[deg] azimuth at start"),
        ("ESO TEL AIRM START", round(airmass(ra, dec, exposure.start), 4), "Airmass at start"),
        ("ESO TEL AIRM END", round(airmass(ra, dec, end), 4), "Airmass at end"),
        ("ESO TEL PARANG START", round(parallactic_angle_deg(ra, dec, exposure.start), 3), "[deg] at start"),
        ("ESO TEL PARANG END", round(parallactic_angle_deg(ra, dec, end), 3), "[deg] at end"),
        ("ESO TEL AMBI FWHM START", seeing, "[arcsec] seeing"),
        ("ESO TEL AMBI FWHM END", seeing, "[arcsec] seeing"),
        ("ESO TEL IA FWHM", pointing.seeing_arcsec, "[arcsec] image quality"),
        ("ESO OCS SGS AG FWHMX AVG", pointing.seeing_arcsec, "[arcsec] guide star"),
        ("ESO OCS SGS AG FWHMX RMS", 0.02, "[arcsec]"),
        ("ESO OCS SGS AG FWHMY AVG", pointing.seeing_arcsec, "[arcsec] guide star"),
        ("ESO OCS SGS AG FWHMY RMS", 0.02, "[arcsec]"),
        *_loops(exposure),
    ]


def _loops(exposure: SimulatedExposure) -> Cards:
    """Give the state of the adaptive optics, which has a say only where there are lasers."""
    if not exposure.mode.has_lasers:
        return []
    is_narrow = exposure.mode.field == NARROW
    return [
        ("ESO AOS HO LOOP ST", True, "High-order loop is closed"),
        ("ESO AOS TT LOOP ST", not is_narrow, "Tip-tilt loop is closed"),
        ("ESO AOS IR LOOP ST", is_narrow, "Infrared low-order loop is closed"),
    ]
