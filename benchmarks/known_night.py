"""How long it takes to find that nothing has to be done: `clio run` on a night that is known to the end.

Usage: python benchmarks/known_night.py demo
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 5


def main(workspace: str) -> None:
    clio = Path(sys.executable).with_name("clio")
    walls = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        # Without a path to any engine: were one needed, this would fail.
        done = subprocess.run(
            [clio, "run", "-C", workspace],
            env={"PATH": "/nonexistent", "HOME": str(Path.home())},
            capture_output=True,
            text=True,
            check=True,
        )
        walls.append(time.perf_counter() - begin)
    print(done.stdout.strip())
    print(f"{statistics.median(walls):.2f} s from start to end (median of {RUNS})")


if __name__ == "__main__":
    main(sys.argv[1])
