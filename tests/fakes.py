"""An engine that needs no container, and an image that needs no esorex.

`FakeEngine` obeys `pipeline.engine.Engine` and behaves as esorex 3.13.6 with the MUSE recipes 2.8.7 does,
as far as a caller can see: command line, set of frames, names and headers of products, list of products,
log, exit status. Its pixels follow from the pixels and parameters it is given and from nothing else. It can
be told to fail in each way that was measured with the real one. A `Workspace` has both, and a tiny night.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

from builders import Value, date_of, image, night, primary, sealed, table, write_night

from pipeline.config import load
from pipeline.engine import Ending, EngineRequest, EngineResult, RecipeImage
from pipeline.events import Did
from pipeline.fitsfile import Hdu, read_hdus
from pipeline.image import ImageLibrary
from pipeline.image.recipes import RecipeParameter, parameters_to_json
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.structure import FLUX, PRODUCTS, Part
from pipeline.summary import Made, Summary

DIGEST = "sha256:" + "c0" * 32
"""Of the fake image."""


# What recipes there are


def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    """Read rows of option, type, default and, where there is one, choices or range."""
    return tuple(tuple(line.split(maxsplit=3)) for line in text.splitlines() if line)


_RAW = """
overscan string vpoly
ovscreject string dcr
ovscsigma double 30
ovscignore int 3
"""
_IFU = f"nifu int 0 -1..24{_RAW}merge bool FALSE\n"
_COMBINE = """
combine string sigclip average,median,minmax,sigclip
nlow int 1
nhigh int 1
nkeep int 1
lsigma double 3
hsigma double 3
"""
_RANGE = """
lambdamin double 4000
lambdamax double 10000
lambdaref double 7000
"""
_CUBE = """
save string cube
resample string drizzle nearest,linear,quadratic,renka,drizzle,lanczos
dx double 0
crsigma double 15
format string Cube Cube,Euro3D,xCube,xEuro3D,sdpCube
filter string white
"""

_PARAMETERS: Mapping[str, str] = {
    "muse_bias": f"{_IFU}{_COMBINE}losigmabadpix double 30\nhisigmabadpix double 3",
    "muse_dark": f"{_IFU}{_COMBINE}hotsigma double 5\nnormalize double 3600",
    "muse_flat": f"{_IFU}{_COMBINE}trace bool TRUE\nnsum int 32\norder int 5\nedgefrac double 0.5",
    "muse_wavecal": f"{_IFU}{_COMBINE}lampwise bool TRUE\nsigma double 1\nxorder int 2\nyorder int 6",
    "muse_lsf": f"{_IFU}{_COMBINE}line_quality int 3\nlsf_range double 7.5",
    "muse_twilight": f"{_RAW}{_COMBINE}lambdamin double 5000\nlambdamax double 9000\ndlambda double 250",
    "muse_scibasic": f"{_IFU}crop bool TRUE\nsaveimage bool TRUE\nskylines string 5577.339,6300.304",
    "muse_standard": f"{_RANGE}profile string auto\nfilter string white",
    "muse_create_sky": f"{_RANGE}fraction double 0.75\nignore double 0.05\nsampling double 0.3125",
    "muse_scipost": f"{_CUBE}{_RANGE}skymethod string model none,subtract-model,model,simple\n"
    "skymodel_fraction double 0.1\nautocalib string none none,deepfield,user\nastrometry bool TRUE",
    "muse_exp_align": "srcmin int 5\nsrcmax int 80\nthreshold double 15\nfwhm double 5\nexpmap bool FALSE",
    "muse_exp_combine": f"{_CUBE}lambdamin double 4000",
}


def parameters_of(recipe: str) -> tuple[RecipeParameter, ...]:
    """List the parameters of a recipe, as `pipeline.image` reads them from esorex; not all there are."""
    return tuple(_parameter(recipe, *row) for row in _rows(_PARAMETERS[recipe]))


def _parameter(recipe: str, option: str, kind: str, default: str, allowed: str = "") -> RecipeParameter:
    low, _, high = allowed.partition("..") if ".." in allowed else ("", "", "")
    choices = tuple(allowed.split(",")) if allowed and not low else ()
    return RecipeParameter(
        f"muse.{recipe}.{option}", option, default, kind, choices, low or None, high or None, ""
    )


def install_image(root: Path, digest: str = DIGEST) -> ImageLibrary:
    """Make a library that holds an image nothing can be run in but by the fake engine."""
    home = root / "images" / digest.removeprefix("sha256:")
    (home / "rootfs").mkdir(parents=True)
    (home / "parameters").mkdir()
    (home / "archive.tar").write_bytes(b"")
    facts = {"config_digest": digest, "platform": "linux/amd64", "archive_digest": "sha256:" + "a0" * 32}
    package = {"architecture": "amd64", "name": "esorex", "sha256": "e0" * 32, "version": "3.13.6-1"}
    (home / "image.json").write_text(json.dumps(facts))
    (home / "packages.json").write_text(json.dumps([package]))
    for recipe in _PARAMETERS:
        text = parameters_to_json(parameters_of(recipe))
        (home / "parameters" / f"{recipe}.json").write_text(text)
    rows = [{"name": recipe, "version": "2.8.7"} for recipe in _PARAMETERS]
    (home / "recipes.json").write_text(json.dumps(rows))
    return ImageLibrary(root)


# How it can fail


class Fault(StrEnum):
    """A way to fail, each of them seen with esorex or an engine."""

    EXIT = "exit 255, an error in the log, no product"
    ABORT = "dies of SIGABRT, no log"
    KILLED = "SIGKILL: a truncated product and `.logfile` stay"
    OUT_OF_MEMORY = "meets the memory limit"
    TIMEOUT = "does not end"
    HANG = "does not end until it is cancelled"
    ERROR_IN_LOG = "exit 0, and an error in the log"
    WARNING = "exit 0, and a warning in the log: `text`"
    NO_LIST = "exit 0 without a list of products"
    LIST_IS_NO_JSON = "exit 0, the list of products cut short"
    MISSING = "exit 0, the first product neither made nor declared"
    NOT_THERE = "exit 0, the first product declared and not there"
    TRUNCATED = "exit 0, the first product truncated"
    EMPTY = "exit 0, the first product of 0 bytes, as on a full disk"
    FLIPPED = "exit 0, a byte of the first product wrong"
    UNFINISHED = "exit 0, no checksum and DATAMD5 not computed"
    LINK = "exit 0, the first product is a symbolic link"
    DROPPED = "exit 0, the last raw frame dropped"
    UNUSED = "exit 0, a calibration not read: the one of the tag `text`"
    UNLISTED = "exit 0, a product names a frame that was not given"
    COUNTS = "exit 0, a cube in counts"
    LOST_IFU = "exit 0, a reduced pixel table with an IFU less"
    UNMATCHED = "exit 0, an exposure matched with no other"
    INVENTED = "exit 0, no row for an exposure in the list of offsets"
    NOT_A_NUMBER = "exit 0, an offset that is not a number"
    INPUT_CHANGED = "exit 0, an input was written to meanwhile"


@dataclass(slots=True)
class Failing:
    """What is to fail."""

    fault: Fault
    recipe: str
    where: str = ""
    """Only calls whose command line or set of frames holds this."""
    text: str = ""
    """Of the message, or the tag; see the fault."""
    times: int | None = None
    """How often; None for always."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A call the engine got."""

    recipe: str
    options: Mapping[str, str]
    frames: tuple[tuple[str, str], ...]
    """Path inside and tag."""
    request: EngineRequest

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Tag and base name of each frame."""
        return tuple((tag, PurePosixPath(path).name) for path, tag in self.frames)

    @property
    def text(self) -> str:
        """All by which calls are told apart."""
        return "\n".join((*self.request.argv, *(f"{path} {tag}" for path, tag in self.frames)))


@dataclass(slots=True)
class FakeEngine:
    """Runs recipes in this process."""

    name: str = "fake"
    failing: list[Failing] = field(default_factory=list)
    restless: set[str] = field(default_factory=set)
    """Recipes whose pixels differ from run to run."""
    depends: dict[str, str] = field(default_factory=dict)
    """Recipes whose pixels depend on a variable of the environment: its name."""
    pictures: dict[str, bytes] = field(default_factory=dict)
    """Extension that an image of the field has, by DATE-OBS; without one it has pixels by lot."""
    today: datetime | None = None
    """DATE of products; by default where the frozen clock stands."""
    delay_s: float = 0.0
    """How long a recipe takes at least."""
    takes: dict[str, int] = field(default_factory=dict)
    """Bytes of memory that recipes take; with a lower limit they die of it."""
    on_run: Callable[[Seen], None] = lambda seen: None
    """Told of every call when it begins."""
    seen: list[Seen] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def version(self) -> str:
        """Version of nothing."""
        return "1.0"

    def prepare(self, image: RecipeImage) -> None:
        """Note that the image was wanted."""
        self.prepared.append(image.config_digest)

    @property
    def recipes(self) -> tuple[str, ...]:
        """Recipes that were called, in order."""
        return tuple(seen.recipe for seen in self.seen)

    def fail(self, fault: Fault, recipe: str, **how: str | int) -> None:
        """Fail from now on; see `Failing`."""
        self.failing.append(Failing(fault, recipe, **how))  # type: ignore[arg-type]

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a recipe, or fail as told."""
        started = datetime.now(UTC)
        assert image.config_digest in self.prepared, "an image is prepared before it is used"
        if request.argv[0] == "/bin/sh":
            return _result(*_tell_processor(request), started)
        seen = _understand(request)
        with self._lock:
            self.seen.append(seen)
            failing = self._next_failing(seen)
            number = len(self.seen)
        self.on_run(seen)
        end = time.monotonic() + self.delay_s
        while time.monotonic() < end and not cancel.is_set():
            time.sleep(0.001)
        seed = str(number) if seen.recipe in self.restless else ""
        seed += dict(request.environment).get(self.depends.get(seen.recipe, ""), "")
        call = _Esorex(seen, failing, self.today or _clock(request), seed, self.pictures)
        if cancel.is_set():
            return _result(Ending.KILLED, None, 15, started)
        need, limit = self.takes.get(seen.recipe, 1_000_000), request.memory_bytes
        if limit is not None and limit < need:
            return _result(Ending.OUT_OF_MEMORY, None, 9, started, limit)
        return _result(*call.run(cancel), started, need)

    def _next_failing(self, seen: Seen) -> Failing | None:
        for failing in self.failing:
            if failing.recipe == seen.recipe and failing.where in seen.text and failing.times != 0:
                failing.times = None if failing.times is None else failing.times - 1
                return failing
        return None


def _understand(request: EngineRequest) -> Seen:
    """Read the command line as esorex does; anything it would not take is a defect of the caller."""
    emulator = {mount.target for mount in request.inputs} & {"/in/emulator"}
    program, *rest = _behind(request.argv) if emulator else request.argv
    assert program == "esorex"
    at = next(n for n, word in enumerate(rest) if not word.startswith("-"))
    assert {
        *("--output-dir=.", "--log-dir=.", "--log-file=esorex.log"),
        *("--products-sof=products.json", "--suppress-prefix=TRUE"),
    } <= set(rest[:at])
    recipe, *options, sof = rest[at:]
    given = dict(option.removeprefix("--").split("=", 1) for option in options)
    assert given.keys() <= {parameter.option for parameter in parameters_of(recipe)}
    mounts = {mount.target: mount.source for mount in request.inputs}
    lines = mounts[sof].read_text().splitlines()
    frames = [(path, tag) for path, tag in (line.split() for line in lines)]
    listed = {path for path, _ in frames}
    assert listed == mounts.keys() - {sof} - emulator, "what is mounted is what is listed"
    assert not list(request.out.iterdir()), "a run begins in an empty directory"
    return Seen(recipe, given, tuple(frames), request)


def _behind(argv: Sequence[str]) -> tuple[str, ...]:
    """Give the command behind an emulator, as it stands without one."""
    emulator, option, _, program, *rest = argv
    assert (emulator, option, program) == ("/in/emulator", "-cpu", "/usr/bin/esorex")
    return ("esorex", *rest)


def _tell_processor(request: EngineRequest) -> tuple[Ending, int | None, int | None]:
    """Answer as the loader does that is asked for its diagnostics: AVX and FMA, unless emulated or masked."""
    has = 0 if "/in/emulator" in request.argv else 1 << 28 | 1 << 12
    masked = 1 << 12 if "-FMA" in dict(request.environment).get("GLIBC_TUNABLES", "") else 0
    lines = (("cpuid", has), ("active", has & ~masked))
    answer = "".join(f"x86.cpu_features.features[0x0].{kind}[0x2]={bits:#x}\n" for kind, bits in lines)
    (request.out / "processor").write_text(answer)
    return Ending.EXITED, 0, None


def _clock(request: EngineRequest) -> datetime:
    at = dict(request.environment).get("FAKETIME")
    return datetime.fromisoformat(at) if at else datetime.now(UTC)


def _result(
    ending: Ending, status: int | None, signal: int | None, started: datetime, peak: int = 1_000_000
) -> EngineResult:
    return EngineResult(
        ending=ending,
        exit_status=status,
        signal=signal,
        started=started,
        ended=datetime.now(UTC),
        wall_ms=7,
        cpu_user_ms=5,
        cpu_system_ms=1,
        peak_memory_bytes=peak,
        read_bytes=None,
        written_bytes=None,
        isolation=(("network", "none"),),
    )


_RAW_OF_RECIPES = ("BIAS", "DARK", "FLAT", "ARC", "ARC_LSF", "SKYFLAT", "OBJECT", "SKY", "STD", "ILLUM")
_OF_IFU: Mapping[str, tuple[str, ...]] = {
    "muse_bias": ("MASTER_BIAS",),
    "muse_dark": ("MASTER_DARK",),
    "muse_flat": ("MASTER_FLAT", "TRACE_TABLE"),
    "muse_wavecal": ("WAVECAL_TABLE",),
    "muse_lsf": ("LSF_PROFILE",),
}
_NUMBERED = ("DATACUBE_STD", "STD_FLUXES", "STD_RESPONSE", "STD_TELLURIC")
_SKY = ("SKY_MASK", "SKY_IMAGE", "SKY_SPECTRUM", "SKY_LINES", "SKY_CONTINUUM")


@dataclass(frozen=True, slots=True)
class _Input:
    tag: str
    name: str
    path: Path
    hdus: tuple[Hdu, ...]

    @property
    def is_raw(self) -> bool:
        return self.tag in _RAW_OF_RECIPES or self.tag.startswith(("PIXTABLE_", "IMAGE_FOV"))

    def card(self, keyword: str) -> Value:
        return self.hdus[0].header.get(keyword)

    @property
    def pixels(self) -> bytes:
        """Digest of the data units: headers and times are nothing to a recipe."""
        content = self.path.read_bytes()
        units = (content[unit.data_offset : unit.data_offset + unit.data_size] for unit in self.hdus)
        return hashlib.sha256(b"".join(units)).digest()


class _Esorex:
    """One call of esorex."""

    def __init__(
        self, seen: Seen, failing: Failing | None, today: datetime, seed: str, pictures: Mapping[str, bytes]
    ) -> None:
        self._pictures = pictures
        self._seen = seen
        self._fault = failing.fault if failing else None
        self._text = failing.text if failing else ""
        self._today = today
        self._out = seen.request.out
        sources = {mount.target: mount.source for mount in seen.request.inputs}
        self._inputs = [
            _Input(tag, PurePosixPath(path).name, sources[path], read_hdus(sources[path]))
            for path, tag in seen.frames
        ]
        self._options = {p.option: p.value for p in parameters_of(seen.recipe)} | dict(seen.options)
        recipe = seen.recipe
        pixels = hashlib.sha256(f"{recipe} {sorted(self._options.items())} {seed}".encode())
        for item in self._inputs:
            pixels.update(item.tag.encode() + item.pixels)
        self._pixels = pixels.digest()

    def run(self, cancel: threading.Event) -> tuple[Ending, int | None, int | None]:
        """Leave what the real one would, and tell how it ended."""
        match self._fault:
            case Fault.EXIT:
                self._log([("ERROR", self._text or "it was told to fail")])
                return Ending.EXITED, 255, None
            case Fault.ABORT:
                return Ending.EXITED, None, 6
            case Fault.KILLED | Fault.OUT_OF_MEMORY | Fault.TIMEOUT:
                return self._die()
            case Fault.HANG:
                cancel.wait(20)
                return Ending.KILLED, None, 15
        names = self._make()
        declared = [{"name": f"/out/{name}", "category": tag} for name, tag in names]
        self._spoil(declared)
        messages = [("WARNING", "Unable to open directory /usr/lib/cpl/plugins")]
        if self._fault is Fault.ERROR_IN_LOG:
            messages.append(("ERROR", self._text or "Sky line fit failed with error code 21"))
        if self._fault is Fault.WARNING:
            messages.append(("WARNING", self._text))
        self._log(messages)
        if self._fault is not Fault.NO_LIST:
            text = json.dumps(declared)
            cut = len(text) // 2 if self._fault is Fault.LIST_IS_NO_JSON else len(text)
            (self._out / "products.json").write_text(text[:cut])
        return Ending.EXITED, 0, None

    def _die(self) -> tuple[Ending, int | None, int | None]:
        (self._out / "HALF.fits").write_bytes(primary({"DATAMD5": "Not computed"})[:1000])
        self._log([], ".logfile")
        match self._fault:
            case Fault.OUT_OF_MEMORY:
                return Ending.OUT_OF_MEMORY, None, 9
            case Fault.TIMEOUT:
                return Ending.TIMEOUT, None, 15
            case _:
                return Ending.KILLED, None, 9

    def _log(self, messages: Sequence[tuple[str, str]], name: str = "esorex.log") -> None:
        time_ = self._today.strftime("%H:%M:%S")
        lines = [
            f"Start time     : {self._today:%Y-%m-%d %H:%M:%S}",
            f"Command line   : {' '.join(self._seen.request.argv)}",
            f"{time_} [ INFO  ] esorex: [tid=000] recipe {self._seen.recipe} begins",
            *(f"{time_} [{level:^7}] muse: [tid=000] {text}" for level, text in messages),
        ]
        (self._out / name).write_text("\n".join(lines) + "\n")

    def _make(self) -> list[tuple[str, str]]:
        """Write the products; gives name and tag of each."""
        made = []
        for number, (name, tag, cards, parts) in enumerate(self._products()):
            if number == 0 and self._fault is Fault.MISSING:
                continue
            self._write(name, tag, cards, parts)
            made.append((name, tag))
        return made

    def _products(self) -> Iterator[tuple[str, str, dict[str, Value], list[bytes]]]:
        """Give name, tag, cards of its own and extensions of each product."""
        recipe = self._seen.recipe
        ifu = int(self._options.get("nifu", "0"))
        qc: dict[str, Value] = {"ESO QC FAKE LEVEL": self._pixels[0]}
        for tag in _OF_IFU.get(recipe, ()):
            chip: dict[str, Value] = {"EXTNAME": f"CHAN{ifu:02d}"}
            yield f"{tag}-{ifu:02d}.fits", tag, qc | chip, self._parts(tag)
        match recipe:
            case "muse_twilight":
                for tag in ("TWILIGHT_CUBE", "DATACUBE_SKYFLAT"):
                    yield f"{tag}.fits", tag, qc, self._parts(tag)
            case "muse_scibasic":
                tag = next(f"PIXTABLE_{i.tag}" for i in self._inputs if i.tag in ("OBJECT", "SKY", "STD"))
                yield f"{tag}_0001-{ifu:02d}.fits", tag, qc, self._parts(tag)
            case "muse_standard":
                for tag in _NUMBERED:
                    yield f"{tag}_0001.fits", tag, qc, self._parts(tag)
            case "muse_create_sky":
                for tag in _SKY:
                    yield f"{tag}.fits", tag, qc, self._parts(tag)
            case "muse_exp_align":
                yield from self._offsets()
            case "muse_scipost" | "muse_exp_combine":
                yield from self._cubes()

    def _cubes(self) -> Iterator[tuple[str, str, dict[str, Value], list[bytes]]]:
        saved = self._options["save"].split(",")
        if "cube" in saved:
            yield "DATACUBE_FINAL.fits", "DATACUBE_FINAL", {}, self._parts("DATACUBE_FINAL")
            known = {unit.name for item in self._inputs if item.tag == "FILTER_LIST" for unit in item.hdus}
            filters = [name for name in self._options["filter"].split(",") if name in known | {"white"}]
            for number, name in enumerate(filters, 1):
                cards: dict[str, Value] = {"ESO DRS MUSE FILTER NAME": name}
                drawn = self._pictures.get(str(self._first.card("DATE-OBS")))
                parts = [drawn] if drawn else self._parts("IMAGE_FOV", name)
                yield f"IMAGE_FOV_{number:04d}.fits", "IMAGE_FOV", cards, parts
        for number, exposure in enumerate(self._exposures(), 1):
            if "individual" in saved:
                tables = [i for i in self._inputs if i.is_raw and i.card("DATE-OBS") == exposure]
                merged = len(tables) - (self._fault is Fault.LOST_IFU)
                cards = {"ESO DRS MUSE PIXTABLE MERGED": merged, "DATE-OBS": exposure}
                name = f"PIXTABLE_REDUCED_{number:04d}.fits"
                yield name, "PIXTABLE_REDUCED", cards, self._parts("PIXTABLE_REDUCED", exposure)
            if "skymodel" in saved and self._options.get("skymethod") == "model":
                given = {item.tag for item in self._inputs}
                for tag in _SKY:
                    if tag != "SKY_CONTINUUM" or tag not in given:
                        yield f"{tag}_{number:04d}.fits", tag, {}, self._parts(tag, exposure)

    def _offsets(self) -> Iterator[tuple[str, str, dict[str, Value], list[bytes]]]:
        exposures = self._exposures()
        qc: dict[str, Value] = {f"ESO QC EXPALIGN NMATCH{n}": 8 for n in range(1, len(exposures) + 1)}
        qc |= {"ESO QC EXPALIGN NMATCH MIN": 8, "ESO QC EXPALIGN NOMATCH": 0}
        if self._fault is Fault.UNMATCHED:
            qc |= {f"ESO QC EXPALIGN NMATCH{len(exposures)}": 0, "ESO QC EXPALIGN NOMATCH": 1}
        rows = exposures[:-1] if self._fault is Fault.INVENTED else exposures
        shifts = [self._pixels[n] * 1e-7 * (n > 0) for n in range(len(rows))]
        measured = [*shifts, 0.0]
        if self._fault is Fault.NOT_A_NUMBER:
            shifts[-1] = float("nan")
        columns: dict[str, list[str] | list[float]] = {
            "DATE_OBS": rows,
            "MJD_OBS": [0.0] * len(rows),
            "RA_OFFSET": shifts,
            "DEC_OFFSET": shifts,
            "FLUX_SCALE": [1.0] * len(rows),
        }
        yield "OFFSET_LIST.fits", "OFFSET_LIST", qc, [table("OFFSET_LIST", columns)]
        if self._options["expmap"] == "TRUE":
            yield "EXPOSURE_MAP.fits", "EXPOSURE_MAP", {}, [image("DATA", [10 * len(exposures)])]
        for number, (exposure, shift) in enumerate(zip(exposures, measured, strict=False), 1):
            sources = {"X": [10.0, 50.0, 90.0], "Y": [20.0, 80.0, 10.0]}
            sources |= {"RA": [10 - x / 18000 + shift for x in sources["X"]]}
            sources |= {"DEC": [y / 18000 + shift for y in sources["Y"]]}
            date: dict[str, Value] = {"DATE-OBS": exposure}
            name = f"SOURCE_LIST_{number:04d}.fits"
            yield name, "SOURCE_LIST", date, [table("SOURCES", sources)]

    def _exposures(self) -> list[str]:
        found = {str(item.card("DATE-OBS")) for item in self._inputs if item.is_raw}
        return sorted(found)

    @property
    def _first(self) -> _Input:
        """The frame whose header products inherit."""
        return next(item for item in self._inputs if item.is_raw and item.tag != "ILLUM")

    def _parts(self, tag: str, of: str = "") -> list[bytes]:
        """Write the extensions that a product of a tag has."""
        return [self._part(part, f"{tag}{of}") for part in PRODUCTS[tag].parts]

    def _part(self, part: Part, of: str) -> bytes:
        pixels = list(hashlib.sha256(self._pixels + of.encode() + part.name.encode()).digest())
        if part.columns:
            rows = max(part.least_rows, 3)
            numbers = [4000.0 + n + pixels[n % len(pixels)] / 256 for n in range(rows)]
            return table(part.name, dict.fromkeys(part.columns, numbers))
        unit = "10**(-20)*erg/s/cm**2/Angstrom" if part.unit == FLUX else part.unit
        if self._fault is Fault.COUNTS and of.startswith("DATACUBE_FINAL"):
            unit = "count"
        return image(part.name or "DATA", pixels, {"BUNIT": unit or None})

    def _write(self, name: str, tag: str, cards: Mapping[str, Value], parts: Sequence[bytes]) -> None:
        is_unfinished = self._fault is Fault.UNFINISHED
        head: dict[str, Value] = {
            "DATE": self._today.strftime("%Y-%m-%dT%H:%M:%S"),
            "PIPEFILE": name,
            "INSTRUME": "MUSE",
            "DATAMD5": "Not computed" if is_unfinished else hashlib.md5(self._pixels).hexdigest(),
            "ESO PRO CATG": tag,
        }
        for keyword in ("OBJECT", "EXPTIME", "MJD-OBS", "DATE-OBS"):
            head[keyword] = self._first.card(keyword)
        structure = PRODUCTS.get(tag)
        if structure is not None:
            head |= dict.fromkeys((*structure.keywords, *structure.one_of[:1]), "as promised")
        written = [primary(head | self._history() | dict(cards)), *parts]
        (self._out / name).write_bytes(b"".join(written if is_unfinished else map(sealed, written)))

    def _history(self) -> dict[str, Value]:
        """Write the record of this call behind that of the first input."""
        before: dict[str, Value] = {
            card.keyword: card.value
            for card in self._first.hdus[0].cards
            if card.keyword.startswith("ESO PRO REC")
        }
        number = 1 + sum(keyword.endswith(" ID") and keyword.count(" ") == 3 for keyword in before)
        rec = f"ESO PRO REC{number}"
        history = before | {f"{rec} ID": self._seen.recipe, f"{rec} PIPE ID": "muse/2.8.7"}
        used = [item for item in self._inputs if not self._is_left_out(item)]
        if self._fault is Fault.DROPPED:
            used.remove([item for item in used if item.is_raw][-1])
        for word, is_raw in (("RAW", True), ("CAL", False)):
            for n, item in enumerate((i for i in used if i.is_raw is is_raw), 1):
                history |= {f"{rec} {word}{n} NAME": item.name, f"{rec} {word}{n} CATG": item.tag}
        if self._fault is Fault.UNLISTED:
            history |= {f"{rec} CAL99 NAME": "STRANGE.fits", f"{rec} CAL99 CATG": "EXTINCT_TABLE"}
        for n, (option, value) in enumerate(sorted(self._options.items()), 1):
            history |= {f"{rec} PARAM{n} NAME": option, f"{rec} PARAM{n} VALUE": value}
        return history

    def _is_left_out(self, item: _Input) -> bool:
        """Tell whether the recipe does not name an input in its products."""
        if item.tag == "FILTER_LIST":
            return self._options.get("filter", "white") == "white"
        return self._fault is Fault.UNUSED and item.tag == self._text

    def _spoil(self, declared: list[dict[str, str]]) -> None:
        """Damage what was made."""
        if not declared:
            return
        path = self._out / PurePosixPath(declared[0]["name"]).name
        match self._fault:
            case Fault.NOT_THERE:
                path.unlink()
            case Fault.TRUNCATED:
                path.write_bytes(path.read_bytes()[:-2880])
            case Fault.EMPTY:
                path.write_bytes(b"")
            case Fault.FLIPPED:
                content = bytearray(path.read_bytes())
                content[-2880] ^= 1
                path.write_bytes(content)
            case Fault.LINK:
                path.rename(path.with_suffix(".moved"))
                path.symlink_to(path.with_suffix(".moved").name)
            case Fault.INPUT_CHANGED:
                source = next(i.path for i in self._inputs if i.tag == self._text)
                source.write_bytes(source.read_bytes() + b"\0" * 2880)


@dataclass(slots=True)
class Workspace:
    """A folder with the tiny night, the fake image and the fake engine."""

    root: Path
    library: ImageLibrary
    engine: FakeEngine = field(default_factory=FakeEngine)

    @classmethod
    def make(cls, root: Path, *, objects: int = 2, ifus: Sequence[int] = (1, 2)) -> "Workspace":
        """Write it all."""
        write_night(root, objects=objects, ifus=ifus)
        (root / "clio.toml").write_text("")
        return cls(root, install_image(root / "cache"))

    def configure(self, text: str) -> None:
        """Write the settings."""
        (self.root / "clio.toml").write_text(text)

    def open(self) -> Reduction:
        """Open it."""
        return Reduction(load(self.root), engine=self.engine, library=self.library)

    def run(self, *stages: Stage, retry_failed: bool = False) -> Summary:
        """Run stages; all if none is named."""
        with self.open() as reduction:
            return reduction.run(stages or tuple(Stage), retry_failed=retry_failed)

    def raw(self, tag: str) -> list[Path]:
        """List the raw frames of a tag, by time."""
        times = [shot.mjd for shot in night() if shot.tag == tag]
        return [path for mjd in times if (path := self.root / "raw" / f"MUSE.{date_of(mjd)}.fits").exists()]

    def object_of(self, product: Made) -> Path:
        """Say where the bytes of a product lie in the store."""
        digits = product.digest.partition(":")[2]
        return next((self.root / ".clio" / "objects").rglob(digits))


def did(summary: Summary, what: Did) -> list[str]:
    """List the ids of steps with which this was done, sorted."""
    return sorted(event.step.id for event in summary.events if event.did is what)
