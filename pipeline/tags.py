"""Tags: how the header of a raw frame says which part it plays.

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

TELLURIC = "TELLURIC"
"""Tag of a telluric standard: any ESO DPR TYPE with TELLU in it, as ESO's workflow has it (`%TELLU%`)."""

NOT_USED = {
    "ASTROMETRY": "the astrometric solution is a static calibration, ASTROMETRY_WCS",
    "MASK": "the geometry is a static calibration, GEOMETRY_TABLE",
    TELLURIC: "the telluric correction comes from the standard star, STD_TELLURIC",
}
"""Raw frames that are known and no part of this workflow, each with what is used instead."""

ON_SKY = frozenset(rule.tag for rule in RAW_TAGS if rule.is_on_sky)
"""Tags of raw frames that look at the sky."""
