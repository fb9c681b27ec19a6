"""Where `clio` begins: what has to be set before anything heavy is imported."""

import gc
import sys
from types import ModuleType

_RARELY = 50_000
"""Objects made between two looks for cycles. Imports make a hundred thousand that all stay."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(_RARELY)
    _leave_out_markdown()
    from pipeline.cli.app import main as run

    run()


def _leave_out_markdown() -> None:
    """Spare the help a parser of Markdown, a sixth of its time.

    typer imports it for a mode of texts that is not used here.
    """
    stand_in = ModuleType("rich.markdown")
    stand_in.Markdown = None  # type: ignore[attr-defined]  # never called: rich_markup_mode is "rich"
    sys.modules["rich.markdown"] = stand_in
