"""What came of a thing, and how far a taint reaches: down to where a sound run made the same data."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from history import BIAS_UNIT, IMAGE, History, call, keep, outcome, product, raw, used, write_history
from hypothesis import given
from hypothesis import strategies as st

from provenance.blast import (
    Graph,
    Made,
    RunRow,
    downstream,
    follow,
    images,
    named,
    newest_reduction,
    read_graph,
    runs_of_image,
    runs_of_parameter,
    spread,
    values_of_parameter,
)
from provenance.closure import closure_of, with_vouchers
from provenance.model import InputFile, OutputFile, Purpose, Run
from provenance.store import Store
from provenance.taints import Taint, Tainted, TaintKind, state


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made


@pytest.fixture
def history(store: Store) -> History:
    return write_history(store)


def ids(*runs: Run) -> tuple[str, ...]:
    return tuple(run.run for run in runs)


def taint(store: Store, run: Run) -> Taint:
    return state(store, Tainted(TaintKind.RUN, run.run, "bias", "bad", "2026-11-24T00:00:00.000Z"))


def bias_again(store: Store, made: OutputFile, number: int = 7, **fields: object) -> Run:
    """The same action as that of the history, made again."""
    inputs = tuple(raw("BIAS", n) for n in (1, 2, 3))
    return keep(store, "muse_bias", number, BIAS_UNIT, inputs=inputs, outputs=(made,), **fields)


def test_everything_below_a_frame_is_found_by_its_content(store: Store, history: History) -> None:
    graph = read_graph(store.index)
    frame = raw("FLAT", 1)

    found = downstream(graph, (), [frame.data_digest or ""])

    assert found == ids(history.flat, history.broken, history.exposure)
    assert downstream(graph, [history.bias.run]) == (history.bias.run, *found)
    assert downstream(graph, (), ["sha256:" + "0" * 64]) == ()


def test_runs_are_found_by_image_and_by_the_value_of_a_parameter(store: Store, history: History) -> None:
    index = store.index

    assert runs_of_image(index, IMAGE) == ids(history.bias, history.flat, history.broken, history.exposure)
    assert runs_of_parameter(index, "muse.muse_flat.order", "7") == ids(history.flat)
    assert runs_of_parameter(index, "muse.muse_flat.order", "5") == ids(history.broken)
    assert values_of_parameter(index, "muse_flat.order") == {"muse.muse_flat.order": ("5", "7")}
    assert values_of_parameter(index, "muse_flat.ord_r") == {}
    assert images(index) == (IMAGE,)
    assert named(index, raw("OBJECT", 1).name) == (
        raw("OBJECT", 1).digest,
        *(raw(tag, 1).digest for tag in ("FLAT", "BIAS")),
    )


def test_the_newest_reduction_is_what_the_last_call_made_or_believed_of_each_step(
    store: Store, history: History, tmp_path: Path
) -> None:
    call(store, 20, tmp_path, outcome(history.bias, "ran"), outcome(history.flat, "ran"))
    call(store, 21, tmp_path, outcome(history.bias, "blocked"), outcome(history.exposure, "hit"))

    assert newest_reduction(store.index, str(tmp_path)) == {history.flat.run, history.exposure.run}
    assert newest_reduction(store.index, "elsewhere") == {history.flat.run, history.exposure.run}


def test_a_taint_is_inherited_by_all_that_read_what_it_made(store: Store, history: History) -> None:
    bad = taint(store, history.bias)

    found = spread(store.index, store.tainted)

    assert found.of(bad) == ids(history.bias, history.flat, history.broken, history.exposure)
    assert found.direct == {history.bias.run: (bad,)}
    made = history.bias.outputs[0].data_digest or ""
    assert found.through[history.flat.run] == (made,)
    assert found.contents[made] == (bad,)


def test_a_sound_run_that_made_the_same_data_ends_it(store: Store, history: History) -> None:
    """With another date in its header: other bytes, the same data."""
    bad = taint(store, history.bias)
    made = history.bias.outputs[0]
    other = store.objects.put_bytes(b"the same, later")
    bias_again(store, OutputFile(made.tag, made.name, other.digest, made.data_digest, (), other.size))

    found = spread(store.index, store.tainted)

    assert found.of(bad) == ids(history.bias)
    assert found.contents == {}


def test_other_data_does_not_end_it_for_what_read_the_old(store: Store, history: History) -> None:
    bad = taint(store, history.bias)
    again = bias_again(store, product(store, "MASTER_BIAS", "another.fits"))

    found = spread(store.index, store.tainted)

    assert found.of(bad) == ids(history.bias, history.flat, history.broken, history.exposure)
    assert again.run not in found.runs


@pytest.mark.parametrize(
    ("purpose", "reach"), [(Purpose.REPLAY, 1), (Purpose.PASSPORT, 4), (Purpose.IMPORT, 4)], ids=str
)
def test_a_replay_vouches_and_what_is_imported_does_not(
    store: Store, history: History, purpose: Purpose, reach: int
) -> None:
    """Promise 9."""
    bad = taint(store, history.bias)
    bias_again(store, history.bias.outputs[0], purpose=purpose)

    assert len(spread(store.index, store.tainted).of(bad)) == reach


def test_two_bad_makers_do_not_vouch_for_each_other(store: Store, history: History) -> None:
    again = bias_again(store, history.bias.outputs[0])
    bad = [taint(store, run) for run in (history.bias, again)]

    found = spread(store.index, store.tainted)

    assert set(found.runs[history.exposure.run]) == set(bad)


def test_a_tainted_frame_reaches_what_read_it_however_packed(store: Store, history: History) -> None:
    frame = raw("OBJECT", 1)
    packed = InputFile("OBJECT", frame.name, "sha256:" + "1" * 64, frame.data_digest)
    said = Tainted(
        TaintKind.FRAME, packed.digest, "OBJECT", "clouds", "2026", content=packed.data_digest or ""
    )
    bad = state(store, said)

    found = spread(store.index, store.tainted)

    assert found.of(bad) == ids(history.exposure)
    assert found.direct[history.exposure.run] == (bad,)


def test_a_chain_of_runs_is_followed_whole(store: Store, history: History) -> None:
    cube = keep(
        *(store, "muse_scipost", 8, "200012345"),
        inputs=tuple(used(o) for o in history.exposure.outputs),
        outputs=(product(store, "DATACUBE_FINAL", "DATACUBE_FINAL.fits"),),
    )
    bad = taint(store, history.bias)

    assert spread(store.index, store.tainted).runs[cube.run] == (bad,)


def same_data(store: Store, history: History) -> Run:
    """The bias made again: other bytes, the same data."""
    made = history.bias.outputs[0]
    other = store.objects.put_bytes(b"the same, later")
    return bias_again(store, OutputFile(made.tag, made.name, other.digest, made.data_digest, (), other.size))


def test_strangers_vouch_for_each_other_and_for_nothing_made_here(store: Store, history: History) -> None:
    """Promise 9."""
    bad = taint(store, history.bias)
    again = same_data(store, history)

    ours = spread(store.index, store.tainted, {again.run})
    theirs = spread(store.index, store.tainted, {again.run, history.bias.run})

    assert len(ours.of(bad)) == 4
    assert theirs.of(bad) == ids(history.bias)


def test_what_clears_a_taint_goes_with_the_closure(store: Store, history: History) -> None:
    """Else what is sound here would arrive as tainted."""
    alone = closure_of(store, [history.flat])
    assert with_vouchers(store, alone) == alone
    taint(store, history.bias)
    assert with_vouchers(store, alone) == alone  # nothing clears it
    again = same_data(store, history)

    found = with_vouchers(store, closure_of(store, [history.flat]))

    assert tuple(run.run for run in found.runs) == ids(history.bias, history.flat, again)
    assert found.roots == (history.flat.run,)


BAD = Taint("sha256:" + "b" * 64, Tainted(TaintKind.RUN, "r", "r", "bad", "2026"))


@given(st.data())
def test_it_reaches_the_least_that_is_consistent(data: st.DataObject) -> None:
    """Against the definition, applied over and over: for any runs, whatever made the same data."""
    count = data.draw(st.integers(1, 8))
    makes, reads = {}, {}
    for number in range(count):
        made = [f"c{n}" for n in range(number)]  # of earlier ones, so that nothing reads what it makes
        reads[f"r{number}"] = tuple(data.draw(st.lists(st.sampled_from(made), max_size=3))) if made else ()
        makes[f"r{number}"] = tuple(data.draw(st.lists(st.integers(number, count), min_size=1, max_size=2)))
    named = {run: tuple(f"c{n}" for n in set(numbers)) for run, numbers in makes.items()}
    bad = set(data.draw(st.lists(st.sampled_from(sorted(named)), max_size=3)))
    strangers = set(data.draw(st.lists(st.sampled_from(sorted(named)), max_size=3)))

    found = follow(graph_of(reads, named), {run: {BAD: None} for run in bad}, {}, strangers)

    assert set(found.runs) == naive(reads, named, bad, strangers)


def graph_of(reads: dict[str, tuple[str, ...]], makes: dict[str, tuple[str, ...]]) -> Graph:
    contents = sorted({c for found in (*reads.values(), *makes.values()) for c in found})
    return Graph(
        {run: RunRow(run, "", "run", "ok", True, "s", run, "") for run in makes},
        reads,
        {run: tuple(Made("T", c, c, c) for c in made) for run, made in makes.items()},
        {c: tuple(run for run in reads if c in reads[run]) for c in contents},
        {c: tuple(run for run in makes if c in makes[run]) for c in contents},
        {},
    )


def naive(
    reads: dict[str, tuple[str, ...]], makes: dict[str, tuple[str, ...]], bad: set[str], strangers: set[str]
) -> set[str]:
    tainted = set(bad)
    while True:
        contents = set()
        for content in {c for made in makes.values() for c in made}:
            makers = {run for run in makes if content in makes[run]}
            sound, unsound = makers - tainted, makers & tainted
            cleared = bool(sound - strangers) or bool(sound and unsound <= strangers)
            if unsound and not cleared:
                contents.add(content)
        more = tainted | {run for run, found in reads.items() if contents & set(found)}
        if more == tainted:
            return tainted
        tainted = more
