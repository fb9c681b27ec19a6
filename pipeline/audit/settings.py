"""A `clio.toml` that would make a product again as nearly as can be; what is guessed stands in comments."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import keywords as kw
from pipeline.audit.claims import FileClaims, InputClaim, RecipeClaim
from pipeline.audit.facts import MADE_BY, OURS
from pipeline.audit.findings import Finding, Known
from pipeline.audit.places import Candidate, Places, Seen
from pipeline.audit.sofs import SetOfFrames, is_as_clio_has_it, set_of_frames
from pipeline.config_text import toml_value
from pipeline.engine import RecipeImage
from pipeline.image import RecipeParameter
from pipeline.model import Stage
from pipeline.modes import mode_of
from pipeline.parameters import default_of, spell
from pipeline.recipes import ALIGNMENT_FILTER, BY_REFERENCE, RECIPES, STAGES, in_mode
from pipeline.structure import STATICS
from pipeline.tags import RAW_TAGS

_CHANNEL = re.compile(r"CHAN(\d\d)\b")
_WIDTH = 79
_RAW = frozenset(rule.tag for rule in RAW_TAGS)
_MADE_AND_STATIC = frozenset({"SKY_LINES", "SKY_MASK"})
"""Tags of static calibrations that recipes make too: then a record of a recipe tells which it is."""

_MAKER = {expected.tag: row.recipe for row in STAGES.values() for expected in row.outputs}
"""Recipe of the workflow that makes a calibration."""
_POSTPROCESSING = (Stage.SCIPOST, Stage.SCIPOST_PEREXPO)
_POSTPROCESSED_FOR = {
    "muse_exp_align": Stage.PREP_ALIGN,
    "clio_align": Stage.PREP_ALIGN,
    "muse_exp_combine": Stage.SCIPOST_PEREXPO,
}
"""Stage of a call of muse_scipost, by the recipe that read what it made."""
_CALIBRATORS = frozenset({"BIAS", "DARK", "FLAT", "ARC", "SKYFLAT", "STD"})

_OF_SEVERAL_STAGES = frozenset({"muse_scipost", "muse_exp_align", "muse_exp_combine"})
_STAGE_OF = {
    "muse_exp_combine": Stage.COMBINE,
    "muse_exp_align": Stage.ALIGN,
    BY_REFERENCE.recipe: Stage.ALIGN,
    "muse_scipost": Stage.SCIPOST,
    **{row.recipe: stage for stage, row in STAGES.items() if row.recipe not in _OF_SEVERAL_STAGES},
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is needed to make the product again."""

    claim: InputClaim
    by: str
    """The recipe that read it."""
    found: Path | None


@dataclass(frozen=True, slots=True)
class Line:
    """A parameter as the file says it, or why it does not."""

    option: str
    value: str
    """As TOML has it; empty for a remark alone."""
    remark: str


@dataclass(slots=True)
class Draft:
    """What is known of a product's making, on its way into a `clio.toml`."""

    source: Path
    stage: Stage | None
    """What `clio run` has to be told; None if no stage calls the recipe."""
    product: str
    mode: str
    image: RecipeImage | None
    pipelines: tuple[str, ...]
    """Versions that the headers name."""
    raw: dict[str, Wanted] = field(default_factory=dict)
    statics: dict[str, Wanted] = field(default_factory=dict)
    products: dict[str, Wanted] = field(default_factory=dict)
    """Products that were read, and of which no header was found."""
    parameters: dict[tuple[Stage, str], dict[str, Line]] = field(default_factory=dict)
    """By stage and recipe."""
    ifus: set[int] = field(default_factory=set)
    is_of_all_ifus: bool = False
    calls: set[str] = field(default_factory=set)
    """Recipes of which a record was found."""
    tags: set[str] = field(default_factory=set)
    """Of everything that was read."""
    guesses: list[str] = field(default_factory=list)
    sets: dict[tuple[object, ...], SetOfFrames] = field(default_factory=dict)
    """By step: in which order, and under which names, it was given its frames."""
    is_foreign: bool = False
    """Whether some call was given its frames otherwise than Clio does."""
    alignment_filter: str = ALIGNMENT_FILTER
    asks_for_filters: bool = False
    """Whether images in a filter of a FILTER_LIST were asked for."""

    def text(self, folder: Path) -> str:
        """Write the file; paths in `folder` are written as they stand below it."""
        head = (self._head(), self._numerics(), self._data(folder), self._image(), self._workflow())
        parts: tuple[Iterable[str], ...] = (*head, *self._recipes(), *self._sets())
        return "\n".join("\n".join(part) + "\n" for part in map(tuple, parts) if part)

    def _head(self) -> Iterator[str]:
        yield from _comment(f"Made by clio audit from the headers of {self.source.name} ({self.product}).")
        yield from _comment(
            "What a header says is written as a setting; what is guessed is marked GUESS, and what nobody "
            "knows UNKNOWN."
        )
        if self.stage is not None:
            called = " ".join(stage for stage in Stage if any(stage is one for one, _ in self.parameters))
            stages = f"--last {self.stage}" if self.products else called
            yield from ("# Make it again, and compare:", f"#   clio run {stages}", "#   clio audit FILE")
        for guess in dict.fromkeys(self.guesses):
            yield "#"
            yield from _comment(guess)

    def _numerics(self) -> Iterator[str]:
        """Let the C library choose as it does by itself, where something was made without Clio."""
        if self.is_foreign:
            yield "[clio]"
            yield from _comment(
                "GUESS: esorex by itself takes the variants of exp and pow that the processor is fastest "
                "with; no header tells which, nor how many threads there were"
            )
            yield 'numerics = "native"'

    def _data(self, folder: Path) -> Iterator[str]:
        yield "[data]"
        frames, calibrations = self._further()
        yield from self._files("raw", self.raw, folder, frames)
        yield from self._files("calib", self.statics, folder, calibrations)
        if self.mode:
            yield f"mode = {toml_value(self.mode)}"
        if self.ifus and not self.is_of_all_ifus:
            yield f"ifus = {toml_value(sorted(self.ifus))}"

    def _files(
        self, key: str, wanted: dict[str, Wanted], folder: Path, further: tuple[str, ...]
    ) -> Iterator[str]:
        """List the files that were found; a folder for those that were not, each named above it."""
        missing = [item for item in wanted.values() if item.found is None]
        for item in missing:
            claim = item.claim
            md5 = f", DATAMD5 {claim.datamd5}" if claim.datamd5 else ""
            yield from _comment(f"needed: {claim.tag} {claim.archive_name} (read by {item.by}{md5})")
        if further:
            yield from _comment(f"UNKNOWN which, needed too: {', '.join(further)}")
        if missing or further:
            yield from _comment(f"put these into the folder {key}")
        paths = sorted(str(_shown(item.found, folder)) for item in wanted.values() if item.found is not None)
        if missing or further:
            paths.append(key)
        if not paths:
            yield f"{key} = []"
            return
        yield f"{key} = ["
        yield from (f"    {toml_value(path)}," for path in paths)
        yield "]"

    def _further(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Name the tags of frames and statics that the products of unknown origin are made from."""
        waiting = [item.claim.tag for item in self.products.values()]
        tags: dict[str, None] = {}
        while waiting:
            tag = waiting.pop(0)
            if tag.startswith("PIXTABLE_") and tag.removeprefix("PIXTABLE_") in _RAW:
                tags[tag.removeprefix("PIXTABLE_")] = None
            recipe = _MAKER.get(tag)
            for rule in RECIPES[recipe].inputs if recipe and recipe not in self.calls else ():
                if rule.tag not in tags and rule.least:
                    tags[rule.tag] = None
                    waiting.append(rule.tag)
        known = {item.claim.tag for item in (*self.raw.values(), *self.statics.values())}
        if self.asks_for_filters:
            tags["FILTER_LIST"] = None
        return (
            tuple(tag for tag in tags if tag in _RAW and (tag not in known or tag in _CALIBRATORS)),
            tuple(tag for tag in tags if tag in STATICS and tag not in known),
        )

    def _image(self) -> Iterator[str]:
        named = ", ".join(self.pipelines) or "an unknown version"
        yield "[image]"
        if self.image is None:
            yield from _comment(f"UNKNOWN: an image with {named}; without a digest, that of clio.lock")
            return
        yield from _comment(f"the headers name {named}")
        yield f"reference = {toml_value(self.image.config_digest)}"

    def _workflow(self) -> Iterator[str]:
        yield "[workflow]"
        if self.calls & {"muse_scibasic", "muse_twilight"}:
            yield f"illum = {toml_value('ILLUM' in self.tags)}"
        yield f"dark = {toml_value('MASTER_DARK' in self.tags)}"
        if self.calls & {"muse_scipost", "muse_exp_combine"}:
            yield f"offset_list = {toml_value('OFFSET_LIST' in self.tags)}"
        if BY_REFERENCE.recipe in self.calls:
            yield 'align = "reference"'
            if "REFERENCE_IMAGE" in self.tags:
                yield from _comment("GUESS: name its image in clio.toml: [targets.NAME] reference")
        if self.alignment_filter != ALIGNMENT_FILTER:
            yield f"filter_for_alignment = {toml_value(self.alignment_filter)}"

    def _sets(self) -> Iterator[list[str]]:
        for number, one in enumerate(self.sets.values() if self.is_foreign else ()):
            remark = "order and names of the frames as the header has them, so that the cards are the same"
            yield [
                *([] if number else _comment(remark)),
                "[[sof]]",
                f"where = {toml_value(dict(one.where))}",
                *([] if one.ifu is None else [f"ifu = {one.ifu}"]),
                "frames = [",
                *(f"    {toml_value(line)}," for line in one.frames),
                "]",
            ]

    def _recipes(self) -> Iterator[list[str]]:
        order = list(Stage)
        for stage, recipe in sorted(self.parameters, key=lambda key: (order.index(key[0]), key[1])):
            lines = self.parameters[stage, recipe]
            if not lines:
                continue
            head = [f"[recipes.{recipe}]"]
            if recipe in _OF_SEVERAL_STAGES:
                where = toml_value({"stage": stage.value})
                head = ["[[override]]", f"where = {where}", "", f"[override.recipes.{recipe}]"]
            body: list[str] = []
            for line in lines.values():
                body += _comment(line.remark) if line.remark else []
                body += [f"{line.option} = {line.value}"] if line.value else []
            yield [*head, *body]


def settings_for(
    finding: Finding,
    places: Places,
    parameters: Known | None,
    image: RecipeImage | None,
    version: str = "",
) -> Draft:
    """Work out the settings that would make a product again.

    Parameters
    ----------
    finding : Finding
        What is known of it.
    places : Places
        Where its inputs may be; products found there are followed to what they were made from.
    parameters : callable, optional
        The parameters of the pinned image; without, those of the header are written as they stand.
    image : RecipeImage, optional
        The pinned image.
    version : str
        Of its MUSE recipes, such as `2.8.7`; empty if unknown.
    """
    claims = finding.claims
    last = claims.last
    stage = _STAGE_OF.get(last.recipe) if last else None
    if stage is Stage.SCIPOST and claims.text(kw.PRO_CATG) == "PIXTABLE_REDUCED":
        stage = Stage.SCIPOST_PEREXPO
    mode = mode_of(claims.text(kw.INS_MODE))
    draft = Draft(
        source=finding.path,
        stage=stage,
        product=claims.text(kw.PRO_CATG) or finding.kind,
        mode=mode.name if mode else "",
        image=image,
        pipelines=tuple(dict.fromkeys(c.pipeline for c in claims.recipes if c.pipeline)),
    )
    _Follower(draft, places, parameters, stage).take(claims, finding.path, "")
    for keyword, name in claims.sources:
        if name.startswith("MUSE."):
            claim = InputClaim(keyword, name, "OBJECT")
            best = next((c for c in places.find(claim) if not c.against and c.path), None)
            draft.raw.setdefault(claim.archive_name, Wanted(claim, keyword, best.path if best else None))
    _guess(draft, claims, stage, version)
    return draft


class _Follower:
    """Follows a product through the headers of what it was made from."""

    def __init__(self, draft: Draft, places: Places, parameters: Known | None, stage: Stage | None) -> None:
        self._draft = draft
        self._places = places
        self._parameters = parameters
        self._stage = stage
        self._done: set[Path] = set()

    def take(self, claims: FileClaims, path: Path, reader: str) -> None:
        """Take in what a product's header says, and follow the products it names.

        Parameters
        ----------
        claims : FileClaims
            Its header.
        path : Path
            Where it lies; none is taken twice.
        reader : str
            The recipe that read it; empty for the product that is asked about.
        """
        if path.resolve() in self._done:
            return
        self._done.add(path.resolve())
        readers = [*(claim.recipe for claim in claims.recipes[1:]), reader]
        for claim, by in zip(claims.recipes, readers, strict=False):
            self._draft.calls.add(claim.recipe)
            stage = self._stage_of(claim.recipe, by)
            self._take_parameters(claim, stage)
            self._take_ifu(claim, claims)
            if stage is not None:
                self._take_set(claim, stage, claims)
            for item in claim.inputs:
                self._draft.tags.add(item.tag)
                self._take_input(item, claim, claims)

    def _take_input(self, item: InputClaim, claim: RecipeClaim, claims: FileClaims) -> None:
        best = next((c for c in self._places.find(item) if not c.against and c.path), None)
        wanted = Wanted(item, claim.recipe, best.path if best else None)
        if item.tag in _RAW or item.archive_name.startswith("MUSE."):
            self._draft.raw.setdefault(item.archive_name, wanted)
        elif item.tag in STATICS and not self._is_made(item, best):
            self._draft.statics.setdefault(f"{item.tag} {item.name}", wanted)
        elif best is not None and best.path is not None and (seen := self._places.seen(best.path)):
            self.take(seen.claims, best.path, claim.recipe)
        elif claim is claims.last or not item.is_raw:
            # How the first input was made, the chain itself says.
            self._draft.products.setdefault(f"{item.tag} {item.name}", wanted)

    def _is_made(self, item: InputClaim, best: Candidate | None) -> bool:
        return item.tag in _MADE_AND_STATIC and (best.is_product if best else "_00" in item.name)

    def _take_set(self, claim: RecipeClaim, stage: Stage, claims: FileClaims) -> None:
        self._draft.is_foreign |= not is_as_clio_has_it(claim)
        found, unknown = set_of_frames(claim, stage, claims, self._seen)
        if unknown:
            self._draft.guesses.append(unknown)
        if found is not None:
            before = self._draft.sets.setdefault((found.where, found.ifu), found)
            if before.frames != found.frames:
                text = f"{claim.recipe} of {dict(found.where)} was given its frames in two ways"
                self._draft.guesses.append(f"GUESS: {text}; the first is written")

    def _seen(self, item: InputClaim) -> Seen | None:
        best = next((c for c in self._places.find(item) if not c.against and c.path), None)
        return None if best is None or best.path is None else self._places.seen(best.path)

    def _take_ifu(self, claim: RecipeClaim, claims: FileClaims) -> None:
        value = claim.value("nifu")
        if value is None:
            return
        if value.isdigit() and int(value) > 0:
            self._draft.ifus.add(int(value))
            return
        merged = {int(match[1]) for name in claims.extensions if (match := _CHANNEL.match(name))}
        self._draft.ifus |= merged
        # All were made in one call; which they were, one product alone shows only if they are merged.
        self._draft.is_of_all_ifus |= not merged

    def _stage_of(self, recipe: str, reader: str) -> Stage | None:
        """Say which stage a call was, where several call the recipe, by who read what it made."""
        stage = _STAGE_OF.get(recipe)
        if stage is not Stage.SCIPOST:
            return stage
        return _POSTPROCESSED_FOR.get(reader, self._stage if self._stage in _POSTPROCESSING else stage)

    def _take_parameters(self, claim: RecipeClaim, stage: Stage | None) -> None:
        if stage is None:
            self._draft.guesses.append(
                f"UNKNOWN: no stage of clio calls {claim.recipe or 'the recipe that is not named'}"
            )
            return
        if stage is Stage.PREP_ALIGN:
            self._draft.alignment_filter = claim.value("filter") or self._draft.alignment_filter
        row = in_mode(
            BY_REFERENCE if claim.recipe == BY_REFERENCE.recipe else STAGES[stage], self._draft.mode
        )
        known = {p.option: p for p in (self._parameters(claim.recipe) if self._parameters else None) or ()}
        lines = self._draft.parameters.setdefault((stage, claim.recipe), {})
        for item in claim.parameters:
            if item.name in OURS:
                continue
            if item.name in row.fixed:
                continue
            line = _line(item.name, item.value, item.default, item.is_changed, known, dict(row.parameters))
            if line is not None:
                before = lines.setdefault(item.name, line)
                if before.value != line.value:
                    text = f"{claim.recipe} was called with {item.name} = {before.value} and {line.value}"
                    self._draft.guesses.append(f"GUESS: {text}; the first is written")
        if known and claim.parameters:
            named = {item.name for item in claim.parameters}
            for option in sorted(known.keys() - named - OURS):
                lines.setdefault(
                    option,
                    Line(option, "", f"UNKNOWN: {option}, which the header does not name; at its default"),
                )


def _line(
    name: str,
    value: str,
    then: str | None,
    is_changed: bool | None,
    known: dict[str, RecipeParameter],
    workflow: dict[str, str],
) -> Line | None:
    """Write a parameter if the image would do something else without being told."""
    if not known:
        if is_changed or name in workflow:
            return Line(name, toml_value(value), f"default then: {then or 'unknown'}")
        return None
    parameter = known.get(name)
    if parameter is None:
        if is_changed is False:
            return None
        text = f"{name} = {value}, which the recipe of this image does not have (default then: {then})"
        return Line(name, "", f"GUESS: left out: {text}")
    try:
        spelled = spell(parameter, value.strip("'"))
    except ValueError:
        return Line(name, "", f"GUESS: left out: {name} = {value}, which is no {parameter.kind}")
    usual = workflow.get(name, default_of(parameter))
    if spelled == usual:
        return None
    why = "default" if name not in workflow else "by clio's workflow"
    return Line(name, _typed(parameter, spelled), f"{usual or 'empty'} {why}")


def _typed(parameter: RecipeParameter, spelled: str) -> str:
    match parameter.kind:
        case "int":
            return spelled
        case "double":
            return spelled if any(c in spelled for c in ".e") else f"{spelled}.0"
        case "bool":
            return spelled.lower()
        case _:
            return toml_value(spelled)


def _guess(draft: Draft, claims: FileClaims, stage: Stage | None, version: str) -> None:
    """Say what is not known, and what is done about it."""
    other = [name for name in draft.pipelines if version and name != f"muse/{version}"]
    if other:
        text = f"GUESS: made with {', '.join(other)}, and this image has muse/{version}: values will differ"
        draft.guesses.append(text)
    elif draft.image is not None and not version:
        draft.guesses.append("GUESS: whether the image has the same version of the recipes was not looked at")
    if not claims.recipes:
        draft.guesses.append("UNKNOWN: no header names a recipe; nothing but mode and frames can be set")
    if stage is None and claims.recipes:
        draft.guesses.append("UNKNOWN: clio has no stage that makes such a product")
    draft.asks_for_filters = any(
        name.strip() not in ("", "white")
        for claim in claims.recipes
        for name in (claim.value("filter") or "").split(",")
    )
    makers = {tag for claim in claims.recipes for tag in MADE_BY.get(claim.recipe, ())}
    for (tag, by), group in _by_tag(draft.products.values()):
        names = group[0].claim.name if len(group) == 1 else f"{group[0].claim.name} and {len(group) - 1} more"
        if tag in makers:
            draft.guesses.append(f"GUESS: {tag} {names} (read by {by}) were made as the first of them was")
            continue
        md5 = f" (DATAMD5 {group[0].claim.datamd5})" if group[0].claim.datamd5 else ""
        what = f"UNKNOWN: how {tag} {names}{md5} was made, which {by} read"
        draft.guesses.append(f"{what}; GUESS: clio makes its own, with its own parameters")
    if draft.is_of_all_ifus and not draft.ifus:
        draft.guesses.append("all IFUs were made in one call (nifu); clio calls the recipe for one at a time")


def _by_tag(items: Iterable[Wanted]) -> list[tuple[tuple[str, str], list[Wanted]]]:
    found: dict[tuple[str, str], list[Wanted]] = {}
    for item in items:
        found.setdefault((item.claim.tag, item.by), []).append(item)
    return list(found.items())


def _shown(path: Path | None, folder: Path) -> Path:
    assert path is not None
    whole, base = path.absolute(), folder.absolute()
    return whole.relative_to(base) if whole.is_relative_to(base) else whole


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        " ".join("".join(c if c.isprintable() else " " for c in text).split()),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
