"""The glow of the night sky: hydroxyl bands, oxygen and sodium lines, the continuum, and laser light. Pure.

Line positions inside a hydroxyl band follow from molecular constants (Hund's case between a and b; Herzberg
1950), hung on the measured position of the band's Q1(1.5) line; strengths are thermal at 190 K. Positions are
good to an Angstrom or so: a plausible sky, not an atlas.
"""

import math
from dataclasses import dataclass

from pipeline.simulate.mathematics import Floats, smooth_interp


@dataclass(frozen=True, slots=True)
class SkyLine:
    """A line of the airglow."""

    name: str
    group: int
    """Lines of one group vary together."""
    wavelength_a: float
    """In air."""
    flux: float
    """In 1e-20 erg/s/cm2/arcsec2, above the atmosphere."""


GROUPS = ("OI", "NaD", "OH v=4", "OH v=5", "OH v=6", "OH v=7", "OH v=8", "OH v=9")
"""Names of the groups; a hydroxyl group is all bands from one upper level."""

_ATOMS = (
    ("OI 5577", 0, 5577.339, 160000.0),
    ("OI 6300", 0, 6300.304, 90000.0),
    ("OI 6364", 0, 6363.776, 30000.0),
    ("NaI 5890", 1, 5889.951, 14000.0),
    ("NaI 5896", 1, 5895.924, 8000.0),
)
_BANDS = (
    # upper and lower level, Q1(1.5) in air, strength of that line in 1e-20 erg/s/cm2/arcsec2
    (4, 0, 7524.0, 6000.0),
    (5, 0, 6170.0, 1500.0),
    (5, 1, 7910.0, 18000.0),
    (6, 1, 6498.73, 6500.0),
    (6, 2, 8344.60, 42000.0),
    (7, 1, 5273.0, 900.0),
    (7, 2, 6863.96, 16000.0),
    (7, 3, 8827.0, 60000.0),
    (8, 2, 5886.0, 2500.0),
    (8, 3, 7276.41, 34000.0),
    (8, 4, 9378.0, 70000.0),
    (9, 3, 6256.0, 4500.0),
    (9, 4, 7746.0, 24000.0),
)
_KELVIN_PER_CM = 1.4388
_TEMPERATURE = 190.0
_MAX_N = 5

CONTINUUM = ((4250.0, 880.0), (5000.0, 900.0), (6000.0, 980.0), (7000.0, 960.0), (8000.0, 1020.0),
             (9000.0, 1180.0), (9650.0, 1250.0))  # fmt: skip
"""Wavelength and brightness in 1e-20 erg/s/cm2/A/arcsec2: a dark sky of about V = 21.5."""


def sky_lines() -> tuple[SkyLine, ...]:
    """Give the lines of the airglow, by wavelength, 4300 to 9600 Angstrom."""
    lines = [SkyLine(*atom) for atom in _ATOMS]
    for band in _BANDS:
        lines.extend(_band(*band))
    inside = [line for line in lines if 4300.0 < line.wavelength_a < 9600.0]
    return tuple(sorted(inside, key=lambda line: line.wavelength_a))


LASER_PER_CM = 16973.37
"""Wavenumber of the sodium lasers in vacuum: 5891.59 Angstrom."""
_AIR = 1.000276
"""Refractive index of standard air near 6600 Angstrom."""
_MOLECULES = (
    # group, name, vibration (1/cm), rotation constant (1/cm), spin factors of even and odd J, strength
    (0, "O2", 1556.4, 1.4377, (0.0, 1.0), 1000.0),
    (1, "N2", 2329.9, 1.9896, (2.0, 1.0), 2000.0),
)
"""Molecules of the air (Herzberg 1950) whose Raman light falls into the range of the instrument; the group is
the recipe's. Strengths in 1e-20 erg/s/cm2/arcsec2, invented."""
_AIR_K = 260.0
_WINGS = 0.25
"""Share of a molecule's light in the rotational branches S and O; the rest lies in its Q branch."""


def raman_lines() -> tuple[SkyLine, ...]:
    """Give the light of the lasers that the air scatters back at other wavelengths, by wavelength."""
    lines = [line for molecule in _MOLECULES for line in _raman_band(*molecule)]
    return tuple(sorted(lines, key=lambda line: line.wavelength_a))


def _raman_band(
    group: int, name: str, vibration: float, rotation: float, spin: tuple[float, float], strength: float
) -> list[SkyLine]:
    """Give a vibrational band: the branch Q as one line, and S and O (J changes by 2) line by line."""

    def line(label: str, shift: float, flux: float) -> SkyLine:
        return SkyLine(f"{name} {label}", group, 1e8 / (LASER_PER_CM - shift) / _AIR, flux)

    levels = range(21)
    weights = [
        spin[j % 2] * (2 * j + 1) * math.exp(-rotation * j * (j + 1) * _KELVIN_PER_CM / _AIR_K)
        for j in levels
    ]
    branches = [(f"S({j})", vibration + rotation * (4 * j + 6), weights[j]) for j in levels]
    branches += [(f"O({j})", vibration - rotation * (4 * j - 2), weights[j]) for j in levels if j >= 2]
    total = sum(weight for *_, weight in branches)
    strong = [one for one in branches if one[2] > 0.01 * total]
    share = _WINGS * strength / sum(weight for *_, weight in strong)
    return [
        line("Q", vibration, (1.0 - _WINGS) * strength),
        *(line(label, shift, share * weight) for label, shift, weight in strong),
    ]


def sky_continuum(wavelength: Floats) -> Floats:
    """Give the continuum in 1e-20 erg/s/cm2/A/arcsec2."""
    return smooth_interp(wavelength, CONTINUUM)


def _term(level: int, n: int, ladder: int) -> float:
    """Give the rotational term (1/cm) of a level, ladder 1 (J = N + 1/2) or 2 (J = N - 1/2)."""
    b = 18.9108 - 0.7242 * (level + 0.5)
    y = -139.2 / b
    j = n + 0.5 if ladder == 1 else n - 0.5
    root = math.sqrt(4.0 * (j + 0.5) ** 2 + y * (y - 4.0))
    half = -0.5 * root if ladder == 1 else 0.5 * root
    power = j if ladder == 1 else j + 1.0
    return b * ((j + 0.5) ** 2 - 1.0 + half) - 0.00194 * power**4


def _band(upper: int, lower: int, q1_a: float, strength: float) -> list[SkyLine]:
    """Give the lines of a band: branches P, Q and R of both ladders, up to N = 5."""
    origin = 1e8 / q1_a - (_term(upper, 1, 1) - _term(lower, 1, 1))
    reference = _weight(upper, 1, 1, "Q")
    lines = []
    for ladder in (1, 2):
        for n in range(1, _MAX_N + 1):
            for branch, step in (("P", 1), ("Q", 0), ("R", -1)):
                if n + step < 1:
                    continue
                wavenumber = origin + _term(upper, n, ladder) - _term(lower, n + step, ladder)
                flux = strength * _weight(upper, n, ladder, branch) / reference
                if flux < 0.02 * strength:
                    continue
                name = f"OH {upper}-{lower} {branch}{ladder}({n + step})"
                lines.append(SkyLine(name, GROUPS.index(f"OH v={upper}"), 1e8 / wavenumber, flux))
    return lines


def _weight(upper: int, n: int, ladder: int, branch: str) -> float:
    """Give the relative strength: Boltzmann factor times a line strength (P and R grow with N, Q falls)."""
    energy = _term(upper, n, ladder) - _term(upper, 1, 1)
    boltzmann = math.exp(-energy * _KELVIN_PER_CM / _TEMPERATURE)
    strength = {"P": n + 1.0, "Q": 3.0 / (n * (n + 1.0)) + 0.2, "R": n - 0.8}[branch]
    return strength * boltzmann
