"""SHA-256 of bytes, of files and of canonical structures. Owns how a digest is spelled.

A structure is hashed through its canonical JSON (RFC 8785), so that the same content has one spelling
only. Floats are refused: a figure that counts is a string in the one spelling of its type, or an
integer of a small unit.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from provenance.errors import NotCanonical

PREFIX = "sha256:"
"""What stands before the 64 digits; the algorithm is part of the name."""
CHUNK_BYTES = 1 << 20
"""Bytes read at once. Hashing larger pieces is no faster, smaller ones cost calls."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LARGEST = 2**53 - 1
_DIGITS = 15
"""Of numbers that are surely no larger."""


def digest_bytes(data: bytes) -> str:
    """Return the digest of some bytes.

    Examples
    --------
    >>> digest_bytes(b"")[:19]
    'sha256:e3b0c44298fc'
    """
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of a file's bytes, reading it once, piece by piece.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return digest_descriptor(descriptor)
    finally:
        os.close(descriptor)


def digest_descriptor(descriptor: int) -> str:
    """Return the digest of what an open file holds, from its first byte; the descriptor stays open."""
    hasher = hashlib.sha256()
    offset = 0
    while piece := os.pread(descriptor, CHUNK_BYTES, offset):
        hasher.update(piece)
        offset += len(piece)
    return PREFIX + hasher.hexdigest()


def is_digest(text: str) -> bool:
    """Tell whether a text is a whole digest: `sha256:` and 64 hex digits."""
    return _DIGEST.fullmatch(text) is not None


def canonical_json(value: object) -> bytes:
    """Return the canonical JSON of a value of strings, booleans, None, integers, sequences and mappings.

    Raises
    ------
    NotCanonical
        The value holds a float, an integer beyond 2^53, a key that is no string, text that is not
        Unicode, or an object of another type.

    Examples
    --------
    >>> canonical_json({"b": [1, True], "a": "x"})
    b'{"a":"x","b":[1,true]}'
    """
    # The library of the standard writes the same, ten times as fast, if there is no float and no integer
    # beyond 2^53, and what it wrote reads as what it was given; but names beyond U+D7FF it sorts by code
    # point, and RFC 8785 by UTF-16 unit.
    try:
        text = compact_json(value)
        if (text.isascii() or max(text) < "\ud800") and _DECODE(text) == value:
            return text.encode()
    except (TypeError, ValueError, RecursionError, _NoWholeNumber):
        pass
    return _by_the_letter(value)


def _by_the_letter(value: object) -> bytes:
    import rfc8785  # ten milliseconds, and almost nobody needs it

    try:
        return rfc8785.dumps(_plain(value, "$"))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise NotCanonical(f"no canonical form: {error}") from error


def canonical_digest(value: object) -> str:
    """Return the digest of a value's canonical JSON.

    Raises
    ------
    NotCanonical
        As `canonical_json`.
    """
    return digest_bytes(canonical_json(value))


class _NoWholeNumber(Exception):
    """A number that JSON has more than one spelling of."""


def _refuse(spelling: str) -> float:
    raise _NoWholeNumber(spelling)


def _whole(spelling: str) -> int:
    if len(spelling) > _DIGITS:
        raise _NoWholeNumber(spelling)
    return int(spelling)


compact_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
"""Write JSON without blanks, names sorted: as `canonical_json` does, but for floats and rare names."""
_DECODE = json.JSONDecoder(parse_float=_refuse, parse_int=_whole, parse_constant=_refuse).decode


def _plain(value: object, where: str) -> Any:
    # The library writes floats and takes any sequence; what may be hashed here is less, and a refusal
    # has to say where the culprit stands.
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise NotCanonical(f"no canonical form: {value} at {where} is beyond 2^53")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise NotCanonical(f"no canonical form: the key {key!r} at {where} is no string")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise NotCanonical(f"no canonical form: {type(value).__name__} at {where}")
