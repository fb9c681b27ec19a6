"""Who sets a parameter of a recipe in a workspace."""

from pathlib import Path

from pipeline.config import Settings, load
from pipeline.layers import Setter
from pipeline.model import Stage
from pipeline.origins import Setting, settings_of


def settings(folder: Path, text: str) -> Settings:
    (folder / "clio.toml").write_text(text)
    return load(folder)


def of(option: str, found: tuple[Setting, ...]) -> list[Setting]:
    return [setting for setting in found if setting.option == option]


def test_the_workflow_says_for_which_stages_it_sets_a_parameter() -> None:
    saved = of("save", settings_of("muse_scipost"))

    assert [(s.by, s.value, s.stages) for s in saved] == [
        (Setter.WORKFLOW, "cube", (Stage.PREP_ALIGN,)),
        (Setter.WORKFLOW, "cube,skymodel,individual", (Stage.SCIPOST,)),
        (Setter.WORKFLOW, "individual", (Stage.SCIPOST_PEREXPO,)),
        (Setter.WORKFLOW, "cube", (Stage.FINALISE,)),
    ]


def test_the_ifu_is_set_step_by_step() -> None:
    (setting,) = settings_of("muse_bias")

    assert setting == Setting("nifu", "", Setter.CLIO, (Stage.BIAS,))


def test_a_line_of_the_settings_is_named_and_the_stages_it_reaches(tmp_path: Path) -> None:
    made = settings(tmp_path, '# a remark\n[recipes.muse_scipost]\nsave = "cube"\nlambdamin = 4750\n')

    found = settings_of("muse_scipost", made)

    assert of("lambdamin", found) == [
        Setting(
            *("lambdamin", "4750", Setter.SETTINGS),
            stages=(Stage.PREP_ALIGN, Stage.SCIPOST, Stage.SCIPOST_PEREXPO, Stage.FINALISE),
            line=4,
        )
    ]
    # Two stages keep the workflow's, as later stages rely on it.
    assert of("save", found)[-1] == Setting("save", "cube", Setter.SETTINGS, (Stage.SCIPOST,), 3)


def test_an_override_says_for_which_steps_it_is(tmp_path: Path) -> None:
    text = '[[override]]\nwhere = { stage = "scipost", target = "M77" }\nrecipes.muse_scipost.dx = 0.3\n'
    made = settings(tmp_path, text)

    (setting,) = of("dx", settings_of("muse_scipost", made))

    assert setting.stages == (Stage.SCIPOST,)
    assert setting.where == (("target", "M77"), ("stage", "scipost"))
    assert (setting.value, setting.line) == ("0.3", 3)


def test_the_filter_of_the_alignment_has_its_own_place_in_the_settings(tmp_path: Path) -> None:
    made = settings(tmp_path, '[workflow]\nfilter_for_alignment = "white"\n')

    first = of("filter", settings_of("muse_scipost", made))[0]

    assert first == Setting("filter", "white", Setter.SETTINGS, (Stage.PREP_ALIGN,), 2)


def test_of_a_recipe_that_no_stage_calls_nothing_is_set(tmp_path: Path) -> None:
    assert settings_of("muse_geometry", settings(tmp_path, "")) == ()


def test_what_the_workflow_sets_in_some_modes_only_names_them() -> None:
    stages = (Stage.PREP_ALIGN, Stage.SCIPOST, Stage.SCIPOST_PEREXPO, Stage.FINALISE)

    found = [s for s in of("skymodel_fraction", settings_of("muse_scipost")) if s.where]

    assert [(s.value, s.by, s.stages) for s in found] == [("0.5", Setter.WORKFLOW, (s,)) for s in stages]
    assert {s.where for s in found} == {(("mode", "WFM-AO-N, WFM-AO-E, NFM-AO-N"),)}
