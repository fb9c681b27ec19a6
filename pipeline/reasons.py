"""Why an action is another one than what was done before: what changed, followed upstream to its cause.

A step is compared with the nearest earlier action of the same step, not with the last one: of those that
were tried, the one it differs least from. An input that is another product is followed to the two runs that
made the old one and the new one, and these are compared in the same way, down to what a person changed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from pipeline.causes import Cause, CauseKind, hdu_cause, package_causes
from pipeline.errors import FitsError
from pipeline.fitsdifference import compare_files
from pipeline.image import Package
from pipeline.own.environment import packages_here, remembered
from pipeline.record import Job
from pipeline.surroundings import not_reproduced
from provenance.difference import (
    Changed,
    Difference,
    Field,
    Recast,
    Reordered,
    Replaced,
    differences,
    in_words,
)
from provenance.digest import digest_file
from provenance.errors import ProvenanceError, short
from provenance.lineage import believed
from provenance.model import Action, ActionInput, InputFile, Part, Run
from provenance.queries import Attempt
from provenance.store import Store

Packages = Callable[[str], tuple[Package, ...] | None]
"""Gives the packages of an image by its digest; None if it is not on this machine."""


_KINDS = {
    Field.RECIPE: CauseKind.RECIPE,
    Field.STAGING: CauseKind.RECIPE,
    Field.IMAGE: CauseKind.IMAGE,
    Field.PLATFORM: CauseKind.IMAGE,
    Field.NUMERICS: CauseKind.NUMERICS,
    Field.PARAMETER: CauseKind.PARAMETER,
    Field.ENVIRONMENT: CauseKind.ENVIRONMENT,
    Field.PRODUCTS: CauseKind.EXPECTED,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """An action with what the comparison needs beside its key."""

    step: str
    stage: str
    unit: str
    action: Action
    files: tuple[InputFile, ...]
    """What its inputs are as bytes."""
    defaults: tuple[str, ...]
    """Names of the parameters at their default."""
    choices: tuple[tuple[str, str, str], ...] = ()
    """Of each calibration that was chosen: its tag, its name, and why this one."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """An action beside the nearest one before it."""

    run: str
    """The earlier run."""
    when: str
    """When it began."""
    is_success: bool
    causes: tuple[Cause, ...]
    """Empty if it was asked the same."""


def asked_of_job(job: Job) -> Asked:
    """Take what is to be compared from a job."""
    stage, unit = job.step.stage.value, job.step.unit
    files = tuple(
        InputFile(i.tag, i.name, i.digest, i.data_digest, i.size, str(i.path), i.hdus) for i in job.inputs
    )
    chosen = tuple((a.tag, a.chosen, a.reason) for a in job.step.associations)
    return Asked(job.step.id, stage, unit, job.action, files, job.effective.defaults, chosen)


def asked_of_run(store: Store, run: Run) -> Asked:
    """Take what is to be compared from a run.

    Raises
    ------
    ProvenanceError
        Its action is missing or unreadable.
    """
    step = f"{run.stage}:{run.unit}"
    action = store.action(run.action)
    return Asked(step, run.stage, run.unit, action, run.inputs, run.defaults, _chosen(run))


def nearest(
    store: Store,
    stage: str,
    unit: str,
    action: Action,
    *,
    before: str | None = None,
    successful: bool = False,
) -> tuple[Attempt, tuple[Difference, ...]] | None:
    """Find the earlier action of a step that differs least; of equals one that succeeded, then the newest.

    Parameters
    ----------
    store : Store
        Where to look.
    stage, unit : str
        The step.
    action : Action
        What is compared.
    before : str, optional
        A run: only what was tried before it counts.
    successful : bool
        Only actions of which a run succeeded.

    Returns
    -------
    tuple of (Attempt, tuple of Difference) or None
        None if the step was never tried. No difference means that the very action was.
    """
    best: tuple[Attempt, tuple[Difference, ...]] | None = None
    for attempt in store.attempts(stage, unit, before=before):
        if successful and not attempt.is_success:
            continue
        if attempt.key == action.key:
            return attempt, ()
        try:
            found = differences(store.action(attempt.key), action)
        except ProvenanceError:
            continue  # `check` names it
        if best is None or (len(found), not attempt.is_success) < (len(best[1]), not best[0].is_success):
            best = attempt, found
        if len(best[1]) == 1 and best[0].is_success:
            break  # nothing can be nearer, and what follows is older
    return best


def reasons(job: Job, known: str, store: Store) -> tuple[str, ...]:
    """Say in words what made a step into one that has to run; its own inputs and no further.

    Parameters
    ----------
    job : Job
        The step.
    known : str
        Why its outcome is not known, as the store says.
    store : Store
        Where to look.
    """
    found = nearest(store, job.step.stage.value, job.step.unit, job.action)
    if found is None or not found[1]:
        return (known,)
    attempt, changes = found
    moved: tuple[str, ...] = ()
    if any(isinstance(change, Changed) and change.field is Field.IMAGE for change in changes):
        try:
            before = store.run(attempt.run).defaults
        except ProvenanceError:
            before = ()
        moved = tuple(set(before) & set(job.effective.defaults))
    return in_words(changes, moved)


class Explainer:
    """Follows what changed down to its causes; what two runs differ in is told once, then referred to.

    Parameters
    ----------
    store : Store
        Where the runs are.
    packages : callable
        Gives the packages of an image.
    earlier : Store, optional
        Where the earlier of two runs are, if that is another store.
    """

    def __init__(self, store: Store, packages: Packages, earlier: Store | None = None) -> None:
        self._old, self._new = _Shelf(earlier or store), _Shelf(store)
        self._packages = packages
        self._told: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Begin a new answer: nothing is told yet."""
        self._told.clear()

    def compare(
        self, asked: Asked, *, before: str | None = None, successful: bool = False
    ) -> Comparison | None:
        """Compare an action with the nearest before it; None if there is none.

        Parameters
        ----------
        asked : Asked
            The action.
        before, successful
            As of `nearest`.
        """
        store = self._old.store
        found = nearest(store, asked.stage, asked.unit, asked.action, before=before, successful=successful)
        if found is None:
            return None
        attempt, changes = found
        old = store.run(attempt.run)
        return Comparison(old.run, old.started, old.is_success, self._causes(old, asked, changes))

    def between(self, old: Run, new: Run) -> tuple[Cause, ...]:
        """Compare two runs, whatever they are of; empty if they were asked the same.

        Raises
        ------
        ProvenanceError
            The action of one of them is missing or unreadable.
        """
        self._told.add((old.run, new.run))
        asked = asked_of_run(self._new.store, new)
        return self._causes(old, asked, differences(self._old.store.action(old.action), asked.action))

    def _causes(self, old: Run, asked: Asked, changes: Iterable[Difference]) -> tuple[Cause, ...]:
        return tuple(self._cause(old, asked, change) for change in changes)

    def _cause(self, old: Run, asked: Asked, change: Difference) -> Cause:
        match change:
            case Changed():
                return self._changed(old, asked, change)
            case Replaced():
                return self._replaced(old, asked, change)
            case Recast(before, after):
                words = in_words((change,))[0]
                return Cause(CauseKind.PART, asked.step, words, after.name, before.tag, after.tag)
            case Reordered(tag):
                return Cause(CauseKind.ORDER, asked.step, in_words((change,))[0], tag)

    def _changed(self, old: Run, asked: Asked, change: Changed) -> Cause:
        moved = set(old.defaults) & set(asked.defaults)
        text = in_words((change,), moved)[0]
        causes: tuple[Cause, ...] = ()
        if change.field is Field.IMAGE and change.old and change.new:
            causes = self._of_images(asked.step, change.old, change.new)
        return Cause(_KINDS[change.field], asked.step, text, change.name, change.old, change.new, causes)

    def _of_images(self, step: str, old: str, new: str) -> tuple[Cause, ...]:
        before, after = (self._packages(digest) or packages_here(digest) for digest in (old, new))
        before = before or remembered(self._old.store, old)
        after = after or remembered(self._new.store, new)
        if before is not None and after is not None:
            return tuple(package_causes(step, before, after))
        gone = short(old if before is None else new)
        text = f"image {gone} is not on this machine: its packages cannot be told"
        return (Cause(CauseKind.PACKAGE, step, text),)

    def _replaced(self, old: Run, asked: Asked, change: Replaced) -> Cause:
        gone, come = _file(old.inputs, change.old), _file(asked.files, change.new)
        if gone is None or come is None:
            there = (change.old.name if change.old else None, change.new.name if change.new else None)
            return Cause(CauseKind.INPUT, asked.step, in_words((change,))[0], change.tag, *there)
        first, second = self._old.maker(gone.digest), self._new.maker(come.digest)
        cause = Cause(CauseKind.FRAME, asked.step, "", change.tag, gone.digest, come.digest)
        if first is None and second is None:
            text = _other_file(change.tag, gone, come)
            return replace(cause, text=text, causes=self._parts(asked.step, gone, come))
        if first is None or second is None or _step(first) != _step(second):
            sources = [f"of {_step(run)}" if run else "a file from outside" for run in (second, first)]
            text = f"{change.tag} is {sources[0]}, not {sources[1]}"
            why = tuple(_why_chosen(asked.step, change.tag, _chosen(old), asked.choices))
            return replace(cause, kind=CauseKind.CHOICE, text=text, causes=why)
        text = f"{change.tag} of {_step(second)} is another one"
        cause = replace(cause, kind=CauseKind.PRODUCT, step=_step(second), text=text)
        if (first.run, second.run) in self._told:
            return replace(cause, is_told=True)
        self._told.add((first.run, second.run))
        return replace(cause, causes=self._of_makers(first, second, gone, come))

    def _of_makers(self, first: Run, second: Run, gone: InputFile, come: InputFile) -> tuple[Cause, ...]:
        if found := self.between(first, second):
            return found
        return (not_reproduced(first, second, self._parts(_step(second), gone, come)),)

    def _parts(self, step: str, gone: InputFile, come: InputFile) -> tuple[Cause, ...]:
        """Say which HDUs differ: card by card if both files are at hand, else by what is recorded."""
        old, new = self._old.at_hand(gone), self._new.at_hand(come)
        if old is not None and new is not None:
            try:
                return tuple(hdu_cause(step, part) for part in compare_files(old, new))
            except (FitsError, OSError):
                return ()  # gone meanwhile, or no FITS file: there is nothing to tell
        return tuple(_recorded(step, self._old.parts(gone), self._new.parts(come)))


class _Shelf:
    """A store, and what was asked of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._makers: dict[str, Run | None] = {}

    def maker(self, digest: str) -> Run | None:
        """Find the run that is believed to have made a file."""
        if digest not in self._makers:
            runs = self.store.runs_making(digest)
            self._makers[digest] = believed(runs) if runs else None
        return self._makers[digest]

    def at_hand(self, file: InputFile) -> Path | None:
        """Find the very bytes of a file: in the store, or where they were seen, if they still lie there."""
        if self.store.objects.has(file.digest, file.size):
            return self.store.objects.path(file.digest)
        try:
            path = Path(file.seen_at or "")
            status = path.stat()
            if not file.seen_at or status.st_size != file.size:
                return None
            known = self.store.files.memo(status)
            return path if (known.digest if known else digest_file(path)) == file.digest else None
        except (OSError, ProvenanceError):
            return None

    def parts(self, file: InputFile) -> tuple[Part, ...]:
        """List the parts of a file as they are recorded."""
        maker = self.maker(file.digest)
        if maker is None and file.hdus:
            lines = (line.split(" ", 2) for line in file.hdus.split("\n"))
            return tuple(Part(name, cards, data) for cards, data, name in lines)
        made = [] if maker is None else [item for item in maker.outputs if item.digest == file.digest]
        return made[0].parts if made else ()


def _file(files: tuple[InputFile, ...], item: ActionInput | None) -> InputFile | None:
    """Find the bytes behind an input of a key."""
    if item is None:
        return None
    same = (
        f for f in files if (f.tag, f.name, f.data_digest or f.digest) == (item.tag, item.name, item.content)
    )
    return next(same, None)


def _chosen(run: Run) -> tuple[tuple[str, str, str], ...]:
    return tuple((choice.tag, choice.name, choice.reason) for choice in run.choices)


def _why_chosen(
    step: str, tag: str, old: tuple[tuple[str, str, str], ...], new: tuple[tuple[str, str, str], ...]
) -> Iterator[Cause]:
    """Say which calibration was chosen before and now, each with its reason, as far as that is known."""
    before, after = (next((c for c in side if c[0] == tag), None) for side in (old, new))
    if before is not None and after is not None and before[1] != after[1]:
        words = [f"{name} ({reason})" if reason else name for _, name, reason in (before, after)]
        yield Cause(CauseKind.CHOICE, step, f"{tag}: {words[0]} -> {words[1]}", tag, before[1], after[1])


def _step(run: Run) -> str:
    return f"{run.stage}:{run.unit}"


def _other_file(tag: str, gone: InputFile, come: InputFile) -> str:
    if gone.seen_at and gone.seen_at == come.seen_at:
        return f"{tag} {come.seen_at} holds other data than before"
    if gone.name == come.name:
        return f"{tag} {come.name} holds other data than before"
    return f"{tag}: {gone.name} -> {come.name} ({come.seen_at})"


def _recorded(step: str, old: tuple[Part, ...], new: tuple[Part, ...]) -> Iterator[Cause]:
    if not old or not new:
        return
    for index, (before, after) in enumerate(zip_longest(old, new)):
        name = f"HDU {index} {(after or before).name}".removesuffix(f" {index}").rstrip()
        if before is None or after is None:
            yield Cause(CauseKind.HDU, step, f"{name} is in one of the two only", name)
            continue
        words = [word for word in ("cards", "data") if getattr(before, word) != getattr(after, word)]
        if words:
            yield Cause(CauseKind.HDU, step, f"{name}: {' and '.join(words)} differ", name)
