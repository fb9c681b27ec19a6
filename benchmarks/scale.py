"""How the bookkeeping grows: stores of thousands of known actions, and the peers on the same graph.

Usage: python benchmarks/scale.py [--sizes 2000,20000] [--repeats 3] [--limit 600] [--peers "GNU make,doit"]

For each size a workspace is made in which every step is known (see `known.py`), and for each peer a project
of the same steps, each with the same files read and the same number made (see `graph.py`), and brought up to
date: its commands write a line into each of their products, so that all it costs is the peer. Then, in turn,
each has nothing to do several times, and the table shows the medians of CPU seconds of the program with its
children, as a ratio to `clio run`, and the peak memory of its largest process. What takes longer than half a
minute is called once. A peer that is not up to date within the limit is left out by name.

DVC takes a second to run a stage of some hundreds, and more of more, so its products are made beforehand and
taken in with `dvc commit`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graph import Node, counted, export
from measure import Cost, TooSlow, measure, median
from peers import PEERS, Peer

from pipeline.config import load
from pipeline.reduce import Reduction

HERE = Path(__file__).resolve().parent
CLIO = Path(sys.executable).with_name("clio")
ONCE_S = 30.0
"""What takes longer is called once."""

QUESTIONS = (
    ("clio run", ("run",)),
    ("clio plan --json", ("plan", "--json")),
    ("clio status", ("status",)),
    ("clio trace of the last cube", ("trace", "{last}")),
    ("clio check", ("check",)),
)
REINDEX = ("clio reindex", ("reindex",))
"""Not between the others: what the index remembers of files and of the last run goes with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what is called, and where."""

    label: str
    argv: tuple[str | Path, ...]
    cwd: Path
    environment: tuple[tuple[str, str], ...] = ()


def command(node: Node) -> str:
    """Write a line into each product of a step."""
    return " && ".join(f"echo {node.id} > {path}" for path in node.makes)


def clio_rows(steps: int, scratch: Path) -> tuple[tuple[Node, ...], list[Row]]:
    """Make a workspace of known steps, in which it was seen that there is nothing to do."""
    root = scratch / "clio"
    # In a process of its own: it switches off what a benchmark must not do without.
    subprocess.run([sys.executable, HERE / "known.py", root, str(steps)], check=True)
    with Reduction(load(root)) as reduction:
        nodes = export(plan := reduction.plan(), root)
    last = next(step.id for step in plan.steps if step.stage == "combine")
    rows = [
        Row(label, (CLIO, *(word.format(last=last) for word in words)), root) for label, words in QUESTIONS
    ]
    for _ in range(2):
        ready(rows[0], 3600.0)
    return nodes, rows


def ready(row: Row, limit_s: float) -> None:
    """Call a command once, which may have something to do."""
    output = row.cwd / "output.txt"
    cost = measure(row.argv, row.cwd, environment=dict(row.environment), limit_s=limit_s, output=output)
    if cost.status:
        text = output.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{row.label} failed with {cost.status}:\n{text}")
    output.unlink()


def peer_row(peer: Peer, nodes: tuple[Node, ...], scratch: Path, limit_s: float) -> Row | str:
    """Make a project and bring it up to date; gives the reason why that did not work."""
    if peer.program is None:
        return "not installed"
    root = scratch / peer.name.replace(" ", "-")
    copy_frames(scratch / "clio", root)
    (root / "made").mkdir()
    peer.write(root, nodes, command)
    row = Row(f"{peer.name} {peer.version}", peer.command(), root, peer.environment)
    try:
        if peer.adopt:
            for node in nodes:
                for path in node.makes:
                    (root / path).write_text(f"{node.id}\n")
            ready(Row(row.label, (row.argv[0], *peer.adopt), root, row.environment), limit_s)
        else:
            ready(row, limit_s)
    except TooSlow:
        return f"not up to date within {limit_s:.0f} s"
    return row


def copy_frames(workspace: Path, root: Path) -> None:
    """Copy raw frames and static calibrations to the names the nodes have for them."""
    for folder in ("raw", "calib"):
        (root / folder).mkdir(parents=True)
        for path in (workspace / folder).iterdir():
            shutil.copy2(path, root / folder / path.name.replace(":", "-"))


def measured(rows: list[Row], repeats: int) -> dict[str, Cost]:
    """Call each row several times, in turn."""
    costs: dict[str, list[Cost]] = {row.label: [] for row in rows}
    for _ in range(repeats):
        for row in rows:
            if not costs[row.label] or costs[row.label][0].wall_s < ONCE_S:
                costs[row.label].append(measure(row.argv, row.cwd, environment=dict(row.environment)))
    return {label: median(found) for label, found in costs.items()}


def table(found: dict[str, Cost]) -> Iterator[str]:
    """Write the costs of a size as lines."""
    base = found["clio run"].cpu_s
    yield f"{'nothing to do':30}{'CPU s':>10}{'to clio run':>14}{'MB':>8}{'wall s':>10}"
    for label, cost in found.items():
        ratio = f"{cost.cpu_s / base:.2f}"
        failed = f"  exit {cost.status}" if cost.status else ""
        size = f"{cost.peak_mb:.0f}"
        yield f"{label:30}{cost.cpu_s:10.2f}{ratio:>14}{size:>8}{cost.wall_s:10.2f}{failed}"


def newest(scratch: Path) -> int:
    """Say when the last product of a peer was written."""
    return max((path.stat().st_mtime_ns for path in scratch.glob("*/made/*")), default=0)


def bookkeeping(workspace: Path) -> str:
    """Let a stage really run in a store, with an engine that computes nothing."""
    argv = [sys.executable, str(HERE / "bookkeeping.py"), str(workspace)]
    done = subprocess.run(argv, capture_output=True, text=True)
    return str(done.stdout or done.stderr).strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="2000,20000", help="steps, about")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--limit", type=float, default=600.0, help="seconds in which a peer must be up to date"
    )
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS), help="names, or none")
    parser.add_argument("--scratch", type=Path, help="where to work; by default in a folder that is removed")
    asked = parser.parse_args()
    wanted = [peer for peer in PEERS if peer.name in asked.peers.split(",")]
    with tempfile.TemporaryDirectory(dir=asked.scratch, prefix="clio-scale-") as scratch:
        nowhere = Path(scratch)
        rows = [Row("python -c pass", (sys.executable, "-c", "pass"), nowhere)]
        rows.append(Row("clio --help", (CLIO, "--help"), nowhere))
        for label, cost in measured(rows, 2 * asked.repeats + 1).items():
            print(f"{label:30}{cost.cpu_s:10.2f} s of CPU{cost.peak_mb:8.0f} MB")
        for steps in map(int, asked.sizes.split(",")):
            one_size(steps, wanted, nowhere / str(steps), asked.repeats, asked.limit)
            shutil.rmtree(nowhere / str(steps))


def one_size(steps: int, peers: list[Peer], scratch: Path, repeats: int, limit_s: float) -> None:
    """Print the table of a size."""
    scratch.mkdir()
    nodes, rows = clio_rows(steps, scratch)
    left_out = []
    for peer in peers:
        row = peer_row(peer, nodes, scratch, limit_s)
        if isinstance(row, str):
            left_out.append(f"{peer.name} is left out: {row}")
        else:
            rows.append(row)
    before = newest(scratch)
    found = measured(rows, repeats)
    found |= measured([Row(REINDEX[0], (CLIO, *REINDEX[1]), scratch / "clio")], repeats)
    ready(rows[0], limit_s)
    if newest(scratch) != before:
        raise SystemExit("a product was made again by who had nothing to do")
    print(f"\n{counted(nodes)}; medians of {repeats}")
    print("\n".join([*table(found), *left_out]))
    print(bookkeeping(scratch / "clio"), flush=True)


if __name__ == "__main__":
    main()
