"""An image of the sky as an array with a WCS; one image brought onto the pixels of another."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray
from reproject import reproject_adaptive, reproject_interp
from scipy import ndimage

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_EMPTY_SHARE = 0.02
"""Share of pixels that are exactly zero from which on zero is taken for `no data`."""
_FINER = 0.7
"""Pixels of a reference smaller than so many of an exposure's are averaged, not interpolated."""


class NoImage(Exception):
    """A file holds no image of the sky; the argument says what is lacking."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image of the sky."""

    data: Floats
    """(n_y, n_x); NaN where there are no data."""
    wcs: WCS
    """Celestial, two axes."""
    unit: str
    """BUNIT, in any spelling; empty if it is not said."""

    @property
    def scale(self) -> float:
        """Size of a pixel, arcsec: the mean of both axes."""
        return float(np.mean(proj_plane_pixel_scales(self.wcs))) * 3600

    @property
    def is_mirrored(self) -> bool:
        """Whether east is right of north, as on no usual image."""
        return bool(np.linalg.det(self.wcs.pixel_scale_matrix) > 0)


def read_image(path: Path) -> Image:
    """Read the first image of a file that has a celestial WCS.

    Parameters
    ----------
    path : Path
        A FITS file; axes of length 1 are left out.

    Raises
    ------
    NoImage
        There is none, or it holds no number.
    """
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            data = getattr(hdu, "data", None)
            if not isinstance(data, np.ndarray) or data.dtype.names or np.squeeze(data).ndim != 2:
                continue
            wcs = WCS(hdu.header, naxis=2)
            if not wcs.has_celestial:
                continue
            unit = str(hdu.header.get("BUNIT", ""))
            found = np.squeeze(data).astype(np.float64)
            return Image(_without_empty(found), wcs, unit)
    raise NoImage("has no image with two axes and a celestial WCS")


def _without_empty(data: Floats) -> Floats:
    """Take zeros for no data if there are many: mosaics have them around what was seen."""
    is_zero = data == 0
    found = np.where(is_zero, np.nan, data) if is_zero.mean() > _EMPTY_SHARE else data.copy()
    found[~np.isfinite(found)] = np.nan
    if np.isfinite(found).sum() == 0:
        raise NoImage("holds no number")
    return found


def padded(image: Image, margin: int) -> Image:
    """Add a margin of pixels without data on each side."""
    wcs = image.wcs.deepcopy()
    wcs.wcs.crpix = wcs.wcs.crpix + margin
    return Image(np.pad(image.data, margin, constant_values=np.nan), wcs, image.unit)


def onto(image: Image, grid: Image) -> Floats:
    """Bring an image onto the pixels of another, by what both headers say.

    Returns
    -------
    array
        (n_y, n_x) of the grid, in the unit of the image, which is taken for a brightness per area; NaN where
        the image shows nothing.

    Notes
    -----
    Pixels of about the same size or larger are interpolated by cubic splines, finer ones averaged with a
    Gaussian of the size of the new pixel.
    """
    seen = np.isfinite(image.data)
    filled = np.where(seen, image.data, np.nanmedian(image.data))
    shape = grid.data.shape
    if image.scale < _FINER * grid.scale:
        found, _ = reproject_adaptive((filled, image.wcs), grid.wcs, shape_out=shape, kernel="gaussian")
    else:
        found, _ = reproject_interp((filled, image.wcs), grid.wcs, shape_out=shape, order="bicubic")
    share, _ = reproject_interp((seen.astype(float), image.wcs), grid.wcs, shape_out=shape, order="bilinear")
    return np.where(np.nan_to_num(share) > 0.999, found, np.nan)


def smoothed(data: Floats, sigma: float, least: float = 0.5) -> Floats:
    """Smooth by a Gaussian, pixels without data left out of every mean.

    Parameters
    ----------
    data : array
        NaN where there are no data; they stay without.
    sigma : float
        Pixels.
    least : float
        Weight of data under the Gaussian below which a pixel is left without.
    """
    if sigma <= 0:
        return data
    seen = np.isfinite(data)
    weight = ndimage.gaussian_filter(seen.astype(float), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(seen, data, 0.0), sigma, mode="constant")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seen & (weight > least), total / weight, np.nan)


def spread(data: Floats) -> float:
    """Give the standard deviation of what is no outlier, from the median of absolute deviations."""
    values = data[np.isfinite(data)]
    if not values.size:
        return 0.0
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def noise_of(data: Floats, apart: int) -> float:
    """Estimate the noise of a pixel, from the differences of pixels that lie apart.

    Parameters
    ----------
    data : array
        An image.
    apart : int
        Pixels, farther than noise is correlated.
    """
    across = data[:, apart:] - data[:, :-apart]
    return spread(across) / float(np.sqrt(2))
