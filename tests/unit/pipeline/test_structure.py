"""What a file must hold to be what its tag says."""

import math
from pathlib import Path

import pytest
from astropy.io import fits
from builders import STATIC_COLUMNS, image, primary, static_bytes, table

from pipeline.fitsfile import Hdu, read_hdus
from pipeline.structure import PRODUCTS, STATICS, header_fault, number_fault, read_table, tables


def written(path: Path, content: bytes) -> tuple[Path, tuple[Hdu, ...]]:
    path.write_bytes(content)
    return path, read_hdus(path)


def fault(tag: str, path: Path, content: bytes) -> str:
    """Look at a static calibration as a run would."""
    _, hdus = written(path, content)
    return header_fault(STATICS[tag], hdus) or number_fault(STATICS[tag], path, hdus)


@pytest.mark.parametrize("tag", [*STATIC_COLUMNS, "FILTER_LIST", "ASTROMETRY_WCS", "VIGNETTING_MASK"])
def test_a_static_calibration_that_is_one_has_no_fault(tmp_path: Path, tag: str) -> None:
    assert fault(tag, tmp_path / "s.fits", static_bytes(tag)) == ""


@pytest.mark.parametrize("tag", list(STATIC_COLUMNS))
def test_no_static_calibration_passes_for_another(tmp_path: Path, tag: str) -> None:
    """A curve of extinction is none of flux, and the lines of the sky are those of Raman scattering."""
    passes = {other for other in STATIC_COLUMNS if not fault(tag, tmp_path / "s.fits", static_bytes(other))}

    assert passes == ({"SKY_LINES", "RAMAN_LINES"} if tag in ("SKY_LINES", "RAMAN_LINES") else {tag})


WAVE = [4000.0, 5000.0, 6000.0]
FLAT = [0.1, 0.1, 0.1]


def curve(**columns: list[float]) -> bytes:
    return primary() + table("CURVE", columns)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (curve(**{"LAMBDA": WAVE, "extinction": FLAT}), "without the column lambda"),
        (curve(**{"lambda": [], "extinction": []}), "with 0 rows, at least 1 are needed"),
        (curve(**{"lambda": WAVE[::-1], "extinction": FLAT}), "whose lambda does not ascend"),
        (
            curve(**{"lambda": [400.0, 500.0], "extinction": FLAT[:2]}),
            "whose lambda runs from 400 to 500, expected Angstrom",
        ),
        (
            curve(**{"lambda": [0.4, 0.5], "extinction": FLAT[:2]}),
            "whose lambda runs from 0.4 to 0.5, expected Angstrom",
        ),
        (
            curve(**{"lambda": WAVE, "extinction": [0.1, math.nan, 0.1]}),
            "whose extinction is no number in 1 of 3 rows",
        ),
        (
            curve(**{"lambda": WAVE, "extinction": FLAT}).replace(b"1D", b"1K"),
            "with extinction as 1K, expected doubles (D): the recipe would not read it",
        ),
        (primary() + image("CURVE", [1]), "without a table"),
    ],
    ids=["case", "rows", "backwards", "nanometres", "micrometres", "nan", "type", "no-table"],
)
def test_a_curve_that_the_recipe_would_misread_is_a_fault(tmp_path: Path, content: bytes, said: str) -> None:
    assert fault("EXTINCT_TABLE", tmp_path / "s.fits", content) == said


@pytest.mark.parametrize(
    ("unit", "said"),
    [("Angstrom", ""), ("angstrom", ""), ("", ""), ("nm", "with lambda in nm, expected Angstrom")],
)
def test_the_unit_of_wavelengths_counts_where_it_is_given(tmp_path: Path, unit: str, said: str) -> None:
    columns = [
        fits.Column("lambda", "D", unit or None, array=WAVE),
        fits.Column("extinction", "D", array=FLAT),
    ]
    path = tmp_path / "s.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)

    assert header_fault(STATICS["EXTINCT_TABLE"], read_hdus(path)) == said


def test_every_filter_of_a_list_is_looked_at_and_named(tmp_path: Path) -> None:
    good = table("white", {"lambda": WAVE, "throughput": FLAT})
    bad = table("Cousins_R", {"lambda": WAVE, "response": FLAT})
    path, hdus = written(tmp_path / "f.fits", primary() + good + bad)

    assert header_fault(STATICS["FILTER_LIST"], hdus) == "without the column throughput in Cousins_R"
    assert tables(read_hdus(path)) == ("white", "Cousins_R")


def test_an_ifu_without_bad_pixels_is_no_fault(tmp_path: Path) -> None:
    columns: dict[str, list[float]] = {name: [] for name in ("xpos", "ypos", "status", "value")}

    assert fault("BADPIX_TABLE", tmp_path / "b.fits", primary() + table("CHAN01", columns)) == ""


def test_a_packed_mask_is_an_image(tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "mask.fits"
    data = np.ones((30, 30), np.int32)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data)]).writeto(path)

    assert header_fault(STATICS["VIGNETTING_MASK"], read_hdus(path)) == ""


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    columns = [
        fits.Column("name", "5A", array=["OH", "O2"]),
        fits.Column("flags", "3X", array=[[1, 0, 1], [0, 0, 1]]),
        fits.Column("pair", "2E", array=[[1, 2], [3, 4]]),
        fits.Column("group", "J", array=[7, 8]),
        fits.Column("lambda", "D", array=[5577.0, 6300.0]),
    ]
    path = tmp_path / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)

    found = read_table(path, read_hdus(path)[1])

    assert found["name"].tolist() == [b"OH", b"O2"]
    assert found["pair"].tolist() == [[1, 2], [3, 4]]
    assert found["group"].tolist() == [7, 8]
    assert found["lambda"].tolist() == [5577, 6300]


def test_a_pixel_table_says_the_flux_of_its_flat(tmp_path: Path) -> None:
    """Without it the recipe takes the first IFU and leaves the others out."""
    parts = b"".join(
        image(name, [1], {"BUNIT": "count"})
        for name in ("xpos", "ypos", "lambda", "data", "dq", "stat", "origin")
    )
    cards = {"ESO DRS MUSE PIXTABLE TYPE": "GEOFULL"}
    structure = PRODUCTS["PIXTABLE_OBJECT"]
    _, without = written(tmp_path / "a.fits", primary(cards) + parts)
    _, whole = written(tmp_path / "b.fits", primary(cards | {"ESO DRS MUSE FLAT FLUX SKY": 1.0}) + parts)

    assert header_fault(structure, without) == (
        "without ESO DRS MUSE FLAT FLUX LAMP or ESO DRS MUSE FLAT FLUX SKY"
    )
    assert header_fault(structure, whole) == ""


def test_tables_of_products_have_a_row_a_slice(tmp_path: Path) -> None:
    rows = [0.0] * 47
    _, hdus = written(
        tmp_path / "t.fits", primary() + table("", {"SliceNo": rows, "Width": rows, "tc0_00": rows})
    )

    assert header_fault(PRODUCTS["TRACE_TABLE"], hdus) == "with 47 rows, at least 48 are needed"
