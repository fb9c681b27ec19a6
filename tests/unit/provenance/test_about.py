"""What goes with runs that are handed on: whatever was said of them, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from history import IMAGE, History, write_history

from provenance.about import statements_about
from provenance.store import Store
from provenance.taints import Tainted, TaintKind, clear, state

AT = "2026-11-24T00:00:00.000Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made


@pytest.fixture
def history(store: Store) -> History:
    return write_history(store)


def about(store: Store, *runs: object) -> set[str]:
    return {item.digest for item in statements_about(store, runs)}  # type: ignore[arg-type]  # runs of a history


def test_statements_of_runs_files_images_and_values_go_along(store: Store, history: History) -> None:
    frame, made = history.flat.inputs[1], history.bias.outputs[0]
    said = [
        state(store, Tainted(TaintKind.RUN, history.bias.run, "bias", "bad", AT)).statement,
        state(store, Tainted(TaintKind.FRAME, frame.digest, "FLAT", "bad", AT)).statement,
        state(store, Tainted(TaintKind.IMAGE, IMAGE, "image", "bad", AT)).statement,
        state(store, Tainted(TaintKind.PARAMETER, "muse.muse_flat.order", "o", "bad", AT, "7")).statement,
        store.statement("verdict", {"run": history.flat.run, "verdict": "identical"}).digest,
        store.pin(made.digest, made.tag, made.name, step="bias", reason="x").statement,
    ]

    assert about(store, history.bias, history.flat) == set(said)
    assert about(store, history.bias) == {said[0], said[2], said[5]}


def test_what_is_of_others_stays(store: Store, history: History) -> None:
    state(store, Tainted(TaintKind.RUN, history.exposure.run, "scibasic", "bad", AT))
    state(store, Tainted(TaintKind.PARAMETER, "muse.muse_flat.order", "o", "bad", AT, "9"))
    store.statement("invocation-like", {"run": history.bias.run})

    assert about(store, history.bias, history.flat) == set()


def test_what_takes_one_back_goes_with_it(store: Store, history: History) -> None:
    taint = state(store, Tainted(TaintKind.RUN, history.bias.run, "bias", "bad", AT))
    clear(store, taint, "it was sound", AT)

    assert [item.kind for item in statements_about(store, [history.bias])].count("taint-cleared") == 1
    assert about(store, history.exposure) == set()
