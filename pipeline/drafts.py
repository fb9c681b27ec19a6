"""The plan while it is being made: what makes which product, and what a step still needs. Pure.

`plan` goes through the stages in order and drafts each step here; the needs of a step become inputs,
associations with their reasons, or problems.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.as_given import left_out
from pipeline.config import Settings
from pipeline.layers import Arguments, Given, Setter, holding, layers
from pipeline.model import (
    CALIBRATIONS,
    Association,
    Frame,
    FrameInput,
    Night,
    Problem,
    ProductInput,
    Scope,
    Stage,
    Step,
)
from pipeline.modes import WIDE
from pipeline.policy import is_named, rule_with
from pipeline.recipes import (
    FINAL,
    PER_DATASET,
    PER_EXPOSURE,
    PER_TARGET,
    RECIPES,
    STAGES,
    InputRule,
    StageRow,
    expected_products,
    in_mode,
)
from pipeline.rules import RULES, Rule
from pipeline.shelf import Candidate, Choice, Wanted, in_words, window_in_words
from pipeline.shelves import Shelves


@dataclass(frozen=True, slots=True)
class Asked:
    """What calls ask for beyond the settings."""

    stages: frozenset[Stage] = frozenset()
    """Stages of `recipes.ON_REQUEST`."""
    align_by: str = ""
    """`dataset` or `template`; empty for what the settings say."""
    arguments: tuple[tuple[Scope, Mapping[str, str]], ...] = ()
    """Parameters for the steps of a stage in one target or dataset: option to value; later ones win."""


@dataclass(slots=True)
class Drafts:
    """All steps so far, and where each product can be had."""

    night: Night
    settings: Settings
    arguments: Mapping[Stage, Mapping[str, str]]
    """Parameters given with a call of a stage; they win over the settings."""
    illum_of: Mapping[Stage, bool]
    """Whether a stage takes an ILLUM exposure, where a call said so."""
    argued_by: Setter = Setter.CALL
    """Where the arguments come from."""
    asked: Asked = Asked()
    """What a call asks for beyond the settings."""
    steps: dict[str, Step] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    """Steps that cannot run, each with the first reason."""
    shelves: Shelves = field(default_factory=Shelves)
    """What can be chosen from."""
    rules: dict[str, Rule] = field(default_factory=dict)
    """By tag, with the policy of the settings; those that were asked for."""

    @property
    def aligns_by(self) -> str:
        """Whether exposures are shifted by the list of their `dataset` or of their `template`."""
        return self.asked.align_by or self.settings.table.workflow.align_by

    def wants(self, stage: Stage) -> bool:
        """Tell whether a stage is planned that is not always."""
        is_set = self.settings.table.workflow.finalise if stage in FINAL else self.aligns_by == "template"
        return is_set or stage in self.asked.stages

    def ifus(self, live: Iterable[int]) -> tuple[int, ...]:
        """Keep the IFUs that the settings want."""
        wanted = self.settings.table.data.ifus
        return tuple(ifu for ifu in live if not wanted or ifu in wanted)

    def rule(self, tag: str) -> Rule:
        """Give the rule of a tag with the policy of the settings."""
        if tag not in self.rules:
            rule = rule_with(RULES[tag], self.settings.table.associate.get(tag))
            self.rules[tag] = _serving(rule, self.night.statics)
        return self.rules[tag]

    def find(self, tag: str, wanted: Wanted) -> Choice:
        """Choose the calibration of a tag for an exposure."""
        if not self.shelves.has(tag):
            frames = self.night.illums if tag == "ILLUM" else self.night.statics
            found = [Candidate(f.exposure or f.path.name, f, f.mjd) for f in frames if f.tag == tag]
            self.offer(tag, found)
        return self.shelves.find(self.rule(tag), wanted)

    def blocked_by(self, step: Step) -> str:
        """Say why a step is blocked, by itself or by one whose products it reads; empty if it is not."""
        reasons = [problem.reason for problem in step.problems]
        reasons += [self.blocked[id_] for id_ in step.upstream if id_ in self.blocked]
        if reasons:
            self.blocked[step.id] = reasons[0]
        return reasons[0] if reasons else ""

    def offer(
        self, tag: str, candidates: Iterable[Candidate], ifu: int | None = None, step: str = ""
    ) -> None:
        """Let candidates be chosen; if the settings name one, the others are none."""
        policy = self.settings.table.associate.get(tag)
        self.shelves.put(tag, (c for c in candidates if is_named(policy, c)), ifu, step)


@dataclass(slots=True)
class Draft:
    """One step while its needs are gathered."""

    drafts: Drafts
    stage: Stage
    name: str
    """Template, exposure or dataset."""
    wanted: Frame
    """The exposure for which calibrations are looked for."""
    mjd: float | None
    """Mean MJD-OBS of what is reduced here."""
    target: str = CALIBRATIONS
    dataset: str = ""
    ifu: int | None = None
    """The IFU of a step of one; None for all at once."""
    ifus: tuple[int, ...] = ()
    """IFUs it works on."""
    exposures: int = 1
    """Exposures it is given."""
    row: StageRow | None = None
    """What it calls, if not what its stage usually does."""
    trace: str = ""
    """The flat whose trace is used, once it is chosen."""
    inputs: list[FrameInput | ProductInput] = field(default_factory=list)
    associations: list[Association] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Id the step will have."""
        return f"{self.stage}:{self.unit}"

    @property
    def unit(self) -> str:
        """Template, exposure or dataset, and IFU."""
        return self.name if self.ifu is None else f"{self.name}:{self.ifu:02d}"

    def give(self, frames: Iterable[Frame], tag: str = "") -> None:
        """Add raw frames."""
        self.inputs += [FrameInput(tag or frame.tag, frame) for frame in frames]

    def take(self, tag: str, step: str, product: str = "") -> None:
        """Add a product of a step that is known already."""
        self.inputs.append(ProductInput(tag, step, product or tag))

    def static(self, tag: str) -> bool:
        """Add the static calibration of a tag that fits, if an exposure of this mode and date needs one.

        Returns
        -------
        bool
            Whether one was added.
        """
        if not self.drafts.rule(tag).is_needed_by(self.wanted, self.mjd):
            return False
        found = self._find(tag)
        if found.candidate:
            self.inputs.append(FrameInput(tag, found.candidate.frame))
        return found.candidate is not None

    def master(self, tag: str, ifu: int | None = None, products: tuple[str, ...] = ()) -> Association:
        """Add products of the step that the rule of a tag chooses.

        Parameters
        ----------
        tag : str
            Whose rule decides.
        ifu : int, optional
            IFU of the product; None for one of all IFUs.
        products : tuple of str
            Tags to take from that step; by default the tag itself.
        """
        found = self._find(tag, ifu).association
        if found.chosen:
            step = self.drafts.shelves.step(tag, ifu, found.chosen)
            for product in products or (tag,):
                self.take(product, step)
            if tag == "MASTER_FLAT":
                self.trace = found.chosen
        return found

    def beside(self, tag: str, of: str, found: Association) -> None:
        """Add a product of another tag of a run that was chosen, if the rule of that tag allows it too."""
        rule = self.drafts.rule(tag)
        level = rule.level(found.distance_s)
        if not found.chosen:
            return
        if level is None:
            why = f"{in_words(found.distance_s)} away, at most {window_in_words(rule)} allowed"
            none = Association(tag, "", 0, 0, "none can be used", (f"{found.chosen}: {why}",))
            self.associations.append(none)
            return
        self.associations.append(replace(found, tag=tag, level=level, rejected=(), next_best=None))
        self.take(tag, self.drafts.shelves.step(of, None, found.chosen))

    def illum(self) -> None:
        """Add the ILLUM exposure that fits, if the settings want one."""
        wanted = self.drafts.illum_of.get(self.stage, self.drafts.settings.table.workflow.illum)
        found = self._find("ILLUM") if wanted else None
        if found and found.candidate:
            self.give([found.candidate.frame])

    @property
    def scope(self) -> Scope:
        """What it works on, as settings name it."""
        return Scope(
            self.stage,
            exposure=self.name if self.stage in PER_EXPOSURE else "",
            template="" if self.stage in PER_DATASET | PER_TARGET else self.wanted.template,
            dataset=self.dataset,
            target=self.target,
        )

    def given(self) -> dict[str, Given]:
        """Give the parameters of the step that are set on purpose, each with who set it."""
        drafts = self.drafts
        arguments = Arguments(drafts.arguments, drafts.argued_by, drafts.asked.arguments)
        row = in_mode(self.row or STAGES[self.stage], self.wanted.mode)
        return holding(layers(self.scope, self.ifu, drafts.settings, arguments, row))

    def parameters(self) -> dict[str, str]:
        """Give the parameters of the step that are set on purpose: option to value."""
        return {option: given.value for option, given in self.given().items()}

    def done(self, makes: tuple[str, ...]) -> Step:
        """Make the step, check its set of frames against the recipe, and offer its products to others.

        Parameters
        ----------
        makes : tuple of str
            Tags of the products that later steps look for.
        """
        row, scope, set_ = self.row or STAGES[self.stage], self.scope, self.given()
        sof = self.drafts.settings.sof(scope, self.ifu)
        self._leave_out(left_out(row.recipe, (item.tag for item in self.inputs), sof))
        parameters = {option: given.value for option, given in set_.items()}
        given = frozenset(item.tag for item in self.inputs)
        self.problems += _count_problems(self.id, row.recipe, self.inputs, self.ifus)
        if not self.ifus:
            what = f"none of the IFUs to reduce is live in {self.wanted.exposure}"
            self.problems.append(Problem(self.id, what, "name one that is under [data] ifus"))
        if self.id in self.drafts.steps:
            what = "two sets of frames go by this name: same start, other mode or read-out"
            self.problems.append(Problem(self.id, what, "name the one to reduce with [data] mode"))
        step = Step(
            id=self.id,
            stage=self.stage,
            recipe=row.recipe,
            unit=self.unit,
            target=self.target,
            ifus=self.ifus,
            inputs=tuple(self.inputs),
            parameters=tuple(sorted(parameters.items())),
            expected=expected_products(self.stage, parameters, self.exposures, given),
            associations=tuple(self.associations),
            problems=tuple(self.problems),
            environment=self.drafts.settings.environment(row.recipe, scope),
            origins=tuple(sorted((option, each.by.value) for option, each in set_.items())),
            scope=scope,
            sof=sof,
        )
        self.drafts.steps[step.id] = step
        why = self.drafts.blocked_by(step)
        fault = f"blocked: {why}" if why else ""
        for tag in makes:
            candidate = Candidate(self.name, self.wanted, self.mjd, fault, self.trace)
            self.drafts.offer(tag, (candidate,), self.ifu, step.id)
        return step

    def _leave_out(self, tags: frozenset[str]) -> None:
        """Give nothing of some tags."""
        self.inputs = [item for item in self.inputs if item.tag not in tags]
        self.associations = [found for found in self.associations if found.tag not in tags]

    def _find(self, tag: str, ifu: int | None = None) -> Choice:
        """Choose, and keep what was chosen, or why the step is blocked."""
        rule = self.drafts.rule(tag)
        found = self.drafts.find(tag, Wanted(self.wanted, self.mjd, ifu, self.trace))
        self.associations.append(found.association)
        if not found.candidate and rule.is_required:
            self.problems.append(_lack(self.id, rule, self.wanted, found.association, ifu))
        if found.candidate and found.rival:
            self.problems.append(_rivals(self.id, rule, found.candidate, found.rival))
        return found


def _serving(rule: Rule, statics: Iterable[Frame]) -> Rule:
    """Let the geometry of the wide field serve the narrow one, if there is none of its own.

    The slicers stand behind the fore-optics and the table counts in spaxels: ESO's workflow takes any.
    """
    fields = {frame.field for frame in statics if frame.tag == rule.tag}
    if rule.tag != "GEOMETRY_TABLE" or fields != {WIDE.name}:
        return rule
    return replace(rule, agree=tuple(name for name in rule.agree if name != "field"))


def _rivals(step: str, rule: Rule, chosen: Candidate, rival: Candidate) -> Problem:
    """Two different static calibrations of one tag, and nothing to decide between them: a person must."""
    names = [chosen.name, rival.name]
    if chosen.name == rival.name:
        names = [str(chosen.frame.path), str(rival.frame.path)]
    what = f"{names[0]} and {names[1]} are different {rule.tag}, and nothing says which to use"
    hint = f"keep one, or name it in clio.toml: [associate.{rule.tag}] use = {names[0]!r}"
    return Problem(step, what, hint)


def _lack(step: str, rule: Rule, wanted: Frame, found: Association, ifu: int | None) -> Problem:
    """Say that a calibration is missing, what was nearest, and what to do."""
    where = f" of IFU {ifu}" if ifu is not None else ""
    what = f"no {rule.tag}{where} for {wanted.exposure} ({wanted.mode})"
    if not found.rejected:
        source = f"{rule.made_from} frames" if rule.made_from else f"a {rule.tag}"
        return Problem(step, f"{what}: there is none", f"add {source} to the folders of clio.toml")
    nearest = f"{what} within {window_in_words(rule)}; nearest: {found.rejected[0]}"
    hint = f"add a nearer one, or widen it in clio.toml: [associate.{rule.tag}] window_d"
    return Problem(step, nearest, hint)


def _count_problems(
    step: str, recipe: str, inputs: list[FrameInput | ProductInput], ifus: tuple[int, ...]
) -> list[Problem]:
    """Check the set of frames against what the recipe takes: it would start with less."""
    counts: dict[str, int] = defaultdict(int)
    for item in inputs:
        counts[item.tag] += 1
    problems = []
    rules = {rule.tag: rule for rule in RECIPES[recipe].inputs}
    for tag, count in counts.items():
        if tag not in rules:
            problems.append(Problem(step, f"{recipe} takes no {tag}"))
        elif rules[tag].most is not None and count > _scaled(rules[tag], rules[tag].most, ifus):
            problems.append(Problem(step, f"{count} {tag} where {recipe} takes one"))
    for tag, rule in rules.items():
        least = _scaled(rule, rule.least, ifus)
        if rule.least > 1 and counts[tag] < least:  # a lack of masters was said when they were chosen
            hint = f"{recipe} needs at least {least}: add the missing frames"
            problems.append(Problem(step, f"{counts[tag]} {tag}, at least {least} are needed", hint))
    return problems


def _scaled(rule: InputRule, count: int | None, ifus: tuple[int, ...]) -> int:
    return (count or 0) * (len(ifus) if rule.counted_by == "ifu" else 1)
