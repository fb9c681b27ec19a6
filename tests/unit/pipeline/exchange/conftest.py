"""A store with a short history, and the lineage of its last product."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from history import History, write_history

from pipeline.exchange.graph import Graph, read_graph
from provenance.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made


@pytest.fixture
def history(store: Store) -> History:
    return write_history(store)


@pytest.fixture
def graph(store: Store, history: History) -> Graph:
    return read_graph(store, [history.exposure.outputs[0].digest])
