"""Claims: who is making an action right now, so that two who want it do not both spend the hour.

A claim is a lease, kept alive by a heartbeat; it expires by itself, and on the same host a dead owner is
seen at once by its pid, start time and boot. It is a hint: correctness rests on records, and losing a
claim means work done twice and one record more.
"""

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from provenance.errors import StoreLocked, short
from provenance.files import listing, make_directory, writing_to

if TYPE_CHECKING:
    from filelock import SoftFileLease

POLL_S = 0.1
"""How often a waiting process looks; also how soon it notices that it should stop."""


EMPTY_S = 3.0
"""A claim that names no owner for so long has none: writing the name takes microseconds."""


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a claim lives. All who share a store must agree, so they stand in `store.json`."""

    lease_s: int = 300
    """A claim without a sign of life for so long is free."""
    beat_s: int = 30
    """Seconds between signs of life."""


@contextmanager
def claim(
    root: Path, key: str, terms: LeaseTerms | None = None, cancel: threading.Event | None = None
) -> Iterator[bool]:
    """Hold the claim on an action, waiting for whoever has it.

    Parameters
    ----------
    root : Path
        The store's directory.
    key : str
        The action's.
    terms : LeaseTerms, optional
        Those of the store.
    cancel : threading.Event, optional
        Once set, waiting ends.

    Yields
    ------
    bool
        Whether somebody else had it first: then the outcome may be known by now.

    Raises
    ------
    StoreLocked
        Waiting was cancelled, or somebody claims on other terms.
    StoreFull
        The disk is full.
    """
    lease = _lease(root, key, terms or LeaseTerms())
    waited = _acquire(lease, key, cancel)
    try:
        yield waited
    finally:
        lease.release()


def claimed(root: Path) -> tuple[str, ...]:
    """Return the keys somebody claims now, or claimed when he died."""
    return tuple(name for name in listing(root / "claims") if len(name) == 64)


def sweep(root: Path, terms: LeaseTerms | None = None) -> None:
    """Take away what processes that died on this host left of claims; those of the living are left alone.

    Notes
    -----
    A claim without a name is watched for `EMPTY_S` before it counts as left: only then this takes time.
    """
    for key in claimed(root):
        from filelock import LeaseSettingsMismatch, Timeout

        lease = _lease(root, key, terms or LeaseTerms())
        # To ask for it is enough: whoever asks breaks a dead owner's claim.
        with suppress(Timeout, LeaseSettingsMismatch, OSError):
            lease.acquire(blocking=False)
            lease.release()
    watched = [_EmptyMarker(root / "claims" / key) for key in claimed(root)]
    while watched := [marker for marker in watched if marker.look()]:
        time.sleep(POLL_S)
    for name in listing(root / "claims"):
        if _is_left_aside(root / "claims" / name):
            (root / "claims" / name).unlink(missing_ok=True)


def _lease(root: Path, key: str, terms: LeaseTerms) -> "SoftFileLease":
    from filelock import SoftFileLease  # a tenth of a second, and lookups alone do not need it

    make_directory(root / "claims")
    return SoftFileLease(
        root / "claims" / key,
        lease_duration=float(terms.lease_s),
        heartbeat_interval=float(terms.beat_s),
        poll_interval=POLL_S,
    )


def _acquire(lease: "SoftFileLease", key: str, cancel: threading.Event | None) -> bool:
    from filelock import LeaseSettingsMismatch, Timeout

    marker = Path(lease.lock_file)
    watch = _EmptyMarker(marker)

    def should_stop() -> bool:
        watch.look()
        return cancel is not None and cancel.is_set()

    try:
        with writing_to(marker):
            try:
                lease.acquire(blocking=False)
                return False
            except Timeout:
                lease.acquire(cancel_check=should_stop)
                return True
    except Timeout as error:
        raise StoreLocked(f"stopped waiting for action {short(key)}, made by another process") from error
    except LeaseSettingsMismatch as error:
        raise StoreLocked(
            f"action {short(key)} is claimed on other terms: {error}", "all must use the same store.json"
        ) from error


_ASIDE = re.compile(r"[0-9a-f]{64}\.(?:break|restore|empty)\.([0-9]+)\.[0-9a-f]{32}")
"""A claim that was moved aside, by the library or by us, and the pid of who did it."""


def _is_left_aside(path: Path) -> bool:
    """Tell whether a file was put beside a claim by a process of this host that has died."""
    aside = _ASIDE.fullmatch(path.name)
    if aside is None or Path("/proc", aside[1]).exists():
        return False
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The number is that of another host's process if the claim names that host.
    return not text or socket.gethostname() in text


class _EmptyMarker:
    """Watch for a claim without an owner, and take it away.

    A process killed between making its claim's file and writing its name into it leaves an empty file. The
    library never breaks such a one, since older versions of it wrote nothing else: it would be held for ever.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._since = 0.0

    def look(self) -> bool:
        """Take the file away once it was empty, and the same, for `EMPTY_S`; tell whether to look again."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return False
        seen = (found.st_ino, found.st_size, found.st_ctime_ns)
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        elif found.st_size == 0 and time.monotonic() - self._since > EMPTY_S:
            self._take_away()
            return False
        return found.st_size == 0

    def _take_away(self) -> None:
        aside = self._path.with_name(f"{self._path.name}.empty.{os.getpid()}.{uuid4().hex}")
        with suppress(FileNotFoundError):
            self._path.rename(aside)
            if aside.lstat().st_size > 0:
                # Somebody was faster and has the claim by now: give it back, unless yet another one has it.
                with suppress(FileExistsError):
                    self._path.hardlink_to(aside)
            aside.unlink()
