"""The keeper ends what is in its container, and nothing of anybody else's.

Run in process namespaces that `unshare` makes, since what is tested would end every process of the user.
"""

import os
import subprocess
import time
from importlib.resources import files
from pathlib import Path

import pytest

SCRIPT = files("pipeline.engines").joinpath("keeper.sh").read_text(encoding="utf-8")
NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")


def in_namespace(folder: Path, before: str) -> list[str]:
    """Kill a bystander's Clio: a keeper loses its pipe; say who lives a moment later."""
    (folder / "keeper.sh").write_text(SCRIPT.replace("a_minute=6000", "a_minute=50"))
    (folder / "play.sh").write_text(
        f"{before}\n"
        "sleep 60 & bystander=$!\n"
        "(sleep 0.3) | sh keeper.sh sleep 61 & keeper=$!\n"
        "sleep 1\n"
        "for name in $bystander; do kill -0 $name && echo bystander; done\n"
        "grep -l 'sleep.61' /proc/[0-9]*/cmdline >/dev/null 2>&1 && echo program\n"
        "echo done\n"
    )
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", "sh play.sh; true"], cwd=folder, capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip
    return done.stdout.split()


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Skip where the kernel lets nobody make a process namespace; root may."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        assert os.geteuid() != 0
        pytest.skip("no process namespaces for this user")


def test_the_keeper_ends_everything_in_a_container_of_its_own(tmp_path: Path) -> None:
    """Promise 1: nothing goes on when Clio is gone."""
    begin = time.monotonic()

    assert in_namespace(tmp_path, "") == []
    assert time.monotonic() - begin < 10


def test_the_keeper_ends_program_and_itself_where_others_live(tmp_path: Path) -> None:
    """Promise 6: were there no container, what else the user does goes on."""
    assert in_namespace(tmp_path, "sleep 1") == ["bystander", "done"]
