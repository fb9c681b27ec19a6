"""Digests of bytes, files and structures."""

import hashlib
import json
import uuid
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from provenance.digest import canonical_digest, canonical_json, digest_bytes, digest_file, is_digest
from provenance.errors import NotCanonical, ProvenanceError

SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none() | st.booleans() | SAFE | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


class Plain(Enum):
    """No text, whatever its value."""

    ONE = "one"


def test_digest_of_no_bytes_is_the_known_one() -> None:
    assert digest_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    path = tmp_path / "file"
    path.write_bytes(content)

    assert digest_file(path) == "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sha256:" + "a" * 64, True),
        ("sha256:" + "a" * 63, False),
        ("sha256:" + "A" * 64, False),
        ("sha256:" + "a" * 64 + "\n", False),
        ("a" * 64, False),
        ("fits1:" + "a" * 64, False),
        ("sha256:../../../" + "a" * 55, False),
    ],
)
def test_only_whole_lower_case_digests_are_digests(text: str, expected: bool) -> None:
    assert is_digest(text) is expected


def test_canonical_json_sorts_names_by_utf16_units_and_leaves_no_blanks() -> None:
    # U+FB33 sorts before U+1F600 by code point, and after it by UTF-16 unit: RFC 8785, section 3.2.3.
    value = {"\ufb33": 1, "\U0001f600": 2, "b": [True, None], "a": {"y": "é", "x": "\n"}}

    expected = '{"a":{"x":"\\n","y":"é"},"b":[true,null],"\U0001f600":2,"\ufb33":1}'
    assert canonical_json(value) == expected.encode()


@given(VALUES)
def test_canonical_json_reads_back_as_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(VALUES)
def test_canonical_json_is_what_rfc_8785_says(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(VALUES, VALUES)
def test_values_have_the_same_digest_only_when_they_are_the_same(left: Any, right: Any) -> None:
    assert (canonical_digest(left) == canonical_digest(right)) == (repr_of(left) == repr_of(right))


@given(st.dictionaries(TEXT, SAFE, min_size=2), st.randoms())
def test_order_of_names_does_not_move_a_digest(value: dict[str, int], random: Any) -> None:
    shuffled = list(value.items())
    random.shuffle(shuffled)

    assert canonical_digest(dict(shuffled)) == canonical_digest(value)


# Texts and names that look like numbers between other things, wherever a quote or a backslash may mislead.
LOOKS = TEXT | st.text('"\\.eE:,[]{}1') | st.sampled_from(['":1.5', "\\\\", '\\\\"', ",1e5", "[0.5"])
MIXED = st.recursive(
    st.booleans() | SAFE | LOOKS | st.floats() | st.sampled_from([1e16, -0.0, 1e-7, 5e-324]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LOOKS, inner, max_size=4),
    max_leaves=12,
)


@given(MIXED)
def test_a_float_is_refused_wherever_it_stands_and_nothing_that_looks_like_one(value: Any) -> None:
    if holds_float(value):
        with pytest.raises(NotCanonical):
            canonical_json(value)
    else:
        assert canonical_json(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.0, "no canonical form: float at $"),
        ({"a": [0, float("nan")]}, "no canonical form: float at $.a[1]"),
        (2**53, "no canonical form: 9007199254740992 at $ is beyond 2^53"),
        (-(2**53), "no canonical form: -9007199254740992 at $ is beyond 2^53"),
        ({1: "a"}, "no canonical form: the key 1 at $ is no string"),
        (b"bytes", "no canonical form: bytes at $"),
        ({"a": {"set"}}, "no canonical form: set at $.a"),
        ({"a": uuid.UUID(int=7)}, "no canonical form: UUID at $.a"),
        ([datetime(2026, 1, 1, tzinfo=UTC)], "no canonical form: datetime at $[0]"),
        ([Plain.ONE], "no canonical form: Plain at $[0]"),
    ],
)
def test_values_without_a_canonical_form_are_refused_by_place(value: Any, message: str) -> None:
    with pytest.raises(NotCanonical) as caught:
        canonical_json(value)

    assert str(caught.value) == message
    assert isinstance(caught.value, ProvenanceError)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, ["a\ud800"]])
def test_half_a_surrogate_pair_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical_json(value)


def holds_float(value: Any) -> bool:
    """Tell whether a float stands anywhere in a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, float) or any(holds_float(item) for item in inner)


def repr_of(value: Any) -> str:
    """Tell True from 1, which Python calls equal, and no dictionaries apart by their order."""
    return json.dumps(value, sort_keys=True)
