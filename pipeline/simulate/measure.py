"""Measure stars, emission lines and offsets, and compare them with what was simulated. Pure.

`verify` reads the files and calls these.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.simulate.mathematics import Floats, normal_cdf

APERTURE_ARCSEC = 1.2
"""Radius in which flux is summed; fits into the field of two IFUs."""
BOX_ARCSEC = 2.8
"""Half the side of the box in which place and background are fitted; stars stand farther apart."""
RESAMPLING_SIGMA_ARCSEC = 0.067
"""What drizzling adds to the width of a star: boxes of a spaxel and of 0.6 spaxels."""

LINE_REACH_A = 9.0
"""How far around a line its profile and continuum are fitted."""

Gaussians = tuple[tuple[float, float], ...]
"""Weight and sigma in arcsec of the round Gaussians that make up a source's image."""


@dataclass(frozen=True, slots=True)
class StarComparison:
    """A star as measured, against the truth."""

    name: str
    west_arcsec: float
    """Measured minus true place."""
    north_arcsec: float
    flux_ratio: float
    """Measured over true flux, mean over the cube's wavelengths, after correction for the aperture."""
    signal_to_noise: float
    """Of the flux in the aperture, all wavelengths together."""

    @property
    def distance_arcsec(self) -> float:
        """Distance between the measured and the true place."""
        return math.hypot(self.west_arcsec, self.north_arcsec)


@dataclass(frozen=True, slots=True)
class LineComparison:
    """An emission line of the galaxy as measured, against the truth."""

    name: str
    wavelength_a: float
    """True wavelength, in air, seen from the barycentre."""
    wavelength_error_a: float
    """Measured minus true."""
    flux_ratio: float
    """Measured over true flux of the whole galaxy, after correction for the aperture."""


@dataclass(frozen=True, slots=True)
class TruthComparison:
    """All that was simulated and lies in the cube, against what was measured there."""

    stars: tuple[StarComparison, ...]
    lines: tuple[LineComparison, ...]


@dataclass(frozen=True, slots=True)
class OffsetComparison:
    """Pointing offset of an exposure found by the alignment, against the simulated error; arcsec."""

    date_obs: str
    found_east: float
    """Header minus true position."""
    found_north: float
    simulated_east: float
    simulated_north: float

    @property
    def residual_arcsec(self) -> float:
        """Length of the difference between found and simulated, as vectors: a wrong sign shows."""
        return math.hypot(self.found_east - self.simulated_east, self.found_north - self.simulated_north)


@dataclass(frozen=True, slots=True)
class Frame:
    """A stretch of sky around a source, spaxel by spaxel, in arcsec from its true place."""

    west: Floats
    """(n,) centres of spaxels."""
    north: Floats
    value: Floats
    """(n,) flux in the spaxel."""
    variance: Floats


def measure_star(name: str, frame: Frame, image: Gaussians, true_flux: float) -> StarComparison:
    """Measure a star: place by fitting its image, flux in an aperture corrected by that image.

    Parameters
    ----------
    name : str
        Name of the star.
    frame : Frame
        Spaxels around its true place.
    image : Gaussians
        What the star looks like, resampling left out.
    true_flux : float
        In the units of the frame.
    """

    def model(parameters: Floats) -> Floats:
        flux, background, west, north = parameters
        return np.asarray(flux * shares(frame, image, west, north) + background)

    start = np.array([true_flux, float(np.median(frame.value)), 0.0, 0.0])
    fitted = fit(model, frame.value, start, np.array([0.01 * true_flux, 0.01 * true_flux, 0.01, 0.01]))
    _, background, west, north = fitted
    inside = np.hypot(frame.west, frame.north) < APERTURE_ARCSEC
    flux = float(np.sum(frame.value[inside] - background))
    share = float(np.sum(shares(frame, image, west, north)[inside]))
    noise = math.sqrt(float(np.sum(frame.variance[inside])))
    return StarComparison(name, float(west), float(north), flux / share / true_flux, flux / noise)


def measure_line(
    name: str, wave: Floats, spectrum: Floats, true_wavelength: float, true_flux: float
) -> LineComparison:
    """Measure an emission line by fitting a Gaussian on a straight continuum within 9 Angstrom.

    Parameters
    ----------
    name : str
        Name of the line.
    wave, spectrum : array
        Wavelengths in Angstrom and flux density of the whole source.
    true_wavelength, true_flux : float
        What to compare with.
    """
    near = np.abs(wave - true_wavelength) < LINE_REACH_A
    x, y = wave[near] - true_wavelength, spectrum[near]

    def model(parameters: Floats) -> Floats:
        flux, centre, sigma, level, slope = parameters
        profile = np.exp(-0.5 * ((x - centre) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
        return np.asarray(flux * profile + level + slope * x)

    start = np.array([true_flux, 0.0, 1.6, float(np.min(y)), 0.0])
    steps = np.array([0.01 * true_flux, 0.01, 0.01, 0.01 * true_flux, 0.001 * true_flux])
    flux, centre, *_ = fit(model, y, start, steps)
    return LineComparison(name, true_wavelength, float(centre), float(flux) / true_flux)


def fit(model: Callable[[Floats], Floats], data: Floats, start: Floats, steps: Floats) -> Floats:
    """Fit a model by least squares: Gauss and Newton, ten rounds, derivatives by differences."""
    parameters = start.astype(np.float64)
    for _ in range(10):
        now = model(parameters)
        slopes = [
            (model(parameters + step * unit) - now) / step
            for step, unit in zip(steps, np.eye(len(steps)), strict=True)
        ]
        change, *_ = np.linalg.lstsq(np.stack(slopes, axis=1) * steps, data - now, rcond=None)
        parameters = parameters + change * steps
    return parameters


def shares(frame: Frame, image: Gaussians, west: float, north: float) -> Floats:
    """Give the share of a source's light that falls into each spaxel, resampling included."""
    half = 0.1
    total = np.zeros_like(frame.west)
    for weight, own in image:
        sigma = math.hypot(own, RESAMPLING_SIGMA_ARCSEC)
        dx, dy = frame.west - west, frame.north - north
        along = normal_cdf((dx + half) / sigma) - normal_cdf((dx - half) / sigma)
        across = normal_cdf((dy + half) / sigma) - normal_cdf((dy - half) / sigma)
        total += weight * along * across
    return total


def offset_residuals(
    found: dict[str, tuple[float, float]], truth: dict[str, Any]
) -> tuple[OffsetComparison, ...]:
    """Compare offsets with pointing errors, exposure by exposure.

    Parameters
    ----------
    found : dict
        DATE-OBS to offsets (RA, Dec) in degrees as in an OFFSET_LIST: header minus true position, degrees of
        right ascension in RA.
    truth : dict
        The truth document.
    """
    comparisons = []
    for entry in truth["exposures"]:
        if entry["tag"] != "OBJECT" or entry["date_obs"] not in found:
            continue
        ra, dec = found[entry["date_obs"]]
        east = ra * 3600.0 * math.cos(math.radians(entry["dec_deg"]))
        comparisons.append(
            OffsetComparison(
                entry["date_obs"],
                east,
                dec * 3600.0,
                -entry["error_west_arcsec"],
                entry["error_north_arcsec"],
            )
        )
    return tuple(comparisons)
