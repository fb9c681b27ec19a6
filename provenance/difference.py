"""What makes one action another: the fields of two keys compared, in words. Pure."""

from collections.abc import Iterator

from provenance.errors import short
from provenance.model import Action, ActionInput


def differences(old: Action, new: Action) -> tuple[str, ...]:
    """Name every field in which two actions differ.

    Parameters
    ----------
    old, new : Action
        The earlier and the later.

    Returns
    -------
    tuple of str
        Such as `parameter muse.muse_flat.order: 5 -> 7`; empty if their keys are the same.
    """
    return tuple(_differences(old, new))


def _differences(old: Action, new: Action) -> Iterator[str]:
    if (old.recipe, old.spec) != (new.recipe, new.spec):
        yield f"recipe: {old.recipe} (staging {old.spec}) -> {new.recipe} (staging {new.spec})"
    if (old.image, old.platform) != (new.image, new.platform):
        yield f"image: {short(old.image)} {old.platform} -> {short(new.image)} {new.platform}"
    if old.numerics != new.numerics:
        yield f"numerics: {old.numerics} -> {new.numerics}"
    yield from _pairs("parameter", dict(old.parameters), dict(new.parameters))
    yield from _pairs("environment", dict(old.environment), dict(new.environment))
    yield from _inputs(old.inputs, new.inputs)
    if old.outputs != new.outputs:
        before = ", ".join(f"{o.least} {o.tag}" for o in old.outputs)
        after = ", ".join(f"{o.least} {o.tag}" for o in new.outputs)
        yield f"expected products: {before} -> {after}"


def _pairs(word: str, old: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{word} {name}: {old.get(name, 'not set')} -> {new.get(name, 'not set')}"


def _inputs(old: tuple[ActionInput, ...], new: tuple[ActionInput, ...]) -> Iterator[str]:
    for tag in sorted({item.tag for item in (*old, *new)}):
        before = [item for item in old if item.tag == tag]
        after = [item for item in new if item.tag == tag]
        if before == after:
            continue
        gone = [item for item in before if item not in after]
        come = [item for item in after if item not in before]
        if not gone and not come:
            yield f"input {tag}: the same frames in another order"
        elif len(gone) == len(come) == 1:
            yield f"input {tag}: {_name(gone[0])} -> {_name(come[0])}"
        else:
            if gone:
                yield f"input {tag}: without {', '.join(map(_name, gone))}"
            if come:
                yield f"input {tag}: with {', '.join(map(_name, come))}"


def _name(item: ActionInput) -> str:
    return f"{item.name} ({item.content.partition(':')[2][:12]})"
