"""What a person accepted stands for one key, until it is taken back, and survives the index."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from history import FLAT_UNIT, History, keep, product, write_history

from provenance.acceptances import ACCEPTED, Acceptance, InForce
from provenance.check import reindex
from provenance.errors import RecordRefused
from provenance.model import Action, ExpectedOutput, Purpose
from provenance.store import Store

DIFFERENCES = ("parameter muse.muse_flat.order: 7 -> 8",)
REASON = "the eighth order is zero"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made


@pytest.fixture
def history(store: Store) -> History:
    return write_history(store)


@pytest.fixture
def wanted(store: Store, history: History) -> Action:
    """An action that was never run, and differs from the flat's in a parameter."""
    known = store.action(history.flat.action)
    return replace(known, parameters=(*known.parameters[:-1], ("muse.muse_flat.order", "8")))


def accept(store: Store, history: History, wanted: Action) -> Acceptance:
    return store.accept(wanted, history.flat, f"flat:{FLAT_UNIT}", DIFFERENCES, REASON)


def test_the_earlier_run_is_a_hit_with_what_was_said(store: Store, history: History, wanted: Action) -> None:
    assert not store.lookup(wanted.key).is_hit
    said = accept(store, history, wanted)

    found = store.lookup(wanted.key)

    assert (found.run, found.accepted) == (history.flat, said)
    assert said.caveat == f"accepted: {REASON}"
    assert store.acceptances() == (said,)
    assert store.action(wanted.key) == wanted


def test_it_holds_for_that_key_and_no_other(store: Store, history: History, wanted: Action) -> None:
    accept(store, history, wanted)

    assert store.lookup(history.flat.action).accepted is None
    assert not store.lookup(replace(wanted, numerics="native").key).is_hit


def test_it_survives_another_opening_and_another_index(
    store: Store, history: History, wanted: Action
) -> None:
    """Promise 8: the statement is the truth."""
    said = accept(store, history, wanted)

    with Store.open(store.path) as again:
        assert again.lookup(wanted.key).accepted == said
        reindex(again)
        assert again.lookup(wanted.key).accepted == said
        assert again.acceptances() == (said,)


def test_a_product_that_is_damaged_is_a_miss_all_the_same(
    store: Store, history: History, wanted: Action
) -> None:
    """Promise 4."""
    accept(store, history, wanted)
    made = history.flat.outputs[0]
    store.objects.path(made.digest).unlink()

    found = store.lookup(wanted.key)

    assert not found.is_hit
    assert found.reason == f"accepted, but object {made.digest[7:19]} (MASTER_FLAT) is missing"


def test_a_run_of_the_action_itself_comes_first(store: Store, history: History, wanted: Action) -> None:
    accept(store, history, wanted)
    fields = {"inputs": history.flat.inputs, "outputs": history.flat.outputs, "changed": {"order": "8"}}
    run = keep(store, "muse_flat", 9, FLAT_UNIT, **fields)

    assert run.action == wanted.key
    assert store.lookup(wanted.key).run == run
    assert store.lookup(wanted.key).accepted is None


def test_taken_back_it_is_a_miss_and_never_forgotten(store: Store, history: History, wanted: Action) -> None:
    said = accept(store, history, wanted)
    back = store.revoke(said, "it was not zero")

    assert not store.lookup(wanted.key).is_hit
    assert store.acceptances() == (back,)
    assert back.revoked is not None
    assert back.revoked.reason == "it was not zero"
    with Store.open(store.path) as again:
        reindex(again)
        assert not again.lookup(wanted.key).is_hit
        assert again.acceptances() == (back,)


def test_it_can_be_accepted_again(store: Store, history: History, wanted: Action) -> None:
    store.revoke(accept(store, history, wanted), "")
    accept(store, history, wanted)

    assert store.lookup(wanted.key).is_hit
    assert [item.revoked is None for item in store.acceptances()] == [False, True]


def test_what_is_no_sound_success_cannot_be_accepted(store: Store, history: History, wanted: Action) -> None:
    output = product(store, "MASTER_FLAT", "again.fits")
    replay = keep(
        *(store, "muse_flat", 9, FLAT_UNIT),
        inputs=history.flat.inputs,
        outputs=(output,),
        purpose=Purpose.REPLAY,
    )
    more = replace(wanted, outputs=(ExpectedOutput("MASTER_FLAT", 2),))

    for action, run, message in (
        (wanted, history.broken, f"run {history.broken.run} (run, failed) cannot be accepted"),
        (wanted, replay, f"run {replay.run} (replay, ok) cannot be accepted"),
        (
            more,
            history.flat,
            f"run {history.flat.run}, which is to be accepted, made 1 MASTER_FLAT of 2 at least",
        ),
    ):
        with pytest.raises(RecordRefused) as refusal:
            store.accept(action, run, "flat:x", DIFFERENCES, REASON)
        assert refusal.value.message == message
    assert store.acceptances() == ()


def test_a_statement_of_a_form_nobody_knows_is_passed_over(
    store: Store, history: History, wanted: Action, caplog: pytest.LogCaptureFixture
) -> None:
    said = accept(store, history, wanted)
    strange = store.statement(ACCEPTED, {"action": wanted.key})

    with caplog.at_level(logging.WARNING):
        assert store.acceptances() == (said,)
    assert strange.digest in caplog.text


def test_acceptances_are_read_once_and_again_when_something_was_said() -> None:
    """A lookup costs one question to a dictionary where nothing was accepted."""
    asked: list[int] = []

    def read() -> tuple[Acceptance, ...]:
        asked.append(1)
        return ()

    in_force = InForce(read)
    assert [in_force.of(key * 64) for key in "abc"] == [None, None, None]
    assert len(asked) == 1
    in_force.forget()
    in_force.of("a" * 64)
    assert len(asked) == 2
