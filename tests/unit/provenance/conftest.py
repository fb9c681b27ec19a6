"""A store of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made
