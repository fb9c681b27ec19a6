"""What an engine adds to a call of a program: the same `esorex --version` bare and in each engine.

Run with `make bench`. Figures are medians of paired calls in one run; compare ratios, not days.
"""

import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

from pipeline.demo import bare_esorex
from pipeline.engine import Engine, EngineRequest, RecipeImage
from pipeline.engines import ENGINES, open_engine
from pipeline.errors import EngineUnavailable
from pipeline.image import ImageLibrary

CALLS = 20


def timed_bare(image: RecipeImage) -> float:
    begin = time.perf_counter()
    subprocess.run([*bare_esorex(image), "--version"], capture_output=True, check=True)
    return time.perf_counter() - begin


def timed_in(engine: Engine, image: RecipeImage) -> float:
    with tempfile.TemporaryDirectory() as out:
        request = EngineRequest(
            run=f"bench-{uuid4().hex[:12]}",
            store="bench",
            argv=("esorex", "--version"),
            environment=(("HOME", "/tmp"), ("PATH", "/usr/bin:/bin")),
            inputs=(),
            out=Path(out),
        )
        begin = time.perf_counter()
        engine.run(image, request, threading.Event())
        return time.perf_counter() - begin


def main() -> None:
    library = ImageLibrary()
    image = library.find(library.list()[0].config_digest)
    engines: list[Engine] = []
    for name in ENGINES:
        try:
            engine = open_engine(name)
        except EngineUnavailable as error:
            print(f"{name}: {error.message}")
            continue
        engine.prepare(image)
        engines.append(engine)
    bare: list[float] = []
    inside: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(CALLS):
        bare.append(timed_bare(image))
        for engine in engines:
            inside[engine.name].append(timed_in(engine, image))
    print(f"bare esorex --version: {statistics.median(bare) * 1000:.0f} ms (median of {CALLS})")
    for name, walls in inside.items():
        added = statistics.median(wall - base for wall, base in zip(walls, bare, strict=True))
        print(f"{name}: {added * 1000:.0f} ms more a call")


if __name__ == "__main__":
    main()
