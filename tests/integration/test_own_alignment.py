"""The alignment by reference as a step: a process of its own, keyed, recorded, cached, replayed.

The night and ESO's recipes are made up; the alignment, its process and its store are real.
"""

from pathlib import Path

import pytest
from fakes import Workspace, did
from fields import Grid, Shot, extension, scene, shoot

from pipeline.conduct import Did

DATES = ("2023-02-26T01:12:00.000", "2023-02-26T01:26:24.000", "2023-02-26T01:40:48.000")
FIELD = Grid(70, 50)
SETTINGS = '[workflow]\nalign = "reference"\n[recipes.clio_align]\nsearch = 4\n'


@pytest.fixture
def drawn(tmp_path: Path) -> Workspace:
    """A night of three exposures that show a field, the second with a wrong header."""
    made = Workspace.make(tmp_path / "galaxy", objects=3, ifus=(1,))
    of = scene(2, 40, (14, 12))
    shots = (Shot(FIELD, seed=1), Shot(FIELD, error_east=0.9, error_north=-0.6, seed=2), Shot(FIELD, seed=3))
    made.engine.pictures = {d: extension(shoot(of, s)) for d, s in zip(DATES, shots, strict=True)}
    made.configure(SETTINGS)
    return made


def test_it_runs_once_and_is_known_then(drawn: Workspace) -> None:
    first = drawn.run()
    again = drawn.run()

    assert did(first, Did.FAILED) == did(first, Did.BLOCKED) == []
    assert (again.ran, again.hits) == (0, first.ran)
