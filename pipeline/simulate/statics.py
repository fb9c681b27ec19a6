"""The static calibrations that go with a simulated night, in the forms the recipes read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from pipeline.modes import DEFAULT_MODE, MODES, NARROW, Mode
from pipeline.simulate import field, spectra
from pipeline.simulate.airglow import SkyLine, raman_lines, sky_lines
from pipeline.simulate.detector import detector, raw_position
from pipeline.simulate.frames import header, write_hdus
from pipeline.simulate.headers import Cards
from pipeline.simulate.lamps import CATALOGUE_SCALE, arc_lines
from pipeline.simulate.mathematics import Floats, settle_digits, smooth_interp
from pipeline.simulate.optics import N_SLICES
from pipeline.simulate.options import N_IFUS, NIGHT_START
from pipeline.simulate.scene import STANDARD_DEC_DEG, STANDARD_NAME, STANDARD_RA_DEG, standard_star
from pipeline.simulate.sky import mjd

_FILTERS = {
    # name: lower half-light point, upper half-light point, width of the edges, peak; Angstrom
    "white": (4650.0, 9300.0, 1.0, 1.0),
    "Johnson_B": (3950.0, 4880.0, 160.0, 0.90),
    "Johnson_V": (5050.0, 5900.0, 150.0, 0.92),
    "Cousins_R": (5750.0, 7150.0, 180.0, 0.95),
    "SDSS_g": (4000.0, 5450.0, 90.0, 0.97),
    "SDSS_r": (5560.0, 6950.0, 70.0, 0.98),
    "SDSS_i": (6880.0, 8200.0, 80.0, 0.98),
}
"""Smoothed boxes about where the pass bands of these names lie; not their published curves."""

_HOT, _DEAD = 256, 8192
"""Euro3D flags of a hot pixel and of one that does not answer to light."""

Columns = list[tuple[str, str, str, Any]]


def write_statics(directory: Path, modes: tuple[str, ...] = (DEFAULT_MODE,)) -> tuple[Path, ...]:
    """Write all static calibrations; the same for every night of the same modes.

    Parameters
    ----------
    directory : Path
        Where they go; made if need be.
    modes : tuple of str
        Instrument modes: those of the wide field without lasers are always served.

    Returns
    -------
    tuple of Path
        The files, by name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in static_names(modes):
        category, make = _STATICS[name]
        path = directory / name
        write_hdus(path, make(category))
        paths.append(path)
    return tuple(paths)


def static_names(modes: tuple[str, ...] = (DEFAULT_MODE,)) -> tuple[str, ...]:
    """Name the files that exposures of some modes need, sorted."""
    wanted = [MODES[name] for name in modes]
    return tuple(
        sorted(
            name
            for name in _STATICS
            if name not in _ONLY_FOR or any(_ONLY_FOR[name](mode) for mode in wanted)
        )
    )


def _primary(
    category: str, extra: Cards | None = None, data: Any = None, mode: Mode = MODES[DEFAULT_MODE]
) -> Any:
    cards: Cards = [
        ("ORIGIN", "ESO", "Clio's simulator, in the form of ESO's archive"),
        ("TELESCOP", "ESO-VLT-U4", "Telescope"),
        ("INSTRUME", "MUSE", "Instrument"),
        ("DATE-OBS", NIGHT_START.strftime("%Y-01-01T00:00:00.000"), "Valid from"),
        ("MJD-OBS", round(mjd(NIGHT_START.replace(month=1, day=1, hour=0)), 8), "[d] valid from"),
        ("ESO INS MODE", mode.name, "Instrument mode"),
        ("ESO INS OPTI2 NAME", mode.field.name, "Field"),
        ("ESO PRO CATG", category, "Category"),
    ]
    return fits.PrimaryHDU(data=data, header=header([*cards, *(extra or [])]))


def _table(columns: Columns, name: str = "", extra: Cards | None = None) -> Any:
    cards: Cards = [("EXTNAME", name, "")] if name else []
    made = [
        fits.Column(
            name=label,
            format=form,
            unit=unit or None,
            array=settle_digits(array) if form[-1] in "DE" else array,
        )
        for label, form, unit, array in columns
    ]
    return fits.BinTableHDU.from_columns(made, header=header([*cards, *(extra or [])]))


def _of_narrow_field() -> Mode:
    return next(mode for mode in MODES.values() if mode.field == NARROW)


def _geometry(category: str, mode: Mode = MODES[DEFAULT_MODE]) -> list[Any]:
    keys = [(ifu, number) for ifu in range(1, N_IFUS + 1) for number in range(N_SLICES)]
    patches = [field.patch(ifu, number) for ifu, number in keys]
    count = len(keys)
    columns: Columns = [
        ("SubField", "1J", "", np.array([ifu for ifu, _ in keys])),
        ("SliceCCD", "1J", "", np.array([number + 1 for _, number in keys])),
        ("SliceSky", "1J", "", np.array([patch.sky_slice for patch in patches])),
        ("x", "1D", "pix", np.array([patch.x for patch in patches])),
        ("y", "1D", "pix", np.array([patch.y for patch in patches])),
        ("angle", "1D", "deg", np.zeros(count)),
        ("width", "1D", "pix", np.full(count, field.SLICE_LENGTH)),
    ]
    columns += [
        (f"{name}err", "1D", unit, np.full(count, error))
        for name, unit, error in (
            ("x", "pix", 0.02),
            ("y", "pix", 0.02),
            ("angle", "deg", 0.01),
            ("width", "pix", 0.05),
        )
    ]
    return [_primary(category, mode=mode), _table(columns)]


def _narrow_geometry(category: str) -> list[Any]:
    """Give the geometry of the narrow field: the slicers are the same, and places count in spaxels."""
    return _geometry(category, _of_narrow_field())


def _astrometry(category: str, mode: Mode = MODES[DEFAULT_MODE]) -> list[Any]:
    scale = mode.field.spaxel_arcsec / 3600.0
    cards: Cards = [
        ("WCSAXES", 2, ""),
        ("CRPIX1", 0.0, "[pix] from the centre of the data"),
        ("CRPIX2", 0.0, "[pix] from the centre of the data"),
        ("CD1_1", -scale, "[deg]"),
        ("CD1_2", 0.0, "[deg]"),
        ("CD2_1", 0.0, "[deg]"),
        ("CD2_2", scale, "[deg]"),
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
    ]
    return [_primary(category, cards, mode=mode)]


def _narrow_astrometry(category: str) -> list[Any]:
    return _astrometry(category, _of_narrow_field())


def _badpix(category: str) -> list[Any]:
    hdus = [_primary(category)]
    for ifu in range(1, N_IFUS + 1):
        defects = detector(ifu).defects
        places = [raw_position(defect.x, defect.y) for defect in defects]
        status = [_HOT if defect.response else _DEAD for defect in defects]
        columns: Columns = [
            ("xpos", "1J", "pix", np.array([x for x, _ in places])),
            ("ypos", "1J", "pix", np.array([y for _, y in places])),
            ("status", "1J", "", np.array(status)),
            ("value", "1E", "count", np.array([defect.dark_e_h for defect in defects])),
        ]
        hdus.append(_table(columns, f"CHAN{ifu:02d}"))
    return hdus


def _vignetting(category: str) -> list[Any]:
    """Mark the lower right corner of the field, where the real instrument was vignetted at first."""
    y, x = np.mgrid[0:300, 0:320]
    return [_primary(category, data=((x - 320) ** 2 + y**2 < 60**2).astype(np.int32))]


def _standard(category: str) -> list[Any]:
    wave = np.arange(3500.0, 10500.1, 5.0)
    flux = standard_star().continuum(wave)
    columns: Columns = [
        ("lambda", "1D", "Angstrom", wave),
        ("flux", "1D", "erg/s/cm**2/Angstrom", flux),
        ("fluxerr", "1D", "erg/s/cm**2/Angstrom", 0.005 * flux),
    ]
    place: Cards = [("RA", STANDARD_RA_DEG, "[deg]"), ("DEC", STANDARD_DEC_DEG, "[deg]")]
    return [_primary(category), _table(columns, STANDARD_NAME, place)]


def _extinction(category: str) -> list[Any]:
    wave = np.arange(3900.0, 9700.1, 25.0)
    columns: Columns = [
        ("lambda", "1D", "Angstrom", wave),
        ("extinction", "1D", "mag/airmass", smooth_interp(wave, spectra.EXTINCTION)),
    ]
    return [_primary(category), _table(columns)]


def _line_catalogue(category: str) -> list[Any]:
    lines = arc_lines()
    columns: Columns = [
        ("lambda", "1E", "Angstrom", np.array([line.wavelength_a for line in lines])),
        ("flux", "1E", "", np.array([CATALOGUE_SCALE * line.electrons for line in lines])),
        ("ion", "8A", "", np.array([line.ion for line in lines])),
        ("quality", "1J", "", np.array([line.quality for line in lines])),
        ("comment", "20A", "", np.array(["simulated strength" for _ in lines])),
    ]
    return [_primary(category, [("VERSION", 3, "Version of the form")]), _table(columns)]


def _sky_lines(category: str) -> list[Any]:
    return _lines(category, sky_lines())


def _raman_lines(category: str) -> list[Any]:
    return _lines(category, raman_lines(), MODES["WFM-AO-N"])


def _lines(category: str, lines: tuple[SkyLine, ...], mode: Mode = MODES[DEFAULT_MODE]) -> list[Any]:
    columns: Columns = [
        ("name", "20A", "", np.array([line.name for line in lines])),
        ("group", "1J", "", np.array([line.group for line in lines])),
        ("lambda", "1D", "Angstrom", np.array([line.wavelength_a for line in lines])),
        ("flux", "1D", "10**(-20)*erg/(s cm^2 arcsec^2)", np.array([line.flux for line in lines])),
        ("dq", "1J", "", np.zeros(len(lines))),
    ]
    return [_primary(category, mode=mode), _table(columns, "LINES")]


def _filters(category: str) -> list[Any]:
    hdus = [_primary(category)]
    for name, (low, high, edge, peak) in _FILTERS.items():
        wave = np.arange(low - 4 * edge, high + 4 * edge, max(edge / 10, 1.0))
        columns: Columns = [
            ("lambda", "1D", "Angstrom", wave),
            ("throughput", "1D", "", peak * _pass_band(wave, low, high, edge)),
        ]
        hdus.append(_table(columns, name))
    return hdus


def _pass_band(wave: Floats, low: float, high: float, edge: float) -> Floats:
    rise, fall = np.tanh((wave - low) / edge), np.tanh((high - wave) / edge)
    return np.clip(0.5 * (rise + fall), 0.0, 1.0)


_STATICS: dict[str, tuple[str, Callable[[str], list[Any]]]] = {
    "geometry_table_wfm.fits": ("GEOMETRY_TABLE", _geometry),
    "astrometry_wcs_wfm.fits": ("ASTROMETRY_WCS", _astrometry),
    "badpix_table.fits": ("BADPIX_TABLE", _badpix),
    "vignetting_mask.fits": ("VIGNETTING_MASK", _vignetting),
    "std_flux_table.fits": ("STD_FLUX_TABLE", _standard),
    "extinct_table.fits": ("EXTINCT_TABLE", _extinction),
    "line_catalog.fits": ("LINE_CATALOG", _line_catalogue),
    "sky_lines.fits": ("SKY_LINES", _sky_lines),
    "filter_list.fits": ("FILTER_LIST", _filters),
    "geometry_table_nfm.fits": ("GEOMETRY_TABLE", _narrow_geometry),
    "astrometry_wcs_nfm.fits": ("ASTROMETRY_WCS", _narrow_astrometry),
    "raman_lines.fits": ("RAMAN_LINES", _raman_lines),
}
"""By name of the file, as those who know the delivered set expect it."""
_ONLY_FOR: dict[str, Callable[[Mode], bool]] = {
    "geometry_table_nfm.fits": lambda mode: mode.field == NARROW,
    "astrometry_wcs_nfm.fits": lambda mode: mode.field == NARROW,
    "raman_lines.fits": lambda mode: mode.has_lasers,
}
"""Files that only some modes need."""
