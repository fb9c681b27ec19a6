"""The truth of a simulated night: what was put in, to compare with what comes out.

`truth.json` says it all but the spectra, `truth.fits` the same as tables, with spectra. Both follow from the
options alone.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from pipeline.modes import DEFAULT_MODE, WIDE, Mode
from pipeline.replacing import replace_text
from pipeline.simulate.field import SPAXEL_ARCSEC, extent
from pipeline.simulate.frames import frame_name, header, write_hdus
from pipeline.simulate.night import SimulatedExposure, iso, night
from pipeline.simulate.options import DEFAULT_TARGET, NightOptions
from pipeline.simulate.render import REFERENCE_A
from pipeline.simulate.scene import PSF, Source, flux_density, scene, target_position_deg
from pipeline.simulate.sky import mjd, offset_position_deg

SCHEMA = "clio/simulated-night/1"
SPECTRUM_A = (4500.0, 9500.0, 0.5)
"""First and last wavelength and step of the spectra, in Angstrom, in air, seen from the barycentre."""


def truth_document(options: NightOptions) -> dict[str, Any]:
    """Give the truth as plain data: lists, numbers, words.

    Notes
    -----
    What is as by default is left out: `modes`, `targets` and `datasets` of the options; `target` and `field`
    of a source (the first target, WFM); `mode` of an exposure (WFM-NOAO-N), and its `target` if there is one.
    """
    area = extent(options.sorted_ifus)
    ra, dec = target_position_deg(0)
    return {
        "schema": SCHEMA,
        "options": {
            "ifus": list(options.sorted_ifus),
            "exposures": options.exposures,
            "seed": options.seed,
            "compress": options.compress,
            **_unusual(options),
        },
        "field": {
            "ra_deg": ra,
            "dec_deg": dec,
            "width_arcsec": round((area.x_high - area.x_low) * SPAXEL_ARCSEC, 3),
            "height_arcsec": round((area.y_high - area.y_low + 1.0) * SPAXEL_ARCSEC, 3),
            "reference_wavelength_a": REFERENCE_A,
        },
        "psf": [{"weight": weight, "fwhm_per_seeing": width} for weight, width in PSF],
        "sources": [_source(*shown) for shown in _sources(options)],
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


def _unusual(options: NightOptions) -> dict[str, Any]:
    """Give the options that say more than one target in one mode."""
    said: dict[str, Any] = {}
    if options.modes != (DEFAULT_MODE,):
        said["modes"] = list(options.modes)
    if options.targets != (DEFAULT_TARGET,):
        said["targets"] = list(options.targets)
    if len(options.blocks) > 1:
        said["datasets"] = len(options.blocks) // len(options.targets)
    return said


def _sources(options: NightOptions) -> list[tuple[Source, int, Mode]]:
    """List the sources of every field that is looked at, with the number of the target and a mode."""
    shown = {(block.target, block.mode.field.name): block for block in reversed(options.blocks)}
    return [
        (source, target, block.mode)
        for (target, _), block in sorted(shown.items(), key=lambda item: item[1].number)
        for source in scene(options, target, block.mode)
    ]


def _source(source: Source, target: int, mode: Mode) -> dict[str, Any]:
    ra, dec = offset_position_deg(*target_position_deg(target), source.west, source.north)
    return {
        **({"target": target + 1} if target else {}),
        **({"field": mode.field.name} if mode.field != WIDE else {}),
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
        **({"mode": exposure.mode.name} if exposure.mode.name != DEFAULT_MODE else {}),
        **({"target": exposure.target_number + 1} if exposure.target_number else {}),
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
    sources = [source for source, _, _ in _sources(options)]
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
