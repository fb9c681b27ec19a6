"""Faults of pymusepipe 2.30.1 that Clio has to handle loudly: each test is named after its line in the list.

The list counts them F1 to F38; those of a plan stand in `test_faults_of_pymusepipe_plan.py`. Not here,
as what they concern is not built yet: F24 (narrow-band images), F28 (rotation), F31 and F32 (mosaics). F7
(the sign of an offset) is tested with the real recipe, end to end.
"""

import ast
import inspect
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from builders import write_raw
from fakes import FakeEngine, Fault, Seen, Workspace, did

from pipeline.config import load
from pipeline.engine import EngineRequest, EngineResult, RecipeImage
from pipeline.errors import ConfigError, Exit, FramesError, PipelineError, RecipeFailed, UsageError
from pipeline.events import Did
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.summary import Summary
from provenance.model import Run

FIRST, SECOND = "2023-02-26T01:12:00.000", "2023-02-26T01:26:24.000"
BIAS, FLAT, ARC = (f"2023-02-25T{t}" for t in ("14:24:00", "14:52:48", "15:21:36"))


def calls(workspace: Workspace, recipe: str) -> list[Seen]:
    return [seen for seen in workspace.engine.seen if seen.recipe == recipe]


def whys(summary: Summary) -> dict[str, tuple[str, ...]]:
    return {event.step.id: event.why for event in summary.events}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Summary]:
    """A night that was reduced to its end, to be looked at and not changed."""
    made = Workspace.make(tmp_path_factory.mktemp("done") / "galaxy", ifus=(1,))
    return made, made.run()


# F1 to F3: whether a recipe did its work


def test_f01_a_recipe_that_exits_with_an_error_is_a_failure_that_blocks_and_exits_4(
    narrow: Workspace,
) -> None:
    """The exit status is never looked at, and all later stages "succeed"; here it is the end of the chain."""
    narrow.engine.fail(Fault.EXIT, "muse_bias")

    with narrow.open() as mypipe, pytest.raises(RecipeFailed) as caught:
        mypipe.run_recipes(last="wave")

    assert caught.value.exit_code is Exit.RECIPE
    assert narrow.engine.recipes == ("muse_bias",)
    with narrow.open() as mypipe:
        call = mypipe.store.last_invocation()
    assert call is not None
    assert [(s.stage, s.outcome) for s in call.steps] == [
        *(("bias", "failed"), ("flat", "blocked"), ("wave", "blocked")),
    ]


class ImageWithoutEsorex(FakeEngine):
    """An engine whose image lacks the program: it leaves with 127, as a shell does."""

    def run(self, image: RecipeImage, request: EngineRequest, cancel: Event) -> EngineResult:
        return replace(super().run(image, request, cancel), exit_status=127)


def test_f01_an_esorex_that_is_missing_is_a_failure(narrow: Workspace) -> None:
    """Without esorex every stage "succeeds" and the tables say done; here the first step fails."""
    narrow.engine = ImageWithoutEsorex()

    run = narrow.run(Stage.BIAS).events[0].run

    assert run is not None
    assert (run.is_success, run.exit_status, run.outputs) == (False, 127, ())
    assert not (narrow.root / "products").exists()


def test_f02_an_older_product_is_not_taken_for_that_of_a_run_that_failed(narrow: Workspace) -> None:
    """What lies in the folder of products is adopted as the new master; here a step names its bytes."""
    narrow.run(Stage.BIAS)
    narrow.configure("[recipes.muse_bias]\nnkeep = 2\n")
    narrow.engine.fail(Fault.EXIT, "muse_bias")

    summary = narrow.run(Stage.BIAS, Stage.FLAT)

    assert did(summary, Did.FAILED) == [f"bias:{BIAS}:01"]
    assert did(summary, Did.BLOCKED) == [f"flat:{FLAT}:01"]
    assert calls(narrow, "muse_flat") == []


def test_f02_a_file_that_is_not_in_the_list_of_products_is_none(narrow: Workspace) -> None:
    """A leftover under the right name counts as made; here only what the recipe lists does."""
    narrow.engine.on_run = lambda seen: _leave_a_bias(seen.request.out)
    narrow.engine.fail(Fault.MISSING, "muse_bias")

    summary = narrow.run(Stage.BIAS)

    assert "0 MASTER_BIAS where 1 had to be made" in whys(summary)[f"bias:{BIAS}:01"][0]


def _leave_a_bias(out: Path) -> None:
    (out / "MASTER_BIAS-01.fits").write_bytes(b"of the night before")


def test_f03_two_runs_of_one_step_do_not_overwrite_each_other(narrow: Workspace) -> None:
    """Fixed names in a shared folder let the last one win; here each run has a folder of its own."""
    reductions = []
    for nkeep in (2, 3):
        narrow.configure(f"[recipes.muse_bias]\nnkeep = {nkeep}\n")
        reductions.append(narrow.open())
    narrow.engine.delay_s = 0.02
    with ThreadPoolExecutor() as pool:
        summaries = list(pool.map(lambda r: r.run((Stage.BIAS,)), reductions))

    assert len({seen.request.out for seen in narrow.engine.seen}) == 2
    made = [summary.products[0].digest for summary in summaries]
    assert len(set(made)) == 2
    for reduction, digest in zip(reductions, made, strict=True):
        assert reduction.store.objects.verify(digest)
        assert reduction.run((Stage.BIAS,)).products[0].digest == digest
        reduction.close()


# F4 to F8: offsets


@pytest.mark.parametrize("fault", [Fault.EXIT, Fault.UNMATCHED, Fault.NO_LIST], ids=lambda fault: fault.name)
def test_f04_without_an_alignment_there_is_no_list_of_zero_offsets(narrow: Workspace, fault: Fault) -> None:
    """A list of zeros is prepared, and used when the alignment fails; here what needs offsets is blocked."""
    narrow.engine.fail(fault, "muse_exp_align")

    summary = narrow.run()

    assert did(summary, Did.FAILED) == ["align:1001"]
    assert did(summary, Did.BLOCKED) == [
        *("combine:1001", "scipost:1001", f"scipost_perexpo:{FIRST}", f"scipost_perexpo:{SECOND}"),
    ]
    assert not list((narrow.root / "products").rglob("OFFSET_LIST*"))


def test_f05_every_step_that_shifts_is_given_the_very_list_that_was_made(
    done: tuple[Workspace, Summary],
) -> None:
    """One stage writes one name, the next reads another and no offsets; here the bytes are handed on."""
    runs = {event.step.id: event.run for event in done[1].events}

    align = runs["align:1001"]
    assert align is not None
    (made,) = (output.digest for output in align.outputs if output.tag == "OFFSET_LIST")
    for id_ in ("scipost:1001", f"scipost_perexpo:{FIRST}", "combine:1001"):
        run = runs[id_]
        assert run is not None
        assert [item.digest for item in run.inputs if item.tag == "OFFSET_LIST"] == [made]


def test_f08_an_exposure_without_a_match_does_not_stay_in_the_cube_unshifted(narrow: Workspace) -> None:
    """What is "excluded" for want of an offset is combined all the same; here it is a failure by name."""
    narrow.engine.fail(Fault.UNMATCHED, "muse_exp_align")

    summary = narrow.run()

    assert f"exposure {SECOND} was matched by 0 sources" in whys(summary)["align:1001"][0]
    assert calls(narrow, "muse_exp_combine") == []


# F9 to F16: calibrations and frames


def test_f11_without_its_master_a_recipe_is_not_called(narrow: Workspace) -> None:
    """The line is left out of the set of frames and the recipe run anyway; here nothing runs without it."""
    for path in narrow.raw("BIAS"):
        path.unlink()

    summary = narrow.run()

    assert narrow.engine.seen == []
    assert whys(summary)[f"flat:{FLAT}:01"] == (
        "no MASTER_BIAS of IFU 1 for 2023-02-25T14:52:48.000 (WFM-NOAO-N): there is none",
    )


def test_f11_ifus_that_no_frame_has_block_and_no_recipe_is_called(narrow: Workspace) -> None:
    """As above: an empty set of pixel tables is no set of frames."""
    narrow.configure("[data]\nifus = [7]\n")

    with narrow.open() as mypipe, pytest.raises(ConfigError) as caught:
        mypipe.run_recipes()

    assert narrow.engine.seen == []
    assert caught.value.message == (
        f"{narrow.root / 'clio.toml'}, line 2: data.ifus names IFU 7, and no raw frame has it"
    )
    assert caught.value.hint == "there are 1"


def test_f12_without_a_standard_no_name_is_made_up_and_the_nearest_is_named(narrow: Workspace) -> None:
    """`STD_RESPONSE_None.fits` stands in the set of frames; here it is blocked, and told what was near."""
    (standard,) = narrow.raw("STD")
    standard.unlink()
    write_raw(narrow.root / "raw", "STD", 59960.0, ifus=(1,))

    summary = narrow.run()

    why = whys(summary)["scipost:1001"][0]
    assert "no STD_RESPONSE" in why
    assert "nearest: 2023-01-16T00:00:00.000: 41.0 d away" in why
    assert not any("None" in name for seen in narrow.engine.seen for _, name in seen.names)


def test_f13_without_a_sky_exposure_the_sky_of_the_field_is_taken_and_this_is_said(narrow: Workspace) -> None:
    """A missing SKY exposure ends in a crash; here the field's own sky is fitted, and it is said."""
    narrow.raw("SKY")[0].unlink()

    summary = narrow.run()

    assert (summary.failed, summary.blocked) == (0, 0)
    seen = calls(narrow, "muse_scipost")[0]
    assert "skymethod" not in seen.options  # the default: model
    assert "SKY_LINES" in dict(seen.names)
    assert "SKY_CONTINUUM" not in dict(seen.names)
    assert (
        "no SKY exposure for 5 steps: the sky is taken from the darkest part of the field itself, level 2, "
        "too much of it where an object fills the field; there is none"
    ) in summary.remarks


def test_f14_frames_that_cannot_be_used_are_listed_each_with_its_reason(narrow: Workspace) -> None:
    """A raw file without a keyword, of an unknown type or of another mode vanishes; here it is listed."""
    raw = narrow.root / "raw"
    write_raw(raw, "FLAT", 60000.7, changes={"ESO INS MODE": None}, name="modeless.fits")
    write_raw(raw, "FLAT", 60000.8, changes={"ESO DPR TYPE": "PICNIC"}, name="picnic.fits")
    write_raw(raw, "OBJECT", 60001.2, changes={"ESO INS MODE": "NFM-AO-N"}, name="narrow.fits")
    narrow.configure('[data]\nmode = "WFM-NOAO-N"\n')

    with narrow.open() as reduction:
        problems = {Path(p.subject).name: p.reason for p in reduction.plan().problems}

    assert problems == {
        "modeless.fits": "FLAT without ESO INS MODE",
        "picnic.fits": "no tag is known for ESO DPR CATG = CALIB, ESO DPR TYPE = PICNIC",
        "narrow.fits": "OBJECT of mode NFM-AO-N, and [data] mode asks for WFM-NOAO-N",
    }


def test_f15_a_corrupt_raw_file_is_a_problem_and_the_rest_goes_on(narrow: Workspace) -> None:
    """One unreadable file ends the start-up; here it is one line."""
    (narrow.root / "raw" / "broken.fits").write_bytes(b"SIMPLE  =")

    summary = narrow.run()

    assert (summary.ran, summary.failed, summary.blocked) == (18, 0, 0)
    assert [Path(problem.subject).name for problem in summary.problems] == ["broken.fits"]


def test_f16_an_empty_folder_ends_with_3_and_says_what_was_looked_for(narrow: Workspace) -> None:
    """An empty folder is a `KeyError`; here it is a sentence."""
    for name in ("raw", "calib"):
        for path in (narrow.root / name).iterdir():
            path.unlink()

    with narrow.open() as mypipe, pytest.raises(FramesError) as caught:
        mypipe.run_bias()

    assert caught.value.exit_code is Exit.FRAMES
    assert caught.value.message == f"no FITS file in {narrow.root / 'raw'}, {narrow.root / 'calib'}"
    assert "names ending in .fits" in caught.value.hint


# F17 to F20: arguments and state


CALLS: dict[str, tuple[Callable[[Reduction], object], str]] = {
    "last": (lambda p: p.run_recipes(last="prep_aling"), "unknown stage prep_aling"),
    "backwards": (lambda p: p.run_recipes(first="sky", last="bias"), "stage bias comes before sky"),
    "parameter": (lambda p: p.run_scipost(skymehtod="none"), "muse_scipost has no parameter skymehtod"),
    "value": (lambda p: p.run_prep_align(skymethod="modell"), "muse_scipost.skymethod = 'modell'"),
    "offsets": (lambda p: p.run_scipost(offset_list=False), "offset_list=False, and the settings say True"),
    "without-effect": (lambda p: p.run_prep_align(filter="white"), "filter of prep_align is set by the work"),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_f17_an_argument_without_effect_is_refused(
    narrow: Workspace, call: Callable[[Reduction], object], message: str
) -> None:
    """`last=`, `param_recipes=` and `skymethod=` are ignored and defaults win; here an argument counts."""
    with narrow.open() as mypipe, pytest.raises(UsageError) as caught:
        call(mypipe)

    assert caught.value.message.startswith(message)
    assert narrow.engine.seen == []


WITHOUT_PART: dict[str, str] = {
    "idle": "muse_scipost.dx=1",
    "fixed": "prep_align.save=individual",
    "unknown": "muse_bias.nkep=1",
    "range": "muse_bias.combine=mode",
    "ours": "muse_bias.nifu=1",
}


@pytest.mark.parametrize("text", WITHOUT_PART.values(), ids=WITHOUT_PART)
def test_f17_a_parameter_of_the_command_line_without_effect_is_refused(narrow: Workspace, text: str) -> None:
    """As above, for `clio run bias --set`: what has no part in the call, or cannot be, runs nothing."""
    with narrow.open() as reduction, pytest.raises(UsageError):
        reduction.set_parameters([text])
        reduction.run((Stage.BIAS,))

    assert narrow.engine.seen == []


def test_f17_a_keyword_that_no_method_has_is_refused(narrow: Workspace) -> None:
    """As above, by Python itself: no method swallows what it does not know."""
    with narrow.open() as mypipe, pytest.raises(TypeError, match="param_recipes"):
        mypipe.run_recipes(param_recipes={"muse_bias": {"nkeep": 2}})  # type: ignore[call-arg]


WITHOUT_EFFECT = {
    "target": (
        '[targets.galaxy]\nmatch = ["NGC 99"]\n',
        "line 2: target galaxy has no exposure: match = ['NGC 99']",
        "there are NGC 1 (block 1001)",
    ),
    "name-of-target": (
        "[targets.galaxy]\n",
        "line 1: target galaxy has no exposure: and it has no match of its own",
        "there are NGC 1 (block 1001)",
    ),
    "exclude": (
        '[targets."NGC 1"]\nexclude = ["2023-02-26T01:26:42*"]\n',
        "line 2: exclude of target NGC 1 leaves out nothing: no exposure is like 2023-02-26T01:26:42*",
        f"there are {FIRST}, {SECOND}",
    ),
    "exposure": (
        '[[override]]\nwhere = {exposure = "2023-02-26T01:26:42.000"}\nrecipes.muse_scipost.dx = 1\n',
        "line 2: no step of its recipes has exposure = '2023-02-26T01:26:42.000': the override changes",
        f"did you mean {SECOND}?",
    ),
    "dataset": (
        "[[override]]\nwhere = {dataset = '10001'}\nrecipes.muse_scipost.dx = 1\n",
        "line 2: no step of its recipes has dataset = '10001': the override changes nothing",
        "did you mean 1001?",
    ),
    "recipe-of-stage": (
        '[[override]]\nwhere = {stage = "bias"}\nrecipes.muse_scipost.dx = 1\n',
        "line 3: no step of muse_scipost has stage = 'bias': the override changes nothing",
        "stages that call it: prep_align, scipost, scipost_perexpo",
    ),
    "target-of-exposure": (
        f'[[override]]\nwhere = {{exposure = "{FIRST}", stage = "scipost"}}\nrecipes.muse_scipost.dx = 1\n',
        "line 2: no step is of all that it names: the override changes nothing",
        "",
    ),
    "mode": (
        '[data]\nmode = "WFM-NOAO-X"\n',
        "line 2: data.mode = 'WFM-NOAO-X', and no raw frame is of it",
        "there are WFM-NOAO-N",
    ),
    "calibration": (
        '[associate.ILLUM]\nuse = "2023-02-26"\n',
        "line 2: no ILLUM goes by associate.ILLUM.use = '2023-02-26'",
        "did you mean 2023-02-26T00:28:48.000?",
    ),
}


@pytest.mark.parametrize(("text", "message", "hint"), WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
def test_f17_a_setting_that_fits_nothing_is_refused_with_file_and_line(
    narrow: Workspace, text: str, message: str, hint: str
) -> None:
    """pymusepipe#11, #13, #17: names are confused and "0/0" are selected; here such a name is an error."""
    narrow.configure(text)

    with pytest.raises(ConfigError) as caught, narrow.open() as mypipe:
        mypipe.run_recipes()

    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.message.startswith(f"{narrow.root / 'clio.toml'}, {message}")
    assert caught.value.hint.startswith(hint)
    assert narrow.engine.seen == []


@pytest.mark.parametrize("text", ["", "\n\n", "\n# a remark\n\n[clio]\n\n"], ids=["empty", "blank", "remark"])
def test_f26_blank_lines_are_nothing(narrow: Workspace, text: str) -> None:
    """A blank line: `IndexError`; here it is no line of settings, nor of those taken over from there."""
    narrow.configure(text)

    assert narrow.run(Stage.BIAS).ran == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read {file}: No such file or directory"),
        ("\n[clio]\n\njobs 2\n", "{file} is not TOML: "),
        (
            "\n\n[cilo]\n[data]\nraw = 3\n",
            "{file} has 2 slips\n  line 3: unknown key cilo (did you mean clio?)\n",
        ),
    ],
    ids=["missing", "ill-formed", "all-slips"],
)
def test_f26_settings_that_cannot_be_used_end_with_2_file_and_line(
    narrow: Workspace, text: str | None, message: str
) -> None:
    """A missing file: `AttributeError`; here it is exit code 2, and what is wrong is said with its line."""
    file = narrow.root / "clio.toml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        narrow.open()

    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.message.startswith(message.format(file=file))


def test_f18_a_run_of_a_part_leaves_the_rest_as_it_was(workspace: Workspace) -> None:
    """A run restricted to one template erases the others' rows; here nothing that is known is forgotten."""
    workspace.run()
    workspace.configure(f'[data]\nifus = [1]\n[targets."NGC 1"]\nexclude = ["{SECOND}"]\n')
    part = workspace.run(Stage.BIAS, Stage.PREP_ALIGN)
    workspace.configure("")

    assert did(part, Did.FAILED) == []
    whole = workspace.run()
    assert (whole.ran, whole.hits) == (0, 26)


def test_f19_an_option_of_one_call_does_not_stay_for_the_next(narrow: Workspace) -> None:
    """Flags to overwrite stay changed for all later calls; here an option is of its call."""
    narrow.engine.fail(Fault.EXIT, "muse_bias")
    with narrow.open() as reduction:
        reduction.run((Stage.BIAS,))
        reduction.run((Stage.BIAS,), retry_failed=True)
        reduction.run((Stage.BIAS,))

    assert len(narrow.engine.seen) == 2


def test_f19_arguments_of_one_session_leave_no_trace_in_another(narrow: Workspace) -> None:
    """As above: nothing but clio.toml decides for the next session."""
    with narrow.open() as mypipe:
        mypipe.run_recipes(last="standard")
        mypipe.run_sky(fraction=0.5)
    narrow.run(Stage.SKY)

    fractions = [seen.options["fraction"] for seen in calls(narrow, "muse_create_sky")]
    assert fractions == ["0.5", "0.8"]


def test_f20_new_raw_frames_are_seen_by_the_next_run(narrow: Workspace) -> None:
    """With old tables kept, new files are never seen; here the folders are looked through every time."""
    narrow.run(Stage.BIAS, Stage.FLAT)
    write_raw(narrow.root / "raw", "FLAT", 60000.625, start=60000.62, ifus=(1,))

    again = narrow.run(Stage.BIAS, Stage.FLAT)

    assert did(again, Did.RAN) == [f"flat:{FLAT}:01"]
    assert len([tag for tag, _ in narrow.engine.seen[-1].names if tag == "FLAT"]) == 4


# F21 to F23: what overwrites what


def test_f22_every_run_keeps_the_log_of_its_own_recipe(done: tuple[Workspace, Summary]) -> None:
    """Logs of wave and lsf, and of all calls of scipost, overwrite each other; here each run has its own."""
    workspace, summary = done

    with workspace.open() as reduction:
        for event in summary.events:
            assert event.run is not None
            assert event.run.log is not None
            text = reduction.store.objects.path(event.run.log).read_text()
            assert f"recipe {event.step.recipe} begins" in text


# F25 to F30: what is written


def test_f25_a_plan_makes_nothing_and_marks_nothing_as_done(narrow: Workspace) -> None:
    """The fake mode writes tables that say done, then crashes; here a plan is a value."""
    with narrow.open() as reduction:
        reduction.forecast(reduction.plan())
        assert (reduction.store.runs(), reduction.store.last_invocation()) == ((), None)

    store = narrow.root / ".clio"
    trees = ("objects", "actions", "records", "statements", "claims", "work")
    assert [path for tree in trees for path in (store / tree).rglob("*") if path.is_file()] == []
    assert not (narrow.root / "products").exists()
    assert narrow.run(Stage.BIAS).ran == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read {file}: No such file or directory"),
        ("\n\n[clio]\n\nengin = 'docker'\n", "{file}, line 5: unknown key clio.engin"),
        (
            "[clio\n",
            "{file} is not TOML: expected ']' at the end of a table declaration (at line 1,",
        ),
    ],
    ids=["missing", "blank-lines", "no-toml"],
)
def test_f26_settings_that_cannot_be_read_end_with_2_and_file_and_line(
    tmp_path: Path, text: str | None, message: str
) -> None:
    """A missing file is an `AttributeError`, a blank line an `IndexError`; here both have a sentence."""
    file = tmp_path / "clio.toml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(file)

    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.message.startswith(message.format(file=file))


def test_f27_what_a_recipe_reads_is_what_it_was_after_it(done: tuple[Workspace, Summary]) -> None:
    """`_ORIG` columns hold the new values; here products are read-only and still have their digest."""
    workspace, summary = done

    with workspace.open() as reduction:
        for made in summary.products:
            path = reduction.store.objects.path(made.digest)
            assert path.stat().st_mode & 0o777 == 0o444
            assert reduction.store.objects.verify(made.digest)


def test_f27_a_recipe_that_writes_to_its_input_fails_and_the_input_is_made_again(narrow: Workspace) -> None:
    """As above, where something wrote to it all the same."""
    narrow.engine.on_run = lambda seen: _write_to(seen, "MASTER_BIAS") if seen.recipe == "muse_flat" else None
    first = narrow.run(Stage.BIAS, Stage.FLAT)
    narrow.engine.on_run = lambda seen: None

    again = narrow.run(Stage.BIAS, Stage.FLAT)

    assert whys(first)[f"flat:{FLAT}:01"][0].startswith("input changed: ")
    assert did(again, Did.RAN) == [f"bias:{BIAS}:01", f"flat:{FLAT}:01"]


def _write_to(seen: Seen, tag: str) -> None:
    target = next(path for path, of in seen.frames if of == tag)
    source = next(mount.source for mount in seen.request.inputs if mount.target == target)
    source.chmod(0o644)
    source.write_bytes(source.read_bytes()[:-1] + b"!")


def test_f29_an_image_is_known_by_the_filter_in_its_header_and_not_by_its_place(narrow: Workspace) -> None:
    """A filter the recipe leaves out shifts the labels of all others; here it is missed by name."""
    narrow.configure('[recipes.muse_scipost]\nfilter = "Cousins_X,Cousins_R"\n')

    summary = narrow.run()

    assert "scipost:1001" in did(summary, Did.FAILED)
    assert "the filter Cousins_X" in whys(summary)["scipost:1001"][0]
    assert not [made for made in summary.products if made.stage is Stage.SCIPOST]


def test_f30_what_a_recipe_makes_beyond_what_later_steps_need_is_kept(
    done: tuple[Workspace, Summary],
) -> None:
    """Exposure and rejection maps are thrown away; here every product a recipe lists is published."""
    _, summary = done

    made = [product.path.name for product in summary.products if product.stage is Stage.ALIGN]
    assert made == ["OFFSET_LIST.fits", "SOURCE_LIST_0001.fits", "SOURCE_LIST_0002.fits"]
    assert all(product.path.is_file() for product in summary.products)


# F33 to F38: surroundings and names


def test_f33_no_program_of_the_host_is_needed(narrow: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `likwid-pin` every command is "not found" and stages succeed; here the image has it all."""
    monkeypatch.setenv("PATH", "")

    assert narrow.run(Stage.BIAS).ran == 1
    request = narrow.engine.seen[0].request
    assert request.argv[0] == "esorex"
    assert dict(request.environment)["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("fault", [None, Fault.EXIT], ids=["success", "failure"])
def test_f34_the_working_folder_stays_where_it_is(
    narrow: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault | None
) -> None:
    """A stage changes it and leaves it so after an exception; here nobody does, and any will do."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    folders: list[Path] = []
    narrow.engine.on_run = lambda seen: folders.append(Path.cwd())
    if fault:
        narrow.engine.fail(fault, "muse_bias")

    narrow.run(Stage.BIAS)

    assert folders == [elsewhere]
    assert Path.cwd() == elsewhere
    assert list(elsewhere.iterdir()) == []


DOCUMENTED = (
    *("run_bias()", "run_dark()", "run_flat()", "run_wave()", "run_lsf()", "run_twilight(illum=True)"),
    *("run_scibasic_all(illum=True)", "run_standard()", "run_sky(fraction=0.8)", "run_prep_align()"),
    *("run_align_bydataset()", "run_scipost(offset_list=True)", "run_scipost_perexpo()"),
    *("run_combine_dataset()", "combine_dataset()", "run_recipes(first=None, last=None)"),
)
"""Of the client's specification."""

README = Path(__file__).parents[3] / "README.md"


def _calls_of_readme() -> list[str]:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)
    nodes = [node for block in blocks for node in ast.walk(ast.parse(block))]
    texts = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    return [text.removeprefix("mypipe.") for text in texts if text.startswith("mypipe.")]


def test_f35_calls_that_are_documented_exist_with_their_arguments() -> None:
    """`combine_dataset` and `reset_log` are documented and missing; here what is written can be called."""
    from_readme = _calls_of_readme()
    assert from_readme

    for text in (*DOCUMENTED, *from_readme):
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
        method = getattr(Reduction, ast.unparse(call.func))
        inspect.signature(method).bind(None, *map(ast.literal_eval, call.args), **arguments)


@pytest.mark.parametrize("fault", [Fault.KILLED, Fault.EXIT, Fault.INPUT_CHANGED], ids=lambda f: f.name)
def test_f36_of_a_run_that_failed_no_byte_stays_without_a_record(narrow: Workspace, fault: Fault) -> None:
    """Leftovers of many GB stay untracked; here what a failed run leaves is recorded or gone."""
    narrow.engine.fail(fault, "muse_flat", text="FLAT" if fault is Fault.INPUT_CHANGED else "")
    narrow.run(Stage.BIAS, Stage.FLAT)

    with narrow.open() as reduction:
        runs = reduction.store.runs()
        assert set(reduction.store.objects.iterate()) == {d for run in runs for d, _ in run.artifacts}
        assert reduction.store.kept_work() == ()
    store = narrow.root / ".clio"
    assert [path for name in ("work", "tmp") for path in (store / name).iterdir()] == []


def test_f37_a_method_for_the_sky_reaches_every_call_it_is_meant_for(narrow: Workspace) -> None:
    """Two spellings of one name, and the choice does not arrive; here there is one table of names."""
    narrow.configure('[recipes.muse_scipost]\nskymethod = "simple"\n')

    narrow.run()

    posts = calls(narrow, "muse_scipost")
    assert len(posts) == 5
    assert {seen.options["skymethod"] for seen in posts} == {"simple"}


@pytest.mark.parametrize("where", ["", "[[override]]\nwhere = { target = 'NGC*' }\n"], ids=["all", "pattern"])
def test_f37_a_name_of_a_method_that_is_not_known_is_refused_wherever_it_stands(
    narrow: Workspace, where: str
) -> None:
    """As above: a spelling that the recipe does not have does not fall back to a default."""
    key = "skymethod" if not where else "recipes.muse_scipost.skymethod"
    narrow.configure(f'{where or "[recipes.muse_scipost]"}\n{key} = "restricted"\n')

    with (
        pytest.raises(ConfigError, match=r"skymethod = 'restricted', expected one of"),
        narrow.open() as mypipe,
    ):
        mypipe.run_recipes()

    assert narrow.engine.seen == []


# What its users reported


def test_issue_25_a_range_of_wavelengths_reaches_every_call(narrow: Workspace) -> None:
    """pymusepipe#25: the range is ignored; here it is an option of every call, and part of its key."""
    narrow.configure("[recipes.muse_scipost]\nlambdamin = 4750\nlambdamax = 5000\n")

    summary = narrow.run()

    for seen in calls(narrow, "muse_scipost"):
        assert (seen.options["lambdamin"], seen.options["lambdamax"]) == ("4750", "5000")
    runs: list[Run] = [e.run for e in summary.events if e.run and e.step.recipe == "muse_scipost"]
    with narrow.open() as reduction:
        for run in runs:
            values = dict(reduction.store.action(run.action).parameters)
            assert values["muse.muse_scipost.lambdamin"] == "4750"


def test_issue_18_what_files_are_called_does_not_matter(narrow: Workspace) -> None:
    """pymusepipe#18: files named as in older nights are not found; here names decide nothing."""
    with narrow.open() as reduction:
        before = [step.id for step in reduction.plan().steps]
    for number, path in enumerate(sorted((narrow.root / "raw").iterdir())):
        path.rename(path.with_name(f"MUSE_WFM_{number}.fits"))

    with narrow.open() as reduction:
        assert [step.id for step in reduction.plan().steps] == before


def test_every_error_of_this_file_says_what_to_do(narrow: Workspace) -> None:
    """Zero files found is no success: the common thread of its users' reports."""
    narrow.configure('[data]\nraw = ["nights"]\n')

    with narrow.open() as mypipe, pytest.raises(PipelineError) as caught:
        mypipe.run_recipes()

    assert caught.value.exit_code is Exit.FRAMES
    assert caught.value.hint
