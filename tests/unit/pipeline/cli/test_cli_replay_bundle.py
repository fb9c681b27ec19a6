"""`replay BUNDLE`: what is missing, who is asked, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import papers_of
from fakes import install_image
from history import IMAGE, write_history
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.cli.replay_bundle import is_bundle
from pipeline.errors import Exit, UsageError
from provenance.digest import digest_bytes
from provenance.errors import BundleRefused
from provenance.store import Store

Clio = Callable[..., Result]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of a short history elsewhere, without frames and image."""
    with Store.create(tmp_path / "elsewhere") as store:
        return papers_of(store, write_history(store).flat).zip(tmp_path / "b.zip")


def test_what_is_missing_is_listed_and_nothing_runs(clio: Clio, bundle: Path) -> None:
    told = clio("replay", bundle)

    assert told.exit_code == Exit.FRAMES
    rows = told.stdout.splitlines()
    at = rows.index("raw BIAS MUSE.2026-01-15T14:01:00.000.fits, 100 B")
    assert rows[at + 1 : at + 3] == [f"  {digest_bytes(b'BIAS 1')}", "  https://archive.eso.org"]
    assert rows[:2] == ["image linux/amd64", f"  {IMAGE}"]
    assert all(len(row) <= 80 for row in rows)
    assert "put them into a folder, under any name, and say --raw FOLDER" in told.stderr


def test_its_fields_are_documented(clio: Clio, bundle: Path) -> None:
    document = json.loads(clio("replay", bundle, "--json").stdout)

    known = documented("clio-replay-bundle/1")
    assert set(paths(document, known)) - known.keys() == set()
    assert (document["into"], document["replay"]) == (None, None)


def test_nothing_starts_without_an_answer(clio: Clio, workspace: Path, tmp_path: Path) -> None:
    """Promise 9: shown are image and command; without a terminal it takes --yes."""
    with Store.create(tmp_path / "elsewhere") as store:
        history = write_history(store)
        bundle = papers_of(store, history.flat).zip(tmp_path / "b.zip")
    install_image(workspace / "cache", IMAGE)
    clio("import", bundle)

    told = clio("replay", history.flat.run)

    assert isinstance(told.exception, UsageError)
    assert "there is no terminal" in told.exception.message
    assert told.exception.hint == "add --yes"
    assert "1 imported run would be started here" in told.stderr
    assert "esorex muse_flat" in told.stderr
    assert f"in the image {IMAGE}" in told.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--closure",), "--closure and a bundle exclude each other"),
        (("--sample", "1"), "--sample and a bundle exclude each other"),
        (("b.zip",), "a bundle is replayed alone"),
        (("--raw", "nowhere"), "there is no folder nowhere"),
    ],
)
def test_what_a_bundle_says_is_not_said_otherwise(
    clio: Clio, bundle: Path, words: tuple[str, ...], said: str
) -> None:
    found = clio("replay", "b.zip", *words).exception

    assert isinstance(found, UsageError)
    assert said in found.message


def test_a_bundle_that_is_none_is_refused(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK\3\4 and nothing more of a zip file")

    assert isinstance(clio("replay", "b.zip").exception, BundleRefused)


def test_what_is_a_bundle_is_told_by_its_first_bytes(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "a.fits").write_bytes(b"SIMPLE  =                    T")

    assert is_bundle(str(bundle))
    assert not is_bundle(str(tmp_path / "a.fits"))
    assert not is_bundle("flat:2026-01-15T15:35:52:01")
