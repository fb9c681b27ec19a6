"""Tags: how a header says which part a frame plays, and what a static calibration must look like.

References
----------
MUSE pipeline 2.8.7, `muse.oca` and `muse_wkf.oca` (classification); MUSE data format definition.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Where frames of a tag come from."""

    RAW = "raw"
    STATIC = "static"
    MASTER = "master"


@dataclass(frozen=True, slots=True)
class RawTag:
    """A rule of classification: these values of `ESO DPR` make this tag."""

    tag: str
    categories: tuple[str, ...]
    """Values of ESO DPR CATG."""
    types: tuple[str, ...]
    """Values of ESO DPR TYPE."""
    is_on_sky: bool = False
    """Needs a pointing."""


@dataclass(frozen=True, slots=True)
class StaticTag:
    """What a static calibration of a tag must hold, so that a wrong file under it is found."""

    tag: str
    columns: tuple[str, ...] = ()
    """Columns that the table must have."""
    extension: str | None = None
    """EXTNAME of the table; None for the first extension."""
    keywords: tuple[str, ...] = ()
    """Keywords of the primary header that must be there."""
    version: int | None = None
    """Value that VERSION must have in the primary header."""


RAW_TAGS = (
    RawTag("BIAS", ("CALIB",), ("BIAS",)),
    RawTag("DARK", ("CALIB",), ("DARK",)),
    RawTag("FLAT", ("CALIB",), ("FLAT,LAMP",)),
    RawTag("ILLUM", ("CALIB",), ("FLAT,LAMP,ILLUM",)),
    RawTag("ARC", ("CALIB",), ("WAVE",)),
    RawTag("ARC_LSF", ("CALIB",), ("WAVE,LSF",)),
    RawTag("SKYFLAT", ("CALIB",), ("FLAT,SKY",)),
    RawTag("STD", ("CALIB",), ("STD",), is_on_sky=True),
    RawTag("SKY", ("CALIB", "SCIENCE"), ("SKY",), is_on_sky=True),
    RawTag("OBJECT", ("SCIENCE",), ("OBJECT",), is_on_sky=True),
    RawTag("ASTROMETRY", ("CALIB",), ("ASTROMETRY", "AST"), is_on_sky=True),
    RawTag("MASK", ("CALIB",), ("WAVE,MASK",)),
)
"""Types are compared whole: `FLAT,LAMP,ILLUM` is not a FLAT."""

STATIC_TAGS = (
    StaticTag("GEOMETRY_TABLE", ("SubField", "SliceCCD", "SliceSky", "x", "y", "angle", "width")),
    StaticTag("ASTROMETRY_WCS", keywords=("CD1_1", "CD1_2", "CD2_1", "CD2_2")),
    StaticTag("EXTINCT_TABLE", ("lambda", "extinction")),
    StaticTag("STD_FLUX_TABLE", ("lambda", "flux")),
    StaticTag("SKY_LINES", ("name", "group", "lambda", "flux"), extension="LINES"),
    StaticTag("RAMAN_LINES", ("name", "group", "lambda", "flux"), extension="LINES"),
    StaticTag("FILTER_LIST", ("lambda", "throughput")),
    StaticTag("LINE_CATALOG", ("lambda", "flux", "ion", "quality"), version=3),
    StaticTag("BADPIX_TABLE", ("xpos", "ypos", "status", "value")),
    StaticTag("VIGNETTING_MASK"),
    StaticTag("TELLURIC_REGIONS", ("lmin", "lmax", "bgmin", "bgmax")),
    StaticTag("OUTPUT_WCS"),
    StaticTag("SKY_MASK"),
)
"""The recipes check none of this: another table under EXTINCT_TABLE costs 6.5 % of the flux in silence."""

ON_SKY = frozenset(rule.tag for rule in RAW_TAGS if rule.is_on_sky)
"""Tags of raw frames that look at the sky."""
