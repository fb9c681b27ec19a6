"""`clio run --strict`: what would be left out ends the run before it begins (STYLE 3)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import Workspace
from typer.testing import Result

from pipeline.errors import Exit, FramesError


@pytest.mark.parametrize("more", [(), ("--json",), ("--last", "bias")], ids=["talk", "json", "a stretch"])
def test_a_strict_run_ends_with_3_before_anything_runs(
    clio: Callable[..., Result], tmp_path: Path, more: tuple[str, ...]
) -> None:
    night = Workspace.make(tmp_path, ifus=(1,))
    (night.root / "raw" / "broken.fits").write_bytes(b"")

    result = clio("run", "--strict", *more)

    assert isinstance(result.exception, FramesError)
    assert result.exception.exit_code is Exit.FRAMES
    assert result.exception.message.endswith("broken.fits: is empty")
    assert result.stdout == ""
    assert not (night.root / "products").exists()
