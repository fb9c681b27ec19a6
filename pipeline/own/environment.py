"""What stands for the image of a recipe of our own: the exact versions of Python and of what computes.

The digest says so in one word; the bill, kept as a statement, tells what is behind the word.
"""

import functools
import hashlib
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from pipeline.engine import RecipeImage
from pipeline.errors import LibraryMissing
from pipeline.image.lock import Package
from pipeline.own.table import EXTRA, OWN

if TYPE_CHECKING:
    from provenance.store import Store

KIND = "environment"
"""Of the statements that say what is behind a digest."""

_MACHINES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_NO_FILE = Path("/dev/null")


@functools.cache
def bill(recipe: str) -> tuple[Package, ...]:
    """List what a recipe of our own computes with, Python first; found out once.

    Raises
    ------
    LibraryMissing
        A library is not installed.
    """
    return _installed(recipe)


def is_here_now(config_digest: str) -> bool:
    """Tell whether the environment of a digest is here; looked up each time, as `recipes_of` is not."""
    for recipe in OWN:
        with suppress(LibraryMissing):
            if digest_of(_installed(recipe)) == config_digest:
                return True
    return False


def _installed(recipe: str) -> tuple[Package, ...]:
    found = [Package("python", f"{platform.python_implementation()} {platform.python_version()}", "", "")]
    lacking = []
    for name in OWN[recipe].libraries:
        try:
            found.append(Package(name, version(name), "", ""))
        except PackageNotFoundError:
            lacking.append(name)
    if lacking:
        verb = "is" if len(lacking) == 1 else "are"
        raise LibraryMissing(
            f"{recipe} computes with {', '.join(lacking)}, which {verb} not installed",
            f"install what it needs: pip install 'clio-muse[{EXTRA}]'",
        )
    return tuple(found)


@functools.cache
def own_image(recipe: str) -> RecipeImage:
    """Give what stands for the image of a recipe of our own, as things are here.

    Raises
    ------
    LibraryMissing
        A library is not installed.
    """
    here = _MACHINES.get(platform.machine(), f"linux/{platform.machine()}")
    return RecipeImage(digest_of(bill(recipe)), here, _NO_FILE, _NO_FILE)


def digest_of(packages: Iterable[Package]) -> str:
    """Give the digest that stands for versions: `sha256:` of a canonical structure."""
    versions = {package.name: package.version for package in packages}
    body: dict[str, Any] = {"type": "clio-environment", "version": 1, "packages": versions}
    return f"sha256:{hashlib.sha256(rfc8785.dumps(body)).hexdigest()}"


def recipes_of(config_digest: str) -> tuple[str, ...]:
    """List the recipes that the environment of a digest is of, if it is that of this machine; else none."""
    here = (recipe for recipe in OWN if _is_installed(recipe))
    return tuple(recipe for recipe in here if own_image(recipe).config_digest == config_digest)


def packages_here(config_digest: str) -> tuple[Package, ...] | None:
    """List what is behind a digest if it is an environment of this machine."""
    return next((bill(recipe) for recipe in recipes_of(config_digest)), None)


def as_recorded(recipe: str, config_digest: str, store: "Store") -> RecipeImage:
    """Give what stands for the image of a recipe of our own, if it is what was recorded.

    Raises
    ------
    LibraryMissing
        Python or a library is another one here, or is missing.
    """
    image = own_image(recipe)
    if image.config_digest == config_digest:
        return image
    then = {p.name: p.version for p in remembered(store, config_digest) or ()}
    other = [f"{p.name} {then[p.name]}" for p in bill(recipe) if then.get(p.name, p.version) != p.version]
    what = f"{', '.join(other)}, and here are others" if other else "other versions than are here"
    raise LibraryMissing(
        f"{recipe} ran with {what}: the same bytes need the same versions",
        f"make an environment with them: pip install {' '.join(o.replace(' ', '==') for o in other)}"
        if other
        else "",
    )


def remember(store: "Store", recipe: str) -> None:
    """State in a store what is behind the digest of an environment, once."""
    packages = bill(recipe)
    digest = digest_of(packages)
    if remembered(store, digest) is None:
        versions = {package.name: package.version for package in packages}
        store.statement(KIND, {"digest": digest, "packages": versions})


def remembered(store: "Store", config_digest: str) -> tuple[Package, ...] | None:
    """List what a store knows to be behind the digest of an environment; None if it knows nothing."""
    for statement in store.statements(KIND):
        body = statement.body
        if isinstance(body, dict) and body.get("digest") == config_digest:
            return tuple(Package(name, str(is_of), "", "") for name, is_of in body["packages"].items())
    return None


def _is_installed(recipe: str) -> bool:
    try:
        bill(recipe)
    except LibraryMissing:
        return False
    return True
