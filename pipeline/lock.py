"""`clio.lock`: what a workspace was resolved to, for git and for the archive of the paper.

The values it holds and the file they lie in; `pipeline.locked` makes them of a reduction and holds one
against them. The file is TOML with a line an item, sorted, and nothing in it is of a machine: no path, no
file name, no host. The lines are written here, as a library takes minutes for those of twenty thousand steps.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.config import Settings
from pipeline.engine import RecipeImage
from pipeline.errors import ConfigError, FileRefused, ImageError
from pipeline.image import ImageLibrary, lock_document, parse_reference
from pipeline.replacing import replace_text

VERSION = 2
"""Of the form written; version 1 pinned the image alone, and is still read."""

_HEAD = "# What this workspace was resolved to. Written by clio; keep it in git, do not edit it by hand."
_REDUCTION = "[reduction]"
"""Begins what a command does not read that only asks for the image."""
_BACK = "bring it back from git, or remove it"


@dataclass(frozen=True, slots=True, order=True)
class LockedFrame:
    """A raw frame or a static calibration."""

    tag: str
    name: str
    """Canonical name: ARCFILE of a raw frame, else made from the content."""
    data_digest: str
    """By which it is known, packed or not."""
    digest: str
    """Of its bytes."""


@dataclass(frozen=True, slots=True, order=True)
class LockedProduct:
    """A product of a step."""

    tag: str
    name: str
    """As the recipe calls it."""
    data_digest: str
    digest: str
    """Of its bytes, which follow from the clock of the step."""


@dataclass(frozen=True, slots=True, order=True)
class LockedStep:
    """A step with what came of it."""

    step: str
    """`stage:unit`."""
    key: str
    """Of its action."""
    clock: str
    """Where its clock stood; empty if it ran."""
    parameters: tuple[tuple[str, str], ...]
    """Option and value of those that are not at their default: what a person can compare."""
    products: tuple[LockedProduct, ...]
    """By tag and name."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of a lock file."""

    image: dict[str, Any]
    """Digests, platform and packages, as `pipeline.image.lock_document` gives them."""
    numerics: str = ""
    """`pinned` or `native`; empty if nothing but the image is pinned."""
    frames: tuple[LockedFrame, ...] = ()
    """Those that the steps read, sorted."""
    steps: tuple[LockedStep, ...] = ()
    """Sorted."""

    @property
    def config_digest(self) -> str:
        """Identity of the image."""
        return str(self.image["config_digest"])


def read_lock(path: Path, *, image_only: bool = False) -> Lock | None:
    """Read a lock file; None if there is none.

    Parameters
    ----------
    path : Path
        The file.
    image_only : bool
        Leave out frames and steps, which are long; then nothing is said of damage there.

    Raises
    ------
    ConfigError
        It is not a lock file of a version this program knows, or not a whole one.
    """
    try:
        text = path.read_text(encoding="utf-8")
        head, found, _ = text.partition(f"\n{_REDUCTION}\n") if image_only else (text, "", "")
        document = tomllib.loads(head)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", _BACK) from error
    version = document.get("version")
    if version not in (1, VERSION):
        hint = "use a newer clio" if isinstance(version, int) and version > VERSION else _BACK
        raise ConfigError(f"{path} is no lock of version 1 or {VERSION}", hint)
    try:
        return _lock(document, is_whole=version == VERSION and not found)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is no whole lock: {error!r}", _BACK) from error


def write_lock(path: Path, lock: Lock) -> bool:
    """Write a lock file in one move, unless it says so already.

    Returns
    -------
    bool
        Whether it was written.

    Raises
    ------
    FileRefused
        The system does not let it be written; what was there stays.
    """
    text = "".join(f"{line}\n" for line in _lines(lock))
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    except OSError as error:
        raise FileRefused(path, error) from error
    replace_text(path, text)
    return True


def pin_image(path: Path, image: RecipeImage) -> Lock:
    """Pin an image; what was pinned of a reduction stays if the image is the one it was made with.

    Raises
    ------
    ConfigError, FileRefused
        What is there is no lock, or cannot be replaced.
    """
    lock = read_lock(path)
    if lock is None or lock.config_digest != image.config_digest:
        lock = Lock(lock_document(image))
        write_lock(path, lock)
    return lock


def resolve_image(settings: Settings, library: ImageLibrary, *, pin: bool = True) -> RecipeImage:
    """Find the image a workspace is reduced with, and pin it if nothing does yet.

    Parameters
    ----------
    settings, library
        What a person decided, and the images of this machine.
    pin : bool
        Whether the lock may be written.

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
    lock = read_lock(settings.lock, image_only=True)
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
    if pin and (lock is None or lock.config_digest != image.config_digest):
        pin_image(settings.lock, image)
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


def _lines(lock: Lock) -> Iterator[str]:
    """Write a lock; equal ones give equal lines, in whatever order their items stand."""
    yield _HEAD
    yield f"version = {VERSION}"
    yield ""
    yield "[image]"
    for name in ("config_digest", "platform", "archive_digest"):
        yield f"{name} = {_value(lock.image[name])}"
    yield from _list("packages", lock.image["packages"])
    if not lock.steps:
        return
    yield ""
    yield _REDUCTION
    yield f"numerics = {_value(lock.numerics)}"
    yield from _list("frames", map(asdict, sorted(lock.frames)))
    steps = sorted(lock.steps)
    yield from _list("steps", map(_step_row, steps))
    made = ((step.step, product) for step in steps for product in sorted(step.products))
    yield from _list("products", ({"step": step, **asdict(product)} for step, product in made))


def _step_row(step: LockedStep) -> dict[str, object]:
    clock = {"clock": step.clock} if step.clock else {}
    return {"step": step.step, "key": step.key, **clock, "parameters": dict(sorted(step.parameters))}


def _list(name: str, rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    yield f"{name} = ["
    for row in rows:
        yield f"    {_value(row)},"
    yield "]"


def _value(value: object) -> str:
    """Write text or a table of such in one line of TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(inner)}" for name, inner in value.items()) + "}"
    # TOML's escapes are those of JSON, but for one character that it wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def _lock(document: Mapping[str, Any], *, is_whole: bool) -> Lock:
    """Take a lock from its document; of damage it is told by the error of what it stumbles over."""
    image = document["image"]
    if not isinstance(image["config_digest"], str):
        raise TypeError("image.config_digest")
    if not is_whole or "reduction" not in document:
        return Lock(image)
    reduction = document["reduction"]
    products: dict[str, list[LockedProduct]] = {row["step"]: [] for row in reduction["steps"]}
    for row in reduction["products"]:
        products[row["step"]].append(LockedProduct(*(_text(row, name) for name in _PRODUCT)))
    steps = (_locked_step(row, tuple(products[row["step"]])) for row in reduction["steps"])
    frames = (LockedFrame(*(_text(row, name) for name in _FRAME)) for row in reduction["frames"])
    return Lock(image, _text(reduction, "numerics"), tuple(frames), tuple(steps))


_FRAME = tuple(field.name for field in fields(LockedFrame))
_PRODUCT = tuple(field.name for field in fields(LockedProduct))


def _locked_step(row: Mapping[str, Any], products: tuple[LockedProduct, ...]) -> LockedStep:
    parameters = tuple((option, _text(row["parameters"], option)) for option in row["parameters"])
    clock = _text(row, "clock") if "clock" in row else ""
    if clock:
        datetime.fromisoformat(clock)
    return LockedStep(_text(row, "step"), _text(row, "key"), clock, parameters, products)


def _text(row: Mapping[str, Any], name: str) -> str:
    found = row[name]
    if not isinstance(found, str):
        raise TypeError(f"{name} = {found!r}")
    return found
