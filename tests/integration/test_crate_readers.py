"""A Provenance Run Crate, as the validator of RO-Crates and runcrate read it; no container is needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from history import History, write_history
from readers import crate_faults, runcrate_report

from pipeline.exchange.crate import METADATA, PLAN, crate
from pipeline.exchange.graph import Graph, read_graph
from provenance.digest import canonical_json, digest_bytes
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "crate"
    made.mkdir()
    (made / PLAN).write_text("{}")
    return made


def _write(document: dict[str, Any], folder: Path) -> Path:
    (folder / METADATA).write_bytes(canonical_json(document))
    return folder


def test_the_validator_finds_nothing_that_a_profile_requires(
    graph: Graph, folder: Path, tmp_path: Path
) -> None:
    assert crate_faults(_write(crate(graph, {}), folder), tmp_path) == []


def test_the_validator_accepts_failed_runs_statements_and_files_in_the_crate(
    store: Store, history: History, folder: Path, tmp_path: Path
) -> None:
    bias = history.bias.outputs[0].digest
    store.statement("taint", {"run": history.flat.run, "reason": "stray light", "at": history.flat.ended})
    (folder / "objects").mkdir()
    (folder / "objects/bias").write_bytes(b"")
    (folder / "records.json").write_bytes(b"{}")
    files = {bias: "objects/bias", digest_bytes(b"record"): "records.json"}
    document = crate(read_graph(store, [bias], down=True), files)

    assert crate_faults(_write(document, folder), tmp_path) == []


def test_the_validator_is_not_blind(graph: Graph, folder: Path, tmp_path: Path) -> None:
    document = crate(graph, {})
    step = next(e for e in document["@graph"] if e["@type"] == "HowToStep")
    del step["workExample"]

    assert any("HowToStep" in fault for fault in crate_faults(_write(document, folder), tmp_path))


def test_runcrate_tells_each_run_with_its_step_inputs_and_outputs(
    graph: Graph, history: History, folder: Path
) -> None:
    told = runcrate_report(_write(crate(graph, {}), folder))

    assert told.count("action: ") == 1 + 3  # the reduction as a whole, and each run
    flat = told[told.index(f"action: #run/{history.flat.run}") :].partition("\n\n")[0]
    assert "step: #stage/flat" in flat
    assert flat.count("/input/FLAT\n") == 3
    assert "7 <- #recipe/muse_flat@5a5a5a5a5a5a/parameter/muse.muse_flat.order" in flat
    assert "/output/TRACE_TABLE" in flat
