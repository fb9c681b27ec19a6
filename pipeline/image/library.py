"""The images on this machine, each in a directory named by its digest, with archive and root file system.

    <root>/images/<64 hex>/archive.tar      the image archive
                           rootfs/          the same, unpacked
                           rootfs.listing   digest of names, sizes and times of what was unpacked
                           image.json       digests, platform
                           packages.json    bill of materials
                           recipes.json     recipes and versions   } written when first asked for
                           parameters/      one file a recipe      }
                           apptainer/       the same as a SIF, when that engine first needed it

All but the archive can be made again from it. An image appears whole, by a rename, or not at all.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.engine import Engine, RecipeImage
from pipeline.errors import ImageError
from pipeline.image.archive import is_archive, read_index, write_archive
from pipeline.image.bill import architecture, bill_of_directory, bill_of_tar
from pipeline.image.build import build_rootfs
from pipeline.image.lock import (
    Package,
    package_differences,
    packages_from_json,
    packages_to_json,
    parse_reference,
)
from pipeline.image.recipes import (
    RecipeParameter,
    parameters_from_json,
    parameters_to_json,
    survey,
)
from pipeline.image.unpack import changed_rootfs, listing_digest, listing_of, unpack
from pipeline.places import cache_root
from pipeline.replacing import replace_text


def lock_document(image: RecipeImage) -> dict[str, Any]:
    """Write down what an image is, for `clio.lock`: digests, platform and packages.

    Returns
    -------
    dict
        `config_digest`, `platform`, `archive_digest`, and `packages`: a sorted list of name, version,
        architecture and sha256.
    """
    facts = _facts(image.archive.parent)
    return {
        "archive_digest": facts["archive_digest"],
        "config_digest": image.config_digest,
        "packages": json.loads(image.archive.with_name("packages.json").read_text(encoding="utf-8")),
        "platform": image.platform,
    }


def compare_packages(image: RecipeImage, lock: Mapping[str, Any]) -> tuple[str, ...]:
    """Say in words how the packages of an image differ from those a lock names; empty if they do not."""
    return package_differences(_packages_of(image), packages_from_json(lock["packages"]))


class ImageLibrary:
    """The images on this machine.

    Parameters
    ----------
    root : Path, optional
        Where they lie; `cache_root()` without.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else cache_root()
        self._images = self.root / "images"

    def list(self) -> tuple[RecipeImage, ...]:
        """All images here, sorted by digest."""
        if not self._images.is_dir():
            return ()
        homes = sorted(path for path in self._images.iterdir() if len(path.name) == 64)
        return tuple(self._image(home) for home in homes)

    def find(self, config_digest: str) -> RecipeImage:
        """Find an image by its digest; a root file system that was removed is unpacked again.

        Parameters
        ----------
        config_digest : str
            `sha256:<64 hex>`, or a reference that ends in it.

        Raises
        ------
        UsageError
            The reference holds no digest.
        ImageError
            The image is not here.
        """
        from pipeline.own.environment import own_image, recipes_of

        digest = parse_reference(config_digest)
        for ours in recipes_of(digest):
            return own_image(ours)
        home = self._images / digest.removeprefix("sha256:")
        if not home.is_dir():
            others = ", ".join(image.config_digest[7:19] for image in self.list()) or "none"
            raise ImageError(
                f"there is no image {digest} in {self._images} (there: {others})",
                hint="`clio image build` makes it from its packages, `clio image import ARCHIVE` brings one",
            )
        image = self._image(home)
        if not image.rootfs.is_dir():
            self._unpack_again(image)
        return image

    def add(self, path: Path) -> RecipeImage:
        """Take in an image archive or a root file system, whichever a tar file is."""
        return self.add_archive(path) if is_archive(path) else self.add_rootfs(path)

    def add_archive(self, path: Path) -> RecipeImage:
        """Take in an image archive (of `docker save`, `podman save`, `clio image build`, or an OCI layout).

        The digest is computed from the configuration in it, every layer is checked against that, and nothing
        in it can reach outside the image's own directory.

        Raises
        ------
        ImageError
            Not an archive of one image, or damaged.
        """
        index = read_index(path)
        home = self._images / index.config_digest.removeprefix("sha256:")
        if home.is_dir():
            return self.find(index.config_digest)
        with self._new_home() as new:
            archive_digest = _copy(path, new / "archive.tar")
            unpack(new / "archive.tar", index, new / "rootfs")
            packages = bill_of_directory(new / "rootfs")
            replace_text(new / "packages.json", _dump(packages_to_json(packages)))
            replace_text(new / "rootfs.listing", listing_digest(new / "rootfs"))
            facts = {
                "archive_digest": archive_digest,
                "config_digest": index.config_digest,
                "layers": list(index.diff_ids),
                "platform": index.platform,
            }
            replace_text(new / "image.json", _dump(facts))
            with suppress(OSError):
                new.rename(home)
            if not home.is_dir():  # nobody else was faster, whose image is the same
                raise ImageError(f"cannot make {home}", "free its disk, or allow writing there")
        return self.find(index.config_digest)

    def add_rootfs(self, tar: Path) -> RecipeImage:
        """Take in a root file system as a tar file: what the build script, or `docker export`, writes.

        Raises
        ------
        ImageError
            Not a tar file, or without a bill of materials at `/usr/share/clio/packages.json`.
        """
        self._images.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._images, prefix=".new-") as scratch:
            archive = Path(scratch) / "archive.tar"
            write_archive(tar, archive, architecture=architecture(bill_of_tar(tar)))
            return self.add_archive(archive)

    def build(
        self,
        *,
        expect: Mapping[str, Any] | None = None,
        update_lock: bool = False,
        mirror: str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> RecipeImage:
        """Build the recipe image from Debian's packages; takes seconds, and a mirror.

        Parameters
        ----------
        expect : mapping, optional
            What `lock_document` wrote: the versions to build with.
        update_lock : bool
            Take the mirror's versions instead, and do not compare.
        mirror : str, optional
            A mirror or the path of a sources.list.
        progress : callable, optional
            Called with each line mmdebstrap prints.

        Raises
        ------
        ImageError
            mmdebstrap is missing or failed, or the result is not the image expected; packages that differ
            are named.
        """
        wanted = () if expect is None or update_lock else packages_from_json(expect["packages"])
        self._images.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._images, prefix=".new-") as scratch:
            rootfs = Path(scratch) / "rootfs.tar"
            build_rootfs(rootfs, pins=wanted, mirror=mirror, progress=progress)
            image = self.add_rootfs(rootfs)
        if expect is not None and not update_lock:
            _require_expected(image, expect)
        return image

    def packages(self, image: RecipeImage) -> tuple[Package, ...]:
        """Bill of materials of an image, sorted by name; empty for an image that brings none."""
        from pipeline.own.environment import packages_here

        return packages_here(image.config_digest) or _packages_of(image)

    def recipes(self, image: RecipeImage, engine: Engine) -> tuple[tuple[str, str], ...]:
        """Recipes of an image as (name, version), sorted by name."""
        from pipeline.own.environment import recipes_of

        ours = recipes_of(image.config_digest)
        if ours:
            return tuple((name, "") for name in ours)
        listed = image.archive.with_name("recipes.json")
        if not listed.is_file():
            self._survey(image, engine)
        return tuple((row["name"], row["version"]) for row in json.loads(_read(listed)))

    def parameters(self, image: RecipeImage, engine: Engine, recipe: str) -> tuple[RecipeParameter, ...]:
        """All parameters of a recipe in an image; asked of the image once, then read from disk.

        Raises
        ------
        ImageError
            The image has no such recipe.
        EngineUnavailable
            The image has to be asked, and the engine cannot.
        """
        from pipeline.own.table import OWN

        if recipe in OWN:
            return OWN[recipe].parameters
        listed = image.archive.with_name("parameters") / f"{recipe}.json"
        if not listed.is_file():
            known = [name for name, _ in self.recipes(image, engine)]
            if recipe not in known:
                raise ImageError(
                    f"the image {image.config_digest[:19]} has no recipe {recipe!r}",
                    hint=f"it has {', '.join(known)}",
                )
        return parameters_from_json(_read(listed))

    def declared(self, config_digest: str, recipe: str) -> tuple[RecipeParameter, ...]:
        """Give what is known here of a recipe's parameters without asking the image; empty if nothing is."""
        from pipeline.own.table import OWN

        if recipe in OWN:
            return OWN[recipe].parameters
        listed = self._images / config_digest.removeprefix("sha256:") / "parameters" / f"{recipe}.json"
        return parameters_from_json(_read(listed)) if listed.is_file() else ()

    def verify(self, image: RecipeImage) -> tuple[str, ...]:
        """Read an image whole and say what is damaged; empty if nothing is."""
        problems = []
        facts = _facts(image.archive.parent)
        if not image.archive.is_file() or _digest(image.archive) != facts["archive_digest"]:
            problems.append(
                f"{image.archive} is not the archive that was stored; remove {image.archive.parent}"
            )
        if changed_rootfs(image):
            problems.append(
                f"{image.rootfs} was changed; remove it, and it is unpacked again from the archive"
            )
        return tuple(problems)

    def _image(self, home: Path) -> RecipeImage:
        facts = _facts(home)
        return RecipeImage(
            config_digest=facts["config_digest"],
            platform=facts["platform"],
            archive=home / "archive.tar",
            rootfs=home / "rootfs",
        )

    @contextmanager
    def _new_home(self) -> Iterator[Path]:
        """Make a directory beside the images, removed in the end unless it was renamed."""
        self._images.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=self._images, prefix=".new-"))
        new.chmod(0o755)
        try:
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _unpack_again(self, image: RecipeImage) -> None:
        with self._new_home() as new:
            unpack(image.archive, read_index(image.archive), new / "rootfs")
            # The listing first: a kill between the two leaves no root file system, and this is done again.
            replace_text(listing_of(image), listing_digest(new / "rootfs"))
            (new / "rootfs").rename(image.rootfs)

    def _survey(self, image: RecipeImage, engine: Engine) -> None:
        found = survey(image, engine, image.archive.parent)
        parameters = image.archive.with_name("parameters")
        parameters.mkdir(exist_ok=True)
        for recipe in found:
            replace_text(parameters / f"{recipe.name}.json", parameters_to_json(recipe.parameters))
        # Last, because its presence says that the others are there.
        rows = [{"name": recipe.name, "version": recipe.version} for recipe in found]
        replace_text(image.archive.with_name("recipes.json"), _dump(rows))


def _require_expected(image: RecipeImage, expect: Mapping[str, Any]) -> None:
    """Refuse an image that is not the one a lock names, and say what about it differs."""
    if differences := compare_packages(image, expect):
        raise ImageError(
            "the mirror no longer gives the packages in the lock: " + "; ".join(differences),
            hint="import the archive of the image that the lock names (`clio image import ARCHIVE`), or take "
            "what there is with `clio image build --update-lock`; results may then differ",
        )
    if image.config_digest != expect["config_digest"]:
        raise ImageError(
            f"the image built is {image.config_digest}, the lock names {expect['config_digest']}, and their "
            "packages are the same: the way images are built has changed",
            hint="import the archive of the image that the lock names, or build with --update-lock",
        )


def _packages_of(image: RecipeImage) -> tuple[Package, ...]:
    return packages_from_json(json.loads(_read(image.archive.with_name("packages.json"))))


def _facts(home: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(_read(home / "image.json"))
    except ValueError as error:
        raise ImageError(f"{home / 'image.json'} is damaged: {error}", hint=f"remove {home}") from error
    return facts


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ImageError(
            f"{path} is missing, so the image in {path.parent} is not whole",
            hint=f"remove {path.parent}, then build or import the image again",
        ) from error


def _copy(source: Path, destination: Path) -> str:
    """Copy a file and give the digest of what was written."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, destination.open("xb") as writing:
        while data := reading.read(1 << 20):
            digest.update(data)
            writing.write(data)
    return f"sha256:{digest.hexdigest()}"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _dump(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"
