"""Parameters of a recipe: checked, joined with the defaults of the image; two images compared. Pure."""

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import UsageError
from pipeline.image.recipes import RecipeParameter

_OF_A_LINE = frozenset({"line", "velocity"})
"""Arguments that users of pymusepipe know, for images in a narrow band around a line."""
_OWN_CURVE = "add its curve to the FILTER_LIST, wavelengths as observed and in air, and name it under filter"

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


class Aspect(StrEnum):
    """What of a parameter is otherwise in another image."""

    ADDED = "added"
    REMOVED = "removed"
    OPTION = "option"
    """What it is called on the command line."""
    TYPE = "type"
    DEFAULT = "default"
    ALLOWED = "allowed values"
    """Choices, or a range."""
    HELP = "help"


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """In what a parameter of a recipe differs between two images."""

    name: str
    """Its long name."""
    option: str
    """What it is called; in the second image, if it is there."""
    aspect: Aspect
    old: str | None
    """In the first image; the default, of a parameter that is removed. None if it was not there."""
    new: str | None
    """In the second."""


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
            if option in _OF_A_LINE:
                what = f"there are no images of a line: {recipe} has no parameter {option}"
                raise UsageError(what, _OWN_CURVE)
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


def default_of(parameter: RecipeParameter) -> str:
    """Write a default in the one spelling of its type, if it is of that type."""
    try:
        return spell(parameter, parameter.value)
    except ValueError:
        return parameter.value


def allowed(parameter: RecipeParameter) -> str:
    """Say which values a parameter takes; empty if its type is all there is to say.

    Examples
    --------
    >>> allowed(RecipeParameter("muse.r.x", "x", "0", "int", (), "-1", "24", ""))
    'from -1 to 24'
    """
    if parameter.choices:
        return ", ".join(parameter.choices)
    bounds = (("from", parameter.low), ("to", parameter.high))
    return " ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)


def parameter_changes(
    old: tuple[RecipeParameter, ...], new: tuple[RecipeParameter, ...]
) -> tuple[ParameterChange, ...]:
    """List in what the parameters of a recipe differ between two images.

    Parameters
    ----------
    old, new : tuple of RecipeParameter
        As the recipe declares them in the first image and in the second.

    Notes
    -----
    They are matched by their long names, which the key of an action holds. Order counts for nothing, nor does
    the spelling of a number.
    """
    before, after = ({p.name: p for p in parameters} for parameters in (old, new))
    found: list[ParameterChange] = []
    for name in dict.fromkeys((*before, *after)):
        found += _changes(before.get(name), after.get(name))
    return tuple(found)


def _changes(old: RecipeParameter | None, new: RecipeParameter | None) -> Iterator[ParameterChange]:
    if old is not None and new is not None:
        pairs = (
            (Aspect.OPTION, old.option, new.option),
            (Aspect.TYPE, old.kind, new.kind),
            (Aspect.DEFAULT, default_of(old), default_of(new)),
            (Aspect.ALLOWED, allowed(old), allowed(new)),
            (Aspect.HELP, old.help, new.help),
        )
        for aspect, before, after in pairs:
            if before != after:
                yield ParameterChange(new.name, new.option, aspect, before, after)
    elif new is not None:
        yield ParameterChange(new.name, new.option, Aspect.ADDED, None, default_of(new))
    elif old is not None:
        yield ParameterChange(old.name, old.option, Aspect.REMOVED, default_of(old), None)


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
