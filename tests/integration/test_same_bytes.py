"""A real recipe gives the same bytes in every engine: recorded in one, run again in each."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.again import Workshop, remake
from pipeline.config import load
from pipeline.engine import Engine, RecipeImage
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.simulate import NightOptions
from pipeline.simulate.frames import write_frame
from pipeline.simulate.night import night
from provenance.digest import digest_file
from provenance.model import Run

OPTIONS = NightOptions(ifus=(1,), exposures=1)


@pytest.fixture(scope="module")
def reduction(
    image: RecipeImage,
    open_bubblewrap: Engine,
    library: ImageLibrary,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Reduction]:
    """The biases and lamp flats of one IFU, reduced in bubblewrap."""
    root = tmp_path_factory.mktemp("bytes")
    (root / "raw").mkdir()
    for exposure in night(OPTIONS):
        if exposure.tag in ("BIAS", "FLAT"):
            write_frame(root / "raw" / exposure.arcfile, exposure, OPTIONS)
    settings = ["[clio]", 'engine = "bubblewrap"', "[image]", f'reference = "{image.config_digest}"', ""]
    (root / "clio.toml").write_text("\n".join(settings))
    with Reduction(load(root), engine=open_bubblewrap, library=library) as reduction:
        summary = reduction.run((Stage.BIAS, Stage.FLAT))
        assert (summary.ran, summary.failed, summary.blocked) == (2, 0, 0)
        yield reduction


@pytest.mark.parametrize("recipe", ["muse_bias", "muse_flat"])
def test_every_engine_gives_the_bytes_of_the_record_promise_7(
    reduction: Reduction, engine: Engine, recipe: str
) -> None:
    run = recorded(reduction, recipe)
    workshop = replace(Workshop.of(reduction), engine=engine)

    with remake(workshop, run) as remade:
        made = {output.name: digest_file(output.product.path) for output in remade.outputs if output.product}

    assert (remade.cause, remade.failure) == ("", "")
    assert made == {output.name: output.digest for output in run.outputs}


def recorded(reduction: Reduction, recipe: str) -> Run:
    """The one run of a recipe in the store."""
    (run,) = (run for run in reduction.store.runs() if reduction.store.action(run.action).recipe == recipe)
    return run
