"""Settings of another program, as they become settings of Clio: what is carried over, line by line. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, Slip, UsageError
from pipeline.recipes import RECIPES
from pipeline.slips import check_parameter

if TYPE_CHECKING:
    from pipeline.image import RecipeParameter


class Outcome(StrEnum):
    """What became of a line."""

    CARRIED = "carried over"
    DEFAULT = "as by default"
    """Clio does so by itself."""
    LEFT = "left out"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the other program's settings."""

    file: Path
    number: int
    """Counted from 1."""
    key: str
    value: str
    outcome: Outcome
    to: str = ""
    """The key of `clio.toml`."""
    why: str = ""


@dataclass(slots=True)
class Imported:
    """Settings while they are being taken over."""

    folder: Path
    """The workspace, to which paths in it are written."""
    known: "Callable[[str], tuple[RecipeParameter, ...]] | None" = None
    """Gives the parameters of a recipe as an image declares them; None if there is none to ask."""
    document: dict[str, Any] = field(default_factory=dict)
    """What `clio.toml` will say."""
    lines: list[Line] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What is missing in the other program's settings."""

    def set(self, *keys: str, value: Any) -> str:
        """Put a value under a path of tables and key; gives the path in words."""
        table = self.document
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = value
        return ".".join(keys)

    def add(self, table: str, key: str, value: str) -> str:
        """Add a value to a list, once."""
        values = self.document.setdefault(table, {}).setdefault(key, [])
        if value not in values:
            values.append(value)
        return f"{table}.{key}"

    def path(self, text: str, base: Path) -> str:
        """Write a path as seen from the workspace, if it lies there; else whole."""
        whole = (base / Path(text).expanduser()).absolute()
        home = self.folder.absolute()
        inside = whole.is_relative_to(home) and whole != home
        return str(whole.relative_to(home)) if inside else str(whole)

    def refused(self, recipe: str, option: str, value: Any) -> str:
        """Say why a parameter cannot be carried over; nothing if it can."""
        if recipe not in RECIPES:
            return f"no stage of Clio calls {recipe}"
        if not isinstance(value, str | bool | int | float):
            return "it is neither text nor a number, true or false"
        if self.known is None:
            return ""
        try:
            check_parameter(recipe, option, value, self.known(recipe))
        except UsageError as error:
            return error.message
        return ""


def plain(file: Path, text: str, number: int, message: str) -> ConfigError:
    """Make the error of a line that cannot be read."""
    return ConfigError(f"{file}, line {number}: {message}", text, (Slip(number, message, text),))


def read_text(file: Path) -> str:
    """Read a file of settings.

    Raises
    ------
    ConfigError
        It is missing, or no text.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text") from error


def filled(text: str, names: Mapping[str, str]) -> str:
    """Put values in place of `{names}`, those within them included.

    Examples
    --------
    >>> filled("{workdir}/raw", {"workdir": "{home}/muse", "home": "/data"})
    '/data/muse/raw'
    """
    for _ in range(len(names) + 1):
        before = text
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        if text == before or len(text) > _LONGEST:
            break
    return text


_LONGEST = 10_000
"""Characters of a value: names that name each other never end."""


def joined(values: Iterable[Any]) -> str:
    """Write a list as the recipes take it."""
    return ",".join(str(value) for value in values)
