"""`accept` from its refusals to what is shown of it ever after; caveats as people see them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Fault, Workspace
from typer.testing import Result

from pipeline.errors import UsageError
from pipeline.model import Stage
from provenance.model import Status

Clio = Callable[..., Result]

ARC, FLAT, BIAS = (f"2023-02-25T{time}" for time in ("15:21:36", "14:52:48", "14:24:00"))
STEP = f"flat:{FLAT}:01"
REASON = "the order is high enough"


@pytest.fixture
def reduced(tmp_path: Path) -> Workspace:
    """A workspace in the current folder, reduced to the arcs; then a parameter of the flat is changed."""
    made = Workspace.make(tmp_path, ifus=(1,))
    made.run(Stage.BIAS, Stage.FLAT, Stage.WAVE, Stage.LSF)
    made.configure("[recipes.muse_flat]\norder = 7\n")
    return made


def document(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def outcomes(clio: Clio) -> dict[str, str]:
    steps = document(clio("plan", "--last", "lsf", "--json"))["steps"]
    return {f"{step['stage']}:{step['unit']}": step["outcome"] for step in steps}


def refusal(result: Result) -> UsageError:
    assert isinstance(result.exception, UsageError), result.exception
    return result.exception


def test_what_is_accepted_is_a_hit_and_so_is_what_follows(clio: Clio, reduced: Workspace) -> None:
    assert outcomes(clio)[STEP] == "miss"
    result = clio("accept", STEP, "--reason", REASON, "--yes")

    assert result.stdout == f"accepted: {STEP}: {REASON}\n"
    assert "  parameter muse.muse_flat.order: 5 -> 7\n" in result.stderr
    assert set(outcomes(clio).values()) == {"hit"}
    calls = len(reduced.engine.seen)
    assert reduced.run(Stage.BIAS, Stage.FLAT, Stage.WAVE, Stage.LSF).ran == 0
    assert len(reduced.engine.seen) == calls


def test_it_is_shown_ever_after(clio: Clio, reduced: Workspace) -> None:
    clio("accept", STEP, "--reason", REASON, "--yes")
    (said,) = document(clio("accept", "--list", "--json"))["acceptances"]

    words = f"{REASON} (parameter muse.muse_flat.order: 5 -> 7; {said['at']})"
    assert f"caveat: {STEP}: accepted: {REASON} (carried to 2 steps)\n" in clio("status").stderr
    assert f"  accepted    {words}\n" in clio("show", "flat").stdout
    assert f"accepted: {words}\n" in clio("trace", "flat").stdout
    why = clio("why", "flat").stdout
    assert f"  now         nothing to do: accepted: {REASON}\n" in why
    assert f"  accepted    {words}\n" in why
    assert clio("accept", "--list").stdout.splitlines()[1] == f"  accepted: {words}"
    for verb, path in (("show", ()), ("trace", ("runs", 0)), ("why", ("steps", 0))):
        found: Any = document(clio(verb, "flat", "--json"))
        for key in path:
            found = found[key]
        assert found["accepted"] == [said]


def test_it_holds_for_that_difference_only(clio: Clio, reduced: Workspace) -> None:
    clio("accept", STEP, "--reason", REASON, "--yes")
    reduced.configure("[recipes.muse_flat]\norder = 7\nnsum = 3\n")

    assert outcomes(clio)[STEP] == "miss"


def test_taken_back_it_is_a_miss_and_still_listed(clio: Clio, reduced: Workspace) -> None:
    clio("accept", STEP, "--reason", REASON, "--yes")
    result = clio("accept", "flat", "--revoke", "--reason", "it was not", "--yes")

    assert result.stdout == f"taken back: {STEP}: {REASON}\n"
    assert outcomes(clio)[STEP] == "miss"
    assert ": it was not)" in clio("accept", "--list").stdout
    assert refusal(clio("accept", STEP, "--revoke", "--reason", "x", "--yes")).message == (
        f"nothing is accepted of {STEP}"
    )


def test_what_is_made_from_it_carries_the_reason_with_its_step(clio: Clio, reduced: Workspace) -> None:
    clio("accept", STEP, "--reason", REASON, "--yes")
    reduced.configure("[recipes.muse_flat]\norder = 7\n[recipes.muse_wavecal]\nsigma = 2\n")

    (wave,) = reduced.run(Stage.WAVE).events
    (lsf,) = reduced.run(Stage.LSF).events

    caveat = (f"from {STEP}: accepted: {REASON}",)
    assert wave.run is not None
    assert lsf.run is not None
    assert (wave.run.status, wave.run.caveats) == (Status.CAVEAT, caveat)
    assert (lsf.run.status, lsf.run.caveats) == (Status.CAVEAT, caveat)
    assert "  status      ok with caveats\n" in clio("show", "lsf").stdout


def test_a_damaged_product_ends_it(clio: Clio, reduced: Workspace) -> None:
    """Promise 4."""
    clio("accept", STEP, "--reason", REASON, "--yes")
    with reduced.open() as reduction:
        made = reduction.store.runs(stage="flat")[0].outputs[0]
        reduction.store.objects.path(made.digest).unlink()

    assert outcomes(clio)[STEP] == "miss"
    why = refusal(clio("accept", STEP, "--reason", REASON, "--yes")).message
    assert why.endswith(f"cannot stand for it: object {made.digest[7:19]} (MASTER_FLAT) is missing")


def test_what_cannot_be_accepted_is_refused(clio: Clio, reduced: Workspace) -> None:
    words = ("--reason", REASON, "--yes")

    assert refusal(clio("accept", "bias", *words)).message == (
        f"bias:{BIAS}:01 is made: there is nothing to accept"
    )
    waits = refusal(clio("accept", "wave", *words))
    assert waits.message.startswith(f"wave:{ARC}:01 waits for {STEP} (parameter")
    assert waits.hint == f"accept or run {STEP} first"
    assert refusal(clio("accept", "flat:1999", *words)).message == "no step of the plan goes by flat:1999"
    assert refusal(clio("accept", "wavelength", *words)).message == "wavelength is no step"
    assert refusal(clio("accept", STEP)).message == "an acceptance needs its reason"
    assert refusal(clio("accept", STEP, "--reason", " ", "--yes")).message == "an acceptance needs its reason"
    assert refusal(clio("accept")).message == "name a step, or ask for --list"
    asked = refusal(clio("accept", STEP, "--reason", REASON))
    assert asked.message.endswith("? nobody is there to answer")
    assert clio("accept", "--list").stderr == "nothing was ever accepted here\n"


def test_a_step_that_never_succeeded_or_is_blocked_is_refused(clio: Clio, tmp_path: Path) -> None:
    fresh = Workspace.make(tmp_path, ifus=(1,))
    fresh.engine.fail(Fault.EXIT, "muse_bias", text="levels disagree")
    words = ("--reason", REASON, "--yes")

    never = refusal(clio("accept", "bias", *words))
    assert never.message == f"no run of bias:{BIAS}:01 ever succeeded: there is nothing to accept instead"
    fresh.run(Stage.BIAS)
    assert refusal(clio("accept", "bias", *words)).message.startswith(f"bias:{BIAS}:01 is blocked: ")


# Caveats that arose in a recipe


def test_a_caveat_is_told_once_with_its_step_and_what_carries_it(clio: Clio, tmp_path: Path) -> None:
    made = Workspace.make(tmp_path, ifus=(1,))
    text = "Adapt pixel table to STD_RESPONSE"
    made.engine.fail(Fault.WARNING, "muse_standard", text=text)
    summary = made.run()

    arose = next(e.step.id for e in summary.events if e.step.stage is Stage.STANDARD)
    told = {e.step.id: e.run.caveats for e in summary.events if e.run and e.run.caveats}
    own = told.pop(arose)
    assert set(told.values()) == {(f"from {arose}: {own[0]}",)}
    assert {"combine:1001", "align:1001", "scipost:1001"} <= told.keys()
    said = f"caveat: {arose}: {own[0]} (carried to {len(told)} steps)\n"
    assert clio("status").stderr.startswith(said)
    (row,) = document(clio("status", "--json"))["caveats"]
    assert row == {"step": arose, "caveats": list(own), "carried_by": row["carried_by"]}
    assert set(row["carried_by"]) == told.keys()
    drawn = clio("trace", "combine").stdout
    begins = own[0][:40]
    assert drawn.count(begins) == 2, "at the product asked about, and where it arose"
    assert f"caveat: from {arose}: {begins}" in drawn


# plan --why


def test_plan_names_first_what_began_it(clio: Clio, reduced: Workspace) -> None:
    shown = clio("plan", "--last", "lsf", "--why").stdout.splitlines()

    assert (shown[0], shown[2]) == ("parameter muse.muse_flat.order: 5 -> 7", "")
    assert shown[1].startswith(f"  makes 1 step run ({STEP}), ")
    (cause,) = [
        cause
        for cause in document(clio("plan", "--last", "lsf", "--why", "--json"))["causes"]
        if cause["kind"] == "parameter"
    ]
    assert (cause["stage"], cause["text"], cause["steps"]) == (
        "flat",
        "parameter muse.muse_flat.order: 5 -> 7",
        [STEP],
    )
    assert {f"wave:{ARC}:01", f"lsf:{ARC}:01"} <= set(cause["waiting"])
