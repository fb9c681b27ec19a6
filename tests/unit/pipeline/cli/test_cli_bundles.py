"""The verbs `export` and `freeze`: what they print on both streams, and what they refuse."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import Workspace
from history import History
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.again import Workshop
from pipeline.bundle_parts import Holding
from pipeline.bundles import Draft, draft
from pipeline.cli.bundles import tell_frozen
from pipeline.cli.output import OUTPUT
from pipeline.errors import FramesError, UsageError
from pipeline.freezing import Drawn, Frozen, freeze
from pipeline.model import Stage
from pipeline.replay import Terms
from provenance.errors import StoreMissing
from provenance.importing import look_into
from provenance.store import Store
from provenance.taints import Tainted, TaintKind, state

Clio = Callable[..., Result]


def refused(result: Result) -> UsageError:
    assert isinstance(result.exception, UsageError), result.output + repr(result.exception)
    return result.exception


def test_id_and_file_are_data_and_the_rest_is_talk(clio: Clio, history: History) -> None:
    done = clio("export", "scibasic", "-o", "a.zip")
    bundle = look_into(Path("a.zip"))

    assert done.exit_code == 0, done.output + repr(done.exception)
    assert done.stdout == f"{bundle.id}  a.zip\n"
    assert "3 runs, with records and logs\n" in done.stderr
    assert "1 product; 3 by digest only, without --with-intermediate\n" in done.stderr
    assert "0 raw frames; 7 by digest only, without --with-raw\n" in done.stderr
    assert f"for the paper: clio bundle {bundle.id[7:19]}\n" in done.stderr


def test_the_document_names_every_file_and_is_documented(clio: Clio, history: History) -> None:
    done = clio("export", "scibasic", "-o", "a.zip", "--with-intermediate", "--json")
    document = json.loads(done.stdout)
    known = documented("clio-export/1")

    assert set(paths(document, known)) == known.keys()
    assert document["id"] == look_into(Path("a.zip")).id
    assert document["roots"] == [history.exposure.run]
    assert document["size"] == Path("a.zip").stat().st_size
    assert all(product["stored"] for product in document["products"])


def test_of_a_product_only_that_one_is_held(clio: Clio, history: History) -> None:
    one, other = history.flat.outputs
    assert clio("export", one.digest, "-o", "a.zip").exit_code == 0
    stored = {p.digest: p.stored for p in look_into(Path("a.zip")).description.products}

    assert (stored[one.digest], stored[other.digest]) == (True, False)


def test_several_references_make_one_bundle(clio: Clio, history: History) -> None:
    assert clio("export", "flat", "bias", "-o", "a.zip").exit_code == 0

    assert look_into(Path("a.zip")).description.roots == (history.bias.run, history.flat.run)


def test_a_failed_run_is_handed_on_by_its_id(clio: Clio, history: History) -> None:
    assert clio("export", history.broken.run, "-o", "a.zip").exit_code == 0

    assert history.broken.log in look_into(Path("a.zip")).objects


def test_that_something_is_tainted_is_said(clio: Clio, history: History, workspace: Path) -> None:
    with Store.open(workspace / ".clio") as store:
        said = Tainted(TaintKind.RUN, history.flat.run, "flat", "stray light", "2026-11-24T00:00:00.000Z")
        taint = state(store, said)
    done = clio("export", "flat", "-o", "a.zip")

    assert "is tainted: stray light" in done.stderr
    assert taint.statement in look_into(Path("a.zip")).statements


def test_a_bundle_is_never_replaced(clio: Clio, history: History) -> None:
    Path("a.zip").write_text("precious")
    for verb in ("export", "freeze"):
        error = refused(clio(verb, "flat", "-o", "a.zip"))

        assert (error.message, error.hint) == (
            "a.zip is there already",
            "bundles are never replaced: name another file",
        )
    assert Path("a.zip").read_text() == "precious"


def test_a_folder_that_is_not_there_is_said_at_once(clio: Clio, history: History) -> None:
    assert refused(clio("export", "flat", "-o", "no/a.zip")).message == "there is no folder no"


def test_a_raw_frame_is_no_product(clio: Clio, history: History) -> None:
    error = refused(clio("export", history.bias.inputs[0].digest, "-o", "a.zip"))

    assert "came from outside: no run of this store made it" in error.message


def test_a_log_is_no_product(clio: Clio, history: History) -> None:
    assert history.bias.log is not None
    error = refused(clio("export", history.bias.log, "-o", "a.zip"))

    assert error.hint == f"name the run: {history.bias.run}"


def test_frames_that_are_nowhere_are_named(clio: Clio, history: History) -> None:
    error = clio("export", "bias", "-o", "a.zip", "--with-raw").exception

    assert isinstance(error, FramesError)
    assert error.message.startswith(f"BIAS {history.bias.inputs[0].name} (")
    assert "/data/raw/BIAS-1" in error.message


def test_without_a_store_there_is_nothing_to_export(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "clio.toml").write_text("")

    assert isinstance(clio("export", "flat", "-o", "a.zip").exception, StoreMissing)
    assert not (tmp_path / ".clio").exists()


# Freezing, with an engine that needs no container


@pytest.fixture(autouse=True)
def _streams() -> Iterator[None]:
    """Let the command write to the streams of this test."""
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


@contextmanager
def _quiet(*_: Any) -> Iterator[Any]:
    yield lambda *_: None


def frozen(workspace: Workspace, path: Path) -> tuple[Draft, Frozen]:
    with workspace.open() as reduction:
        run = reduction.store.runs(stage="flat")[0]
        products = [item.digest for item in run.outputs]
        made = draft(Workshop.of(reduction), reduction.settings, [run], products, Holding())
        return made, freeze(made, path, Drawn(), Terms(), progress=_quiet, watching=_quiet)


def test_frozen_verdicts_and_bundle_are_told(
    reduced: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, found = frozen(reduced, tmp_path / "a.zip")
    tell_frozen(made, found, Path("a.zip"), as_json=False)
    told = capsys.readouterr()

    assert found.bundle is not None
    assert "2 runs, 3 products: 2 identical" in told.out
    assert f"{found.bundle.id}  a.zip\n" in told.out
    assert "read whole: as recorded" in told.err


def test_frozen_as_a_document_is_documented(
    reduced: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, found = frozen(reduced, tmp_path / "a.zip")
    tell_frozen(made, found, Path("a.zip"), as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert set(paths(document, documented("clio-freeze/1"))) == documented("clio-freeze/1").keys()
    assert document["replay"]["sameness"] == "identical"
    assert document["bundle"]["id"] == look_into(tmp_path / "a.zip").id


def test_what_is_not_frozen_is_said(
    reduced: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reduced.engine.restless.add("muse_bias")
    made, found = frozen(reduced, tmp_path / "a.zip")
    tell_frozen(made, found, Path("a.zip"), as_json=False)
    told = capsys.readouterr()

    assert "different" in told.out
    assert "no bundle was written" in told.err
    assert "a.zip" not in told.out
