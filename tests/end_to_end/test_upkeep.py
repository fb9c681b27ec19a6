"""Prune what is proven to come back, check, restore it: with the real recipe, by the installed command.

The bias step alone: seconds, and the whole of the protocol.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.commands import call, new_workspace

BUBBLEWRAP = ("--engine", "bubblewrap")


@pytest.fixture(scope="module")
def workspace(image: str, night: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace of two reductions: a bias with a parameter that was changed back, so that one is old."""
    folder = new_workspace(tmp_path_factory.mktemp("upkeep"), night, image)
    settings = folder / "clio.toml"
    text = settings.read_text()
    settings.write_text(f"{text}\n[recipes.muse_bias]\nlosigmabadpix = 20\n")
    assert call("run", "bias", *BUBBLEWRAP, cwd=folder).exit_status == 0
    settings.write_text(text)
    done = call("run", "bias", *BUBBLEWRAP, "--json", cwd=folder)
    assert done.exit_status == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


def test_what_is_pruned_comes_back_to_the_byte_and_what_is_pinned_stays(workspace: Path) -> None:
    """Promises 1, 4 and 7: the old biases are proven, pruned and restored; the new ones stay."""
    shown = {path: path.read_bytes() for path in (workspace / "products").rglob("*.fits")}
    unproven = call("prune", "--keep-hours", "0", "--dry-run", "--json", cwd=workspace).document
    assert (unproven["drops"], unproven["done"]) == ([], False)
    pruned = call(
        *("prune", "--keep-hours", "0", "--prove", "--yes", "--json", *BUBBLEWRAP), cwd=workspace
    ).document
    dropped = [product for drop in pruned["drops"] for product in drop["products"]]
    store = workspace / ".clio" / "objects"

    def place(product: dict[str, str]) -> Path:
        return store / product["digest"][7:9] / product["digest"][7:]

    assert [proof["verdict"] for proof in pruned["proofs"]] == ["identical"] * 2
    assert {product["tag"] for product in dropped} == {"MASTER_BIAS"}
    assert pruned["freed_bytes"] > 100_000_000
    assert not any(place(product).exists() for product in dropped)
    check = call("check", "--deep", "--json", cwd=workspace)
    assert (check.exit_status, check.document["damage"]) == (0, [])
    assert sum("was pruned" in remark["message"] for remark in check.document["remarks"]) == 2
    assert call("run", "bias", *BUBBLEWRAP, "--json", cwd=workspace).ran == []

    restored = call("restore", dropped[0]["digest"], *BUBBLEWRAP, "--json", cwd=workspace)
    assert restored.exit_status == 0, restored.stderr
    assert (place(dropped[0]).exists(), place(dropped[1]).exists()) == (True, False)
    check = call("check", "--deep", "--json", cwd=workspace)
    assert (check.exit_status, check.document["damage"]) == (0, [])
    assert {path: path.read_bytes() for path in shown} == shown
    assert call("run", "bias", *BUBBLEWRAP, "--json", cwd=workspace).ran == []

    # What is pinned stays, whatever else goes. In the same test: this prunes what the one above looks at.
    pinned = call("pin", "bias", "--reason", "figure 3", "--json", cwd=workspace).document["pins"]
    words = ("prune", "--keep-hours", "0", "--intermediates", "--prove", "--yes", "--json", *BUBBLEWRAP)
    pruned = call(*words, cwd=workspace).document
    gone = {product["digest"] for drop in pruned["drops"] for product in drop["products"]}

    assert len(pinned) == 2
    assert {kept["reason"] for kept in pruned["kept"]} >= {"pinned"}
    assert not gone & {pin["digest"] for pin in pinned}
    assert all(link.exists() for link in (workspace / "products").rglob("*.fits"))
