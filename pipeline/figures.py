"""The data of two HDUs measured beside each other: by how much they differ, how many values, and where.

Reads in pieces and never holds a data unit; pieces of the same bytes are not looked into. Needs numpy, so it
is loaded where data differ, and not before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.columns import Column, Layout, Sort, layout_of
from pipeline.comparison import Extreme, Figures, Tolerance
from pipeline.fitsdata import FitsData, Unit
from pipeline.fitsdigest import CHUNK
from pipeline.tally import Array, Doubles, Peak, Places, Tally, Variances
from pipeline.whereabouts import Whereabouts

ANOTHER_ORDER = "the same rows in another order"
_PADDING = "bytes that hold no value differ"

_VARIANCE_OF = {"DATA": "STAT", "data": "stat"}
"""Image, or column, and where its variance is; an image may name another as ERRDATA."""

_MIXING = (
    (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(31)),
    (np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x94D049BB133111EB), np.uint64(29)),
)
"""Seed, odd factor and shift of each half of the hash of a row."""


@dataclass(frozen=True, slots=True)
class _Side:
    """An HDU of one of the files."""

    unit: Unit
    layout: Layout


@dataclass(frozen=True, slots=True)
class _Sides:
    """An HDU of both."""

    old: _Side
    new: _Side

    def pieces(self, first: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        """Read rows of both from a row on; as many as both have."""
        layout = self.old.layout
        rows = min(layout.rows, self.new.layout.rows)
        step = max(1, CHUNK // max(1, layout.row_size))
        for start in range(first, rows, step):
            count = min(step, rows - start) * layout.row_size
            at = start * layout.row_size
            yield start, self.old.unit.read(at, count), self.new.unit.read(at, count)


class Measurer:
    """Measures the data of two files.

    Parameters
    ----------
    old, new : FitsData
        Both open.
    tolerance : Tolerance
        How far numbers may move.
    """

    def __init__(self, old: FitsData, new: FitsData, tolerance: Tolerance) -> None:
        self._old, self._new = old, new
        self._tolerance = tolerance
        self._where = Whereabouts(old)

    def measure(self, index: int, start: int) -> tuple[Figures, ...]:
        """Measure an HDU whose data differ.

        Parameters
        ----------
        index : int
            Of the HDU, in both.
        start : int
            A byte before which the data are the same.

        Returns
        -------
        tuple of Figures
            For the image, or for each column that differs; one for all of a table whose rows are the same in
            another order, or that has more rows on one side; one for what lies behind the values.
        """
        sides = self._sides(index)
        old, new = sides.old.layout, sides.new.layout
        if old.rows != new.rows:
            return (self._more_rows(index, old.rows, new.rows),)
        found = tuple(self._columns(index, sides, start // max(1, old.row_size)))
        if not old.axes and any(figures.differing > 1 or figures.notes for figures in found):
            moved = _reordered([sides])
            if moved is not None:
                return (self._in_another_order(index, "", old.rows, *moved),)
        return found or (self._of_table(index, "", old.rows, 0, 0, _PADDING),)

    def measure_pixel_table(self, parts: Sequence[int]) -> Figures | None:
        """Measure a pixel table, whose rows are each spread over seven images, as a whole.

        Parameters
        ----------
        parts : sequence of int
            Its images.

        Returns
        -------
        Figures or None
            None if its rows have to be looked at image by image: there are as many as before, with others.
        """
        pairs = [self._sides(index) for index in parts]
        old, new = (pairs[0].old.layout.rows, pairs[0].new.layout.rows)
        if old != new:
            return self._more_rows(parts[0], old, new, "pixel table")
        moved = _reordered(pairs)
        return self._in_another_order(parts[0], "pixel table", old, *moved) if moved else None

    def _sides(self, index: int) -> _Sides:
        old, new = (_Side(data.unit(index), layout_of(data.hdus[index])) for data in (self._old, self._new))
        return _Sides(old, new)

    def _columns(self, index: int, sides: _Sides, first: int) -> Iterator[Figures]:
        layout = sides.old.layout
        plain = [column for column in layout.columns if not column.descriptor]
        tallies = {column: Tally(column, self._tolerance, partial(_mean, sides, column)) for column in plain}
        errors = self._errors_of_image(index)
        for start, old, new in sides.pieces(first):
            if old != new:
                one, other = _Rows(layout, old), _Rows(layout, new)
                for column in plain:
                    beside = _errors_of_column(layout, column, one, other)
                    variances = beside if errors is None else errors.of(start)
                    values = one.values(column), other.values(column)
                    tallies[column].add(start * column.repeat, *values, variances)
        for column in layout.columns:
            if column.descriptor:
                yield from self._variable(index, sides, column)
            elif tallies[column].differing:
                yield self._figures(index, column, layout.rows * column.repeat, tallies[column])

    def _errors_of_image(self, index: int) -> "_ImageErrors | None":
        """Find the image that holds the variance of another."""
        hdu, layout = self._old.hdus[index], layout_of(self._old.hdus[index])
        name = str(hdu.header.get("ERRDATA") or _VARIANCE_OF.get(hdu.name, ""))
        found = [i for i, other in enumerate(self._old.hdus) if name and other.name == name]
        if not layout.axes or not found or found[0] >= len(self._new.hdus):
            return None
        sides = self._sides(found[0])
        is_like = all(
            side.layout.axes == layout.axes and side.layout.columns[0].sort is Sort.FLOAT
            for side in (sides.old, sides.new)
        )
        is_variance = self._old.hdus[found[0]].header.get("HDUCLAS3", "MSE") == "MSE"
        return _ImageErrors(sides) if is_like and is_variance else None

    def _variable(self, index: int, sides: _Sides, column: Column) -> Iterator[Figures]:
        """Measure a column whose cells are arrays of any length in the heap, cell by cell."""
        longest = max((max(cell.size for cell in cells) for _, *cells in _cells(sides, column)), default=1)
        column = replace(column, repeat=max(1, longest))
        tally = Tally(column, self._tolerance, lambda: 0.0)
        resized = values = 0
        for row, old, new in _cells(sides, column):
            values += old.size
            if old.size == new.size:
                tally.add(row * column.repeat, old, new)
            else:
                resized += 1
        if tally.differing or resized:
            notes = (f"{resized} cells of another length",) if resized else ()
            figures = self._figures(index, column, values, tally, notes)
            yield replace(figures, differing=tally.differing + resized, beyond=tally.beyond + resized)

    def _figures(
        self,
        index: int,
        column: Column,
        values: int,
        tally: Tally,
        notes: tuple[str, ...] = (),
    ) -> Figures:
        def extreme(peak: Peak | None) -> Extreme | None:
            if peak is None:
                return None
            return Extreme(peak.size, peak.old, peak.new, self._where.of(index, column, peak.index))

        return Figures(
            hdu=index,
            name=self._old.hdus[index].name,
            column=column.name,
            unit=column.unit,
            values=values,
            differing=tally.differing,
            beyond=tally.beyond,
            largest=extreme(tally.largest),
            in_sigma=extreme(tally.in_sigma),
            relative=extreme(tally.relative),
            first=extreme(tally.first),
            alone=tally.alone,
            without_sigma=tally.without_sigma,
            notes=notes,
        )

    def _in_another_order(self, index: int, name: str, rows: int, moved: int, first: int) -> Figures:
        place = self._where.of_row(index, first, (first + 1,))
        beyond = 0 if self._tolerance.any_order else moved
        found = self._of_table(index, name, rows, moved, beyond, ANOTHER_ORDER)
        return replace(found, first=Extreme(0.0, "", "", place))

    def _more_rows(self, index: int, old: int, new: int, name: str = "") -> Figures:
        more = abs(old - new)
        return self._of_table(index, name, max(old, new), more, more, f"{old} rows and {new} rows")

    def _of_table(
        self, index: int, name: str, values: int, differing: int, beyond: int, note: str
    ) -> Figures:
        name = name or self._old.hdus[index].name
        return Figures(index, name, "", "", values, differing, beyond, notes=(note,))


class _Rows:
    """Rows of a table, or pixels of an image, as arrays."""

    def __init__(self, layout: Layout, data: bytes) -> None:
        columns = layout.columns
        formats = [f"({column.repeat},){column.dtype}" for column in columns]
        for n, column in enumerate(columns):
            if column.descriptor:
                formats[n] = f"(2,){column.descriptor}"
        dtype = np.dtype(
            {
                "names": [str(column.offset) for column in columns],
                "formats": formats,
                "offsets": [column.offset for column in columns],
                "itemsize": layout.row_size,
            }
        )
        self._rows = np.frombuffer(data, dtype)

    def values(self, column: Column) -> Array:
        """Give the values of a column, one after the other; of one of variable length its descriptors."""
        return self._rows[str(column.offset)].reshape(-1)


class _ImageErrors:
    """The variance image of another image."""

    def __init__(self, sides: _Sides) -> None:
        self._sides = sides

    def of(self, start: int) -> Variances:
        """Give the variances of a piece: of each value the smaller one, so that neither file flatters."""

        def variances(places: Places) -> Doubles:
            layout = self._sides.old.layout
            at, count = (start + int(places[0])) * layout.row_size, int(places[-1] - places[0]) + 1
            old, new = (
                np.frombuffer(side.unit.read(at, count * layout.row_size), layout.columns[0].dtype)
                for side in (self._sides.old, self._sides.new)
            )
            return _smaller(old, new, places - places[0])

        return variances


def _errors_of_column(layout: Layout, column: Column, old: _Rows, new: _Rows) -> Variances | None:
    """Find the column that holds the variance of another."""
    name = _VARIANCE_OF.get(column.name)
    found = next((c for c in layout.columns if c.name == name and c.sort is Sort.FLOAT), None)
    if found is None or found.repeat != column.repeat or found.descriptor:
        return None
    errors = found
    return lambda places: _smaller(old.values(errors), new.values(errors), places)


def _smaller(old: Array, new: Array, places: Places) -> Doubles:
    if places.size != old.size:
        old, new = old[places], new[places]
    found = np.minimum(old, new)  # what is no number stays none
    return found.astype(np.float64)


def _mean(sides: _Sides, column: Column) -> float:
    """Give the mean of the |values| of a column, of both files together."""
    total, count = 0.0, 0
    for _, *pair in sides.pieces():
        for data in pair:
            values = np.abs(_Rows(sides.old.layout, data).values(column).astype(np.float64))
            is_number = np.isfinite(values)
            total += float(values.sum(where=is_number))
            count += int(is_number.sum())
    return total / count if count else 0.0


def _cells(sides: _Sides, column: Column) -> Iterator[tuple[int, Array, Array]]:
    """Read the cells of a column of variable length, row by row."""
    for start, *pair in sides.pieces():
        descriptors = [_Rows(sides.old.layout, data).values(column).reshape(-1, 2) for data in pair]
        for n, (old, new) in enumerate(zip(*descriptors, strict=True)):
            yield start + n, _cell(sides.old, column, *old), _cell(sides.new, column, *new)


def _cell(side: _Side, column: Column, count: int, offset: int) -> Array:
    dtype = np.dtype(column.dtype)
    size = max(0, int(count)) * dtype.itemsize
    data = side.unit.read(side.layout.heap + int(offset), size)
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)


def _reordered(sides: list[_Sides]) -> tuple[int, int] | None:
    """Tell whether two tables have the same rows in another order.

    Parameters
    ----------
    sides : list of _Sides
        Tables, or images, of the same number of rows that lie beside each other.

    Returns
    -------
    tuple of int, or None
        How many rows are others than before at their place, and the first of them from zero; None if the rows
        are not the same, or in the same order.

    Notes
    -----
    Compares the sums of 128-bit hashes of the rows, which do not depend on their order. Tables with columns
    of variable length are left out: of those no recipe makes any.
    """
    if any(column.descriptor for pair in sides for column in pair.old.layout.columns):
        return None
    rows = sides[0].old.layout.rows
    step = max(1, CHUNK // sum(pair.old.layout.row_size for pair in sides))
    sums = np.zeros((2, 2), np.uint64)
    moved, first = 0, rows
    for start in range(0, rows, step):
        count = min(step, rows - start)
        old = _words([pair.old for pair in sides], start, count)
        new = _words([pair.new for pair in sides], start, count)
        sums += np.stack([_hash_sum(old), _hash_sum(new)])
        differ = np.flatnonzero((old != new).any(axis=1))
        if differ.size:
            moved += int(differ.size)
            first = min(first, start + int(differ[0]))
    return (moved, first) if moved and (sums[0] == sums[1]).all() else None


def _words(sides: list[_Side], start: int, count: int) -> NDArray[np.uint64]:
    """Read rows that may lie in several units as words of 64 bits, shape (rows, words)."""
    parts = []
    for side in sides:
        size = side.layout.row_size
        data = side.unit.read(start * size, count * size)
        parts.append(np.frombuffer(data, np.uint8).reshape(count, size))
    width = sum(part.shape[1] for part in parts)
    filling = np.zeros((count, -width % 8), np.uint8)
    return np.hstack([*parts, filling]).view(np.uint64)


def _hash_sum(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sum up hashes of rows, two of 64 bits each, modulo 2^64."""
    sums = []
    for seed, factor, shift in _MIXING:
        hashes = np.full(words.shape[0], seed, np.uint64)
        for column in words.T:
            hashes = (hashes ^ column) * factor
            hashes ^= hashes >> shift
        sums.append((hashes * factor).sum(dtype=np.uint64))
    return np.array(sums, np.uint64)
