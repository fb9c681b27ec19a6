"""From frames to the ordered graph of steps: every stage of the workflow, in its order. Pure.

Each function drafts the steps of one stage; what a step needs of other steps is found by association, so
a calibration is chosen for its exposure and never because it came last.
"""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.associate import group
from pipeline.config import Settings
from pipeline.doubts import doubts
from pipeline.drafts import CALIBRATIONS, Draft, Drafts
from pipeline.given import EDIT, REFERENCE, plain
from pipeline.layers import Setter
from pipeline.model import Dataset, Frame, FrameInput, Plan, Problem, Scan, Stage, Template
from pipeline.recipes import BY_HAND, BY_REFERENCE
from pipeline.rules import AO_MODES, RULES, TELLURIC_WINDOW_S, VIGNETTING_ENDS_MJD
from pipeline.targets import by_target

MODELS_OF_SKY = ("model", "subtract-model")
"""Values of skymethod for which muse_scipost reads the sky's lines and their profile; for others it leaves
them unread, and they would be no part of what its products are made from."""

LAMPS = ("HgCd", "Ne", "Xe")
"""Arc lamps of which the wavelength calibration needs at least one exposure each."""


def plan(
    found: Scan,
    settings: Settings,
    arguments: Mapping[Stage, Mapping[str, str]] = MappingProxyType({}),
    illum_of: Mapping[Stage, bool] = MappingProxyType({}),
    *,
    argued_by: Setter = Setter.CALL,
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

    Returns
    -------
    Plan
        Steps with those they depend on first; the same for the same frames in any order.
    """
    named, excluded = by_target(found.frames, settings.table.targets)
    kept, problems = _selected(named, settings)
    drafts = Drafts(group(kept), settings, arguments, illum_of, argued_by)
    _plan_biases(drafts)
    if settings.table.workflow.dark:
        _plan_darks(drafts)
    _plan_flats(drafts)
    _plan_wavelengths(drafts)
    _plan_lsf(drafts)
    _plan_twilights(drafts)
    for exposure in drafts.night.exposures:
        _plan_scibasic(drafts, exposure)
    for exposure in _tagged(drafts, "STD"):
        _plan_standard(drafts, exposure)
    for exposure in _tagged(drafts, "SKY"):
        _plan_sky(drafts, exposure)
    remarks = [_plan_dataset(drafts, dataset) for dataset in drafts.night.datasets]
    remarks += _idle_edits(drafts)
    order = {stage: number for number, stage in enumerate(Stage)}
    steps = sorted(drafts.steps.values(), key=lambda step: order[step.stage])
    said = (*found.remarks, *excluded, *doubts(steps, RULES), *filter(None, remarks))
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


def _ifus(drafts: Drafts, live: tuple[int, ...]) -> tuple[int, ...]:
    wanted = drafts.settings.table.data.ifus
    return tuple(ifu for ifu in live if not wanted or ifu in wanted)


def _templates(drafts: Drafts, *tags: str) -> list[Template]:
    return [template for template in drafts.night.templates if template.tag in tags]


def _tagged(drafts: Drafts, tag: str) -> list[Frame]:
    return [exposure for exposure in drafts.night.exposures if exposure.tag == tag]


def _calibration(drafts: Drafts, stage: Stage, template: Template, ifu: int | None) -> Draft:
    ifus = (ifu,) if ifu is not None else _ifus(drafts, template.ifus)
    draft = Draft(drafts, stage, template.start, template.frames[0], template.mjd, ifu=ifu, ifus=ifus)
    draft.give(template.frames)
    return draft


def _plan_biases(drafts: Drafts) -> None:
    for template in _templates(drafts, "BIAS"):
        for ifu in _ifus(drafts, template.ifus):
            draft = _calibration(drafts, Stage.BIAS, template, ifu)
            draft.static("BADPIX_TABLE")
            draft.done(("MASTER_BIAS",))


def _plan_darks(drafts: Drafts) -> None:
    for template in _templates(drafts, "DARK"):
        for ifu in _ifus(drafts, template.ifus):
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
        for ifu in _ifus(drafts, template.ifus):
            draft = _calibration(drafts, Stage.FLAT, template, ifu)
            _bias_and_dark(draft, ifu)
            draft.static("BADPIX_TABLE")
            draft.done(("MASTER_FLAT",))


def _plan_wavelengths(drafts: Drafts) -> None:
    for template in _templates(drafts, "ARC"):
        for ifu in _ifus(drafts, template.ifus):
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
    """Use the arcs taken for it where there are any, else those of the wavelength calibration."""
    modes = {template.frames[0].mode for template in _templates(drafts, "ARC_LSF")}
    for template in _templates(drafts, "ARC", "ARC_LSF"):
        if template.tag == "ARC" and template.frames[0].mode in modes:
            continue
        for ifu in _ifus(drafts, template.ifus):
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
        if template.mjd < VIGNETTING_ENDS_MJD and draft.wanted.field == "WFM":
            draft.static("VIGNETTING_MASK")
        draft.static("BADPIX_TABLE")
        draft.done(("TWILIGHT_CUBE",))


def _masters(draft: Draft, ifu: int) -> None:
    """Add what every reduction of a lit detector needs of its IFU."""
    _bias_and_dark(draft, ifu)
    draft.master("MASTER_FLAT", ifu, ("MASTER_FLAT", "TRACE_TABLE"))
    draft.master("WAVECAL_TABLE", ifu)


def _plan_scibasic(drafts: Drafts, exposure: Frame) -> None:
    for ifu in _ifus(drafts, exposure.ifus):
        target = exposure.target if exposure.tag == "OBJECT" else CALIBRATIONS
        draft = Draft(
            *(drafts, Stage.SCIBASIC, exposure.exposure, exposure, exposure.mjd, target),
            dataset=exposure.block,
            ifu=ifu,
            ifus=(ifu,),
        )
        draft.give((exposure,))
        draft.illum()
        _masters(draft, ifu)
        draft.static("GEOMETRY_TABLE")
        draft.master("TWILIGHT_CUBE")
        draft.static("BADPIX_TABLE")
        draft.done((_pixtable(exposure),))


def _pixtable(exposure: Frame) -> str:
    return f"PIXTABLE_{exposure.tag}"


def _pixtables(draft: Draft, exposure: Frame) -> None:
    for ifu in draft.ifus:
        draft.take(_pixtable(exposure), f"{Stage.SCIBASIC}:{exposure.exposure}:{ifu:02d}")


def _on_sky(
    drafts: Drafts, stage: Stage, exposures: tuple[Frame, ...], name: str, dataset: Dataset | None
) -> Draft:
    """Begin a step that reduces pixel tables of whole exposures."""
    first = exposures[0]
    common = set(first.ifus).intersection(*(set(e.ifus) for e in exposures[1:]))
    draft = Draft(
        *(drafts, stage, name, first, first.mjd),
        *(dataset.target if dataset else CALIBRATIONS, dataset.name if dataset else first.block),
        ifus=_ifus(drafts, tuple(sorted(common))),
        exposures=len(exposures),
    )
    for exposure in exposures:
        if set(_ifus(drafts, exposure.ifus)) != set(draft.ifus):
            what = f"{exposure.exposure} has other IFUs than the exposures it belongs with"
            draft.problems.append(Problem(draft.id, what, "name the common ones under [data] ifus"))
        _pixtables(draft, exposure)
    return draft


def _plan_standard(drafts: Drafts, exposure: Frame) -> None:
    draft = _on_sky(drafts, Stage.STANDARD, (exposure,), exposure.exposure, None)
    draft.static("EXTINCT_TABLE")
    draft.static("STD_FLUX_TABLE")
    draft.static("TELLURIC_REGIONS")
    draft.done(("STD_RESPONSE",))


def _response(draft: Draft) -> None:
    draft.static("EXTINCT_TABLE")
    found = draft.master("STD_RESPONSE")
    if found.chosen and found.distance_s <= TELLURIC_WINDOW_S:
        draft.take("STD_TELLURIC", draft.drafts.maker("STD_RESPONSE", None, found.chosen))


def _profiles(draft: Draft) -> None:
    for ifu in draft.ifus:
        draft.master("LSF_PROFILE", ifu)


def _plan_sky(drafts: Drafts, exposure: Frame) -> None:
    draft = _on_sky(drafts, Stage.SKY, (exposure,), exposure.exposure, None)
    _response(draft)
    _profiles(draft)
    draft.static("SKY_LINES")
    draft.done(("SKY_CONTINUUM",))


def _plan_dataset(drafts: Drafts, dataset: Dataset) -> str:
    """Plan the post-processing of a dataset; returns a remark, or nothing."""
    exposures = dataset.exposures
    for exposure in exposures:
        _plan_post(drafts, Stage.PREP_ALIGN, (exposure,), exposure.exposure, dataset, None)
    reference = _reference(drafts, dataset)
    offsets = _plan_align(drafts, dataset, reference) if len(exposures) > 1 or reference else None
    if offsets and not drafts.settings.table.workflow.offset_list:
        offsets = None
    _plan_post(drafts, Stage.SCIPOST, exposures, dataset.name, dataset, offsets)
    for exposure in exposures:
        _plan_post(drafts, Stage.SCIPOST_PEREXPO, (exposure,), exposure.exposure, dataset, offsets)
    if len(exposures) == 1:
        to = "to combine" if offsets else "to align or to combine"
        what = f"has one exposure: nothing {to}, the cube of scipost stands"
        return f"dataset {dataset.name} of {dataset.target} {what}"
    _plan_combine(drafts, dataset, offsets)
    return ""


def _plan_post(
    drafts: Drafts,
    stage: Stage,
    exposures: tuple[Frame, ...],
    name: str,
    dataset: Dataset,
    offsets: str | None,
) -> None:
    """Plan a call of muse_scipost."""
    draft = _on_sky(drafts, stage, exposures, name, dataset)
    _response(draft)
    draft.static("ASTROMETRY_WCS")
    draft.static("FILTER_LIST")
    if offsets:
        draft.take("OFFSET_LIST", offsets)
    is_modelled = draft.parameters().get("skymethod") in MODELS_OF_SKY
    if is_modelled:
        _sky_of(draft)
    if is_modelled or draft.wanted.mode in AO_MODES:
        _profiles(draft)
    if draft.wanted.mode in AO_MODES:
        draft.static("RAMAN_LINES")
    draft.done(())


def _sky_of(draft: Draft) -> None:
    """Give the sky of the nearest SKY exposure; without one the field's own sky is fitted."""
    found = draft.master("SKY_CONTINUUM", None, ("SKY_LINES",))
    if not found.chosen:
        draft.static("SKY_LINES")
    elif draft.wanted.mode not in AO_MODES:  # with lasers on the continuum makes the fit poor
        draft.take("SKY_CONTINUUM", draft.drafts.maker("SKY_CONTINUUM", None, found.chosen))


def _dataset_draft(drafts: Drafts, stage: Stage, dataset: Dataset) -> Draft:
    first = dataset.exposures[0]
    return Draft(
        *(drafts, stage, dataset.name, first, first.mjd, dataset.target, dataset.name),
        ifus=_ifus(drafts, first.ifus),
        exposures=len(dataset.exposures),
    )


def _plan_align(drafts: Drafts, dataset: Dataset, reference: str) -> str:
    """Plan the alignment of a dataset; returns the step whose list holds."""
    draft = _dataset_draft(drafts, Stage.ALIGN, dataset)
    for exposure in dataset.exposures:
        draft.take("IMAGE_FOV", f"{Stage.PREP_ALIGN}:{exposure.exposure}")
    if reference or drafts.settings.table.workflow.align == "reference":
        draft.row = BY_REFERENCE
    if reference:
        images = [
            frame for frame in drafts.night.statics if frame.tag == REFERENCE and frame.block == reference
        ]
        draft.give(images)
        if not images:
            what = f"the reference image {reference} of {dataset.target} cannot be read"
            draft.problems.append(Problem(draft.id, what, "see [targets.NAME] reference in clio.toml"))
    measured = draft.done(("OFFSET_LIST",)).id
    edits = [frame for frame in drafts.night.statics if _is_edit(frame, dataset)]
    return _plan_edit(drafts, dataset, measured, edits) if edits else measured


def _reference(drafts: Drafts, dataset: Dataset) -> str:
    """Name the image by which a dataset is aligned; empty for none."""
    table = drafts.settings.table.targets.get(dataset.target)
    return table.reference if table is not None else ""


def _is_edit(frame: Frame, dataset: Dataset) -> bool:
    names = plain(dataset.target), plain(dataset.name)
    return frame.tag == EDIT and (frame.target, frame.block) == names


def _idle_edits(drafts: Drafts) -> list[str]:
    """Name the tables of offsets that no dataset takes."""
    used = {
        item.frame.path
        for step in drafts.steps.values()
        for item in step.inputs
        if isinstance(item, FrameInput) and item.tag == EDIT
    }
    edits = (frame for frame in drafts.night.statics if frame.tag == EDIT and frame.path not in used)
    return [f"the offsets in {frame.path} are of no dataset that is aligned" for frame in edits]


def _plan_edit(drafts: Drafts, dataset: Dataset, measured: str, edits: list[Frame]) -> str:
    """Plan the step that puts what a person edited in the place of what was measured."""
    draft = _dataset_draft(drafts, Stage.ALIGN, dataset)
    draft.name, draft.row = f"{dataset.name}.edited", BY_HAND
    draft.take("OFFSET_LIST", measured)
    draft.give(edits)
    return draft.done(()).id


def _plan_combine(drafts: Drafts, dataset: Dataset, offsets: str | None) -> None:
    draft = _dataset_draft(drafts, Stage.COMBINE, dataset)
    for exposure in dataset.exposures:
        draft.take("PIXTABLE_REDUCED", f"{Stage.SCIPOST_PEREXPO}:{exposure.exposure}")
    if offsets:
        draft.take("OFFSET_LIST", offsets)
    draft.static("FILTER_LIST")
    draft.done(("DATACUBE_FINAL",))
