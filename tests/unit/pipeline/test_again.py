"""A recorded run, run again: what it is given, what came out beside the record, what is kept of it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import edit_and_put_back
from fakes import Fault, Workspace

from pipeline.again import Clock, Variation, Workshop, record_again, remake
from pipeline.engine import Surroundings
from pipeline.errors import UsageError
from pipeline.finding import InputsMissing
from pipeline.model import Stage
from pipeline.reduce import Reduction
from provenance.check import check
from provenance.model import Purpose, Run, Status

ELSEWHERE = Surroundings("elsewhere", (1234, 1234), "/tmp/there", "/in/there")
LATER = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def reduction(narrow: Workspace) -> Iterator[Reduction]:
    """A reduced night of one IFU, up to the master flat."""
    narrow.run(Stage.BIAS, Stage.FLAT)
    narrow.engine.seen.clear()
    with narrow.open() as reduction:
        yield reduction


@pytest.fixture
def shop(reduction: Reduction) -> Workshop:
    return Workshop.of(reduction)


def newest(shop: Workshop, stage: str) -> Run:
    return next(run for run in shop.store.runs(stage=stage) if run.purpose is Purpose.RUN)


@pytest.mark.parametrize("stage", ["bias", "flat"])
def test_a_run_is_given_again_what_it_was_given(shop: Workshop, stage: str, narrow: Workspace) -> None:
    """Promise 7: the same command, frames, environment and clock."""
    run = newest(shop, stage)

    with remake(shop, run) as remade:
        request = narrow.engine.seen[-1].request

    assert remade.ran.argv == run.argv
    assert dict(request.environment) == dict(run.environment)
    assert [(i.tag, i.name, i.digest) for i in remade.ran.call.inputs] == [
        (i.tag, i.name, i.digest) for i in run.inputs
    ]
    assert (request.surroundings.hostname, request.surroundings.directory) == ("clio", "/out")


def test_the_same_bytes_come_out(shop: Workshop) -> None:
    """Promise 7."""
    run = newest(shop, "flat")

    with remake(shop, run) as remade:
        found = [(o.tag, o.digests.digest if o.digests else "") for o in remade.outputs]

    assert remade.is_identical
    assert sorted(found) == sorted((o.tag, o.digest) for o in run.outputs)
    assert [o.digests.data_digest for o in remade.outputs if o.digests] == [
        o.data_digest for o in run.outputs
    ]


def test_the_scratch_is_gone_and_the_store_is_as_it_was(shop: Workshop) -> None:
    before = len(shop.store.runs())

    with remake(shop, newest(shop, "bias")) as remade:
        made = [output.product.path for output in remade.outputs if output.product]
        assert all(path.exists() for path in made)

    assert not any(path.exists() for path in made)
    assert len(shop.store.runs()) == before
    assert check(shop.store) == ()


def test_parameters_that_were_set_are_set_again(narrow: Workspace) -> None:
    narrow.configure("[recipes.muse_bias]\nlsigma = 2.5\ncombine = 'median'\n")
    narrow.run(Stage.BIAS)

    narrow.configure("")
    with narrow.open() as reduction, remake(Workshop.of(reduction), reduction.store.runs()[0]) as remade:
        assert remade.is_identical

    assert dict(narrow.engine.seen[-1].options) == {"nifu": "1", "lsigma": "2.5", "combine": "median"}


def test_another_clock_and_place_are_asked_for_as_wished(shop: Workshop, narrow: Workspace) -> None:
    with remake(shop, newest(shop, "bias"), clock=LATER, surroundings=ELSEWHERE) as remade:
        product = remade.outputs[0].product

    request = narrow.engine.seen[-1].request
    assert product is not None
    assert product.header["DATE"] == "2031-02-03T04:05:06"
    assert request.surroundings == ELSEWHERE
    assert all(mount.target.startswith("/in/there/") for mount in request.inputs)
    assert (remade.is_identical, remade.is_same_science) == (False, True)


def test_a_clock_that_ran_runs_again(narrow: Workspace) -> None:
    narrow.configure('[clio]\nclock = "real"\n')
    narrow.run(Stage.BIAS)

    with narrow.open() as reduction, remake(Workshop.of(reduction), reduction.store.runs()[0]) as remade:
        assert remade.ran.clock is None
        assert "FAKETIME" not in dict(remade.ran.environment)


def test_a_clock_can_be_let_run(shop: Workshop) -> None:
    with remake(shop, newest(shop, "bias"), clock=Clock.RUNNING) as remade:
        assert remade.ran.clock is None


def test_raw_frames_that_were_moved_are_found_by_content(shop: Workshop, narrow: Workspace) -> None:
    """Promise 2: names and places are nothing."""
    elsewhere = narrow.root / "raw" / "sorted" / "by hand"
    elsewhere.mkdir(parents=True)
    for number, path in enumerate(narrow.raw("BIAS")):
        path.rename(elsewhere / f"b{number}.fits")

    with remake(shop, newest(shop, "bias")) as remade:
        assert remade.is_identical


def test_another_file_under_the_old_name_is_not_taken(shop: Workshop, narrow: Workspace) -> None:
    """Promise 3: content counts, and nothing else."""
    first, second, _ = narrow.raw("BIAS")
    shutil.copy(second, first)

    with pytest.raises(InputsMissing), remake(shop, newest(shop, "bias")):
        pass


def test_missing_frames_are_named(shop: Workshop, narrow: Workspace) -> None:
    run = newest(shop, "bias")
    for path in narrow.raw("BIAS")[:2]:
        path.unlink()

    with pytest.raises(InputsMissing) as caught, remake(shop, run):
        pass

    first, second = run.inputs[:2]
    assert caught.value.missing == (first, second)
    assert caught.value.made == frozenset()
    assert caught.value.message == (
        f"bias:{run.unit} cannot be run again, 2 inputs are missing: "
        f"BIAS {first.name} ({first.digest[:19]}, seen at {first.seen_at}); "
        f"BIAS {second.name} ({second.digest[:19]}, seen at {second.seen_at})"
    )
    assert caught.value.hint == "put the files into a folder of [data] in clio.toml, under any name"


@pytest.mark.parametrize("damage", ["removed", "edited"])
def test_a_product_that_is_not_sound_in_the_store_is_missing(shop: Workshop, damage: str) -> None:
    """Promise 4: bytes are proven before they are believed; a product can be made again."""
    bias = newest(shop, "bias").outputs[0]
    path = shop.store.objects.path(bias.digest)
    content = path.read_bytes()
    path.unlink()
    if damage == "edited":
        path.write_bytes(content[:-1] + b"x")

    with pytest.raises(InputsMissing) as caught, remake(shop, newest(shop, "flat")):
        pass

    assert caught.value.made == {bias.digest}
    assert "an input is missing: MASTER_BIAS MASTER_BIAS-01_" in caught.value.message
    assert "made here, and gone from the store" in caught.value.message
    assert caught.value.hint == "make the product again first"


def test_bytes_that_were_dropped_can_be_kept_again(shop: Workshop) -> None:
    """As a restore does: what is proven to be the same bytes goes back to its place."""
    run = newest(shop, "bias")
    digest = run.outputs[0].digest
    shop.store.objects.path(digest).unlink()

    with remake(shop, run) as remade:
        product = remade.outputs[0].product
        assert remade.outputs[0].is_identical
        assert product is not None
        shop.store.objects.put(product.path)

    assert shop.store.objects.damage(digest) is None


def test_a_recipe_that_fails_now_says_so(shop: Workshop, narrow: Workspace) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_bias", text="no light")

    with remake(shop, newest(shop, "bias")) as remade:
        run = record_again(shop, remade, Purpose.REPLAY)

    assert remade.cause == "recipe error"
    assert remade.failure == "esorex left with 255: no light"
    assert [output.product for output in remade.outputs] == [None]
    assert not remade.is_same_science
    assert (run.status, run.cause, run.outputs, run.errors) == (Status.FAILED, "recipe error", (), 1)


@pytest.mark.parametrize(
    ("fault", "cause", "status"),
    [
        (Fault.OUT_OF_MEMORY, "out of memory", Status.FAILED),
        (Fault.TIMEOUT, "timeout", Status.TIMEOUT),
        (Fault.KILLED, "killed", Status.KILLED),
        (Fault.ERROR_IN_LOG, "recipe error", Status.FAILED),
        (Fault.EMPTY, "unproven", Status.FAILED),
        (Fault.FLIPPED, "unproven", Status.FAILED),
        (Fault.MISSING, "missing product", Status.FAILED),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Fault) else "",
)
def test_each_way_to_fail_has_its_cause(
    shop: Workshop, narrow: Workspace, fault: Fault, cause: str, status: Status
) -> None:
    """Promise 11: exit status 0 proves nothing, the second time neither."""
    narrow.engine.fail(fault, "muse_bias")

    with remake(shop, newest(shop, "bias")) as remade:
        run = record_again(shop, remade, Purpose.REPLAY)

    assert (remade.cause, run.status, run.outputs) == (cause, status, ())


def test_a_recipe_that_makes_something_else_is_seen(shop: Workshop, narrow: Workspace) -> None:
    narrow.engine.restless.add("muse_bias")

    with remake(shop, newest(shop, "bias")) as remade:
        pass

    assert (remade.failure, remade.is_same_science) == ("", False)


def test_a_frame_edited_while_the_recipe_runs_is_not_laid_to_the_recipe(
    shop: Workshop, narrow: Workspace
) -> None:
    """Promise 7: size and time put back; the time of change alone tells."""
    frame = narrow.raw("BIAS")[0]
    narrow.engine.on_run = lambda seen: edit_and_put_back(frame)

    with remake(shop, newest(shop, "bias")) as remade:
        run = record_again(shop, remade, Purpose.REPLAY)

    assert (remade.cause, run.status) == ("input changed", Status.INPUT_CHANGED)
    assert str(frame) in remade.failure


def test_a_frame_linked_while_the_recipe_runs_did_not_change(
    shop: Workshop, narrow: Workspace, tmp_path: Path
) -> None:
    frame = narrow.raw("BIAS")[0]
    narrow.engine.on_run = lambda seen: (tmp_path / "link").hardlink_to(frame)

    with remake(shop, newest(shop, "bias")) as remade:
        pass

    assert remade.is_identical


def test_a_record_of_it_is_never_believed(shop: Workshop) -> None:
    """A lookup believes runs proper only."""
    first = newest(shop, "bias")

    with remake(shop, first, clock=LATER) as remade:
        run = record_again(shop, remade, Purpose.REPLAY, invocation="call")

    again = shop.store.run(run.run)
    assert again == run
    assert (run.action, run.purpose, run.invocation) == (first.action, Purpose.REPLAY, "call")
    assert run.clock_at == "2031-02-03T04:05:06Z"
    assert run.outputs[0].digest != first.outputs[0].digest
    assert run.outputs[0].data_digest == first.outputs[0].data_digest
    assert shop.store.lookup(first.action).run == first
    assert check(shop.store) == ()


def test_a_record_of_what_is_identical_costs_no_bytes(shop: Workshop) -> None:
    before = set(shop.store.objects.iterate())
    first = newest(shop, "flat")

    with remake(shop, first) as remade:
        run = record_again(shop, remade, Purpose.PASSPORT)

    assert run.outputs == first.outputs
    assert set(shop.store.objects.iterate()) - before <= {run.log}


@pytest.mark.parametrize("purpose", [Purpose.RUN, Purpose.IMPORT])
def test_it_cannot_be_recorded_as_a_run_proper(shop: Workshop, purpose: Purpose) -> None:
    with remake(shop, newest(shop, "bias")) as remade, pytest.raises(ValueError, match="not recorded as"):
        record_again(shop, remade, purpose)


def test_what_was_staged_otherwise_is_refused(shop: Workshop) -> None:
    run = newest(shop, "bias")
    action = replace(shop.store.action(run.action), spec=99)
    shop.store.put_action(action)

    with (
        pytest.raises(UsageError, match="staged muse_bias in way 99, this clio in way 1"),
        remake(shop, replace(run, action=action.key)),
    ):
        pass


def test_a_parameter_the_image_does_not_know_is_refused(shop: Workshop) -> None:
    """A record somebody wrote by hand gives no word of its own to a command line."""
    run = newest(shop, "bias")
    action = shop.store.action(run.action)
    odd = replace(action, parameters=(*action.parameters, ("muse.muse_bias.out --help", "x")))
    shop.store.put_action(odd)

    with (
        pytest.raises(UsageError, match=r"has no parameter muse\.muse_bias\.out --help"),
        remake(shop, replace(run, action=odd.key)),
    ):
        pass


def test_inputs_are_not_written_to(shop: Workshop, narrow: Workspace) -> None:
    """Promise 10."""

    def state(path: Path) -> tuple[int, bytes]:
        return path.stat().st_mtime_ns, path.read_bytes()

    before = [state(path) for path in narrow.raw("BIAS")]

    with remake(shop, newest(shop, "bias")):
        pass

    assert [state(path) for path in narrow.raw("BIAS")] == before


def test_what_is_set_otherwise_is_in_the_call_and_the_key(shop: Workshop, narrow: Workspace) -> None:
    """Promise 3: with what a key holds it is another action."""
    first = newest(shop, "bias")
    variation = Variation(threads=8, environment=(("MALLOC_PERTURB_", "85"),))
    with remake(shop, first, variation=variation) as remade:
        run = record_again(shop, remade, Purpose.PASSPORT)

    recorded, asked = shop.store.action(first.action), shop.store.action(run.action)
    told = dict(narrow.engine.seen[-1].request.environment)
    assert remade.is_challenge
    assert (told["OMP_NUM_THREADS"], told["MALLOC_PERTURB_"], run.threads) == ("8", "85", 8)
    assert dict(asked.environment) == dict(recorded.environment) | {
        "OMP_NUM_THREADS": "8",
        "MALLOC_PERTURB_": "85",
    }
    assert shop.store.lookup(first.action).run == first
    assert shop.store.lookup(run.action).run is None


@pytest.mark.parametrize(("recorded", "asked"), [("pinned", "native"), ("native", "pinned")])
def test_other_numerics_are_the_action_that_a_run_with_them_has(
    narrow: Workspace, recorded: str, asked: str
) -> None:
    keys: dict[str, str] = {}
    for numerics in (asked, recorded):
        narrow.configure(f'[clio]\nnumerics = "{numerics}"\n')
        keys[numerics] = next(event.run.action for event in narrow.run(Stage.BIAS).events if event.run)

    with narrow.open() as reduction:
        shop = Workshop.of(reduction)
        (run,) = shop.store.runs(key=keys[recorded])
        with remake(shop, run, variation=Variation(numerics=asked)) as remade:
            pass

    assert remade.action.key == keys[asked]
    assert remade.is_challenge


def test_what_is_recorded_already_is_no_variation(shop: Workshop) -> None:
    with remake(shop, newest(shop, "bias"), variation=Variation(threads=1, numerics="pinned")) as remade:
        pass

    assert not remade.is_challenge


def test_a_recipe_that_nobody_knows_is_refused(shop: Workshop) -> None:
    run = newest(shop, "bias")
    action = replace(shop.store.action(run.action), recipe="muse_dream")
    shop.store.put_action(action)

    with (
        pytest.raises(UsageError, match="is of muse_dream, a recipe that this clio does not know"),
        remake(shop, replace(run, action=action.key)),
    ):
        pass
