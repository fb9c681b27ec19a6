"""How long the verdict on a cube of 1 GB takes beside `sha256sum` of it, and how much memory.

Usage: python benchmarks/verdicts.py [SCRATCH] [--rounds 5]

Three pairs of cubes with data and variance: the same bytes; the same data under another date; and one of
which every value differs, data and variance both. Each verdict is a process of its own, with all that it has
to load. Figures are medians of paired rounds: what stands in a round ran one after the other, so compare
ratios; that of CPU time hardly minds what else the machine does. Files are read from memory, if there is
enough. Needs 4.3 GB in the scratch directory, which are removed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHAPE = (1312, 320, 320)
"""As of a cube of MUSE, with a third of its wavelengths: 1.07 GB with the variance."""

LIMITS = {"identical": 3.0, "same science": 3.0, "differs everywhere": 10.0}
BLOCK = 2880
SCRIPT = "import sys; from pathlib import Path; from pipeline.verdict import compare; "
SCRIPT += "print(compare(*map(Path, sys.argv[1:])).sameness)"


@dataclass(frozen=True, slots=True)
class Timed:
    """A command that ran."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    printed: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scratch", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        cube = Path(folder) / "cube.fits"
        pairs = {
            "identical": write(Path(folder) / "same.fits"),
            "same science": write(Path(folder) / "date.fits", date="2031-01-01"),
            "differs everywhere": write(Path(folder) / "other.fits", sigmas=1e-4, relative=5e-6),
        }
        write(cube)
        rounds: list[dict[str, Timed]] = []
        for _ in range(options.rounds + 1):
            done = {"sha256sum": timed(["sha256sum", os.fspath(cube)])}
            for name, other in pairs.items():
                done[name] = timed([sys.executable, "-c", SCRIPT, os.fspath(cube), os.fspath(other)])
            rounds.append(done)
    report(rounds[1:])  # the first filled the caches


def write(path: Path, date: str = "2026-01-01", sigmas: float = 0.0, relative: float = 0.0) -> Path:
    """Write a cube plane by plane: noise on a sky, and its variance."""
    with path.open("wb") as file:
        file.write(header({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0, "DATE": f"'{date}'"}))
        for name in ("DATA", "STAT"):
            noise = np.random.default_rng(1)
            axes: dict[str, str | int] = {f"NAXIS{n}": axis for n, axis in enumerate(reversed(SHAPE), 1)}
            kind: dict[str, str | int] = {"XTENSION": "'IMAGE   '", "BITPIX": -32, "NAXIS": 3}
            file.write(header({**kind, **axes, "PCOUNT": 0, "GCOUNT": 1, "EXTNAME": f"'{name}'"}))
            for _ in range(SHAPE[0]):
                data = noise.normal(100, 5, SHAPE[1:])
                plane = data + 5 * sigmas if name == "DATA" else (25 + data / 10) * (1 + relative)
                file.write(plane.astype(">f4").tobytes())
            file.write(b"\0" * (-file.tell() % BLOCK))
    return path


def header(cards: dict[str, str | int]) -> bytes:
    lines = [f"{keyword:<8}= {value!s:>20}".ljust(80) for keyword, value in cards.items()]
    text = "".join([*lines, "END".ljust(80)]).encode("ascii")
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)


def timed(command: list[str]) -> Timed:
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return Timed(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, printed)


def report(rounds: list[dict[str, Timed]]) -> None:
    size = 2 * 4 * SHAPE[0] * SHAPE[1] * SHAPE[2] / 1e9
    base = [done["sha256sum"] for done in rounds]
    wall, cpu = (statistics.median(getattr(item, name) for item in base) for name in ("wall_s", "cpu_s"))
    print(f"sha256sum of a cube of {size:.2f} GB: {wall:.2f} s, {cpu:.2f} s of CPU")
    for name, limit in LIMITS.items():
        own = [done[name] for done in rounds]
        walls = [item.wall_s / beside.wall_s for item, beside in zip(own, base, strict=True)]
        cpus = [item.cpu_s / beside.cpu_s for item, beside in zip(own, base, strict=True)]
        print(
            f"{name}: {statistics.median(walls):.2f} x sha256sum ({min(walls):.2f} to {max(walls):.2f},"
            f" asked {limit:g}), {statistics.median(cpus):.2f} x its CPU;"
            f" peak {max(item.peak_mb for item in own):.0f} MB; {own[0].printed}"
        )
    print(f"(medians of {len(rounds)} paired rounds on {os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
