"""Causes as values: what is otherwise, and what made it so; those that a file or an image holds. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.fitsdifference import CardDifference, HduDifference
from pipeline.image import Package


class CauseKind(StrEnum):
    """What is otherwise, and so where a chain of reasons goes on or ends."""

    NEVER = "never run"
    REMADE = "remade"
    """It was known, and has to be made again all the same: a product is gone, or the attempt failed."""
    WAITS = "waits"
    """A step it needs has to run first."""
    PARAMETER = "parameter"
    ENVIRONMENT = "environment"
    RECIPE = "recipe"
    IMAGE = "image"
    PACKAGE = "package"
    """Of the image."""
    NUMERICS = "numerics"
    EXPECTED = "expected products"
    PRODUCT = "product"
    """The same step made another product."""
    UNSTABLE = "not reproduced"
    """The same action gave other data."""
    AROUND = "surroundings"
    """What is no part of a key was otherwise: engine, CPU, clock."""
    CHOICE = "choice"
    """A product of another step was taken."""
    FRAME = "frame"
    """A file from outside is another one."""
    INPUT = "input"
    """There is an input more, or less."""
    PART = "part"
    """The same file plays another part."""
    ORDER = "order"
    HDU = "hdu"
    CARD = "card"


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that is otherwise, and what made it so."""

    kind: CauseKind
    step: str
    """Where it lies: the step that was asked otherwise, or that made the other product."""
    text: str
    name: str = ""
    """Of a parameter, variable, package or card; the tag of an input."""
    old: str | None = None
    new: str | None = None
    causes: tuple["Cause", ...] = ()
    is_told: bool = False
    """Its causes stand at its first mention."""


def leaves(causes: Iterable[Cause]) -> Iterator[Cause]:
    """Yield the causes at which chains end; cards and packages count to what they explain."""
    for cause in causes:
        if cause.kind in (CauseKind.PRODUCT, CauseKind.WAITS):
            yield from leaves(cause.causes)
        else:
            yield cause


def package_causes(step: str, old: Iterable[Package], new: Iterable[Package]) -> Iterator[Cause]:
    """Name the packages in which two images differ; those of the recipes and their library first."""
    gone, come = ({(p.name, p.architecture): p for p in packages} for packages in (old, new))
    for key in sorted(gone.keys() | come.keys(), key=lambda key: (not _reduces(key[0]), key)):
        first, second = gone.get(key), come.get(key)
        if first != second:
            text = f"package {key[0]}: {_version(first, second)} -> {_version(second, first)}"
            versions = (first.version if first else None, second.version if second else None)
            yield Cause(CauseKind.PACKAGE, step, text, key[0], *versions)


def hdu_cause(step: str, part: HduDifference) -> Cause:
    """Say what of an HDU differs."""
    name = f"HDU {part.index} {part.name}".rstrip()
    if part.is_alone:
        return Cause(CauseKind.HDU, step, f"{name} is in one of the two only", name)
    count = f"{len(part.cards)} card{'' if len(part.cards) == 1 else 's'}"
    what = [*([count] if part.cards else []), *(["data"] if part.data else [])]
    verb = "differs" if what == ["1 card"] else "differ"
    cards = tuple(_card(step, card) for card in part.cards)
    return Cause(CauseKind.HDU, step, f"{name}: {' and '.join(what)} {verb}", name, causes=cards)


def _card(step: str, card: CardDifference) -> Cause:
    old, new = (value if value is not None else "not there" for value in (card.old, card.new))
    return Cause(CauseKind.CARD, step, f"{card.keyword}: {old} -> {new}", card.keyword, card.old, card.new)


def _reduces(package: str) -> bool:
    """Tell whether a package is of the recipes or their library; these are named first."""
    return any(word in package for word in ("muse", "esorex", "cpl"))


def _version(package: Package | None, other: Package | None) -> str:
    if package is None:
        return "not there"
    if other is not None and other.version == package.version:
        return f"{package.version} ({package.sha256[:12]})"
    return package.version
