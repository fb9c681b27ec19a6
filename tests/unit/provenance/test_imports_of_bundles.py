"""What was imported is no hit before somebody here vouches for it (promise 9)."""

import pytest
from stored import an_action, commit

from provenance.errors import StoreDamaged
from provenance.imports import IMPORTED, TRUSTED, How, Imported
from provenance.lineage import ancestors
from provenance.model import Run, Status
from provenance.remembered import Remembered
from provenance.store import Store

UNBELIEVED = "imported, and neither verified nor trusted"


def imported(store: Store, *runs: Run, statements: tuple[str, ...] = ()) -> None:
    """Say that runs came with a bundle."""
    said = Imported(
        "sha256:" + "b" * 64,
        "2026-11-22T10:00:00.000Z",
        tuple(run.run for run in runs),
        statements,
    )
    store.records.put_import(store.statement(IMPORTED, said.document()).digest)


def test_an_imported_run_is_no_hit(store: Store) -> None:
    """Promise 9."""
    run = commit(store, an_action(), b"bias")
    imported(store, run)

    found = store.lookup(run.action)

    assert (found.run, found.reason) == (None, UNBELIEVED)
    origin = store.imports.origin(run)
    assert origin is not None
    assert origin.words == "from bundle bbbbbbbbbbbb at 2026-11-22T10:00:00.000Z, not trusted"


def test_an_imported_failure_keeps_nobody_from_trying(store: Store) -> None:
    run = commit(store, an_action(), b"bias", status=Status.FAILED, exit_status=1)
    imported(store, run)

    assert store.lookup(run.action).failed is None


@pytest.mark.parametrize("how", How)
def test_trust_makes_it_a_hit_until_it_is_taken_back(store: Store, how: How) -> None:
    """Promise 9."""
    run = commit(store, an_action(), b"bias")
    imported(store, run)

    trust = store.trust([run], how, "seen with my own eyes")
    trusted = store.lookup(run.action).run
    store.distrust(trust, "on second thoughts")

    assert trusted == run
    assert store.lookup(run.action).reason == UNBELIEVED
    assert [item.revoked is not None for item in store.trusts()] == [True]


def test_trust_that_a_bundle_brought_counts_for_nothing(store: Store) -> None:
    """Promise 9: a bundle that vouches for itself."""
    run = commit(store, an_action(), b"bias")
    trust = store.trust([run], How.HAND, "believe me")

    imported(store, run, statements=(trust.statement,))

    assert store.lookup(run.action).reason == UNBELIEVED
    assert store.trusts() == ()
    assert [said.digest for said in store.brought(TRUSTED)] == [trust.statement]


def test_an_import_that_a_bundle_tells_of_counts_for_nothing(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    said = Imported("sha256:" + "b" * 64, "2026-11-22T10:00:00.000Z", (run.run,))
    store.statement(IMPORTED, said.document())  # in no list of this store's own

    assert store.lookup(run.action).run == run


def test_a_store_that_is_open_elsewhere_sees_an_import_at_once(store: Store) -> None:
    """Promise 9: the record of another process is never believed before its doubt is known."""
    run = commit(store, an_action(), b"bias")
    assert store.lookup(run.action).is_hit

    with Store.open(store.path) as other:
        imported(other, run)

    assert store.lookup(run.action).reason == UNBELIEVED


def test_what_a_step_names_is_ours_though_an_imported_run_says_that_it_is_newer(store: Store) -> None:
    """Promise 9: nobody shows or hands on a stranger's product in place of his own."""
    ours = commit(store, an_action(), b"bias")
    theirs = commit(store, an_action(numerics="native"), b"another bias")
    imported(store, theirs)

    assert store.newest_runs("bias") == store.newest_runs("bias", successful=True) == (ours,)
    store.trust([theirs], How.HAND, "it is better")
    assert store.newest_runs("bias") == (theirs,)


def test_of_the_makers_of_the_same_bytes_ours_is_followed(store: Store) -> None:
    ours = commit(store, an_action(), b"bias")
    theirs = commit(store, an_action(numerics="native"), b"bias")
    imported(store, theirs)

    assert store.runs_making(ours.outputs[0].digest) == (ours, theirs)
    assert Remembered(store).runs_making(ours.outputs[0].digest) == (ours, theirs)
    node = ancestors(store, ours.outputs[0].digest).artifacts[0]
    assert (node.made_by, node.also_made_by) == (ours.run, (theirs.run,))


def test_what_was_imported_survives_the_index(store: Store) -> None:
    """Promise 8."""
    run = commit(store, an_action(), b"bias")
    imported(store, run)
    for path in store.path.glob("provenance.db*"):
        path.unlink()

    with Store.open(store.path) as again:
        assert again.lookup(run.action).reason == UNBELIEVED


def test_an_import_that_cannot_be_read_leaves_nothing_believed(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    imported(store, run)
    (name,) = store.records.imports()
    store.records.statement_path(name).unlink()

    with pytest.raises(StoreDamaged, match="what was imported is not known"), Store.open(store.path) as again:
        again.lookup(run.action)
