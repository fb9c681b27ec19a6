"""`clio.lock`: what a workspace was resolved to, for git and for the archive of the paper."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import Settings
from pipeline.engine import RecipeImage
from pipeline.errors import ConfigError, ImageError
from pipeline.image import ImageLibrary, lock_document, parse_reference
from pipeline.replacing import replace_text

VERSION = 1

_HEAD = "What this workspace was resolved to. Written by clio; keep it in git, do not edit it by hand."


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of a lock file."""

    image: dict[str, Any]
    """Digests, platform and packages, as `pipeline.image.lock_document` gives them."""

    @property
    def config_digest(self) -> str:
        """Identity of the image."""
        return str(self.image["config_digest"])


def read_lock(path: Path) -> Lock | None:
    """Read a lock file; None if there is none.

    Raises
    ------
    ConfigError
        It is not a lock file of a version this program knows.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", "bring it back from git, or remove it") from error
    if document.get("version") != VERSION or "config_digest" not in document.get("image", {}):
        raise ConfigError(f"{path} is no lock of version {VERSION}", "use a newer clio, or remove it")
    return Lock(document["image"])


def write_lock(path: Path, image: RecipeImage) -> Lock:
    """Pin an image; the file is replaced in one move."""
    import tomlkit

    pinned = lock_document(image)
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEAD))
    document["version"] = VERSION
    table = tomlkit.table()
    for name in ("config_digest", "platform", "archive_digest"):
        table[name] = pinned[name]
    packages = tomlkit.array()
    for package in pinned["packages"]:
        inline = tomlkit.inline_table()
        inline.update(package)
        packages.append(inline)
    packages.multiline(True)
    table["packages"] = packages
    document["image"] = table
    replace_text(path, tomlkit.dumps(document))
    return Lock(pinned)


def resolve_image(settings: Settings, library: ImageLibrary) -> RecipeImage:
    """Find the image a workspace is reduced with, and pin it if nothing does yet.

    Notes
    -----
    What `clio.toml` names wins, then `clio.lock`; without either the only image of this machine is taken.

    Raises
    ------
    ImageError
        The image is not on this machine, or there are several and nothing says which.
    UsageError
        The reference is a tag.
    """
    lock = read_lock(settings.lock)
    table = settings.table.image
    if table.archive:
        image = library.add_archive(settings.root / table.archive)
        if table.reference and parse_reference(table.reference) != image.config_digest:
            raise ImageError(f"{table.archive} holds {image.config_digest}, not {table.reference}")
    elif table.reference:
        image = library.find(table.reference)
    elif lock is not None:
        return library.find(lock.config_digest)
    else:
        image = _only(library)
    if lock is None or lock.config_digest != image.config_digest:
        write_lock(settings.lock, image)
    return image


def _only(library: ImageLibrary) -> RecipeImage:
    images = library.list()
    if not images:
        raise ImageError("there is no recipe image on this machine", "build one with: clio image build")
    if len(images) > 1:
        names = ", ".join(image.config_digest for image in images)
        raise ImageError(
            f"there are several recipe images on this machine: {names}",
            "name one in clio.toml: [image] reference",
        )
    return library.find(images[0].config_digest)
