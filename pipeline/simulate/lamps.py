"""The arc lamps: laboratory wavelengths, strengths, and what each line is good for.

Wavelengths are those of air (NIST Atomic Spectra Database, neutral atoms), in Angstrom; strengths are
invented. Lines of one lamp that the spectrograph would not tell apart are left out.
"""

from dataclasses import dataclass

LAMPS = ("Ne", "Xe", "HgCd")

_NEON = """
5330.778 2.6     5341.094 3.9     5400.562 4.8     5656.659 1.3     5689.816 1.2     5719.225 1.1
5748.298 1.5     5764.419 3.0     5804.450 1.4     5820.156 1.8     5852.488 30.0    5881.895 14.0
5944.834 16.0    5975.534 8.5     6029.997 7.5     6074.338 17.0    6096.163 19.0    6128.450 1.6
6143.063 26.0    6163.594 13.0    6182.146 1.4     6217.281 12.0    6266.495 17.0    6304.789 9.0
6334.428 23.0    6382.992 25.0    6402.248 40.0    6506.528 32.0    6532.882 14.0    6598.953 22.0
6652.093 1.2     6678.276 30.0    6717.043 21.0    6929.467 33.0    7024.050 2.8     7032.413 36.0
7051.292 1.2     7059.107 1.7     7173.938 18.0    7245.167 34.0    7438.899 21.0    7472.439 1.3
7488.871 15.0    7535.774 13.0    7544.044 4.4     7839.055 0.9     7927.118 1.3     7936.996 1.2
7943.181 2.1     8082.458 5.5     8118.549 2.4     8136.406 7.0     8259.379 3.1     8300.326 17.0
8365.749 2.3     8377.608 26.0    8418.427 13.0    8463.358 4.0     8495.360 22.0    8544.696 2.7
8571.352 2.2     8591.259 12.0    8634.647 15.0    8654.383 21.0    8679.493 5.2     8704.112 2.2
8771.656 4.2     8780.621 20.0    8853.867 14.0    8865.755 6.1     8919.501 5.6     8988.570 3.6
9148.672 6.6     9201.759 7.0     9220.060 4.6     9300.853 6.9     9326.507 5.2     9373.308 2.4
9425.379 3.1     9459.210 2.0     9486.682 3.2     9534.163 5.0
"""
_XENON = """
4671.226 17.0    4697.021 3.0     4734.152 10.0    4807.019 9.5     4829.709 3.4     4843.294 3.0
4916.508 5.0     4923.152 5.1     5028.280 2.6     5392.795 0.9     5566.615 1.0     5581.784 0.9
5695.750 0.8     5823.890 2.6     5875.018 1.0     5894.988 1.1     5931.241 0.8     5998.115 0.9
6178.303 1.4     6198.260 1.0     6261.212 0.8     6286.011 0.9     6318.062 4.6     6430.155 0.8
6469.705 2.7     6487.765 1.4     6498.717 1.2     6504.180 1.0     6533.159 1.1     6595.561 1.3
6632.464 0.8     6668.920 1.9     6728.008 2.3     6827.315 3.2     6872.107 1.2     6882.155 6.0
6925.530 1.1     6976.182 1.2     7119.598 5.5     7285.301 1.5     7316.272 1.0     7336.480 0.8
7386.003 1.4     7393.793 2.0     7584.680 2.8     7642.024 6.0     7802.651 1.2     7881.320 1.4
7887.395 3.9     7967.342 6.2     8029.670 1.0     8057.258 2.7     8171.020 1.0     8206.336 8.8
8231.635 40.0    8266.520 5.6     8280.116 32.0    8346.822 13.0    8409.189 10.0    8576.010 2.0
8648.540 2.1     8739.372 3.0     8819.411 36.0    8862.320 2.8     8908.730 2.0     8930.830 2.0
8952.251 14.0    8987.570 2.1     9045.446 12.0    9162.652 15.0    9374.760 1.7     9412.010 1.0
9513.379 4.0
"""
_MERCURY_CADMIUM = """
4678.149Cd 14.0  4799.912Cd 22.0  4916.068Hg 1.6   5085.822Cd 30.0  5460.750Hg 40.0  5769.610Hg 18.0
5790.670Hg 20.0  6072.713Hg 1.0   6234.402Hg 1.2   6438.470Cd 34.0  6716.429Hg 1.3   6907.461Hg 2.4
7081.900Hg 2.0   7345.670Cd 3.4
"""

UNIT_E = 150.0
"""Electrons that a column of the detector collects in one exposure of a line of strength 1."""
BRIGHT_E = 9.0 * UNIT_E
"""From here on an isolated line is good enough to measure the width of the lines with."""
FAINT_E = 3.3 * UNIT_E
"""Below, a line only helps to recognise the pattern."""
CATALOGUE_SCALE = 2.0
"""Catalogue over simulated strength: the recipe drops catalogue lines weaker than its weakest detection."""


@dataclass(frozen=True, slots=True)
class ArcLine:
    """An emission line of an arc lamp."""

    lamp: str
    """`Ne`, `Xe` or `HgCd`."""
    ion: str
    """As the catalogue writes it: `NeI`, `XeI`, `HgI`, `CdI`."""
    wavelength_a: float
    """In air."""
    electrons: float
    """Summed along a column in one exposure."""
    quality: int
    """What the recipe uses it for: 5 width and position, 3 position, 1 recognising the pattern only."""


def arc_lines() -> tuple[ArcLine, ...]:
    """Give the lines of all lamps, by wavelength."""
    lines = [
        *_lamp("Ne", [("NeI", *pair) for pair in _pairs(_NEON)]),
        *_lamp("Xe", [("XeI", *pair) for pair in _pairs(_XENON)]),
        *_lamp("HgCd", _marked(_MERCURY_CADMIUM)),
    ]
    return tuple(sorted(lines, key=lambda line: line.wavelength_a))


def _pairs(text: str) -> list[tuple[float, float]]:
    words = [float(word) for word in text.split()]
    return list(zip(words[::2], words[1::2], strict=True))


def _marked(text: str) -> list[tuple[str, float, float]]:
    words = text.split()
    return [
        (f"{name[-2:]}I", float(name[:-2]), float(strength))
        for name, strength in zip(words[::2], words[1::2], strict=True)
    ]


def _lamp(lamp: str, lines: list[tuple[str, float, float]]) -> list[ArcLine]:
    return [
        ArcLine(lamp, ion, wavelength, UNIT_E * strength, _quality(wavelength, strength, lines))
        for ion, wavelength, strength in lines
    ]


def _quality(wavelength: float, strength: float, lines: list[tuple[str, float, float]]) -> int:
    """Judge a line by its neighbours: the recipe fits a Gaussian to 7.5 Angstrom on either side."""
    others = [
        (abs(wavelength - other), other_strength) for _, other, other_strength in lines if other != wavelength
    ]
    crowded = any(distance < 6.0 for distance, _ in others)
    outshone = any(distance < 13.0 and neighbour > 2.5 * strength for distance, neighbour in others)
    if crowded or outshone or UNIT_E * strength < FAINT_E:
        return 1
    isolated = all(distance > 17.0 for distance, _ in others)
    return 5 if isolated and UNIT_E * strength >= BRIGHT_E else 3
