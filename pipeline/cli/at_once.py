"""`clio run` with nothing to do, answered before the command line is built: that takes longer than to look.

Only for calls that name nothing but stages; whatever else is asked goes through the command line, which
asks here too.
"""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.cli.output import OUTPUT
from pipeline.errors import ConfigError
from pipeline.places import WORKSPACE, find_workspace
from pipeline.standing import recall


def is_answered(words: Sequence[str]) -> bool:
    """Answer a call, if it is one to run stages and there is known to be nothing to do.

    Parameters
    ----------
    words : sequence of str
        What follows `clio`.

    Returns
    -------
    bool
        Whether it was; if not, nothing was said or done.
    """
    if words[:1] != ["run"] or any(word.startswith("-") for word in words):
        return False
    named = os.environ.get(WORKSPACE)
    began = time.monotonic()
    try:
        return is_known(find_workspace(Path(named) if named else None), asked(words[1:]), began)
    except (ConfigError, OSError, RuntimeError):  # no workspace, no such folder any more, no home
        return False  # the command line meets it too, and says it


def asked(stages: Iterable[str], **others: str | Iterable[str]) -> tuple[str, ...]:
    """Write down what is asked for: stages, and values of options; no stage looks like one.

    Examples
    --------
    >>> asked(["bias"], first="", target=["NGC 300"])
    ('bias', '--target=NGC 300')
    """
    given = ((name, [each] if isinstance(each, str) else each) for name, each in others.items())
    return (*stages, *(f"--{name}={value}" for name, values in given for value in values if value))


def is_known(workspace: Path, words: Iterable[str], began: float) -> bool:
    """Say that there is nothing to do, if the last such call found so and nothing has moved since.

    Parameters
    ----------
    workspace : Path
        Folder of the workspace.
    words : iterable of str
        What is asked for; see `asked`.
    began : float
        When the call began, on the monotonic clock in seconds.
    """
    standing = recall(workspace, words)
    if standing is None:
        return False
    for remark in standing.remarks:
        OUTPUT.say(remark)
    say_nothing_to_run(standing.hits, time.monotonic() - began)
    return True


def say_nothing_to_run(hits: int, wall_s: float) -> None:
    """Say that all is known, or that there is nothing that could be."""
    known = "1 step is known" if hits == 1 else f"all {hits} steps are known"
    what = known if hits else "no step is planned for these stages"
    OUTPUT.line(f"nothing to run: {what} ({wall_s:.1f} s)")
