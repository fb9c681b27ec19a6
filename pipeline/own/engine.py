"""What runs a recipe of our own: a Python process with nothing inherited, in bubblewrap where there is one.

In bubblewrap it sees the system's libraries, this Python with what is installed in it, our two packages and
the inputs, all read-only; no home directory, no network. Without bubblewrap it is a plain process with the
same environment, and the record says what was not applied.
"""

import os
import platform
import sys
import threading
from dataclasses import replace
from pathlib import Path

from pipeline.engine import Engine, EngineRequest, EngineResult, RecipeImage
from pipeline.engines.bubblewrap import BubblewrapEngine
from pipeline.engines.keeper import check_request, clear_traces, conclude, isolation, keeper_argv
from pipeline.engines.process import attend, groups_for
from pipeline.errors import EngineUnavailable

_OURS = "/clio"
"""Where our packages lie inside."""
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin")
_LINKER = "/etc/ld.so.cache"
_LAUNCH = "import sys; sys.path.insert(0, sys.argv.pop(1)); from pipeline.own.program import main; main()"
_IN_DIRECTORY = 'cd "$1" && shift && exec "$@"'


def own_engine() -> Engine:
    """Choose what shuts our process in: bubblewrap if it works here, else nothing."""
    with _choosing:
        if not _chosen:
            _chosen.append(_choose())
        return _chosen[0]


_choosing = threading.Lock()
_chosen: list[Engine] = []


def _choose() -> Engine:
    shut_in = PythonInBubblewrap()
    try:
        shut_in.prepare(RecipeImage("python", "", Path("/"), Path("/")))
    except EngineUnavailable as error:
        return BarePython(error.message)
    return shut_in


class PythonInBubblewrap(BubblewrapEngine):
    """Runs recipes of our own in bubblewrap, over the files of this machine's Python."""

    name = "python in bubblewrap"

    def version(self) -> str:
        """Version of Python and of bwrap."""
        return f"{platform.python_version()}, {super().version()}"

    def prepare(self, image: RecipeImage) -> None:
        """Check that namespaces can be made here; raises `EngineUnavailable`."""
        super().prepare(replace(image, config_digest="python"))

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request to its end; see `pipeline.engine.Engine`."""
        return super().run(image, replace(request, argv=_launched(request.argv, _OURS)), cancel)

    def _is_changed(self, image: RecipeImage) -> bool:
        return False  # the versions are what is known of it

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


class BarePython:
    """Runs recipes of our own as a plain process: the environment is all that is kept from it.

    Parameters
    ----------
    why : str
        Why it is not shut in.
    """

    name = "python"

    def __init__(self, why: str) -> None:
        self._why = why

    def version(self) -> str:
        """Version of Python."""
        return platform.python_version()

    def prepare(self, image: RecipeImage) -> None:
        """Do nothing: there is nothing to prepare."""

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a request to its end; see `pipeline.engine.Engine`."""
        check_request(request)
        clear_traces(request.out)
        root = request.out.parent / "root"
        for mount in request.inputs:
            place = root / mount.target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(mount.source)
        argv = (*_launched(request.argv, str(_packages())), f"--root={root}")
        keeper = keeper_argv(replace(request, argv=argv))
        command = ["/bin/sh", "-c", _IN_DIRECTORY, "directory", str(request.out), *keeper]
        with groups_for(request) as groups:
            watched, _ = attend(command, request, cancel, groups)
        return conclude(request.out, watched, self._isolation(request))

    def _isolation(self, request: EngineRequest) -> tuple[tuple[str, str], ...]:
        kept = {"environment": "nothing inherited"}
        lost = dict.fromkeys(dict(isolation(request, {})).keys() - kept.keys(), f"not applied: {self._why}")
        return tuple((kept | lost).items())


def _launched(argv: tuple[str, ...], packages: str) -> tuple[str, ...]:
    """Put Python in front of a command; `-s -P` keep the user's and the working directory out of its path."""
    return (sys.executable, "-s", "-P", "-B", "-c", _LAUNCH, packages, *argv[1:])


def _packages() -> Path:
    """Say where our packages lie."""
    return Path(__file__).resolve().parents[2]


def _places_of_python() -> tuple[str, ...]:
    """List the directories that this Python and its libraries lie in, but for those of the system."""
    paths = [sys.base_prefix, sys.prefix, *(p for p in sys.path if p.endswith("-packages"))]
    real = [str(Path(path).resolve()) for path in paths]
    found = dict.fromkeys(path for path in (*paths, *real) if Path(path).is_dir())
    return tuple(path for path in found if not path.startswith(("/usr/lib", "/usr/bin")) and path != "/usr")
