"""The peers: how each is told a graph of steps, and which command brings it up to date.

Each is set up as its own manual does it, with nothing switched on or off but talk and the number of jobs: 1.
Those that are Python packages are installed the first time they are needed, each in an environment of its own
in a folder of the cache; make and ninja have to be there (`apt install make ninja-build`).
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from graph import Node

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clio-benchmarks"

Command = Callable[[Node], str]
"""The shell command of a step, run in the folder of the project."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that brings a graph of steps up to date."""

    name: str
    package: str
    """In the package index; empty for one that is installed in the system."""
    write: Callable[[Path, tuple[Node, ...], Command], None]
    """Write its project: the graph in its language."""
    argv: tuple[str, ...]
    """Brings everything up to date."""
    environment: tuple[tuple[str, str], ...] = ()
    adopt: tuple[str, ...] = ()
    """Options by which it takes in products that were made without it; empty for one that makes them fast."""

    @property
    def program(self) -> Path | None:
        """Where it is; None if it is not there and cannot be had."""
        if not self.package:
            found = shutil.which(self.argv[0])
            return Path(found) if found else None
        home = CACHE / self.package
        program = home / "bin" / self.argv[0]
        if not program.exists():
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            subprocess.run([home / "bin" / "pip", "install", "--quiet", self.package], check=True)
        return program

    @property
    def version(self) -> str:
        """Version, as it says itself."""
        if self.package:
            code = f"from importlib.metadata import version; print(version({self.package!r}))"
            asked = [str(CACHE / self.package / "bin" / "python"), "-c", code]
        else:
            asked = [self.argv[0], "--version"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        return str(done.stdout).splitlines()[0].split()[-1]

    def command(self) -> tuple[str | Path, ...]:
        """Give the command line."""
        program = self.program
        assert program is not None
        return (program, *self.argv[1:])


def ends(nodes: tuple[Node, ...]) -> tuple[str, ...]:
    """List the products that no step reads."""
    read = {path for node in nodes for path in node.reads}
    return tuple(path for node in nodes for path in node.makes if path not in read)


def _make(root: Path, nodes: tuple[Node, ...], command: Command) -> None:
    rules = [f"all: {' '.join(ends(nodes))}\n.PHONY: all\n"]
    for node in nodes:
        # `&:` says that one call of the command makes all of them.
        sign = "&:" if len(node.makes) > 1 else ":"
        rules.append(f"{' '.join(node.makes)} {sign} {' '.join(node.reads)}\n\t@{command(node)}\n")
    (root / "Makefile").write_text("\n".join(rules))


def _ninja(root: Path, nodes: tuple[Node, ...], command: Command) -> None:
    rules = ["rule step\n  command = $cmd\n"]
    for node in nodes:
        rules.append(f"build {' '.join(node.makes)}: step {' '.join(node.reads)}\n  cmd = {command(node)}\n")
    (root / "build.ninja").write_text("\n".join(rules))


def _graph(root: Path, nodes: Iterable[Node], command: Command) -> None:
    rows = [{"id": n.id, "reads": n.reads, "makes": n.makes, "command": command(n)} for n in nodes]
    (root / "graph.json").write_text(json.dumps(rows))


_DODO = """\
import json

from doit.tools import config_changed


def task_step():
    for row in json.load(open("graph.json")):
        yield {
            "name": row["id"],
            "actions": [row["command"]],
            "file_dep": row["reads"],
            "targets": row["makes"],
            "uptodate": [config_changed(row["command"])],
        }
"""


def _doit(root: Path, nodes: tuple[Node, ...], command: Command) -> None:
    _graph(root, nodes, command)
    (root / "dodo.py").write_text(_DODO)


def _snakemake(root: Path, nodes: tuple[Node, ...], command: Command) -> None:
    """Write a rule for each kind of step, with the step as wildcard: a rule a step would be slower."""
    _graph(root, nodes, command)
    kinds: dict[tuple[str, ...], str] = {}
    for node in nodes:
        stage = node.id.rpartition("_")[0]
        kinds.setdefault(tuple(path.replace(node.id, stage + "_{n}") for path in node.makes), stage)
    text = [
        "import json",
        "STEPS = {row['id']: row for row in json.load(open('graph.json'))}",
        f"rule all:\n    input: {list(ends(nodes))!r}",
    ]
    for number, (makes, stage) in enumerate(kinds.items()):
        text.append(
            f"rule {stage}_{number}:\n"
            f"    input: lambda w: STEPS['{stage}_' + w.n]['reads']\n"
            f"    output: {list(makes)!r}\n"
            f"    params: command=lambda w: STEPS['{stage}_' + w.n]['command']\n"
            f"    shell: '{{params.command}}'"
        )
    (root / "Snakefile").write_text("\n\n".join(text) + "\n")


def _dvc(root: Path, nodes: tuple[Node, ...], command: Command) -> None:
    if not (root / ".dvc").exists():
        subprocess.run([CACHE / "dvc/bin/dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    lines = ["stages:"]
    for node in nodes:
        lines += [f"  {node.id}:", f"    cmd: {json.dumps(command(node))}"]
        lines += ["    deps:", *(f"      - {path}" for path in node.reads)]
        lines += ["    outs:", *(f"      - {path}" for path in node.makes)]
    (root / "dvc.yaml").write_text("\n".join(lines) + "\n")


_REDUN = """\
import json
import subprocess

from redun import File, task

redun_namespace = "bench"


@task()
def step(command: str, reads: list[File], makes: list[str]) -> list[File]:
    subprocess.run(command, shell=True, check=True)
    return [File(path) for path in makes]


@task()
def stage(rows: list, before: list) -> list:
    made = {file.path: file for stage in before for files in stage for file in files}
    return [
        step(command, [made[path] if path in made else frames[path] for path in reads], makes)
        for command, reads, makes, frames in rows
    ]


@task()
def main(graph: File = File("graph.json")) -> list:
    # Stage after stage, each given the files of those it reads: an expression of all steps at once holds
    # everything upstream of a step once for each way that leads there, and grows beyond all bounds.
    rows, made, readers = {}, {}, {}
    for row in json.loads(graph.read()):
        name = row["id"].rpartition("_")[0]
        frames = {path: File(path) for path in row["reads"] if not path.startswith("made/")}
        rows.setdefault(name, []).append((row["command"], row["reads"], row["makes"], frames))
        products = [path[5:].partition(".")[0] for path in row["reads"] if path.startswith("made/")]
        upstream = {product.rpartition("_")[0] for product in products}
        readers.setdefault(name, set()).update(upstream)
    for name in rows:
        made[name] = stage(rows[name], [made[other] for other in sorted(readers[name])])
    return [made[name] for name in made]
"""


def _redun(root: Path, nodes: tuple[Node, ...], command: Command) -> None:
    _graph(root, nodes, command)
    (root / "workflow.py").write_text(_REDUN)


PEERS = (
    Peer("GNU make", "", _make, ("make",)),
    Peer("ninja", "", _ninja, ("ninja", "-j1", "--quiet")),
    Peer("doit", "doit", _doit, ("doit", "--verbosity=0")),
    Peer("Snakemake", "snakemake", _snakemake, ("snakemake", "--cores=1", "--quiet=all")),
    Peer(
        *("DVC", "dvc", _dvc, ("dvc", "repro", "--quiet"), (("DVC_NO_ANALYTICS", "1"),)),
        adopt=("commit", "--force", "--quiet"),
    ),
    Peer("redun", "redun", _redun, ("redun", "run", "workflow.py", "main")),
)
