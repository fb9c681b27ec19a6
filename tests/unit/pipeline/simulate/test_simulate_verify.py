"""Holding reductions against the truth: on cubes made by hand, so that what is measured is known."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.modes import MODES
from pipeline.simulate import NightOptions, compare_offsets, compare_with_truth
from pipeline.simulate.mathematics import Floats, normal_cdf
from pipeline.simulate.measure import (
    RESAMPLING_SIGMA_ARCSEC,
    Frame,
    measure_line,
    measure_star,
    offset_residuals,
)
from pipeline.simulate.scene import point_spread, target_position_deg
from pipeline.simulate.sky import plane_offset_arcsec
from pipeline.simulate.truth import write_truth

IMAGE = point_spread(0.65)


def spread(west: Floats, north: Floats, gaussians: tuple[tuple[float, float], ...]) -> Floats:
    """Give the share of a star's light in each spaxel."""
    total = np.zeros_like(west)
    for weight, own in gaussians:
        s = math.hypot(own, RESAMPLING_SIGMA_ARCSEC)
        along = normal_cdf((west + 0.1) / s) - normal_cdf((west - 0.1) / s)
        total += weight * along * (normal_cdf((north + 0.1) / s) - normal_cdf((north - 0.1) / s))
    return total


def star_frame(dx: float, dy: float, flux: float, background: float) -> Frame:
    north, west = (axis.ravel() * 0.2 for axis in np.mgrid[-14:15, -14:15].astype(np.float64))
    value = flux * spread(west - dx, north - dy, IMAGE) + background
    return Frame(west, north, value, np.ones_like(value))


@settings(max_examples=25)
@given(st.floats(-0.15, 0.15), st.floats(-0.15, 0.15), st.floats(0.8, 1.2), st.floats(-20.0, 20.0))
def test_place_and_flux_of_a_star_are_measured_whatever_the_background(
    dx: float, dy: float, ratio: float, background: float
) -> None:
    star = measure_star("star", star_frame(dx, dy, 1000.0 * ratio, background), IMAGE, 1000.0)

    assert (dx, dy) == pytest.approx((star.west_arcsec, star.north_arcsec), abs=1e-4)
    assert ratio == pytest.approx(star.flux_ratio, rel=1e-4)


def test_a_star_lost_in_noise_has_a_small_signal_to_noise() -> None:
    frame = star_frame(0.0, 0.0, 1.0, 0.0)

    assert measure_star("star", frame, IMAGE, 1.0).signal_to_noise < 1.0


@given(st.floats(-0.5, 0.5), st.floats(0.7, 1.3))
def test_a_line_is_measured_on_its_continuum(shift: float, ratio: float) -> None:
    wave = np.arange(6600.0, 6700.0, 1.25)
    profile = np.exp(-0.5 * ((wave - 6650.0 - shift) / 1.3) ** 2) / (1.3 * math.sqrt(2 * math.pi))
    spectrum = 3e-16 * ratio * profile + 1e-17 + 1e-20 * (wave - 6650.0)

    line = measure_line("H alpha", wave, spectrum, 6650.0, 3e-16)

    assert shift == pytest.approx(line.wavelength_error_a, abs=1e-3)
    assert ratio == pytest.approx(line.flux_ratio, rel=1e-3)


def exposure(date_obs: str, west: float, north: float) -> dict[str, Any]:
    return {
        "tag": "OBJECT", "date_obs": date_obs, "dec_deg": -60.0,
        "error_west_arcsec": west, "error_north_arcsec": north,
    }  # fmt: skip


def test_an_offset_is_header_minus_true_in_degrees_of_right_ascension() -> None:
    """A field that the header puts 0.3 arcsec too far west: half of it at Dec -60 becomes twice the angle."""
    truth = {"exposures": [exposure("a", 0.0, 0.0), exposure("b", 0.3, -0.1)]}
    found = {"a": (0.0, 0.0), "b": (-0.3 / 3600.0 / 0.5, -0.1 / 3600.0)}

    first, second = offset_residuals(found, truth)

    assert first.residual_arcsec < 1e-9
    assert second.residual_arcsec < 1e-9
    assert pytest.approx(second.found_east) == -0.3


def test_an_offset_of_the_wrong_sign_is_not_overlooked() -> None:
    truth = {"exposures": [exposure("b", 0.3, -0.1)]}

    (wrong,) = offset_residuals({"b": (0.3 / 1800.0, 0.1 / 3600.0)}, truth)

    assert wrong.residual_arcsec > 0.6


def test_compare_offsets_reads_the_recipe_s_table(tmp_path: Path) -> None:
    write_truth(tmp_path, NightOptions(exposures=2))
    document = json.loads((tmp_path / "truth.json").read_text())
    objects = [entry for entry in document["exposures"] if entry["tag"] == "OBJECT"]
    columns = [
        fits.Column("DATE_OBS", "23A", array=[entry["date_obs"] for entry in objects]),
        fits.Column(
            "RA_OFFSET",
            "1D",
            array=[-e["error_west_arcsec"] / 3600.0 / math.cos(math.radians(e["dec_deg"])) for e in objects],
        ),
        fits.Column("DEC_OFFSET", "1D", array=[e["error_north_arcsec"] / 3600.0 for e in objects]),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "OFFSET_LIST.fits")

    comparisons = compare_offsets(tmp_path / "OFFSET_LIST.fits", tmp_path / "truth.json")

    assert len(comparisons) == 2
    assert max(comparison.residual_arcsec for comparison in comparisons) < 1e-6
    assert math.hypot(comparisons[1].found_east, comparisons[1].found_north) > 0.01


def write_cube(
    path: Path,
    truth: Path,
    scale: float,
    shift_px: float,
    mode: str = "WFM-NOAO-N",
    first_a: float = 6600.0,
    target: int = 0,
) -> None:
    """Write a noiseless cube of the truth, scaled in flux and shifted to the west; a notch is left empty.

    In the narrow field everything is computed eight times larger, in the arcsec of the wide one.
    """
    document = json.loads((truth / "truth.json").read_text())
    centre = target_position_deg(target)
    spectra = fits.getdata(truth / "truth.fits", "SPECTRA")
    spaxel = MODES[mode].field.spaxel_arcsec
    shrunk = spaxel / 0.2
    wave = first_a + 1.25 * np.arange(80)
    north, west = np.mgrid[0:26, 0:310].astype(np.float64)
    west, north = (west - 155.0 - shift_px) * 0.2, (north - 13.0) * 0.2
    seeing = [
        e["seeing_arcsec"] / shrunk
        for e in document["exposures"]
        if e["tag"] == "OBJECT" and e.get("mode", "WFM-NOAO-N") == mode and e.get("target", 1) == target + 1
    ]
    data = np.zeros((80, 26, 310))
    for source in document["sources"]:
        if source.get("field", "WFM") != mode[:3]:
            continue
        place = plane_offset_arcsec(source["ra_deg"], source["dec_deg"], *centre)
        place = place[0] / shrunk, place[1] / shrunk
        size = tuple((part["weight"], part["sigma_arcsec"] / shrunk) for part in source["size"])
        share = sum(spread(west - place[0], north - place[1], point_spread(one, size)) for one in seeing)
        flux = np.interp(wave, spectra["wavelength"], spectra[source["name"]])
        data += 1e20 * scale * flux[:, None, None] * share / len(seeing)
    data[:, :, :3] = np.nan
    low, high = MODES[mode].notch_a or (0.0, 0.0)
    data[(wave > low) & (wave < high)] = np.nan
    cards = {
        "CRPIX1": 156.0, "CRPIX2": 14.0, "CRPIX3": 1.0, "CRVAL1": centre[0],
        "CRVAL2": centre[1], "CRVAL3": first_a, "CD1_1": -spaxel / 3600, "CD1_2": 0.0,
        "CD2_1": 0.0, "CD2_2": spaxel / 3600, "CD3_3": 1.25,
    }  # fmt: skip
    header = fits.Header(cards)
    fits.HDUList(
        [
            fits.PrimaryHDU(header=fits.Header({"HIERARCH ESO INS MODE": mode})),
            fits.ImageHDU(data.astype(np.float32), header, name="DATA"),
            fits.ImageHDU(np.ones_like(data, dtype=np.float32), header, name="STAT"),
        ]
    ).writeto(path)


def test_a_perfect_cube_agrees_with_the_truth(tmp_path: Path) -> None:
    write_truth(tmp_path, NightOptions())
    write_cube(tmp_path / "cube.fits", tmp_path, scale=1.0, shift_px=0.0)

    comparison = compare_with_truth(tmp_path / "cube.fits", tmp_path / "truth.json")

    assert len(comparison.stars) == 7
    assert max(star.distance_arcsec for star in comparison.stars) < 0.01
    assert all(star.flux_ratio == pytest.approx(1.0, abs=0.01) for star in comparison.stars)
    assert {"H alpha"} <= {line.name for line in comparison.lines}
    assert all(abs(line.wavelength_error_a) < 0.05 for line in comparison.lines)
    assert all(line.flux_ratio == pytest.approx(1.0, abs=0.05) for line in comparison.lines)


def test_a_faint_and_shifted_cube_does_not(tmp_path: Path) -> None:
    write_truth(tmp_path, NightOptions())
    write_cube(tmp_path / "cube.fits", tmp_path, scale=0.9, shift_px=1.0)

    comparison = compare_with_truth(tmp_path / "cube.fits", tmp_path / "truth.json")

    assert all(star.flux_ratio == pytest.approx(0.9, abs=0.02) for star in comparison.stars)
    assert all(star.west_arcsec == pytest.approx(0.2, abs=0.01) for star in comparison.stars)


SHARED = NightOptions(exposures=1, modes=("WFM-AO-N", "NFM-AO-N"), targets=("A", "B"), datasets=2)


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("mode", SHARED.modes)
def test_a_cube_is_held_against_the_field_that_it_shows(tmp_path: Path, mode: str, target: int) -> None:
    """Of a night with two targets in two fields; 40 of 100 Angstrom lie in the notch."""
    write_truth(tmp_path, SHARED)
    assert MODES[mode].notch_a is not None
    first_a = MODES[mode].notch_a[1] - 40.0
    write_cube(tmp_path / "cube.fits", tmp_path, 1.0, 1.0, mode, first_a, target)

    comparison = compare_with_truth(tmp_path / "cube.fits", tmp_path / "truth.json")

    spaxel = MODES[mode].field.spaxel_arcsec
    prefix = ("t2_" if target else "") + ("nfm_" if mode[:3] == "NFM" else "")
    assert {f"{prefix}star_{n}" for n in (1, 2, 3, 4, 6, 7, 8)} == {star.name for star in comparison.stars}
    for star in comparison.stars:
        assert star.flux_ratio == pytest.approx(1.0, abs=0.01)
        assert star.west_arcsec == pytest.approx(spaxel, abs=0.05 * spaxel)
        assert abs(star.north_arcsec) < 0.05 * spaxel


def test_a_line_without_data_is_not_measured(tmp_path: Path) -> None:
    """Of the galaxy's lines none may be looked for in the notch."""
    write_truth(tmp_path, SHARED)
    write_cube(tmp_path / "cube.fits", tmp_path, 1.0, 0.0, "WFM-AO-N", 5870.0)
    truth = json.loads((tmp_path / "truth.json").read_text())
    for source in truth["sources"]:
        for line in source["lines"]:
            line["wavelength_a"] = 5900.0
    (tmp_path / "truth.json").write_text(json.dumps(truth))

    assert compare_with_truth(tmp_path / "cube.fits", tmp_path / "truth.json").lines == ()
