"""The whole of Clio in one go: a synthetic night, its reduction, and the result held against the truth."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine import RecipeImage
from pipeline.environment import LIBRARY_FOLDERS, THREADS
from pipeline.errors import RecipeFailed
from pipeline.events import Event
from pipeline.host import cores
from pipeline.model import Stage
from pipeline.recipes import RECIPES, STAGES
from pipeline.reduce import Reduction
from pipeline.summary import Made, Summary
from provenance.model import Run

LAMBDA_RANGE = (6400, 7000)
"""Angstrom; the post-processing of the demo is cut to it, which makes it quick."""

SETTINGS = """\
# The demo of clio: a synthetic night, two IFUs, the post-processing cut to a short range.

[image]
reference = "{image}"

[recipes.muse_standard]
lambdamin = {low}
lambdamax = {high}

[recipes.muse_create_sky]
lambdamin = {low}
lambdamax = {high}

[recipes.muse_scipost]
lambdamin = {low}
lambdamax = {high}

[recipes.muse_exp_combine]
lambdamin = {low}
lambdamax = {high}
"""


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage of the demo made, and how long it took."""

    stage: Stage
    recipe: str
    steps: int
    products: int
    wall_s: float
    """Sum over its steps, some of which ran at the same time."""
    peak_memory_bytes: int


def write_demo_settings(folder: Path, image: str) -> Path:
    """Write the settings of the demo; what is there already is left as it is.

    Parameters
    ----------
    folder : Path
        The workspace.
    image : str
        Config digest of the image.
    """
    path = folder / "clio.toml"
    if not path.exists():
        low, high = LAMBDA_RANGE
        path.write_text(SETTINGS.format(low=low, high=high, image=image), encoding="utf-8")
    return path


def stage_costs(summary: Summary) -> tuple[StageCost, ...]:
    """Sum up a reduction by stage, in the order of the workflow."""
    found = []
    for stage in Stage:
        runs = [e.run for e in summary.events if e.step.stage is stage and e.run is not None]
        if runs:
            found.append(
                StageCost(
                    stage=stage,
                    recipe=STAGES[stage].recipe,
                    steps=len(runs),
                    products=sum(len(run.outputs) for run in runs),
                    wall_s=sum(run.wall_ms or 0 for run in runs) / 1000,
                    peak_memory_bytes=max(run.peak_memory_bytes or 0 for run in runs),
                )
            )
    return tuple(found)


def product_of(summary: Summary, stage: Stage, tag: str) -> Made:
    """Find the first product of a tag that a stage made.

    Raises
    ------
    RecipeFailed
        It made none.
    """
    for made in summary.products:
        if made.stage is stage and made.tag == tag:
            return made
    raise RecipeFailed(f"{stage} made no {tag}", "see: clio status")


def run_bare(
    reduction: Reduction,
    events: tuple[Event, ...],
    progress: Callable[[str], None] = lambda text: None,
    jobs: int | None = None,
) -> float:
    """Repeat the esorex calls of a reduction without Clio: no sandbox, no digests, no records.

    Parameters
    ----------
    reduction : Reduction
        Where the inputs lie.
    events : tuple of Event
        Its steps in the order in which they ended.
    progress : callable
        Told the id of each call.
    jobs : int, optional
        Calls at once, by default one a core; one after the other if 1, each with all threads it may have.

    Returns
    -------
    float
        Wall-clock seconds for all calls.

    Raises
    ------
    RecipeFailed
        esorex left with an error.
    """
    begin = time.monotonic()

    def call(event: Event) -> None:
        if event.run is not None:
            progress(event.step.id)
            is_free = RECIPES[event.step.recipe].threads is None
            threads = cores() if jobs == 1 and is_free else event.run.threads
            _call_bare(reduction, event.run, threads or 1)

    with ThreadPoolExecutor(jobs or cores()) as pool:
        list(pool.map(call, events))
    return time.monotonic() - begin


def _call_bare(reduction: Reduction, run: Run, threads: int) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="bare-", dir=reduction.store.path / "tmp"))
    try:
        frames = tuple((str(_lies_at(reduction, i.digest, i.seen_at)), i.tag) for i in run.inputs)
        sof = scratch / "frames.sof"
        sof.write_text("".join(f"{path} {tag}\n" for path, tag in frames), encoding="utf-8")
        argv = [*bare_esorex(reduction.image), *run.argv[1:-1], str(sof)]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), THREADS: str(threads)}
        done = subprocess.run(argv, cwd=scratch, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise RecipeFailed(f"bare {run.argv[0]} {run.stage}:{run.unit} left with {done.returncode}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _lies_at(reduction: Reduction, digest: str, seen_at: str | None) -> Path:
    path = reduction.store.objects.path(digest)
    return path if path.exists() else Path(seen_at or "")


def bare_esorex(image: RecipeImage) -> tuple[str, ...]:
    """Give the command of esorex out of an image's root file system, by its own loader, on the host.

    Parameters
    ----------
    image : RecipeImage
        The unpacked image.

    Returns
    -------
    tuple of str
        The beginning of a command line; options follow.
    """
    libraries = image.rootfs / "usr/lib" / LIBRARY_FOLDERS[image.platform]
    loader = next((image.rootfs / "lib64").glob("ld-linux-*.so.2"), None) or next(libraries.glob("ld-*.so*"))
    # The recipes' own library lies in a folder below; without it the host's would be loaded, if there is one.
    folders = sorted({str(path.parent) for path in libraries.rglob("lib*.so.*")})
    esorex = image.rootfs / "usr/bin/esorex"
    plugins = f"--recipe-dir={libraries / 'cpl/plugins'}"
    return (str(loader), "--library-path", ":".join(folders), str(esorex), plugins)
