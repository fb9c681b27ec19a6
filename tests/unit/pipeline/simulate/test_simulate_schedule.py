"""The schedule and the headers: complete, consistent, and acceptable to the rules of association."""

from datetime import timedelta
from itertools import combinations, pairwise

import pytest

from pipeline.modes import MODES
from pipeline.simulate import NightOptions
from pipeline.simulate.detector import detector
from pipeline.simulate.frames import header as as_fits
from pipeline.simulate.headers import (
    dead_cards,
    effective_airmass,
    end_of,
    live_cards,
    primary_cards,
)
from pipeline.simulate.night import SimulatedExposure, night
from pipeline.simulate.sky import plane_offset_arcsec

NIGHT = night(NightOptions())
LONG_NIGHT = night(NightOptions(exposures=24))
BOTH = NightOptions(exposures=2, modes=("WFM-NOAO-N", "WFM-AO-N"), targets=("A", "B"), datasets=2)
SHARED_NIGHT = night(BOTH)
FULL_NIGHT = night(NightOptions(exposures=3, modes=tuple(MODES), targets=tuple("ABCDEF"), datasets=1))


def tagged(exposures: tuple[SimulatedExposure, ...], tag: str) -> list[SimulatedExposure]:
    return [exposure for exposure in exposures if exposure.tag == tag]


def header(exposure: SimulatedExposure) -> dict[str, object]:
    return {keyword: value for keyword, value, _ in primary_cards(exposure)}


@pytest.mark.parametrize(
    "exposures",
    [NIGHT, LONG_NIGHT, SHARED_NIGHT, FULL_NIGHT],
    ids=["three", "twenty-four", "shared", "all modes"],
)
def test_one_exposure_ends_before_the_next_begins(exposures: tuple[SimulatedExposure, ...]) -> None:
    assert all(end_of(one) < other.start for one, other in pairwise(exposures))
    assert len(exposures) == len({exposure.arcfile for exposure in exposures})
    assert len(exposures) == len({exposure.name for exposure in exposures})


def test_a_night_has_what_the_recipes_need() -> None:
    for tag in ("BIAS", "DARK", "FLAT", "SKYFLAT"):
        assert len(tagged(NIGHT, tag)) == 3
        assert tagged(NIGHT, tag)[0].template_size == 3
    assert {"Ne", "Xe", "HgCd"} == {exposure.lamp for exposure in tagged(NIGHT, "ARC")}
    assert len(tagged(NIGHT, "OBJECT")) == 3
    assert 1 == len(tagged(NIGHT, "STD")) == len(tagged(NIGHT, "SKY"))


@pytest.mark.parametrize(
    "exposures",
    [NIGHT, LONG_NIGHT, SHARED_NIGHT, FULL_NIGHT],
    ids=["three", "twenty-four", "shared", "all modes"],
)
@pytest.mark.parametrize("tag", ["SKYFLAT", "STD", "SKY", "OBJECT"])
def test_an_illumination_flat_lies_within_two_hours_and_a_degree(
    exposures: tuple[SimulatedExposure, ...], tag: str
) -> None:
    for exposure in tagged(exposures, tag):
        near = [
            illum
            for illum in tagged(exposures, "ILLUM")
            if abs(illum.start - exposure.start) < timedelta(hours=2)
            and abs(illum.temperature_c - exposure.temperature_c) <= 1.0
        ]
        assert near


def test_the_sky_exposure_belongs_to_the_block_of_the_objects() -> None:
    (sky,) = tagged(NIGHT, "SKY")

    assert {sky.obs_id} == {exposure.obs_id for exposure in tagged(NIGHT, "OBJECT")}
    numbers = sorted(exposure.template_number for exposure in [sky, *tagged(NIGHT, "OBJECT")])
    assert numbers == [1, 2, 3, 4]
    assert sky.template_size == 4


def test_the_first_pointing_is_true_and_the_others_miss_as_recorded() -> None:
    first, *others = tagged(NIGHT, "OBJECT")

    assert first.pointing is not None
    assert (first.pointing.error_west, first.pointing.error_north) == (0.0, 0.0)
    for exposure in others:
        pointing = exposure.pointing
        assert pointing is not None
        missed = plane_offset_arcsec(pointing.ra_deg, pointing.dec_deg, *pointing.true_position)
        assert missed == pytest.approx((pointing.error_west, pointing.error_north), abs=1e-4)
        assert abs(pointing.error_west) + abs(pointing.error_north) > 0.0


def test_more_exposures_leave_the_first_ones_as_they_are() -> None:
    short, long = tagged(NIGHT, "OBJECT"), tagged(LONG_NIGHT, "OBJECT")

    assert [e.pointing for e in short] == [e.pointing for e in long[:3]]
    assert [e.arcfile for e in short] == [e.arcfile for e in long[:3]]


@pytest.mark.parametrize("exposure", NIGHT, ids=lambda exposure: exposure.name)
def test_headers_hold_what_classification_and_recipes_read(exposure: SimulatedExposure) -> None:
    cards = header(exposure)

    for keyword in (
        "INSTRUME", "OBJECT", "DATE-OBS", "MJD-OBS", "EXPTIME", "UTC", "LST", "RA", "DEC", "ARCFILE",
        "ESO DPR CATG", "ESO DPR TYPE", "ESO DPR TECH", "ESO OBS ID", "ESO OBS NAME", "ESO TPL ID",
        "ESO TPL START", "ESO TPL NEXP", "ESO TPL EXPNO", "ESO INS MODE", "ESO INS OPTI1 NAME",
        "ESO INS OPTI2 NAME", "ESO INS TEMP7 VAL", "ESO DET READ CURID", "ESO DET READ CURNAME",
        "ESO DET BINX", "ESO DET BINY", "ESO TEL GEOLAT",
    ):  # fmt: skip
        assert keyword in cards, keyword
    assert f"MUSE.{cards['DATE-OBS']}.fits" == cards["ARCFILE"]
    assert 1 <= exposure.template_number <= exposure.template_size
    assert str(cards["ESO TPL START"]) < str(cards["DATE-OBS"])
    assert len(cards) == len(primary_cards(exposure)), "a keyword stands twice"


@pytest.mark.parametrize("exposure", NIGHT, ids=lambda exposure: exposure.name)
def test_exactly_one_lamp_burns_where_one_should(exposure: SimulatedExposure) -> None:
    cards = header(exposure)

    lit = [n for n in range(1, 7) if cards[f"ESO INS LAMP{n} ST"] and cards[f"ESO INS SHUT{n} ST"]]

    assert (1 if exposure.tag in ("ARC", "FLAT", "ILLUM") else 0) == len(lit)
    if exposure.tag == "ARC":
        assert f"CU-LAMP-{exposure.lamp}" == cards[f"ESO INS LAMP{lit[0]} NAME"]


@pytest.mark.parametrize("tag", ["SKYFLAT", "STD", "SKY", "OBJECT"])
def test_airmass_and_angle_fit_the_pointing(tag: str) -> None:
    for exposure in (*tagged(LONG_NIGHT, tag), *tagged(FULL_NIGHT, tag)):
        cards = header(exposure)
        start, end = float(str(cards["ESO TEL AIRM START"])), float(str(cards["ESO TEL AIRM END"]))

        assert 1.0 <= min(start, end) <= max(start, end) < 2.0
        assert min(start, end) - 0.005 < effective_airmass(exposure) < max(start, end) + 0.005
        assert "ESO TEL PARANG START" in cards


def test_extensions_tell_live_detectors_from_dead_ones() -> None:
    live = {keyword: value for keyword, value, _ in live_cards(NIGHT[0], detector(3))}
    dead = {keyword: value for keyword, value, _ in dead_cards(4)}

    assert (live["EXTNAME"], live["ESO DET CHIP LIVE"]) == ("CHAN03", True)
    assert (dead["EXTNAME"], dead["ESO DET CHIP LIVE"]) == ("CHAN04", False)
    assert [live[f"ESO DET OUT{n} X"] for n in range(1, 5)] == [1, 4096, 4096, 1]
    assert [live[f"ESO DET OUT{n} Y"] for n in range(1, 5)] == [1, 1, 4112, 4112]


def test_modes_share_biases_and_darks_and_nothing_else() -> None:
    """Biases and darks need not agree in the mode; lamp flats, arcs, twilight and standards must."""
    modes = {tag: {e.mode.name for e in tagged(SHARED_NIGHT, tag)} for tag in {e.tag for e in SHARED_NIGHT}}

    assert {tag for tag, found in modes.items() if found == set(BOTH.modes)} == {
        "FLAT", "ARC", "ILLUM", "SKYFLAT", "STD", "SKY", "OBJECT",
    }  # fmt: skip
    assert {"WFM-NOAO-N"} == modes["BIAS"] == modes["DARK"]
    for exposure in SHARED_NIGHT:
        assert header(exposure)["ESO INS MODE"] == exposure.mode.name


def test_every_block_is_a_dataset_of_one_target_and_one_mode() -> None:
    objects = tagged(SHARED_NIGHT, "OBJECT")

    found = {(e.obs_id, e.target, e.mode.name) for e in objects}

    assert sorted(found) == [
        (200012345, "A", "WFM-NOAO-N"),
        (200012346, "A", "WFM-AO-N"),
        (200012347, "B", "WFM-NOAO-N"),
        (200012348, "B", "WFM-AO-N"),
    ]
    assert {(e.obs_id, e.template_start) for e in objects} == {
        (e.obs_id, e.template_start) for e in tagged(SHARED_NIGHT, "SKY")
    }
    errors = [(e.pointing.error_west, e.pointing.error_north) for e in objects if e.pointing]
    assert errors[::2] == [(0.0, 0.0)] * 4
    assert len(set(errors[1::2])) == 4


def test_targets_stand_far_apart() -> None:
    places = {
        (e.target, e.pointing.ra_deg, e.pointing.dec_deg) for e in tagged(FULL_NIGHT, "OBJECT") if e.pointing
    }
    firsts = {name: (ra, dec) for name, ra, dec in sorted(places)}

    for one, other in combinations(firsts.values(), 2):
        assert abs(one[0] - other[0]) > 1.0


@pytest.mark.parametrize(
    ("mode", "tag", "template"),
    [
        ("WFM-NOAO-N", "OBJECT", "MUSE_wfm-noao_obs_genericoffset"),
        ("WFM-AO-E", "OBJECT", "MUSE_wfm-ao_obs_genericoffsetLGS"),
        ("NFM-AO-N", "SKY", "MUSE_nfm-ao_obs_genericoffsetLGS"),
        ("NFM-AO-N", "ILLUM", "MUSE_nfm_cal_illum"),
        ("WFM-AO-N", "ILLUM", "MUSE_wfm_cal_illum"),
        ("NFM-AO-N", "FLAT", "MUSE_nfm_cal_specflat"),
    ],
)
def test_templates_are_those_of_the_mode(mode: str, tag: str, template: str) -> None:
    exposure = tagged(night(NightOptions(modes=(mode,))), tag)[0]

    assert header(exposure)["ESO TPL ID"] == template


@pytest.mark.parametrize("name", MODES)
def test_headers_say_the_mode_the_field_and_the_loops(name: str) -> None:
    cards = header(tagged(night(NightOptions(modes=(name,))), "OBJECT")[0])

    assert cards["ESO INS OPTI2 NAME"] == name[:3]
    assert str(cards["ESO INS OPTI1 NAME"]).startswith("Blue") == name.endswith("-N")
    assert ("ESO AOS HO LOOP ST" in cards) == ("-AO-" in name)
    assert 0.5 < float(str(cards["ESO TEL AMBI FWHM START"])) < 0.8, "the seeing of the air"


def test_the_narrow_field_is_dithered_eight_times_less() -> None:
    """A field of 7.5 arcsec."""
    wide, narrow = (
        [e.pointing for e in tagged(night(NightOptions(modes=(mode,))), "OBJECT") if e.pointing]
        for mode in ("WFM-AO-N", "NFM-AO-N")
    )

    for one, other in pairwise(zip(wide, narrow, strict=True)):
        moved_wide = plane_offset_arcsec(other[0].ra_deg, other[0].dec_deg, one[0].ra_deg, one[0].dec_deg)
        moved = plane_offset_arcsec(other[1].ra_deg, other[1].dec_deg, one[1].ra_deg, one[1].dec_deg)
        assert moved == pytest.approx([offset / 8 for offset in moved_wide], abs=1e-3)
        assert other[1].error_west == pytest.approx(other[0].error_west / 8)


@pytest.mark.parametrize("exposure", FULL_NIGHT, ids=lambda exposure: f"{exposure.name} {exposure.mode.name}")
def test_every_card_fits_into_its_eighty_characters(exposure: SimulatedExposure) -> None:
    """Astropy cuts a comment off, with a warning."""
    written = as_fits(primary_cards(exposure))

    assert [comment for _, _, comment in primary_cards(exposure)] == [card.comment for card in written.cards]
    assert max(len(str(card)) for card in written.cards) == 80
