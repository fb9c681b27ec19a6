"""What runs inside: reads a command line as esorex takes it, calls a recipe of our own, writes what it made.

Leaves what esorex leaves: products, a list of them, a log with levels, an exit status; so the same
acceptance, publication and record serve both.
"""

import hashlib
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.own.table import OWN, OwnRecipe
from pipeline.parameters import effective
from pipeline.sof import read_sof

if TYPE_CHECKING:
    from astropy.io import fits

EPOCH = "SOURCE_DATE_EPOCH"
"""Variable that says where the clock stands, in seconds since 1970; see reproducible-builds.org."""
_NO_TIME = "data unit checksum"
"""Comment of the sums: astropy's own holds the time of day."""


class Refused(Exception):
    """A recipe cannot make what is asked for, and says why."""


@dataclass(frozen=True, slots=True)
class Input:
    """A frame a recipe was given."""

    tag: str
    name: str
    """Canonical name."""
    path: Path


@dataclass(slots=True)
class Call:
    """What a recipe was given, and what it leaves."""

    recipe: OwnRecipe
    parameters: dict[str, str]
    """Option to value, every one."""
    inputs: tuple[Input, ...]
    raw_tags: frozenset[str] = frozenset()
    """Tags of what is worked on, as against what helps; a recipe says so before it saves anything."""
    products: list[tuple[str, str]] = field(default_factory=list)
    """Name and tag of each."""
    messages: list[tuple[str, str]] = field(default_factory=list)
    """Level and text of each line of the log."""

    def number(self, option: str) -> float:
        """Give the value of a parameter that is a number."""
        return float(self.parameters[option])

    def flag(self, option: str) -> bool:
        """Give the value of a parameter that is a bool."""
        return self.parameters[option] == "TRUE"

    def tagged(self, tag: str) -> tuple[Input, ...]:
        """List the frames of a tag, in the order of the set of frames."""
        return tuple(item for item in self.inputs if item.tag == tag)

    def say(self, text: str) -> None:
        """Write a line into the log."""
        self.messages.append(("INFO", text))

    def warn(self, text: str) -> None:
        """Write a warning into the log."""
        self.messages.append(("WARNING", text))

    def save(self, name: str, tag: str, hdus: "fits.HDUList") -> None:
        """Write a product with its history and its checksums, the same bytes every time.

        Parameters
        ----------
        name, tag : str
            Of the product.
        hdus : astropy.io.fits.HDUList
            Its content; the primary header gets the history.
        """
        head = hdus[0].header
        head["DATE"] = _clock().strftime("%Y-%m-%dT%H:%M:%S")
        head["PIPEFILE"] = name
        head["HIERARCH ESO PRO CATG"] = tag
        record = "HIERARCH ESO PRO REC1"
        head[f"{record} ID"] = self.recipe.name
        for word, is_raw in (("RAW", True), ("CAL", False)):
            used = [item for item in self.inputs if (item.tag in self.raw_tags) is is_raw]
            for number, item in enumerate(used, 1):
                head[f"{record} {word}{number} NAME"] = item.name
                head[f"{record} {word}{number} CATG"] = item.tag
        for number, (option, value) in enumerate(sorted(self.parameters.items()), 1):
            head[f"{record} PARAM{number} NAME"] = option
            head[f"{record} PARAM{number} VALUE"] = value
        head["DATAMD5"] = _md5(hdus)
        for hdu in hdus:
            hdu.add_checksum(when=_NO_TIME)
        hdus.writeto(name, output_verify="exception", checksum=False)
        self.products.append((name, tag))


def main() -> None:
    """Run the recipe of the command line and leave with its exit status."""
    sys.exit(run(tuple(sys.argv[1:])))


def run(argv: tuple[str, ...]) -> int:
    """Run a recipe in the working directory.

    Parameters
    ----------
    argv : tuple of str
        Options of esorex, the recipe, its options, the set of frames; last, where there is one, `--root=`
        with what stands in front of the paths of the frames.

    Returns
    -------
    int
        Exit status: 0, 1 if the recipe refused, 2 if it is at fault itself.
    """
    root = argv[-1].removeprefix("--root=") if argv[-1].startswith("--root=") else ""
    *options, sof = argv[:-1] if root else argv
    at = next(n for n, word in enumerate(options) if not word.startswith("--"))
    ours = dict(option.removeprefix("--").split("=", 1) for option in options[:at])
    recipe = OWN[options[at]]
    given = tuple(option.removeprefix("--").split("=", 1) for option in options[at + 1 :])
    values = dict(effective(recipe.name, recipe.parameters, tuple((n, v) for n, v in given)).values)
    by_option = {p.option: values[p.name] for p in recipe.parameters}
    frames = read_sof(Path(f"{root}{sof}").read_text(encoding="utf-8"))
    inputs = tuple(Input(tag, PurePosixPath(path).name, Path(f"{root}{path}")) for path, tag in frames)
    call = Call(recipe, by_option, inputs)
    status = _carried_out(call)
    lines = [f"00:00:00 [{level:^7}] {recipe.name}: {text}" for level, text in call.messages]
    Path(ours["log-file"]).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    listed = [{"name": name, "category": tag} for name, tag in call.products]
    Path(ours["products-sof"]).write_text(json.dumps(listed), encoding="utf-8")
    return status


def _carried_out(call: Call) -> int:
    module, _, name = call.recipe.function.partition(":")
    try:
        function: Callable[[Call], None] = getattr(importlib.import_module(module), name)
        function(call)
    except Refused as error:
        call.messages.append(("ERROR", str(error)))
        return 1
    except Exception:  # the top of a program of its own: what is said here is all that is left of it
        told = traceback.format_exc().splitlines()
        call.messages += [("INFO", line) for line in told]
        call.messages.append(("ERROR", f"a defect in {call.recipe.name}: {told[-1]}"))
        return 2
    return 0


def _clock() -> datetime:
    """Say what time it is: where the clock was made to stand, else now."""
    at = os.environ.get(EPOCH)
    return datetime.fromtimestamp(int(at), UTC) if at else datetime.now(UTC)


def _md5(hdus: "fits.HDUList") -> str:
    """Digest the data, as recipes do; recorded for readers of headers, and trusted by nobody."""
    hasher = hashlib.md5(usedforsecurity=False)
    for hdu in hdus:
        if hdu.data is not None:
            hasher.update(hdu.data.tobytes())
    return hasher.hexdigest()
