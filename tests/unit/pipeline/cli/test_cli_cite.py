"""`cite`: from the records of a reduction, the same every time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Workspace, install_image
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.errors import UsageError

Clio = Callable[..., Result]


@pytest.fixture
def reduced(clio: Clio, tmp_path: Path) -> Workspace:
    """A workspace reduced to a cube."""
    workspace = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    workspace.run()
    install_image(tmp_path / "cache")
    return workspace


def cited(clio: Clio, workspace: Workspace, reference: str = "combine") -> dict[str, Any]:
    result = clio("cite", reference, "-C", workspace.root, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_cube_is_cited_from_its_lineage(clio: Clio, reduced: Workspace) -> None:
    found = cited(clio, reduced)

    assert [e["arcfile"] for e in found["exposures"] if e["tag"] == "OBJECT"] == sorted(
        path.name for path in reduced.raw("OBJECT")
    )
    assert {e["known_by"] for e in found["exposures"]} <= {"product", "frame"}
    assert [call["recipe"] for call in found["recipes"]][-1] == "muse_exp_combine"
    assert [r["key"] for r in found["references"]][-1] == "Clio"
    assert found["methods"].startswith("The DATACUBE_FINAL was made from 2 exposures of NGC 1 in WFM-NOAO-N")


def test_an_exposure_goes_by_its_name_in_the_archive_whatever_the_recipe_was_given(
    clio: Clio, tmp_path: Path
) -> None:
    """Names of `[[sof]]` are of a header that is to come out the same, and of nothing else."""
    workspace = Workspace.make(tmp_path / "galaxy", ifus=(1,))
    workspace.configure('[[sof]]\nwhere = { stage = "scibasic" }\nframes = ["handy.fits OBJECT"]\n')
    workspace.run()
    install_image(tmp_path / "cache")

    found = cited(clio, workspace)
    assert [e["arcfile"] for e in found["exposures"] if e["tag"] == "OBJECT"] == sorted(
        path.name for path in workspace.raw("OBJECT")
    )


def test_it_is_the_same_every_time(clio: Clio, reduced: Workspace) -> None:
    first = clio("cite", "combine", "-C", reduced.root, "--json").stdout

    assert clio("cite", "combine", "-C", reduced.root, "--json").stdout == first


def test_raw_frames_that_are_gone_leave_what_products_say(clio: Clio, reduced: Workspace) -> None:
    before = cited(clio, reduced)["exposures"]
    for path in (reduced.root / "raw").iterdir():
        path.unlink()

    after = cited(clio, reduced)["exposures"]
    assert [e["arcfile"] for e in after] == [e["arcfile"] for e in before]


@pytest.mark.parametrize("options", [("--bibtex",), ("--exposures", "ecsv"), ("--exposures", "latex")])
def test_one_thing_alone_is_printed(clio: Clio, reduced: Workspace, options: tuple[str, ...]) -> None:
    result = clio("cite", "combine", "-C", reduced.root, *options)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(("@", "#", "%"))


def test_phase_3_ends_with_what_is_missing(clio: Clio, reduced: Workspace) -> None:
    result = clio("cite", "combine", "-C", reduced.root, "--phase3")

    assert result.exit_code == 7
    assert any(line.split()[:2] == ["PROV1", "missing"] for line in result.stdout.splitlines())


def test_a_frame_from_outside_is_refused(clio: Clio, reduced: Workspace) -> None:
    result = clio("cite", reduced.raw("BIAS")[0], "-C", reduced.root)

    assert isinstance(result.exception, UsageError)
    assert "came from outside" in result.exception.message


def test_every_field_is_documented(clio: Clio, reduced: Workspace) -> None:
    found = cited(clio, reduced)

    known = documented("clio-cite/1")
    assert set(paths(found, known)) - known.keys() == set()
