"""What makes one action another, in words."""

from dataclasses import replace

import pytest

from provenance.difference import differences
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
    ("recipe", {"recipe": "muse_dark"}, ("recipe: muse_bias (staging 1) -> muse_dark (staging 1)",)),
    ("staging", {"spec": 2}, ("recipe: muse_bias (staging 1) -> muse_bias (staging 2)",)),
    (
        "image",
        {"image": "sha256:" + "2" * 64},
        (f"image: {'1' * 12} linux/amd64 -> {'2' * 12} linux/amd64",),
    ),
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
    ("input", {"inputs": (A, C)}, (f"input BIAS: b.fits ({'b' * 12}) -> c.fits ({'c' * 12})",)),
    ("less", {"inputs": (A,)}, (f"input BIAS: without b.fits ({'b' * 12})",)),
    ("more", {"inputs": (A, B, C)}, (f"input BIAS: with c.fits ({'c' * 12})",)),
    (
        "outputs",
        {"outputs": (ExpectedOutput("MASTER_BIAS", 2),)},
        ("expected products: 1 MASTER_BIAS -> 2 MASTER_BIAS",),
    ),
]


@pytest.mark.parametrize(("changes", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_difference_is_told_in_words(changes: dict[str, object], words: tuple[str, ...]) -> None:
    assert differences(PLAIN, replace(PLAIN, **changes)) == words  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_keys_differ_exactly_when_something_can_be_told(changes: dict[str, object]) -> None:
    """Promise 3."""
    other = replace(PLAIN, **changes)  # type: ignore[arg-type]

    assert other.key != PLAIN.key
