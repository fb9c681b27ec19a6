"""The recipes and the stages that call them: tags, counts, parameters, threads and memory, as data.

References
----------
MUSE pipeline manual 2.8.7 and `esorex --man-page` of each recipe; the parameters of the stages are those
of the workflow astronomers know from pymusepipe.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.model import Expected, Stage
from pipeline.modes import mode_of


@dataclass(frozen=True, slots=True)
class InputRule:
    """How many frames of a tag a recipe takes."""

    tag: str
    least: int
    most: int | None = 1
    """None for any number."""
    counted_by: str = "set"
    """What the counts refer to: the whole `set`, each `ifu`, or each `exposure`."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe of the MUSE library and what it needs from its surroundings."""

    name: str
    inputs: tuple[InputRule, ...]
    threads: int | None
    """OMP_NUM_THREADS: part of the key, as some recipes give other bits with another number. None where the
    passport says that any number gives the same bits, and more are quicker: then it is that of the cores."""
    base_memory: int
    """Bytes it takes whatever it is given: a first guess, until earlier runs tell."""
    memory_factor: float
    """Bytes more for each byte of input."""
    spec: int = 1
    """Raised by hand when our way of staging it changes; of one of ours, when what it computes does."""
    is_ours: bool = False
    """Whether it is a recipe of our own, and no image has it; see `pipeline.own`."""


@dataclass(frozen=True, slots=True)
class StageRow:
    """What a stage calls and how."""

    stage: Stage
    recipe: str
    parameters: tuple[tuple[str, str], ...]
    """Options the workflow sets; everything else is the recipe's default."""
    outputs: tuple[Expected, ...]
    """Products that must come out whatever the parameters; see `expected_products` for the rest."""
    unit: str
    """What one step of it works on, in words."""
    fixed: tuple[str, ...] = ()
    """Options that later stages rely on: parameters meant for all calls of the recipe leave them alone."""
    takes_arguments: bool = True
    """Whether parameters given with a call of the stage are meant for it."""


_GB = 10**9

ALIGNMENT_FILTER = "Cousins_R"
"""Filter of the images by which exposures are aligned, unless the settings say another."""


def _raw(tag: str, least: int) -> InputRule:
    return InputRule(tag, least, None)


def _one(tag: str) -> InputRule:
    return InputRule(tag, 1, 1)


def _maybe(tag: str) -> InputRule:
    return InputRule(tag, 0, 1)


def _per_ifu(tag: str, least: int = 1) -> InputRule:
    return InputRule(tag, least, 1, "ifu")


_SKY_MODEL = (_maybe("STD_TELLURIC"), _maybe("SKY_LINES"), _maybe("SKY_CONTINUUM"), _maybe("SKY_MASK"))

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("muse_bias", (_raw("BIAS", 3), _maybe("BADPIX_TABLE")), 1, _GB // 2, 3.5),
        Recipe(
            "muse_dark",
            (_raw("DARK", 3), _one("MASTER_BIAS"), _maybe("BADPIX_TABLE")),
            *(1, _GB // 2, 2.0),
        ),
        Recipe(
            "muse_flat",
            (_raw("FLAT", 3), _one("MASTER_BIAS"), _maybe("MASTER_DARK"), _maybe("BADPIX_TABLE")),
            *(1, _GB // 2, 2.0),
        ),
        Recipe(
            "muse_wavecal",
            (
                _raw("ARC", 3),
                *(_one(tag) for tag in ("MASTER_BIAS", "TRACE_TABLE", "LINE_CATALOG")),
                *(_maybe(tag) for tag in ("MASTER_DARK", "MASTER_FLAT", "BADPIX_TABLE")),
            ),
            *(1, _GB // 2, 2.0),
        ),
        Recipe(
            "muse_lsf",
            (
                InputRule("ARC", 0, None),
                InputRule("ARC_LSF", 0, None),
                *(_one(tag) for tag in ("MASTER_BIAS", "TRACE_TABLE", "WAVECAL_TABLE", "LINE_CATALOG")),
                *(_maybe(tag) for tag in ("MASTER_DARK", "MASTER_FLAT", "BADPIX_TABLE")),
            ),
            *(1, _GB, 2.0),
        ),
        Recipe(
            "muse_twilight",
            (
                _raw("SKYFLAT", 3),
                _maybe("ILLUM"),
                *(_per_ifu(tag) for tag in ("MASTER_BIAS", "MASTER_FLAT", "TRACE_TABLE", "WAVECAL_TABLE")),
                _per_ifu("MASTER_DARK", 0),
                _one("GEOMETRY_TABLE"),
                *(_maybe(tag) for tag in ("VIGNETTING_MASK", "BADPIX_TABLE")),
            ),
            *(2, _GB, 1.0),
        ),
        Recipe(
            "muse_scibasic",
            (
                *(InputRule(tag, 0, 1) for tag in ("OBJECT", "SKY", "STD")),
                _maybe("ILLUM"),
                *(_one(tag) for tag in ("MASTER_BIAS", "MASTER_FLAT", "TRACE_TABLE", "WAVECAL_TABLE")),
                _one("GEOMETRY_TABLE"),
                *(_maybe(tag) for tag in ("TWILIGHT_CUBE", "MASTER_DARK", "BADPIX_TABLE")),
            ),
            *(1, _GB, 1.0),
        ),
        Recipe(
            "muse_standard",
            (
                _per_ifu("PIXTABLE_STD"),
                *(_one(tag) for tag in ("EXTINCT_TABLE", "STD_FLUX_TABLE")),
                *(_maybe(tag) for tag in ("TELLURIC_REGIONS", "FILTER_LIST")),
            ),
            *(None, _GB // 2, 2.2),
        ),
        Recipe(
            "muse_create_sky",
            (
                _per_ifu("PIXTABLE_SKY"),
                _per_ifu("LSF_PROFILE"),
                *(_one(tag) for tag in ("EXTINCT_TABLE", "STD_RESPONSE", "SKY_LINES")),
                *(_maybe(tag) for tag in ("STD_TELLURIC", "SKY_CONTINUUM", "SKY_MASK")),
            ),
            *(2, _GB // 2, 2.2),
        ),
        Recipe(
            "muse_scipost",
            (
                InputRule("PIXTABLE_OBJECT", 1, None, "ifu"),
                _per_ifu("LSF_PROFILE", 0),
                *(_one(tag) for tag in ("EXTINCT_TABLE", "STD_RESPONSE")),
                *_SKY_MODEL,
                *(_maybe(tag) for tag in ("ASTROMETRY_WCS", "OFFSET_LIST", "FILTER_LIST", "OUTPUT_WCS")),
                *(_maybe(tag) for tag in ("AUTOCAL_FACTORS", "RAMAN_LINES")),
            ),
            *(2, _GB // 2, 2.2),
        ),
        Recipe("muse_exp_align", (InputRule("IMAGE_FOV", 2, None), _maybe("SOURCE_LIST")), 1, _GB // 10, 3.0),
        Recipe(
            "muse_exp_combine",
            (
                InputRule("PIXTABLE_REDUCED", 2, None),
                *(_maybe(tag) for tag in ("OFFSET_LIST", "FILTER_LIST", "OUTPUT_WCS")),
            ),
            *(None, _GB // 2, 3.0),
        ),
        Recipe(
            "clio_align",
            (InputRule("IMAGE_FOV", 1, None), _maybe("REFERENCE_IMAGE")),
            *(1, _GB // 2, 30.0),
            is_ours=True,
        ),
        Recipe(
            "clio_offsets",
            (_one("OFFSET_LIST"), _one("OFFSET_EDIT")),
            *(1, _GB // 10, 3.0),
            is_ours=True,
        ),
    )
}
"""By name."""

_BY_SOURCES = (("srcmin", "3"), ("srcmax", "80"), ("threshold", "10"), ("fwhm", "5"))

STAGES = {
    row.stage: row
    for row in (
        StageRow(Stage.BIAS, "muse_bias", (), (Expected("MASTER_BIAS"),), "template and IFU"),
        StageRow(Stage.DARK, "muse_dark", (), (Expected("MASTER_DARK"),), "template and IFU"),
        StageRow(
            Stage.FLAT,
            "muse_flat",
            (),
            (Expected("MASTER_FLAT"), Expected("TRACE_TABLE")),
            "template and IFU",
        ),
        StageRow(Stage.WAVE, "muse_wavecal", (), (Expected("WAVECAL_TABLE"),), "template and IFU"),
        StageRow(Stage.LSF, "muse_lsf", (), (Expected("LSF_PROFILE"),), "template and IFU"),
        StageRow(
            Stage.TWILIGHT,
            "muse_twilight",
            (),
            (Expected("TWILIGHT_CUBE"), Expected("DATACUBE_SKYFLAT")),
            "template",
        ),
        StageRow(Stage.SCIBASIC, "muse_scibasic", (("saveimage", "FALSE"),), (), "exposure and IFU"),
        StageRow(
            Stage.STANDARD,
            "muse_standard",
            (),
            tuple(Expected(t) for t in ("DATACUBE_STD", "STD_FLUXES", "STD_RESPONSE", "STD_TELLURIC")),
            "exposure",
        ),
        StageRow(
            Stage.SKY,
            "muse_create_sky",
            (("fraction", "0.8"),),
            tuple(
                Expected(t) for t in ("SKY_MASK", "SKY_IMAGE", "SKY_SPECTRUM", "SKY_LINES", "SKY_CONTINUUM")
            ),
            "exposure",
        ),
        StageRow(
            Stage.PREP_ALIGN,
            "muse_scipost",
            (
                ("save", "cube"),
                ("skymethod", "model"),
                ("skymodel_fraction", "0.05"),
                ("filter", ALIGNMENT_FILTER),
            ),
            (),
            "exposure",
            ("save", "filter"),
        ),
        StageRow(Stage.ALIGN, "muse_exp_align", _BY_SOURCES, (Expected("OFFSET_LIST"),), "dataset"),
        StageRow(
            *(Stage.ALIGN_BYGROUP, "muse_exp_align", _BY_SOURCES, (Expected("OFFSET_LIST"),)),
            "template of a dataset",
        ),
        StageRow(
            Stage.SCIPOST,
            "muse_scipost",
            (
                ("save", "cube,skymodel,individual"),
                ("skymethod", "model"),
                ("skymodel_fraction", "0.05"),
                ("filter", "white,Cousins_R"),
            ),
            (),
            "dataset",
        ),
        StageRow(
            Stage.SCIPOST_PEREXPO,
            "muse_scipost",
            (("save", "individual"), ("skymethod", "model"), ("skymodel_fraction", "0.05")),
            (),
            "exposure",
            ("save",),
        ),
        StageRow(
            Stage.COMBINE,
            "muse_exp_combine",
            (("save", "cube"), ("filter", "white,Cousins_R")),
            (),
            "dataset",
        ),
        StageRow(
            Stage.ALIGN_TARGET,
            "muse_exp_align",
            (*_BY_SOURCES, ("expmap", "TRUE")),
            (Expected("OFFSET_LIST"), Expected("EXPOSURE_MAP")),
            "target",
            ("expmap",),
        ),
        StageRow(
            Stage.COMBINE_TARGET,
            "muse_exp_combine",
            (("save", "cube"), ("filter", "white,Cousins_R")),
            (),
            "target",
            ("save",),
        ),
        StageRow(
            Stage.FINALISE,
            "muse_scipost",
            (
                ("save", "cube"),
                ("skymethod", "model"),
                ("skymodel_fraction", "0.05"),
                ("filter", "white,Cousins_R"),
            ),
            (),
            "exposure",
            ("save",),
        ),
    )
}
"""By stage, in the order of the workflow."""

BY_REFERENCE = StageRow(Stage.ALIGN, "clio_align", (), (Expected("OFFSET_LIST"),), "dataset")
"""What the alignment calls in place of muse_exp_align, if the settings want it."""
BY_HAND = StageRow(
    *(Stage.ALIGN, "clio_offsets", (), (Expected("OFFSET_LIST"),), "dataset"), takes_arguments=False
)
"""What puts a table that a person edited in the place of what was measured."""

ROWS = (*STAGES.values(), BY_REFERENCE, BY_HAND)
"""Every way in which a stage may call a recipe."""

PER_IFU = frozenset({Stage.BIAS, Stage.DARK, Stage.FLAT, Stage.WAVE, Stage.LSF, Stage.SCIBASIC})
"""Stages that call their recipe once an IFU: less memory, smaller blast radius, exact hits."""

FINAL = (Stage.ALIGN_TARGET, Stage.COMBINE_TARGET, Stage.FINALISE)
"""Stages that put whole targets together, one after the other."""

ON_REQUEST = frozenset({Stage.ALIGN_BYGROUP, *FINAL})
"""Stages that are planned only if the settings or a call ask for them."""

PER_EXPOSURE = frozenset(
    {
        *(Stage.SCIBASIC, Stage.STANDARD, Stage.SKY, Stage.PREP_ALIGN),
        *(Stage.SCIPOST_PEREXPO, Stage.FINALISE),
    }
)
"""Stages whose steps work on one exposure, and go by its name."""

PER_DATASET = frozenset({Stage.ALIGN, Stage.SCIPOST, Stage.COMBINE})
"""Stages whose steps work on a dataset, and go by its name."""

PER_TARGET = frozenset({Stage.ALIGN_TARGET, Stage.COMBINE_TARGET})
"""Stages whose steps work on a target in one mode, and go by its name."""

SKY_PRODUCTS = ("SKY_MASK", "SKY_IMAGE", "SKY_SPECTRUM", "SKY_LINES", "SKY_CONTINUUM")
"""Saved by muse_scipost for each exposure with `save=skymodel`."""


def in_mode(row: StageRow, mode: str) -> StageRow:
    """Give what a stage calls in a mode of the instrument (ESO INS MODE); an unknown one changes nothing."""
    known = mode_of(mode)
    own = (
        {option: value for recipe, option, value in known.parameters if recipe == row.recipe} if known else {}
    )
    return replace(row, parameters=tuple((dict(row.parameters) | own).items())) if own else row


def expected_products(
    stage: Stage, parameters: Mapping[str, str], exposures: int, given: frozenset[str]
) -> tuple[Expected, ...]:
    """Say which products a step must leave behind.

    Parameters
    ----------
    stage : Stage
        The stage of the step.
    parameters : mapping of str to str
        Option to value, for `save`, `filter` and `skymethod` of the post-processing.
    exposures : int
        Exposures the step is given.
    given : frozenset of str
        Tags of its inputs.

    Returns
    -------
    tuple of Expected
        Tag, least count and filter; in a fixed order.
    """
    row = STAGES[stage]
    if stage is Stage.SCIBASIC:
        return tuple(Expected(f"PIXTABLE_{tag}") for tag in ("OBJECT", "SKY", "STD") if tag in given)
    if row.recipe not in ("muse_scipost", "muse_exp_combine"):
        return row.outputs
    saved = parameters.get("save", "cube").split(",")
    expected: list[Expected] = []
    if "cube" in saved:
        expected.append(Expected("DATACUBE_FINAL"))
        expected += [
            Expected("IMAGE_FOV", 1, name) for name in parameters.get("filter", "white").split(",") if name
        ]
    if "individual" in saved:
        expected.append(Expected("PIXTABLE_REDUCED", exposures))
    if "combined" in saved:
        expected.append(Expected("PIXTABLE_COMBINED"))
    if "skymodel" in saved and parameters.get("skymethod") == "model":
        # A continuum that was given is subtracted as it is, and not made again.
        expected += [
            Expected(tag, exposures) for tag in SKY_PRODUCTS if tag != "SKY_CONTINUUM" or tag not in given
        ]
    return tuple(expected)


TYPICAL_S = {
    stage: float(seconds)
    for stage, seconds in {
        Stage.BIAS: 12,
        Stage.DARK: 14,
        Stage.FLAT: 14,
        Stage.WAVE: 14,
        Stage.LSF: 45,
        Stage.TWILIGHT: 60,
        Stage.SCIBASIC: 16,
        Stage.STANDARD: 45,
        Stage.SKY: 45,
        Stage.PREP_ALIGN: 60,
        Stage.ALIGN: 1,
        Stage.SCIPOST: 150,
        Stage.SCIPOST_PEREXPO: 60,
        Stage.COMBINE: 90,
        Stage.ALIGN_BYGROUP: 1,
        Stage.ALIGN_TARGET: 1,
        Stage.COMBINE_TARGET: 90,
        Stage.FINALISE: 60,
    }.items()
}
"""Seconds a step takes with two IFUs and three raw frames: a first guess for the time left."""

TYPICAL_UNITS = {
    **dict.fromkeys((Stage.BIAS, Stage.DARK, Stage.FLAT, Stage.WAVE, Stage.LSF), 3),
    Stage.TWILIGHT: 8,
    Stage.SCIBASIC: 2,
    **dict.fromkeys((Stage.STANDARD, Stage.SKY, Stage.PREP_ALIGN, Stage.SCIPOST_PEREXPO), 2),
    Stage.SCIPOST: 6,
    Stage.FINALISE: 2,
    **dict.fromkeys((Stage.ALIGN, Stage.ALIGN_BYGROUP, Stage.ALIGN_TARGET), 3),
    **dict.fromkeys((Stage.COMBINE, Stage.COMBINE_TARGET), 3),
}
"""Of what size that step is: raw frames or pixel tables, each IFU for itself, or images."""
