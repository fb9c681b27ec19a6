"""Where two FITS files differ."""

import gzip
from pathlib import Path

import pytest
from builders import image, primary, sealed, write_raw

from pipeline.errors import FitsError
from pipeline.fitsdata import FitsData
from pipeline.fitsdifference import (
    CardDifference,
    CardKind,
    HduDifference,
    card_differences,
    compare_files,
    written_cards,
)


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


def differences(old: bytes, new: bytes, folder: Path) -> list[CardDifference]:
    """Compare the primary headers of two files with all that is written in them."""
    with FitsData(write(folder / "old.fits", old)) as one, FitsData(write(folder / "new.fits", new)) as other:
        cards = (written_cards(data.headers()[0], data.hdus[0]) for data in (one, other))
        return list(card_differences(*cards))


def with_lines(*lines: str) -> bytes:
    """Write a primary header with lines of its own."""
    header = primary()[:320] + "".join(line.ljust(80) for line in (*lines, "END")).encode()
    return header.ljust(2880)


def test_a_line_of_history_that_is_new_is_one_card(tmp_path: Path) -> None:
    old = with_lines("HISTORY a", "HISTORY c")
    new = with_lines("HISTORY a", "HISTORY b", "HISTORY c")

    assert differences(old, new, tmp_path) == [CardDifference("HISTORY", None, "'b'")]


def test_a_comment_that_moved_is_told_with_the_whole_card(tmp_path: Path) -> None:
    old, new = with_lines("A       =                    1 / one"), with_lines("A       = 1 / two")

    assert differences(old, new, tmp_path) == [
        CardDifference("A", "A = 1 / one", "A = 1 / two", CardKind.COMMENT)
    ]


def test_another_order_is_told_by_the_first_card_that_stands_elsewhere(tmp_path: Path) -> None:
    lines = ["A       = 1", "B       = 2", "C       = 3"]
    old, new = with_lines(*lines), with_lines(lines[0], lines[2], lines[1])

    assert differences(old, new, tmp_path) == [CardDifference("B", "B 2", "C 3", CardKind.ORDER)]


def test_a_card_more_moves_none_of_the_others(tmp_path: Path) -> None:
    old, new = (with_lines(*(f"{name}       = 1" for name in names)) for names in ("AB", "ACBB"))

    assert differences(old, new, tmp_path) == [CardDifference("B", None, "1"), CardDifference("C", None, "1")]


def test_a_continued_value_is_one_card(tmp_path: Path) -> None:
    old = with_lines("A       = 'first &'", "CONTINUE  'second'")
    new = with_lines("A       = 'first &'", "CONTINUE  'third'")

    assert differences(old, new, tmp_path) == [CardDifference("A", "'first second'", "'first third'")]


def test_a_line_without_a_value_is_like_a_comment(tmp_path: Path) -> None:
    old, new = with_lines("HIERARCH nothing"), with_lines("HIERARCH something")

    assert differences(old, new, tmp_path) == [
        CardDifference("", "HIERARCH nothing", "HIERARCH something", CardKind.COMMENT)
    ]
