"""The reduction: knows FITS, tags, recipes and containers; asks `provenance` to remember.

For notebooks::

    from pipeline import Reduction

    mypipe = Reduction.open("clio.toml")
    mypipe.run_recipes(last="prep_align")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.reduce import Made, Reduction

__all__ = ["Made", "Reduction"]


def __getattr__(name: str) -> Any:
    """Import the door of the reduction when it is asked for, so that small parts start at once."""
    if name in __all__:
        from pipeline import reduce

        return getattr(reduce, name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
