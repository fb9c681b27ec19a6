"""`audit`: what it prints of files of every origin, and the settings that it writes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import image, primary, write_night
from fakes import Workspace, install_image
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.errors import UsageError
from pipeline.model import Stage

Clio = Callable[..., Result]


def document(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["schema"] == "clio-audit/1"
    return found


def edited(path: Path, old: bytes, new: bytes) -> Path:
    """Copy a product with some bytes of it set otherwise, and no checksum any more."""
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    copy = path.parents[3] / f"edited-{path.name}"
    copy.write_bytes(content.replace(old, new))
    return copy


@pytest.fixture
def reduced(clio: Clio, tmp_path: Path) -> Workspace:
    """A workspace whose calibrations are made."""
    workspace = Workspace.make(tmp_path / "galaxy")
    workspace.run(Stage.BIAS, Stage.FLAT)
    install_image(tmp_path / "cache")
    return workspace


def flat_of(workspace: Workspace) -> Path:
    return sorted((workspace.root / "products").rglob("MASTER_FLAT-01.fits"))[0]


def test_a_product_of_the_store_has_its_lineage(clio: Clio, reduced: Workspace) -> None:
    """Promise 2: under any name, anywhere."""
    copy = reduced.root.parent / "downloaded.fits"
    shutil.copyfile(flat_of(reduced), copy)

    found = document(clio("audit", copy, "-C", reduced.root, "--json"))["files"][0]
    assert found["known"]["by"] == "bytes"
    assert found["recipes"][0]["standing"] == "proven"
    assert found["lineage"]["direction"] == "up"
    shown = clio("audit", copy, "-C", reduced.root).stdout
    assert "MASTER_FLAT" in shown
    assert "BIAS: 3 raw frames" in shown


def test_an_edited_card_is_found_by_the_data(clio: Clio, reduced: Workspace) -> None:
    copy = edited(flat_of(reduced), b"'sigclip '", b"'average '")

    found = document(clio("audit", copy, "-C", reduced.root, "--json"))["files"][0]
    assert found["known"]["by"] == "data units"
    assert not found["known"]["is_but_for_names"]
    told = [remark["text"] for remark in found["remarks"] if remark["contradiction"]]
    assert any("the header says combine = average" in text for text in told)
    standings = {p["name"]: p["standing"] for p in found["recipes"][0]["parameters"]}
    assert (standings["combine"], standings["order"]) == ("claimed", "proven")


def test_a_frame_of_the_right_name_and_other_data_is_none(clio: Clio, reduced: Workspace) -> None:
    raw = reduced.raw("FLAT")[0]
    other = reduced.root.parent / "other"
    other.mkdir()
    content = bytearray(raw.read_bytes())
    content[-2880] ^= 1
    (other / raw.name).write_bytes(content)

    words = ("audit", flat_of(reduced), "-C", reduced.root, "--raw", other, "--json")
    found = document(clio(*words))["files"][0]
    first = next(i for i in found["recipes"][0]["inputs"] if i["name"] == raw.name)
    assert first["standing"] == "proven"
    against = {c["path"]: c["against"] for c in first["candidates"]}
    assert against.pop(str(other / raw.name)).startswith("its data are none of the FLAT that run")
    assert set(against.values()) == {""}


def test_without_a_workspace_the_header_is_read(clio: Clio, reduced: Workspace) -> None:
    found = document(clio("audit", flat_of(reduced), "--json"))

    assert found["files"][0]["known"] is None
    assert [recipe["recipe"] for recipe in found["files"][0]["recipes"]] == ["muse_flat"]
    assert {item["standing"] for item in found["files"][0]["recipes"][0]["inputs"]} == {"claimed"}
    assert any(text.startswith("a store: no clio.toml") for text in found["not_looked_at"])


def test_inputs_are_found_in_a_folder(clio: Clio, reduced: Workspace) -> None:
    found = document(clio("audit", flat_of(reduced), "--raw", reduced.root / "raw", "--json"))

    inputs = found["files"][0]["recipes"][0]["inputs"]
    flats = [item for item in inputs if item["tag"] == "FLAT"]
    assert len(flats) == 3
    assert all(item["candidates"][0]["by"] == ["name", "ARCFILE"] for item in flats)


def test_what_cannot_be_read_does_not_stop_the_others(clio: Clio, reduced: Workspace) -> None:
    """Promise 6."""
    (reduced.root.parent / "text.fits").write_text("no FITS at all")

    result = clio("audit", "text.fits", flat_of(reduced), "--json")
    assert result.exit_code == 3
    found = document(result)
    assert len(found["files"]) == 1
    assert found["unreadable"] == [{"path": "text.fits", "reason": "text.fits is not a FITS file"}]


def test_files_that_say_nothing_are_unknown(clio: Clio, tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(primary() + image("DATA", [1]))

    found = document(clio("audit", "a.fits", "--json"))["files"][0]
    assert found["kind"] == "file"
    assert {
        "name": "recipe",
        "value": "",
        "standing": "unknown",
        "why": "no header has ESO PRO RECn",
    } in found["facts"]


def test_settings_are_written_that_are_right(clio: Clio, reduced: Workspace, tmp_path: Path) -> None:
    write_night(tmp_path / "again")
    target = tmp_path / "again" / "clio.toml"
    raw = reduced.root / "raw"

    result = clio("audit", flat_of(reduced), "--raw", raw, "--to-config", target)
    assert result.stdout.splitlines()[-1] == str(target)
    text = target.read_text()
    assert "#   clio run --last flat\n#   clio audit FILE\n" in text
    assert f'"{raw}/MUSE.' in text
    assert clio("config", "check", "-C", tmp_path / "again").exit_code == 0
    with pytest.raises(UsageError, match="is there already"):
        raise clio("audit", flat_of(reduced), "--to-config", target).exception  # type: ignore[misc]


def test_every_field_is_documented(clio: Clio, reduced: Workspace) -> None:
    found = document(clio("audit", flat_of(reduced), "-C", reduced.root, "--json"))

    known = documented("clio-audit/1")
    assert set(paths(found, known)) - known.keys() == set()


def test_what_a_recipe_read_is_found_where_the_store_lies_now(clio: Clio, reduced: Workspace) -> None:
    """Promise 2: not where it lay when it was read."""
    copy = edited(flat_of(reduced), b"'sigclip '", b"'average '")
    moved = reduced.root.rename(reduced.root.with_name("moved"))
    copy = moved / copy.relative_to(reduced.root)

    found = document(clio("audit", copy, "-C", moved, "--json"))["files"][0]

    (bias,) = (item for item in found["recipes"][-1]["inputs"] if item["tag"] == "MASTER_BIAS")
    assert [Path(item["path"]).is_relative_to(moved) for item in bias["candidates"]] == [True]
