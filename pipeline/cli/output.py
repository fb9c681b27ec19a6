"""What goes to which stream, in which form: stdout is data, stderr is talk. Decides colour once."""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass
class Output:
    """The two streams of a call of the command."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    @cached_property
    def data(self) -> "Console":
        """The console of stdout."""
        return _console(stderr=False)

    @cached_property
    def talk(self) -> "Console":
        """The console of stderr."""
        return _console(stderr=True)

    @property
    def shows_progress(self) -> bool:
        """Whether a person watches stderr."""
        return sys.stderr.isatty() and not self.quiet

    def say(self, text: str) -> None:
        """Say something to whoever waits."""
        if self.quiet:
            return
        if "talk" in self.__dict__:  # in use, perhaps by a bar that has to make room
            self.talk.print(text, markup=False, highlight=False, soft_wrap=True)
        else:  # rich takes longer to import than a light command to run
            sys.stderr.write(f"{shown(text)}\n")

    def document(self, schema: str, body: dict[str, Any]) -> None:
        """Print one JSON document, its form and version first."""
        print_json({"schema": schema, **body}, indent=2)

    def line(self, text: str) -> None:
        """Print a line of data."""
        sys.stdout.write(f"{shown(text)}\n")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table that fits the terminal; words such as `hit` in their colour."""
        self.data.print(_table(columns, rows))

    def say_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Say a table to whoever waits."""
        if not self.quiet:
            self.talk.print(_table(columns, rows))


COLOURS = {
    "hit": "green",
    "ran": "cyan",
    "ok": "green",
    "works": "green",
    "miss": "yellow",
    "ok with caveats": "yellow",
    "blocked": "magenta",
    "failed": "red",
    "does not work": "red",
}
"""Words that are shown in a colour of their own wherever they fill a cell."""

_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""What steers a terminal, turns text round or is half a letter; not the end of a line, nor the tabulator."""

OUTPUT = Output()
"""The streams of this process; the options before the command set its fields."""


def shown(text: str) -> str:
    r"""Write a text so that no terminal does anything with it but show it.

    Notes
    -----
    Names, logs and header cards come from files of others. All that is printed goes through here.

    Examples
    --------
    >>> shown("\x1b]0;a title\x07of another")
    '\\x1b]0;a title\\x07of another'
    """
    return text if text.isprintable() else _UNSHOWN.sub(lambda found: ascii(found[0])[1:-1], text)


def print_json(body: dict[str, Any], indent: int | None = None) -> None:
    """Print JSON to stdout, whole and at once, so that lines of several threads do not mix."""
    text = json.dumps(body, indent=indent, ensure_ascii=False)
    # Outside of strings there is none of these, and within one its escape is the same letter to a reader.
    text = _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_error(kind: str, message: str, hint: str, exit_code: int, *, as_json: bool) -> None:
    """Say on stderr what went wrong and what to do."""
    if as_json:
        error = {"kind": kind, "message": message, "hint": hint, "exit": exit_code}
        sys.stderr.write(json.dumps({"schema": "clio-error/1", "error": error}) + "\n")
        return
    console = OUTPUT.talk
    console.print("error:", style="bold red", end=" ", highlight=False)
    console.print(message, markup=False, highlight=False, soft_wrap=True)
    if hint:
        console.print("hint:", style="bold", end=" ", highlight=False)
        console.print(hint, markup=False, highlight=False, soft_wrap=True)


def in_words(status: str) -> str:
    """Say a status as people do."""
    return "ok with caveats" if status == "caveat" else status


def seconds(wall_ms: int | None) -> str:
    """Write a duration in seconds; a dash for none."""
    return "-" if wall_ms is None else f"{wall_ms / 1000:.1f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        is_number = name.endswith((" s", " MB", "GB")) or name in ("steps", "frames")
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell), style=COLOURS.get(cell, "")) for cell in row))
    return table


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Plain(Console):
        """A console that steers the terminal itself, and lets no text do so."""

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=shown(segment.text))

    stream = sys.stderr if stderr else sys.stdout
    # Without a terminal nothing is folded: others read lines.
    width = None if stream.isatty() else int(os.environ.get("COLUMNS", "200"))
    return Plain(stderr=stderr, width=width, no_color="NO_COLOR" in os.environ or None)
