"""When a file's times can be trusted to tell of its next change: clocks of file systems are coarse.

ext3, and ext4 with small inodes, count seconds, FAT counts two; others take the time of the kernel's last
tick. A file that is changed twice within one step of such a clock looks the same after both.
"""

SETTLED_NS = 2_000_000_000
"""The longest step of a clock."""

_TICK_NS = 20_000_000
"""More than a kernel's tick, and more than the hundredth of a second that exFAT counts."""
_SECOND_NS = 1_000_000_000


def settled_from(changed_ns: int) -> int:
    """Say from when on another change shows in a time that a file has.

    Parameters
    ----------
    changed_ns : int
        A time of content or of change, in nanoseconds since 1970; one in whole seconds may be of a clock that
        counts no less.
    """
    return changed_ns + (_TICK_NS if changed_ns % _SECOND_NS else SETTLED_NS)
