"""What `[associate.TAG]` changes in the rule of a tag, and what it cannot change."""

from pathlib import Path

import pytest
from builders import frame

from pipeline.config import AssociateTable, load
from pipeline.errors import ConfigError
from pipeline.model import Association
from pipeline.policy import is_named, rule_with
from pipeline.rules import DAY_S, RULES
from pipeline.shelf import Candidate, choose

SCIENCE = frame("OBJECT", 60000.0)


def chosen(tag: str, days: float, mjd: float = 60000.0, **policy: object) -> Association:
    """Choose for an exposure from a single calibration so many days away, under a policy."""
    wanted, made = frame("OBJECT", mjd), frame(RULES[tag].made_from, mjd + days)
    rule = rule_with(RULES[tag], AssociateTable.model_validate(policy))
    return choose(rule, wanted, [Candidate("x", made, made.mjd)], 1)


def test_without_a_policy_the_table_holds() -> None:
    assert rule_with(RULES["MASTER_FLAT"], None) is RULES["MASTER_FLAT"]
    assert rule_with(RULES["MASTER_FLAT"], AssociateTable()) == RULES["MASTER_FLAT"]


@pytest.mark.parametrize(
    ("policy", "days", "level"),
    [
        ({"window_d": 9}, 8.0, 2),
        ({"window_d": 2}, 1.5, 1),
        ({"window_d": 2}, 2.5, None),
        ({"levels_d": [2, 4]}, 1.9, 0),
        ({"levels_d": [2, 4]}, 3.9, 1),
        ({"levels_d": [2, 4]}, 4.1, None),
        ({"levels_d": [2, 4], "window_d": 3}, 3.1, None),
        ({"levels_d": [2, 4], "window_d": 5}, 4.5, 1),
        ({"max_level": 1}, 2.9, 1),
        ({"max_level": 1}, 3.1, None),
        ({"max_level": 0}, 0.9, 0),
        ({"use": "x"}, 400.0, 2),
    ],
)
def test_windows_and_levels_are_those_of_the_person(
    policy: dict[str, object], days: float, level: int | None
) -> None:
    found = chosen("MASTER_FLAT", days, **policy)

    assert (found.level if found.chosen else None) == level


def test_a_level_that_is_not_accepted_is_named_as_the_reason() -> None:
    assert chosen("MASTER_FLAT", 5, max_level=1).rejected == ("x: 5.0 d away, level 2, at most 1 accepted",)


def test_an_intervention_is_crossed_only_if_a_person_says_so_and_at_the_poorest_level() -> None:
    """An intervention cuts a window whatever its width; muse-recipes, section 4, remark 3."""
    wide = chosen("MASTER_FLAT", -0.2, 57352.1, window_d=1000)
    allowed = chosen("MASTER_FLAT", -0.2, 57352.1, cross_interventions=True)

    assert wide.chosen == ""
    assert (allowed.chosen, allowed.level) == ("x", 2)
    assert allowed.crossed == ("2015-11-26, the cables of the preamplifiers were changed",)
    assert allowed.reason == f"4.8 h away, across an intervention ({allowed.crossed[0]})"
    assert chosen("MASTER_FLAT", 0.2, 57352.1, cross_interventions=True).level == 0


def test_a_calibration_that_is_named_is_used_at_any_distance_but_has_to_agree() -> None:
    rule = rule_with(RULES["STD_RESPONSE"], AssociateTable(use="x"))
    far, other = frame("STD", 57000.0), frame("STD", 60000.0, mode="NFM-AO-N")

    assert choose(rule, SCIENCE, [Candidate("x", far, far.mjd)]).reason == (
        "3000.0 d away, across an intervention (2015-03-31, the detector vessel of CHAN01 was exchanged), "
        "across an intervention (2015-11-26, the cables of the preamplifiers were changed), "
        "named in clio.toml"
    )
    assert choose(rule, SCIENCE, [Candidate("x", other, other.mjd)]).chosen == ""


@pytest.mark.parametrize("name", ["x", "raw/std-60000.000000.fits", "MUSE.2023-02-25T00:00:00.000.fits"])
def test_a_calibration_is_named_by_itself_its_file_or_its_name_in_the_archive(name: str) -> None:
    made = frame("STD", 60000.0)

    assert is_named(AssociateTable(use=name), Candidate("x", made, made.mjd))
    assert not is_named(AssociateTable(use=f"{name}0"), Candidate("x", made, made.mjd))


def test_what_must_agree_can_be_said() -> None:
    rule = rule_with(RULES["STD_RESPONSE"], AssociateTable(agree=["field"]))
    made = frame("STD", 60000.0, mode="WFM-AO-N")

    assert choose(rule, SCIENCE, [Candidate("x", made, made.mjd)]).chosen == "x"


def test_levels_that_do_not_ascend_are_refused(tmp_path: Path) -> None:
    (tmp_path / "clio.toml").write_text("[associate.MASTER_FLAT]\nlevels_d = [3, 1]\n")

    with pytest.raises(ConfigError) as refused:
        load(tmp_path)

    assert "levels_d = [3.0, 1.0] has to ascend: level 0 is the nearest" in refused.value.message
    assert "line 1" in refused.value.message


def test_levels_replace_all_windows() -> None:
    rule = rule_with(RULES["LSF_PROFILE"], AssociateTable(levels_d=[5]))

    assert rule.windows_s == (5 * DAY_S,)
