"""The numbers of a column beside those of another, piece by piece: how many differ, and which most.

Owns what `pipeline.comparison.Tolerance` means for each sort of number. Where a value stands, and how it
comes from the file, is `pipeline.figures`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.columns import Column, Part, Sort
from pipeline.comparison import Tolerance

Array = NDArray[Any]
"""Of a column: one value after the other, as stored."""

Doubles = NDArray[np.float64]
Places = NDArray[np.intp]
Variances = Callable[[Places], Doubles]
"""Gives the variance at places of a piece."""

_LAST_PLACES = 4
"""Units in the last place that are rounding."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The value that moved most by a measure."""

    size: float
    index: int
    """Of the value in its column."""
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """Values that differ, with their places."""

    places: Places
    """In the piece."""
    old: Doubles
    new: Doubles
    delta: Doubles

    def only(self, chosen: NDArray[np.bool_]) -> "_Piece":
        return _Piece(self.places[chosen], self.old[chosen], self.new[chosen], self.delta[chosen])


class Tally:
    """Counts and measures what differs in a column.

    Parameters
    ----------
    column : Column
        What its values are.
    tolerance : Tolerance
        How far they may move.
    scale : callable
        Gives the mean of its |values|; asked once at most, and only where it decides.
    """

    def __init__(self, column: Column, tolerance: Tolerance, scale: Callable[[], float]) -> None:
        self._column = column
        self._tolerance = tolerance
        self._scale = scale
        self._mean: float | None = None
        self.differing = 0
        self.beyond = 0
        self.alone = 0
        self.without_sigma = 0
        self.first: Peak | None = None
        self.largest: Peak | None = None
        self.in_sigma: Peak | None = None
        self.relative: Peak | None = None

    def add(self, start: int, old: Array, new: Array, variances: Variances | None = None) -> None:
        """Count and measure a piece.

        Parameters
        ----------
        start : int
            Index of its first value in the column.
        old, new : array, shape (n,)
            As stored.
        variances : callable, optional
            Gives the variances of values of the piece; None if the column has none.
        """
        places = differing(old, new)
        if not places.size:
            return
        self.differing += int(places.size)
        if self._column.sort is Sort.FLOAT:
            self._add_floats(start, places, old, new, variances)
            return
        self.beyond += int(places.size)
        if self._column.sort is Sort.INTEGER:
            self._add_integers(start, places, old, new)
        else:
            self._note_first(start, places, old, new)

    def _add_integers(self, start: int, places: Places, old: Array, new: Array) -> None:
        x, y = old[places].astype(np.int64), new[places].astype(np.int64)
        # Wraps around and is right all the same: the difference of two int64 fits an uint64.
        delta = np.where(x > y, x - y, y - x).view(np.uint64)
        n = int(delta.argmax())
        size = float(delta[n]) * abs(self._column.scale)
        self.largest = self._larger(self.largest, size, start, int(places[n]), old, new)

    def _add_floats(
        self, start: int, places: Places, old: Array, new: Array, variances: Variances | None
    ) -> None:
        is_all = places.size == old.size
        x, y = ((side if is_all else side[places]).astype(np.float64) for side in (old, new))
        with np.errstate(all="ignore"):
            piece = _Piece(places, x, y, np.abs(x - y))
            if not np.isfinite(piece.delta.max()):
                piece = self._numbers(piece, start, old, new)
            if not piece.delta.size:
                return
            n = int(piece.delta.argmax())
            size = float(piece.delta[n])
            self.largest = self._larger(self.largest, size, start, int(piece.places[n]), old, new)
            if variances is not None:
                piece = self._by_sigma(piece, variances(piece.places), start, old, new)
            if piece.delta.size:
                self._by_value(piece, start, old, new)

    def _numbers(self, piece: _Piece, start: int, old: Array, new: Array) -> _Piece:
        """Leave out what is no number, or infinite; count it unless the other side is so too."""
        is_number = np.isfinite(piece.old) & np.isfinite(piece.new)
        is_alike = (piece.old == piece.new) | (np.isnan(piece.old) & np.isnan(piece.new))
        alone = piece.places[~is_number & ~is_alike]
        if alone.size:
            self.alone += int(alone.size)
            self.beyond += int(alone.size)
            self._note_first(start, alone, old, new)
        return piece.only(is_number)

    def _by_sigma(self, piece: _Piece, variance: Doubles, start: int, old: Array, new: Array) -> _Piece:
        """Measure in sigmas what can be, and give back the rest."""
        rest = piece.only(np.zeros(piece.delta.size, bool))
        is_known = (variance > 0) & (variance < np.inf)
        if not is_known.all():
            rest = piece.only(~is_known)
            self.without_sigma += int(rest.delta.size)
            piece, variance = piece.only(is_known), variance[is_known]
        if piece.delta.size:
            sigmas = piece.delta / np.sqrt(variance)
            n = int(sigmas.argmax())
            self.in_sigma = self._larger(
                self.in_sigma, float(sigmas[n]), start, int(piece.places[n]), old, new
            )
            if sigmas[n] > self._tolerance.sigma:
                failed = piece.only(sigmas > self._tolerance.sigma)
                self.beyond += int((failed.delta > self._rounding * _size(failed)).sum())
        return rest

    def _by_value(self, piece: _Piece, start: int, old: Array, new: Array) -> None:
        """Measure beside the values."""
        size = _size(piece)
        relative = np.divide(piece.delta, size, out=np.zeros_like(size), where=size > 0)
        n = int(relative.argmax())
        self.relative = self._larger(self.relative, float(relative[n]), start, int(piece.places[n]), old, new)
        limit = max(self._limit, self._rounding)
        if relative[n] > limit:
            failed = piece.delta[relative > limit]
            if self._column.part is Part.VALUE:
                failed = failed[failed > self._limit * self._typical()]
            self.beyond += int(failed.size)

    def _note_first(self, start: int, places: Places, old: Array, new: Array) -> None:
        if self.first is None:
            self.first = self._peak(0.0, start, int(places[0]), old, new)

    @property
    def _limit(self) -> float:
        match self._column.part:
            case Part.VALUE:
                return self._tolerance.relative
            case Part.VARIANCE:
                return self._tolerance.variance
            case Part.POSITION:
                return self._tolerance.position

    @property
    def _rounding(self) -> float:
        return _LAST_PLACES * float(np.finfo(self._column.dtype).eps)

    def _typical(self) -> float:
        if self._mean is None:
            self._mean = self._scale()
        return self._mean

    def _larger(
        self, known: Peak | None, size: float, start: int, place: int, old: Array, new: Array
    ) -> Peak | None:
        if known is not None and known.size >= size:
            return known
        return self._peak(size, start, place, old, new)

    def _peak(self, size: float, start: int, place: int, old: Array, new: Array) -> Peak:
        return Peak(size, start + place, shown(self._column, old[place]), shown(self._column, new[place]))


def differing(old: Array, new: Array) -> Places:
    """Find where two pieces have other bits."""
    size = old.dtype.itemsize
    one, other = np.ascontiguousarray(old), np.ascontiguousarray(new)
    if size in (1, 2, 4, 8):
        return np.flatnonzero(one.view(f"u{size}") != other.view(f"u{size}"))
    rows = [side.view(np.uint8).reshape(side.size, size) for side in (one, other)]
    return np.flatnonzero((rows[0] != rows[1]).any(axis=1))


def shown(column: Column, value: Any) -> str:
    """Write a value as a person does, scaled as the header says."""
    match column.sort:
        case Sort.TEXT:
            return repr(bytes(value).split(b"\0")[0].decode("latin-1").rstrip())
        case Sort.TRUTH:
            return {ord("T"): "T", ord("F"): "F"}.get(int(value), "undefined")
        case Sort.BYTES:
            return f"0x{int(value):02x}"
        case Sort.INTEGER:
            if column.scale == 1 and float(column.zero).is_integer():
                return str(int(value) + int(column.zero))
            return str(int(value) * column.scale + column.zero)
        case Sort.FLOAT:
            return str(value)


def _size(piece: _Piece) -> Doubles:
    """Give the larger |value| of each pair."""
    return np.maximum(np.abs(piece.old), np.abs(piece.new))
