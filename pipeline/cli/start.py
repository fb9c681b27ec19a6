"""Where `clio` begins: what has to be set before anything heavy is imported."""

import gc

RARELY = 50_000
"""Objects made between two looks for cycles. Imports make a hundred thousand that all stay."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(RARELY)
    from pipeline.cli.app import main as run

    run()
