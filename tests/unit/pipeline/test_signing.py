"""The form of envelopes and seals: what is signed is one sequence of bytes, and no change goes unnamed."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from builders import image, primary
from hypothesis import given
from hypothesis import strategies as st

from pipeline.signing.envelope import (
    Envelope,
    EnvelopeRefused,
    envelope_of,
    read_envelope,
    read_signature,
    unarmoured,
)
from pipeline.signing.seals import Seal, differences, likeness, seal_file

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
SIGNATURE = b"SSHSIG" + b"\0\0\0\1" + b"\0\0\0\3key" + b"\0\0\0\4clio" + b"\0\0\0\0" + b"\0\0\0\6sha512"
FITS = primary({"OBJECT": "NGC 1", "EXPTIME": 600.0}) + image("DATA", [1, 2, 3]) + image("STAT", [4, 5])


def statement(predicate: object) -> dict[str, object]:
    return {"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicate": predicate}


@given(values)
def test_an_envelope_comes_back_as_it_was(predicate: object) -> None:
    sealed = Envelope(envelope_of(statement(predicate)).payload, (read_signature(SIGNATURE),))

    found = read_envelope(json.dumps(sealed.document()), "it")

    assert found == sealed
    assert found.statement == statement(predicate)


def test_what_is_signed_is_the_encoding_of_dsse() -> None:
    """Type and payload, each with its length: neither can pass for the other."""
    assert Envelope(b"hello world", ()).signed == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_the_same_statement_is_the_same_payload_in_whatever_order_it_was_put() -> None:
    there = envelope_of({"b": 1, "a": [1, {"d": 2, "c": 3}]})

    assert there.payload == envelope_of({"a": [1, {"c": 3, "d": 2}], "b": 1}).payload


def test_a_signature_tells_key_and_namespace_and_keeps_its_bytes() -> None:
    found = read_signature(SIGNATURE)

    assert found.key.startswith("SHA256:")
    assert found.namespace == "clio"
    assert unarmoured(found.armoured) == SIGNATURE


@pytest.mark.parametrize(
    "blob", [b"", b"SSHSIG", SIGNATURE[:12], b"SSHSIG\0\0\0\2", b"SSHSIG\0\0\0\1\xff\xff\xff\xff"]
)
def test_what_is_no_signature_is_refused(blob: bytes) -> None:
    envelope = Envelope(envelope_of(statement({})).payload, ()).document()
    envelope["signatures"] = [{"keyid": "", "sig": b64encode(blob).decode()}]

    with pytest.raises(EnvelopeRefused):
        read_envelope(json.dumps(envelope), "it")


def test_a_statement_of_another_form_is_refused() -> None:
    other = Envelope(envelope_of({"_type": "else", "subject": []}).payload, (read_signature(SIGNATURE),))

    with pytest.raises(EnvelopeRefused, match="it holds no https://in-toto"):
        read_envelope(json.dumps(other.document()), "it")


def sealed(tmp_path: Path, content: bytes) -> Seal:
    path = tmp_path / "x.fits"
    path.write_bytes(content)
    return seal_file(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seals")


@given(st.integers(0, len(FITS) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnamed(tmp_path_factory: pytest.TempPathFactory, at: int, change: int) -> None:
    folder = tmp_path_factory.mktemp("x")
    other = FITS[:at] + bytes([FITS[at] ^ change]) + FITS[at + 1 :]

    assert list(differences(sealed(folder, FITS), sealed(folder, other)))


def test_a_seal_comes_back_from_its_document(tmp_path: Path) -> None:
    seal = sealed(tmp_path, FITS)

    assert Seal.from_document(json.loads(json.dumps(seal.document()))) == seal
    assert [hdu.name for hdu in seal.hdus] == ["", "DATA", "STAT"]
    assert list(differences(seal, seal)) == []


def test_cards_in_another_order_are_told(tmp_path: Path) -> None:
    first, second = FITS.index(b"OBJECT"), FITS.index(b"EXPTIME")
    swapped = bytearray(FITS)
    swapped[first : first + 80], swapped[second : second + 80] = (
        FITS[second : second + 80],
        FITS[first : first + 80],
    )

    assert list(differences(sealed(tmp_path, FITS), sealed(tmp_path, bytes(swapped)))) == [
        "HDU 0: the order of its cards"
    ]


def test_likeness_is_of_cards(tmp_path: Path) -> None:
    seal, text = sealed(tmp_path, FITS), sealed(tmp_path, b"no FITS")

    assert likeness(seal, seal) == 1.0
    assert likeness(seal, text) == likeness(text, text) == 0.0
