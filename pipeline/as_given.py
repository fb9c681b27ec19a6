"""Sets of frames as they were given elsewhere: their order, and the names files had there. Pure.

A product's header holds base names and the order of what it was made from. Clio orders by content and names
by it, so what somebody made without it comes out with the same data and other cards, unless `[[sof]]` of
`clio.toml` says what the frames were called, in which order they stood, and which there were.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pipeline.config import Settings
from pipeline.model import SofLine, Step
from pipeline.recipes import RECIPES
from pipeline.tags import RAW_TAGS

_REDUCED = {rule.tag for rule in RAW_TAGS} - {"ILLUM"} | {"IMAGE_FOV"}
"""Tags of what recipes work on, beside pixel tables: without it there is nothing to do."""


def left_out(recipe: str, tags: Iterable[str], lines: Sequence[SofLine]) -> frozenset[str]:
    """Name the tags of inputs that a call was not given elsewhere, and can do without.

    Parameters
    ----------
    recipe : str
        What is called.
    tags : iterable of str
        Of the inputs that Clio would give.
    lines : sequence of SofLine
        What the settings say; nothing is left out if they say nothing.
    """
    if not lines:
        return frozenset()
    needed = {rule.tag for rule in RECIPES[recipe].inputs if rule.least}
    optional = (tag for tag in tags if tag not in needed and tag not in _REDUCED and "PIXTABLE" not in tag)
    return frozenset(optional) - {line.tag for line in lines}


def remarks_on_sofs(settings: Settings, steps: Iterable[Step]) -> list[str]:
    """Say what of the sets of frames in the settings has no effect, or not all of it.

    Parameters
    ----------
    settings : Settings
        What a person decided, or `clio audit` wrote.
    steps : iterable of Step
        All of the plan.

    Returns
    -------
    list of str
        Tables that are of no step, and tags of which a step has another number of frames.
    """
    steps = [step for step in steps if step.sof]
    used = {step.sof for step in steps}
    idle = [str(n) for n, table in enumerate(settings.table.sof, 1) if table.lines not in used]
    said = [f"[[sof]] number {_few(idle)} of clio.toml is of no step"] if idle else []
    unfit: dict[str, list[str]] = {}
    for step in steps:
        for what in _unfit([item.tag for item in step.inputs], step.sof).values():
            unfit.setdefault(what, []).append(step.id)
    return said + [
        f"[[sof]] of {_few(ids)} names {what}: these are given by clio's own names, in its own order"
        for what, ids in unfit.items()
    ]


def _few(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _unfit(tags: Sequence[str], lines: Sequence[SofLine]) -> dict[str, str]:
    """Say of which tags lines cannot be matched with the inputs of a step, and why not."""
    there = Counter(tags)
    found = {}
    for tag, count in Counter(line.tag for line in lines).items():
        numbers = [line.number for line in lines if line.tag == tag and line.number is not None]
        wrong = [n for n in numbers if n > there[tag] or numbers.count(n) > 1]
        if count != there[tag]:
            found[tag] = f"{count} {tag} where there are {there[tag]}"
        elif wrong:
            found[tag] = f"number {wrong[0]} of {there[tag]} {tag}, which is not there or there twice"
    return found


def as_given(own: Sequence[tuple[str, str]], lines: Sequence[SofLine]) -> tuple[tuple[int, str], ...]:
    """Put the inputs of a step into the order of a set of frames, under its names.

    Parameters
    ----------
    own : sequence of (tag, name)
        The inputs in Clio's own order, under canonical names.
    lines : sequence of SofLine
        What the settings say. Of the inputs of a tag, a line with a number takes that one, one that has the
        canonical name of an input takes it, and what is left is taken in order. A tag of which there are
        more or fewer lines than inputs stays as it was.

    Returns
    -------
    tuple of (int, str)
        For each place the input, counted from 0, and its name. What no line names comes last, as it was.
    """
    unfit = _unfit([tag for tag, _ in own], lines)
    lines = [line for line in lines if line.tag not in unfit]
    left: defaultdict[str, list[int]] = defaultdict(list)
    for place, (tag, _) in enumerate(own):
        left[tag].append(place)
    numbered = {n: left[line.tag][line.number - 1] for n, line in enumerate(lines) if line.number is not None}
    taken = set(numbered.values())
    same: dict[int, int] = {}
    for n, line in enumerate(lines):
        if n not in numbered:
            found = next((i for i in left[line.tag] if i not in taken and own[i][1] == line.name), None)
            if found is not None:
                same[n] = found
                taken.add(found)
    rest = {tag: iter([place for place in places if place not in taken]) for tag, places in left.items()}
    order = [
        numbered[n] if n in numbered else same[n] if n in same else next(rest[line.tag])
        for n, line in enumerate(lines)
    ]
    named = {line.tag for line in lines}
    return (
        *((place, line.name) for place, line in zip(order, lines, strict=True)),
        *((place, name) for place, (tag, name) in enumerate(own) if tag not in named),
    )
