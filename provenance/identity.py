"""Names for runs, and for the processes that own scratch files.

A run's id is a UUID of version 7, so that listing ids sorts them by time. A process is named by host,
boot, pid and start time: pids come again, the four together do not, so a dead owner on this host is
seen at once.
"""

import os
import secrets
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_lock = threading.Lock()
_last_tick = 0


def new_run_id() -> str:
    """Return a new UUID of version 7, larger than all this process made before.

    References
    ----------
    RFC 9562, section 5.7; the 12 bits after the version hold a fraction of the millisecond (6.2, method 3).
    """
    global _last_tick
    with _lock:
        # 4096 ticks a millisecond; two calls in one tick borrow from the next.
        _last_tick = max(time.time_ns() * 4096 // 1_000_000, _last_tick + 1)
        milliseconds, fraction = divmod(_last_tick, 4096)
    number = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that no other is mistaken for it."""

    host: str
    """Host name and PID namespace: two containers may share the name, not the numbers."""
    boot: str
    """The kernel's boot id, without dashes."""
    pid: int
    start: int
    """Clock ticks from boot to the start of the process."""

    def __str__(self) -> str:
        """Return one word for file names and owner files; `from_text` reads it back."""
        return f"{self.pid}.{self.start}.{self.boot}.{self.host}"

    @classmethod
    def from_text(cls, text: str) -> "Owner | None":
        """Return the owner a word names; None if it names none."""
        pid, _, rest = text.partition(".")
        start, _, rest = rest.partition(".")
        boot, _, host = rest.partition(".")
        if not (pid.isdigit() and start.isdigit() and boot and host):
            return None
        return cls(host, boot, int(pid), int(start))

    def is_dead(self) -> bool:
        """Tell whether that process is known to have ended; of other hosts nothing is known.

        Returns
        -------
        bool
            True only with proof: same host and another boot, no such pid, or a pid that began later.
        """
        mine = this_process()
        if self.host != mine.host:
            return False
        return self.boot != mine.boot or _start_of(self.pid) != self.start


def this_process() -> Owner:
    """Return the owner that names this process; after a fork it is another."""
    return _living(os.getpid())


@cache
def _living(pid: int) -> Owner:
    return Owner(_host(), _boot(), pid, _start_of(pid) or 0)


@cache
def _host() -> str:
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "_" for c in socket.gethostname())
    return f"{name[:100]}-{namespace:x}"


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")


def _start_of(pid: int) -> int | None:
    """Return the start time of a process in clock ticks from boot; None if there is none.

    Notes
    -----
    Field 22 of `/proc/PID/stat`; the second field is the program's name in parentheses and may hold
    blanks and parentheses itself. A zombie has ended: it owns nothing any more.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    words = text[text.rindex(b")") + 1 :].split()
    return None if words[0] in (b"Z", b"X") else int(words[19])
