"""A lineage as a tree for the terminal: what is shared is drawn once, raw frames of a tag are one line."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from rich.text import Text
from rich.tree import Tree

from pipeline.cli.sheets import acceptance_words, counted, digits
from pipeline.structure import STATICS
from pipeline.tags import RAW_TAGS

if TYPE_CHECKING:
    from pipeline.report import RunReport, Trace
    from provenance.lineage import ArtifactNode
    from provenance.model import InputFile, OutputFile

Item = TypeVar("Item", "InputFile", "OutputFile")

_RAW = frozenset(rule.tag for rule in RAW_TAGS)
_STATIC = frozenset(STATICS)
_MOST_BRANCHES = 30
"""Products of a tag of which each gets a branch: more than there are IFUs. Of more the first are shown."""
_SHOWN = 3


def draw(trace: "Trace", *, unfolded: bool) -> tuple[Tree, ...]:
    """Draw a lineage, a tree for each product asked about.

    Parameters
    ----------
    trace : Trace
        Up or down.
    unfolded : bool
        A line for every frame, and where it was found.
    """
    pen = _Pen(trace, unfolded)
    return tuple(pen.up(digest) if trace.direction == "up" else pen.down(digest) for digest in trace.digests)


def folded(tag: str, names: Iterable[str]) -> str:
    """Describe many frames of a tag from outside in a line."""
    ordered = sorted(names)
    word = "raw frames" if tag in _RAW else "static calibrations" if tag in _STATIC else "files"
    return f"{len(ordered)} {word}, {ordered[0]} to {ordered[-1]}"


class _Pen:
    """Draws, and remembers which runs it has drawn."""

    def __init__(self, trace: "Trace", unfolded: bool) -> None:
        self._trace = trace
        self._unfolded = unfolded
        self._drawn: set[str] = set()

    def up(self, digest: str) -> Tree:
        """Draw a product with all that is above it."""
        node = self._trace.artifacts[digest]
        maker = self._trace.maker(digest)
        if maker is None:
            return Tree(_named(node.tag, node.name, digest, node.seen_at))
        # What was carried on from further up stands there; here, if here is where one looks first.
        tree = Tree(_made(node, maker, is_first=not self._drawn))
        self._drawn.add(maker.run.run)
        known = []
        items, left = (maker.run.inputs, {}) if self._unfolded else self._fold(tree, maker.run.inputs)
        for item in items:
            above = self._trace.maker(item.digest)
            if above is None:
                tree.add(_named(item.tag, item.name, item.digest, item.seen_at if self._unfolded else None))
            elif above.run.run not in self._drawn:
                tree.children.append(self.up(item.digest))
            elif self._unfolded:
                tree.add(_reminder(item, above))
            else:
                known.append((item, above))
        if len(known) == 1:
            tree.add(_reminder(*known[0]))
        elif known:
            tree.add(Text.assemble("see above: ", _listed([item for item, _ in known])))
        for tag, rest in left.items():
            last = self._trace.maker(rest[-1].digest)
            to = f", the last of {last.step}" if last is not None else ""
            tree.add(Text.assemble(f"{len(rest)} more ", (tag, "bold"), f"{to} (--all shows them)"))
        return tree

    def down(self, digest: str) -> Tree:
        """Draw an artifact with all that was made from it."""
        node = self._trace.artifacts[digest]
        tree = Tree(_named(node.tag, node.name, digest, node.seen_at))
        self._readers(tree, digest)
        return tree

    def _fold(
        self, tree: Tree, items: "tuple[InputFile, ...]"
    ) -> "tuple[list[InputFile], dict[str, list[InputFile]]]":
        """Draw raw frames of one tag as a line, static calibrations as another.

        Returns
        -------
        list, dict
            What is left to be drawn; and by tag the products that are too many for that.
        """
        made = [item for item in items if self._trace.maker(item.digest) is not None]
        many = {tag: found for tag, found in _by_tag(tuple(made)).items() if len(found) > _MOST_BRANCHES}
        made = [item for item in made if item.tag not in many or item in many[item.tag][:_SHOWN]]
        outside = [item for item in items if self._trace.maker(item.digest) is None]
        statics = [item for item in outside if item.tag in _STATIC]
        left = []
        for tag, frames in _by_tag(tuple(item for item in outside if item.tag not in _STATIC)).items():
            if len(frames) > 1:
                names = folded(tag, (frame.name for frame in frames))
                tree.add(Text.assemble((tag, "bold"), f": {names}"))
            else:
                left += frames
        if len(statics) > 1:
            tree.add(Text.assemble("static calibrations: ", _listed(statics)))
        else:
            left += statics
        return [*left, *made], {tag: found[_SHOWN:] for tag, found in many.items()}

    def _readers(self, tree: Tree, digest: str) -> None:
        known: dict[str, int] = {}
        for reader in self._trace.readers(digest):
            if reader.run.run in self._drawn:
                known[reader.run.stage] = known.get(reader.run.stage, 0) + 1
                continue
            self._drawn.add(reader.run.run)
            branch = tree.add(Text(reader.step, style="bold").append_text(_about(reader)))
            for tag, items in _by_tag(reader.run.outputs).items():
                self._outputs(branch, tag, items)
        for stage, count in known.items():
            label = Text(f"{counted(count, 'step')} of {stage}")
            tree.add(label.append(" (see above)", style="dim"))

    def _outputs(self, branch: Tree, tag: str, items: "list[OutputFile]") -> None:
        ends = [item for item in items if not self._trace.readers(item.digest)]
        if len(ends) > 1 and not self._unfolded:
            branch.add(Text.assemble((tag, "bold"), f": {len(ends)} products, read by nothing"))
            items = [item for item in items if item not in ends]
        for item in items:
            self._readers(branch.add(_named(tag, item.name, item.digest, None)), item.digest)


def _by_tag(items: tuple[Item, ...]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.tag, []).append(item)
    return found


def _reminder(item: "InputFile", maker: "RunReport") -> Text:
    label = Text.assemble((item.tag, "bold"), " ", (digits(item.digest), "dim"), f" from {maker.step}")
    return label.append(" (see above)", style="dim")


def _listed(items: "list[InputFile]") -> Text:
    """Name frames by tag and digest, those of one tag by their number."""
    words = [
        Text.assemble((tag, "bold"), " ", (digits(of_tag[0].digest), "dim"))
        if len(of_tag) == 1
        else Text.assemble(f"{len(of_tag)} ", (tag, "bold"))
        for tag, of_tag in _by_tag(tuple(items)).items()
    ]
    return Text(", ").join(words)


def _made(node: "ArtifactNode", maker: "RunReport", *, is_first: bool) -> Text:
    head = Text.assemble((node.tag, "bold"), " ", (digits(node.digest), "dim"), f" from {maker.step}")
    if node.also_made_by:
        head.append(f", the same bytes also from {len(node.also_made_by)} other runs")
    return head.append_text(_about(maker, is_first=is_first))


def _about(report: "RunReport", *, is_first: bool = False) -> Text:
    """Say by what a run was done, and what a reader should know of it."""
    words = [report.action.recipe, f"image {digits(report.action.image)}"]
    words += [f"{name}={value}" for name, value in report.options]
    about = Text(f"\n{', '.join(words)}")
    if not report.run.is_success:
        about.append(f"\n{report.run.status.value}: {report.run.reason or report.run.cause}", style="red")
    if report.origin is not None:
        about.append(f"\nimported {report.origin.words}", style="yellow")
    for mark in report.taints:
        about.append(f"\n{mark.brief}", style="red")
    for caveat in report.run.caveats if is_first else report.own_caveats:
        about.append(f"\ncaveat: {caveat}", style="yellow")
    for accepted in report.accepted:
        about.append(f"\n{acceptance_words(accepted)}", style="yellow")
    return about


def _named(tag: str, name: str, digest: str, place: str | None) -> Text:
    return Text.assemble((tag, "bold"), f" {name} ", (digits(digest), "dim"), f" {place}" if place else "")
