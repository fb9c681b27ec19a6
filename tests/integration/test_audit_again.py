"""What bare esorex made is read by `audit`, and made again from the settings that it writes.

Frames and products go by names of no rule, and stand in no order of Clio's: what headers say of that, the
settings say too, so that the very same cards come out.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.audit.findings import Finding, Standing, examine
from pipeline.audit.places import Places
from pipeline.audit.settings import settings_for
from pipeline.demo import bare_esorex
from pipeline.engine import Engine, RecipeImage
from pipeline.fitsdigest import digest_file
from pipeline.fitsfile import read_hdus
from pipeline.image import ImageLibrary, RecipeParameter
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.simulate import NightOptions
from pipeline.simulate.frames import write_frame
from pipeline.simulate.night import night
from pipeline.simulate.statics import write_statics

OPTIONS = NightOptions(ifus=(1,), exposures=1)
STATICS = (("lines.fits", "LINE_CATALOG"), ("geometry.fits", "GEOMETRY_TABLE"), ("bad.fits", "BADPIX_TABLE"))
"""What somebody calls the static calibrations that are needed, and their tags."""
OF_ESOREX = ("--log-dir=.", "--log-file=log", "--msg-level=off", "--suppress-prefix=TRUE")


def bare(
    image: RecipeImage, folder: Path, recipe: str, frames: list[tuple[Path, str]], *options: str
) -> None:
    """Call esorex as a person would, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "in.sof").write_text("".join(f"{path} {tag}\n" for path, tag in frames))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    command = [*bare_esorex(image), *OF_ESOREX, recipe, "--nifu=1", *options, "in.sof"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(image: RecipeImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What bare esorex made, from bias to the pixel table of an exposure, some with parameters of its own."""
    top = tmp_path_factory.mktemp("made")
    raw: dict[str, list[tuple[Path, str]]] = {tag: [] for tag in ("BIAS", "FLAT", "ARC", "ILLUM", "OBJECT")}
    for number, exposure in enumerate(night(OPTIONS)):
        if exposure.tag in raw:
            # Some as the archive calls them, others as somebody found handy.
            handy = exposure.tag in ("ARC", "OBJECT")
            path = top / (f"{exposure.tag.lower()}_{99 - number:02d}.fits" if handy else exposure.arcfile)
            write_frame(path, exposure, OPTIONS)
            raw[exposure.tag].append((path, exposure.tag))
    statics = {path.name: path for path in write_statics(tmp_path_factory.mktemp("calib"))}
    lines, geometry, pixels = ((top / name, tag) for name, tag in STATICS)
    for path, tag in (lines, geometry, pixels):
        found = next(p for p in statics.values() if read_hdus(p)[0].header["ESO PRO CATG"] == tag)
        shutil.copyfile(found, path)

    def made(name: str, tag: str) -> tuple[Path, str]:
        return top / name / f"{tag}-01.fits", tag

    bias, flat, trace = made("bias", "MASTER_BIAS"), made("flat", "MASTER_FLAT"), made("flat", "TRACE_TABLE")
    # Bad pixels are given to this call alone: they lie there, and the other calls are to do without.
    bare(image, top / "bias", "muse_bias", [pixels, *raw["BIAS"]], "--hisigmabadpix=4")
    bare(image, top / "flat", "muse_flat", [*raw["FLAT"], bias], "--order=6", "--edgefrac=0.45")
    wave = (top / "my_wave.fits", "WAVECAL_TABLE")
    bare(image, top / "wave", "muse_wavecal", [lines, trace, *reversed(raw["ARC"]), bias], "--xorder=3")
    (top / "wave" / "WAVECAL_TABLE-01.fits").rename(wave[0])
    science = [wave, *raw["OBJECT"], flat, geometry, trace, *raw["ILLUM"][:1], bias]
    bare(image, top / "science", "muse_scibasic", science)
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
        assert digest_file(made / "flat" / f"{tag}-01.fits").data_digest == ours[tag].data_digest
    assert again.known is not None
    assert again.known.by == "data digest"
    assert again.recipes[0].standing is Standing.PROVEN
    assert [remark.text for remark in again.remarks if remark.is_contradiction] == []


@pytest.mark.bubblewrap
def test_frames_of_any_name_in_any_order_make_the_same_pixel_table(
    made: Path, image: RecipeImage, library: ImageLibrary, open_bubblewrap: Engine, tmp_path: Path
) -> None:
    """Promise 7: raw frames renamed, arcs last first, calibrations before what they calibrate."""
    (table,) = (made / "science").glob("PIXTABLE_OBJECT*.fits")

    def known(recipe: str) -> tuple[RecipeParameter, ...]:
        return library.parameters(image, open_bubblewrap, recipe)

    places = Places((made,))
    text = settings_for(examine(table, places, known), places, known, image, "2.8.7").text(tmp_path)
    (tmp_path / "clio.toml").write_text(text)
    with Reduction.open(tmp_path, engine="bubblewrap") as reduction:
        summary = reduction.run((Stage.BIAS, Stage.FLAT, Stage.WAVE, Stage.SCIBASIC))
        assert (summary.ran, summary.failed, summary.blocked) == (4, 0, 0)
        ours = {item.tag: item for item in summary.products}

    made_before = (("PIXTABLE_OBJECT", table), ("WAVECAL_TABLE", made / "my_wave.fits"))
    for tag, path in made_before:
        assert digest_file(path).data_digest == ours[tag].data_digest


def _audited(path: Path, reduction: Reduction) -> Finding:
    return examine(path, Places((), store=reduction.store), reduction.known_parameters)
