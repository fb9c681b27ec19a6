"""What runs a recipe of our own: a Python process with nothing inherited, shut in by bubblewrap.

It sees the system's libraries, this Python with what is installed in it, our two packages and the inputs, all
read-only; no home directory, no network. Without bubblewrap it does not run: what ends a run ends all
processes it can see, and those have to be the run's own.
"""

import os
import platform
import sys
import threading
from dataclasses import replace
from pathlib import Path

from pipeline.engine import Engine, EngineRequest, EngineResult, RecipeImage
from pipeline.engines.bubblewrap import BubblewrapEngine
from pipeline.errors import ImageError
from pipeline.own.environment import is_here_now
from pipeline.own.table import PROGRAM

_OURS = "/clio"
"""Where our packages lie inside."""
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin")
_LINKER = "/etc/ld.so.cache"
_LAUNCH = "import sys; sys.path.insert(0, sys.argv.pop(1)); from pipeline.own.program import main; main()"


def own_engine() -> Engine:
    """Give what shuts our process in.

    Raises
    ------
    EngineUnavailable
        There is no bubblewrap here, or no namespaces can be made.
    """
    with _choosing:
        if not _chosen:
            engine = PythonInBubblewrap()
            engine.prepare(RecipeImage("python", "", Path("/"), Path("/")))
            _chosen.append(engine)
        return _chosen[0]


_PYTHON = "python"
"""Stands for whatever the libraries are, where only namespaces are tried."""
_choosing = threading.Lock()
_chosen: list[Engine] = []


class PythonInBubblewrap(BubblewrapEngine):
    """Runs recipes of our own in bubblewrap, over the files of this machine's Python."""

    name = "python in bubblewrap"

    def version(self) -> str:
        """Version of Python and of bwrap."""
        return f"{platform.python_version()}, {super().version()}"

    def prepare(self, image: RecipeImage) -> None:
        """Check that namespaces can be made here; raises `EngineUnavailable`."""
        super().prepare(replace(image, config_digest=_PYTHON))

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request to its end; see `pipeline.engine.Engine`."""
        return super().run(image, replace(request, argv=_launched(request.argv, _OURS)), cancel)

    def _require_unchanged(self, image: RecipeImage) -> None:
        if image.config_digest != _PYTHON and not is_here_now(image.config_digest):
            raise ImageError(
                "the libraries that it computes with were exchanged while it ran",
                hint="run again, once they are as they are to be",
            )

    def _root(self, image: RecipeImage) -> list[str]:
        options: list[str] = []
        for place in _SYSTEM:
            if Path(place).is_symlink():
                options += ["--symlink", os.readlink(place), place]  # noqa: PTH115 - as it is written
            elif Path(place).is_dir():
                options += ["--ro-bind", place, place]
        for place in (_LINKER, *_places_of_python()):
            options += ["--ro-bind-try", place, place]
        for name in ("pipeline", "provenance"):
            options += ["--ro-bind", str(_packages() / name), f"{_OURS}/{name}"]
        # The places to mount on are made first; after that nothing can be added.
        for place in ("/in", "/out", "/tmp", "/proc", "/dev"):
            options += ["--dir", place]
        return [*options, "--remount-ro", "/"]

    def _in_tmp(self) -> tuple[str, ...]:
        return tuple(place for place in _places_of_python() if Path(place).is_relative_to("/tmp"))


def _launched(argv: tuple[str, ...], packages: str) -> tuple[str, ...]:
    """Put Python in place of our program, behind an emulator if there is one; leave other commands.

    Notes
    -----
    `-s -P` keep the user's and the working directory out of its path.
    """
    at = next((n for n, word in enumerate(argv) if word.rpartition("/")[2] == PROGRAM), None)
    if at is None:
        return argv
    python = (sys.executable, "-s", "-P", "-B", "-c", _LAUNCH, packages)
    return (*argv[:at], *python, *argv[at + 1 :])


def _packages() -> Path:
    """Say where our packages lie."""
    return Path(__file__).resolve().parents[2]


def _places_of_python() -> tuple[str, ...]:
    """List the directories that this Python and its libraries lie in, but for those of the system."""
    paths = [sys.base_prefix, sys.prefix, *(p for p in sys.path if p.endswith("-packages"))]
    real = [str(Path(path).resolve()) for path in paths]
    found = dict.fromkeys(path for path in (*paths, *real) if Path(path).is_dir())
    return tuple(path for path in found if not path.startswith(("/usr/lib", "/usr/bin")) and path != "/usr")
