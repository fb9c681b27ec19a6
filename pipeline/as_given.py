"""Sets of frames as they were given elsewhere: their order, and the names files had there. Pure.

A product's header holds base names and the order of what it was made from. Clio orders by content and names
by it, so what somebody made without it comes out with the same data and other cards, unless `[[sof]]` of
`clio.toml` says what the frames were called, and in which order they stood.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pipeline.config import Settings
from pipeline.model import Problem, SofLine, Step


def sof_problems(step: str, tags: Iterable[str], lines: Sequence[SofLine]) -> Iterator[Problem]:
    """Find what of a set of frames does not fit the inputs of a step.

    Parameters
    ----------
    step : str
        Its id.
    tags : iterable of str
        Those of its inputs, each as often as there are inputs of it.
    lines : sequence of SofLine
        What the settings say; empty if they say nothing.

    Notes
    -----
    A tag may be left out as a whole: a recipe names in a header only what it used.
    """
    there = Counter(tags)
    named: defaultdict[str, list[SofLine]] = defaultdict(list)
    for line in lines:
        named[line.tag].append(line)
    hint = "let [[sof]] in clio.toml name every frame of a tag, or none"
    for tag, of_tag in named.items():
        numbers = [line.number for line in of_tag if line.number is not None]
        wrong = [n for n in numbers if n > there[tag] or numbers.count(n) > 1]
        if len(of_tag) != there[tag]:
            yield Problem(step, f"[[sof]] names {len(of_tag)} {tag}, and it has {there[tag]}", hint)
        elif wrong:
            what = f"[[sof]] names number {wrong[0]} of {there[tag]} {tag}, which is not there or there twice"
            yield Problem(step, what, hint)


def idle_sofs(settings: Settings, steps: Iterable[Step]) -> list[str]:
    """Name the sets of frames in the settings that are of no step, or of none that does not have a nearer."""
    used = {step.sof for step in steps}
    idle = [n for n, table in enumerate(settings.table.sof, 1) if table.lines not in used]
    shown = ", ".join(str(n) for n in idle[:_SHOWN])
    more = f" and {len(idle) - _SHOWN} more" if len(idle) > _SHOWN else ""
    return [f"[[sof]] number {shown}{more} of clio.toml is of no step"] if idle else []


_SHOWN = 6


def as_given(own: Sequence[tuple[str, str]], lines: Sequence[SofLine]) -> tuple[tuple[int, str], ...]:
    """Put the inputs of a step into the order of a set of frames, under its names.

    Parameters
    ----------
    own : sequence of (tag, name)
        The inputs in Clio's own order, under canonical names.
    lines : sequence of SofLine
        Without problems. Of the inputs of a tag, a line with a number takes that one, one that has the
        canonical name of an input takes it, and what is left is taken in order.

    Returns
    -------
    tuple of (int, str)
        For each place the input, counted from 0, and its name. What no line names comes last, as it was.
    """
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
