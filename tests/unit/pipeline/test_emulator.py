"""A processor that is emulated: where its emulator is, how it stands in front, what is seen behind it."""

from pathlib import Path

import pytest
from fakes import Workspace

from pipeline.emulator import (
    MODELS,
    OLD,
    Processor,
    emulated,
    find_emulator,
    look,
    mounts_of,
    read_processor,
)
from pipeline.engine import USUAL, Emulator, Mount, Surroundings
from pipeline.environment import environment
from pipeline.errors import EngineUnavailable

EMULATOR = Emulator(Path("/usr/bin/qemu-x86_64-static"), OLD)


def test_the_emulator_stands_in_front_of_a_program_that_is_named_whole() -> None:
    assert emulated(("esorex", "--version"), EMULATOR) == (
        *("/in/emulator", "-cpu", "Nehalem"),
        *("/usr/bin/esorex", "--version"),
    )
    assert emulated(("/bin/date",), EMULATOR)[-1] == "/bin/date"
    assert mounts_of(EMULATOR) == (Mount(EMULATOR.program, "/in/emulator"),)


def test_without_one_nothing_is_added() -> None:
    assert emulated(("esorex", "--version"), None) == ("esorex", "--version")
    assert mounts_of(None) == ()


def test_it_is_found_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "qemu-x86_64-static"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_emulator(MODELS[1], "linux/amd64") == Emulator(program, "SandyBridge")


def test_one_that_is_missing_is_said_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineUnavailable) as caught:
        find_emulator(OLD, "linux/amd64")

    assert caught.value.message == "there is no `qemu-x86_64-static` in PATH to emulate a Nehalem with"
    assert caught.value.hint == "install it (`apt-get install qemu-user-static`)"


def test_a_platform_without_variants_has_nothing_to_emulate() -> None:
    with pytest.raises(EngineUnavailable, match="no processor to emulate is known for linux/arm64"):
        find_emulator(OLD, "linux/arm64")


DIAGNOSTICS = """\
x86.cpu_features.basic.kind=0x1
x86.cpu_features.features[0x0].cpuid[0x2]=0xfffa3203
x86.cpu_features.features[0x0].active[0x2]=0x7ed82203
x86.cpu_features.features[0x1].cpuid[0x1]=0xf1bf2ffb
x86.cpu_features.features[0x1].active[0x1]=0xf1ae0b18
"""
"""Of glibc 2.36 on a processor with AVX-512, the tunables of pinned numerics set."""


def test_what_the_processor_has_is_told_from_what_the_library_goes_by() -> None:
    assert read_processor(DIAGNOSTICS) == Processor(has=("AVX", "FMA", "AVX2", "AVX512F"), used=("AVX",))


def test_a_loader_that_tells_nothing_says_nothing() -> None:
    assert read_processor("dl_discover_osversion=0x0\n") is None


@pytest.mark.parametrize(
    ("numerics", "around", "expected"),
    [
        ("pinned", USUAL, Processor(("AVX", "FMA"), ("AVX",))),
        ("native", USUAL, Processor(("AVX", "FMA"), ("AVX", "FMA"))),
        ("native", Surroundings(emulator=EMULATOR), Processor((), ())),
    ],
    ids=["pinned", "native", "emulated"],
)
def test_the_loader_is_asked_as_a_recipe_is_run(
    narrow: Workspace, numerics: str, around: Surroundings, expected: Processor
) -> None:
    (image,) = narrow.library.list()
    narrow.engine.prepare(image)

    seen = look(narrow.engine, image, around, environment(1, numerics, image.platform))

    assert seen == expected


def test_another_platform_is_not_asked(narrow: Workspace) -> None:
    from dataclasses import replace

    (image,) = narrow.library.list()

    assert look(narrow.engine, replace(image, platform="linux/arm64"), USUAL, ()) is None
