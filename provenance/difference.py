"""What makes one action another: the fields of two keys compared, as values and in words. Pure."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from provenance.documents import Pairs
from provenance.errors import short
from provenance.model import Action, ActionInput

FEW = 3
"""Inputs of a tag that are named one by one; of more only the number is told."""


class Field(StrEnum):
    """A field of an action that has a plain value."""

    RECIPE = "recipe"
    STAGING = "staging of the recipe"
    IMAGE = "image"
    PLATFORM = "platform"
    NUMERICS = "numerics"
    PARAMETER = "parameter"
    ENVIRONMENT = "environment"
    PRODUCTS = "expected products"


@dataclass(frozen=True, slots=True)
class Changed:
    """A field has another value."""

    field: Field
    name: str
    """Of the parameter, the variable or the expected tag; empty for other fields."""
    old: str | None
    """None if it was not set."""
    new: str | None


@dataclass(frozen=True, slots=True)
class Replaced:
    """An input is another one, or stands on one side only."""

    tag: str
    old: ActionInput | None
    new: ActionInput | None


@dataclass(frozen=True, slots=True)
class Recast:
    """The same bytes play another part."""

    old: ActionInput
    new: ActionInput


@dataclass(frozen=True, slots=True)
class Reordered:
    """The same inputs stand in another order."""

    tag: str
    """Empty for inputs of several tags."""


Difference = Changed | Replaced | Recast | Reordered


def differences(old: Action, new: Action) -> tuple[Difference, ...]:
    """List every field in which two actions differ; nothing exactly if their keys are the same.

    Parameters
    ----------
    old, new : Action
        The earlier and the later.
    """
    return (*_fields(old, new), *_inputs(old.inputs, new.inputs))


def in_words(found: Iterable[Difference], at_default: Container[str] = ()) -> tuple[str, ...]:
    """Say differences in words, such as `parameter muse.muse_flat.order: 5 -> 7`.

    Parameters
    ----------
    found : iterable of Difference
        As `differences` lists them.
    at_default : container of str
        Parameters that are at their default on both sides: if one differs, the default does.

    Notes
    -----
    One sentence a field; inputs of a tag in one sentence, named if they are few.
    """
    words: list[str] = []
    replaced: dict[str, list[Replaced]] = {}
    for difference in found:
        match difference:
            case Replaced(tag):
                replaced.setdefault(tag, []).append(difference)
            case Changed(field, name, before, after):
                shown = f"{field.value} {name}".rstrip()
                why = ", the default of the other image" if name in at_default else ""
                words.append(f"{shown}: {_value(field, before)} -> {_value(field, after)}{why}")
            case Recast(before, after):
                words.append(f"input {after.name}: {before.tag} -> {after.tag}, another part")
            case Reordered(tag):
                words.append(f"input {tag}: the same frames in another order" if tag else _MIXED)
    return (*words, *(word for tag, items in sorted(replaced.items()) for word in _replaced(tag, items)))


_MIXED = "inputs: the same files in another order"


def _fields(old: Action, new: Action) -> Iterator[Changed]:
    plain = (
        (Field.RECIPE, old.recipe, new.recipe),
        (Field.STAGING, str(old.spec), str(new.spec)),
        (Field.IMAGE, old.image, new.image),
        (Field.PLATFORM, old.platform, new.platform),
        (Field.NUMERICS, old.numerics, new.numerics),
    )
    yield from (Changed(field, "", before, after) for field, before, after in plain if before != after)
    yield from _pairs(Field.PARAMETER, old.parameters, new.parameters)
    yield from _pairs(Field.ENVIRONMENT, old.environment, new.environment)
    if old.outputs != new.outputs:
        before, after = (", ".join(f"{o.least} {o.tag}" for o in a.outputs) for a in (old, new))
        yield Changed(Field.PRODUCTS, "", before, after)


def _pairs(field: Field, old: Pairs, new: Pairs) -> Iterator[Changed]:
    if old == new:
        return
    before, after = dict(old), dict(new)
    for name in sorted({name for name, _ in before.items() ^ after.items()}):
        yield Changed(field, name, before.get(name), after.get(name))


def _inputs(old: tuple[ActionInput, ...], new: tuple[ActionInput, ...]) -> Iterator[Difference]:
    if old == new:
        return
    gone, come = _without(old, new), _without(new, old)
    if not gone and not come:
        tags = [t for t in sorted({i.tag for i in old}) if _of(old, t) != _of(new, t)]
        yield from (Reordered(tag) for tag in tags or [""])
        return
    for before in tuple(gone):
        after = next(
            (item for item in come if (item.content, item.name) == (before.content, before.name)), None
        )
        if after is not None:
            gone.remove(before)
            come.remove(after)
            yield Recast(before, after)
    for tag in sorted({item.tag for item in (*gone, *come)}):
        yield from _matched(tag, _of(gone, tag), _of(come, tag))


def _matched(tag: str, gone: list[ActionInput], come: list[ActionInput]) -> Iterator[Replaced]:
    """Put beside each input the one that stands for it: of the same name, else in the same place."""
    for before in tuple(gone):
        after = next((item for item in come if item.name == before.name), None)
        if after is not None:
            gone.remove(before)
            come.remove(after)
            yield Replaced(tag, before, after)
    if len(gone) == len(come):
        yield from (Replaced(tag, before, after) for before, after in zip(gone, come, strict=True))
        return
    yield from (Replaced(tag, before, None) for before in gone)
    yield from (Replaced(tag, None, after) for after in come)


def _without(items: tuple[ActionInput, ...], others: tuple[ActionInput, ...]) -> list[ActionInput]:
    """Leave out what stands on the other side too, each as often as it stands there."""
    there = Counter(others)
    left = []
    for item in items:
        if there[item]:
            there[item] -= 1
        else:
            left.append(item)
    return left


def _of(items: Iterable[ActionInput], tag: str) -> list[ActionInput]:
    return [item for item in items if item.tag == tag]


def _replaced(tag: str, items: list[Replaced]) -> Iterator[str]:
    pairs = [(item.old, item.new) for item in items if item.old is not None and item.new is not None]
    if len(pairs) > FEW:
        yield f"input {tag}: {len(pairs)} are others"
    else:
        yield from (f"input {tag}: {_exchange(before, after)}" for before, after in pairs)
    for word, side in (
        ("without", [item.old for item in items if item.old is not None and item.new is None]),
        ("with", [item.new for item in items if item.new is not None and item.old is None]),
    ):
        if side:
            yield f"input {tag}: {word} {_listed(side)}"


def _exchange(old: ActionInput, new: ActionInput) -> str:
    if old.name == new.name:
        return f"{new.name} holds other data ({short(old.content)} -> {short(new.content)})"
    return f"{old.name} -> {new.name}"


def _listed(items: list[ActionInput]) -> str:
    if len(items) > FEW:
        return f"{len(items)} files, {items[0].name} to {items[-1].name}"
    return ", ".join(item.name for item in items)


def _value(field: Field, value: str | None) -> str:
    if value is None:
        return "not set"
    return short(value) if field is Field.IMAGE else value
