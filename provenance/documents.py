"""Frozen dataclasses to and from plain JSON documents, led by their annotations.

Known shapes: text, integers, booleans, enums of text, other dataclasses, all of these or None, tuples of
them, and `Pairs` (name and value), which are an object in the document and sorted by name on this side.
Fields a document has more than its class are passed over, so that a newer program may add some; fields
it lacks take their default.
"""

import operator
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache, lru_cache
from itertools import chain, pairwise
from typing import Any, TypeVar

from provenance.errors import NotCanonical, StoreDamaged

Pairs = tuple[tuple[str, str], ...]
"""Names and values, sorted by name; no name twice."""
Document = dict[str, Any]
"""A JSON object. Any: what stands behind a key is checked when it is read, not before."""
T = TypeVar("T")

_SHARED = 1 << 13
"""Equal values that are held once, of each kind; more are not remembered."""

_PLAIN = (str, int, bool, str | None, int | None, bool | None)

_Read = Callable[[Any], Any]
_Write = Callable[[Any], Any]
_Held = Callable[[object], tuple[Any, ...]]


def sorted_pairs(pairs: Pairs, what: str) -> Pairs:
    """Return pairs in the order of their names.

    Raises
    ------
    NotCanonical
        A name stands there twice: which of its values counts would be a matter of chance.
    """
    if isinstance(pairs, tuple) and _is_all_text(pairs) and _ascends(pairs):
        return pairs  # as they are: thousands of actions share the parameters of a recipe
    ordered = tuple(sorted((str(name), str(value)) for name, value in pairs))
    for (name, _), (following, _) in pairwise(ordered):
        if name == following:
            raise NotCanonical(f"{what} holds {name} twice")
    return ordered


@lru_cache(_SHARED)
def _ascends(pairs: Pairs) -> bool:
    names = [name for name, _ in pairs]
    return names == sorted({*names})


def _is_all_text(pairs: Pairs) -> bool:
    return {*map(type, chain.from_iterable(pairs))} <= {str}


def to_document(value: object) -> Document:
    """Return the document of a dataclass: its fields by name."""
    kind: Any = type(value)
    names, held, writers = _writers(kind)
    document = dict(zip(names, held(value), strict=True))
    for name, write in writers:
        if document[name] is not None:
            document[name] = write(document[name])
    return document


def from_document(kind: type[T], document: object, what: str) -> T:
    """Return the value a document describes.

    Parameters
    ----------
    kind : type
        The dataclass wanted.
    document : object
        What JSON gave.
    what : str
        Its name in messages.

    Raises
    ------
    StoreDamaged
        A field is missing or of another type.
    """
    try:
        value: T = _read_dataclass(kind, document)
    except (TypeError, ValueError, KeyError) as error:
        raise StoreDamaged(f"{what} is not as it should be: {error}") from error
    return value


def _read_dataclass(kind: Any, document: object) -> Any:
    way = _way_to_read(kind)
    try:
        # Nearly always every field is there, and of its type.
        values = way.held(document)
        if way.is_flat:
            return _read_flat(kind, *values)
        return _made(kind, way, values)
    except (TypeError, KeyError):
        return _read_fields(kind, document)


@lru_cache(_SHARED, typed=True)
def _read_flat(kind: Any, *values: object) -> Any:
    """Make a dataclass of texts and figures; the same one for equal values, which many records share.

    `typed`, as True is 1 to a cache, and is not to a record.
    """
    return _made(kind, _way_to_read(kind), values)


def _made(kind: Any, way: "_Way", values: tuple[object, ...]) -> Any:
    return kind(**dict(zip(way.names, map(operator.call, way.readers, values), strict=True)))


def _read_fields(kind: Any, document: object) -> Any:
    """Read a dataclass field by field: some may be missing, and what is wrong is to be told."""
    if not isinstance(document, dict):
        raise TypeError(f"{kind.__name__} is {type(document).__name__}, not an object")
    values = {}
    way = _way_to_read(kind)
    for name, read, is_optional in zip(way.names, way.readers, way.optional, strict=True):
        if name in document:
            try:
                values[name] = read(document[name])
            except TypeError as error:
                raise TypeError(f"{name}: {error}") from error
        elif not is_optional:
            raise KeyError(f"{name} is missing")
    return kind(**values)


@cache
def _layout(kind: Any) -> tuple[tuple[Field[Any], Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in fields(kind) if field.init)


@cache
def _writers(kind: Any) -> tuple[tuple[str, ...], _Held, tuple[tuple[str, _Write], ...]]:
    """Give the names of the fields, what gives all they hold, and the writers of those not written as is."""
    names = tuple(field.name for field, _ in _layout(kind))
    each = ((field.name, _writer(hint)) for field, hint in _layout(kind))
    writers = tuple((name, write) for name, write in each if write is not None)
    return names, _all_of(operator.attrgetter, names), writers


def _all_of(getter: Callable[..., Callable[[Any], Any]], names: tuple[str, ...]) -> _Held:
    """Give what gives all that goes by some names: of one alone, a getter gives no tuple."""
    if len(names) > 1:
        return getter(*names)
    each = [getter(name) for name in names]
    return lambda value: tuple(get(value) for get in each)


def _writer(hint: Any) -> _Write | None:
    """Give what writes a value of a kind; None if it is written as it is."""
    if hint == Pairs:
        return dict
    if isinstance(hint, types.UnionType):
        return _writer(_without_none(hint))
    if typing.get_origin(hint) is tuple:
        write = _writer(typing.get_args(hint)[0])
        return list if write is None else lambda items: [write(item) for item in items]
    if is_dataclass(hint):
        return to_document
    return operator.attrgetter("value") if issubclass(hint, Enum) else None


@dataclass(frozen=True, slots=True)
class _Way:
    """How a dataclass is read from a document."""

    names: tuple[str, ...]
    readers: tuple[_Read, ...]
    optional: tuple[bool, ...]
    """Whether a field may be missing."""
    held: _Held
    """Gives what stands behind the names."""
    is_flat: bool
    """Whether all fields are texts and figures."""


@cache
def _way_to_read(kind: Any) -> _Way:
    layout = _layout(kind)
    names = tuple(field.name for field, _ in layout)
    return _Way(
        names=names,
        readers=tuple(_reader(hint) for _, hint in layout),
        optional=tuple((field.default, field.default_factory) != (MISSING, MISSING) for field, _ in layout),
        held=_all_of(operator.itemgetter, names),
        is_flat=all(hint in _PLAIN for _, hint in layout),
    )


def _reader(hint: Any) -> _Read:
    if hint == Pairs:
        return _read_pairs
    if isinstance(hint, types.UnionType):
        read = _reader(_without_none(hint))
        return lambda value: None if value is None else read(value)
    if typing.get_origin(hint) is tuple:
        return _tuple_reader(_reader(typing.get_args(hint)[0]))
    if is_dataclass(hint):
        kind: Any = hint
        if _way_to_read(kind).is_flat:
            return lambda value: _read_dataclass(kind, value)  # which are shared
        return lambda value: _shared(_read_dataclass(hint, value))
    if issubclass(hint, Enum):
        return lambda value: hint(value)
    return _read_text if hint is str else _plain_reader(hint)


def _without_none(hint: types.UnionType) -> Any:
    (inner,) = (argument for argument in typing.get_args(hint) if argument is not types.NoneType)
    return inner


def _tuple_reader(read: _Read) -> _Read:
    def read_tuple(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError(f"{type(value).__name__} where a list should be")
        return tuple(read(item) for item in value)

    return read_tuple


def _plain_reader(kind: type[Any]) -> _Read:
    def read_plain(value: object) -> object:
        # `type is`, not isinstance: True is an int to Python, and is not one in a record.
        if type(value) is not kind:
            raise TypeError(f"{type(value).__name__} where {kind.__name__} should be")
        return value

    return read_plain


def _read_text(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"{type(value).__name__} where str should be")
    # Records say the same again and again, and one run's output is the next one's input.
    return sys.intern(value)


def _read_pairs(value: object) -> Pairs:
    if not isinstance(value, dict) or not {*map(type, value.values())} <= {str}:
        raise TypeError("no object of names and texts")
    return _shared_pairs(tuple(sorted(value.items())))


@lru_cache(_SHARED)
def _shared(value: T) -> T:
    """Give the same value for equal ones: a static calibration is an input of thousands of runs."""
    return value


@lru_cache(_SHARED)
def _shared_pairs(pairs: Pairs) -> Pairs:
    """Give the same pairs for equal ones: thousands of runs have the same environment and the same host."""
    return tuple(_shared_pair(sys.intern(name), sys.intern(text)) for name, text in pairs)


@lru_cache(_SHARED)
def _shared_pair(name: str, text: str) -> tuple[str, str]:
    return name, text
