"""What runs again after what happens to people: Clio and the peers on the same graph, counted, not claimed.

Usage: python benchmarks/events.py [--steps 60] [--peers "GNU make,doit"]

Every step leaves a line in a file when it begins, and makes products that follow from what it reads and from
its parameters; so what ran is counted, and whether the products are right afterwards is compared with what a
project made afresh has. Raw frames are text files for the peers, with a remark that no product depends on,
and the tiny FITS files of the tests for Clio, whose engine is the tests' too: it computes no pixels worth
having, and is called as any other.

The events, each in a project in which all is up to date:

touch      a raw frame gets another time, its bytes stay
remark     a raw frame is changed so that what is made from it comes out the same
deleted    a product is removed that others were made from (for Clio its bytes in the store too)
flipped    a byte of such a product is changed, size and time put back
there      a parameter of a stage is changed ...
back       ... and set back to what it was
kill -9    in a new project, the whole process group while steps run; then it is called again

A number says how many steps ran, behind a stroke how many were not whole when all was killed. `*` says that
products are wrong or missing, and the program is content. Where one does not go on, what it says stands
below its line.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astropy.io.fits import setval
from graph import RAW_OF_CALIBRATIONS, Node, counted, export, exposures_for, settle, write_workspace
from peers import PEERS, Peer

from fakes import FakeEngine, install_image  # isort: skip
from pipeline.config import load
from pipeline.fitsdigest import digest_file
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.reduce import Reduction

HERE = Path(__file__).resolve().parent
EVENTS = ("touch", "remark", "deleted", "flipped", "there", "back", "kill -9")
WHOLE = 65
"""Bytes of a peer's product."""
CHANGED = Stage.SCIPOST_PEREXPO
"""Stage whose parameter is changed."""
KILLED_AFTER = 0.4
"""Part of the steps after which all is killed."""

STEP = """\
import hashlib, json, os, sys, time
name, parameter = sys.argv[1:]
row = next(row for row in json.load(open("steps.json")) if row["id"] == name)
with open("ran.txt", "a") as log:
    log.write(name + "\\n")
known = hashlib.sha256(parameter.encode())
for path in row["reads"]:
    known.update(b"".join(line for line in open(path, "rb") if not line.startswith(b"#")))
for path in row["makes"]:
    text = hashlib.sha256(known.digest() + path.encode()).hexdigest() + "\\n"
    with open(path, "w") as file:
        file.write(text[:32])
        file.flush()
        time.sleep(5 if os.path.exists("slow.txt") else 0)
        file.write(text[32:])
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened after an event."""

    ran: int
    wrong: int = 0
    """Products that are not what they should be, or not there."""
    said: str = ""
    """Why the program did not go on."""

    def __str__(self) -> str:
        return f"{self.ran}{'*' if self.wrong else ''}{'!' if self.said else ''}"


class PeerProject:
    """A project of a peer."""

    def __init__(self, root: Path, peer: Peer, nodes: tuple[Node, ...]) -> None:
        self.root = root
        self._peer = peer
        self._nodes = nodes
        (root / "made").mkdir(parents=True)
        for path in {path for node in nodes for path in node.reads if not path.startswith("made/")}:
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_text(f"# nobody reads this\n{path}\n")
        rows = [{"id": n.id, "reads": n.reads, "makes": n.makes} for n in nodes]
        (root / "steps.json").write_text(json.dumps(rows))
        (root / "step.py").write_text(STEP)
        (root / "ran.txt").write_text("")
        settle(path for folder in ("raw", "calib") for path in (root / folder).iterdir())
        self.parameter = "0.05"
        self.write()

    def write(self) -> None:
        """Write the graph in the peer's language."""
        self._peer.write(self.root, self._nodes, self._command)

    def _command(self, node: Node) -> str:
        parameter = self.parameter if node.id.rpartition("_")[0] == CHANGED else "none"
        return f"{sys.executable} -ISE step.py {node.id} {parameter}"

    def start(self) -> subprocess.Popen[str]:
        """Start the program."""
        return subprocess.Popen(
            [str(word) for word in self._peer.command() if not str(word).startswith("--quiet")],
            cwd=self.root,
            env={**os.environ, **dict(self._peer.environment)},
            stdin=subprocess.DEVNULL,
            stdout=(self.root / "output.txt").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def run(self) -> Seen:
        """Bring all up to date, and say what it took."""
        (self.root / "ran.txt").write_text("")
        status = self.start().wait(900)
        said = ""
        if status:
            lines = (self.root / "output.txt").read_text().splitlines()
            loud = [line.strip() for line in lines if re.search("error|exception|lock", line, re.IGNORECASE)]
            said = " ".join(loud[:2]) or f"exit {status}"
        return Seen(self.ran(), self.wrong(), said)

    def ran(self) -> int:
        """Count the steps that began."""
        return (self.root / "ran.txt").read_text().count("\n")

    def wrong(self) -> int:
        """Count the products that are not what they should be."""
        right: dict[str, bytes] = {}
        wrong = 0
        for node in self._nodes:
            known = hashlib.sha256(self._command(node).split()[-1].encode())
            for path in node.reads:
                text = right[path] if path in right else (self.root / path).read_bytes()
                known.update(b"".join(x for x in text.splitlines(keepends=True) if not x.startswith(b"#")))
            for path in node.makes:
                right[path] = hashlib.sha256(known.digest() + path.encode()).hexdigest().encode() + b"\n"
                file = self.root / path
                wrong += not file.exists() or file.read_bytes() != right[path]
        return wrong

    def wait_for_half(self) -> None:
        """Wait until half a product is written; a step then takes its time."""
        (self.root / "slow.txt").touch()
        halves: set[Path] = set()
        while not halves:
            before = self._halves()
            time.sleep(0.1)
            halves = before & self._halves()
        (self.root / "slow.txt").unlink()

    def _halves(self) -> set[Path]:
        return {path for path in (self.root / "made").iterdir() if path.stat().st_size == WHOLE // 2}

    def whole(self) -> int:
        """Count the steps whose products are all there and no halves."""
        return sum(all(_is_whole(self.root / path) for path in node.makes) for node in self._nodes)

    @property
    def frame(self) -> Path:
        """A raw frame of an exposure."""
        return self.root / next(n for n in self._nodes if n.id == self._leaf).reads[0]

    @property
    def product(self) -> Path:
        """What is made from that."""
        return self.root / next(n for n in self._nodes if n.id == self._leaf).makes[0]

    @property
    def _leaf(self) -> str:
        return [n.id for n in self._nodes if n.id.startswith("scibasic") and "OBJECT" in n.makes[0]][1]

    def touch(self) -> None:
        self.frame.touch()

    def delete(self) -> None:
        self.product.unlink()

    def flip(self) -> None:
        flip(self.product)

    def remark(self) -> None:
        self.frame.write_bytes(self.frame.read_bytes().replace(b"nobody", b"no-one"))

    def change(self, parameter: str) -> None:
        self.parameter = parameter
        self.write()


def _is_whole(path: Path) -> bool:
    return path.exists() and path.stat().st_size == WHOLE


class ClioProject:
    """A workspace of Clio, with the image and the engine of the tests."""

    def __init__(self, root: Path, exposures: int) -> None:
        self.root = root
        write_workspace(root, exposures)
        install_image(root / "cache")
        self.parameter = "0.05"

    def start(self) -> subprocess.Popen[str]:
        """Start the reduction in a process of its own."""
        return subprocess.Popen(
            [sys.executable, HERE / "events.py", "--inside", self.root, self.parameter],
            stdout=(self.root / "output.txt").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def run(self) -> Seen:
        """Bring all up to date, and say what it took."""
        (self.root / "ran.txt").write_text("")
        status = self.start().wait(900)
        said = (self.root / "output.txt").read_text().splitlines()[-1] if status else ""
        return Seen(self.ran(), self.wrong(), said)

    def ran(self) -> int:
        """Count the recipes that began."""
        log = self.root / "ran.txt"
        return log.read_text().count("\n") if log.exists() else 0

    def products(self) -> dict[str, str]:
        """Give the data digest of every product by its place."""
        home = self.root / "products"
        found = sorted(path for path in home.rglob("*.fits"))
        return {str(path.relative_to(home)): digest_file(path).data_digest for path in found}

    def wrong(self) -> int:
        """Count the products that are not what a workspace made afresh has, or not there."""
        right, have = _right(self.parameter, len(list((self.root / "raw").iterdir()))), self.products()
        return sum(have.get(path) != digest for path, digest in right.items())

    def wait_for_half(self) -> None:
        """Do nothing: what a recipe writes is nowhere to be seen before it is whole."""

    def whole(self) -> int:
        """Count the steps with a record."""
        return len(list((self.root / ".clio" / "records").rglob("*.json")))

    @property
    def frame(self) -> Path:
        """A raw frame of an exposure."""
        return sorted((self.root / "raw").iterdir())[-2]

    @property
    def product(self) -> Path:
        """What is made from that, under its readable name."""
        at = self.frame.name.removeprefix("MUSE.").removesuffix(".fits")
        return next((self.root / "products").glob(f"*/scibasic/{at}/*.fits"))

    def touch(self) -> None:
        self.frame.touch()

    def remark(self) -> None:
        setval(self.frame, "HIERARCH ESO OBS OBSERVER", value="no-one")

    def delete(self) -> None:
        shown = self.product
        object_of(self.root, shown).unlink()
        shown.unlink()

    def flip(self) -> None:
        flip(object_of(self.root, self.product))

    def change(self, parameter: str) -> None:
        self.parameter = parameter


def object_of(root: Path, product: Path) -> Path:
    """Say where the bytes of a product lie in the store."""
    digest = hashlib.sha256(product.read_bytes()).hexdigest()
    return root / ".clio" / "objects" / digest[:2] / digest


@functools.cache
def _right(parameter: str, frames: int) -> dict[str, str]:
    """Reduce a workspace of as many raw frames that nothing ever happened to."""
    with tempfile.TemporaryDirectory() as scratch:
        project = ClioProject(Path(scratch) / "ws", frames - RAW_OF_CALIBRATIONS)
        project.parameter = parameter
        project.start().wait(900)
        return project.products()


def inside(root: Path, parameter: str) -> None:
    """Reduce a workspace of Clio; a line in a file for each recipe that begins."""
    engine = FakeEngine(delay_s=0.03)

    def note(seen: object) -> None:
        with (root / "ran.txt").open("a") as log:
            log.write("recipe\n")

    engine.on_run = note
    with Reduction(load(root), engine=engine, library=ImageLibrary(root / "cache")) as reduction:
        if parameter != "0.05":
            reduction.run_scipost_perexpo(skymodel_fraction=parameter)
        reduction.run_recipes()


def flip(path: Path) -> None:
    """Change a byte of a file, and put size, mode and time back."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1 if before.st_size < 2880 else -2880] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(before.st_mode & 0o777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


Project = PeerProject | ClioProject


def watch(make: Callable[[Path], Project], steps: int, scratch: Path) -> dict[str, str]:
    """Let everything happen, each time to a project made afresh; gives what to say of each event."""
    cells: dict[str, str] = {}

    def fresh(name: str) -> Project:
        project = make(scratch / name)
        first = project.run()
        assert (first.ran, first.wrong, first.said) == (steps, 0, ""), first
        return project

    for event, happen in HAPPEN.items():
        project = fresh(event)
        happen(project)
        cells[event] = str(project.run())
    project = fresh("parameter")
    for event, value in (("there", "0.0625"), ("back", "0.05")):
        project.change(value)
        cells[event] = str(project.run())
    cells["kill -9"] = killed(make(scratch / "killed"), steps)
    return cells


HAPPEN: dict[str, Callable[[Project], None]] = {
    "touch": lambda project: project.touch(),
    "remark": lambda project: project.remark(),
    "deleted": lambda project: project.delete(),
    "flipped": lambda project: project.flip(),
}


def killed(project: Project, steps: int) -> str:
    """Kill a project's process group in the middle of its first run, and let it carry on."""
    process = project.start()
    while project.ran() < steps * KILLED_AFTER and process.poll() is None:
        time.sleep(0.002)
    project.wait_for_half()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)  # what is left of the group ends
    left = steps - project.whole()
    after = project.run()
    if after.said:
        return f"refuses: {after.said}"
    return f"{after}/{left}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="about so many")
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS), help="names, or none")
    parser.add_argument("--inside", nargs=2, metavar=("ROOT", "PARAMETER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        inside(Path(asked.inside[0]), asked.inside[1])
        return
    exposures = exposures_for(asked.steps)
    with tempfile.TemporaryDirectory(prefix="clio-events-") as name:
        scratch = Path(name)
        write_workspace(scratch / "plan", exposures)
        with Reduction(load(scratch / "plan"), library=install_image(scratch / "cache")) as reduction:
            nodes = export(reduction.plan(), scratch / "plan")
        print(f"{counted(nodes)}; steps that ran after each event")
        print(f"{'':18}" + "".join(f"{event:>10}" for event in EVENTS), flush=True)
        show("Clio", watch(lambda root: ClioProject(root, exposures), len(nodes), scratch / "clio"))
        for peer in PEERS:
            if peer.name not in asked.peers.split(","):
                continue
            if peer.program is None:
                print(f"{peer.name} is left out: not installed")
                continue

            def make(root: Path, peer: Peer = peer) -> PeerProject:
                return PeerProject(root, peer, nodes)

            label = f"{peer.name} {peer.version}"
            show(label, watch(make, len(nodes), scratch / peer.name.replace(" ", "-")))


def show(label: str, cells: dict[str, str]) -> None:
    """Print the line of a program; long words below it."""
    notes = [f"  {event}: {text}" for event, text in cells.items() if len(text) > 9]
    words = (text if len(text) <= 9 else text.partition(":")[0] for text in (cells[e] for e in EVENTS))
    print(f"{label:18}" + "".join(f"{word:>10}" for word in words), *notes, sep="\n", flush=True)


if __name__ == "__main__":
    main()
