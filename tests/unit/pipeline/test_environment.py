"""The environment of a recipe: complete, nothing inherited."""

from datetime import UTC, datetime

import pytest
from fakes import Workspace
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.environment import (
    FREE,
    KEPT_MEMORY,
    VARIABLES,
    clock_environment,
    environment,
    refused_variable,
    settled,
)
from pipeline.model import Stage
from pipeline.recipes import RECIPES


def test_the_environment_depends_on_nothing_but_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 5."""
    before = environment(2, "pinned", "linux/amd64")
    for name in ("MUSE_EXPERT_USER", "ESOREX_LOG_LEVEL", "OMP_NUM_THREADS", "HOME", "TZ"):
        monkeypatch.setenv(name, "other")

    assert environment(2, "pinned", "linux/amd64") == before
    assert dict(before) == {
        "GLIBC_TUNABLES": f"glibc.cpu.hwcaps=-AVX2,-AVX512F,-FMA,-FMA4:{KEPT_MEMORY}",
        "HOME": "/tmp",
        "LC_ALL": "C",
        "OMP_DYNAMIC": "FALSE",
        "OMP_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PATH": "/usr/bin:/bin",
        "TZ": "UTC",
    }


@pytest.mark.parametrize(
    ("numerics", "platform"), [("native", "linux/amd64"), ("pinned", "linux/arm64")], ids=["native", "arm"]
)
def test_functions_are_left_alone_when_numerics_are_native_or_nothing_is_known_to_pin(
    numerics: str, platform: str
) -> None:
    assert dict(environment(1, numerics, platform))["GLIBC_TUNABLES"] == KEPT_MEMORY


@pytest.mark.parametrize(
    ("platform", "folder"), [("linux/amd64", "x86_64-linux-gnu"), ("linux/arm64", "aarch64-linux-gnu")]
)
def test_a_frozen_clock_stands_at_a_second(platform: str, folder: str) -> None:
    at = datetime(2023, 2, 25, 12, 0, 1, 999999, tzinfo=UTC)

    assert dict(clock_environment(at, platform)) == {
        "FAKETIME": "2023-02-25 12:00:01",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "LD_PRELOAD": f"/usr/lib/{folder}/faketime/libfaketime.so.1",
        "NO_FAKE_STAT": "1",
    }


def test_a_free_number_of_threads_is_a_word_in_the_key_and_the_cores_in_the_process() -> None:
    """Promise 2: the machine has no part in the key."""
    free = environment(None, "pinned", "linux/amd64")

    assert dict(free)["OMP_NUM_THREADS"] == FREE
    assert settled(free, 24) == environment(24, "pinned", "linux/amd64")


def test_a_fixed_number_of_threads_stays() -> None:
    fixed = environment(2, "pinned", "linux/amd64")

    assert settled(fixed, 24) == fixed


def test_a_real_clock_adds_nothing() -> None:
    assert clock_environment(None, "linux/amd64") == ()


@pytest.mark.parametrize(
    ("clock", "numerics"), [("frozen", "pinned"), ("real", "native")], ids=["as a rule", "otherwise"]
)
def test_a_run_records_its_whole_environment_and_show_tells_it(
    clock: str, numerics: str, narrow: Workspace
) -> None:
    narrow.configure(f'[clio]\nclock = "{clock}"\nnumerics = "{numerics}"\n')
    run = narrow.run(Stage.BIAS).events[0].run
    assert run is not None

    shown = CliRunner().invoke(app, ["show", run.run, "--all", "--workspace", str(narrow.root)]).stdout

    at = datetime.fromisoformat(run.clock_at) if run.clock_at else None
    held = environment(RECIPES["muse_bias"].threads, numerics, "linux/amd64")
    given = (*settled(held, run.threads or 0), *clock_environment(at, "linux/amd64"))
    assert dict(run.environment) == dict(given)
    assert all(f"  {name} = {value}\n" in shown for name, value in given)
    assert f"numerics {numerics}\n" in shown
    assert f"  clock       {clock} at {run.clock_at}\n" in shown or clock == "real"


def test_a_variable_of_the_library_that_a_person_sets_is_part_of_the_key_and_reaches_the_recipe(
    narrow: Workspace,
) -> None:
    """Promise 3."""
    narrow.run(Stage.BIAS)
    narrow.configure('[recipes.muse_bias.environment]\nMUSE_BASICPROC_SKIP_NONLIN_CORR = "1"\n')

    summary = narrow.run(Stage.BIAS)

    run = summary.events[0].run
    assert run is not None
    assert summary.ran == 1
    with narrow.open() as reduction:
        action = reduction.store.action(run.action)
    assert dict(action.environment)["MUSE_BASICPROC_SKIP_NONLIN_CORR"] == "1"
    assert dict(narrow.engine.seen[-1].request.environment)["MUSE_BASICPROC_SKIP_NONLIN_CORR"] == "1"


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_variable_of_the_table_may_be_set(name: str) -> None:
    assert refused_variable(name) == ("", "")
