"""A reduction pinned in `clio.lock`, and held against it."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from builders import date_of, night, write_raw, write_static
from fakes import DIGEST, Fault, Seen, Workspace, did, install_image

from pipeline.config import load
from pipeline.errors import ConfigError, Exit, NotAsLocked, PipelineError
from pipeline.events import Did, failure
from pipeline.image import ImageLibrary
from pipeline.lock import Lock, LockedStep, read_lock, write_lock
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.summary import AsLocked, Summary

OTHER = "sha256:" + "d1" * 32
FLAT_UNIT = "2023-02-25T14:52:48"


def lock_of(workspace: Workspace) -> Lock:
    found = read_lock(workspace.root / "clio.lock")
    assert found is not None
    return found


def stages_in(lock: Lock) -> set[str]:
    return {step.step.partition(":")[0] for step in lock.steps}


def locked(workspace: Workspace, *stages: Stage, how: AsLocked = AsLocked.IN_DATA) -> Summary:
    with workspace.open() as reduction:
        return reduction.run(stages or tuple(Stage), as_locked=how)


def elsewhere(workspace: Workspace, root: Path) -> Workspace:
    """Take frames, settings and lock to another folder, the frames under other names; not the store."""
    for folder in ("raw", "calib"):
        (root / folder).mkdir(parents=True)
        for number, path in enumerate(sorted((workspace.root / folder).iterdir(), reverse=True)):
            shutil.copyfile(path, root / folder / f"{number}.fits")
    for name in ("clio.toml", "clio.lock"):
        shutil.copyfile(workspace.root / name, root / name)
    return Workspace(root, workspace.library)


def rewritten(workspace: Workspace, step: str, change: Callable[[LockedStep], LockedStep]) -> None:
    """Change what the lock says of a step."""
    lock = lock_of(workspace)
    steps = tuple(change(s) if s.step == step else s for s in lock.steps)
    write_lock(workspace.root / "clio.lock", replace(lock, steps=steps))


def of_other_data(step: LockedStep) -> LockedStep:
    return replace(step, products=tuple(replace(p, data_digest="fits1:" + "0" * 64) for p in step.products))


# What is pinned


def test_a_run_pins_frames_steps_and_products(narrow: Workspace) -> None:
    summary = narrow.run()

    lock = lock_of(narrow)
    with narrow.open() as reduction:
        plan = reduction.plan()
    assert lock.config_digest == DIGEST
    assert lock.numerics == "pinned"
    assert [s.step for s in lock.steps] == sorted(step.id for step in plan.steps)
    assert {p.digest for s in lock.steps for p in s.products} == {made.digest for made in summary.products}
    runs = {event.step.id: event.run for event in summary.events}
    for step in lock.steps:
        run = runs[step.step]
        assert run is not None
        assert (step.key, step.clock) == (run.action, run.clock_at)
    read = {(i.tag, i.name, i.data_digest, i.digest) for run in runs.values() if run for i in run.inputs}
    assert {(f.tag, f.name, f.data_digest, f.digest) for f in lock.frames} <= read
    assert len(lock.frames) == len({path for f in ("raw", "calib") for path in (narrow.root / f).iterdir()})


def test_nothing_in_it_is_of_a_place(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)

    assert str(narrow.root) not in (narrow.root / "clio.lock").read_text()


def test_promise_2_the_same_reduction_elsewhere_is_pinned_in_the_same_bytes(
    narrow: Workspace, tmp_path: Path
) -> None:
    narrow.run()
    text = (narrow.root / "clio.lock").read_text()
    other = elsewhere(narrow, tmp_path / "elsewhere")

    locked(other, how=AsLocked.TO_THE_BYTE)
    (other.root / "clio.lock").unlink()
    other.run()

    assert (other.root / "clio.lock").read_text() == text


def test_a_run_that_changes_nothing_leaves_the_file_alone(narrow: Workspace) -> None:
    narrow.run()
    before = (narrow.root / "clio.lock").stat().st_ctime_ns
    narrow.run()
    narrow.run(Stage.BIAS)

    assert (narrow.root / "clio.lock").stat().st_ctime_ns == before


def test_a_run_of_some_stages_keeps_the_rest_that_is_true(narrow: Workspace) -> None:
    narrow.run()
    before = lock_of(narrow)
    narrow.configure("[recipes.muse_exp_combine]\ncrsigma = 9\n")

    narrow.run(Stage.BIAS)

    assert stages_in(before) - stages_in(lock_of(narrow)) == {"combine"}
    assert {s.step for s in before.steps} >= {s.step for s in lock_of(narrow).steps}


def test_what_was_made_of_an_older_product_is_dropped(narrow: Workspace) -> None:
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")

    narrow.run(Stage.FLAT)

    assert stages_in(lock_of(narrow)) == {"bias", "flat"}


def test_in_a_new_store_what_is_not_made_yet_stays_pinned(narrow: Workspace) -> None:
    """A clone of the repository: the store is empty, and the lock is what there is."""
    narrow.run()
    before = lock_of(narrow)
    shutil.rmtree(narrow.root / ".clio")

    narrow.run(Stage.BIAS)

    assert [s.step for s in lock_of(narrow).steps] == [s.step for s in before.steps]


def test_what_is_not_planned_any_more_is_dropped(workspace: Workspace) -> None:
    workspace.run(Stage.BIAS, Stage.FLAT)
    workspace.configure("[data]\nifus = [1]\n")

    workspace.run(Stage.BIAS)

    assert [s.step[-3:] for s in lock_of(workspace).steps] == [":01", ":01"]
    assert {f.tag for f in lock_of(workspace).frames} == {"BIAS", "FLAT"}


def test_a_run_that_failed_leaves_the_lock_as_it_was(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)
    before = (narrow.root / "clio.lock").read_text()
    narrow.engine.fail(Fault.EXIT, "muse_flat")

    narrow.run(Stage.FLAT, Stage.LSF)

    assert (narrow.root / "clio.lock").read_text() == before


def test_parameters_given_with_a_call_are_not_pinned(narrow: Workspace) -> None:
    """They are not in `clio.toml`, so that nobody who clones it could do the same."""
    narrow.run(Stage.BIAS)
    before = (narrow.root / "clio.lock").read_text()

    with narrow.open() as reduction:
        reduction.run_recipes(last="prep_align")
        after_all = (narrow.root / "clio.lock").read_text()
        reduction.run_sky(fraction=0.5)

    assert before != after_all == (narrow.root / "clio.lock").read_text()


def test_two_runs_at_once_lose_nothing_of_each_other(narrow: Workspace) -> None:
    narrow.run()
    for _ in range(3):
        (narrow.root / "clio.lock").unlink()
        stages = (Stage.LSF, Stage.TWILIGHT)
        threads = [threading.Thread(target=narrow.run, args=(stage,)) for stage in stages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert stages_in(lock_of(narrow)) == {"bias", "flat", "wave", "lsf", "twilight"}


def test_a_damaged_lock_is_refused_before_anything_runs(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)
    path = narrow.root / "clio.lock"
    path.write_text(path.read_text().replace("products = [", "products = ["[:3]))

    with pytest.raises(ConfigError, match=f"cannot read {path}"):
        narrow.run(Stage.FLAT)

    assert narrow.engine.recipes == ("muse_bias",)


def test_an_accepted_outcome_is_pinned_under_the_key_it_was_accepted_for(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)
    narrow.configure("[recipes.muse_bias]\nlsigma = 4\n")
    with narrow.open() as reduction:
        found = reduction.forecast()[0]
        job, run = found.job, reduction.store.runs("bias")[0]
        assert job is not None
        reduction.store.accept(job.action, run, found.step.id, ("lsigma: 3 -> 4",), "no pixel is rejected")

    narrow.run(Stage.BIAS)

    assert lock_of(narrow).steps[0].key == job.action.key != run.action
    assert locked(narrow, Stage.BIAS).hits == 1


# Held against it: what is refused before it begins


def other_image(workspace: Workspace) -> None:
    install_image(workspace.root / "cache", OTHER)
    workspace.configure(f'[image]\nreference = "{OTHER}"\n')


def frame_gone(workspace: Workspace) -> None:
    workspace.raw("BIAS")[0].unlink()


def frame_changed(workspace: Workspace) -> None:
    shot = next(shot for shot in night() if shot.tag == "FLAT")
    write_raw(workspace.root / "raw", "FLAT", shot.mjd, start=shot.start, seed="another")


def frame_more(workspace: Workspace) -> None:
    last = [shot for shot in night() if shot.tag == "FLAT"][-1]
    write_raw(workspace.root / "raw", "FLAT", last.mjd + 1 / 1440, start=last.start)


def static_changed(workspace: Workspace) -> None:
    write_static(workspace.root / "calib", "EXTINCT_TABLE", seed=3)


def static_gone(workspace: Workspace) -> None:
    (workspace.root / "calib" / "extinct_table.fits").unlink()


def step_more(workspace: Workspace) -> None:
    lock = lock_of(workspace)
    write_lock(workspace.root / "clio.lock", replace(lock, steps=lock.steps[1:]))


def step_less(workspace: Workspace) -> None:
    lock = lock_of(workspace)
    more = replace(lock.steps[0], step="bias:2023-02-24T00:00:00:01")
    write_lock(workspace.root / "clio.lock", replace(lock, steps=(*lock.steps, more)))


def key_unknown(workspace: Workspace) -> None:
    rewritten(workspace, "combine:1001", lambda step: replace(step, key="0" * 64))


REFUSED = {
    "image": (other_image, 2, f"the image is {OTHER}, not {DIGEST}"),
    "numerics": ('[clio]\nnumerics = "native"\n', 2, "numerics is native, not pinned"),
    "parameter": (
        "[recipes.muse_flat]\norder = 7\n",
        2,
        f"flat:{FLAT_UNIT}:01 and 1 more: parameter order: its default -> 7",
    ),
    "association": (
        "[workflow]\nillum = false\n",
        2,
        "twilight:2023-02-25T22:48:00 and 8 more: input ILLUM: without ",
    ),
    "frame gone": (
        frame_gone,
        3,
        "BIAS MUSE.2023-02-25T14:24:00.000.fits is in clio.lock, and not among the frames in use",
    ),
    "frame changed": (frame_changed, 3, "FLAT MUSE.2023-02-25T14:52:48.000.fits holds other data than"),
    "frame more": (frame_more, 3, "FLAT MUSE.2023-02-25T14:55:48.000.fits is not in clio.lock"),
    "static changed": (static_changed, 3, "EXTINCT_TABLE EXTINCT_TABLE_"),
    "static gone": (static_gone, 3, "EXTINCT_TABLE EXTINCT_TABLE_"),
    "step more": (step_more, 2, "align:1001 is not in clio.lock"),
    "step less": (step_less, 2, "bias:2023-02-24T00:00:00:01 is in clio.lock, and nothing asks for it now"),
    "key unknown": (
        key_unknown,
        2,
        "combine:1001: it would be called otherwise: its inputs, its environment or what is expected of it "
        "differ; the store does not know the action 000000000000 of clio.lock",
    ),
}


@pytest.mark.parametrize(("change", "code", "text"), REFUSED.values(), ids=REFUSED)
def test_anything_else_than_what_is_pinned_is_refused_in_words(
    workspace: Workspace, change: str | Callable[[Workspace], None], code: int, text: str
) -> None:
    workspace.run()
    if callable(change):
        change(workspace)
    else:
        workspace.configure(change)
    before, ran = (workspace.root / "clio.lock").read_text(), len(workspace.engine.seen)

    with pytest.raises(NotAsLocked) as caught:
        locked(workspace)

    assert caught.value.message.startswith(f"this is not what clio.lock says: {text}")
    assert caught.value.exit_code == code
    assert caught.value.hint == "undo that, or take it for good with: clio run"
    assert len(workspace.engine.seen) == ran
    assert (workspace.root / "clio.lock").read_text() == before


def test_only_the_first_few_differences_are_named(workspace: Workspace) -> None:
    workspace.run()
    for path in [*workspace.raw("FLAT"), *workspace.raw("ARC"), *workspace.raw("SKYFLAT")]:
        path.unlink()

    with pytest.raises(NotAsLocked, match=r"; and 5 more$") as caught:
        locked(workspace)

    assert caught.value.exit_code is Exit.FRAMES


def test_without_a_lock_there_is_nothing_to_hold_to(narrow: Workspace) -> None:
    path = narrow.root / "clio.lock"

    with pytest.raises(ConfigError) as caught:
        locked(narrow)
    assert caught.value.message == f"there is no {path}: nothing says what to do"
    assert not path.exists()

    write_lock(path, Lock({"config_digest": DIGEST, "platform": "", "archive_digest": "", "packages": []}))
    with pytest.raises(ConfigError) as caught:
        locked(narrow)
    assert caught.value.message == f"{path} pins the image alone: nothing says what to do"
    assert caught.value.hint == "run without --locked first: that pins it"
    assert narrow.engine.seen == []


def test_what_the_lock_says_is_known_is_a_hit(narrow: Workspace) -> None:
    steps = narrow.run().ran

    assert locked(narrow).hits == steps


def test_some_stages_are_held_to_their_part_of_the_lock(narrow: Workspace) -> None:
    narrow.run()
    for path in narrow.raw("OBJECT"):
        path.unlink()

    assert locked(narrow, Stage.BIAS, Stage.FLAT).hits == 2


def test_promise_2_renamed_frames_are_the_frames_of_the_lock(narrow: Workspace, tmp_path: Path) -> None:
    narrow.run(Stage.BIAS)
    other = elsewhere(narrow, tmp_path / "elsewhere")
    text = (other.root / "clio.lock").read_text()

    summary = locked(other, Stage.BIAS)

    assert summary.ran == 1
    assert (other.root / "clio.lock").read_text() == text


# Held against it: what came out


def error_of(summary: Summary) -> PipelineError:
    error = failure(summary.events)
    assert error is not None
    return error


def test_promise_7_in_an_empty_store_the_same_bytes_come_out_with_its_clocks(
    narrow: Workspace, tmp_path: Path
) -> None:
    products = {made.digest for made in narrow.run().products}
    other = elsewhere(narrow, tmp_path / "elsewhere")

    summary = locked(other, how=AsLocked.TO_THE_BYTE)

    assert (summary.hits, summary.failed, summary.blocked) == (0, 0, 0)
    assert {made.digest for made in summary.products} == products


def test_a_clock_that_ran_runs_again(narrow: Workspace, tmp_path: Path) -> None:
    narrow.configure('[clio]\nclock = "real"\n')
    narrow.run(Stage.BIAS)
    other = elsewhere(narrow, tmp_path / "elsewhere")
    other.configure("")

    summary = locked(other, Stage.BIAS, how=AsLocked.TO_THE_BYTE)

    run = summary.events[0].run
    assert run is not None
    assert (run.clock_mode, run.clock_at) == ("real", None)


def test_products_of_other_data_end_with_7_and_nothing_is_made_of_them(
    narrow: Workspace, tmp_path: Path
) -> None:
    narrow.run()
    other = elsewhere(narrow, tmp_path / "elsewhere")
    text = (other.root / "clio.lock").read_text()
    other.engine.restless.add("muse_flat")

    summary = locked(other)

    error = error_of(summary)
    assert did(summary, Did.FAILED) == [f"flat:{FLAT_UNIT}:01"]
    assert error.message.startswith(
        f"flat:{FLAT_UNIT}:01 is not as locked: "
        "MASTER_FLAT MASTER_FLAT-01.fits has other data than clio.lock says; "
        "TRACE_TABLE TRACE_TABLE-01.fits has other data than clio.lock says"
    )
    assert error.exit_code is Exit.DIFFERENT
    assert other.engine.recipes == ("muse_bias", "muse_flat")
    assert not list((other.root / "products").rglob("*FLAT*.fits"))
    assert (other.root / "clio.lock").read_text() == text


def test_a_known_outcome_that_is_not_the_pinned_one_ends_with_7(narrow: Workspace) -> None:
    narrow.run()
    rewritten(narrow, "combine:1001", of_other_data)
    ran = len(narrow.engine.seen)
    shown = sorted((narrow.root / "products").rglob("*.fits"))

    error = error_of(locked(narrow))

    assert "combine:1001 is not as locked: DATACUBE_FINAL DATACUBE_FINAL.fits has other" in error.message
    assert error.exit_code is Exit.DIFFERENT
    assert len(narrow.engine.seen) == ran
    assert sorted((narrow.root / "products").rglob("*.fits")) == shown


def test_products_missing_or_more_than_pinned_are_named(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)
    step = lock_of(narrow).steps[0].step
    rewritten(narrow, step, lambda s: replace(s, products=(replace(s.products[0], name="OTHER.fits"),)))

    message = error_of(locked(narrow, Stage.BIAS)).message

    assert message == (
        f"{step} is not as locked: MASTER_BIAS OTHER.fits is missing; "
        "MASTER_BIAS MASTER_BIAS-01.fits is not in clio.lock"
    )


def test_a_frame_that_changes_meanwhile_is_not_reduced(narrow: Workspace, tmp_path: Path) -> None:
    narrow.run(Stage.BIAS, Stage.FLAT)
    other = elsewhere(narrow, tmp_path / "elsewhere")

    shot = next(shot for shot in night() if shot.tag == "FLAT")
    named = f"MUSE.{date_of(shot.mjd)}".encode()
    path = next(path for path in (other.root / "raw").iterdir() if named in path.read_bytes())

    def change(seen: Seen) -> None:
        write_raw(path.parent, "FLAT", shot.mjd, start=shot.start, ifus=(1,), seed="x", name=path.name)

    other.engine.on_run = change

    summary = locked(other, Stage.BIAS, Stage.FLAT)

    assert other.engine.recipes == ("muse_bias",)
    assert error_of(summary).message == (
        f"flat:{FLAT_UNIT}:01 is blocked: it is not what clio.lock says any more: "
        "its inputs changed since it was compared"
    )


def test_another_image_is_refused_even_if_the_lock_could_be_pinned_anew(narrow: Workspace) -> None:
    """`--locked` never writes: opening the workspace would pin the image of the settings."""
    narrow.run(Stage.BIAS)
    text = (narrow.root / "clio.lock").read_text()
    other_image(narrow)
    library = ImageLibrary(narrow.root / "cache")

    with (
        Reduction(load(narrow.root), engine=narrow.engine, library=library) as reduction,
        pytest.raises(NotAsLocked),
    ):
        reduction.run(as_locked=AsLocked.IN_DATA)

    assert (narrow.root / "clio.lock").read_text() == text
