"""Parameters of a recipe: the ones set on purpose checked and joined with the defaults of the image. Pure."""

import difflib
import math
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.image.recipes import RecipeParameter

_TRUE = frozenset({"true", "t", "yes", "1"})
_FALSE = frozenset({"false", "f", "no", "0"})


@dataclass(frozen=True, slots=True)
class Effective:
    """All parameters of a call."""

    values: tuple[tuple[str, str], ...]
    """Long name and value of every parameter, in the one spelling of its type."""
    options: tuple[tuple[str, str], ...]
    """Option and value of those that are not at their default."""
    defaults: tuple[str, ...]
    """Long names of those at their default."""


def effective(
    recipe: str, known: tuple[RecipeParameter, ...], options: tuple[tuple[str, str], ...]
) -> Effective:
    """Join what was set with the defaults.

    Parameters
    ----------
    recipe : str
        For messages.
    known : tuple of RecipeParameter
        As the image's recipe declares them.
    options : tuple of (str, str)
        What was set: option and value, in any spelling.

    Raises
    ------
    UsageError
        An option nobody knows, or a value of the wrong type, range or choice.
    """
    by_option = {parameter.option: parameter for parameter in known}
    given = {}
    for option, value in options:
        if option not in by_option:
            close = difflib.get_close_matches(option, by_option, n=1)
            hint = f"did you mean {close[0]}?" if close else f"see: clio params {recipe}"
            raise UsageError(f"{recipe} has no parameter {option}", hint)
        given[option] = _checked(recipe, by_option[option], value)
    values, changed, defaults = [], [], []
    for parameter in known:
        default = spell(parameter, parameter.value)
        value = given.get(parameter.option, default)
        values.append((parameter.name, value))
        if value == default:
            defaults.append(parameter.name)
        else:
            changed.append((parameter.option, value))
    return Effective(tuple(sorted(values)), tuple(sorted(changed)), tuple(sorted(defaults)))


def spell(parameter: RecipeParameter, value: str) -> str:
    """Write a value in the one spelling of its type.

    Raises
    ------
    ValueError
        The value is not of the type.

    Examples
    --------
    >>> number = RecipeParameter("muse.r.x", "x", "30", "double", (), None, None, "")
    >>> spell(number, "30.0"), spell(number, "3e1"), spell(number, "0.50")
    ('30', '30', '0.5')
    """
    match parameter.kind:
        case "int":
            return str(int(value))
        case "double":
            number = float(value) + 0.0  # which makes -0 a 0
            if not math.isfinite(number):
                raise ValueError(value)
            return repr(number).removesuffix(".0")
        case "bool":
            if value.lower() in _TRUE | _FALSE:
                return "TRUE" if value.lower() in _TRUE else "FALSE"
            raise ValueError(value)
        case _:
            return value


def _checked(recipe: str, parameter: RecipeParameter, value: str) -> str:
    name = f"{recipe}.{parameter.option}"
    try:
        spelled = spell(parameter, value)
    except ValueError as error:
        raise UsageError(f"{name} = {value!r}, expected {parameter.kind}") from error
    if parameter.choices and spelled not in parameter.choices:
        raise UsageError(f"{name} = {value!r}, expected one of {', '.join(parameter.choices)}")
    if parameter.kind in ("int", "double"):
        if parameter.low is not None and float(spelled) < float(parameter.low):
            raise UsageError(f"{name} = {value}, expected at least {parameter.low}")
        if parameter.high is not None and float(spelled) > float(parameter.high):
            raise UsageError(f"{name} = {value}, expected at most {parameter.high}")
    return spelled
