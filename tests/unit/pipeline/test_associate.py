"""The choice of a calibration: what must agree, how far it may lie, which of several."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from builders import frame, night_frames
from hypothesis import given
from hypothesis import strategies as st

from pipeline.associate import group
from pipeline.model import Chip, Frame, NextBest
from pipeline.rules import DAY_S, RULES, Rule
from pipeline.shelf import SHOWN, Candidate, Shelf, Wanted, choose, in_words, window_in_words

SCIENCE = frame("OBJECT", 60000.0)


def candidate(name: str, days: float, tag: str = "FLAT", **changes: object) -> Candidate:
    """Make a calibration so many days after the exposure."""
    made = frame(tag, 60000.0 + days, **changes)
    return Candidate(name, made, made.mjd)


# Grouping


def test_frames_are_grouped_into_templates_exposures_and_datasets() -> None:
    night = group(night_frames())

    assert [(t.tag, len(t.frames)) for t in night.templates] == [
        *(("ARC", 3), ("BIAS", 3), ("FLAT", 3), ("SKYFLAT", 3)),
    ]
    assert [exposure.tag for exposure in night.exposures] == ["STD", "SKY", "OBJECT", "OBJECT"]
    assert [(d.target, d.name, len(d.exposures)) for d in night.datasets] == [("NGC 1", "1001", 2)]
    assert len(night.illums) == 1


@given(st.randoms(use_true_random=False))
def test_grouping_does_not_depend_on_the_order_of_frames(shuffle: random.Random) -> None:
    """Promise 2."""
    frames = list(night_frames())
    expected = group(frames)
    shuffle.shuffle(frames)

    assert group(frames) == expected


def test_a_template_works_on_the_ifus_that_are_live_throughout() -> None:
    frames = [frame("BIAS", 60000.0 + n, template="T") for n in range(2)]
    frames[1] = replace(frames[1], chips=frames[1].chips[:1])

    assert group(frames).templates[0].ifus == (1,)


# Choosing


def test_choose_prefers_the_nearest_within_the_best_level() -> None:
    found = choose(RULES["MASTER_FLAT"], SCIENCE, [candidate("far", -2), candidate("near", 0.6)])

    assert (found.chosen, found.level, found.distance_s) == ("near", 0, round(0.6 * DAY_S))
    assert found.reason == "14.4 h away"
    assert found.rejected == ("far: 2.0 d away, level 1",)


def test_a_tie_goes_to_the_earlier_then_to_the_name() -> None:
    pair = [candidate("after", 0.5), candidate("before", -0.5)]
    twins = [candidate("b", 0.5), candidate("a", 0.5)]

    assert choose(RULES["MASTER_FLAT"], SCIENCE, pair).chosen == "before"
    assert choose(RULES["MASTER_FLAT"], SCIENCE, twins).chosen == "a"


@pytest.mark.parametrize(
    ("tag", "made_from", "changes", "reason"),
    [
        ("MASTER_FLAT", "FLAT", {"mode": "WFM-AO-N"}, "mode WFM-AO-N instead of WFM-NOAO-N"),
        ("MASTER_FLAT", "FLAT", {"readout": "2 FAST"}, "readout 2 FAST instead of 1 SCI1.0"),
        ("MASTER_BIAS", "BIAS", {"binning": "2x2"}, "binning 2x2 instead of 1x1"),
        (
            "MASTER_BIAS",
            "BIAS",
            {"chips": (Chip(1, "OLD", "ID01"),)},
            "chip OLD/ID01 instead of CHIP01/ID01",
        ),
        ("ILLUM", "ILLUM", {"field": "NFM"}, "field NFM instead of WFM"),
        ("MASTER_BIAS", "BIAS", {"chips": ()}, "chip missing instead of CHIP01/ID01"),
    ],
    ids=["mode", "readout", "binning", "chip", "field", "no-chip"],
)
def test_a_property_that_differs_rejects_and_is_named(
    tag: str, made_from: str, changes: dict[str, object], reason: str
) -> None:
    found = choose(RULES[tag], SCIENCE, [candidate("x", 0.01, made_from, **changes)], 1)

    assert (found.chosen, found.rejected) == ("", (f"x: {reason}",))


def test_a_bias_of_another_mode_serves() -> None:
    """Biases are taken in one mode and serve all; muse-recipes, section 4, remark 1."""
    assert choose(RULES["MASTER_BIAS"], SCIENCE, [candidate("x", 0.1, "BIAS", mode="WFM-AO-N")], 1).chosen


def test_only_the_chip_of_the_ifu_in_question_has_to_agree() -> None:
    chips = (Chip(1, "CHIP01", "ID01"), Chip(2, "NEW", "ID99"))
    found = [candidate("x", 0.1, "BIAS", chips=chips)]

    assert choose(RULES["MASTER_BIAS"], SCIENCE, found, 1).chosen == "x"
    assert choose(RULES["MASTER_BIAS"], SCIENCE, found, 2).chosen == ""


def test_outside_every_window_nothing_is_chosen_and_the_nearest_is_named() -> None:
    found = choose(RULES["MASTER_FLAT"], SCIENCE, [candidate("x", 9), candidate("y", -11)])

    assert found.chosen == ""
    assert found.rejected == ("x: 9.0 d away, at most 7.0 d allowed", "y: 11.0 d away, at most 7.0 d allowed")


@pytest.mark.parametrize(
    ("mjd", "reason"),
    [(57112.0, "2015-03-31"), (57352.0, "2015-11-26")],
    ids=["vessel", "cables"],
)
def test_no_calibration_is_used_across_an_intervention(mjd: float, reason: str) -> None:
    science, flat = frame("OBJECT", mjd + 0.1), frame("FLAT", mjd - 0.1)
    found = choose(RULES["MASTER_FLAT"], science, [Candidate("x", flat, flat.mjd)])

    assert found.chosen == ""
    assert found.rejected[0].startswith(f"x: on the other side of an intervention ({reason}")


def test_a_candidate_with_a_fault_is_rejected_with_it() -> None:
    blocked = replace(candidate("x", 0.1), fault="blocked: 2 FLAT, at least 3 are needed")
    found = choose(RULES["MASTER_FLAT"], SCIENCE, [blocked, candidate("y", 0.9)])

    assert found.chosen == "y"
    assert found.rejected == ("x: blocked: 2 FLAT, at least 3 are needed",)


@pytest.mark.parametrize(
    ("hours", "temperature", "level", "reason"),
    [
        (0.5, 10.5, 0, "30 min away, 0.5 degrees warmer or colder"),
        (0.5, 12.0, 1, "30 min away, 2.0 degrees warmer or colder"),
        (3.0, 10.0, 1, "3.0 h away, 0.0 degrees warmer or colder"),
        (6.0, 15.0, 2, "6.0 h away, 5.0 degrees warmer or colder"),
        (0.5, None, 1, "30 min away, temperature unknown"),
    ],
    ids=["near-and-like", "warmer", "later", "both", "unknown"],
)
def test_an_illum_is_judged_by_time_and_temperature(
    hours: float, temperature: float | None, level: int, reason: str
) -> None:
    found = choose(RULES["ILLUM"], SCIENCE, [candidate("x", hours / 24, "ILLUM", temperature_c=temperature)])

    assert (found.chosen, found.level, found.reason) == ("x", level, reason)


def test_the_sky_of_the_same_block_is_best() -> None:
    other = candidate("other", 0.01, "SKY", block="2002")
    same = candidate("same", 0.2, "SKY")

    assert choose(RULES["SKY_CONTINUUM"], SCIENCE, [other, same]).chosen == "same"
    assert choose(RULES["SKY_CONTINUUM"], SCIENCE, [other]).level == 1


def test_a_static_that_does_not_say_agrees_with_everything() -> None:
    found = choose(RULES["GEOMETRY_TABLE"], SCIENCE, [Candidate("x", frame("GEOMETRY_TABLE", None), None)])

    assert (found.chosen, found.level, found.reason) == ("x", 1, "without a date")


def test_a_bad_pixel_table_of_a_later_date_does_not_count() -> None:
    found = choose(RULES["BADPIX_TABLE"], SCIENCE, [candidate("x", 5, "BADPIX_TABLE")])

    assert found.rejected == ("x: later than the exposure",)


# Which of several


def static(name: str, days: float | None, tag: str, **changes: object) -> Candidate:
    """Make a static calibration so many days after the exposure, or without a date."""
    made = frame(tag, None if days is None else 60000.0 + days, path=Path(f"calib/{name}"), **changes)
    return Candidate(name, made, made.mjd)


@pytest.mark.parametrize(
    ("tag", "days", "chosen", "level"),
    [
        ("GEOMETRY_TABLE", {"past": -29, "future": 1}, "past", 0),
        ("GEOMETRY_TABLE", {"past": -31, "future": 29}, "future", 0),
        ("GEOMETRY_TABLE", {"past": -170, "older": -179, "future": 31}, "past", 1),
        ("ASTROMETRY_WCS", {"past": -2000, "future": 181}, "past", 2),
        ("ASTROMETRY_WCS", {"past": -2000, "undated": None}, "past", 2),
        ("BADPIX_TABLE", {"older": -900, "past": -500, "future": 1}, "past", 0),
    ],
    ids=["past-first", "level-before-past", "nearest-past", "any", "dated-first", "latest-before"],
)
def test_of_dated_statics_the_best_level_then_the_past_then_the_nearest(
    tag: str, days: dict[str, float | None], chosen: str, level: int
) -> None:
    found = choose(RULES[tag], SCIENCE, [static(name, at, tag) for name, at in days.items()])

    assert (found.chosen, found.level) == (chosen, level)


@pytest.mark.parametrize(
    ("tag", "days", "is_open"),
    [
        ("EXTINCT_TABLE", (None, None), True),
        ("EXTINCT_TABLE", (-10, -20), True),
        ("GEOMETRY_TABLE", (None, None), True),
        ("GEOMETRY_TABLE", (-10, -10), True),
        ("GEOMETRY_TABLE", (-10, 10), False),
        ("BADPIX_TABLE", (-10, -20), False),
        ("BADPIX_TABLE", (-10, -10), True),
    ],
    ids=["any", "any-dated", "undated", "same-day", "apart", "badpix", "badpix-same-day"],
)
def test_two_statics_that_nothing_tells_apart_are_for_a_person_to_choose(
    tag: str, days: tuple[float | None, float | None], is_open: bool
) -> None:
    pair = [static(name, at, tag) for name, at in zip("ab", days, strict=True)]

    found = Shelf.of(pair).find(RULES[tag], Wanted(SCIENCE, SCIENCE.mjd))

    assert (found.rival is not None) is is_open


def test_a_wavelength_solution_made_with_another_trace_is_one_level_down() -> None:
    """The chosen set has to be consistent; muse-recipes, section 4, remark 4."""
    near = replace(candidate("near", 0.1, "ARC"), trace="other")
    far = replace(candidate("far", 0.9, "ARC"), trace="mine")
    wanted = Wanted(SCIENCE, SCIENCE.mjd, 1, "mine")

    both = Shelf.of([near, far]).find(RULES["WAVECAL_TABLE"], wanted).association
    alone = Shelf.of([near]).find(RULES["WAVECAL_TABLE"], wanted).association

    assert (both.chosen, both.level, both.inconsistent) == ("far", 0, "")
    assert both.next_best == NextBest("near", 1, round(0.1 * DAY_S))
    assert (alone.chosen, alone.level) == ("near", 1)
    assert alone.inconsistent == "made with the trace of other, not of mine"
    assert alone.reason == f"2.4 h away, {alone.inconsistent}"


@pytest.mark.parametrize(
    ("lsf", "arc", "chosen", "level"),
    [(29, 0.1, "lsf", 1), (31, 0.1, "arc", 0), (40, 35, "arc", 2), (400, None, "lsf", 2)],
    ids=["within-the-window", "beyond-it", "both-beyond", "alone"],
)
def test_arcs_taken_for_the_profile_come_first_within_the_window(
    lsf: float, arc: float | None, chosen: str, level: int
) -> None:
    there = [candidate("lsf", lsf, "ARC_LSF")]
    there += [] if arc is None else [candidate("arc", arc, "ARC")]

    found = choose(RULES["LSF_PROFILE"], SCIENCE, there)

    assert (found.chosen, found.level) == (chosen, level)


def test_of_two_standards_equally_near_that_at_the_lower_airmass_is_taken() -> None:
    pair = [candidate("high", -0.5, "STD", airmass=1.0), candidate("low", 0.5, "STD", airmass=2.0)]

    assert choose(RULES["STD_RESPONSE"], SCIENCE, pair).chosen == "high"
    assert choose(RULES["STD_RESPONSE"], SCIENCE, [replace(pair[1], name="z"), pair[0]]).chosen == "high"
    late = [candidate("before", -0.5, "STD", airmass=2.0), candidate("after", 0.5, "STD", airmass=1.0)]
    assert choose(RULES["STD_RESPONSE"], SCIENCE, late).chosen == "after"


def test_age_and_temperature_have_a_sign() -> None:
    """Negative is before the exposure, and colder."""
    found = choose(RULES["ILLUM"], SCIENCE, [candidate("x", -1 / 24, "ILLUM", temperature_c=9.5)])

    assert (found.age_s, found.distance_s, found.warmer_c) == (-3600, 3600, -0.5)


@pytest.mark.parametrize(
    ("tag", "mjd", "changes", "is_needed"),
    [
        ("VIGNETTING_MASK", 57822.9, {}, True),
        ("VIGNETTING_MASK", 57823.0, {}, False),
        ("VIGNETTING_MASK", 57822.9, {"field": "NFM"}, False),
        ("RAMAN_LINES", 60000.0, {"mode": "WFM-AO-E"}, True),
        ("RAMAN_LINES", 60000.0, {"mode": "NFM-AO-N"}, True),
        ("RAMAN_LINES", 60000.0, {"mode": "WFM-NOAO-E"}, False),
        ("MASTER_BIAS", 60000.0, {"mode": "WFM-NOAO-E"}, True),
    ],
)
def test_some_calibrations_are_needed_by_some_exposures_only(
    tag: str, mjd: float, changes: dict[str, object], is_needed: bool
) -> None:
    wanted = frame("SKYFLAT", mjd, **changes)

    assert RULES[tag].is_needed_by(wanted, wanted.mjd) is is_needed


# What it costs


def test_the_search_looks_at_few_candidates_however_many_there_are() -> None:
    """Linear in what is asked for: not a comparison of each with each."""
    many = [candidate(f"{n:04}", n / 10 - 200) for n in range(4000)]
    shelf = Shelf.of(many)

    for days in range(-150, 150):
        wanted = frame("OBJECT", 60000.0 + days + 0.04)
        found = shelf.find(RULES["MASTER_FLAT"], Wanted(wanted, wanted.mjd, 1)).association
        assert found.distance_s == round(0.04 * DAY_S)

    assert shelf.looked_at <= 300 * 5


RULE = st.sampled_from(
    [RULES[tag] for tag in ("MASTER_BIAS", "MASTER_FLAT", "TWILIGHT_CUBE", "STD_RESPONSE")]
)
DAYS = st.lists(st.floats(-60, 60, allow_nan=False), max_size=8)


@given(RULE, DAYS)
def test_choose_never_picks_outside_the_window_and_takes_the_nearest_of_the_best_level(
    rule: Rule, days: list[float]
) -> None:
    candidates = [candidate(f"{n}", d, rule.made_from) for n, d in enumerate(days)]
    widest = rule.windows_s[-1]
    assert widest is not None
    reachable = [c for c in candidates if _distance(c.frame) <= widest]

    found = choose(rule, SCIENCE, candidates, 1)

    assert bool(found.chosen) is bool(reachable)
    if found.chosen:
        assert found.distance_s == min(_distance(c.frame) for c in reachable)
        window = rule.windows_s[found.level]
        assert window is not None
        assert found.distance_s <= window
    assert len(found.rejected) == min(len(candidates) - bool(found.chosen), SHOWN)


def _distance(found: Frame) -> int:
    assert found.mjd is not None
    return round(abs(found.mjd - 60000.0) * DAY_S)


@given(RULE, DAYS, st.randoms(use_true_random=False))
def test_choose_does_not_depend_on_the_order_of_candidates(
    rule: Rule, days: list[float], shuffle: random.Random
) -> None:
    """Promise 2."""
    candidates = [candidate(f"{n}", d, rule.made_from) for n, d in enumerate(days)]
    expected = choose(rule, SCIENCE, candidates, 1)
    shuffle.shuffle(candidates)

    assert choose(rule, SCIENCE, candidates, 1) == expected


@pytest.mark.parametrize(
    ("tag", "words"),
    [("MASTER_FLAT", "7.0 d"), ("ILLUM", "12.0 h"), ("LSF_PROFILE", "any distance")],
)
def test_windows_are_written_as_a_person_would(tag: str, words: str) -> None:
    assert window_in_words(RULES[tag]) == words


def test_distances_are_written_as_a_person_would() -> None:
    assert [in_words(s) for s in (0, 3599, 3600, 86399, 86400)] == [
        "0 min",
        "60 min",
        "1.0 h",
        "24.0 h",
        "1.0 d",
    ]


def test_every_rule_says_where_it_comes_from_and_widens() -> None:
    for rule in RULES.values():
        assert rule.source
        known = [window for window in rule.windows_s if window is not None]
        assert known == sorted(known)
