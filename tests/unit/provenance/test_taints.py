"""What is tainted is believed no more, until it is cleared; what is made again is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from history import IMAGE, History, write_history
from stored import a_run, an_action, commit

from provenance.check import reindex
from provenance.doubts import Doubts
from provenance.model import InputFile, Run, Status
from provenance.store import Store
from provenance.taints import Taint, Tainted, TaintKind, clear, state, taints

AT = "2026-11-24T00:00:00.000Z"
REASON = "the disk was failing"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made


@pytest.fixture
def history(store: Store) -> History:
    return write_history(store)


def of_run(store: Store, run: Run) -> Taint:
    return state(store, Tainted(TaintKind.RUN, run.run, f"{run.stage}:{run.unit}", REASON, AT))


def of_frame(store: Store, item: InputFile) -> Taint:
    name = f"{item.tag} {item.name}"
    said = Tainted(TaintKind.FRAME, item.digest, name, REASON, AT, content=item.data_digest or "")
    return state(store, said)


def of_parameter(store: Store, value: str) -> Taint:
    name = "muse.muse_flat.order"
    return state(store, Tainted(TaintKind.PARAMETER, name, f"muse_flat.order={value}", REASON, AT, value))


def test_a_tainted_run_is_no_hit_and_others_are(store: Store, history: History) -> None:
    """Promise 4: a hit is believed, or the reason is said."""
    of_run(store, history.bias)

    found = store.lookup(history.bias.action)

    assert (found.run, found.failed) == (None, None)
    assert found.reason == f"run {history.bias.run} of bias:{history.bias.unit} is tainted: {REASON}"
    assert store.lookup(history.flat.action).run == history.flat


def test_the_same_action_made_again_is_believed_even_with_the_same_bytes(store: Store) -> None:
    action = an_action()
    first = commit(store, action, b"bytes")
    of_run(store, first)
    second = commit(store, action, b"bytes")

    assert store.lookup(action.key).run == second


def test_a_tainted_product_taints_the_runs_that_had_made_it(store: Store) -> None:
    action = an_action()
    first = commit(store, action, b"bytes")
    digest = first.outputs[0].digest
    state(store, Tainted(TaintKind.PRODUCT, digest, "MASTER_BIAS x", REASON, AT, runs=(first.run,)))

    assert store.lookup(action.key).reason == f"MASTER_BIAS x is tainted: {REASON}"
    second = commit(store, action, b"bytes")
    assert store.lookup(action.key).run == second


def test_a_tainted_frame_doubts_every_run_that_read_it_however_packed(store: Store, history: History) -> None:
    frame = history.flat.inputs[1]
    packed = InputFile(frame.tag, frame.name, "sha256:" + "7" * 64, frame.data_digest)
    of_frame(store, packed)

    assert store.lookup(history.flat.action).reason == f"FLAT {frame.name} is tainted: {REASON}"
    assert store.lookup(history.bias.action).run == history.bias


def test_a_tainted_parameter_value_doubts_the_runs_that_had_it(store: Store, history: History) -> None:
    of_parameter(store, "5")
    assert store.lookup(history.flat.action).is_hit

    of_parameter(store, "7")

    assert store.lookup(history.flat.action).reason == f"muse_flat.order=7 is tainted: {REASON}"
    assert store.lookup(history.exposure.action).is_hit


def test_a_tainted_image_doubts_all_that_ran_in_it(store: Store, history: History) -> None:
    state(store, Tainted(TaintKind.IMAGE, IMAGE, "image", REASON, AT))

    found = [store.lookup(run.action) for run in (history.bias, history.flat, history.exposure)]

    assert {answer.reason for answer in found} == {f"image {IMAGE[7:19]} is tainted: {REASON}"}


def test_what_an_action_names_is_told_before_it_runs(store: Store, history: History) -> None:
    frame, action = of_frame(store, history.flat.inputs[1]), store.action(history.flat.action)
    value = of_parameter(store, "7")

    assert store.tainted.of_action(action) == (frame, value)
    assert store.tainted.of_action(store.action(history.bias.action)) == ()


def test_a_tainted_product_that_is_given_as_a_file_from_outside_is_told(
    store: Store, history: History
) -> None:
    made = history.bias.outputs[0]
    said = Tainted(
        TaintKind.PRODUCT, made.digest, "MASTER_BIAS x", REASON, AT, content=made.data_digest or ""
    )
    taint, action = state(store, said), store.action(history.flat.action)

    assert store.tainted.of_action(action) == ()
    assert store.tainted.of_action(action, [made.data_digest or ""]) == (taint,)


def test_cleared_it_taints_nothing_and_is_never_forgotten(store: Store, history: History) -> None:
    taint = of_run(store, history.bias)
    back = clear(store, taint, "it was another disk", AT)

    assert store.lookup(history.bias.action).run == history.bias
    assert not store.tainted
    assert store.taints() == (back,)


def test_it_survives_another_opening_and_another_index(store: Store, history: History) -> None:
    """Promise 8: the statement is the truth."""
    taint = of_run(store, history.bias)

    with Store.open(store.path) as again:
        reindex(again)
        assert not again.lookup(history.bias.action).is_hit
        assert again.taints() == (taint,)


def test_a_statement_that_cannot_be_read_is_passed_over(store: Store, history: History) -> None:
    store.statement("taint", {"kind": "comet"})

    assert store.taints() == ()
    assert store.lookup(history.bias.action).is_hit


def test_without_doubts_statements_are_looked_at_once() -> None:
    looks: list[int] = []
    doubts = Doubts(lambda: looks.append(1))
    run = a_run(an_action(), "019be5a0-0000-7000-8000-000000000001")

    assert [doubts.doubt(run) for _ in range(3)] == ["", "", ""]
    assert looks == [1]
    doubts.forget()
    assert doubts.doubt(run) == ""
    assert looks == [1, 1]


def test_what_others_said_blocks_nothing_of_ours_and_clears_nothing(store: Store, history: History) -> None:
    """Promise 9."""
    mine, theirs = of_run(store, history.bias), of_parameter(store, "7")
    image = state(store, Tainted(TaintKind.IMAGE, IMAGE, "image", REASON, AT))
    run = of_run(store, history.flat)
    back = store.statement("taint-cleared", {"taint": mine.statement, "reason": "", "at": AT})
    foreign = {theirs.statement, image.statement, run.statement, back.digest}

    found = taints(store.statements("taint"), store.statements("taint-cleared"), foreign)

    assert {t.statement for t in found if t.holds} == {mine.statement, run.statement}
    assert {t.statement for t in found if t.is_foreign} == foreign - {back.digest}


def test_what_failed_since_it_was_tainted_is_a_failure(store: Store) -> None:
    """Promise 6: it is not tried again for ever. Tainted after it failed, it is tried."""
    action = an_action()
    first = commit(store, action, b"bytes")
    failed = commit(
        store, action, status=Status.FAILED, exit_status=1, cause="recipe error", reason="no light"
    )
    assert store.lookup(action.key).run == first
    of_run(store, first)

    assert store.lookup(action.key).failed == failed
    second = commit(store, action, b"other")
    of_run(store, second)
    assert store.lookup(action.key).failed is None


def test_the_taint_is_the_reason_though_an_older_run_lost_its_bytes(store: Store) -> None:
    """Promise 4: what a person said of the newest explains most."""
    action = an_action()
    lost = commit(store, action, b"bytes")
    store.objects.path(lost.outputs[0].digest).unlink()
    newest = commit(store, action, b"others")
    of_run(store, newest)

    assert store.lookup(action.key).reason.endswith(f"is tainted: {REASON}")
