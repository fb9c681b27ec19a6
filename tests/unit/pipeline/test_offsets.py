"""The list of offsets and the table that a person edits."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reference.measured import Measured
from pipeline.reference.offsets import Row, lost_row, read_list, read_lost, row_of, write_list
from pipeline.reference.sheet import Sheet, SheetError, draft, merged, read_sheet, signed, text_of

DEC = -60.0
ROWS = (
    row_of("2026-01-16T01:00:00.000", 61000.1, DEC, Measured(), applied=False),
    row_of(
        *("2026-01-16T02:00:00.0001", 61000.2, DEC),
        Measured(ra_offset=1 / 1800, dec_offset=-1 / 7200, flux_scale=1.25, background=3.0),
        applied=True,
    ),
)
LOST = lost_row("2026-01-16T03:00:00.000", 61000.3, DEC)


def test_the_list_has_the_columns_that_the_recipes_read_and_no_other(tmp_path: Path) -> None:
    write_list(ROWS, (LOST,)).writeto(tmp_path / "list.fits")
    with fits.open(tmp_path / "list.fits") as hdus:
        columns = hdus[1].columns

        assert columns.names == ["DATE_OBS", "MJD_OBS", "RA_OFFSET", "DEC_OFFSET", "FLUX_SCALE"]
        assert columns.formats == ["23A", "D", "D", "D", "D"]
        assert [columns[name].unit for name in ("MJD_OBS", "RA_OFFSET", "DEC_OFFSET")] == ["d", "deg", "deg"]
        assert hdus[1].data["FLUX_SCALE"][1] == 1.25
        assert math.isnan(hdus[1].data["FLUX_SCALE"][0])


def test_a_list_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_list((ROWS[1], ROWS[0]), (LOST,)).writeto(tmp_path / "list.fits")

    assert repr(read_list(tmp_path / "list.fits")) == repr(ROWS)
    assert repr(read_lost(tmp_path / "list.fits")) == repr((LOST,))


def test_an_offset_on_the_sky_is_shorter_than_in_right_ascension() -> None:
    assert (ROWS[1].east, ROWS[1].north) == (1.0, -0.5)


def edited(path: Path, rows: tuple[Row, ...] = (*ROWS, LOST), **cells: object) -> Sheet:
    """Write the table of offsets, change cells of its second row, and read it."""
    table = draft(rows, ROWS)
    for name, value in cells.items():
        table[name][1] = value
    path.write_text(text_of(table))
    return read_sheet(path)


def test_a_table_that_was_not_edited_changes_nothing(tmp_path: Path) -> None:
    rows, changes = merged((*ROWS, LOST), edited(tmp_path / "t.ecsv"))

    assert (repr(rows), changes) == (repr(ROWS), ())


@settings(max_examples=20)
@given(st.floats(-10, 10), st.floats(-10, 10))
def test_what_is_edited_is_what_the_recipes_subtract(east: float, north: float) -> None:
    table = draft(ROWS, ROWS)
    table["east"][1], table["north"][1] = east, north
    sheet = read_text(text_of(table))
    rows, _ = merged(ROWS, sheet)

    assert rows[0] is ROWS[0]
    assert rows[1].ra_offset * 3600 * 0.5 == pytest.approx(east, abs=2e-4)
    assert rows[1].dec_offset * 3600 == pytest.approx(north, abs=2e-4)


def read_text(text: str) -> Sheet:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".ecsv") as file:
        file.write(text)
        file.flush()
        return read_sheet(Path(file.name))


def test_an_exposure_that_was_not_matched_can_be_given_an_offset(tmp_path: Path) -> None:
    table = draft((*ROWS, LOST), ROWS)
    table["use"][2], table["east"][2], table["north"][2] = True, 2.0, 1.0
    (tmp_path / "t.ecsv").write_text(text_of(table))
    rows, changes = merged((*ROWS, LOST), read_sheet(tmp_path / "t.ecsv"))

    assert [row.date_obs for row in rows] == [row.date_obs for row in (*ROWS, LOST)]
    assert rows[2].dec_offset == pytest.approx(1 / 3600)
    assert len(changes) == 1


def test_a_table_says_who_edited_it_and_why(tmp_path: Path) -> None:
    edited(tmp_path / "t.ecsv")
    (tmp_path / "signed.ecsv").write_text(signed(tmp_path / "t.ecsv", "A. Astronomer", "a companion"))
    sheet = read_sheet(tmp_path / "signed.ecsv")

    assert (sheet.by, sheet.why) == ("A. Astronomer", "a companion")


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({"date_obs": "2026-01-16T09:00:00.000"}, "names other exposures than were measured"),
        ({"date_obs": ROWS[0].date_obs}, "names an exposure twice"),
        ({"east": math.nan}, "holds an offset of 2026-01-16T02:00:00.000 that is none"),
        ({"north": 1e6}, "holds an offset of 2026-01-16T02:00:00.000 that is none"),
        ({"flux_scale": -1.0}, "holds a flux scale of 2026-01-16T02:00:00.000 that is none"),
        ({"measured_east": 7.0}, "was made before 2026-01-16T02:00:00.000 was measured anew"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path: Path, cells: dict[str, object], text: str) -> None:
    with pytest.raises(SheetError, match=text):
        merged((*ROWS, LOST), edited(tmp_path / "t.ecsv", **cells))


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.ecsv").write_text("no table")

    with pytest.raises(SheetError, match="is no ECSV table"):
        read_sheet(tmp_path / "t.ecsv")


def test_a_table_that_leaves_nothing_is_refused() -> None:
    table = draft(ROWS, ())

    with pytest.raises(SheetError, match="leaves no exposure in use"):
        merged(ROWS, read_text(text_of(table)))


def test_last_bits_do_not_reach_the_list() -> None:
    """Processors differ in them."""
    told = Measured(ra_offset=1e-4, east_error=0.01, flux_scale=1.5, background=3e-20)
    moved = {
        n: getattr(told, n) * (1 + 4e-16) for n in ("ra_offset", "east_error", "flux_scale", "background")
    }

    assert repr(row_of("d", 1.0, DEC, told, applied=True)) == repr(
        row_of("d", 1.0, DEC, replace(told, **moved), applied=True)
    )
