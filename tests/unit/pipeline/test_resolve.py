"""Steps with bytes: canonical names and digests, read once."""

import mmap
import os
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from builders import write_raw, write_static
from fakes import FakeEngine, Workspace

from pipeline.errors import Exit, FitsError, PipelineError
from pipeline.fitsdigest import FileDigest, digest_file, in_short
from pipeline.fitsfile import read_hdus
from pipeline.model import FrameInput, ProductInput, Stage
from pipeline.reduce import Reduction
from pipeline.resolve import Resolver
from provenance.memo import Memo, identity
from tests.disks import coarse_disk_at


@pytest.fixture
def reduction(narrow: Workspace) -> Iterator[Reduction]:
    with narrow.open() as opened:
        yield opened


@pytest.fixture
def resolver(reduction: Reduction) -> Resolver:
    return reduction.resolver


def test_a_raw_frame_has_the_name_of_the_archive_whatever_its_file_is_called(
    reduction: Reduction, narrow: Workspace
) -> None:
    """Promise 2."""
    for number, path in enumerate(narrow.raw("BIAS")):
        path.rename(path.with_name(f"my frame {number}.fits"))
    step = next(step for step in reduction.plan().steps if step.stage is Stage.BIAS)

    names = [item.name for item in reduction.resolver.job(step, {}).inputs]

    assert names == [f"MUSE.2023-02-25T14:2{minute}:00.000.fits" for minute in (4, 5, 6)]


@pytest.mark.parametrize("arcfile", [None, "../../etc/passwd", "a b.fits", "MUSE.fits;rm"])
def test_a_frame_without_a_good_name_is_named_by_its_content(
    reduction: Reduction, narrow: Workspace, arcfile: str | None
) -> None:
    """Promise 2; and no header leads out of the folder of inputs."""
    path = narrow.raw("BIAS")[0]
    write_raw(path.parent, "BIAS", 60000.6, ifus=(1,), changes={"ARCFILE": arcfile}, name=path.name)
    step = next(step for step in reduction.plan().steps if step.stage is Stage.BIAS)

    names = {item.name for item in reduction.resolver.job(step, {}).inputs}

    assert f"BIAS_{digest_file(path).data_digest[6:18]}.fits" in names


def test_a_product_is_named_by_tag_ifu_and_content(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS, Stage.FLAT)

    seen = next(seen for seen in narrow.engine.seen if seen.recipe == "muse_flat")
    name = dict(seen.names)["MASTER_BIAS"]
    with narrow.open() as reduction:
        output = reduction.store.runs(stage="bias")[0].outputs[0]
    assert output.data_digest is not None
    assert name == f"MASTER_BIAS-01_{output.data_digest[6:18]}.fits"


def test_a_product_made_more_than_once_cannot_play_one_part(narrow: Workspace) -> None:
    narrow.run(*list(Stage)[: list(Stage).index(Stage.ALIGN) + 1])
    with narrow.open() as reduction:
        steps = {step.id: step for step in reduction.plan().steps}
        run = reduction.store.runs(stage="align")[0]
        step = steps["scipost:1001"]
        wrong = ProductInput("OFFSET_LIST", "align:1001", "SOURCE_LIST")
        from dataclasses import replace

        with pytest.raises(PipelineError) as caught:
            reduction.resolver.job(replace(step, inputs=(wrong,)), {"align:1001": run})

    assert caught.value.message == "align:1001 made 2 SOURCE_LIST where OFFSET_LIST needs one"


def old_table(folder: Path) -> Path:
    """Write a file that looks as if it had been left alone: one just written is read again."""
    path = write_static(folder, "EXTINCT_TABLE")
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    time.sleep(0.03)
    return path


def edit(path: Path, byte: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([byte]))


def test_a_file_is_read_once_and_again_when_it_changed(resolver: Resolver, tmp_path: Path) -> None:
    path = old_table(tmp_path)
    first = resolver.digests(path)
    content = path.read_bytes()

    found = digest_file(path)
    assert first == Memo(found.digest, found.data_digest, in_short(found.parts))
    assert resolver.digests(path) == first
    path.write_bytes(content[:-2880] + b"\x01" * 2880)
    assert resolver.digests(path).digest != first.digest


def test_a_file_that_is_written_to_while_it_is_read_is_read_again(
    resolver: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 3."""
    path = old_table(tmp_path)
    edits = [1]

    def read_and_edit(path: Path) -> FileDigest:
        found = digest_file(path)
        if edits:
            edit(path, edits.pop())
        return found

    monkeypatch.setattr("pipeline.resolve.digest_file", read_and_edit)

    assert resolver.digests(path).digest == digest_file(path).digest


def test_a_file_that_never_rests_is_not_taken(
    resolver: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 3: a download that goes on."""
    path, edits = old_table(tmp_path), count(1)

    def read_and_edit(path: Path) -> FileDigest:
        found = digest_file(path)
        edit(path, next(edits))
        return found

    monkeypatch.setattr("pipeline.resolve.digest_file", read_and_edit)

    with pytest.raises(FitsError, match="changes while it is read; wait until it is whole, and run again"):
        resolver.digests(path)


def test_a_write_through_a_mapping_is_seen_the_next_time(resolver: Resolver, tmp_path: Path) -> None:
    """Promise 3: no time moves when a page is written to again, as by a FITS file open for an update."""
    path = old_table(tmp_path)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[-1] = 1
        os.utime(path, (1e9, 1e9))
        time.sleep(0.03)
        first, looks = resolver.digests(path), identity(path.stat())
        mapped[-1] = 2

        assert identity(path.stat()) == looks
        assert resolver.digests(path).digest == digest_file(path).digest != first.digest
        assert resolver.has_restless


def test_a_write_that_a_coarse_clock_hides_is_seen_the_next_time(
    resolver: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 3: a disk that counts seconds, a second write within one, and reading that takes two."""

    def read_slowly(path: Path) -> FileDigest:
        began, found = time.time(), digest_file(path)
        edit(path, 1)
        time.sleep(max(0.0, began + 2.05 - time.time()))
        return found

    with coarse_disk_at(tmp_path / "disk") as disk, monkeypatch.context() as patch:
        time.sleep(1 - time.time() % 1)
        path = write_static(disk, "EXTINCT_TABLE")
        patch.setattr("pipeline.resolve.digest_file", read_slowly)
        first = resolver.digests(path)
        patch.undo()

        assert resolver.digests(path).digest == digest_file(path).digest != first.digest


def test_a_frame_that_broke_since_it_was_scanned_is_said(reduction: Reduction, narrow: Workspace) -> None:
    step = next(step for step in reduction.plan().steps if step.stage is Stage.BIAS)
    narrow.raw("BIAS")[0].write_bytes(b"")

    with pytest.raises(FitsError, match="is empty") as caught:
        reduction.resolver.job(step, {})

    assert caught.value.exit_code is Exit.FRAMES


def test_inputs_of_a_job_are_in_the_order_of_the_set_of_frames(reduction: Reduction) -> None:
    step = next(step for step in reduction.plan().steps if step.stage is Stage.BIAS)
    frames = [item.frame for item in step.inputs if isinstance(item, FrameInput)]

    job = reduction.resolver.job(step, {})

    assert [item.path for item in job.inputs] == [f.path for f in sorted(frames, key=lambda f: f.mjd or 0.0)]
    assert [i.content for i in job.action.inputs] == [item.data_digest for item in job.inputs]


def test_the_engine_is_not_asked_for_parameters_known_already(
    narrow: Workspace, fails_if_used: Callable[[], FakeEngine]
) -> None:
    narrow.engine = fails_if_used()
    with narrow.open() as reduction:
        assert reduction.plan().steps
        assert not reduction.engine.is_open


@pytest.fixture
def fails_if_used() -> Callable[[], FakeEngine]:
    """Make an engine in which nothing may run."""

    def refuse(seen: object) -> None:
        raise AssertionError("nothing was to run")

    return lambda: FakeEngine(on_run=refuse)


def test_the_tiny_night_is_whole(narrow: Workspace) -> None:
    for path in (narrow.root / "raw").iterdir():
        assert [hdu.name for hdu in read_hdus(path)] == ["", "CHAN01"]
