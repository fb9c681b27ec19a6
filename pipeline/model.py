"""What the stages of the reduction hand on to each other: frozen values, no behaviour beyond naming."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.tags import Kind

CALIBRATIONS = "calibrations"
"""Where products that belong to no target are filed."""


UNNAMED = "unnamed"
"""Target of an exposure whose header names none."""


class Stage(StrEnum):
    """The stages of the workflow, in the order in which they run."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    WAVE = "wave"
    LSF = "lsf"
    TWILIGHT = "twilight"
    SCIBASIC = "scibasic"
    STANDARD = "standard"
    SKY = "sky"
    PREP_ALIGN = "prep_align"
    ALIGN = "align"
    ALIGN_BYGROUP = "align_bygroup"
    SCIPOST = "scipost"
    SCIPOST_PEREXPO = "scipost_perexpo"
    COMBINE = "combine"
    ALIGN_TARGET = "align_target"
    COMBINE_TARGET = "combine_target"
    FINALISE = "finalise"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be used or done, with its reason."""

    subject: str
    """The file, exposure or step it is about."""
    reason: str
    """What is wrong, and why."""
    hint: str = ""
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Chip:
    """The detector of an IFU, as a raw frame names it."""

    ifu: int
    name: str
    """ESO DET CHIP NAME."""
    id: str
    """ESO DET CHIP ID."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A FITS file with its header known and its tag given."""

    path: Path
    tag: str
    kind: Kind
    arcfile: str
    """ARCFILE: the name of a raw frame in the archive; empty if it has none."""
    size: int
    """Bytes on disk."""
    mjd: float | None
    """MJD-OBS in days; None for a static calibration without a date."""
    date_obs: str
    """DATE-OBS as written."""
    instrument: str
    mode: str
    """ESO INS MODE, such as WFM-NOAO-N; empty if a static does not say."""
    field: str
    """WFM or NFM, from the mode; empty if unknown."""
    readout: str
    """ESO DET READ CURID and CURNAME."""
    binning: str
    """ESO DET BINX and BINY."""
    chips: tuple[Chip, ...]
    """Live detectors, by IFU."""
    exptime_s: float
    template: str
    """ESO TPL START."""
    block: str
    """ESO OBS ID."""
    target: str
    """ESO OBS TARG NAME."""
    lamp: str
    """The arc lamp that is on: Ne, Xe or HgCd; empty for none."""
    temperature_c: float | None
    """ESO INS TEMP7 VAL."""
    airmass: float | None
    """Mean of start and end."""
    template_length: int = 0
    """ESO TPL NEXP: exposures that the template was to have; 0 if it does not say."""
    dead: tuple[int, ...] = ()
    """IFUs whose extension is there without a live detector."""

    @property
    def ifus(self) -> tuple[int, ...]:
        """IFUs with a live detector."""
        return tuple(chip.ifu for chip in self.chips)

    @property
    def exposure(self) -> str:
        """What a person calls this exposure: its DATE-OBS."""
        return self.date_obs


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in the folders of a workspace."""

    frames: tuple[Frame, ...]
    """Raw frames by time, then static calibrations by tag."""
    problems: tuple[Problem, ...]
    """Files that cannot be used."""
    remarks: tuple[str, ...]
    """What a person should know: an exposure found twice, for example."""
    searched: tuple[Path, ...]
    """Folders that were looked through."""


@dataclass(frozen=True, slots=True)
class Template:
    """Calibration exposures of one template start, one tag, mode and read-out."""

    tag: str
    start: str
    """ESO TPL START, which names it."""
    frames: tuple[Frame, ...]
    """By time."""

    @property
    def mjd(self) -> float:
        """Mean MJD-OBS of its frames, in days."""
        return sum(frame.mjd or 0.0 for frame in self.frames) / len(self.frames)

    @property
    def ifus(self) -> tuple[int, ...]:
        """IFUs that are live in every frame."""
        common = set(self.frames[0].ifus)
        for frame in self.frames[1:]:
            common &= set(frame.ifus)
        return tuple(sorted(common))


@dataclass(frozen=True, slots=True)
class Dataset:
    """OBJECT exposures that belong together on the sky and in time: an observing block in one mode."""

    target: str
    name: str
    """ESO OBS ID, or what the settings call it; empty for all exposures of a target in one mode."""
    exposures: tuple[Frame, ...]
    """By time."""
    unit: str = ""
    """What its steps go by, which no other dataset does; given by `pipeline.targets`."""

    @property
    def mode(self) -> str:
        """Instrument mode of its exposures."""
        return self.exposures[0].mode


@dataclass(frozen=True, slots=True)
class Night:
    """All frames, sorted into what the recipes work on."""

    templates: tuple[Template, ...]
    """Of calibration frames, by tag and start."""
    exposures: tuple[Frame, ...]
    """OBJECT, SKY and STD frames, by time."""
    illums: tuple[Frame, ...]
    statics: tuple[Frame, ...]
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True, slots=True)
class NextBest:
    """The calibration that would be used if the chosen one were not there."""

    name: str
    level: int
    age_s: int | None
    """As of an `Association`."""


@dataclass(frozen=True, slots=True)
class Association:
    """The choice of a calibration, with its reason."""

    tag: str
    chosen: str
    """The template, exposure or file that was chosen; empty if none is allowed and none was found."""
    level: int
    """0 is the calibration plan; larger is poorer."""
    distance_s: int
    """Distance in time, seconds; 0 for what has no date."""
    reason: str
    rejected: tuple[str, ...] = ()
    """What was nearest and left, each with its reason."""
    age_s: int | None = None
    """When it was taken, seconds from the exposure: negative before, positive after; None without a date."""
    warmer_c: float | None = None
    """Its temperature minus that of the exposure; None where temperature does not matter or is unknown."""
    crossed: tuple[str, ...] = ()
    """Interventions on the instrument between it and the exposure."""
    inconsistent: str = ""
    """In what it does not belong with the other calibrations of the exposure; empty if it does."""
    next_best: NextBest | None = None
    """What would be used without it; None for nothing."""


@dataclass(frozen=True, slots=True)
class FrameInput:
    """An input that lies in the folders of the workspace."""

    tag: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class ProductInput:
    """An input that another step makes."""

    tag: str
    """The part it plays here."""
    step: str
    """Id of the step that makes it."""
    product: str
    """Its tag there."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a recipe must leave behind to be believed."""

    tag: str
    least: int = 1
    filter: str = ""
    """Name of the filter of an image; empty for any."""


@dataclass(frozen=True, slots=True)
class SofLine:
    """A frame of a set of frames that was given elsewhere."""

    name: str
    """What it was called there: a base name."""
    tag: str
    number: int | None = None
    """Which of this tag, from 1, in the order in which Clio gives them; None for what its name or its place
    says."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a step works on, in the words of a `where` of the settings; empty for what it is not of."""

    stage: Stage
    exposure: str = ""
    """DATE-OBS, of a step that works on one exposure."""
    template: str = ""
    """TPL START of what it reduces; a step of a dataset has none."""
    dataset: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A call of a recipe that may or may not be possible yet."""

    id: str
    """`stage:unit`; also what a person types to name it."""
    stage: Stage
    recipe: str
    unit: str
    """Template, exposure or dataset, with the IFU behind a colon where there is one."""
    target: str
    """Where its products are filed: a target, or `calibrations`."""
    ifus: tuple[int, ...]
    """IFUs it works on."""
    inputs: tuple[FrameInput | ProductInput, ...]
    parameters: tuple[tuple[str, str], ...]
    """Option and value of every parameter that is set on purpose; the rest are defaults."""
    expected: tuple[Expected, ...]
    associations: tuple[Association, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Why it cannot run; empty if it can."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of the MUSE library that a person set, sorted."""
    origins: tuple[tuple[str, str], ...] = ()
    """Option of each of its `parameters`, and who set it; see `pipeline.layers.Setter`."""
    scope: Scope | None = None
    """What it works on, as settings name it."""
    sof: tuple[SofLine, ...] = ()
    """Order and names in which it is given its inputs, if the settings say; else Clio's own."""

    @property
    def dataset(self) -> str:
        """The dataset, or the block of a SKY or STD exposure; empty for a template and for a whole target."""
        return self.scope.dataset if self.scope else ""

    @property
    def upstream(self) -> tuple[str, ...]:
        """Ids of the steps whose products it reads, each once, in order."""
        made = (item.step for item in self.inputs if isinstance(item, ProductInput))
        return tuple(dict.fromkeys(made))


@dataclass(frozen=True, slots=True)
class Plan:
    """Every step of the reduction, those it depends on first."""

    steps: tuple[Step, ...]
    problems: tuple[Problem, ...]
    """Files that cannot be used, and frames that belong to no step: of a mode that was not asked for."""
    remarks: tuple[str, ...] = ()
