"""An exposure against its reference: offset, rotation, brightness, and whether to believe them."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from photutils.detection import DAOStarFinder
from photutils.utils.exceptions import NoDetectionsWarning

from pipeline.reference.fit import Fit, Turn, fit
from pipeline.reference.flux import Line, compare
from pipeline.reference.image import Floats, Image, noise_of, onto, padded
from pipeline.reference.match import Place, find_place, stretched
from pipeline.reference.measured import Measured

_SIGMA = 1 / 2.3548
"""Of a Gaussian whose width at half its height is 1."""
_FLIPPED = 1.02
"""How much better an image may fit when it is flipped: a field of one round galaxy fits as well."""
_SIGNIFICANT = 6.0
"""Correlation in units of what noise alone brings about."""
_BRIGHTEST = 30
"""Sources that are looked for in the reference."""
_FEWEST = 3
"""Sources from which on it counts how many of them the reference has."""
_HALF = 0.5
"""Share of them that is too few."""
_LEFT = 0.1
"""Pixels that may be left of an offset when it was applied, if its error is smaller."""
_ANGLE_STEP = 0.5
"""Degrees between rotations that are tried."""


@dataclass(frozen=True, slots=True)
class Options:
    """How exposures are measured, and what is believed; the parameters of `clio_align`."""

    search: float = 10.0
    """arcsec."""
    rotation: bool = False
    max_rotation: float = 2.0
    """Degrees."""
    fwhm: float = 0.8
    """Of a star in the exposures, arcsec."""
    overlap: float = 0.3
    agreement: float = 0.7
    distinct: float = 1.25
    threshold: float = 5.0
    max_error: float = 0.1
    """arcsec."""


def measure(exposure: Image, reference: Image, options: Options) -> Measured:
    """Measure an exposure against a reference image.

    Parameters
    ----------
    exposure, reference : Image
        Of any pixels, rotation and extent; both may be anywhere on the sky.
    options : Options
        How.

    Returns
    -------
    Measured
        With a fault, if they do not show the same, or it cannot be told.

    Notes
    -----
    The reference is brought onto the exposure's pixels by what both headers say. What is left between them is
    found by correlation, then fitted. As a proof of sign and size the offset is subtracted from the header,
    as the recipes do, and all is measured again: nothing may be left.
    """
    found = _measured(exposure, reference, options)
    if found.fault:
        return found
    again = _measured(_applied(exposure, found), reference, replace(options, search=min(options.search, 3.0)))
    if again.fault:
        return replace(found, fault=f"once its offset is applied, {again.fault}")
    cos = np.cos(np.radians(exposure.wcs.wcs.crval[1]))
    left = (again.ra_offset * 3600 * cos, again.dec_offset * 3600)
    limit = max(_LEFT * exposure.scale, 3 * max(found.east_error, found.north_error))
    if max(map(abs, left)) > limit:
        told = f'{left[0]:+.3f}" {left[1]:+.3f}"'
        return replace(found, left=left, fault=f"once its offset is applied, {told} are left, not nothing")
    return replace(found, left=left)


def _measured(exposure: Image, reference: Image, options: Options) -> Measured:
    margin = int(np.ceil(options.search / exposure.scale)) + 8
    grid = padded(exposure, margin)
    other = onto(reference, grid)
    if np.isfinite(other).sum() < 30:
        return Measured("the reference does not show this part of the sky")
    sigma = options.fwhm * _SIGMA / exposure.scale
    plain, target = stretched(grid.data, sigma), stretched(other, sigma)

    def placed(image: Floats) -> Place | None:
        return find_place(
            *(image, target),
            reach=options.search / exposure.scale,
            overlap=options.overlap,
            apart=3 * options.fwhm / exposure.scale,
            angles=_angles(options),
        )

    found = placed(plain)
    if found is None:
        return Measured(f"the reference shows less than {options.overlap:.0%} of it")
    start = Turn(found.dx, found.dy, found.turned)
    fitted = fit(grid.data, other, start, sigma=0.5 * sigma, with_angle=options.rotation)
    if fitted is None:
        return Measured("the reference shows too little of it")
    line = compare(fitted.image, fitted.other, fitted.noise, fitted.place)
    told = _in_words_of_sky(grid, fitted, line)
    told = replace(told, distinct=found.distinct, overlap=len(fitted.image) / np.isfinite(grid.data).sum())
    told = _with_agreement(told, grid.data, other, fitted, sigma)
    told = _with_sources(told, grid, other, fitted.turn, options)
    strayed = float(np.hypot(fitted.turn.dx - found.dx, fitted.turn.dy - found.dy)) * exposure.scale
    fault = _fault(told, line, strayed, options, _significance(told, grid.data, sigma))
    if not fault:
        flipped = [p.correlation for p in map(placed, (plain[:, ::-1], plain[::-1], plain[::-1, ::-1])) if p]
        if max(flipped, default=0.0) > _FLIPPED * found.correlation:
            fault = "it fits better when it is flipped: it is mirrored, or turned round"
    return replace(told, fault=fault)


def _angles(options: Options) -> Floats:
    if not options.rotation:
        return np.zeros(1)
    count = int(np.ceil(options.max_rotation / _ANGLE_STEP))
    return np.linspace(-count * _ANGLE_STEP, count * _ANGLE_STEP, 2 * count + 1)


def _in_words_of_sky(grid: Image, fitted: Fit, line: Line) -> Measured:
    """Turn pixels into what the header says too much.

    Notes
    -----
    A pixel shows what the WCS says of the place to which `turn` brings it: that is where it truly is. Header
    minus true is the offset, taken at the middle of the field. Positive angles lead from north to east, which
    is counterclockwise in pixels unless the image is mirrored.
    """
    turn, shape = fitted.turn, grid.data.shape
    middle = np.array([[(n - 1) / 2 for n in reversed(shape)]])
    there = np.stack(turn(middle[:, 0], middle[:, 1], shape), axis=1)
    (said_ra, said_dec), (ra, dec) = (grid.wcs.wcs_pix2world(p, 0)[0] for p in (middle, there))
    east_of = np.cos(np.radians(dec)) * 3600
    step = grid.wcs.wcs_pix2world(there + np.array([[1, 0], [0, 1]]), 0)
    jacobian = np.stack([_apart(step[:, 0], ra) * east_of, (step[:, 1] - dec) * 3600])
    sky = jacobian @ fitted.covariance[:2, :2] @ jacobian.T
    sense = 1.0 if grid.is_mirrored else -1.0
    return Measured(
        ra_offset=float(_apart(said_ra, ra)),
        dec_offset=float(said_dec - dec),
        east_error=float(np.sqrt(sky[0, 0])),
        north_error=float(np.sqrt(sky[1, 1])),
        rotation=sense * turn.angle,
        rotation_error=float(np.sqrt(fitted.covariance[2, 2])),
        flux_scale=1 / line.slope if line.slope else np.inf,
        flux_scale_error=line.slope_error / line.slope**2 if line.slope else np.inf,
        background=line.level,
        background_error=line.level_error,
    )


def _apart(some: Floats, other: Floats) -> Floats:
    """Give a difference of right ascensions, also over 0 h."""
    return (some - other + 180) % 360 - 180


def _with_agreement(told: Measured, image: Floats, other: Floats, fitted: Fit, sigma: float) -> Measured:
    """Correlate both where they were fitted, and say how much noise takes of it."""
    values = []
    for data, noise in zip((fitted.image, fitted.other), fitted.noise, strict=True):
        values.append(np.arcsinh((data - np.median(data)) / (3 * (noise or 1.0))))
    correlation = float(np.corrcoef(values[0], values[1])[0, 1]) if all(v.std() > 0 for v in values) else 0.0
    # In these units noise is a third, where it is dark.
    shares = [max(0.02, 1 - (1 / 9) / max(float(np.var(v)), 1e-9)) for v in values]
    possible = float(np.sqrt(shares[0] * shares[1]))
    return replace(told, correlation=correlation, agreement=min(correlation / possible, 1.0))


def _significance(told: Measured, image: Floats, sigma: float) -> float:
    """Say how many times the correlation is what noise brings about."""
    independent = told.overlap * np.isfinite(image).sum() / max(1.0, 4 * np.pi * sigma**2)
    return told.correlation * float(np.sqrt(independent))


def _with_sources(told: Measured, grid: Image, other: Floats, turn: Turn, options: Options) -> Measured:
    """Count the brightest sources of the exposure that the reference has where the fit puts them."""
    ours = _sources(grid.data, grid.scale, options)
    theirs = _sources(other, grid.scale, options)
    x, y = turn(ours[:, 0], ours[:, 1], grid.data.shape)
    column, row = np.round(x).astype(int), np.round(y).astype(int)
    inside = (row >= 0) & (row < other.shape[0]) & (column >= 0) & (column < other.shape[1])
    inside[inside] &= np.isfinite(other[row[inside], column[inside]])
    x, y = x[inside][:_BRIGHTEST], y[inside][:_BRIGHTEST]
    near = np.hypot(x[:, None] - theirs[None, :, 0], y[:, None] - theirs[None, :, 1])
    limit = max(1.0, 0.5 * options.fwhm / grid.scale)
    matched = int((near.min(axis=1) < limit).sum()) if near.size else 0
    return replace(told, sources=len(x), matched=matched)


def _sources(data: Floats, scale: float, options: Options) -> Floats:
    """Find sources: (n, 2) x and y in pixels, the brightest first."""
    fwhm = max(1.5, options.fwhm / scale)
    seen = np.isfinite(data)
    dark = float(np.median(data[seen]))
    noise = noise_of(data, max(2, round(2 * fwhm)))
    if not noise:
        return np.zeros((0, 2))
    finder = DAOStarFinder(options.threshold * noise, fwhm, n_brightest=10 * _BRIGHTEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        found = finder(np.where(seen, data - dark, 0.0), mask=~seen)
    if found is None:
        return np.zeros((0, 2))
    order = np.argsort(-np.asarray(found["flux"]), kind="stable")
    return np.stack([np.asarray(found[f"{axis}_centroid"], float)[order] for axis in "xy"], axis=1)


def _fault(told: Measured, line: Line, strayed: float, options: Options, significance: float) -> str:
    """Say why a measurement is not to be believed; empty if it is."""
    if line.slope <= 0 or significance < _SIGNIFICANT:
        return "it shows nothing that the reference shows: noise, or another part of the sky"
    if strayed > options.fwhm:
        return "no place fits: the best one is not where the images are most alike"
    if told.agreement < options.agreement:
        return (
            f"it is like the reference by {told.agreement:.2f} of what noise allows, at least "
            f"{options.agreement:g} are needed: another field, mirrored or turned"
        )
    if told.distinct < options.distinct:
        return f"another place fits nearly as well (ratio {told.distinct:.2f}, at least {options.distinct:g})"
    if told.sources >= _FEWEST and told.matched <= _HALF * told.sources:
        return f"only {told.matched} of {told.sources} sources lie where the reference has them"
    error = max(told.east_error, told.north_error)
    if not error <= options.max_error:
        return f'its offset is uncertain by {error:.3f}", at most {options.max_error:g}" are allowed'
    return ""


def _applied(exposure: Image, found: Measured) -> Image:
    """Subtract an offset from what the header says, as the recipes do."""
    wcs = exposure.wcs.deepcopy()
    wcs.wcs.crval = wcs.wcs.crval - np.array([found.ra_offset, found.dec_offset])
    return Image(exposure.data, wcs, exposure.unit)
