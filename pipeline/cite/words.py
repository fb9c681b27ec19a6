"""The methods paragraph and the acknowledgement, from what is known of a product. Pure."""

import re
from collections.abc import Iterable, Iterator

from pipeline.cite.bibliography import Entry
from pipeline.cite.facts import SCIENCE, Calibration, Call, Cited, Exposure

_CITE = re.compile(r"\[\[([A-Za-z0-9,]+)\]\]")
_ESCAPES = {character: f"\\{character}" for character in "_%&#$"} | {
    "{": "\\{",
    "}": "\\}",
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "|": "\\textbar{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
}


def methods(cited: Cited, used: tuple[Entry, ...] = (), *, latex: bool = False) -> str:
    r"""Write how a product was made, as a paragraph for a paper.

    Parameters
    ----------
    cited : Cited
        What is known of it.
    used : tuple of Entry
        The bibliography: what stands in it is cited.
    latex : bool
        Escape what LaTeX reads otherwise, and cite with `\\citep`.
    """
    labels = {entry.key: entry.label for entry in used}
    text = " ".join(sentence for sentence in _sentences(cited) if sentence)
    if latex:
        text = escaped(text)

    def cite(match: re.Match[str]) -> str:
        keys = [key for key in match[1].split(",") if key in labels]
        if not keys:
            return ""
        if latex:
            return f" \\citep{{{','.join(keys)}}}"
        named = [labels[key] for key in keys if labels[key]]
        return f" ({'; '.join(named)})" if named else ""

    return _CITE.sub(cite, text)


def escaped(text: str) -> str:
    r"""Escape what LaTeX reads as something else.

    Examples
    --------
    >>> escaped("muse_bias 5 %")
    'muse\\_bias 5 \\%'
    """
    return "".join(_ESCAPES.get(character, character) for character in text)


def acknowledgement(cited: Cited) -> str:
    """Write the acknowledgement that ESO asks for; empty if nothing of ESO is in it."""
    on_sky = cited.observed
    if not on_sky:
        return ""
    unknown = sum(not item.programme for item in on_sky)
    named = cited.programmes
    base = "Based on observations collected at the European Southern Observatory under ESO programme"
    if not named:
        return f"{base} [unknown: no header of the {_count(unknown, 'exposure')} is at hand]."
    several = "s" if len(named) > 1 else ""
    rest = f" [and unknown ones, of {_count(unknown, 'exposure')}]" if unknown else ""
    return f"{base}{several} {_listed(named)}{rest}."


def span(seconds: int) -> str:
    """Write a distance in time.

    Examples
    --------
    >>> span(30), span(360), span(42068), span(1302120)
    ('30 s', '6 min', '11.7 h', '15.1 d')
    """
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.1f} d"


def _sentences(cited: Cited) -> Iterator[str]:
    yield _observed(cited)
    yield _reduced(cited)
    yield _called(cited.calls)
    yield _told(cited.calls)
    yield _calibrated(cited.calibrations)
    yield _from_outside(cited)
    yield _identified(cited)


def _observed(cited: Cited) -> str:
    science = cited.science
    if not science:
        return f"The {cited.tag} was made from {_counts(cited)}." if _tags(cited) else ""
    targets = sorted({item.target for item in science if item.target})
    modes = sorted({item.mode for item in science if item.mode})
    of = f" of {_listed(targets)}" if targets else ""
    in_mode = f" in {_listed(modes)}" if modes else ""
    text = f"The {cited.tag} was made from {_count(len(science), 'exposure')}{of}{in_mode}"
    times = [item.exptime_s for item in science if item.exptime_s is not None]
    if len(times) < len(science):
        return f"{text}, with exposure times that are not known for {len(science) - len(times)} of them."
    return f"{text}, {_seconds(sum(times))} in total{_dates(science)}."


def _dates(science: Iterable[Exposure]) -> str:
    dates = sorted({item.date_obs[:10] for item in science if item.date_obs})
    if not dates:
        return ""
    return f", taken on {dates[0]}" if len(dates) == 1 else f", taken from {dates[0]} to {dates[-1]}"


def _reduced(cited: Cited) -> str:
    versions = [version.removeprefix("muse/") for version in cited.pipelines]
    who = "They were" if cited.science else "It was"
    tool = f"Clio{f' {_listed(cited.clio)}' if cited.clio else ''}[[Clio]]"
    if not versions:
        text = f"{who} reduced by {tool}" if cited.calls else ""
    else:
        several = "s" if len(versions) > 1 else ""
        pipeline = f"version{several} {_listed(versions)} of the MUSE pipeline[[Weilbacher2020]]"
        runner = f"EsoRex{_version(cited, 'esorex')} and CPL{_version(cited, 'cpl')}[[EsoRex,CPL]]"
        text = f"{who} reduced with {pipeline}, run by {tool} through {runner}"
    images = [f"{digest} ({platform})" for digest, platform in cited.images]
    where = f" in the container image{'s' if len(images) > 1 else ''} {_listed(images)}" if images else ""
    native = ", with the mathematical functions of the processor" if "native" in cited.numerics else ""
    return f"{text}{where}{native}." if text else ""


def _version(cited: Cited, package: str) -> str:
    """Give the version of a package as its makers count, without Debian's part; empty if it is not known."""
    known = sorted(
        {version.split("+")[0].split("-")[0] for name, version in cited.packages if name == package}
    )
    return f" {_listed(known)}" if known else ""


def _called(calls: tuple[Call, ...]) -> str:
    if not calls:
        return ""
    named = [f"{call.recipe} ({_count(call.runs, 'run')}, {call.stage})" for call in calls]
    return f"The recipes were, in order: {', '.join(named)}."


def _told(calls: tuple[Call, ...]) -> str:
    changed = [
        f"{call.recipe} in {call.stage}: {', '.join(f'{name} = {value}' for name, value, _ in call.changed)}"
        for call in calls
        if call.changed
    ]
    if not changed:
        return "All parameters had the defaults of the recipes." if calls else ""
    text = f"Parameters other than the defaults of the recipes were: {'; '.join(changed)}."
    return f"{text} All others were at them, but that each IFU may have been reduced by itself (nifu)."


def _calibrated(calibrations: tuple[Calibration, ...]) -> str:
    """Say how far calibrations were away, each tag once, over all stages that used it."""
    found: dict[str, list[Calibration]] = {}
    for item in calibrations:
        if not item.is_static:
            found.setdefault(item.tag, []).append(item)
    said = []
    for tag, items in found.items():
        near, far = min(i.nearest_s for i in items), max(i.farthest_s for i in items)
        away = span(far) if span(near) == span(far) else f"{span(near)} to {span(far)}"
        said.append(f"{tag} {away} (level {max(i.level for i in items)})")
    if not said:
        return ""
    head = "Calibrations, with their distance in time from what they calibrate and the level of the choice"
    return f"{head} (0 is as in ESO's calibration plan), were {', '.join(said)}."


def _from_outside(cited: Cited) -> str:
    parts = []
    if cited.science and any(tag != SCIENCE for tag in _tags(cited)):
        parts.append(f"The raw frames used for calibration were {_counts(cited, but=SCIENCE)}.")
    statics = sorted({tag for tag, _ in cited.statics})
    if statics:
        parts.append(f"The static calibrations were {_listed(statics)}.")
    if cited.foreign:
        named = _listed(sorted({tag for tag, _ in cited.foreign}))
        count = _count(len(cited.foreign), "file")
        parts.append(f"How {count} from elsewhere ({named}) came to be is not recorded.")
    return " ".join(parts)


def _identified(cited: Cited) -> str:
    data = f", data digest {cited.data_digest}" if cited.data_digest else ""
    return f"The product has the digest {cited.digest}{data}."


def _tags(cited: Cited) -> dict[str, int]:
    """Count raw frames by tag."""
    found = dict(cited.frames)
    for item in cited.exposures:
        found[item.tag] = found.get(item.tag, 0) + 1
    return found


def _counts(cited: Cited, but: str = "") -> str:
    return _listed([f"{count} {tag}" for tag, count in sorted(_tags(cited).items()) if tag != but])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _seconds(value: float) -> str:
    return f"{value:g} s" if value < 1e6 else f"{value:.0f} s"


def _listed(items: Iterable[str]) -> str:
    names = list(items)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
