"""From light to electrons: what an exposure leaves in the pixels of one IFU before it is read out. Pure.

Uniform light (lamps, sky) is looked up by wavelength in a table; sources are spread over pixels with the
point-spread function, shifted by the refraction of the air at each wavelength.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate import spectra
from pipeline.simulate.airglow import GROUPS
from pipeline.simulate.detector import NX, NY, add_dark, detector, pixel_response
from pipeline.simulate.field import SLICE_LENGTH, SPAXEL_ARCSEC, extent, patch, scale_of
from pipeline.simulate.headers import air, effective_airmass
from pipeline.simulate.mathematics import Floats, normal_cdf, random_stream, settle
from pipeline.simulate.night import SimulatedExposure
from pipeline.simulate.optics import (
    NODE_ROWS,
    SLICE_WIDTH_PX,
    SliceModel,
    dispersion_a,
    grid,
    height,
    ifu_model,
    wavelength_a,
)
from pipeline.simulate.options import NightOptions
from pipeline.simulate.scene import Source, point_spread, scene, standard_star, target_position_deg
from pipeline.simulate.sky import (
    STILL_AIR,
    Air,
    barycentric_factor,
    offset_position_deg,
    parallactic_angle_deg,
    plane_offset_arcsec,
    refraction_arcsec,
)

FLAT_PEAK_E = 57_000.0
ILLUM_PEAK_E = 40_000.0
TWILIGHT_PEAK_E = 28_000.0
REFERENCE_A = 7000.0
"""Wavelength at which a source stands where its coordinates say; the recipes' default (lambdaref)."""
_REACH_SPAXELS = 16.0
_GRADIENT = (0.02, 0.01)
"""Change of the telescope's illumination from the field centre to its edge, along x and y."""
LASER_GRADIENT = 0.3
"""Change of the scattered laser light from the field centre to its edge along x."""

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpreadSource:
    """A source as an exposure sees it."""

    x: float
    """Place in spaxels on the full field at the reference wavelength, west."""
    y: float
    spread: tuple[tuple[float, float], ...]
    """Weight and sigma (spaxels) of the Gaussians that it appears as."""
    table: Image
    """Electrons in a row of pixels, over the fine wavelength grid."""


@dataclass(frozen=True, slots=True)
class Light:
    """All light of an exposure; the same for every IFU."""

    uniform: Image
    """Electrons in a pixel over the fine wavelength grid."""
    sources: tuple[SpreadSource, ...] = ()
    on_sky: bool = False
    """Whether the light came through the telescope, whose illumination has a gradient."""
    illum: float = 0.0
    """Strength of the slice-to-slice illumination difference."""
    airmass: float = 1.0
    """For the refraction; 1 where the instrument corrects it."""
    zenith_deg: float = 0.0
    """Position angle of the zenith."""
    weather: Air = STILL_AIR
    laser: Image | None = None
    """Electrons in a pixel of scattered laser light in the middle of the field; None without lasers."""
    spaxel_arcsec: float = SPAXEL_ARCSEC


def light_of(exposure: SimulatedExposure, options: NightOptions) -> Light | None:
    """Give the light of an exposure; None for a bias or dark."""
    light = _unfiltered(exposure, options)
    if light is None or (exposure.pointing is None and not exposure.mode.is_notch_in_lamps):
        return light
    return _filtered(light, spectra.notch(exposure.mode))


def _filtered(light: Light, transmission: Floats | None) -> Light:
    """Let all light of an exposure through a filter."""
    if transmission is None:
        return light

    def through(table: Image) -> Image:
        return _single(settle(table * transmission, spectra.ROUNDING_E))

    return replace(
        light,
        uniform=through(light.uniform),
        sources=tuple(replace(source, table=through(source.table)) for source in light.sources),
        laser=None if light.laser is None else through(light.laser),
    )


def _unfiltered(exposure: SimulatedExposure, options: NightOptions) -> Light | None:
    illum = exposure.illum
    match exposure.tag:
        case "BIAS" | "DARK":
            return None
        case "ARC":
            return Light(_single(spectra.arc(exposure.lamp)))
        case "FLAT":
            return Light(_single(spectra.flat_lamp(FLAT_PEAK_E)))
        case "ILLUM":
            return Light(_single(spectra.flat_lamp(ILLUM_PEAK_E)), illum=illum)
        case "SKYFLAT":
            level = TWILIGHT_PEAK_E * (1.0 - 0.12 * (exposure.template_number - 1))
            table = spectra.twilight(level, effective_airmass(exposure))
            return Light(_single(table), on_sky=True, illum=illum)
        case _:
            return _starlight(exposure, options)


def electrons(exposure: SimulatedExposure, light: Light | None, ifu: int) -> Image | None:
    """Give the expected electrons in each pixel of an IFU's trimmed image, (4112, 4096); None for a bias."""
    if exposure.tag == "BIAS":
        return None
    image = np.zeros((NY, NX), dtype=np.float32)
    if light is not None:
        for model in ifu_model(ifu):
            image[:, model.columns] += _slice_light(model, light, ifu)
        image *= _response(ifu)
    add_dark(image, detector(ifu), exposure.exptime_s)
    return image


@lru_cache(maxsize=4)
def _response(ifu: int) -> Image:
    return pixel_response(detector(ifu))


def _single(table: Floats) -> Image:
    return table.astype(np.float32)


def _starlight(exposure: SimulatedExposure, options: NightOptions) -> Light:
    """Give the light of the night sky and of what stands in it."""
    assert exposure.pointing is not None
    airmass = effective_airmass(exposure)
    scales = tuple(exposure.air_level + 0.015 * np.sin(2.0 * k + exposure.number) for k in range(len(GROUPS)))
    pointing = exposure.pointing
    centre = extent(options.sorted_ifus).centre
    angle = parallactic_angle_deg(pointing.ra_deg, pointing.dec_deg, exposure.middle)
    mode, scale = exposure.mode, scale_of(exposure.mode)
    return Light(
        _single(spectra.night_sky(exposure.exptime_s, airmass, scales, scale)),
        tuple(_spread(source, exposure, centre, airmass) for source in _sources(exposure, options)),
        on_sky=True,
        illum=exposure.illum,
        airmass=1.0 if mode.field.is_refraction_corrected else airmass,
        zenith_deg=angle,
        weather=air(exposure),
        laser=_single(spectra.laser_light(exposure.exptime_s, airmass, scale)) if mode.has_lasers else None,
        spaxel_arcsec=mode.field.spaxel_arcsec,
    )


def _sources(exposure: SimulatedExposure, options: NightOptions) -> tuple[Source, ...]:
    if exposure.tag == "STD":
        return (standard_star(exposure.mode),)
    return scene(options, exposure.target_number, exposure.mode) if exposure.tag == "OBJECT" else ()


def _spread(
    source: Source, exposure: SimulatedExposure, centre: tuple[float, float], airmass: float
) -> SpreadSource:
    """Give a source as an exposure sees it: its place by the true pointing, its spectrum as observed."""
    pointing = exposure.pointing
    assert pointing is not None
    if exposure.tag == "STD":
        west, north = source.west, source.north
    else:
        target = target_position_deg(exposure.target_number)
        ra, dec = offset_position_deg(*target, source.west, source.north)
        west, north = plane_offset_arcsec(ra, dec, *pointing.true_position)
    wave = grid()
    stretch = 1.0
    if exposure.tag == "OBJECT":
        stretch = barycentric_factor(pointing.ra_deg, pointing.dec_deg, exposure.middle)
    counts = spectra.electrons_per_flux() * spectra.atmosphere(airmass) * exposure.exptime_s
    table = source.continuum(wave * stretch) * counts
    for line in source.lines:
        observed = line.wavelength_a / stretch
        per_flux = np.interp(observed, wave, counts / dispersion_a(wave))
        spectra.line_electrons(table, observed, line.flux * float(per_flux), line.sigma_a)
    spaxel = exposure.mode.field.spaxel_arcsec
    spread = tuple(
        (weight, sigma / spaxel) for weight, sigma in point_spread(pointing.seeing_arcsec, source.size_arcsec)
    )
    place = centre[0] + west / spaxel, centre[1] + north / spaxel
    return SpreadSource(*place, spread, _single(settle(table, spectra.ROUNDING_E)))


def _slice_light(model: SliceModel, light: Light, ifu: int) -> Image:
    """Give the electrons of one slice over its rectangle of the image."""
    width = SLICE_WIDTH_PX / float(np.mean(model.width_px))
    image = _look_up(light.uniform, model.cell, model.fraction)
    image *= np.float32(round(width, 7))
    if light.laser is not None:
        image += _look_up(light.laser, model.cell, model.fraction) * _laser_share(model, ifu)
    if light.sources:
        _add_sources(image, model, light, ifu)
    image *= model.transmission
    image *= np.float32(_slice_factor(model.number, light, ifu))
    return image


def _laser_share(model: SliceModel, ifu: int) -> Image:
    """Give the scattered laser light of a slice's pixels relative to that in the middle of the field."""
    edges = _edges_spaxels(model, slice(0, model.transmission.shape[1]))
    x = patch(ifu, model.number).x + 0.5 * (edges[:, :-1] + edges[:, 1:])
    return _rows_between(1.0 + LASER_GRADIENT * x / 150.0)


def _look_up(table: Image, cell: NDArray[np.int32], fraction: Image) -> Image:
    """Interpolate a table linearly between the points of the fine grid."""
    value = np.take(np.diff(table), cell)
    value *= fraction
    value += np.take(table, cell)
    return value


def _slice_factor(number: int, light: Light, ifu: int) -> float:
    """Give a slice's illumination: against the lamp flats, and by the telescope."""
    draw = float(random_stream("illumination", ifu, number).uniform(-1.0, 1.0))
    factor = 1.0 + 0.02 * light.illum * draw
    if light.on_sky:
        place = patch(ifu, number)
        factor *= 1.0 + _GRADIENT[0] * place.x / 150.0 + _GRADIENT[1] * place.y / 150.0
    return round(factor, 7)


def _add_sources(image: Image, model: SliceModel, light: Light, ifu: int) -> None:
    rows = np.arange(1, NY + NODE_ROWS, NODE_ROWS, dtype=np.float64)
    shift = _refraction_spaxels(wavelength_a(ifu, model.number, height(rows), np.zeros_like(rows)), light)
    place = patch(ifu, model.number)
    for source in light.sources:
        if abs(source.y - place.y) > _REACH_SPAXELS:
            continue
        columns = _columns(model, source.x - place.x)
        if columns is None:
            continue
        edges = _edges_spaxels(model, columns) - (source.x - place.x + shift[0])[:, None]
        above = place.y - source.y - shift[1]
        share = np.zeros((len(rows), edges.shape[1] - 1))
        for weight, sigma in source.spread:
            along = np.diff(-normal_cdf(edges / sigma), axis=1)
            across = normal_cdf((above + 0.5) / sigma) - normal_cdf((above - 0.5) / sigma)
            share += weight * along * across[:, None]
        part = _look_up(source.table, model.cell[:, columns], model.fraction[:, columns])
        image[:, columns] += part * _rows_between(share)


def _refraction_spaxels(wave: Floats, light: Light) -> tuple[Floats, Floats]:
    """Give how far refraction moves light of some wavelengths, in spaxels west and north."""
    towards = np.array(
        [
            refraction_arcsec(float(w), REFERENCE_A, light.airmass, light.weather) / light.spaxel_arcsec
            for w in wave
        ]
    )
    angle = np.radians(light.zenith_deg)
    return -np.sin(angle) * towards, np.cos(angle) * towards


def _columns(model: SliceModel, x: float) -> slice | None:
    """Give the columns of a slice's rectangle near a place (spaxels from its middle); None without any."""
    middle = len(model.along) // 2
    width = float(model.width_px[middle])
    # Inside a slice the sky runs against the columns of the detector.
    column = (-x / SLICE_LENGTH - float(model.along[middle])) * width
    # Slices lean by up to twelve pixels between the middle and the ends of the detector.
    reach = _REACH_SPAXELS + 12.0
    count = model.transmission.shape[1]
    first, last = max(int(column - reach), 0), min(int(column + reach) + 1, count)
    return slice(first, last) if first < last else None


def _edges_spaxels(model: SliceModel, columns: slice) -> Floats:
    """Give where the borders of some columns lie on the sky, (node, border), in spaxels from the middle."""
    borders = np.arange(columns.start, columns.stop + 1) - 0.5
    along = (
        model.along.astype(np.float64)[:, None]
        + borders[None, :] / model.width_px.astype(np.float64)[:, None]
    )
    return np.asarray(-SLICE_LENGTH * along)


def _rows_between(nodes: Floats) -> Image:
    """Interpolate (node, column) linearly to all rows of the detector."""
    step = (np.arange(NODE_ROWS) / NODE_ROWS)[None, :, None]
    rows = nodes[:-1, None, :] + (nodes[1:] - nodes[:-1])[:, None, :] * step
    return rows.reshape(-1, nodes.shape[1])[:NY].astype(np.float32)
