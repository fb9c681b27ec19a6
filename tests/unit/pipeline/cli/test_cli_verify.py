"""`trace --sidecar` and `verify`: the two ends of a product's sidecar."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from history import History
from typer.testing import Result

from pipeline.errors import UsageError
from pipeline.exchange.verified import SidecarRefused
from provenance.store import Store

Clio = Callable[..., Result]


@pytest.fixture
def product(workspace: Path, history: History) -> Path:
    """Put a product where a person would have it."""
    made = history.flat.outputs[0]
    path = workspace / made.name
    with Store.open(workspace / ".clio") as store:
        path.write_bytes(store.objects.path(made.digest).read_bytes())
    return path


def test_a_sidecar_lies_beside_its_product_and_says_so(clio: Clio, product: Path) -> None:
    result = clio("trace", product, "--sidecar")
    beside = product.with_name("MASTER_FLAT-01.fits.prov.json")

    assert result.stdout == f"{beside}\n"
    assert "clio verify MASTER_FLAT-01.fits" in result.stderr
    assert json.loads(beside.read_bytes())["product"]["tag"] == "MASTER_FLAT"


def test_verify_needs_no_workspace(
    clio: Clio, product: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clio("trace", product, "--sidecar")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in (product, product.with_name(product.name + ".prov.json")):
        (elsewhere / path.name).write_bytes(path.read_bytes())
    result = clio("verify", elsewhere / product.name)

    assert (result.exit_code, result.stdout) == (0, f"{elsewhere / product.name}: identical\n")
    assert "MASTER_FLAT of muse_flat" in result.stderr


def test_verify_leaves_with_7_and_names_what_moved(clio: Clio, product: Path, history: History) -> None:
    clio("trace", product, "--sidecar")
    product.write_bytes(b"another")
    result = clio("verify", product, "--json")
    told = json.loads(result.stdout)

    assert result.exit_code == 7
    assert told["schema"] == "clio-verify/1"
    assert told["files"][0]["verdict"] == "different"
    assert told["files"][0]["recorded"]["digest"] == history.flat.outputs[0].digest
    assert told["files"][0]["moved"]


def test_verify_takes_several_products_and_fails_if_one_does(clio: Clio, product: Path) -> None:
    clio("trace", product, "--sidecar")
    other = product.with_name("copy.fits")
    other.write_bytes(b"another")
    other.with_name("copy.fits.prov.json").write_bytes(
        product.with_name(product.name + ".prov.json").read_bytes()
    )
    result = clio("verify", product, other)

    assert result.exit_code == 7
    assert f"{product}: identical" in result.stdout
    assert f"{other}: different" in result.stdout
    assert isinstance(clio("verify", product, other, "--sidecar", "x").exception, UsageError)


def test_a_sidecar_may_lie_elsewhere(clio: Clio, product: Path, tmp_path: Path) -> None:
    clio("trace", product, "--sidecar")
    moved = product.with_name(product.name + ".prov.json").rename(tmp_path / "kept.json")

    assert clio("verify", product, "--sidecar", moved).exit_code == 0
    assert isinstance(clio("verify", product).exception, SidecarRefused)


@pytest.mark.parametrize("reference", ["flat", "nothing.fits"])
def test_a_sidecar_is_of_a_file_that_is_there(reference: str, clio: Clio, product: Path) -> None:
    refused = clio("trace", reference, "--sidecar").exception

    assert isinstance(refused, UsageError)
    assert refused.message == f"{reference} is no file: a sidecar lies beside a product"


def test_a_file_nobody_made_has_no_sidecar(clio: Clio, product: Path) -> None:
    product.write_bytes(b"edited")
    refused = clio("trace", product, "--sidecar").exception

    assert isinstance(refused, UsageError)
    assert "no run of this store made" in refused.message


def test_what_was_written_is_told_as_a_document(clio: Clio, product: Path) -> None:
    told = json.loads(clio("trace", product, "--sidecar", "--json").stdout)

    assert told["schema"] == "clio-sidecar-written/1"
    assert told["bytes"] == Path(told["path"]).stat().st_size
