"""Caveats: what a reader of a product should know, carried to all that is made from it. Pure.

A caveat names the step in which it arose when it is carried, `from scipost:200012345: ...`, and is carried
on as it is: the chain in between adds nothing, and what comes by several ways is said once.
"""

import re
from collections.abc import Iterable

_CARRIED = re.compile(r"from (?P<step>[a-z_]+:\S+): (?P<text>.*)", re.DOTALL)


def carried(step: str, caveats: Iterable[str]) -> tuple[str, ...]:
    """Write the caveats of a step as those have them who read its products.

    Examples
    --------
    >>> carried("flat:a:01", ["a lamp was dim", "from bias:a:01: it was warm"])
    ('from flat:a:01: a lamp was dim', 'from bias:a:01: it was warm')
    """
    return tuple(dict.fromkeys(c if _CARRIED.fullmatch(c) else f"from {step}: {c}" for c in caveats))


def arose(step: str, caveat: str) -> tuple[str, str]:
    """Tell in which step a caveat arose, and what it says.

    Examples
    --------
    >>> arose("flat:a:01", "from bias:a:01: it was warm")
    ('bias:a:01', 'it was warm')
    """
    match = _CARRIED.fullmatch(caveat)
    return (match["step"], match["text"]) if match else (step, caveat)
