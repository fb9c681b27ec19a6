"""A night on disk: complete, whole, and the same bytes whoever writes it, in whatever order."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pipeline.errors import UsageError
from pipeline.simulate import NightOptions, simulate
from pipeline.simulate.frames import frame_name, write_frame
from pipeline.simulate.night import SimulatedExposure, night

OPTIONS = NightOptions(ifus=(1,), exposures=1, jobs=2)


def exposure(name: str) -> SimulatedExposure:
    (found,) = [one for one in night(OPTIONS) if one.name == name]
    return found


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("night")
    told: list[tuple[int, int, str]] = []

    paths = simulate(directory, OPTIONS, lambda done, total, name: told.append((done, total, name)))

    assert [(k + 1, len(paths)) for k in range(len(paths))] == [(done, total) for done, total, _ in told]
    assert sorted(path.name for path in paths) == sorted(name for _, _, name in told)
    return directory


def test_a_night_is_complete(simulated: Path) -> None:
    names = {path.name for path in (simulated / "raw").iterdir()}

    assert {frame_name(one, OPTIONS) for one in night(OPTIONS)} == names
    assert len(list((simulated / "calib").iterdir())) == 9
    assert (simulated / "truth.json").is_file()
    assert (simulated / "truth.fits").is_file()


def test_every_frame_is_named_after_its_content_and_holds_all_ifus(simulated: Path) -> None:
    for path in (simulated / "raw").iterdir():
        with fits.open(path) as hdus:
            assert path.name == hdus[0].header["ARCFILE"]
            assert [f"CHAN{ifu:02d}" for ifu in range(1, 25)] == [hdu.name for hdu in hdus[1:]]
            assert [hdu.header["ESO DET CHIP LIVE"] for hdu in hdus[1:]] == [True] + 23 * [False]
            assert hdus[1].shape == (4240, 4224)


@pytest.mark.parametrize("name", ["OBJECT-1", "ARC-2", "BIAS-3"])
def test_checksums_of_raw_frames_hold(simulated: Path, name: str) -> None:
    path = simulated / "raw" / frame_name(exposure(name), OPTIONS)

    with fits.open(path, checksum=True) as hdus:  # a warning, hence an error, if one does not
        assert all("CHECKSUM" in hdu.header for hdu in hdus)


def test_one_process_and_another_order_give_the_same_bytes(simulated: Path, tmp_path: Path) -> None:
    """Promise 2: who runs and in what order changes no byte."""
    for name in ("OBJECT-1", "SKYFLAT-2", "STD-1", "ARC-3", "DARK-1", "BIAS-2"):
        path = tmp_path / "frame.fits"
        write_frame(path, exposure(name), NightOptions(ifus=(1,), exposures=1, jobs=1))

        there = simulated / "raw" / frame_name(exposure(name), OPTIONS)
        assert path.read_bytes() == there.read_bytes(), name


def test_an_older_processor_gives_the_same_bytes(simulated: Path, tmp_path: Path) -> None:
    """Numpy's and glibc's functions for new processors differ in the last digit from those for old ones."""
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.simulate.night import night; from pipeline.simulate.options import NightOptions\n"
        "from pipeline.simulate.frames import write_frame\n"
        "options = NightOptions(ifus=(1,), exposures=1)\n"
        "(one,) = [e for e in night(options) if e.name == 'OBJECT-1']\n"
        "write_frame(Path(sys.argv[1]), one, options)\n"
    )
    old = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(_dispatched_features()),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX2_Usable,-FMA_Usable",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }

    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "old.fits")], env={**os.environ, **old}, check=True
    )

    there = simulated / "raw" / frame_name(exposure("OBJECT-1"), OPTIONS)
    assert (tmp_path / "old.fits").read_bytes() == there.read_bytes()


def _dispatched_features() -> list[str]:
    """Name the groups of instructions that numpy found here beyond those it was built to need."""
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])  # type: ignore[index]
    return found


def test_a_compressed_frame_holds_the_same_pixels(simulated: Path, tmp_path: Path) -> None:
    options = NightOptions(ifus=(1,), exposures=1, compress="fz")
    path = tmp_path / frame_name(exposure("FLAT-1"), options)
    write_frame(path, exposure("FLAT-1"), options)

    plain = simulated / "raw" / frame_name(exposure("FLAT-1"), OPTIONS)
    assert path.name == plain.name + ".fz"
    assert path.stat().st_size < 0.8 * plain.stat().st_size
    with fits.open(path) as packed, fits.open(plain) as unpacked:
        np.testing.assert_array_equal(packed["CHAN01"].data, unpacked["CHAN01"].data)
        assert packed[0].header["ARCFILE"] == unpacked[0].header["ARCFILE"]


def test_an_interrupted_night_leaves_whole_files_and_carries_on(tmp_path: Path) -> None:
    """Promise 1: whole or not at all."""

    def interrupt(done: int, total: int, name: str) -> None:
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path, OPTIONS, interrupt)

    written = list((tmp_path / "raw").iterdir())
    assert 1 <= len(written) < len(night(OPTIONS))
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]
    for path in written:
        assert fits.getheader(path, "CHAN24")["ESO DET CHIP LIVE"] is False
    with pytest.raises(KeyboardInterrupt):  # the same night again: not refused as another one's
        simulate(tmp_path, OPTIONS, interrupt)


def test_another_night_does_not_overwrite_this_one(simulated: Path) -> None:
    with pytest.raises(UsageError, match="holds frames of another night"):
        simulate(simulated, NightOptions(ifus=(1,), exposures=1, seed=2))
