"""One night, one image and one nursery for all trials; the seed, and how many trials there are.

CLIO_FAULTS_SEED chooses other trials; CLIO_FAULTS_SAMPLE is `all`, or a factor on their number.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import absent
from tests.faults.calls import why_not
from tests.faults.catalogue import EVERY, FAULTS
from tests.faults.nursery import Nursery
from tests.faults.trials import choose, count
from tests.faults.yard import Yard

SEED = os.environ.get("CLIO_FAULTS_SEED", "1")
SAMPLE = os.environ.get("CLIO_FAULTS_SAMPLE", "1")


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """Where trials take place; other users may pass, which pytest's own directories forbid."""
    folder = Path(tempfile.mkdtemp(prefix="clio-faults-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def yard(ground: Path) -> Iterator[Yard]:
    """Workspaces to break."""
    if reason := why_not():
        absent("seccomp", reason)
    nursery = Nursery()
    yield Yard.make(ground / "yard", nursery)
    nursery.close()


@pytest.fixture(scope="session")
def labels(yard: Yard) -> list[str]:
    """Every call of an undisturbed run that changes something."""
    return count(yard)


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Of a test and a seed: the same trials each time, whatever other tests do."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def points(labels: list[str], dice: random.Random) -> Callable[[str], list[tuple[int, str]]]:
    """Choose the calls at which a fault strikes."""

    def choose_for(fault: str) -> list[tuple[int, str]]:
        every = SAMPLE == "all" or (FAULTS[fault].trials == EVERY and float(SAMPLE) >= 1)
        sample = None if every else max(1, round(FAULTS[fault].trials * float(SAMPLE)))
        return choose(labels, sample, dice)

    return choose_for


@pytest.fixture
def trials() -> Callable[[str], int]:
    """Say how often a fault that strikes at random is tried; by hand ten times as often for `all`."""

    def times(fault: str) -> int:
        return max(1, round(FAULTS[fault].trials * (10.0 if SAMPLE == "all" else float(SAMPLE))))

    return times
