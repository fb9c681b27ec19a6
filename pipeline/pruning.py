"""Pruning seen from a workspace: which links show an object, what can be run again, and proof that it would.

What may go is decided by `provenance.prune`; this module knows products under readable names, raw frames
and images.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.again import NotAgreed, Workshop, record_again, remake
from pipeline.errors import ImageError
from pipeline.finding import InputsMissing, find_files
from pipeline.judging import judge, state
from pipeline.recipes import RECIPES
from pipeline.verdict import Sameness
from provenance.digest import is_digest
from provenance.errors import ProvenanceError
from provenance.files import READ_ONLY
from provenance.model import InputFile, Purpose, Run
from provenance.prune import Means, Plan, Terms, carry_out, plan, survey, unproven
from provenance.store import Store


class Shown:
    """The names in a tree of products that show objects of a store: hard links, reflinks, symbolic links.

    Parameters
    ----------
    store : Store
        The store.
    products : Path
        The tree.

    Notes
    -----
    A copy that a person may edit (mode 0644) is theirs and shows nothing.
    """

    def __init__(self, store: Store, products: Path) -> None:
        self._store = store
        self._products = products
        self._by_inode: defaultdict[tuple[int, int], list[Path]] = defaultdict(list)
        self._by_digest: defaultdict[str, list[Path]] = defaultdict(list)
        self._twins: defaultdict[tuple[int, int, int], list[Path]] = defaultdict(list)
        for folder, _, names in os.walk(products):
            for name in names:
                self._take(Path(folder) / name)

    def _take(self, path: Path) -> None:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            target = f"sha256:{path.readlink().name}"
            if is_digest(target) and path.resolve() == self._store.objects.path(target).resolve():
                self._by_digest[target].append(path)
        elif stat.S_IMODE(found.st_mode) == READ_ONLY:
            self._by_inode[found.st_dev, found.st_ino].append(path)
            self._twins[found.st_dev, found.st_size, found.st_mtime_ns].append(path)

    def paths(self, digest: str) -> tuple[Path, ...]:
        """Return the names that show an object, sorted."""
        path = self._store.objects.path(digest)
        shown = list(self._by_digest[digest])
        with suppress(FileNotFoundError):
            found = path.lstat()
            shown += self._by_inode[found.st_dev, found.st_ino]
            # As old and as long to the nanosecond, and read-only: a reflink of it.
            shown += self._twins[found.st_dev, found.st_size, found.st_mtime_ns]
        return tuple(sorted(set(shown)))

    def names(self, digest: str) -> tuple[str, ...]:
        """Return the same relative to the tree."""
        return tuple(path.relative_to(self._products).as_posix() for path in self.paths(digest))

    def remove(self, digest: str) -> None:
        """Remove the names that show an object."""
        for path in self.paths(digest):
            path.unlink(missing_ok=True)

    def freed(self, digest: str) -> int:
        """Return the bytes the disk gains when an object goes with these names; 0 if it has other ones."""
        try:
            found = self._store.objects.path(digest).lstat()
        except FileNotFoundError:
            return 0
        ours = len(set(self._by_inode[found.st_dev, found.st_ino]))
        return found.st_blocks * 512 if found.st_nlink <= 1 + ours else 0


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of running a run again to see whether its products come back."""

    run: Run
    verdict: Sameness
    reason: str
    """Empty if identical."""


class Pruning:
    """What may be pruned of the store of a workspace, and the doing of it.

    Parameters
    ----------
    workshop : Workshop
        Of the workspace.
    root, products : Path
        The workspace and its tree of products.
    intermediates : bool
        Drop also what other steps of the newest reductions read.
    keep_hours : float
        What was made or read in the last so many hours stays.
    free_bytes : int or None
        Stop when so much is freed.
    """

    def __init__(
        self,
        workshop: Workshop,
        root: Path,
        products: Path,
        *,
        intermediates: bool,
        keep_hours: float,
        free_bytes: int | None,
    ) -> None:
        self._workshop = workshop
        self._root = root
        since = datetime.now(UTC) - timedelta(hours=keep_hours)
        written = since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._terms = Terms(written, free_bytes, intermediates)
        self._shown = Shown(workshop.store, products)
        self._there: dict[str, bool] = {}
        self._recipes: dict[str, tuple[str, bool]] = {}
        self._found = survey(workshop.store, written)
        self._means = Means(self._shown.freed, self._has_file, self._can_run, self._recipe)

    def plan(self) -> Plan:
        """Decide what goes."""
        return plan(self._found, self._means, self._terms)

    def to_prove(self) -> Plan:
        """Decide what is worth proving, so that it may go."""
        return unproven(self._found, self._means, self._terms)

    def prove(self, what: Plan, listen: Callable[[Proof], None] = lambda proof: None) -> tuple[Proof, ...]:
        """Run again what is worth proving, and state how it came out; the plan is made anew afterwards.

        Raises
        ------
        EngineUnavailable, ProvenanceError
            Nothing can be run, or the store takes nothing more.
        """
        proofs = []
        for drop in what.drops:
            run = self._workshop.store.run(drop.run.run)
            proof = prove(self._workshop, run)
            proofs.append(proof)
            listen(proof)
        self._found = survey(self._workshop.store, self._terms.since)
        return tuple(proofs)

    def carry_out(self, what: Plan) -> int:
        """Do it, and return the bytes freed."""
        return carry_out(self._workshop.store, what, str(self._root), self._shown.names, self._shown.remove)

    def links(self, what: Plan) -> int:
        """Count the names under `products/` that go with it."""
        return sum(len(self._shown.paths(output.digest)) for drop in what.drops for output in drop.objects)

    def _has_file(self, item: InputFile) -> bool:
        if item.digest not in self._there:
            self._there[item.digest] = bool(find_files(self._workshop, (item,)))
        return self._there[item.digest]

    def _recipe(self, run: Run) -> str:
        return self._asked(run)[0]

    def _can_run(self, run: Run) -> bool:
        return self._asked(run)[1]

    def _asked(self, run: Run) -> tuple[str, bool]:
        """Return the recipe of a run, and whether it could be run again as it was."""
        if run.action not in self._recipes:
            try:
                action = self._workshop.store.action(run.action)
                self._workshop.library.find(action.image)
                row = RECIPES.get(action.recipe)
                known = action.recipe, row is not None and row.spec == action.spec
            except (ImageError, ProvenanceError):
                known = "", False
            self._recipes[run.action] = known
        return self._recipes[run.action]


def prove(workshop: Workshop, run: Run) -> Proof:
    """Run a recorded run again and state how its products came out.

    Notes
    -----
    Identical ones are recorded as a replay, which costs no space. Of others nothing but the statement is
    kept: their bytes would fill the disk that is to be freed.
    """
    try:
        with remake(workshop, run) as remade:
            found = judge(workshop, remade)
            is_proof = found.sameness is Sameness.IDENTICAL
            replay = record_again(workshop, remade, Purpose.REPLAY).run if is_proof else None
    except (InputsMissing, NotAgreed) as error:
        return Proof(run, Sameness.NOT_COMPARABLE, error.message)
    state(workshop, remade, found, replay)
    return Proof(run, found.sameness, found.reason)
