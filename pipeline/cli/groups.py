"""The groups of verbs: `clio` itself, which imports a verb when it is called, and those like `clio image`.

Their help says of each verb its first sentence, whole.
"""

from collections.abc import Iterable
from importlib import import_module
from inspect import cleandoc
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from pipeline.cli.verbs import VERBS

_NOT_LOADED = TyperCommand(None)
"""In the place of a verb that nobody has asked for yet."""

_Listed = Iterable[tuple[str, str]]


class Group(TyperGroup):
    """The verbs of a module under one name, such as `clio image`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs with their first sentences."""
        for heading, verbs in self._listed().items():
            with formatter.section(heading):
                formatter.write_dl(verbs)

    def _listed(self) -> dict[str, _Listed]:
        firsts = (
            (name, cleandoc(verb.help or "").partition("\n\n")[0]) for name, verb in self.commands.items()
        )
        return {"Commands": list(firsts)}


class LazyGroup(Group):
    """All verbs in `verbs.py`; the help is printed without any of their modules."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._modules = {verb.name: verb.module for verbs in VERBS.values() for verb in verbs}
        self.commands = dict.fromkeys(self._modules, _NOT_LOADED)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a verb; None if there is no such."""
        if self.commands.get(cmd_name) is _NOT_LOADED:
            part = typer.Typer(rich_markup_mode=None)
            import_module(f"pipeline.cli.{self._modules[cmd_name]}").add_to(part)
            self.commands.update(get_group(part).commands)
        return self.commands.get(cmd_name)

    def _listed(self) -> dict[str, _Listed]:
        width = max(map(len, self._modules))
        return {
            heading: [(verb.name.ljust(width), verb.summary) for verb in verbs]
            for heading, verbs in VERBS.items()
        }
