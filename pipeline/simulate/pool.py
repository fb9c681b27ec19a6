"""Write raw frames in several processes, each a fresh interpreter that is told which exposures to write.

Plain child processes instead of `multiprocessing`: that starts the caller's main module again, which a script
without its guard does not survive. A worker reads indices from its standard input and says each when it is
done.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.simulate.options import NightOptions

_ROOT = Path(__file__).parents[2]
"""Where the package `pipeline` lies, for the children's search path."""


def write_in_processes(raw: Path, options: NightOptions, count: int, jobs: int) -> Generator[int, None, None]:
    """Write exposures 0 to `count` - 1 of a night with some processes; gives each index when it is done.

    Raises
    ------
    PipelineError
        A worker failed; its last words are quoted. The others are stopped.
    """
    indices: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(count):
        indices.put(index)
    done: queue.SimpleQueue[int | str] = queue.SimpleQueue()
    workers = [_start(raw, options) for _ in range(jobs)]
    threads = [
        threading.Thread(target=_feed, args=(worker, indices, done), daemon=True) for worker in workers
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in range(count):
            answer = done.get()
            if isinstance(answer, str):
                raise PipelineError(f"a process that writes simulated frames ended early: {answer}")
            yield answer
    finally:
        for worker in workers:
            _stop(worker)
        for thread in threads:
            thread.join()


def _start(raw: Path, options: NightOptions) -> "subprocess.Popen[str]":
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
    setting = json.dumps({"raw": str(raw.resolve()), "options": asdict(options)})
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.simulate.worker", setting],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def _feed(
    worker: "subprocess.Popen[str]",
    indices: "queue.SimpleQueue[int]",
    done: "queue.SimpleQueue[int | str]",
) -> None:
    """Hand a worker one index after the other until none are left."""
    assert worker.stdin is not None and worker.stdout is not None and worker.stderr is not None
    while True:
        try:
            index = indices.get_nowait()
        except queue.Empty:
            return
        try:
            worker.stdin.write(f"{index}\n")
            worker.stdin.flush()
            answer = worker.stdout.readline()
        except (OSError, ValueError):
            answer = ""
        if answer.strip() != str(index):
            done.put(worker.stderr.read().strip().rpartition("\n")[2] or "no reason given")
            return
        done.put(index)


def _stop(worker: "subprocess.Popen[str]") -> None:
    """End a worker at once; a frame it was writing stays aside under its temporary name."""
    worker.terminate()
    worker.wait()
    for stream in (worker.stdin, worker.stdout, worker.stderr):
        if stream is not None:
            try:
                stream.close()
            except OSError:  # what was still to be written to a dead worker
                continue
