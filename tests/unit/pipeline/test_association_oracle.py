"""Every choice of a plan against the tables, checked by brute force and without the rules under test.

The tables are typed in again from the description of the instrument (section 4: keys, windows, levels,
remarks); each candidate is compared with each exposure. Nights are drawn at random: hundreds of frames of
several modes, templates cut short, other read-outs, detectors exchanged, nights missing, interventions.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from builders import date_of, frame
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import FileTable, Settings
from pipeline.model import Chip, Frame, Plan, Scan, Stage, Step
from pipeline.plan import plan
from pipeline.rules import RULES

IFUS = (1, 2)
HOUR, DAY = 3600, 86400
ANY = 10**12

CUTS = (57112.0, 57352.0)
"""2015-03-31 and 2015-11-26."""


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    agree: tuple[str, ...]
    levels: tuple[int, ...]
    """Seconds."""


BIAS_LIKE = ("readout", "binning", "chip")
TABLE = {
    "MASTER_BIAS": Row(BIAS_LIKE, (1 * DAY, 3 * DAY, 7 * DAY)),
    "MASTER_DARK": Row(BIAS_LIKE, (5 * DAY, 15 * DAY, 40 * DAY)),
    "MASTER_FLAT": Row(("mode", *BIAS_LIKE), (1 * DAY, 3 * DAY, 7 * DAY)),
    "WAVECAL_TABLE": Row(("mode", *BIAS_LIKE), (1 * DAY, 3 * DAY, 7 * DAY)),
    "LSF_PROFILE": Row(("mode", "readout"), (7 * DAY, 30 * DAY, ANY)),
    "ILLUM": Row(("readout", "field"), (2 * HOUR, 4 * HOUR, 12 * HOUR)),
    "TWILIGHT_CUBE": Row(("mode", "readout"), (3 * DAY, 14 * DAY, 30 * DAY)),
    "STD_RESPONSE": Row(("mode",), (1 * DAY, 5 * DAY, 30 * DAY)),
    "SKY_CONTINUUM": Row(("mode",), (DAY // 4, DAY // 4, DAY // 4)),
    "GEOMETRY_TABLE": Row(("field",), (30 * DAY, 180 * DAY, ANY)),
    "ASTROMETRY_WCS": Row(("field",), (30 * DAY, 180 * DAY, ANY)),
    "BADPIX_TABLE": Row((), (ANY,)),
}
LEAST = {"BIAS": 3, "DARK": 3, "FLAT": 3, "ARC": 3, "ARC_LSF": 1, "SKYFLAT": 3}

Found = tuple[str, int]
"""Name and level; no name for none."""
NONE: Found = ("", 0)


@dataclass(frozen=True)
class Candidate:
    name: str
    frame: Frame
    mjd: float
    trace: str = ""


def chip(of: Frame, ifu: int) -> list[tuple[str, str]]:
    return [(c.name, c.id) for c in of.chips if c.ifu == ifu]


def agrees(row: Row, one: Frame, other: Frame, ifu: int) -> bool:
    for key in row.agree:
        if key == "chip":
            if chip(one, ifu) != chip(other, ifu):
                return False
        elif getattr(one, key) != getattr(other, key) and (other.readout or getattr(other, key)):
            return False  # a static may leave it open
    return True


class Oracle:
    """Looks at everything, every time."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.templates: dict[tuple[str, str], list[Frame]] = defaultdict(list)
        for f in frames:
            if f.tag in LEAST:
                self.templates[f.tag, f.template].append(f)
        self.memo: dict[tuple[object, ...], Found] = {}
        self.lists: dict[tuple[object, ...], list[Candidate]] = {}

    def best(
        self,
        tag: str,
        wanted: Frame,
        mjd: float,
        candidates: Iterable[Candidate],
        ifu: int = 0,
        penalty: Callable[[Candidate, int], int] = lambda candidate, level: level,
        first: Callable[[Candidate, int], object] = lambda candidate, seconds: 0,
    ) -> Found:
        row = TABLE[tag]
        found = []
        for c in candidates:
            seconds = round(abs(c.mjd - mjd) * DAY)
            levels = [n for n, most in enumerate(row.levels) if seconds <= most]
            is_cut = any((c.mjd < cut) != (mjd < cut) for cut in CUTS) and tag != "BADPIX_TABLE"
            if not levels or is_cut or not agrees(row, wanted, c.frame, ifu):
                continue
            level = min(penalty(c, levels[0]), len(row.levels) - 1)
            key = first(c, seconds)
            past = tag in ("GEOMETRY_TABLE", "ASTROMETRY_WCS") and c.mjd > mjd
            airmass = c.frame.airmass if tag == "STD_RESPONSE" else 0
            found.append((key, level, past, seconds, airmass, c.mjd, c.name))
        return (min(found)[-1], min(found)[1]) if found else NONE  # type: ignore[type-var]

    def mean(self, tag: str, start: str) -> float:
        group = self.templates[tag, start]
        return sum(f.mjd or 0 for f in group) / len(group)

    def made(self, tag: str, ifu: int, *, of_profile: bool = False) -> list[Candidate]:
        """List what can be made of the templates of a tag, with what is there."""
        key = (tag, ifu, of_profile)
        if key in self.lists:
            return self.lists[key]
        self.lists[key] = [
            Candidate(start, group[0], self.mean(tag, start), self.trace(group[0], tag, start, ifu))
            for (of, start), group in self.templates.items()
            if of == tag and self.can_be_made("ARC_LSF" if of_profile else tag, start, ifu, group)
        ]
        return self.lists[key]

    def trace(self, first: Frame, tag: str, start: str, ifu: int) -> str:
        return self.flat(first, self.mean(tag, start), ifu)[0] if tag.startswith("ARC") else ""

    def can_be_made(self, tag: str, start: str, ifu: int, group: list[Frame]) -> bool:
        first, mjd = group[0], self.mean(group[0].tag, start)
        if len(group) < LEAST[tag]:
            return False
        if tag in ("BIAS",):
            return True
        ifus = IFUS if tag == "SKYFLAT" else (ifu,)
        if not all(self.bias(first, mjd, i)[0] for i in ifus):
            return False
        if tag == "ARC" and {f.lamp for f in group} != {"Ne", "Xe", "HgCd"}:
            return False
        if tag in ("ARC", "ARC_LSF", "SKYFLAT") and not all(self.flat(first, mjd, i)[0] for i in ifus):
            return False
        if tag == "ARC_LSF" and not self.wave(first, mjd, ifu)[0]:
            return False
        if tag == "SKYFLAT":
            is_calibrated = all(self.wave(first, mjd, i)[0] for i in ifus)
            return is_calibrated and bool(self.static("GEOMETRY_TABLE", first, mjd)[0])
        return True

    def remembered(self, tag: str, wanted: Frame, ifu: int, look: Callable[[], Found]) -> Found:
        key = (tag, wanted.path, ifu)
        if key not in self.memo:
            self.memo[key] = look()
        return self.memo[key]

    def bias(self, wanted: Frame, mjd: float, ifu: int) -> Found:
        def look() -> Found:
            return self.best("MASTER_BIAS", wanted, mjd, self.made("BIAS", ifu), ifu)

        return self.remembered("bias", wanted, ifu, look)

    def flat(self, wanted: Frame, mjd: float, ifu: int) -> Found:
        def look() -> Found:
            return self.best("MASTER_FLAT", wanted, mjd, self.made("FLAT", ifu), ifu)

        return self.remembered("flat", wanted, ifu, look)

    def wave(self, wanted: Frame, mjd: float, ifu: int) -> Found:
        """One level down if it was made with another trace than that of the flat."""

        def look() -> Found:
            trace = self.flat(wanted, mjd, ifu)[0]

            def penalty(c: Candidate, level: int) -> int:
                return level + (bool(trace) and c.trace != trace)

            return self.best("WAVECAL_TABLE", wanted, mjd, self.made("ARC", ifu), ifu, penalty)

        return self.remembered("wave", wanted, ifu, look)

    def lsf(self, wanted: Frame, mjd: float, ifu: int) -> Found:
        """ARC_LSF within 30 days first; else what is nearest in the best level."""
        arcs = self.made("ARC", ifu, of_profile=True)

        def first(c: Candidate, seconds: int) -> bool:
            return not (c.frame.tag == "ARC_LSF" and seconds <= 30 * DAY)

        both = [*arcs, *self.made("ARC_LSF", ifu)]
        return self.best("LSF_PROFILE", wanted, mjd, both, first=first)

    def illum(self, wanted: Frame, mjd: float) -> Found:
        def penalty(c: Candidate, level: int) -> int:
            mine, other = wanted.temperature_c, c.frame.temperature_c
            is_like = mine is not None and other is not None and abs(mine - other) <= 1
            return level if is_like else max(level, 1)

        illums = [Candidate(f.date_obs, f, f.mjd or 0) for f in self.frames if f.tag == "ILLUM"]
        return self.best("ILLUM", wanted, mjd, illums, penalty=penalty)

    def twilight(self, wanted: Frame, mjd: float) -> Found:
        return self.best("TWILIGHT_CUBE", wanted, mjd, self.made("SKYFLAT", 0))

    def exposures(self, tag: str) -> list[Candidate]:
        """List exposures whose pixel tables can be made in all IFUs."""
        there = [f for f in self.frames if f.tag == tag]
        return [
            Candidate(f.date_obs, f, f.mjd or 0)
            for f in there
            if all(look(f, f.mjd or 0, i)[0] for i in IFUS for look in (self.bias, self.flat, self.wave))
            and self.static("GEOMETRY_TABLE", f, f.mjd or 0)[0]
        ]

    def response(self, wanted: Frame, mjd: float) -> Found:
        return self.best("STD_RESPONSE", wanted, mjd, self.exposures("STD"))

    def sky(self, wanted: Frame, mjd: float) -> Found:
        def penalty(c: Candidate, level: int) -> int:
            return 0 if c.frame.block == wanted.block else 1

        skies = [
            c
            for c in self.exposures("SKY")
            if self.response(c.frame, c.mjd)[0] and all(self.lsf(c.frame, c.mjd, i)[0] for i in IFUS)
        ]
        found = self.best("SKY_CONTINUUM", wanted, mjd, skies, penalty=penalty)
        return found if found[0] else ("", 2)  # the field itself, which is of level 2

    def static(self, tag: str, wanted: Frame, mjd: float) -> Found:
        there = [Candidate(f.path.name, f, f.mjd or 0) for f in self.frames if f.tag == tag]
        if tag == "BADPIX_TABLE":
            there = [c for c in there if c.mjd <= mjd]
        return self.best(tag, wanted, mjd, there)

    def of(self, tag: str, step: Step, wanted: Frame, mjd: float, ifu: int) -> Found:
        """Choose anew what a step was given."""
        match tag:
            case "MASTER_BIAS":
                return self.bias(wanted, mjd, ifu)
            case "MASTER_FLAT":
                return self.flat(wanted, mjd, ifu)
            case "WAVECAL_TABLE":
                return self.wave(wanted, mjd, ifu)
            case "LSF_PROFILE":
                return self.lsf(wanted, mjd, ifu)
            case "ILLUM":
                return self.illum(wanted, mjd)
            case "TWILIGHT_CUBE":
                return self.twilight(wanted, mjd)
            case "STD_RESPONSE":
                return self.response(wanted, mjd)
            case "SKY_CONTINUUM":
                return self.sky(wanted, mjd)
            case _:
                return self.static(tag, wanted, mjd)


# Nights at random

MODES = {"WFM-NOAO-N": "WFM", "WFM-AO-E": "WFM", "NFM-AO-N": "NFM"}
SETTINGS = Settings(Path("/galaxy"), FileTable(), Path("/galaxy/clio.toml"))
STATICS = ("EXTINCT_TABLE", "STD_FLUX_TABLE", "SKY_LINES", "FILTER_LIST", "LINE_CATALOG")


def nights(seed: int, count: int = 10) -> list[Frame]:
    """Draw frames of some nights."""
    draw = random.Random(seed)
    begin = draw.choice([60000.0, 57104.0, 57340.0])
    frames: list[Frame] = []
    for day in sorted(draw.sample(range(40), count)):
        for number, (mode, of) in enumerate(MODES.items()):
            if draw.random() < 0.8:
                frames += one_night(draw, begin + day, number, mode, of)
    for number, at in enumerate(sorted(draw.sample(range(-400, 300), 6))):
        for tag in ("GEOMETRY_TABLE", "ASTROMETRY_WCS", "BADPIX_TABLE"):
            of = "" if tag == "BADPIX_TABLE" else draw.choice(["WFM", "NFM"])
            name = f"{tag.lower()}-{number}.fits"
            frames.append(frame(tag, begin + at + 0.5, path=Path(f"calib/{name}"), field=of))
    frames += [frame(tag, None, path=Path(f"calib/{tag.lower()}.fits")) for tag in STATICS]
    return frames


def one_night(draw: random.Random, day: float, number: int, mode: str, of: str) -> list[Frame]:
    """Draw the frames of a night in one mode."""
    frames: list[Frame] = []
    readout = "1 SCI1.0" if draw.random() < 0.9 else "2 FAST"
    block = f"{round(day)}{number}"

    def add(tag: str, at: float, count: int = 1, lamps: tuple[str, ...] = ("",), odds: float = 0.85) -> None:
        if draw.random() > odds:
            return
        start = day + at + number / 100 + draw.random() / 200
        cut_short = count - (draw.random() < 0.15)
        for n in range(cut_short):
            mjd = start + n / 1440
            frames.append(
                frame(
                    *(tag, round(mjd, 6)),
                    path=Path(f"raw/{tag}-{number}-{mjd:.6f}.fits"),
                    mode=mode,
                    field=of,
                    readout=readout,
                    template=date_of(start)[:19],
                    lamp=lamps[n % len(lamps)],
                    block=block,
                    airmass=round(draw.uniform(1, 2), 2),
                    temperature_c=draw.choice([None, *(10 + k / 2 for k in range(6))]),
                    chips=(Chip(1, "CHIP01", "ID01"), Chip(2, "CHIP02", "ID02")),
                )
            )

    add("BIAS", 0.50, 3)
    add("FLAT", 0.55, 3)
    add("FLAT", 0.70, 3, odds=0.4)
    add("ARC", 0.60, 3, ("Ne", "Xe", "HgCd"))
    add("ARC_LSF", 0.65, 3, ("Ne", "Xe", "HgCd"), odds=0.15)
    add("SKYFLAT", 0.95, 3, odds=0.5)
    for hour in range(5):
        add("ILLUM", 1.0 + hour / 12, odds=0.4)
        add("OBJECT", 1.02 + hour / 12, odds=0.7)
    add("STD", 1.0, odds=0.6)
    add("STD", 1.3, odds=0.3)
    add("SKY", 1.15, odds=0.4)
    exchanged = day % 40 > 25
    return [replace(f, chips=(f.chips[0], Chip(2, "CHIP02", "NEW"))) for f in frames] if exchanged else frames


def planned(frames: Sequence[Frame]) -> Plan:
    return plan(Scan(tuple(frames), (), (), ()), SETTINGS)


CHECKED = frozenset(Stage) - {Stage.ALIGN, Stage.COMBINE, Stage.SCIPOST}


def wanted_by(step: Step, frames: Sequence[Frame]) -> tuple[Frame, float]:
    """Find the frame of a step, the first of a template, and its MJD, the mean of a template."""
    name = step.unit.removesuffix(f":{step.ifus[0]:02d}")
    tags = {"flat": "FLAT", "bias": "BIAS", "wave": "ARC", "lsf": "ARC", "twilight": "SKYFLAT"}
    group = [f for f in frames if f.date_obs == name]
    if step.stage.value in tags:
        group = [f for f in frames if f.template == name and f.tag.startswith(tags[step.stage.value])]
    group.sort(key=lambda f: f.mjd or 0)
    return group[0], sum(f.mjd or 0 for f in group) / len(group)


@pytest.mark.parametrize("seed", range(6))
def test_every_choice_agrees_with_the_tables(seed: int) -> None:
    frames = nights(seed)
    oracle = Oracle(sorted(frames, key=lambda f: f.mjd or 0))

    compared: dict[str, int] = defaultdict(int)
    levels = set()
    for step in planned(frames).steps:
        if step.stage not in CHECKED:
            continue
        wanted, mjd = wanted_by(step, frames)
        seen: dict[str, int] = defaultdict(int)
        for choice in step.associations:
            if choice.tag not in TABLE:
                continue
            ifu = step.ifus[seen[choice.tag]] if len(step.ifus) > 1 else step.ifus[0]
            seen[choice.tag] += 1
            expected = oracle.of(choice.tag, step, wanted, mjd, ifu)
            assert (choice.chosen, choice.level) == expected, (step.id, choice)
            compared[choice.tag] += 1
            levels.add((choice.tag, choice.level if choice.chosen else "none"))

    assert len(frames) > 250
    assert set(TABLE) - {"MASTER_DARK"} == {tag for tag, count in compared.items() if count > 50}
    assert len(levels) > 20, levels


@pytest.mark.parametrize("tag", TABLE)
def test_the_edge_of_every_window_is_that_of_the_table(tag: str) -> None:
    """Of a window that no night reaches the edge of, no choice tells."""
    rule, row = RULES[tag], TABLE[tag]

    for level, edge in enumerate(row.levels):
        assert rule.level(edge) == row.levels.index(edge), (tag, level)
        beyond = next((n for n, other in enumerate(row.levels) if other > edge), None)
        assert rule.level(edge + 1) == (level if edge == ANY else beyond), (tag, level)
    assert set(rule.agree) - {"instrument"} == set(row.agree)


FEW = nights(1, count=4)
PLAN = planned(FEW)


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_choices_do_not_depend_on_the_order_of_files(shuffle: random.Random) -> None:
    """Promise 2: on nights with ties, gaps and poor levels too."""
    frames = list(FEW)
    shuffle.shuffle(frames)

    assert planned(frames) == PLAN
