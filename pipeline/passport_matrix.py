"""A recipe run again with one thing set otherwise: threads, engine, numerics, processor, unwritten memory.

Owns which runs those are, and how what came out of one becomes a row of a passport. It is a star: each run
differs from the record in one thing, and a few in several, as all pairs would take days under emulation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pipeline.again import AS_RECORDED, Remade, Variation, Workshop, record_again, remake
from pipeline.emulator import MODELS, OLD, look
from pipeline.engines import ENGINES, open_engine
from pipeline.engines.deferred import DeferredEngine
from pipeline.environment import TUNABLES
from pipeline.errors import EngineUnavailable, UsageError
from pipeline.judging import ProductVerdict, judge
from pipeline.own.table import is_own
from pipeline.passports import Axis, MovedUnit, Row, is_worse
from pipeline.record import engine_of
from pipeline.verdict import Sameness
from provenance.model import Action, Purpose, Run

THREADS = (1, 2, 8)
NUMERICS = ("pinned", "native")

HEAP_BYTES = (0x55, 0xAA)
"""What fresh memory is filled with: a number each bit of which differs from the other's."""

_NAMED = 4
_SUMS = ("CHECKSUM", "DATAMD5", "DATASUM")


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is to be varied; what the record has itself is left out."""

    threads: tuple[int, ...] = ()
    engines: tuple[str, ...] = ()
    numerics: tuple[str, ...] = ()
    cpus: tuple[str, ...] = ()
    """Models of emulated processors."""
    is_heap_filled: bool = False
    has_corners: bool = False
    """Also a few runs with several things set otherwise at once."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is varied."""
        return self == NOTHING


NOTHING = Matrix()

WHOLE = Matrix(THREADS, ENGINES, NUMERICS, (OLD,), is_heap_filled=True, has_corners=True)
"""All there is, on one emulated processor."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run to be made."""

    axis: Axis
    value: str
    variation: Variation = AS_RECORDED
    engine: str = ""
    """Name of another engine; empty for that of the workspace."""


def read_matrix(threads: str, engines: str, numerics: str, cpus: str, *, heap: bool, corners: bool) -> Matrix:
    """Read what a person asks for: lists with commas; `all` for all there is.

    Raises
    ------
    UsageError
        A number of threads is none, or a word is not known.
    """
    counts = _words(threads, tuple(map(str, THREADS)))
    for word in counts:
        if not word.isdecimal() or int(word) == 0:
            raise UsageError(f"--threads {word} is no number of threads", "such as: --threads 1,2,8")
    found = {
        "--engines": (_words(engines, ENGINES), ENGINES),
        "--numerics": (_words(numerics, NUMERICS), NUMERICS),
    }
    for option, (words, known) in found.items():
        for word in words:
            if word not in known:
                raise UsageError(f"{option} {word} is not known", f"it is one of {', '.join(known)}")
    models = dict.fromkeys(OLD if word == "emulated" else word for word in _words(cpus, ("host", *MODELS)))
    return Matrix(
        threads=tuple(map(int, counts)),
        engines=found["--engines"][0],
        numerics=found["--numerics"][0],
        cpus=tuple(model for model in models if model != "host"),
        is_heap_filled=heap,
        has_corners=corners,
    )


def trials(matrix: Matrix, run: Run, action: Action, engine: str) -> tuple[Trial, ...]:
    """List the runs to be made, by axis.

    Parameters
    ----------
    matrix : Matrix
        What is wanted.
    run, action
        As recorded.
    engine : str
        Name of the workspace's engine: with it the record is held against itself anyway.
    """
    found: list[Trial] = []
    for count in matrix.threads:
        if count != run.threads:
            found.append(Trial(Axis.THREADS, str(count), Variation(threads=count)))
    if not is_own(action.recipe):  # one of ours runs in bubblewrap, whatever the engine
        found += [Trial(Axis.ENGINE, name, engine=name) for name in matrix.engines if name != engine]
    for name in matrix.numerics:
        if name != action.numerics:
            found.append(Trial(Axis.NUMERICS, name, Variation(numerics=name)))
    found += [Trial(Axis.CPU, model, Variation(emulator=model)) for model in matrix.cpus]
    if matrix.is_heap_filled:
        found += [Trial(Axis.HEAP, f"0x{byte:02x}", _filled(action, byte)) for byte in HEAP_BYTES]
    if matrix.has_corners:
        other = NUMERICS[1 - NUMERICS.index(action.numerics)]
        most = max(THREADS)
        found += [
            Trial(Axis.SEVERAL, f"{most} threads + {other}", Variation(threads=most, numerics=other)),
            Trial(Axis.SEVERAL, f"{OLD} + {other}", Variation(numerics=other, emulator=OLD)),
        ]
    return tuple(found)


def attempt(
    workshop: Workshop, run: Run, trial: Trial, promised: Sameness, *, invocation: str | None = None
) -> Row:
    """Make one run and hold it against the record.

    Parameters
    ----------
    workshop, run
        As for `pipeline.again.remake`.
    trial : Trial
        What is set otherwise.
    promised : Sameness
        What the published passport says of it: a run in which more moved is kept with its products.
    invocation : str, optional
        Id of the call of the command.

    Returns
    -------
    Row
        Not measured, with the reason, where the engine or the emulator is not here.
    """
    try:
        with (
            _with_engine(workshop, trial.engine) as used,
            remake(used, run, variation=trial.variation) as remade,
        ):
            row = row_of(trial.axis, trial.value, used, remade)
            if row.is_stable or is_worse(row.sameness, promised):
                record_again(used, remade, Purpose.PASSPORT, invocation=invocation)
            return row
    except EngineUnavailable as error:
        return Row(trial.axis, trial.value, None, error.message)


def row_of(axis: Axis, value: str, workshop: Workshop, remade: Remade) -> Row:
    """Make a row of what came out of a run, held against its record.

    Parameters
    ----------
    axis, value
        What was set otherwise.
    workshop : Workshop
        What it was made with; its store has the recorded products.
    remade : Remade
        What came out; in the block of `remake`.
    """
    result, found = remade.ran.result, judge(workshop, remade)
    return Row(
        axis=axis,
        value=value,
        # Where the machine was to blame, such as for want of memory, nothing was learnt of the recipe.
        sameness=None if remade.failure and found.sameness is Sameness.NOT_COMPARABLE else found.sameness,
        reason=found.reason,
        engine=engine_name(workshop, remade),
        wall_ms=result.wall_ms,
        cpu_ms=_sum(result.cpu_user_ms, result.cpu_system_ms),
        variants=_variants(workshop, remade),
        moved=tuple(unit for product in found.products for unit in _units(product)),
    )


def engine_name(workshop: Workshop, remade: Remade) -> str:
    """Name what ran a run again, with its version."""
    engine, _ = workshop.surroundings(remade.action)
    return " ".join(engine_of(engine).values())


def _words(text: str, every: tuple[str, ...]) -> tuple[str, ...]:
    """Split a list at its commas, each word once."""
    words = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    return every if "all" in words else tuple(words)


@contextmanager
def _with_engine(workshop: Workshop, name: str) -> Iterator[Workshop]:
    """Use another engine, if one is named."""
    if not name:
        yield workshop
        return
    engine = open_engine(name)
    try:
        yield replace(workshop, engine=DeferredEngine(lambda: engine))
    finally:
        # Only engines that hold connections have something to let go of.
        getattr(engine, "close", lambda: None)()


def _units(product: ProductVerdict) -> Iterator[MovedUnit]:
    """Say of a product what moved and by how much; sums over what moved are no news."""
    found = product.comparison
    for figures in found.figures:
        unit = f" {figures.unit}" if figures.unit else ""
        yield MovedUnit(
            product=product.name,
            hdu=figures.title,
            what=f"{figures.differing} of {figures.values}",
            largest=f"{figures.largest.size:.2g}{unit}" if figures.largest else "",
            in_sigma=f"{figures.in_sigma.size:.2g}" if figures.in_sigma else "",
            relative=f"{figures.relative.size:.2g}" if figures.relative else "",
        )
    cards = [card.keyword for card in found.cards if not card.is_volatile and card.keyword not in _SUMS]
    cards = list(dict.fromkeys(name or "order of cards" for name in cards))
    if cards:
        more = f" and {len(cards) - _NAMED} more" if len(cards) > _NAMED else ""
        yield MovedUnit(product.name, "cards", f"{', '.join(cards[:_NAMED])}{more}", "", "")
    elif not found.figures and found.sameness not in (Sameness.IDENTICAL, Sameness.SAME_SCIENCE):
        yield MovedUnit(product.name, "", found.reason, "", "")


def _variants(workshop: Workshop, remade: Remade) -> tuple[str, ...] | None:
    """Say by which instruction sets the C library chose its functions; asked in the same surroundings."""
    call = remade.ran.call
    seen = look(*workshop.surroundings(remade.action), call.surroundings, call.environment)
    return seen.used if seen else None


def _sum(user_ms: int | None, system_ms: int | None) -> int | None:
    return None if user_ms is None or system_ms is None else user_ms + system_ms


def _filled(action: Action, byte: int) -> Variation:
    """Have the C library fill memory that is asked for, beside what it is told already.

    Notes
    -----
    It writes the complement of the number into new memory and the number itself into what is given back.
    """
    told = dict(action.environment).get(TUNABLES)
    filling = f"glibc.malloc.perturb={byte}"
    return Variation(environment=((TUNABLES, f"{told}:{filling}" if told else filling),))
