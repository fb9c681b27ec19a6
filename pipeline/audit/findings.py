"""What is known of a file, put together: each fact proven, claimed by its header, or unknown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from pipeline import keywords as kw
from pipeline.audit.cards import FullCard, Headers, read_headers
from pipeline.audit.claims import (
    FileClaims,
    InputClaim,
    ParameterClaim,
    RecipeClaim,
    plain,
    read_claims,
)
from pipeline.audit.evidence import FITS_AS_ESOREX, FITS_UNKNOWN, FITS_WHOLE, Evidence, look_at
from pipeline.audit.places import Candidate, Places
from pipeline.audit.remarks import Remark, remarks
from pipeline.errors import FitsError, UsageError
from pipeline.fitsdigest import FileDigest
from pipeline.image import RecipeParameter
from pipeline.modes import mode_of
from pipeline.parameters import default_of, effective, spell
from pipeline.volatile import VOLATILE
from provenance.errors import ProvenanceError
from provenance.model import Action, OutputFile, Run
from provenance.store import Store

Known = Callable[[str], tuple[RecipeParameter, ...] | None]
"""Gives the parameters of a recipe as the pinned image declares them; None for a recipe it does not have."""

_MOST_COMPARED = 1000
"""Products of a tag whose records are compared with a file, the newest."""


class Standing(StrEnum):
    """How much a fact can be relied on."""

    PROVEN = "proven"
    """Digests say so: of a record of the store, or computed now."""
    CLAIMED = "claimed"
    """The header says so, and nothing else does."""
    UNKNOWN = "unknown"
    """Nothing says so, or it could not be looked at."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known, claimed or unknown about a file."""

    name: str
    value: str
    standing: Standing
    why: str


@dataclass(frozen=True, slots=True)
class FoundParameter:
    """A parameter that a header names, held against defaults."""

    claim: ParameterClaim
    default: str | None
    """Of the pinned image; None if it has no such parameter, or there is no image."""
    value: str
    """In the one spelling of its type, if the image knows it; else as in the header."""
    is_there: bool | None
    """Whether the image's recipe has it; None without an image."""
    standing: Standing

    @property
    def is_changed(self) -> bool | None:
        """Whether it was set to something else than the default of its time; else of the image."""
        if self.claim.is_changed is not None:
            return self.claim.is_changed
        return None if self.default is None else self.value != self.default

    @property
    def differs_here(self) -> bool:
        """Whether the pinned image would do something else unless told."""
        return self.default is not None and self.value != self.default


@dataclass(frozen=True, slots=True)
class FoundInput:
    """An input that a header names, and what may be it."""

    claim: InputClaim
    standing: Standing
    why: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class FoundRecipe:
    """A recipe of the chain, with what was found of its inputs and parameters."""

    claim: RecipeClaim
    standing: Standing
    parameters: tuple[FoundParameter, ...]
    inputs: tuple[FoundInput, ...]
    missing: tuple[str, ...] = ()
    """Parameters of the image's recipe that the header does not name."""


@dataclass(frozen=True, slots=True)
class InStore:
    """The product of a run that a file is."""

    by: str
    """`bytes`, `data digest` or `data units`: what is the same."""
    digest: str
    """Of the product in the store."""
    run: str
    tag: str
    differing: tuple[str, ...]
    """Cards in which the file is otherwise, by keyword; empty if by bytes."""
    is_product: bool
    """False for a frame from outside that runs have read."""

    @property
    def is_but_for_names(self) -> bool:
        """Whether nothing is otherwise but what its inputs are called."""
        return all(_is_name(keyword) for keyword in self.differing)


@dataclass(frozen=True, slots=True)
class _Record:
    """What the store recorded of the run that made a file."""

    by: str
    """As of `InStore`."""
    run: Run
    action: Action

    def has_recipe(self, recipe: str) -> bool:
        """Whether it is the recipe that ran."""
        return self.action.recipe == recipe

    def has_value(self, claim: ParameterClaim) -> bool:
        """Whether a parameter had that value."""
        values = {name.rpartition(".")[2]: value for name, value in self.action.parameters}
        return plain(values.get(claim.name, "")) == plain(claim.value)

    def has_input(self, claim: InputClaim, candidates: tuple[Candidate, ...]) -> bool:
        """Whether it read a file of that tag and name, or of the data that were found for it."""
        ours = [item for item in self.run.inputs if item.tag == claim.tag]
        data = {candidate.data_digest for candidate in candidates if not candidate.against}
        return any(item.name == claim.archive_name or item.data_digest in data - {None} for item in ours)

    def judged(self, claim: InputClaim, candidate: Candidate) -> Candidate:
        """Speak against a file whose data the run did not read under that tag."""
        read = {item.data_digest for item in self.run.inputs if item.tag == claim.tag} - {None}
        if candidate.against or candidate.data_digest is None or candidate.data_digest in read or not read:
            return candidate
        return replace(
            candidate, against=f"its data are none of the {claim.tag} that run {self.run.run} read"
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a file."""

    path: Path
    kind: str
    """`product`, `raw frame`, `static calibration`, or `file` for what says nothing of MUSE."""
    claims: FileClaims
    evidence: Evidence | None
    known: InStore | None
    recipes: tuple[FoundRecipe, ...]
    facts: tuple[Fact, ...]
    remarks: tuple[Remark, ...]

    @property
    def contradictions(self) -> int:
        """How many of the remarks are contradictions."""
        return sum(remark.is_contradiction for remark in self.remarks)


def examine(path: Path, places: Places, parameters: Known | None = None) -> Finding:
    """Find out what is known of a file.

    Parameters
    ----------
    path : Path
        Any FITS file, packed or cut.
    places : Places
        Where its inputs may be, and the store that may know it.
    parameters : callable, optional
        The defaults of the pinned image.

    Raises
    ------
    FitsError
        It is not FITS, empty, or cannot be opened.
    """
    headers = read_headers(path)
    claims = read_claims(headers.hdus)
    evidence, fault = _evidence(path, headers)
    known = _known(places.store, evidence, claims, path)
    doubt = _doubt(places.store, known)
    standing = Standing.PROVEN if known and known.is_product and not doubt else Standing.CLAIMED
    record = _record(places.store, known) if standing is Standing.PROVEN else None
    recipes = tuple(
        _recipe(claim, places, parameters, record if claim is claims.last else None, path)
        for claim in claims.recipes
    )
    said = [*remarks(claims, evidence)]
    if fault:
        said.insert(0, Remark("damaged", True, f"the file is {fault}"))
    said += _of_candidates(claims, recipes)
    said += _of_parameters(recipes, parameters)
    said += _of_record(places.store, known, claims)
    beside = path.with_name(f"{path.name}.prov.json")
    if beside.is_file():
        said.append(Remark("sidecar", False, f"{beside.name} lies beside it: clio verify FILE checks it"))
    if doubt:
        said.append(Remark("doubt", False, f"run {known.run if known else ''} is not believed: {doubt}"))
    facts = tuple(
        _facts(claims, evidence, known, fault, standing=standing, has_store=places.store is not None)
    )
    return Finding(path, _kind(claims), claims, evidence, known, recipes, facts, tuple(dict.fromkeys(said)))


def differing_cards(
    ours: tuple[tuple[FullCard, ...], ...], theirs: tuple[tuple[FullCard, ...], ...]
) -> tuple[str, ...]:
    """Name the keywords whose values differ between the headers of two files, without volatile ones."""
    found: dict[str, None] = {}
    for mine, other in zip(ours, theirs, strict=False):
        left, right = (
            {c.keyword: c.token for c in cards if c.keyword not in VOLATILE} for cards in (mine, other)
        )
        found |= dict.fromkeys(key for key in (*left, *right) if left.get(key) != right.get(key))
    if len(ours) != len(theirs):
        found["number of HDUs"] = None
    return tuple(found)


def _is_name(keyword: str) -> bool:
    """Tell whether a card holds what an input, or the product itself, was called."""
    words = keyword.split()
    return keyword in (kw.PIPEFILE,) or (
        keyword.startswith("ESO PRO REC") and words[-1] == "NAME" and "PARAM" not in words[-2]
    )


def _evidence(path: Path, headers: Headers) -> tuple[Evidence | None, str]:
    try:
        return look_at(path), headers.fault
    except (FitsError, OSError) as error:
        return None, headers.fault or getattr(error, "message", str(error)).replace(f"{path} ", "")


def _kind(claims: FileClaims) -> str:
    if claims.recipes or (claims.text(kw.PRO_CATG) and claims.text(kw.DATAMD5)):
        return "product"
    if claims.text(kw.PRO_CATG):
        return "static calibration"
    return "raw frame" if claims.text(kw.DPR_TYPE) else "file"


# What the store says


def _known(store: Store | None, evidence: Evidence | None, claims: FileClaims, path: Path) -> InStore | None:
    if store is None or evidence is None or evidence.digests is None:
        return None
    digests = evidence.digests
    for item in store.files_of_data(digests.data_digest):
        by = "bytes" if item.digest == digests.digest else "data digest"
        differing = () if by == "bytes" else (kw.DATE, kw.CHECKSUM)
        return InStore(by, item.digest, item.run, item.tag, differing, item.is_product)
    return _of_same_data(store, digests, claims, path) if evidence.has_data else None


def _of_same_data(store: Store, digests: FileDigest, claims: FileClaims, path: Path) -> InStore | None:
    """Find a product whose every data unit is the same, whatever its header says."""
    data = [part.data for part in digests.parts]
    for item in store.products_of(claims.text(kw.PRO_CATG), _MOST_COMPARED):
        made = _output(store, item.run, item.digest)
        if made is None or [part.data for part in made.parts] != data:
            continue
        differing: tuple[str, ...] = ("its header, which is not there any more to compare",)
        stored = store.objects.path(item.digest)
        if stored.is_file():
            differing = differing_cards(read_headers(path).hdus, read_headers(stored).hdus)
        return InStore("data units", item.digest, item.run, item.tag, differing, True)
    return None


def _record(store: Store | None, known: InStore | None) -> _Record | None:
    if store is None or known is None or not known.is_product:
        return None
    run = store.run(known.run)
    return _Record(known.by, run, store.action(run.action))


def _doubt(store: Store | None, known: InStore | None) -> str:
    """Say why the record of a run is not believed: it was imported and not verified, or is tainted."""
    if store is None or known is None or not known.is_product:
        return ""
    run, tainted = store.run(known.run), store.tainted
    return store.imports.doubt(run) or (tainted.doubt(run) if tainted else "")


def _output(store: Store, run: str, digest: str) -> OutputFile | None:
    try:
        return next((o for o in store.run(run).outputs if o.digest == digest), None)
    except ProvenanceError:
        return None


def _of_record(store: Store | None, known: InStore | None, claims: FileClaims) -> Iterator[Remark]:
    """Hold what the header says against the record of the run that made the same data."""
    if store is None or known is None or not known.is_product or known.by == "bytes":
        return
    run, last = store.run(known.run), claims.last
    action = store.action(run.action)
    if last is None:
        yield Remark("record", True, f"the header names no recipe, and {action.recipe} made these data")
        return
    if last.recipe != action.recipe:
        yield Remark("record", True, f"the header says {last.recipe}, and {action.recipe} made these data")
        return
    yield from _parameters_of_record(last, action, run)


def _parameters_of_record(last: RecipeClaim, action: Action, run: Run) -> Iterator[Remark]:
    recorded = {name.rpartition(".")[2]: value for name, value in action.parameters}
    for claim in last.parameters:
        value = recorded.get(claim.name)
        if value is not None and plain(value) != plain(claim.value):
            text = (
                f"the header says {claim.name} = {claim.value}, and run {run.run}, which made these data, had"
            )
            yield Remark("record", True, f"{text} {value}")


# What headers and folders say


def _recipe(
    claim: RecipeClaim, places: Places, parameters: Known | None, record: _Record | None, path: Path
) -> FoundRecipe:
    declared = parameters(claim.recipe) if parameters else None
    by_option = {p.option: p for p in declared or ()}
    if record is not None and not record.has_recipe(claim.recipe):
        record = None
    known = tuple(_parameter(item, by_option, parameters is not None, record) for item in claim.parameters)
    named = {item.name for item in claim.parameters}
    missing = tuple(option for option in by_option if option not in named) if claim.parameters else ()
    itself = frozenset({path.resolve()})
    inputs = tuple(_input(item, places.find(item, but=itself), record, places) for item in claim.inputs)
    return FoundRecipe(claim, Standing.PROVEN if record else Standing.CLAIMED, known, inputs, missing)


def _parameter(
    claim: ParameterClaim, declared: dict[str, RecipeParameter], has_image: bool, record: _Record | None
) -> FoundParameter:
    standing = Standing.PROVEN if record and record.has_value(claim) else Standing.CLAIMED
    parameter = declared.get(claim.name)
    if parameter is None:
        return FoundParameter(claim, None, claim.value, False if has_image else None, standing)
    try:
        value = spell(parameter, claim.value.strip("'"))
    except ValueError:
        value = claim.value
    return FoundParameter(claim, default_of(parameter), value, True, standing)


def _input(
    claim: InputClaim, candidates: tuple[Candidate, ...], record: _Record | None, places: Places
) -> FoundInput:
    is_recorded = record is not None and (record.by != "data units" or record.has_input(claim, candidates))
    standing = Standing.PROVEN if is_recorded else Standing.CLAIMED
    if record is not None:
        candidates = tuple(record.judged(claim, candidate) for candidate in candidates)
    good = [candidate for candidate in candidates if not candidate.against]
    if not good:
        where = [*(["the store"] if places.store else []), *(["the folders"] if places.folders else [])]
        what = f"not found in {' or '.join(where)}" if where else "not found beside the file"
        if candidates:
            what = f"found under that name only: {candidates[0].against}"
        return FoundInput(claim, standing, what, candidates)
    best = good[0]
    known = ", known to the store" if best.run else ""
    several = f", and {len(good) - 1} more" if len(good) > 1 else ""
    return FoundInput(claim, standing, f"found by {' and '.join(best.by)}{known}{several}", candidates)


def _of_parameters(recipes: tuple[FoundRecipe, ...], parameters: Known | None) -> Iterator[Remark]:
    """Name values that the image's recipe would refuse: another version may have taken them."""
    for recipe in recipes:
        declared = parameters(recipe.claim.recipe) if parameters else None
        for parameter in recipe.parameters:
            if not declared or not parameter.is_there:
                continue
            try:
                effective(recipe.claim.recipe, declared, ((parameter.claim.name, parameter.value),))
            except UsageError as error:
                yield Remark("refused-value", False, f"{error.message}, of the recipe in the image")


def _of_candidates(claims: FileClaims, recipes: tuple[FoundRecipe, ...]) -> Iterator[Remark]:
    """Say what of the files that were found does not fit the product."""
    mode, made = mode_of(claims.text(kw.INS_MODE)), claims.text(kw.DATE)[:19]
    for recipe in recipes:
        for found in recipe.inputs:
            if found.candidates and all(candidate.against for candidate in found.candidates):
                first = found.candidates[0]
                text = f"{found.claim.tag} {found.claim.name} was found with other content: {first.against}"
                yield Remark("other-content", True, text)
            best = next((c for c in found.candidates if not c.against and c.path), None)
            if best is None or best.path is None:
                continue
            header = _first_header(best.path)
            theirs = mode_of(str(header.get(kw.INS_MODE) or ""))
            if mode and theirs and found.claim.tag in _OF_MODE and theirs.name != mode.name:
                text = (
                    f"{found.claim.tag} {found.claim.name} is of {theirs.name}, and the file of {mode.name}"
                )
                yield Remark("other-mode", True, text)
            written = str(header.get(kw.DATE) or "")[:19]
            # With an equal DATAMD5 it is the same calibration, made once more.
            if made and best.is_product and written > made and found.claim.datamd5 is None:
                what = f"{found.claim.tag} {best.path} was written {written}"
                yield Remark("dates", True, f"{what}, after the file that names it ({made})")


_OF_MODE = frozenset(
    {"MASTER_FLAT", "WAVECAL_TABLE", "LSF_PROFILE", "TWILIGHT_CUBE", "STD_RESPONSE", "STD_TELLURIC"}
)
"""Calibrations that are of the mode of what they calibrate; see `pipeline.rules`."""


def _first_header(path: Path) -> dict[str, object]:
    try:
        cards = read_headers(path, most=1).hdus[0]
    except (FitsError, OSError):
        return {}
    return {card.keyword: card.value for card in reversed(cards)}


# Facts in a line each


def _facts(
    claims: FileClaims,
    evidence: Evidence | None,
    known: InStore | None,
    fault: str,
    *,
    standing: Standing,
    has_store: bool,
) -> Iterator[Fact]:
    if known is not None and known.is_product:
        same = {"bytes": "its bytes", "data digest": "its data digest", "data units": "all its data units"}
        yield Fact("made by", f"run {known.run}", standing, f"the store has {same[known.by]}")
    elif known is not None:
        yield Fact("read by", f"run {known.run}", Standing.PROVEN, "the store's runs read this file")
    elif has_store:
        yield Fact("made by", "no run of the store", Standing.UNKNOWN, "it knows neither bytes nor data")
    else:
        yield Fact("made by", "", Standing.UNKNOWN, "there is no store to ask")
    last = claims.last
    if last is not None:
        stands = standing if known is None or known.by != "data units" else Standing.CLAIMED
        yield Fact("recipe", last.recipe, stands, f"{last.pipeline} {last.library}".strip())
    elif claims.text(kw.DPR_TYPE) and not claims.text(kw.PRO_CATG):
        yield Fact("recipe", "none", Standing.CLAIMED, f"a raw frame, by {kw.DPR_TYPE}")
    elif known is None or not known.is_product:
        yield Fact("recipe", "", Standing.UNKNOWN, "no header has ESO PRO RECn")
    if evidence is not None and evidence.digests is not None:
        yield from _byte_facts(claims, evidence, evidence.digests)
    else:
        yield Fact("digests", "", Standing.UNKNOWN, f"the file is {fault}")
    yield from _named_facts(claims)


def _byte_facts(claims: FileClaims, evidence: Evidence, digests: FileDigest) -> Iterator[Fact]:
    yield Fact("digest", digests.digest, Standing.PROVEN, "computed now")
    yield Fact("data digest", digests.data_digest, Standing.PROVEN, "computed now")
    if evidence.sums:
        text = "agree" if not digests.faults else f"{len(digests.faults)} do not agree"
        why = f"computed now, of {evidence.sums} HDU{'s' if evidence.sums > 1 else ''}"
        yield Fact("checksums", text, Standing.PROVEN, why)
    else:
        why = "not checked in a packed file" if evidence.is_packed else "there are none"
        yield Fact("checksums", "", Standing.UNKNOWN, why)
    if evidence.md5:
        stands = Standing.PROVEN if evidence.md5 in (FITS_AS_ESOREX, FITS_WHOLE) else Standing.CLAIMED
        stands = Standing.UNKNOWN if evidence.md5 == FITS_UNKNOWN else stands
        yield Fact(kw.DATAMD5, claims.text(kw.DATAMD5), stands, evidence.md5)


def _named_facts(claims: FileClaims) -> Iterator[Fact]:
    for name, keyword in (
        ("product", kw.PRO_CATG),
        ("type", kw.DPR_TYPE),
        ("mode", kw.INS_MODE),
        ("taken", kw.DATE_OBS),
        ("written", kw.DATE),
        (kw.ARCFILE, kw.ARCFILE),
        ("target", kw.OBS_TARG_NAME),
        ("software", kw.PROCSOFT),
    ):
        if claims.text(keyword):
            yield Fact(name, claims.text(keyword), Standing.CLAIMED, keyword)
    for programme in claims.programmes:
        yield Fact("programme", programme, Standing.CLAIMED, "ESO OBS PROG ID or PROG_ID")
    for keyword, value in claims.sources:
        yield Fact("source", value, Standing.CLAIMED, keyword)
