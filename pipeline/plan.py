"""From frames to the ordered graph of steps: every stage of the workflow, in its order. Pure.

Each function drafts the steps of one stage; what a step needs of other steps is found by association, so
a calibration is chosen for its exposure and never because it came last.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pipeline.as_given import remarks_on_sofs
from pipeline.associate import group
from pipeline.config import Settings
from pipeline.doubts import doubts
from pipeline.drafts import Asked, Draft, Drafts
from pipeline.layers import Setter
from pipeline.model import CALIBRATIONS, Frame, Plan, Problem, Scan, Stage, Template
from pipeline.oddities import oddities
from pipeline.postprocess import idle_edits, on_sky, pixtable, plan_dataset, plan_target, profiles, response
from pipeline.recipes import FINAL
from pipeline.rules import RULES
from pipeline.shelf import Wanted
from pipeline.targets import by_target, into_datasets, whole_targets

LAMPS = ("HgCd", "Ne", "Xe")
"""Arc lamps of which the wavelength calibration needs at least one exposure each."""


def plan(
    found: Scan,
    settings: Settings,
    arguments: Mapping[Stage, Mapping[str, str]] = MappingProxyType({}),
    illum_of: Mapping[Stage, bool] = MappingProxyType({}),
    *,
    argued_by: Setter = Setter.CALL,
    asked: Asked = Asked(),  # noqa: B008 - frozen
) -> Plan:
    """Plan the whole reduction.

    Parameters
    ----------
    found : Scan
        Frames of the workspace.
    settings : Settings
        What a person decided.
    arguments : mapping, optional
        Parameters given with a call of a stage: option to value by stage.
    illum_of : mapping, optional
        Whether a stage takes an ILLUM exposure, where a call said so.
    argued_by : Setter, optional
        Where these arguments come from.
    asked : Asked, optional
        What calls asked for beyond that.

    Returns
    -------
    Plan
        Steps with those they depend on first; the same for the same frames in any order.
    """
    named, excluded = by_target(found.frames, settings.table.targets)
    kept, problems = _selected(named, settings)
    night = group(kept)
    datasets, unplaced = into_datasets(night.datasets, settings.table.targets)
    drafts = Drafts(replace(night, datasets=datasets), settings, arguments, illum_of, argued_by, asked)
    _plan_biases(drafts)
    if settings.table.workflow.dark:
        _plan_darks(drafts)
    _plan_flats(drafts)
    _plan_wavelengths(drafts)
    _plan_lsf(drafts)
    _plan_twilights(drafts)
    names = {exposure.path: dataset.name for dataset in datasets for exposure in dataset.exposures}
    for exposure in drafts.night.exposures:
        _plan_scibasic(drafts, exposure, names.get(exposure.path, exposure.block))
    for exposure in _tagged(drafts, "STD"):
        _plan_standard(drafts, exposure)
    for exposure in _tagged(drafts, "SKY"):
        _plan_sky(drafts, exposure)
    remarks = [plan_dataset(drafts, dataset) for dataset in drafts.night.datasets]
    if any(drafts.wants(stage) for stage in FINAL):
        for whole in whole_targets(datasets):
            parts = (d for d in datasets if (d.target, d.mode) == (whole.target, whole.mode))
            remarks.append(plan_target(drafts, whole, tuple(parts)))
    remarks += idle_edits(drafts)
    order = {stage: number for number, stage in enumerate(Stage)}
    steps = sorted(drafts.steps.values(), key=lambda step: order[step.stage])
    odd = oddities(kept, steps, darks=settings.table.workflow.dark)
    remarks += remarks_on_sofs(settings, steps)
    said = (*found.remarks, *excluded, *unplaced, *odd, *doubts(steps, RULES), *filter(None, remarks))
    return Plan(tuple(steps), (*found.problems, *problems), said)


def _selected(frames: tuple[Frame, ...], settings: Settings) -> tuple[list[Frame], list[Problem]]:
    """Keep frames of the mode asked for; say which were left out."""
    mode = settings.table.data.mode
    kept: list[Frame] = []
    left: list[Frame] = []
    for frame in frames:
        # Biases and darks are taken in one mode and serve all; see rules.py.
        is_free = frame.tag in ("BIAS", "DARK", "ILLUM") or not frame.mode or not frame.chips
        (kept if is_free or mode in ("", frame.mode) else left).append(frame)
    problems = [
        Problem(str(f.path), f"{f.tag} of mode {f.mode}, and [data] mode asks for {mode}") for f in left
    ]
    return kept, problems


def _templates(drafts: Drafts, *tags: str) -> list[Template]:
    return [template for template in drafts.night.templates if template.tag in tags]


def _tagged(drafts: Drafts, tag: str) -> list[Frame]:
    return [exposure for exposure in drafts.night.exposures if exposure.tag == tag]


def _calibration(drafts: Drafts, stage: Stage, template: Template, ifu: int | None) -> Draft:
    ifus = (ifu,) if ifu is not None else drafts.ifus(template.ifus)
    draft = Draft(drafts, stage, template.start, template.frames[0], template.mjd, ifu=ifu, ifus=ifus)
    draft.give(template.frames)
    for one in ifus:
        chips = {(c.name, c.id) for frame in template.frames for c in frame.chips if c.ifu == one}
        if len(chips) > 1:
            what = f"its frames come from {len(chips)} detectors of IFU {one}: the recipe would drop some"
            draft.problems.append(Problem(draft.id, what, "leave out the frames of one of them"))
    return draft


def _plan_biases(drafts: Drafts) -> None:
    for template in _templates(drafts, "BIAS"):
        for ifu in drafts.ifus(template.ifus):
            draft = _calibration(drafts, Stage.BIAS, template, ifu)
            draft.static("BADPIX_TABLE")
            draft.done(("MASTER_BIAS",))


def _plan_darks(drafts: Drafts) -> None:
    for template in _templates(drafts, "DARK"):
        for ifu in drafts.ifus(template.ifus):
            draft = _calibration(drafts, Stage.DARK, template, ifu)
            draft.master("MASTER_BIAS", ifu)
            draft.static("BADPIX_TABLE")
            draft.done(("MASTER_DARK",))


def _bias_and_dark(draft: Draft, ifu: int) -> None:
    draft.master("MASTER_BIAS", ifu)
    if draft.drafts.settings.table.workflow.dark:
        draft.master("MASTER_DARK", ifu)


def _plan_flats(drafts: Drafts) -> None:
    for template in _templates(drafts, "FLAT"):
        for ifu in drafts.ifus(template.ifus):
            draft = _calibration(drafts, Stage.FLAT, template, ifu)
            _bias_and_dark(draft, ifu)
            draft.static("BADPIX_TABLE")
            draft.done(("MASTER_FLAT",))


def _plan_wavelengths(drafts: Drafts) -> None:
    for template in _templates(drafts, "ARC"):
        for ifu in drafts.ifus(template.ifus):
            draft = _calibration(drafts, Stage.WAVE, template, ifu)
            dark_lamps = [lamp for lamp in LAMPS if lamp not in {f.lamp for f in template.frames}]
            if dark_lamps:
                what = f"no ARC frame of {', '.join(dark_lamps)} in the template"
                draft.problems.append(Problem(draft.id, what, "add one exposure of each lamp"))
            _bias_and_dark(draft, ifu)
            draft.master("MASTER_FLAT", ifu, ("TRACE_TABLE",))
            draft.static("LINE_CATALOG")
            draft.static("BADPIX_TABLE")
            draft.done(("WAVECAL_TABLE",))


def _plan_lsf(drafts: Drafts) -> None:
    """Use the arcs taken for it; those of the wavelength calibration where an exposure has none near."""
    for template in _templates(drafts, "ARC_LSF"):
        _plan_lsf_of(drafts, template)
    modes = {template.frames[0].mode for template in _templates(drafts, "ARC_LSF")}
    modes -= {exposure.mode for exposure in drafts.night.exposures if _has_no_lsf_near(drafts, exposure)}
    for template in _templates(drafts, "ARC"):
        if template.frames[0].mode not in modes:
            _plan_lsf_of(drafts, template)


def _has_no_lsf_near(drafts: Drafts, exposure: Frame) -> bool:
    """Tell whether an exposure whose sky is modelled has no profile so far of arcs that come first."""
    if exposure.tag == "STD":
        return False
    near_s = drafts.rule("LSF_PROFILE").preferred_s
    wanted = [Wanted(exposure, exposure.mjd, ifu) for ifu in drafts.ifus(exposure.ifus)]
    found = [drafts.find("LSF_PROFILE", one).association for one in wanted]
    return any(not one.chosen or one.distance_s > near_s for one in found)


def _plan_lsf_of(drafts: Drafts, template: Template) -> None:
    for ifu in drafts.ifus(template.ifus):
        draft = _calibration(drafts, Stage.LSF, template, ifu)
        _bias_and_dark(draft, ifu)
        draft.master("MASTER_FLAT", ifu, ("TRACE_TABLE",))
        draft.master("WAVECAL_TABLE", ifu)
        draft.static("LINE_CATALOG")
        draft.static("BADPIX_TABLE")
        draft.done(("LSF_PROFILE",))


def _plan_twilights(drafts: Drafts) -> None:
    for template in _templates(drafts, "SKYFLAT"):
        draft = _calibration(drafts, Stage.TWILIGHT, template, None)
        if 1 not in draft.ifus:
            hint = "muse_twilight starts from IFU 1: reduce it too, or leave the sky flats out"
            draft.problems.append(Problem(draft.id, "IFU 1 is not among those reduced", hint))
        draft.illum()
        for ifu in draft.ifus:
            _masters(draft, ifu)
        draft.static("GEOMETRY_TABLE")
        draft.static("VIGNETTING_MASK")
        draft.static("BADPIX_TABLE")
        draft.done(("TWILIGHT_CUBE",))


def _masters(draft: Draft, ifu: int) -> None:
    """Add what every reduction of a lit detector needs of its IFU."""
    _bias_and_dark(draft, ifu)
    draft.master("MASTER_FLAT", ifu, ("MASTER_FLAT", "TRACE_TABLE"))
    draft.master("WAVECAL_TABLE", ifu)


def _plan_scibasic(drafts: Drafts, exposure: Frame, dataset: str) -> None:
    for ifu in drafts.ifus(exposure.ifus):
        target = exposure.target if exposure.tag == "OBJECT" else CALIBRATIONS
        draft = Draft(
            *(drafts, Stage.SCIBASIC, exposure.exposure, exposure, exposure.mjd, target),
            dataset=dataset,
            ifu=ifu,
            ifus=(ifu,),
        )
        draft.give((exposure,))
        draft.illum()
        _masters(draft, ifu)
        draft.static("GEOMETRY_TABLE")
        draft.master("TWILIGHT_CUBE")
        draft.static("BADPIX_TABLE")
        draft.done((pixtable(exposure),))


def _plan_standard(drafts: Drafts, exposure: Frame) -> None:
    draft = on_sky(drafts, Stage.STANDARD, (exposure,), exposure.exposure, None)
    draft.static("EXTINCT_TABLE")
    draft.static("STD_FLUX_TABLE")
    draft.static("TELLURIC_REGIONS")
    draft.done(("STD_RESPONSE",))


def _plan_sky(drafts: Drafts, exposure: Frame) -> None:
    draft = on_sky(drafts, Stage.SKY, (exposure,), exposure.exposure, None)
    response(draft)
    profiles(draft)
    draft.static("SKY_LINES")
    draft.done(("SKY_CONTINUUM",))
