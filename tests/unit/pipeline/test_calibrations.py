"""The calibrations of each exposure, and what to look for in the archive for those that are missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from builders import frame, night_frames

from pipeline.archive import Search, Window, search_for
from pipeline.calibrations import Sheet, searches, sheets
from pipeline.config import FileTable, Settings
from pipeline.model import Chip, Frame, Scan
from pipeline.plan import plan
from pipeline.rules import RULES

FRAMES = night_frames()
FIRST, SECOND = (f.exposure for f in FRAMES if f.tag == "OBJECT")
SETTINGS = Settings(Path("/galaxy"), FileTable(), Path("/galaxy/clio.toml"))


def sheets_of(frames: Sequence[Frame] = FRAMES) -> dict[str, Sheet]:
    """Write the sheets of a night, by name."""
    made = plan(Scan(tuple(frames), (), (), ()), SETTINGS)
    return {sheet.name: sheet for sheet in sheets(made, RULES.__getitem__)}


def without(*tags: str) -> list[Frame]:
    return [f for f in FRAMES if f.tag not in tags]


def chosen(sheet: Sheet) -> dict[str, str]:
    return {need.tag: need.association.chosen for need in sheet.needs}


# The sheet of an exposure


def test_a_sheet_holds_all_that_an_exposure_needs_up_to_its_cube() -> None:
    found = sheets_of()[FIRST]

    assert found.is_complete
    assert found.frame.tag == "OBJECT"
    assert set(chosen(found)) == {
        *("MASTER_BIAS", "MASTER_FLAT", "WAVECAL_TABLE", "ILLUM", "TWILIGHT_CUBE", "GEOMETRY_TABLE"),
        *("BADPIX_TABLE", "EXTINCT_TABLE", "STD_RESPONSE", "STD_TELLURIC", "ASTROMETRY_WCS", "FILTER_LIST"),
        *("SKY_CONTINUUM", "LSF_PROFILE"),
    }
    assert {need.ifus for need in found.needs} == {(1, 2)}


def test_exposures_come_by_time_and_templates_after_them() -> None:
    found = list(sheets_of().values())

    assert [s.frame.tag for s in found] == [
        *("STD", "SKY", "OBJECT", "OBJECT", "BIAS", "FLAT", "ARC", "SKYFLAT"),
    ]
    assert [s.is_exposure for s in found] == [True] * 4 + [False] * 4


def test_what_is_said_is_what_the_plan_would_use() -> None:
    made = plan(Scan(FRAMES, (), (), ()), SETTINGS)
    step = next(s for s in made.steps if s.id == f"scibasic:{FIRST}:02")

    found = [need.association for need in sheets_of()[FIRST].needs]

    assert all(choice in found for choice in step.associations)


def test_ifus_with_another_choice_have_a_line_of_their_own() -> None:
    """The detector of IFU 2 was exchanged between two biases."""
    new = (Chip(1, "CHIP01", "ID01"), Chip(2, "CHIP02", "NEW"))
    old = [frame("BIAS", 60000.3 + n / 1440, template="2023-02-25T07:12:00") for n in range(3)]
    frames = [replace(f, chips=new) if f.chips and f.tag == "BIAS" else f for f in FRAMES]
    found = sheets_of([*frames, *old])[FIRST]

    biases = {need.ifus: need.association.chosen for need in found.needs if need.tag == "MASTER_BIAS"}
    assert biases == {(1,): "2023-02-25T14:24:00", (2,): "2023-02-25T07:12:00"}


def test_what_is_missing_is_told_apart_from_what_can_be_done_without() -> None:
    found = sheets_of(without("STD", "ILLUM"))[FIRST]

    assert [need.tag for need in found.missing] == ["STD_RESPONSE"]
    illum = next(need for need in found.needs if need.tag == "ILLUM")
    assert (illum.association.chosen, illum.is_missing) == ("", False)
    assert illum.rule.without
    assert found.problems == ()


def test_what_blocks_for_another_reason_is_said_too() -> None:
    frames = [f for f in FRAMES if f.lamp != "Xe"]
    arc = next(f.template for f in FRAMES if f.tag == "ARC")

    found = sheets_of(frames)[arc]

    assert "no ARC frame of Xe in the template" in found.problems
    assert not found.is_complete


# What to look for


def search(tag: str, wanted: Frame) -> Search:
    assert wanted.mjd is not None
    return search_for(RULES[tag], wanted.exposure, wanted, wanted.mjd)


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (
            "MASTER_BIAS",
            "DPR CATG CALIB, DPR TYPE BIAS, DET READ CURID 1 (SCI1.0); "
            "taken 2023-02-18 12:00 to 2023-03-04 12:00, best 2023-02-24 12:00 to 2023-02-26 12:00; "
            "3 of one template at least",
        ),
        (
            "WAVECAL_TABLE",
            "DPR CATG CALIB, DPR TYPE WAVE, INS MODE WFM-NOAO-N, DET READ CURID 1 (SCI1.0); "
            "taken 2023-02-18 12:00 to 2023-03-04 12:00, best 2023-02-24 12:00 to 2023-02-26 12:00; "
            "3 of one template at least, one of each lamp: Ne, Xe, HgCd",
        ),
        (
            "ILLUM",
            "DPR CATG CALIB, DPR TYPE FLAT,LAMP,ILLUM, INS MODE WFM-*, DET READ CURID 1 (SCI1.0); "
            "taken 2023-02-25 00:00 to 2023-02-26 00:00, best 2023-02-25 10:00 to 2023-02-25 14:00",
        ),
        (
            "STD_RESPONSE",
            "DPR CATG CALIB, DPR TYPE STD, INS MODE WFM-NOAO-N; "
            "taken 2023-01-26 12:00 to 2023-03-27 12:00, best 2023-02-24 12:00 to 2023-02-26 12:00",
        ),
        (
            "GEOMETRY_TABLE",
            "GEOMETRY_TABLE for WFM (ESO PRO CATG), from the static calibrations that come with the "
            "pipeline, from 2015-11-26 00:00 on",
        ),
        (
            "EXTINCT_TABLE",
            "EXTINCT_TABLE (ESO PRO CATG), from the static calibrations that come with the pipeline",
        ),
    ],
)
def test_a_search_is_said_as_the_form_of_the_archive_takes_it(tag: str, words: str) -> None:
    assert search(tag, frame("OBJECT", 60000.5)).in_words() == words


def test_dates_end_at_an_intervention() -> None:
    """What was taken on its other side would not be used."""
    found = search("MASTER_FLAT", frame("OBJECT", 57353.0))

    assert [(w.begin, w.end) for w in found.windows] == [
        ("2015-11-26T00:00", "2015-11-28T00:00"),
        ("2015-11-26T00:00", "2015-11-30T00:00"),
        ("2015-11-26T00:00", "2015-12-04T00:00"),
    ]


def test_dates_are_rounded_into_the_window() -> None:
    window = Window(0, 60000.0001, 60001.0001)

    assert (window.begin, window.end) == ("2023-02-25T00:01", "2023-02-26T00:00")


def test_a_year_s_end_is_no_border() -> None:
    found = search("MASTER_BIAS", frame("OBJECT", 60310.0))  # 2024-01-01

    assert (found.windows[-1].begin, found.windows[-1].end) == ("2023-12-25T00:00", "2024-01-08T00:00")


def test_frames_found_as_told_are_what_is_chosen() -> None:
    """At both ends of the dates, and no longer a minute outside of them."""
    night = without("STD")
    (found,) = searches(sheets_of(night).values(), sheets_of(night).values())
    begin, end = found.windows[-1].begin_mjd, found.windows[-1].end_mjd
    assert begin is not None
    assert end is not None

    for at, is_good in ((begin, True), (end, True), (begin - 0.001, False), (end + 0.001, False)):
        other = night_frames(at - 1.0)  # its own calibrations, and the standard at that time
        added = [f for f in other if f.tag in ("STD", "BIAS", "FLAT", "ARC")]
        completed = sheets_of([*night, *added])
        is_used = all(chosen(completed[name])["STD_RESPONSE"] for name in found.wanted_by)
        assert is_used is is_good


def test_one_search_serves_all_exposures_that_share_it() -> None:
    found = sheets_of(without("STD"))
    (wanted,) = searches(found.values(), found.values())

    assert wanted.tag == "STD_RESPONSE"
    assert wanted.wanted_by == (next(f.exposure for f in FRAMES if f.tag == "SKY"), FIRST, SECOND)


def test_exposures_far_apart_need_a_search_each() -> None:
    late = [f for f in night_frames(60100.0) if f.tag not in ("FLAT",) and f.chips]
    found = sheets_of([*without("FLAT"), *late])

    flats = [s for s in searches(found.values(), found.values()) if s.tag == "MASTER_FLAT"]

    assert len(flats) == 2


def test_of_a_calibration_that_is_blocked_the_cause_is_looked_for() -> None:
    """The standard is there, but without arcs: arcs are missing, and no standard."""
    found = sheets_of(without("ARC"))

    wanted = searches([found[FIRST]], found.values())

    assert {s.tag for s in wanted} == {"WAVECAL_TABLE", "LSF_PROFILE"}
