"""The truth of a simulated night: what was put in, to compare with what comes out.

`truth.json` says it all but the spectra, `truth.fits` the same as tables, with spectra. Both follow from the
options alone.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from pipeline.replacing import replace_text
from pipeline.simulate.field import SPAXEL_ARCSEC, extent
from pipeline.simulate.frames import frame_name, header, write_hdus
from pipeline.simulate.night import SimulatedExposure, iso, night
from pipeline.simulate.options import NightOptions
from pipeline.simulate.render import REFERENCE_A
from pipeline.simulate.scene import (
    PSF,
    TARGET_DEC_DEG,
    TARGET_RA_DEG,
    Source,
    flux_density,
    scene,
)
from pipeline.simulate.sky import mjd, offset_position_deg

SCHEMA = "clio/simulated-night/1"
SPECTRUM_A = (4500.0, 9500.0, 0.5)
"""First and last wavelength and step of the spectra, in Angstrom, in air, seen from the barycentre."""


def truth_document(options: NightOptions) -> dict[str, Any]:
    """Give the truth as plain data: lists, numbers, words."""
    area = extent(options.sorted_ifus)
    return {
        "schema": SCHEMA,
        "options": {
            "ifus": list(options.sorted_ifus),
            "exposures": options.exposures,
            "seed": options.seed,
            "compress": options.compress,
        },
        "field": {
            "ra_deg": TARGET_RA_DEG,
            "dec_deg": TARGET_DEC_DEG,
            "width_arcsec": round((area.x_high - area.x_low) * SPAXEL_ARCSEC, 3),
            "height_arcsec": round((area.y_high - area.y_low + 1.0) * SPAXEL_ARCSEC, 3),
            "reference_wavelength_a": REFERENCE_A,
        },
        "psf": [{"weight": weight, "fwhm_per_seeing": width} for weight, width in PSF],
        "sources": [_source(source) for source in scene(options)],
        "exposures": [_exposure(exposure, options) for exposure in night(options)],
    }


def write_truth(directory: Path, options: NightOptions) -> tuple[Path, Path]:
    """Write `truth.json` and `truth.fits`."""
    document = truth_document(options)
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    path = directory / "truth.json"
    replace_text(path, text)
    tables = directory / "truth.fits"
    write_hdus(tables, _tables(document, options))
    return path, tables


def _source(source: Source) -> dict[str, Any]:
    ra, dec = offset_position_deg(TARGET_RA_DEG, TARGET_DEC_DEG, source.west, source.north)
    return {
        "name": source.name,
        "kind": "galaxy" if source.size_arcsec else "star",
        "ra_deg": round(ra, 8),
        "dec_deg": round(dec, 8),
        "west_arcsec": source.west,
        "north_arcsec": source.north,
        "v_mag": source.v_mag,
        "temperature_k": source.temperature_k,
        "size": [{"weight": weight, "sigma_arcsec": sigma} for weight, sigma in source.size_arcsec],
        "lines": [
            {
                "name": line.name,
                "wavelength_a": round(line.wavelength_a, 4),
                "sigma_a": round(line.sigma_a, 4),
                "flux": float(f"{line.flux:.4e}"),
            }
            for line in source.lines
        ],
    }


def _exposure(exposure: SimulatedExposure, options: NightOptions) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": exposure.name,
        "tag": exposure.tag,
        "file": frame_name(exposure, options),
        "date_obs": iso(exposure.start),
        "mjd_obs": round(mjd(exposure.start), 8),
        "exptime_s": exposure.exptime_s,
    }
    if exposure.pointing is not None:
        ra, dec = exposure.pointing.true_position
        entry |= {
            "ra_deg": exposure.pointing.ra_deg,
            "dec_deg": exposure.pointing.dec_deg,
            "true_ra_deg": round(ra, 8),
            "true_dec_deg": round(dec, 8),
            "error_west_arcsec": exposure.pointing.error_west,
            "error_north_arcsec": exposure.pointing.error_north,
            "seeing_arcsec": exposure.pointing.seeing_arcsec,
        }
    return entry


def _tables(document: dict[str, Any], options: NightOptions) -> list[Any]:
    first, last, step = SPECTRUM_A
    wave = np.arange(first, last + step / 2, step)
    sources = scene(options)
    entries = document["sources"]
    lines = [(entry["name"], line) for entry in entries for line in entry["lines"]]
    pointed = [entry for entry in document["exposures"] if "ra_deg" in entry]
    return [
        fits.PrimaryHDU(header=header([("SEED", options.seed, "Seed of the night")])),
        _table("SOURCES", entries, ("name", "kind", "ra_deg", "dec_deg", "v_mag")),
        _table(
            "LINES",
            [{"source": name, **line} for name, line in lines],
            ("source", "name", "wavelength_a", "sigma_a", "flux"),
        ),
        _table(
            "EXPOSURES",
            pointed,
            (
                "name",
                "tag",
                "date_obs",
                "ra_deg",
                "dec_deg",
                "error_west_arcsec",
                "error_north_arcsec",
                "seeing_arcsec",
            ),
        ),
        fits.BinTableHDU.from_columns(
            [
                fits.Column("wavelength", "1D", "Angstrom", array=wave),
                *(
                    fits.Column(source.name, "1E", "erg/s/cm**2/Angstrom", array=flux_density(source, wave))
                    for source in sources
                ),
            ],
            header=header([("EXTNAME", "SPECTRA", "")]),
        ),
    ]


def _table(name: str, entries: list[dict[str, Any]], keys: tuple[str, ...]) -> Any:
    columns = []
    for key in keys:
        values = [entry[key] for entry in entries]
        if all(isinstance(value, str) for value in values):
            width = max((len(value) for value in values), default=1)
            columns.append(fits.Column(key, f"{width}A", array=np.array(values, dtype=f"U{width}")))
        else:
            columns.append(fits.Column(key, "1D", array=np.array(values, dtype=float)))
    return fits.BinTableHDU.from_columns(columns, header=header([("EXTNAME", name, "")]))
