"""Imports point one way (STYLE.md section 1), read from the source; each exception stands with its reason."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.cli.verbs import VERBS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Import:
    """An import statement."""

    by: str
    """The module that imports."""
    name: str
    """The module that is imported; for `from a import b` where b is a module of ours, `a.b`."""
    is_at_top: bool
    """Whether importing the module carries it out."""
    is_for_types: bool
    """Whether it stands under `if TYPE_CHECKING`."""

    @property
    def head(self) -> str:
        """The package."""
        return self.name.partition(".")[0]


def _modules() -> dict[str, Path]:
    paths = (path for package in ("pipeline", "provenance") for path in (ROOT / package).rglob("*.py"))
    parts = ((path.relative_to(ROOT).with_suffix("").parts, path) for path in sorted(paths))
    return {".".join(names).removesuffix(".__init__"): path for names, path in parts}


MODULES = _modules()


def _imports_of(module: str, path: Path) -> Iterator[Import]:
    def walk(node: ast.AST, is_at_top: bool, is_for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module} imports by a relative path"
                assert child.module is not None
                inner = [f"{child.module}.{alias.name}" for alias in child.names]
                names = [name if name in MODULES else child.module for name in inner]
            else:
                is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, is_at_top and not is_function, is_for_types or types)
                continue
            for name in dict.fromkeys(names):
                yield Import(module, name, is_at_top, is_for_types)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True, False)


IMPORTS = tuple(found for module, path in MODULES.items() for found in _imports_of(module, path))


def importers(package: str, *, within: str = "") -> set[str]:
    """List the modules that import a package, at the top or anywhere else."""
    return {i.by for i in IMPORTS if i.head == package and i.by.startswith(within)}


def test_the_source_is_found() -> None:
    assert {"pipeline.reduce", "pipeline.cli.app", "provenance.store"} <= MODULES.keys()
    assert Import("pipeline.opened", "provenance.store", True, False) in IMPORTS


# Between the packages

FORBIDDEN_TO_PROVENANCE = {
    "pipeline": "imports point one way",
    "astropy": "it knows bytes, and no FITS",
    "docker": "it knows no container",
    "typer": "it has no command line",
    "rich": "it prints nothing",
    "pydantic": "its documents are checked by itself, and must outlive a library",
    "numpy": "there is nothing to compute",
}


@pytest.mark.parametrize("package", FORBIDDEN_TO_PROVENANCE)
def test_provenance_knows_nothing_of_the_reduction(package: str) -> None:
    assert importers(package, within="provenance") == set(), FORBIDDEN_TO_PROVENANCE[package]


MAY_IMPORT_PROVENANCE = {
    "pipeline.record": "the translator between the packages",
    "pipeline.report": "reads the store into a value",
    "pipeline.reduce": "records each call of the command, and hands the store to those below",
    "pipeline.frame_memo": "a part of reduce: remembers what files were found to be",
    "pipeline.resolve": "a part of reduce: remembers digests of files, finds products of runs",
    "pipeline.locked": "pins what runs made, and says with the store in what an action is another one",
    "pipeline.replay_lock": "puts what a lock names beside what runs made",
    "pipeline.signing.envelope": "writes canonical JSON as the store does",
    "pipeline.signing.attest": "reads what is signed of runs and bundles",
    "pipeline.signing.checking": "holds signatures against what the store has now",
    "pipeline.signing.seals": "reads members of bundles",
    "pipeline.blast": "asks the store what came of a thing",
    "pipeline.tainted": "says what the taints of the store mean for steps",
    "pipeline.forecast": "a part of reduce: asks whether an action is known",
    "pipeline.reasons": "compares actions and runs with those before them",
    "pipeline.why": "reads the store into the reasons of a step",
    "pipeline.diff": "compares recorded runs, of one store or of two",
    "pipeline.surroundings": "compares what is recorded around two runs",
    "pipeline.opened": "a part of reduce: opens the store and hands it to those below",
    "pipeline.summary": "names the runs that a reduction believed",
    "pipeline.events": "names the run that a step ended with",
    "pipeline.conduct": "a part of reduce: claims actions, and looks for what is known",
    "pipeline.carryout": "a part of conduct: scratch, and what of a full disk is told from a failed recipe",
    "pipeline.costs": "a part of conduct: learns from what recorded runs took",
    "pipeline.hashing": "a part of conduct: what is wrong with the store is said by the step that needs it",
    "pipeline.standing": "tells the scratch of its own process by its name",
    "pipeline.replacing": "partial files tell their owner by their names, in the store's words",
    "pipeline.passport": "measures a recorded run, and says so in a statement",
    "pipeline.passport_matrix": "a part of passport: runs a recorded run otherwise than it was",
    "pipeline.passports": "reads and writes its values in the store's manner of documents",
    "pipeline.again": "makes a call of a recorded run, and a record of what came out",
    "pipeline.finding": "a part of again: finds what recorded runs read, in the store first",
    "pipeline.judging": "a part of replay: finds recorded products, and states how a replay compares",
    "pipeline.replay": "runs recorded runs again, and states how they compare",
    "pipeline.bundle_replay": "imports a bundle, and finds what its runs need",
    "pipeline.vouching": "trusts imported runs that were made again, and says why not",
    "pipeline.pruning": "asks the store what may go, and knows the links that go with it",
    "pipeline.restore": "finds the recorded run that makes a product again",
    "pipeline.unmatched": "reads the products of an alignment, as records and locks list them",
    "pipeline.own.environment": "states what is behind the digest of an environment, for `why` to tell",
    "pipeline.exchange.graph": "reads a lineage from the store into one value",
    "pipeline.exchange.sidecar": "writes canonical JSON, and names lists by its digest",
    "pipeline.exchange.verified": "digests of bytes; opens no store",
    "pipeline.audit.places": "asks the store for files that headers name",
    "pipeline.audit.findings": "holds a file against what recorded runs made",
    "pipeline.cite.facts": "reads a lineage into what a paper says of it",
    "pipeline.bundles": "puts together what the store has of a reduction, for others",
    "pipeline.freezing": "a part of bundles: proves what goes in",
    "pipeline.bundle_parts": "a part of bundles: finds the files that go in",
    "pipeline.demo": "repeats recorded runs without Clio, to compare",
}
"""Beside everything under `pipeline.cli`, which answers questions about the store."""

MAY_BE_ADDED = {}
"""Modules of DESIGN.md section 10 that work on records, whether they are there yet or not."""


def test_few_modules_of_the_reduction_know_the_store() -> None:
    found = {m for m in importers("provenance", within="pipeline") if not m.startswith("pipeline.cli")}

    assert found <= MAY_IMPORT_PROVENANCE.keys() | MAY_BE_ADDED.keys()


def test_nothing_below_the_door_imports_the_command_line() -> None:
    assert {i.by for i in IMPORTS if i.name.startswith("pipeline.cli")} <= {
        module for module in MODULES if module.startswith("pipeline.cli")
    }


# Libraries and their one place


def test_typer_stays_under_the_command_line() -> None:
    assert {m for m in importers("typer") if not m.startswith("pipeline.cli")} == set()


def test_rich_stays_under_the_command_line() -> None:
    assert {m for m in importers("rich") if not m.startswith("pipeline.cli")} == set()


ONE_PLACE = {
    "docker": {"pipeline.engines.docker"},
    "sqlite_utils": {"provenance.index", "provenance.schema"},
    "sqlite3": {"provenance.index", "provenance.schema"},
    "pydantic": {"pipeline.config"},
    "yaml": {"pipeline.from_musered"},
}


@pytest.mark.parametrize("package", ONE_PLACE)
def test_a_library_is_imported_in_one_place(package: str) -> None:
    assert importers(package) <= ONE_PLACE[package]


HEAVY = (
    *("astropy", "docker", "matplotlib", "numpy", "photutils"),
    *("reproject", "rich", "sqlite_utils", "scipy"),
)
"""Each costs a command of milliseconds more than all the rest of it."""


MAY_IMPORT_HEAVY = {
    "pipeline.cli.drawing": "loaded by the verbs that draw, when they draw",
    "pipeline.figures": "computes all the time; loaded where the data of two products differ",
    "pipeline.tally": "a part of figures",
}
"""Beside everything under `pipeline.simulate` and `pipeline.reference`, which compute all the time."""

COMPUTING = ("pipeline.simulate", "pipeline.reference")


@pytest.mark.parametrize("package", HEAVY)
def test_heavy_libraries_are_imported_where_they_are_needed(package: str) -> None:
    at_top = {i.by for i in IMPORTS if i.head == package and i.is_at_top and not i.is_for_types}

    assert {m for m in at_top if not m.startswith(COMPUTING)} <= MAY_IMPORT_HEAVY.keys()


def test_neither_the_command_line_nor_the_door_loads_a_heavy_library() -> None:
    """Followed through everything that is loaded with them, and with any verb."""
    verbs = {f"pipeline.cli.{verb.module}" for part in VERBS.values() for verb in part}
    assert verbs <= MODULES.keys()
    loaded = {"pipeline.cli.app", "pipeline.reduce", *verbs}
    waiting = list(loaded)
    heads: dict[str, str] = {}
    while waiting:
        module = waiting.pop()
        for found in IMPORTS:
            if found.by == module and found.is_at_top and not found.is_for_types:
                heads[found.head] = module
                if found.name in MODULES and found.name not in loaded:
                    loaded.add(found.name)
                    waiting.append(found.name)

    assert {head: module for head, module in heads.items() if head in HEAVY} == {}


# Between the stages

STAGES = ("scan", "classify", "associate", "plan", "execute", "accept", "publish")

MAY_IMPORT_STAGE = {
    ("scan", "classify"): "a file is classified as soon as its header is read",
    ("plan", "associate"): "grouping, on which the plan is built",
    ("plan", "drafts"): "the plan while it is being made",
    ("plan", "postprocess"): "a part of plan: the steps of datasets and targets",
    ("postprocess", "drafts"): "the plan while it is being made",
}


def test_stages_hand_values_on_and_do_not_import_each_other() -> None:
    """`conduct` and `reduce` hand the output of one to the next."""
    short = {f"pipeline.{name}": name for name in (*STAGES, "drafts", "postprocess")}
    found = {(short[i.by], short[i.name]) for i in IMPORTS if i.by in short and i.name in short}

    assert found <= MAY_IMPORT_STAGE.keys()


VALUES = {
    "pipeline.errors": set(),
    "pipeline.keywords": set(),
    "pipeline.tags": set(),
    "pipeline.engine": set(),
    "pipeline.environment": set(),
    "pipeline.model": {"pipeline.tags"},
    "pipeline.modes": set(),
    "pipeline.rules": {"pipeline.model", "pipeline.modes", "pipeline.tags"},
    "pipeline.recipes": {"pipeline.model", "pipeline.modes"},
    "pipeline.sof": {"pipeline.errors"},
    "pipeline.schedule": set(),
    "pipeline.looks": set(),
    "pipeline.packing": {"pipeline.errors", "pipeline.looks"},
    "pipeline.fitsfile": {"pipeline.errors", "pipeline.packing"},
    "pipeline.volatile": set(),
    "pipeline.fitsdigest": {
        *("pipeline.errors", "pipeline.fitsfile", "pipeline.packing", "pipeline.volatile"),
    },
}
"""What the modules at the bottom import of ours."""


@pytest.mark.parametrize("module", VALUES)
def test_values_and_tables_stand_at_the_bottom(module: str) -> None:
    assert {i.name for i in IMPORTS if i.by == module and i.name in MODULES} == VALUES[module]


PURE = (
    "classify",
    "associate",
    "plan",
    "doubts",
    "drafts",
    "policy",
    "rules",
    "shelf",
    "shelves",
    "recipes",
    "tags",
    "keywords",
    "parameters",
    "postprocess",
    "stages",
    "targets",
    "layers",
    "slips",
    "toml_lines",
)
SHELL = frozenset({"os", "shutil", "subprocess", "socket", "time", "random", "datetime", "tempfile"})


@pytest.mark.parametrize("module", PURE)
def test_what_decides_touches_neither_disk_nor_clock(module: str) -> None:
    assert {i.head for i in IMPORTS if i.by == f"pipeline.{module}"} & SHELL == set()


def test_no_module_imports_itself_in_a_circle() -> None:
    """What is carried out when a module is imported forms no circle."""
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in IMPORTS:
        if found.is_at_top and not found.is_for_types and found.name in MODULES:
            graph[found.by].add(found.name)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        if module not in done:
            for name in graph[module]:
                visit(name, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())
