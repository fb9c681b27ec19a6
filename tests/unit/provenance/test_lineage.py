"""Upstream and downstream of an artifact, as a graph."""

import json

import pytest
from stored import STARTED, an_action, commit

from provenance.digest import canonical_json, digest_bytes
from provenance.lineage import ancestors, believed, descendants
from provenance.model import InputFile, OutputFile, Purpose, Run, Status
from provenance.store import Store


def digest(name: str) -> str:
    return digest_bytes(name.encode())


class Runs:
    """Runs told in a few words: `bias: raw1 raw2 -> master`."""

    def __init__(self, *lines: str) -> None:
        self.runs = tuple(self._run(number, line) for number, line in enumerate(lines))

    def runs_making(self, wanted: str) -> tuple[Run, ...]:
        made = [run for run in self.runs if any(item.digest == wanted for item in run.outputs)]
        return tuple(reversed(made))

    def runs_reading(self, wanted: str) -> tuple[Run, ...]:
        read = [run for run in self.runs if any(item.digest == wanted for item in run.inputs)]
        return tuple(reversed(read))

    def _run(self, number: int, line: str) -> Run:
        stage, _, rest = line.partition(":")
        inputs, _, outputs = rest.partition("->")
        return Run(
            run=f"run-{number}",
            action=f"action-{number}",
            purpose=Purpose.REPLAY if stage == "replay" else Purpose.RUN,
            status=Status.FAILED if stage == "failed" else Status.OK,
            exit_status=1 if stage == "failed" else 0,
            started=STARTED,
            stage=stage,
            inputs=tuple(InputFile(n.upper(), n, digest(n), seen_at=f"/raw/{n}") for n in inputs.split()),
            outputs=tuple(OutputFile(n.upper(), n, digest(n)) for n in outputs.split()),
        )


NIGHT = Runs(
    "bias: raw1 raw2 -> bias",
    "flat: raw3 bias -> flat trace",
    "basic: raw4 bias flat trace -> pixels",
    "basic: raw5 bias flat trace -> pixels2",
    "scipost: pixels pixels2 -> cube image",
)


def test_ancestors_go_back_to_the_raw_frames_each_once() -> None:
    lineage = ancestors(NIGHT, digest("cube"))

    assert [node.name for node in lineage.artifacts] == [
        *("cube", "pixels", "pixels2"),
        *("raw4", "bias", "flat", "trace", "raw5"),
        *("raw1", "raw2", "raw3"),
    ]
    assert [node.depth for node in lineage.artifacts] == [0, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3]
    assert [node.stage for node in lineage.runs] == ["scipost", "basic", "basic", "bias", "flat"]


def test_a_shared_calibration_is_one_node_with_many_readers() -> None:
    lineage = ancestors(NIGHT, digest("cube"))

    assert [node.run for node in lineage.readers(digest("bias"))] == ["run-2", "run-3", "run-1"]
    maker = lineage.maker(digest("bias"))
    assert maker is not None
    assert (maker.stage, maker.inputs) == ("bias", (digest("raw1"), digest("raw2")))


def test_what_came_from_outside_says_where_it_was_seen() -> None:
    lineage = ancestors(NIGHT, digest("cube"))
    raw = lineage.artifact(digest("raw3"))

    assert (raw.tag, raw.seen_at, raw.made_by) == ("RAW3", "/raw/raw3", None)
    assert lineage.maker(digest("raw3")) is None


def test_descendants_are_all_that_was_made_from_it() -> None:
    lineage = descendants(NIGHT, digest("raw3"))

    assert [node.name for node in lineage.artifacts] == [
        *("raw3", "flat", "trace", "pixels", "pixels2", "cube", "image")
    ]
    assert lineage.direction == "down"


def test_descendants_hold_failed_runs_too() -> None:
    source = Runs("bias: raw -> bias", "failed: bias ->")

    assert [node.status for node in descendants(source, digest("bias")).runs] == ["failed"]


def test_descendants_of_the_last_product_are_none() -> None:
    lineage = descendants(NIGHT, digest("cube"))

    assert ([node.name for node in lineage.artifacts], lineage.runs) == (["cube"], ())


def test_of_several_makers_the_newest_run_is_followed_and_the_others_named() -> None:
    source = Runs("bias: raw -> bias", "bias: raw -> bias", "replay: raw -> bias", "failed: raw -> bias")
    node = ancestors(source, digest("bias")).artifact(digest("bias"))

    assert (node.made_by, node.also_made_by) == ("run-1", ("run-3", "run-2", "run-0"))


def test_a_replay_is_followed_when_there_is_nothing_better() -> None:
    source = Runs("failed: raw -> bias", "replay: raw -> bias")

    assert believed(source.runs).run == "run-1"


def test_who_is_followed_can_be_chosen() -> None:
    source = Runs("bias: raw -> bias", "bias: raw other -> bias")
    lineage = ancestors(source, digest("bias"), follow=lambda runs: runs[-1])

    assert [node.name for node in lineage.artifacts] == ["bias", "raw"]


def test_an_artifact_nobody_knows_stands_alone() -> None:
    lineage = ancestors(NIGHT, digest("stranger"))

    assert len(lineage.artifacts) == 1
    assert lineage.artifact(digest("stranger")).made_by is None


def test_records_that_go_round_in_a_circle_end() -> None:
    source = Runs("edited: a -> b", "edited: b -> a")

    assert {node.name for node in ancestors(source, digest("a")).artifacts} == {"a", "b"}
    assert {node.name for node in descendants(source, digest("a")).artifacts} == {"a", "b"}


def test_a_long_chain_is_walked_to_its_end() -> None:
    source = Runs(*(f"step: {number} -> {number + 1}" for number in range(1200)))

    assert len(ancestors(source, digest("1200")).artifacts) == 1201
    assert len(descendants(source, digest("0")).artifacts) == 1201


def test_a_lineage_is_a_document() -> None:
    document = json.loads(canonical_json(ancestors(NIGHT, digest("flat")).document()))

    assert document["digest"] == digest("flat")
    assert document["artifacts"][0]["tag"] == "FLAT"
    assert document["runs"][0]["outputs"] == [digest("flat"), digest("trace")]


def test_a_node_that_is_not_part_of_it_is_not_found() -> None:
    with pytest.raises(KeyError):
        ancestors(NIGHT, digest("flat")).artifact(digest("cube"))


def test_a_store_answers_for_a_lineage(store: Store) -> None:
    bias = commit(store, an_action(), b"bias")
    made = bias.outputs[0]
    flat = commit(
        store,
        an_action(recipe="muse_flat", outputs=()),
        b"flat",
        tag="MASTER_FLAT",
        stage="flat",
        inputs=(InputFile("MASTER_BIAS", "bias.fits", made.digest, None, made.size),),
    )

    up = ancestors(store, flat.outputs[0].digest)
    assert [node.tag for node in up.artifacts] == ["MASTER_FLAT", "MASTER_BIAS", "BIAS"]
    assert [node.run for node in descendants(store, made.digest).runs] == [flat.run]
