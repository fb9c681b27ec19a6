"""FITS as bytes: structure, checksums, and the two digests."""

import gzip
import hashlib
import struct
from pathlib import Path

import pytest
import rfc8785
from builders import card, hdu, image, pad, primary, raw_cards, sealed, table, write_raw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import Exit, FitsError
from pipeline.fitsdigest import _canonical, digest_file
from pipeline.fitsfile import parse_token, read_hdus
from pipeline.volatile import VOLATILE

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=6).map(lambda text: f"K{text}")
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
VALUES = st.one_of(TEXTS, st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9))
CARDS = st.dictionaries(NAMES.filter(lambda name: name not in VOLATILE), VALUES, max_size=5)
PIXELS = st.lists(st.integers(-1000, 1000), min_size=1, max_size=20)
QUICK = settings(max_examples=40, suppress_health_check=[*HealthCheck])


def data_digest(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return digest_file(path).data_digest


# The data digest


@QUICK
@given(cards=CARDS, pixels=PIXELS, comment=st.text("abc /'", max_size=8), date=TEXTS)
def test_data_digest_leaves_out_comments_and_volatile_cards(
    tmp_path: Path, cards: dict[str, str], pixels: list[int], comment: str, date: str
) -> None:
    """Promise 2."""
    plain = primary(cards) + image("A", pixels)
    other = primary({**cards, "DATE": date, "CHECKSUM": date[:16]}, comment) + image("A", pixels)

    assert data_digest(tmp_path / "a.fits", plain) == data_digest(tmp_path / "b.fits", other)


@QUICK
@given(cards=CARDS, name=NAMES.filter(lambda name: name not in VOLATILE), value=VALUES)
def test_data_digest_changes_with_any_other_card(
    tmp_path: Path, cards: dict[str, str], name: str, value: str
) -> None:
    """Promise 3."""
    changed = {**cards, name: value}
    same = card(name, cards[name]) == card(name, value) if name in cards else False
    digests = {data_digest(tmp_path / "a.fits", primary(found)) for found in (cards, changed)}

    assert len(digests) == (1 if same or _is_blank(cards.get(name), value) else 2)


def _is_blank(old: object, new: object) -> bool:
    """Trailing blanks of a text are no part of it (FITS Standard 4.0, section 4.2.1)."""
    return isinstance(old, str) and isinstance(new, str) and old.rstrip() == new.rstrip()


@QUICK
@given(pixels=PIXELS, data=st.data())
def test_data_digest_changes_with_any_bit_of_the_data(
    tmp_path: Path, pixels: list[int], data: st.DataObject
) -> None:
    """Promise 3."""
    content = bytearray(primary() + image("A", pixels))
    before = data_digest(tmp_path / "a.fits", bytes(content))
    at = data.draw(st.integers(len(content) - 2880, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))

    assert data_digest(tmp_path / "a.fits", bytes(content)) != before


def test_data_digest_tells_the_order_of_hdus(tmp_path: Path) -> None:
    one, two = image("A", [1]), image("B", [2])

    assert data_digest(tmp_path / "a.fits", primary() + one + two) != data_digest(
        tmp_path / "a.fits", primary() + two + one
    )


def test_data_digest_tells_the_type_of_a_value(tmp_path: Path) -> None:
    digests = {data_digest(tmp_path / "a.fits", primary({"KEY": value})) for value in (True, 1, "1", "T")}

    assert len(digests) == 4


@given(st.lists(st.lists(st.text(st.characters(max_codepoint=0xFF)), min_size=2, max_size=2)))
def test_cards_are_written_as_rfc_8785_has_them(cards: list[list[str]]) -> None:
    """Whatever a header holds: its bytes are read as Latin-1."""
    assert _canonical(cards) == rfc8785.dumps(cards)


_ODD_LINES = (
    "SIMPLE  =                    T / standard",
    "BITPIX  =                   16",
    "NAXIS   =                    0",
    "EXTEND  =                    T",
    "DATE    = '2026-11-27T10:00:00' / volatile",
    "CHECKSUM= 'abcdefghijklmnop'   / volatile",
    "ORIGIN  = 'ESO''s   '          / a quote, and blanks at the end",
    "EMPTY   =",
    "NOTHING = ''",
    "COMMENT  of the writer / no value",
    "HISTORY = looks like one",
    "EXPTIME =             1.500E+3 / as written",
    "EXPTIME =                   2. / of two of a name",
    "COMPLEX = (1.0, -2.0)",
    "HIERARCH ESO DPR TYPE = 'FLAT,LAMP' / type / slash",
    "HIERARCH ESO INS TEMP  =-1.0D2",
    "HIERARCH ESO no value at all",
    "LONGTEXT= 'goes on&'",
    "CONTINUE  'and on&' / comment",
    "CONTINUE  ' to the end'",
    "        blank keyword",
    "",
    "UMLAUT  = 'G\xf6ttingen'",
    "END",
)
_ODD = {
    "plain": "fits1:41c7572ee4c5dca32d411ddc898aa57a4e198ac367656ae4cc0f79bc90850203",
    "table": "fits1:bb1296643b61c5c974f6944fe7a9ed287550c916359373cb0cbde009783ed499",
}


def _odd_files() -> dict[str, bytes]:
    head = "".join(line.ljust(80) for line in _ODD_LINES).encode("latin-1")
    plain = head + b" " * (-len(head) % 2880)
    more = table("LINES", {"lambda": [5577.339, 6300.304], "ion": ["O I", "O I"]})
    return {"plain": plain + image("DATA", range(40)), "table": plain + image("", range(3)) + more}


@pytest.mark.parametrize("name", _ODD)
def test_a_data_digest_stays_what_it_is(tmp_path: Path, name: str) -> None:
    """Promises 2 and 3: a key is found again in years; another digest needs another name than fits1."""
    assert data_digest(tmp_path / "odd.fits", _odd_files()[name]) == _ODD[name]
    assert data_digest(tmp_path / "odd.fits.gz", gzip.compress(_odd_files()[name])) == _ODD[name]


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(b"".join((primary(), image("A", [1, 2]), b"\0" * 2880)))

    assert digest_file(path).digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("suffix", [".fits.gz", ".fits"])
def test_gzipped_and_plain_have_the_same_data_digest(tmp_path: Path, suffix: str) -> None:
    """Promise 2; a packed file is known by its first bytes, whatever its name."""
    path = write_raw(tmp_path, "BIAS", 60000.0)
    packed = tmp_path / f"packed{suffix}"
    packed.write_bytes(gzip.compress(path.read_bytes()))

    assert digest_file(packed).data_digest == digest_file(path).data_digest
    assert digest_file(packed).digest != digest_file(path).digest
    assert read_hdus(packed) == read_hdus(path)


@pytest.mark.parametrize("is_unsigned", [True, False], ids=["uint16", "int16"])
def test_tile_compressed_and_plain_have_the_same_data_digest(tmp_path: Path, is_unsigned: bool) -> None:
    """Promise 2: an exposure may come from the archive as .fits.fz."""
    import numpy as np
    from astropy.io import fits

    pixels = np.arange(64 * 32).reshape(32, 64).astype("uint16" if is_unsigned else "int16")
    header = fits.Header()
    for keyword, value in raw_cards("BIAS", 60000.0).items():
        header[f"HIERARCH {keyword}" if " " in keyword else keyword] = (value, "a remark")
    first = fits.PrimaryHDU(header=header)
    chip = fits.Header([("EXTNAME", "CHAN01"), ("HIERARCH ESO DET CHIP NAME", "CHIP01")])
    plain, packed = tmp_path / "a.fits", tmp_path / "a.fits.fz"
    fits.HDUList([first, fits.ImageHDU(pixels, chip)]).writeto(plain)
    compressed = fits.CompImageHDU(pixels, chip, compression_type="RICE_1")
    fits.HDUList([first, compressed]).writeto(packed)

    assert digest_file(packed).data_digest == digest_file(plain).data_digest
    assert digest_file(packed).digest != digest_file(plain).digest


def test_packing_a_frame_with_checksums_changes_nothing(tmp_path: Path) -> None:
    """A packed file keeps them as ZDATASUM and ZHECKSUM, at another place in the header."""
    import numpy as np
    from astropy.io import fits

    pixels = np.arange(600, dtype="uint16").reshape(20, 30)
    plain, packed = tmp_path / "a.fits", tmp_path / "a.fits.fz"
    chip = fits.ImageHDU(pixels, name="CHAN01")
    chip.header["HIERARCH ESO DET CHIP NAME"] = "CHIP01"
    chip.add_checksum(when="synthetic")
    chip.header["HIERARCH ESO DET CHIP LIVE"] = True
    fits.HDUList([fits.PrimaryHDU(), chip]).writeto(plain)
    with fits.open(plain) as opened:
        tiles = fits.CompImageHDU(opened[1].data, opened[1].header, compression_type="RICE_1")
        fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(packed)

    assert b"ZDATASUM" in packed.read_bytes()
    assert digest_file(packed).data_digest == digest_file(plain).data_digest


def test_damaged_tiles_are_said(tmp_path: Path) -> None:
    import numpy as np
    from astropy.io import fits

    path = tmp_path / "a.fits.fz"
    pixels = np.random.default_rng(1).integers(0, 1000, (64, 64)).astype("int16")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels)]).writeto(path)
    at = read_hdus(path)[1].data_offset
    content = bytearray(path.read_bytes())
    content[at + 600 : at + 3000] = b"\xff" * 2400
    path.write_bytes(content)

    with pytest.raises(FitsError, match=r"cannot be unpacked in HDU 1: decompression"):
        digest_file(path)


# Checksums


@QUICK
@given(cards=CARDS, pixels=PIXELS)
def test_a_sealed_file_is_sound_and_astropy_agrees(
    tmp_path: Path, cards: dict[str, str], pixels: list[int]
) -> None:
    from astropy.io import fits

    path = tmp_path / "a.fits"
    path.write_bytes(sealed(primary(cards)) + sealed(image("A", pixels)))

    assert digest_file(path, verify=True).faults == ()
    with fits.open(path, checksum=True) as opened:  # a warning, and so an error, if it did not hold
        assert [unit.verify_checksum() for unit in opened] == [1, 1]


@pytest.mark.parametrize(
    ("at", "faults"),
    [
        (-2880, ("DATASUM of HDU 1 A does not agree with its data", "CHECKSUM of HDU 1 A does not agree")),
        (90, ("CHECKSUM of HDU 0 does not agree with its bytes",)),
    ],
    ids=["data", "header"],
)
def test_a_flipped_byte_contradicts_the_checksums(tmp_path: Path, at: int, faults: tuple[str, ...]) -> None:
    """Promise 11."""
    content = bytearray(sealed(primary()) + sealed(image("A", [1, 2, 3])))
    content[at + (20 if at > 0 else 0)] ^= 1
    path = tmp_path / "a.fits"
    path.write_bytes(content)

    found = digest_file(path, verify=True).faults

    assert len(found) == len(faults)
    assert all(text.startswith(fault) for text, fault in zip(found, faults, strict=True))


def test_a_file_without_checksums_has_no_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary() + image("A", [1]))

    assert digest_file(path, verify=True).faults == ()


# Structure


def test_hdus_are_found_with_names_and_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary() + image("CHAN01", [1] * 2000) + table("LINES", {"x": [1.0]}) + b"\0" * 2880)

    assert [(unit.index, unit.name, unit.data_size) for unit in read_hdus(path)] == [
        (0, "", 0),
        (1, "CHAN01", 5760),
        (2, "LINES", 2880),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{path} is empty"),
        (b"no FITS file at all", "{path} is not a FITS file"),
        (b"SIMPLE  =".ljust(2880), "{path} is truncated: the header of HDU 0 has no END"),
        (primary()[:1000], "{path} is truncated: the header of HDU 0 has no END"),
        (primary() + image("A", [1])[:-1], "{path} is truncated: 1 bytes are missing from HDU 1"),
        (primary() + image("A", [1])[:3000], "{path} is truncated: 2760 bytes are missing from HDU 1"),
        (primary() + b"x" * 2880, "{path} is damaged: no header where HDU 1 should begin"),
        (
            hdu({"SIMPLE": True, "BITPIX": 7, "NAXIS": 1, "NAXIS1": 1}),
            "{path} is damaged: BITPIX = 7 in HDU 0",
        ),
        (hdu({"SIMPLE": True, "BITPIX": 8, "NAXIS": "x"}), "{path} is damaged: NAXIS = 'x' in HDU 0"),
        (gzip.compress(primary() + image("A", [1]))[:-9], "cannot read {path}: "),
        (b"\x1f\x8bgarbage", "cannot read {path}: "),
        (b"\x1f\x9dgarbage", "cannot read {path}: "),
    ],
    ids=[
        *("empty", "text", "no-end", "half-header", "byte-short", "truncated", "junk", "bitpix", "naxis"),
        *("half-gzip", "bad-gzip", "bad-compress"),
    ],
)
def test_what_is_no_whole_fits_file_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(content)

    for read in (read_hdus, digest_file):
        with pytest.raises(FitsError) as caught:
            read(path)
        assert caught.value.message.startswith(message.format(path=path))
        assert caught.value.exit_code is Exit.FRAMES


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FitsError, match=r"cannot read .*: No such file or directory"):
        read_hdus(tmp_path / "a.fits")


# Cards


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("'MUSE'", "MUSE"),
        ("'O''Neill'", "O'Neill"),
        ("T", True),
        ("F", False),
        ("42", 42),
        ("-1.5E3", -1500.0),
        ("1.5D3", 1500.0),
        ("(1, 2)", "(1, 2)"),
        ("", None),
    ],
    ids=["text", "quote", "true", "false", "int", "float", "double", "complex", "none"],
)
def test_tokens_are_read_as_values(token: str, value: object) -> None:
    assert parse_token(token) == value


@QUICK
@given(cards=CARDS)
def test_cards_are_read_back(tmp_path: Path, cards: dict[str, object]) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary(cards))  # type: ignore[arg-type]  # drawn as any value

    header = read_hdus(path)[0].header

    assert {name: header[name] for name in cards} == {
        name: value.rstrip() if isinstance(value, str) else value for name, value in cards.items()
    }


def test_a_long_text_goes_on_in_the_next_card(tmp_path: Path) -> None:
    lines = [b"SIMPLE  =                    T", b"LONG    = 'one&'", b"CONTINUE  'two'", b"END"]
    path = tmp_path / "a.fits"
    path.write_bytes(b"".join(line.ljust(80) for line in lines).ljust(2880))

    assert read_hdus(path)[0].header["LONG"] == "onetwo"


def test_a_slash_in_a_text_begins_no_comment(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(primary({"ESO A B": "x / y", "KEY": "it's / so"}, comment="remark"))

    assert read_hdus(path)[0].header["ESO A B"] == "x / y"
    assert read_hdus(path)[0].header["KEY"] == "it's / so"


def test_builders_write_what_they_say() -> None:
    assert pad(b"x") == b"x" + b"\0" * 2879
    assert image("A", [1, -2])[2880:2884] == struct.pack(">2h", 1, -2)
    assert len(card("ESO INS MODE", "WFM-NOAO-N")) == 80
