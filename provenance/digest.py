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

import orjson

from provenance.errors import NotCanonical

PREFIX = "sha256:"
"""What stands before the 64 digits; the algorithm is part of the name."""
CHUNK_BYTES = 1 << 20
"""Bytes read at once. Hashing larger pieces is no faster, smaller ones cost calls."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LARGEST = 2**53 - 1
_STRICTLY = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
"""No number that a float cannot hold."""
_LEAVES = frozenset({str, int, bool, type(None)})
_CONTAINERS = frozenset({dict, list, tuple})


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
    # orjson writes the same, far more quickly, of nothing but these very types: others it writes as it thinks
    # best. Names beyond U+D7FF it sorts by code point, and RFC 8785 by UTF-16 unit.
    if _is_plain(value):
        try:
            data = orjson.dumps(value, option=_STRICTLY)
        except TypeError:  # half a surrogate, an integer too large, nested too deeply
            return _by_the_letter(value)
        if data.isascii() or max(data.decode()) < "\ud800":
            return data
    return _by_the_letter(value)


def _is_plain(value: Any) -> bool:
    """Tell whether a value is made of nothing but text, integers, booleans, None, lists, tuples and dicts.

    Keys are not looked at: none but text is written.
    """
    kind = type(value)
    if kind in _LEAVES:
        return True
    if kind not in _CONTAINERS:
        return False
    items = value.values() if kind is dict else value
    # Most hold leaves alone, of two or three types.
    return _LEAVES.issuperset(map(type, items)) or all(map(_is_plain, items))


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


compact_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
"""Write JSON without blanks, names sorted: as `canonical_json` does, but for floats and rare names."""


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
