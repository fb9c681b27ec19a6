"""Fields of stars drawn onto any pixels: analytic, so that nothing is interpolated but by what is tested."""

import io
from dataclasses import dataclass, field

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from pipeline.reference.image import Image

Floats = NDArray[np.float64]

RA, DEC = 150.0, -35.0
"""Degrees; where cos(Dec) is far from 1."""


@dataclass(frozen=True)
class Scene:
    """Stars and a galaxy around RA, DEC."""

    east: Floats
    """arcsec."""
    north: Floats
    flux: Floats
    """Of each star, whole."""
    wide: Floats
    """Sigma that each has of itself, arcsec; 0 for a star."""


def scene(seed: int = 1, stars: int = 14, extent: tuple[float, float] = (60.0, 60.0)) -> Scene:
    """Draw stars by lot, a faint many and a few bright ones, and a galaxy."""
    rng = np.random.default_rng(seed)
    east = rng.uniform(-extent[0], extent[0], stars)
    north = rng.uniform(-extent[1], extent[1], stars)
    flux = 10 ** rng.uniform(2.0, 3.3, stars)
    wide = np.zeros(stars)
    wide[0] = 1.5
    return Scene(east, north, flux, wide)


@dataclass(frozen=True)
class Grid:
    """Pixels on the sky, as a header says them."""

    width: int = 90
    height: int = 70
    scale: float = 0.2
    """arcsec."""
    angle: float = 0.0
    """Position angle of the y axis, north through east, degrees."""
    east: float = 0.0
    """Where the middle truly lies, arcsec from RA, DEC."""
    north: float = 0.0
    mirrored: bool = False

    def wcs(self, east: float | None = None, north: float | None = None, turned: float = 0.0) -> WCS:
        """Make the WCS; with a middle and a turn other than the true ones, what a wrong header says."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.cunit = ["deg", "deg"]
        east = self.east if east is None else east
        north = self.north if north is None else north
        wcs.wcs.crval = [RA + east / 3600 / np.cos(np.radians(DEC)), DEC + north / 3600]
        wcs.wcs.crpix = [(self.width + 1) / 2, (self.height + 1) / 2]
        a = np.radians(self.angle + turned)
        # Columns: where x and y lead, east and north.
        x = np.array([-np.cos(a), np.sin(a)]) * (-1 if self.mirrored else 1)
        y = np.array([np.sin(a), np.cos(a)])
        wcs.wcs.cd = np.stack([x, y], axis=1) * self.scale / 3600
        wcs.wcs.set()
        return wcs


@dataclass(frozen=True)
class Shot:
    """How a scene is seen."""

    grid: Grid = field(default_factory=Grid)
    fwhm: float = 0.8
    """arcsec."""
    noise: float = 0.3
    scale: float = 1.0
    """By what all light is multiplied."""
    background: float = 0.0
    error_east: float = 0.0
    """Header minus true position, arcsec."""
    error_north: float = 0.0
    error_angle: float = 0.0
    """Header minus true position angle, degrees."""
    seed: int = 7
    unit: str = "10**(-20)*erg/s/cm**2/Angstrom"


def shoot(of: Scene, shot: Shot) -> Image:
    """Draw a scene; brightness is per square arcsec, whatever the pixels are."""
    grid = shot.grid
    truth = grid.wcs()
    stars = np.stack([RA + of.east / 3600 / np.cos(np.radians(DEC)), DEC + of.north / 3600], axis=1)
    places = truth.wcs_world2pix(stars, 0)
    y, x = np.indices((grid.height, grid.width))
    data = np.full((grid.height, grid.width), shot.background)
    for (px, py), flux, wide in zip(places, of.flux, of.wide, strict=True):
        sigma = np.hypot(shot.fwhm / 2.3548, wide)
        distance = ((x - px) ** 2 + (y - py) ** 2) * grid.scale**2
        data += shot.scale * flux / (2 * np.pi * sigma**2) * np.exp(-distance / (2 * sigma**2))
    data += np.random.default_rng(shot.seed).normal(0, shot.noise, data.shape)
    said = grid.wcs(grid.east + shot.error_east, grid.north + shot.error_north, shot.error_angle)
    return Image(data, said, shot.unit)


def extension(image: Image) -> bytes:
    """Write an image as the extension DATA of a FITS file, without checksums."""
    written = io.BytesIO()
    hdu = fits.ImageHDU(image.data.astype(np.float32), image.wcs.to_header(), name="DATA")
    hdu.header["BUNIT"] = image.unit
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(written)
    return written.getvalue()[2880:]
