"""Nights whose raw frames are packed: the same frames, the same keys, nothing runs again (issue 5, F20)."""

import subprocess
from pathlib import Path

import pytest
from builders import write_raw, write_static
from fakes import Workspace, did
from packing import PACKINGS, compressed, pack

from pipeline.errors import FitsError
from pipeline.events import Did
from pipeline.fitsdigest import digest_file
from pipeline.fitsfile import read_hdus
from pipeline.model import Stage
from pipeline.packing import Packing, Plain, Unpacked, open_packed, packing_of, unpack, version
from pipeline.scan import scan

STAGES = (Stage.BIAS, Stage.FLAT, Stage.WAVE, Stage.TWILIGHT, Stage.SCIBASIC)
"""Those that read raw frames."""


def data_digest(path: Path) -> str:
    return digest_file(path).data_digest


@pytest.mark.parametrize("size", [0, 1, 246, 247, 248, 494, 100_000])
def test_the_packer_of_these_tests_is_understood_by_gzip(size: int) -> None:
    content = bytes(n * n % 251 for n in range(size))

    done = subprocess.run(["gzip", "-dc"], input=compressed(content), capture_output=True, check=True)

    assert done.stdout == content


@pytest.mark.parametrize("how", PACKINGS)
def test_a_frame_has_one_data_digest_however_it_is_packed(tmp_path: Path, how: str) -> None:
    """Promise 2: only content counts."""
    plain = data_digest(write_raw(tmp_path, "BIAS", 60000.0))

    packed = pack(next(tmp_path.iterdir()), how)

    assert data_digest(packed) == plain


@pytest.mark.parametrize("how", PACKINGS)
def test_packing_the_raw_frames_of_a_night_reruns_nothing(tmp_path: Path, how: str) -> None:
    """Promises 2 and 4; packed or unpacked, the keys are the same."""
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    night.run(*STAGES)
    ran = len(night.engine.seen)
    for path in sorted((night.root / "raw").iterdir()):
        pack(path, how)

    again = night.run(*STAGES)

    assert (again.ran, again.failed, again.blocked) == (0, 0, 0)
    assert len(night.engine.seen) == ran


@pytest.mark.parametrize("how", PACKINGS)
def test_a_night_reduced_packed_is_known_when_it_is_unpacked(tmp_path: Path, how: str) -> None:
    """The other way: what recipes were given of packed frames is what they are given of plain ones."""
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    plain = {path.name: path.read_bytes() for path in (night.root / "raw").iterdir()}
    packed = [pack(path, how) for path in sorted((night.root / "raw").iterdir())]
    assert len(did(night.run(*STAGES), Did.RAN)) == 8
    for path in packed:
        path.unlink()
    for name, content in plain.items():
        (night.root / "raw" / name).write_bytes(content)

    again = night.run(*STAGES)

    assert (again.ran, again.failed, again.blocked) == (0, 0, 0)


@pytest.mark.parametrize("how", ["gzip", "compress"])
def test_a_recipe_is_given_plain_files_each_made_once_and_none_stays(tmp_path: Path, how: str) -> None:
    """CFITSIO reads no `.Z`, and a `.gz` by holding all of it: recipes get neither. Promise 10."""
    night = Workspace.make(tmp_path / "galaxy", ifus=(1, 2))
    packed = {pack(path, how): path.name for path in sorted((night.root / "raw").iterdir())}
    before = {path: path.read_bytes() for path in packed}

    night.run(Stage.BIAS, Stage.FLAT, Stage.WAVE)

    sources: dict[str, set[Path]] = {}
    for seen in night.engine.seen:
        for mount in seen.request.inputs:
            name = Path(mount.target).name
            if name in packed.values():
                sources.setdefault(name, set()).add(mount.source)
    assert len(sources) == 9
    assert all(len(places) == 1 for places in sources.values())
    places = {place for found in sources.values() for place in found}
    assert not [place for place in places if place.exists()]
    assert not list((night.root / ".clio" / "work").iterdir())
    assert {path: path.read_bytes() for path in packed} == before


def test_the_unpacker_is_recorded(tmp_path: Path) -> None:
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    for path in night.raw("BIAS"):
        pack(path, "compress")

    summary = night.run(Stage.BIAS, Stage.FLAT)

    software = {run.stage: dict(run.software).get("unpacker") for run in summary.believed}
    assert software["bias"] == version()
    assert version().startswith("gzip ")
    assert software["flat"] is None


@pytest.mark.parametrize(
    ("first", "second"),
    [*((how, "") for how in PACKINGS), ("compress", "tiles, with sums"), ("tiles", "tiles, with sums")],
)
def test_a_night_with_the_same_exposure_packed_in_two_ways_uses_it_once_and_says_so(
    tmp_path: Path, first: str, second: str
) -> None:
    """F14: nothing vanishes without a word."""
    one = write_raw(tmp_path / "a", "BIAS", 60000.0)
    other = write_raw(tmp_path / "b", "BIAS", 60000.0)
    files = {pack(one, first), pack(other, second) if second else other}

    found = scan((tmp_path,), data_digest)

    (used,) = (frame.path for frame in found.frames)
    (left,) = files - {used}
    assert found.problems == ()
    assert found.remarks == (
        f"BIAS 2023-02-25T00:00:00.000 was found twice and is used once: {used}, not {left}",
    )


def test_statics_may_be_packed_too(tmp_path: Path) -> None:
    night = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    night.run(Stage.BIAS, Stage.FLAT, Stage.WAVE)
    for path in (night.root / "calib").iterdir():
        pack(path, "compress")

    again = night.run(Stage.BIAS, Stage.FLAT, Stage.WAVE)

    assert (again.ran, again.hits, again.failed) == (0, 3, 0)


# Damage


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        (0.5, "is truncated: "),
        (0.001, "is truncated: the header of HDU 0 has no END"),
    ],
)
def test_a_packed_file_cut_short_is_a_problem(tmp_path: Path, cut: float, reason: str) -> None:
    """LZW has no checksum: that a part is missing shows in the FITS structure."""
    packed = pack(write_raw(tmp_path, "BIAS", 60000.0), "compress")
    packed.write_bytes(packed.read_bytes()[: max(100, int(packed.stat().st_size * cut))])
    write_raw(tmp_path, "BIAS", 60000.1)

    found = scan((tmp_path,), data_digest)

    assert [problem.subject for problem in found.problems] == [str(packed)]
    assert found.problems[0].reason.startswith(reason)
    assert len(found.frames) == 1


def test_a_packed_file_with_impossible_codes_is_a_problem_in_gzips_words(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.Z"
    path.write_bytes(b"\x1f\x9d\x90" + b"\xff" * 4000)

    with pytest.raises(FitsError, match="corrupt input"):
        read_hdus(path)


def test_an_empty_file_that_was_packed_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.Z"
    path.write_bytes(compressed(b""))

    with pytest.raises(FitsError, match=r"a\.fits\.Z is empty"):
        read_hdus(path)


def test_without_the_program_that_unpacks_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F33: a program of the host that is missing is said, not passed over."""
    packed = pack(write_raw(tmp_path, "BIAS", 60000.0), "compress")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        FitsError, match="the program gzip is needed to unpack it, and is not on this machine"
    ):
        read_hdus(packed)


# Reading and copying


def test_a_packed_file_can_be_read_from_any_place(tmp_path: Path) -> None:
    content = bytes(n % 256 for n in range(30_000))
    path = tmp_path / "a.Z"
    path.write_bytes(compressed(content))

    with open_packed(path, Packing.COMPRESS) as stream:
        assert stream.seek(0, 2) == len(content)
        assert stream.read(1) == b""
        for place in (20_000, 100, 0, 29_999):
            stream.seek(place)
            assert stream.read(50) == content[place : place + 50]


def test_a_plain_file_is_its_own_copy(tmp_path: Path) -> None:
    path = write_raw(tmp_path, "BIAS", 60000.0)

    def folder() -> Path:
        raise AssertionError("nothing has to be made")

    assert packing_of(path) is None
    assert Unpacked(folder).plain(path, data_digest(path), data_digest) == Plain(path)


def test_a_frame_exchanged_since_it_was_read_is_refused(tmp_path: Path) -> None:
    """bazel#3360: what a recipe reads is what its key names."""
    content = data_digest(write_raw(tmp_path, "BIAS", 60000.0))
    packed = pack(write_raw(tmp_path, "BIAS", 60000.0, seed="other"), "gzip")
    (tmp_path / "scratch").mkdir()
    unpacked = Unpacked(lambda: tmp_path / "scratch")

    with pytest.raises(FitsError, match="is not what it was when it was first read"):
        unpacked.plain(packed, content, data_digest)

    assert not list((tmp_path / "scratch").iterdir())


def test_a_copy_that_nobody_needs_any_more_is_removed_and_can_be_made_again(tmp_path: Path) -> None:
    path = write_raw(tmp_path, "BIAS", 60000.0)
    content, whole = data_digest(path), path.read_bytes()
    packed = pack(path, "compress")
    (tmp_path / "scratch").mkdir()
    unpacked = Unpacked(lambda: tmp_path / "scratch")

    unpacked.expect([packed, packed])
    first = unpacked.plain(packed, content, data_digest).path
    unpacked.leave([packed])
    assert first.read_bytes() == whole
    unpacked.leave([packed])
    assert not first.exists()

    assert unpacked.plain(packed, content, data_digest).path.read_bytes() == whole


def test_a_copy_is_never_written_over(tmp_path: Path) -> None:
    packed = pack(write_static(tmp_path, "EXTINCT_TABLE"), "gzip")
    copy = tmp_path / "copy.fits"
    copy.write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        unpack(packed, Packing.GZIP, copy)
