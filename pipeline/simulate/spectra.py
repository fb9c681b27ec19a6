"""Spectra as the detector counts them: lamps, twilight, night sky, stars; throughput and atmosphere. Pure.

All tables are on the fine wavelength grid of `optics` and give electrons in a pixel of the detector (or, for
sources on the sky, what turns a flux density into them).
"""

from functools import lru_cache

import numpy as np

from pipeline.modes import Mode
from pipeline.simulate.airglow import SkyLine, raman_lines, sky_continuum, sky_lines
from pipeline.simulate.field import SLICE_LENGTH, SPAXEL_ARCSEC
from pipeline.simulate.lamps import arc_lines
from pipeline.simulate.mathematics import Floats, normal_cdf, settle, smooth_interp
from pipeline.simulate.optics import (
    GRID_SIZE,
    GRID_START_A,
    GRID_STEP_A,
    SLICE_WIDTH_PX,
    dispersion_a,
    grid,
    resolution_fwhm_a,
)

TELESCOPE_CM2 = 483250.7
"""Collecting area of the telescope, as in the recipes."""
PLANCK_C = 1.98644586e-8
"""Planck's constant times the speed of light, erg Angstrom."""
FWHM_PER_SIGMA = 2.354820045
ROUNDING_E = 2.0**-12
"""Tables are rounded to this: far below the noise, far above the last digit of a CPU's `exp`."""

_THROUGHPUT = (
    (4250.0, 0.041), (4500.0, 0.112), (4750.0, 0.178), (5000.0, 0.2237), (5500.0, 0.2880),
    (6000.0, 0.3300), (6500.0, 0.3495), (7000.0, 0.3425), (7500.0, 0.2990), (8000.0, 0.2463),
    (8500.0, 0.2002), (9000.0, 0.1572), (9350.0, 0.1252), (9650.0, 0.0980),
)  # fmt: skip
"""Telescope, instrument and detector together, in front of the atmosphere: such that muse_standard, which
divides by a flat field of its own scale, finds what it finds for the real instrument: 0.221, 0.328, 0.246 and
0.157 at 5000, 7000, 8000 and 9000."""
EXTINCTION = (
    (3900.0, 0.330), (4250.0, 0.240), (4500.0, 0.200), (5000.0, 0.155), (5500.0, 0.125), (6000.0, 0.108),
    (6500.0, 0.076), (7000.0, 0.055), (7500.0, 0.044), (8000.0, 0.036), (9000.0, 0.028), (9700.0, 0.026),
)  # fmt: skip
"""Wavelength and extinction in magnitudes an airmass."""
_TELLURIC = (
    # centre, sigma, optical depth at airmass 1: molecular bands drawn as Gaussians
    (6279.0, 4.0, 0.03), (6870.0, 4.0, 0.28), (6884.0, 9.0, 0.18), (6906.0, 10.0, 0.09),
    (7186.0, 14.0, 0.10),
    (7236.0, 18.0, 0.08), (7290.0, 16.0, 0.05), (7604.0, 5.0, 0.85), (7622.0, 9.0, 0.65),
    (7648.0, 11.0, 0.35),
    (8165.0, 18.0, 0.08), (8230.0, 22.0, 0.12), (8285.0, 18.0, 0.08),
    (8980.0, 20.0, 0.12), (9060.0, 24.0, 0.08),
    (9150.0, 20.0, 0.12),
)  # fmt: skip
_FLAT_LAMP = (
    (4250.0, 0.04), (4750.0, 0.09), (5500.0, 0.22), (6300.0, 0.46), (7000.0, 0.80), (7500.0, 1.0),
    (8000.0, 0.88), (8700.0, 0.45), (9200.0, 0.24), (9650.0, 0.12),
)  # fmt: skip
_TWILIGHT = (
    (4250.0, 0.30), (4750.0, 0.66), (5500.0, 0.98), (6500.0, 1.0), (7500.0, 0.78), (8500.0, 0.50),
    (9650.0, 0.20),
)  # fmt: skip
_FRAUNHOFER = (
    # centre, sigma, depth
    (4340.5, 3.0, 0.25), (4383.5, 2.0, 0.2), (4861.3, 2.5, 0.30), (5172.7, 3.0, 0.30), (5183.6, 2.5, 0.30),
    (5270.0, 2.5, 0.15), (5890.0, 1.8, 0.30), (5895.9, 1.8, 0.25), (6562.8, 2.2, 0.35), (8498.0, 2.5, 0.25),
    (8542.1, 3.0, 0.35), (8662.1, 3.0, 0.30),
)  # fmt: skip


NOTCH_LEAK = 2.0**-9
"""What a notch filter lets through where it is closed."""
_PIXEL_ARCSEC2 = SPAXEL_ARCSEC**2 * SLICE_LENGTH / SLICE_WIDTH_PX
"""Sky that falls on a pixel of the detector, in the wide field."""
_NOTCH_EDGE_A = 10.0
"""From where the recipes begin to mask to half light; an edge is closed after as much again."""


def line_electrons(table: Floats, wavelength: float, electrons: float, sigma_a: float = 0.0) -> None:
    """Add an emission line to a table in place: Gaussian line spread, integrated over the pixel.

    Parameters
    ----------
    table : (GRID_SIZE,) float64
        Electrons a pixel.
    wavelength : float
        Centre in Angstrom, in air.
    electrons : float
        Of the whole line.
    sigma_a : float
        Width of the line itself, Angstrom; that of the instrument comes on top.
    """
    instrument = float(resolution_fwhm_a(np.array(wavelength))) / FWHM_PER_SIGMA
    sigma = float(np.hypot(instrument, sigma_a))
    middle = round((wavelength - GRID_START_A) / GRID_STEP_A)
    reach = round((6.0 * sigma + 1.0) / GRID_STEP_A)
    first, last = max(middle - reach, 0), min(middle + reach + 1, GRID_SIZE)
    if first >= last:
        return
    wave = grid()[first:last]
    half = 0.5 * dispersion_a(wave)
    upper, lower = (wave + half - wavelength) / sigma, (wave - half - wavelength) / sigma
    table[first:last] += electrons * (normal_cdf(upper) - normal_cdf(lower))


@lru_cache(maxsize=1)
def electrons_per_flux() -> Floats:
    """Give electrons a second and pixel row for 1 erg/s/cm2/A in front of the telescope."""
    wave = grid()
    return TELESCOPE_CM2 * smooth_interp(wave, _THROUGHPUT) * wave / PLANCK_C * dispersion_a(wave)


def atmosphere(airmass: float) -> Floats:
    """Give the transmission of the air: extinction and molecular bands."""
    wave = grid()
    depth = 0.4 * np.log(10.0) * smooth_interp(wave, EXTINCTION)
    for centre, sigma, tau in _TELLURIC:
        depth = depth + tau * np.exp(-0.5 * ((wave - centre) / sigma) ** 2)
    return np.asarray(np.exp(-airmass * depth))


def arc(lamp: str) -> Floats:
    """Give electrons a pixel that a column sees of an arc lamp in one exposure."""
    table = np.zeros(GRID_SIZE)
    for line in arc_lines():
        if line.lamp == lamp:
            line_electrons(table, line.wavelength_a, line.electrons)
    return settle(table, ROUNDING_E)


def flat_lamp(peak_e: float) -> Floats:
    """Give electrons a pixel of the continuum lamp."""
    return settle(peak_e * smooth_interp(grid(), _FLAT_LAMP), ROUNDING_E)


def twilight(peak_e: float, airmass: float) -> Floats:
    """Give electrons a pixel of the twilight sky: scattered sunlight with its strongest lines."""
    wave = grid()
    light = smooth_interp(wave, _TWILIGHT)
    for centre, sigma, depth in _FRAUNHOFER:
        light = light * (1.0 - depth * np.exp(-0.5 * ((wave - centre) / sigma) ** 2))
    air = atmosphere(airmass) / 10 ** (-0.4 * airmass * smooth_interp(wave, EXTINCTION))
    return settle(peak_e * light * air, ROUNDING_E)


def night_sky(
    exptime_s: float, airmass: float, group_scale: tuple[float, ...], spaxel_scale: float = 1.0
) -> Floats:
    """Give electrons that the night sky leaves in a pixel of the detector.

    Parameters
    ----------
    exptime_s, airmass : float
        Of the exposure.
    group_scale : tuple of float
        Strength of each group of lines relative to its mean.
    spaxel_scale : float
        Size of a spaxel in units of those of the wide field.
    """
    table = 1e-20 * sky_continuum(grid()) * electrons_per_flux()
    _add_lines(table, sky_lines(), group_scale)
    light = table * atmosphere(airmass) * exptime_s * _PIXEL_ARCSEC2
    return settle(light * spaxel_scale**2, ROUNDING_E)


def laser_light(exptime_s: float, airmass: float, spaxel_scale: float = 1.0) -> Floats:
    """Give electrons a pixel of the lasers' light that the air scatters back, in the middle of the field."""
    table = np.zeros(GRID_SIZE)
    _add_lines(table, raman_lines(), (1.0, 1.0))
    light = table * atmosphere(airmass) * exptime_s * _PIXEL_ARCSEC2
    return settle(light * spaxel_scale**2, ROUNDING_E)


def _add_lines(table: Floats, lines: tuple[SkyLine, ...], group_scale: tuple[float, ...]) -> None:
    wave, counts = grid(), electrons_per_flux()
    for line in lines:
        at = min(max(round((line.wavelength_a - GRID_START_A) / GRID_STEP_A), 0), GRID_SIZE - 1)
        per_flux = counts[at] / dispersion_a(wave[at : at + 1])[0]
        line_electrons(table, line.wavelength_a, 1e-20 * line.flux * group_scale[line.group] * per_flux)


def notch(mode: Mode) -> Floats | None:
    """Give the transmission of a mode's sodium filter; None where there is none."""
    if mode.notch_a is None:
        return None
    low, high = mode.notch_a
    middle, half = (low + high) / 2, (high - low) / 2 - _NOTCH_EDGE_A
    depth = (np.abs(grid() - middle) - half) / _NOTCH_EDGE_A
    t = np.clip((depth + 1.0) / 2.0, 0.0, 1.0)
    return np.asarray(NOTCH_LEAK + (1.0 - NOTCH_LEAK) * t * t * (3.0 - 2.0 * t))


def black_body(wave: Floats, temperature_k: float) -> Floats:
    """Give a black body's flux density relative to that at 5500 Angstrom."""

    def planck(wavelength: Floats) -> Floats:
        return np.asarray(wavelength**-5.0 / np.expm1(1.438777e8 / (wavelength * temperature_k)))

    return planck(wave) / planck(np.array(5500.0))


def absorbed(wave: Floats, lines: tuple[tuple[float, float, float], ...]) -> Floats:
    """Give what absorption lines (centre, sigma, depth) leave of a continuum of 1."""
    left = np.ones_like(wave)
    for centre, sigma, depth in lines:
        left = left * (1.0 - depth * np.exp(-0.5 * ((wave - centre) / sigma) ** 2))
    return left
