"""Where the telescope looks and through what air: sidereal time, airmass, refraction, Earth's velocity. Pure.

Formulae follow what the recipes assume where the choice shows in a product (airmass, differential
refraction).
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

LATITUDE_DEG = -24.625278
LONGITUDE_DEG = -70.402222
"""East is positive."""
ELEVATION_M = 2648.0

_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_LIGHT_KM_S = 299792.458


@dataclass(frozen=True, slots=True)
class Air:
    """Weather at the ground during an exposure."""

    temperature_c: float = 12.5
    humidity_percent: float = 14.0
    pressure_hpa: float = 743.5


STILL_AIR = Air()


def mjd(time: datetime) -> float:
    """Give the modified Julian date of a UTC time, in days."""
    return (time - _MJD_EPOCH).total_seconds() / 86400.0


def sidereal_time_s(time: datetime) -> float:
    """Give the local mean sidereal time, in sidereal seconds, 0 to 86400 (IAU 1982, linear terms)."""
    days = mjd(time) - 51544.5
    return ((280.46061837 + 360.98564736629 * days + LONGITUDE_DEG) % 360.0) * 240.0


def hour_angle_deg(ra_deg: float, time: datetime) -> float:
    """Give the hour angle, -180 to 180 degrees, west positive."""
    return (sidereal_time_s(time) / 240.0 - ra_deg + 180.0) % 360.0 - 180.0


def altitude_azimuth_deg(ra_deg: float, dec_deg: float, time: datetime) -> tuple[float, float]:
    """Give altitude and azimuth (ESO's: from south over west), in degrees."""
    ha, dec, lat = map(math.radians, (hour_angle_deg(ra_deg, time), dec_deg, LATITUDE_DEG))
    sin_alt = math.sin(lat) * math.sin(dec) + math.cos(lat) * math.cos(dec) * math.cos(ha)
    azimuth = math.atan2(
        math.sin(ha) * math.cos(dec),
        math.cos(ha) * math.cos(dec) * math.sin(lat) - math.sin(dec) * math.cos(lat),
    )
    return math.degrees(math.asin(sin_alt)), math.degrees(azimuth) % 360.0


def airmass(ra_deg: float, dec_deg: float, time: datetime) -> float:
    """Give the airmass by Hardie's (1962) polynomial, the one the recipes use."""
    altitude, _ = altitude_azimuth_deg(ra_deg, dec_deg, time)
    excess = 1.0 / math.sin(math.radians(altitude)) - 1.0
    return 1.0 + excess * (1.0 - 0.0018167 - excess * (0.002875 + 0.0008083 * excess))


def parallactic_angle_deg(ra_deg: float, dec_deg: float, time: datetime) -> float:
    """Give the position angle of the zenith, north over east, in degrees."""
    ha, dec, lat = map(math.radians, (hour_angle_deg(ra_deg, time), dec_deg, LATITUDE_DEG))
    return math.degrees(
        math.atan2(math.sin(ha), math.tan(lat) * math.cos(dec) - math.sin(dec) * math.cos(ha))
    )


def refractive_index(wavelength_a: float, air: Air) -> float:
    """Give the refractive index of air (Filippenko 1982, PASP 94, 715, equations 1 to 3).

    The vapour pressure is that of Owens (1967), as in the recipes.
    """
    kelvin = air.temperature_c + 273.15
    saturation_hpa = -10474.0 + 116.43 * kelvin - 0.43284 * kelvin**2 + 0.00053840 * kelvin**3
    vapour_mmhg = air.humidity_percent / 100.0 * saturation_hpa * 0.75006158
    p, t = air.pressure_hpa * 0.75006158, air.temperature_c
    inv2 = (1e4 / wavelength_a) ** 2
    n6 = 64.328 + 29498.1 / (146.0 - inv2) + 255.4 / (41.0 - inv2)
    n6 *= p * (1.0 + (1.049 - 0.0157 * t) * 1e-6 * p) / (720.883 * (1.0 + 0.003661 * t))
    n6 -= (0.0624 - 0.000680 * inv2) / (1.0 + 0.003661 * t) * vapour_mmhg
    return 1.0 + n6 * 1e-6


def refraction_arcsec(wavelength_a: float, reference_a: float, airmass_value: float, air: Air) -> float:
    """Give how much nearer to the zenith light appears than that of the reference wavelength, in arcsec."""
    zenith_distance = math.acos(1.0 / airmass_value)
    index = refractive_index(wavelength_a, air) - refractive_index(reference_a, air)
    return math.degrees(math.tan(zenith_distance) * index) * 3600.0


def offset_position_deg(ra_deg: float, dec_deg: float, west: float, north: float) -> tuple[float, float]:
    """Give RA and Dec of a point seen at a gnomonic offset from a centre.

    Parameters
    ----------
    ra_deg, dec_deg : float
        The centre.
    west, north : float
        Offset in the tangential plane, arcsec.
    """
    xi, eta = math.radians(-west / 3600.0), math.radians(north / 3600.0)
    dec = math.radians(dec_deg)
    denominator = math.cos(dec) - eta * math.sin(dec)
    ra = ra_deg + math.degrees(math.atan2(xi, denominator))
    new_dec = math.atan2(math.sin(dec) + eta * math.cos(dec), math.hypot(xi, denominator))
    return ra % 360.0, math.degrees(new_dec)


def plane_offset_arcsec(
    ra_deg: float, dec_deg: float, centre_ra_deg: float, centre_dec_deg: float
) -> tuple[float, float]:
    """Give the gnomonic offset (west, north) of a position from a centre, in arcsec."""
    dra = math.radians(ra_deg - centre_ra_deg)
    dec, dec0 = math.radians(dec_deg), math.radians(centre_dec_deg)
    cosine = math.sin(dec) * math.sin(dec0) + math.cos(dec) * math.cos(dec0) * math.cos(dra)
    xi = math.cos(dec) * math.sin(dra) / cosine
    eta = (math.sin(dec) * math.cos(dec0) - math.cos(dec) * math.sin(dec0) * math.cos(dra)) / cosine
    return -math.degrees(xi) * 3600.0, math.degrees(eta) * 3600.0


def earth_velocity_km_s(ra_deg: float, dec_deg: float, time: datetime) -> float:
    """Give the velocity of the telescope towards a direction, in km/s, good to 0.05.

    A spectrum observed at wavelength w lies at w (1 + v/c) seen from the barycentre.

    Notes
    -----
    Elliptic motion of the Earth with the Sun at the focus (the Sun's own motion, 0.013 km/s, left out) and
    the rotation of the Earth.
    """
    days = mjd(time) - 51544.5
    anomaly = math.radians(357.528 + 0.9856003 * days)
    eccentricity, perihelion, obliquity = 0.01671, math.radians(102.94), math.radians(23.4393)
    sun = math.radians(280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    precession = math.radians(1.397 * days / 36525.0)  # of the equinox, since J2000
    earth = sun + math.pi - precession
    speed = 29.7847 / math.sqrt(1.0 - eccentricity**2)
    vx = -speed * (math.sin(earth) + eccentricity * math.sin(perihelion))
    vy = speed * (math.cos(earth) + eccentricity * math.cos(perihelion))
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    orbit = (
        vx * math.cos(dec) * math.cos(ra)
        + vy * math.cos(obliquity) * math.cos(dec) * math.sin(ra)
        + vy * math.sin(obliquity) * math.sin(dec)
    )
    ha = math.radians(hour_angle_deg(ra_deg, time))
    rotation = -0.4651 * math.cos(math.radians(LATITUDE_DEG)) * math.cos(dec) * math.sin(ha)
    return orbit + rotation


def barycentric_factor(ra_deg: float, dec_deg: float, time: datetime) -> float:
    """Give barycentric over observed wavelength."""
    return 1.0 + earth_velocity_km_s(ra_deg, dec_deg, time) / _LIGHT_KM_S
