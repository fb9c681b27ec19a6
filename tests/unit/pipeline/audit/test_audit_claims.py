"""What headers say of how a file was made, read from headers of many makers."""

import gzip
from pathlib import Path

import pytest
from builders import hdu, image, primary, write_raw

from pipeline.audit.cards import FullCard, read_cards, read_headers
from pipeline.audit.claims import FileClaims, read_claims
from pipeline.errors import FitsError
from pipeline.fitsfile import read_hdus


def claimed(**values: object) -> FileClaims:
    """Read claims out of cards; `__` in a name stands for a blank."""
    cards = tuple(
        FullCard(key.replace("__", " "), f"'{value}'" if isinstance(value, str) else str(value))
        for key, value in values.items()
    )
    return read_claims((cards,))


def line(text: str) -> FullCard:
    return read_cards(text.ljust(80).encode())[0]


@pytest.mark.parametrize(
    ("text", "token", "comment"),
    [
        ("HIERARCH ESO PRO REC1 PARAM3 VALUE = 'dcr     ' / Default: 'dcr'", "'dcr'", "Default: 'dcr'"),
        ("HIERARCH ESO PRO REC1 PARAM3 VALUE = 'a/b''c' / Default: 1", "'a/b''c'", "Default: 1"),
        ("EXPTIME =                  30. / Integration time", "30.", "Integration time"),
        ("COMMENT   FITS / is a format", "'  FITS / is a format'", ""),
        ("HIERARCH ESO PRO SCIENCE =   T / Scientific product if T", "T", "Scientific product if T"),
    ],
)
def test_a_card_is_read_with_its_comment(text: str, token: str, comment: str) -> None:
    assert (line(text).token, line(text).comment) == (token, comment)


def test_a_long_string_is_put_together() -> None:
    lines = ("HIERARCH ESO PRO REC1 RAW1 NAME = 'MUSE.2017-06-16T01:34&'", "CONTINUE  ':56.867.fits' / File")
    found = read_cards("".join(text.ljust(80) for text in lines).encode())

    assert [(c.keyword, c.token) for c in found] == [
        ("ESO PRO REC1 RAW1 NAME", "'MUSE.2017-06-16T01:34:56.867.fits'")
    ]


def test_a_default_that_the_card_cuts_is_no_change() -> None:
    long = "HIERARCH ESO PRO REC1 PARAM20 VALUE = '5577.339,6300.304' / Default: '5577.339,6"
    name = "HIERARCH ESO PRO REC1 PARAM20 NAME = 'skylines' / List of wavelengths"
    first = "HIERARCH ESO PRO REC1 PARAM1 NAME = 'a'", "HIERARCH ESO PRO REC1 PARAM1 VALUE = '2'"
    cards = read_cards("".join(t.ljust(80) for t in (*first, name, long)).encode())

    parameters = read_claims((cards,)).recipes[0].parameters
    assert [(p.name, p.value, p.is_changed) for p in parameters] == [
        ("a", "2", None),
        ("skylines", "5577.339,6300.304", False),
    ]


def test_values_without_quotes_are_text_too() -> None:
    """Programs that copy headers write numbers and truths without quotes."""
    claims = claimed(
        ESO__PRO__REC1__ID="muse_flat",
        ESO__PRO__REC1__PARAM1__NAME="order",
        ESO__PRO__REC1__PARAM1__VALUE=7,
    )

    assert claims.recipes[0].value("order") == "7"


def test_what_is_missing_or_twice_is_said() -> None:
    claims = claimed(
        ESO__PRO__REC1__RAW2__NAME="b.fits",
        ESO__PRO__REC1__PARAM1__NAME="order",
        ESO__PRO__REC1__PARAM1__VALUE="5",
        ESO__PRO__REC1__PARAM2__NAME="order",
        ESO__PRO__REC1__PARAM2__VALUE="7",
        ESO__PRO__REC1__PARAM3__NAME="nsum",
    )

    record = claims.recipes[0]
    assert record.faults == (
        "REC1 does not name its recipe",
        "REC1 RAW2 has no CATG",
        "REC1 goes up to RAW2 without RAW1",
        "REC1 PARAM3 has no VALUE",
    )
    assert record.contradictions == ("REC1 has the parameter order twice, as 5 and as 7",)


def test_a_card_that_is_there_twice_with_two_values_is_said() -> None:
    cards = tuple(FullCard("ESO PRO REC1 ID", f"'{name}'") for name in ("muse_bias", "muse_flat"))

    claims = read_claims((cards,))
    assert claims.repeated == ("ESO PRO REC1 ID is there twice, as 'muse_bias' and as 'muse_flat'",)


def test_a_chain_in_an_extension_is_found() -> None:
    """Files that were taken apart keep their history in the extension."""
    extension = (FullCard("EXTNAME", "'DATA'"), FullCard("ESO PRO REC1 ID", "'muse_scipost'"))

    claims = read_claims(((FullCard("SIMPLE", "T"),), extension))
    assert (claims.where, claims.recipes[0].recipe, claims.extensions) == (1, "muse_scipost", ("DATA",))


def test_sources_and_programmes_of_phase_3_are_read() -> None:
    claims = claimed(PROV2="b.fits", PROV1="a.fits", PROG_ID="MULTI", PROGID1="60.A-1", PROGID2="60.A-2")

    assert claims.sources == (("PROV1", "a.fits"), ("PROV2", "b.fits"))
    assert claims.programmes == ("60.A-1", "60.A-2")


# Files that are not whole


def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = primary({"ESO PRO REC1 ID": "muse_bias"}) + image("DATA", [1, 2, 3])
    for cut, told in ((len(whole) - 2881, "truncated"), (1000, "is cut")):
        path = tmp_path / f"{cut}.fits"
        path.write_bytes(whole[:cut])

        found = read_headers(path)
        assert told in found.fault
        assert read_claims(found.hdus).recipes[0].recipe == "muse_bias"


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(primary({"ESO PRO REC1 ID": "muse_bias"})))

    assert read_claims(read_headers(path).hdus).recipes[0].recipe == "muse_bias"


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"PK\3\4" * 2000, "is not a FITS file"), (b"SIMPL", "FITS file")],
)
def test_what_is_no_fits_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(content)

    with pytest.raises(FitsError, match=told):
        read_headers(path)


def test_sizes_that_cannot_be_end_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary() + hdu({"XTENSION": "IMAGE", "BITPIX": 7, "NAXIS": 1, "NAXIS1": 5}))

    found = read_headers(path)
    assert found.fault.startswith("damaged: BITPIX = 7")
    assert len(found.hdus) == 2


def test_a_raw_frame_has_no_chain(tmp_path: Path) -> None:
    path = write_raw(tmp_path, "BIAS", 61055.6)

    claims = read_claims(read_headers(path).hdus)
    assert claims.recipes == ()
    assert claims.extensions == ("CHAN01", "CHAN02")


def test_a_packed_file_that_is_damaged_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Whatever the unpacker complains of; a scan of its folder goes on (promise 6)."""
    path = tmp_path / "a.fits.gz"
    path.write_bytes(b"\x1f\x8b\x08\0garbage" * 50)

    for read in (read_headers, read_hdus):
        with pytest.raises(FitsError, match="cannot read"):
            read(path)


def test_more_axes_than_there_can_be_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary() + hdu({"XTENSION": "IMAGE", "BITPIX": 16, "NAXIS": 999999999, "NAXIS1": 1}))

    assert read_headers(path).fault == "damaged: NAXIS = 999999999 in HDU 1"
