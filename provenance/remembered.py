"""A store that is asked many questions: each record and each action is read once, and kept."""

from provenance import queries
from provenance.model import Action, Run
from provenance.store import Store


class Remembered:
    """The runs of a store, for walks over thousands of them; what is written meanwhile may go unseen.

    Parameters
    ----------
    store : Store
        Whose runs they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: dict[str, Run] = {}
        self._actions: dict[str, Action] = {}

    def run(self, run_id: str) -> Run:
        """Return a run; see `Store.run`."""
        if run_id not in self._runs:
            self._runs[run_id] = self._store.run(run_id)
        return self._runs[run_id]

    def action(self, key: str) -> Action:
        """Return an action; see `Store.action`."""
        if key not in self._actions:
            self._actions[key] = self._store.action(key)
        return self._actions[key]

    def runs_making(self, digest: str) -> tuple[Run, ...]:
        """Return the runs that made an artifact; see `Store.runs_making`."""
        return self._store.imports.ours_first(self._load(queries.select_makers(self._store.index, digest)))

    def runs_reading(self, digest: str) -> tuple[Run, ...]:
        """Return the runs that read an artifact, newest first."""
        return self._load(queries.select_readers(self._store.index, digest))

    def _load(self, names: tuple[queries.RunName, ...]) -> tuple[Run, ...]:
        for run in self._store.load([name for name in names if name[1] not in self._runs]):
            self._runs[run.run] = run
        return tuple(self._runs[run] for _, run in names if run in self._runs)
