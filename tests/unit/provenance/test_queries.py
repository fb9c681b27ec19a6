"""What a reference means."""

import pytest
from stored import RAW, an_action, commit

from provenance.errors import AmbiguousReference, UnknownReference
from provenance.queries import Target, TargetKind
from provenance.store import Store


def test_an_artifact_goes_by_its_digest_or_its_beginning(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    digest = run.outputs[0].digest
    expected = (Target(TargetKind.ARTIFACT, digest),)

    for reference in (digest, digest[:15], digest[7:], digest[7:15]):
        assert store.resolve(reference) == expected


def test_raw_frames_and_logs_are_artifacts_too(store: Store) -> None:
    log = store.objects.put_bytes(b"log").digest
    commit(store, an_action(), b"bias", log=log)

    assert store.resolve(RAW[:20]) == (Target(TargetKind.ARTIFACT, RAW),)
    assert store.resolve(log[7:17]) == (Target(TargetKind.ARTIFACT, log),)


def test_an_artifact_goes_by_its_data_digest(store: Store) -> None:
    run = commit(store, an_action(), b"bias")
    output = run.outputs[0]
    data_digest = "fits1:" + "7" * 64
    commit(
        store,
        an_action(spec=2),
        outputs=(type(output)("MASTER_BIAS", "b", output.digest, data_digest, size=4),),
    )

    assert store.resolve("fits1:77777777") == (Target(TargetKind.ARTIFACT, output.digest),)


def test_runs_and_actions_go_by_their_beginnings(store: Store) -> None:
    run = commit(store, an_action(), b"bias")

    assert store.resolve(run.run) == store.resolve(run.run[:20]) == (Target(TargetKind.RUN, run.run),)
    assert (
        store.resolve(run.action) == store.resolve(run.action[:8]) == (Target(TargetKind.ACTION, run.action),)
    )


@pytest.mark.parametrize(
    "reference", ["", "1234567", "sha256:1234567", "deadbeef", "%%%%%%%%", "________", "x:y"]
)
def test_unknown_and_short_references_are_refused(store: Store, reference: str) -> None:
    commit(store, an_action(), b"bias")

    with pytest.raises(UnknownReference) as caught:
        store.resolve(reference)

    assert caught.value.message == f"nothing in the store goes by {reference}"
    assert caught.value.hint == "give a digest, run id or action key, or its first 8 digits or more"


def test_a_reference_to_several_runs_is_refused_by_naming_them(store: Store) -> None:
    first, second = (commit(store, an_action(), b"bias") for _ in range(2))
    same = "".join(a for a, b in zip(first.run, second.run, strict=True) if a == b)[:8]

    with pytest.raises(AmbiguousReference) as caught:
        store.resolve(same)

    assert caught.value.message == f"{same} may be any of 2 runs: {first.run}, {second.run}"
