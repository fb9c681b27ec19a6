"""From `settings.yml` of musered to settings of Clio.

References
----------
musered, its documentation, "Settings" and "Tutorial", and the example it comes with. Texts may hold `{key}`
of the top level.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, UsageError
from pipeline.imported import Imported, Line, Outcome, filled, joined, plain, read_text
from pipeline.recipes import RECIPES, STAGES
from pipeline.rules import RULES

if TYPE_CHECKING:
    from yaml import Node

_Keys = tuple[str, ...]

NOT_NEEDED = {
    "workdir": "used in the paths of the other lines",
    "db": "the store has an index of its own",
    "db_env": "the store has an index of its own",
    "reduced_path": "products lie in the store, and as links under products/",
    "version": "what was reduced how is in the records",
    "revision": "what was reduced how is in the records",
    "loglevel": "say clio --quiet or --verbose",
    "additional_keywords": "headers are read whole",
    "runs": "dates that other lines use",
    "retrieve_data": "Clio does not fetch from the archive",
    "cpl": "the recipes are those of the image: see [image]",
    "flags": "leave exposures out with [targets.NAME] exclude",
}
"""Keys of the top level that have no counterpart, each with the reason."""

_RECENTRING = "muse_scipost_rec"
"""What musered's example calls its version of muse_scipost for the images that exposures are aligned by."""

_MOST_LINES = 5000
"""Lines of a file of settings; aliases in aliases can make any number of them."""


def from_musered(file: Path, into: Imported) -> None:
    """Take over the settings of musered.

    Parameters
    ----------
    file : Path
        `settings.yml`; relative paths in it refer to its folder.
    into : Imported
        Takes the settings, and what became of each line.

    Raises
    ------
    ConfigError
        The file is missing, or is not YAML with settings; with its line.
    UsageError
        The library that reads YAML is missing.
    """
    document, numbers = _read(file)
    names = {key: str(value) for key, value in document.items() if isinstance(value, str | int | float)}
    reader = _Reader(file, into, numbers, names)
    for key, value in document.items():
        match key:
            case "raw_path":
                reader.folder(key, value, "raw")
            case "muse_calib_path":
                reader.folder(key, value, "calib")
            case "datasets":
                reader.datasets(value)
            case "static_calib":
                reader.statics(value)
            case "recipes":
                reader.recipes(value)
            case _:
                why = NOT_NEEDED.get(key, "musered's documentation has no such setting")
                reader.leave((key,), value, why)
    into.lines.sort(key=lambda line: line.number)


def _read(file: Path) -> tuple[dict[str, Any], dict[_Keys, int]]:
    """Read YAML, by the safe loader alone: the document, and the line of each key."""
    try:
        import yaml
    except ImportError as error:
        hint = "install it: pip install 'clio-muse[musered]'"
        raise UsageError("reading settings of musered needs PyYAML", hint) from error
    text = read_text(file)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        raise plain(file, "", mark.line + 1 if mark else 1, f"not YAML: {what}") from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise plain(file, "settings of musered are keys with values", 1, "no settings of musered")
    return document, dict(_numbers(node, file))


def _numbers(root: "Node", file: Path) -> Iterator[tuple[_Keys, int]]:
    waiting: list[tuple[_Keys, Any]] = [((), root)]
    count = 0
    while waiting:
        keys, node = waiting.pop()
        for key, value in node.value if node.id == "mapping" else ():
            count += 1
            if count > _MOST_LINES:
                raise ConfigError(f"{file} has more than {_MOST_LINES} keys, aliases included")
            path = (*keys, str(key.value))
            yield path, key.start_mark.line + 1
            waiting.append((path, value))


class _Reader:
    """Takes over one file, key by key."""

    def __init__(self, file: Path, into: Imported, numbers: dict[_Keys, int], names: dict[str, str]) -> None:
        self._file, self._into, self._numbers, self._names = file, into, numbers, names

    def folder(self, key: str, value: Any, name: str) -> None:
        """Take over a folder."""
        if not isinstance(value, str):
            self.leave((key,), value, "it is no path")
            return
        path = filled(value, self._names)
        self._say((key,), value, Outcome.CARRIED, self._into.add("data", name, self._path(path)))

    def datasets(self, value: Any) -> None:
        """Take over datasets, which are targets here."""
        for name, table in _items(value):
            at, selection = ("datasets", name), _mapping(_mapping(table).get("archive_filter"))
            wanted = selection.get("obs_targ_name")
            to = f"targets.{name}"
            if wanted:
                patterns = wanted if isinstance(wanted, list) else [wanted]
                to = self._into.set("targets", name, "match", value=[str(each) for each in patterns])
                self._say((*at, "archive_filter", "obs_targ_name"), wanted, Outcome.CARRIED, to)
            else:
                self._into.set("targets", name, "match", value=[name])
                why = "by the name of the target in the headers, as nothing else is said"
                self._say(at, name, Outcome.CARRIED, f"{to}.match", why)
            for key, inner in selection.items():
                if key != "obs_targ_name":
                    why = "it selects in the archive; here, what lies in the folders is taken"
                    self.leave((*at, "archive_filter", key), inner, why)
            for key, inner in _items(table):
                if key != "archive_filter":
                    self.leave((*at, key), inner, "see [targets.NAME] for what a target can be")

    def statics(self, value: Any) -> None:
        """Take over static calibrations: a single one by its name, dated ones by their headers."""
        for tag, files in _items(value):
            at = ("static_calib", tag)
            if tag not in RULES:
                self.leave(at, files, f"no recipe of Clio's stages takes {tag}")
            elif isinstance(files, str) or (isinstance(files, dict) and len(files) == 1):
                name = files if isinstance(files, str) else next(iter(files))
                to = self._into.set("associate", tag, "use", value=str(name))
                dates = _mapping(_mapping(files).get(name)) if isinstance(files, dict) else {}
                why = "for exposures of any date" if dates else ""
                self._say(at if isinstance(files, str) else (*at, str(name)), name, Outcome.CARRIED, to, why)
            else:
                for name, dates in _items(files):
                    why = "of several the nearest in time is taken, by the date in its header, not by these"
                    shown = ", ".join(f"{key} {each}" for key, each in _items(dates))
                    self._say((*at, name), shown, Outcome.DEFAULT, why=why)

    def recipes(self, value: Any) -> None:
        """Take over what is said of recipes."""
        for name, table in _items(value):
            at = ("recipes", name)
            if name == "common":
                self.leave(at, table, "recipes run in a folder of their own")
            elif name == _RECENTRING:
                self._parameters(at, "muse_scipost", table, self._in_prep_align)
            elif name not in RECIPES:
                self.leave(at, table, f"no stage of Clio calls {name}")
            else:
                self._recipe(at, name, table)

    def leave(self, keys: _Keys, value: Any, why: str) -> None:
        """Say that something is left out, with all that is below it in one line."""
        shown = ", ".join(map(str, value)) if isinstance(value, dict | list) else value
        self._say(keys, shown, Outcome.LEFT, why=why)

    def _recipe(self, at: _Keys, name: str, table: Any) -> None:
        if name == "muse_exp_align" and _mapping(table).get("method", "drs") != "drs":
            why = "another program aligns there; see the alignment with a reference image"
            self.leave(at, table, why)
            return
        if name == "muse_exp_align" and "filt" in _mapping(table):
            to = self._into.set("workflow", "filter_for_alignment", value=str(table["filt"]))
            self._say((*at, "filt"), table["filt"], Outcome.CARRIED, to)

        def everywhere(option: str, given: Any) -> tuple[str, str]:
            return self._into.set("recipes", name, option, value=given), ""

        self._parameters(at, name, table, everywhere)

    def _parameters(self, at: _Keys, recipe: str, table: Any, put: Any) -> None:
        """Take over `params` of a recipe; say what becomes of the rest of its table."""
        for key, value in _items(table):
            if key == "params":
                for option, given in _items(value):
                    self._parameter((*at, key, option), recipe, option, given, put)
            elif key == "OFFSET_LIST":
                self._offsets((*at, key), value)
            elif key == "frames":
                self._frames((*at, key), value)
            elif key in ("method", "from_recipe"):
                self._say(
                    (*at, key), value, Outcome.DEFAULT, why="exposures are aligned by prep_align's images"
                )
            elif key != "filt":
                why = "products lie where the store has them" if key == "init" else "Clio has nothing like it"
                self.leave((*at, key), value, why)

    def _parameter(self, keys: _Keys, recipe: str, option: str, value: Any, put: Any) -> None:
        given = joined(value) if isinstance(value, list) else value
        given = filled(given, self._names) if isinstance(given, str) else given
        why = self._into.refused(recipe, option, given)
        if why:
            self.leave(keys, value, why)
            return
        to, why = put(option, given)
        if not to:
            self.leave(keys, value, why)
            return
        if self._into.known is None:
            why = why or "not checked, as there is no image to ask"
        self._say(keys, given, Outcome.CARRIED, to, why)

    def _in_prep_align(self, option: str, given: Any) -> tuple[str, str]:
        row = next(row for row in STAGES.values() if row.stage == "prep_align")
        if option == "filter":
            return self._into.set("workflow", "filter_for_alignment", value=str(given)), ""
        if option in row.fixed:
            return "", f"{option} of prep_align is set by the workflow"
        overrides = self._into.document.setdefault("override", [])
        if not overrides:
            overrides.append({"where": {"stage": "prep_align"}, "recipes": {"muse_scipost": {}}})
        overrides[0]["recipes"]["muse_scipost"][option] = given
        return f"override.recipes.muse_scipost.{option}", "for prep_align, which makes the images to align by"

    def _offsets(self, keys: _Keys, value: Any) -> None:
        if str(value) in ("drs", "OFFSET_LIST_drs"):
            self._say(keys, value, Outcome.DEFAULT, why="the list that align makes is used")
        else:
            self.leave(keys, value, "offsets come from the stage align, not from a file")

    def _frames(self, keys: _Keys, value: Any) -> None:
        for key, tags in _items(value):
            names = tags if isinstance(tags, list) else [tags]
            for tag in names:
                if (key, tag) == ("include", "MASTER_DARK"):
                    to = self._into.set("workflow", "dark", value=True)
                    self._say((*keys, key), tag, Outcome.CARRIED, to, "for all recipes that take darks")
                elif (key, tag) == ("exclude", "MASTER_DARK"):
                    self._say(
                        (*keys, key), tag, Outcome.DEFAULT, why="darks are subtracted only if asked for"
                    )
                else:
                    self.leave((*keys, key), tag, "the workflow says which tags a recipe gets")

    def _path(self, text: str) -> str:
        return self._into.path(text, self._file.parent)

    def _say(self, keys: _Keys, value: Any, outcome: Outcome, to: str = "", why: str = "") -> None:
        number = next(
            (self._numbers[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self._numbers), 1
        )
        self._into.lines.append(Line(self._file, number, ".".join(keys), str(value), outcome, to, why))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """List the keys of a table; none of what is no table."""
    return ((str(key), inner) for key, inner in _mapping(value).items())


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}
