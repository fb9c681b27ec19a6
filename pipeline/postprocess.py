"""The steps on whole exposures, datasets and targets: what muse_scipost and its kin work on. Pure.

`plan` drafts everything up to the pixel tables; from there on steps belong to a target. Which offsets an
exposure is shifted by is decided here and nowhere else: the name of a list has one owner.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pipeline.drafts import Draft, Drafts
from pipeline.given import EDIT, REFERENCE, plain
from pipeline.model import CALIBRATIONS, Dataset, Frame, FrameInput, Problem, Stage
from pipeline.modes import AO_MODES
from pipeline.recipes import BY_HAND, BY_REFERENCE
from pipeline.targets import by_template

MODELS_OF_SKY = ("model", "subtract-model")
"""Values of skymethod for which muse_scipost reads the sky's lines and their profile; for others it leaves
them unread, and they would be no part of what its products are made from."""


FIELD_LEVEL = 2
FIELD_REASON = "from the darkest part of the field itself"
"""How the sky of an exposure is had without a SKY exposure; ESO's manual, muse_scipost."""


def pixtable(exposure: Frame) -> str:
    """Name the tag of an exposure's pixel table."""
    return f"PIXTABLE_{exposure.tag}"


def _pixtables(draft: Draft, exposure: Frame) -> None:
    for ifu in draft.ifus:
        draft.take(pixtable(exposure), f"{Stage.SCIBASIC}:{exposure.exposure}:{ifu:02d}")


def on_sky(
    drafts: Drafts, stage: Stage, exposures: tuple[Frame, ...], name: str, dataset: Dataset | None
) -> Draft:
    """Begin a step that reduces pixel tables of whole exposures."""
    first = exposures[0]
    common = set(first.ifus).intersection(*(set(e.ifus) for e in exposures[1:]))
    draft = Draft(
        *(drafts, stage, name, first, first.mjd),
        *(dataset.target if dataset else CALIBRATIONS, dataset.name if dataset else first.block),
        ifus=drafts.ifus(tuple(sorted(common))),
        exposures=len(exposures),
    )
    for exposure in exposures:
        if set(drafts.ifus(exposure.ifus)) != set(draft.ifus):
            what = f"{exposure.exposure} has other IFUs than the exposures it belongs with"
            draft.problems.append(Problem(draft.id, what, "name the common ones under [data] ifus"))
        _pixtables(draft, exposure)
    return draft


def response(draft: Draft) -> None:
    """Give what turns counts into fluxes: the nearest standard's response, and its telluric absorption."""
    draft.static("EXTINCT_TABLE")
    draft.beside("STD_TELLURIC", "STD_RESPONSE", draft.master("STD_RESPONSE"))


def profiles(draft: Draft) -> None:
    """Give the line spread of each IFU."""
    for ifu in draft.ifus:
        draft.master("LSF_PROFILE", ifu)


def plan_dataset(drafts: Drafts, dataset: Dataset) -> str:
    """Plan the post-processing of a dataset; returns a remark, or nothing."""
    exposures = dataset.exposures
    for exposure in exposures:
        _plan_post(drafts, Stage.PREP_ALIGN, (exposure,), exposure.exposure, dataset)
    lists = _lists(drafts, dataset)
    if not drafts.settings.table.workflow.offset_list:
        lists = {}
    _plan_post(drafts, Stage.SCIPOST, exposures, dataset.unit, dataset, lists)
    for exposure in exposures:
        _plan_post(drafts, Stage.SCIPOST_PEREXPO, (exposure,), exposure.exposure, dataset, lists)
    if len(exposures) == 1:
        to = "to combine" if lists else "to align or to combine"
        what = f"has one exposure: nothing {to}, the cube of scipost stands"
        return f"dataset {dataset.name} of {dataset.target} {what}"
    _plan_combine(drafts, Stage.COMBINE, dataset, lists)
    return ""


def plan_target(drafts: Drafts, whole: Dataset, datasets: tuple[Dataset, ...]) -> str:
    """Plan what puts a whole target together, in one mode; returns a remark, or nothing.

    Notes
    -----
    The combined cube is made on the grid that holds all exposures, and is the OUTPUT_WCS of the cube of each.
    These come from the pixel tables of scibasic: muse_scipost_make_cube, which takes reduced ones, reads no
    OFFSET_LIST, and muse_scipost_combine_pixtables ignores it for a single exposure (seen with 2.8.7).
    """
    if len(whole.exposures) == 1:
        return f"target {whole.unit} has one exposure: there is nothing to put together"
    made = _plan_align(drafts, Stage.ALIGN_TARGET, whole)
    lists = {exposure.exposure: made for exposure in whole.exposures}
    if not drafts.settings.table.workflow.offset_list:
        lists = {}
    cube = _plan_combine(drafts, Stage.COMBINE_TARGET, whole, lists)
    for dataset in datasets:
        for exposure in dataset.exposures:
            _plan_post(drafts, Stage.FINALISE, (exposure,), exposure.exposure, dataset, lists, grid=cube)
    return ""


_Lists = Mapping[str, str]
"""By exposure, the step that makes the list which holds its offset; empty for an exposure that needs none."""


def _lists(drafts: Drafts, dataset: Dataset) -> _Lists:
    """Plan the alignments of a dataset; say which list each exposure is shifted by."""
    is_single = len(dataset.exposures) == 1 and not _reference(drafts, dataset)
    groups = by_template(dataset) if drafts.wants(Stage.ALIGN_BYGROUP) else ()
    of_group: dict[str, str] = {}
    for group in groups:
        # In a group of one there is nothing to be aligned to, unless there is a reference image.
        is_aligned = len(group.exposures) > 1 or bool(_reference(drafts, dataset))
        made = _plan_align(drafts, Stage.ALIGN_BYGROUP, group) if is_aligned else ""
        of_group.update((exposure.exposure, made) for exposure in group.exposures)
    if drafts.aligns_by == "template":
        return of_group
    made = "" if is_single else _plan_align(drafts, Stage.ALIGN, dataset)
    return {exposure.exposure: made for exposure in dataset.exposures} if made else {}


def _shift(draft: Draft, exposures: tuple[Frame, ...], lists: _Lists) -> None:
    """Give the list of offsets that covers the exposures; a recipe reads one, and others stay unshifted."""
    if not lists:
        return
    found = {lists[exposure.exposure] for exposure in exposures}
    if len(found) > 1 or (len(exposures) > 1 and "" in found):
        what = f"its exposures are of {len(found)} templates, each with offsets of its own"
        hint = '[workflow] align_by = "dataset", or a dataset for each template: [targets.NAME.datasets]'
        draft.problems.append(Problem(draft.id, what, hint))
    elif "" not in found:
        draft.take("OFFSET_LIST", found.pop())


def _plan_post(
    drafts: Drafts,
    stage: Stage,
    exposures: tuple[Frame, ...],
    name: str,
    dataset: Dataset,
    lists: _Lists = MappingProxyType({}),
    *,
    grid: str = "",
) -> None:
    """Plan a call of muse_scipost."""
    draft = on_sky(drafts, stage, exposures, name, dataset)
    response(draft)
    draft.static("ASTROMETRY_WCS")
    draft.static("FILTER_LIST")
    _shift(draft, exposures, lists)
    if grid:
        draft.take("OUTPUT_WCS", grid, "DATACUBE_FINAL")
    is_modelled = draft.parameters().get("skymethod") in MODELS_OF_SKY
    if is_modelled:
        _sky_of(draft)
    # Scattered laser light is fitted with the line spread too, whatever becomes of the sky.
    if draft.static("RAMAN_LINES") or is_modelled:
        profiles(draft)
    draft.done(())


def _sky_of(draft: Draft) -> None:
    """Give the sky of the nearest SKY exposure; without one the field's own sky is fitted."""
    found = draft.master("SKY_CONTINUUM", None, ("SKY_LINES",))
    if not found.chosen:
        at = draft.associations.index(found)
        draft.associations[at] = replace(found, level=FIELD_LEVEL, reason=FIELD_REASON)
        draft.static("SKY_LINES")
    elif draft.wanted.mode not in AO_MODES:  # with lasers on the continuum makes the fit poor
        draft.take("SKY_CONTINUUM", draft.drafts.shelves.step("SKY_CONTINUUM", None, found.chosen))


def _dataset_draft(drafts: Drafts, stage: Stage, dataset: Dataset) -> Draft:
    first = dataset.exposures[0]
    return Draft(
        *(drafts, stage, dataset.unit, first, first.mjd, dataset.target, dataset.name),
        ifus=drafts.ifus(first.ifus),
        exposures=len(dataset.exposures),
    )


def _plan_align(drafts: Drafts, stage: Stage, dataset: Dataset) -> str:
    """Plan the alignment of a dataset, a template or a target; returns the step whose list holds."""
    reference = _reference(drafts, dataset)
    draft = _dataset_draft(drafts, stage, dataset)
    for exposure in dataset.exposures:
        draft.take("IMAGE_FOV", f"{Stage.PREP_ALIGN}:{exposure.exposure}")
    if reference or drafts.settings.table.workflow.align == "reference":
        draft.row = replace(BY_REFERENCE, stage=stage)
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
    return _plan_edit(drafts, stage, dataset, measured, edits) if edits else measured


def _reference(drafts: Drafts, dataset: Dataset) -> str:
    """Name the image by which a dataset is aligned; empty for none."""
    table = drafts.settings.table.targets.get(dataset.target)
    return table.reference if table is not None else ""


def _is_edit(frame: Frame, dataset: Dataset) -> bool:
    names = plain(dataset.target), plain(dataset.unit)
    return frame.tag == EDIT and (frame.target, frame.block) == names


def idle_edits(drafts: Drafts) -> list[str]:
    """Name the tables of offsets that no dataset takes."""
    used = {
        item.frame.path
        for step in drafts.steps.values()
        for item in step.inputs
        if isinstance(item, FrameInput) and item.tag == EDIT
    }
    edits = (frame for frame in drafts.night.statics if frame.tag == EDIT and frame.path not in used)
    return [f"the offsets in {frame.path} are of no dataset that is aligned" for frame in edits]


def _plan_edit(drafts: Drafts, stage: Stage, dataset: Dataset, measured: str, edits: list[Frame]) -> str:
    """Plan the step that puts what a person edited in the place of what was measured."""
    draft = _dataset_draft(drafts, stage, dataset)
    draft.name, draft.row = f"{dataset.unit}.edited", replace(BY_HAND, stage=stage)
    draft.take("OFFSET_LIST", measured)
    draft.give(edits)
    return draft.done(()).id


def _plan_combine(drafts: Drafts, stage: Stage, dataset: Dataset, lists: _Lists) -> str:
    draft = _dataset_draft(drafts, stage, dataset)
    for exposure in dataset.exposures:
        draft.take("PIXTABLE_REDUCED", f"{Stage.SCIPOST_PEREXPO}:{exposure.exposure}")
    _shift(draft, dataset.exposures, lists)
    draft.static("FILTER_LIST")
    return draft.done(("DATACUBE_FINAL",)).id
