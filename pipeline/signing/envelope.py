"""A DSSE envelope around an in-toto statement, and the SSH signature in it, as bytes. Pure."""

import base64
import binascii
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import Exit, PipelineError
from provenance.digest import canonical_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
NAMESPACE = "clio"
"""Of the SSH signatures: a key signs many things, and a signature for one passes for no other."""
SUFFIX = ".dsse.json"
"""Put behind the whole name of a signed file."""

_MAGIC = b"SSHSIG"
_ARMOUR = ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----")

Statement = Mapping[str, Any]


class EnvelopeRefused(PipelineError):
    """What should hold a signature does not."""

    exit_code = Exit.STORE


@dataclass(frozen=True, slots=True)
class SshSignature:
    """A signature as ssh-keygen makes it."""

    blob: bytes
    """All of it, without armour."""
    key: str
    """Fingerprint of the key: `SHA256:...`, as ssh-keygen prints it."""
    namespace: str

    @property
    def armoured(self) -> str:
        """As ssh-keygen reads it."""
        text = base64.b64encode(self.blob).decode()
        lines = [text[at : at + 70] for at in range(0, len(text), 70)]
        return "\n".join((_ARMOUR[0], *lines, _ARMOUR[1], ""))


@dataclass(frozen=True, slots=True)
class Envelope:
    """A statement with its signatures."""

    payload: bytes
    """The statement, byte by byte as it was signed."""
    signatures: tuple[SshSignature, ...]

    @property
    def statement(self) -> Statement:
        """What is signed, read."""
        found: Statement = json.loads(self.payload)
        return found

    @property
    def signed(self) -> bytes:
        """The bytes that are signed: DSSE's encoding of the payload and its type."""
        kind = PAYLOAD_TYPE.encode()
        return b" ".join((b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(self.payload), self.payload))

    def document(self) -> dict[str, Any]:
        """Return it as it is written."""
        return {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [
                {"keyid": one.key, "sig": base64.b64encode(one.blob).decode()} for one in self.signatures
            ],
        }


def envelope_of(statement: Statement) -> Envelope:
    """Put a statement into an envelope that nobody has signed yet."""
    return Envelope(canonical_json(statement), ())


def read_envelope(text: bytes | str | Mapping[str, Any], what: str) -> Envelope:
    """Read an envelope.

    Parameters
    ----------
    text : bytes, str or mapping
        JSON, or what JSON gave.
    what : str
        Its name in messages.

    Raises
    ------
    EnvelopeRefused
        It is none, or none of a form this program knows.
    """
    try:
        document = text if isinstance(text, Mapping) else json.loads(text)
        if document["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"it holds {document['payloadType']!r}, not {PAYLOAD_TYPE}")
        payload = base64.b64decode(document["payload"], validate=True)
        blobs = [base64.b64decode(one["sig"], validate=True) for one in document["signatures"]]
        signatures = tuple(read_signature(blob) for blob in blobs)
        statement = json.loads(payload)
        if statement["_type"] != STATEMENT_TYPE or not isinstance(statement["subject"], list):
            raise ValueError(f"it holds no {STATEMENT_TYPE}")
    except RecursionError as error:
        raise EnvelopeRefused(f"{what} holds no signature: nested too deeply") from error
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, binascii.Error) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise EnvelopeRefused(f"{what} holds no signature: {why}", "it was edited, or cut short") from error
    if not signatures:
        raise EnvelopeRefused(f"{what} holds no signature: nobody signed it")
    return Envelope(payload, signatures)


def read_signature(blob: bytes) -> SshSignature:
    """Read an SSH signature.

    Raises
    ------
    ValueError
        It is none.
    """
    if not blob.startswith(_MAGIC) or len(blob) > 100_000:
        raise ValueError("its signature is none of SSH")
    at = len(_MAGIC)
    (version,) = struct.unpack_from(">I", blob, at)
    if version != 1:
        raise ValueError(f"its signature is of version {version}, and this program knows 1")
    key, at = _string(blob, at + 4)
    namespace, at = _string(blob, at)
    print_ = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return SshSignature(blob, f"SHA256:{print_}", namespace.decode("utf-8", "replace"))


def unarmoured(text: str) -> bytes:
    """Take an SSH signature out of its armour.

    Raises
    ------
    ValueError
        It has none.
    """
    lines = text.strip().splitlines()
    if not lines or (lines[0], lines[-1]) != _ARMOUR:
        raise ValueError("no SSH signature")
    return base64.b64decode("".join(lines[1:-1]), validate=True)


def _string(blob: bytes, at: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from(">I", blob, at)
    if at + 4 + size > len(blob):
        raise ValueError("its signature is cut short")
    return blob[at + 4 : at + 4 + size], at + 4 + size
