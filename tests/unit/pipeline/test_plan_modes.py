"""What a plan makes of the instrument modes: one night in each of them, and two in one folder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from builders import frame, night_frames

from pipeline.config import FileTable, Settings
from pipeline.model import Frame, Plan, Scan, Stage, Step
from pipeline.modes import AO_MODES, MODES
from pipeline.plan import plan

ROOT = Path("/galaxy")
POST = (Stage.PREP_ALIGN, Stage.SCIPOST, Stage.SCIPOST_PEREXPO)
RAMAN = frame("RAMAN_LINES", None, path=Path("calib/raman.fits"))


def night(name: str, *, objects: int = 2) -> list[Frame]:
    """Give a night in a mode, with the static calibrations of its field."""
    mode = MODES[name]
    frames = [
        replace(f, mode=name, field=mode.field.name) if f.mode else f for f in night_frames(objects=objects)
    ]
    return [*frames, RAMAN]


def planned(frames: Sequence[Frame], **tables: object) -> Plan:
    found = Scan(tuple(frames), (), (), (ROOT / "raw",))
    return plan(found, Settings(ROOT, FileTable.model_validate(tables), ROOT / "clio.toml"))


def steps(made: Plan, *stages: Stage) -> list[Step]:
    return [step for step in made.steps if step.stage in stages]


def tags(step: Step) -> set[str]:
    return {item.tag for item in step.inputs}


def fraction(step: Step) -> str:
    return dict(step.parameters)["skymodel_fraction"]


@pytest.mark.parametrize("name", MODES)
def test_a_night_in_any_mode_is_planned_without_a_problem(name: str) -> None:
    made = planned(night(name))

    assert [step.problems for step in made.steps if step.problems] == []
    assert len(steps(made, Stage.COMBINE)) == 1


@pytest.mark.parametrize("name", MODES)
def test_laser_light_is_subtracted_where_there_are_lasers(name: str) -> None:
    """With its lines given, the recipe warns of a given continuum and of less than half the field."""
    for step in steps(planned(night(name)), *POST):
        has_lasers = name in AO_MODES
        assert ("RAMAN_LINES" in tags(step)) == has_lasers
        assert ("SKY_CONTINUUM" in tags(step)) != has_lasers
        assert fraction(step) == ("0.5" if has_lasers else "0.05")
        assert {"SKY_LINES", "LSF_PROFILE"} <= tags(step)


def test_a_person_may_set_the_share_of_the_sky_otherwise() -> None:
    made = planned(night("WFM-AO-N"), recipes={"muse_scipost": {"skymodel_fraction": 0.3}})

    assert {fraction(step) for step in steps(made, *POST)} == {"0.3"}


def test_laser_light_is_subtracted_though_the_sky_is_left_in() -> None:
    made = planned(night("WFM-AO-N"), recipes={"muse_scipost": {"skymethod": "none"}})

    for step in steps(made, *POST):
        assert {"RAMAN_LINES", "LSF_PROFILE"} <= tags(step)
        assert "SKY_LINES" not in tags(step)


def test_without_a_list_of_laser_lines_nothing_is_given_for_them_and_it_is_said() -> None:
    frames = [f for f in night("WFM-AO-N") if f is not RAMAN]
    made = planned(frames, recipes={"muse_scipost": {"skymethod": "none"}})

    for step in steps(made, *POST):
        assert not {"RAMAN_LINES", "LSF_PROFILE"} & tags(step), "the recipe would leave them unread"
        assert [a.chosen for a in step.associations if a.tag == "RAMAN_LINES"] == [""]
    assert any("RAMAN_LINES" in remark for remark in made.remarks)


def static(tag: str, field: str) -> Frame:
    path = Path(f"calib/{tag.lower()}_{field.lower()}.fits")
    mode = next(mode.name for mode in MODES.values() if mode.field.name == field)
    return frame(tag, None, path=path, mode=mode, field=field)


def chosen(made: Plan, tag: str) -> set[str]:
    return {a.chosen for step in made.steps for a in step.associations if a.tag == tag}


@pytest.mark.parametrize("name", ["WFM-AO-N", "NFM-AO-N"])
def test_geometry_and_astrometry_are_those_of_the_field(name: str) -> None:
    plain = [f for f in night(name) if f.tag not in ("GEOMETRY_TABLE", "ASTROMETRY_WCS")]
    both = [static(tag, field) for tag in ("GEOMETRY_TABLE", "ASTROMETRY_WCS") for field in ("NFM", "WFM")]

    made = planned([*plain, *both])

    field = name[:3].lower()
    assert chosen(made, "GEOMETRY_TABLE") == {f"geometry_table_{field}.fits"}
    assert chosen(made, "ASTROMETRY_WCS") == {f"astrometry_wcs_{field}.fits"}


def test_the_geometry_of_the_wide_field_serves_the_narrow_one_and_its_astrometry_does_not() -> None:
    """The slicers stand behind the fore-optics: ESO's workflow asks for no field. The spaxels differ."""
    plain = [f for f in night("NFM-AO-N") if f.tag not in ("GEOMETRY_TABLE", "ASTROMETRY_WCS")]

    made = planned([*plain, static("GEOMETRY_TABLE", "WFM"), static("ASTROMETRY_WCS", "WFM")])

    assert [step.problems for step in made.steps if step.problems] == []
    assert chosen(made, "GEOMETRY_TABLE") == {"geometry_table_wfm.fits"}
    assert chosen(made, "ASTROMETRY_WCS") == {""}


def test_the_geometry_of_the_narrow_field_does_not_serve_the_wide_one() -> None:
    plain = [f for f in night("WFM-AO-N") if f.tag != "GEOMETRY_TABLE"]

    made = planned([*plain, static("GEOMETRY_TABLE", "NFM")])

    assert all(step.problems for step in steps(made, Stage.SCIBASIC))


def test_old_twilights_of_the_narrow_field_get_no_vignetting_mask() -> None:
    mask = frame("VIGNETTING_MASK", None, path=Path("calib/mask.fits"))
    old = [replace(f, mjd=f.mjd - 2300) if f.mjd else f for f in night("NFM-AO-N")]

    made = planned([*old, mask])

    assert all("VIGNETTING_MASK" not in tags(step) for step in steps(made, Stage.TWILIGHT))
