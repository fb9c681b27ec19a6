"""What a file's headers say of how it was made: the chain of `ESO PRO RECn`. Pure; nothing is believed here.

References
----------
ESO Data Interface Control Document, section on data products; `cpl_dfs_setup_product_header` of CPL, which
writes each parameter with its default in the comment of its value.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from pipeline import keywords as kw
from pipeline.audit.cards import FullCard

_RECORD = re.compile(r"ESO PRO REC(\d{1,4}) (.+)")
_USED = re.compile(r"(RAW|CAL)(\d{1,6}) (NAME|CATG|DATAMD5)")
_PARAMETER = re.compile(r"PARAM(\d{1,4}) (NAME|VALUE)")
_SOURCE = re.compile(r"PROV(\d{1,6})")
_PROGRAMME = re.compile(r"PROGID(\d{1,4})")
_SHOWN = 5
_DEFAULT = re.compile(r"Default: *(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InputClaim:
    """A frame that a header says a recipe read."""

    place: str
    """`RAW1`, `CAL3`: as in the header."""
    name: str
    """Base name of the file; headers know no folder."""
    tag: str
    datamd5: str | None = None
    """Of a calibration: copied from the calibration's own header, and no digest of all of it."""

    @property
    def is_raw(self) -> bool:
        """Whether it was an input to reduce, and not a calibration."""
        return self.place.startswith("RAW")

    @property
    def archive_name(self) -> str:
        """Its name without the endings of packed files."""
        return unpacked_name(self.name)


@dataclass(frozen=True, slots=True)
class ParameterClaim:
    """A parameter of a recipe's call, as a header has it."""

    name: str
    value: str
    default: str | None
    """As the recipe of that time declared it, from the comment; None if the comment says nothing."""
    is_default_cut: bool = False
    """Whether the comment was cut at the end of its card."""

    @property
    def is_changed(self) -> bool | None:
        """Whether it was not at the default of that time; None if that cannot be told."""
        if self.default is None:
            return None
        mine, theirs = plain(self.value), plain(self.default)
        return not mine.startswith(theirs) if self.is_default_cut else mine != theirs


@dataclass(frozen=True, slots=True)
class RecipeClaim:
    """A call of a recipe, as a header has it."""

    number: int
    """n of `ESO PRO RECn`."""
    recipe: str
    """Empty if the header does not say."""
    pipeline: str
    """Such as `muse/2.8.7`; empty if the header does not say."""
    library: str
    """Such as `cpl-7.2.3`."""
    inputs: tuple[InputClaim, ...]
    """Raw ones first, each kind by its number."""
    parameters: tuple[ParameterClaim, ...]
    faults: tuple[str, ...] = ()
    """What of it is not there that should be."""
    contradictions: tuple[str, ...] = ()
    """What of it stands there twice, with two values."""

    @property
    def raw(self) -> tuple[InputClaim, ...]:
        """Inputs to reduce."""
        return tuple(item for item in self.inputs if item.is_raw)

    @property
    def calibrations(self) -> tuple[InputClaim, ...]:
        """Inputs to reduce with."""
        return tuple(item for item in self.inputs if not item.is_raw)

    def value(self, name: str) -> str | None:
        """Give the value of a parameter; None if the header has none of that name."""
        return next((p.value for p in self.parameters if p.name == name), None)


@dataclass(frozen=True, slots=True)
class FileClaims:
    """What the headers of a file say about it."""

    recipes: tuple[RecipeClaim, ...]
    """By number: the last made the file."""
    header: dict[str, object]
    """The header these stand in, the first card of a name counting."""
    sources: tuple[tuple[str, str], ...] = ()
    """`PROVi` of a Phase 3 product and what it names, by number."""
    programmes: tuple[str, ...] = ()
    """`PROG_ID` and `PROGIDi`, or ESO OBS PROG ID."""
    faults: tuple[str, ...] = ()
    """What contradicts itself outside of the recipes."""
    where: int = 0
    """HDU whose header is meant; not the primary for files that were taken apart."""
    extensions: tuple[str, ...] = ()
    """EXTNAME of the HDUs after the primary."""
    repeated: tuple[str, ...] = field(default=())
    """Keywords of the chain that stand there twice with two values."""

    @property
    def last(self) -> RecipeClaim | None:
        """The recipe that made the file; None if no header names one."""
        return self.recipes[-1] if self.recipes else None

    def text(self, keyword: str) -> str:
        """Give the value of a keyword as text; empty if there is none."""
        value = self.header.get(keyword)
        return "" if value is None else str(value)


def read_claims(hdus: tuple[tuple[FullCard, ...], ...]) -> FileClaims:
    """Read what headers say of how a file was made.

    Parameters
    ----------
    hdus : tuple of tuple of FullCard
        Its headers, the primary first.

    Notes
    -----
    The chain is read from the first header that has one; that another one says something else is a fault.
    """
    chains = {n: found for n, cards in enumerate(hdus) if (found := _chain(cards))[0]}
    where = min(chains, default=0)
    cards = hdus[where] if hdus else ()
    recipes, repeated = chains.get(where, ((), ()))
    header: dict[str, object] = {}
    for card in (*cards, *(hdus[0] if where else ())):
        header.setdefault(card.keyword, card.value)
    faults = [
        f"HDU {n} tells of another chain of recipes than HDU {where}"
        for n, (other, _) in chains.items()
        if n != where and _told(other) != _told(recipes)
    ]
    return FileClaims(
        recipes=recipes,
        header=header,
        sources=_numbered(_SOURCE, header),
        programmes=_programmes(header),
        faults=tuple(faults),
        where=where,
        extensions=tuple(_name(other) for other in hdus[1:]),
        repeated=repeated,
    )


def unpacked_name(name: str) -> str:
    """Take the endings of packed files from a name.

    Examples
    --------
    >>> unpacked_name("MUSE.2017-06-16T01:34:56.867.fits.fz")
    'MUSE.2017-06-16T01:34:56.867.fits'
    """
    for ending in (".fz", ".gz", ".Z"):
        name = name.removesuffix(ending)
    return name


def plain(value: str) -> str:
    """Write a value so that two spellings of one number or truth are the same.

    Examples
    --------
    >>> plain("30.0"), plain("TRUE"), plain("15.,15.,1"), plain("'vpoly'")
    ('30', 'true', '15.,15.,1', 'vpoly')
    """
    text = value.strip().strip("'").strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        return repr(float(text) + 0.0).removesuffix(".0")
    except ValueError:
        return text


def _chain(cards: Iterable[FullCard]) -> tuple[tuple[RecipeClaim, ...], tuple[str, ...]]:
    records: dict[int, dict[str, FullCard]] = defaultdict(dict)
    repeated = []
    for card in cards:
        match = _RECORD.fullmatch(card.keyword)
        if match is None:
            continue
        known = records[int(match[1])].setdefault(match[2], card)
        if known.token != card.token:
            repeated.append(f"{card.keyword} is there twice, as {known.token} and as {card.token}")
    return tuple(_recipe(n, records[n]) for n in sorted(records)), tuple(repeated)


def _recipe(number: int, cards: dict[str, FullCard]) -> RecipeClaim:
    inputs, faults = _inputs(number, cards)
    parameters, more, contradictions = _parameters(number, cards)
    name = _text(cards, "ID")
    lacking = [] if name else [f"REC{number} does not name its recipe"]
    return RecipeClaim(
        number=number,
        recipe=name,
        pipeline=_text(cards, "PIPE ID"),
        library=_text(cards, "DRS ID"),
        inputs=inputs,
        parameters=parameters,
        faults=(*lacking, *faults, *more),
        contradictions=contradictions,
    )


def _inputs(number: int, cards: dict[str, FullCard]) -> tuple[tuple[InputClaim, ...], list[str]]:
    found: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for rest, card in cards.items():
        match = _USED.fullmatch(rest)
        if match:
            found[match[1], int(match[2])][match[3]] = _as_text(card)
    faults = []
    claims = []
    for (kind, n), entry in sorted(found.items(), key=lambda item: (item[0][0] != "RAW", item[0][1])):
        if not entry.get("NAME") or not entry.get("CATG"):
            faults.append(f"REC{number} {kind}{n} has no {'NAME' if not entry.get('NAME') else 'CATG'}")
        claims.append(
            InputClaim(f"{kind}{n}", entry.get("NAME", ""), entry.get("CATG", ""), entry.get("DATAMD5"))
        )
    faults += list(_gaps(number, "RAW", [n for kind, n in found if kind == "RAW"]))
    faults += list(_gaps(number, "CAL", [n for kind, n in found if kind == "CAL"]))
    return tuple(claims), faults


def _parameters(
    number: int, cards: dict[str, FullCard]
) -> tuple[tuple[ParameterClaim, ...], list[str], tuple[str, ...]]:
    found: dict[int, dict[str, FullCard]] = defaultdict(dict)
    for rest, card in cards.items():
        match = _PARAMETER.fullmatch(rest)
        if match:
            found[int(match[1])][match[2]] = card
    faults, twice = list(_gaps(number, "PARAM", list(found))), []
    claims: dict[str, ParameterClaim] = {}
    for n in sorted(found):
        name, value = (found[n].get(word) for word in ("NAME", "VALUE"))
        if name is None or value is None:
            faults.append(f"REC{number} PARAM{n} has no {'NAME' if name is None else 'VALUE'}")
            continue
        claim = _parameter(_as_text(name), value)
        known = claims.setdefault(claim.name, claim)
        if plain(known.value) != plain(claim.value):
            twice.append(
                f"REC{number} has the parameter {claim.name} twice, as {known.value} and as {claim.value}"
            )
    return tuple(claims.values()), faults, tuple(twice)


def _parameter(name: str, card: FullCard) -> ParameterClaim:
    match = _DEFAULT.match(card.comment)
    if match is None:
        return ParameterClaim(name, _as_text(card), None)
    text = match[1].strip()
    is_open = text.startswith("'") and (len(text) == 1 or not text.endswith("'"))
    return ParameterClaim(name, _as_text(card), text.strip("'").strip(), is_open or card.is_full)


def _gaps(number: int, word: str, there: list[int]) -> Iterator[str]:
    last, known = max(there, default=0), set(there)
    missing = last - len(known - {0})
    if missing > 0:
        first = islice((n for n in range(1, last) if n not in known), _SHOWN)
        named = ", ".join(f"{word}{n}" for n in first)
        more = f" and {missing - _SHOWN} more" if missing > _SHOWN else ""
        yield f"REC{number} goes up to {word}{last} without {named}{more}"


def _told(recipes: tuple[RecipeClaim, ...]) -> list[tuple[int, str, str]]:
    return [(claim.number, claim.recipe, claim.pipeline) for claim in recipes]


def _numbered(pattern: re.Pattern[str], header: dict[str, object]) -> tuple[tuple[str, str], ...]:
    found = [
        (int(match[1]), key, str(value)) for key, value in header.items() if (match := pattern.fullmatch(key))
    ]
    return tuple((key, value) for _, key, value in sorted(found))


def _programmes(header: dict[str, object]) -> tuple[str, ...]:
    several = [value for _, value in _numbered(_PROGRAMME, header)]
    one = [str(header[key]) for key in ("PROG_ID", kw.OBS_PROG_ID) if header.get(key)]
    named = [text for text in (*one, *several) if text and text != "MULTI"]
    return tuple(dict.fromkeys(named))


def _name(cards: Iterable[FullCard]) -> str:
    return next((_as_text(card) for card in cards if card.keyword == kw.EXTNAME), "")


def _text(cards: dict[str, FullCard], rest: str) -> str:
    return _as_text(cards[rest]) if rest in cards else ""


def _as_text(card: FullCard) -> str:
    """Give a value as text: numbers and truths, which other writers leave without quotes, as they stand."""
    value = card.value
    return value.strip() if isinstance(value, str) else card.token
