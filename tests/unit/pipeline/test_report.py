"""The store read into values for people."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from history import BROKEN_UNIT, FLAT_UNIT, History, keep, write_history

from pipeline.errors import UsageError
from pipeline.report import (
    FrameReport,
    ProductReport,
    RunReport,
    newest_runs,
    read_log,
    report_file,
    report_run,
    trace,
)
from provenance.errors import StoreDamaged
from provenance.model import Purpose
from provenance.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made


@pytest.fixture
def history(store: Store) -> History:
    return write_history(store)


def test_report_run_names_the_parameters_that_are_not_at_their_default(
    store: Store, history: History
) -> None:
    report = report_run(store, history.flat)

    assert report.step == f"flat:{FLAT_UNIT}"
    assert report.changed == (("muse.muse_flat.order", "7"),)
    assert report.options == (("order", "7"),)
    assert len(report.action.parameters) == 2


def test_report_file_knows_a_product_its_run_and_its_readers(store: Store, history: History) -> None:
    made = history.flat.outputs[0]
    report = report_file(store, made.digest)

    assert isinstance(report, ProductReport)
    assert (report.file, report.made.run, report.is_there) == (made, history.flat, True)
    assert report.read_by == (history.exposure,)
    assert report.path == store.objects.path(made.digest)


def test_report_file_prefers_the_run_proper_to_its_replays(store: Store, history: History) -> None:
    replay = keep(
        *(store, "muse_bias", 9, history.bias.unit),
        inputs=history.bias.inputs,
        outputs=history.bias.outputs,
        purpose=Purpose.REPLAY,
    )
    report = report_file(store, history.bias.outputs[0].digest)

    assert isinstance(report, ProductReport)
    assert report.made.run == history.bias
    assert report.also_made_by == (replay.run,)


def test_report_file_says_when_the_bytes_are_gone(store: Store, history: History) -> None:
    digest = history.bias.outputs[0].digest
    store.objects.path(digest).unlink()
    report = report_file(store, digest)

    assert isinstance(report, ProductReport)
    assert not report.is_there


def test_report_file_knows_a_raw_frame_by_those_who_read_it(store: Store, history: History) -> None:
    item = history.bias.inputs[0]

    assert report_file(store, item.digest) == FrameReport(item, (history.bias,))


def test_report_file_of_a_log_is_its_run(store: Store, history: History) -> None:
    report = report_file(store, history.broken.log or "")

    assert isinstance(report, RunReport)
    assert report.run == history.broken


def test_report_file_refuses_what_no_run_knows(store: Store) -> None:
    with pytest.raises(UsageError) as refusal:
        report_file(store, "sha256:" + "0" * 64, "x.fits")

    assert refusal.value.message == "no run of this store made or read x.fits (sha256:000000000000)"


def test_read_log_gives_the_text_or_says_why_not(store: Store, history: History) -> None:
    assert read_log(store, history.broken) == "[ ERROR ] no light in IFU 2\n"
    with pytest.raises(UsageError, match="left no log"):
        read_log(store, history.exposure)

    store.objects.path(history.broken.log or "").unlink()
    with pytest.raises(StoreDamaged, match="is missing"):
        read_log(store, history.broken)


def test_trace_goes_up_to_what_came_from_outside(store: Store, history: History) -> None:
    product = history.exposure.outputs[0].digest
    found = trace(store, (product,))

    assert list(found.runs) == [history.exposure.run, history.bias.run, history.flat.run]
    outside = {node.tag for node in found.artifacts.values() if node.made_by is None}
    assert outside == {"OBJECT", "BADPIX_TABLE", "GEOMETRY_TABLE", "BIAS", "FLAT"}
    maker = found.maker(product)
    assert maker is not None
    assert maker.run == history.exposure
    assert found.maker(history.bias.inputs[0].digest) is None


def test_trace_goes_down_to_all_that_was_made_and_tried(store: Store, history: History) -> None:
    found = trace(store, (history.bias.inputs[0].digest,), down=True)

    assert found.direction == "down"
    assert list(found.runs) == [r.run for r in (history.bias, history.flat, history.broken, history.exposure)]
    readers = found.readers(history.bias.outputs[0].digest)
    assert [report.run for report in readers] == [history.flat, history.broken, history.exposure]


def test_trace_of_several_products_names_nothing_twice(store: Store, history: History) -> None:
    both = tuple(output.digest for output in history.flat.outputs)
    found = trace(store, both)

    assert found.digests == both
    assert list(found.runs) == [history.flat.run, history.bias.run]


def test_newest_runs_leave_out_failures_when_asked_to(store: Store, history: History) -> None:
    assert newest_runs(store, "flat") == {FLAT_UNIT: history.flat, BROKEN_UNIT: history.broken}
    assert newest_runs(store, "flat", successful=True) == {FLAT_UNIT: history.flat}
