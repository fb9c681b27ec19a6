"""How bright an image is beside another: a line through pixels whose errors lie on both axes. Pure."""

from dataclasses import dataclass

import numpy as np

from pipeline.reference.image import Floats, Mask, spread

_ROUNDS = 20
_CLIP = 4.0
"""Distance from the line, in its own scatter, from which a pixel is an outlier."""
_MODEL_ERROR = 0.02
"""Share of the brightness by which pixels that show the same may differ all the same."""
_PIECES = 20
"""Pieces of the field, of which each is left out once to see how certain the line is."""


@dataclass(frozen=True, slots=True)
class Line:
    """image = slope * other + level."""

    slope: float
    slope_error: float
    level: float
    """In the unit of the image."""
    level_error: float


def compare(image: Floats, other: Floats, noise: tuple[float, float], place: Floats) -> Line:
    """Compare the brightness of two images pixel by pixel.

    Parameters
    ----------
    image, other : array
        (n,) brightness of the same spots, equally sharp.
    noise : tuple of float
        Standard deviation of the noise of both.
    place : array
        (n, 2) where the pixels lie.

    Notes
    -----
    Orthogonal regression with the ratio of both variances known, and outliers left out round by round. An
    ordinary fit would take the noise of the other for a flatter slope. The level is the median of what is
    left of the darker half, where an error of the slope weighs little. Errors by the jackknife over pieces of
    the field, as noise of neighbours is correlated.

    References
    ----------
    Fuller, W. A., 1987, Measurement Error Models, section 1.3.
    """
    slope, kept = _robust(image, other, noise)
    level = _level(slope, other[kept], image[kept], noise)
    pieces = _pieces(place)
    trials = []
    for piece in np.unique(pieces):
        rest = kept & (pieces != piece)
        if rest.sum() > 10:
            tried, _ = _deming(other[rest], image[rest], noise)
            trials.append((tried, _level(tried, other[rest], image[rest], noise)))
    if len(trials) < 2:
        return Line(slope, np.inf, level, np.inf)
    count = len(trials)
    errors = np.sqrt((count - 1) / count * np.sum((np.array(trials) - np.mean(trials, axis=0)) ** 2, axis=0))
    return Line(slope, float(errors[0]), level, float(errors[1]))


def _robust(image: Floats, other: Floats, noise: tuple[float, float]) -> tuple[float, Mask]:
    """Fit the line, leave out what lies far from it, and fit again until nothing changes."""
    kept: Mask = np.ones(image.shape, dtype=bool)
    slope = _start(other, image)
    level = _level(slope, other, image, noise)
    for _ in range(_ROUNDS):
        rest = image - slope * other - level
        bright = slope * (other - np.median(other))
        allowed = np.sqrt(noise[0] ** 2 + (slope * noise[1]) ** 2 + (_MODEL_ERROR * bright) ** 2 + 1e-300)
        pull = rest / allowed
        now = np.abs(pull - np.median(pull)) < _CLIP * max(spread(pull), 1e-3)
        if now.sum() < 10 or (now == kept).all():
            break
        kept = now
        slope, level = _deming(other[kept], image[kept], noise)
    return slope, kept


def _start(x: Floats, y: Floats) -> float:
    """Guess a slope that no outlier moves: the median over pairs far apart, each as heavy as it is long."""
    order = np.argsort(x, kind="stable")
    half = len(x) // 2
    low, high = order[:half], order[len(x) - half :]
    length = x[high] - x[low]
    slopes = (y[high] - y[low]) / np.where(length > 0, length, np.inf)
    ranked = np.argsort(slopes, kind="stable")
    weight = np.cumsum(length[ranked])
    return float(slopes[ranked][np.searchsorted(weight, weight[-1] / 2)]) if weight[-1] > 0 else 0.0


def _level(slope: float, x: Floats, y: Floats, noise: tuple[float, float]) -> float:
    """Give the level from the darker half, chosen along the line, so that noise does not do the choosing."""
    along = noise[0] ** 2 * x + slope * noise[1] ** 2 * y if any(noise) else x
    dark = along <= np.median(along)
    return float(np.median(y[dark] - slope * x[dark]))


def _deming(x: Floats, y: Floats, noise: tuple[float, float]) -> tuple[float, float]:
    """Fit y = slope x + level where both have errors of a known ratio."""
    ratio = (max(noise[0], 1e-12 * spread(y)) ** 2 + 1e-300) / (
        max(noise[1], 1e-12 * spread(x)) ** 2 + 1e-300
    )
    mean_x, mean_y = x.mean(), y.mean()
    s_xx, s_yy = ((x - mean_x) ** 2).mean(), ((y - mean_y) ** 2).mean()
    s_xy = ((x - mean_x) * (y - mean_y)).mean()
    if s_xy == 0:
        return 0.0, float(mean_y)
    half = s_yy - ratio * s_xx
    root = np.sqrt(half**2 + 4 * ratio * s_xy**2)
    # Of two equal forms the one in which nothing cancels.
    slope = float((half + root) / (2 * s_xy) if half > 0 else 2 * ratio * s_xy / (root - half))
    return slope, float(mean_y - slope * mean_x)


def _pieces(place: Floats) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """Cut the field into pieces along its longer axis, each with as many pixels."""
    extent = np.ptp(place, axis=0)
    along = place[:, int(np.argmax(extent))]
    order = np.argsort(np.argsort(along, kind="stable"), kind="stable")
    return np.asarray(order * _PIECES // len(along))
