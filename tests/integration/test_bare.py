"""Esorex out of the image without a sandbox, as the demo and the benchmarks call it to compare."""

import os
import subprocess

from pipeline.demo import bare_esorex
from pipeline.engine import RecipeImage


def test_bare_esorex_loads_nothing_but_the_image(image: RecipeImage) -> None:
    """A recipe library of the host would be another program: the comparison would be of two things."""
    done = subprocess.run(
        [*bare_esorex(image), "--recipes"],
        env={"PATH": "/nonexistent", "HOME": "/nonexistent", "LD_DEBUG": "libs"},
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = [line.split()[-1] for line in done.stderr.splitlines() if "calling init:" in line]
    assert "muse_scipost" in done.stdout
    assert any("libmuse" in path for path in loaded)
    assert [path for path in loaded if not path.startswith(os.fspath(image.rootfs))] == []
