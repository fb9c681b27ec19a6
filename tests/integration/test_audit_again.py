"""What bare esorex made is read by `audit`, and made again from the settings that it writes.

What holds: a product without named calibrations comes out with the same data digest. One that names some has
every data unit and every card the same, but for what its inputs were called: Clio gives them names made from
their content, which no other program knows.
"""

import subprocess
from pathlib import Path

import pytest

from pipeline.audit.cards import read_headers
from pipeline.audit.findings import Finding, Standing, differing_cards, examine
from pipeline.audit.places import Places
from pipeline.audit.settings import settings_for
from pipeline.demo import bare_esorex
from pipeline.engine import Engine, RecipeImage
from pipeline.fitsdigest import digest_file
from pipeline.image import ImageLibrary, RecipeParameter
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.simulate import NightOptions
from pipeline.simulate.frames import write_frame
from pipeline.simulate.night import night

OPTIONS = NightOptions(ifus=(1,), exposures=1)
OF_ESOREX = ("--log-dir=.", "--log-file=log", "--msg-level=off", "--suppress-prefix=TRUE")


def bare(
    image: RecipeImage, folder: Path, recipe: str, frames: list[tuple[Path, str]], *options: str
) -> None:
    """Call esorex as a person would, in a folder of its own."""
    folder.mkdir()
    (folder / "in.sof").write_text("".join(f"{path} {tag}\n" for path, tag in frames))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    command = [*bare_esorex(image), *OF_ESOREX, recipe, "--nifu=1", *options, "in.sof"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(image: RecipeImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A master bias and a master flat of bare esorex, each with a parameter of its own."""
    top = tmp_path_factory.mktemp("made")
    raw: dict[str, list[tuple[Path, str]]] = {"BIAS": [], "FLAT": []}
    for exposure in night(OPTIONS):
        if exposure.tag in raw:
            path = top / exposure.arcfile
            write_frame(path, exposure, OPTIONS)
            raw[exposure.tag].append((path, exposure.tag))
    bias = (top / "bias" / "MASTER_BIAS-01.fits", "MASTER_BIAS")
    bare(image, top / "bias", "muse_bias", raw["BIAS"], "--hisigmabadpix=4")
    bare(image, top / "flat", "muse_flat", [*raw["FLAT"], bias], "--order=6", "--edgefrac=0.45")
    return top


@pytest.mark.bubblewrap
def test_settings_of_audit_make_the_product_of_bare_esorex_again(
    made: Path, image: RecipeImage, library: ImageLibrary, open_bubblewrap: Engine, tmp_path: Path
) -> None:
    """Promise 7, for what was made without us."""
    flat = made / "flat" / "MASTER_FLAT-01.fits"

    def known(recipe: str) -> tuple[RecipeParameter, ...]:
        return library.parameters(image, open_bubblewrap, recipe)

    places = Places((made,))
    found = examine(flat, places, known)

    assert [recipe.claim.recipe for recipe in found.recipes] == ["muse_flat"]
    changed = {p.claim.name: p.value for p in found.recipes[0].parameters if p.is_changed}
    assert changed == {"nifu": "1", "order": "6", "edgefrac": "0.45"}
    assert [len(item.candidates) for item in found.recipes[0].inputs] == [1, 1, 1, 1]
    assert [remark for remark in found.remarks if remark.is_contradiction] == []

    text = settings_for(found, places, known, image, "2.8.7").text(tmp_path)
    assert "GUESS" not in text.partition("[data]")[2]
    (tmp_path / "clio.toml").write_text(text)
    with Reduction.open(tmp_path, engine="bubblewrap") as reduction:
        summary = reduction.run((Stage.BIAS, Stage.FLAT))
        assert (summary.ran, summary.failed, summary.blocked) == (2, 0, 0)
        ours = {item.tag: item for item in summary.products}
        again = _audited(flat, reduction)
        bias = _audited(made / "bias" / "MASTER_BIAS-01.fits", reduction)

    assert bias.known is not None
    assert bias.known.by == "data digest"
    assert digest_file(made / "bias" / "MASTER_BIAS-01.fits").data_digest == ours["MASTER_BIAS"].data_digest
    for tag in ("MASTER_FLAT", "TRACE_TABLE"):
        theirs, mine = made / "flat" / f"{tag}-01.fits", ours[tag].path
        parts = [[part.data for part in digest_file(path).parts] for path in (theirs, mine)]
        assert parts[0] == parts[1]
        differing = differing_cards(read_headers(theirs).hdus, read_headers(mine).hdus)
        assert differing == ("ESO PRO REC1 CAL1 NAME",)
    assert again.known is not None
    assert (again.known.by, again.known.is_but_for_names) == ("data units", True)
    assert again.recipes[0].standing is Standing.PROVEN
    assert [remark.text for remark in again.remarks if remark.is_contradiction] == []


def _audited(path: Path, reduction: Reduction) -> Finding:
    return examine(path, Places((), store=reduction.store), reduction.known_parameters)
