"""Optics, slicers and detectors: the limits within which the recipes understand them."""

import numpy as np
import pytest

from pipeline.simulate.detector import (
    NX,
    NY,
    RAW_NX,
    RAW_NY,
    detector,
    raw_position,
    read_out,
)
from pipeline.simulate.field import bands, extent, patch
from pipeline.simulate.mathematics import random_stream
from pipeline.simulate.optics import (
    N_SLICES,
    centre_px,
    dispersion_a,
    height,
    slice_model,
    wavelength_a,
    width_px,
)

ROWS = height(np.arange(1, NY + 1, dtype=np.float64))
IFUS = [1, 2, 12, 24]


@pytest.mark.parametrize("ifu", IFUS)
def test_slices_keep_apart_and_on_the_detector(ifu: int) -> None:
    left = np.array([centre_px(ifu, k, ROWS) - width_px(ifu, k, ROWS) / 2 for k in range(N_SLICES)])
    right = np.array([centre_px(ifu, k, ROWS) + width_px(ifu, k, ROWS) / 2 for k in range(N_SLICES)])

    gaps = left[1:] - right[:-1]

    assert gaps.min() > 4.0
    assert 6.97 < np.median(gaps[:, NY // 2]) < 7.57
    assert left.min() > 3.0
    assert right.max() < NX - 2.0


@pytest.mark.parametrize("ifu", IFUS)
def test_slices_cover_the_nominal_range_with_a_dispersion_the_pattern_matching_accepts(ifu: int) -> None:
    for number in range(N_SLICES):
        wave = wavelength_a(ifu, number, ROWS, np.zeros(NY))
        dispersion = np.diff(wave)

        assert wave[0] < 4650.0
        assert wave[-1] > 9350.0
        assert dispersion.min() > 1.1875
        assert dispersion.max() < 1.3125


def test_dispersion_follows_from_the_wavelengths() -> None:
    wave = wavelength_a(1, 20, ROWS, np.zeros(NY))

    assert np.abs(np.diff(wave) - dispersion_a((wave[1:] + wave[:-1]) / 2)).max() < 0.001


def test_a_slice_sees_what_its_model_says() -> None:
    model = slice_model(1, 7)
    row, width = 2055, width_px(1, 7, ROWS[2055:2056])[0]

    total = float(model.transmission[row].sum())
    wave = 4250.0 + 0.05 * (model.cell[row] + model.fraction[row])
    column = round(centre_px(1, 7, ROWS[row : row + 1])[0]) - 1 - model.columns.start

    assert width == pytest.approx(total / model.transmission[row].max(), abs=0.01)
    assert wavelength_a(1, 7, ROWS[row], np.array(0.0)) == pytest.approx(wave[column], abs=0.05)


def test_every_patch_of_sky_belongs_to_one_slice() -> None:
    places = [patch(ifu, number) for ifu in range(1, 25) for number in range(N_SLICES)]

    assert len({(place.x, place.y) for place in places}) == 24 * 48
    assert set(range(1, 49)) == {patch(7, number).sky_slice for number in range(N_SLICES)}


def test_the_centre_of_the_field_is_that_of_the_ifus_there_are() -> None:
    """Recipes take the middle of the data for the pointing, whatever is missing."""
    assert extent(tuple(range(1, 25))).centre == (0.0, 0.0)
    assert extent((1, 2)).centre == (0.0, -132.0)


def test_bands_are_two_ifus_high_where_neighbours_are_there() -> None:
    assert bands((1, 2)) == ((-144.0, -120.0),)
    assert bands((1, 4, 3)) == ((-144.0, -132.0), (-120.0, -96.0))


def test_bright_pixels_are_read_where_the_bad_pixel_table_would_have_them() -> None:
    places = [(0, 0), (2047, 2055), (2048, 2056), (4095, 4111)]
    electrons = np.zeros((NY, NX), dtype=np.float32)
    for x, y in places:
        electrons[y, x] = 40000.0

    raw = read_out(electrons, detector(1), random_stream("test"))

    bright = {(int(x) + 1, int(y) + 1) for y, x in np.argwhere(raw > 20000)}
    assert {raw_position(*place) for place in places} == bright


def test_a_bias_has_the_level_and_the_noise_of_its_ports() -> None:
    device = detector(5)

    raw = read_out(None, device, random_stream("test")).astype(np.float64)

    assert raw.shape == (RAW_NY, RAW_NX)
    corner = raw[100:1100, 100:1100]
    port = device.quadrants[0]
    assert port.bias_adu == pytest.approx(corner.mean(), abs=0.5)
    assert np.hypot(port.ron_e / port.gain, 12**-0.5) == pytest.approx(corner.std(), rel=0.01)


def test_detectors_lie_within_the_ranges_of_the_real_ones() -> None:
    for ifu in range(1, 25):
        for port in detector(ifu).quadrants:
            assert 1197.0 < port.bias_adu < 1208.0
            assert 1.94 < port.ron_e < 3.52
