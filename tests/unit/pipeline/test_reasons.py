"""Why a step would run: what changed, followed upstream to what began it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import night, write_raw, write_static
from fakes import DIGEST, Fault, Workspace, install_image
from history import FLAT_UNIT, keep, product, raw, used, write_history

from pipeline.causes import Cause, CauseKind, leaves
from pipeline.cli.chains import chain_lines
from pipeline.cli.questions import teller
from pipeline.forecast import Outcome
from pipeline.model import Stage
from pipeline.reasons import Comparison, Explainer, asked_of_run, nearest
from pipeline.why import Now, RootCause
from provenance.store import Store

ARC, FLAT, BIAS, TWILIGHT = (f"2023-02-25T{t}" for t in ("15:21:36", "14:52:48", "14:24:00", "22:48:00"))
NEWER = "sha256:" + "d0" * 32
"""Another image."""


def now(workspace: Workspace, step: str) -> Now:
    with workspace.open() as reduction:
        forecasts = {found.step.id: found for found in reduction.forecast()}
        names = [id_ for id_ in forecasts if id_ == step or id_.partition(":")[0] == step]
        return teller(reduction, forecasts).now(forecasts[names[0]])


def roots(workspace: Workspace) -> tuple[RootCause, ...]:
    with workspace.open() as reduction:
        forecasts = {found.step.id: found for found in reduction.forecast()}
        return teller(reduction, forecasts).root_causes()


def lines(found: Now) -> list[str]:
    return list(chain_lines(found.causes, everything=True))


def parameter(value: str) -> Cause:
    name = "muse.muse_flat.order"
    text = f"parameter {name}: 5 -> {value}"
    return Cause(CauseKind.PARAMETER, f"flat:{FLAT}:01", text, name, "5", value)


# Down to the cause


def test_a_parameter_is_told_with_both_values_and_the_run_compared_with(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)
    made = next(event.run for event in narrow.run(Stage.FLAT).events)
    narrow.configure("[recipes.muse_flat]\norder = 7\n")

    found = now(narrow, f"flat:{FLAT}:01")

    assert made is not None
    assert found.against == Comparison(made.run, made.started, True, (parameter("7"),))
    assert found.causes == (parameter("7"),)


def test_the_nearest_record_is_compared_and_not_the_last(narrow: Workspace) -> None:
    narrow.run(Stage.BIAS)
    first = next(event.run for event in narrow.run(Stage.FLAT).events)
    narrow.configure("[recipes.muse_flat]\norder = 7\nnsum = 3\n")
    narrow.run(Stage.FLAT)
    narrow.configure("[recipes.muse_flat]\norder = 9\n")

    found = now(narrow, f"flat:{FLAT}:01")

    assert first is not None
    assert found.against is not None
    assert (found.against.run, found.causes) == (first.run, (parameter("9"),))


def test_what_changed_two_steps_up_is_followed_to_its_cause(narrow: Workspace) -> None:
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")
    narrow.run(Stage.FLAT, Stage.WAVE)

    found = now(narrow, f"lsf:{ARC}:01")

    assert lines(found) == [
        f"TRACE_TABLE of flat:{FLAT}:01 is another one",
        "<- parameter muse.muse_flat.order: 5 -> 7",
        f"WAVECAL_TABLE of wave:{ARC}:01 is another one",
        f"<- TRACE_TABLE of flat:{FLAT}:01 is another one (see above)",
    ]
    assert set(leaves(found.causes)) == {parameter("7")}


def test_a_step_that_waits_tells_what_began_it_once_and_that_it_may_stay(narrow: Workspace) -> None:
    """Early cut-off: if the flat comes out as before, nothing after it runs."""
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")

    found = now(narrow, f"lsf:{ARC}:01")

    assert lines(found) == [f"waits for flat:{FLAT}:01", "<- parameter muse.muse_flat.order: 5 -> 7"]
    assert found.if_unchanged is Outcome.HIT
    through = lines(now(narrow, "scipost:1001"))
    assert through == [
        f"waits for flat:{FLAT}:01 through scibasic",
        "<- parameter muse.muse_flat.order: 5 -> 7",
    ]


def test_a_step_that_waits_tells_its_own_change_too(narrow: Workspace) -> None:
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n[recipes.muse_lsf]\nlsf_range = 8\n")

    found = now(narrow, f"lsf:{ARC}:01")

    assert lines(found)[0] == "parameter muse.muse_lsf.lsf_range: 7.5 -> 8"
    assert lines(found)[1] == f"waits for flat:{FLAT}:01"
    assert found.if_unchanged is Outcome.MISS


def test_a_step_never_run_says_so(narrow: Workspace) -> None:
    found = now(narrow, f"bias:{BIAS}:01")

    assert found.causes == (Cause(CauseKind.NEVER, f"bias:{BIAS}:01", "never run"),)
    assert found.against is None


def test_a_product_that_is_gone_is_no_change(narrow: Workspace) -> None:
    """Promise 4: the reason is said."""
    made = narrow.run(Stage.BIAS).products[0]
    narrow.object_of(made).unlink()

    (cause,) = now(narrow, f"bias:{BIAS}:01").causes

    assert cause.kind is CauseKind.REMADE
    assert cause.text == f"object {made.digest[7:19]} (MASTER_BIAS) is missing"


def test_another_outcome_of_the_same_action_is_told_as_such(narrow: Workspace) -> None:
    narrow.run()
    with narrow.open() as reduction:
        bias = reduction.store.runs(stage="bias")[0]
    path = narrow.root / ".clio" / "objects" / bias.outputs[0].digest[7:9] / bias.outputs[0].digest[7:]
    path.unlink()
    narrow.engine.restless.add("muse_bias")
    again = next(event.run for event in narrow.run(Stage.BIAS).events)

    found = now(narrow, f"flat:{FLAT}:01")

    assert again is not None
    assert lines(found)[:2] == [
        f"MASTER_BIAS of bias:{BIAS}:01 is another one",
        f"<- bias:{BIAS}:01 was asked the same and gave other data (run {again.run}, not {bias.run})",
    ]
    assert "   <- HDU 0 CHAN01: cards differ" in lines(found)
    assert lines(found)[-1].endswith("cards and data differ")


# Files from outside


def test_a_frame_exchanged_under_its_name_is_named_with_its_place(narrow: Workspace) -> None:
    """Same name, same place, other pixels."""
    narrow.run(Stage.BIAS)
    shot = [shot for shot in night() if shot.tag == "BIAS"][1]
    frame = write_raw(narrow.root / "raw", "BIAS", shot.mjd, start=shot.start, ifus=(1,), seed="other")

    found = now(narrow, f"bias:{BIAS}:01")

    (cause,) = found.causes
    assert (cause.kind, cause.name) == (CauseKind.FRAME, "BIAS")
    assert cause.text == f"BIAS {frame} holds other data than before"
    assert [part.text for part in cause.causes] == ["HDU 1 CHAN01: data differ"]


def test_one_card_edited_is_named_with_its_hdu(narrow: Workspace) -> None:
    """Both files are at hand: the settings point to a copy in which a person corrected a card."""
    narrow.run()
    shutil.copytree(narrow.root / "calib", narrow.root / "other")
    write_static(narrow.root / "other", "EXTINCT_TABLE", changes={"OBSERVER": "Clio"})
    narrow.configure('[data]\ncalib = ["other"]\n')

    found = now(narrow, "standard")

    (cause,) = found.causes
    assert (cause.kind, cause.name) == (CauseKind.FRAME, "EXTINCT_TABLE")
    assert [part.text for part in cause.causes] == ["HDU 0: 1 card differs"]
    assert cause.causes[0].causes == (
        Cause(CauseKind.CARD, cause.step, "OBSERVER: not there -> 'Clio'", "OBSERVER", None, "'Clio'"),
    )


def test_other_data_are_told_without_their_sum(narrow: Workspace) -> None:
    narrow.run()
    shutil.copytree(narrow.root / "calib", narrow.root / "other")
    write_static(narrow.root / "other", "EXTINCT_TABLE", seed=5)
    narrow.configure('[data]\ncalib = ["other"]\n')

    (cause,) = now(narrow, "standard").causes

    assert [part.text for part in cause.causes] == ["HDU 1 EXTINCT_TABLE: data differ"]


# The image


@pytest.fixture
def newer(narrow: Workspace) -> Workspace:
    """The same workspace, reduced, and then pinned to an image with a newer esorex and another default."""
    narrow.run()
    install_image(narrow.root / "cache", NEWER)
    home = narrow.root / "cache" / "images" / NEWER.removeprefix("sha256:")
    packages = json.loads((home / "packages.json").read_text())
    packages[0]["version"] = "3.13.8-1"
    (home / "packages.json").write_text(json.dumps(packages))
    options = json.loads((home / "parameters" / "muse_flat.json").read_text())
    next(row for row in options if row["option"] == "order")["value"] = "6"
    (home / "parameters" / "muse_flat.json").write_text(json.dumps(options))
    narrow.configure(f'[image]\nreference = "{NEWER}"\n')
    return narrow


def test_a_package_of_the_image_is_named_with_its_versions(newer: Workspace) -> None:
    (cause,) = now(newer, f"bias:{BIAS}:01").causes

    assert (cause.kind, cause.old, cause.new) == (CauseKind.IMAGE, DIGEST, NEWER)
    assert [inner.text for inner in cause.causes] == ["package esorex: 3.13.6-1 -> 3.13.8-1"]
    assert cause.causes[0].kind is CauseKind.PACKAGE


def test_a_default_that_moved_with_the_image_is_told_as_such(newer: Workspace) -> None:
    """Promise 3: nobody set it, and it counts (nothing but the whole list of parameters shows it)."""
    newer.run(Stage.BIAS)

    found = now(newer, f"flat:{FLAT}:01")

    moved = "parameter muse.muse_flat.order: 5 -> 6, the default of the other image"
    assert [cause.text for cause in found.causes] == [f"image: {DIGEST[7:19]} -> {NEWER[7:19]}", moved]
    assert found.forecast.why == tuple(cause.text for cause in found.causes)


def test_packages_of_an_image_that_is_gone_cannot_be_told(newer: Workspace) -> None:
    shutil.rmtree(newer.root / "cache" / "images" / DIGEST.removeprefix("sha256:"))

    (cause,) = now(newer, f"bias:{BIAS}:01").causes

    assert [inner.text for inner in cause.causes] == [
        f"image {DIGEST[7:19]} is not on this machine: its packages cannot be told"
    ]


# What many steps have in common


def test_root_causes_stand_once_with_all_they_touch(workspace: Workspace) -> None:
    """What changed in a step that waits is told too: it will run even if the bias comes out as before."""
    workspace.run()
    workspace.configure("[recipes.muse_flat]\norder = 7\n[recipes.muse_bias]\nnlow = 2\n")

    biases, flats = roots(workspace)

    assert biases.text == "parameter muse.muse_bias.nlow: 1 -> 2"
    assert biases.steps == (f"bias:{BIAS}:01", f"bias:{BIAS}:02")
    assert len(biases.waiting) == 24
    assert (flats.stage, flats.text) == ("flat", "parameter muse.muse_flat.order: 5 -> 7")
    assert flats.steps == (f"flat:{FLAT}:01", f"flat:{FLAT}:02")


def test_causes_of_many_ifus_read_as_one(workspace: Workspace) -> None:
    workspace.run()
    workspace.configure("[recipes.muse_flat]\norder = 7\n")
    workspace.run(Stage.FLAT, Stage.WAVE)

    found = now(workspace, f"twilight:{TWILIGHT}")

    assert lines(found) == [
        f"2 MASTER_FLAT of flat:{FLAT}:01 and 1 more are others",
        "<- parameter muse.muse_flat.order: 5 -> 7",
        f"2 TRACE_TABLE of flat:{FLAT}:01 and 1 more are others (see above)",
        f"2 WAVECAL_TABLE of wave:{ARC}:01 and 1 more are others",
        f"<- 2 TRACE_TABLE of flat:{FLAT}:01 and 1 more are others (see above)",
    ]


def test_many_differences_are_cut_unless_all_are_asked_for() -> None:
    causes = [Cause(CauseKind.CARD, "flat:a", f"KEY{n}: 1 -> 2", f"KEY{n}") for n in range(11)]

    assert list(chain_lines(causes, everything=False))[8:] == ["3 more differences; --all names them"]
    assert len(list(chain_lines(causes, everything=True))) == 11


# Without a plan, from records alone


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store") as made:
        yield made


def test_exchanged_parts_are_told(store: Store) -> None:
    """A role swapped is another action: no name and no time tells it."""
    history = write_history(store)
    flat, trace = (used(output) for output in history.flat.outputs)
    others = [item for item in history.exposure.inputs if item.digest not in (flat.digest, trace.digest)]
    from dataclasses import replace

    swapped = (replace(flat, tag="TRACE_TABLE"), replace(trace, tag="MASTER_FLAT"))
    outputs = history.exposure.outputs
    unit = history.exposure.unit
    run = keep(store, "muse_scibasic", 9, unit, inputs=(*others, *swapped), outputs=outputs)

    found = Explainer(store, lambda digest: None).compare(asked_of_run(store, run), before=run.run)

    assert found is not None
    assert [(cause.kind, cause.old, cause.new) for cause in found.causes] == [
        (CauseKind.PART, "MASTER_FLAT", "TRACE_TABLE"),
        (CauseKind.PART, "TRACE_TABLE", "MASTER_FLAT"),
    ]


def test_a_product_of_another_step_is_a_choice(store: Store) -> None:
    history = write_history(store)
    later = keep(
        *(store, "muse_bias", 5, "2026-01-16T13:00:00:01"),
        inputs=(raw("BIAS", 7),),
        outputs=(product(store, "MASTER_BIAS", "LATER.fits"),),
    )
    inputs = (*history.flat.inputs[:-1], used(later.outputs[0]))
    outputs = history.flat.outputs
    run = keep(store, "muse_flat", 6, FLAT_UNIT, inputs=inputs, outputs=outputs, changed={"order": "7"})

    found = Explainer(store, lambda digest: None).compare(asked_of_run(store, run), before=run.run)

    assert found is not None
    assert [(cause.kind, cause.text) for cause in found.causes] == [
        (
            CauseKind.CHOICE,
            f"MASTER_BIAS is of bias:{later.unit}, not of bias:{history.bias.unit}",
        )
    ]


def test_the_nearest_prefers_a_success_and_passes_over_what_cannot_be_read(store: Store) -> None:
    history = write_history(store)
    fields = {"inputs": history.flat.inputs, "outputs": history.flat.outputs}
    failed = {"status": history.broken.status, "exit_status": 1}
    keep(store, "muse_flat", 6, FLAT_UNIT, **fields, changed={"order": "8"}, **failed)
    wanted = keep(store, "muse_flat", 7, "elsewhere", **fields, changed={"order": "9"})
    action = store.action(wanted.action)

    best = nearest(store, "flat", FLAT_UNIT, action)
    assert best is not None
    assert best[0].run == history.flat.run

    store.records.action_path(history.flat.action).unlink()
    left = nearest(store, "flat", FLAT_UNIT, action)
    assert left is not None
    assert not left[0].is_success
    assert nearest(store, "flat", FLAT_UNIT, action, successful=True) is None


def test_the_index_can_be_made_anew_and_says_the_same(narrow: Workspace) -> None:
    """Promise 8."""
    narrow.run()
    narrow.configure("[recipes.muse_flat]\norder = 7\n")
    narrow.run(Stage.FLAT)
    narrow.engine.fail(Fault.EXIT, "muse_wavecal")
    narrow.run(Stage.WAVE)
    before = now(narrow, f"lsf:{ARC}:01"), now(narrow, "scipost:1001")
    for path in (narrow.root / ".clio").glob("provenance.db*"):
        path.unlink()

    after = now(narrow, f"lsf:{ARC}:01"), now(narrow, "scipost:1001")

    assert [(a.against, a.causes) for a in after] == [(b.against, b.causes) for b in before]
