"""The verb that makes things again and compares: `replay`."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Engine, Json, Workspace, open_reduction
from pipeline.cli.output import OUTPUT, seconds
from pipeline.cli.progress import stopping
from pipeline.cli.references import FoundRuns, find, find_run
from pipeline.cli.replay_bundle import agree, is_bundle, refuse_beside_bundle, replay_bundle
from pipeline.cli.replay_lock import refuse_beside_lock, replay_from_lock
from pipeline.cli.sheets import counted
from pipeline.cli.upkeep import open_store
from pipeline.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipeline.again import Variation
    from pipeline.reduce import Reduction
    from pipeline.replay import Link, Listen, Replay, Replayed, Terms
    from pipeline.verdict import Tolerance
    from provenance.model import Run
    from provenance.store import Store

SCHEMA = "clio-replay/1"

_TELLING = 20
"""So many times what is done may still be left, for the time it took to tell how fast it goes."""
_SHOWN = 5
"""Products of which it is told in full what moved; -v tells it of all."""


def add_to(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(replay)


def replay(
    references: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REF...]",
            help="Products, runs, steps or stages, as `clio show` takes them, or a bundle; by default the "
            "whole newest reduction.",
            show_default=False,
        ),
    ] = None,
    closure: Annotated[
        bool, typer.Option("--closure", help="From raw frames: make again first all they are made from.")
    ] = False,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, metavar="N", help="Only N of the runs, drawn by lot.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the lot: the same number draws the same runs.")] = 0,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="STORE", help="Write to another store, made if there is none."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="With another number of threads.")
    ] = None,
    numerics: Annotated[
        str | None, typer.Option("--numerics", metavar="NAME", help="pinned or native, not as recorded.")
    ] = None,
    tolerance: Annotated[
        str,
        typer.Option(
            "--tolerance", metavar="LIST", help="How far numbers may move: `sigma=0.01,relative=1e-4`."
        ),
    ] = "",
    lock: Annotated[
        Path | None,
        typer.Option("--lock", metavar="FILE", help="What a lock says, from raw frames in an empty store."),
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="With --lock or a bundle: where the raw frames lie."),
    ] = None,
    calib: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="With --lock or a bundle: where the calibrations lie."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before what was imported is started.")
    ] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Recipes at once.")] = None,
    engine: Engine = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Make products again from their records, and say in what the bytes that come out differ, if they do.

    Inputs, parameters, image, environment and clock are those of the record. Nothing that is there is
    replaced: what comes out is kept beside it, as a run of its own that no step ever believes. With
    --threads or --numerics that is another action, a challenge, compared in the same way.

    With --lock the records are not asked: the whole reduction is done again from raw frames, under the lock
    and the settings beside it, and its products are held against the digests in the lock.

    Of a bundle everything is made again from raw frames, wherever you are: in a temporary store, or --into.
    What it does not hold is named, and looked for by content in --raw and --calib. Imported runs start only
    after you were shown what they do, and said yes; with the same data they are trusted from then on.

    Leaves with 7 unless every product comes out with the same data.

    Example: `clio replay combine --closure --engine docker`

    Example: `clio replay m77.clio.zip --raw /archive/muse`
    """
    from pipeline.again import Workshop
    from pipeline.bundle_replay import bring_images, descriptions_of, images_of
    from pipeline.replay import Terms, chain
    from pipeline.replay import replay as make_again

    if lock is not None:
        refuse_beside_lock(
            references=references,
            closure=closure,
            sample=sample,
            threads=threads,
            numerics=numerics,
            tolerance=tolerance,
        )
        replay_from_lock(
            lock,
            into=into,
            raw=raw,
            calib=calib,
            engine=engine,
            jobs=jobs,
            workspace=workspace,
            as_json=as_json,
        )
        return
    terms = Terms(_variation(threads, numerics), read_tolerance(tolerance))
    if any(map(is_bundle, references or [])):
        refuse_beside_bundle(references or [], closure=closure, sample=sample)
        replay_bundle(
            Path((references or [])[0]),
            replace(terms, jobs=jobs),
            into=into,
            folders=tuple(folder for folder in (raw, calib) if folder is not None),
            engine=engine,
            yes=yes,
            as_json=as_json,
        )
        return
    if raw is not None or calib is not None:
        raise UsageError(
            "--raw and --calib say where the frames of a lock or a bundle lie", "give --lock clio.lock too"
        )
    open_store(workspace).close()  # none is made only to find nothing in it
    with open_reduction(workspace, engine) as reduction, _target(reduction.store, into) as target:
        runs = _runs(reduction, references or [], sample, seed)
        links = chain(reduction.store, runs, closure=closure)
        is_agreed = agree(reduction.store, (link.run for link in links), yes=yes)
        shop = replace(Workshop.of(reduction), into=target, is_agreed=is_agreed)
        if is_agreed:
            bring_images(shop, images_of(reduction.store, links), descriptions_of(reduction.store))
        with watching(links, reduction.cancel) as listen:
            found = make_again(shop, links, _within(terms, reduction, jobs), listen)
    if as_json:
        OUTPUT.document(SCHEMA, {"closure": closure, "into": into and str(into), **document(found)})
    else:
        print_replay(found)
    if not found.has_same_data:
        raise typer.Exit(int(Exit.DIFFERENT))


def read_tolerance(text: str) -> "Tolerance":
    """Read how far numbers may move: names of `Tolerance` with their values; the others stay.

    Raises
    ------
    UsageError
        It is no such list.
    """
    from pipeline.verdict import USUAL

    known = [item.name for item in fields(USUAL)]
    found: dict[str, Any] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = word.partition("=")
        if name not in known:
            raise UsageError(f"--tolerance {word}: there is no {name}", f"there are {', '.join(known)}")
        if isinstance(getattr(USUAL, name), bool):
            found[name] = _is_flag(word, equals)
            continue
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] < float("inf"):
            raise UsageError(f"--tolerance {word}: {value!r} is no size", f"such as: {name}=1e-4")
    return replace(USUAL, **found)


@contextlib.contextmanager
def watching(links: "tuple[Link, ...]", cancel: threading.Event) -> "Iterator[Listen]":
    """Give what listens to a replay: a line for each run that is judged, with the time left.

    Notes
    -----
    By what the runs took when they were recorded: the share of that which is done, and the time it took. As
    long as the share is small, it is taken as it was recorded.
    """
    total = sum(link.run.wall_ms or 0 for link in links)
    begin = time.monotonic()
    count = done_ms = 0

    def listen(run: "Run", replayed: "Replayed | None") -> None:
        nonlocal count, done_ms
        if replayed is None:
            if OUTPUT.verbose:
                OUTPUT.say(f"begun    {run.stage}:{run.unit}")
            return
        count += 1
        done_ms += run.wall_ms or 0
        pace = (time.monotonic() - begin) / done_ms if done_ms > total / _TELLING else 1e-3
        left_s = (total - done_ms) * pace
        left = f", about {left_s:.0f} s left" if count < len(links) else ""
        OUTPUT.say(f"replayed {replayed.step}: {replayed.sameness} ({count} of {len(links)}{left})")

    with stopping(cancel):
        yield listen


def print_replay(found: "Replay") -> None:
    """Print a row for each run, what moved in the first products that differ, and a summary."""
    OUTPUT.table(
        ("step", "verdict", "what moved", "wall s"),
        (
            (
                link.step,
                f"{link.sameness}{' (challenge)' if link.is_challenge else ''}",
                link.reason,
                seconds(link.again.wall_ms if link.again else None),
            )
            for link in found.links
        ),
    )
    _print_moved(found)
    for link in found.links:
        if link.hint:
            OUTPUT.say(f"{link.step}: {link.hint}")
    for link in found.unproven:
        OUTPUT.say(f"{link.step}: not trusted: {link.unproven}")
    OUTPUT.line(summary(found))


def summary(found: "Replay") -> str:
    """Say in a line how many runs and products came out how."""
    from pipeline.verdict import Sameness

    counts = [(sameness, sum(link.sameness is sameness for link in found.links)) for sameness in Sameness]
    said = ", ".join(f"{count} {sameness}" for sameness, count in counts if count)
    products = sum(len(link.products) for link in found.links)
    return f"{counted(len(found.links), 'run')}, {counted(products, 'product')}: {said}, {found.wall_s:.0f} s"


def document(found: "Replay") -> dict[str, Any]:
    """Describe a replay as JSON."""
    return {
        "sameness": found.sameness.value,
        "same_data": found.has_same_data,
        "wall_s": round(found.wall_s, 3),
        "runs": [_run_document(link) for link in found.links],
    }


def _run_document(link: "Replayed") -> dict[str, Any]:
    again = link.again
    return {
        "step": link.step,
        "run": link.run.run,
        "action": link.run.action,
        "challenge": again.action if again and link.is_challenge else None,
        "replay": again.run if again else None,
        "engine": dict(again.engine).get("name") if again else None,
        "threads": again.threads if again else None,
        "wall_ms": again.wall_ms if again else None,
        "sameness": link.sameness.value,
        "reason": link.reason,
        "hint": link.hint,
        "unproven": link.unproven,
        "products": [
            {
                "tag": product.tag,
                "name": product.name,
                "recorded": product.recorded,
                "now": product.now,
                "comparison": product.comparison.document(),
            }
            for product in link.products
        ],
    }


def _print_moved(found: "Replay") -> None:
    from pipeline.cli.verdicts import lines
    from pipeline.verdict import Sameness

    moved = [
        (link.step, product)
        for link in found.links
        for product in link.products
        if product.comparison.sameness is not Sameness.IDENTICAL
    ]
    shown = moved if OUTPUT.verbose else moved[:_SHOWN]
    for step, product in shown:
        OUTPUT.line(f"{step} {product.name}: {product.comparison.sameness}")
        for line in lines(product.comparison):
            OUTPUT.line(f"  {line}")
    if len(shown) < len(moved):
        more = counted(len(moved) - len(shown), "more product")
        OUTPUT.say(f"and {more}: `clio -v replay` tells all of them")


def _variation(threads: int | None, numerics: str | None) -> "Variation":
    from pipeline.again import Variation

    if numerics not in (None, "pinned", "native"):
        raise UsageError(f"--numerics {numerics} is not known", "it is pinned or native")
    return Variation(threads=threads, numerics=numerics)


def _within(terms: "Terms", reduction: "Reduction", jobs: int | None) -> "Terms":
    """Set how much may run at once: as the settings say, where nobody says it."""
    table = reduction.settings.table.clio
    memory = None if table.memory_gb is None else round(table.memory_gb * 1e9)
    return replace(terms, jobs=jobs or table.jobs, memory_bytes=memory)


def _is_flag(word: str, equals: str) -> bool:
    if equals:
        raise UsageError(f"--tolerance {word}: it takes no value", f"such as: {word.partition('=')[0]}")
    return True


@contextlib.contextmanager
def _target(store: "Store", into: Path | None) -> "Iterator[Store | None]":
    """Open the store that is written to; None for the one that is read."""
    from provenance.store import Store

    if into is None or (into.exists() and into.samefile(store.path)):
        yield None
        return
    with Store.open(into, create=True) as opened:
        yield opened


def _runs(reduction: "Reduction", references: list[str], count: int | None, seed: int) -> "tuple[Run, ...]":
    """Find the runs that are meant, each once, and draw from them if that is asked for."""
    from pipeline.replay import newest_reduction, sample

    store = reduction.store
    if references:
        found = {run.run: run for reference in references for run in _meant(store, reference)}
        runs = tuple(found.values())
    else:
        runs = newest_reduction(store, str(reduction.settings.root))
    return runs if count is None else sample(runs, count, seed)


def _meant(store: "Store", reference: str) -> "tuple[Run, ...]":
    found = find(store, reference, successful=True)
    return found.runs if isinstance(found, FoundRuns) else (find_run(store, reference, successful=True),)
