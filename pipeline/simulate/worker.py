"""A process that writes raw frames: told what by `pool`, one index a line."""

import json
import sys
from pathlib import Path
from typing import Any

from pipeline.simulate.frames import frame_name, write_frame
from pipeline.simulate.night import night
from pipeline.simulate.options import NightOptions


def main() -> None:
    """Read indices from standard input, write those exposures, and answer with each index."""
    setting = json.loads(sys.argv[1])
    raw = Path(setting["raw"])
    listed: dict[str, Any] = setting["options"]
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in listed.items()}
    options = NightOptions(**values)
    exposures = night(options)
    for line in sys.stdin:
        exposure = exposures[int(line)]
        write_frame(raw / frame_name(exposure, options), exposure, options)
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
