"""Raw frames as archives deliver them, reduced by the real muse_bias: packed, and most chips dead."""

from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.engine import Engine, RecipeImage
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.simulate import NightOptions
from pipeline.simulate.frames import write_frame
from pipeline.simulate.night import night
from pipeline.summary import Summary
from tests.packing import pack

OPTIONS = NightOptions(ifus=(1,), exposures=1)
"""One live detector; the 23 others are header-only extensions with ESO DET CHIP LIVE = F."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Three biases: name and content."""
    folder = tmp_path_factory.mktemp("raw")
    for exposure in night(OPTIONS):
        if exposure.tag == "BIAS":
            write_frame(folder / exposure.arcfile, exposure, OPTIONS)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def put(root: Path, raw: dict[str, bytes], *packings: str) -> None:
    """Write the frames into a workspace in place of those there, each packed in its way; plain for none."""
    (root / "raw").mkdir(parents=True, exist_ok=True)
    (root / "clio.toml").write_text("")
    for path in (root / "raw").iterdir():
        path.unlink()
    for (name, content), how in zip(raw.items(), packings or [""] * len(raw), strict=True):
        (root / "raw" / name).write_bytes(content)
        if how:
            pack(root / "raw" / name, how)


def test_biases_are_reduced_to_the_same_data_from_every_packing_and_unpacking_reruns_nothing(
    raw: dict[str, bytes],
    image: RecipeImage,
    library: ImageLibrary,
    open_bubblewrap: Engine,
    tmp_path: Path,
) -> None:
    """Promises 2 and 4: `.gz` and `.Z` are unpacked for the recipe, `.fz` is read as it is."""

    def reduce(root: Path) -> Summary:
        (root / "clio.toml").write_text(f'[image]\nreference = "{image.config_digest}"\n')
        with Reduction(load(root), engine=open_bubblewrap, library=library) as reduction:
            return reduction.run((Stage.BIAS,))

    put(tmp_path / "one", raw, "compress", "gzip", "compress")
    put(tmp_path / "other", raw, "tiles", "tiles, with sums", "tiles")
    one, other = reduce(tmp_path / "one"), reduce(tmp_path / "other")
    put(tmp_path / "one", raw)
    again = reduce(tmp_path / "one")

    assert (one.ran, one.failed, one.blocked) == (1, 0, 0), one.events
    assert (other.ran, other.failed, other.blocked) == (1, 0, 0), other.events
    assert [m.data_digest for m in one.products] == [m.data_digest for m in other.products]
    assert [m.tag for m in one.products] == ["MASTER_BIAS"]
    assert (again.ran, again.hits) == (0, 1)
    assert one.believed[0].action == other.believed[0].action
