"""Workspaces with a tiny night, a fake image and a fake engine."""

from pathlib import Path

import pytest
from fakes import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A night of two IFUs and two OBJECT exposures."""
    return Workspace.make(tmp_path / "galaxy")


@pytest.fixture
def narrow(tmp_path: Path) -> Workspace:
    """A night of one IFU and two OBJECT exposures."""
    return Workspace.make(tmp_path / "galaxy", ifus=(1,))
