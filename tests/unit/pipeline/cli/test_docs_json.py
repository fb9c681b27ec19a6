"""`docs/json.md` names every field that the commands print."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import write_night
from fakes import install_image
from history import History
from typer.testing import Result

Clio = Callable[..., Result]

DOCS = Path(__file__).parents[4] / "docs" / "json.md"
_ROW = re.compile(r"^\| (`[^|]*`) \| ([^|]*) \|", re.MULTILINE)


def documented(schema: str) -> dict[str, str]:
    """Read path and type of each field of a schema; a table goes up to the next one that names a schema."""
    found: dict[str, str] = {}
    current = ""
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        row = _ROW.match(line)
        if row is None:
            continue
        if row[1] == "`schema`":
            current = re.findall(r"`([^`]+)`", line)[-1]
        if current == schema:
            found |= {name: row[2].strip() for name in re.findall(r"`([^`]+)`", row[1])}
    return found


def paths(value: object, known: dict[str, str], at: str = "") -> Iterator[str]:
    """Yield the path of every value, not looking into maps and into objects that are described in words."""
    opaque = known.get(at, "").startswith("map") or (
        known.get(at) == "object" and not any(name.startswith(f"{at}.") for name in known)
    )
    if isinstance(value, dict) and not opaque:
        for name, inner in value.items():
            yield from paths(inner, known, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, known, f"{at}[]")
    else:
        yield at


@pytest.mark.parametrize(
    "words",
    [
        ("show", "flat"),
        ("show", "bias"),
        ("show", "RAW"),
        ("show", "PRODUCT"),
        ("show", "bias", "--log"),
        ("trace", "scibasic"),
        ("trace", "RAW", "--down"),
        ("trace", "RAW", "--down", "--format", "table"),
        ("trace", "muse_flat.order=7", "--down"),
        ("taint", "RAW", "--reason", "bad"),
        ("taint", "--list", "--all"),
        ("trace", "scibasic", "--format", "json"),
        ("why", "bias"),
        ("why", "flat:2026-01-15T15:35:52:01"),
        ("check",),
        ("reindex",),
        ("image", "list"),
        ("image", "show"),
        ("scan",),
        ("plan",),
        ("plan", "--why"),
        ("accept", "--list"),
        ("status",),
        ("trust", "--list"),
        ("params",),
        ("params", "muse_flat"),
    ],
    ids=" ".join,
)
def test_every_field_is_documented(
    clio: Clio, history: History, workspace: Path, words: tuple[str, ...]
) -> None:
    write_night(workspace)
    install_image(workspace / "cache")
    named = {"RAW": history.bias.inputs[0].digest, "PRODUCT": history.flat.outputs[0].digest}
    document = json.loads(clio(*(named.get(word, word) for word in words), "--json").stdout)

    known = documented(document["schema"])
    twin = {name.replace("steps[].last", "steps[].ran"): kind for name, kind in known.items()}
    assert set(paths(document, known | twin)) - known.keys() - twin.keys() == set()
