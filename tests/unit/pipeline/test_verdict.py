"""How two products compare, and where they differ (DESIGN.md sections 7 and 11; promise 7)."""

import gzip
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from builders import Cards, hdu, image, primary, sealed, table
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.cli.verdicts import lines
from pipeline.fitsdigest import digest_file
from pipeline.verdict import CardKind, Comparison, Sameness, Tolerance, compare, worst

BITPIX = {"u1": 8, ">i2": 16, ">i4": 32, ">i8": 64, ">f4": -32, ">f8": -64}
SKY: Cards = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CUNIT1": "deg",
    "CUNIT2": "deg",
    "CRVAL1": 150.0,
    "CRVAL2": -30.0,
    "CRPIX1": 2.0,
    "CRPIX2": 1.0,
    "CD1_1": -1e-4,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 1e-4,
}
WAVELENGTH: Cards = {
    "CTYPE3": "AWAV",
    "CUNIT3": "Angstrom",
    "CRVAL3": 4750.0,
    "CRPIX3": 1.0,
    "CD3_3": 1.25,
    "CD1_3": 0.0,
    "CD2_3": 0.0,
    "CD3_1": 0.0,
    "CD3_2": 0.0,
}


def array_hdu(name: str, array: NDArray[np.generic], cards: Cards | None = None) -> bytes:
    """Write an image of any type and shape."""
    kind = next(kind for kind in BITPIX if np.dtype(kind) == array.dtype.newbyteorder(">"))
    structure = {"XTENSION": "IMAGE", "BITPIX": BITPIX[kind], "NAXIS": array.ndim}
    structure |= {f"NAXIS{n}": size for n, size in enumerate(reversed(array.shape), 1)}
    rest = {"PCOUNT": 0, "GCOUNT": 1, "EXTNAME": name, **(cards or {})}
    return hdu(structure | rest, array.astype(kind).tobytes())


def table_hdu(
    name: str, columns: Mapping[str, tuple[str, str]], rows: list[bytes], heap: bytes = b"", **cards: object
) -> bytes:
    """Write a binary table of rows as bytes; of each column form and unit."""
    structure = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": len(rows[0]) if rows else 8}
    structure |= {"NAXIS2": len(rows), "PCOUNT": len(heap), "GCOUNT": 1, "TFIELDS": len(columns)}
    for n, (column, (form, unit)) in enumerate(columns.items(), 1):
        structure |= {f"TTYPE{n}": column, f"TFORM{n}": form, f"TUNIT{n}": unit or None}
    return hdu({**structure, "EXTNAME": name, **cards}, b"".join(rows) + heap)  # type: ignore[dict-item]


def cube(seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make data of three planes, and their variance."""
    noise = np.random.default_rng(seed)
    data = noise.normal(100, 5, (3, 4, 5)).astype("f4")
    return data, np.full_like(data, 25.0)


def cube_file(
    data: NDArray[np.generic], stat: NDArray[np.generic] | None, cards: Cards | None = None
) -> bytes:
    cards = {**SKY, **WAVELENGTH, "BUNIT": "count"} if cards is None else cards
    units = [primary({"DATE": "2026-01-01"}), array_hdu("DATA", data, cards)]
    return b"".join([*units, array_hdu("STAT", stat, {"HDUCLAS2": "ERROR"})] if stat is not None else units)


@pytest.fixture
def compared(tmp_path: Path) -> Callable[..., Comparison]:
    """Compare bytes as files."""

    def compared(old: bytes, new: bytes, **options: Tolerance) -> Comparison:
        one, other = tmp_path / "old.fits", tmp_path / "new.fits"
        one.write_bytes(old)
        other.write_bytes(new)
        found = compare(one, other, **options)
        is_same = digest_file(one).data_digest == digest_file(other).data_digest
        assert is_same == (found.sameness in (Sameness.IDENTICAL, Sameness.SAME_SCIENCE))
        back = compare(other, one, **options)
        assert back.sameness is found.sameness, "the order of the files decides nothing"
        return found

    return compared


# Identical, same science


def test_the_same_bytes_are_identical(compared: Callable[..., Comparison]) -> None:
    assert compared(cube_file(*cube()), cube_file(*cube())) == Comparison(Sameness.IDENTICAL, (), (), "")


def test_the_same_bytes_are_identical_though_they_are_no_fits(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"a log")

    assert compare(tmp_path / "a", tmp_path / "b").sameness is Sameness.IDENTICAL


def test_volatile_cards_that_moved_are_named(compared: Callable[..., Comparison]) -> None:
    data = image("DATA", [1, 2])

    found = compared(primary({"DATE": "2026-01-01"}) + data, primary({"DATE": "2031-01-01"}) + data)

    (card,) = found.cards
    assert found.sameness is Sameness.SAME_SCIENCE
    assert (card.keyword, card.old, card.new) == ("DATE", "'2026-01-01'", "'2031-01-01'")
    assert card.is_volatile and card.is_within
    assert found.reason == "nothing moved but the card DATE"
    assert lines(found) == ["of no weight: DATE in HDU 0"]


def test_a_comment_alone_is_the_same_science(compared: Callable[..., Comparison]) -> None:
    found = compared(primary({"OBSERVER": "A"}), primary({"OBSERVER": "A"}, comment="who"))

    assert found.sameness is Sameness.SAME_SCIENCE
    assert {(card.keyword, card.kind) for card in found.cards} >= {("OBSERVER", CardKind.COMMENT)}


def test_a_line_without_a_value_is_the_same_science(compared: Callable[..., Comparison]) -> None:
    old = primary().replace(b"END".ljust(80) + b" " * 80, b"HIERARCH one".ljust(80) + b"END".ljust(80))

    found = compared(old, old.replace(b"HIERARCH one", b"HIERARCH two"))

    assert found.sameness is Sameness.SAME_SCIENCE
    assert found.reason == "nothing moved but cards without a keyword"


def test_packed_and_unpacked_are_the_same_science(tmp_path: Path) -> None:
    data = cube_file(*cube())
    (tmp_path / "a.fits").write_bytes(data)
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress(data))

    assert compare(tmp_path / "a.fits", tmp_path / "b.fits.gz").sameness is Sameness.SAME_SCIENCE


@pytest.mark.parametrize("value", [7, 8], ids=["the same", "another value"])
def test_tiles_are_compared_as_if_unpacked(tmp_path: Path, value: int) -> None:
    from astropy.io import fits

    pixels = np.arange(3000, dtype=np.int16).reshape(30, 100)
    plain = array_hdu("CHAN01", pixels)
    (tmp_path / "a.fits").write_bytes(primary() + plain)
    pixels[7, 0] += value - 7
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, name="CHAN01")]).writeto(
        tmp_path / "b.fits.fz"
    )

    found = compare(tmp_path / "a.fits", tmp_path / "b.fits.fz")

    one, other = (digest_file(tmp_path / name).parts[1].data for name in ("a.fits", "b.fits.fz"))
    assert bool(found.figures) == (one != other) == (value == 8)
    if found.figures:
        assert found.figures[0].largest is not None
        assert found.figures[0].largest.where.pixel == (1, 8)
        assert (found.figures[0].largest.old, found.figures[0].largest.new) == ("700", "701")


# By how much, and where


def test_one_sigma_in_one_voxel_is_different_with_the_place(compared: Callable[..., Comparison]) -> None:
    data, stat = cube()
    other = data.copy()
    other[2, 0, 1] += 5.0

    found = compared(cube_file(data, stat), cube_file(other, stat))

    (figures,) = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert (figures.hdu, figures.name, figures.values, figures.differing, figures.beyond) == (
        1,
        "DATA",
        60,
        1,
        1,
    )
    assert figures.in_sigma is not None and figures.largest is not None
    assert figures.in_sigma.size == pytest.approx(1.0, rel=1e-5)
    assert figures.largest.size == pytest.approx(5.0, rel=1e-5)
    where = figures.in_sigma.where
    assert where.pixel == (2, 1, 3)
    assert (where.ra_deg, where.dec_deg) == (pytest.approx(150.0), pytest.approx(-30.0))
    assert where.wavelength_a == pytest.approx(4752.5)
    assert found.reason == "HDU 1 DATA: 1 of 60 values differs, by 1 sigma at most"
    assert "at (2, 1, 3) RA 150.0000000 Dec -30.0000000 4752.50 A" in lines(found)[1]


def test_one_bit_is_found(compared: Callable[..., Comparison]) -> None:
    data, stat = cube()
    other = data.copy()
    other.view("u4")[1, 2, 3] ^= 1

    found = compared(cube_file(data, stat), cube_file(other, stat))

    (figures,) = found.figures
    assert found.sameness is Sameness.WITHIN_TOLERANCE, "a unit in the last place is rounding"
    assert (figures.differing, figures.beyond) == (1, 0)
    assert figures.largest is not None
    assert figures.largest.where.pixel == (4, 3, 2)


def test_a_bit_of_an_exponent_is_different(compared: Callable[..., Comparison]) -> None:
    data, stat = cube()
    other = data.copy()
    other.view("u4")[0, 0, 0] ^= 1 << 24

    assert compared(cube_file(data, stat), cube_file(other, stat)).sameness is Sameness.DIFFERENT


def test_what_another_thread_count_moves_is_within_the_tolerance(compared: Callable[..., Comparison]) -> None:
    """As measured of MUSE 2.8.7: variances by 5e-6, sky spectra by 2e-6."""
    data, stat = cube()
    flux = array_hdu("CONTINUUM", np.array([1.0, 2.0, 3.0]))
    moved = array_hdu("CONTINUUM", np.array([1.0, 2.0 * (1 + 2e-6), 3.0]))

    found = compared(cube_file(data, stat) + flux, cube_file(data, stat * np.float32(1 + 5e-6)) + moved)

    assert found.sameness is Sameness.WITHIN_TOLERANCE
    assert [figures.name for figures in found.figures] == ["STAT", "CONTINUUM"]
    assert found.reason.startswith("HDU 2 STAT: 60 of 60 values differ, by 5.")


@pytest.mark.parametrize(
    ("sigma", "sameness"), [(1e-3, Sameness.DIFFERENT), (0.02, Sameness.WITHIN_TOLERANCE)]
)
def test_the_tolerance_can_be_set(
    compared: Callable[..., Comparison], sigma: float, sameness: Sameness
) -> None:
    data, stat = cube()

    found = compared(
        cube_file(data, stat), cube_file(data + np.float32(0.05), stat), tolerance=Tolerance(sigma=sigma)
    )

    assert found.sameness is sameness


@pytest.mark.parametrize("hole", [0.0, np.nan, -1.0, np.inf], ids=str)
def test_a_value_without_a_variance_is_judged_beside_itself(
    compared: Callable[..., Comparison], hole: float
) -> None:
    data, stat = cube()
    stat[1, 1, 1] = hole
    other = data.copy()
    other[1, 1, 1] += 1.0
    other[0, 0, 0] += 0.001

    found = compared(cube_file(data, stat), cube_file(other, stat))

    (figures,) = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert (figures.differing, figures.without_sigma, figures.beyond) == (2, 1, 1)
    assert figures.relative is not None and figures.in_sigma is not None
    assert figures.relative.where.pixel == (2, 2, 2)
    assert figures.in_sigma.where.pixel == (1, 1, 1)


def test_the_smaller_of_two_variances_counts(compared: Callable[..., Comparison]) -> None:
    data, stat = cube()

    found = compared(cube_file(data, stat), cube_file(data + np.float32(0.004), stat * np.float32(1e-4)))

    figures = found.figures[0]
    assert figures.in_sigma is not None
    assert figures.in_sigma.size == pytest.approx(0.004 / 0.05, rel=0.01)


@pytest.mark.parametrize("other", [np.nan, np.inf, -np.inf], ids=str)
def test_a_number_on_one_side_only_is_different(compared: Callable[..., Comparison], other: float) -> None:
    data, stat = cube()
    holed = data.copy()
    holed[0, 3, 4] = other

    found = compared(cube_file(data, stat), cube_file(holed, stat))

    (figures,) = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert (figures.alone, figures.beyond) == (1, 1)
    assert figures.first is not None
    assert figures.first.where.pixel == (5, 4, 1)
    assert found.reason == "HDU 1 DATA: 1 of 60 values differs, 1 on one side only"


def test_missing_numbers_on_both_sides_are_alike_whatever_their_bits(
    compared: Callable[..., Comparison],
) -> None:
    data, stat = cube()
    data[0, 0, 0] = np.nan
    other = data.copy()
    other.view("u4")[0, 0, 0] |= 5

    found = compared(cube_file(data, stat), cube_file(other, stat))

    assert found.sameness is Sameness.WITHIN_TOLERANCE
    assert (found.figures[0].differing, found.figures[0].beyond) == (1, 0)


def test_without_world_coordinates_the_indices_are_told(compared: Callable[..., Comparison]) -> None:
    data, stat = cube()
    other = data.copy()
    other[1, 0, 0] = 0.0

    found = compared(cube_file(data, stat, {}), cube_file(other, stat, {}))

    assert found.figures[0].largest is not None
    assert found.figures[0].largest.where.pixel == (1, 1, 2)
    assert found.figures[0].largest.where.ra_deg is None
    assert found.figures[0].largest.where.wavelength_a is None


def test_faint_values_are_judged_beside_the_mean_where_there_is_no_variance(
    compared: Callable[..., Comparison],
) -> None:
    """A difference of two large numbers is small, and its rounding is not."""
    data = np.array([[1000.0, 1e-6, -1000.0]], "f4")
    other = np.array([[1000.0, 2e-6, -1000.0]], "f4")

    assert (
        compared(cube_file(data, None, {}), cube_file(other, None, {})).sameness is Sameness.WITHIN_TOLERANCE
    )


def test_a_wavelength_may_not_move_by_what_a_flux_may(compared: Callable[..., Comparison]) -> None:
    columns = {"lambda": ("1D", "Angstrom"), "flux": ("1D", "")}
    old = [struct.pack(">2d", 7000.0 + n, 5.0) for n in range(3)]
    flux, wave = list(old), list(old)
    flux[1] = struct.pack(">2d", 7001.0, 5.0 * (1 + 2e-6))
    wave[1] = struct.pack(">2d", 7001.0 * (1 + 2e-6), 5.0)

    by_flux, by_wave = (
        compared(primary() + table_hdu("S", columns, old), primary() + table_hdu("S", columns, new))
        for new in (flux, wave)
    )

    assert (by_flux.sameness, by_wave.sameness) == (Sameness.WITHIN_TOLERANCE, Sameness.DIFFERENT)
    assert by_wave.figures[0].column == "lambda"
    assert by_wave.figures[0].largest is not None
    assert by_wave.figures[0].largest.where.pixel == (2,)
    assert by_wave.figures[0].largest.where.wavelength_a == 7001.0


def test_integers_are_told_as_the_header_scales_them(compared: Callable[..., Comparison]) -> None:
    old = np.array([[-32768, 0, 5]], "i2")
    new = np.array([[-32768, 0, 9]], "i2")

    found = compared(*(primary() + array_hdu("RAW", side, {"BZERO": 32768}) for side in (old, new)))

    (figures,) = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert figures.largest is not None
    assert (figures.largest.old, figures.largest.new, figures.largest.size) == ("32773", "32777", 4.0)
    assert figures.largest.where.pixel == (3, 1)


def test_the_difference_of_the_farthest_integers_is_whole(compared: Callable[..., Comparison]) -> None:
    ends = np.iinfo(np.int64)

    found = compared(*(primary() + array_hdu("N", np.array([end], "i8")) for end in (ends.min, ends.max)))

    assert found.figures[0].largest is not None
    assert found.figures[0].largest.size == 2.0**64


def test_quality_flags_that_moved_are_different(compared: Callable[..., Comparison]) -> None:
    found = compared(*(primary() + image("DQ", [0, 0, flag]) for flag in (0, 1 << 3)))

    assert found.sameness is Sameness.DIFFERENT
    assert found.reason == "HDU 1 DQ: 1 of 3 values differs, by 8 at most"


# Tables


SOURCES = {"Id": ("1J", ""), "name": ("6A", ""), "RA": ("1D", "deg"), "DEC": ("1D", "deg"), "ok": ("1L", "")}


def sources(*changes: tuple[int, bytes]) -> list[bytes]:
    rows = [struct.pack(">i6sddc", n, f"s{n}".encode(), 10.0 + n, -30.0 - n, b"T") for n in range(1, 6)]
    for n, row in changes:
        rows[n] = row
    return rows


def test_rows_in_another_order_have_a_finding_of_their_own(compared: Callable[..., Comparison]) -> None:
    rows = sources()
    mixed = [rows[0], rows[2], rows[1], *rows[3:]]

    found = compared(*(primary() + table_hdu("S", SOURCES, side) for side in (rows, mixed)))

    (figures,) = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert figures.notes == ("the same rows in another order",)
    assert (figures.values, figures.differing) == (5, 2)
    assert figures.first is not None
    assert (figures.first.where.pixel, figures.first.where.ra_deg) == ((2,), 12.0)
    assert found.reason == "HDU 1 S: 2 of 5 rows differ, the same rows in another order"


def test_rows_may_stand_in_another_order_if_that_is_said(compared: Callable[..., Comparison]) -> None:
    tables = [primary() + table_hdu("S", SOURCES, rows) for rows in (sources(), sources()[::-1])]

    found = compared(*tables, tolerance=Tolerance(any_order=True))

    assert found.sameness is Sameness.WITHIN_TOLERANCE


def test_rows_that_are_there_twice_are_counted(compared: Callable[..., Comparison]) -> None:
    """The same set of rows is not enough."""
    a, b, *_ = sources()

    found = compared(*(primary() + table_hdu("S", SOURCES, rows) for rows in ([a, a, b], [b, b, a])))

    assert "the same rows in another order" not in found.figures[0].notes


def test_texts_and_truth_values_that_moved_are_told(compared: Callable[..., Comparison]) -> None:
    changed = struct.pack(">i6sddc", 3, b"other", 13.0, -33.0, b"F")

    found = compared(*(primary() + table_hdu("S", SOURCES, r) for r in (sources(), sources((2, changed)))))

    name, ok = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert name.first is not None and ok.first is not None
    assert (name.column, name.first.old, name.first.new) == ("name", "'s3'", "'other'")
    assert (ok.column, ok.first.old, ok.first.new) == ("ok", "T", "F")
    assert (name.first.where.pixel, name.first.where.dec_deg) == ((3,), -33.0)


def test_another_number_of_rows_is_different(compared: Callable[..., Comparison]) -> None:
    found = compared(*(primary() + table_hdu("S", SOURCES, rows) for rows in (sources(), sources()[:3])))

    assert found.sameness is Sameness.DIFFERENT
    assert found.reason == "HDU 1 S: 5 rows and 3 rows"


def test_a_row_of_zeros_more_is_found_though_padding_looks_like_it(
    compared: Callable[..., Comparison],
) -> None:
    columns = {"n": ("1J", "")}
    row, zero = struct.pack(">i", 7), struct.pack(">i", 0)

    found = compared(*(primary() + table_hdu("S", columns, rows) for rows in ([row], [row, zero])))

    assert found.sameness is Sameness.DIFFERENT
    assert found.reason == "HDU 1 S: 1 rows and 2 rows"


def test_the_variance_column_of_a_spectrum_gives_the_sigma(compared: Callable[..., Comparison]) -> None:
    columns = {"lambda": ("1D", "Angstrom"), "data": ("1D", ""), "stat": ("1D", "")}
    rows = [[struct.pack(">3d", 5000.0 + n, value, 4.0) for n in range(3)] for value in (1.0, 1.5)]

    found = compared(*(primary() + table_hdu("S", columns, side) for side in rows))

    (figures,) = found.figures
    assert (figures.column, figures.beyond) == ("data", 3)
    assert figures.in_sigma is not None
    assert figures.in_sigma.size == pytest.approx(0.25)


def test_cells_of_several_values_tell_row_and_place(compared: Callable[..., Comparison]) -> None:
    columns = {"poly": ("3E", "")}
    rows = [struct.pack(">3f", 1, 2, 3), struct.pack(">3f", 4, 5, 6)]
    other = [rows[0], struct.pack(">3f", 4, 50, 6)]

    found = compared(*(primary() + table_hdu("S", columns, side) for side in (rows, other)))

    assert found.figures[0].largest is not None
    assert found.figures[0].largest.where.pixel == (2, 2)


@pytest.mark.parametrize(
    ("cells", "differing", "note"),
    [(([1.0], [2.0, 3.5]), 1, ()), (([1.0], [2.0]), 1, ("1 cells of another length",))],
    ids=["value", "length"],
)
def test_cells_of_any_length_are_compared_one_by_one(
    compared: Callable[..., Comparison], cells: tuple[list[float], ...], differing: int, note: tuple[str, ...]
) -> None:
    def variable(cells: tuple[list[float], ...]) -> bytes:
        rows, heap = [], b""
        for cell in cells:
            rows.append(struct.pack(">2i", len(cell), len(heap)))
            heap += struct.pack(f">{len(cell)}f", *cell)
        return primary() + table_hdu("V", {"spectrum": ("1PE(2)", "")}, rows, heap)

    found = compared(variable(([1.0], [2.0, 3.0])), variable(cells))

    (figures,) = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert (figures.differing, figures.notes) == (differing, note)
    if not note:
        assert figures.largest is not None
        assert figures.largest.where.pixel == (2, 2)


def test_tables_without_rows_are_the_same(compared: Callable[..., Comparison]) -> None:
    found = compared(
        *(primary({"DATE": date}) + table_hdu("S", {"n": ("1D", "")}, []) for date in ("2026", "2027"))
    )

    assert found.sameness is Sameness.SAME_SCIENCE


def test_bytes_behind_the_values_are_named(compared: Callable[..., Comparison]) -> None:
    whole = primary() + image("DATA", [1, 2])

    found = compared(whole, whole[:-1] + b"\1")

    assert found.sameness is Sameness.WITHIN_TOLERANCE
    assert found.reason == "HDU 1 DATA: bytes that hold no value differ"


# Pixel tables


def pixel_table(rows: int = 6, *, order: list[int] | None = None, sigma_at: int | None = None) -> bytes:
    """Write a pixel table, whose rows are spread over seven images."""
    n = np.arange(rows)
    data = np.full(rows, 50.0)
    if sigma_at is not None:
        data[sigma_at] += 2.0
    columns: dict[str, NDArray[np.generic]] = {
        "xpos": (n * 0.1).astype("f4"),
        "ypos": np.full(rows, -1e-4, "f4"),
        "lambda": (5000.0 + n).astype("f4"),
        "data": data.astype("f4"),
        "dq": np.zeros(rows, "i4"),
        "stat": np.full(rows, 4.0, "f4"),
        "origin": (n << 24 | 1 << 11 | 7 << 6 | 12).astype("i4"),
    }
    cards: Cards = {"RA": 150.0, "DEC": -30.0, "ESO DRS MUSE PIXTABLE WCS": "projected (intermediate)"}
    order = list(range(rows)) if order is None else order
    parts = (array_hdu(name, values[order].reshape(-1, 1)) for name, values in columns.items())
    return primary(cards) + b"".join(parts)


def test_a_row_of_a_pixel_table_is_found_in_the_instrument_and_on_the_sky(
    compared: Callable[..., Comparison],
) -> None:
    found = compared(pixel_table(), pixel_table(sigma_at=3))

    (figures,) = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert (figures.name, figures.beyond) == ("data", 1)
    assert figures.in_sigma is not None
    assert figures.in_sigma.size == pytest.approx(1.0)
    where = figures.in_sigma.where
    assert (where.pixel, where.wavelength_a, where.ifu, where.slice) == ((4,), 5003.0, 7, 12)
    # 1e-4 rad from the pole of the projection, at the native longitude 0.3: mirrored, from the south.
    assert where.dec_deg == pytest.approx(-30.0 - np.degrees(1e-4 * np.cos(0.3)), abs=1e-6)
    assert where.ra_deg == pytest.approx(
        150.0 + np.degrees(1e-4 * np.sin(0.3)) / np.cos(np.radians(30)), abs=1e-6
    )


def test_a_pixel_table_in_another_order_is_one_finding(compared: Callable[..., Comparison]) -> None:
    found = compared(pixel_table(), pixel_table(order=[0, 2, 1, 3, 5, 4]))

    (figures,) = found.figures
    assert found.sameness is Sameness.DIFFERENT
    assert (figures.name, figures.differing, figures.notes) == (
        "pixel table",
        4,
        ("the same rows in another order",),
    )
    assert figures.first is not None
    assert figures.first.where.pixel == (2,)


def test_a_pixel_table_with_more_rows_is_different(compared: Callable[..., Comparison]) -> None:
    found = compared(pixel_table(), pixel_table(7))

    assert found.sameness is Sameness.DIFFERENT
    assert found.reason == "HDU 1 pixel table: 6 rows and 7 rows"


# Cards


@pytest.mark.parametrize(
    ("old", "new", "sameness"),
    [
        ({"OBSERVER": "A"}, {"OBSERVER": "B"}, Sameness.DIFFERENT),
        ({"OBSERVER": "A"}, {}, Sameness.DIFFERENT),
        ({"ESO QC BIAS MASTER RON": 2.0}, {"ESO QC BIAS MASTER RON": 2.000002}, Sameness.WITHIN_TOLERANCE),
        ({"ESO QC BIAS MASTER RON": 2.0}, {"ESO QC BIAS MASTER RON": 2.0002}, Sameness.DIFFERENT),
        ({"ESO QC NSATURATED": 2}, {"ESO QC NSATURATED": 3}, Sameness.DIFFERENT),
        ({"CRVAL1": 150.0}, {"CRVAL1": 150.0002}, Sameness.DIFFERENT),
        ({"CRVAL1": 150.0}, {"CRVAL1": 150.0000000002}, Sameness.WITHIN_TOLERANCE),
        ({"EXTEND": True}, {"EXTEND": False}, Sameness.DIFFERENT),
        ({"A": 1, "B": 2}, {"B": 2, "A": 1}, Sameness.WITHIN_TOLERANCE),
        ({"ESO PRO REC1 CAL1 DATAMD5": "a"}, {"ESO PRO REC1 CAL1 DATAMD5": "b"}, Sameness.WITHIN_TOLERANCE),
        (
            {"ESO PRO REC2 CAL3 NAME": "SKY_LINES_145a9f07b085.fits"},
            {"ESO PRO REC2 CAL3 NAME": "SKY_LINES_06cb30cc8033.fits"},
            Sameness.WITHIN_TOLERANCE,
        ),
        (
            {"ESO PRO REC2 CAL3 NAME": "SKY_LINES_145a9f07b085.fits"},
            {"ESO PRO REC2 CAL3 NAME": "SKY_CONTINUUM_145a9f07b085.fits"},
            Sameness.DIFFERENT,
        ),
    ],
    ids=[
        *("text", "gone", "QC near", "QC far", "integer", "WCS far", "WCS near", "truth", "order"),
        *("sum of an input", "name of an input", "another input"),
    ],
)
def test_cards_are_judged_by_what_they_hold(
    compared: Callable[..., Comparison], old: Cards, new: Cards, sameness: Sameness
) -> None:
    found = compared(primary(old), primary(new))

    assert found.sameness is sameness
    assert {card.keyword for card in found.cards} <= {*old, *new}
    assert found.reason


def test_a_card_is_told_with_both_values(compared: Callable[..., Comparison]) -> None:
    found = compared(primary({"OBSERVER": "A"}), primary({"OBSERVER": "B"}))

    assert found.reason == "card OBSERVER of HDU 0: 'A' -> 'B'"
    assert lines(found) == ["HDU 0: 1 card moved, 1 beyond tolerance", "  OBSERVER: 'A' -> 'B'"]


def test_sums_over_data_that_moved_are_no_news(compared: Callable[..., Comparison]) -> None:
    old, new = (primary({"DATAMD5": sum_}) + sealed(image("DATA", [n])) for n, sum_ in ((1, "a"), (2, "b")))

    found = compared(old, new)

    assert found.sameness is Sameness.DIFFERENT
    assert {card.keyword for card in found.cards} <= {"CHECKSUM"}


def test_a_sum_that_moved_by_itself_is_different(compared: Callable[..., Comparison]) -> None:
    found = compared(*(primary({"DATASUM": value}) for value in ("1", "2")))

    assert found.sameness is Sameness.DIFFERENT


# Not comparable


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (primary(), "HDU 1 DATA is in the first file only"),
        (primary() + image("DATA", [1, 2]) + image("DQ", [0]), "HDU 2 DQ is in the second file only"),
        (
            primary() + image("DATA", [1, 2, 3]),
            "HDU 1 DATA is 2 x 1 of >i2 in the first file, and 3 x 1 of >i2 in the second",
        ),
        (primary() + image("STAT", [1, 2]), "HDU 1 DATA is called STAT in the second file"),
        (primary() + table("DATA", {"x": (1.0,)}), "HDU 1 DATA is 2 x 1 of >i2 in the first file, and"),
    ],
    ids=["missing", "extra", "shape", "name", "kind"],
)
def test_another_structure_is_not_comparable(
    compared: Callable[..., Comparison], new: bytes, reason: str
) -> None:
    found = compared(primary() + image("DATA", [1, 2]), new)

    assert found.sameness is Sameness.NOT_COMPARABLE
    if "second file only" not in reason:
        assert found.reason.startswith(reason)
    assert found.reason == lines(found)[0]


def test_what_is_missing_or_no_fits_is_not_comparable(tmp_path: Path) -> None:
    whole, text = tmp_path / "a.fits", tmp_path / "b.txt"
    whole.write_bytes(primary())
    text.write_bytes(b"nothing")

    missing, gone, foreign = compare(whole, None), compare(tmp_path / "none", whole), compare(whole, text)

    assert (missing.sameness, missing.reason) == (Sameness.NOT_COMPARABLE, "the second file is missing")
    assert gone.reason == "the first file is missing"
    assert (foreign.sameness, foreign.reason) == (Sameness.NOT_COMPARABLE, f"{text} is not a FITS file")
    assert lines(missing) == ["the second file is missing"]


# Words, documents, properties


def test_the_worst_of_verdicts() -> None:
    assert worst([Sameness.SAME_SCIENCE, Sameness.DIFFERENT, Sameness.IDENTICAL]) is Sameness.DIFFERENT
    assert worst([]) is Sameness.IDENTICAL


def test_a_document_holds_no_floats(compared: Callable[..., Comparison]) -> None:
    data, stat = cube()

    document = compared(cube_file(data, stat), cube_file(data + 1, stat, {})).document()

    def values(item: object) -> list[object]:
        if isinstance(item, dict):
            return [value for inner in item.values() for value in values(inner)]
        return [value for inner in item for value in values(inner)] if isinstance(item, list) else [item]

    assert document["sameness"] == "different"
    assert not any(isinstance(value, float) for value in values(document))


ANY_FLOAT = st.floats(width=32) | st.sampled_from([0.0, -0.0, np.nan, np.inf, 1e-40])
PIXELS = st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT), min_size=1, max_size=12)


@settings(max_examples=30)
@given(pairs=PIXELS)
def test_the_largest_difference_is_the_largest(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[float, float]]
) -> None:
    """Whatever the numbers: found by the slow way too, at the same place; and neither file is the first."""
    folder = tmp_path_factory.mktemp("pair")
    old, new = (np.array([pair[n] for pair in pairs], "f4") for n in (0, 1))
    for name, side in (("a", old), ("b", new)):
        (folder / name).write_bytes(primary() + array_hdu("DATA", side))

    found, back = compare(folder / "a", folder / "b"), compare(folder / "b", folder / "a")

    moved = old.view("u4") != new.view("u4")
    deltas = np.abs(old.astype("f8")[moved] - new.astype("f8")[moved])
    is_number = np.isfinite(old[moved]) & np.isfinite(new[moved])
    assert found.sameness is back.sameness
    assert sum(figures.differing for figures in found.figures) == moved.sum()
    if is_number.any():
        largest = found.figures[0].largest
        assert largest is not None
        assert largest.size == deltas[is_number].max()
        index = largest.where.pixel[0] - 1
        assert abs(float(old[index]) - float(new[index])) == largest.size


@settings(max_examples=20)
@given(rows=st.lists(st.binary(min_size=5, max_size=5), min_size=1, max_size=8), data=st.data())
def test_any_other_order_of_rows_is_known_as_one(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    mixed = data.draw(st.permutations(rows))
    for name, side in (("a", rows), ("b", mixed)):
        (folder / name).write_bytes(primary() + table_hdu("T", {"x": ("5B", "")}, side))

    found = compare(folder / "a", folder / "b")

    if mixed == rows:
        assert found.sameness is Sameness.IDENTICAL
    else:
        assert found.figures[0].notes == ("the same rows in another order",)


# Memory


def test_memory_stays_small_however_large_the_files(tmp_path: Path) -> None:
    """A cube of 300 MB, of which every value differs; by how much the process grew, and how large it was."""
    shape = (60, 800, 780)
    for name, shift in (("a", 0.0), ("b", 1e-6)):
        with (tmp_path / name).open("wb") as file:
            file.write(primary())
            for extension in ("DATA", "STAT"):
                plane = np.full(shape[1:], 3.0 + shift, ">f4").tobytes()
                size = len(plane) * shape[0]
                empty = array_hdu(extension, np.zeros((1, 1, 1), "f4"), {**SKY, **WAVELENGTH})
                for n, axis in enumerate(reversed(shape), 1):
                    empty = empty.replace(*(f"NAXIS{n}  = {v:20d}".encode() for v in (1, axis)))
                file.write(empty[:-2880])
                for _ in range(shape[0]):
                    file.write(plane)
                file.write(b"\0" * (-size % 2880))
    script = """
import sys
from pathlib import Path
from pipeline.verdict import compare
found = compare(*map(Path, sys.argv[1:]))
print(found.sameness, [f.differing for f in found.figures])
# The peak of this program alone: ru_maxrss begins with that of the one it was started from.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    command = [sys.executable, "-c", script, tmp_path / "a", tmp_path / "b"]

    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert (tmp_path / "a").stat().st_size > 299_000_000
    assert told[0] == "within tolerance [37440000, 37440000]"
    assert int(told[1]) * 1024 < 200_000_000
