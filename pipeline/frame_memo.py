"""What files were found to be, so that each header is read once. A hint, by status, as digests are."""

import functools
import hashlib
import json
import os
import time
from dataclasses import fields
from pathlib import Path

from pipeline.model import Chip, Frame, Problem
from pipeline.scan import read_frame
from pipeline.tags import Kind
from provenance.memo import Note, identity
from provenance.settled import has_writer
from provenance.store import Store

_SOURCES = (
    *("scan.py", "classify.py", "fitsfile.py", "packing.py", "keywords.py", "model.py", "tags.py"),
    "frame_memo.py",
)
"""What decides what a file is found to be."""
_PLAIN = tuple(field.name for field in fields(Frame) if field.name not in ("path", "kind", "chips"))


class FrameMemo:
    """Reads frames, or remembers them.

    Parameters
    ----------
    store : Store
        Where notes of files are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = store.files.notes(_reader())
        self._new: list[Note] = []

    def read(self, path: Path) -> Frame | Problem | None:
        """Read and classify a file, as `pipeline.scan.read_frame`, unless it is remembered.

        Raises
        ------
        OSError
            It cannot be looked at.
        """
        began_ns = time.time_ns()
        status = os.stat(path)  # noqa: PTH116 - ten thousand of them
        known = self._known.get(identity(status))
        if known is not None:
            return _from_text(path, known)
        found = read_frame(path)
        # What is wrong with a file may be cured without touching it; who has it open writes unseen.
        if not isinstance(found, Problem) and not has_writer(path):
            self._new.append(Note(status, began_ns, _to_text(found)))
        return found

    def remembers(self, path: Path) -> bool:
        """Tell whether a file need not be read."""
        return identity(path.stat()) in self._known

    def save(self) -> None:
        """Remember what was read."""
        if self._new:
            self._store.files.take_notes(_reader(), self._new)
            self._new = []


@functools.cache
def _reader() -> str:
    """Name the reader by its source: another one may find something else in the same file."""
    hasher = hashlib.sha256()
    for name in _SOURCES:
        hasher.update(Path(__file__).with_name(name).read_bytes())
    return hasher.hexdigest()[:32]


def _to_text(frame: Frame | None) -> str:
    if frame is None:
        return "null"
    chips = [(chip.ifu, chip.name, chip.id) for chip in frame.chips]
    return json.dumps([frame.kind.value, chips, [getattr(frame, name) for name in _PLAIN]])


def _from_text(path: Path, text: str) -> Frame | None:
    body = json.loads(text)
    if body is None:
        return None
    kind, chips, values = body
    known = dict(zip(_PLAIN, values, strict=True))
    known["dead"] = tuple(known["dead"])
    return Frame(path=path, kind=Kind(kind), chips=tuple(Chip(*chip) for chip in chips), **known)
