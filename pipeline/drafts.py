"""The plan while it is being made: what makes which product, and what a step still needs. Pure.

`plan` goes through the stages in order and drafts each step here; the needs of a step become inputs,
associations with their reasons, or problems.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.associate import Candidate, choose, window_in_words
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
from pipeline.recipes import (
    PER_DATASET,
    PER_EXPOSURE,
    RECIPES,
    STAGES,
    InputRule,
    StageRow,
    expected_products,
)
from pipeline.rules import DAY_S, RULES, Rule


@dataclass(frozen=True, slots=True)
class Maker:
    """A step as the source of a product."""

    step: str
    candidate: Candidate


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
    steps: dict[str, Step] = field(default_factory=dict)
    makers: dict[tuple[str, int | None], list[Maker]] = field(default_factory=lambda: defaultdict(list))

    def ifus(self, live: Iterable[int]) -> tuple[int, ...]:
        """Keep the IFUs that the settings want."""
        wanted = self.settings.table.data.ifus
        return tuple(ifu for ifu in live if not wanted or ifu in wanted)

    def rule(self, tag: str) -> Rule:
        """Give the rule of a tag with the policy of the settings."""
        policy = self.settings.table.associate.get(tag)
        rule = RULES[tag]
        if policy is None:
            return rule
        if policy.window_d is not None:
            window = int(policy.window_d * DAY_S)
            windows = [w if w is not None and w < window else window for w in rule.windows_s[:-1]]
            rule = replace(rule, windows_s=(*windows, window))
        if policy.agree is not None:
            rule = replace(rule, agree=tuple(policy.agree))
        return rule

    def statics(self, tag: str) -> tuple[Candidate, ...]:
        """List the static calibrations of a tag as candidates."""
        return tuple(Candidate(f.path.name, f, f.mjd) for f in self.night.statics if f.tag == tag)

    def made(self, tag: str, ifu: int | None = None) -> tuple[Candidate, ...]:
        """List the products of a tag that the steps so far make, as candidates."""
        return tuple(maker.candidate for maker in self.makers[tag, ifu])

    def maker(self, tag: str, ifu: int | None, name: str) -> str:
        """Find the step that makes the candidate of that name."""
        return next(m.step for m in self.makers[tag, ifu] if m.candidate.name == name)


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

    def static(self, tag: str) -> None:
        """Add the static calibration of a tag that fits."""
        rule = self.drafts.rule(tag)
        candidates = self._preferred(tag, self.drafts.statics(tag))
        found = self._choose(rule, candidates, None)
        if found.chosen:
            frame = next(c.frame for c in candidates if c.name == found.chosen)
            self._refuse_ambiguous(rule, found)
            self.inputs.append(FrameInput(tag, frame))

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
        candidates = self._preferred(tag, self.drafts.made(tag, ifu))
        found = self._choose(self.drafts.rule(tag), candidates, ifu)
        if found.chosen:
            step = self.drafts.maker(tag, ifu, found.chosen)
            for product in products or (tag,):
                self.take(product, step)
        return found

    def illum(self) -> None:
        """Add the ILLUM exposure that fits, if the settings want one."""
        wanted = self.drafts.illum_of.get(self.stage, self.drafts.settings.table.workflow.illum)
        if not wanted:
            return
        candidates = [Candidate(f.exposure, f, f.mjd) for f in self.drafts.night.illums]
        found = self._choose(self.drafts.rule("ILLUM"), candidates, None)
        if found.chosen:
            self.give([c.frame for c in candidates if c.name == found.chosen])

    @property
    def scope(self) -> Scope:
        """What it works on, as settings name it."""
        return Scope(
            self.stage,
            exposure=self.name if self.stage in PER_EXPOSURE else "",
            template="" if self.stage in PER_DATASET else self.wanted.template,
            dataset=self.dataset,
            target=self.target,
        )

    def given(self) -> dict[str, Given]:
        """Give the parameters of the step that are set on purpose, each with who set it."""
        drafts = self.drafts
        arguments = Arguments(drafts.arguments, drafts.argued_by)
        return holding(layers(self.scope, self.ifu, drafts.settings, arguments, self.row))

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
        )
        self.drafts.steps[step.id] = step
        fault = f"blocked: {step.problems[0].reason}" if step.problems else ""
        for tag in makes:
            candidate = Candidate(self.name, self.wanted, self.mjd, fault)
            self.drafts.makers[tag, self.ifu].append(Maker(step.id, candidate))
        return step

    def _preferred(self, tag: str, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Keep the candidate the settings name, if they name one."""
        policy = self.drafts.settings.table.associate.get(tag)
        if policy is None or not policy.use:
            return candidates
        return tuple(c for c in candidates if policy.use in (c.name, str(c.frame.path), c.frame.arcfile))

    def _choose(self, rule: Rule, candidates: Iterable[Candidate], ifu: int | None) -> Association:
        found = choose(rule, self.wanted, tuple(candidates), ifu)
        if found.chosen or not rule.is_required:
            self.associations.append(found)
        else:
            self.problems.append(_lack(self.id, rule, self.wanted, found, ifu))
        return found

    def _refuse_ambiguous(self, rule: Rule, found: Association) -> None:
        """Two different static calibrations of one tag without a date to decide: a person must."""
        if rule.windows_s == (None,) and not rule.is_before_only and found.rejected:
            names = ", ".join(text.partition(":")[0] for text in found.rejected)
            self.problems.append(
                Problem(
                    self.id,
                    f"{found.chosen} and {names} are different {rule.tag}, and nothing says which to use",
                    f"keep one, or name it in clio.toml: [associate.{rule.tag}] use = {found.chosen!r}",
                )
            )


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
