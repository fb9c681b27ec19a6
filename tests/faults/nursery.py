"""A process that has imported everything and forks a child for each trial, which then takes a quarter second.

`Nursery` is the end the tests hold. The other end runs as a program of its own, so that pytest, which has
threads, never forks. A child opens a workspace and runs stages of it with the fake engine, as `clio run`
does, and says how that ended.
"""

import ctypes
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fakes import FakeEngine

from pipeline.config import load
from pipeline.engine import EngineRequest, EngineResult, RecipeImage
from pipeline.errors import Exit, Interrupted, PipelineError, refusal
from pipeline.image import ImageLibrary
from pipeline.model import Stage
from pipeline.reduce import Reduction
from provenance.errors import ProvenanceError
from tests.faults.calls import Call, follow, listen_to_me

_TESTS = Path(__file__).parents[1]
_PR_SET_DUMPABLE = 4


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is to do."""

    workspace: str
    library: str
    log: str
    """Where the engine notes each call, outside the workspace."""
    stages: tuple[str, ...]
    user: int | None = None
    """Number of the user it becomes."""
    delay_s: float = 0.0
    """How long a recipe takes at least."""
    restless: bool = False
    """Whether a recipe's pixels differ from call to call."""
    is_told: bool = False
    """Whether its system calls are told."""
    is_first: bool = False
    """Whether the nursery does it itself, so that all that is loaded late is loaded before it forks."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    status: int
    """Its exit status, minus the number of the signal that killed it."""
    error: str = ""
    """Kind of the error it ended with, in the end or from the last stage that ran; empty for none."""
    message: str = ""
    did: tuple[tuple[str, str, str], ...] = ()
    """Each step, what was done with it and the first reason."""

    def steps(self, did: str) -> list[str]:
        """List the steps with which that was done."""
        return sorted(step for step, what, _ in self.did if what == did)


class Child:
    """A trial under way."""

    def __init__(self, pid: int, line: socket.socket, reap: Callable[[int], int], log: Path) -> None:
        self.pid = pid
        self._line = line
        self._reap = reap
        self._log = log

    def follow(self, decide: Callable[[Call], int | None]) -> None:
        """Decide about each of its calls until it has ended; see `calls.follow`."""
        _, (listener,), _, _ = socket.recv_fds(self._line, 1, 1)
        follow(listener, decide, until=self._line)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def has_ended(self, within_s: float) -> bool:
        """Tell whether it ends within so many seconds."""
        return bool(select.select([self._line], [], [], within_s)[0])

    def wait(self, within_s: float = 60.0) -> Ended:
        """Wait for its end; the log of the engine is told when it died.

        Raises
        ------
        TimeoutError
            It did not end; it was killed.
        """
        said = b""
        if not self.has_ended(within_s):
            self.kill()
            self._reap(self.pid)
            self._line.close()
            raise TimeoutError(f"a run did not end within {within_s} s")
        while data := self._line.recv(1 << 16):
            said += data
        self._line.close()
        status = self._reap(self.pid)
        note(self._log, what="death", pid=self.pid)
        told: dict[str, Any] = json.loads(said) if said else {}
        did = tuple((step, what, why) for step, what, why in told.get("did", ()))
        return Ended(status, told.get("error", ""), told.get("message", ""), did)


class Nursery:
    """The tests' end; close it.

    Parameters
    ----------
    **environment : str
        Variables the program is given beside those of this process.
    """

    def __init__(self, **environment: str) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._program = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery", str(theirs.fileno())],
                cwd=_TESTS.parent,
                env={**os.environ, "PYTHONPATH": str(_TESTS), **environment},
                pass_fds=(theirs.fileno(),),
            )

    def close(self) -> None:
        """Let the program end."""
        self._control.close()
        self._program.wait(10)

    def start(self, order: Order) -> Child:
        """Begin a trial."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            socket.send_fds(self._control, [json.dumps(asdict(order)).encode()], [theirs.fileno()])
            pid = int(self._control.recv(100))
        return Child(pid, ours, self._reaped, Path(order.log))

    def _reaped(self, pid: int) -> int:
        with self._lock:
            self._control.send(str(pid).encode())
            return int(self._control.recv(100))


def note(log: Path, **what: str | int) -> None:
    """Write a line with the time of the system's monotonic clock; lines of several processes do not mix."""
    line = json.dumps({**what, "at": time.monotonic_ns()}) + "\n"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


class NotedEngine(FakeEngine):
    """The fake engine; it notes the beginning and the end of each call."""

    log: Path

    def run(self, image: RecipeImage, request: EngineRequest, cancel: threading.Event) -> EngineResult:
        """Run a recipe."""
        inside = [mount.target for mount in request.inputs]
        action = hashlib.sha256(json.dumps([request.argv, inside]).encode()).hexdigest()[:16]
        note(self.log, what="begin", pid=os.getpid(), action=action, run=request.run)
        try:
            return super().run(image, request, cancel)
        finally:
            note(self.log, what="end", pid=os.getpid(), action=action, run=request.run)


def main(descriptor: int) -> None:
    """Fork when told to, and reap when told to."""
    control = socket.socket(fileno=descriptor)
    if "FAKETIME" in os.environ:
        # Python sleeps until a moment of the monotonic clock, and libfaketime shifts that one by mistake.
        time.sleep = _sleep
    while True:
        data, lines, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not data:
            return
        if data.isdigit():
            _, status = os.waitpid(int(data), 0)
            control.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        told = json.loads(data)
        order = Order(**{**told, "stages": tuple(told["stages"])})
        if order.is_first:
            _reduce(order)
        pid = os.fork()
        if pid == 0:
            control.close()
            _perform(order, socket.socket(fileno=lines[0]))
        os.close(lines[0])
        control.send(str(pid).encode())


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


def _perform(order: Order, line: socket.socket) -> NoReturn:
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    if order.user is not None:
        _become(order.user)
    if order.is_told:
        listener = listen_to_me()
        socket.send_fds(line, [b"."], [listener])
        os.close(listener)
    said: dict[str, Any] = {"error": "Interrupted", "message": "before anything began"}
    status = int(Exit.INTERRUPTED)
    try:
        said, status = _reduce(order)
    except Interrupted:
        pass
    finally:
        line.sendall(json.dumps(said).encode())
        os._exit(status)


def _reduce(order: Order) -> tuple[dict[str, Any], int]:
    engine = NotedEngine(delay_s=order.delay_s)
    engine.log = Path(order.log)
    if order.restless:
        engine.restless = {f"muse_{stage}" for stage in order.stages}
    did: list[tuple[str, str, str]] = []
    try:
        settings = load(Path(order.workspace))
        with Reduction(settings, engine=engine, library=ImageLibrary(Path(order.library))) as reduction:
            summary = reduction.run(
                tuple(Stage(name) for name in order.stages),
                lambda event: did.append((event.step.id, event.did.value, event.why[0] if event.why else "")),
            )
            status = int(Exit.RECIPE if summary.failed else Exit.FRAMES if summary.blocked else Exit.OK)
        return {"did": did}, status
    except PipelineError as error:
        return {"did": did, "error": type(error).__name__, "message": error.message}, int(error.exit_code)
    except OSError as error:
        # As the top of the command line does.
        said = refusal(error)
        text = "".join(traceback.format_exception(error)) if said is None else said.message
        status = Exit.DEFECT if said is None else said.exit_code
        return {"did": did, "error": type(said or error).__name__, "message": text}, int(status)
    except ProvenanceError as error:
        return {"did": did, "error": type(error).__name__, "message": error.message}, int(Exit.STORE)
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        return {"did": did, "error": type(error).__name__, "message": text}, int(Exit.DEFECT)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Do as the command line does."""
    raise Interrupted("interrupted")


def _become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    # A process that changed its user may not look into its own /proc/self/fd unless it says so.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
