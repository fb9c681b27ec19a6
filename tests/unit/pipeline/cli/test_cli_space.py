"""`prune`, `pin`, `unpin`, `restore`: what they print on both streams, and what they refuse."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from history import BIAS_UNIT, History, run_id
from test_docs_json import documented, paths
from typer.testing import Result

from pipeline.errors import UsageError
from provenance.dropped import PRUNED, Dropped, DroppedObject
from provenance.errors import StoreMissing
from provenance.model import Purpose
from provenance.prune import IDENTICAL, VERDICT
from provenance.store import Store

Clio = Callable[..., Result]

REASON = ("--reason", "figure 3")


def remember_pruned(workspace: Path, history: History) -> str:
    """Drop the master bias behind the command's back, as a prune of another day."""
    output = history.bias.outputs[0]
    item = DroppedObject(output.digest, output.size, history.bias.run, output.tag, output.name, ("T/b.fits",))
    with Store.open(workspace / ".clio") as store:
        store.statement(PRUNED, Dropped("2027-01-01T00:00:00.000Z", str(workspace), (item,)).document())
        store.objects.drop(output.digest)
    return output.digest


@pytest.mark.parametrize("verb", [("prune",), ("pin", "bias"), ("unpin", "bias"), ("restore", "bias")])
def test_no_store_is_made_where_there_is_none(clio: Clio, tmp_path: Path, verb: tuple[str, ...]) -> None:
    (tmp_path / "clio.toml").write_text("")

    assert isinstance(clio(*verb).exception, StoreMissing)
    assert not (tmp_path / ".clio").exists()


@pytest.mark.usefixtures("history")
def test_prune_says_what_stays_and_why(clio: Clio) -> None:
    result = clio("prune", "--keep-hours", "0")

    assert result.exit_code == 0
    assert result.stdout == "to drop: 0 products, 0 B\n"
    assert result.stderr == "kept: 4 products, 137 B: never proven to come back\n"


@pytest.mark.usefixtures("history")
def test_prune_says_when_it_cannot_free_so_much(clio: Clio) -> None:
    said = clio("prune", "--keep-hours", "0", "--free", "20G").stderr

    assert said.endswith("that is less than 20.0 GB: --prove lets more go; --intermediates may go further\n")


def test_prune_asks_and_without_a_terminal_wants_yes(clio: Clio, history: History, workspace: Path) -> None:
    keep_a_look(workspace)
    result = clio("prune", "--keep-hours", "0")

    assert isinstance(result.exception, UsageError)
    assert result.exception.message == "prune asks before it drops anything, and there is no terminal"
    assert result.exception.hint == "add --yes"
    assert "kept for a look" in clio("prune", "--keep-hours", "0", "--dry-run").stdout
    assert (workspace / ".clio" / "work" / run_id(99)).exists()
    assert "freed " in clio("prune", "--keep-hours", "0", "--yes").stderr
    assert not (workspace / ".clio" / "work" / run_id(99)).exists()
    assert history.bias.run  # the records are untouched


def keep_a_look(workspace: Path) -> None:
    """Leave scratch that was kept for a look."""
    with Store.open(workspace / ".clio") as store:
        (store.work(run_id(99)) / "out" / "half.fits").write_bytes(b"x" * 10_000)
        store.keep_work(run_id(99))


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("size", ["much", "20X", "-1G", "1e3"])
def test_a_size_that_is_none_is_refused(clio: Clio, size: str) -> None:
    result = clio("prune", "--free", size)

    assert isinstance(result.exception, UsageError)
    assert result.exception.message == f"{size} is no size"


def test_pins_are_kept_listed_and_taken_out(clio: Clio, history: History) -> None:
    name = f"MASTER_BIAS MASTER_BIAS-01.fits (bias:{BIAS_UNIT}, {history.bias.outputs[0].digest[7:19]})"

    assert clio("pin", "bias", *REASON).stdout == f"pinned {name}  figure 3\n"
    assert clio("pin", "bias").stdout == f"pinned {name}  figure 3\n"
    assert clio("pin", "--list").stdout.endswith(f"Z {name}  figure 3\n")
    assert clio("unpin", "bias").stdout == f"unpinned {name}  figure 3\n"
    assert clio("pin", "--list").stderr == "nothing is pinned\n"


def test_a_pin_survives_the_index(clio: Clio, history: History, workspace: Path) -> None:
    """Promise 8."""
    clio("pin", "flat", *REASON)
    before = clio("pin", "--list", "--json").stdout
    for path in (workspace / ".clio").glob("provenance.db*"):
        path.unlink()

    assert clio("pin", "--list", "--json").stdout == before
    assert [pin["name"] for pin in json.loads(before)["pins"]] == [o.name for o in history.flat.outputs]


@pytest.mark.usefixtures("history")
def test_pin_takes_products_or_a_list(clio: Clio) -> None:
    for words in (("pin",), ("pin", "bias", "--list")):
        result = clio(*words)

        assert isinstance(result.exception, UsageError)
        assert result.exception.message == "pin takes products, or --list"


@pytest.mark.parametrize("verb", ["pin", "restore"])
def test_what_came_from_outside_is_neither_pinned_nor_restored(
    clio: Clio, history: History, verb: str
) -> None:
    """Promise 10: raw data are never touched."""
    result = clio(verb, history.bias.inputs[0].digest)

    assert isinstance(result.exception, UsageError)
    assert result.exception.message.endswith("came from outside, and is never pruned")


@pytest.mark.usefixtures("history")
def test_only_what_is_pinned_is_unpinned(clio: Clio) -> None:
    result = clio("unpin", "bias")

    assert isinstance(result.exception, UsageError)
    assert (result.exception.message, result.exception.hint) == (
        "bias is not pinned",
        "`clio pin --list` lists what is",
    )


def test_restore_of_what_is_there_says_so(clio: Clio, history: History, workspace: Path) -> None:
    digest = history.bias.outputs[0].digest
    path = workspace / ".clio" / "objects" / digest[7:9] / digest[7:]

    assert clio("restore", "bias").stdout == f"there     MASTER_BIAS      {digest[7:19]}      31 B  {path}\n"


def test_a_pruned_product_is_still_meant_by_its_name(clio: Clio, history: History, workspace: Path) -> None:
    """The link went with the bytes; here nothing can be run again, which is what is said."""
    remember_pruned(workspace, history)
    result = clio("restore", workspace / "products" / "T" / "b.fits")

    assert result.exception is not None
    assert "there is no file" not in str(result.exception)


def test_show_tells_what_is_pinned_and_what_was_pruned(clio: Clio, history: History, workspace: Path) -> None:
    digest = history.bias.outputs[0].digest
    clio("pin", "bias", *REASON)
    assert ": figure 3\n" in clio("show", digest).stdout
    remember_pruned(workspace, history)

    said = f"(pruned 2027-01-01T00:00:00.000Z: `clio restore {digest[7:19]}` brings it back)"
    assert said in clio("show", digest).stdout
    product = json.loads(clio("show", digest, "--json").stdout)["product"]
    assert (product["is_there"], product["pins"][0]["reason"]) == (False, "figure 3")


def test_check_tells_what_was_pruned_from_what_is_lost(clio: Clio, history: History, workspace: Path) -> None:
    digest = remember_pruned(workspace, history)
    result = clio("check")

    assert result.exit_code == 0
    assert f"object {digest[7:19]} of run {history.bias.run} was pruned" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("prune", "--keep-hours", "0", "--dry-run"),
        ("prune", "--keep-hours", "0", "--dry-run", "--prove"),
        ("pin", "bias"),
        ("pin", "--list"),
        ("unpin", "flat"),
        ("restore", "bias"),
        ("show", "PINNED"),
    ],
    ids=" ".join,
)
def test_every_field_is_documented(
    clio: Clio, history: History, workspace: Path, words: tuple[str, ...]
) -> None:
    keep_a_look(workspace)
    clio("pin", "flat", *REASON)
    with Store.open(workspace / ".clio") as store:
        again = replace(history.bias, run=run_id(50), purpose=Purpose.REPLAY)
        store.commit(store.action(again.action), again)
        store.statement(VERDICT, {"run": history.flat.run, "verdict": IDENTICAL})
    named = {"PINNED": history.flat.outputs[0].digest}
    document = json.loads(clio(*(named.get(word, word) for word in words), "--json").stdout)

    known = documented(document["schema"])
    assert set(paths(document, known)) - known.keys() == set()
