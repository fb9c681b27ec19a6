"""A synthetic MUSE night that ESO's recipes reduce: raw frames, static calibrations, and the truth.

The package owns an instrument (detector, optics, lamps), a sky (stars, a galaxy, airglow, an atmosphere)
and a schedule. All of it is invented but for physics and laboratory wavelengths: no frame of the telescope
went in. What comes out depends on the options alone, to the byte, whatever the number of processes.

Importing the package costs nothing: numpy and astropy come with the first call.
"""

from typing import TYPE_CHECKING

from pipeline.simulate.options import NightOptions

if TYPE_CHECKING:
    from pipeline.simulate.verify import compare_offsets, compare_with_truth
    from pipeline.simulate.write import simulate

__all__ = ["NightOptions", "compare_offsets", "compare_with_truth", "simulate"]


def __getattr__(name: str) -> object:
    """Import what is asked for on first use (PEP 562)."""
    if name == "simulate":
        from pipeline.simulate.write import simulate

        return simulate
    if name in ("compare_offsets", "compare_with_truth"):
        from pipeline.simulate import verify

        return getattr(verify, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
