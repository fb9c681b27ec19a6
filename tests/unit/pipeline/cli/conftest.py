"""A workspace with a short history, and the command as a function."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from history import History, write_history
from typer.testing import CliRunner, Result

from pipeline.cli.app import app
from pipeline.cli.output import OUTPUT
from provenance.store import Store

Clio = Callable[..., Result]


@pytest.fixture
def clio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clio]:
    """Call the command in an empty folder; what it raises is in the result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("CLIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CLIO_WORKSPACE", raising=False)
    _forget_consoles()
    yield lambda *words: CliRunner().invoke(app, [str(word) for word in words])
    _forget_consoles()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace with a store."""
    (tmp_path / "clio.toml").write_text("[clio]\n")
    Store.create(tmp_path / ".clio").close()
    return tmp_path


@pytest.fixture
def history(workspace: Path) -> History:
    """The short history in that workspace."""
    with Store.open(workspace / ".clio") as store:
        return write_history(store)


def _forget_consoles() -> None:
    for stream in ("data", "talk"):
        OUTPUT.__dict__.pop(stream, None)
