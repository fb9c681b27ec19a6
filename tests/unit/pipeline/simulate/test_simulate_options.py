"""What a person may ask of the simulator, and what it answers to nonsense."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import Exit, UsageError
from pipeline.simulate import NightOptions, simulate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ifus": ()}, "no IFU to simulate"),
        ({"ifus": (0,)}, "there is no IFU 0"),
        ({"ifus": (1, 25)}, "there is no IFU 25"),
        ({"ifus": (3, 1, 3)}, "IFU 3 is named twice"),
        ({"exposures": 0}, "cannot simulate 0 exposures of the object"),
        ({"exposures": 25}, "cannot simulate 25 exposures of the object"),
        ({"seed": -1}, "the seed is -1"),
        ({"compress": "gz"}, "unknown compression `gz`"),
        ({"jobs": 0}, "cannot simulate with 0 processes"),
        ({"modes": ()}, "no mode to simulate"),
        ({"modes": ("WFM-AO",)}, "there is no mode WFM-AO"),
        ({"modes": ("WFM-AO-N", "WFM-AO-N")}, "mode WFM-AO-N is named twice"),
        ({"targets": ()}, "cannot simulate 0 targets"),
        ({"targets": ("A", "B/C")}, "'B/C' is no name of a target"),
        ({"targets": ("A", "B", "A")}, "target A is named twice"),
        ({"datasets": -1}, "cannot simulate -1 datasets"),
        ({"modes": ("WFM-AO-N", "WFM-NOAO-N"), "datasets": 1}, "1 observing blocks for 2 modes"),
        ({"datasets": 9}, "a night has no room for 9 observing blocks of 3 exposures"),
    ],
)
def test_options_refuse_nonsense_with_its_reason(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        NightOptions(**options)

    assert message == caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == Exit.USAGE


def test_order_of_ifus_does_not_matter() -> None:
    assert NightOptions(ifus=(1, 2)).sorted_ifus == NightOptions(ifus=(2, 1)).sorted_ifus


def blocks(**options: Any) -> list[tuple[int, str]]:
    return [(block.target, block.mode.name) for block in NightOptions(**options).blocks]


def test_each_mode_is_used_and_the_modes_take_turns() -> None:
    both = ("WFM-NOAO-N", "WFM-AO-N")

    assert blocks() == [(0, "WFM-NOAO-N")]
    assert blocks(modes=both) == [(0, "WFM-NOAO-N"), (0, "WFM-AO-N")]
    assert blocks(modes=both, targets=("A", "B")) == [(0, "WFM-NOAO-N"), (1, "WFM-AO-N")]
    assert [(target, mode) for target in (0, 1) for mode in both] == blocks(
        modes=both, targets=("A", "B"), datasets=2
    )


def test_simulate_refuses_a_file_for_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "night"
    path.write_text("")

    with pytest.raises(UsageError, match="is not a directory"):
        simulate(path, NightOptions())


def test_simulate_leaves_frames_of_others_alone(tmp_path: Path) -> None:
    """Promise 10: raw data are never written to."""
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "MUSE.2017-06-20T03:00:00.000.fits").write_bytes(b"precious")

    with pytest.raises(UsageError, match="holds frames of another night, such as MUSE"):
        simulate(tmp_path, NightOptions())
    assert [raw] == list(tmp_path.iterdir())


def test_importing_the_package_does_not_import_numpy_or_astropy() -> None:
    code = "import sys, pipeline.simulate; print({'numpy', 'astropy'} & set(sys.modules))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "set()"
