"""The bill of materials that an image carries inside: the packages it was made from, each with its digest."""

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ConfigError, ImageError
from pipeline.image.lock import Package, packages_from_json
from pipeline.image.unpack import inside

BILL = "usr/share/clio/packages.json"
"""Where the build script writes it; inside the image, so that an archive from elsewhere has it too."""


def bill_of_directory(rootfs: Path) -> tuple[Package, ...]:
    """Read the bill of an unpacked image; an image of somebody else may have none."""
    bill = inside(rootfs, BILL)
    if bill.is_symlink() or not bill.is_file():
        return ()
    return _packages(bill.read_bytes())


def bill_of_tar(rootfs: Path) -> tuple[Package, ...]:
    """Read the bill of a root file system that is still a tar file.

    Raises
    ------
    ImageError
        Not a whole tar file, or there is no bill in it.
    """
    try:
        with tarfile.open(rootfs, "r:*") as tar:
            members = {member.name.removeprefix("./").lstrip("/"): member for member in tar}
            content = tar.extractfile(members[BILL])
            return _packages(content.read()) if content else ()
    except (tarfile.TarError, EOFError) as error:
        raise ImageError(f"{rootfs} is not a whole tar file: {error}") from error
    except KeyError as error:
        raise ImageError(
            f"{rootfs} has no /{BILL}: it was not made by Clio's script",
            hint="save the image with `docker save` and import that archive",
        ) from error


def architecture(packages: Sequence[Package]) -> str:
    """Find the one architecture that packages are of, as Debian and OCI call it: `amd64`, `arm64`.

    Raises
    ------
    ImageError
        They are of none, or of several.
    """
    found = {package.architecture for package in packages} - {"all"}
    if len(found) != 1:
        raise ImageError(f"the packages of an image are of {len(found)} architectures; one is wanted")
    return found.pop()


def _packages(data: bytes) -> tuple[Package, ...]:
    try:
        return packages_from_json(json.loads(data))
    except (ValueError, TypeError, AttributeError, ConfigError) as error:
        raise ImageError(f"/{BILL} inside an image is no list of packages: {error}") from error
