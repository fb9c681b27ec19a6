"""The graph all is measured on: a night of one long observing block, planned by Clio, told to every peer.

Some calibrations are shared by all (a bias, a flat, a wavelength and a line profile table, a twilight cube, a
standard star), each exposure then goes through three steps of its own, and three last steps read what all of
them made. `N` exposures make `3 N + 10` steps. The frames are whole FITS files with the headers of MUSE and a
few pixels, so that scanning, classifying and planning are the real thing; pixels are what nobody counts here.

A peer is never given less than Clio: the same steps, each with the same files read and the same files made.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from builders import LAMPS, NEEDED_STATICS, NIGHT_MJD, write_raw, write_static  # noqa: E402

from pipeline.model import FrameInput, Plan, ProductInput, Step  # noqa: E402

IFU = 1
SHARED, LAYERS, LAST = 7, 3, 3
RAW_OF_CALIBRATIONS = 14
"""Raw frames beside the exposures."""
SETTINGS = """\
# Only the cube: what scipost saves beside it would be thousands of files made by a single step.
[[override]]
where = { stage = "scipost" }
recipes.muse_scipost.save = "cube"
"""

_MINUTE = 1 / 1440
_APART = 2e-6
"""Days between exposures: all of them lie within the windows of their calibrations."""


def exposures_for(steps: int) -> int:
    """Say how many exposures make so many steps, or just more."""
    return max(2, -(-(steps - SHARED - LAST) // LAYERS))


def write_workspace(root: Path, exposures: int) -> None:
    """Write raw frames, static calibrations and settings."""
    (root / "raw").mkdir(parents=True)
    mjd = NIGHT_MJD
    for number in range(3):
        for tag, at in (("BIAS", 0.60), ("FLAT", 0.62), ("SKYFLAT", 0.95)):
            _raw(root, tag, mjd + at + number * _MINUTE, mjd + at)
    for number, lamp in enumerate(LAMPS):
        _raw(root, "ARC", mjd + 0.64 + number * _MINUTE, mjd + 0.64, lamp)
    for tag, at in (("STD", 1.0), ("ILLUM", 1.02)):
        _raw(root, tag, mjd + at, mjd + at)
    for number in range(exposures):
        _raw(root, "OBJECT", mjd + 1.05 + number * _APART, mjd + 1.05)
    for tag in NEEDED_STATICS:
        write_static(root / "calib", tag)
    (root / "clio.toml").write_text(SETTINGS)
    settle(path for folder in ("raw", "calib") for path in (root / folder).iterdir())


def settle(paths: Iterable[Path]) -> None:
    """Date files back by an hour: of one written just now nobody can tell whether it is written again."""
    for path in paths:
        at = path.stat().st_mtime_ns - 3600 * 10**9
        os.utime(path, ns=(at, at))


def _raw(root: Path, tag: str, mjd: float, start: float, lamp: str = "") -> None:
    write_raw(root / "raw", tag, mjd, start=start, lamp=lamp, ifus=(IFU,))


@dataclass(frozen=True, slots=True)
class Node:
    """A step as every peer can understand it."""

    id: str
    """A word without special characters."""
    reads: tuple[str, ...]
    """Paths relative to the workspace: raw frames, static calibrations, products."""
    makes: tuple[str, ...]
    """Products."""


def export(plan: Plan, root: Path) -> tuple[Node, ...]:
    """Write a plan down as nodes, those a node depends on first."""
    products: dict[tuple[str, str], str] = {}
    nodes = []
    for number, step in enumerate(plan.steps):
        id_ = f"{step.stage}_{number:06d}"
        made = [(tag, f"made/{id_}.{n}.{tag}") for n, tag in enumerate(_tags(step))]
        products.update({(step.id, tag): path for tag, path in reversed(made)})
        nodes.append(Node(id_, tuple(_reads(step, products, root)), tuple(path for _, path in made)))
    return tuple(nodes)


def _tags(step: Step) -> Iterator[str]:
    for expected in step.expected:
        yield from [expected.tag] * expected.least


def _reads(step: Step, products: dict[tuple[str, str], str], root: Path) -> Iterator[str]:
    for item in step.inputs:
        match item:
            case FrameInput(_, frame):
                # The archive's names hold colons, which make and Snakemake cannot take.
                yield str(frame.path.relative_to(root)).replace(":", "-")
            case ProductInput(_, maker, product):
                yield products[maker, product]


def counted(nodes: tuple[Node, ...]) -> str:
    """Describe a graph in a line."""
    edges = sum(len(node.reads) for node in nodes)
    outside = len({path for node in nodes for path in node.reads if not path.startswith("made/")})
    made = sum(len(node.makes) for node in nodes)
    return f"{len(nodes)} steps that read {edges} times {outside} frames and {made} products"
