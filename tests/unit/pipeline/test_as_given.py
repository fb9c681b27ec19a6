"""Sets of frames as they were given elsewhere: order, names, and what does not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import frame
from fakes import Workspace
from hypothesis import given
from hypothesis import strategies as st

from pipeline.as_given import as_given
from pipeline.config import SOF_LINE, load
from pipeline.errors import ConfigError
from pipeline.execute import StagedInput
from pipeline.model import Expected, FrameInput, Plan, SofLine, Stage, Step
from pipeline.record import in_order
from pipeline.sof import write_sof


@pytest.fixture
def night(tmp_path: Path) -> Workspace:
    return Workspace.make(tmp_path / "galaxy", objects=1, ifus=(1,))


def planned(night: Workspace) -> Plan:
    with night.open() as reduction:
        return reduction.plan()


def flat_of(night: Workspace) -> Step:
    (step,) = (step for step in planned(night).steps if step.stage is Stage.FLAT)
    return step


def table(where: str, *frames: str, more: str = "") -> str:
    return f"[[sof]]\nwhere = {{ {where} }}\n{more}\nframes = {list(frames)}\n"


OWN = (("BIAS", "a"), ("BIAS", "b"), ("BIAS", "c"), ("FLAT", "d"), ("STATIC", "s"))


def lines(*texts: str) -> tuple[SofLine, ...]:
    words = (text.split() for text in texts)
    return tuple(SofLine(name, tag, int(n[0]) if n else None) for name, tag, *n in words)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        pytest.param(("x FLAT",), [(3, "x"), (0, "a"), (1, "b"), (2, "c"), (4, "s")], id="one tag"),
        pytest.param(
            ("x BIAS", "y BIAS", "z BIAS"), [(0, "x"), (1, "y"), (2, "z"), (3, "d"), (4, "s")], id="in order"
        ),
        pytest.param(
            ("x BIAS", "a BIAS", "z BIAS"), [(1, "x"), (0, "a"), (2, "z"), (3, "d"), (4, "s")], id="own name"
        ),
        pytest.param(
            ("x BIAS 3", "d FLAT", "a BIAS", "z BIAS"),
            [(2, "x"), (3, "d"), (0, "a"), (1, "z"), (4, "s")],
            id="number",
        ),
        pytest.param(
            ("a BIAS 3", "b BIAS", "a BIAS"), [(2, "a"), (1, "b"), (0, "a"), (3, "d"), (4, "s")], id="twice"
        ),
    ],
)
def test_frames_are_found_by_number_then_name_then_place(
    given_: tuple[str, ...], wanted: list[tuple[int, str]]
) -> None:
    assert list(as_given(OWN, lines(*given_))) == wanted


@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=12), st.randoms())
def test_any_order_comes_out_as_it_was_said(tags: list[str], dice: object) -> None:
    """Promise 3: which frame stands where is what was said, whatever they are called."""
    own = [(tag, f"{tag}{place}") for place, tag in enumerate(sorted(tags))]
    order = list(range(len(own)))
    dice.shuffle(order)  # type: ignore[attr-defined]
    numbers = {
        place: [i for i, item in enumerate(own) if item[0] == tag].index(place) + 1
        for place, (tag, _) in enumerate(own)
    }
    said = [SofLine(f"x{place}", own[place][0], numbers[place]) for place in order]

    assert list(as_given(own, said)) == [(place, f"x{place}") for place in order]


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (("x BIAS", "y BIAS"), "names 2 BIAS where there are 3: "),
        (("x ARC",), "names 1 ARC where there are 0: "),
        (("x BIAS 4", "y BIAS", "z BIAS"), "names number 4 of 3 BIAS, "),
        (("x BIAS 2", "y BIAS 2", "z BIAS"), "names number 2 of 3 BIAS, "),
    ],
)
def test_a_tag_that_does_not_fit_stays_as_it_is_and_that_is_said(
    night: Workspace, said: tuple[str, ...], what: str
) -> None:
    """Of a product that was merged of all IFUs there is one, and here there is one of each."""
    assert list(as_given(OWN, lines("d2 FLAT", *said))) == [
        (3, "d2"),
        *((place, name) for place, (_, name) in enumerate(OWN) if name != "d"),
    ]

    night.configure(table('stage = "bias"', *said))
    (remark,) = (remark for remark in planned(night).remarks if "[[sof]]" in remark)
    assert what in remark
    assert night.run(Stage.BIAS).ran == 1


STEP = Step(
    id="bias:T:01",
    stage=Stage.BIAS,
    recipe="muse_bias",
    unit="T:01",
    target="calibrations",
    ifus=(1,),
    inputs=tuple(FrameInput("BIAS", frame("BIAS", 60000.0 + n)) for n in range(3)),
    parameters=(),
    expected=(Expected("MASTER_BIAS"),),
)
STAGED = tuple(
    StagedInput("BIAS", f"b{n}.fits", Path(f"/x/{n}"), f"sha256:{n:064d}", f"fits1:{n:064d}", 1)
    for n in range(3)
)


def test_inputs_are_staged_under_the_names_and_nothing_else_changes() -> None:
    step = replace(STEP, sof=lines("last.fits BIAS 3", "first.fits BIAS", "b1.fits BIAS"))

    found = in_order(step, STAGED)
    assert [item.name for item in found] == ["last.fits", "first.fits", "b1.fits"]
    assert [replace(item, name="") for item in found] == [replace(STAGED[n], name="") for n in (2, 0, 1)]
    assert in_order(STEP, STAGED) == STAGED


@given(st.from_regex(SOF_LINE, fullmatch=True))
def test_every_line_the_settings_take_can_be_staged(line: str) -> None:
    name, tag, *_ = line.split()
    item = replace(STAGED[0], name=name)

    target = item.target("/in")
    assert write_sof(((target, tag),)) == f"{target} {tag}\n"
    assert Path(target).name == name not in (".", "..")


@pytest.mark.parametrize(
    "line",
    ["", "a.fits", "../a.fits FLAT", ".. FLAT", "a b.fits FLAT", "a.fits FLAT 0", "$x FLAT", "a.fits flat"],
)
def test_lines_that_are_none_are_refused_with_their_place(tmp_path: Path, line: str) -> None:
    (tmp_path / "clio.toml").write_text(f'[[sof]]\nwhere = {{}}\nframes = ["{line}"]\n')

    with pytest.raises(ConfigError, match="line 3"):
        load(tmp_path)


def test_the_most_particular_holds(night: Workspace) -> None:
    start = flat_of(night).unit.rpartition(":")[0]
    near, far = "near.fits MASTER_BIAS", "far.fits MASTER_BIAS"
    cases = (
        (table(f'template = "{start}"', near), table('stage = "flat"', far)),
        (table('stage = "flat"', near, more="ifu = 1"), table('stage = "flat"', far)),
        (table('stage = "flat"', far), table('stage = "flat"', near)),  # of equals the later
    )
    for case in cases:
        night.configure("\n".join(case))
        assert [line.name for line in flat_of(night).sof] == ["near.fits"]


def test_one_of_another_ifu_is_of_no_step_and_that_is_said(night: Workspace) -> None:
    night.configure(table('stage = "flat"', "x.fits MASTER_BIAS", more="ifu = 9"))

    assert flat_of(night).sof == ()
    assert "[[sof]] number 1 of clio.toml is of no step" in planned(night).remarks


def test_what_was_not_given_is_left_out_unless_it_is_needed(night: Workspace) -> None:
    """A header names all that was used; but no recipe runs without its raw frames and masters."""

    def tags() -> list[str]:
        step = next(step for step in planned(night).steps if step.stage is Stage.SCIBASIC)
        assert {found.tag for found in step.associations} <= {item.tag for item in step.inputs} | {
            "BADPIX_TABLE"
        }
        return [item.tag for item in step.inputs]

    usual = tags()
    assert {"ILLUM", "TWILIGHT_CUBE"} < set(usual)

    night.configure(table('stage = "scibasic"', "x.fits MASTER_BIAS", "y.fits TWILIGHT_CUBE"))
    assert tags() == [tag for tag in usual if tag != "ILLUM"]
    assert not [remark for remark in planned(night).remarks if "[[sof]]" in remark]


def test_another_name_is_another_key_and_is_said(night: Workspace) -> None:
    """Promise 3; without the table the old outcome is known again."""
    assert night.run(Stage.BIAS, Stage.FLAT).ran == 2

    night.configure(table('stage = "flat"', "MASTER_BIAS-01.fits MASTER_BIAS"))
    summary = night.run(Stage.BIAS, Stage.FLAT)
    assert (summary.ran, summary.hits) == (1, 1)
    (event,) = (event for event in summary.events if event.step.stage is Stage.FLAT)
    assert event.run is not None
    assert [i.name for i in event.run.inputs if i.tag == "MASTER_BIAS"] == ["MASTER_BIAS-01.fits"]
    assert "MASTER_BIAS-01.fits" in " ".join(event.why)

    night.configure("")
    assert night.run(Stage.BIAS, Stage.FLAT).hits == 2
