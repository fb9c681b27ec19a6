"""The faults that are tried, and what comes of each: the table in `docs/faults.md` is printed from here.

python -m tests.faults.catalogue
"""

import sys
from dataclasses import dataclass

EVERY = 0
"""Every call of a run, some 400."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault."""

    what: str
    where: str
    trials: int
    """How many in CI, about; or `EVERY`. Each kind of call is struck at least once."""
    outcome: str


_CARRIES_ON = "`check` clean; the next run finishes"

FAULTS: dict[str, Fault] = {
    # At a system call
    "SIGKILL": Fault("killed (SIGKILL)", "before each call of a run", EVERY, _CARRIES_ON),
    "SIGTERM": Fault(
        "asked to stop (SIGTERM)", "before any call", 70, f"exit 130, no scratch left; {_CARRIES_ON}"
    ),
    "SIGINT": Fault("ctrl-C (SIGINT)", "before any call", 70, f"exit 130, no scratch left; {_CARRIES_ON}"),
    "ENOSPC": Fault(
        "disk full, once", "any call that takes space", 34, f"a sentence, exit 6 or 4; {_CARRIES_ON}"
    ),
    "ENOSPC on": Fault(
        "disk full until the run ends", "from any such call on", 34, f"a sentence, exit 6 or 4; {_CARRIES_ON}"
    ),
    "EDQUOT": Fault("quota used up, once", "any such call", 34, f"a sentence, exit 6 or 4; {_CARRIES_ON}"),
    "EIO": Fault("disk fails, once", "any call", 70, f"a sentence, exit 6 or 4; {_CARRIES_ON}"),
    "EIO on": Fault("disk fails until the run ends", "from any call on", 70, f"as above; {_CARRIES_ON}"),
    "EACCES": Fault("permission refused, once", "any call", 70, f"a sentence, exit 6 or 4; {_CARRIES_ON}"),
    "EROFS on": Fault("turned read-only", "from any call on", 70, f"as above; {_CARRIES_ON}"),
    # On the disk
    "full": Fault(
        "really full",
        "tmpfs with 0 to 160 pages left as a run or a recipe begins",
        24,
        f"exit 6 or 4; {_CARRIES_ON}",
    ),
    "permissions": Fault(
        "mode 0 or 0555, as another user",
        "each directory of the store, the database, `products/`, the workspace",
        26,
        "exit 6 and its name, or no harm; with the old mode the next run finishes",
    ),
    "mount": Fault("mounted read-only", "store with one of two steps made", 1, "exit 6; finishes later"),
    # Damage
    "object": Fault(
        "damaged in nine ways",
        "an object",
        9,
        "named by `check --deep`; a product is made again, a log stays lost and named",
    ),
    "record": Fault("likewise", "a record", 9, "named; the step runs again"),
    "action": Fault("likewise", "an action", 9, "named; set aside and written again when needed"),
    "statement": Fault("likewise", "a statement", 9, "named"),
    "index": Fault("likewise", "the database", 9, "made again from the records; `reindex` is clean"),
    "journal": Fault("removed or replaced", "an entry of the journal", 5, "no harm"),
    "product": Fault(
        "damaged in nine ways",
        "a name under `products/`",
        9,
        "shown again; a directory in its place is refused by name",
    ),
    "claim": Fault(
        "left by the dead, a pipe, ...",
        "claims of actions to make",
        7,
        "made all the same; a directory there is refused by name",
    ),
    "scratch": Fault("strange entries", "`work/`, `tmp/`", 6, "no harm, and nothing of them is followed"),
    "card": Fault(
        "damaged", "`store.json`, `clio.lock`", 8, "exit 6 or 2, and its name; restored, all is known"
    ),
    # The clock
    "clock": Fault(
        "moved back or forward by two days",
        "between runs, after a kill, in one of two runs at once",
        24,
        f"{_CARRIES_ON}; an edited frame is seen",
    ),
    # Several at once
    "two": Fault(
        "two runs at once",
        "the first held at any call while the second runs",
        60,
        "each action runs once, both end well",
    ),
    "two, one killed": Fault(
        "two runs at once, one killed", "the first killed at any call", 40, "the other finishes"
    ),
    "eight": Fault(
        "eight runs at once, four killed at random calls",
        "one store, four workspaces",
        4,
        "each action runs once at a time, all finish",
    ),
    # The engine, for real
    "engine killed": Fault(
        "the recipe's processes killed",
        "in its middle; docker, bubblewrap and apptainer",
        3,
        "a run `killed`, recorded; the next run finishes",
    ),
    "clio killed": Fault(
        "`clio run` killed",
        "while a recipe runs; docker, bubblewrap and apptainer",
        3,
        "no process, container or control group is left; the next run finishes",
    ),
    "daemon": Fault("daemon stopped", "while a container runs", 1, "exit 5 or 4; the next run finishes"),
    "image gone": Fault("image removed", "between runs", 1, "loaded again from the archive"),
    "memory": Fault("out of memory", "a recipe; docker and bubblewrap", 2, "recorded as that, exit 4"),
}
"""By name."""


def table() -> str:
    """Write the table of the docs."""
    rows = [("fault", "where", "in CI", "outcome")]
    rows += [
        (fault.what, fault.where, str(fault.trials or "every call"), fault.outcome)
        for fault in FAULTS.values()
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|---|---|---|", *lines[1:]]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
