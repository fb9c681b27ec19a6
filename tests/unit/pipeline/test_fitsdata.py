"""The data of FITS files as streams of bytes."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from builders import image, primary

from pipeline.errors import FitsError
from pipeline.fitsdata import FitsData, first_difference, same_bytes
from pipeline.fitsdigest import CHUNK


def test_a_packed_file_gives_the_bytes_it_holds(tmp_path: Path) -> None:
    whole = primary() + image("A", range(3000)) + image("B", range(9, 3009))
    (tmp_path / "a.fits").write_bytes(whole)
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(whole))

    with FitsData(tmp_path / "a.fits") as plain, FitsData(tmp_path / "a.fits.gz") as packed:
        pairs = [(plain.unit(n), packed.unit(n)) for n in (2, 1)]
        found = [(one.read(100, 5000), other.read(100, 5000)) for one, other in pairs]

    assert all(one == other and len(one) == 5000 for one, other in found)


@pytest.mark.parametrize("start", [0, 7, 200, 5999, 6000, 8639])
def test_tiles_are_unpacked_as_far_as_they_are_asked_for(tmp_path: Path, start: int) -> None:
    from astropy.io import fits

    pixels = np.arange(3000, dtype=">i2").reshape(30, 100)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels)]).writeto(tmp_path / "a.fits.fz")
    whole = pixels.tobytes().ljust(3 * 2880, b"\0")

    with FitsData(tmp_path / "a.fits.fz") as data:
        unit = data.unit(1)
        found = unit.read(start, 450)

    assert unit.size == len(whole)
    assert found == whole[start : start + 450]
    assert data.hdus[1].header["NAXIS2"] == 30


def test_a_file_that_is_cut_short_meanwhile_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary() + image("DATA", range(3000)))

    with FitsData(path) as data:
        path.write_bytes(path.read_bytes()[:-2880])

        with pytest.raises(FitsError, match="was cut short while it was read"):
            data.unit(1).read(0, 8640)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_the_last_byte_counts_wherever_it_stands(tmp_path: Path, size: int) -> None:
    one, same, other, longer = (tmp_path / name for name in "abcd")
    content = bytes(size)
    one.write_bytes(content)
    same.write_bytes(content)
    other.write_bytes(content[:-1] + b"\1")
    longer.write_bytes(content + b"\0")

    assert same_bytes(one, same)
    assert not same_bytes(one, other)
    assert not same_bytes(one, longer)


def test_the_piece_in_which_data_begin_to_differ_is_found(tmp_path: Path) -> None:
    pixels = list(range(2)) * CHUNK
    (tmp_path / "a.fits").write_bytes(primary() + image("DATA", pixels))
    pixels[CHUNK // 2 + 3] ^= 1
    (tmp_path / "b.fits").write_bytes(primary() + image("DATA", pixels))

    with FitsData(tmp_path / "a.fits") as old, FitsData(tmp_path / "b.fits") as new:
        assert first_difference(old.unit(1), new.unit(1)) == CHUNK
        assert first_difference(old.unit(0), new.unit(0)) is None
