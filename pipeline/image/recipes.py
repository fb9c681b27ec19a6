"""What recipes an image has: names, versions and parameters, asked of esorex once an image.

One run inside the image answers for all recipes. Reading the answer back needs no container.
"""

import json
import re
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.engine import Ending, Engine, EngineRequest, RecipeImage
from pipeline.errors import ImageError

_LISTED = re.compile(r"^ {2}(?P<name>[A-Za-z]\w*) *: ", re.MULTILINE)
_RELEASE = re.compile(r"^RELEASE\n +\S+ -- version (?P<version>\S+)$", re.MULTILINE)
_TIMEOUT_S = 300.0

# Hidden parameters change pixels as well as shown ones, hence --show-hidden.
_SURVEY = """
esorex --recipes >recipes.txt || exit
while IFS= read -r line; do
    case $line in
        "  "[A-Za-z]*) ;;
        *) continue ;;
    esac
    line=${line#  }
    name=${line%%[!A-Za-z0-9_]*}
    esorex --show-hidden=TRUE --create-config="$name.json" "$name" >/dev/null || exit
    esorex --man-page "$name" >"$name.man" || exit
done <recipes.txt
"""


@dataclass(frozen=True, slots=True)
class RecipeParameter:
    """A parameter of a recipe, as the recipe itself declares it."""

    name: str
    """Long name, such as `muse.muse_bias.nifu`."""
    option: str
    """What follows `--` on esorex's command line, such as `nifu`."""
    value: str
    """The default, as spelled by the recipe; `TRUE` or `FALSE` for a bool."""
    kind: str
    """`int`, `double`, `string` or `bool`."""
    choices: tuple[str, ...]
    """All values allowed, as spelled; empty if it is no enumeration."""
    low: str | None
    """Least value allowed, or None."""
    high: str | None
    """Largest value allowed, or None."""
    help: str
    """What the recipe says about it."""


@dataclass(frozen=True, slots=True)
class RecipeDescription:
    """A recipe in an image."""

    name: str
    """Such as `muse_bias`."""
    version: str
    """Such as `2.8.7`."""
    parameters: tuple[RecipeParameter, ...]
    """In the recipe's own order, hidden ones included."""


def survey(image: RecipeImage, engine: Engine, scratch: Path) -> tuple[RecipeDescription, ...]:
    """Ask esorex inside an image for all recipes and their parameters, sorted by name.

    Parameters
    ----------
    image : RecipeImage
        The image to ask.
    engine : Engine
        What runs esorex in it.
    scratch : Path
        Directory for the answer; it is empty again afterwards.

    Raises
    ------
    EngineUnavailable
        The engine cannot run the image.
    ImageError
        There is no esorex in the image, or it failed.
    """
    engine.prepare(image)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".survey-") as name:
        out = Path(name)
        result = engine.run(image, _request(out), threading.Event())
        if result.ending is not Ending.EXITED or result.exit_status != 0:
            status = "" if result.exit_status is None else f", exit status {result.exit_status}"
            raise ImageError(
                f"esorex in the image {image.config_digest[:19]} does not list its recipes "
                f"({result.ending}{status})",
                hint="the image needs esorex and recipes: build one with `clio image build`",
            )
        listed = _LISTED.findall((out / "recipes.txt").read_text(encoding="utf-8", errors="replace"))
        return tuple(_describe(recipe, out) for recipe in sorted(listed))


def read_parameters(text: str) -> tuple[RecipeParameter, ...]:
    """Read what `esorex --create-config=x.json RECIPE` writes; numbers stay as they are spelled.

    Raises
    ------
    ImageError
        The text is not such a document.
    """
    try:
        return tuple(_parameter(row) for row in json.loads(text, parse_float=str, parse_int=str))
    except (ValueError, KeyError, TypeError) as error:
        raise ImageError(
            f"esorex describes the parameters of a recipe in an unknown form: {error}"
        ) from error


def parameters_to_json(parameters: tuple[RecipeParameter, ...]) -> str:
    """Write parameters for the cache."""
    return json.dumps([asdict(parameter) for parameter in parameters], indent=1, sort_keys=True)


def parameters_from_json(text: str) -> tuple[RecipeParameter, ...]:
    """Read parameters back from the cache."""
    return tuple(RecipeParameter(**{**row, "choices": tuple(row["choices"])}) for row in json.loads(text))


def _request(out: Path) -> EngineRequest:
    return EngineRequest(
        run=f"survey-{uuid4().hex[:12]}",
        store="image",
        argv=("sh", "-c", _SURVEY),
        environment=(
            ("HOME", "/tmp"),
            ("LC_ALL", "C"),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("TZ", "UTC"),
        ),
        inputs=(),
        out=out,
        timeout_s=_TIMEOUT_S,
    )


def _describe(recipe: str, out: Path) -> RecipeDescription:
    manual = (out / f"{recipe}.man").read_text(encoding="utf-8", errors="replace")
    release = _RELEASE.search(manual)
    return RecipeDescription(
        name=recipe,
        version=release["version"] if release else "",
        parameters=read_parameters((out / f"{recipe}.json").read_text(encoding="utf-8")),
    )


def _parameter(row: Mapping[str, Any]) -> RecipeParameter:
    return RecipeParameter(
        name=row["name"],
        option=row["display_name"],
        value=_spelled(row["value"]),
        kind=row["valtype"],
        choices=tuple(_spelled(value) for value in row.get("valenum", ())),
        low=_spelled(row["valmin"]) if "valmin" in row else None,
        high=_spelled(row["valmax"]) if "valmax" in row else None,
        help=row.get("description", ""),
    )


def _spelled(value: object) -> str:
    """Spell a value as esorex does: a bool comes as JSON's true, and is TRUE on the command line."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)
