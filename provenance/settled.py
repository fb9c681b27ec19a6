"""When a file's times can be trusted to tell of its next change: clocks of file systems are coarse.

ext3, and ext4 with small inodes, count seconds, FAT counts two; others take the time of the kernel's last
tick. A file that is changed twice within one step of such a clock looks the same after both. Nor does a time
move when a page is written to again that a process has mapped and has written to before.
"""

import errno
import fcntl
import os
import signal
from pathlib import Path

from provenance.filesystems import filesystem_of, is_network

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


def has_writer(path: Path) -> bool:
    """Tell whether a process has a file open or mapped for writing; False where the system does not say.

    Notes
    -----
    A lease to read is refused as long as there is one (fcntl(2)). Leases are for the owner of a file and for
    root, and on network file systems their refusal tells nothing.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Told to whoever holds a lease when somebody opens the file: the usual signal would end this process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        # A server gives leases as it likes: there it says nothing.
        return error.errno == errno.EAGAIN and not is_network(filesystem_of(path))
    finally:
        os.close(descriptor)
    return False
