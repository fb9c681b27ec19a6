"""The instrument modes: what differs between them, as one table.

What a mode changes for the recipes they find in the headers by themselves (the range they keep, the notch
they mask, the size of a spaxel, whether they correct refraction); it stands here for those who have to know
it beforehand: the plan, the simulator, and whoever looks at a cube.

References
----------
MUSE user manual, section on observing modes; MUSE pipeline 2.8.7: `muse_instrument.h` (ranges),
`muse_pfits.c` (names), `muse_wkf.oca` (filters, RAMAN_LINES), `muse_scipost` (share of the sky).
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the fore-optics."""

    name: str
    """WFM or NFM: the first word of a mode, and ESO INS OPTI2 NAME."""
    spaxel_arcsec: float
    is_refraction_corrected: bool
    """By the instrument itself, so that the recipes leave the refraction of the air alone."""


WIDE = Field("WFM", 0.2, False)
NARROW = Field("NFM", 0.025, True)


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode of the instrument."""

    name: str
    """ESO INS MODE."""
    field: Field
    first_a: float
    """First wavelength that muse_scibasic keeps (`crop`), in Angstrom."""
    notch_a: tuple[float, float] | None
    """Where the filter keeps the sodium lasers out: the recipes mask it, and a cube has no number there."""
    is_notch_in_lamps: bool
    """Whether the lamps shine through that filter too; the one of the narrow field stands before them."""
    has_lasers: bool
    """Whether their light is scattered by the air: RAMAN_LINES."""
    filter_name: str
    """ESO INS OPTI1 NAME, as simulated; ESO's workflow knows the nominal range by `Blue...`."""
    parameters: tuple[tuple[str, str, str], ...] = ()
    """Recipe, option and value that the workflow sets in this mode."""


LAST_A = 9350.0
"""Last wavelength that muse_scibasic keeps, in any mode."""

_WITH_LASERS = (("muse_scipost", "skymodel_fraction", "0.5"),)
"""Raman light is measured where there is no object; of less than half the field the recipe warns."""

MODES = MappingProxyType(
    {
        mode.name: mode
        for mode in (
            Mode("WFM-NOAO-N", WIDE, 4750.0, None, False, False, "Blue"),
            Mode("WFM-NOAO-E", WIDE, 4600.0, None, False, False, "Clear"),
            Mode("WFM-AO-N", WIDE, 4700.0, (5805.0, 5966.0), True, True, "Blue_NaD", _WITH_LASERS),
            Mode("WFM-AO-E", WIDE, 4600.0, (5755.0, 6008.0), True, True, "Clear_NaD", _WITH_LASERS),
            Mode("NFM-AO-N", NARROW, 4750.0, (5780.0, 6050.0), False, True, "Blue", _WITH_LASERS),
        )
    }
)
"""By name."""

DEFAULT_MODE = "WFM-NOAO-N"

AO_MODES = frozenset(mode.name for mode in MODES.values() if mode.has_lasers)
"""Modes with the lasers on."""

_EARLIER_NAMES = {"WFM-NONAO-N": "WFM-NOAO-N", "WFM-NONAO-E": "WFM-NOAO-E"}
"""Names of commissioning data that the recipes read as well."""


def mode_of(name: str) -> Mode | None:
    """Find a mode by ESO INS MODE; None for a name that is none.

    Notes
    -----
    The recipes take any other name for WFM-NOAO-E, without a word.

    Examples
    --------
    >>> mode_of("WFM-AO-N").notch_a
    (5805.0, 5966.0)
    >>> mode_of("WFM")
    """
    return MODES.get(_EARLIER_NAMES.get(name, name))
