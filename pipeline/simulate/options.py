"""What a simulated night is made of, as a person asks for it. Light: imports neither numpy nor astropy."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import UsageError
from pipeline.modes import DEFAULT_MODE, MODES, Mode

NIGHT_START = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC)
"""Noon before the night. A fixed date: a simulated night must not depend on the day it is written."""

MAX_EXPOSURES = 24
"""Object exposures of ten minutes that fit between the standard star and dawn; an observing block more costs
as much as one of them."""
MAX_TARGETS = 6

DEFAULT_TARGET = "CLIO-FIELD"

COMPRESSIONS = ("none", "fz")
N_IFUS = 24


@dataclass(frozen=True, slots=True)
class ObservingBlock:
    """What is observed in one go: a target, in a mode, with a sky exposure; a dataset of the reduction."""

    number: int
    """From 0, in order of time."""
    target: int
    """Number of the target, from 0."""
    mode: Mode


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
    """Number of dithered exposures of the object, in each observing block."""
    seed: int = 1
    """Seed of the noise, the scene and the pointing errors; the instrument is the same for all seeds."""
    compress: str = "none"
    """`none`, or `fz` for Rice-compressed `.fits.fz` files."""
    jobs: int | None = None
    """Processes; None for one a core. Never changes a byte."""
    modes: tuple[str, ...] = (DEFAULT_MODE,)
    """Instrument modes; each gets its calibrations, but for biases and darks, which serve all."""
    targets: tuple[str, ...] = (DEFAULT_TARGET,)
    """Names of the targets, a field of its own each."""
    datasets: int = 0
    """Observing blocks of each target; they take the modes in turn. 0 for as many as the modes need."""

    def __post_init__(self) -> None:
        _check_ifus(self.ifus)
        _check_modes(self.modes)
        _check_targets(self.targets)
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
        _check_blocks(self)

    @property
    def sorted_ifus(self) -> tuple[int, ...]:
        """The IFUs in ascending order; the order in which they were asked for does not matter."""
        return tuple(sorted(self.ifus))

    @property
    def blocks(self) -> tuple[ObservingBlock, ...]:
        """The observing blocks, target by target; the modes take turns."""
        each = self.datasets or -(-len(self.modes) // len(self.targets))
        return tuple(
            ObservingBlock(number, number // each, MODES[self.modes[number % len(self.modes)]])
            for number in range(each * len(self.targets))
        )


def _check_ifus(ifus: tuple[int, ...]) -> None:
    if not ifus:
        raise UsageError("no IFU to simulate", f"name one or more of 1 to {N_IFUS}")
    outside = [ifu for ifu in ifus if not 1 <= ifu <= N_IFUS]
    if outside:
        raise UsageError(f"there is no IFU {outside[0]}", f"IFUs are numbered 1 to {N_IFUS}")
    twice = sorted({ifu for ifu in ifus if ifus.count(ifu) > 1})
    if twice:
        raise UsageError(f"IFU {twice[0]} is named twice", "name each IFU once")


def _check_modes(modes: tuple[str, ...]) -> None:
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes:
        what = f"there is no mode {unknown[0]}" if unknown else "no mode to simulate"
        raise UsageError(what, f"choose from {', '.join(MODES)}")
    _refuse_twice("mode", modes)


def _check_targets(targets: tuple[str, ...]) -> None:
    if not 1 <= len(targets) <= MAX_TARGETS:
        raise UsageError(f"cannot simulate {len(targets)} targets", f"name 1 to {MAX_TARGETS}")
    # A name becomes a card of 80 characters and a folder under products/.
    wrong = [name for name in targets if not 1 <= len(name) <= 30 or not name.isprintable() or "/" in name]
    if wrong:
        raise UsageError(f"{wrong[0]!r} is no name of a target", "give 1 to 30 characters, without a slash")
    _refuse_twice("target", targets)


def _refuse_twice(what: str, names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{what} {twice[0]} is named twice", f"name each {what} once")


def _check_blocks(options: NightOptions) -> None:
    if options.datasets < 0:
        raise UsageError(f"cannot simulate {options.datasets} datasets", "give 1 or more")
    count = len(options.blocks)
    if count < len(options.modes):
        raise UsageError(
            f"{count} observing blocks for {len(options.modes)} modes",
            "each mode needs one: give more --datasets or --targets",
        )
    if count * (options.exposures + 1) > MAX_EXPOSURES + 1:
        raise UsageError(
            f"a night has no room for {count} observing blocks of {options.exposures} exposures",
            f"blocks times (exposures + 1) may be {MAX_EXPOSURES + 1} at most",
        )
