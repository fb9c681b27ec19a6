"""What a lock says, reduced in an empty store and compared with it. Promise 7."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes import FakeEngine, Fault, Workspace

from pipeline.config import load
from pipeline.errors import ConfigError, Exit, NotAsLocked, UsageError
from pipeline.lock import Lock, read_lock, write_lock
from pipeline.model import Stage
from pipeline.places import LOCK
from pipeline.replay_lock import LockReplay, beside, replay_lock
from pipeline.verdict import Sameness


def replay(workspace: Workspace, engine: FakeEngine | None = None, **where: Path) -> tuple[LockReplay, Path]:
    """Replay the lock of a workspace; gives what came of it, and where it was done."""
    settings = load(workspace.root)
    with beside(
        *(settings, settings.lock), engine=engine or FakeEngine(), library=workspace.library, **where
    ) as reduction:
        return replay_lock(reduction), reduction.settings.root


def found(replayed: LockReplay) -> dict[str, Sameness]:
    return {step.step: step.sameness for step in replayed.steps}


def listing(root: Path) -> list[tuple[str, int, int]]:
    statuses = ((str(path), path.lstat()) for path in sorted(root.rglob("*")))
    return [(name, status.st_mtime_ns, status.st_ino) for name, status in statuses]


def test_every_product_comes_out_with_the_same_bytes(narrow: Workspace) -> None:
    ran = narrow.run().ran
    before = listing(narrow.root)

    replayed, place = replay(narrow)

    assert len(replayed.steps) == ran
    assert replayed.sameness is Sameness.IDENTICAL
    assert all(step.reason == "" and step.run for step in replayed.steps)
    assert listing(narrow.root) == before
    assert not place.exists()


def test_promise_2_frames_given_by_folder_may_have_any_name(narrow: Workspace, tmp_path: Path) -> None:
    narrow.run()
    for folder in ("raw", "calib"):
        (tmp_path / folder).mkdir()
        for number, path in enumerate(sorted((narrow.root / folder).iterdir(), reverse=True)):
            shutil.move(path, tmp_path / folder / f"{number}.fits")

    replayed, _ = replay(narrow, raw=tmp_path / "raw", calib=tmp_path / "calib")

    assert replayed.sameness is Sameness.IDENTICAL


def test_the_store_is_kept_where_it_is_asked_for(narrow: Workspace, tmp_path: Path) -> None:
    made = {product.digest for product in narrow.run().products}

    _, place = replay(narrow, into=tmp_path / "kept")

    assert not place.exists()
    there = {f"sha256:{path.name}" for path in (tmp_path / "kept" / "objects").rglob("*") if path.is_file()}
    assert made <= there


def test_a_store_that_is_there_is_refused(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)
    store = narrow.root / ".clio"

    with pytest.raises(UsageError) as caught:
        replay(narrow, into=store)

    assert caught.value.message == f"{store} is not empty: what is known there would not be made again"


def test_a_lock_of_some_stages_is_replayed_as_far_as_it_goes(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS, Stage.FLAT)
    engine = FakeEngine()

    replayed, _ = replay(narrow, engine)

    assert set(found(replayed).values()) == {Sameness.IDENTICAL}
    assert engine.recipes == ("muse_bias", "muse_flat")


def test_other_bytes_of_the_same_data_are_the_same_science(narrow: Workspace) -> None:
    narrow.run()
    engine = FakeEngine(today=datetime(2031, 1, 1, tzinfo=UTC))

    replayed, _ = replay(narrow, engine)

    assert set(found(replayed).values()) == {Sameness.SAME_SCIENCE}
    assert {step.reason for step in replayed.steps} == {"the same data, other bytes"}


def test_other_data_are_named_and_what_would_follow_is_not_compared(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS, Stage.FLAT, Stage.WAVE)
    engine = FakeEngine(restless={"muse_flat"})

    replayed, _ = replay(narrow, engine)

    bias, flat, wave = replayed.steps
    assert (bias.sameness, flat.sameness, wave.sameness) == (
        *(Sameness.IDENTICAL, Sameness.DIFFERENT, Sameness.NOT_COMPARABLE),
    )
    assert flat.reason.startswith("MASTER_FLAT MASTER_FLAT-01.fits has other data than clio.lock says")
    assert wave.reason == f"needs {flat.step}"
    assert replayed.sameness is Sameness.NOT_COMPARABLE


def test_a_recipe_that_fails_leaves_nothing_to_compare(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)
    engine = FakeEngine()
    engine.fail(Fault.EXIT, "muse_bias")

    replayed, _ = replay(narrow, engine)

    assert replayed.sameness is Sameness.NOT_COMPARABLE
    assert replayed.steps[0].reason.startswith("recipe error: ")
    assert [product.made for product in replayed.steps[0].products] == [None]


def test_other_settings_are_refused_before_anything_runs(narrow: Workspace) -> None:
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")
    engine = FakeEngine()

    with pytest.raises(NotAsLocked, match="parameter order: its default -> 7") as caught:
        replay(narrow, engine)

    assert caught.value.exit_code is Exit.USAGE
    assert engine.seen == []


@pytest.mark.parametrize("is_there", [False, True], ids=["none", "image-alone"])
def test_a_lock_without_steps_is_refused(narrow: Workspace, is_there: bool) -> None:
    path = narrow.root / LOCK
    narrow.run(Stage.BIAS)
    lock = read_lock(path)
    assert lock is not None
    path.unlink()
    if is_there:
        write_lock(path, Lock(lock.image))

    with pytest.raises(ConfigError) as caught:
        replay(narrow)

    assert caught.value.message == f"{path} pins no step"
    assert caught.value.hint == "clio run writes a lock that does"
