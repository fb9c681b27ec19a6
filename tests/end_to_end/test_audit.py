"""A real cube asked how it was made: by its header alone, and for a paper."""

import json
import shutil
from pathlib import Path

from tests.end_to_end.commands import Reduced, call


def cube_of(reduced: Reduced) -> Path:
    return next((reduced.folder / "products").rglob("combine/*/DATACUBE_FINAL.fits"))


def test_settings_from_the_header_of_a_cube_plan_the_very_same_actions(
    reduced: Reduced, tmp_path: Path
) -> None:
    """Promise 2: what `audit` reads out of headers and frames leads to the keys of the reduction itself."""
    copy = tmp_path / "downloaded.fits"
    shutil.copyfile(cube_of(reduced), copy)
    again = tmp_path / "again"
    again.mkdir()

    audited = call("audit", copy, "-C", reduced.folder, "--to-config", again / "clio.toml", "--json")
    assert audited.exit_status == 0, audited.stderr
    found = audited.document["files"][0]
    assert [recipe["recipe"] for recipe in found["recipes"]] == [
        *("muse_scibasic", "muse_scipost", "muse_exp_combine"),
    ]
    assert [remark["text"] for remark in found["remarks"] if remark["contradiction"]] == []
    assert all(item["candidates"] for recipe in found["recipes"] for item in recipe["inputs"])
    text = (again / "clio.toml").read_text()
    assert "GUESS" not in text.partition("[data]")[2]
    (again / "clio.toml").write_text(f'{text}\n[clio]\nstore = "{reduced.folder / ".clio"}"\n')
    planned = call("plan", "--json", cwd=again)
    assert planned.exit_status == 0, planned.stderr
    outcomes = {step["stage"]: step["outcome"] for step in planned.document["steps"]}
    # The cube of the dataset is no part of the combined one's lineage, and its parameters are in no header.
    assert {stage for stage, outcome in outcomes.items() if outcome != "hit"} <= {"scipost"}


def test_a_real_cube_is_known_and_cited(reduced: Reduced, tmp_path: Path) -> None:
    copy = tmp_path / "downloaded.fits"
    shutil.copyfile(cube_of(reduced), copy)

    known = json.loads(call("audit", copy, "-C", reduced.folder, "--json").stdout)["files"][0]["known"]
    cited = call("cite", copy, "-C", reduced.folder, "--json").document
    assert known["by"] == "bytes"
    assert [e["known_by"] for e in cited["exposures"]] == ["product"] * 5
    assert cited["programmes"] == ["60.A-9100(X)"]
    assert "through EsoRex 3.13" in cited["methods"]
    assert [r["key"] for r in cited["references"]] == ["Weilbacher2020", "EsoRex", "CPL", "Clio"]
