"""A lineage read into what a paper has to say of it: from the store, and headers that prove themselves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import keywords as kw
from pipeline.audit.cards import read_headers
from pipeline.errors import FitsError
from pipeline.fitsfile import Value
from pipeline.model import Stage
from pipeline.report import RunReport, Trace
from pipeline.structure import STATICS
from pipeline.tags import ON_SKY, RAW_TAGS
from provenance.digest import digest_file
from provenance.lineage import ArtifactNode
from provenance.model import InputFile
from provenance.store import Store

_RAW = frozenset(rule.tag for rule in RAW_TAGS)
SCIENCE = "OBJECT"
_SECONDS_D = 86400

Versions = Callable[[str], Mapping[str, str]]
"""Gives the packages behind the digest of an image, name to version; empty if nobody knows them."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """A raw exposure of the sky that a product was made from."""

    tag: str
    arcfile: str
    """Its name in the archive, which is what the recipes saw it under."""
    digest: str
    date_obs: str
    """As in its header; empty if no header of it is at hand."""
    mjd: float | None
    exptime_s: float | None
    target: str
    programme: str
    """ESO OBS PROG ID."""
    block: str
    """ESO OBS ID."""
    mode: str
    airmass: float | None
    """Mean of start and end."""
    seeing_arcsec: float | None
    """Mean of ESO TEL AMBI FWHM START and END."""
    known_by: str
    """Where the header was read: `product`, `frame`, or empty for nowhere."""

    @property
    def end_mjd(self) -> float | None:
        """When it ended, days."""
        if self.mjd is None or self.exptime_s is None:
            return None
        return self.mjd + self.exptime_s / _SECONDS_D


@dataclass(frozen=True, slots=True)
class Call:
    """A recipe, as all runs of a stage called it."""

    stage: str
    recipe: str
    version: str
    """Such as `muse/2.8.7`; of our own recipes, of Clio. Several with a comma."""
    runs: int
    changed: tuple[tuple[str, str, str], ...]
    """Option, value and who set it, of all that is not at its default; several values with a bar."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibrations of a tag that a stage chose."""

    stage: str
    tag: str
    names: tuple[str, ...]
    """Template starts, exposures, dates of statics."""
    level: int
    """The poorest."""
    nearest_s: int
    farthest_s: int
    """Distance in time from what they calibrate."""
    is_static: bool


@dataclass(frozen=True, slots=True)
class Cited:
    """What a paper can say of a product."""

    digest: str
    data_digest: str | None
    tag: str
    name: str
    calls: tuple[Call, ...]
    """In the order of the workflow."""
    calibrations: tuple[Calibration, ...]
    """Of stages that work on science exposures."""
    exposures: tuple[Exposure, ...]
    """Of the sky, by tag (OBJECT first) and time."""
    frames: tuple[tuple[str, int], ...]
    """Tag and number of calibration frames from outside."""
    statics: tuple[tuple[str, str], ...]
    """Tag and digest of static calibrations."""
    images: tuple[tuple[str, str], ...]
    """Digest and platform of images that recipes of MUSE ran in."""
    packages: tuple[tuple[str, str], ...]
    """Package and version: cpl as the products name it, esorex where the image is known."""
    libraries: tuple[tuple[str, str], ...]
    """Python libraries that recipes of our own computed with, and their versions, where known."""
    clio: tuple[str, ...]
    """Versions of Clio."""
    numerics: tuple[str, ...]
    foreign: tuple[tuple[str, str], ...]
    """Tag and name of products from outside, whose making is not recorded."""
    doubts: tuple[str, ...]
    """What speaks against believing a run, and caveats that arose in one."""

    @property
    def science(self) -> tuple[Exposure, ...]:
        """The exposures of the object itself."""
        return tuple(item for item in self.exposures if item.tag == SCIENCE)

    @property
    def observed(self) -> tuple[Exposure, ...]:
        """The exposures whose programmes are acknowledged: of object and sky, else of standard stars."""
        return tuple(item for item in self.exposures if item.tag != "STD") or self.exposures

    @property
    def programmes(self) -> tuple[str, ...]:
        """Programmes of these, sorted."""
        return tuple(sorted({item.programme for item in self.observed if item.programme}))

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Versions of ESO's pipeline, such as `muse/2.8.7`."""
        found = (version for call in self.calls for version in call.version.split(", "))
        return tuple(sorted({version for version in found if version.startswith("muse/")}))


def read_facts(store: Store, trace: Trace, versions: Versions, environments: Versions) -> Cited:
    """Read a lineage.

    Parameters
    ----------
    store : Store
        Where it is from: headers of products are read there.
    trace : Trace
        Upwards from one product.
    versions, environments : callable
        Packages of an image of recipes, and of what recipes of our own ran in.

    Notes
    -----
    The header of a raw exposure is read from a product made of it alone, else from the frame itself where
    its bytes have the recorded digest. The result is the same whenever it is asked for, as long as one is.
    """
    node = trace.artifacts[trace.digests[0]]
    reports = sorted(trace.runs.values(), key=lambda report: (_order(report), report.run.unit))
    ours = [report for report in reports if report.action.recipe.startswith("clio_")]
    of_esorex = [report for report in reports if report not in ours]
    images = sorted({(report.action.image, report.action.platform) for report in of_esorex})
    outside = [item for item in trace.artifacts.values() if item.made_by is None]
    return Cited(
        digest=node.digest,
        data_digest=node.data_digest,
        tag=node.tag,
        name=node.name,
        calls=_calls(reports),
        calibrations=_calibrations(reports),
        exposures=_exposures(store, trace, outside),
        frames=_counted(item.tag for item in outside if item.tag in _RAW - ON_SKY),
        statics=tuple(sorted((item.tag, item.digest) for item in outside if item.tag in STATICS)),
        images=tuple(images),
        packages=(
            *(("cpl", name.removeprefix("cpl-")) for name in _software(of_esorex, "cpl")),
            *_packages((image for image, _ in images), versions, ("esorex",)),
        ),
        libraries=_packages((report.action.image for report in ours), environments, None),
        clio=_software(reports, "clio"),
        numerics=tuple(sorted({report.action.numerics for report in of_esorex})),
        foreign=tuple(sorted((i.tag, i.name) for i in outside if i.tag not in _RAW and i.tag not in STATICS)),
        doubts=_doubts(store, reports),
    )


def _order(report: RunReport) -> int:
    stages = [stage.value for stage in Stage]
    return stages.index(report.run.stage) if report.run.stage in stages else len(stages)


def _counted(tags: Iterable[str]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for tag in tags:
        counts[tag] = counts.get(tag, 0) + 1
    return tuple(sorted(counts.items()))


def _software(reports: Iterable[RunReport], name: str) -> tuple[str, ...]:
    found = (dict(report.run.software).get(name, "") for report in reports)
    return tuple(sorted({version for version in found if version}))


def _packages(
    images: Iterable[str], versions: Versions, names: tuple[str, ...] | None
) -> tuple[tuple[str, str], ...]:
    found: set[tuple[str, str]] = set()
    for image in images:
        known = versions(image)
        found |= {(name, known[name]) for name in (names or known) if name in known}
    return tuple(sorted(found))


# Recipes and what they were told


def _calls(reports: list[RunReport]) -> tuple[Call, ...]:
    groups: dict[tuple[str, str], list[RunReport]] = {}
    for report in reports:
        groups.setdefault((report.run.stage, report.action.recipe), []).append(report)
    return tuple(
        Call(stage, recipe, _versions_of(recipe, group), len(group), _changed(group))
        for (stage, recipe), group in groups.items()
    )


def _versions_of(recipe: str, group: list[RunReport]) -> str:
    name = "clio" if recipe.startswith("clio_") else "recipe"
    found = {dict(report.run.software).get(name, "") for report in group} - {""}
    return ", ".join(f"clio/{v}" if name == "clio" else v for v in sorted(found))


def _changed(group: list[RunReport]) -> tuple[tuple[str, str, str], ...]:
    """List what is not at its default in any run; nifu is how Clio divides the work, and no choice."""
    values: dict[str, dict[str, None]] = {}
    setters: dict[str, dict[str, None]] = {}
    for report in group:
        origins = dict(report.run.origins)
        for option, value in report.options:
            if option != "nifu":
                values.setdefault(option, {})[value] = None
                setters.setdefault(option, {})[origins.get(option, "unknown")] = None
    for option, known in values.items():
        # A run in which it was at its default used another value than the others.
        for report in group:
            if option not in dict(report.options):
                known[_effective(report, option)] = None
    return tuple(
        (option, " | ".join(sorted(values[option])), ", ".join(sorted(setters[option])))
        for option in sorted(values)
    )


def _effective(report: RunReport, option: str) -> str:
    return next(
        (value for name, value in report.action.parameters if name.rpartition(".")[2] == option), "unknown"
    )


def _calibrations(reports: list[RunReport]) -> tuple[Calibration, ...]:
    found: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
    for report in reports:
        tags = {item.tag for item in report.run.inputs}
        if not tags & {SCIENCE, f"PIXTABLE_{SCIENCE}", "PIXTABLE_REDUCED"}:
            continue
        for choice in report.run.choices:
            place = found.setdefault((report.run.stage, choice.tag), [])
            if choice.name:
                place.append((choice.name, choice.level, choice.distance_s))
    return tuple(
        Calibration(
            stage,
            tag,
            tuple(sorted({name for name, _, _ in items})),
            max(level for _, level, _ in items),
            min(away for _, _, away in items),
            max(away for _, _, away in items),
            tag in STATICS and tag not in ("SKY_LINES", "SKY_MASK"),
        )
        for (stage, tag), items in found.items()
        if items
    )


def _doubts(store: Store, reports: list[RunReport]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    tainted = store.tainted
    for report in reports:
        reasons = [store.imports.doubt(report.run), tainted.doubt(report.run) if tainted else ""]
        found |= dict.fromkeys(f"{report.step}: {reason}" for reason in reasons if reason)
        found |= dict.fromkeys(f"{report.step}: {caveat}" for caveat in report.own_caveats)
    return tuple(found)


# Exposures


def _exposures(store: Store, trace: Trace, outside: list[ArtifactNode]) -> tuple[Exposure, ...]:
    found = [_exposure(store, trace, item) for item in outside if item.tag in ON_SKY]
    return tuple(sorted(found, key=lambda e: (e.tag != SCIENCE, e.tag, e.mjd or 0.0, e.arcfile, e.digest)))


def _exposure(store: Store, trace: Trace, item: ArtifactNode) -> Exposure:
    header, known_by = _header(store, trace, item)

    def text(keyword: str) -> str:
        value = header.get(keyword)
        return "" if value is None else str(value).strip()

    def mean(*keywords: str) -> float | None:
        values = [number for keyword in keywords if (number := _number(header.get(keyword))) is not None]
        return round(sum(values) / len(values), 6) if values else None

    return Exposure(
        tag=item.tag,
        arcfile=text(kw.ARCFILE) or item.name,  # a frame may have been given by another name
        digest=item.digest,
        date_obs=text(kw.DATE_OBS),
        mjd=_number(header.get(kw.MJD_OBS)),
        exptime_s=_number(header.get(kw.EXPTIME)),
        target=text(kw.OBS_TARG_NAME),
        programme=text(kw.OBS_PROG_ID),
        block=text(kw.OBS_ID),
        mode=text(kw.INS_MODE),
        airmass=mean(kw.TEL_AIRM_START, kw.TEL_AIRM_END),
        seeing_arcsec=mean("ESO TEL AMBI FWHM START", "ESO TEL AMBI FWHM END"),
        known_by=known_by,
    )


def _header(store: Store, trace: Trace, item: ArtifactNode) -> tuple[Mapping[str, Value], str]:
    """Read the header of a raw exposure, where one is at hand that is proven to be of it."""
    for report in trace.readers(item.digest):
        on_sky = [i for i in report.run.inputs if i.tag in ON_SKY]
        if len(on_sky) != 1:
            continue
        for output in report.run.outputs:
            header = _first(store.objects.path(output.digest))
            if header.get(kw.ARCFILE) == item.name:
                return header, "product"
    seen = _seen(trace, item.digest)
    if seen is not None and _is_intact(store, Path(seen.seen_at or ""), seen):
        return _first(Path(seen.seen_at or "")), "frame"
    return {}, ""


def _seen(trace: Trace, digest: str) -> InputFile | None:
    found = (i for report in trace.readers(digest) for i in report.run.inputs if i.digest == digest)
    return next((item for item in found if item.seen_at), None)


def _is_intact(store: Store, path: Path, item: InputFile) -> bool:
    try:
        status = path.stat()
        if item.size is not None and status.st_size != item.size:
            return False
        known = store.files.memo(status)
        return (known.digest if known else digest_file(path)) == item.digest
    except OSError:
        return False


def _first(path: Path) -> Mapping[str, Value]:
    try:
        cards = read_headers(path, most=1).hdus[0]
    except FitsError:
        return {}
    return {card.keyword: card.value for card in reversed(cards)}


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
