"""What a file of a tag holds: extensions, columns, units and keywords, as data; and whether a file does.

The recipes check next to nothing of this. Another table under EXTINCT_TABLE, one in nanometres or one that
runs backwards, costs the correction for extinction, and the run ends with status 0. So static calibrations
are checked by their headers when they are found, and by their numbers before a recipe gets them; products
are checked by both before they are believed.

References
----------
MUSE pipeline manual 2.8.7, appendix "Data formats"; static calibrations as delivered with it. Products as
its recipes made them of two IFUs. Whether a column's type and case matter was tried with EXTINCT_TABLE: a
column of floats, or LAMBDA for lambda, is not found by the recipe.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import keywords as kw
from pipeline.fitsfile import Hdu, Header, open_stream

if TYPE_CHECKING:
    from numpy import generic
    from numpy.typing import NDArray

_CHUNK = 1 << 20
_LEAST_A, _MOST_A = 1000.0, 30000.0
"""Wavelengths of anything MUSE knows, in Angstrom; nanometres and micrometres lie outside."""

FLUX = "erg"
"""What the unit of data calibrated in flux holds."""


@dataclass(frozen=True, slots=True)
class Part:
    """An extension that must be there: an image, or a table if columns are named."""

    name: str = ""
    """EXTNAME; empty for the first table, or for an image wherever it is."""
    columns: tuple[str, ...] = ()
    unit: str = ""
    """What BUNIT must hold."""
    is_each: bool = False
    """Every table of the file must be like this, and there is one at least."""
    least_rows: int = 1
    doubles: frozenset[str] = frozenset()
    """Columns that the recipe reads as doubles or not at all."""
    foreign: frozenset[str] = frozenset()
    """Columns that are a sign of another tag."""
    wavelengths: str = ""
    """A column of wavelengths in Angstrom that ascend."""
    is_whole: bool = False
    """No number of the columns may be missing; else one at least must be there."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What a file of a tag holds."""

    tag: str
    parts: tuple[Part, ...] = ()
    keywords: tuple[str, ...] = ()
    """Of the primary header."""
    one_of: tuple[str, ...] = ()
    """Keywords of which the primary header has one at least."""
    version: int | None = None
    """Value of VERSION in the primary header."""


_OF_LINES = frozenset({"group", "ion"})
"""Lists of lines have wavelengths and fluxes too."""


def _curve(*columns: str, is_each: bool = False, doubles: frozenset[str] = frozenset()) -> Part:
    return Part(
        columns=("lambda", *columns),
        is_each=is_each,
        doubles=doubles,
        foreign=_OF_LINES,
        wavelengths="lambda",
        is_whole=True,
    )


def _images(*names: str, unit: str = "") -> tuple[Part, ...]:
    """Describe images; the unit is that of the first, DATA."""
    return tuple(Part(name, unit=unit if n == 0 else "") for n, name in enumerate(names))


_LINES = Part("LINES", ("name", "group", "lambda", "flux"))

STATICS = {
    structure.tag: structure
    for structure in (
        Structure(
            "GEOMETRY_TABLE",
            (Part(columns=("SubField", "SliceCCD", "SliceSky", "x", "y", "angle", "width")),),
        ),
        Structure("ASTROMETRY_WCS", keywords=("CD1_1", "CD1_2", "CD2_1", "CD2_2")),
        Structure("EXTINCT_TABLE", (_curve("extinction", doubles=frozenset({"lambda", "extinction"})),)),
        Structure("STD_FLUX_TABLE", (_curve("flux", is_each=True),)),
        Structure("SKY_LINES", (_LINES,)),
        Structure("RAMAN_LINES", (_LINES,)),
        Structure("FILTER_LIST", (_curve("throughput", is_each=True),)),
        Structure("LINE_CATALOG", (Part(columns=("lambda", "flux", "ion", "quality")),), version=3),
        # An IFU without a bad pixel has a table without a row.
        Structure(
            "BADPIX_TABLE", (Part(columns=("xpos", "ypos", "status", "value"), is_each=True, least_rows=0),)
        ),
        Structure("VIGNETTING_MASK", (Part(),)),
        Structure("TELLURIC_REGIONS", (Part(columns=("lmin", "lmax", "bgmin", "bgmax")),)),
        Structure("OUTPUT_WCS"),
        Structure("SKY_MASK", (Part(),)),
    )
}
"""Static calibrations by tag; what is not here is none."""

_DETECTOR = _images("DATA", "DQ", "STAT")
_PIXELS = ("xpos", "ypos", "lambda", "data", "dq", "stat", "origin")


def _pixel_table(tag: str, unit: str, one_of: tuple[str, ...] = ()) -> Structure:
    parts = tuple(Part(name, unit=unit if name == "data" else "") for name in _PIXELS)
    return Structure(tag, parts, keywords=(kw.PIXTABLE_TYPE,), one_of=one_of)


PRODUCTS = {
    structure.tag: structure
    for structure in (
        *(Structure(f"MASTER_{what}", _DETECTOR) for what in ("BIAS", "DARK", "FLAT")),
        Structure("TRACE_TABLE", (Part(columns=("SliceNo", "Width", "tc0_00"), least_rows=48),)),
        Structure("WAVECAL_TABLE", (Part(columns=("SliceNo", "wlc00"), least_rows=48),)),
        Structure("LSF_PROFILE", _images("LSF_PROFILE")),
        Structure("TWILIGHT_CUBE", _images("DATA")),
        Structure("DATACUBE_SKYFLAT", _images("DATA", "STAT")),
        # Without the flux of the lamp flats, scipost takes the first IFU alone.
        *(
            _pixel_table(f"PIXTABLE_{what}", "count", (kw.FLAT_FLUX_LAMP, kw.FLAT_FLUX_SKY))
            for what in ("OBJECT", "SKY", "STD")
        ),
        Structure("DATACUBE_STD", _images("DATA", "STAT")),
        Structure("STD_FLUXES", _DETECTOR),
        Structure("STD_RESPONSE", (Part(columns=("lambda", "response", "resperr"), wavelengths="lambda"),)),
        # No band in the range of wavelengths: no row.
        Structure("STD_TELLURIC", (Part(columns=("lambda", "ftelluric", "ftellerr"), least_rows=0),)),
        Structure("SKY_MASK", (Part(),)),
        Structure("SKY_IMAGE", _images("DATA")),
        Structure("SKY_SPECTRUM", (Part(columns=("lambda", "data", "stat", "dq"), wavelengths="lambda"),)),
        Structure("SKY_LINES", (_LINES,)),
        Structure("SKY_CONTINUUM", (Part("CONTINUUM", ("lambda", "flux"), wavelengths="lambda"),)),
        Structure("DATACUBE_FINAL", _images("DATA", "STAT", unit=FLUX)),
        Structure("IMAGE_FOV", _images("DATA", unit=FLUX)),
        _pixel_table("PIXTABLE_REDUCED", FLUX),
        Structure("OFFSET_LIST", (Part(columns=("DATE_OBS", "MJD_OBS", "RA_OFFSET", "DEC_OFFSET")),)),
        Structure("SOURCE_LIST", (Part(columns=("X", "Y", "RA", "DEC")),)),
    )
}
"""Products by tag; what is not here is taken as it comes."""


def header_fault(structure: Structure, hdus: tuple[Hdu, ...]) -> str:
    """Say what the headers of a file lack of what its tag promises.

    Returns
    -------
    str
        To be read behind the tag, such as `without the column lambda`; empty for nothing.
    """
    primary = hdus[0].header
    if structure.version is not None and primary.get(kw.VERSION) != structure.version:
        return f"with {kw.VERSION} = {primary.get(kw.VERSION)}, expected {structure.version}"
    lacking = [name for name in structure.keywords if name not in primary]
    if lacking:
        return f"without {', '.join(lacking)}"
    if structure.one_of and not any(name in primary for name in structure.one_of):
        return f"without {' or '.join(structure.one_of)}"
    return next(filter(None, (_part_fault(part, hdus) for part in structure.parts)), "")


def number_fault(structure: Structure, path: Path, hdus: tuple[Hdu, ...]) -> str:
    """Say what is wrong with the numbers of a file whose headers are right.

    Notes
    -----
    Images are read only until a number is found, tables whole.

    Returns
    -------
    str
        To be read behind the tag; empty for nothing.

    Raises
    ------
    FitsError
        The file cannot be opened.
    """
    for part in structure.parts:
        for hdu in _found(part, hdus):
            fault = _table_fault(part, path, hdu) if part.columns else _image_fault(path, hdu)
            if fault:
                return fault
    return ""


def tables(hdus: tuple[Hdu, ...]) -> tuple[str, ...]:
    """Name the tables of a file: the filters of a FILTER_LIST, the stars of a STD_FLUX_TABLE."""
    return tuple(hdu.name for hdu in hdus[1:] if _is_table(hdu))


def read_table(path: Path, hdu: Hdu) -> "dict[str, NDArray[generic]]":
    """Read a table whole: column to values, one for each row; strings as bytes.

    Raises
    ------
    FitsError
        The file cannot be opened.
    """
    import numpy as np

    header = hdu.header
    fields = range(1, _int(header.get("TFIELDS")) + 1)
    names = [str(header.get(f"TTYPE{n}", "")) for n in fields]
    kind = np.dtype([(f"{n}", *_form(str(header.get(f"TFORM{n}", "")))) for n in fields])
    with open_stream(path) as stream:
        stream.seek(hdu.data_offset)
        data = stream.read(kind.itemsize * _int(header.get("NAXIS2")))
    rows = np.frombuffer(data, kind)
    return {name: rows[str(n)] for n, name in zip(fields, names, strict=True)}


def _part_fault(part: Part, hdus: tuple[Hdu, ...]) -> str:
    named = f" named {part.name}" if part.name else ""
    found = _found(part, hdus)
    if not part.columns:
        if not found:
            return f"without an image{named}"
        unit = str(found[0].header.get(kw.BUNIT) or "")
        if part.unit in unit:
            return ""
        expected = ": it is not calibrated in flux" if part.unit == FLUX else f", expected {part.unit}"
        return f"in {unit or 'no unit'}{expected}"
    if not found:
        return f"without a table{named}"
    return next(filter(None, (_columns_fault(part, hdu) for hdu in found)), "")


def _columns_fault(part: Part, hdu: Hdu) -> str:
    header = hdu.header
    forms = {
        str(header.get(f"TTYPE{n}", "")): str(header.get(f"TFORM{n}", ""))
        for n in range(1, _int(header.get("TFIELDS")) + 1)
    }
    where = f" in {hdu.name}" if part.is_each and hdu.name else ""
    lacking = [name for name in part.columns if name not in forms]
    if lacking:
        return f"without the column {', '.join(lacking)}{where}"
    strange = sorted(part.foreign & forms.keys())
    if strange:
        return f"with the column {', '.join(strange)}, which a list of lines has{where}"
    for name in sorted(part.doubles):
        if not forms[name].endswith("D"):
            return f"with {name} as {forms[name]}, expected doubles (D): the recipe would not read it"
    if _int(header.get("NAXIS2")) < part.least_rows:
        return f"with {_int(header.get('NAXIS2'))} rows, at least {part.least_rows} are needed{where}"
    unit = _unit(header, part.wavelengths)
    if unit and not unit.lower().startswith(("a", "0.1nm", "10**-10", "10^-10", "1e-10")):
        return f"with {part.wavelengths} in {unit}, expected Angstrom{where}"
    return ""


def _unit(header: Header, column: str) -> str:
    for n in range(1, _int(header.get("TFIELDS")) + 1):
        if column and header.get(f"TTYPE{n}") == column:
            return str(header.get(f"TUNIT{n}") or "").strip()
    return ""


def _found(part: Part, hdus: tuple[Hdu, ...]) -> list[Hdu]:
    """Find the extensions that a part speaks of."""
    if not part.columns:
        images = [hdu for hdu in hdus if part.name in ("", hdu.name) and _is_image(hdu)]
        return images[:1]
    named = [hdu for hdu in hdus[1:] if part.name in ("", hdu.name) and _is_table(hdu)]
    return named if part.is_each else named[:1]


def _is_table(hdu: Hdu) -> bool:
    return hdu.header.get("XTENSION") == "BINTABLE" and not _is_packed(hdu.header)


def _is_image(hdu: Hdu) -> bool:
    """Tell whether it holds an image; a packed one is stored as a table."""
    header = hdu.header
    is_plain = hdu.index == 0 or header.get("XTENSION") == "IMAGE"
    return hdu.data_size > 0 and (is_plain or _is_packed(header))


def _is_packed(header: Header) -> bool:
    return header.get("ZIMAGE") is True


def _image_fault(path: Path, hdu: Hdu) -> str:
    """Look for one number; only floating point can lack all of them."""
    import numpy as np

    kind = {-32: ">f4", -64: ">f8"}.get(_int(hdu.header.get("BITPIX")))
    if kind is None or _is_packed(hdu.header):
        return ""
    if any(np.isfinite(np.frombuffer(chunk, kind)).any() for chunk in _pixels(path, hdu)):
        return ""
    return f"whose {hdu.name or 'image'} holds no number at all"


def _pixels(path: Path, hdu: Hdu) -> Iterator[bytes]:
    """Read the pixels of an image without the padding behind them, which would pass for numbers."""
    header = hdu.header
    left = abs(_int(header.get("BITPIX"))) // 8
    for n in range(1, _int(header.get("NAXIS")) + 1):
        left *= _int(header.get(f"NAXIS{n}"))
    with open_stream(path) as stream:
        stream.seek(hdu.data_offset)
        while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _table_fault(part: Part, path: Path, hdu: Hdu) -> str:
    import numpy as np

    columns = read_table(path, hdu)
    where = f" in {hdu.name}" if part.is_each and hdu.name else ""
    for name in part.columns:
        values = columns[name]
        if values.dtype.kind != "f" or not len(values):
            continue
        finite = np.isfinite(values)
        if part.is_whole and not finite.all():
            return f"whose {name} is no number in {np.count_nonzero(~finite)} of {len(values)} rows{where}"
        if not finite.any():
            return f"whose {name} holds no number at all{where}"
    if not part.wavelengths or not len(columns[part.wavelengths]):
        return ""
    wave = columns[part.wavelengths].astype(float)
    if not (np.diff(wave) > 0).all():
        return f"whose {part.wavelengths} does not ascend{where}"
    if wave[0] < _LEAST_A or wave[-1] > _MOST_A:
        return f"whose {part.wavelengths} runs from {wave[0]:g} to {wave[-1]:g}, expected Angstrom{where}"
    return ""


_FORMS = {"L": "i1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_WIDE = {"X": 1 / 8, "C": 8, "M": 16, "P": 8, "Q": 16}


def _form(form: str) -> tuple[str] | tuple[str, tuple[int, ...]]:
    """Read TFORM as numpy knows it; what is no plain number or string is skipped over by its width."""
    digits = len(form) - len(form.lstrip("0123456789"))
    count, letter = int(form[:digits] or 1), form[digits : digits + 1]
    if letter == "A":
        return (f"S{count}",)
    if letter in _FORMS:
        return (_FORMS[letter],) if count == 1 else (_FORMS[letter], (count,))
    return (f"V{-int(-count * _WIDE.get(letter, 1) // 1)}",)


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
