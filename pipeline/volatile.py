"""Cards that move though the science does not: a table of what was measured, and where. Pure data.

Nothing stands here because somebody thought so. Each row is what `clio passport RECIPE` saw when it ran a
recipe again under another clock, host name, user and directory, with `--real-clock` too; a test measures
again and fails where row and measurement disagree.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """What moved in the products of a recipe, and nothing else did."""

    version: str
    """Of the recipe, as its products name it."""
    values: tuple[str, ...]
    """Keywords whose value moved."""
    comments: tuple[str, ...]
    """Keywords whose comment moved and whose value stayed."""


_MUSE = "muse/2.8.7"
_OURS = "clio/1"

_CLOCK = (("CHECKSUM", "DATE"), ("DATASUM",))
"""DATE is the clock; the comments of both sums hold it, and CHECKSUM covers the header with all of them."""

MEASURED = {
    "muse_bias": Measured(_MUSE, *_CLOCK),
    "muse_dark": Measured(_MUSE, *_CLOCK),
    "muse_flat": Measured(_MUSE, *_CLOCK),
    "muse_wavecal": Measured(_MUSE, *_CLOCK),
    "muse_lsf": Measured(_MUSE, *_CLOCK),
    "muse_twilight": Measured(_MUSE, *_CLOCK),
    "muse_scibasic": Measured(_MUSE, *_CLOCK),
    "muse_standard": Measured(_MUSE, *_CLOCK),
    "muse_create_sky": Measured(_MUSE, *_CLOCK),
    "muse_scipost": Measured(_MUSE, *_CLOCK),
    "muse_exp_align": Measured(_MUSE, *_CLOCK),
    "muse_exp_combine": Measured(_MUSE, *_CLOCK),
    "clio_align": Measured(_OURS, ("CHECKSUM", "DATE"), ()),
    "clio_offsets": Measured(_OURS, ("CHECKSUM", "DATE"), ()),
}
"""By recipe: each run four times again, under two frozen clocks and twice under one that ran."""

VOLATILE = frozenset(keyword for row in MEASURED.values() for keyword in row.values)
"""Keywords left out of the data digest. One more would change every data digest: that takes a new version."""

VOLATILE_COMMENTS = frozenset(keyword for row in MEASURED.values() for keyword in row.comments)
"""Keywords whose comment may move; the data digest reads no comment, the digest of the bytes all of them."""
