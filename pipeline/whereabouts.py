"""Where a value of a product stands: in the array, on the sky, in wavelength, in the instrument.

References
----------
Calabretta & Greisen (2002), A&A 395, 1077, section 2.4: from the native sphere to the sky. Units and meaning
of the columns of a pixel table: MUSE pipeline manual 2.8.7, appendix "Data formats".
"""

import math
import struct
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.columns import Column, Sort, layout_of, pixel_table
from pipeline.comparison import Place
from pipeline.fitsdata import FitsData
from pipeline.fitsfile import Hdu, Header

if TYPE_CHECKING:
    from astropy.wcs import WCS

_WCS_CARDS = ("CTYPE", "CUNIT", "CRVAL", "CRPIX", "CDELT", "CROTA", "CD", "PC", "PV", "PS", "NAXIS")
_WCS_SINGLE = ("WCSAXES", "LONPOLE", "LATPOLE", "RADESYS", "EQUINOX")
_RA, _DEC, _WAVELENGTH = "pos.eq.ra", "pos.eq.dec", "em.wl"
_PIXTABLE_WCS = "ESO DRS MUSE PIXTABLE WCS"


class Whereabouts:
    """Says where values of a file stand.

    Parameters
    ----------
    data : FitsData
        The file, open.
    """

    def __init__(self, data: FitsData) -> None:
        self._data = data
        self._layout = cache(lambda index: layout_of(data.hdus[index]))
        self._wcs = cache(lambda index: _wcs(data.hdus[index], len(self._layout(index).axes)))

    def of(self, index: int, column: Column, value: int) -> Place:
        """Say where a value stands.

        Parameters
        ----------
        index : int
            Of the HDU.
        column : Column
            Of its layout.
        value : int
            Its place in the column, from zero.
        """
        layout = self._layout(index)
        if not layout.axes:
            row, inner = divmod(value, column.repeat)
            return self.of_row(index, row, (row + 1, inner + 1) if column.repeat > 1 else (row + 1,))
        pixel = _unravelled(value, layout.axes)
        if index in pixel_table(self._data.hdus).values():
            return self._of_pixel(value)
        return _on_sky(self._wcs(index), pixel)

    def of_row(self, index: int, row: int, pixel: tuple[int, ...]) -> Place:
        """Say where a row of a table stands, by columns of its own; of a pixel table by its other images."""
        if index in pixel_table(self._data.hdus).values():
            return self._of_pixel(row)
        found = {
            column.name.lower(): self._cell(index, column, row)
            for column in self._layout(index).columns
            if column.sort is Sort.FLOAT and column.repeat == 1 and not column.descriptor
            if column.name.lower() in ("ra", "dec", "lambda", "wavelength")
        }
        return Place(pixel, found.get("ra"), found.get("dec"), found.get("lambda", found.get("wavelength")))

    def _of_pixel(self, row: int) -> Place:
        """Say where a row of a pixel table stands, which is the same row of seven images."""
        parts = pixel_table(self._data.hdus)
        x, y, wavelength, origin = (
            self._cell(parts[name], self._layout(parts[name]).columns[0], row)
            for name in ("xpos", "ypos", "lambda", "origin")
        )
        ra, dec = _sky_of_pixel(self._data.hdus[0].header, x, y)
        number = int(origin)  # the pipeline packs column, row, IFU and slice into 32 bits
        ifu, slice_ = (number >> 6 & 31) or None, (number & 63) or None
        return Place((row + 1,), ra, dec, wavelength, ifu, slice_)

    def _cell(self, index: int, column: Column, row: int) -> float:
        unit, size = self._data.unit(index), int(column.dtype[-1])
        data = unit.read(row * self._layout(index).row_size + column.offset, size)
        letter = {("f", 4): "f", ("f", 8): "d", ("i", 4): "i", ("i", 8): "q", ("i", 2): "h", ("u", 1): "B"}
        form = letter[column.dtype.lstrip(">")[0], size]
        return float(struct.unpack(f">{form}", data)[0])


def _unravelled(value: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Give the indices of FITS: the first axis runs fastest, and all count from one."""
    found = []
    for axis in axes:
        value, inner = divmod(value, axis)
        found.append(inner + 1)
    return tuple(found)


def _wcs(hdu: Hdu, naxis: int) -> "WCS | None":
    """Read the world coordinates of an image; None if it has none that anybody can read."""
    from astropy.io.fits import Header as FitsHeader
    from astropy.wcs import WCS

    header = FitsHeader()
    for keyword, value in hdu.header.items():
        if keyword in _WCS_SINGLE or keyword.rstrip("0123456789_").startswith(_WCS_CARDS):
            header[keyword] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old spellings, which it repairs
        try:
            return WCS(header, naxis=naxis)
        except Exception:  # astropy raises kinds of its own and of wcslib: then nobody knows where
            return None


def _on_sky(wcs: "WCS | None", pixel: tuple[int, ...]) -> Place:
    types: list[str | None] = list(wcs.world_axis_physical_types) if wcs is not None else []
    if wcs is None or not any(types):
        return Place(pixel)
    world: Any = wcs.wcs_pix2world([pixel], 1)[0]
    found: dict[str, float] = {}
    for kind, value in zip(types, world, strict=True):
        if kind is not None and math.isfinite(value):
            found[kind.partition(";")[0]] = float(value)  # ';obs.atmos' says that it is in air
    wavelength = found.get(_WAVELENGTH)  # in metres, whatever the header has: astropy's unit
    return Place(pixel, found.get(_RA), found.get(_DEC), wavelength_a=wavelength and wavelength * 1e10)


def _sky_of_pixel(header: Header, x: float, y: float) -> tuple[float | None, float | None]:
    """Give right ascension and declination of a row of a pixel table, once it is projected; else none."""
    ra, dec = header.get("RA"), header.get("DEC")
    is_projected = str(header.get(_PIXTABLE_WCS, "")).startswith("projected")
    if not is_projected or not isinstance(ra, float | int) or not isinstance(dec, float | int):
        return None, None
    return _from_native(x, y + math.pi / 2, math.radians(ra), math.radians(dec))


def _from_native(phi: float, theta: float, ra: float, dec: float) -> tuple[float, float]:
    """Turn a place on the native sphere, whose pole is on the sky at `ra` and `dec`; all in radians."""
    # The native longitude of the celestial pole is 180 degrees, as of every zenithal projection.
    x = math.sin(theta) * math.cos(dec) + math.cos(theta) * math.sin(dec) * math.cos(phi)
    y = math.cos(theta) * math.sin(phi)
    z = math.sin(theta) * math.sin(dec) - math.cos(theta) * math.cos(dec) * math.cos(phi)
    return math.degrees(ra + math.atan2(y, x)) % 360, math.degrees(math.asin(max(-1.0, min(1.0, z))))
