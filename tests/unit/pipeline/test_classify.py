"""From headers to tags, and what cannot be used."""

from pathlib import Path

import pytest
from builders import DPR, Value, channel, image, primary, raw_cards, static_bytes, write_raw

from pipeline import keywords as kw
from pipeline.classify import classify, is_product
from pipeline.fitsfile import read_hdus
from pipeline.model import Frame, Problem
from pipeline.modes import MODES
from pipeline.tags import Kind


def classified(path: Path) -> Frame | Problem:
    return classify(path, path.stat().st_size, read_hdus(path))


def written(folder: Path, content: bytes) -> Frame | Problem:
    path = folder / "x.fits"
    path.write_bytes(content)
    return classified(path)


def reason(found: Frame | Problem) -> str:
    assert isinstance(found, Problem)
    return found.reason


@pytest.mark.parametrize("tag", DPR)
def test_a_raw_frame_of_each_tag_is_known(tmp_path: Path, tag: str) -> None:
    found = classified(write_raw(tmp_path, tag, 60000.0))

    assert isinstance(found, Frame)
    assert (found.tag, found.kind, found.ifus) == (tag, Kind.RAW, (1, 2))


def test_a_frame_holds_what_its_header_says(tmp_path: Path) -> None:
    found = classified(write_raw(tmp_path, "OBJECT", 60000.5, start=60000.25))

    assert isinstance(found, Frame)
    assert found.arcfile == "MUSE.2023-02-25T12:00:00.000.fits"
    assert (found.mode, found.field, found.readout, found.binning) == (
        *("WFM-NOAO-N", "WFM"),
        *("1 SCI1.0", "1x1"),
    )
    assert (found.template, found.block, found.target) == ("2023-02-25T06:00:00", "1001", "NGC 1")
    assert (found.exptime_s, found.temperature_c) == (10.0, 10.0)
    assert found.airmass == pytest.approx(1.15)
    assert found.exposure == "2023-02-25T12:00:00.000"


@pytest.mark.parametrize("mode", [*MODES, "WFM-NONAO-N"])
def test_a_frame_of_any_mode_is_known(tmp_path: Path, mode: str) -> None:
    found = classified(write_raw(tmp_path, "OBJECT", 60000.0, changes={kw.INS_MODE: mode}))

    assert isinstance(found, Frame)
    assert (found.mode, found.field) == (mode, mode[:3])


def test_a_mode_that_does_not_exist_is_a_problem(tmp_path: Path) -> None:
    """The recipes would take the frame for one in WFM-NOAO-E, without a word."""
    found = classified(write_raw(tmp_path, "OBJECT", 60000.0, changes={kw.INS_MODE: "WFM-AO"}))

    assert reason(found) == "OBJECT with ESO INS MODE = WFM-AO, which is no mode"
    assert isinstance(found, Problem)
    assert found.hint == f"known are {', '.join(MODES)}; recipes would take WFM-NOAO-E"


def test_the_field_of_a_static_without_a_mode_is_that_of_its_optics(tmp_path: Path) -> None:
    changes = {kw.INS_OPTI2_NAME: "NFM"}
    found = written(tmp_path, static_bytes("ASTROMETRY_WCS", changes=changes))

    assert isinstance(found, Frame)
    assert (found.mode, found.field) == ("", "NFM")


@pytest.mark.parametrize("lamp", ["Ne", "Xe", "HgCd"])
def test_the_lamp_of_an_arc_is_the_one_that_shines_in(tmp_path: Path, lamp: str) -> None:
    found = classified(write_raw(tmp_path, "ARC", 60000.0, lamp=lamp))

    assert isinstance(found, Frame)
    assert found.lamp == lamp


def test_a_lamp_behind_a_closed_shutter_does_not_count(tmp_path: Path) -> None:
    changes = {kw.SHUTTER_STATE.format(3): False}
    found = classified(write_raw(tmp_path, "ARC", 60000.0, lamp="Ne", changes=changes))

    assert isinstance(found, Frame)
    assert found.lamp == ""


@pytest.mark.parametrize("keyword", [k for k in kw.NEEDED_OF_RAW if not k.startswith("ESO DPR")])
def test_a_raw_frame_without_a_needed_keyword_is_a_problem_that_names_it(
    tmp_path: Path, keyword: str
) -> None:
    found = classified(write_raw(tmp_path, "FLAT", 60000.0, changes={keyword: None}))

    assert reason(found) == f"FLAT without {keyword}"


@pytest.mark.parametrize("keyword", kw.NEEDED_ON_SKY)
def test_an_exposure_of_the_sky_needs_a_pointing(tmp_path: Path, keyword: str) -> None:
    found = classified(write_raw(tmp_path, "OBJECT", 60000.0, changes={keyword: None}))

    assert reason(found) == f"OBJECT without {keyword}"


def test_a_frame_without_category_has_no_tag(tmp_path: Path) -> None:
    found = classified(write_raw(tmp_path, "BIAS", 60000.0, changes={kw.DPR_TYPE: None}))

    assert reason(found) == "ESO DPR TYPE is missing and so is ESO PRO CATG: no tag can be given"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {kw.DPR_TYPE: "FLAT,LAMP,SPECIAL"},
            "no tag is known for ESO DPR CATG = CALIB, ESO DPR TYPE = FLAT,LAMP,SPECIAL",
        ),
        ({kw.DPR_CATG: "TEST"}, "no tag is known for ESO DPR CATG = TEST, ESO DPR TYPE = FLAT,LAMP"),
        ({kw.MJD_OBS: "yesterday"}, "FLAT with MJD-OBS = 'yesterday', expected a number"),
        ({kw.EXPTIME: True}, "FLAT with EXPTIME = True, expected a number"),
    ],
    ids=["type", "category", "text-for-number", "bool-for-number"],
)
def test_a_value_nobody_knows_is_a_problem_that_names_it(
    tmp_path: Path, changes: dict[str, Value], message: str
) -> None:
    assert reason(classified(write_raw(tmp_path, "FLAT", 60000.0, changes=changes))) == message


def test_a_detector_that_is_dead_is_left_out(tmp_path: Path) -> None:
    head = primary(raw_cards("BIAS", 60000.0))
    found = written(tmp_path, head + channel(1, 0) + channel(2, 0, {kw.DET_CHIP_LIVE: False}))

    assert isinstance(found, Frame)
    assert found.ifus == (1,)


def test_a_detector_without_a_name_would_be_dropped_by_the_recipe(tmp_path: Path) -> None:
    head = primary(raw_cards("BIAS", 60000.0))

    assert reason(written(tmp_path, head + channel(1, 0, {kw.DET_CHIP_ID: None}))) == (
        "CHAN01 without ESO DET CHIP NAME or ESO DET CHIP ID: recipes would drop it"
    )


def test_a_raw_frame_without_detectors_is_a_problem(tmp_path: Path) -> None:
    head = primary(raw_cards("BIAS", 60000.0))

    assert reason(written(tmp_path, head + image("OTHER", [1]))) == (
        "no live detector: no extension CHANnn holds an image"
    )


STATICS = ["GEOMETRY_TABLE", "EXTINCT_TABLE", "SKY_LINES", "LINE_CATALOG", "ASTROMETRY_WCS", "BADPIX_TABLE"]


@pytest.mark.parametrize("tag", STATICS)
def test_a_static_calibration_is_known_by_its_category(tmp_path: Path, tag: str) -> None:
    found = written(tmp_path, static_bytes(tag))

    assert isinstance(found, Frame)
    assert (found.tag, found.kind, found.mjd) == (tag, Kind.STATIC, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            static_bytes("STD_FLUX_TABLE", changes={kw.PRO_CATG: "EXTINCT_TABLE"}),
            "EXTINCT_TABLE without the column extinction",
        ),
        (
            static_bytes("LINE_CATALOG", changes={kw.VERSION: 2}),
            "LINE_CATALOG with VERSION = 2, expected 3",
        ),
        (static_bytes("ASTROMETRY_WCS", changes={"CD1_2": None}), "ASTROMETRY_WCS without CD1_2"),
        (primary({kw.PRO_CATG: "EXTINCT_TABLE"}), "EXTINCT_TABLE without a table"),
        (
            static_bytes("EXTINCT_TABLE", changes={kw.PRO_CATG: "SKY_LINES"}),
            "SKY_LINES without a table named LINES",
        ),
        (static_bytes("OUTPUT", changes={}), "ESO PRO CATG = OUTPUT is no static calibration"),
    ],
    ids=["wrong-table", "version", "keyword", "no-table", "extension", "unknown"],
)
def test_a_wrong_static_calibration_is_found(tmp_path: Path, content: bytes, message: str) -> None:
    """Promise 11: the recipes would take it without a word."""
    assert reason(written(tmp_path, content)) == message


@pytest.mark.parametrize(
    ("category", "expected"),
    [("MASTER_BIAS", True), ("EXTINCT_TABLE", False), (None, False)],
    ids=["product", "static", "raw"],
)
def test_products_of_recipes_are_told_from_statics(category: str | None, expected: bool) -> None:
    assert is_product({kw.PRO_CATG: category}) is expected
