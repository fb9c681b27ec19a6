"""What is known of an exposure once it was measured: a value, which needs no library."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of an exposure. Numbers mean nothing if there is a fault."""

    fault: str = ""
    """Why the exposure is not matched, in a sentence; empty if it is."""
    ra_offset: float = 0.0
    """Header minus true position, degrees of right ascension."""
    dec_offset: float = 0.0
    """Degrees."""
    east_error: float = 0.0
    """Of the offset on the sky, arcsec."""
    north_error: float = 0.0
    rotation: float = 0.0
    """Header minus true position angle, north through east, degrees."""
    rotation_error: float = 0.0
    flux_scale: float = 1.0
    """By what the exposure has to be multiplied to be as bright as the reference."""
    flux_scale_error: float = 0.0
    background: float = 0.0
    """What of the exposure is left where the reference is zero, in its unit."""
    background_error: float = 0.0
    correlation: float = 0.0
    """Of both images, from -1 to 1."""
    agreement: float = 0.0
    """The correlation as a share of what it can be with the noise there is."""
    distinct: float = 0.0
    """How much better the place is than the next best."""
    overlap: float = 0.0
    """Share of the exposure that the reference has too."""
    sources: int = 0
    """In the exposure, where the reference has data."""
    matched: int = 0
    """Those that the reference has too."""
    left: tuple[float, float] = field(default=(0.0, 0.0))
    """East and north that a second measurement finds when the offset was applied, arcsec."""

    @property
    def is_matched(self) -> bool:
        """Whether the offset can be believed."""
        return not self.fault
