"""`show`, `trace` and `why`: what they print on both streams, and what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import write_night
from fakes import install_image
from history import (
    BROKEN_UNIT,
    EXPOSURE_UNIT,
    FLAT_UNIT,
    IMAGE,
    History,
    call,
    keep,
    outcome,
    product,
    run_id,
    used,
)
from typer.testing import Result

from pipeline.cli import drawing
from pipeline.errors import UsageError
from provenance.model import Status
from provenance.store import Store

Clio = Callable[..., Result]


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.exception
    return [line.rstrip() for line in result.stdout.splitlines()]


def document(result: Result) -> dict[str, Any]:
    assert (result.exit_code, result.stderr) == (0, "")
    found: dict[str, Any] = json.loads(result.stdout)
    assert next(iter(found)) == "schema"
    return found


def short(digest: str) -> str:
    return digest[7:19]


# show


def test_show_describes_a_run_in_full(clio: Clio, history: History) -> None:
    flat, master = history.flat, history.flat.outputs[0]

    shown = lines(clio("show", f"flat:{FLAT_UNIT}"))
    assert shown[:12] == [
        f"run {flat.run}",
        f"  step        flat:{FLAT_UNIT}",
        "  status      ok",
        "  recipe      muse_flat",
        f"  image       {IMAGE}, linux/amd64, numerics pinned",
        "  engine      fake 1.0",
        "  when        2026-11-23T00:02:00.000Z to 2026-11-23T00:02:12.500Z, wall 12.5 s",
        "  cpu         11.0 s user, 0.5 s system, 1 thread",
        "  memory      907.3 MB at most",
        "  clock       frozen at 2026-11-23T00:02:00Z",
        f"  action      {flat.action}",
        "parameters not at their default (1 of 2; --all shows the rest)",
    ]
    assert "  muse.muse_flat.order = 7" in shown
    bias = flat.inputs[-1]
    assert f"  MASTER_BIAS      {short(bias.digest)}  {bias.name}  /store/object" in shown
    data = (master.data_digest or "")[6:18]
    assert f"  MASTER_FLAT      {short(master.digest)}  data {data}       31 B  {master.name}" in shown
    assert shown[-5:] == [
        "associations",
        "  MASTER_BIAS      2026-01-15T13:59:52: level 1, 1.6 h away",
        "                   not 2026-01-14: 23 h away",
        "QC of MASTER_FLAT-01.fits (1 of 2; --all shows the rest)",
        "  ESO QC FLAT MASTER MEAN = 37477.18",
    ]


def test_show_leaves_nothing_out_with_all(clio: Clio, history: History) -> None:
    shown = lines(clio("show", history.flat.run, "--all"))

    assert "parameters (2)" in shown
    assert "  muse.muse_flat.combine = sigclip (default)" in shown
    assert "  muse.muse_flat.order = 7" in shown
    assert "  ESO QC FLAT INPUT1 MEAN = 3.5" in shown


def test_show_gives_cause_and_reason_of_a_failure(clio: Clio, history: History) -> None:
    shown = lines(clio("show", f"flat:{BROKEN_UNIT}"))

    assert shown[2:7] == [
        "  status      failed",
        "  cause       recipe error",
        "  reason      muse_flat: no light in IFU 2",
        "  ended with  exit status 255",
        "  its log     0 warnings, 1 error (--log prints it)",
    ]
    assert f"run {history.broken.run}" == shown[0]


@pytest.mark.usefixtures("history")
def test_show_gives_the_caveats(clio: Clio) -> None:
    shown = lines(clio("show", "scibasic"))

    assert "  status      ok with caveats" in shown
    assert "  caveat      the flat-field spectrum was taken out again" in shown


def test_show_describes_a_product_before_its_run(clio: Clio, history: History, workspace: Path) -> None:
    made = history.flat.outputs[0]
    artifact = workspace / ".clio" / "objects" / made.digest[7:9] / made.digest[7:]
    (workspace / "flat.fits").hardlink_to(artifact)

    shown = lines(clio("show", "flat.fits"))
    assert shown[:10] == [
        "product MASTER_FLAT MASTER_FLAT-01.fits",
        f"  digest      {made.digest}",
        f"  data digest {made.data_digest}",
        "  size        31 bytes",
        f"  lies at     {artifact}",
        f"  read by     scibasic:{EXPOSURE_UNIT} (run {history.exposure.run})",
        "QC of MASTER_FLAT-01.fits (1 of 2; --all shows the rest)",
        "  ESO QC FLAT MASTER MEAN = 37477.18",
        "made by",
        f"run {history.flat.run}",
    ]


def test_show_says_when_the_bytes_of_a_product_are_gone(
    clio: Clio, history: History, workspace: Path
) -> None:
    made = history.flat.outputs[0]
    (workspace / ".clio" / "objects" / made.digest[7:9] / made.digest[7:]).unlink()

    shown = clio("show", made.digest).stdout
    assert f"{made.digest[7:]} (not there: `clio run` makes it again)" in shown


def test_show_describes_a_frame_from_outside(clio: Clio, history: History) -> None:
    frame = history.bias.inputs[0]

    assert lines(clio("show", frame.digest)) == [
        f"frame BIAS {frame.name}, from outside: no run of this store made it",
        f"  digest      {frame.digest}",
        f"  data digest {frame.data_digest}",
        "  size        100 bytes",
        "  seen at     /data/raw/BIAS-1",
        f"  read by     bias:2026-01-15T13:59:52:01 (run {history.bias.run})",
    ]


@pytest.mark.usefixtures("history")
def test_show_lists_the_steps_of_a_stage(clio: Clio) -> None:
    result = clio("show", "flat")

    assert [line.split() for line in lines(result)] == [
        ["step", "status", "started", "wall", "s", "products"],
        [f"flat:{FLAT_UNIT}", "ok", "2026-11-23T00:02:00.000Z", "12.5", "MASTER_FLAT,", "TRACE_TABLE"],
        [f"flat:{BROKEN_UNIT}", "failed", "2026-11-23T00:03:00.000Z", "12.5"],
    ]
    assert result.stderr == "2 steps, the newest run of each; name one to see it in full\n"


def test_show_prints_the_log(clio: Clio, history: History) -> None:
    result = clio("show", history.broken.run, "--log")

    assert (result.stdout, result.stderr) == ("[ ERROR ] no light in IFU 2\n", "")
    assert document(clio("show", history.broken.run, "--log", "--json")) == {
        "schema": "clio-log/1",
        "run": history.broken.run,
        "digest": history.broken.log,
        "text": "[ ERROR ] no light in IFU 2\n",
    }


def test_show_as_json_holds_the_record_and_the_action(clio: Clio, history: History) -> None:
    made = history.flat.outputs[0]

    found = document(clio("show", made.digest, "--json"))
    assert list(found) == [
        *("schema", "reference", "kind", "product", "run", "action"),
        *("accepted", "verdicts", "taints", "imported"),
    ]
    assert (found["schema"], found["kind"]) == ("clio-show/1", "product")
    assert found["product"]["digest"] == made.digest
    assert found["product"]["qc"] == dict(made.qc)
    assert found["product"]["read_by"][0]["step"] == f"scibasic:{EXPOSURE_UNIT}"
    assert found["run"]["step"] == f"flat:{FLAT_UNIT}"
    assert found["run"]["changed_parameters"] == {"muse.muse_flat.order": "7"}
    assert found["run"]["association"][0]["level"] == 1
    assert found["action"]["image"] == {"config": IMAGE, "platform": "linux/amd64"}


@pytest.mark.usefixtures("history")
def test_show_as_json_of_other_things_says_its_kind(clio: Clio, history: History) -> None:
    run = document(clio("show", "bias", "--json"))
    frame = document(clio("show", history.bias.inputs[0].digest, "--json"))
    steps = document(clio("show", "flat", "--json"))

    assert (run["kind"], run["product"]) == ("run", None)
    assert (frame["kind"], frame["frame"]["tag"]) == ("frame", "BIAS")
    assert (steps["kind"], [row["status"] for row in steps["runs"]]) == ("steps", ["ok", "failed"])


@pytest.mark.usefixtures("history")
def test_show_refuses_what_it_does_not_know(clio: Clio) -> None:
    result = clio("show", "flat:3000")

    assert isinstance(result.exception, UsageError)
    assert result.exception.message == "no step of flat that ran is 3000"
    assert result.stdout == ""


# trace


def test_trace_draws_what_is_shared_once_and_folds_raw_frames(clio: Clio, history: History) -> None:
    """Each run is drawn where it is met first; caveats stand at the product that carries them."""
    result = clio("trace", "scibasic")

    bias, flat, trace = (short(output.digest) for output in (history.bias.outputs[0], *history.flat.outputs))
    read = {item.tag: short(item.digest) for item in history.exposure.inputs}
    assert lines(result) == [
        f"PIXTABLE_OBJECT {short(history.exposure.outputs[0].digest)} from scibasic:{EXPOSURE_UNIT}",
        "muse_scibasic, image 5a5a5a5a5a5a",
        "caveat: the flat-field spectrum was taken out again",
        "├── static calibrations: "
        f"BADPIX_TABLE {read['BADPIX_TABLE']}, GEOMETRY_TABLE {read['GEOMETRY_TABLE']}",
        f"├── OBJECT MUSE.2026-01-15T14:01:00.000.fits {read['OBJECT']}",
        f"├── MASTER_BIAS {bias} from bias:2026-01-15T13:59:52:01",
        "│   muse_bias, image 5a5a5a5a5a5a",
        "│   └── BIAS: 3 raw frames, MUSE.2026-01-15T14:01:00.000.fits to MUSE.2026-01-15T14:03:00.000.fits",
        f"├── MASTER_FLAT {flat} from flat:{FLAT_UNIT}",
        "│   muse_flat, image 5a5a5a5a5a5a, order=7",
        "│   ├── FLAT: 3 raw frames, MUSE.2026-01-15T14:01:00.000.fits to MUSE.2026-01-15T14:03:00.000.fits",
        f"│   ├── BADPIX_TABLE BADPIX_TABLE_{read['BADPIX_TABLE']}.fits {read['BADPIX_TABLE']}",
        f"│   └── MASTER_BIAS {bias} from bias:2026-01-15T13:59:52:01 (see above)",
        f"└── TRACE_TABLE {trace} from flat:{FLAT_UNIT} (see above)",
    ]
    assert result.stderr == "4 products, 3 runs, 9 files from outside\n"


def test_trace_names_every_frame_and_its_place_with_all(clio: Clio, history: History) -> None:
    shown = lines(clio("trace", "bias", "--all"))

    assert shown[2:] == [
        f"{'└' if n == 3 else '├'}── BIAS {item.name} {short(item.digest)} /data/raw/BIAS-{n}"
        for n, item in enumerate(history.bias.inputs, 1)
    ]


def test_trace_lists_several_known_products_in_a_line(clio: Clio, history: History, workspace: Path) -> None:
    with Store.open(workspace / ".clio") as store:
        inputs = tuple(used(output) for run in (history.exposure, history.flat) for output in run.outputs)
        cube = (product(store, "DATACUBE_STD", "DATACUBE_STD.fits"),)
        keep(store, "muse_standard", 5, "2026-01-16T01:42:00.490", inputs=inputs, outputs=cube)
    shown = lines(clio("trace", "standard"))

    flat, trace = (short(output.digest) for output in history.flat.outputs)
    assert shown[-1] == f"└── see above: MASTER_FLAT {flat}, TRACE_TABLE {trace}"


def test_trace_shows_the_first_of_very_many_products(
    clio: Clio, history: History, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of exposures fit no terminal."""
    monkeypatch.setattr(drawing, "_MOST_BRANCHES", 2)
    monkeypatch.setattr(drawing, "_SHOWN", 1)
    with Store.open(workspace / ".clio") as store:
        tables = []
        for n in (1, 2, 3):
            name = f"PIXTABLE_REDUCED_{n}.fits"
            made = (product(store, "PIXTABLE_REDUCED", name),)
            keep(store, "muse_scipost", 5 + n, f"exposure {n}", inputs=(), outputs=made)
            tables.append(used(made[0]))
        cube = (product(store, "DATACUBE_STD", "DATACUBE_STD.fits"),)
        keep(store, "muse_standard", 9, "night", inputs=tuple(tables), outputs=cube)

    shown = lines(clio("trace", "standard"))
    assert [line for line in shown if "PIXTABLE_REDUCED" in line][1:] == [
        "└── 2 more PIXTABLE_REDUCED, the last of scipost:exposure 3 (--all shows them)"
    ]
    assert sum("PIXTABLE_REDUCED" in line for line in lines(clio("trace", "standard", "--all"))) == 3


def test_trace_down_shows_runs_failures_too(clio: Clio, history: History) -> None:
    made = [short(o.digest) for r in (history.bias, history.flat, history.exposure) for o in r.outputs]

    assert lines(clio("trace", history.bias.inputs[0].digest, "--down")) == [
        f"BIAS {history.bias.inputs[0].name} {short(history.bias.inputs[0].digest)} /data/raw/BIAS-1",
        "└── bias:2026-01-15T13:59:52:01",
        "    muse_bias, image 5a5a5a5a5a5a",
        f"    └── MASTER_BIAS MASTER_BIAS-01.fits {made[0]}",
        f"        ├── flat:{FLAT_UNIT}",
        "        │   muse_flat, image 5a5a5a5a5a5a, order=7",
        f"        │   ├── MASTER_FLAT MASTER_FLAT-01.fits {made[1]}",
        f"        │   │   └── scibasic:{EXPOSURE_UNIT}",
        "        │   │       muse_scibasic, image 5a5a5a5a5a5a",
        "        │   │       caveat: the flat-field spectrum was taken out again",
        f"        │   │       └── PIXTABLE_OBJECT PIXTABLE_OBJECT_0001-01.fits {made[3]}",
        f"        │   └── TRACE_TABLE TRACE_TABLE-01.fits {made[2]}",
        "        │       └── 1 step of scibasic (see above)",
        f"        ├── flat:{BROKEN_UNIT}",
        "        │   muse_flat, image 5a5a5a5a5a5a",
        "        │   failed: muse_flat: no light in IFU 2",
        "        └── 1 step of scibasic (see above)",
    ]


def test_trace_as_json_is_a_graph(clio: Clio, history: History) -> None:
    found = document(clio("trace", f"flat:{FLAT_UNIT}", "--json"))

    assert (found["schema"], found["direction"]) == ("clio-trace/1", "up")
    assert found["digests"] == [history.flat.outputs[0].digest]
    flat, bias = found["runs"]
    assert (flat["recipe"], flat["image"]) == ("muse_flat", IMAGE)
    assert (flat["changed_parameters"], bias["changed_parameters"]) == ({"muse.muse_flat.order": "7"}, {})
    assert [item["tag"] for item in flat["inputs"]] == ["BADPIX_TABLE", "FLAT", "FLAT", "FLAT", "MASTER_BIAS"]
    made_by = {row["digest"]: row["made_by"] for row in found["artifacts"]}
    assert made_by[history.bias.outputs[0].digest] == history.bias.run
    assert made_by[history.bias.inputs[0].digest] is None


def test_trace_writes_dot(clio: Clio, history: History) -> None:
    digest = short(history.bias.outputs[0].digest)

    assert lines(clio("trace", "bias", "--format", "dot")) == [
        "digraph trace {",
        "  rankdir=LR;",
        '  node [shape=box, fontname="Helvetica"];',
        rf'  a1 [label="MASTER_BIAS\nMASTER_BIAS-01.fits\n{digest}"];',
        r'  a2 [label="BIAS\n3 raw frames, MUSE.2026-01-15T14:01:00.000.fits to '
        r'MUSE.2026-01-15T14:03:00.000.fits"];',
        r'  r1 [label="muse_bias\nbias:2026-01-15T13:59:52:01\nimage 5a5a5a5a5a5a", style=rounded];',
        "  a2 -> r1;",
        "  r1 -> a1;",
        "}",
    ]


@pytest.mark.usefixtures("history")
def test_trace_writes_mermaid_with_a_node_for_each_frame_if_asked(clio: Clio) -> None:
    folded = lines(clio("trace", "bias", "--format", "mermaid"))
    unfolded = lines(clio("trace", "bias", "--format", "mermaid", "--all"))

    assert (folded[0], folded[-2:]) == ("flowchart LR", ["  a2 --> r1", "  r1 --> a1"])
    assert sum("<br/>MUSE." in line for line in unfolded) == 3


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("flat:2026-01-15T15:35:52:02", "no step of flat that succeeded is 2026-01-15T15:35:52:02"),
        ("019be5a0-0000-7000-8000-000000000003", "made nothing (failed)"),
        ("combine", "no step of combine ever succeeded here"),
    ],
)
@pytest.mark.usefixtures("history")
def test_trace_needs_a_product(clio: Clio, reference: str, message: str) -> None:
    result = clio("trace", reference)

    assert isinstance(result.exception, UsageError)
    assert message in result.exception.message


# why


def test_why_tells_the_last_call_the_last_run_and_what_is_new(
    clio: Clio, history: History, workspace: Path
) -> None:
    with Store.open(workspace / ".clio") as store:
        call(store, 10, workspace, outcome(history.flat, "ran", "never run"))
        inputs, outputs = history.flat.inputs, history.flat.outputs
        again = keep(
            store, "muse_flat", 11, FLAT_UNIT, inputs=inputs, outputs=outputs, changed={"order": "8"}
        )
        call(store, 12, workspace, outcome(again, "ran", "image: a -> b"))
        call(store, 13, workspace, outcome(again, "hit", "same inputs, parameters and image"))
    result = clio("why", f"flat:{FLAT_UNIT}")

    assert lines(result)[:5] == [
        f"flat:{FLAT_UNIT}",
        f"  last call   2026-11-23T00:13:59.000Z: hit: same inputs, parameters and image (run {again.run})",
        f"  last ran    2026-11-23T00:12:59.000Z: image: a -> b (run {again.run})",
        f"              against run {history.flat.run} of {history.flat.started}:",
        "                parameter muse.muse_flat.order: 7 -> 8",
    ]


def test_why_a_product_is_why_its_step_ran(clio: Clio, history: History, workspace: Path) -> None:
    with Store.open(workspace / ".clio") as store:
        call(store, 10, workspace, outcome(history.bias, "ran", "never run"))
    result = clio("why", history.bias.outputs[0].digest)

    assert lines(result)[:2] == [
        "bias:2026-01-15T13:59:52:01",
        f"  last call   2026-11-23T00:10:59.000Z: ran: never run (run {history.bias.run})",
    ]


def test_why_looks_at_the_calls_of_this_workspace(clio: Clio, history: History, workspace: Path) -> None:
    with Store.open(workspace / ".clio") as store:
        call(store, 10, workspace, outcome(history.bias, "ran", "never run"))
        call(store, 11, Path("/elsewhere"), outcome(history.bias, "hit", "same inputs, parameters and image"))
    found = document(clio("why", "bias", "--json"))

    assert found["steps"][0]["last"]["outcome"] == "ran"


def test_why_says_that_a_run_like_the_one_before_was_asked_nothing_new(
    clio: Clio, history: History, workspace: Path
) -> None:
    with Store.open(workspace / ".clio") as store:
        fields: dict[str, Any] = {"inputs": history.broken.inputs, "status": Status.FAILED, "exit_status": 1}
        again = keep(store, "muse_flat", 11, BROKEN_UNIT, **fields)
        call(store, 12, workspace, outcome(again, "failed", "recipe error: no light"))
    shown = lines(clio("why", f"flat:{BROKEN_UNIT}"))

    assert shown[1:3] == [
        f"  last call   2026-11-23T00:12:59.000Z: failed: recipe error: no light (run {again.run})",
        "              it was asked the same as "
        f"run {history.broken.run} of {history.broken.started}, which failed",
    ]


def test_why_tells_what_would_happen_now(clio: Clio, workspace: Path) -> None:
    write_night(workspace)
    install_image(workspace / "cache")

    shown = lines(clio("why", "bias"))
    assert [line for line in shown if not line.startswith(" ")] == [
        f"bias:{unit}" for unit in ("2023-02-25T14:24:00:01", "2023-02-25T14:24:00:02")
    ]
    assert shown[1:4] == [
        "  last call   it never came up",
        "  now         would run:",
        "                never run",
    ]
    found = document(clio("why", "scipost", "--json"))
    assert found["problem"] is None
    assert found["steps"][0]["now"]["outcome"] == "miss"
    assert found["steps"][0]["last"] is None


@pytest.mark.usefixtures("history")
def test_why_says_that_a_step_is_no_longer_planned(clio: Clio, workspace: Path) -> None:
    """Its raw frames are gone, and what was made of them is still explained."""
    write_night(workspace)
    install_image(workspace / "cache")
    result = clio("why", "bias:2026-01-15")

    killed = "the call that ran it was killed before it could say why"
    assert lines(result)[1:] == [
        f"  last call   2026-11-23T00:01:00.000Z: ran: {killed} (run {run_id(1)})",
        "  now         not in the plan: its frames are gone, or the settings leave it out",
    ]


@pytest.mark.usefixtures("history")
def test_why_still_tells_the_past_where_no_plan_can_be_made(clio: Clio, workspace: Path) -> None:
    """There are frames, and no image to ask for parameters."""
    write_night(workspace)
    problem = "there is no recipe image on this machine"

    told = clio("why", "flat:2026-01-15T15:35:52:01")
    assert told.stdout.startswith(f"flat:{FLAT_UNIT}\n  last call   ")
    assert told.stderr == f"what would happen now cannot be told: {problem}\n"
    found = document(clio("why", "bias", "--json"))
    assert (found["problem"], found["steps"][0]["now"]) == (problem, None)


@pytest.mark.usefixtures("workspace")
def test_why_refuses_a_step_nobody_knows(clio: Clio) -> None:
    result = clio("why", "flat:3000")

    assert isinstance(result.exception, UsageError)
    assert result.exception.message == "no step goes by flat:3000"
    assert result.exception.hint.startswith("no FITS file in ")
