"""A document of W3C PROV as a value, and its two spellings: PROV-JSON and PROV-N.

What is said in it is decided elsewhere: `prov.py` says it in the words of W3C, `ivoa.py` in the IVOA's.

References
----------
PROV-N, W3C Recommendation of 30 April 2013; PROV-JSON, W3C Member Submission of 24 April 2013.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Name:
    """A qualified name as a value: `prov:Plan`."""

    text: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A literal with its type."""

    text: str
    type: str
    """Qualified name: `xsd:long`."""


Value = str | Name | Typed

Attribute = tuple[str, Value]


@dataclass(frozen=True, slots=True)
class Record:
    """An element or a relation."""

    kind: str
    """As PROV-N spells it: `entity`, `used`, `wasGeneratedBy`."""
    arguments: tuple[str | None, ...]
    """Names and times by place, as PROV-N has them; the first of an element is its own name."""
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """All of it, in the order in which it is written."""

    prefixes: Mapping[str, str]
    records: tuple[Record, ...]


ELEMENTS = {"entity": (), "activity": ("prov:startTime", "prov:endTime"), "agent": ()}
"""What follows the name of an element, by the names of PROV-JSON."""

RELATIONS = {
    "used": ("prov:activity", "prov:entity", "prov:time"),
    "wasGeneratedBy": ("prov:entity", "prov:activity", "prov:time"),
    "wasStartedBy": ("prov:activity", "prov:trigger", "prov:starter", "prov:time"),
    "wasInformedBy": ("prov:informed", "prov:informant"),
    "wasAssociatedWith": ("prov:activity", "prov:agent", "prov:plan"),
    "wasAttributedTo": ("prov:entity", "prov:agent"),
    "actedOnBehalfOf": ("prov:delegate", "prov:responsible", "prov:activity"),
    "wasDerivedFrom": ("prov:generatedEntity", "prov:usedEntity", "prov:activity"),
    "wasInfluencedBy": ("prov:influencee", "prov:influencer"),
    "specializationOf": ("prov:specificEntity", "prov:generalEntity"),
    "alternateOf": ("prov:alternate1", "prov:alternate2"),
    "hadMember": ("prov:collection", "prov:entity"),
}
"""The same of relations."""

_PADDED = {"used": 3, "wasGeneratedBy": 3, "activity": 3, "wasAssociatedWith": 3, "wasStartedBy": 4}
"""Arguments of kinds that PROV-N wants written out, `-` for none."""

_SPECIAL = re.compile(r'[\\"\n\r\t]')
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def prov_json(document: Document) -> dict[str, Any]:
    """Write a document as PROV-JSON.

    Notes
    -----
    Relations have no names of their own; they are numbered in the order of the document.
    """
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for number, record in enumerate(document.records, start=1):
        if record.kind in ELEMENTS:
            name, *rest = record.arguments
            places = ELEMENTS[record.kind]
        else:
            name, rest, places = f"_:r{number}", list(record.arguments), RELATIONS[record.kind]
        body: dict[str, Any] = {
            place: value for place, value in zip(places, rest, strict=False) if value is not None
        }
        groups.setdefault(record.kind, {})[str(name)] = body | _attributes(record.attributes)
    return {"prefix": dict(document.prefixes), **groups}


def prov_json_text(document: Document) -> str:
    """Write a document as the text of PROV-JSON, names sorted."""
    return json.dumps(prov_json(document), indent=1, sort_keys=True, ensure_ascii=False)


def prov_n(document: Document) -> str:
    """Write a document as PROV-N."""
    lines = ["document"]
    lines += [f"  prefix {name} <{uri}>" for name, uri in document.prefixes.items()]
    lines += [f"  {line}" for line in map(_line, document.records)]
    return "\n".join((*lines, "endDocument"))


def prefixes_used(prefixes: Mapping[str, str], records: Iterable[Record]) -> dict[str, str]:
    """Choose the prefixes that records need."""
    used = {word.partition(":")[0] for record in records for word in _words(record)}
    return {name: uri for name, uri in prefixes.items() if name in used}


def _words(record: Record) -> Iterator[str]:
    """List what in a record is a qualified name, or may be."""
    yield from (value for value in record.arguments if value is not None)
    for name, value in record.attributes:
        yield name
        match value:
            case Name(text):
                yield text
            case Typed(_, type_):
                yield type_


def _attributes(attributes: Iterable[Attribute]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in attributes:
        match value:
            case Name(text):
                spelled: Any = {"$": text, "type": "prov:QUALIFIED_NAME"}
            case Typed(text, type_):
                spelled = {"$": text, "type": type_}
            case _:
                spelled = value
        if name not in found:
            found[name] = spelled
        elif isinstance(found[name], list):
            found[name].append(spelled)
        else:
            found[name] = [found[name], spelled]
    return found


def _line(record: Record) -> str:
    given = list(record.arguments)
    while given and given[-1] is None:
        given.pop()
    missing = _PADDED.get(record.kind, 0) - len(given) if len(given) > 1 or record.attributes else 0
    if record.kind == "activity" and len(given) == 1:
        missing = 0
    words = [value if value is not None else "-" for value in given] + ["-"] * max(missing, 0)
    if record.attributes:
        words.append(f"[{', '.join(_spelled(record.attributes))}]")
    return f"{record.kind}({', '.join(words)})"


def _spelled(attributes: Iterable[Attribute]) -> Iterator[str]:
    for name, value in attributes:
        match value:
            case Name(text):
                yield f"{name}='{text}'"
            case Typed(text, type_):
                yield f'{name}="{_escaped(text)}" %% {type_}'
            case _:
                yield f'{name}="{_escaped(value)}"'


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text)
