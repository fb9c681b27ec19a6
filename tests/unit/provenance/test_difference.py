"""What makes one action another, as values and in words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.difference import (
    Changed,
    Difference,
    Field,
    Recast,
    Reordered,
    Replaced,
    differences,
    in_words,
)
from provenance.model import Action, ActionInput, ExpectedOutput

A, B, C = (ActionInput("BIAS", f"{name}.fits", f"fits1:{name * 64}") for name in "abc")
PLAIN = Action(
    recipe="muse_bias",
    spec=1,
    image="sha256:" + "1" * 64,
    platform="linux/amd64",
    parameters=(("muse.muse_bias.nlow", "1"),),
    environment=(("TZ", "UTC"),),
    inputs=(A, B),
    outputs=(ExpectedOutput("MASTER_BIAS", 1),),
    numerics="pinned",
)


def test_an_action_does_not_differ_from_itself() -> None:
    assert differences(PLAIN, replace(PLAIN)) == ()


CASES: list[tuple[str, dict[str, object], tuple[str, ...]]] = [
    ("recipe", {"recipe": "muse_dark"}, ("recipe: muse_bias -> muse_dark",)),
    ("staging", {"spec": 2}, ("staging of the recipe: 1 -> 2",)),
    ("image", {"image": "sha256:" + "2" * 64}, (f"image: {'1' * 12} -> {'2' * 12}",)),
    ("platform", {"platform": "linux/arm64"}, ("platform: linux/amd64 -> linux/arm64",)),
    ("numerics", {"numerics": "native"}, ("numerics: pinned -> native",)),
    (
        "parameter",
        {"parameters": (("muse.muse_bias.nlow", "2"),)},
        ("parameter muse.muse_bias.nlow: 1 -> 2",),
    ),
    (
        "parameter-new",
        {"parameters": (("muse.muse_bias.nlow", "1"), ("muse.muse_bias.new", "0"))},
        ("parameter muse.muse_bias.new: not set -> 0",),
    ),
    ("environment", {"environment": ()}, ("environment TZ: UTC -> not set",)),
    ("order", {"inputs": (B, A)}, ("input BIAS: the same frames in another order",)),
    ("input", {"inputs": (A, C)}, ("input BIAS: b.fits -> c.fits",)),
    ("less", {"inputs": (A,)}, ("input BIAS: without b.fits",)),
    ("more", {"inputs": (A, B, C)}, ("input BIAS: with c.fits",)),
    (
        "same-name",
        {"inputs": (A, replace(B, content="fits1:" + "e" * 64))},
        (f"input BIAS: b.fits holds other data ({'b' * 12} -> {'e' * 12})",),
    ),
    ("another-part", {"inputs": (A, replace(B, tag="DARK"))}, ("input b.fits: BIAS -> DARK, another part",)),
    ("twice", {"inputs": (A, B, B)}, ("input BIAS: with b.fits",)),
    (
        "outputs",
        {"outputs": (ExpectedOutput("MASTER_BIAS", 2),)},
        ("expected products: 1 MASTER_BIAS -> 2 MASTER_BIAS",),
    ),
]


@pytest.mark.parametrize(("changes", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_difference_is_told_in_words(changes: dict[str, object], words: tuple[str, ...]) -> None:
    assert in_words(differences(PLAIN, replace(PLAIN, **changes))) == words  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_keys_differ_exactly_when_something_can_be_told(changes: dict[str, object]) -> None:
    """Promise 3."""
    other = replace(PLAIN, **changes)  # type: ignore[arg-type]

    assert other.key != PLAIN.key


_INPUTS = st.lists(
    st.builds(
        lambda tag, name, content: ActionInput(tag, f"{name}.fits", f"fits1:{content * 64}"),
        *(st.sampled_from(letters) for letters in (["BIAS", "FLAT"], "xyz", "ab")),
    ),
    max_size=5,
).map(tuple)


@given(old=_INPUTS, new=_INPUTS)
def test_other_inputs_are_always_told(old: tuple[ActionInput, ...], new: tuple[ActionInput, ...]) -> None:
    """Promise 3: whatever makes another key has a name, and whatever does not has none."""
    first, second = replace(PLAIN, inputs=old), replace(PLAIN, inputs=new)

    found = differences(first, second)
    assert (first.key == second.key) == (found == ()) == (in_words(found) == ())


def mirrored(difference: Difference) -> Difference:
    """Swap the sides."""
    match difference:
        case Reordered():
            return difference
        case _:
            return replace(difference, old=difference.new, new=difference.old)


@given(old=_INPUTS, new=_INPUTS)
def test_the_other_way_round_the_same_differs(
    old: tuple[ActionInput, ...], new: tuple[ActionInput, ...]
) -> None:
    first, second = replace(PLAIN, inputs=old), replace(PLAIN, inputs=new, numerics="native")

    there, back = differences(first, second), differences(second, first)

    assert sorted(map(repr, there)) == sorted(repr(mirrored(found)) for found in back)


def test_exchanged_parts_are_two_differences() -> None:
    flat, dark = replace(A, tag="MASTER_FLAT"), replace(B, tag="MASTER_DARK")
    swapped = replace(flat, tag="MASTER_DARK"), replace(dark, tag="MASTER_FLAT")

    found = differences(replace(PLAIN, inputs=(dark, flat)), replace(PLAIN, inputs=swapped))

    assert found == (Recast(dark, swapped[1]), Recast(flat, swapped[0]))


def test_an_order_across_tags_is_told() -> None:
    dark = replace(B, tag="DARK")

    found = differences(replace(PLAIN, inputs=(A, dark)), replace(PLAIN, inputs=(dark, A)))

    assert found == (Reordered(""),)
    assert in_words(found) == ("inputs: the same files in another order",)


def test_inputs_are_matched_by_name_before_their_place() -> None:
    later = replace(A, content="fits1:" + "d" * 64)

    found = differences(replace(PLAIN, inputs=(A, B)), replace(PLAIN, inputs=(C, later)))

    assert found == (Replaced("BIAS", A, later), Replaced("BIAS", B, C))


def test_many_inputs_are_counted() -> None:
    old, new = (
        tuple(ActionInput("BIAS", f"{word}{n}.fits", f"fits1:{n}") for n in range(5))
        for word in ("old", "new")
    )

    assert in_words(differences(replace(PLAIN, inputs=old), replace(PLAIN, inputs=new))) == (
        "input BIAS: 5 are others",
    )
    assert in_words(differences(PLAIN, replace(PLAIN, inputs=(A, B, *new)))) == (
        "input BIAS: with 5 files, new0.fits to new4.fits",
    )


def test_a_field_keeps_its_whole_values() -> None:
    """What is shortened is what is shown."""
    other = replace(PLAIN, image="sha256:" + "2" * 64)

    assert differences(PLAIN, other) == (Changed(Field.IMAGE, "", PLAIN.image, other.image),)
