"""Damage at random: some file of a finished workspace, some way to spoil it, and what may be said of it."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provenance.check import DamageKind
from provenance.store import Store
from tests.faults.yard import Plot


def _flip(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = dice.randrange(len(content))
    content[at] ^= 1 << dice.randrange(8)
    _overwrite(path, bytes(content))


def _truncate(path: Path, dice: random.Random) -> None:
    _overwrite(path, path.read_bytes()[: dice.randrange(1, path.stat().st_size)])


def _overwrite(path: Path, content: bytes) -> None:
    """Write in place, as a disk that forgets or a person that edits; the time of the change is put back."""
    found = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _empty(path: Path, dice: random.Random) -> None:
    _overwrite(path, b"")


def _garble(path: Path, dice: random.Random) -> None:
    _overwrite(path, dice.randbytes(path.stat().st_size))


def _remove(path: Path, dice: random.Random) -> None:
    path.unlink()


def _directory(path: Path, dice: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _symlink(path: Path, dice: random.Random) -> None:
    """Put a link to the same bytes there: a file that may change at any time."""
    workspace = next(folder for folder in path.parents if (folder / "clio.toml").exists())
    elsewhere = workspace.with_name(f"{workspace.name}.elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _dangling(path: Path, dice: random.Random) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _fifo(path: Path, dice: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


Way = Callable[[Path, random.Random], None]

WAYS: dict[str, Way] = {
    "a bit flipped, times kept": _flip,
    "truncated, times kept": _truncate,
    "emptied": _empty,
    "overwritten at random": _garble,
    "removed": _remove,
    "replaced by a directory": _directory,
    "replaced by a link to the same bytes": _symlink,
    "replaced by a dangling link": _dangling,
    "replaced by a pipe": _fifo,
}
"""How a file is spoilt."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A file, and what a check may say when it is spoilt."""

    path: Path
    subjects: frozenset[str] = frozenset()
    """What damage may be reported of; nothing else."""
    kinds: frozenset[DamageKind] = frozenset()
    """What may be reported of anything."""
    must_tell: bool = True
    """Whether the check has to say something: a hint may vanish without a word."""
    lasts: bool = False
    """Whether nothing but a person can put it right: what a record said, a log."""


def _objects(plot: Plot) -> list[Victim]:
    with Store.open(plot.store) as store:
        logs = {run.log for run in store.runs()}
        return [
            Victim(store.objects.path(digest), frozenset({digest}), lasts=digest in logs)
            for digest in store.objects.iterate()
        ]


def _records(plot: Plot) -> list[Victim]:
    with Store.open(plot.store) as store:
        return [
            Victim(store.records.record_path(key, run), frozenset({run}), lasts=True)
            for key, run in store.records.iterate_records()
        ]


def _actions(plot: Plot) -> list[Victim]:
    with Store.open(plot.store) as store:
        return [
            Victim(store.records.action_path(key), frozenset({key, *store.records.runs_of(key)}), lasts=True)
            for key in store.records.iterate_actions()
        ]


def _statements(plot: Plot) -> list[Victim]:
    with Store.open(plot.store) as store:
        return [
            Victim(store.records.statement_path(digest), frozenset({digest}), lasts=True)
            for digest in store.records.iterate_statements()
        ]


def _index(plot: Plot) -> list[Victim]:
    # A page that says nothing, or a word of the memo: a rebuilt index or a second reading costs time only.
    return [Victim(plot.store / "provenance.db", kinds=frozenset({DamageKind.INDEX}), must_tell=False)]


def _journal(plot: Plot) -> list[Victim]:
    return [Victim(path, must_tell=False) for path in _files(plot.store / "journal")]


def _products(plot: Plot) -> list[Victim]:
    """Names under `products/`: a hard link there is the object itself."""
    with Store.open(plot.store) as store:
        digests = {store.objects.path(digest).stat().st_ino: digest for digest in store.objects.iterate()}
    paths = _files(plot.products)
    return [Victim(path, frozenset({digests[path.stat().st_ino]}), must_tell=False) for path in paths]


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


VICTIMS: dict[str, Callable[[Plot], list[Victim]]] = {
    "object": _objects,
    "record": _records,
    "action": _actions,
    "statement": _statements,
    "index": _index,
    "journal": _journal,
    "product": _products,
}
"""Files of each kind."""


def spoil(plot: Plot, what: str, how: str, dice: random.Random) -> Victim:
    """Spoil a file of a kind."""
    victim = dice.choice(VICTIMS[what](plot))
    WAYS[how](victim.path, dice)
    return victim
