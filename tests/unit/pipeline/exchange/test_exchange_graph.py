"""A lineage as one value."""

from history import History, keep, product, raw, used

from pipeline.exchange.graph import Graph, Kind, read_graph
from provenance.model import Purpose
from provenance.store import Store


def test_the_graph_holds_all_runs_upstream_by_time(graph: Graph, history: History) -> None:
    assert list(graph.runs) == [history.bias.run, history.flat.run, history.exposure.run]
    assert graph.newest == history.exposure.ended
    assert list(graph.files) == sorted(graph.files)


def test_no_run_of_it_lacks_a_file(graph: Graph) -> None:
    for report in graph.runs.values():
        assert {i.digest for i in (*report.run.inputs, *report.run.outputs)} <= graph.files.keys()


def test_files_are_raw_static_or_made(graph: Graph, history: History) -> None:
    kinds = {item.tag: graph.kind(item.digest) for item in history.exposure.inputs}

    assert kinds == {
        "BADPIX_TABLE": Kind.STATIC,
        "GEOMETRY_TABLE": Kind.STATIC,
        "OBJECT": Kind.RAW,
        "MASTER_BIAS": Kind.PRODUCT,
        "MASTER_FLAT": Kind.PRODUCT,
        "TRACE_TABLE": Kind.PRODUCT,
    }


def test_downwards_it_holds_what_failed_too_and_knows_products_off_the_way(
    store: Store, history: History
) -> None:
    frame = next(item for item in history.exposure.inputs if item.tag == "OBJECT")
    down = read_graph(store, [frame.digest], down=True)

    assert list(down.runs) == [history.exposure.run]
    assert down.kind(history.bias.outputs[0].digest) is Kind.PRODUCT
    assert down.files[history.bias.outputs[0].digest].made_by == history.bias.run
    everything = read_graph(store, [history.bias.outputs[0].digest], down=True)
    assert history.broken.run in everything.runs


def test_a_replay_is_named_beside_the_run_that_is_followed(store: Store, history: History) -> None:
    replay = keep(
        *(store, "muse_bias", 9, history.bias.unit),
        inputs=history.bias.inputs,
        outputs=history.bias.outputs,
        purpose=Purpose.REPLAY,
    )
    said = {"run": history.bias.run, "at": "2026-11-24T00:00:00.000Z", "verdict": "identical"}
    store.statement("verdict", said | {"replay": replay.run})
    graph = read_graph(store, [history.exposure.outputs[0].digest])

    assert graph.files[history.bias.outputs[0].digest].also_made_by == (replay.run,)
    assert replay.run not in graph.runs
    assert [v.verdict for v in graph.verdicts[history.bias.run]] == ["identical"]


def test_what_was_said_of_a_file_a_run_or_an_action_is_in_it_and_nothing_else(
    store: Store, history: History
) -> None:
    frame = next(item for item in history.exposure.inputs if item.tag == "OBJECT")
    ours = [
        store.statement("note", {"deep": [{"digest": frame.digest}]}),
        store.statement("note", {"run": history.flat.run}),
        store.statement("note", {history.bias.action: "a name"}),
    ]
    store.statement("note", {"run": history.broken.run})
    store.statement("invocation", {"run": history.flat.run})

    graph = read_graph(store, [history.exposure.outputs[0].digest])

    assert {said.digest for said in graph.statements} == {said.digest for said in ours}


def test_several_products_make_one_graph(store: Store, history: History) -> None:
    both = read_graph(store, [history.flat.outputs[1].digest, history.bias.outputs[0].digest])

    assert list(both.runs) == [history.bias.run, history.flat.run]
    assert len(both.roots) == 2


def test_a_chain_of_thousands_is_read_once(store: Store) -> None:
    """Each record is opened once, whatever many products a run has."""
    made = keep(
        *(store, "muse_bias", 1, "a"),
        inputs=(raw("BIAS", 1),),
        outputs=tuple(product(store, f"T{n}", f"T{n}.fits") for n in range(24)),
    )
    last = keep(
        *(store, "muse_flat", 2, "b"),
        inputs=tuple(used(output) for output in made.outputs),
        outputs=(product(store, "MASTER_FLAT", "F.fits"),),
    )
    opened: list[str] = []
    record = store.records.record

    def counting(key: str, run: str):  # type: ignore[no-untyped-def]
        opened.append(run)
        return record(key, run)

    store.records.record = counting  # type: ignore[method-assign]
    read_graph(store, [last.outputs[0].digest])

    assert sorted(opened) == [made.run, last.run]
