"""How passports read: the page of the documentation, made from what was measured. Pure."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from pipeline.environment import FREE
from pipeline.passports import Axis, MovedUnit, Row, Sheet
from pipeline.recipes import RECIPES
from pipeline.verdict import Sameness

_SAME = "same bytes"
_NONE = "-"
_MOST = 6
"""Places of a product that are shown; a polynomial has a column a coefficient."""

_HEAD = """\
# Passports

Every recipe of the workflow, run again with one thing set otherwise, and its products held against the
recorded ones byte by byte. The command makes this page of what it measured; by hand are only the causes.

    clio simulate night --ifus 1 --exposures 2 --seed 1    # a night of two IFUs
    clio run                                               # 6400 to 7000 Angstrom, as in the demo, with darks
    clio passport --matrix                                 # measures all; RECIPE and options: a part of it
    clio passport --kept --json >pipeline/passports.json   # what measurements are held against from then on
    clio passport --markdown >docs/passports.md            # this page

Each run has the recorded clock, so that "same bytes" means the SHA-256 of whole files. The matrix is a star:
one thing is set otherwise than in the recorded run (pinned numerics, the threads of the recipe's row, the
machine's processor), and in a few runs several.
"""

_AXES = {
    Axis.RUN: "again; elsewhere, later",
    Axis.THREADS: "threads",
    Axis.ENGINE: "engines",
    Axis.NUMERICS: "numerics",
    Axis.CPU: "emulated CPU",
    Axis.HEAP: "heap filled",
    Axis.SEVERAL: "several",
}

_MEANING = """\
- *again; elsewhere, later*: the same once more; then another second, host name, user and directories, where
  only `DATE`, `CHECKSUM` and the comment of `DATASUM` may move ("same science").
- *threads*: `OMP_NUM_THREADS`, whatever the key holds.
- *numerics*: `native` lets glibc choose its variants of `exp`, `sin`, `pow` by the processor.
- *emulated CPU*: qemu-user in front of esorex. Nehalem (2008) has neither AVX nor FMA, SandyBridge (2011) AVX
  and no FMA; each is asked inside, by the image's own loader, what it has.
- *heap filled*: `glibc.malloc.perturb` fills memory that was asked for and not written yet, with two bytes
  each bit of which differs. What moves under it reads memory nobody wrote. It does not reach the stack.
- clio_align and clio_offsets are recipes of our own: Python, shut in by bubblewrap whatever the engine.

Recipes keep the memory they free since the first of these measurements. muse_scipost was measured anew after
that, on the night of the demo; the others of ESO's, too, but for the emulated processor: nothing moved that
does not move here.

The cells come from many calls on a machine that was busy with other work, some of them of the function behind
the command; one call of `--matrix` for all has not been made yet. Compare CPU seconds, not wall seconds.
"""


_THREADS = """\
The key of a recipe is free of the number of threads where no number moved anything and more are quicker;
then it runs with as many as there are cores. How much quicker was measured by the CPU time of each of eight
threads, as the two cores of this machine were shared: the busiest one used 2.1 of 10.9 s in
muse_exp_combine and 2.0 of 5.8 s in muse_standard, so that eight cores could make them 5.3 and 2.9 times as
fast as one. With these two IFUs muse_twilight does 42.6 of 59.2 s in one thread (1.4 times), and recipes
that are called for one IFU at a time do all in one: theirs stay fixed, as there is nothing to gain. In
muse_scipost (3.4 times) and muse_create_sky (2.3 times) other numbers move something, so theirs has to be
fixed.
"""

_FMA = "With FMA glibc's functions differ by a unit in the last place."

_VARIANCE = """\
Where STD_TELLURIC has no row, the flux calibration adds a number to the variance that the library never
set: that of the pixel before, in the same thread. So it depends on how pixels fall to threads."""

CAUSES: dict[tuple[str, Axis], str] = {
    ("muse_wavecal", Axis.NUMERICS): f"""\
{_FMA} The coefficients of a slice's polynomial are so correlated that this changes some in the first
digit, and the wavelengths hardly: between 4750 and 9300 Angstrom by 8e-5 Angstrom at most, in half of
the slices by less than 1e-10.""",
    ("muse_create_sky", Axis.THREADS): f"""\
{_VARIANCE} The spectrum is weighted with the variance, and lines and continuum are fitted to the
spectrum.""",
    ("muse_scipost", Axis.THREADS): f"""\
{_VARIANCE} The sky lines, fitted with these variances, come out at most 4e-9 of the wavelength and 1e-7
of the flux apart. So the data of almost all pixels move by less than 1e-3 sigma, and a few of the
3.5 million of an exposure by more, up to 0.1 sigma. Therefore the number is fixed in the key.""",
    ("muse_scipost", Axis.NUMERICS): f"""\
{_FMA} One voxel of the cube shows it; every pixel table is the same bytes.""",
    ("muse_exp_align", Axis.NUMERICS): f"""\
{_FMA} OFFSET_LIST and PREVIEW_FOV are the same bytes.""",
    ("muse_exp_align", Axis.CPU): """\
FFTW asks the processor itself, and nothing turns that off: without AVX (before 2011) it uses SSE2.
Where its question was answered with no by a library of our own, the machine's processor gave the very
bytes of Nehalem. OFFSET_LIST and PREVIEW_FOV are the same bytes, and all products are on SandyBridge,
which has AVX.""",
}
"""Why something moves, by recipe and axis, as it was found out."""


def page(sheets: Sequence[Sheet], causes: dict[tuple[str, Axis], str]) -> str:
    """Write the page.

    Parameters
    ----------
    sheets : sequence of Sheet
        In the order of the workflow.
    causes : dict
        Why something moves, by recipe and axis, in a sentence or two.

    Returns
    -------
    str
        Markdown.
    """
    parts = [_HEAD, *_measured_on(sheets), "## At a glance\n", _table(*glance(sheets)), _MEANING]
    parts += ["## What moves\n", *(_moving(sheets, causes) or ["Nothing.\n"])]
    parts += ["## Threads\n", _THREADS, _threads(sheets), "## Every run\n", _every(sheets)]
    return "\n".join(parts)


def glance(sheets: Iterable[Sheet]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Give the head and the rows of a table: a line a recipe, a column an axis."""
    rows = [
        (sheet.recipe, sheet.step.partition(":")[0], *(_cell(sheet.of(axis)) for axis in _AXES))
        for sheet in sheets
    ]
    return ("recipe", "stage", *_AXES.values()), rows


def outcome(row: Row) -> str:
    """Say in a word or two what came of a run."""
    if row.sameness is None:
        return "not measured"
    return _SAME if row.sameness is Sameness.IDENTICAL else row.sameness.value


def chosen_by(row: Row) -> str:
    """Say by which instruction sets the C library chose its functions."""
    return _NONE if row.variants is None else " ".join(row.variants) or "SSE"


def _measured_on(sheets: Sequence[Sheet]) -> Iterator[str]:
    ours = {s.image: s.recipe for s in sheets if RECIPES[s.recipe].is_ours}
    for image, version, cpu in dict.fromkeys((s.image, s.version, s.cpu) for s in sheets):
        what = f"Python and libraries of {ours[image]}" if image in ours else "image"
        yield f"Measured of {version} in the {what} `{image[:19]}`, on {cpu}.\n"


def _cell(rows: tuple[Row, ...]) -> str:
    """Say of the runs of an axis what came of them: the worst first, each with its values."""
    if not rows:
        return _NONE
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(outcome(row) if not row.is_stable else "", []).append(row.value)
    stable = found.pop("", [])
    said = [f"**{what}**: {', '.join(values)}" for what, values in found.items()]
    if stable:
        said.append(f"{_SAME}: {', '.join(stable)}" if said else ", ".join(stable))
    return "; ".join(said)


def _moving(sheets: Iterable[Sheet], causes: dict[tuple[str, Axis], str]) -> list[str]:
    parts = []
    for sheet in sheets:
        for axis in _AXES:
            moved = [row for row in sheet.of(axis) if row in sheet.unstable]
            if moved:
                parts.append(f"### {sheet.recipe}: {_AXES[axis]}\n")
                cause = causes.get((sheet.recipe, axis), "")
                parts += [f"{textwrap.fill(' '.join(cause.split()), 110)}\n"] if cause else []
                parts.append(_units(moved))
    return parts


def _units(rows: Iterable[Row]) -> str:
    """Write what moved; of a product that moved in many places the first, and how many more there are."""
    head = ("value", "verdict", "product", "HDU", "moved", "largest", "of the value", "in sigma")
    return _table(head, (cells for row in rows for cells in _units_of(row)))


def _units_of(row: Row) -> Iterator[tuple[str, ...]]:
    by_product: dict[str, list[MovedUnit]] = {}
    for unit in row.moved:
        by_product.setdefault(unit.product, []).append(unit)
    for product, units in by_product.items():
        first = (row.value, outcome(row), product)
        for unit in units[:_MOST]:
            yield (*first, unit.hdu, unit.what, unit.largest, unit.relative, unit.in_sigma)
        if len(units) > _MOST:
            yield (*first, f"and {len(units) - _MOST} more", "", "", "", "")


def _threads(sheets: Iterable[Sheet]) -> str:
    return _table(
        ("recipe", "in the key", "recorded with", "other numbers"),
        (
            (
                sheet.recipe,
                str(RECIPES[sheet.recipe].threads or FREE),
                str(sheet.threads or _NONE),
                _cell(sheet.of(Axis.THREADS)),
            )
            for sheet in sheets
        ),
    )


def _every(sheets: Iterable[Sheet]) -> str:
    return _table(
        ("recipe", "axis", "value", "verdict", "wall s", "CPU s", "functions chosen by", "remark"),
        (
            (
                *(sheet.recipe, row.axis.value, row.value, outcome(row)),
                *(_NONE if ms is None else f"{ms / 1000:.1f}" for ms in (row.wall_ms, row.cpu_ms)),
                chosen_by(row),
                row.reason,
            )
            for sheet in sheets
            for row in sheet.rows
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace(chr(10), ' ') for cell in line)} |\n" for line in lines)
