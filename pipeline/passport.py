"""A recipe's passport: run it again elsewhere, at another time, and list every card and data unit that moved.

Owns the measurement and its comparison with the table of what may move (`pipeline.volatile`). How a recorded
run is run again is `pipeline.again`'s, with what else it may be run `pipeline.passport_matrix`'s.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.again import Clock, Remade, RemadeOutput, Workshop, record_again, remake
from pipeline.engine import USUAL, Surroundings
from pipeline.errors import RecipeFailed, UsageError
from pipeline.host import host
from pipeline.passport_cards import Kind, Moved, compare
from pipeline.passport_matrix import NOTHING, Matrix, Trial, attempt, engine_name, row_of, trials
from pipeline.passports import Axis, Row, Sheet, joined, published
from pipeline.products import Product, read_product, versions
from pipeline.recipes import RECIPES, ROWS
from pipeline.record import time_of
from pipeline.verdict import Sameness
from pipeline.volatile import MEASURED
from provenance.documents import from_document, to_document
from provenance.model import Purpose, Run
from provenance.store import Store

KIND = "passport"
"""Of the statement."""

ELSEWHERE = Surroundings(
    hostname="elsewhere", user=(12345, 54321), directory="/tmp/another/place", inputs="/in/another/place"
)
"""What nothing may depend on, set as no run proper has it."""

LATER = timedelta(days=397, hours=1, minutes=1, seconds=2)
"""Between the two clocks: every field of a date and a time moves, and the day of the week."""

_LEAST_APART_S = 2.0

_REPEATS = ("again", "elsewhere, later", "clock running", "clock running, elsewhere")
"""What the repeats are called in the rows."""


@dataclass(frozen=True, slots=True)
class RepeatedOutput:
    """A product of a repeat."""

    tag: str
    name: str
    digest: str
    data_digest: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """One of the times the run was run again."""

    number: int
    run: str
    """Id, of the record if it was recorded."""
    is_recorded: bool
    clock: str
    """Where it stood, RFC 3339; empty if it ran."""
    started: str
    wall_ms: int
    hostname: str
    user: str
    directory: str
    inputs: str
    """Directory below which they were."""
    outputs: tuple[RepeatedOutput, ...]
    is_identical: bool
    """Whether its products have the bytes of the record."""
    is_same_science: bool


@dataclass(frozen=True, slots=True)
class Passport:
    """What was measured of a recipe."""

    recipe: str
    version: str
    """As its products name it: muse/2.8.7."""
    image: str
    platform: str
    engine: str
    """Name and version."""
    run: Run
    """The recorded run that was run again."""
    products: int
    """Products of each repeat."""
    hdus: int
    """HDUs of all products of a repeat."""
    repeats: tuple[Repeat, ...]
    moved: tuple[Moved, ...]
    """By product, HDU and card."""
    threads: int | None
    """Of the recorded run."""
    numerics: str
    cpu: str
    """Model of the processor of this machine."""
    wall_ms: int | None
    """Of the recorded run."""
    rows: tuple[Row, ...]
    """What came of each run, held against the record: these repeats, and those of the matrix."""

    @property
    def sheet(self) -> Sheet:
        """The part of it that is published."""
        return from_document(Sheet, self.document(), KIND)

    @property
    def worse(self) -> tuple[Row, ...]:
        """Rows in which more moved than the published passport of this version says."""
        return self.sheet.worse_than(_known(self))

    def promise(self, trial: Trial) -> Sameness:
        """Give what the published passport of this version says of a run."""
        known = _known(self)
        return known.promise(trial.axis, trial.value) if known else Sameness.IDENTICAL

    @property
    def unlisted(self) -> tuple[Moved, ...]:
        """What moved and is not in the table."""
        return tuple(item for item in self.moved if not item.is_listed)

    @property
    def values(self) -> tuple[str, ...]:
        """Keywords whose value moved, sorted."""
        return tuple(sorted({item.keyword for item in self.moved if item.kind is Kind.VALUE}))

    @property
    def comments(self) -> tuple[str, ...]:
        """Keywords whose comment moved, sorted."""
        return tuple(sorted({item.keyword for item in self.moved if item.kind is Kind.COMMENT}))

    @property
    def is_in_table(self) -> bool:
        """Whether the table holds a measurement of this recipe in this version."""
        row = MEASURED.get(self.recipe)
        return row is not None and row.version == self.version

    @property
    def unmoved(self) -> tuple[str, ...]:
        """Cards that the table lists for this recipe, and that did not move."""
        row = MEASURED.get(self.recipe)
        if row is None:
            return ()
        values = sorted(set(row.values) - set(self.values))
        return (*values, *(f"{name} (comment)" for name in sorted(set(row.comments) - set(self.comments))))

    @property
    def not_varied(self) -> tuple[str, ...]:
        """What was the same in all repeats, since the engine cannot set it otherwise."""
        names = ("hostname", "user", "directory", "inputs")
        return tuple(name for name in names if len({getattr(repeat, name) for repeat in self.repeats}) == 1)

    def document(self) -> dict[str, Any]:
        """Describe it as JSON, without floats: the body of a statement."""
        return {
            "recipe": self.recipe,
            "version": self.version,
            "image": self.image,
            "platform": self.platform,
            "engine": self.engine,
            "run": self.run.run,
            "action": self.run.action,
            "step": f"{self.run.stage}:{self.run.unit}",
            "products": self.products,
            "hdus": self.hdus,
            "repeats": [to_document(repeat) for repeat in self.repeats],
            "not_varied": list(self.not_varied),
            "moved": [to_document(item) for item in self.moved],
            "threads": self.threads,
            "numerics": self.numerics,
            "cpu": self.cpu,
            "wall_ms": self.wall_ms,
            "rows": [to_document(row) for row in self.rows],
            "unmoved": list(self.unmoved),
            "is_in_table": self.is_in_table,
            "is_within_table": not self.unlisted,
        }


def newest_run(store: Store, recipe: str) -> Run:
    """Find the newest successful run of a recipe; of the stages that call it, the one that makes the most.

    Raises
    ------
    UsageError
        No stage calls a recipe of that name, or none has run here.
    """
    stages = [row.stage.value for row in ROWS if row.recipe == recipe]
    if not stages:
        import difflib

        known = sorted({row.recipe for row in ROWS})
        close = difflib.get_close_matches(recipe, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"recipes are {', '.join(known)}"
        raise UsageError(f"no stage calls a recipe {recipe}", hint)
    runs = [run for stage in stages for run in store.newest_runs(stage, successful=True, recipe=recipe)]
    if not runs:
        raise UsageError(f"{recipe} never succeeded here", f"run it with: clio run {stages[0]}")
    return max(runs, key=lambda run: (len({output.tag for output in run.outputs}), run.run))


def runs_of_all(store: Store) -> Iterator[Run]:
    """Find the run of each recipe that ran here, in the order of the workflow."""
    for recipe in RECIPES:
        with suppress(UsageError):
            yield newest_run(store, recipe)


def kept(store: Store) -> tuple[Sheet, ...]:
    """Give what has been measured in a store, a passport a recipe, in the order of the workflow."""
    by_recipe: dict[str, list[Sheet]] = {name: [] for name in RECIPES}
    statements = (statement.body for statement in store.statements(KIND))
    for body in sorted(statements, key=lambda body: str(body["at"])):
        by_recipe.setdefault(str(body["recipe"]), []).append(from_document(Sheet, body, f"a {KIND}"))
    return tuple(joined(sheets) for sheets in by_recipe.values() if sheets)


def measure(
    workshop: Workshop,
    run: Run,
    *,
    real_clock: bool = False,
    matrix: Matrix = NOTHING,
    progress: Callable[[Row], None] = lambda row: None,
    invocation: str | None = None,
) -> Passport:
    """Run a recorded run again, here and elsewhere, compare, and keep a statement of what moved.

    Parameters
    ----------
    workshop : Workshop
        What to do it with.
    run : Run
        A successful one.
    real_clock : bool
        Also twice under a clock that runs, begun two seconds apart or more.
    matrix : Matrix
        What else to vary.
    progress : callable
        Told of each run that was held against the record.
    invocation : str, optional
        Id of the call of the command.

    Returns
    -------
    Passport
        What moved, and whether the table has it.

    Raises
    ------
    RecipeFailed
        A repeat did not end well.
    InputsMissing, ImageError, EngineUnavailable, ProvenanceError
        As `pipeline.again.remake`.

    Notes
    -----
    The first repeat has the clock of the record, so it has to give the same bytes: there nothing is
    excused. The second has another clock, host name, user and directories: there the table counts. A repeat
    whose products are all known bytes is recorded, and so is one that moved what no table has, with its
    products, for a look. The others have nothing worth their bytes; the statement has their digests.
    """
    first_clock = _recorded_clock(run)
    with ExitStack() as opened:
        remakes = [
            opened.enter_context(_ended_well(workshop, run, first_clock, USUAL)),
            opened.enter_context(_ended_well(workshop, run, first_clock + LATER, ELSEWHERE)),
        ]
        if real_clock:
            remakes.append(opened.enter_context(_ended_well(workshop, run, Clock.RUNNING, USUAL)))
            _wait_until_apart(remakes[-1].ran.result.started)
            remakes.append(opened.enter_context(_ended_well(workshop, run, Clock.RUNNING, ELSEWHERE)))
        moved = tuple(_all_moved(workshop.store, run, remakes))
        repeats = tuple(
            _repeat(workshop, number, remade, moved, invocation) for number, remade in enumerate(remakes, 1)
        )
        made = [output.product for output in remakes[0].outputs if output.product]
        passport = Passport(
            recipe=remakes[0].action.recipe,
            version=_version(run, remakes[0]),
            image=remakes[0].action.image,
            platform=remakes[0].action.platform,
            engine=engine_name(workshop, remakes[0]),
            run=run,
            products=len(made),
            hdus=sum(len(product.hdus) for product in made),
            repeats=repeats,
            moved=moved,
            threads=run.threads,
            numerics=remakes[0].action.numerics,
            cpu=dict(host())["cpu"],
            wall_ms=run.wall_ms,
            rows=tuple(
                row_of(Axis.RUN, value, workshop, remade)
                for value, remade in zip(_REPEATS, remakes, strict=False)
            ),
        )
    for trial in trials(matrix, run, remakes[0].action, workshop.engine.name):
        row = attempt(workshop, run, trial, passport.promise(trial), invocation=invocation)
        passport = replace(passport, rows=(*passport.rows, row))
        progress(row)
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    workshop.store.statement(KIND, {"at": at, **passport.document()})
    return passport


def _known(passport: Passport) -> Sheet | None:
    found = published().get(passport.recipe)
    return found if found and found.version == passport.version else None


def _recorded_clock(run: Run) -> datetime:
    """Give the clock of a record; where it ran, the second in which it began."""
    return datetime.fromisoformat(run.clock_at or run.started).replace(microsecond=0)


@contextmanager
def _ended_well(
    workshop: Workshop, run: Run, clock: datetime | Clock, surroundings: Surroundings
) -> Iterator[Remade]:
    with remake(workshop, run, clock=clock, surroundings=surroundings) as remade:
        if remade.failure:
            raise RecipeFailed(f"{run.stage}:{run.unit}, run again, failed: {remade.cause}: {remade.failure}")
        yield remade


def _wait_until_apart(started: datetime) -> None:
    passed = (datetime.now(UTC) - started).total_seconds()
    time.sleep(max(0.0, _LEAST_APART_S - passed))


def _all_moved(store: Store, run: Run, remakes: Sequence[Remade]) -> Iterator[Moved]:
    """Compare the record with the first repeat, then each pair of repeats."""
    first = remakes[0]
    for output in first.outputs:
        if not output.is_identical:
            kept = _kept(store, output)
            yield from _of_one(output, kept, output.product, "recorded, 1", run.clock_mode != "frozen")
    for n in range(0, len(remakes), 2):
        pair = f"{n + 1}, {n + 2}"
        before = {(output.tag, output.name): output for output in remakes[n].outputs}
        for output in remakes[n + 1].outputs:
            old = before.pop((output.tag, output.name), None)
            yield from _of_one(output, old.product if old else None, output.product, pair, True)
        for output in before.values():
            yield from _of_one(output, output.product, None, pair, True)


def _kept(store: Store, output: RemadeOutput) -> Product | None:
    """Read the product of a record, if its bytes are still there."""
    recorded = output.recorded
    if recorded is None or store.objects.damage(recorded.digest) is not None:
        return None
    return read_product(store.objects.path(recorded.digest), output.tag)


def _of_one(
    output: RemadeOutput, before: Product | None, after: Product | None, compared: str, excused: bool
) -> Iterator[Moved]:
    if before is not None and after is not None:
        yield from (
            replace(item, product=output.name) for item in compare(before, after, compared, excused=excused)
        )
    elif before is not None or after is not None:
        old, new = ("made" if product else "not made, or its bytes are gone" for product in (before, after))
        yield Moved(compared, output.tag, output.name, None, "", Kind.PRODUCT, "", old, new, False)


def _repeat(
    workshop: Workshop, number: int, remade: Remade, moved: tuple[Moved, ...], invocation: str | None
) -> Repeat:
    """Describe a repeat, and record it if it is worth its bytes."""
    ran, around = remade.ran, remade.ran.call.surroundings
    compared = [item for item in moved if str(number) in item.compared.split(", ")]
    is_recorded = remade.is_identical or any(not item.is_listed for item in compared)
    if is_recorded:
        record_again(workshop, remade, Purpose.PASSPORT, invocation=invocation)
    applied = dict(ran.result.isolation)
    return Repeat(
        number=number,
        run=ran.call.run,
        is_recorded=is_recorded,
        clock=ran.clock.strftime("%Y-%m-%dT%H:%M:%SZ") if ran.clock else "",
        started=time_of(ran.result.started),
        wall_ms=ran.result.wall_ms,
        # As the engine says it applied them, which may not be what was asked for.
        hostname=applied.get("host name", around.hostname),
        user=applied.get("user", ""),
        directory=around.directory,
        inputs=around.inputs,
        outputs=tuple(
            RepeatedOutput(o.tag, o.name, o.digests.digest, o.digests.data_digest)
            for o in remade.outputs
            if o.digests is not None
        ),
        is_identical=remade.is_identical,
        is_same_science=remade.is_same_science,
    )


def _version(run: Run, remade: Remade) -> str:
    """Name the version of the recipe, as the products say it; else as the record does; of ours, its own."""
    row = RECIPES[remade.action.recipe]
    if row.is_ours:
        return f"clio/{remade.action.spec}"
    made = (versions(output.product.header) for output in remade.outputs if output.product)
    return next((dict(found)["recipe"] for found in made if "recipe" in dict(found)), "") or dict(
        run.software
    ).get("recipe", "unknown")
