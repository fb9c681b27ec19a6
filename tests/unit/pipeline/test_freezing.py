"""Freezing: nothing is handed on that was not read whole and made again with the same data."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import Fault, Workspace

from pipeline.again import Workshop
from pipeline.bundle_parts import Holding
from pipeline.bundles import draft
from pipeline.errors import UsageError
from pipeline.freezing import Drawn, Frozen, freeze
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.replay import Listen, Terms
from provenance.bundling import ItemRefused
from provenance.importing import look_into
from provenance.model import Purpose, Run
from provenance.prune import VERDICT


@pytest.fixture
def reduction(narrow: Workspace) -> Iterator[Reduction]:
    """A reduced night of one IFU, up to the wavelength calibration."""
    narrow.run(Stage.BIAS, Stage.FLAT, Stage.WAVE)
    narrow.engine.seen.clear()
    with narrow.open() as reduction:
        yield reduction


def newest(reduction: Reduction, stage: str) -> Run:
    return next(run for run in reduction.store.runs(stage=stage) if run.purpose is Purpose.RUN)


class Watched:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        self.runs: list[str] = []

    @contextmanager
    def progress(self, verb: str) -> Iterator[object]:
        self.bytes[verb] = 0

        def listen(size: int) -> None:
            self.bytes[verb] += size

        yield listen

    @contextmanager
    def watching(self, links: object) -> Iterator[Listen]:
        yield lambda run, replayed: self.runs.append(run.stage) if replayed else None


def frozen(reduction: Reduction, path: Path, drawn: Drawn, watched: Watched | None = None) -> Frozen:
    watched = watched or Watched()
    run = newest(reduction, "wave")
    products = [item.digest for item in run.outputs]
    made = draft(Workshop.of(reduction), reduction.settings, [run], products, Holding(raw=True))
    return freeze(
        *(made, path, drawn, Terms()),
        progress=watched.progress,  # type: ignore[arg-type]
        watching=watched.watching,
    )


def test_all_runs_are_made_again_from_raw_frames_and_the_verdicts_go_with_it(
    reduction: Reduction, narrow: Workspace, tmp_path: Path
) -> None:
    """Promise 7."""
    watched = Watched()
    found = frozen(reduction, tmp_path / "a.zip", Drawn(), watched)
    bundle = look_into(tmp_path / "a.zip")

    assert narrow.engine.recipes == ("muse_bias", "muse_flat", "muse_wavecal")
    assert found.bundle is not None
    assert found.bundle.id == bundle.id
    said = {statement.digest for statement in reduction.store.statements(VERDICT)}
    assert set(bundle.statements) == said
    assert len(said) == 3
    assert {run.run for run in bundle.runs} == {newest(reduction, s).run for s in ("bias", "flat", "wave")}
    assert watched.bytes["reading"] == found.read_bytes
    assert watched.runs == ["bias", "flat", "wave"]


def test_a_sample_is_drawn_from_all_runs_on_the_way(
    reduction: Reduction, narrow: Workspace, tmp_path: Path
) -> None:
    found = frozen(reduction, tmp_path / "a.zip", Drawn(2, seed=3))

    assert len(narrow.engine.recipes) == 2
    assert len(found.replay.links) == 2
    assert len(look_into(tmp_path / "a.zip").runs) == 3


def test_what_does_not_come_out_again_is_not_frozen(
    reduction: Reduction, narrow: Workspace, tmp_path: Path
) -> None:
    narrow.engine.restless.add("muse_flat")
    found = frozen(reduction, tmp_path / "a.zip", Drawn())

    assert found.bundle is None
    assert not found.replay.has_same_data
    assert list(tmp_path.glob("*.zip")) == []


def test_a_recipe_that_fails_now_freezes_nothing(
    reduction: Reduction, narrow: Workspace, tmp_path: Path
) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_bias")

    assert frozen(reduction, tmp_path / "a.zip", Drawn()).bundle is None


def test_damage_is_found_before_anything_is_run(
    reduction: Reduction, narrow: Workspace, tmp_path: Path
) -> None:
    path = reduction.store.objects.path(newest(reduction, "wave").outputs[0].digest)
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))

    with pytest.raises(ItemRefused):
        frozen(reduction, tmp_path / "a.zip", Drawn())

    assert narrow.engine.recipes == ()


def test_a_run_that_failed_cannot_be_frozen(narrow: Workspace, tmp_path: Path) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_bias")
    narrow.run(Stage.BIAS)
    with narrow.open() as reduction:
        run = reduction.store.runs(stage="bias")[0]
        made = draft(Workshop.of(reduction), reduction.settings, [run], [], Holding())
        watched = Watched()
        with pytest.raises(UsageError, match="did not succeed"):
            freeze(
                *(made, tmp_path / "a.zip", Drawn(), Terms()),
                progress=watched.progress,  # type: ignore[arg-type]
                watching=watched.watching,
            )
