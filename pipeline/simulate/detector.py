"""The detectors: quadrants, levels, gain, noise, defects. From electrons to what the archive stores.

A raw image is 4224 x 4240: four quadrants of 2048 x 2056 light-sensitive pixels, each with a prescan of 32
pixels at its outer edges and an overscan of 32 at the inner ones. Trimmed, they form 4096 x 4112.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.mathematics import random_stream

NX, NY = 4096, 4112
"""Size of the trimmed image."""
QUADRANT_NX, QUADRANT_NY, SCAN = 2048, 2056, 32
RAW_NX, RAW_NY = NX + 4 * SCAN, NY + 4 * SCAN

_LEFT, _RIGHT = slice(SCAN, SCAN + QUADRANT_NX), slice(RAW_NX - SCAN - QUADRANT_NX, RAW_NX - SCAN)
_BOTTOM, _TOP = slice(SCAN, SCAN + QUADRANT_NY), slice(RAW_NY - SCAN - QUADRANT_NY, RAW_NY - SCAN)

BLOCK_ROWS = 265
"""Rows read out at a time: 4240 / 16, so that a block's arrays stay in the processor's cache."""

RAMP_ADU = 1.5
"""Rise of the bias level from the first to the last row; the recipes' overscan polynomial takes it out."""


@dataclass(frozen=True, slots=True)
class Quadrant:
    """One port of a detector. Ports 1 to 4 are lower left, lower right, upper right, upper left."""

    port: int
    bias_adu: float
    gain: float
    """Electrons per ADU."""
    ron_e: float
    """Read-out noise in electrons."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A bad pixel: 0-based position on the trimmed image, and what it does."""

    x: int
    y: int
    dark_e_h: float
    """Dark current in electrons an hour; a hot pixel has much."""
    response: float
    """Fraction of the light that it shows; 0 for a dead pixel."""


@dataclass(frozen=True, slots=True)
class Detector:
    """The detector of an IFU. Depends on the IFU alone: the instrument is the same every night."""

    ifu: int
    quadrants: tuple[Quadrant, ...]
    defects: tuple[Defect, ...]

    @property
    def chip_id(self) -> str:
        """Serial number, as in ESO DET CHIP ID."""
        return f"simulated {self.ifu:03d}"


def detector(ifu: int) -> Detector:
    """Give the detector of an IFU."""
    random = random_stream("detector", ifu)
    quadrants = tuple(_quadrant(port, random) for port in (1, 2, 3, 4))
    xs, ys = random.integers(40, NX - 40, 60), random.integers(40, NY - 40, 60)
    currents = random.uniform(2000.0, 30000.0, 60)
    hot = [
        Defect(int(x), int(y), round(float(current), 1), 1.0)
        for x, y, current in zip(xs[:40], ys[:40], currents[:40], strict=True)
    ]
    dead = [Defect(int(x), int(y), 0.0, 0.0) for x, y in zip(xs[40:], ys[40:], strict=True)]
    return Detector(ifu, quadrants, tuple(hot + dead))


def _quadrant(port: int, random: np.random.Generator) -> Quadrant:
    bias, gain, ron = (float(random.uniform(-most, most)) for most in (3.0, 0.05, 0.22))
    return Quadrant(port, round(1201.0 + bias, 2), round(1.10 + gain, 3), round(2.46 + ron, 3))


def pixel_response(device: Detector) -> NDArray[np.float32]:
    """Give the response of each pixel relative to its neighbours, shape (y, x), 0.8 % rms, dead pixels 0."""
    noise = random_stream("pixel response", device.ifu).standard_normal((NY, NX), dtype=np.float32)
    response: NDArray[np.float32] = np.maximum(1.0 + np.float32(0.008) * noise, np.float32(0.9))
    for defect in device.defects:
        response[defect.y, defect.x] *= np.float32(defect.response)
    return response


def add_dark(electrons: NDArray[np.float32], device: Detector, exptime_s: float) -> None:
    """Add dark current to a trimmed image in place: 1.5 e/h everywhere, more in hot pixels."""
    electrons += np.float32(1.5 * exptime_s / 3600.0)
    for defect in device.defects:
        electrons[defect.y, defect.x] += np.float32(defect.dark_e_h * exptime_s / 3600.0)


def raw_position(x: int, y: int) -> tuple[int, int]:
    """Give the 1-based position on the raw image of a 0-based one on the trimmed image."""
    return (
        x + SCAN + 1 + (2 * SCAN if x >= QUADRANT_NX else 0),
        y + SCAN + 1 + (2 * SCAN if y >= QUADRANT_NY else 0),
    )


def read_out(
    electrons: NDArray[np.float32] | None, device: Detector, random: np.random.Generator
) -> NDArray[np.uint16]:
    """Read a detector out: noise of light and electronics, gain, bias, digitisation.

    Parameters
    ----------
    electrons : (4112, 4096) float32, optional
        Expected electrons in each pixel; None for a bias.
    device : Detector
        Whose gain and levels apply.
    random : Generator
        The numbers of this exposure and IFU.

    Returns
    -------
    (4240, 4224) uint16
        The raw image in ADU, clipped at 65535.

    Notes
    -----
    The noise is normal with variance electrons + ron^2: a Poisson distribution beyond some ten electrons.
    """
    light = _place(electrons)
    gain, bias, ron2 = _port_maps(device)
    raw = np.empty((RAW_NY, RAW_NX), dtype=np.uint16)
    for start in range(0, RAW_NY, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        upper = int(start >= RAW_NY // 2)
        value = random.standard_normal((BLOCK_ROWS, RAW_NX), dtype=np.float32)
        if light is None:
            value *= np.sqrt(ron2[upper])
        else:
            value *= np.sqrt(light[rows] + ron2[upper])
            value += light[rows]
        value /= gain[upper]
        value += bias[upper] + _ramp(start)[:, None]
        raw[rows] = np.clip(np.rint(value), 0, 65535)
    return raw


def _place(electrons: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    if electrons is None:
        return None
    light = np.zeros((RAW_NY, RAW_NX), dtype=np.float32)
    for ys, part in ((_BOTTOM, electrons[:QUADRANT_NY]), (_TOP, electrons[QUADRANT_NY:])):
        light[ys, _LEFT], light[ys, _RIGHT] = part[:, :QUADRANT_NX], part[:, QUADRANT_NX:]
    return light


def _port_maps(device: Detector) -> tuple[NDArray[np.float32], ...]:
    """Give gain, bias and squared read-out noise as (lower or upper, raw column)."""
    q1, q2, q3, q4 = device.quadrants
    rows = ((q1, q2), (q4, q3))

    gain = [[port.gain for port in pair] for pair in rows]
    bias = [[port.bias_adu for port in pair] for pair in rows]
    ron2 = [[port.ron_e**2 for port in pair] for pair in rows]
    return tuple(
        np.repeat(np.array(values, dtype=np.float32), RAW_NX // 2, axis=1) for values in (gain, bias, ron2)
    )


def _ramp(start: int) -> NDArray[np.float32]:
    rows = np.arange(start, start + BLOCK_ROWS, dtype=np.float32)
    return rows * np.float32(RAMP_ADU / RAW_NY)
