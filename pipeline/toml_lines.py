"""Where a key stands in TOML text, for messages. Pure."""

import re
from collections import Counter

Keys = tuple[str | int, ...]
"""Path of tables and key; a number is the place in a list."""

_KEY = re.compile(r"""(?:[\w-]+|"[^"]*"|'[^']*')""")


def locate(text: str, keys: Keys) -> int:
    """Find the line of a key in TOML text.

    Parameters
    ----------
    text : str
        The file.
    keys : tuple
        Path of tables and key; a number is the place in a list.

    Returns
    -------
    int
        Counted from 1; of the innermost table or list that is found, 1 if none is.
    """
    table: Keys = ()
    tables: Counter[Keys] = Counter()
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)([^\[\]]+)\]", line):
            table = _inside(_path(header[2]), tables)
            if header[1] == "[[":
                tables[table] += 1
                table = (*table, tables[table] - 1)
            path = table
        elif key := re.match(rf"\s*({_KEY.pattern}(?:\s*\.\s*{_KEY.pattern})*)\s*=", line):
            path = (*table, *_path(key[1]))
        else:
            continue
        if path[: len(keys)] == keys:
            return number
        if depth < len(path) and keys[: len(path)] == path:
            best, depth = number, len(path)
    return best


def _path(text: str) -> Keys:
    """Split a dotted key."""
    return tuple(part.strip("\"'") for part in _KEY.findall(text))


def _inside(path: Keys, tables: Counter[Keys]) -> Keys:
    """Complete the path of a table under an array of tables: it belongs to the last of them."""
    found: Keys = ()
    for part in path[:-1]:
        found = (*found, part)
        if tables[found]:
            found = (*found, tables[found] - 1)
    return (*found, *path[-1:])
