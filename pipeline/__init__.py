"""The reduction: knows FITS, tags, recipes and containers; asks `provenance` to remember.

For notebooks::

    from pipeline import Reduction

    mypipe = Reduction.open("clio.toml")
    mypipe.run_recipes(last="prep_align")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.reduce import Reduction
    from pipeline.sample import Sample, TargetResult
    from pipeline.summary import Made

__all__ = ["Made", "Reduction", "Sample", "TargetResult"]


def __getattr__(name: str) -> Any:
    """Import the door of the reduction when it is asked for, so that small parts start at once."""
    if name in __all__:
        from pipeline import reduce, sample

        return getattr(sample if name in ("Sample", "TargetResult") else reduce, name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
