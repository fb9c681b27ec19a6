"""A few functions numpy lacks, written so that two machines agree: no BLAS, no fused sums.

Notes
-----
A simulated frame must have the same bytes on every CPU, while the last digit of `exp` or `sin` differs
between them. So transcendental functions appear in small tables only, which are rounded (`settle`) far above
that digit and far below the noise; what follows, pixel by pixel, is + - * / and the square root, which IEEE
754 defines to the bit.
"""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def settle(values: Floats, step: float) -> Floats:
    """Round to multiples of `step`, a power of two: the last digit of a CPU's `exp` no longer shows."""
    return np.asarray(np.rint(values / step) * step)


def settle_digits(values: Floats) -> Floats:
    """Round to eleven significant digits, for tables that are written as they are."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.rint(mantissa * 2.0**36) / 2.0**36, exponent))


def erf(x: Floats) -> Floats:
    """Give the error function to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26)."""
    t = 1.0 / (1.0 + 0.3275911 * np.abs(x))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1.0 - poly * np.exp(-x * x)))


def normal_cdf(x: Floats) -> Floats:
    """Give the cumulative normal distribution."""
    return 0.5 * (1.0 + erf(x / math.sqrt(2.0)))


def smooth_interp(x: Floats, nodes: tuple[tuple[float, float], ...]) -> Floats:
    """Interpolate (x, y) nodes with a cubic Hermite spline (Catmull-Rom slopes), flat outside.

    A smooth curve, since recipes fit low-order polynomials to what it describes.
    """
    xn = np.array([node[0] for node in nodes])
    yn = np.array([node[1] for node in nodes])
    slope = np.gradient(yn, xn)
    inside = np.clip(np.asarray(x, dtype=np.float64), xn[0], xn[-1])
    k = np.clip(np.searchsorted(xn, inside, side="right") - 1, 0, len(xn) - 2)
    h = xn[k + 1] - xn[k]
    t = (inside - xn[k]) / h
    return np.asarray(
        (1 + 2 * t) * (1 - t) ** 2 * yn[k]
        + t * (1 - t) ** 2 * h * slope[k]
        + t**2 * (3 - 2 * t) * yn[k + 1]
        + t**2 * (t - 1) * h * slope[k + 1]
    )


def random_stream(*key: object) -> np.random.Generator:
    """Give the random numbers that belong to a key, whoever asks first.

    Parameters
    ----------
    *key
        Words and numbers, such as the seed, the exposure's name and the IFU.
    """
    digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
