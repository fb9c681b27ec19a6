"""The two recipes of our own: align exposures with a reference image, and take offsets a person corrected."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from pipeline.own.program import Input, Refused
from pipeline.reference.image import Image, NoImage, read_image
from pipeline.reference.measure import Options, measure
from pipeline.reference.measured import Measured
from pipeline.reference.offsets import LIST, Row, lost_row, read_list, read_lost, row_of, write_list
from pipeline.reference.sheet import SheetError, merged, read_sheet

if TYPE_CHECKING:
    from pipeline.own.program import Call

UNMATCHED = "UNMATCHED"
"""Tag of the image of an exposure that was not matched; its name says which."""
_LEAST = 2
"""Exposures that must be matched, of two or more."""
_CERTAIN = 0.02
"""Largest relative error of a flux scale that is applied unless somebody insists."""
_TURNED = 0.1
"""Pixels by which a rotation moves the end of a field before it is worth a word."""


@dataclass(frozen=True, slots=True, eq=False)
class _Exposure:
    item: Input
    date: str
    """DATE-OBS."""
    mjd: float
    image: Image


def align(call: "Call") -> None:
    """Measure every exposure against the reference image, or against the first of them.

    Raises
    ------
    Refused
        An image cannot be read, or fewer than two exposures are matched.
    """
    call.raw_tags = frozenset({"IMAGE_FOV"})
    options = _options(call)
    exposures = sorted((_read(item) for item in call.tagged("IMAGE_FOV")), key=lambda e: e.date)
    references = call.tagged("REFERENCE_IMAGE")
    reference = _image(references[0]) if references else exposures[0].image
    rows: list[Row] = []
    lost: list[tuple[_Exposure, str]] = []
    for exposure in exposures:
        if not references and exposure is exposures[0]:
            dec = float(exposure.image.wcs.wcs.crval[1])
            rows.append(Row(exposure.date[:23], exposure.mjd, 0.0, 0.0, round(dec, 6)))
            continue
        told = measure(exposure.image, reference, options)
        call.say(f"{exposure.date}: {_in_words(exposure, told)}")
        if told.fault:
            lost.append((exposure, told.fault))
        else:
            rows.append(_row(call, exposure, reference, told, is_given=bool(references)))
    _require(rows, exposures, lost)
    for exposure, fault in lost:
        call.warn(f"exposure {exposure.date} was not matched and is left out of what follows: {fault}")
        call.save(f"{UNMATCHED}_{exposure.date}.fits", UNMATCHED, _picture(exposure, fault))
    hdus = write_list(tuple(rows), tuple(_lost(exposure) for exposure, _ in lost))
    _tell_quality(hdus[0].header, rows, len(exposures))
    call.save(f"{LIST}.fits", LIST, hdus)


def edit(call: "Call") -> None:
    """Take the offsets that a person corrected in place of those that were measured.

    Raises
    ------
    Refused
        The table is none, or was made for other offsets than these.
    """
    call.raw_tags = frozenset({LIST})
    path = call.tagged(LIST)[0].path
    measured = (*read_list(path), *read_lost(path))
    item = call.tagged("OFFSET_EDIT")[0]
    try:
        sheet = read_sheet(item.path)
        rows, changes = merged(measured, sheet)
    except SheetError as error:
        raise Refused(f"the table of offsets {error}; make it again with: clio align edit") from error
    unused = sheet.left_out()
    for date in unused:
        image = fits.HDUList([fits.PrimaryHDU()])
        image[0].header["DATE-OBS"] = date
        call.save(f"{UNMATCHED}_{date}.fits", UNMATCHED, image)
        call.warn(f"exposure {date} is left out of what follows by {sheet.by}: {sheet.why}")
    for change in changes:
        call.warn(f"{change} by {sheet.by}: {sheet.why}")
    hdus = write_list(rows, tuple(row for row in measured if row.date_obs in unused))
    hdus[0].header["EDITOR"] = sheet.by
    hdus[0].header["WHY"] = sheet.why
    call.save(f"{LIST}.fits", LIST, hdus)


def _lost(exposure: _Exposure) -> Row:
    return lost_row(exposure.date, exposure.mjd, float(exposure.image.wcs.wcs.crval[1]))


def _options(call: "Call") -> Options:
    names = ("search", "max_rotation", "fwhm", "overlap", "agreement", "distinct", "threshold", "max_error")
    return Options(rotation=call.flag("rotation"), **{name: call.number(name) for name in names})


def _image(item: Input) -> Image:
    try:
        return read_image(item.path)
    except (NoImage, OSError) as error:
        raise Refused(f"{item.tag} {item.name} {error}; give an image of the sky in FITS") from error


def _read(item: Input) -> _Exposure:
    try:
        header = fits.getheader(item.path)
        date, mjd = str(header["DATE-OBS"]), float(header["MJD-OBS"])
    except (OSError, KeyError) as error:
        raise Refused(f"{item.tag} {item.name} cannot be read: {error}") from error
    return _Exposure(item, date, mjd, _image(item))


def _row(call: "Call", exposure: _Exposure, reference: Image, told: Measured, *, is_given: bool) -> Row:
    """Write down a measurement, and whether the recipes are to scale by it."""
    wish = call.parameters["flux_scale"]
    is_same = _plain(exposure.image.unit) == _plain(reference.unit)
    is_certain = told.flux_scale_error < _CERTAIN * told.flux_scale and told.matched > 0
    applied = wish == "apply" or (wish == "auto" and is_given and is_same and is_certain)
    if wish == "apply" and not is_certain:
        call.warn(
            f"the flux scale of exposure {exposure.date} is uncertain by "
            f"{told.flux_scale_error / told.flux_scale:.1%}, and is applied as you said"
        )
    end = max(exposure.image.data.shape) / 2 * math.radians(told.rotation)
    if abs(told.rotation) > 3 * told.rotation_error and abs(end) > _TURNED:
        call.warn(
            f"exposure {exposure.date} is turned by {told.rotation:+.3f} degrees: the recipes shift, and do "
            "not turn"
        )
    return row_of(exposure.date, exposure.mjd, exposure.image.wcs.wcs.crval[1], told, applied=applied)


def _plain(unit: str) -> str:
    """Write a unit so that spellings of the same are one."""
    return unit.replace(" ", "").replace("**", "").replace("^", "").lower() or "none"


def _require(rows: list[Row], exposures: list[_Exposure], lost: list[tuple[_Exposure, str]]) -> None:
    least = min(_LEAST, len(exposures))
    if len(rows) < least:
        first, fault = lost[0]
        raise Refused(
            f"{len(rows)} of {len(exposures)} exposures are matched, at least {least} are needed; "
            f"{first.date}: {fault}"
        )


def _in_words(exposure: _Exposure, told: Measured) -> str:
    if told.fault:
        return f"not matched: {told.fault}"
    cos = math.cos(math.radians(exposure.image.wcs.wcs.crval[1]))
    return (
        f'east {told.ra_offset * 3600 * cos:+.4f}" +- {told.east_error:.4f}", north '
        f'{told.dec_offset * 3600:+.4f}" +- {told.north_error:.4f}", rotation {told.rotation:+.3f}, '
        f"flux scale {told.flux_scale:.4f} +- {told.flux_scale_error:.4f}, "
        f"background {told.background:.4g}, agreement "
        f'{told.agreement:.2f}, {told.matched} of {told.sources} sources, left {told.left[0]:+.4f}" '
        f'{told.left[1]:+.4f}"'
    )


def _picture(exposure: _Exposure, fault: str) -> fits.HDUList:
    """Show what was not matched."""
    head = fits.PrimaryHDU()
    head.header["DATE-OBS"] = exposure.date
    head.header["REASON"] = fault
    data = exposure.image.data.astype(np.float32)
    return fits.HDUList([head, fits.ImageHDU(data, exposure.image.wcs.to_header(), name="DATA")])


def _tell_quality(header: fits.Header, rows: list[Row], exposures: int) -> None:
    """Write the figures that a report shows."""
    quality = "HIERARCH ESO QC ALIGN"
    header[f"{quality} NEXP"] = exposures
    header[f"{quality} NMATCH"] = len(rows)
    for number, row in enumerate(rows, 1):
        header[f"{quality}{number} EAST"] = row.east
        header[f"{quality}{number} NORTH"] = row.north
        header[f"{quality}{number} ERROR"] = max(row.east_error, row.north_error)
        header[f"{quality}{number} FLUX"] = row.flux_scale
        header[f"{quality}{number} AGREE"] = row.agreement
