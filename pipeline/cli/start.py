"""Where `clio` begins: what has to be set before anything heavy is imported."""

import gc
import signal
import sys

RARELY = 500_000
"""Objects made between two looks for cycles: a call makes a hundred thousand, which all stay, a step sixty.

In a thousand steps there were no cycles to be found, and each look at so many takes longer than ten steps.
"""


def main() -> None:
    """Run the command line, or answer at once."""
    gc.set_threshold(RARELY)
    # A reader that has seen enough (`clio scan | head`) is no failure.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if sys.argv[1:2] == ["run"]:
        from pipeline.cli.at_once import is_answered

        if is_answered(sys.argv[1:]):
            return
    from pipeline.cli.app import main as run

    run()
