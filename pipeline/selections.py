"""Do the selections of the settings select anything? A name that fits nothing is a slip, and is refused.

Reads the file of the settings only to name the line of a slip.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator
from itertools import combinations

from pipeline.associate import group
from pipeline.config import Settings, TargetTable, WhereTable, is_named
from pipeline.errors import Slip
from pipeline.model import Frame, Plan, Scan, Scope
from pipeline.rules import RULES
from pipeline.tags import Kind
from pipeline.targets import is_like, is_of, night_of, target_of
from pipeline.toml_lines import Keys, locate


def selection_slips(settings: Settings, found: Scan, made: Plan) -> tuple[Slip, ...]:
    """Find settings that would have no effect on these frames.

    Parameters
    ----------
    settings : Settings
        What a person decided.
    found : Scan
        The frames of the workspace.
    made : Plan
        Its steps.

    Returns
    -------
    tuple of Slip
        Modes, IFUs, targets, exposures, templates, datasets, stages and calibrations that fit nothing.

    Notes
    -----
    Without any OBJECT exposure nothing is said of targets, exposures and datasets: they are still to come.
    """
    slips = [*_modes(settings, found), *_ifus(settings, found), *_calibrations(settings, found)]
    if any(frame.tag == "OBJECT" for frame in found.frames):
        slips += [*_targets(settings, found), *_overrides(settings, found, made)]
    text = settings.file.read_text(encoding="utf-8") if slips else ""
    return tuple(Slip(locate(text, keys), message, hint, keys) for keys, message, hint in slips)


_Slips = Iterator[tuple[Keys, str, str]]
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
        yield from _datasets(name, table, exposures[name])


def _datasets(target: str, table: TargetTable, exposures: list[Frame]) -> _Slips:
    patterns = {name: dataset.match or [name] for name, dataset in table.datasets.items()}
    left = [f for f in exposures if not is_like(table.exclude, f.exposure, f.arcfile)]
    for name, wanted in patterns.items():
        keys = ("targets", target, "datasets", name, "match")
        if not any(is_of(wanted, frame) for frame in exposures):
            what = f"dataset {name} of target {target} has no exposure: match = {wanted}"
            known = {f"block {f.block}, night {night_of(f)}, exposure {f.exposure}" for f in exposures}
            yield keys, what, _there_are(known)
    for one, two in combinations(patterns, 2):
        both = [f.exposure for f in left if is_of(patterns[one], f) and is_of(patterns[two], f)]
        if both:
            more = f" and {len(both) - 1} more" if len(both) > 1 else ""
            what = f"exposure {both[0]}{more} of target {target} in two datasets, {one} and {two}"
            hint = "an exposure is reduced in one: narrow the match of one of them"
            yield ("targets", target, "datasets", two, "match"), what, hint


def _overrides(settings: Settings, found: Scan, made: Plan) -> _Slips:
    exposures = {f.exposure for f in found.frames if f.kind is Kind.RAW and f.exposure}
    for number, override in enumerate(settings.table.override):
        where, keys = override.where, ("override", number, "where")
        scopes = [s.scope for s in made.steps if s.scope and s.recipe in override.recipes]
        if not scopes:
            continue  # of a recipe that is not in use nothing can be said
        if not any(where.fits(scope) for scope in scopes):
            planned = {step.scope.exposure for step in made.steps if step.scope}
            if not _all_of(
                where.exposure, exposures - planned
            ):  # left out for now, by its target or its mode
                yield keys, *_without_step(where, scopes)
            continue
        for word in _WORDS:
            names = getattr(where, word)
            for name in names if isinstance(names, list) else ():
                if not any(is_named(name, getattr(scope, word)) for scope in scopes):
                    what = f"no step of its recipes has {word} = {name!r}: naming it changes nothing"
                    yield (*keys, word), what, _nearest(name, _known(scopes, word))


_WORDS = ("exposure", "template", "dataset", "target")


def _all_of(wanted: str | list[str], names: Collection[str]) -> bool:
    """Tell whether all that is named is among some names."""
    patterns = [wanted] if isinstance(wanted, str) else wanted
    return all(any(is_named(pattern, name) for name in names) for pattern in patterns)


def _without_step(where: WhereTable, scopes: list[Scope]) -> tuple[str, str]:
    """Name the first word that fits no step, or all of them if each fits some."""
    for word in _WORDS:
        wanted, known = getattr(where, word), _known(scopes, word)
        if wanted and not any(is_named(wanted, name) for name in known):
            shown = wanted if isinstance(wanted, str) else ", ".join(wanted)
            what = f"no step of its recipes has {word} = {shown!r}: the override changes nothing"
            return what, _elsewhere(wanted, word, scopes) or _nearest(shown, known)
    return "no step is of all that it names: the override changes nothing", ""


def _elsewhere(wanted: str | list[str], word: str, scopes: list[Scope]) -> str:
    """Say under which word these steps have that name."""
    others = (w for w in _WORDS if w != word and any(is_named(wanted, n) for n in _known(scopes, w)))
    found = next(others, "")
    return f"it is a {found}: where = {{ {found} = ... }}" if found else ""


def _known(scopes: list[Scope], word: str) -> set[str]:
    return {name for scope in scopes if (name := getattr(scope, word))}


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else _there_are(known)


def _there_are(known: Iterable[str]) -> str:
    """List what there is; of many the first few."""
    names = sorted(known)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there are {', '.join(names[:_SHOWN])}{more}" if names else "there is none"


_SHOWN = 6
