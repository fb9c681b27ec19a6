"""Two modes in one folder, reduced with the real recipes: lasers with their notch, and the extended range.

As little as proves it: IFUs 1 and 2 of WFM-AO-N up to the cube of one exposure, without twilight; IFU 1 of
WFM-NOAO-E up to the pixel table of its sky.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pipeline.modes import LAST_A, MODES
from pipeline.simulate import NightOptions, compare_with_truth
from pipeline.simulate.frames import frame_name, write_frame
from pipeline.simulate.night import SimulatedExposure, night
from pipeline.simulate.statics import write_statics
from pipeline.simulate.truth import write_truth
from pipeline.simulate.verify import Cube, read_cube
from tests.end_to_end.commands import QUICK, Done, call

AO, EXTENDED = "WFM-AO-N", "WFM-NOAO-E"
OPTIONS = NightOptions(ifus=(1, 2), exposures=1, modes=(AO, EXTENDED))
WANTED = {AO: ("BIAS", "FLAT", "ARC", "STD", "OBJECT"), EXTENDED: ("FLAT", "ARC", "SKY")}
STAGES = ("bias", "flat", "wave", "lsf", "scibasic", "standard", "prep_align")

SETTINGS = """\
[image]
reference = "{image}"

# The notch, and both bands of Raman light.
[recipes.muse_standard]
lambdamin = 5700
lambdamax = 6900

[recipes.muse_scipost]
lambdamin = 5700
lambdamax = 6900
"""


@dataclass(frozen=True)
class Modes:
    """A workspace with frames of two modes, and how its reduction ended."""

    folder: Path
    done: Done

    def products(self, tag: str) -> list[dict[str, Any]]:
        """List the products of a tag."""
        return [product for product in self.done.summary["products"] if product["tag"] == tag]

    @property
    def cube(self) -> Cube:
        """The cube of the exposure with lasers."""
        (product,) = self.products("DATACUBE_FINAL")
        return read_cube(Path(product["path"]))


@pytest.fixture(scope="module")
def modes(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modes]:
    folder = tmp_path_factory.mktemp("modes")
    (folder / "raw").mkdir()
    write_truth(folder, OPTIONS)
    write_statics(folder / "calib", OPTIONS.modes)
    wanted = [exposure for exposure in night(OPTIONS) if exposure.tag in WANTED[exposure.mode.name]]

    def write(exposure: SimulatedExposure) -> None:
        options = OPTIONS if exposure.mode.name == AO else replace(OPTIONS, ifus=(1,))
        write_frame(folder / "raw" / frame_name(exposure, options), exposure, options)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, wanted))
    (folder / "clio.toml").write_text(SETTINGS.format(image=image) + QUICK)
    yield Modes(folder, call("run", *STAGES, "--engine", "bubblewrap", "--json", cwd=folder))


def test_two_modes_are_reduced_side_by_side_and_share_their_biases(modes: Modes) -> None:
    assert modes.done.exit_status == 0, modes.done.stderr
    ran = [step.partition(":")[0] for step in modes.done.ran]

    counts = {stage: ran.count(stage) for stage in STAGES}

    assert counts == {
        "bias": 2, "flat": 3, "wave": 3, "lsf": 3, "scibasic": 5, "standard": 1, "prep_align": 1,
    }  # fmt: skip


def test_stars_seen_with_lasers_are_where_and_as_bright_as_they_were_put(modes: Modes) -> None:
    (product,) = modes.products("DATACUBE_FINAL")

    found = compare_with_truth(Path(product["path"]), modes.folder / "truth.json")

    assert len(found.stars) >= 5
    for star in found.stars:
        assert star.signal_to_noise > 10
        assert star.distance_arcsec < 0.1, star
        assert abs(star.flux_ratio - 1) < 0.05, star


def test_the_notch_holds_no_data_and_no_other_wavelength_is_lost(modes: Modes) -> None:
    cube = modes.cube
    low, high = MODES[AO].notch_a or (0.0, 0.0)

    inside = (cube.wave > low + 1.5) & (cube.wave < high - 1.5)  # a plane is 1.25 Angstrom deep
    outside = (cube.wave < low - 1.5) | (cube.wave > high + 1.5)

    assert np.count_nonzero(inside) > 100
    assert not cube.covered[inside].any()
    assert cube.covered[outside].all()


def test_the_extended_range_is_kept_down_to_its_first_wavelength(modes: Modes) -> None:
    (sky,) = modes.products("PIXTABLE_SKY")
    first = {
        tag: fits.getheader(modes.products(tag)[0]["path"]) for tag in ("PIXTABLE_SKY", "PIXTABLE_OBJECT")
    }

    limits = {tag: header["ESO DRS MUSE PIXTABLE LIMITS LAMBDA LOW"] for tag, header in first.items()}
    last = fits.getheader(sky["path"])["ESO DRS MUSE PIXTABLE LIMITS LAMBDA HIGH"]

    assert limits["PIXTABLE_SKY"] == pytest.approx(MODES[EXTENDED].first_a, abs=1.0)
    assert limits["PIXTABLE_OBJECT"] == pytest.approx(MODES[AO].first_a, abs=1.0)
    assert last == pytest.approx(LAST_A, abs=1.0)


def test_each_mode_got_flats_and_wavelengths_of_its_own(modes: Modes) -> None:
    for tag in ("MASTER_FLAT", "WAVECAL_TABLE"):
        found = [fits.getheader(product["path"])["ESO INS MODE"] for product in modes.products(tag)]
        assert sorted(found) == [AO, AO, EXTENDED]
