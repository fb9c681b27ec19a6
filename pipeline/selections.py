"""Do the selections of the settings select anything? A name that fits nothing is a slip, and is refused.

Reads the file of the settings only to name the line of a slip.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping

from pipeline.associate import group
from pipeline.config import Settings, WhereTable, locate
from pipeline.errors import ConfigError
from pipeline.model import Frame, Plan, Scan, Stage, Step
from pipeline.rules import RULES
from pipeline.tags import Kind
from pipeline.targets import is_like, target_of


def check_selections(settings: Settings, found: Scan, made: Plan) -> None:
    """Refuse settings that would have no effect on these frames.

    Parameters
    ----------
    settings : Settings
        What a person decided.
    found : Scan
        The frames of the workspace.
    made : Plan
        Its steps.

    Raises
    ------
    ConfigError
        A mode, IFU, target, exposure, dataset, stage or calibration that fits nothing; with file and line.

    Notes
    -----
    Without any OBJECT exposure nothing is said of targets, exposures and datasets: they are still to come.
    """
    slips = [*_modes(settings, found), *_ifus(settings, found), *_calibrations(settings, found)]
    if any(frame.tag == "OBJECT" for frame in found.frames):
        slips += [*_targets(settings, found), *_overrides(settings, found, made)]
    for keys, message, hint in slips:
        line = locate(settings.file.read_text(encoding="utf-8"), keys)
        raise ConfigError(f"{settings.file}, line {line}: {message}", hint)


OF_DATASETS = frozenset({Stage.ALIGN, Stage.SCIPOST, Stage.COMBINE})
"""Stages whose steps go by the name of a dataset."""

_Keys = tuple[str | int, ...]
_Slips = Iterator[tuple[_Keys, str, str]]
"""Where in the file, what is wrong, and a hint."""


def _modes(settings: Settings, found: Scan) -> _Slips:
    mode = settings.table.data.mode
    known = {frame.mode for frame in found.frames if frame.kind is Kind.RAW}
    if mode and mode not in known:
        yield ("data", "mode"), f"data.mode = {mode!r}, and no raw frame is of it", _there_are(known)


def _ifus(settings: Settings, found: Scan) -> _Slips:
    known = {ifu for frame in found.frames for ifu in frame.ifus}
    for ifu in settings.table.data.ifus:
        if ifu not in known:
            yield (
                *(("data", "ifus"), f"data.ifus names IFU {ifu}, and no raw frame has it"),
                _there_are(map(str, sorted(known))),
            )


def _calibrations(settings: Settings, found: Scan) -> _Slips:
    wanted = {tag: policy.use for tag, policy in settings.table.associate.items() if policy.use}
    night = group(found.frames if wanted else ())
    for tag, use in wanted.items():
        made_from = RULES[tag].made_from or tag
        named = {t.start: t.frames[0] for t in night.templates if t.tag.startswith(made_from)}
        named |= {f.exposure: f for f in (*night.exposures, *night.illums) if f.tag == made_from}
        named |= {f.path.name: f for f in night.statics if f.tag == made_from}
        others = {name for frame in named.values() for name in (str(frame.path), frame.arcfile)}
        if named and use not in named.keys() | others:
            what = f"no {made_from} goes by associate.{tag}.use = {use!r}"
            yield ("associate", tag, "use"), what, _nearest(use, named)


def _targets(settings: Settings, found: Scan) -> _Slips:
    targets = settings.table.targets
    exposures: dict[str, list[Frame]] = {}
    for frame in found.frames:
        if frame.tag == "OBJECT":
            exposures.setdefault(target_of(frame, targets), []).append(frame)
    known = {f"{f.target} (block {f.block})" for f in found.frames if f.tag == "OBJECT"}
    for name, table in targets.items():
        if name not in exposures:
            like = f"match = {table.match}" if table.match else "and it has no match of its own"
            yield ("targets", name, "match"), f"target {name} has no exposure: {like}", _there_are(known)
            continue
        for pattern in table.exclude:
            if not any(is_like([pattern], f.exposure, f.arcfile) for f in exposures[name]):
                what = f"exclude of target {name} leaves out nothing: no exposure is like {pattern}"
                yield ("targets", name, "exclude"), what, _there_are(f.exposure for f in exposures[name])


def _overrides(settings: Settings, found: Scan, made: Plan) -> _Slips:
    blocks = {f.exposure: f.block for f in found.frames if f.kind is Kind.RAW and f.exposure}
    for number, override in enumerate(settings.table.override):
        where = override.where
        steps = [step for step in made.steps if step.recipe in override.recipes]
        if not steps or any(where.fits(*_place(step, blocks)) for step in steps):
            continue  # of a recipe that is not in use nothing can be said
        is_planned = any(_place(step, blocks)[1] == where.exposure for step in made.steps)
        if where.exposure in blocks and not is_planned:
            continue  # left out for now, by its target or its mode
        yield ("override", number, "where"), *_without_step(where, [_place(step, blocks) for step in steps])


def _place(step: Step, blocks: Mapping[str, str]) -> tuple[Stage, str, str, str]:
    """Say where a step stands: stage, exposure (or template, or dataset), target and dataset."""
    name = step.unit.removesuffix(f":{step.ifus[0]:02d}") if len(step.ifus) == 1 else step.unit
    dataset = name if step.stage in OF_DATASETS else blocks.get(name, "")
    return step.stage, name, step.target, dataset


def _without_step(where: WhereTable, places: list[tuple[Stage, str, str, str]]) -> tuple[str, str]:
    """Name the first word that fits no step, or all of them if each fits some."""
    for number, word in enumerate(("stage", "exposure", "target", "dataset")):
        wanted, known = getattr(where, word), {str(place[number]) for place in places}
        if wanted and wanted not in known:
            what = f"no step of its recipes has {word} = {str(wanted)!r}: the override changes nothing"
            return what, _nearest(wanted, known)
    return "no step is of all that it names: the override changes nothing", ""


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else _there_are(known)


def _there_are(known: Iterable[str]) -> str:
    """List what there is; of many the first few."""
    names = sorted(known)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there are {', '.join(names[:_SHOWN])}{more}" if names else "there is none"


_SHOWN = 6
