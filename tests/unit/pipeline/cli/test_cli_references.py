"""What a person types to name a thing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from history import BROKEN_UNIT, EXPOSURE_UNIT, FLAT_UNIT, History, keep, raw, write_history

from pipeline.cli.references import FoundFile, FoundRuns, find, find_run, match_units
from pipeline.errors import UsageError
from provenance.model import Purpose, Status
from provenance.store import Store

UNITS = (FLAT_UNIT, BROKEN_UNIT, "2026-01-16T15:30:00:01")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / ".clio") as made:
        yield made


@pytest.fixture
def history(store: Store) -> History:
    return write_history(store)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", UNITS, id="nothing means all"),
        pytest.param(FLAT_UNIT, (FLAT_UNIT,), id="whole"),
        pytest.param("2026-01-15T15:35:52", UNITS[:2], id="template without its IFU"),
        pytest.param("2026-01-15", UNITS[:2], id="day"),
        pytest.param("2026-01-16", UNITS[2:], id="unique beginning"),
        pytest.param("2026-01-15T15:35:52:2", (BROKEN_UNIT,), id="IFU of one digit"),
        pytest.param("2026-01-15:02", (BROKEN_UNIT,), id="beginning and IFU"),
        pytest.param("2027", (), id="nothing of the kind"),
    ],
)
def test_match_units_takes_whole_names_then_beginnings(text: str, expected: tuple[str, ...]) -> None:
    assert match_units(UNITS, text) == expected


def test_match_units_prefers_a_whole_name_to_a_longer_one() -> None:
    assert match_units(("200012345", "2000123456"), "200012345") == ("200012345",)


def test_a_stage_means_the_newest_run_of_each_of_its_steps(store: Store, history: History) -> None:
    again = keep(store, "muse_flat", 9, BROKEN_UNIT, inputs=(raw("FLAT", 2),), status=Status.FAILED)

    assert find(store, "flat") == FoundRuns((history.flat, again))


def test_a_step_is_found_by_stage_exposure_and_ifu(store: Store, history: History) -> None:
    for reference in (f"scibasic:{EXPOSURE_UNIT}", "scibasic:2026-01-16T01:42:00.490:1", "scibasic"):
        assert find_run(store, reference) == history.exposure


def test_a_replay_does_not_stand_for_its_step(store: Store, history: History) -> None:
    outputs = history.bias.outputs
    keep(
        *(store, "muse_bias", 8, history.bias.unit),
        **{"inputs": history.bias.inputs, "outputs": outputs, "purpose": Purpose.REPLAY},
    )

    assert find_run(store, "bias") == history.bias


def test_of_a_failed_step_the_last_success_can_be_asked_for(store: Store, history: History) -> None:
    keep(store, "muse_bias", 7, history.bias.unit, inputs=(raw("BIAS", 9),), status=Status.FAILED)

    assert find_run(store, "bias").status is Status.FAILED
    assert find_run(store, "bias", successful=True) == history.bias


def test_a_digest_a_run_and_an_action_are_found_by_their_first_digits(store: Store, history: History) -> None:
    made = history.bias.outputs[0]

    assert find(store, made.digest) == FoundFile(made.digest, made.digest)
    assert find_run(store, made.digest[7:15]) == history.bias
    assert find_run(store, history.flat.run) == history.flat
    assert find_run(store, history.flat.action[:12]) == history.flat


def test_the_digits_in_a_canonical_name_are_of_the_data_digest_and_found_too(
    store: Store, history: History
) -> None:
    data = history.bias.outputs[0].data_digest or ""

    assert find_run(store, data) == history.bias
    assert find_run(store, data.removeprefix("fits1:")[:12]) == history.bias


def test_a_product_is_found_by_any_path_to_the_same_bytes(
    store: Store, history: History, tmp_path: Path
) -> None:
    artifact = store.objects.path(history.bias.outputs[0].digest)
    (tmp_path / "link.fits").symlink_to(artifact)
    (tmp_path / "same.fits").hardlink_to(artifact)
    (tmp_path / "copy.fits").write_bytes(artifact.read_bytes())

    for name in ("link.fits", "same.fits", "copy.fits"):
        assert find_run(store, str(tmp_path / name)) == history.bias


def test_a_link_whose_object_is_gone_still_names_it(store: Store, history: History, tmp_path: Path) -> None:
    artifact = store.objects.path(history.bias.outputs[0].digest)
    (tmp_path / "link.fits").symlink_to(artifact)
    artifact.unlink()

    assert find_run(store, str(tmp_path / "link.fits")) == history.bias


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        (
            "flat",
            f"flat may be any of 2 steps: flat:{FLAT_UNIT}, flat:{BROKEN_UNIT}",
            "name one of them",
        ),
        ("flat:3000", "no step of flat that ran is 3000", f"there are {FLAT_UNIT}, {BROKEN_UNIT}"),
        ("combine", "no step of combine ever ran here", "run it with: clio run combine"),
        (
            "flta:2026",
            "nothing here goes by flta:2026",
            "did you mean flat:2026? a reference is a path, 8 digits or more of a digest, a run id, "
            "or stage[:exposure[:ifu]]",
        ),
        (
            "no/such.fits",
            "there is no file no/such.fits",
            "a reference is a path, 8 digits or more of a digest, a run id, or stage[:exposure[:ifu]]",
        ),
        (
            "12345678",
            "nothing here goes by 12345678",
            "a reference is a path, 8 digits or more of a digest, a run id, or stage[:exposure[:ifu]]",
        ),
    ],
)
@pytest.mark.usefixtures("history")
def test_what_means_nothing_or_too_much_is_refused(
    store: Store, reference: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        find_run(store, reference)

    assert (refusal.value.message, refusal.value.hint) == (message, hint)


@pytest.mark.usefixtures("history")
def test_a_beginning_of_several_runs_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match=r"019be5a0 may be any of 4 runs: 019be5a0-") as refusal:
        find(store, "019be5a0")

    assert refusal.value.hint == "give more digits"


def test_a_directory_is_no_reference(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory; a reference names one file"):
        find(store, str(tmp_path))


def test_a_frame_from_outside_has_no_run(store: Store, history: History) -> None:
    digest = history.bias.inputs[0].digest

    with pytest.raises(UsageError, match="came from outside: no run of this store made it"):
        find_run(store, digest)


def test_a_file_is_read_once_as_long_as_it_does_not_change(store: Store, tmp_path: Path) -> None:
    import os
    import time

    path = tmp_path / "frame.fits"
    path.write_bytes(b"old")
    os.utime(path, (1, 1))
    time.sleep(0.03)  # its time of change settles
    first = find(store, str(path))

    assert store.files.memo(path.stat()) is not None
    assert find(store, str(path)) == first
    path.write_bytes(b"new")
    assert find(store, str(path)) != first
