"""Folders become frames and problems (DESIGN.md section 13)."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
from builders import primary, raw_cards, write_raw, write_static

from pipeline.errors import Exit, FitsError, FramesError
from pipeline.fitsdigest import digest_file
from pipeline.model import Scan
from pipeline.scan import scan


def look(*folders: Path) -> Scan:
    return scan(folders, lambda path: digest_file(path).data_digest)


def reasons(found: Scan) -> dict[str, str]:
    return {Path(problem.subject).name: problem.reason for problem in found.problems}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with one good frame."""
    write_raw(tmp_path / "raw", "BIAS", 60000.0)
    return tmp_path / "raw"


def test_an_empty_folder_ends_with_3_and_says_where_was_looked(tmp_path: Path) -> None:
    for name in ("raw", "calib"):
        (tmp_path / name).mkdir()

    with pytest.raises(FramesError) as caught:
        look(tmp_path / "raw", tmp_path / "calib")

    assert caught.value.exit_code is Exit.FRAMES
    assert caught.value.message == f"no FITS file in {tmp_path / 'raw'}, {tmp_path / 'calib'}"
    assert caught.value.hint == (
        "put raw frames there (names ending in .fits, .fits.fz, .fits.gz, .fits.Z), or name their folder "
        "under [data] raw in clio.toml"
    )


def test_folders_that_are_not_there_end_with_3(tmp_path: Path) -> None:
    with pytest.raises(FramesError, match="no FITS file in"):
        look(tmp_path / "raw")


def test_static_calibrations_alone_end_with_3(tmp_path: Path) -> None:
    write_static(tmp_path, "EXTINCT_TABLE")
    (tmp_path / "bias.fits").write_bytes(primary({"ESO PRO CATG": "MASTER_BIAS"}))

    with pytest.raises(FramesError) as caught:
        look(tmp_path)

    what = "1 static calibrations and 1 products of other reductions"
    assert caught.value.message == f"no raw frame in {tmp_path}: only {what}"


def test_a_missing_folder_is_a_problem_when_another_has_frames(raw: Path) -> None:
    found = look(raw, raw.parent / "calib")

    assert reasons(found) == {"calib": "no such folder"}
    assert len(found.frames) == 1


def test_a_folder_may_be_a_file(raw: Path) -> None:
    found = look(next(raw.iterdir()))

    assert (len(found.frames), found.problems) == (1, ())


def test_what_cannot_be_used_is_listed_and_the_rest_goes_on(raw: Path) -> None:
    """Promise 6."""
    good = next(raw.iterdir())
    (raw / "empty.fits").write_bytes(b"")
    (raw / "text.fits").write_text("dear diary")
    (raw / "truncated.fits").write_bytes(good.read_bytes()[:-2880])
    (raw / "dangling.fits").symlink_to("nowhere.fits")
    (raw / "loop.fits").symlink_to("loop.fits")
    (raw / "half.fits.gz").write_bytes(gzip.compress(good.read_bytes())[:-20])
    (raw / "unreadable.fits").symlink_to("/proc/self/mem")
    os.mkfifo(raw / "pipe.fits")
    write_raw(raw, "FLAT", 60000.1, changes={"ESO INS MODE": None}, name="modeless.fits")
    write_raw(raw, "FLAT", 60000.2, changes={"ESO DPR TYPE": "PICNIC"}, name="picnic.fits")

    found = look(raw)

    listed = reasons(found)
    assert [frame.path for frame in found.frames] == [good]
    assert listed.pop("half.fits.gz").startswith("cannot read: ")
    assert listed.pop("unreadable.fits").startswith("cannot read: ")
    assert listed == {
        "empty.fits": "is empty",
        "text.fits": "is not a FITS file",
        "truncated.fits": "is truncated: 2880 bytes are missing from HDU 2",
        "dangling.fits": "dangling link to nowhere.fits",
        "loop.fits": "dangling link to loop.fits",
        "pipe.fits": "no regular file",
        "modeless.fits": "FLAT without ESO INS MODE",
        "picnic.fits": "no tag is known for ESO DPR CATG = CALIB, ESO DPR TYPE = PICNIC",
    }


def test_problems_alone_are_listed_and_raise_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.fits").write_bytes(b"")

    assert reasons(look(tmp_path)) == {"empty.fits": "is empty"}


@pytest.mark.parametrize("name", ["copy.fits", "sub/MUSE.fits", "packed.fits.gz"])
def test_the_same_exposure_twice_is_used_once_and_this_is_said(raw: Path, name: str) -> None:
    original = next(raw.iterdir())
    copy = raw / name
    copy.parent.mkdir(exist_ok=True)
    content = original.read_bytes()
    copy.write_bytes(gzip.compress(content) if name.endswith("gz") else content)

    found = look(raw)

    assert len(found.frames) == 1
    assert found.problems == ()
    used, left = found.frames[0].path, ({original, copy} - {found.frames[0].path}).pop()
    assert found.remarks == (
        f"BIAS 2023-02-25T00:00:00.000 was found twice and is used once: {used}, not {left}",
    )


def test_the_same_exposure_plain_and_tile_compressed_is_used_once(tmp_path: Path) -> None:
    import numpy as np
    from astropy.io import fits

    header = fits.Header()
    for keyword, value in raw_cards("BIAS", 60000.0).items():
        header[f"HIERARCH {keyword}" if " " in keyword else keyword] = value
    chip = {"EXTNAME": "CHAN01", "ESO DET CHIP NAME": "A", "ESO DET CHIP ID": "B"}
    cards = fits.Header([(f"HIERARCH {k}" if " " in k else k, v) for k, v in chip.items()])
    pixels = np.arange(1024, dtype="uint16").reshape(32, 32)
    first = fits.PrimaryHDU(header=header)
    fits.HDUList([first, fits.ImageHDU(pixels, cards)]).writeto(tmp_path / "a.fits")
    fits.HDUList([first, fits.CompImageHDU(pixels, cards)]).writeto(tmp_path / "a.fits.fz")

    found = look(tmp_path)

    assert [frame.path.name for frame in found.frames] == ["a.fits"]
    assert "was found twice and is used once" in found.remarks[0]


def test_a_copy_whose_pixels_cannot_be_unpacked_is_a_problem_and_the_other_is_used(tmp_path: Path) -> None:
    """Promise 6: found only when the two are compared, as headers alone are read before."""
    good = write_raw(tmp_path, "BIAS", 60000.0)
    copy = tmp_path / "copy.fits"
    copy.write_bytes(good.read_bytes())

    def digest(path: Path) -> str:
        if path == copy:
            raise FitsError(f"{path} cannot be unpacked in HDU 1: damaged")
        return digest_file(path).data_digest

    found = scan((tmp_path,), digest)

    assert [frame.path for frame in found.frames] == [good]
    assert reasons(found) == {"copy.fits": "cannot be unpacked in HDU 1: damaged"}


def test_two_contents_of_one_exposure_are_a_problem_and_neither_is_used(raw: Path) -> None:
    write_raw(raw, "BIAS", 60000.0, name="other.fits", seed="other")
    write_raw(raw, "BIAS", 60000.5)

    found = look(raw)

    assert [frame.mjd for frame in found.frames] == [60000.5]
    assert "lies there with different contents" in found.problems[0].reason
    assert found.problems[0].hint == "keep one of them"


def test_two_different_statics_of_a_tag_stay_both(raw: Path) -> None:
    write_static(raw, "EXTINCT_TABLE", name="a.fits")
    write_static(raw, "EXTINCT_TABLE", name="b.fits", seed=5)
    write_static(raw, "EXTINCT_TABLE", name="c.fits", seed=5)

    found = look(raw)

    assert [frame.path.name for frame in found.frames[1:]] == ["a.fits", "b.fits"]
    assert len(found.remarks) == 1


def test_other_files_are_left_alone_and_counted(raw: Path) -> None:
    (raw / "notes.txt").write_text("clouds")
    (raw / ".hidden.fits").write_text("")
    (raw / "bias.fits").write_bytes(primary({"ESO PRO CATG": "MASTER_BIAS"}))

    found = look(raw)

    assert len(found.frames) == 1
    assert found.remarks == (
        "1 files that are not FITS by their name were left alone",
        "1 products of other reductions were left alone",
    )


def test_a_link_back_into_the_folder_is_followed_once(raw: Path) -> None:
    (raw / "again").symlink_to(raw)

    assert len(look(raw).frames) == 1


def test_frames_come_by_time_and_statics_last(tmp_path: Path) -> None:
    """Promise 2: names and the order of a listing leave no trace."""
    write_static(tmp_path, "EXTINCT_TABLE", name="0.fits")
    for name, mjd in (("a.fits", 60002.0), ("b.fits", 60001.0), ("c.fits", 60003.0)):
        write_raw(tmp_path, "BIAS", mjd, name=name)

    assert [frame.mjd for frame in look(tmp_path).frames] == [60001.0, 60002.0, 60003.0, None]


def test_raw_data_are_not_written_to(raw: Path) -> None:
    """Promise 10."""
    shutil.copy(next(raw.iterdir()), raw / "copy.fits")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in raw.iterdir()}

    look(raw)

    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in raw.iterdir()} == before
