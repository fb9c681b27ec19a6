"""The demo night through `clio run`, and the same esorex calls one after the other: one run, one ratio.

Usage: python benchmarks/parallel.py FOLDER [--memory 8GB] [--ifus 1,2] [--exposures 3]

Simulates the night of `clio demo` in an empty folder, reduces it by the command, and then repeats its calls
one after the other with the esorex of the same image: without sandbox, digests, records and pinned numerics,
each with as many threads as it may have. While the command runs, what its recipes take of the memory is read
every tenth of a second and held against what they were given.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.demo import run_bare, write_demo_settings
from pipeline.host import cores
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.reduce import Reduction
from pipeline.simulate import NightOptions, simulate

_PAUSE_S = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--memory", default="")
    parser.add_argument("--ifus", default="1,2")
    parser.add_argument("--exposures", type=int, default=3)
    parser.add_argument("--engine", default="")
    given = parser.parse_args()
    settings = _night(given.folder, tuple(map(int, given.ifus.split(","))), given.exposures)
    options = [f"--memory={given.memory}"] if given.memory else []
    options += [f"--engine={given.engine}"] if given.engine else []

    load = os.getloadavg()[0]
    wall_s, peak = _reduce(given.folder, options)
    with Reduction.open(settings, engine=given.engine) as reduction:
        summary = reduction.run()
        calls = [event for event in summary.events if event.run is not None]
        begin = time.perf_counter()
        bare_s = run_bare(reduction, summary.events, lambda id_: _say(begin, f"bare    {id_}"), 1)
    print(f"{len(calls)} calls on {cores()} cores, load {load:.1f} before and {os.getloadavg()[0]:.1f} after")
    _print_stages(calls)
    print(f"clio run            {wall_s:7.1f} s")
    print(f"one after the other {bare_s:7.1f} s: ratio {bare_s / wall_s:.2f}")
    print(f"memory of recipes   {peak / 1e9:7.2f} GB at most, given {given.memory or 'all that is free'}")


def _night(folder: Path, ifus: tuple[int, ...], exposures: int) -> Path:
    library = ImageLibrary()
    image = library.find(library.list()[0].config_digest)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / ".clio").exists():
        sys.exit(
            f"{folder} holds a reduction already: remove its .clio and products, and the night is used again"
        )
    if not (folder / "raw").is_dir():
        simulate(folder, NightOptions(ifus, exposures, 1), lambda done, total, name: None)
    return write_demo_settings(folder, image.config_digest)


def _reduce(folder: Path, options: list[str]) -> tuple[float, int]:
    """Reduce by the command; gives wall seconds and the most bytes its recipes took together."""
    clio = Path(sys.executable).with_name("clio")
    begin = time.perf_counter()
    process = subprocess.Popen(
        [clio, "run", "-C", folder, "--json", *options], stdout=subprocess.PIPE, text=True
    )
    ended = threading.Event()
    peaks: list[int] = [0]
    watch = threading.Thread(target=_watch, args=(process.pid, ended, peaks))
    watch.start()
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("did") in ("started", "ran", "failed"):
            left = f"{event['left_s']:.0f} s left"
            _say(begin, f"{event['did']:8}{event['stage']}:{event['unit']}, {left}")
    status = process.wait()
    wall_s = time.perf_counter() - begin
    ended.set()
    watch.join()
    if status:
        sys.exit(f"clio run left with {status}")
    return wall_s, max(peaks)


def _say(begin: float, text: str) -> None:
    print(f"{time.perf_counter() - begin:7.1f} {text}", file=sys.stderr)


def _watch(clio: int, ended: threading.Event, peaks: list[int]) -> None:
    while not ended.wait(_PAUSE_S):
        peaks.append(sum(_resident(pid) for pid in _below(clio)))


def _below(pid: int) -> Iterator[int]:
    """Yield the processes that a process started, and those that these did."""
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _below(int(child))
    except OSError:
        return  # it ended meanwhile


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _print_stages(calls: list) -> None:  # type: ignore[type-arg]
    print("stage            calls  threads  wall s   CPU s  peak MB")
    for stage in Stage:
        runs = [event.run for event in calls if event.step.stage is stage]
        if runs:
            wall = sum(run.wall_ms for run in runs) / 1000
            cpu = sum((run.cpu_user_ms or 0) + (run.cpu_system_ms or 0) for run in runs) / 1000
            peak = max(run.peak_memory_bytes or 0 for run in runs) / 1e6
            threads = ",".join(map(str, sorted({run.threads for run in runs})))
            print(f"{stage.value:17}{len(runs):5}{threads:>9}{wall:8.1f}{cpu:8.1f}{peak:9.0f}")


if __name__ == "__main__":
    main()
