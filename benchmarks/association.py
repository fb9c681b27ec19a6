"""How long it takes to choose all calibrations of 5,000 header-only frames, and how that grows.

Usage: python benchmarks/association.py [--ifus 24] [--repeats 3]

Nights of two modes: eleven biases, eleven flats and fifteen arcs a mode, twilight, a standard, ILLUM and ten
exposures. What is timed is the grouping of all frames and every choice of the plan, made again one by one;
beside it the whole plan, which also drafts the steps. CPU seconds, the median.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.associate import group
from pipeline.config import FileTable, Settings
from pipeline.drafts import Drafts
from pipeline.model import Chip, Frame, Scan
from pipeline.plan import plan
from pipeline.shelf import Choice, Wanted
from pipeline.tags import Kind

MODES = ("WFM-NOAO-N", "WFM-AO-N")
STATICS = (
    *("GEOMETRY_TABLE", "ASTROMETRY_WCS", "EXTINCT_TABLE", "STD_FLUX_TABLE", "SKY_LINES", "FILTER_LIST"),
    *("LINE_CATALOG", "RAMAN_LINES"),
)
LAMPS = ("Ne", "Xe", "HgCd")
SETTINGS = Settings(Path("/galaxy"), FileTable(), Path("/galaxy/clio.toml"))
FIRST_MJD = 60000.0


def frame(tag: str, mjd: float | None, mode: str, chips: tuple[Chip, ...], **more: str) -> Frame:
    """Make a frame as `classify` would, without a file."""
    is_raw = bool(chips)
    date = f"{mjd:.6f}" if is_raw else ""
    return Frame(
        path=Path(f"{tag}-{mode}-{date}.fits"),
        tag=tag,
        kind=Kind.RAW if is_raw else Kind.STATIC,
        arcfile=f"MUSE.{tag}.{mode}.{date}" if is_raw else "",
        size=8640,
        mjd=mjd,
        date_obs=f"{mode}.{date}" if is_raw else "",
        instrument="MUSE",
        mode=mode,
        field=mode[:3],
        readout="1 SCI1.0" if is_raw else "",
        binning="1x1" if is_raw else "",
        chips=chips,
        exptime_s=10.0,
        template=more.get("template", ""),
        block=more.get("block", ""),
        target="NGC 1",
        lamp=more.get("lamp", ""),
        temperature_c=10.0,
        airmass=1.1,
    )


def nights(count: int, ifus: int) -> tuple[Frame, ...]:
    """Make the frames of so many nights."""
    chips = tuple(Chip(n, f"CHIP{n:02d}", f"ID{n:02d}") for n in range(1, ifus + 1))
    raw = (f for n in range(count) for mode in MODES for f in _night(FIRST_MJD + n, mode, chips))
    return (*raw, *(frame(tag, None, "", ()) for tag in STATICS))


def _night(day: float, mode: str, chips: tuple[Chip, ...]) -> Iterator[Frame]:
    late = MODES.index(mode) / 1000
    groups = {"FLAT": (0.55, 11), "ARC": (0.6, 15), "SKYFLAT": (0.95, 3), "STD": (1.0, 1)}
    if mode == MODES[0]:  # one bias serves all modes
        groups["BIAS"] = (0.5, 11)
    for tag, (at, frames) in groups.items():
        start = f"{day + at + late:.6f}"
        for n in range(frames):
            lamp = LAMPS[n % 3] if tag == "ARC" else ""
            yield frame(tag, day + at + late + n / 1440, mode, chips, template=start, lamp=lamp)
    for n in range(10):
        at = day + 1.02 + late + n / 40
        yield frame("OBJECT", at, mode, chips, template=f"{day}", block=f"{day}{mode}")
        if n % 5 == 0:
            yield frame("ILLUM", at - 0.01, mode, chips, template=f"{at}")


def requests(found: Scan) -> tuple[Drafts, list[tuple[str, Wanted]]]:
    """Plan, and note what was asked of the shelves."""
    asked: list[tuple[str, Wanted]] = []
    kept: list[Drafts] = []
    find = Drafts.find

    def noting(self: Drafts, tag: str, wanted: Wanted) -> Choice:
        asked.append((tag, wanted))
        kept[:] = [self]
        return find(self, tag, wanted)

    Drafts.find = noting  # type: ignore[method-assign]  # this benchmark's own view of the plan
    try:
        plan(found, SETTINGS)
    finally:
        Drafts.find = find  # type: ignore[method-assign]
    return kept[0], asked


def timed(work: Callable[[], object], repeats: int) -> float:
    """Give the median of the CPU seconds of several calls."""
    spent = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return statistics.median(spent)


def measure(frames: tuple[Frame, ...], repeats: int) -> str:
    """Measure one number of frames."""
    found = Scan(frames, (), (), ())
    drafts, asked = requests(found)

    def associate() -> None:
        group(frames)
        drafts.shelves.forget()
        for tag, wanted in asked:
            drafts.find(tag, wanted)

    before = drafts.shelves.looked_at
    associate_s = timed(associate, repeats)
    judged = (drafts.shelves.looked_at - before) // repeats
    plan_s = timed(lambda: plan(found, SETTINGS), repeats)
    return f"{len(frames):6d} {len(asked):8d} {judged:9d} {associate_s:11.2f} {plan_s:7.2f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ifus", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--nights", type=int, nargs="+", default=[13, 26, 53])
    options = parser.parse_args()
    print(f"{options.ifus} IFUs, CPU s")
    print("frames  choices    judged   associate    plan")
    for count in options.nights:
        print(measure(nights(count, options.ifus), options.repeats), flush=True)


if __name__ == "__main__":
    main()
