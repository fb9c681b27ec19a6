"""Where a control group may be made, from what the kernel says of mounts and membership."""

from pathlib import Path

import pytest

from pipeline.engines.cgroup import Group, Place, find_place, sweep_groups
from pipeline.engines.owner import this_process

V1 = """31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize(
    ("controller", "membership", "directory"),
    [
        ("memory", "4:memory:/user/me\n0::/", "/sys/fs/cgroup/memory/user/me"),
        ("memory", "4:memory:/\n0::/", "/sys/fs/cgroup/memory"),
        ("pids", "8:pids:/a\n4:memory:/b\n", "/sys/fs/cgroup/pids/a"),
    ],
)
def test_version_1_is_used_below_our_own_group(controller: str, membership: str, directory: str) -> None:
    assert find_place(controller, V1, membership) == Place(Path(directory), 1)


def test_version_1_inside_a_container_is_relative_to_what_is_mounted() -> None:
    mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"

    assert find_place("memory", mounts, "4:memory:/docker/abc/x\n") == Place(
        Path("/sys/fs/cgroup/memory/x"), 1
    )
    assert find_place("memory", mounts, "4:memory:/other\n") == Place(Path("/sys/fs/cgroup/memory"), 1)


def unified(root: Path, *handing_on: str) -> str:
    for name in ("", "user", "user/me"):
        (root / name).mkdir(exist_ok=True)
        (root / name / "cgroup.procs").touch()
        handed = "cpu memory pids\n" if name in handing_on else ""
        (root / name / "cgroup.subtree_control").write_text(handed)
    return f"30 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("handing_on", "directory"),
    [(("user/me", "user"), "user/me"), (("user",), "user"), (("",), None), ((), None)],
)
def test_version_2_needs_a_group_that_hands_the_controller_on(
    tmp_path: Path, handing_on: tuple[str, ...], directory: str | None
) -> None:
    mounts = unified(tmp_path, *handing_on)

    place = find_place("memory", mounts, "0::/user/me\n")

    assert place == (None if directory is None else Place(tmp_path / directory, 2))


def test_version_2_never_climbs_above_its_mount(tmp_path: Path) -> None:
    (tmp_path / "cgroup").mkdir()
    unified(tmp_path, "")
    mounts = unified(tmp_path / "cgroup")

    assert find_place("memory", mounts, "0::/\n") is None


@pytest.mark.parametrize("mounts", ["", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"])
def test_no_control_groups_no_place(mounts: str) -> None:
    assert find_place("memory", mounts, "0::/\n") is None


@pytest.mark.parametrize(
    ("version", "file", "text"),
    [
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        (2, "memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 0\n"),
    ],
)
def test_oom_kills_are_read(tmp_path: Path, version: int, file: str, text: str) -> None:
    assert Group(tmp_path, version).oom_kills() == 0

    (tmp_path / file).write_text(text)

    assert Group(tmp_path, version).oom_kills() == 3


def test_groups_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    """A Clio that is killed cannot remove its group; the next run does."""
    mine = this_process().replace("/", ".")
    boot, _, start = mine.split(".")
    for owner in (mine, f"{boot}.4194305.{start}"):
        (tmp_path / f"clio-run~{owner}").mkdir()
    (tmp_path / "clio-busy~nobody").mkdir()
    (tmp_path / "clio-busy~nobody" / "child").mkdir()
    (tmp_path / "user.slice").mkdir()

    sweep_groups(tmp_path)

    left = {f"clio-run~{mine}", "clio-busy~nobody", "user.slice"}
    assert {path.name for path in tmp_path.iterdir()} == left
