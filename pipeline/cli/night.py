"""The verbs of the synthetic night: `simulate`, and `demo`, which reduces one."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Engine, Json
from pipeline.cli.output import OUTPUT
from pipeline.errors import UsageError
from pipeline.modes import DEFAULT_MODE
from pipeline.simulate.options import DEFAULT_TARGET

if TYPE_CHECKING:
    from pipeline.engine import RecipeImage
    from pipeline.reduce import Reduction
    from pipeline.simulate import NightOptions
    from pipeline.summary import Summary

Ifus = Annotated[str, typer.Option(help="IFUs with data, such as 1,2 or 1-4.")]
Exposures = Annotated[int, typer.Option(help="Exposures of the object.")]
Seed = Annotated[int, typer.Option(help="Seed of noise, scene and pointing errors.")]
Modes = Annotated[
    list[str], typer.Option("--mode", help="Instrument mode; several share a night, commas or repeated.")
]
Targets = Annotated[str, typer.Option(help="Names of the targets, such as A,B.")]
Datasets = Annotated[
    int, typer.Option(help="Observing blocks of each target, modes in turn; 0 for as many as modes need.")
]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", help="Processes; one a core without.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(simulate)
    app.command()(demo)


def simulate(
    folder: Annotated[Path, typer.Argument(help="Where raw/, calib/ and the truth are written.")],
    ifus: Ifus = "1,2",
    exposures: Exposures = 3,
    seed: Seed = 1,
    compress: Annotated[str, typer.Option(help="none or fz.")] = "none",
    jobs: Jobs = None,
    modes: Modes = [DEFAULT_MODE],  # noqa: B006
    targets: Targets = DEFAULT_TARGET,
    datasets: Datasets = 0,
    as_json: Json = False,
) -> None:
    """Write a synthetic night that ESO's recipes reduce, with the truth about it.

    Example: `clio simulate night --ifus 1,2 --exposures 3 --seed 1`

    Two targets in two modes each: `clio simulate night --mode WFM-NOAO-N,WFM-AO-N --targets A,B --datasets 2`
    """
    from pipeline.simulate import NightOptions

    options = NightOptions(
        read_ifus(ifus),
        exposures,
        seed,
        compress,
        jobs,
        modes=_names(",".join(modes)),
        targets=_names(targets),
        datasets=datasets,
    )
    files = _simulate(folder, options)
    if as_json:
        OUTPUT.document("clio-simulate/1", {"files": [str(path) for path in files]})
    else:
        OUTPUT.line(f"{len(files)} files in {folder}")


def demo(
    folder: Annotated[Path, typer.Argument(help="An empty folder, or one with an earlier demo.")] = Path(),
    ifus: Ifus = "1,2",
    exposures: Exposures = 3,
    seed: Seed = 1,
    engine: Engine = "",
    bare: Annotated[bool, typer.Option(help="Also repeat the esorex calls without Clio, to compare.")] = True,
) -> None:
    """Show the whole: simulate a night, reduce it, replay the cube, and compare it with the truth.

    Example: `mkdir demo && cd demo && clio demo`
    """
    from pipeline.demo import run_bare, write_demo_settings
    from pipeline.events import failure
    from pipeline.reduce import Reduction
    from pipeline.simulate import NightOptions

    image = _image()
    OUTPUT.line(f"1. the image: {image.config_digest}")
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    files = _simulate(folder, NightOptions(read_ifus(ifus), exposures, seed))
    OUTPUT.line(f"2. a synthetic night: {len(files)} files in {time.monotonic() - begin:.0f} s")
    settings = write_demo_settings(folder, image.config_digest)
    with Reduction.open(settings, engine=engine) as reduction:
        OUTPUT.line("3. its reduction")
        summary = _run(reduction)
        error = failure(summary.events)
        if error is not None:
            raise error
        _print_costs(summary)
        OUTPUT.line("4. once more")
        again = _run(reduction)
        OUTPUT.line(f"   {again.ran} ran, {again.hits} hits, {again.wall_s:.2f} s")
        OUTPUT.line("5. where the cube comes from")
        _trace(reduction, summary)
        OUTPUT.line("6. the cube made again from its record")
        _replay(reduction, summary)
        OUTPUT.line("7. the cube against the truth")
        _compare(folder, summary)
        if bare and summary.ran:
            OUTPUT.line("8. the same esorex calls without clio")
            wall_s = run_bare(reduction, summary.events, lambda id_: OUTPUT.say(f"bare    {id_}"))
            ratio = summary.wall_s / wall_s
            OUTPUT.line(f"   clio {summary.wall_s:.0f} s, bare {wall_s:.0f} s: ratio {ratio:.2f}")


def read_ifus(text: str) -> tuple[int, ...]:
    """Read a list of IFUs such as `1,2` or `1-4,24`.

    Raises
    ------
    UsageError
        It is no such list.
    """
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            found += range(int(low), int(high if dash else low) + 1)
        except ValueError as error:
            raise UsageError(
                f"--ifus {text}: {part!r} is no IFU", "give numbers such as 1,2 or 1-4"
            ) from error
    return tuple(found)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _image() -> "RecipeImage":
    """Find the image of this machine, or build it."""
    from pipeline.image import ImageLibrary

    library = ImageLibrary()
    images = library.list()
    if images:
        return library.find(images[0].config_digest)
    OUTPUT.say("building the recipe image from Debian's packages")
    return library.build(progress=OUTPUT.say if OUTPUT.verbose else None)


def _simulate(folder: Path, options: "NightOptions") -> tuple[Path, ...]:
    from pipeline.simulate import simulate as write_night

    with _counting("simulating") as progress:
        return write_night(folder, options, progress)


@contextlib.contextmanager
def _counting(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show how many of the files are done, if somebody watches."""
    if not OUTPUT.shows_progress:
        yield lambda done, total, name: None
        return
    from rich.progress import Progress

    with Progress(console=OUTPUT.talk, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total, name: bars.update(task, completed=done, total=total)


def _run(reduction: "Reduction") -> "Summary":
    from pipeline.cli.progress import watching

    with watching(reduction.cancel) as listen:
        return reduction.run(listen=listen, argv=tuple(sys.argv))


def _print_costs(summary: "Summary") -> None:
    from pipeline.demo import stage_costs

    rows = [
        (
            c.stage.value,
            c.recipe,
            str(c.steps),
            str(c.products),
            f"{c.wall_s:.1f}",
            f"{c.peak_memory_bytes / 1e6:.0f}",
        )
        for c in stage_costs(summary)
    ]
    OUTPUT.table(("stage", "recipe", "steps", "products", "wall s", "peak MB"), rows)
    OUTPUT.line(f"   {summary.ran} steps ran, {summary.hits} hits, {summary.wall_s:.0f} s")


def _trace(reduction: "Reduction", summary: "Summary") -> None:
    from pipeline import report
    from pipeline.cli.drawing import draw
    from pipeline.demo import product_of
    from pipeline.model import Stage

    cube = product_of(summary, Stage.COMBINE, "DATACUBE_FINAL")
    for tree in draw(report.trace(reduction.store, (cube.digest,)), unfolded=False):
        OUTPUT.data.print(tree)


def _replay(reduction: "Reduction", summary: "Summary") -> None:
    """Make the cube again from what was recorded of it; `clio replay --closure` begins at raw frames."""
    from pipeline.again import Workshop
    from pipeline.cli.replay import print_replay, watching
    from pipeline.demo import product_of
    from pipeline.model import Stage
    from pipeline.replay import chain, replay

    cube = product_of(summary, Stage.COMBINE, "DATACUBE_FINAL")
    made = [event.run for event in summary.events if event.run and event.step.stage is cube.stage]
    links = chain(reduction.store, made, closure=False)
    with watching(links, reduction.cancel) as listen:
        print_replay(replay(Workshop.of(reduction), links, listen=listen))


def _compare(folder: Path, summary: "Summary") -> None:
    from pipeline.demo import product_of
    from pipeline.model import Stage
    from pipeline.simulate import compare_offsets, compare_with_truth

    truth = folder / "truth.json"
    found = compare_with_truth(product_of(summary, Stage.COMBINE, "DATACUBE_FINAL").path, truth)
    rows = [
        (
            star.name,
            f"{star.west_arcsec:+.3f}",
            f"{star.north_arcsec:+.3f}",
            f"{star.flux_ratio:.3f}",
            f"{star.signal_to_noise:.0f}",
        )
        for star in found.stars
    ]
    OUTPUT.table(("star", 'west "', 'north "', "flux / true", "S/N"), rows)
    lines = [
        (line.name, f"{line.wavelength_a:.2f}", f"{line.wavelength_error_a:+.3f}", f"{line.flux_ratio:.3f}")
        for line in found.lines
    ]
    OUTPUT.table(("line", "true A", "found - true A", "flux / true"), lines)
    offsets = compare_offsets(product_of(summary, Stage.ALIGN, "OFFSET_LIST").path, truth)
    shifts = [
        (
            o.date_obs,
            f"{o.found_east:+.3f} {o.found_north:+.3f}",
            f"{o.simulated_east:+.3f} {o.simulated_north:+.3f}",
        )
        for o in offsets
    ]
    OUTPUT.table(("exposure", 'offset found "', 'simulated "'), shifts)
