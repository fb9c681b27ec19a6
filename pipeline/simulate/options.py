"""What a simulated night is made of, as a person asks for it. Light: imports neither numpy nor astropy."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import UsageError

NIGHT_START = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC)
"""Noon before the night. A fixed date: a simulated night must not depend on the day it is written."""

MAX_EXPOSURES = 24
"""Object exposures of ten minutes that fit between the standard star and dawn."""

COMPRESSIONS = ("none", "fz")
N_IFUS = 24


@dataclass(frozen=True, slots=True)
class NightOptions:
    """All that decides the bytes of a simulated night, and how many processes write it.

    Raises
    ------
    UsageError
        An option makes no sense; the message names it.
    """

    ifus: tuple[int, ...] = (1, 2)
    """IFUs with data, 1 to 24; the others are header-only extensions of a dead chip."""
    exposures: int = 3
    """Number of dithered exposures of the object."""
    seed: int = 1
    """Seed of the noise, the scene and the pointing errors; the instrument is the same for all seeds."""
    compress: str = "none"
    """`none`, or `fz` for Rice-compressed `.fits.fz` files."""
    jobs: int | None = None
    """Processes; None for one a core. Never changes a byte."""

    def __post_init__(self) -> None:
        _check_ifus(self.ifus)
        if not 1 <= self.exposures <= MAX_EXPOSURES:
            raise UsageError(
                f"cannot simulate {self.exposures} exposures of the object",
                f"a night has room for 1 to {MAX_EXPOSURES}",
            )
        if self.seed < 0:
            raise UsageError(f"the seed is {self.seed}", "give a whole number from 0 on")
        if self.compress not in COMPRESSIONS:
            raise UsageError(
                f"unknown compression `{self.compress}`", f"choose from {', '.join(COMPRESSIONS)}"
            )
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"cannot simulate with {self.jobs} processes", "give 1 or more")

    @property
    def sorted_ifus(self) -> tuple[int, ...]:
        """The IFUs in ascending order; the order in which they were asked for does not matter."""
        return tuple(sorted(self.ifus))


def _check_ifus(ifus: tuple[int, ...]) -> None:
    if not ifus:
        raise UsageError("no IFU to simulate", f"name one or more of 1 to {N_IFUS}")
    outside = [ifu for ifu in ifus if not 1 <= ifu <= N_IFUS]
    if outside:
        raise UsageError(f"there is no IFU {outside[0]}", f"IFUs are numbered 1 to {N_IFUS}")
    twice = sorted({ifu for ifu in ifus if ifus.count(ifu) > 1})
    if twice:
        raise UsageError(f"IFU {twice[0]} is named twice", "name each IFU once")
