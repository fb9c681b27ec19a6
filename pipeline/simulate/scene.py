"""The scenes: stars and a galaxy of known place and spectrum for each target; the point-spread function.

Offsets are in arcsec from the pointing of a target's first exposure, west and north, in the tangential plane.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from pipeline.modes import DEFAULT_MODE, MODES, WIDE, Mode
from pipeline.simulate.field import SPAXEL_ARCSEC, bands, extent, scale_of
from pipeline.simulate.mathematics import Floats, random_stream
from pipeline.simulate.options import NightOptions
from pipeline.simulate.spectra import absorbed, black_body

TARGET_RA_DEG, TARGET_DEC_DEG = 105.125, -12.5
"""Pointing of the first exposure of the first target."""
_NEXT_TARGET_DEG = (1.5, -0.7)
"""From a target to the next, in right ascension and declination."""
STANDARD_NAME = "CLIO-STD1"
STANDARD_RA_DEG, STANDARD_DEC_DEG = 44.5, -20.0
STANDARD_OFFSET_ARCSEC = (7.5, 0.0)
"""Where the standard star stands in its field, west and north: in the middle of a stack of slices."""
SKY_OFFSET_ARCSEC = (90.0, 60.0)
"""The exposure of empty sky, from the target: west and north."""

V_ZERO_FLUX = 3.63e-9
"""Flux density of V = 0 at 5500 Angstrom, erg/s/cm2/A."""

PSF = ((0.1526, 1.3207), (0.5867, 1.0549), (0.2502, 0.8786), (0.0105, 0.7389))
"""Point-spread function: round Gaussians, weight and width in units of the seeing FWHM.

Together they follow a Moffat profile of exponent 16, a little wider in its wings than a Gaussian. The choice
is the recipe's: in a field 24 spaxels high, the Moffat profile that muse_standard fits to the standard star
by default finds between 92 % (Gaussian) and 112 % (exponent 4) of its light, and all of it with this one at
STANDARD_SEEING.
"""
STANDARD_SEEING = 0.65
"""FWHM in arcsec during the exposure of the standard star."""

_SLOTS_ARCSEC = (-25.6, -19.2, -11.6, -5.2, 4.4, 10.8, 18.8, 25.2)
"""Where sources stand along x: apart from each other and from the edges of the stacks (0 and 15 arcsec)."""
_GALAXY_SLOT = 4
_BALMER = ((4340.5, 6.0, 0.35), (4861.3, 6.0, 0.35), (6562.8, 6.0, 0.30))

_GALAXY_LINES = (
    # name, rest wavelength in air, flux in 1e-17 erg/s/cm2
    ("H beta", 4861.33, 90.0),
    ("[OIII] 4959", 4958.91, 70.0),
    ("[OIII] 5007", 5006.84, 210.0),
    ("[NII] 6548", 6548.05, 30.0),
    ("H alpha", 6562.80, 300.0),
    ("[NII] 6583", 6583.45, 90.0),
    ("[SII] 6716", 6716.44, 60.0),
    ("[SII] 6731", 6730.82, 45.0),
)
GALAXY_REDSHIFT = 0.0140
GALAXY_SIGMA_KM_S = 60.0
_LIGHT_KM_S = 299792.458


@dataclass(frozen=True, slots=True)
class EmissionLine:
    """An emission line of a source, as seen from the barycentre of the solar system."""

    name: str
    wavelength_a: float
    """In air."""
    sigma_a: float
    """Own width."""
    flux: float
    """Of the whole source, erg/s/cm2."""


@dataclass(frozen=True, slots=True)
class Source:
    """A star or a galaxy."""

    name: str
    west: float
    """Offset in arcsec."""
    north: float
    """Offset in arcsec."""
    v_mag: float
    """Sets the flux density of the continuum at 5500 Angstrom."""
    temperature_k: float
    """Black body that the continuum follows."""
    size_arcsec: tuple[tuple[float, float], ...] = ()
    """A galaxy's light: weight and sigma of round Gaussians; empty for a star."""
    lines: tuple[EmissionLine, ...] = ()

    def continuum(self, wave: Floats) -> Floats:
        """Give the flux density in erg/s/cm2/A in front of the atmosphere, emission lines left out."""
        level = V_ZERO_FLUX * 10 ** (-0.4 * self.v_mag)
        absorption = () if self.lines else _BALMER
        return level * black_body(wave, self.temperature_k) * absorbed(wave, absorption)


def standard_star(mode: Mode = MODES[DEFAULT_MODE]) -> Source:
    """Give the spectrophotometric standard star: a hot star of V = 11.6."""
    west, north = (scale_of(mode) * offset for offset in STANDARD_OFFSET_ARCSEC)
    return Source(STANDARD_NAME, west, north, 11.6, 32000.0)


def target_position_deg(number: int) -> tuple[float, float]:
    """Give RA and Dec of a target, by its number from 0."""
    step_ra, step_dec = _NEXT_TARGET_DEG
    return TARGET_RA_DEG + number * step_ra, TARGET_DEC_DEG + number * step_dec


def scene(options: NightOptions, target: int = 0, mode: Mode = MODES[DEFAULT_MODE]) -> tuple[Source, ...]:
    """Place the sources for the IFUs that are simulated: about seven stars for two IFUs, and one galaxy.

    Parameters
    ----------
    options : NightOptions
        IFUs and seed.
    target : int
        Its number; each target has stars of its own.
    mode : Mode
        The narrow field shows another scene than the wide one, eight times smaller.

    Notes
    -----
    Positions keep 1.8 arcsec, if there is room, from the upper and lower edge, so that the dithered
    field always holds whole stars.
    """
    _, middle = extent(options.sorted_ifus).centre
    centres = [(low + high) / 2 for low, high in bands(options.sorted_ifus)]
    galaxy_band = min(range(len(centres)), key=lambda k: abs(centres[k] - middle))
    sources: list[Source] = []
    for k, (low, high) in enumerate(bands(options.sorted_ifus)):
        random = random_stream(options.seed, "scene", low, *_own(target, mode))
        reach = max((high - low) * SPAXEL_ARCSEC / 2 - 1.8, 0.1)
        for slot, x in enumerate(_SLOTS_ARCSEC):
            west = x + float(random.uniform(-0.6, 0.6))
            north = (centres[k] - middle) * SPAXEL_ARCSEC + float(random.uniform(-reach, reach))
            v_mag, temperature = float(random.uniform(16.6, 18.2)), float(random.uniform(4000.0, 11000.0))
            if slot == _GALAXY_SLOT and k == galaxy_band:
                sources.append(_galaxy(west, (centres[k] - middle) * SPAXEL_ARCSEC))
            elif len(centres) <= 4 or (slot + k) % 2 == 0:
                sources.append(
                    Source(
                        f"star_{len(sources) + 1}",
                        round(west, 3),
                        round(north, 3),
                        round(v_mag, 3),
                        round(temperature, 0),
                    )
                )
    return tuple(_placed(source, target, mode) for source in sources)


def _own(target: int, mode: Mode) -> tuple[object, ...]:
    """Give what tells a scene from the first target's in the wide field; nothing for that one."""
    return (*(("target", target) if target else ()), *((mode.field.name,) if mode.field != WIDE else ()))


def _placed(source: Source, target: int, mode: Mode) -> Source:
    """Shrink a source to the field of a mode, and give it a name of its own."""
    scale = scale_of(mode)
    prefix = (f"t{target + 1}_" if target else "") + ("nfm_" if mode.field != WIDE else "")
    return replace(
        source,
        name=prefix + source.name,
        west=source.west * scale,
        north=source.north * scale,
        size_arcsec=tuple((weight, sigma * scale) for weight, sigma in source.size_arcsec),
    )


def _galaxy(west: float, north: float) -> Source:
    stretch = 1.0 + GALAXY_REDSHIFT
    lines = tuple(
        EmissionLine(name, rest * stretch, rest * stretch * GALAXY_SIGMA_KM_S / _LIGHT_KM_S, 1e-17 * flux)
        for name, rest, flux in _GALAXY_LINES
    )
    return Source("galaxy", round(west, 3), round(north, 3), 18.4, 5200.0, ((0.7, 0.30), (0.3, 0.65)), lines)


def point_spread(
    seeing_arcsec: float, size: tuple[tuple[float, float], ...] = ()
) -> tuple[tuple[float, float], ...]:
    """Give weight and sigma (arcsec) of the Gaussians that a source appears as."""
    own = size or ((1.0, 0.0),)
    return tuple(
        (weight * part, math.hypot(width * seeing_arcsec / 2.354820045, sigma))
        for weight, width in PSF
        for part, sigma in own
    )


def flux_density(source: Source, wave: Floats) -> Floats:
    """Give the spectrum of a source seen from the barycentre, lines included, at infinite resolution."""
    total = source.continuum(wave)
    for line in source.lines:
        profile = np.exp(-0.5 * ((wave - line.wavelength_a) / line.sigma_a) ** 2)
        total = total + line.flux / (line.sigma_a * math.sqrt(2 * math.pi)) * profile
    return total
