"""When a deep check last read each object: a hint, kept in the index, that orders the next one."""

import logging
import time
from collections.abc import Iterable

from provenance.errors import StoreDamaged, StoreFull, StoreLocked
from provenance.index import Index
from provenance.rows import Row

CARRIED_ON_NS = 7 * 24 * 3600 * 10**9
"""Age at which an interrupted deep check is not carried on any more."""

_MARK = "deep_check_began"

_log = logging.getLogger(__name__)


class Verified:
    """What an index knows of deep checks.

    Parameters
    ----------
    index : Index
        Where it is kept; one that is not writable forgets it all.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def times(self) -> dict[str, int]:
        """Return when objects were last read and found sound, in nanoseconds since 1970, by digest."""
        return dict(self._index.read("SELECT digest, at_ns FROM verified"))

    def begin(self) -> int:
        """Return when the deep check began that is carried on, or that begins now."""
        now = time.time_ns()
        rows = self._index.read("SELECT value FROM meta WHERE name = ?", (_MARK,))
        began = int(rows[0][0]) if rows else 0
        if now - CARRIED_ON_NS < began <= now:
            return began
        self._try([("INSERT OR REPLACE INTO meta VALUES (?,?)", (_MARK, str(now)))])
        return now

    def add(self, digests: Iterable[str]) -> None:
        """Note that objects were read just now and are sound."""
        now = time.time_ns()
        self._try([("INSERT OR REPLACE INTO verified VALUES (?,?)", (digest, now)) for digest in digests])

    def finish(self) -> None:
        """Note that the check came to its end: the next one begins anew."""
        self._try([("DELETE FROM meta WHERE name = ?", (_MARK,))])

    def _try(self, rows: list[Row]) -> None:
        if not self._index.writable:
            return
        try:
            self._index.insert(rows)
        except (StoreDamaged, StoreFull, StoreLocked) as error:
            _log.debug("not noted: %s", error.message)
