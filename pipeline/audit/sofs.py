"""Sets of frames as headers have them, for `[[sof]]` of a `clio.toml`: order, names, and which step."""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from pipeline import keywords as kw
from pipeline.audit.claims import FileClaims, InputClaim, RecipeClaim
from pipeline.audit.places import Seen
from pipeline.config import SOF_LINE
from pipeline.model import Stage
from pipeline.recipes import PER_DATASET, PER_EXPOSURE, PER_IFU, PER_TARGET

_CANONICAL = re.compile(r"(?P<tag>[A-Z0-9_]+?)(-\d\d)?_[0-9a-f]{12}\.fits")
_CHANNEL = re.compile(r"CHAN(\d\d)\b")
_ARCHIVE = "MUSE."

Find = Callable[[InputClaim], Seen | None]
"""Gives the file that an input most likely was; None if none was found."""


@dataclass(frozen=True, slots=True)
class SetOfFrames:
    """What a call was given."""

    where: tuple[tuple[str, str], ...]
    """Which step, as a `where` has it."""
    ifu: int | None
    frames: tuple[str, ...]
    """As `[[sof]] frames` has them."""


def set_of_frames(
    claim: RecipeClaim, stage: Stage, claims: FileClaims, find: Find
) -> tuple[SetOfFrames | None, str]:
    """Write the set of frames of a call.

    Parameters
    ----------
    claim : RecipeClaim
        The call.
    stage : Stage
        The stage it is of.
    claims : FileClaims
        The header it stands in.
    find : callable
        Looks for an input.

    Returns
    -------
    SetOfFrames or None, str
        None if the header names no frames, or is of one IFU of several that were made in one call: Clio makes
        a call for each. And what cannot be said, as a sentence.
    """
    ifu = claim.value("nifu") or ""
    is_of_one = ifu.isdigit() and int(ifu) > 0
    if not claim.inputs or (stage in PER_IFU and not is_of_one):
        return None, ""
    numbers = _numbers(claim.inputs, find)
    frames = []
    for item in claim.inputs:
        number = f" {numbers[item.place]}" if item.place in numbers else ""
        line = f"{item.name} {item.tag}{number}"
        if not SOF_LINE.fullmatch(line):
            text = f"{item.place} {item.name} {item.tag} of {claim.recipe} is no line of a set of frames"
            return None, f"UNKNOWN: the order and names of its inputs: {text}"
        frames.append(line)
    number_of_ifu = int(ifu) if is_of_one else None
    return SetOfFrames(_where(stage, claims), number_of_ifu, tuple(frames)), ""


def is_as_clio_has_it(claim: RecipeClaim) -> bool:
    """Tell whether raw frames go by ARCFILE, those of a tag by time, and all else by content, as with Clio.

    Which tag comes first follows from the recipe, and not from the set of frames alone.
    """
    archived: defaultdict[str, list[str]] = defaultdict(list)
    for item in claim.inputs:
        if item.name.startswith(_ARCHIVE):
            archived[item.tag].append(item.name)
    in_order = all(names == sorted(names) for names in archived.values())
    return in_order and all(_is_own_name(item) for item in claim.inputs)


def _is_own_name(item: InputClaim) -> bool:
    if item.name.startswith(_ARCHIVE):
        return item.name.endswith(".fits")
    match = _CANONICAL.fullmatch(item.name)
    return match is not None


def _where(stage: Stage, claims: FileClaims) -> tuple[tuple[str, str], ...]:
    """Name the step by what its products' header has of the first frame that went in."""
    said = {"stage": stage.value}
    if stage in PER_EXPOSURE:
        said["exposure"] = claims.text(kw.DATE_OBS)
    elif stage in PER_DATASET:
        said["dataset"] = claims.text(kw.OBS_ID)
    elif stage not in PER_TARGET:
        said["template"] = claims.text(kw.TPL_START)
    return tuple((word, name) for word, name in said.items() if name)


def _numbers(inputs: tuple[InputClaim, ...], find: Find) -> dict[str, int]:
    """Say which frame of its tag an input is, where all were found and stand otherwise than Clio has them."""
    by_tag: defaultdict[str, list[InputClaim]] = defaultdict(list)
    for item in inputs:
        by_tag[item.tag].append(item)
    numbers: dict[str, int] = {}
    for items in by_tag.values():
        found = [find(item) for item in items]
        keys = [_key(seen) for seen in found if seen is not None]
        if len(keys) == len(items) == len(set(keys)) and keys != sorted(keys):
            numbers |= {
                item.place: sorted(keys).index(key) + 1 for item, key in zip(items, keys, strict=True)
            }
    return numbers


def _key(seen: Seen) -> tuple[str, int, str]:
    """Order files as Clio does: by exposure, IFU and ARCFILE."""
    claims = seen.claims
    nifu = claims.last.value("nifu") if claims.last else None
    channel = next((match[1] for name in claims.extensions if (match := _CHANNEL.match(name))), "0")
    ifu = nifu if nifu and nifu.isdigit() and int(nifu) > 0 else channel
    return claims.text(kw.DATE_OBS), int(ifu), seen.arcfile
