"""How much of the machine recipes may take together: what a person said, else what there is."""

import re

from pipeline.errors import UsageError
from pipeline.host import cores, free_memory_bytes, memory_bytes
from pipeline.schedule import Budget

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[kMGT]i?B?|B)", re.IGNORECASE)
_POWERS: dict[str, int] = {"k": 1, "m": 2, "g": 3, "t": 4}
LEAST_BYTES = 200 * 10**6
"""No recipe runs with less."""


def budget(jobs: int | None, given_bytes: int | None) -> Budget:
    """Say what recipes may take together.

    Parameters
    ----------
    jobs : int or None
        Recipes at once; one a core if nobody says.
    given_bytes : int or None
        Memory, of which there is never more than the machine has; nine tenths of what is free if nobody says.
    """
    memory = free_memory_bytes() * 9 // 10 if given_bytes is None else min(given_bytes, memory_bytes())
    return Budget(jobs or cores(), memory)


def bytes_of(text: str) -> int:
    """Read a size as people write it.

    Parameters
    ----------
    text : str
        A number and its unit: `16GB`, `1.5 GiB`, `800M`. Without an i in it a unit is a power of 1000.

    Raises
    ------
    UsageError
        It is no size, has no unit, or is less than any recipe takes.

    Examples
    --------
    >>> bytes_of("16GB"), bytes_of("1.5 GiB")
    (16000000000, 1610612736)
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no amount of memory", "give a number and its unit, such as 16GB")
    unit = found["unit"].lower()
    scale: int = (1024 if "i" in unit else 1000) ** _POWERS.get(unit[0], 0)
    size = round(float(found["number"]) * scale)
    if size < LEAST_BYTES:
        raise UsageError(
            f"{text} of memory is too little: recipes take {LEAST_BYTES // 10**6} MB and more",
            "most take one to three GB with few IFUs; scipost takes the most",
        )
    return size
