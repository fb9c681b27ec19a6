"""Where the telescope looks, and through what air."""

import math
from datetime import UTC, datetime

import erfa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulate.sky import (
    LATITUDE_DEG,
    Air,
    airmass,
    earth_velocity_km_s,
    hour_angle_deg,
    mjd,
    offset_position_deg,
    parallactic_angle_deg,
    plane_offset_arcsec,
    refraction_arcsec,
    sidereal_time_s,
)

NIGHT = datetime(2026, 1, 16, 3, 0, 0, tzinfo=UTC)


def test_mjd_counts_from_1858() -> None:
    assert mjd(NIGHT) == 61056.125


def test_sidereal_time_agrees_with_the_iau_standard() -> None:
    greenwich = math.degrees(erfa.gmst82(2400000.5, mjd(NIGHT)))

    assert abs((greenwich - 70.402222) % 360.0 - sidereal_time_s(NIGHT) / 240.0) < 0.001


@given(
    st.floats(0.0, 359.9),
    st.floats(-80.0, 80.0),
    st.floats(-300.0, 300.0),
    st.floats(-300.0, 300.0),
)
def test_offsets_on_the_sky_can_be_undone(ra: float, dec: float, west: float, north: float) -> None:
    moved = offset_position_deg(ra, dec, west, north)

    back = plane_offset_arcsec(*moved, ra, dec)

    assert abs(back[0] - west) < 1e-5
    assert abs(back[1] - north) < 1e-5


def test_west_is_smaller_right_ascension_and_north_larger_declination() -> None:
    ra, dec = offset_position_deg(105.0, -12.0, 10.0, 5.0)

    assert ra < 105.0
    assert dec > -12.0


def test_airmass_is_one_at_the_zenith_and_two_at_thirty_degrees() -> None:
    zenith = sidereal_time_s(NIGHT) / 240.0

    assert abs(1.0 - airmass(zenith, LATITUDE_DEG, NIGHT)) < 1e-9
    assert abs(1.995 - airmass(zenith, LATITUDE_DEG - 60.0, NIGHT)) < 0.005


def test_parallactic_angle_turns_from_east_to_west_through_the_meridian() -> None:
    zenith = sidereal_time_s(NIGHT) / 240.0

    assert hour_angle_deg(zenith + 20.0, NIGHT) < 0.0
    assert parallactic_angle_deg(zenith + 20.0, -10.0, NIGHT) < 0.0
    assert parallactic_angle_deg(zenith - 20.0, -10.0, NIGHT) > 0.0
    assert pytest.approx(abs(parallactic_angle_deg(zenith, -10.0, NIGHT))) == 180.0


def test_blue_light_is_refracted_towards_the_zenith() -> None:
    assert refraction_arcsec(4800.0, 7000.0, 1.3, Air()) > 0.3
    assert refraction_arcsec(7000.0, 7000.0, 1.3, Air()) == 0.0
    assert refraction_arcsec(9300.0, 7000.0, 1.3, Air()) < -0.1


@given(st.floats(0.0, 359.9), st.floats(-85.0, 30.0), st.integers(0, 11))
def test_earth_velocity_agrees_with_erfa_but_for_the_rotation(ra: float, dec: float, month: int) -> None:
    time = datetime(2026, month + 1, 16, 3, 0, 0, tzinfo=UTC)
    _, barycentric = erfa.epv00(2400000.5, mjd(time))
    towards = (
        math.cos(math.radians(dec)) * math.cos(math.radians(ra)),
        math.cos(math.radians(dec)) * math.sin(math.radians(ra)),
        math.sin(math.radians(dec)),
    )

    orbit = sum(v * d for v, d in zip(barycentric["v"], towards, strict=True)) * 1731.4568

    rotation = -0.4651 * math.cos(math.radians(LATITUDE_DEG)) * math.cos(math.radians(dec))
    rotation *= math.sin(math.radians(hour_angle_deg(ra, time)))
    assert abs(orbit + rotation - earth_velocity_km_s(ra, dec, time)) < 0.05
