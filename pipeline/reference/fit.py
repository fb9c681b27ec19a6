"""The place of an image in another to a fraction of a pixel, and the difference of their sharpness. Pure."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

from pipeline.reference.image import Floats, Mask, noise_of, smoothed, spread

_MODEL_ERROR = 0.02
"""Share of the brightness by which one image interpolated may miss the other."""
_BROADEST = 2.5
"""Pixels: the largest difference of sharpness that is looked for, as the sigma of a Gaussian."""
_REACH = 2.5
"""Sigmas of a Gaussian within which all must be data: beyond a border lies light that is not in the mean."""
_STEP = 0.02
"""Pixels by which a place is moved to see how what is left changes."""
_SPLINE = 2.0
"""Pixels within which a cubic spline needs data."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How pixels of an image go to those of another: turned about the middle, then shifted."""

    dx: float
    """Pixels."""
    dy: float
    angle: float
    """Degrees, counterclockwise from x to y."""

    def __call__(self, x: Floats, y: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Give the place in the other image of what lies at x, y in an image of a shape."""
        middle_y, middle_x = ((n - 1) / 2 for n in shape)
        cos, sin = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        u, v = x - middle_x, y - middle_y
        return middle_x + cos * u - sin * v + self.dx, middle_y + sin * u + cos * v + self.dy


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """An image fitted into another."""

    turn: Turn
    covariance: Floats
    """(3, 3) of dx, dy (pixels) and angle (degrees); zero for an angle that was not fitted."""
    broader: float
    """Sigma in pixels of the Gaussian that makes the image as broad as the other; if it is negative, the
    other was made as broad as the image."""
    image: Floats
    """(n,) pixels of the image that the other has too, both equally broad."""
    other: Floats
    """(n,) the same of the other."""
    place: Floats
    """(n, 2) x and y of these pixels in the image."""
    noise: tuple[float, float]
    """Standard deviation of the noise in both."""


def fit(image: Floats, other: Floats, start: Turn, *, sigma: float, with_angle: bool) -> Fit | None:
    """Fit an image into another that shows the same.

    Parameters
    ----------
    image, other : array
        Of the same shape; NaN where there are no data.
    start : Turn
        To a pixel or two.
    sigma : float
        Of a Gaussian by which both are smoothed, pixels: half that of a star.
    with_angle : bool
        Whether the rotation is fitted; else it stays that of the start.

    Returns
    -------
    Fit or None
        None if they have less than 30 pixels in common.

    Notes
    -----
    Robust least squares of ``image = a * other + b``, where the other is interpolated by cubic splines; `a`
    and `b` follow linearly for every trial of the place.
    """
    rough = _Pair.of(image, other, start, sigma, 0.0)
    if rough is None:
        return None
    turn, _ = rough.best(start, with_angle)
    broader = _difference(image, other, turn, sigma)
    last = _Pair.of(image, other, turn, sigma, broader)
    if last is None:
        return None
    turn, covariance = last.best(turn, with_angle)
    place = np.stack([last.x, last.y], axis=1)
    return Fit(turn, covariance, broader, last.values, last.at(turn), place, last.noise)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two images made ready for a fit: what is compared, and the splines of the other."""

    values: Floats
    """(n,) of the image."""
    x: Floats
    y: Floats
    shape: tuple[int, ...]
    splines: Floats
    noise: tuple[float, float]
    correlated: float
    """Pixels over which noise is correlated."""

    @classmethod
    def of(cls, image: Floats, other: Floats, turn: Turn, sigma: float, broader: float) -> "_Pair | None":
        first = smoothed(image, float(np.hypot(sigma, max(broader, 0.0))))
        second = smoothed(other, float(np.hypot(sigma, max(-broader, 0.0))))
        y, x = (axis.astype(float) for axis in np.indices(image.shape))
        inner = _inside(other, _REACH * np.hypot(sigma, max(-broader, 0.0)) + _SPLINE)
        there_x, there_y = turn(x, y, image.shape)
        seen = ndimage.map_coordinates(inner.astype(float), [there_y, there_x], order=1) > 0.99
        used = _inside(image, _REACH * np.hypot(sigma, max(broader, 0.0))) & seen
        if used.sum() < 30:
            return None
        splines = ndimage.spline_filter(np.where(np.isfinite(second), second, np.nanmedian(second)))
        apart = max(2, round(5 * sigma))
        noise = noise_of(first, apart), noise_of(second, apart)
        correlated = max(1.0, 4 * np.pi * (sigma**2 + broader**2))
        return cls(first[used], x[used], y[used], image.shape, splines, noise, correlated)

    def at(self, turn: Turn) -> Floats:
        """Give what the other shows at the pixels of the image."""
        x, y = turn(self.x, self.y, self.shape)
        found: Floats = ndimage.map_coordinates(self.splines, [y, x], prefilter=False)
        return found

    def residuals(self, turn: Turn) -> Floats:
        """Give what is left of the image, in units of what may be left."""
        other = self.at(turn)
        weight = np.ones_like(other)
        for _ in range(2):
            a, b = _line(other, self.values, weight)
            model = a * other
            level = np.median(model)
            error = (
                self.noise[0] ** 2 + (a * self.noise[1]) ** 2 + (_MODEL_ERROR * (model - level)) ** 2 + 1e-300
            )
            weight = 1 / error
        return np.asarray((self.values - model - b) * np.sqrt(weight))

    def best(self, start: Turn, with_angle: bool) -> tuple[Turn, Floats]:
        """Find the best place and its covariance."""
        lever = max(self.shape) / 2
        free = 3 if with_angle else 2

        def turn(p: Floats) -> Turn:
            # The angle counts by how far it moves the end of the field, so that all are pixels.
            angle = start.angle + (np.degrees(p[2] / lever) if with_angle else 0.0)
            return Turn(float(start.dx + p[0]), float(start.dy + p[1]), float(angle))

        def residuals(p: Floats) -> Floats:
            return self.residuals(turn(p))

        def slopes(p: Floats) -> Floats:
            # Steps of scipy's own are shares of p, and p is nothing where both fit at once.
            steps = _STEP * np.eye(free)
            return np.stack([(residuals(p + s) - residuals(p - s)) / (2 * _STEP) for s in steps], axis=1)

        found = optimize.least_squares(
            residuals, np.zeros(free), jac=slopes, loss="soft_l1", f_scale=3.0, x_scale=1.0, max_nfev=50
        )
        left = residuals(found.x)
        scatter = max(spread(left), 1e-3) ** 2
        covariance = np.zeros((3, 3))
        try:
            covariance[:free, :free] = np.linalg.inv(found.jac.T @ found.jac) * scatter * self.correlated
        except np.linalg.LinAlgError:  # nothing in the field says where it is
            covariance[:free, :free] = np.diag(np.full(free, 1e6))
        size = np.diag([1.0, 1.0, np.degrees(1 / lever)])
        return turn(found.x), size @ covariance @ size


def _inside(data: Floats, distance: float) -> Mask:
    """Tell which pixels are farther than a distance from those without data."""
    found: Mask = ndimage.distance_transform_edt(np.isfinite(data)) > distance
    return found


def _difference(image: Floats, other: Floats, turn: Turn, sigma: float) -> float:
    """Find by how much the image must be broadened to be like the other; negative for the reverse."""

    def left(broader: float) -> float:
        pair = _Pair.of(image, other, turn, sigma, broader)
        if pair is None:
            return np.inf
        values = pair.at(turn)
        a, b = _line(values, pair.values, np.ones_like(values))
        rest = pair.values - a * values - b
        return float(np.sum(rest**2) / np.sum((pair.values - pair.values.mean()) ** 2))

    grid = np.linspace(-_BROADEST, _BROADEST, 9)
    start = float(grid[int(np.argmin([left(float(k)) for k in grid]))])
    step = float(grid[1] - grid[0])
    bounds = max(-_BROADEST, start - step), min(_BROADEST, start + step)
    found = optimize.minimize_scalar(left, bounds=bounds, method="bounded", options={"xatol": 0.05})
    return float(found.x)


def _line(x: Floats, y: Floats, weight: Floats) -> tuple[float, float]:
    """Fit y = a x + b by weighted least squares."""
    total = weight.sum()
    mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
    var = (weight * (x - mean_x) ** 2).sum()
    a = float((weight * (x - mean_x) * (y - mean_y)).sum() / var) if var > 0 else 0.0
    return a, float(mean_y - a * mean_x)
