"""Prune and restore a reduction: what is proven goes, and comes back to the byte."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import Fault, Workspace

from pipeline.again import Workshop
from pipeline.errors import RecipeFailed, UsageError
from pipeline.events import Did
from pipeline.finding import InputsMissing
from pipeline.model import Stage
from pipeline.pruning import Pruning, Shown
from pipeline.reduce import Reduction
from pipeline.restore import Restorer
from pipeline.summary import Made
from provenance.check import check
from provenance.model import Purpose
from provenance.prune import VERDICT

UP_TO_FLAT = (Stage.BIAS, Stage.FLAT)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.make(tmp_path, objects=1, ifus=(1,))


@pytest.fixture
def reduction(workspace: Workspace) -> Iterator[Reduction]:
    """A bias and a flat of one IFU, made."""
    with workspace.open() as opened:
        opened.run(UP_TO_FLAT)
        yield opened


def pruning(reduction: Reduction, *, intermediates: bool = True, keep_hours: float = 0.0) -> Pruning:
    settings = reduction.settings
    return Pruning(
        Workshop.of(reduction),
        settings.root,
        settings.products,
        intermediates=intermediates,
        keep_hours=keep_hours,
        free_bytes=None,
    )


def prune(reduction: Reduction) -> list[str]:
    """Prove and prune all that may go; return the tags of it."""
    work = pruning(reduction)
    work.prove(work.to_prove())
    plan = work.plan()
    work.carry_out(plan)
    return sorted(output.tag for drop in plan.drops for output in drop.objects)


def restorer(reduction: Reduction) -> Restorer:
    settings = reduction.settings
    return Restorer(Workshop.of(reduction), settings.root, settings.products, settings.table.clio.link)


def product(reduction: Reduction, tag: str) -> Made:
    summary = reduction.run(UP_TO_FLAT)
    return next(made for made in summary.products if made.tag == tag)


def test_nothing_goes_unproven(reduction: Reduction) -> None:
    assert pruning(reduction).plan().drops == ()


def test_a_proof_is_a_replay_and_a_statement_and_costs_no_space(reduction: Reduction) -> None:
    objects = set(reduction.store.objects.iterate())
    work = pruning(reduction)
    proofs = work.prove(work.to_prove())

    assert [(proof.run.stage, proof.verdict) for proof in proofs] == [("bias", "identical")]
    (said,) = reduction.store.statements(VERDICT)
    replay = reduction.store.run(said.body["replay"])
    assert (replay.purpose, said.body["run"]) == (Purpose.REPLAY, proofs[0].run.run)
    logs = {run.log for run in reduction.store.runs()}
    assert set(reduction.store.objects.iterate()) - objects <= logs


def test_a_recipe_that_is_not_the_same_twice_loses_nothing(
    workspace: Workspace, reduction: Reduction
) -> None:
    workspace.engine.restless.add("muse_bias")
    objects = set(reduction.store.objects.iterate())

    assert prune(reduction) == []
    assert set(reduction.store.objects.iterate()) == objects
    (said,) = reduction.store.statements(VERDICT)
    assert said.body["verdict"] == "different"


def test_a_recipe_that_fails_now_loses_nothing(workspace: Workspace, reduction: Reduction) -> None:
    workspace.engine.fail(Fault.EXIT, "muse_bias")

    assert prune(reduction) == []
    (said,) = reduction.store.statements(VERDICT)
    assert said.body["verdict"] == "different"


def test_the_links_to_what_is_pruned_go_with_it(reduction: Reduction) -> None:
    """Else the bytes would stay on disk under their readable names."""
    bias, flat = product(reduction, "MASTER_BIAS"), product(reduction, "MASTER_FLAT")

    assert prune(reduction) == ["MASTER_BIAS"]
    assert (bias.path.exists(), flat.path.exists()) == (False, True)
    assert check(reduction.store, deep=True) == ()


def test_what_other_links_hold_stays(reduction: Reduction, tmp_path: Path) -> None:
    bias = product(reduction, "MASTER_BIAS")
    (tmp_path / "mine.fits").hardlink_to(bias.path)

    assert prune(reduction) == []
    assert bias.path.exists()


def test_a_raw_frame_that_is_gone_keeps_what_was_made_from_it(
    workspace: Workspace, reduction: Reduction
) -> None:
    work = pruning(reduction)
    work.prove(work.to_prove())
    workspace.raw("BIAS")[0].unlink()

    assert pruning(reduction).plan().drops == ()


def test_nothing_young_goes(reduction: Reduction) -> None:
    assert pruning(reduction, keep_hours=48).to_prove().drops == ()


def test_by_default_the_newest_reduction_stays_whole_and_the_next_run_has_nothing_to_do(
    reduction: Reduction,
) -> None:
    work = pruning(reduction, intermediates=False)

    assert work.to_prove().drops == ()
    assert reduction.run(UP_TO_FLAT).ran == 0


def test_after_pruning_a_run_makes_again_what_it_needs_and_no_more(
    workspace: Workspace, reduction: Reduction
) -> None:
    """Early cut-off: the bias comes out the same, so the flat is a hit."""
    prune(reduction)
    summary = reduction.run(UP_TO_FLAT)

    assert [(event.step.stage, event.did) for event in summary.events] == [
        (Stage.BIAS, Did.RAN),
        (Stage.FLAT, Did.HIT),
    ]
    assert "was pruned, and can be made again in 0 s" in summary.events[0].why[0]


def test_restoring_gives_the_same_bytes_under_the_same_name(reduction: Reduction) -> None:
    """Promise 7."""
    bias = product(reduction, "MASTER_BIAS")
    content = bias.path.read_bytes()
    prune(reduction)
    restored = restorer(reduction)(bias.digest)

    assert restored.links == (bias.path,)
    assert bias.path.read_bytes() == restored.path.read_bytes() == content
    assert check(reduction.store, deep=True) == ()
    assert reduction.run(UP_TO_FLAT).ran == 0


def test_what_is_there_is_not_run_again(workspace: Workspace, reduction: Reduction) -> None:
    bias = product(reduction, "MASTER_BIAS")
    calls = len(workspace.engine.seen)

    assert restorer(reduction)(bias.digest).replay is None
    assert len(workspace.engine.seen) == calls


def test_what_a_product_is_made_from_is_restored_first(workspace: Workspace) -> None:
    with workspace.open() as reduction:
        stages = (*UP_TO_FLAT, Stage.WAVE)
        summary = reduction.run(stages)
        flat = next(made for made in summary.products if made.tag == "TRACE_TABLE")
        work = pruning(reduction)
        work.prove(work.to_prove())
        work.carry_out(work.plan())
        gone = [made for made in summary.products if not made.path.exists()]
        assert {"MASTER_BIAS", "TRACE_TABLE"} <= {made.tag for made in gone}
        before = len(workspace.engine.seen)
        restorer(reduction)(flat.digest)

        assert list(workspace.engine.recipes[before:]) == ["muse_bias", "muse_flat"]
        assert check(reduction.store, deep=True) == ()


def test_other_bytes_are_a_failure_and_shown_nowhere(workspace: Workspace, reduction: Reduction) -> None:
    bias = product(reduction, "MASTER_BIAS")
    prune(reduction)
    workspace.engine.restless.add("muse_bias")
    with pytest.raises(RecipeFailed) as caught:
        restorer(reduction)(bias.digest)

    other = reduction.store.runs(stage="bias")[0]
    assert caught.value.message == (
        f"{other.stage}:{other.unit} did not give the bytes of {bias.digest[:19]} again: "
        "MASTER_BIAS-01.fits: other data; the recorded bytes are gone, so that there are no figures"
    )
    assert caught.value.hint.endswith(f"see: clio show {other.run}")
    assert (other.purpose, reduction.store.objects.has(other.outputs[0].digest)) == (Purpose.REPLAY, True)
    assert not reduction.store.objects.has(bias.digest)
    assert not bias.path.exists()
    assert check(reduction.store, deep=True) == ()


def test_a_name_that_shows_something_else_by_now_is_left_alone(reduction: Reduction) -> None:
    bias = product(reduction, "MASTER_BIAS")
    prune(reduction)
    bias.path.write_text("mine")
    restored = restorer(reduction)(bias.digest)

    assert restored.links == ()
    assert bias.path.read_text() == "mine"


def test_without_its_raw_frames_nothing_comes_back(workspace: Workspace, reduction: Reduction) -> None:
    bias = product(reduction, "MASTER_BIAS")
    prune(reduction)
    workspace.raw("BIAS")[0].unlink()

    with pytest.raises(InputsMissing, match="an input is missing: BIAS"):
        restorer(reduction)(bias.digest)


def test_a_raw_frame_is_found_under_another_name(workspace: Workspace, reduction: Reduction) -> None:
    """Promise 2."""
    bias = product(reduction, "MASTER_BIAS")
    prune(reduction)
    frame = workspace.raw("BIAS")[0]
    frame.rename(frame.with_name("renamed.fits"))

    assert restorer(reduction)(bias.digest).links == (bias.path,)


def test_a_frame_from_outside_cannot_be_restored(reduction: Reduction) -> None:
    run = reduction.store.runs(stage="bias")[0]
    with pytest.raises(UsageError) as caught:
        restorer(reduction)(run.inputs[0].digest)

    assert caught.value.message == f"no run of this store made {run.inputs[0].digest[:19]}"


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_every_kind_of_link_is_found(workspace: Workspace, link: str) -> None:
    workspace.configure(f'[clio]\nlink = "{link}"\n')
    with workspace.open() as reduction:
        bias = next(made for made in reduction.run((Stage.BIAS,)).products)
        shown = Shown(reduction.store, reduction.settings.products)

        assert shown.paths(bias.digest) == (bias.path,)
        assert shown.freed(bias.digest) > 0


def test_a_copy_is_somebodys_own(workspace: Workspace) -> None:
    workspace.configure('[clio]\nlink = "copy"\n')
    with workspace.open() as reduction:
        bias = next(made for made in reduction.run((Stage.BIAS,)).products)

        assert Shown(reduction.store, reduction.settings.products).paths(bias.digest) == ()
