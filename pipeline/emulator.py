"""A processor other than the machine's: its emulator, and what the C library of the image makes of either.

The emulator is one static program of the host. It is mounted beside the inputs and stands in front of what is
run; the environment, the clock's library included, goes through it to the program.
"""

import re
import shutil
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from pipeline.engine import Emulator, Ending, Engine, EngineRequest, Mount, RecipeImage, Surroundings
from pipeline.errors import EngineUnavailable

OLD = "Nehalem"
"""A processor of 2008: SSE 4.2, and neither AVX nor FMA."""

MODELS = (OLD, "SandyBridge")
"""What recipes are measured on; the second, of 2011, has AVX and still no FMA."""

PROGRAMS = {"linux/amd64": "qemu-x86_64-static"}
"""By platform; the others have no variants that are chosen by processor."""

_PLACE = "/in/emulator"
_LOADERS = {"linux/amd64": "/lib64/ld-linux-x86-64.so.2"}
_ANSWER = "processor"
_LINE = re.compile(r"^x86\.cpu_features\.features\[0x(\d)\]\.(cpuid|active)\[0x(\d)\]=0x([0-9a-f]+)$", re.M)
_BITS = {"AVX": ("0", "2", 28), "FMA": ("0", "2", 12), "AVX2": ("1", "1", 5), "AVX512F": ("1", "1", 16)}
"""Leaf, register and bit, as Intel's manual gives them (volume 2, CPUID)."""


@dataclass(frozen=True, slots=True)
class Processor:
    """The instruction sets that matter to numbers, as a program inside sees them."""

    has: tuple[str, ...]
    """What the processor says it has."""
    used: tuple[str, ...]
    """What the C library goes by when it chooses a variant of a function."""


def find_emulator(cpu: str, platform: str) -> Emulator:
    """Find what emulates a processor here.

    Parameters
    ----------
    cpu : str
        Its model.
    platform : str
        Of the image.

    Raises
    ------
    EngineUnavailable
        Nothing is known for that platform, or it is not installed.
    """
    name = PROGRAMS.get(platform)
    if name is None:
        raise EngineUnavailable(f"no processor to emulate is known for {platform}")
    found = shutil.which(name)
    if found is None:
        raise EngineUnavailable(
            f"there is no `{name}` in PATH to emulate a {cpu} with",
            "install it (`apt-get install qemu-user-static`)",
        )
    return Emulator(Path(found).resolve(), cpu)


def emulated(argv: tuple[str, ...], emulator: Emulator | None) -> tuple[str, ...]:
    """Put the emulator in front of a command; it looks for no program, so that is named whole."""
    if emulator is None:
        return argv
    program = argv[0] if argv[0].startswith("/") else f"/usr/bin/{argv[0]}"
    return (_PLACE, "-cpu", emulator.cpu, program, *argv[1:])


def mounts_of(emulator: Emulator | None) -> tuple[Mount, ...]:
    """Say what has to be mounted for it."""
    return () if emulator is None else (Mount(emulator.program, _PLACE),)


def look(
    engine: Engine, image: RecipeImage, around: Surroundings, environment: tuple[tuple[str, str], ...]
) -> Processor | None:
    """Ask the loader of the image, run as a recipe is, what processor it sees and what it makes of it.

    Parameters
    ----------
    engine, image
        What runs it, prepared.
    around : Surroundings
        With the emulator, if there is one.
    environment : tuple of (str, str)
        Of the recipe: it may hold the tunables of the C library.

    Returns
    -------
    Processor or None
        None where that says nothing: another platform, another C library.

    Notes
    -----
    Unknown names in `GLIBC_TUNABLES` are passed over in silence; this shows whether they were understood.
    """
    loader = _LOADERS.get(image.platform)
    if loader is None:
        return None
    asked = emulated((loader, "--list-diagnostics"), around.emulator)
    out = Path(tempfile.mkdtemp(prefix="clio-processor-"))
    try:
        request = EngineRequest(
            run=f"processor-{uuid4().hex[:8]}",
            store="processor",
            argv=("/bin/sh", "-c", f'exec "$@" >{_ANSWER}', "sh", *asked),
            environment=environment,
            inputs=mounts_of(around.emulator),
            out=out,
            timeout_s=60.0,
            surroundings=replace(around, user=None),
        )
        result = engine.run(image, request, threading.Event())
        answer = out / _ANSWER
        if result.ending is not Ending.EXITED or result.exit_status != 0 or not answer.is_file():
            return None
        return read_processor(answer.read_text(encoding="utf-8", errors="replace"))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def read_processor(diagnostics: str) -> Processor | None:
    """Read what `ld.so --list-diagnostics` prints; None if it says nothing of the processor."""
    words = {
        (kind, leaf, register): int(value, 16) for leaf, kind, register, value in _LINE.findall(diagnostics)
    }
    if not words:
        return None

    def named(kind: str) -> tuple[str, ...]:
        return tuple(
            name
            for name, (leaf, register, bit) in _BITS.items()
            if words.get((kind, leaf, register), 0) >> bit & 1
        )

    return Processor(has=named("cpuid"), used=named("active"))
