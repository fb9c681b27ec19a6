"""Parameters of `--set`: what is meant, refused, and wins (F17: an argument counts or is an error)."""

import pytest
from fakes import Workspace

from pipeline.arguments import by_stage, read_arguments
from pipeline.errors import UsageError
from pipeline.lock import read_lock
from pipeline.model import Stage

REFUSED = {
    "form": ("muse_scipost.pixfrac", "is no NAME.PARAMETER=VALUE", "as in --set"),
    "name": ("muse_scipots.dx=1", "muse_scipots is no recipe and no stage", "did you mean muse_scipost?"),
    "stage": ("sciposst.dx=1", "sciposst is no recipe and no stage", "did you mean scipost?"),
    "ours": ("bias.nifu=3", "nifu is set by clio, step by step", "choose IFUs with [data] ifus"),
    "fixed": ("prep_align.filter=white", "filter of prep_align is set by the workflow", "see [workflow]"),
}


@pytest.mark.parametrize(("text", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_f17_an_argument_that_can_mean_nothing_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_arguments([text])

    assert caught.value.message.startswith(f"--set {text}")
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)


def test_an_argument_of_a_stage_wins_over_one_of_its_recipe_and_the_later_over_the_earlier() -> None:
    given = by_stage(
        read_arguments(["scipost.dx=3", "muse_scipost.dx=1", "muse_scipost.dx=2", "scipost.filter=a=b"])
    )

    assert given == {
        Stage.PREP_ALIGN: {"dx": "2"},
        Stage.SCIPOST: {"dx": "3", "filter": "a=b"},
        Stage.SCIPOST_PEREXPO: {"dx": "2"},
        Stage.FINALISE: {"dx": "2"},
    }


def test_a_recipe_that_takes_the_place_of_another_can_be_named() -> None:
    (argument,) = read_arguments(["clio_align.search=4"])

    assert argument.stages == (Stage.ALIGN,)


def test_what_later_stages_rely_on_is_left_alone() -> None:
    (argument,) = read_arguments(["muse_scipost.save=cube"])

    assert argument.stages == (Stage.SCIPOST,)


def test_an_argument_of_the_command_line_is_used_recorded_as_such_and_leaves_the_lock(
    narrow: Workspace,
) -> None:
    narrow.run(Stage.BIAS)
    before = (narrow.root / "clio.lock").read_bytes()
    with narrow.open() as reduction:
        reduction.set_parameters(["muse_bias.nkeep=2"])
        summary = reduction.run((Stage.BIAS,))

    run = summary.events[0].run
    assert run is not None
    assert summary.ran == 1
    assert dict(run.origins) == {"nifu": "clio", "nkeep": "command line"}
    assert (narrow.root / "clio.lock").read_bytes() == before
    assert "clio.lock is left as it is: parameters came with the call" in summary.remarks
    assert narrow.run(Stage.BIAS).hits == 1  # of the run before: nothing stays of the call


def test_origins_tell_the_file_from_the_workflow_and_the_call(narrow: Workspace) -> None:
    narrow.configure("[recipes.muse_exp_align]\nsrcmax = 70\n")
    with narrow.open() as mypipe:
        mypipe.run_recipes(last="prep_align")
        mypipe.run_align_bydataset(fwhm=4)
        run = mypipe.store.runs()[0]

    found = dict(run.origins)
    assert (found["srcmin"], found["srcmax"], found["fwhm"]) == ("workflow", "clio.toml", "call")
    assert read_lock(narrow.root / "clio.lock") is not None


@pytest.mark.parametrize(
    ("text", "stages", "message"),
    [
        (
            "muse_scipost.dx=1",
            (Stage.BIAS,),
            "--set muse_scipost.dx=1 changes nothing: no step of prep_align",
        ),
        ("muse_bias.nkep=1", (Stage.BIAS,), "muse_bias has no parameter nkep"),
        ("muse_bias.nkeep=few", (Stage.BIAS,), "muse_bias.nkeep = 'few', expected int"),
        ("muse_bias.combine=mode", (Stage.BIAS,), "muse_bias.combine = 'mode', expected one of"),
    ],
    ids=["idle", "name", "type", "choice"],
)
def test_f17_an_argument_without_effect_or_of_a_wrong_kind_runs_nothing(
    narrow: Workspace, text: str, stages: tuple[Stage, ...], message: str
) -> None:
    with narrow.open() as reduction, pytest.raises(UsageError) as caught:
        reduction.set_parameters([text])
        reduction.run(stages)

    assert caught.value.message.startswith(message)
    assert narrow.engine.seen == []
