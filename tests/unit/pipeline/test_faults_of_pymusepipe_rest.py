"""Faults of pymusepipe that what Clio does not do, and what it never edits, must not have.

The others of the list stand in `test_faults_of_pymusepipe.py` and `test_faults_of_pymusepipe_plan.py`; all of
them, with their tests, in `docs/faults-of-pymusepipe.md`.
"""

from collections.abc import Callable

import pytest
from fakes import Workspace

from pipeline.errors import ConfigError, Exit, UsageError
from pipeline.model import Stage
from pipeline.reduce import Reduction

NARROW_BAND: dict[str, Callable[[Reduction], object]] = {
    "line": lambda p: p.run_scipost(line="Ha"),
    "velocity": lambda p: p.run_scipost(velocity=1500.0),
    "filter": lambda p: p.run_prep_align(line="Ha"),
    "combine": lambda p: p.run_combine_dataset(line="Ha", velocity=1500.0),
}


@pytest.mark.parametrize("call", NARROW_BAND.values(), ids=NARROW_BAND)
def test_f24_a_line_and_its_velocity_are_refused_and_what_to_do_instead_is_said(
    narrow: Workspace, call: Callable[[Reduction], object]
) -> None:
    """`line=` crashes, its velocity is off by 1000; here no such image is offered, and that is said."""
    with narrow.open() as mypipe, pytest.raises(UsageError) as caught:
        call(mypipe)

    assert caught.value.message.startswith("there are no images of a line: muse_")
    assert "FILTER_LIST" in caught.value.hint
    assert "in air" in caught.value.hint
    assert narrow.engine.seen == []


def test_f24_a_line_in_the_settings_is_refused_with_file_and_line(narrow: Workspace) -> None:
    """As above, where it was written for good."""
    narrow.configure('[recipes.muse_scipost]\ndx = 0.2\nline = "Ha"\n')

    with narrow.open() as mypipe, pytest.raises(ConfigError) as caught:
        mypipe.run_recipes()

    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.message.startswith(
        f"{narrow.root / 'clio.toml'}, line 3: there are no images of a line"
    )


def test_f28_pixel_tables_are_never_edited_what_changes_them_makes_others(narrow: Workspace) -> None:
    """A rotation is written into them and cannot be undone; here what a step reads is read-only and stays."""
    seen: dict[str, int] = {}
    narrow.engine.on_run = lambda call: seen.update(
        {
            str(m.source): m.source.stat().st_mode & 0o222
            for m in call.request.inputs
            if "objects" in m.source.parts
        }
    )

    summary = narrow.run()

    tables = [m for m in summary.products if m.tag.startswith("PIXTABLE_")]
    made = {m.tag for m in tables}
    assert made == {"PIXTABLE_OBJECT", "PIXTABLE_SKY", "PIXTABLE_STD", "PIXTABLE_REDUCED"}
    assert seen
    assert set(seen.values()) == {0}
    with narrow.open() as reduction:
        assert all(reduction.store.objects.verify(m.digest) for m in tables)
        for run in reduction.store.runs():
            assert not {o.digest for o in run.outputs} & {i.digest for i in run.inputs}
    assert narrow.run(Stage.SCIPOST_PEREXPO).ran == 0
