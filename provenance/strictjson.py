"""JSON of strangers, read strictly: canonical to the byte, of limited size and depth. Pure."""

import json
import re

from provenance.digest import canonical_json
from provenance.documents import Document
from provenance.errors import BundleRefused, NotCanonical

DEPTH_MOST = 24
"""Objects and lists in one another at most; a record has seven."""

_STEP = re.compile(rb'\\.|[][{}"]', re.DOTALL)


def read_canonical(data: bytes, what: str) -> Document:
    """Read a JSON object that is in its canonical form.

    Parameters
    ----------
    data : bytes
        Of a size that was looked at before.
    what : str
        Its name in messages.

    Raises
    ------
    BundleRefused
        It is nested too deeply, is no JSON, no object, or not written in the one canonical way: with names
        said twice, floats, NaN, blanks, or another order.
    """
    if depth_of(data, DEPTH_MOST) > DEPTH_MOST:
        raise BundleRefused(f"{what} is nested more than {DEPTH_MOST} deep")
    try:
        document = json.loads(data)
        is_canonical = canonical_json(document) == data
    except (ValueError, RecursionError, NotCanonical) as error:
        raise BundleRefused(f"{what} is no JSON that this program writes: {error}") from error
    if not isinstance(document, dict):
        raise BundleRefused(f"{what} is not a JSON object")
    if not is_canonical:
        raise BundleRefused(f"{what} is not canonical JSON: the same content can be written in one way only")
    return document


def depth_of(data: bytes, most: int = 1 << 30) -> int:
    """Count how many objects and lists stand in one another, before anything is made of them.

    Examples
    --------
    >>> depth_of(b'[[1, "]]["], {}]')
    2
    """
    deepest = depth = 0
    is_text = False
    # One piece at a time: whoever writes a million quotes is not to fill the memory with them.
    for found in _STEP.finditer(data):
        letter = found[0]
        if letter == b'"':
            is_text = not is_text
        elif not is_text and len(letter) == 1:
            depth += 1 if letter in b"[{" else -1
            deepest = max(deepest, depth)
            if deepest > most:
                break
    return deepest
