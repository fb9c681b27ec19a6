"""`import` and `trust`: what they print, their exit codes, and what other verbs say of what was imported."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import papers_of
from history import History, write_history
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.errors import UsageError
from provenance.errors import BundleRefused
from provenance.store import Store

Clio = Callable[..., Result]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of a short history elsewhere."""
    with Store.create(tmp_path / "elsewhere") as store:
        history = write_history(store)
        return papers_of(store, history.flat, history.bias).zip(tmp_path / "b.zip")


@pytest.fixture
def imported(clio: Clio, workspace: Path, bundle: Path) -> str:
    """Import it, and give its id."""
    return str(json.loads(clio("import", bundle, "--json").stdout)["bundle"])


def test_import_says_what_came_and_that_it_is_not_believed(clio: Clio, workspace: Path, bundle: Path) -> None:
    told = clio("import", bundle)

    assert told.exit_code == 0
    assert "flat:2026-01-15T15:35:52:01  run 019be5a0" in told.stdout
    assert "of clio 0.9: 4 runs" in told.stdout
    assert "none of it is believed yet" in told.stderr


def test_import_again_says_that_it_is_here(clio: Clio, imported: str, bundle: Path) -> None:
    told = clio("import", bundle)

    assert "(here already)" in told.stdout
    assert "0 runs, 0 statements, 0 objects" in told.stdout
    assert told.stderr == ""


def test_import_fields_are_documented(clio: Clio, workspace: Path, bundle: Path) -> None:
    document = json.loads(clio("import", bundle, "--json").stdout)

    known = documented("clio-import/1")
    assert set(paths(document, known)) - known.keys() == set()
    assert all(run["is_new"] for run in document["runs"])
    assert sum(run["is_root"] for run in document["runs"]) == 2


def test_show_and_trace_say_that_it_is_imported(clio: Clio, imported: str) -> None:
    """Promise 9."""
    shown = clio("show", "flat:2026-01-15T15:35:52:01").stdout
    traced = clio("trace", "flat:2026-01-15T15:35:52:01").stdout
    document = json.loads(clio("show", "flat:2026-01-15T15:35:52:01", "--json").stdout)

    assert f"from bundle {imported[7:19]}" in shown
    assert "not trusted" in shown
    assert f"imported from bundle {imported[7:19]}" in traced
    assert document["imported"]["bundle"] == imported
    assert document["imported"]["trusted"] is None
    known = documented("clio-show/1")
    assert set(paths(document, known)) - known.keys() == set()


def test_trusted_by_hand_it_says_so_until_it_is_taken_back(clio: Clio, imported: str) -> None:
    """Promise 9."""
    told = clio("trust", "flat:2026-01-15T15:35:52:01", "--reason", "seen it")
    document = json.loads(clio("show", "flat:2026-01-15T15:35:52:01", "--json").stdout)
    back = clio("trust", "flat:2026-01-15T15:35:52:01", "--revoke", "--reason", "not any more")

    assert told.exit_code == back.exit_code == 0
    assert document["imported"]["trusted"]["how"] == "hand"
    assert document["imported"]["trusted"]["reason"] == "seen it"
    assert "not trusted" in clio("show", "flat:2026-01-15T15:35:52:01").stdout
    known = documented("clio-show/1")
    assert set(paths(document, known)) - known.keys() == set()


def test_a_whole_bundle_is_trusted_by_its_id(clio: Clio, imported: str) -> None:
    told = json.loads(clio("trust", imported[7:19], "--reason", "from the archive", "--json").stdout)
    listed = json.loads(clio("trust", "--list", "--json").stdout)

    assert len(told["trusts"][0]["runs"]) == 4
    assert (listed["imports"][0]["runs"], listed["imports"][0]["trusted"]) == (4, 4)
    known = documented("clio-trust/1")
    assert set(paths(listed, known)) - known.keys() == set()


def test_the_list_in_words(clio: Clio, imported: str) -> None:
    clio("trust", imported, "--reason", "from the archive")
    told = clio("trust", "--list").stdout

    assert "by hand: from the archive (run 019be5a0" in told
    assert f"bundle {imported[7:19]}, 4 runs, 4 trusted" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trust",), "name what to trust, or ask for --list"),
        (("trust", "flat:2026-01-15T15:35:52:01"), "trust needs its reason"),
        (("trust", "--list", "--reason", "x"), "name what to trust, or ask for --list"),
        (
            ("trust", "flat:2026-01-15T15:35:52:01", "--revoke", "--reason", "x"),
            "nothing imported is trusted",
        ),
        (("import", "nothing.zip"), "cannot read nothing.zip: No such file or directory"),
    ],
)
def test_what_makes_no_sense_is_refused(clio: Clio, imported: str, words: tuple[str, ...], said: str) -> None:
    found = clio(*words).exception

    assert isinstance(found, UsageError)
    assert said in found.message


def test_what_was_made_here_needs_no_trust(clio: Clio, history: History) -> None:
    found = clio("trust", "bias", "--reason", "x").exception

    assert isinstance(found, UsageError)
    assert found.message == "bias was not imported: what was made here needs no trust"


@pytest.mark.parametrize("name", [".", "pipe"])
def test_what_is_no_file_is_refused(clio: Clio, workspace: Path, name: str) -> None:
    os.mkfifo(workspace / "pipe")

    assert isinstance(clio("import", name).exception, BundleRefused)


def test_what_is_no_bundle_ends_with_6(clio: Clio, workspace: Path) -> None:
    (workspace / "b.zip").write_bytes(b"PK not a zip file at all, but something else")
    found = clio("import", "b.zip").exception

    assert isinstance(found, BundleRefused)
    assert "does not end as a zip file" in found.message
