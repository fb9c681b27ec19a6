"""The alignment by reference, on fields whose truth is known (F4, F7, F8, F31 of pymusepipe)."""

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from fields import DEC, Grid, Shot, scene, shoot
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reference.flux import compare
from pipeline.reference.image import Image
from pipeline.reference.match import correlations, find_place
from pipeline.reference.measure import Options, measure
from pipeline.reference.measured import Measured

SCENE = scene(2, 40, (14, 12))
WIDE = Shot(Grid(110, 100, 0.35, angle=25.0), fwhm=1.0, noise=0.2, seed=99)
"""A reference of other pixels, another orientation and poorer seeing."""
FIELD = Shot(Grid(64, 50))
OPTIONS = Options(search=4.0)


@functools.cache
def reference() -> Image:
    return shoot(SCENE, WIDE)


def measured(shot: Shot, options: Options = OPTIONS, of: Image | None = None) -> Measured:
    return measure(shoot(SCENE, shot), of or reference(), options)


def on_sky(told: Measured) -> tuple[float, float]:
    """East and north, arcsec."""
    return told.ra_offset * 3600 * math.cos(math.radians(DEC)), told.dec_offset * 3600


@pytest.mark.parametrize(
    ("grid", "east", "north"),
    [
        pytest.param(Grid(64, 50), 1.37, -2.21, id="plain"),
        pytest.param(Grid(64, 50, angle=100.0), -0.42, 0.31, id="turned, as the header says"),
        pytest.param(Grid(64, 50, mirrored=True), 1.1, 0.7, id="mirrored, as the header says"),
        pytest.param(Grid(120, 24), 1.37, -0.71, id="broad: two IFUs (F31)"),
        pytest.param(Grid(28, 90), 1.37, -0.71, id="tall (F31)"),
        pytest.param(Grid(64, 50, east=1.5, north=-1.0), 0.0, 0.0, id="elsewhere, as the header says"),
    ],
)
def test_an_offset_is_what_the_header_says_too_much(grid: Grid, east: float, north: float) -> None:
    """F7: sign and size, to 0.03 arcsec; nothing is left once it is applied."""
    told = measured(Shot(grid, error_east=east, error_north=north))

    assert told.fault == ""
    assert on_sky(told) == pytest.approx((east, north), abs=0.03)
    assert told.left == pytest.approx((0.0, 0.0), abs=0.02)


@settings(max_examples=5)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_any_offset_comes_out_with_its_sign(east: float, north: float) -> None:
    """F7."""
    told = measured(replace(FIELD, error_east=east, error_north=north))

    assert told.fault == ""
    assert on_sky(told) == pytest.approx((east, north), abs=0.03)


def test_the_error_is_not_too_small() -> None:
    """It allows for 2 % in which two images of the same differ, and so is larger than what noise does."""
    pulls = []
    for seed in range(4):
        told = measured(replace(FIELD, error_east=0.5, error_north=0.2, noise=3.0, seed=seed))
        east, north = on_sky(told)
        pulls += [(east - 0.5) / told.east_error, (north - 0.2) / told.north_error]

    assert 0.1 < math.sqrt(np.mean(np.square(pulls))) < 1.5


@pytest.mark.parametrize("angle", [0.7, -1.6])
def test_a_rotation_is_measured_if_it_is_asked_for(angle: float) -> None:
    shot = replace(FIELD, error_east=-0.4, error_north=0.3, error_angle=angle)
    told = measured(shot, replace(OPTIONS, rotation=True))

    assert told.fault == ""
    assert told.rotation == pytest.approx(angle, abs=0.06)
    assert on_sky(told) == pytest.approx((-0.4, 0.3), abs=0.03)


@pytest.mark.parametrize("fwhm", [0.6, 0.8, 1.2])
def test_flux_scale_and_background_come_out_whatever_the_seeing(fwhm: float) -> None:
    told = measured(replace(FIELD, fwhm=fwhm, scale=0.8, background=3.0))

    assert told.flux_scale == pytest.approx(1 / 0.8, rel=0.01)
    assert told.background == pytest.approx(3.0, abs=0.1)


def mirrored(image: Image) -> Image:
    return Image(image.data[:, ::-1].copy(), image.wcs, image.unit)


def upside_down(image: Image) -> Image:
    return Image(image.data[::-1].copy(), image.wcs, image.unit)


def turned_round(image: Image) -> Image:
    return mirrored(upside_down(image))


@pytest.mark.parametrize("change", [mirrored, upside_down, turned_round])
def test_a_field_that_is_flipped_is_refused(change: Callable[[Image], Image]) -> None:
    assert measure(change(shoot(SCENE, FIELD)), reference(), OPTIONS).fault


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_refused(seed: int) -> None:
    """F4, F8: it gets no offset, and no mean of others."""
    told = measured(replace(FIELD, scale=0.0, seed=seed))

    assert "it shows nothing that the reference shows" in told.fault


@pytest.mark.parametrize("seed", range(50, 54))
def test_another_field_is_refused(seed: int) -> None:
    assert measure(shoot(scene(seed, 40, (14, 12)), FIELD), reference(), OPTIONS).fault


def test_a_field_beside_the_reference_is_refused() -> None:
    told = measured(replace(FIELD, grid=Grid(64, 50, east=300.0)))

    assert told.fault == "the reference does not show this part of the sky"


def test_a_field_beyond_the_edge_of_the_reference_is_refused() -> None:
    told = measured(replace(FIELD, grid=Grid(64, 50, east=26.0)), replace(OPTIONS, search=1.0))

    assert told.fault == "the reference shows less than 30% of it"


def test_an_offset_beyond_the_search_is_refused() -> None:
    told = measured(replace(FIELD, error_east=7.0, error_north=5.0))

    assert told.fault


# The parts


def test_a_correlation_leaves_out_what_has_no_data() -> None:
    rng = np.random.default_rng(1)
    whole = rng.normal(size=(40, 60))
    image, other = np.full((40, 60), np.nan), np.full((40, 60), np.nan)
    image[10:24, 15:40] = whole[10:24, 15:40]
    other[3:30, 5:50] = 5 * whole[5:32, 8:53] + 100  # two rows lower, three columns further left
    found = correlations(image, other, 100)

    assert np.nanmax(found) == pytest.approx(1.0)
    assert np.unravel_index(np.nanargmax(found), found.shape) == (39 - 2, 59 - 3)


def test_a_place_needs_enough_in_common() -> None:
    data = np.random.default_rng(1).normal(size=(30, 30))

    assert (
        find_place(data, np.full((30, 30), np.nan), reach=5, overlap=0.3, apart=2, angles=np.zeros(1)) is None
    )


def test_a_line_with_errors_on_both_axes_is_not_flattened() -> None:
    """An ordinary fit would give a slope of 1.78."""
    rng = np.random.default_rng(3)
    true = rng.normal(0, 3, 4000)
    other, image = true + rng.normal(0, 1.0, 4000), 2 * true + 1 + rng.normal(0, 2.0, 4000)
    image[::97] += 500  # cosmic rays
    line = compare(image, other, (2.0, 1.0), rng.uniform(size=(4000, 2)))

    assert line.slope == pytest.approx(2.0, abs=4 * line.slope_error)
    assert line.slope == pytest.approx(2.0, rel=0.03)
    assert line.level == pytest.approx(1.0, abs=0.2)
