"""Where `clio` begins: what has to be set before anything heavy is imported."""

import gc

RARELY = 500_000
"""Objects made between two looks for cycles: a call makes a hundred thousand, which all stay, a step sixty.

In a thousand steps there were no cycles to be found, and each look at so many takes longer than ten steps.
"""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(RARELY)
    from pipeline.cli.app import main as run

    run()
