"""The installed command as the tests call it, and the workspaces they call it in."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.demo import write_demo_settings

CLIO = Path(sys.executable).with_name("clio")


@dataclass(frozen=True)
class Done:
    """How a call of the command ended."""

    exit_status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def summary(self) -> Any:
        """The last line of `run --json`."""
        return self.lines[-1]

    @property
    def ran(self) -> list[str]:
        """Steps that ran, in order."""
        return [f"{s['stage']}:{s['unit']}" for s in self.lines[:-1] if s["did"] == "ran"]


def call(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> Done:
    """Call the installed command."""
    done = subprocess.run(
        [CLIO, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def new_workspace(folder: Path, night: Path, image: str, extra: str = "") -> Path:
    """Start a workspace on a night: the settings of the demo, frames in place."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = write_demo_settings(folder, image)
    data = f'\n[data]\nraw = ["{night / "raw"}"]\ncalib = ["{night / "calib"}"]\n'
    settings.write_text(f"{settings.read_text()}\n{QUICK}{data}{extra}")
    return folder


QUICK = """
# Fewer lines and points of the line spread than by default: as wide as it was, and five times sooner there.
[recipes.muse_lsf]
line_quality = 5
lsf_size = 60
"""


@dataclass(frozen=True)
class Killed:
    """What was seen after a reduction was killed in its middle."""

    check: Done
    finished: Done
    check_afterwards: Done


@dataclass(frozen=True)
class Reduced:
    """A workspace that was reduced to the combined cube."""

    folder: Path
    killed: Killed | None
    summary: Any

    def product(self, stage: str, tag: str) -> dict[str, Any]:
        """Find the first product of a stage with a tag."""
        return next(p for p in self.summary["products"] if (p["stage"], p["tag"]) == (stage, tag))

    def run(self, *arguments: str) -> Done:
        """Run the reduction again."""
        return call("run", "--engine", "bubblewrap", "--json", *arguments, cwd=self.folder)


@dataclass(frozen=True)
class Replayed:
    """A replay of a reduction into another store."""

    done: Done
    store: Path
    summary: Any
    """Of the reduction, as it was when it was replayed."""


def kill_in_the_middle(folder: Path) -> None:
    """Start a reduction and kill it when a step has ended and others run."""
    argv = [CLIO, "run", "--engine", "bubblewrap", "--json"]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line).get("did") == "ran":
                break
        time.sleep(2)  # a recipe is at work now
        os.kill(running.pid, signal.SIGKILL)
