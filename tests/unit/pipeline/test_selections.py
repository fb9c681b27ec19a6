"""Settings that fit nothing are refused (test_faults_of_pymusepipe.py, F17); here is what is no slip."""

import pytest
from builders import NIGHT_MJD, frame, night_frames
from fakes import Workspace

from pipeline.model import Frame, Scan, Stage
from pipeline.plan import plan
from pipeline.selections import selection_slips

FRAMES = night_frames()
FIRST, SECOND = (f.exposure for f in FRAMES if f.tag == "OBJECT")
STD = next(f for f in FRAMES if f.tag == "STD")
FLAT = next(f for f in FRAMES if f.tag == "FLAT")

NO_SLIPS = {
    "exposure": f'[[override]]\nwhere = {{exposure = "{FIRST}"}}\nrecipes.muse_scipost.dx = 1\n',
    "standard": f'[[override]]\nwhere = {{exposure = "{STD.exposure}"}}\nrecipes.muse_standard.filter = ""\n',
    "template": f'[[override]]\nwhere = {{template = "{FLAT.template}"}}\nrecipes.muse_flat.order = 4\n',
    "dataset-of-scibasic": '[[override]]\nwhere = {dataset = "1001"}\nrecipes.muse_scibasic.crop = true\n',
    "everything": "[[override]]\nwhere = {}\nrecipes.muse_bias.nlow = 2\n",
    "recipe-not-in-use": '[[override]]\nwhere = {stage = "dark"}\nrecipes.muse_dark.nlow = 2\n',
    "left-out-for-now": f'''
[targets."NGC 1"]
exclude = ["{SECOND}"]
[[override]]
where = {{exposure = "{SECOND}"}}
recipes.muse_scipost.dx = 1
''',
    "static-by-path": '[associate.EXTINCT_TABLE]\nuse = "extinct_table.fits"\n',
    "template-by-start": f'[associate.MASTER_FLAT]\nuse = "{FLAT.template}"\n',
    "exposure-by-archive": f'[associate.STD_RESPONSE]\nuse = "{STD.arcfile}"\n',
    "calibration-still-to-come": '[associate.MASTER_DARK]\nuse = "2023-02-25T12:00:00"\n',
    "mode-and-ifus": '[data]\nmode = "WFM-NOAO-N"\nifus = [1, 2]\n',
}


def check(workspace: Workspace, text: str, frames: tuple[Frame, ...] = FRAMES) -> None:
    workspace.configure(text)
    with workspace.open() as reduction:
        found = Scan(frames, (), (), ())
        assert selection_slips(reduction.settings, found, plan(found, reduction.settings)) == ()


@pytest.mark.parametrize("text", NO_SLIPS.values(), ids=NO_SLIPS)
def test_a_name_that_fits_something_is_taken(narrow: Workspace, text: str) -> None:
    check(narrow, text)


def test_exposures_that_are_still_to_come_are_no_slip(narrow: Workspace) -> None:
    """The calibrations of a night can be reduced before its exposures have arrived."""
    text = '[targets.galaxy]\nmatch = ["NGC 99"]\n[[override]]\nwhere = {target = "galaxy"}\n'
    text += "recipes.muse_bias.nlow = 2\n"

    check(narrow, text, tuple(f for f in FRAMES if f.tag != "OBJECT"))


def test_an_exposure_whose_ifus_are_not_reduced_is_blocked(narrow: Workspace) -> None:
    """Others have them, so the setting is right; a recipe without any pixel table is not called."""
    other = frame("STD", NIGHT_MJD + 1.01, chips=FLAT.chips[1:])
    narrow.configure("[data]\nifus = [1]\n")
    with narrow.open() as reduction:
        made = plan(Scan((*FRAMES, other), (), (), ()), reduction.settings)

    (step,) = (s for s in made.steps if s.stage is Stage.STANDARD and s.unit == other.exposure)
    assert [problem.reason for problem in step.problems] == [
        f"none of the IFUs to reduce is live in {other.exposure}"
    ]


def test_a_name_in_a_list_that_fits_nothing_is_a_slip(narrow: Workspace) -> None:
    text = f'[[override]]\nwhere = {{exposure = ["{FIRST}", "2023-02-26T01:26:42*"]}}\n'
    narrow.configure(text + "recipes.muse_scipost.dx = 1\n")
    with narrow.open() as reduction:
        found = Scan(FRAMES, (), (), ())
        (slip,) = selection_slips(reduction.settings, found, plan(found, reduction.settings))

    assert slip.message.startswith("no step of its recipes has exposure = '2023-02-26T01:26:42*': naming it")
    assert (slip.line, slip.hint) == (2, f"did you mean {SECOND}?")


def test_a_template_that_is_named_as_an_exposure_is_told_apart(narrow: Workspace) -> None:
    narrow.configure(f'[[override]]\nwhere.exposure = "{FLAT.template}"\nrecipes.muse_flat.order = 4\n')
    with narrow.open() as reduction:
        found = Scan(FRAMES, (), (), ())
        (slip,) = selection_slips(reduction.settings, found, plan(found, reduction.settings))

    assert slip.hint == "it is a template: where = { template = ... }"
