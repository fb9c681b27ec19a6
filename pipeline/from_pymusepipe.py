"""From the two files of pymusepipe, `rc.dic` and `calib_tables.dic`, to settings of Clio.

References
----------
pymusepipe 2.30: its documentation, "Getting started", and the templates it comes with. A line is a key,
blanks and a value; one that begins with # or % is a remark.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.imported import Imported, Line, Outcome, plain, read_text

TABLES = {
    "geo_table": "GEOMETRY_TABLE",
    "astro_table": "ASTROMETRY_WCS",
    "badpix_table": "BADPIX_TABLE",
    "vignetting_mask": "VIGNETTING_MASK",
    "std_flux_table": "STD_FLUX_TABLE",
    "extinct_table": "EXTINCT_TABLE",
    "line_catalog": "LINE_CATALOG",
    "sky_lines": "SKY_LINES",
    "filter_list": "FILTER_LIST",
}
"""Static calibrations: key to tag."""

DATED = ("geo_table", "astro_table")
"""Those that pymusepipe takes from `musecalib_time` by the date of the run, if that folder is given."""

NAMES = ("str_dataset", "ndigits", "str_pointing")
"""How folders of datasets and pointings are called."""

FOLDERS = ("root", "musecalib", "musecalib_time")


@dataclass(frozen=True, slots=True)
class _Entry:
    file: Path
    number: int
    key: str
    value: str

    def line(self, outcome: Outcome, to: str = "", why: str = "") -> Line:
        return Line(self.file, self.number, self.key, self.value, outcome, to, why)


def from_pymusepipe(files: Iterable[Path], into: Imported, here: Path) -> None:
    """Take over the settings of pymusepipe.

    Parameters
    ----------
    files : iterable of Path
        `rc.dic` and `calib_tables.dic`, in any order.
    into : Imported
        Takes the settings, and what became of each line.
    here : Path
        Folder to which relative paths refer: where pymusepipe is called.

    Raises
    ------
    ConfigError
        A file is missing, or a line is no key with a value, or a key stands there twice; with file and line.
    """
    entries: dict[str, _Entry] = {}
    unknown: list[_Entry] = []
    for file in files:
        for entry in _read(file):
            if entry.key in entries:
                first = entries[entry.key]
                message = f"{entry.key} stands there twice, first in {first.file.name}, line {first.number}"
                raise plain(file, "keep one", entry.number, message)
            if entry.key in (*FOLDERS, *NAMES, *TABLES):
                entries[entry.key] = entry
            else:
                unknown.append(entry)
    if not entries:
        raise ConfigError(
            f"{' and '.join(map(str, files))}: no line is a setting of pymusepipe",
            f"its settings are {', '.join((*FOLDERS, *TABLES))}",
        )
    found = [*_folders(entries, into, here), *_names(entries), *_tables(entries, into, here)]
    found += [entry.line(Outcome.LEFT, why=_unknown(entry.key)) for entry in unknown]
    for key, name in (("root", "raw"), ("musecalib", "calib")):
        if key not in entries:
            what = "pymusepipe would take a folder of its author's"
            into.remarks.append(f"{key} is not set, and {what}: name yours under [data] {name}")
    order = {file: number for number, file in enumerate(files)}
    into.lines += sorted(found, key=lambda line: (order[line.file], line.number))


def _read(file: Path) -> Iterator[_Entry]:
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip() or line.lstrip()[0] in "#%":
            continue
        parts = line.strip().split(maxsplit=1)
        if not re.fullmatch(r"\w+", parts[0]):
            raise plain(file, "a line is a key, blanks and a value", number, f"{parts[0]!r} is no key")
        if len(parts) == 1:
            raise plain(file, "a line is a key, blanks and a value", number, f"{parts[0]} has no value")
        if parts[1].startswith("="):
            hint = "a line is a key, blanks and a value"
            raise plain(
                file, hint, number, f"pymusepipe would take the = of {parts[0]} for part of its value"
            )
        yield _Entry(file, number, *parts)


def _folders(entries: dict[str, _Entry], into: Imported, here: Path) -> Iterator[Line]:
    root = entries.get("root")
    if root is not None:
        yield _raw(root, into, here, _dataset_folder(entries))
    for key in ("musecalib", "musecalib_time"):
        entry = entries.get(key)
        if entry is not None:
            to = into.add("data", "calib", into.path(entry.value, here))
            there = (here / Path(entry.value).expanduser()).is_dir()
            yield entry.line(Outcome.CARRIED, to, "" if there else "the folder is not here")


def _dataset_folder(entries: dict[str, _Entry]) -> str:
    """Give the pattern of the folders of datasets: OB001, ..."""
    name = entries["str_dataset"].value if "str_dataset" in entries else "OB"
    digits = entries["ndigits"].value if "ndigits" in entries else "3"
    return f"{name}{'[0-9]' * int(digits) if digits.isdigit() and int(digits) < 10 else '*'}"


def _raw(root: _Entry, into: Imported, here: Path, dataset: str) -> Line:
    """Name the folders of raw frames that are there, `root/TARGET/OB001/Raw`; else the root itself."""
    folder = here / Path(root.value).expanduser()
    found = sorted(folder.glob(f"*/{dataset}/Raw")) if folder.is_dir() else []
    for path in found or [folder]:
        into.add("data", "raw", into.path(str(path), here))
    if found:
        number = "one folder" if len(found) == 1 else f"{len(found)} folders"
        why = f"{number} {dataset.partition('[')[0]}*/Raw below it; add those that come later"
    else:
        why = f"no folder */{dataset.partition('[')[0]}*/Raw is below it, so all of it is searched"
    return root.line(Outcome.CARRIED, "data.raw", why)


def _names(entries: dict[str, _Entry]) -> Iterator[Line]:
    for key in NAMES:
        if key in entries:
            why = "targets and datasets go by their headers, not by folders: see [targets]"
            yield entries[key].line(Outcome.LEFT, why=why)


def _tables(entries: dict[str, _Entry], into: Imported, here: Path) -> Iterator[Line]:
    for key, tag in TABLES.items():
        entry = entries.get(key)
        if entry is None:
            continue
        if key in DATED and "musecalib_time" in entries:
            why = "taken by date from musecalib_time: Clio takes the nearest in time, by the files' headers"
            yield entry.line(Outcome.DEFAULT, why=why)
            continue
        folder = here / Path(entries["musecalib"].value).expanduser() if "musecalib" in entries else here
        path = folder / entry.value
        # A name is enough; a path tells files of one name apart.
        use = entry.value if "/" not in entry.value else str(path.absolute())
        to = into.set("associate", tag, "use", value=use)
        yield entry.line(Outcome.CARRIED, to, "" if path.is_file() else "the file is not here")


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key, (*FOLDERS, *NAMES, *TABLES), n=1, cutoff=0.5)
    return f"pymusepipe has no such setting{f'; did you mean {close[0]}?' if close else ''}"
