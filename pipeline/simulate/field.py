"""The image slicers: which patch of the sky falls on which slice. Pure.

Positions are in spaxels from the centre of the full field; x runs west, y north at position angle 0. The
narrow field is simulated as the wide one, scene and point-spread function included, shrunk by `scale_of`.
"""

from dataclasses import dataclass

from pipeline.modes import WIDE, Mode

SPAXEL_ARCSEC = WIDE.spaxel_arcsec
"""Of the wide field."""
SLICE_LENGTH = 75.5
"""Length of a slice in spaxels."""
ROWS_PER_IFU = 12

_SKY_OF_STACK = (9, 8, 1, 10, 7, 2, 11, 6, 3, 12, 5, 4)
"""Sky slice of the first twelve slices on the detector; the other stacks follow by adding 12, 24 and 36."""
_STACK_X = (-113.31, -37.77, 37.77, 113.31)


def scale_of(mode: Mode) -> float:
    """Give the size of a mode's spaxels in units of those of the wide field."""
    return mode.field.spaxel_arcsec / SPAXEL_ARCSEC


@dataclass(frozen=True, slots=True)
class Patch:
    """The sky seen by one slice."""

    sky_slice: int
    """Number on the sky, 1 to 48."""
    x: float
    """Centre in spaxels, west."""
    y: float
    """Centre in spaxels, north."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The rectangle that the slices of some IFUs span, in spaxels."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    @property
    def centre(self) -> tuple[float, float]:
        """What the recipes take for the pointing: the middle of the data there are."""
        return (self.x_low + self.x_high) / 2, (self.y_low + self.y_high) / 2


def patch(ifu: int, number: int) -> Patch:
    """Give the patch of a slice.

    Parameters
    ----------
    ifu : int
        1 to 24; y grows with it.
    number : int
        Slice on the detector, 0 to 47.
    """
    stack, within = divmod(number, ROWS_PER_IFU)
    row = _SKY_OF_STACK[within] - 1
    y = ROWS_PER_IFU * (ifu - 12.5) + row - 5.5
    return Patch(_SKY_OF_STACK[within] + ROWS_PER_IFU * stack, _STACK_X[stack], y)


def extent(ifus: tuple[int, ...]) -> Extent:
    """Give the rectangle of pixel positions of some IFUs.

    Notes
    -----
    In y it runs from the middle of the lowest row to the middle of the highest: all pixels of a slice are put
    at its middle, and the recipes look at pixel positions.
    """
    half = _STACK_X[-1] + SLICE_LENGTH / 2
    rows = [patch(ifu, number).y for ifu in ifus for number in range(ROWS_PER_IFU)]
    return Extent(-half, half, min(rows), max(rows))


def bands(ifus: tuple[int, ...]) -> tuple[tuple[float, float], ...]:
    """Give the stretches in y (spaxels, lower and upper edge) that get stars: two IFUs high if possible."""
    runs: list[list[int]] = []
    for ifu in sorted(ifus):
        if runs and ifu == runs[-1][-1] + 1 and len(runs[-1]) < 2:
            runs[-1].append(ifu)
        else:
            runs.append([ifu])
    return tuple((ROWS_PER_IFU * (run[0] - 13.0), ROWS_PER_IFU * (run[-1] - 12.0)) for run in runs)
