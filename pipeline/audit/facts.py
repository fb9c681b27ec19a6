"""What is known of the MUSE recipes of all versions, as tables, to hold headers against. Pure data.

References
----------
MUSE pipeline manuals 1.6 to 2.8.7 (products and their categories); `esorex --man-page` of 2.8.7.
"""

from pipeline.recipes import RECIPES

MADE_BY = {
    "muse_ampl": ("AMPLIFICATION_MASTER", "AMPLIFICATION_TABLE", "TABLE_AMPL", "MASTER_AMPL"),
    "muse_astrometry": ("DATACUBE_ASTROMETRY", "ASTROMETRY_WCS"),
    "muse_bias": ("MASTER_BIAS",),
    "muse_create_sky": (
        *("SKY_MASK", "SKY_IMAGE", "IMAGE_FOV", "SKY_SPECTRUM", "SKY_LINES", "SKY_CONTINUUM"),
        "PIXTABLE_SKY",
    ),
    "muse_dark": ("MASTER_DARK", "MODEL_DARK"),
    "muse_exp_align": ("OFFSET_LIST", "SOURCE_LIST", "PREVIEW_FOV", "EXPOSURE_MAP"),
    "muse_exp_combine": ("DATACUBE_FINAL", "IMAGE_FOV", "OBJECT_RESAMPLED", "PIXTABLE_COMBINED"),
    "muse_flat": ("MASTER_FLAT", "TRACE_TABLE", "TRACE_SAMPLES"),
    "muse_geometry": (
        *("MASK_REDUCED", "MASK_COMBINED", "MASK_CHECK", "SPOTS_TABLE"),
        *("GEOMETRY_TABLE", "GEOMETRY_UNSMOOTHED", "GEOMETRY_CUBE", "GEOMETRY_CHECK"),
    ),
    "muse_lingain": ("NONLINEARITY_GAIN",),
    "muse_lsf": ("LSF_PROFILE", "ARC_SUBTRACTED"),
    "muse_scibasic": (
        *(f"{kind}_RED" for kind in ("OBJECT", "STD", "SKY", "ASTROMETRY")),
        *(f"{kind}_RESAMPLED" for kind in ("OBJECT", "STD", "SKY", "ASTROMETRY")),
        *(f"PIXTABLE_{kind}" for kind in ("OBJECT", "STD", "SKY", "ASTROMETRY")),
    ),
    "muse_scipost": (
        *("DATACUBE_FINAL", "IMAGE_FOV", "OBJECT_RESAMPLED", "PIXTABLE_REDUCED", "PIXTABLE_POSITIONED"),
        *("PIXTABLE_COMBINED", "SKY_MASK", "SKY_IMAGE", "SKY_SPECTRUM", "SKY_LINES", "SKY_CONTINUUM"),
        *("AUTOCAL_MASK", "AUTOCAL_FACTORS", "RAMAN_IMAGES"),
    ),
    "muse_scipost_apply_astrometry": ("PIXTABLE_REDUCED",),
    "muse_scipost_calibrate_flux": ("PIXTABLE_REDUCED",),
    "muse_scipost_combine_pixtables": ("PIXTABLE_COMBINED",),
    "muse_scipost_correct_dar": ("PIXTABLE_REDUCED",),
    "muse_scipost_correct_rv": ("PIXTABLE_REDUCED",),
    "muse_scipost_make_cube": ("DATACUBE_FINAL", "IMAGE_FOV", "OBJECT_RESAMPLED"),
    "muse_scipost_raman": ("PIXTABLE_REDUCED", "RAMAN_IMAGES", "SKY_MASK", "SKY_IMAGE"),
    "muse_scipost_subtract_sky": ("PIXTABLE_REDUCED",),
    "muse_scipost_subtract_sky_simple": ("PIXTABLE_REDUCED", "PIXTABLE_OBJECT"),
    "muse_standard": ("DATACUBE_STD", "STD_FLUXES", "STD_RESPONSE", "STD_TELLURIC"),
    "muse_twilight": ("TWILIGHT_CUBE", "DATACUBE_SKYFLAT"),
    "muse_wavecal": (
        *("WAVECAL_TABLE", "WAVECAL_RESIDUALS", "WAVECAL_DEBUG", "ARC_RED_LAMP", "ARC_RED"),
        *("ARC_RESAMPLED", "WAVE_MAP"),
    ),
    "clio_align": ("OFFSET_LIST",),
    "clio_offsets": ("OFFSET_LIST",),
}
"""Recipe, and values of ESO PRO CATG that it makes in any version. What is not here is not judged."""

NEEDED = {
    recipe.name: tuple(rule.tag for rule in recipe.inputs if rule.least)
    for recipe in RECIPES.values()
    if not recipe.is_ours
}
"""Recipe, and tags without which Clio does not call it: the recipes themselves run with less."""

LACKS = {
    "EXTINCT_TABLE": "not corrected for extinction (6.5 % in flux, as measured)",
    "STD_RESPONSE": "not calibrated in flux",
    "MASTER_BIAS": "nothing names the bias that was subtracted",
    "MASTER_FLAT": "not flat-fielded",
    "TRACE_TABLE": "nothing names the trace",
    "WAVECAL_TABLE": "nothing names the wavelength calibration",
    "GEOMETRY_TABLE": "nothing names the geometry",
    "LINE_CATALOG": "nothing names the list of lines",
    "STD_FLUX_TABLE": "nothing names the flux of the standard star",
    "LSF_PROFILE": "the sky was modelled without the line spread, if it was",
    "SKY_LINES": "nothing names the list of sky lines",
}
"""What follows from a calibration that a recipe's record does not name."""

EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
"""MD5 of no byte: the DATAMD5 of every file without data, such as ASTROMETRY_WCS. It identifies nothing."""

UNFINISHED = "Not computed"
"""DATAMD5 of a product whose recipe was stopped before esorex came to it."""

COVERED = 46080
"""Bytes of each data unit that DATAMD5 covers, by esorex 3.13.6: it reads these again for each chunk."""

OURS = frozenset({"nifu", "merge"})
"""Parameters that Clio sets by itself: it calls a recipe for one IFU at a time, whose products are apart."""

OF_FIELD = {"wfm": "WFM", "nfm": "NFM"}
"""Words in the names of static calibrations, and the field that they mean."""

OF_LASERS = frozenset({"RAMAN_LINES"})
"""Calibrations that make sense only where there are lasers."""

EARLY_SKY = frozenset({"SKY_IMAGE", "SKY_MASK", "SKY_SPECTRUM"})
"""Products that are written before the sky is modelled: their records name nothing that comes later."""
