"""The key of an action: what is nothing to it, and that everything else is in it. Promises 2 and 3.

All of it the real way, from files through scan, plan and resolve to the action; only the recipes are fake.
"""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from builders import card, hdu, pad
from fakes import DIGEST, Workspace, install_image, parameters_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.config import load
from pipeline.environment import environment, settled
from pipeline.fitsdigest import digest_file
from pipeline.fitsfile import read_hdus
from pipeline.forecast import Forecast
from pipeline.image import ImageLibrary
from pipeline.image.recipes import RecipeParameter, parameters_to_json
from pipeline.model import FrameInput, ProductInput, Step
from pipeline.parameters import spell
from pipeline.recipes import RECIPES, STAGES
from pipeline.record import Job
from pipeline.reduce import Reduction
from provenance.digest import canonical_json
from provenance.model import Run

TESTS = Path(__file__).parents[2]
Keys = dict[str, str | None]
"""Key of the action of each step; None while its inputs are not made."""

_ANY = st.integers(0, 10**6)
"""Chooses one of many: taken modulo their number, which is known only when the night is there."""

_numbers = count()


@dataclass(frozen=True, slots=True, repr=False)
class Night:
    """A whole tiny night, reduced once; other arrangements of it are held against what is known of it."""

    workspace: Workspace
    forecasts: Mapping[str, Forecast]
    """By step."""

    def __repr__(self) -> str:
        """Be short: half a megabyte would hide the example that failed."""
        return "Night()"

    @property
    def keys(self) -> Keys:
        """Key of each step."""
        return {id_: _key(found) for id_, found in self.forecasts.items()}

    @property
    def files(self) -> tuple[Path, ...]:
        """All its frames, relative to the workspace."""
        root = self.workspace.root
        return tuple(
            sorted(p.relative_to(root) for name in ("raw", "calib") for p in (root / name).iterdir())
        )

    @property
    def jobs(self) -> dict[str, Job]:
        """Each step with its bytes."""
        return {id_: found.job for id_, found in self.forecasts.items() if found.job is not None}

    def readers(self, file: Path) -> set[str]:
        """Steps that read a file."""
        digest = digest_file(self.workspace.root / file).digest
        return {id_ for id_, job in self.jobs.items() if digest in {item.digest for item in job.inputs}}

    def touched(self, first: Iterable[str]) -> set[str]:
        """Steps that read what these steps make, and so on; these as well."""
        found = set(first)
        for id_, forecast in self.forecasts.items():  # those a step depends on stand before it
            if found & set(forecast.step.upstream):
                found.add(id_)
        return found

    @contextmanager
    def elsewhere(self) -> Iterator[Path]:
        """Make a folder for another arrangement."""
        folder = self.workspace.root.parent / f"arrangement-{next(_numbers)}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def copy(self, folder: Path) -> None:
        """Put all frames into a folder, as links: what is changed there has to be replaced."""
        for file in self.files:
            (folder / file).parent.mkdir(exist_ok=True)
            os.link(self.workspace.root / file, folder / file)

    def keys_of(self, folder: Path, text: str = "", library: ImageLibrary | None = None) -> Keys:
        """Give the keys of the frames in a folder, with what is known of this night."""
        store = self.workspace.root / ".clio"
        (folder / "clio.toml").write_text(f'[clio]\nstore = "{store}"\n{text}', encoding="utf-8")
        settings = load(folder)
        with Reduction(
            settings, engine=self.workspace.engine, library=library or self.workspace.library
        ) as opened:
            return {found.step.id: _key(found) for found in opened.forecast()}


def _key(found: Forecast) -> str | None:
    return found.job.action.key if found.job else None


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    workspace = Workspace.make(tmp_path_factory.mktemp("keys") / "galaxy", ifus=(1,))
    workspace.run()
    with workspace.open() as reduction:
        return Night(workspace, {found.step.id: found for found in reduction.forecast()})


def test_every_step_has_a_key_of_its_own(night: Night) -> None:
    assert None not in night.keys.values()
    assert len(set(night.keys.values())) == len(night.keys) > 10


# What an action holds


def test_an_action_holds_all_parameters_of_the_image_each_in_its_one_spelling(night: Night) -> None:
    for job in night.jobs.values():
        known = {parameter.name: parameter for parameter in parameters_of(job.step.recipe)}
        values = dict(job.action.parameters)

        assert values.keys() == known.keys()
        assert values == {name: spell(known[name], value) for name, value in values.items()}


def test_an_action_holds_the_whole_environment_with_the_threads_of_its_recipe(night: Night) -> None:
    for job in night.jobs.values():
        threads = RECIPES[job.step.recipe].threads

        assert job.action.environment == environment(threads, "pinned", "linux/amd64")
        assert dict(job.action.environment)["OMP_NUM_THREADS"] == str(threads or "free")


def test_the_environment_of_an_action_is_that_of_the_process_but_for_the_clock(night: Night) -> None:
    """Promise 5: nothing the process gets is missing from the key, and nothing is inherited."""
    clock = {"FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC", "LD_PRELOAD", "NO_FAKE_STAT"}
    runs = [found.run for found in night.forecasts.values() if found.run]

    for run in runs:
        given = {name: value for name, value in run.environment if name not in clock}

        told = night.jobs[f"{run.stage}:{run.unit}"].action.environment
        assert given == dict(settled(told, run.threads))


def test_an_action_names_its_inputs_by_role_name_and_data_digest_in_the_order_they_are_given(
    night: Night,
) -> None:
    for seen in night.workspace.engine.seen:
        names = [(tag, name) for tag, name in seen.names]
        jobs = [j for j in night.jobs.values() if [(i.tag, i.name) for i in j.action.inputs] == names]

        assert jobs
    for job in night.jobs.values():
        assert all(item.content.startswith("fits1:") for item in job.action.inputs)
        assert len({item.name for item in job.action.inputs}) == len(job.action.inputs)


# What is nothing to it


@settings(max_examples=12)
@given(chance=st.randoms(use_true_random=False))
def test_names_places_times_and_packing_of_files_change_no_key(night: Night, chance: random.Random) -> None:
    with night.elsewhere() as folder:
        files = list(night.files)
        chance.shuffle(files)  # in which order a directory gets them
        for number, file in enumerate(files):
            parents = [*file.parts[:1], *chance.choice(["", "a", "a/b", "z y"]).split("/")]
            name = f"{chance.choice(['x', 'RAW ', 'm-', 'ß'])}{number * 7919 % 100:02d}"
            content = (night.workspace.root / file).read_bytes()
            is_packed = chance.random() < 0.2
            target = folder.joinpath(*parents, f"{name}.fits{'.gz' if is_packed else ''}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(gzip.compress(content, mtime=number) if is_packed else content)
            target.chmod(chance.choice([0o444, 0o600, 0o644]))
            os.utime(target, (chance.randrange(2**31), chance.randrange(2**31)))

        assert night.keys_of(folder) == night.keys


_SURROUNDINGS: Mapping[str, dict[str, str]] = {
    "locale": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "time zone": {"TZ": "Pacific/Kiritimati"},
    "home and user": {"HOME": "/nowhere", "USER": "somebody", "LOGNAME": "somebody"},
    "hash seed 1": {"PYTHONHASHSEED": "1"},
    "hash seed 2": {"PYTHONHASHSEED": "424242"},
    "variables a recipe would read": {
        "MUSE_DEBUG": "1",
        "OMP_NUM_THREADS": "64",
        "ESOREX_MSG_LEVEL": "debug",
    },
}

_SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fakes import Workspace
from pipeline.image import ImageLibrary
workspace = Workspace(Path(sys.argv[2]), ImageLibrary(Path(sys.argv[2]) / "cache"))
with workspace.open() as reduction:
    print(json.dumps({found.step.id: found.job.action.key for found in reduction.forecast()}))
"""


@pytest.mark.parametrize("name", [*_SURROUNDINGS, "all of them"])
def test_who_runs_it_where_in_which_locale_and_time_zone_changes_no_key(
    night: Night, tmp_path: Path, name: str
) -> None:
    every = {key: value for one in _SURROUNDINGS.values() for key, value in one.items()}
    variables = _SURROUNDINGS.get(name, every)
    packages = str(TESTS.parent)

    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(TESTS), str(night.workspace.root)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": packages, **variables},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == night.keys


# Content


@settings(max_examples=25)
@given(which=_ANY, unit_number=_ANY, place=_ANY, bit=st.integers(0, 7))
def test_any_bit_of_any_frame_changes_the_keys_of_what_reads_it_and_no_other(
    night: Night, which: int, unit_number: int, place: int, bit: int
) -> None:
    file = night.files[which % len(night.files)]
    content = bytearray((night.workspace.root / file).read_bytes())
    units = [unit for unit in read_hdus(night.workspace.root / file) if unit.data_size]
    assume(units)
    unit = units[unit_number % len(units)]
    content[unit.data_offset + place % unit.data_size] ^= 1 << bit

    _assert_seen(night, file, bytes(content))


@settings(max_examples=15)
@given(
    which=_ANY,
    keyword=st.sampled_from(["ORIGIN", "DATASUM", "ESO INS TEMP99 VAL", "PIPEFILE"]),
    value=st.one_of(st.booleans(), st.integers(0, 99), st.text("ab", max_size=3)),
)
def test_any_card_changes_the_keys_of_what_reads_it_and_no_other(
    night: Night, which: int, keyword: str, value: bool | int | str
) -> None:
    file = night.files[which % len(night.files)]

    _assert_seen(night, file, _with_card(night.workspace.root / file, card(keyword, value)))


@settings(max_examples=10)
@given(
    which=_ANY,
    written=st.sampled_from(
        [card("DATE", "2031-02-03T04:05:06"), card("CHECKSUM", "abcdefghijklmnop"), b" " * 80]
    ),
)
def test_a_volatile_card_changes_no_key(night: Night, which: int, written: bytes) -> None:
    """Early cut-off: a calibration made again with another DATE is the same science."""
    file = night.files[which % len(night.files)]
    content = _with_card(night.workspace.root / file, written)

    with _changed(night, file, content) as folder:
        assert night.keys_of(folder) == night.keys


def _with_card(path: Path, written: bytes) -> bytes:
    """Add a card at the end of the primary header."""
    first = read_hdus(path)[0]
    content = path.read_bytes()
    end = b"END".ljust(80)
    header = content[: first.data_offset].partition(end)[0] + written + end
    return pad(header).replace(b"\0", b" ") + content[first.data_offset :]


@contextmanager
def _changed(night: Night, file: Path, content: bytes) -> Iterator[Path]:
    """Arrange the night with one file otherwise."""
    with night.elsewhere() as folder:
        night.copy(folder)
        (folder / file).unlink()
        (folder / file).write_bytes(content)
        yield folder


def _assert_seen(night: Night, file: Path, content: bytes) -> None:
    readers = night.readers(file)
    touched = night.touched(readers)

    with _changed(night, file, content) as folder:
        found = night.keys_of(folder)

    assert readers
    assert found.keys() == night.keys.keys()
    assert all(found[id_] != night.keys[id_] for id_ in touched)
    assert any(found[id_] is not None for id_ in readers)
    assert all(found[id_] == night.keys[id_] for id_ in found.keys() - touched)


# Parameters


_SET_BY_CLIO = {option for row in STAGES.values() for option, _ in row.parameters} | {
    "nifu",
    "merge",
    "format",
}
_FREE = [
    (recipe, parameter)
    for recipe in sorted({job.recipe for job in STAGES.values()} - {"muse_dark"})
    for parameter in parameters_of(recipe)
    if parameter.option not in _SET_BY_CLIO
]


def _others(parameter: RecipeParameter) -> st.SearchStrategy[str]:
    """Draw values of a parameter that are not its default."""
    match parameter.kind:
        case "bool":
            return st.just("FALSE" if parameter.value == "TRUE" else "TRUE")
        case "int":
            return st.integers(1, 50).map(lambda n: str(int(parameter.value) + n))
        case "double":
            return st.floats(1e-6, 1e4).map(lambda x: repr(float(parameter.value) + x))
        case _ if parameter.choices:
            return st.sampled_from([c for c in parameter.choices if c != parameter.value])
    return st.text("abc,", min_size=1, max_size=5)


@settings(max_examples=25)
@given(case=st.sampled_from(_FREE).flatmap(lambda free: st.tuples(st.just(free), _others(free[1]))))
def test_any_value_of_any_parameter_changes_the_keys_of_its_recipe_and_no_other(
    night: Night, case: tuple[tuple[str, RecipeParameter], str]
) -> None:
    (recipe, parameter), value = case
    assume(spell(parameter, value) != spell(parameter, parameter.value))
    called = {id_ for id_, found in night.forecasts.items() if found.step.recipe == recipe}
    touched = night.touched(called)

    with night.elsewhere() as folder:
        night.copy(folder)
        found = night.keys_of(folder, f'[recipes.{recipe}]\n{parameter.option} = "{value}"\n')

    assert all(found[id_] != night.keys[id_] for id_ in touched)
    assert any(found[id_] is not None for id_ in called)
    assert all(found[id_] == night.keys[id_] for id_ in found.keys() - touched)


def _spellings(parameter: RecipeParameter) -> list[str]:
    """Write the default in other ways."""
    value = parameter.value
    match parameter.kind:
        case "bool":
            return ["TRUE", "true", "T", "1"] if value == "TRUE" else ["FALSE", "false", "f", "no"]
        case "int":
            return [value, f"+{value}", f" {value} "]
        case "string":
            return [value]
    return [value, f"{float(value):.9e}", f"{float(value)}", f"0{value}"]


@settings(max_examples=15)
@given(case=st.sampled_from([(*free, s) for free in _FREE for s in _spellings(free[1])]))
def test_a_default_written_out_in_any_spelling_changes_no_key(
    night: Night, case: tuple[str, RecipeParameter, str]
) -> None:
    recipe, parameter, value = case

    with night.elsewhere() as folder:
        night.copy(folder)
        found = night.keys_of(folder, f'[recipes.{recipe}]\n{parameter.option} = "{value}"\n')

    assert found == night.keys


@settings(max_examples=10)
@given(
    case=st.sampled_from([parameter for recipe, parameter in _FREE if recipe == "muse_bias"]).flatmap(
        lambda parameter: st.tuples(st.just(parameter), _others(parameter))
    )
)
def test_a_default_that_is_another_in_the_image_changes_the_key(
    night: Night, case: tuple[RecipeParameter, str]
) -> None:
    """Even if the image called itself the same: what counts is what its own dump says."""
    parameter, value = case
    assume(spell(parameter, value) != spell(parameter, parameter.value))

    with night.elsewhere() as folder:
        night.copy(folder)
        library = install_image(folder / "cache", DIGEST)
        known = [replace(p, value=value) if p == parameter else p for p in parameters_of("muse_bias")]
        dump = library.list()[0].archive.with_name("parameters") / "muse_bias.json"
        dump.write_text(parameters_to_json(tuple(known)))
        found = night.keys_of(folder, library=library)

    bias = {id_ for id_ in found if id_.startswith("bias:")}
    assert all(found[id_] not in (None, night.keys[id_]) for id_ in bias)


# Image, platform, numerics


def test_another_image_gives_other_keys(night: Night) -> None:
    with night.elsewhere() as folder:
        night.copy(folder)
        found = night.keys_of(folder, library=install_image(folder / "cache", "sha256:" + "d1" * 32))

    assert not set(found.values()) & set(night.keys.values())
    assert any(found.values())


def test_another_platform_gives_other_keys(night: Night) -> None:
    with night.elsewhere() as folder:
        night.copy(folder)
        library = install_image(folder / "cache")
        facts = library.list()[0].archive.with_name("image.json")
        facts.write_text(facts.read_text().replace("linux/amd64", "linux/arm64"))
        found = night.keys_of(folder, library=library)

    assert not set(found.values()) & set(night.keys.values())
    assert any(found.values())


def test_native_numerics_give_other_keys(night: Night) -> None:
    with night.elsewhere() as folder:
        night.copy(folder)
        found = night.keys_of(folder, 'numerics = "native"\n')

    assert not set(found.values()) & set(night.keys.values())
    assert any(found.values())


# Role and order


@settings(max_examples=40)
@given(which=_ANY, first=_ANY, second=_ANY)
def test_roles_swapped_between_two_inputs_change_the_key(
    night: Night, which: int, first: int, second: int
) -> None:
    jobs = [job for job in night.jobs.values() if len({item.tag for item in job.inputs}) > 1]
    job = jobs[which % len(jobs)]
    inputs = list(job.step.inputs)
    one, other = first % len(inputs), second % len(inputs)
    assume(inputs[one].tag != inputs[other].tag)
    inputs[one], inputs[other] = (
        replace(inputs[one], tag=inputs[other].tag),
        replace(inputs[other], tag=inputs[one].tag),
    )

    assert _key_of_step(night, replace(job.step, inputs=tuple(inputs))) != job.action.key


@settings(max_examples=25)
@given(which=_ANY, chance=st.randoms(use_true_random=False))
def test_frames_may_come_in_any_order(night: Night, which: int, chance: random.Random) -> None:
    """The planner orders them: by tag, time, name in the archive, content."""
    job = list(night.jobs.values())[which % len(night.jobs)]
    frames = [item for item in job.step.inputs if isinstance(item, FrameInput)]
    products = [item for item in job.step.inputs if isinstance(item, ProductInput)]
    chance.shuffle(frames)

    assert _key_of_step(night, replace(job.step, inputs=(*frames, *products))) == job.action.key


@pytest.mark.parametrize("tag", ["PIXTABLE_OBJECT", "IMAGE_FOV", "PIXTABLE_REDUCED"])
def test_products_of_a_tag_in_another_order_change_the_key(night: Night, tag: str) -> None:
    """A recipe numbers its exposures as they come."""
    job = next(j for j in night.jobs.values() if sum(item.tag == tag for item in j.step.inputs) > 1)
    of_tag = [item for item in job.step.inputs if item.tag == tag]
    rest = [item for item in job.step.inputs if item.tag != tag]

    assert _key_of_step(night, replace(job.step, inputs=(*rest, *of_tag))) == job.action.key
    assert _key_of_step(night, replace(job.step, inputs=(*rest, *reversed(of_tag)))) != job.action.key


def _key_of_step(night: Night, step: Step) -> str:
    runs: dict[str, Run] = {id_: f.run for id_, f in night.forecasts.items() if f.run is not None}
    with night.workspace.open() as reduction:
        return reduction.resolver.job(step, runs).action.key


# Canonical forms


_WORDS = st.sampled_from(["", "a", "b", "ab", '"', ",", "a,b", '","', ":", "[", "]", "null", "1", "true"])
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-11, 11), _WORDS)
_FORMS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=3)),
    max_leaves=6,
)
"""Made of pieces that a careless joining would mix up."""


def _typed(value: Any) -> object:
    """Tell 1 from True, which Python takes for equal, and give objects one order."""
    if isinstance(value, dict):
        return "object", frozenset((name, _typed(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return "list", tuple(map(_typed, value))
    return type(value).__name__, value


@settings(max_examples=400)
@given(left=_FORMS, right=_FORMS)
def test_two_canonical_forms_are_the_same_bytes_only_if_they_are_the_same_values(
    left: Any, right: Any
) -> None:
    assert (canonical_json(left) == canonical_json(right)) == (_typed(left) == _typed(right))


@settings(max_examples=200)
@given(words=st.lists(_WORDS, min_size=1, max_size=5), data=st.data())
def test_words_cut_elsewhere_are_another_form(words: list[str], data: st.DataObject) -> None:
    """The same characters in a row: what a key made by concatenation takes for equal."""
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    others = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert (canonical_json(words) == canonical_json(others)) == (words == others)
    assert (canonical_json([words, others]) == canonical_json([[*words, *others]])) is False


_CARDS = st.lists(
    st.tuples(st.sampled_from(["A", "B", "AB"]), st.sampled_from(["", "A", "BA", "AB"])), max_size=3
)


@settings(max_examples=100)
@given(left=_CARDS, right=_CARDS)
def test_two_headers_have_the_same_data_digest_only_if_their_cards_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, left: list[tuple[str, str]], right: list[tuple[str, str]]
) -> None:
    found = []
    for cards in (left, right):
        path = tmp_path_factory.getbasetemp() / "header.fits"
        base = hdu({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0})
        end = b"END".ljust(80)
        written = base.partition(end)[0] + b"".join(card(name, value) for name, value in cards) + end
        path.write_bytes(written.ljust(2880))
        found.append(digest_file(path).data_digest)

    assert (found[0] == found[1]) == (left == right)
