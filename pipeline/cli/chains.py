"""Chains of causes as lines: what many steps have in common is said once, what began it stands last."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline.cli.sheets import counted

if TYPE_CHECKING:
    from pipeline.causes import Cause

FEW_CAUSES = 8
"""Causes of one kind at one place that are shown unless all are asked for."""


def chain_lines(causes: "Iterable[Cause]", *, everything: bool) -> Iterator[str]:
    """Write causes, each with what made it so below.

    Parameters
    ----------
    causes : iterable of Cause
        As `pipeline.reasons` follows them.
    everything : bool
        Every card and package that differs.
    """
    return _Chain(everything).lines(causes, 0, frozenset())


class _Chain:
    """Writes, and remembers of what it has told the causes."""

    def __init__(self, everything: bool) -> None:
        self._everything = everything
        self._told: set[str] = set()

    def lines(self, causes: "Iterable[Cause]", depth: int, around: frozenset[str]) -> Iterator[str]:
        """Write the causes at one place, below the steps that stand around it."""
        begin = f"{'   ' * max(0, depth - 1)}{'<- ' if depth else ''}"
        groups = list(_groups(causes))
        shown = groups if self._everything else groups[:FEW_CAUSES]
        for group in shown:
            text = _text(group, around)
            inner = [cause for member in group for cause in member.causes]
            is_told = all(cause.is_told for cause in group) or bool(inner and text in self._told)
            yield f"{begin}{text}{' (see above)' if is_told else ''}"
            if not is_told:
                self._told.add(text)
                yield from self.lines(inner, depth + 1, frozenset(cause.step for cause in group))
        if len(shown) < len(groups):
            yield f"{begin}{counted(len(groups) - len(shown), 'more difference')}; --all names them"


def _groups(causes: "Iterable[Cause]") -> "Iterator[list[Cause]]":
    """Put together what reads the same but for the step: twenty-four IFUs are one line."""
    found: dict[tuple[str, ...], list[Cause]] = {}
    for cause in causes:
        stage = cause.step.partition(":")[0]
        is_chain = cause.kind in ("product", "waits")
        key = (cause.kind, cause.name, stage) if is_chain else (cause.kind, stage, _plain(cause))
        found.setdefault(key, []).append(cause)
    yield from found.values()


def _plain(cause: "Cause") -> str:
    return cause.text.replace(cause.step, "")


def _text(group: "list[Cause]", around: frozenset[str]) -> str:
    first = group[0]
    stage = first.step.partition(":")[0]
    steps = list(dict.fromkeys(cause.step for cause in group))
    which = f"{steps[0]} and {len(steps) - 1} more" if len(steps) > 1 else steps[0]
    things = len({(cause.old, cause.new) for cause in group})
    match first.kind:
        case "waits" if len(steps) > 1:
            through = f" through {first.name}" if first.name else ""
            return f"waits for {counted(len(steps), 'step')} of {stage} ({which}){through}"
        case "product" if things > 1:
            return f"{things} {first.name} of {which} are others"
        case "waits" | "product":
            return first.text
        case _:
            is_all = len(steps) == 1 or around == set(steps)
            return first.text if is_all else f"{first.text} (in {counted(len(steps), 'step')} of {stage})"
