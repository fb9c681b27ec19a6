"""The spectrographs: where each slice falls on the detector, and which wavelength each pixel sees.

Positions follow the recipes' convention: pixels of the trimmed image are numbered from 1, a whole number is
the centre of a pixel. Slices are numbered 0 to 47 from left to right, `u` runs from -1 at the bottom row to 1
at the top.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.detector import NX, NY
from pipeline.simulate.mathematics import Floats

N_SLICES = 48
SLICE_WIDTH_PX = 76.6
SLICE_PITCH_PX = 83.87
"""Width plus a gap of 7.27 pixels, as measured on the real instrument."""

GRID_START_A, GRID_STEP_A, GRID_SIZE = 4250.0, 0.05, 108_000
"""The fine wavelength grid on which spectra are tabulated: 4250 to 9650 Angstrom."""

EDGE_PX = 1.8
"""Half the width over which the light falls off at a slice's edge."""


@dataclass(frozen=True, slots=True)
class SliceModel:
    """A slice of an IFU on the detector: a rectangle of the image around it, and what its pixels see."""

    number: int
    """0 to 47, from left to right."""
    columns: slice
    """Columns of the trimmed image (0-based) that hold all of the slice."""
    transmission: NDArray[np.float32]
    """(y, x) fraction of the light that a pixel gets: the slice's efficiency, falling to 0 at the edges."""
    cell: NDArray[np.int32]
    """(y, x) index into the fine wavelength grid, rounded down."""
    fraction: NDArray[np.float32]
    """(y, x) where between that grid point and the next."""
    along: NDArray[np.float32]
    """(node) rows at every 64 pixels: first column's distance from the slice centre, in slice widths."""
    width_px: NDArray[np.float32]
    """(node) width of the slice in pixels at the same rows."""


NODE_ROWS = 64
"""Slow quantities are computed every so many rows and interpolated."""


@lru_cache(maxsize=1)
def grid() -> Floats:
    """Give the wavelengths of the fine grid in Angstrom."""
    return np.asarray(GRID_START_A + GRID_STEP_A * np.arange(GRID_SIZE), dtype=np.float64)


def height(row: Floats) -> Floats:
    """Give `u` of a 1-based row."""
    return (row - 2056.5) / 2056.0


def centre_px(ifu: int, number: int, u: Floats) -> Floats:
    """Give the column of a slice's centre, 1-based."""
    f = (number - 23.5) / 23.5
    middle = (NX + 1) / 2 + SLICE_PITCH_PX * (number - 23.5) + 0.5 * np.sin(0.37 * number + ifu)
    return np.asarray(middle + 8.0 * f * u + 1.5 * f * u**2 + 0.4 * u**3 + 0.3 * np.cos(number) * u)


def width_px(ifu: int, number: int, u: Floats) -> Floats:
    """Give the width of a slice, in pixels between the points of half light."""
    return np.asarray((SLICE_WIDTH_PX + 0.4 * np.sin(0.9 * number + ifu)) * (1.0 + 0.002 * u))


def wavelength_a(ifu: int, number: int, u: Floats, d: Floats) -> Floats:
    """Give the wavelength in air.

    Parameters
    ----------
    ifu, number : int
        IFU and slice.
    u : array
        Height on the detector, -1 to 1.
    d : array
        Place along the slice in units of its width, -0.5 to 0.5.
    """
    middle = 6985.0 + 9.0 * (number % 12 - 5.5) + 6.0 * np.sin(ifu)
    tilt, curvature = 0.9 + 0.3 * np.sin(0.5 * number), 0.7 + 0.1 * np.cos(0.8 * number)
    dispersed = 2056.0 * u * (1.25 + u * (-0.018 + 0.006 * u))
    return np.asarray(middle + dispersed + 2.0 * d * (tilt + 2.0 * d * curvature))


def dispersion_a(wavelength: Floats) -> Floats:
    """Give the width of a pixel in Angstrom, from the wavelength; differences between slices are left out."""
    u = np.clip((wavelength - 6985.0) / 2570.0, -1.1, 1.1)
    u = u + 0.0144 * u * u
    return np.asarray(1.25 - 0.036 * u + 0.018 * u * u)


def resolution_fwhm_a(wavelength: Floats) -> Floats:
    """Give the width (FWHM) of the spectrograph's Gaussian line spread, before the pixel's own width."""
    return 2.39 - 0.20 * (wavelength - 4650.0) / 4650.0


def efficiency(ifu: int, number: int) -> float:
    """Give the efficiency of a slice relative to the mean, within 3 %."""
    return 1.0 + 0.03 * round(float(np.sin(2.3 * number + 1.7 * ifu)), 6)


def slice_model(ifu: int, number: int) -> SliceModel:
    """Compute what the pixels of one slice see."""
    rows = np.arange(1, NY + 1, dtype=np.float64)
    u = height(rows)
    centre, width = centre_px(ifu, number, u), width_px(ifu, number, u)
    margin = width.max() / 2 + EDGE_PX + 1
    first = max(int(centre.min() - margin), 1)
    last = min(int(centre.max() + margin) + 1, NX)
    offset = np.arange(first, last + 1, dtype=np.float64)[None, :] - centre[:, None]
    wave = wavelength_a(ifu, number, u[:, None], offset / width[:, None])
    wave -= GRID_START_A
    wave *= 1024.0 / GRID_STEP_A
    # Whole 1024ths of a cell of the grid: what a CPU's last digit does is rounded away.
    place = np.rint(wave).astype(np.int32)
    node_u = height(np.arange(1, NY + NODE_ROWS, NODE_ROWS, dtype=np.float64))
    node_width = width_px(ifu, number, node_u)
    return SliceModel(
        number=number,
        columns=slice(first - 1, last),
        transmission=_edges(offset, width) * np.float32(efficiency(ifu, number)),
        cell=place >> 10,
        fraction=(place & 1023).astype(np.float32) * np.float32(1.0 / 1024.0),
        along=((first - centre_px(ifu, number, node_u)) / node_width).astype(np.float32),
        width_px=node_width.astype(np.float32),
    )


@lru_cache(maxsize=4)
def ifu_model(ifu: int) -> tuple[SliceModel, ...]:
    """Give the 48 slices of an IFU, from left to right; the last few IFUs are remembered (190 MB each)."""
    return tuple(slice_model(ifu, number) for number in range(N_SLICES))


def _edges(offset: Floats, width: Floats) -> NDArray[np.float32]:
    """Give the transmission at (y, x) distances from the slice's centre: a smooth step, half at the edge."""
    t = np.abs(offset.astype(np.float32))
    t -= (width / 2 + EDGE_PX).astype(np.float32)[:, None]
    t *= np.float32(-0.5 / EDGE_PX)
    np.clip(t, 0.0, 1.0, out=t)
    step = np.float32(3.0) - np.float32(2.0) * t
    step *= t
    step *= t
    return step
