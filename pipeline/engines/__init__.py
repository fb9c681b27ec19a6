"""Engines: what runs a recipe, a file each, all behind `pipeline.engine.Engine` and under the same tests.

`open_engine` chooses one, `probe` says which of them work here. Inside the container a keeper (`keeper.sh`)
runs in front of the program: it ends everything when Clio is gone, and notes what the program cost.
"""

from pipeline.engines.choose import ENGINES, EngineStatus, open_engine, probe

__all__ = ["ENGINES", "EngineStatus", "open_engine", "probe"]
