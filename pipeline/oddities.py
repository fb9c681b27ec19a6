"""What is odd about the raw frames of a night that can be reduced: nothing vanishes in silence. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from pipeline.model import UNNAMED, Frame, FrameInput, Step
from pipeline.tags import NOT_USED, Kind


def oddities(frames: Sequence[Frame], steps: Iterable[Step], *, darks: bool) -> tuple[str, ...]:
    """Say what a person should know of raw frames: of what is missing in them, and which are not used.

    Parameters
    ----------
    frames : sequence of Frame
        All that were found.
    steps : iterable of Step
        Of the plan.
    darks : bool
        Whether darks are wanted.

    Returns
    -------
    tuple of str
        A sentence each; the same for the same frames in any order.
    """
    raw = sorted((f for f in frames if f.kind is Kind.RAW), key=lambda f: (f.date_obs, f.tag))
    used = {item.frame.path for step in steps for item in step.inputs if isinstance(item, FrameInput)}
    return (*_cut_short(raw), *_dead(raw), *_nameless(raw), *_unused(raw, used, darks))


def _cut_short(raw: list[Frame]) -> Iterator[str]:
    """Name templates with fewer exposures than ESO TPL NEXP says, whatever their tags."""
    templates: dict[str, list[Frame]] = defaultdict(list)
    for frame in raw:
        templates[frame.template].append(frame)
    for start, group in sorted(templates.items()):
        length = max(frame.template_length for frame in group)
        if len(group) < length:
            tags = ", ".join(sorted({frame.tag for frame in group}))
            yield f"template {start} ({tags}) is cut short: {len(group)} of {length} exposures are there"


def _dead(raw: list[Frame]) -> Iterator[str]:
    """Name detectors that are dead, in all frames or in some."""
    frames: dict[int, list[Frame]] = defaultdict(list)
    for frame in raw:
        for ifu in frame.dead:
            frames[ifu].append(frame)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for ifu, group in sorted(frames.items()):
        groups[tuple(frame.exposure for frame in group)].append(ifu)
    for exposures, ifus in groups.items():
        name = f"IFU {in_ranges(ifus)} is" if len(ifus) == 1 else f"IFUs {in_ranges(ifus)} are"
        if len(exposures) == len(raw):
            yield f"{name} dead in all raw frames, and not reduced"
        else:
            yield (
                f"{name} dead in {len(exposures)} of {len(raw)} raw frames, such as {exposures[0]}: "
                "those are reduced without"
            )


def in_ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers as a person would.

    Examples
    --------
    >>> in_ranges([1, 3, 4, 5, 24])
    '1, 3-5, 24'
    """
    starts = [numbers[0], *(b for a, b in pairwise(numbers) if b != a + 1)]
    ends = [*(a for a, b in pairwise(numbers) if b != a + 1), numbers[-1]]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def _nameless(raw: list[Frame]) -> Iterator[str]:
    found = [frame for frame in raw if frame.tag == "OBJECT" and frame.target == UNNAMED]
    if found:
        yield (
            f"no target is named by {_counted(found)} OBJECT, such as {found[0].exposure}: filed under "
            f"{UNNAMED}; name it in clio.toml: [targets.NAME] match = ['{found[0].block}']"
        )


def _unused(raw: list[Frame], used: set[Path], darks: bool) -> Iterator[str]:
    reasons = dict(NOT_USED)
    if not darks:
        reasons["DARK"] = "darks are not subtracted unless clio.toml says so: [workflow] dark = true"
    reasons["ILLUM"] = "chosen for no exposure"
    left = Counter(frame.tag for frame in raw if frame.path not in used)
    for tag, reason in sorted(reasons.items()):
        if left[tag]:
            frames = "1 frame is" if left[tag] == 1 else f"{left[tag]} frames are"
            yield f"{tag}: {frames} not used: {reason}"


def _counted(frames: list[Frame]) -> str:
    return "1 frame of" if len(frames) == 1 else f"{len(frames)} frames of"
