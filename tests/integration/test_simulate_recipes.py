"""ESO's recipes understand the simulated detectors and optics, and find what was put in.

These call esorex out of the recipe image without Clio, to test the simulator by itself; the chain to the cube
is tested end to end.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pipeline.demo import bare_esorex
from pipeline.engine import RecipeImage
from pipeline.simulate import NightOptions
from pipeline.simulate.frames import write_frame
from pipeline.simulate.night import night
from pipeline.simulate.optics import N_SLICES, centre_px, height, wavelength_a, width_px
from pipeline.simulate.statics import write_statics

OPTIONS_OF_ESOREX = ("--log-dir=.", "--log-file=log", "--msg-level=off", "--suppress-prefix=TRUE")
OPTIONS = NightOptions(ifus=(1,), exposures=1)


def run(image: RecipeImage, directory: Path, recipe: str, frames: list[tuple[Path, str]]) -> str:
    """Run a recipe for IFU 1 in a fresh directory; give its log."""
    directory.mkdir()
    (directory / "in.sof").write_text("".join(f"{path} {tag}\n" for path, tag in frames))
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(directory), "OMP_NUM_THREADS": "1"}
    command = [*bare_esorex(image), *OPTIONS_OF_ESOREX, recipe, "--nifu=1", "in.sof"]
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
    return (directory / "log").read_text()


@pytest.fixture(scope="module")
def reduced(image: RecipeImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reduce biases, lamp flats and arcs of one IFU."""
    top = tmp_path_factory.mktemp("reduced")
    raw: dict[str, list[tuple[Path, str]]] = {"BIAS": [], "FLAT": [], "ARC": []}
    for exposure in night(OPTIONS):
        if exposure.tag in raw:
            path = top / exposure.arcfile
            write_frame(path, exposure, OPTIONS)
            raw[exposure.tag].append((path, exposure.tag))
    write_statics(top / "calib")
    bias = (top / "bias" / "MASTER_BIAS-01.fits", "MASTER_BIAS")
    trace = (top / "flat" / "TRACE_TABLE-01.fits", "TRACE_TABLE")
    catalogue = (top / "calib" / "line_catalog.fits", "LINE_CATALOG")
    logs = [
        run(image, top / "bias", "muse_bias", raw["BIAS"]),
        run(image, top / "flat", "muse_flat", [*raw["FLAT"], bias]),
        run(image, top / "wave", "muse_wavecal", [*raw["ARC"], bias, trace, catalogue]),
    ]
    for log in logs:
        assert "[ ERROR ]" not in log
        assert [line for line in log.splitlines() if "[WARNING]" in line and "plugins" not in line] == []
    return top


def quality(path: Path, pattern: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give the QC parameters of a product whose names match."""
    header = fits.getheader(path)
    return np.array([header[key] for key in header if re.fullmatch(f"ESO QC {pattern}", key)], dtype=float)


@pytest.mark.parametrize(
    ("product", "parameter", "low", "high"),
    [
        ("bias/MASTER_BIAS-01.fits", r"BIAS LEVEL\d MEDIAN", 1197, 1208),
        ("bias/MASTER_BIAS-01.fits", r"BIAS MASTER\d RON", 1.94, 3.52),
        ("flat/MASTER_FLAT-01.fits", r"FLAT INPUT\d MEAN", 24_000, 26_500),
        ("flat/MASTER_FLAT-01.fits", r"FLAT INPUT\d MAX", 58_000, 65_000),
        ("flat/TRACE_TABLE-01.fits", r"TRACE WIDTHS MEDIAN", 76.4, 76.8),
        ("flat/TRACE_TABLE-01.fits", r"TRACE GAPS MEDIAN", 6.97, 7.57),
        ("flat/TRACE_TABLE-01.fits", r"TRACE SLICE\d+ MAXSLOPE", -0.011, 0.011),
        ("wave/WAVECAL_TABLE-01.fits", r"WAVECAL SLICE\d+ FIT RMS", 0.0221, 0.0320),
        ("wave/WAVECAL_TABLE-01.fits", r"WAVECAL SLICE\d+ FIT NLINES", 70, 90),
        ("wave/WAVECAL_TABLE-01.fits", r"WAVECAL SLICE\d+ LINES FWHM MEAN", 2.18, 2.50),
    ],
)
def test_quality_lies_within_the_range_of_the_real_instrument(
    reduced: Path, product: str, parameter: str, low: float, high: float
) -> None:
    found = quality(reduced / product, parameter)

    assert found.size > 0
    assert low <= found.min()
    assert found.max() <= high


def test_slices_are_traced_where_they_are(reduced: Path) -> None:
    table = fits.getdata(reduced / "flat" / "TRACE_TABLE-01.fits", 1)
    rows = np.arange(100.0, 4000.0, 100.0)

    for number in range(N_SLICES):
        row = table[number]
        left, right = (sum(row[f"tc{side}_{k:02d}"] * rows**k for k in range(6)) for side in (1, 2))
        centre, width = centre_px(1, number, height(rows)), width_px(1, number, height(rows))
        np.testing.assert_allclose(left, centre - width / 2, atol=0.15)
        np.testing.assert_allclose(right, centre + width / 2, atol=0.15)


def test_wavelengths_are_found_to_a_fraction_of_a_hundredth_of_a_pixel(reduced: Path) -> None:
    table = fits.getdata(reduced / "wave" / "WAVECAL_TABLE-01.fits", 1)
    rows = np.arange(400.0, 3800.0, 200.0)
    errors = []

    for number in range(N_SLICES):
        centre = centre_px(1, number, height(rows))
        found = sum(
            table[number][f"wlc{i}{j}"] * np.rint(centre) ** i * rows**j for i in range(3) for j in range(7)
        )
        place = (np.rint(centre) - centre) / width_px(1, number, height(rows))
        errors.append(found - wavelength_a(1, number, height(rows), place))

    assert abs(np.mean(errors)) < 0.005
    assert np.std(errors) < 0.02
