"""Where an image lies in another: the correlation of both for every shift, where both have data. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from pipeline.reference.image import Floats, noise_of, smoothed

_Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Place:
    """The best place of an image in another."""

    dx: float
    """A pixel x, y of the image shows what x + dx, y + dy of the other does; pixels."""
    dy: float
    turned: float
    """Degrees, counterclockwise from x to y, by which the image was turned to fit."""
    correlation: float
    """There, from -1 to 1."""
    distinct: float
    """Its ratio to the best one elsewhere; large if there is none."""


def stretched(data: Floats, sigma: float) -> Floats:
    """Smooth an image and compress its range, so that no star outweighs the others.

    Notes
    -----
    The inverse hyperbolic sine of the brightness over the median, in units of the noise.
    """
    soft = smoothed(data, sigma)
    noise = noise_of(soft, max(2, round(5 * sigma))) or 1.0
    return np.arcsinh((soft - np.nanmedian(soft)) / (3 * noise))


def find_place(
    image: Floats, other: Floats, *, reach: float, overlap: float, apart: float, angles: Floats
) -> Place | None:
    """Find where an image lies in another of the same shape.

    Parameters
    ----------
    image, other : array
        Stretched; NaN where there are no data.
    reach : float
        Largest shift looked for, pixels.
    overlap : float
        Least share of the image's pixels for which the other has data.
    apart : float
        How far from the best place the next best is looked for, pixels.
    angles : array
        Rotations that are tried, degrees.

    Returns
    -------
    Place or None
        None if there is too little in common.
    """
    best: Place | None = None
    for angle in angles:
        found = _best(turned(image, float(angle)), other, reach, overlap, apart)
        if found is not None and (best is None or found[2] > best.correlation):
            dy, dx, value, distinct = found
            best = Place(dx, dy, float(angle), value, distinct)
    return best


def turned(image: Floats, angle: float) -> Floats:
    """Turn an image about its middle, counterclockwise from x to y, by degrees."""
    if angle == 0:
        return image
    seen = np.isfinite(image)
    options = {"reshape": False, "order": 1}
    values = ndimage.rotate(np.where(seen, image, 0.0), -angle, **options)
    share = ndimage.rotate(seen.astype(float), -angle, **options)
    return np.where(share > 0.5, values / np.maximum(share, 0.5), np.nan)


def correlations(image: Floats, other: Floats, least: float) -> Floats:
    """Correlate two images for every shift, over the pixels that both have.

    Parameters
    ----------
    image, other : array
        Of the same shape; NaN where there are no data.
    least : float
        Pixels that must be in common.

    Returns
    -------
    array
        (2 n_y - 1, 2 n_x - 1); the middle is no shift, one pixel further the image one pixel further. NaN
        where too little is in common.

    References
    ----------
    Padfield, D., 2012, IEEE Transactions on Image Processing 21, 2706.
    """
    shape = tuple(2 * n - 1 for n in image.shape)
    fast = tuple(fft.next_fast_len(n, real=True) for n in shape)

    def transform(values: Floats) -> _Complex:
        found: _Complex = fft.rfft2(values, fast)
        return found

    def crossed(first: _Complex, second: _Complex) -> Floats:
        full = fft.irfft2(np.conj(first) * second, fast)
        moved = np.roll(full, (image.shape[0] - 1, image.shape[1] - 1), axis=(0, 1))
        return np.asarray(moved[: shape[0], : shape[1]])

    m1, m2 = np.isfinite(image), np.isfinite(other)
    # Without its mean the sums lose fewer digits.
    a = np.where(m1, image - image[m1].mean(), 0.0)
    b = np.where(m2, other - other[m2].mean(), 0.0)
    fm1, fm2, fa, fb = (transform(v) for v in (m1.astype(float), m2.astype(float), a, b))
    count = np.maximum(np.round(crossed(fm1, fm2)), 1)
    sum_a, sum_b = crossed(fa, fm2), crossed(fm1, fb)
    var_a = crossed(transform(a * a), fm2) - sum_a**2 / count
    var_b = crossed(fm1, transform(b * b)) - sum_b**2 / count
    floor = 1e-9 * max(float((a * a).sum()), float((b * b).sum()), 1e-300)
    norm = np.sqrt(np.maximum(var_a, floor) * np.maximum(var_b, floor))
    return np.where(count >= least, (crossed(fa, fb) - sum_a * sum_b / count) / norm, np.nan)


def _best(
    image: Floats, other: Floats, reach: float, overlap: float, apart: float
) -> tuple[float, float, float, float] | None:
    """Give dy, dx, the correlation there and its ratio to the next best; None without enough in common."""
    if not np.isfinite(image).any() or not np.isfinite(other).any():
        return None
    found = correlations(image, other, overlap * np.isfinite(image).sum())
    middle = image.shape[0] - 1, image.shape[1] - 1
    dy, dx = np.ogrid[: found.shape[0], : found.shape[1]]
    far = np.hypot(dy - middle[0], dx - middle[1])
    found = np.where(far <= reach, found, np.nan)
    if not np.isfinite(found).any():
        return None
    top = np.unravel_index(int(np.nanargmax(found)), found.shape)
    value = float(found[top])
    elsewhere = found[np.hypot(dy - top[0], dx - top[1]) > apart]
    rest = float(np.nanmax(elsewhere)) if np.isfinite(elsewhere).any() else 0.0
    distinct = min(value / rest, 99.0) if rest > 0 else 99.0
    return float(top[0] - middle[0]), float(top[1] - middle[1]), value, distinct
