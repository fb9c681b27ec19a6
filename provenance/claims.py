"""Claims: who is making an action right now, so that two who want it do not both spend the hour.

A claim is a lease, kept alive by signs of life; it expires by itself, and on the same host a dead owner is
seen at once by its pid, start time and boot. It is a hint: correctness rests on records, and losing a
claim means work done twice and one record more.

It is a symbolic link that leads nowhere: its target names the owner. Making one is a single call that fails
if somebody has it, so that no claim is ever seen without its owner, whenever he is killed. All claims of a
process are names of one such link, its mark, where the file system allows that (see `marks`).
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from provenance.errors import StoreLocked, short
from provenance.files import listing, make_directory, writing_to
from provenance.identity import Owner, this_process
from provenance.marks import NoMark, give_name

POLL_S = 0.1
"""How often a waiting process looks; also how soon it notices that it should stop."""


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
    terms = terms or LeaseTerms()
    claims = root / "claims"
    make_directory(claims)
    path = claims / key
    waited = _acquire(path, key, terms, cancel)
    mine = _look(path)
    _SIGNS.begin(path, mine, terms.beat_s)
    try:
        yield waited
    finally:
        _SIGNS.end(path)
        if mine is not None and _look(path, mine.mtime_ns) == mine:
            with suppress(FileNotFoundError):
                path.unlink()


def claimed(root: Path) -> tuple[str, ...]:
    """Return the keys somebody claims now, or claimed when he died."""
    return tuple(name for name in listing(root / "claims") if len(name) == 64)


def sweep(root: Path) -> None:
    """Take away the claims of processes that died on this host; claims of the living are left alone."""
    for key in claimed(root):
        found = _look(root / "claims" / key)
        if found is not None and found.is_over:
            with suppress(OSError):  # whoever wants that claim is told why he cannot have it
                _take_away(root / "claims" / key, found)


@dataclass(frozen=True, slots=True)
class _Held:
    """A claim as it was found."""

    inode: int
    mtime_ns: int
    """Moved by each sign of life."""
    text: str
    """`lease beat owner`; empty for what is no claim of ours."""

    @property
    def is_over(self) -> bool:
        """Whether its owner is known to have ended, or it names none: then it is nobody's."""
        owner = Owner.from_text(self.text.rpartition(" ")[2])
        return owner is None or owner.is_dead()


def _text(terms: LeaseTerms) -> str:
    return f"{terms.lease_s} {terms.beat_s} {this_process()}"


def _look(path: Path, mtime_ns: int | None = None) -> _Held | None:
    """Look at a claim, as if its last sign of life was then; None if there is none."""
    try:
        status = os.lstat(path)
        text = os.readlink(path)  # noqa: PTH115 - a text, and no path needed
    except FileNotFoundError:
        return None
    except OSError:
        text = ""  # a file that somebody put there
    return _Held(status.st_ino, status.st_mtime_ns if mtime_ns is None else mtime_ns, text)


def _acquire(path: Path, key: str, terms: LeaseTerms, cancel: threading.Event | None) -> bool:
    waited = False
    seen: _Held | None = None
    since = 0.0
    while not _make(path, _text(terms)):
        found = _look(path)
        if found is None:
            continue  # given up meanwhile
        if found != seen:
            seen, since = found, time.monotonic()
        if found.is_over or time.monotonic() - since > terms.lease_s:
            _take_away(path, found)
            continue
        _check_terms(found, key, terms)
        if cancel is not None and cancel.is_set():
            raise StoreLocked(f"stopped waiting for action {short(key)}, made by another process")
        waited = True
        time.sleep(POLL_S)
    return waited


def _make(path: Path, text: str) -> bool:
    with writing_to(path):
        try:
            with suppress(NoMark):
                give_name(path, path.parent.parent, text)
                return True
            path.symlink_to(text)
        except FileExistsError:
            return False
    return True


def _check_terms(found: _Held, key: str, terms: LeaseTerms) -> None:
    theirs, ours = found.text.rpartition(" ")[0], _text(terms).rpartition(" ")[0]
    if theirs != ours:
        words = "a lease of {} s with a sign of life every {} s"
        told = f"{words.format(*theirs.split())}, and here it is {words.format(*ours.split())}"
        raise StoreLocked(
            f"action {short(key)} is claimed on other terms: {told}", "all must use the same store.json"
        )


def _take_away(path: Path, found: _Held) -> None:
    """Remove a claim that nobody holds any more, unless it is another one by now."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # One at a time: of two who found it dead, the slower one must not remove what the other one made.
        # Where a network file system knows no such locks, that costs work done twice, once in a blue moon.
        with suppress(OSError):
            fcntl.flock(directory, fcntl.LOCK_EX)
        if _look(path) == found:
            with suppress(FileNotFoundError):
                path.unlink()
    finally:
        os.close(directory)


class _Signs:
    """Gives signs of life for all claims of this process, from one thread."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._held: dict[Path, tuple[_Held, int]] = {}
        self._thread: threading.Thread | None = None
        self._wakes = 0.0
        """When the thread looks again by itself."""
        os.register_at_fork(after_in_child=self._forget)

    def begin(self, path: Path, held: _Held | None, beat_s: int) -> None:
        """Keep a claim alive from now on."""
        if held is None:
            return
        with self._change:
            self._held[path] = held, beat_s
            if self._thread is None:
                self._thread = threading.Thread(target=self._give, name="claims", daemon=True)
                self._thread.start()
            elif self._due() < self._wakes:
                self._change.notify()  # otherwise it wakes in time by itself

    def end(self, path: Path) -> None:
        """Let a claim be."""
        with self._change:
            self._held.pop(path, None)

    def _give(self) -> None:
        with self._change:
            due = self._due()
            while self._held or self._wait(due) or self._held:
                due = min(due, self._due())
                if time.monotonic() < due:
                    self._wait(due)
                    continue  # perhaps there is another claim, that wants signs sooner
                for path, (held, _) in self._held.items():
                    with suppress(OSError):
                        if _look(path, held.mtime_ns) == held:
                            os.utime(path, follow_symlinks=False)
                due = self._due()
            self._thread = None

    def _wait(self, due: float) -> bool:
        self._wakes = due
        return self._change.wait(due - time.monotonic())

    def _due(self) -> float:
        return time.monotonic() + min((beat for _, beat in self._held.values()), default=1)

    def _forget(self) -> None:
        self._change = threading.Condition()
        self._held = {}
        self._thread = None


_SIGNS = _Signs()
