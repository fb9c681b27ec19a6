"""The system calls of a process that change files, told one by one before they happen (seccomp, Linux 5.5).

A process installs a filter and hands the listening end over; who holds that end is told of every such call of
the process, its threads and its children, while the caller waits inside the kernel. The call is then let
through or refused with an error; or the process is killed, and the call has never been. Nothing of the
program under test is changed, and nothing is left to chance: call number k is the same one each time.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# Name: number on x86_64 and on aarch64; where the path stands: a descriptor, a path, a directory and a path.
_CALLS: dict[str, tuple[int | None, int | None, tuple[str, int]]] = {
    "write": (1, 64, ("fd", 0)),
    "pwrite64": (18, 68, ("fd", 0)),
    "writev": (20, 66, ("fd", 0)),
    "sendfile": (40, 71, ("fd", 0)),
    "copy_file_range": (326, 285, ("fd", 2)),
    "ftruncate": (77, 46, ("fd", 0)),
    "fallocate": (285, 47, ("fd", 0)),
    "fsync": (74, 82, ("fd", 0)),
    "fdatasync": (75, 83, ("fd", 0)),
    "fchmod": (91, 52, ("fd", 0)),
    "open": (2, None, ("path", 0)),
    "openat": (257, 56, ("at", 0)),
    "creat": (85, None, ("path", 0)),
    "mkdir": (83, None, ("path", 0)),
    "mkdirat": (258, 34, ("at", 0)),
    "rmdir": (84, None, ("path", 0)),
    "link": (86, None, ("path", 1)),
    "linkat": (265, 37, ("at", 2)),
    "symlink": (88, None, ("path", 1)),
    "symlinkat": (266, 36, ("at", 1)),
    "rename": (82, None, ("path", 1)),
    "renameat": (264, 38, ("at", 2)),
    "renameat2": (316, 276, ("at", 2)),
    "unlink": (87, None, ("path", 0)),
    "unlinkat": (263, 35, ("at", 0)),
    "chmod": (90, None, ("path", 0)),
    "fchmodat": (268, 53, ("at", 0)),
    "utimensat": (280, 88, ("at", 0)),
}
# Column in the table, number of seccomp(2), name of the machine in audit.h.
_MACHINES = {"x86_64": (0, 317, 0xC000003E), "aarch64": (1, 277, 0xC00000B7)}

_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_PR_SET_NO_NEW_PRIVS = 38
_AT_FDCWD = 0xFFFFFF9C


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to happen."""

    name: str
    path: Path
    """What it changes: of a link or a move, the new name."""
    process: int
    """Who calls: the number of the process, whichever of its threads it is."""


def why_not() -> str:
    """Say why calls cannot be told here; empty if they can."""
    if platform.machine() not in _MACHINES:
        return f"the numbers of the system calls of {platform.machine()} are not in the table"
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text(encoding="ascii").split()
    except OSError as error:
        return f"the kernel does not say what seccomp can do: {error}"
    return "" if "user_notif" in actions else "the kernel has no seccomp user notification (Linux 5.5)"


def listen_to_me() -> int:
    """Filter this process from now on, for good; return the end on which its calls are told.

    Whoever gets it has to answer: until then, and for ever, the callers wait.
    """
    _, seccomp, machine = _MACHINES[platform.machine()]
    numbers = sorted(_named())
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, machine), (0x06, 0, 0, _ALLOW), (0x20, 0, 0, 0)]
    code += [(0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    code += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _NOTIFY)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    head = struct.pack("@HP", len(code), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = libc.syscall(seccomp, _SET_MODE_FILTER, _NEW_LISTENER, head)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(listener)


def follow(listener: int, decide: Callable[[Call], int | None], until: socket.socket | None = None) -> None:
    """Answer for a process until it and its children have ended.

    Parameters
    ----------
    listener : int
        From `listen_to_me`; closed in the end.
    decide : callable
        Asked about each call: None lets it happen, a number is the error it is refused with, `SILENT` says
        nothing, which is right for a caller that was killed.
    until : socket, optional
        Where a word or its end ends the following too.
    """
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    if until is not None:
        poll.register(until, select.POLLIN)
    try:
        while True:
            events = dict(poll.poll())
            if events.get(listener, 0) & select.POLLIN:
                _answer(listener, decide)
            elif events:
                return
    finally:
        os.close(listener)


SILENT = -1
"""No answer."""


def _answer(listener: int, decide: Callable[[Call], int | None]) -> None:
    notice = bytearray(80)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return  # the caller died, or was called away, in between
        raise
    id_, thread, _, number, _, _, *arguments = struct.unpack("=QIIiIQ6Q", notice)
    call = _understood(thread, number, arguments)
    verdict = decide(call) if call is not None else None
    if verdict == SILENT:
        return
    answer = struct.pack("=QqiI", id_, 0, *((0, _CONTINUE) if verdict is None else (-verdict, 0)))
    try:
        fcntl.ioctl(listener, _SEND, answer)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _understood(thread: int, number: int, arguments: list[int]) -> Call | None:
    """Read a notice; None if the call only reads, or if the caller is gone."""
    name, (kind, at) = _named()[number]
    if name == "open" and not arguments[1] & _WRITING:
        return None
    if name == "openat" and not arguments[2] & _WRITING:
        return None
    try:
        match kind:
            case "fd":
                path = Path(f"/proc/{thread}/fd/{arguments[at]}").readlink()
            case "path":
                path = Path(f"/proc/{thread}/cwd").readlink() / _text(thread, arguments[at])
            case _:
                # utimensat without a path is about the descriptor itself.
                base = arguments[at] & 0xFFFFFFFF
                where = "cwd" if base == _AT_FDCWD else f"fd/{base}"
                path = Path(f"/proc/{thread}/{where}").readlink() / _text(thread, arguments[at + 1])
        return Call(name, path, _process_of(thread))
    except OSError:
        return None


@cache
def _named() -> dict[int, tuple[str, tuple[str, int]]]:
    is_arm = _MACHINES[platform.machine()][0] == 1
    found = ((arm if is_arm else intel, (name, place)) for name, (intel, arm, place) in _CALLS.items())
    return {number: what for number, what in found if number is not None}


def _text(thread: int, address: int) -> str:
    if address == 0:
        return ""
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        text = b""
        while b"\0" not in text:
            # A page at most: the next one may not be there.
            size = 4096 - (address + len(text)) % 4096
            memory.seek(address + len(text))
            text += memory.read(size)
        return os.fsdecode(text.partition(b"\0")[0])


def _process_of(thread: int) -> int:
    status = Path(f"/proc/{thread}/status").read_text(encoding="utf-8", errors="replace")
    return int(status.partition("\nTgid:")[2].split(maxsplit=1)[0])
