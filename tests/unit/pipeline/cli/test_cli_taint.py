"""The verb `taint`, and `trace --down` of anything."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from history import BIAS_UNIT, FLAT_UNIT, IMAGE, History, call, keep, outcome, product, raw
from typer.testing import Result

from pipeline.errors import UsageError
from provenance.store import Store

Clio = Callable[..., Result]

BIAS = f"bias:{BIAS_UNIT}"
FLAT = f"flat:{FLAT_UNIT}"
DARK = raw("DARK", 9)


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def words(result: Result) -> str:
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def refused(result: Result) -> UsageError:
    assert isinstance(result.exception, UsageError), result.output + repr(result.exception)
    return result.exception


def reduced(workspace: Path, history: History) -> None:
    """Make the flat and the exposure part of the newest reduction."""
    with Store.open(workspace / ".clio") as store:
        call(store, 20, workspace, outcome(history.flat, "ran"), outcome(history.exposure, "hit"))


def with_a_dark(workspace: Path) -> None:
    """Add a run that reads a raw frame of a name of its own."""
    with Store.open(workspace / ".clio") as store:
        made = (product(store, "MASTER_DARK", "MASTER_DARK.fits"),)
        keep(store, "muse_dark", 9, "a unit", inputs=(DARK,), outputs=made)


def test_what_is_tainted_is_said_with_what_it_reaches(clio: Clio, history: History) -> None:
    told = words(clio("taint", BIAS, "--reason", "bad disk"))

    assert f"run {history.bias.run} of {BIAS} is tainted: bad disk" in told
    assert "it reaches 4 runs with 4 products, 0 of them in the newest reduction" in told
    with Store.open(Path(".clio")) as store:
        assert not store.lookup(history.bias.action).is_hit


@pytest.mark.parametrize(
    ("reference", "kind", "reached"),
    [
        (FLAT, "run", 2),
        (DARK.name, "frame", 1),
        (DARK.name.removesuffix(".fits"), "frame", 1),
        ("digest of a raw frame", "frame", 4),
        ("digest of a static", "frame", 2),
        ("digest of a product", "product", 4),
        (IMAGE[7:19], "image", 5),
        ("muse_flat.order=7", "parameter", 2),
        ("muse.muse_flat.order=7.0", "parameter", 2),
    ],
)
def test_anything_can_be_tainted(
    clio: Clio, history: History, workspace: Path, reference: str, kind: str, reached: int
) -> None:
    with_a_dark(workspace)
    known = {
        "digest of a raw frame": raw("BIAS", 2).digest,
        "digest of a static": history.exposure.inputs[0].digest,
        "digest of a product": history.bias.outputs[0].digest,
    }

    found = document(clio("taint", known.get(reference, reference), "--reason", "bad", "--json"))

    assert found["schema"] == "clio-taint/1"
    (one,) = found["taints"]
    assert (one["kind"], one["reached_runs"], one["reason"]) == (kind, reached, "bad")


def test_a_frame_no_run_has_read_yet_can_be_tainted(clio: Clio, history: History, tmp_path: Path) -> None:
    from builders import write_raw

    path = write_raw(tmp_path / "raw", "BIAS", 60000.0)

    (one,) = document(clio("taint", path, "--reason", "light leak", "--json"))["taints"]

    assert (one["kind"], one["name"], one["reached_runs"]) == ("frame", f"BIAS {path.name}", 0)
    assert one["data_digest"].startswith("fits1:")


def test_it_is_listed_cleared_and_remembered(clio: Clio, history: History, workspace: Path) -> None:
    reduced(workspace, history)
    (said,) = document(clio("taint", FLAT, "--reason", "bad", "--json"))["taints"]

    listed = words(clio("taint", "--list"))
    cleared = words(clio("taint", "--clear", FLAT, "--reason", "it was not"))

    assert listed.startswith(f"{said['taint'][7:19]}  run {history.flat.run} of {FLAT} is tainted: bad\n")
    assert "reaches 2 runs with 3 products, 3 of them in the newest reduction" in listed
    assert cleared == f"cleared: run {history.flat.run} of {FLAT}: bad\n"
    assert "nothing is tainted" in words(clio("taint", "--list"))
    (back,) = document(clio("taint", "--list", "--all", "--json"))["taints"]
    assert (back["cleared_reason"], back["taint"]) == ("it was not", said["taint"])
    assert "cleared" in words(clio("taint", "--list", "--all"))


def test_it_is_cleared_by_its_own_digits_too(clio: Clio, history: History) -> None:
    (said,) = document(clio("taint", IMAGE, "--reason", "bad", "--json"))["taints"]

    assert words(clio("taint", "--clear", said["taint"][7:19], "--reason", "x")).startswith("cleared: image")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([BIAS], "a taint needs its reason"),
        ([], "taint takes one thing with --reason, or --list"),
        (["--list", BIAS], "taint takes one thing with --reason, or --list"),
        (["muse_flat.order=9", "--reason", "x"], "no run had muse_flat.order=9"),
        (["muse_flat.ordre=7", "--reason", "x"], "no run had a parameter muse_flat.ordre"),
        (["MUSE.2020-01-01T00:00:00.000", "--reason", "x"], "no run of this store read MUSE"),
        (["--clear", BIAS, "--reason", "x"], "nothing is tainted"),
    ],
    ids=["no reason", "nothing", "both", "value", "parameter", "frame", "clear"],
)
def test_what_cannot_be_meant_is_refused(
    clio: Clio, history: History, given: list[str], message: str
) -> None:
    assert refused(clio("taint", *given)).message.startswith(message)


def test_the_values_that_runs_had_are_named(clio: Clio, history: History) -> None:
    assert refused(clio("taint", "muse_flat.order=9", "--reason", "x")).hint == "runs had 5, 7"


def test_twice_the_same_is_refused(clio: Clio, history: History) -> None:
    clio("taint", BIAS, "--reason", "bad")

    assert refused(clio("taint", BIAS, "--reason", "worse")).message.endswith("is tainted: bad already")


def test_show_names_the_taint_and_the_way_it_came(clio: Clio, history: History) -> None:
    clio("taint", BIAS, "--reason", "bad disk")
    said = f"run {history.bias.run} of {BIAS} is tainted: bad disk"
    made = history.bias.outputs[0]

    assert f"tainted     {said}" in words(clio("show", BIAS))
    through = f"tainted     through MASTER_BIAS {made.digest[7:19]} of {BIAS}: {said}"
    assert through in words(clio("show", FLAT))
    (mark,) = document(clio("show", made.digest, "--json"))["product"]["taints"]
    assert (mark["kind"], mark["subject"], mark["through"]) == ("run", history.bias.run, None)


def test_show_of_a_frame_names_its_taint(clio: Clio, history: History) -> None:
    frame = raw("FLAT", 2)
    clio("taint", frame.digest, "--reason", "a lamp was off")

    assert f"tainted     FLAT {frame.name} is tainted: a lamp was off" in words(clio("show", frame.digest))


def test_trace_shows_taints_up_and_down(clio: Clio, history: History) -> None:
    clio("taint", BIAS, "--reason", "bad disk")
    made = history.exposure.outputs[0].digest

    tree = words(clio("trace", made))
    assert "tainted: bad disk" in tree
    assert f"tainted through MASTER_BIAS {history.bias.outputs[0].digest[7:19]} of {BIAS}: bad disk" in tree
    found = document(clio("trace", made, "--json"))
    assert all(run["taints"] for run in found["runs"])
    bias = next(item for item in found["artifacts"] if item["digest"] == history.bias.outputs[0].digest)
    assert [mark["reason"] for mark in bias["taints"]] == ["bad disk"]


def test_without_taints_none_are_told(clio: Clio, history: History) -> None:
    found = document(clio("trace", history.exposure.outputs[0].digest, "--json"))

    assert {len(item["taints"]) for item in (*found["runs"], *found["artifacts"])} == {0}


@pytest.mark.parametrize("reference", ["muse_flat.order=7", IMAGE[7:19]])
def test_down_from_what_many_runs_have_in_common_is_a_table(
    clio: Clio, history: History, workspace: Path, reference: str
) -> None:
    reduced(workspace, history)

    lines = clio("trace", "--down", reference).stdout.splitlines()

    rows = {line.split()[1 if line.startswith("*") else 0]: line for line in lines[1:]}
    assert rows[FLAT].startswith("*")
    assert "MASTER_FLAT, TRACE_TABLE" in rows[FLAT]
    assert BIAS not in rows or not rows[BIAS].startswith("*")


def test_down_from_a_parameter_by_its_option(clio: Clio, history: History, workspace: Path) -> None:
    reduced(workspace, history)

    found = document(clio("trace", "--down", "--parameter", "muse_flat.order=7", "--json"))

    assert (found["schema"], found["subject"]["kind"]) == ("clio-blast/1", "parameter")
    assert [run["run"] for run in found["runs"]] == [history.flat.run, history.exposure.run]
    assert [run["is_newest"] for run in found["runs"]] == [True, True]
    assert (found["reached_products"], found["newest_products"]) == (3, 3)


def test_down_from_a_frame_by_its_name_in_the_archive(clio: Clio, history: History, workspace: Path) -> None:
    with_a_dark(workspace)

    tree = words(clio("trace", "--down", DARK.name))
    table = document(clio("trace", "--down", DARK.name, "--format", "table", "--json"))

    assert "dark:a unit" in tree
    assert [run["step"] for run in table["runs"]] == ["dark:a unit"]


def test_a_name_of_several_frames_is_not_guessed(clio: Clio, history: History) -> None:
    found = refused(clio("taint", raw("BIAS", 2).name, "--reason", "x"))

    assert "was 2 different files" in found.message


def test_long_tables_are_told_by_stage(clio: Clio, history: History, workspace: Path) -> None:
    with Store.open(workspace / ".clio") as store:
        for number in range(10, 50):
            made = (product(store, "MASTER_DARK", f"{number}.fits"),)
            keep(store, "muse_dark", number, f"unit {number}", inputs=(raw("DARK", 1),), outputs=made)

    short = clio("trace", "--down", IMAGE)
    whole = clio("trace", "--down", IMAGE, "--all")

    assert short.stdout.splitlines()[0].split() == ["stage", "runs", "products", "of", "these", "now"]
    assert len(short.stdout.splitlines()) == 5
    assert history.bias.run[:18] in whole.stdout


def test_a_table_and_a_parameter_need_down(clio: Clio, history: History) -> None:
    assert "--down" in refused(clio("trace", BIAS, "--format", "table")).message
    assert "--down" in refused(clio("trace", "--parameter", "muse_flat.order=7")).message
    assert "one thing" in refused(clio("trace", "--down")).message


def test_status_names_a_few_of_what_is_tainted() -> None:
    from pipeline.blast import Blast
    from pipeline.cli.taint import taint_words
    from provenance.taints import Taint, Tainted, TaintKind

    many = {
        Taint(str(n), Tainted(TaintKind.IMAGE, IMAGE, "image", f"bad {n}", "2026")): Blast(())
        for n in range(5)
    }

    lines = list(taint_words(many))

    assert lines[0].startswith(f"taint: image {IMAGE[7:19]} is tainted: bad 4; it reaches 0 runs")
    assert lines[3:] == ["taints: 2 more; all of them: clio taint --list"]
