"""The recipes of our own: what they compute with, and their parameters, as data."""

from dataclasses import dataclass

from pipeline.image.recipes import RecipeParameter

PROGRAM = "clio-recipe"
"""Stands in a command line where esorex stands in others."""

EXTRA = "align"
"""The extra of this distribution that brings the libraries."""


@dataclass(frozen=True, slots=True)
class OwnRecipe:
    """A recipe of our own."""

    name: str
    function: str
    """`module:function`; takes a `pipeline.own.program.Call`. Imported inside its own process only."""
    libraries: tuple[str, ...]
    """Distributions whose versions can change a number it makes: what stands for its image."""
    parameters: tuple[RecipeParameter, ...]


def _parameters(recipe: str, *rows: tuple[str, ...]) -> tuple[RecipeParameter, ...]:
    """Read rows of option, type, default, range or choices (or nothing), and help."""
    return tuple(_parameter(recipe, *row) for row in rows)


def _parameter(recipe: str, option: str, kind: str, value: str, allowed: str, said: str) -> RecipeParameter:
    low, dots, high = allowed.partition("..")
    choices = tuple(allowed.split(",")) if allowed and not dots else ()
    bounds = (low or None, high or None) if dots else (None, None)
    return RecipeParameter(f"clio.{recipe}.{option}", option, value, kind, choices, *bounds, said)


OWN = {
    recipe.name: recipe
    for recipe in (
        OwnRecipe(
            "clio_align",
            "pipeline.reference.recipe:align",
            # pyerfa turns coordinates for astropy; what else these bring computes nothing here.
            ("astropy", "numpy", "photutils", "pyerfa", "reproject", "scipy"),
            _parameters(
                "clio_align",
                ("search", "double", "10", "0.5..120", "largest offset looked for, arcsec"),
                ("rotation", "bool", "FALSE", "", "whether a rotation is measured too"),
                ("max_rotation", "double", "2", "0..10", "largest rotation looked for, degrees"),
                ("fwhm", "double", "0.8", "0.05..10", "width of a star in the exposures, arcsec"),
                (
                    "overlap",
                    "double",
                    "0.3",
                    "0.05..1",
                    "least share of an exposure that the reference has",
                ),
                ("agreement", "double", "0.7", "0..1", "least correlation, as a share of what noise allows"),
                ("distinct", "double", "1.25", "1..10", "least ratio of the best place to the next best"),
                ("threshold", "double", "5", "1..1000", "level above the noise from which a source counts"),
                ("max_error", "double", "0.1", "0.001..10", "largest error of an offset, arcsec"),
                (
                    *("flux_scale", "string", "auto", "auto,apply,ignore"),
                    "write the flux scale for the recipes to apply; auto: if the units are the same",
                ),
            ),
        ),
        OwnRecipe(
            "clio_offsets",
            "pipeline.reference.recipe:edit",
            ("astropy", "numpy"),
            (),
        ),
    )
}
"""By name."""


def is_own(recipe: str) -> bool:
    """Tell whether a recipe is one of ours."""
    return recipe in OWN
