"""Hold a reduced cube or a list of offsets against the truth of the night that it came from."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.modes import DEFAULT_MODE, MODES, WIDE, Mode
from pipeline.simulate.field import scale_of
from pipeline.simulate.mathematics import Floats
from pipeline.simulate.measure import (
    APERTURE_ARCSEC,
    BOX_ARCSEC,
    LINE_REACH_A,
    Frame,
    Gaussians,
    LineComparison,
    OffsetComparison,
    TruthComparison,
    measure_line,
    measure_star,
    offset_residuals,
    shares,
)
from pipeline.simulate.sky import plane_offset_arcsec

_LEAST_POINTS = 10
"""Wavelengths that a line must have around it to be measured; a notch leaves fewer."""


@dataclass(frozen=True, slots=True)
class Cube:
    """A reduced cube and the few words of its header that matter here."""

    data: NDArray[np.float32]
    """(wavelength, y, x) in 1e-20 erg/s/cm2/A."""
    stat: NDArray[np.float32]
    """Variance."""
    wave: Floats
    """In Angstrom, in air."""
    header: dict[str, float]
    """World coordinates: CRPIX, CRVAL, CD."""
    mode: Mode = MODES[DEFAULT_MODE]

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Which wavelengths have data anywhere: not those of a notch filter."""
        return np.asarray(np.isfinite(self.data).any(axis=(1, 2)))

    def frame(self, ra_deg: float, dec_deg: float, plane: Floats, variance: Floats) -> Frame:
        """Cut a box around a place out of an image of the cube's field.

        Distances are in arcsec of the wide field; those of the narrow one are eight times smaller.
        """
        card = self.header
        y, x = np.mgrid[0 : plane.shape[0], 0 : plane.shape[1]]
        dx, dy = x + 1 - card["CRPIX1"], y + 1 - card["CRPIX2"]
        west = -3600.0 * (card["CD1_1"] * dx + card["CD1_2"] * dy)
        north = 3600.0 * (card["CD2_1"] * dx + card["CD2_2"] * dy)
        place = plane_offset_arcsec(ra_deg, dec_deg, card["CRVAL1"], card["CRVAL2"])
        scale = scale_of(self.mode)
        west, north = (west - place[0]) / scale, (north - place[1]) / scale
        box = (np.abs(west) < BOX_ARCSEC) & (np.abs(north) < BOX_ARCSEC) & np.isfinite(plane)
        return Frame(west[box], north[box], plane[box], variance[box])


def compare_with_truth(cube: Path, truth: Path) -> TruthComparison:
    """Measure every star and the galaxy's lines in a reduced cube and compare with what was simulated.

    Parameters
    ----------
    cube : Path
        A DATACUBE_FINAL with extensions DATA and STAT, of any wavelength range.
    truth : Path
        `truth.json`; `truth.fits` must lie beside it.

    Notes
    -----
    The point-spread function is the mean of those of the object exposures of the cube's mode and target.
    Sources whose true place is not inside the cube are left out, and wavelengths without data.
    """
    document = json.loads(truth.with_suffix(".json").read_text(encoding="utf-8"))
    reduced = read_cube(cube)
    spectra = _read_spectra(truth.with_suffix(".fits"), reduced.wave)
    covered = reduced.covered
    finite = np.isfinite(reduced.data)
    count = np.maximum(finite.sum(axis=0), 1)
    mostly = finite.sum(axis=0) > 0.5 * np.count_nonzero(covered)
    white = np.where(mostly, np.nansum(reduced.data, axis=0, dtype=np.float64) / count, np.nan)
    variance = np.nansum(reduced.stat, axis=0, dtype=np.float64) / count.astype(np.float64) ** 2
    stars, lines = [], []
    scale = scale_of(reduced.mode)
    for source in document["sources"]:
        if source.get("field", WIDE.name) != reduced.mode.field.name:
            continue
        image = _image(document, source, reduced.mode)
        frame = reduced.frame(source["ra_deg"], source["dec_deg"], white, variance)
        if not np.any(np.hypot(frame.west, frame.north) < 0.3):
            continue
        if source["kind"] == "star":
            true_flux = float(np.mean(spectra[source["name"]][covered])) * 1e20
            star = measure_star(source["name"], frame, image, true_flux)
            west, north = scale * star.west_arcsec, scale * star.north_arcsec
            stars.append(replace(star, west_arcsec=west, north_arcsec=north))
        else:
            lines.extend(_galaxy_lines(reduced, source, image))
    return TruthComparison(tuple(stars), tuple(lines))


def compare_offsets(offset_list: Path, truth: Path) -> tuple[OffsetComparison, ...]:
    """Compare the offsets found by the alignment with the simulated pointing errors, sign included.

    Parameters
    ----------
    offset_list : Path
        An OFFSET_LIST.
    truth : Path
        `truth.json`.
    """
    from astropy.io import fits

    with fits.open(offset_list) as hdus:
        table = hdus[1].data
        found = {
            str(row["DATE_OBS"]).strip(): (float(row["RA_OFFSET"]), float(row["DEC_OFFSET"])) for row in table
        }
    document = json.loads(truth.with_suffix(".json").read_text(encoding="utf-8"))
    return offset_residuals(found, document)


def read_cube(path: Path) -> Cube:
    """Read a reduced cube."""
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdus:
        data, stat, header = hdus["DATA"].data, hdus["STAT"].data, hdus["DATA"].header
        step = header["CD3_3"] if "CD3_3" in header else header["CDELT3"]
        wave = header["CRVAL3"] + step * (np.arange(data.shape[0]) + 1 - header["CRPIX3"])
        keys = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
        mode = MODES[hdus[0].header.get("ESO INS MODE", DEFAULT_MODE)]
        return Cube(data, stat, wave, {key: float(header[key]) for key in keys}, mode)


def _galaxy_lines(cube: Cube, source: dict[str, Any], image: Gaussians) -> list[LineComparison]:
    """Measure the lines of the galaxy that the cube covers, in the spectrum of its aperture."""
    spectrum = np.empty(len(cube.wave))
    for k, plane in enumerate(cube.data):
        frame = cube.frame(source["ra_deg"], source["dec_deg"], plane.astype(np.float64), cube.stat[k])
        inside = np.hypot(frame.west, frame.north) < APERTURE_ARCSEC
        share = float(np.sum(shares(frame, image, 0.0, 0.0)[inside]))
        spectrum[k] = float(np.sum(frame.value[inside])) / share if share > 0 else np.nan
    good = np.isfinite(spectrum)
    wave, spectrum = cube.wave[good], 1e-20 * spectrum[good]
    return [
        measure_line(line["name"], wave, spectrum, line["wavelength_a"], line["flux"])
        for line in source["lines"]
        if wave[0] + 12.0 < line["wavelength_a"] < wave[-1] - 12.0
        and np.count_nonzero(np.abs(wave - line["wavelength_a"]) < LINE_REACH_A) >= _LEAST_POINTS
    ]


def _image(document: dict[str, Any], source: dict[str, Any], mode: Mode) -> Gaussians:
    """Give what a source looks like, as the mean over the object exposures of its target in a mode."""
    scale = scale_of(mode)
    seeing = [
        entry["seeing_arcsec"] / scale
        for entry in document["exposures"]
        if entry["tag"] == "OBJECT"
        and entry.get("mode", DEFAULT_MODE) == mode.name
        and entry.get("target") == source.get("target")
    ]
    own = [(part["weight"], part["sigma_arcsec"] / scale) for part in source["size"]] or [(1.0, 0.0)]
    return tuple(
        (
            part["weight"] * weight / len(seeing),
            math.hypot(part["fwhm_per_seeing"] * fwhm / 2.354820045, sigma),
        )
        for fwhm in seeing
        for part in document["psf"]
        for weight, sigma in own
    )


def _read_spectra(path: Path, wave: Floats) -> dict[str, Floats]:
    """Read the true spectra at some wavelengths, in erg/s/cm2/A."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        table = hdus["SPECTRA"].data
        grid = np.asarray(table["wavelength"], dtype=np.float64)
        return {
            name: np.interp(wave, grid, np.asarray(table[name], dtype=np.float64))
            for name in table.names
            if name != "wavelength"
        }
