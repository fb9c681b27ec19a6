"""Actions, their keys, records and what they turn into."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import RAW, a_run, an_action

from provenance.digest import canonical_json
from provenance.documents import Document
from provenance.errors import NotCanonical, StoreDamaged, StoreVersion
from provenance.model import (
    Action,
    ActionInput,
    Choice,
    ExpectedOutput,
    ExtraFile,
    InputFile,
    Invocation,
    OutputFile,
    Part,
    Purpose,
    Run,
    Status,
    StepOutcome,
)

RUN = "01930000-0000-7000-8000-000000000001"
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
PAIRS = st.dictionaries(TEXT, TEXT, max_size=4).map(lambda pairs: tuple(pairs.items()))
INPUTS = st.lists(st.builds(ActionInput, TEXT, TEXT, TEXT), max_size=4).map(tuple)
OUTPUTS = st.lists(st.builds(ExpectedOutput, TEXT, st.integers(0, 99)), max_size=3).map(tuple)
ACTIONS = st.builds(Action, TEXT, st.integers(0, 9), TEXT, TEXT, PAIRS, PAIRS, INPUTS, OUTPUTS, TEXT)
WHOLE = st.none() | st.integers(0, 2**53 - 1)
RUNS = st.builds(
    Run,
    run=TEXT,
    action=TEXT,
    purpose=st.sampled_from(Purpose),
    status=st.sampled_from(Status),
    started=TEXT,
    cause=st.none() | TEXT,
    wall_ms=WHOLE,
    exit_status=st.none() | st.integers(0, 255),
    argv=st.lists(TEXT, max_size=3).map(tuple),
    engine=st.dictionaries(TEXT.filter(lambda name: name != "isolation"), TEXT, max_size=3).map(
        lambda pairs: tuple(pairs.items())
    ),
    isolation=PAIRS,
    environment=PAIRS,
    inputs=st.lists(st.builds(InputFile, TEXT, TEXT, TEXT, st.none() | TEXT, WHOLE), max_size=2).map(tuple),
    outputs=st.lists(
        st.builds(
            OutputFile,
            TEXT,
            TEXT,
            TEXT,
            st.none() | TEXT,
            st.lists(st.builds(Part, TEXT, TEXT, TEXT), max_size=2).map(tuple),
            st.integers(0, 9),
            PAIRS,
        ),
        max_size=2,
    ).map(tuple),
    extras=st.lists(st.builds(ExtraFile, TEXT, TEXT, st.integers(0, 9)), max_size=2).map(tuple),
    choices=st.lists(
        st.builds(Choice, TEXT, TEXT, st.integers(0, 9), st.integers(0, 9), TEXT), max_size=2
    ).map(tuple),
)


def test_key_is_the_one_this_document_had_from_the_start() -> None:
    """The key of a known action never moves: a change here empties every store there is."""
    assert an_action().key == "d84942a8b99c64fb9b4f0bd970e150854569ae0bcad11850a0a829be02454187"


def test_document_of_an_action_is_the_documented_structure() -> None:
    assert an_action().document() == {
        "type": "clio-action",
        "version": 1,
        "recipe": {"name": "muse_bias", "spec": 1},
        "image": {"config": "sha256:" + "1" * 64, "platform": "linux/amd64"},
        "parameters": {"muse.muse_bias.nifu": "1", "muse.muse_bias.overscan": "vpoly"},
        "environment": {"LC_ALL": "C", "TZ": "UTC"},
        "inputs": [
            {"tag": "BIAS", "name": "MUSE.2017-06-14T10:01:02.345.fits", "content": "fits1:" + "2" * 64}
        ],
        "outputs": [{"tag": "MASTER_BIAS", "least": 1}],
        "numerics": "pinned",
    }


CHANGES: dict[str, Any] = {
    "recipe": "muse_dark",
    "spec": 2,
    "image": "sha256:" + "9" * 64,
    "platform": "linux/arm64",
    "parameters": (("muse.muse_bias.nifu", "2"), ("muse.muse_bias.overscan", "vpoly")),
    "environment": (("LC_ALL", "C"), ("TZ", "CET")),
    "inputs": (ActionInput("BIAS", "other.fits", "fits1:" + "2" * 64),),
    "outputs": (ExpectedOutput("MASTER_BIAS", 2),),
    "numerics": "native",
}


@pytest.mark.parametrize("field", [field.name for field in fields(Action) if field.init])
def test_every_field_of_an_action_is_in_its_key(field: str) -> None:
    """Promise 3."""
    assert an_action(**{field: CHANGES[field]}).key != an_action().key


def test_swapping_roles_or_order_of_inputs_gives_another_key() -> None:
    """Promise 3."""
    first, second = ActionInput("LAMP", "a.fits", "fits1:a"), ActionInput("DARK", "b.fits", "fits1:b")
    swapped = (replace(first, tag="DARK"), replace(second, tag="LAMP"))
    keys = {an_action(inputs=given).key for given in [(first, second), (second, first), swapped]}

    assert len(keys) == 3


def test_moving_text_between_neighbouring_fields_gives_another_key() -> None:
    """Promise 3: nothing is concatenated, so no two actions run into each other."""
    variants = [
        an_action(inputs=(ActionInput("AB", "C", "D"),)),
        an_action(inputs=(ActionInput("A", "BC", "D"),)),
        an_action(inputs=(ActionInput("A", "B", "CD"),)),
        an_action(parameters=(("ab", "c"),)),
        an_action(parameters=(("a", "bc"),)),
        an_action(parameters=(("a", "b"), ("c", ""))),
        an_action(environment=(("a", "b"), ("c", ""))),
    ]

    assert len({variant.key for variant in variants}) == len(variants)


@given(ACTIONS, ACTIONS)
def test_keys_are_equal_only_for_equal_actions(left: Action, right: Action) -> None:
    """Promise 3."""
    assert (left.key == right.key) == (left == right)


@given(ACTIONS)
def test_an_action_comes_back_from_its_document_with_its_key(action: Action) -> None:
    again = Action.from_document(json.loads(canonical_json(action.document())))

    assert (again, again.key) == (action, action.key)


@given(ACTIONS, st.randoms())
def test_order_in_which_parameters_are_given_does_not_count(action: Action, random: Any) -> None:
    """Promise 2."""
    parameters, environment = list(action.parameters), list(action.environment)
    random.shuffle(parameters)
    random.shuffle(environment)

    shuffled = replace(action, parameters=tuple(parameters), environment=tuple(environment))
    assert (shuffled, shuffled.key) == (action, action.key)


def test_a_parameter_said_twice_is_refused() -> None:
    with pytest.raises(NotCanonical) as caught:
        an_action(parameters=(("nifu", "1"), ("nifu", "2")))

    assert str(caught.value) == "parameters holds nifu twice"


@given(RUNS)
def test_a_run_comes_back_from_its_record(run: Run) -> None:
    assert Run.from_document(json.loads(canonical_json(run.document()))) == run


def test_a_record_holds_clock_engine_and_association_as_documented() -> None:
    run = a_run(
        an_action(),
        RUN,
        clock_mode="frozen",
        clock_at="2026-11-22T09:00:00Z",
        engine=(("name", "docker"), ("version", "20.10")),
        isolation=(("network", "none"),),
        choices=(Choice("MASTER_FLAT", "flat", 0, 3600, "nearest", ("later: 11 d",)),),
    )
    document = run.document()

    assert (document["type"], document["version"]) == ("clio-record", 1)
    assert document["clock"] == {"mode": "frozen", "at": "2026-11-22T09:00:00Z"}
    assert document["engine"] == {"name": "docker", "version": "20.10", "isolation": {"network": "none"}}
    assert document["association"][0]["rejected"] == ["later: 11 d"]


@pytest.mark.parametrize(
    ("status", "exit_status", "expected"),
    [
        (Status.OK, 0, True),
        (Status.CAVEAT, 0, True),
        (Status.OK, None, False),
        (Status.OK, 1, False),
        (Status.FAILED, 0, False),
        (Status.INPUT_CHANGED, 0, False),
        (Status.KILLED, None, False),
    ],
)
def test_a_run_is_successful_only_with_status_and_exit_status(
    status: Status, exit_status: int | None, expected: bool
) -> None:
    assert a_run(an_action(), RUN, status=status, exit_status=exit_status).is_success is expected


def broken(**changes: Any) -> Document:
    return a_run(an_action(), RUN).document() | changes


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "not a clio-record"),
        ({"type": "clio-action", "version": 1}, "not a clio-record"),
        (broken(version="1"), "clio-record of no version"),
        (broken(status="fine"), "record is not as it should be: 'fine' is not a valid Status"),
        (broken(wall_ms=1.5), "record is not as it should be: wall_ms: float where int should be"),
        (broken(wall_ms=True), "record is not as it should be: wall_ms: bool where int should be"),
        (broken(argv="esorex"), "record is not as it should be: argv: str where a list should be"),
        (
            broken(environment={"A": 1}),
            "record is not as it should be: environment: no object of names and texts",
        ),
        (broken(engine=[]), "record is not as it should be: clock and engine are no objects"),
        (
            broken(outputs=[{"tag": "A", "name": "b"}]),
            "record is not as it should be: 'digest is missing'",
        ),
    ],
)
def test_a_record_that_is_not_whole_is_refused(document: Any, message: str) -> None:
    with pytest.raises(StoreDamaged) as caught:
        Run.from_document(document)

    assert str(caught.value) == message


@pytest.mark.parametrize("size", [True, 1.0])
def test_what_equals_a_whole_number_and_is_none_is_refused_though_it_was_read_before(size: object) -> None:
    """Equal inputs of many records are one value; to Python, True and 1.0 equal 1."""
    run = a_run(an_action(), RUN, inputs=(InputFile("BIAS", "raw.fits", RAW, size=1),))
    document = run.document()
    assert Run.from_document(document) == run

    document["inputs"] = [document["inputs"][0] | {"size": size}]

    with pytest.raises(StoreDamaged, match=f"inputs: size: {type(size).__name__} where int should be"):
        Run.from_document(document)


@pytest.mark.parametrize("kind", [Run, Action])
def test_a_document_of_a_newer_version_is_refused_as_such(kind: Any) -> None:
    document = (a_run(an_action(), RUN) if kind is Run else an_action()).document() | {"version": 2}

    with pytest.raises(StoreVersion, match="of version 2, and this program knows 1"):
        kind.from_document(document)


def test_fields_a_newer_program_added_to_a_record_are_passed_over() -> None:
    run = a_run(an_action(), RUN)

    assert Run.from_document(run.document() | {"phase_of_the_moon": "full"}) == run


def test_an_action_without_its_image_is_refused() -> None:
    document = an_action().document()
    del document["image"]

    with pytest.raises(StoreDamaged, match="image is incomplete"):
        Action.from_document(document)


def test_artifacts_of_a_run_are_each_named_once() -> None:
    outputs = (OutputFile("A", "a", "sha256:a", size=1), OutputFile("A", "b", "sha256:a", size=1))
    run = a_run(an_action(), RUN, outputs=outputs, extras=(ExtraFile("e", "sha256:e", 2),), log="sha256:l")

    assert run.artifacts == (("sha256:a", 1), ("sha256:e", 2), ("sha256:l", None))


def test_an_invocation_comes_back_from_its_statement() -> None:
    steps = (
        StepOutcome("bias", "night", "muse_bias", "a" * 64, RUN, "ran", ("never run",)),
        StepOutcome("flat", "night", "muse_flat", None, None, "blocked"),
    )
    call = Invocation(RUN, "2026", None, ("clio", "run"), "0.1.0", "/work", 4, steps)

    assert Invocation.from_document(json.loads(canonical_json(call.document()))) == call


def test_a_step_ends_in_one_of_four_ways() -> None:
    with pytest.raises(NotCanonical) as caught:
        StepOutcome("bias", "night", "muse_bias", None, None, "skipped")

    assert str(caught.value) == "outcome of a step is skipped, not one of hit, ran, failed, blocked"
