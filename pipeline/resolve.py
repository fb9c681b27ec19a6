"""From a step to a job: its inputs as bytes with digests and canonical names, its parameters in full."""

import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pipeline.engine import Engine, RecipeImage
from pipeline.errors import FitsError, PipelineError
from pipeline.execute import StagedInput
from pipeline.fitsdigest import digest_file, in_short
from pipeline.given import ECSV
from pipeline.image import ImageLibrary
from pipeline.looks import look
from pipeline.model import Frame, FrameInput, ProductInput, Step
from pipeline.own.environment import own_image
from pipeline.own.table import is_own
from pipeline.parameters import Effective, effective
from pipeline.record import Job, in_order, make_action
from pipeline.sof import NAME
from pipeline.unmatched import without_unmatched
from provenance.digest import digest_file as digest_bytes_of
from provenance.errors import FileChanged
from provenance.memo import Memo
from provenance.model import OutputFile
from provenance.store import Store

_IFU = re.compile(r"-(\d\d)\.fits$")


class Maker(Protocol):
    """What made products: a run, or what a lock says of a step."""

    @property
    def outputs(self) -> tuple[OutputFile, ...]:
        """The products."""


class Resolver:
    """Turns steps into jobs; remembers the digests of files by their status. Threads may share it.

    Parameters
    ----------
    store : Store
        Where digests are remembered and products lie.
    library : ImageLibrary
        Knows the parameters of each recipe.
    image : callable
        Finds the image; asked when a step becomes a job, as scanning needs none.
    engine, numerics
        What runs the recipes.
    """

    def __init__(
        self,
        store: Store,
        library: ImageLibrary,
        image: Callable[[], RecipeImage],
        engine: Engine,
        numerics: str,
    ) -> None:
        self._store = store
        self._library = library
        self._image = image
        self._engine = engine
        self.numerics = numerics
        self.has_restless = False
        """Whether a frame was read that is not remembered: a change to it might not show."""
        self._locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        self._survey = threading.Lock()
        self._effective: dict[tuple[str, tuple[tuple[str, str], ...]], Effective] = {}

    def job(self, step: Step, runs: Mapping[str, Maker]) -> Job:
        """Make a step into a job.

        Parameters
        ----------
        step : Step
            Without problems.
        runs : mapping of str to Maker
            For each step it depends on, the run whose products it reads; they need not be there.

        Raises
        ------
        UsageError
            A parameter that the recipe does not know, or a value it does not take.
        FitsError
            A frame cannot be read any more.
        """
        step = without_unmatched(step, runs)
        full = self.parameters(step)
        staged = in_order(step, tuple(file for item in step.inputs for file in self._staged(item, runs)))
        image = own_image(step.recipe) if is_own(step.recipe) else self._image()
        action = make_action(step, full, staged, image, self.numerics)
        return Job(step, action, full, staged)

    def digests(self, path: Path) -> Memo:
        """Give the digest and data digest of a frame, read only if its status is new."""
        with self._locks[path]:
            known = self._recall(path)
            if known is not None:
                return known
            try:
                found = self._store.files.read(path, _read)
                self.has_restless |= self._store.files.memo(path.stat()) is None
                return found
            except FileChanged as error:
                raise FitsError(f"{error.message}; wait until it is whole, and run again") from error

    def holds(self, file: StagedInput, found: os.stat_result | None = None) -> bool:
        """Tell whether an input still has the bytes that its job was made of; read only if its looks moved.

        Parameters
        ----------
        file : StagedInput
            The input.
        found : os.stat_result, optional
            What it looked like a moment ago.

        Raises
        ------
        FitsError, OSError
            It cannot be read any more.
        """
        known = self._store.files.memo(found or file.path.stat())
        if known is not None and known.digest == file.digest:
            return True
        if file.path == self._store.objects.path(file.digest):
            return self._store.files.proves(file.digest)
        return self.digests(file.path).digest == file.digest

    def knows_frames(self, step: Step) -> bool:
        """Tell whether all frames of a step are remembered, so that none has to be read."""
        return all(self._recall(item.frame.path) for item in step.inputs if isinstance(item, FrameInput))

    def still_fits(self, job: Job) -> bool:
        """Tell whether all frames of a job are what they were when the job was made."""
        frames = {item.frame.path for item in job.step.inputs if isinstance(item, FrameInput)}
        staged = (file for file in job.inputs if file.path in frames)
        return all((known := self._recall(file.path)) and known.digest == file.digest for file in staged)

    def _recall(self, path: Path) -> Memo | None:
        found = look(path)
        known = None if found is None else self._store.files.memo(found)
        return None if known is None or known.data_digest is None else known

    def data_digest(self, path: Path) -> str:
        """Give the data digest of a frame."""
        return self.digests(path).data_digest or ""

    def parameters(self, step: Step) -> Effective:
        """Give all parameters of a step.

        Raises
        ------
        UsageError
            One that the recipe does not know, or a value it does not take.
        """
        with self._survey:  # the first question to an image starts a container
            asked = (step.recipe, step.parameters)
            if asked not in self._effective:
                known = self._library.parameters(self._image(), self._engine, step.recipe)
                self._effective[asked] = effective(step.recipe, known, step.parameters)
            return self._effective[asked]

    def frame(self, item: FrameInput) -> StagedInput:
        """Give a frame its digests and its canonical name.

        Raises
        ------
        FitsError, OSError
            It cannot be read any more.
        """
        frame = item.frame
        found = self.digests(frame.path)
        data = found.data_digest or ""
        name = _frame_name(item.tag, frame, data)
        return StagedInput(item.tag, name, frame.path, found.digest, data, frame.size, found.extra)

    def _staged(self, item: FrameInput | ProductInput, runs: Mapping[str, Maker]) -> tuple[StagedInput, ...]:
        match item:
            case FrameInput():
                return (self.frame(item),)
            case ProductInput(tag, step, product):
                made = [o for o in runs[step].outputs if o.tag == product]
                if len(made) != 1:
                    raise PipelineError(f"{step} made {len(made)} {product} where {tag} needs one")
                return (self._product(tag, made[0]),)

    def _product(self, tag: str, output: OutputFile) -> StagedInput:
        data = output.data_digest or ""
        ifu = _IFU.search(output.name)
        name = f"{output.tag}{f'-{ifu[1]}' if ifu else ''}_{_short(data)}.fits"
        path = self._store.objects.path(output.digest)
        return StagedInput(tag, name, path, output.digest, data, output.size)


def _read(path: Path) -> Memo:
    if path.suffix == ECSV:  # a table of text is its bytes
        plain = digest_bytes_of(path)
        return Memo(plain, plain, None)
    found = digest_file(path)
    return Memo(found.digest, found.data_digest, in_short(found.parts))


def _frame_name(tag: str, frame: Frame, data_digest: str) -> str:
    """Give a frame the name it has in the archive, else one made from its content."""
    if NAME.fullmatch(frame.arcfile) and frame.arcfile.endswith(".fits"):
        return frame.arcfile
    ending = ECSV if frame.path.suffix == ECSV else ".fits"
    return f"{tag}_{_short(data_digest)}{ending}"


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]
