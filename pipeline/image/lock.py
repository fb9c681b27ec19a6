"""What an image is pinned by: its reference, its packages, their part of `clio.lock`. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError, UsageError

_DIGEST = re.compile(r"(?:[^@\s]+@)?(?P<digest>sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A Debian package inside an image: a line of its bill of materials."""

    name: str
    """Name of the binary package, such as `cpl-plugin-muse`."""
    version: str
    """Version as Debian spells it, such as `2.8.7+dfsg-3`."""
    architecture: str
    """Such as `amd64`, or `all`."""
    sha256: str
    """64 hex digits: digest of the .deb it was taken from."""


def parse_reference(text: str) -> str:
    """Take the digest out of a reference to an image.

    Parameters
    ----------
    text : str
        `sha256:<64 hex>` or `name@sha256:<64 hex>`.

    Returns
    -------
    str
        `sha256:<64 hex>`.

    Raises
    ------
    UsageError
        The reference holds no digest: a tag alone may mean another image tomorrow.

    Examples
    --------
    >>> parse_reference("muse@sha256:" + "0" * 64) == "sha256:" + "0" * 64
    True
    """
    if match := _DIGEST.fullmatch(text.strip()):
        return match["digest"]
    raise UsageError(
        f"the image reference {text!r} has no digest; a tag can be moved, and results would change unseen",
        hint="write sha256:<64 hex> or name@sha256:<64 hex>; `clio image list` prints the digests there are",
    )


def packages_to_json(packages: Sequence[Package]) -> list[dict[str, str]]:
    """Write packages as a list for JSON, sorted by name and architecture."""
    return [
        {
            "architecture": package.architecture,
            "name": package.name,
            "sha256": package.sha256,
            "version": package.version,
        }
        for package in sorted(packages)
    ]


def packages_from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Package, ...]:
    """Read packages back, sorted by name and architecture.

    Raises
    ------
    ConfigError
        A row lacks one of the four entries, or one of them is not text.
    """
    packages = []
    for row in rows:
        values = [row.get(name) for name in ("name", "version", "architecture", "sha256")]
        if not all(isinstance(value, str) for value in values):
            raise ConfigError(
                f"a package needs name, version, architecture and sha256 as text; found {dict(row)!r}",
                hint="write the lock again with `clio image build --update-lock`",
            )
        packages.append(Package(*map(str, values)))
    return tuple(sorted(packages))


def package_differences(actual: Sequence[Package], wanted: Sequence[Package]) -> tuple[str, ...]:
    """Say in words how two lists of packages differ, one sentence a package, sorted by name.

    Examples
    --------
    >>> old, new = (Package("esorex", v, "amd64", "0" * 64) for v in ("3.13.6-1", "3.13.8-1"))
    >>> package_differences([new], [old])
    ('esorex 3.13.6-1 is wanted, 3.13.8-1 is what there is',)
    """
    here = {(package.name, package.architecture): package for package in actual}
    there = {(package.name, package.architecture): package for package in wanted}
    words = (_difference(here.get(name), there.get(name)) for name in sorted(here.keys() | there.keys()))
    return tuple(word for word in words if word)


def _difference(actual: Package | None, wanted: Package | None) -> str:
    """One package in words; empty if nothing differs."""
    if actual == wanted:
        return ""
    if wanted is None:
        assert actual is not None  # one of the two is always given
        return f"{actual.name} {actual.version} is new"
    if actual is None:
        return f"{wanted.name} {wanted.version} is wanted and missing"
    if actual.version != wanted.version:
        return f"{wanted.name} {wanted.version} is wanted, {actual.version} is what there is"
    return f"{wanted.name} {wanted.version} has other bytes: {actual.sha256[:12]}, not {wanted.sha256[:12]}"


def preferences(packages: Sequence[Package]) -> str:
    """Write apt preferences that hold each package at its version, also where the mirror has a newer one."""
    return "\n".join(
        f"Package: {package.name}\nPin: version {package.version}\nPin-Priority: 1001\n"
        for package in packages
    )
