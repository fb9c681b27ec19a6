"""Runs replayed, one by one and in chains from raw frames: order, what reads what, verdicts, what is kept."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes import Fault, Seen, Workspace

from pipeline.again import Variation, Workshop
from pipeline.errors import Interrupted, UsageError
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.replay import Link, Replay, Replayed, Terms, chain, newest_reduction, replay, sample
from pipeline.verdict import Sameness
from provenance.check import check
from provenance.model import Purpose, Run
from provenance.prune import VERDICT, survey
from provenance.store import Store

LATER = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
UP_TO_WAVE = (Stage.BIAS, Stage.FLAT, Stage.WAVE)


@pytest.fixture
def reduction(narrow: Workspace) -> Iterator[Reduction]:
    """A reduced night of one IFU, up to the wavelength calibration."""
    narrow.run(*UP_TO_WAVE)
    narrow.engine.seen.clear()
    with narrow.open() as reduction:
        yield reduction


@pytest.fixture
def shop(reduction: Reduction) -> Workshop:
    return Workshop.of(reduction)


def newest(shop: Workshop, stage: str) -> Run:
    return next(run for run in shop.store.runs(stage=stage) if run.purpose is Purpose.RUN)


def links(shop: Workshop, stage: str, *, closure: bool = False) -> tuple[Link, ...]:
    return chain(shop.store, [newest(shop, stage)], closure=closure)


def verdicts(found: Replay) -> list[tuple[str, str]]:
    return [(link.run.stage, link.sameness.value) for link in found.links]


def test_without_closure_only_the_run_itself_is_made_again(shop: Workshop, narrow: Workspace) -> None:
    found = replay(shop, links(shop, "wave"))

    assert narrow.engine.recipes == ("muse_wavecal",)
    assert verdicts(found) == [("wave", "identical")]
    assert (found.sameness, found.has_same_data) == (Sameness.IDENTICAL, True)


def test_with_closure_each_run_is_made_again_once_from_raw_frames(shop: Workshop, narrow: Workspace) -> None:
    """The master bias is read by the flat and by the wavelength calibration."""
    found = replay(shop, links(shop, "wave", closure=True))

    assert narrow.engine.recipes == ("muse_bias", "muse_flat", "muse_wavecal")
    assert verdicts(found) == [("bias", "identical"), ("flat", "identical"), ("wave", "identical")]


def test_a_replay_is_a_record_and_a_statement_and_the_original_stays(shop: Workshop) -> None:
    """Promises 7 and 9: nobody believes it in place of the first."""
    first = newest(shop, "bias")
    (link,) = replay(shop, links(shop, "bias")).links
    (said,) = shop.store.statements(VERDICT)

    assert link.again is not None
    assert shop.store.run(link.again.run).purpose is Purpose.REPLAY
    assert shop.store.lookup(first.action).run == first
    assert (said.body["run"], said.body["replay"], said.body["verdict"]) == (
        *(first.run, link.again.run, "identical"),
    )
    assert (said.body["challenge"], said.body["engine"], said.body["store"]) == (
        *(None, "fake 1.0", shop.store.id),
    )
    assert [item["comparison"]["sameness"] for item in said.body["outputs"]] == ["identical"]
    assert check(shop.store, deep=True) == ()


def test_what_differs_goes_on_as_a_challenge_of_what_reads_it(shop: Workshop, narrow: Workspace) -> None:
    """Promise 3: with other data in an input it is another action, whose name shows them."""
    narrow.engine.restless.add("muse_bias")
    flat = newest(shop, "flat")
    found = replay(shop, links(shop, "flat", closure=True))

    bias, challenged = found.links
    assert verdicts(found) == [("bias", "different"), ("flat", "different")]
    assert (bias.is_challenge, challenged.is_challenge) == (False, True)
    assert bias.again is not None
    assert challenged.again is not None
    assert challenged.again.action != flat.action
    (read,) = (item for item in challenged.again.inputs if item.tag == "MASTER_BIAS")
    (made,) = bias.again.outputs
    assert (read.digest, read.data_digest) == (made.digest, made.data_digest)
    assert made.data_digest is not None
    assert read.name == f"MASTER_BIAS-01_{made.data_digest[6:18]}.fits"
    assert check(shop.store, deep=True) == ()


def test_an_input_with_other_bytes_and_the_same_data_is_the_same_action(narrow: Workspace) -> None:
    """Under a clock that runs, DATE moves: the same science."""
    narrow.configure('[clio]\nclock = "real"\n')
    narrow.run(Stage.BIAS, Stage.FLAT)
    narrow.engine.today = LATER
    with narrow.open() as reduction:
        shop = Workshop.of(reduction)
        found = replay(shop, links(shop, "flat", closure=True))

    assert verdicts(found) == [("bias", "same science"), ("flat", "same science")]
    assert [link.is_challenge for link in found.links] == [False, False]
    assert found.has_same_data


def test_with_other_threads_it_is_a_challenge_under_a_key_of_its_own(shop: Workshop) -> None:
    terms = Terms(Variation(threads=3, numerics="native"))
    (link,) = replay(shop, links(shop, "bias"), terms).links
    (said,) = shop.store.statements(VERDICT)

    assert link.again is not None
    action = shop.store.action(link.again.action)
    assert (link.is_challenge, link.again.threads, action.numerics) == (True, 3, "native")
    assert dict(action.environment)["OMP_NUM_THREADS"] == "3"
    assert "hwcaps" not in dict(link.again.environment)["GLIBC_TUNABLES"]
    assert (said.body["verdict"], said.body["challenge"]) == ("identical", action.key)
    assert replace(action, environment=(), numerics="") == replace(
        shop.store.action(link.run.action), environment=(), numerics=""
    )


def test_a_challenge_proves_nothing_to_prune(shop: Workshop) -> None:
    replay(shop, links(shop, "bias"), Terms(Variation(threads=3)))
    unproven = survey(shop.store, "9999").identical
    replay(shop, links(shop, "bias"))

    assert unproven == frozenset()
    assert survey(shop.store, "9999").identical == {newest(shop, "bias").run}


def test_another_store_takes_it_all_and_the_original_is_only_read(
    shop: Workshop, narrow: Workspace, tmp_path: Path
) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        files = (path for path in (narrow.root / ".clio").rglob("*") if path.is_file())
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in files
            if not path.name.startswith("provenance.db")
        }

    narrow.engine.restless.add("muse_flat")
    before = state()
    with Store.create(tmp_path / "other") as other:
        found = replay(replace(shop, into=other), links(shop, "wave", closure=True))
        kept = {run.run for run in other.runs()}
        said = other.statements(VERDICT)
        damage = check(other, deep=True)

    assert state() == before
    assert shop.store.statements(VERDICT) == ()
    assert verdicts(found) == [("bias", "identical"), ("flat", "different"), ("wave", "different")]
    assert kept == {link.again.run for link in found.links if link.again}
    assert {statement.body["store"] for statement in said} == {shop.store.id}
    assert len(said) == 3
    assert damage == ()


def test_frames_that_are_nowhere_are_named_and_the_rest_goes_on(shop: Workshop, narrow: Workspace) -> None:
    narrow.raw("BIAS")[0].unlink()
    runs = [newest(shop, stage) for stage in ("bias", "flat")]
    alone = replay(shop, chain(shop.store, runs, closure=False))
    closed = replay(shop, chain(shop.store, runs, closure=True))

    assert verdicts(alone) == [("bias", "not comparable"), ("flat", "identical")]
    assert alone.links[0].reason.startswith(f"bias:{runs[0].unit} cannot be run again, an input is missing: ")
    assert alone.links[0].hint == "put the files into a folder of [data] in clio.toml, under any name"
    assert verdicts(closed) == [("bias", "not comparable"), ("flat", "not comparable")]
    assert closed.links[1].reason == f"needs bias:{runs[0].unit}, which was not made again"
    assert not closed.has_same_data


def test_a_product_that_was_pruned_is_made_again_by_closure(shop: Workshop) -> None:
    bias = newest(shop, "bias").outputs[0]
    shop.store.objects.path(bias.digest).unlink()
    (alone,) = replay(shop, links(shop, "flat")).links
    closed = replay(shop, links(shop, "flat", closure=True))

    assert (alone.sameness, alone.hint) == (
        Sameness.NOT_COMPARABLE,
        "`clio replay --closure` makes it again first, and `clio restore` brings it back",
    )
    assert verdicts(closed) == [("bias", "identical"), ("flat", "identical")]


def test_without_its_image_nothing_can_be_compared(shop: Workshop, narrow: Workspace) -> None:
    shutil.rmtree(narrow.root / "cache")
    (link,) = replay(shop, links(shop, "bias")).links

    assert (link.sameness, link.again) == (Sameness.NOT_COMPARABLE, None)
    assert "c0c0c0" in link.reason
    assert link.hint


def test_frames_that_moved_and_readable_names_that_are_gone_do_not_matter(
    shop: Workshop, narrow: Workspace
) -> None:
    """Promise 2."""
    shutil.rmtree(narrow.root / "products")
    folder = narrow.root / "raw" / "by hand"
    folder.mkdir()
    for number, path in enumerate(narrow.raw("BIAS") + narrow.raw("FLAT")):
        path.rename(folder / f"{number}.fits")

    found = replay(shop, links(shop, "flat", closure=True))

    assert found.sameness is Sameness.IDENTICAL


@pytest.mark.parametrize(
    ("fault", "sameness"),
    [(Fault.EXIT, "different"), (Fault.MISSING, "different"), (Fault.OUT_OF_MEMORY, "not comparable")],
    ids=["fails", "makes less", "the machine's fault"],
)
def test_a_recipe_that_fails_now_is_told_from_a_machine_that_does(
    shop: Workshop, narrow: Workspace, fault: Fault, sameness: str
) -> None:
    """Promise 6: what reads it is not made, and is said to wait for it."""
    narrow.engine.fail(fault, "muse_bias")
    found = replay(shop, links(shop, "flat", closure=True))

    assert verdicts(found) == [("bias", sameness), ("flat", "not comparable")]
    assert found.links[0].again is not None
    assert not found.links[0].again.is_success


def test_a_run_that_failed_has_nothing_to_be_compared_with(narrow: Workspace) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_bias")
    narrow.run(Stage.BIAS)

    with narrow.open() as reduction:
        (run,) = reduction.store.runs()
        with pytest.raises(UsageError, match=rf"run {run.run} of bias:\S+ did not succeed \(failed\)"):
            chain(reduction.store, [run], closure=False)


def test_asked_to_stop_it_leaves_nothing_half_done(shop: Workshop, narrow: Workspace) -> None:
    def stop(seen: Seen) -> None:
        if seen.recipe == "muse_flat":
            shop.cancel.set()

    narrow.engine.on_run = stop
    with pytest.raises(Interrupted):
        replay(shop, links(shop, "wave", closure=True))

    replays = [run.stage for run in shop.store.runs() if run.purpose is Purpose.REPLAY]
    assert replays == ["bias"]
    assert len(shop.store.statements(VERDICT)) == 1
    assert list((shop.store.path / "work").iterdir()) == []
    assert check(shop.store, deep=True) == ()


def test_the_listener_hears_of_each_start_and_end(shop: Workshop) -> None:
    heard: list[tuple[str, bool]] = []

    def listen(run: Run, replayed: Replayed | None) -> None:
        heard.append((run.stage, replayed is not None))

    replay(shop, links(shop, "flat", closure=True), None, listen)

    assert heard == [("bias", False), ("bias", True), ("flat", False), ("flat", True)]


def test_runs_that_wait_for_nothing_run_beside_each_other(workspace: Workspace) -> None:
    """Two IFUs, two jobs."""
    workspace.run(Stage.BIAS)
    both = threading.Barrier(2, timeout=20)

    def meet(seen: Seen) -> None:
        both.wait()

    workspace.engine.on_run = meet
    with workspace.open() as reduction:
        shop = Workshop.of(reduction)
        found = replay(shop, chain(shop.store, shop.store.runs(), closure=False), Terms(jobs=2))

    assert [link.sameness for link in found.links] == [Sameness.IDENTICAL] * 2


def test_the_newest_reduction_is_what_the_last_calls_believed(
    shop: Workshop, reduction: Reduction, narrow: Workspace
) -> None:
    replay(shop, links(shop, "bias"))
    found = newest_reduction(shop.store, str(reduction.settings.root))

    assert [run.stage for run in found] == ["bias", "flat", "wave"]
    assert {run.purpose for run in found} == {Purpose.RUN}


def test_of_nothing_there_is_no_newest_reduction(narrow: Workspace) -> None:
    with narrow.open() as reduction, pytest.raises(UsageError, match="nothing was ever reduced here"):
        newest_reduction(reduction.store, str(narrow.root))


def test_a_sample_is_the_same_each_time_and_in_the_order_of_the_runs(shop: Workshop) -> None:
    runs = tuple(newest(shop, stage.value) for stage in UP_TO_WAVE)
    drawn = [sample(runs, 2, seed) for seed in range(20)]

    assert drawn == [sample(runs[::-1], 2, seed)[::-1] for seed in range(20)]
    assert len({tuple(run.stage for run in some) for some in drawn}) == 3
    assert sample(runs, 9) == runs
