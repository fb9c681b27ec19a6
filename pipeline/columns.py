"""What the data of an HDU are made of: rows of columns, each of a type, with a part to play.

An image is one column whose rows are its pixels. Owns what header cards say of this, and no data.

References
----------
FITS Standard 4.0, sections 4.4.2.5 (scaling), 7.1 (images), 7.3 (binary tables).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

from pipeline.fitsfile import Hdu, Header, Value

_FORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(.*)")
_VARIABLE = re.compile(r"\d*[PQ]([LXBIJKAEDCM])")
_TYPES = {"I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "C": ">f4", "M": ">f8"}
_IMAGE_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_PIXELS = ("xpos", "ypos", "lambda", "data", "dq", "stat", "origin")
_POSITIONS = frozenset(("lambda", "wavelength", "xpos", "ypos", "ra", "dec", "x", "y"))
_UNITS_OF_POSITION = frozenset(("deg", "rad", "arcsec", "pix", "pixel", "angstrom", "nm", "um", "s", "d"))


class Part(Enum):
    """The part a column plays, which says by what it is measured."""

    VALUE = "value"
    VARIANCE = "variance"
    """A variance, or an error."""
    POSITION = "position"
    """A place on the sky or the detector, a wavelength, a time, or what they are computed with."""


class Sort(StrEnum):
    """What the values of a column are."""

    FLOAT = "float"
    INTEGER = "integer"
    TEXT = "text"
    TRUTH = "truth"
    BYTES = "bytes"
    """Bits, and whatever else is compared as it is."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, or an image."""

    name: str
    """Empty for an image."""
    sort: Sort
    dtype: str
    """Of a value, in numpy's words."""
    offset: int
    """Bytes before it in a row."""
    repeat: int
    """Values in a cell."""
    part: Part
    unit: str
    scale: float = 1.0
    zero: float = 0
    """What is added to a scaled value; an integer where the header has one."""
    descriptor: str = ""
    """Type of the descriptor of a column of variable length, which holds count and offset in the heap."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the data of an HDU are made of."""

    axes: tuple[int, ...]
    """Of an image, in the order of FITS; empty for a table."""
    rows: int
    row_size: int
    """Bytes."""
    columns: tuple[Column, ...]
    heap: int = 0
    """Bytes from the begin of the data to the heap of a table."""
    end: int = 0
    """Bytes of data without padding."""

    @property
    def shape(self) -> str:
        """Say what it is, without the number of rows of a table."""
        if self.axes:
            kind = f" of {self.columns[0].dtype}" if self.columns else ""
            return f"{' x '.join(map(str, self.axes))}{kind}"
        if not self.columns:
            return "empty"
        return ", ".join(f"{c.name} {c.repeat} x {c.descriptor}{c.dtype}" for c in self.columns)


def layout_of(hdu: Hdu) -> Layout:
    """Read from a header what the data are made of.

    Parameters
    ----------
    hdu : Hdu
        Unpacked.

    Notes
    -----
    Tables of characters and forms that are unknown are rows of bytes.
    """
    header = hdu.header
    axes = tuple(_count(header, f"NAXIS{n}") for n in range(1, _count(header, "NAXIS") + 1))
    if hdu.index and header.get("XTENSION") == "BINTABLE" and len(axes) == 2:
        return _table(header, *axes)
    if hdu.index and header.get("XTENSION") != "IMAGE":
        return _bytes(hdu)
    rows = 1 if axes else 0
    for axis in axes:
        rows *= axis
    if not rows and hdu.data_size:
        return _bytes(hdu)  # random groups, whose first axis is zero
    if not rows:
        return Layout(axes, 0, 1, ())
    column = _image(hdu)
    size = abs(_count(header, "BITPIX")) // 8
    return Layout(axes, rows, size, (column,), end=rows * size)


def pixel_table(hdus: Sequence[Hdu]) -> dict[str, int]:
    """Find the images that make up a pixel table, by name; empty if there is none.

    Parameters
    ----------
    hdus : sequence of Hdu
        All of a file.
    """
    found = {hdu.name: hdu.index for hdu in hdus}
    shapes = {layout_of(hdus[found[name]]).axes for name in _PIXELS if name in found}
    is_one = all(name in found for name in _PIXELS) and len(shapes) == 1
    return {name: found[name] for name in _PIXELS} if is_one else {}


def _image(hdu: Hdu) -> Column:
    header = hdu.header
    bitpix = _count(header, "BITPIX")
    unit = str(header.get("BUNIT") or "")
    is_error = header.get("HDUCLAS2") == "ERROR"
    part = Part.VARIANCE if is_error else _part(hdu.name, unit)
    return Column(
        name="",
        sort=Sort.FLOAT if bitpix < 0 else Sort.INTEGER,
        dtype=_IMAGE_TYPES[bitpix],
        offset=0,
        repeat=1,
        part=part,
        unit=unit,
        scale=_number(header.get("BSCALE"), 1.0),
        zero=_number(header.get("BZERO"), 0),
    )


def _table(header: Header, row_size: int, rows: int) -> Layout:
    columns = []
    offset = 0
    for n in range(1, _count(header, "TFIELDS") + 1):
        column, size = _column(header, n, offset)
        offset += size
        if column.repeat:
            columns.append(column)
    if offset != row_size:  # a form that is not understood: the rows are compared as they are
        columns = [Column("", Sort.BYTES, "u1", 0, row_size, Part.VALUE, "")]
    heap = _count(header, "THEAP", row_size * rows)
    return Layout((), rows, row_size, tuple(columns), heap, row_size * rows + _count(header, "PCOUNT"))


def _column(header: Header, n: int, offset: int) -> tuple[Column, int]:
    """Read a column of a table, and how many bytes of a row it takes."""
    name, unit = (str(header.get(f"{key}{n}") or "").strip() for key in ("TTYPE", "TUNIT"))
    form = str(header.get(f"TFORM{n}") or "").strip()
    match = _FORM.fullmatch(form)
    if match is None:
        return Column(name, Sort.BYTES, "u1", offset, 0, Part.VALUE, unit), 0
    repeat, letter = int(match[1] or 1), match[2]
    part = _part(name, unit)
    scale, zero = _number(header.get(f"TSCAL{n}"), 1.0), _number(header.get(f"TZERO{n}"), 0)
    if letter in "PQ":
        inner = _VARIABLE.match(form)
        of = inner[1] if inner else "B"
        sort, dtype, _ = _sort(of, 1)
        size = 8 if letter == "P" else 16
        descriptor = ">i4" if letter == "P" else ">i8"
        return Column(name, sort, dtype, offset, repeat, part, unit, scale, zero, descriptor), size * repeat
    sort, dtype, count = _sort(letter, repeat)
    width = int(dtype[1:]) if dtype.startswith("V") else int(dtype[-1])
    return Column(name, sort, dtype, offset, count, part, unit, scale, zero), width * count


def _sort(letter: str, repeat: int) -> tuple[Sort, str, int]:
    """Give sort, type of a value, and number of values of a cell."""
    match letter:
        case "A":
            return (Sort.TEXT, f"V{repeat}", 1) if repeat else (Sort.TEXT, "V1", 0)
        case "L":
            return Sort.TRUTH, "u1", repeat
        case "X":
            return Sort.BYTES, "u1", -(-repeat // 8)
        case "B":
            return Sort.INTEGER, "u1", repeat
        case "C" | "M":
            return Sort.FLOAT, _TYPES[letter], 2 * repeat
        case "E" | "D":
            return Sort.FLOAT, _TYPES[letter], repeat
    return Sort.INTEGER, _TYPES[letter], repeat


def _bytes(hdu: Hdu) -> Layout:
    """Take what is neither image nor binary table as it is, line by line."""
    width = max(1, _count(hdu.header, "NAXIS1", 1))
    rows = hdu.data_size // width
    column = Column("", Sort.BYTES, "u1", 0, width, Part.VALUE, "")
    return Layout((), rows, width, (column,) if rows else (), end=rows * width)


def _part(name: str, unit: str) -> Part:
    lower = name.lower()
    if lower == "stat" or lower.endswith("err"):
        return Part.VARIANCE
    if lower in _POSITIONS or unit.lower() in _UNITS_OF_POSITION:
        return Part.POSITION
    return Part.VALUE


def _count(header: Header, keyword: str, default: int = 0) -> int:
    value = header.get(keyword, default)
    return value if isinstance(value, int) else default


def _number(value: Value, default: float) -> float:
    return value if isinstance(value, int | float) and value else default
