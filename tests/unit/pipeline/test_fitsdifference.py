"""Where two FITS files differ."""

import gzip
from pathlib import Path

import pytest
from builders import image, primary, sealed, write_raw

from pipeline.errors import FitsError
from pipeline.fitsdifference import CardDifference, HduDifference, compare_files


def write(path: Path, *hdus: bytes) -> Path:
    path.write_bytes(b"".join(hdus))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write(tmp_path / "plain.fits", primary({"OBSERVER": "A"}), sealed(image("DATA", [1, 2, 3])))


def test_a_file_does_not_differ_from_itself(plain: Path) -> None:
    assert compare_files(plain, plain) == ()


def test_volatile_cards_and_comments_count_for_nothing(plain: Path, tmp_path: Path) -> None:
    cards = {"OBSERVER": "A", "DATE": "2031-01-01", "CHECKSUM": "0"}
    other = write(tmp_path / "b.fits", primary(cards, comment="said"), sealed(image("DATA", [1, 2, 3])))

    assert compare_files(plain, other) == ()


@pytest.mark.parametrize(
    ("cards", "found"),
    [
        ({"OBSERVER": "B"}, CardDifference("OBSERVER", "'A'", "'B'")),
        ({}, CardDifference("OBSERVER", "'A'", None)),
        ({"OBSERVER": "A", "ESO DPR TYPE": "SKY"}, CardDifference("ESO DPR TYPE", None, "'SKY'")),
    ],
    ids=["changed", "gone", "new"],
)
def test_a_card_is_named_with_both_values(
    plain: Path, tmp_path: Path, cards: dict[str, str], found: CardDifference
) -> None:
    other = write(tmp_path / "b.fits", primary(cards), sealed(image("DATA", [1, 2, 3])))

    assert compare_files(plain, other) == (HduDifference(0, "", (found,), False),)


def test_other_data_are_told_and_their_sum_is_not(plain: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "b.fits", primary({"OBSERVER": "A"}), sealed(image("DATA", [1, 2, 4])))

    assert compare_files(plain, other) == (HduDifference(1, "DATA", (), True),)


def test_an_hdu_more_or_less_is_told(plain: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "b.fits", primary({"OBSERVER": "A"}))

    alone = HduDifference(1, "DATA", (), False, is_alone=True)
    assert compare_files(plain, other) == compare_files(other, plain) == (alone,)


def test_a_packed_file_is_compared_as_if_unpacked(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a", "BIAS", 60000.0)
    other = write_raw(tmp_path / "b", "BIAS", 60000.0, seed="other")
    packed = tmp_path / "packed.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))

    assert compare_files(path, packed) == ()
    assert [(part.name, part.data) for part in compare_files(packed, other)] == [
        ("CHAN01", True),
        ("CHAN02", True),
    ]


def test_a_file_that_cannot_be_read_is_said(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(FitsError, match="is not a FITS file"):
        compare_files(plain, write(tmp_path / "b.fits", b"x" * 2880))
