"""Runs with one thing set otherwise: which they are, what comes of them, and what is left in the store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Fault, Workspace

from pipeline.again import Variation, Workshop
from pipeline.emulator import OLD
from pipeline.engines import ENGINES
from pipeline.environment import environment, pins
from pipeline.errors import UsageError
from pipeline.model import Stage
from pipeline.passport import Passport, kept, measure, newest_run
from pipeline.passport_matrix import (
    NOTHING,
    WHOLE,
    Matrix,
    Trial,
    attempt,
    read_matrix,
    trials,
)
from pipeline.passports import Axis, Row
from pipeline.reduce import Reduction
from pipeline.verdict import Sameness
from provenance.check import check
from provenance.model import Action, Purpose, Run


@pytest.fixture
def reduction(narrow: Workspace) -> Iterator[Reduction]:
    """A night of one IFU with a master bias."""
    narrow.run(Stage.BIAS)
    narrow.engine.seen.clear()
    with narrow.open() as reduction:
        yield reduction


@pytest.fixture
def minding(narrow: Workspace) -> Iterator[Reduction]:
    """The same, made by a recipe whose pixels depend on the number of threads."""
    narrow.engine.depends["muse_bias"] = "OMP_NUM_THREADS"
    narrow.run(Stage.BIAS)
    with narrow.open() as reduction:
        yield reduction


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something in PATH that would emulate."""
    program = tmp_path / "bin" / "qemu-x86_64-static"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def recorded(reduction: Reduction) -> tuple[Run, Action]:
    run = newest_run(reduction.store, "muse_bias")
    return run, reduction.store.action(run.action)


def tried(reduction: Reduction, trial: Trial, promised: Sameness = Sameness.IDENTICAL) -> Row:
    return attempt(Workshop.of(reduction), recorded(reduction)[0], trial, promised)


def measured(reduction: Reduction, matrix: Matrix) -> Passport:
    return measure(Workshop.of(reduction), recorded(reduction)[0], matrix=matrix)


# What is asked for


def test_lists_are_read_with_their_words_for_all() -> None:
    matrix = read_matrix("1,8,8", "all", "native", "emulated,SandyBridge", heap=True, corners=False)

    assert matrix == Matrix((1, 8), ENGINES, ("native",), (OLD, "SandyBridge"), is_heap_filled=True)
    assert read_matrix("", "", "", "host", heap=False, corners=False) == NOTHING
    assert (NOTHING.is_empty, WHOLE.is_empty) == (True, False)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("0", "", ""), "--threads 0 is no number of threads", "such as: --threads 1,2,8"),
        (("two", "", ""), "--threads two is no number of threads", "such as: --threads 1,2,8"),
        (("", "lxc", ""), "--engines lxc is not known", "it is one of docker, podman, bubblewrap, apptainer"),
        (("", "", "exact"), "--numerics exact is not known", "it is one of pinned, native"),
    ],
    ids=["zero", "word", "engine", "numerics"],
)
def test_a_word_that_is_not_known_is_refused(words: tuple[str, str, str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_matrix(*words, "", heap=False, corners=False)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_the_whole_matrix_is_a_star_around_the_record(reduction: Reduction) -> None:
    found = [(trial.axis, trial.value) for trial in trials(WHOLE, *recorded(reduction), "bubblewrap")]

    assert found == [
        *((Axis.THREADS, count) for count in ("2", "8")),
        *((Axis.ENGINE, name) for name in ("docker", "podman", "apptainer")),
        (Axis.NUMERICS, "native"),
        (Axis.CPU, "Nehalem"),
        *((Axis.HEAP, byte) for byte in ("0x55", "0xaa")),
        *((Axis.SEVERAL, value) for value in ("8 threads + native", "Nehalem + native")),
    ]


def test_each_run_of_the_star_has_one_thing_otherwise(reduction: Reduction) -> None:
    run, action = recorded(reduction)
    star = {trial.value: trial.variation.of(action) for trial in trials(WHOLE, run, action, "bubblewrap")}

    changed = {
        value: {name for name, told in varied.environment if dict(action.environment).get(name) != told}
        for value, varied in star.items()
    }
    assert {value: names for value, names in changed.items() if names} == {
        **{value: {"OMP_NUM_THREADS"} for value in ("2", "8")},
        **{value: {"GLIBC_TUNABLES"} for value in ("native", "Nehalem + native", "0x55", "0xaa")},
        "8 threads + native": {"OMP_NUM_THREADS", "GLIBC_TUNABLES"},
    }
    assert (
        dict(star["0x55"].environment)["GLIBC_TUNABLES"]
        == f"{pins('pinned', 'linux/amd64')['GLIBC_TUNABLES']}:glibc.malloc.perturb=85"
    )
    assert {value for value, varied in star.items() if varied.numerics == "native"} == {
        "native",
        "8 threads + native",
        "Nehalem + native",
    }


def test_a_key_that_leaves_the_threads_free_holds_with_any_number(reduction: Reduction) -> None:
    _, action = recorded(reduction)
    free = replace(action, environment=environment(None, action.numerics, action.platform))

    assert Variation(threads=8).of(free) == free


# What comes of it


def test_a_recipe_that_does_not_mind_gives_the_same_bytes(reduction: Reduction) -> None:
    row = tried(reduction, Trial(Axis.THREADS, "8", Variation(threads=8)))

    assert (row.sameness, row.moved, row.reason) == (Sameness.IDENTICAL, (), "")
    assert (row.wall_ms, row.cpu_ms, row.engine) == (7, 6, "fake 1.0")
    assert row.variants == ("AVX",)


def test_a_recipe_that_minds_the_threads_is_found(minding: Reduction) -> None:
    """Promise 7: measured and said."""
    run, _ = recorded(minding)

    row = tried(minding, Trial(Axis.THREADS, "8", Variation(threads=8)))

    assert not row.is_stable
    assert {unit.product for unit in row.moved} == {output.name for output in run.outputs}
    assert row.reason.startswith("MASTER_BIAS-01.fits: ")


def test_native_numerics_are_seen_to_bite(reduction: Reduction) -> None:
    row = tried(reduction, Trial(Axis.NUMERICS, "native", Variation(numerics="native")))

    assert row.variants == ("AVX", "FMA")


def test_an_emulated_processor_is_put_in_front(reduction: Reduction, narrow: Workspace, qemu: Path) -> None:
    row = tried(reduction, Trial(Axis.CPU, OLD, Variation(emulator=OLD)))

    (seen,) = narrow.engine.seen
    assert (row.sameness, row.variants) == (Sameness.IDENTICAL, ())
    assert seen.request.argv[:4] == ("/in/emulator", "-cpu", "Nehalem", "/usr/bin/esorex")
    assert qemu in {mount.source for mount in seen.request.inputs}


def test_what_cannot_be_had_here_is_not_measured_and_said(
    reduction: Reduction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("CONTAINER_HOST", f"unix://{tmp_path}/nobody.sock")

    emulated = tried(reduction, Trial(Axis.CPU, OLD, Variation(emulator=OLD)))
    podman = tried(reduction, Trial(Axis.ENGINE, "podman", engine="podman"))

    assert (emulated.sameness, podman.sameness) == (None, None)
    assert emulated.reason == "there is no `qemu-x86_64-static` in PATH to emulate a Nehalem with"
    assert podman.reason.startswith(f"no container daemon answers at unix://{tmp_path}/nobody.sock")


def test_a_recipe_that_fails_otherwise_is_a_difference(reduction: Reduction, narrow: Workspace) -> None:
    narrow.engine.fail(Fault.EXIT, "muse_bias")

    row = tried(reduction, Trial(Axis.THREADS, "8", Variation(threads=8)))

    assert row.sameness is Sameness.DIFFERENT
    assert row.reason.startswith("recipe error: esorex left with 255")


def test_a_machine_that_has_too_little_says_nothing_of_the_recipe(
    reduction: Reduction, narrow: Workspace
) -> None:
    narrow.engine.fail(Fault.OUT_OF_MEMORY, "muse_bias")

    row = tried(reduction, Trial(Axis.THREADS, "8", Variation(threads=8)))

    assert row.sameness is None
    assert row.reason.startswith("out of memory: ")


# What is kept


def test_a_run_of_the_same_bytes_is_recorded_under_its_own_key(reduction: Reduction) -> None:
    tried(reduction, Trial(Axis.THREADS, "8", Variation(threads=8)))

    run, action = recorded(reduction)
    (found,) = (run for run in reduction.store.runs() if run.purpose is Purpose.PASSPORT)
    assert (found.threads, found.outputs) == (8, run.outputs)
    assert found.action == Variation(threads=8).of(action).key != run.action
    assert check(reduction.store) == ()


@pytest.mark.parametrize(
    ("promised", "count"), [(Sameness.IDENTICAL, 1), (Sameness.DIFFERENT, 0)], ids=["news", "known"]
)
def test_what_moved_is_kept_for_a_look_unless_it_is_known_to(
    minding: Reduction, promised: Sameness, count: int
) -> None:
    tried(minding, Trial(Axis.THREADS, "8", Variation(threads=8)), promised)

    found = [run for run in minding.store.runs() if run.purpose is Purpose.PASSPORT]
    assert len(found) == count


def test_the_rows_stand_in_the_passport_and_in_its_statement(reduction: Reduction) -> None:
    found = measured(reduction, Matrix(threads=(1, 2), numerics=("native",)))

    assert [(row.axis, row.value, row.sameness) for row in found.rows] == [
        (Axis.RUN, "again", Sameness.IDENTICAL),
        (Axis.RUN, "elsewhere, later", Sameness.SAME_SCIENCE),
        (Axis.THREADS, "2", Sameness.IDENTICAL),
        (Axis.NUMERICS, "native", Sameness.IDENTICAL),
    ]
    assert kept(reduction.store) == (found.sheet,)
    assert (found.sheet.threads, found.sheet.step, found.worse) == (1, f"bias:{found.run.unit}", ())


def test_measurements_of_one_run_are_put_together(minding: Reduction) -> None:
    measured(minding, Matrix(threads=(2,)))
    last = measured(minding, Matrix(numerics=("native",)))

    (sheet,) = kept(minding.store)
    values = {row.value: row.is_stable for row in sheet.rows}
    assert values == {"again": True, "elsewhere, later": True, "2": False, "native": True}
    assert sheet.rows[-1] == last.rows[-1]


def test_a_run_in_which_more_moved_than_was_published_is_worse(minding: Reduction) -> None:
    found = measured(minding, Matrix(threads=(2,)))

    assert [row.value for row in found.worse] == ["2"]
    assert replace(found, version="muse/9.9.9").worse == found.worse
