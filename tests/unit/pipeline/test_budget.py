"""What recipes may take of the machine, as a person says it or as it is."""

from pathlib import Path

import pytest

from pipeline import host
from pipeline.budget import budget, bytes_of
from pipeline.errors import UsageError

SIZES = {
    "16GB": 16 * 10**9,
    "16 gb": 16 * 10**9,
    "16G": 16 * 10**9,
    "1.5GiB": 3 * 2**29,
    "800M": 8 * 10**8,
    "0.5TB": 5 * 10**11,
    " 2000000kB ": 2 * 10**9,
    "1000000000B": 10**9,
}


@pytest.mark.parametrize(("text", "size"), SIZES.items(), ids=SIZES)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["16", "", "GB", "-1GB", "1,5GB", "16 GBit", "nan GB", "1e9B", "16GBGB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        bytes_of(text)

    assert caught.value.message == f"{text!r} is no amount of memory"
    assert caught.value.hint == "give a number and its unit, such as 16GB"


def test_less_than_any_recipe_takes_is_refused() -> None:
    with pytest.raises(UsageError, match="10MB of memory is too little: recipes take 200 MB and more"):
        bytes_of("10MB")


def test_what_nobody_said_is_what_the_machine_has() -> None:
    found = budget(None, None)

    assert found.jobs == host.cores()
    assert 0 < found.memory_bytes < host.memory_bytes()


def test_more_than_the_machine_has_is_not_given() -> None:
    """Settings go from a large machine to a small one; what is there is there."""
    assert budget(3, 10**15).memory_bytes == host.memory_bytes()
    assert (budget(3, 10**9).jobs, budget(3, 10**9).memory_bytes) == (3, 10**9)


def test_the_control_groups_of_a_process_are_found_from_its_own_upwards(tmp_path: Path) -> None:
    (tmp_path / "memory" / "batch" / "job7").mkdir(parents=True)
    membership = "4:memory:/batch/job7\n3:cpu,cpuacct:/\n0::/user.slice\n"

    assert host.control_groups("memory", membership, tmp_path) == (
        *(tmp_path / "memory" / "batch" / "job7", tmp_path / "memory" / "batch", tmp_path / "memory"),
    )
    assert host.control_groups("cpu", membership, tmp_path) == ()
    assert host.control_groups("", "0::/\n", tmp_path) == (tmp_path,)
    # In a container the path of the host is not there, and its last group is what is mounted.
    assert host.control_groups("", "0::/docker/c0ffee\n", tmp_path) == (tmp_path,)
