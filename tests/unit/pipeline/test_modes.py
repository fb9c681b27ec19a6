"""The table of instrument modes."""

import pytest

from pipeline.modes import AO_MODES, LAST_A, MODES, mode_of


def test_modes_are_those_of_the_instrument_by_the_name_in_the_header() -> None:
    assert set(MODES) == {"WFM-NOAO-N", "WFM-NOAO-E", "WFM-AO-N", "WFM-AO-E", "NFM-AO-N"}
    assert all(mode.name == name and mode.field.name == name[:3] for name, mode in MODES.items())


def test_lasers_come_with_a_notch_inside_the_range() -> None:
    assert {name for name in MODES if "-AO-" in name} == AO_MODES
    for mode in MODES.values():
        assert (mode.notch_a is not None) == mode.has_lasers
        if mode.notch_a:
            assert mode.first_a < mode.notch_a[0] < mode.notch_a[1] < LAST_A
            assert mode.notch_a[0] < 5890.0 < mode.notch_a[1], "the sodium lines"


def test_the_extended_range_begins_further_in_the_blue() -> None:
    for name, mode in MODES.items():
        assert (mode.first_a == 4600.0) == name.endswith("-E")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("WFM-NONAO-N", "WFM-NOAO-N"),
        ("WFM-AO-E", "WFM-AO-E"),
        ("WFM-AO", None),
        ("", None),
        ("wfm-ao-n", None),
    ],
)
def test_a_mode_is_found_by_the_names_that_the_recipes_read(name: str, found: str | None) -> None:
    mode = mode_of(name)

    assert (mode.name if mode else None) == found
