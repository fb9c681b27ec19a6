"""Real recipes, run again elsewhere and at another time: the table says what moves, no more, no less."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import absent
from typer.testing import CliRunner

from pipeline.again import Workshop
from pipeline.cli.app import app
from pipeline.config import load
from pipeline.emulator import OLD, find_emulator
from pipeline.engine import Engine, RecipeImage
from pipeline.errors import EngineUnavailable
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.passport import KIND, Passport, measure, newest_run
from pipeline.passport_cards import Kind
from pipeline.reduce import Reduction
from pipeline.simulate import NightOptions
from pipeline.simulate.frames import write_frame
from pipeline.simulate.night import night
from pipeline.volatile import MEASURED
from provenance.check import check
from provenance.model import Purpose

OPTIONS = NightOptions(ifus=(1,), exposures=1)

pytestmark = pytest.mark.bubblewrap


@pytest.fixture(scope="module")
def workspace(
    image: RecipeImage,
    open_bubblewrap: Engine,
    library: ImageLibrary,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Biases and darks of one IFU, reduced once."""
    root = tmp_path_factory.mktemp("passport")
    (root / "raw").mkdir()
    for exposure in night(OPTIONS):
        if exposure.tag in ("BIAS", "DARK"):
            write_frame(root / "raw" / exposure.arcfile, exposure, OPTIONS)
    settings = ["[clio]", 'engine = "bubblewrap"', "[workflow]", "dark = true"]
    settings += ["[image]", f'reference = "{image.config_digest}"', ""]
    (root / "clio.toml").write_text("\n".join(settings))
    with Reduction(load(root), engine=open_bubblewrap, library=library) as reduction:
        summary = reduction.run((Stage.BIAS, Stage.DARK))
    assert (summary.ran, summary.failed, summary.blocked) == (2, 0, 0)
    return root


@pytest.fixture
def reduction(workspace: Path, open_bubblewrap: Engine, library: ImageLibrary) -> Iterator[Reduction]:
    with Reduction(load(workspace), engine=open_bubblewrap, library=library) as reduction:
        yield reduction


@pytest.fixture(scope="module")
def dark(workspace: Path, open_bubblewrap: Engine, library: ImageLibrary) -> Passport:
    """The passport of muse_dark."""
    with Reduction(load(workspace), engine=open_bubblewrap, library=library) as reduction:
        return measure(Workshop.of(reduction), newest_run(reduction.store, "muse_dark"))


def test_the_table_says_of_muse_dark_what_was_measured(dark: Passport) -> None:
    """Promise 7: measured, not claimed."""
    row = MEASURED["muse_dark"]

    assert (dark.version, dark.values, dark.comments) == (row.version, row.values, row.comments)
    assert {item.kind for item in dark.moved} == {Kind.VALUE, Kind.COMMENT}
    assert dark.unlisted == ()


@pytest.fixture(scope="module")
def of_bias(workspace: Path, image: RecipeImage) -> dict[str, Any]:
    """The passport of muse_bias, measured the whole way, as a person does it."""
    try:
        find_emulator(OLD, image.platform)
    except EngineUnavailable as error:
        absent("qemu", error.message)
    words = ["passport", "muse_bias", "--threads", "2", "--numerics", "native", "--cpu", "emulated"]
    done = CliRunner().invoke(app, [*words, "--workspace", str(workspace), "--json"])
    assert done.exit_code == 0, done.exception
    return dict(json.loads(done.stdout))


def test_the_command_says_of_muse_bias_what_the_table_says(
    of_bias: dict[str, Any], reduction: Reduction
) -> None:
    found = of_bias
    row = MEASURED["muse_bias"]
    moved = {
        kind: {i["keyword"] for i in found["moved"] if i["kind"] == kind} for kind in ("value", "comment")
    }
    assert found["version"] == row.version
    assert moved == {"value": set(row.values), "comment": set(row.comments)}
    assert (found["is_within_table"], found["is_in_table"], found["unmoved"]) == (True, True, [])
    assert "muse_bias" in {statement.body["recipe"] for statement in reduction.store.statements(KIND)}


def test_muse_bias_gives_the_same_bytes_whatever_the_threads_the_numerics_and_the_processor(
    of_bias: dict[str, Any],
) -> None:
    """Promise 7: on an old CPU or a new one."""
    rows = {row["value"]: row for row in of_bias["rows"] if row["axis"] != "run"}

    found = {value: row["sameness"] for value, row in rows.items()}
    assert found == dict.fromkeys(("2", "native", "Nehalem"), "identical")


def test_pinning_and_emulation_are_seen_to_bite(of_bias: dict[str, Any]) -> None:
    """Names the C library does not know are passed over in silence: here it says what it goes by."""
    used = {row["value"]: set(row["variants"]) for row in of_bias["rows"]}

    assert used["Nehalem"] == set()
    assert used["again"].isdisjoint({"FMA", "AVX2", "AVX512F"})
    assert used["native"] >= used["again"]


def test_the_second_repeat_was_elsewhere_in_every_way(dark: Passport) -> None:
    first, second = dark.repeats

    assert (first.hostname, second.hostname) == ("clio", "elsewhere")
    assert (first.directory, second.directory) == ("/out", "/tmp/another/place")
    assert (first.inputs, second.inputs) == ("/in", "/in/another/place")
    assert second.user == "12345:54321"
    assert dark.not_varied == ()


def test_the_clock_of_the_record_gives_the_bytes_of_the_record(dark: Passport) -> None:
    """Promise 7."""
    assert [repeat.is_identical for repeat in dark.repeats] == [True, False]
    assert [repeat.is_same_science for repeat in dark.repeats] == [True, True]


def test_the_store_is_whole_and_nobody_elses_afterwards(dark: Passport, reduction: Reduction) -> None:
    runs = [run for run in reduction.store.runs() if run.purpose is Purpose.PASSPORT]
    owners = {path.lstat().st_uid for path in reduction.store.path.rglob("*")}

    assert dark.repeats[0].run in {run.run for run in runs}
    assert check(reduction.store) == ()
    assert list((reduction.store.path / "work").iterdir()) == []
    assert owners == {reduction.store.path.stat().st_uid}
