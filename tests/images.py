"""A second recipe image that differs in one thing: a plugin of the recipes with another default built in."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from pipeline.engine import RecipeImage
from pipeline.image import ImageLibrary
from pipeline.image.archive import open_layer, read_index

BILL = "usr/share/clio/packages.json"
"""Where a root file system lists its packages."""
RECIPES = "cpl-plugin-muse"
"""The package that brings the recipes."""
LOCAL = "+local1"
"""What a package that somebody built anew has behind its version."""


def image_with_another_default(
    image: RecipeImage, library: ImageLibrary, scratch: Path, *, plugin: str, old: str, new: str
) -> RecipeImage:
    """Make an image like another one, but for a default that is text, as a patched package would have it.

    Parameters
    ----------
    image : RecipeImage
        The image to start from.
    library : ImageLibrary
        Where to put the new one.
    scratch : Path
        Directory for the root file system.
    plugin : str
        The recipe, such as `muse_bias`.
    old, new : str
        The default; the new one is no longer. It has to stand in the plugin once.
    """
    assert len(new) <= len(old), "a program keeps its length"

    def patched(name: str, data: bytes) -> bytes:
        if name.endswith(f"/{plugin}.so"):
            before = b"\0" + old.encode() + b"\0"
            assert data.count(before) == 1, f"{old!r} has to stand in {plugin} exactly once"
            return data.replace(before, b"\0" + new.encode().ljust(len(old), b"\0") + b"\0")
        if name == BILL:
            rows = json.loads(data)
            next(row for row in rows if row["name"] == RECIPES)["version"] += LOCAL
            return json.dumps(rows).encode()
        return data

    rootfs = scratch / "rootfs.tar"
    _rewrite(image.archive, rootfs, patched)
    made = library.add_rootfs(rootfs)
    rootfs.unlink()
    assert made.config_digest != image.config_digest
    return made


def _rewrite(archive: Path, rootfs: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Write the only layer of an archive as a root file system, each file changed or not."""
    (layer,) = read_index(archive).layers
    with (
        open_layer(archive, layer) as stream,
        tarfile.open(fileobj=stream, mode="r:") as source,
        tarfile.open(rootfs, "w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in source:
            content = source.extractfile(member) if member.isreg() else None
            if content is None:
                target.addfile(member)
                continue
            data = change(member.name, content.read())
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
