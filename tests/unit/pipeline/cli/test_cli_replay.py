"""`replay`: what it prints on both streams, its exit codes, and what it refuses."""

import json
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from fakes import Workspace
from history import BIAS_UNIT, FLAT_UNIT, History
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.again import Variation, Workshop
from pipeline.cli.documents import run_document
from pipeline.cli.output import OUTPUT
from pipeline.cli.replay import document, print_replay, read_tolerance, watching
from pipeline.cli.sheets import run_lines
from pipeline.errors import UsageError
from pipeline.model import Stage
from pipeline.replay import Replay, Terms, chain, replay
from pipeline.report import ProductReport, report_file, report_run
from pipeline.verdict import USUAL
from provenance.errors import StoreMissing
from provenance.model import Purpose
from provenance.prune import VERDICT
from provenance.store import Store

Clio = Callable[..., Result]


@pytest.fixture(autouse=True)
def _streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the command write to the streams of this test."""
    monkeypatch.setenv("COLUMNS", "200")
    forget_consoles()
    yield
    forget_consoles()


def forget_consoles() -> None:
    for stream in ("data", "talk"):
        OUTPUT.__dict__.pop(stream, None)


@pytest.fixture
def reduced(tmp_path: Path) -> Workspace:
    """A night of one IFU with a master flat."""
    made = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    made.run(Stage.BIAS, Stage.FLAT)
    return made


def replayed(workspace: Workspace, terms: Terms | None = None) -> Replay:
    """Replay the master flat from raw frames, listened to as the command does."""
    with workspace.open() as reduction:
        shop = Workshop.of(reduction)
        links = chain(shop.store, shop.store.runs(stage="flat"), closure=True)
        with watching(links, threading.Event()) as listen:
            return replay(shop, links, terms, listen)


def test_what_is_identical_is_told_in_a_table_and_a_line(
    reduced: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    print_replay(replayed(reduced))
    head, bias, flat, summary = capsys.readouterr().out.splitlines()

    assert head.split("  ")[0] == "step"
    assert [line.split()[1] for line in (bias, flat)] == ["identical", "identical"]
    assert bias.startswith("bias:2023-02-25T14:24:00:01 ")
    assert summary.startswith("2 runs, 3 products: 2 identical, ")


def test_progress_is_told_with_the_time_left(reduced: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    replayed(reduced)
    first, last = capsys.readouterr().err.splitlines()

    assert first.startswith("replayed bias:")
    assert ": identical (1 of 2, about " in first
    assert first.endswith(" s left)")
    assert last.endswith(": identical (2 of 2)")


def test_what_moved_is_told_below_the_table(reduced: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    reduced.engine.restless.add("muse_bias")
    print_replay(replayed(reduced))
    out = capsys.readouterr().out

    assert " different " in out
    assert " different (challenge) " in out
    assert "MASTER_BIAS-01.fits: different\n" in out
    assert ": 2 different, " in out.splitlines()[-1]


def test_a_challenge_is_called_one(reduced: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    print_replay(replayed(reduced, Terms(Variation(threads=2))))

    assert capsys.readouterr().out.count(" identical (challenge) ") == 2


def test_the_document_of_a_replay_has_every_product(reduced: Workspace) -> None:
    reduced.engine.restless.add("muse_flat")
    found = document(replayed(reduced))
    known = documented("clio-replay/1")

    assert [(run["sameness"], run["challenge"], run["engine"]) for run in found["runs"]] == [
        ("identical", None, "fake"),
        ("different", None, "fake"),
    ]
    assert (found["sameness"], found["same_data"]) == ("different", False)
    assert [product["comparison"]["sameness"] for product in found["runs"][1]["products"]] == [
        "different"
    ] * 2
    assert set(paths(found, known)) - known.keys() == set()


def test_show_tells_what_came_of_replays(reduced: Workspace) -> None:
    """Of the run, and of its products."""
    replayed(reduced)
    reduced.engine.restless.add("muse_flat")
    replayed(reduced)
    with reduced.open() as reduction:
        (flat,) = (run for run in reduction.store.runs(stage="flat") if run.purpose is Purpose.RUN)
        report = report_run(reduction.store, flat)
        product = report_file(reduction.store, flat.outputs[0].digest)

    newest, first = (line.split() for line in run_lines(report, everything=False) if "replayed" in line)
    assert (newest[1], first[1]) == ("different", "identical")
    assert first[3:] == ["on", "fake", "1.0,", "by", "clio", version("clio-muse")]
    assert isinstance(product, ProductReport)
    assert product.made.verdicts == report.verdicts
    found, known = run_document(report), documented("clio-show/1")
    assert {name for name in paths(found, known) if "verdicts" in name} - known.keys() == set()


def test_it_leaves_with_7_where_nothing_can_be_compared(
    clio: Clio, history: History, workspace: Path
) -> None:
    """The records of that history name an image that is not on this machine."""
    result = clio("replay", "bias", "--json")
    found = json.loads(result.stdout)
    (run,) = found["runs"]

    assert result.exit_code == 7
    assert (run["step"], run["run"]) == (f"bias:{BIAS_UNIT}", history.bias.run)
    assert (run["sameness"], run["replay"], run["products"]) == ("not comparable", None, [])
    assert "5a5a5a" in run["reason"]
    assert run["hint"]
    with Store.open(workspace / ".clio") as store:
        assert store.statements(VERDICT) == ()


@pytest.mark.usefixtures("history")
def test_with_closure_what_it_is_made_from_comes_first(clio: Clio) -> None:
    found = json.loads(clio("replay", "flat:2026-01-15T15:35:52:01", "--closure", "--json").stdout)

    assert [run["step"] for run in found["runs"]] == [f"bias:{BIAS_UNIT}", f"flat:{FLAT_UNIT}"]
    assert [run["reason"] for run in found["runs"]][1] == f"needs bias:{BIAS_UNIT}, which was not made again"


@pytest.mark.usefixtures("history")
def test_without_a_reference_it_is_the_whole_newest_reduction(clio: Clio) -> None:
    found = json.loads(clio("replay", "--json").stdout)
    drawn = json.loads(clio("replay", "--sample", "1", "--seed", "3", "--json").stdout)

    assert len({run["step"] for run in found["runs"]}) > 1
    assert len(drawn["runs"]) == 1
    assert drawn == json.loads(clio("replay", "--sample", "1", "--seed", "3", "--json").stdout) | {
        "wall_s": drawn["wall_s"]
    }


@pytest.mark.usefixtures("history")
def test_another_store_is_made_where_there_is_none(clio: Clio, tmp_path: Path) -> None:
    clio("replay", "bias", "--into", tmp_path / "other")

    assert (tmp_path / "other" / "store.json").is_file()


def test_a_product_means_the_run_that_made_it(clio: Clio, history: History) -> None:
    found = json.loads(clio("replay", history.bias.outputs[0].digest, "bias", "--json").stdout)

    assert [run["run"] for run in found["runs"]] == [history.bias.run]


def test_what_came_from_outside_cannot_be_made_again(clio: Clio, history: History) -> None:
    """Promise 10."""
    result = clio("replay", history.bias.inputs[0].digest)

    assert isinstance(result.exception, UsageError)
    assert "came from outside: no run of this store made it" in result.exception.message


def test_no_store_is_made_only_to_find_nothing(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "clio.toml").write_text("")

    assert isinstance(clio("replay").exception, StoreMissing)
    assert not (tmp_path / ".clio").exists()


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--numerics", "quick"), "--numerics quick is not known"),
        (("--tolerance", "sigmas=1"), "--tolerance sigmas=1: there is no sigmas"),
        (("--tolerance", "sigma=much"), "--tolerance sigma=much: 'much' is no size"),
        (("--tolerance", "sigma=-1"), "--tolerance sigma=-1: '-1' is no size"),
        (("--tolerance", "sigma=nan"), "--tolerance sigma=nan: 'nan' is no size"),
        (("--tolerance", "any_order=1"), "--tolerance any_order=1: it takes no value"),
    ],
)
def test_what_cannot_be_meant_is_refused(clio: Clio, words: tuple[str, ...], message: str) -> None:
    result = clio("replay", "bias", *words)

    assert isinstance(result.exception, UsageError)
    assert result.exception.message == message


def test_a_tolerance_changes_what_it_names_and_no_more() -> None:
    found = read_tolerance("sigma=1e-2, any_order")

    assert (found.sigma, found.any_order) == (0.01, True)
    assert (found.relative, found.variance, found.position) == (
        USUAL.relative,
        USUAL.variance,
        USUAL.position,
    )
    assert read_tolerance("") == USUAL
