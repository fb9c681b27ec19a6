"""Bring dropped products back: run the recorded run again, and believe nothing but the same bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.again import Workshop, record_again, remake
from pipeline.errors import RecipeFailed, UsageError
from pipeline.finding import InputsMissing, in_store
from pipeline.judging import judge, state
from pipeline.publish import show
from provenance.model import InputFile, OutputFile, Purpose, Run


@dataclass(frozen=True, slots=True)
class Restored:
    """A product that is there again, or was there all the time."""

    digest: str
    tag: str
    name: str
    size: int
    path: Path
    """In the store."""
    links: tuple[Path, ...]
    """Names under `products/` that show it again."""
    run: str
    """The run that made it the first time."""
    replay: str | None
    """The run that made it again; None if it was there."""


class Restorer:
    """Makes dropped products again, and those they are made from.

    Parameters
    ----------
    workshop : Workshop
        What to do it with.
    root, products : Path
        The workspace and its tree of products.
    link : str
        How products are shown, as `pipeline.publish` takes it.
    listen : callable
        Told of each run that is run again, when it begins.
    """

    def __init__(
        self,
        workshop: Workshop,
        root: Path,
        products: Path,
        link: str,
        listen: Callable[[Run], None] = lambda run: None,
    ) -> None:
        self._workshop = workshop
        self._store = workshop.store
        self._root = root
        self._products = products
        self._link = link
        self._listen = listen

    def __call__(self, digest: str) -> Restored:
        """Bring a product back.

        Raises
        ------
        UsageError
            No run made it.
        InputsMissing
            A file it is made from is not to be found.
        RecipeFailed
            Its recipe failed, or gave other bytes: these are recorded as a replay's, and shown nowhere.
        """
        run, output = self._maker(digest)
        replay = None if self._is_there(output) else self._make(run, digest)
        return Restored(
            digest=digest,
            tag=output.tag,
            name=output.name,
            size=output.size,
            path=self._store.objects.path(digest),
            links=self._show(run, digest),
            run=run.run,
            replay=replay,
        )

    def _maker(self, digest: str) -> tuple[Run, OutputFile]:
        """Find the newest run proper that made a product."""
        found = [
            (run, output)
            for run in self._store.runs_making(digest)
            for output in run.outputs
            if output.digest == digest and run.is_success
        ]
        if not found:
            raise UsageError(f"no run of this store made {digest[:19]}", "only products can be made again")
        return next((pair for pair in found if pair[0].purpose is Purpose.RUN), found[0])

    def _is_there(self, output: OutputFile) -> bool:
        return in_store(self._store, output.digest) is not None

    def _make(self, run: Run, digest: str) -> str | None:
        """Run a run again under its claim; None if another process did meanwhile."""
        with self._store.claim(run.action, self._workshop.cancel) as waited:
            _, output = self._maker(digest)
            if waited and self._is_there(output):
                return None
            try:
                return self._remake(run, digest)
            except InputsMissing as error:
                if not error.is_all_made:
                    raise
                missing = error.missing
        self._make_all(missing)
        return self._make(run, digest)

    def _make_all(self, missing: tuple[InputFile, ...]) -> None:
        for item in missing:
            maker, output = self._maker(item.digest)
            if not self._is_there(output):
                self._make(maker, item.digest)

    def _remake(self, run: Run, digest: str) -> str:
        store = self._store
        with remake(self._workshop, run) as remade:
            self._listen(run)
            found = judge(self._workshop, remade)
            again = record_again(self._workshop, remade, Purpose.REPLAY)
            state(self._workshop, remade, found, again.run)
        with store.files.linking(again):
            pass  # the scratch name went: what was just proven is remembered as it looks now
        if all(output.digest != digest for output in again.outputs):
            raise RecipeFailed(
                f"{run.stage}:{run.unit} did not give the bytes of {digest[:19]} again: {found.reason}",
                f"what came out now is kept as run {again.run}; see: clio show {again.run}",
            )
        return again.run

    def _show(self, run: Run, digest: str) -> tuple[Path, ...]:
        """Show a product under the names it had when it was dropped, where these are free."""
        dropped, item = self._store.dropped().get(digest, (None, None))
        if dropped is None or item is None or dropped.workspace != str(self._root):
            return ()
        artifact = self._store.objects.path(digest)
        with self._store.files.linking(run):
            paths = [self._products / name for name in item.links]
            return tuple(path for path in paths if show(path, artifact, self._link, self._store.files))
