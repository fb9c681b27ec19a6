"""The engine breaks while a recipe runs, or Clio does: with real recipes, in the engines there are.

Promises 1 and 6. What is waited for is seen, in /proc or with the daemon; nothing is left to sleeping.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from pipeline.image import ImageLibrary
from tests.end_to_end.commands import CLIO, call, new_workspace
from tests.engines import absent

ONE_IFU = "ifus = [1]\n"
Running = subprocess.Popen[str]


@pytest.fixture
def workspace(night: Path, image: str, tmp_path: Path) -> Path:
    """The biases of a night, one IFU to reduce: one step of some seconds."""
    raw = tmp_path / "few" / "raw"
    raw.mkdir(parents=True)
    for path in sorted((night / "raw").iterdir()):
        if fits.getheader(path)["ESO DPR TYPE"] == "BIAS":
            (raw / path.name).symlink_to(path)
    (tmp_path / "few" / "calib").symlink_to(night / "calib")
    return new_workspace(tmp_path / "workspace", tmp_path / "few", image, ONE_IFU)


def begin(folder: Path, engine: str, **environment: str) -> Running:
    """Start a reduction and wait until the recipe is at work."""
    running = subprocess.Popen(
        [CLIO, "run", "bias", "--engine", engine, "--json"],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_for(lambda: recipes(folder) or running.poll() is not None, 60)
    assert running.poll() is None, running.communicate()
    return running


def wait_for(holds: Callable[[], Any], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return bool(holds())


def recipes(folder: Path) -> list[int]:
    """List the processes that run a recipe of a workspace: they write into its scratch, as /out."""
    mine = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                mounted = (process / "mountinfo").read_text(errors="replace")
            except OSError:
                continue
            if words[0].endswith(b"esorex") and f"{folder}/.clio/work/" in mounted:
                mine.append(int(process.name))
    return mine


def groups(runs: list[str]) -> list[Path]:
    """List the control groups of runs."""
    return [path for run in runs for path in Path("/sys/fs/cgroup").rglob(f"clio-{run}*") if path.is_dir()]


def containers(folder: Path, host: str = "") -> list[str]:
    """List the containers of a workspace that the daemon knows, running or not; others may be at work."""
    store = json.loads((folder / ".clio" / "store.json").read_text())["id"]
    environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
    done = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"label=clio.store={store}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def assert_finishes(folder: Path, engine: str, **environment: str) -> None:
    """Promise 1: clean now, made by the next run, clean then, nothing left, and all of it ours."""
    assert call("check", "--deep", "--json", cwd=folder).document["ok"] is True
    assert not list((folder / "products").rglob("*.fits"))
    done = call("run", "bias", "--engine", engine, "--retry-failed", "--json", cwd=folder, **environment)
    assert done.exit_status == 0, done.stderr
    assert len(list((folder / "products").rglob("MASTER_BIAS-01.fits"))) == 1
    assert call("check", "--deep", "--json", cwd=folder).document["ok"] is True
    for name in ("work", "tmp", "claims"):
        assert list((folder / ".clio" / name).iterdir()) == []
    assert recipes(folder) == []
    assert {path.lstat().st_uid for path in folder.rglob("*")} == {os.geteuid()}


def test_a_recipe_that_is_killed_from_outside_is_recorded_as_killed(workspace: Path, engine: str) -> None:
    running = begin(workspace, engine)
    for process in recipes(workspace):
        os.kill(process, signal.SIGKILL)
    stdout, stderr = running.communicate(timeout=60)

    assert running.returncode == 4
    assert "killed" in json.loads(stderr.splitlines()[-1])["error"]["message"]
    assert [json.loads(line)["did"] for line in stdout.splitlines()[:-1]] == ["started", "failed"]
    assert_finishes(workspace, engine)


def test_when_clio_is_killed_its_recipe_ends_and_nothing_of_it_is_left(workspace: Path, engine: str) -> None:
    """Promise 1: no orphan process, container or control group."""
    running = begin(workspace, engine)
    runs = [path.name for path in (workspace / ".clio" / "work").iterdir()]
    running.kill()
    running.communicate()

    assert wait_for(lambda: not recipes(workspace), 20)
    assert_finishes(workspace, engine)
    assert len(runs) == 1
    assert groups(runs) == []
    if engine == "docker":
        assert containers(workspace) == []


@pytest.fixture
def own_daemon(docker: str) -> Iterator["Daemon"]:
    """A Docker daemon of our own, which may be stopped."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        absent("docker", "a daemon of our own needs root and dockerd")
    daemon = Daemon()
    daemon.start()
    yield daemon
    daemon.stop()
    daemon.unmount()


class Daemon:
    """A Docker daemon."""

    def __init__(self) -> None:
        # The path of a socket is short.
        self._folder = Path(tempfile.mkdtemp(prefix="clio-dockerd-"))
        self.host = f"unix://{self._folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        place = self._folder
        argv = ["dockerd", "--host", self.host, "--pidfile", str(place / "docker.pid")]
        argv += ["--data-root", str(place / "data"), "--exec-root", str(place / "exec")]
        argv += ["--storage-driver", "overlay2", "--iptables=false", "--ip6tables=false", "--bridge=none"]
        with (place / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        assert wait_for(self._answers, 60), (place / "dockerd.log").read_text()[-2000:]

    def stop(self) -> None:
        """Stop it, as an administrator does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def unmount(self) -> None:
        """Undo what it mounted and left, and remove what it stored."""
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for place in sorted(mounted, reverse=True):
            if Path(place).is_relative_to(self._folder):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self._folder)

    def remove_image(self, digest: str) -> None:
        """Remove an image, as `docker system prune` does."""
        argv = ["docker", "--host", self.host, "image", "rm", "--force", digest]
        subprocess.run(argv, check=True, capture_output=True)

    def images(self) -> list[str]:
        """List the images it has."""
        argv = ["docker", "--host", self.host, "images", "--all", "--quiet", "--no-trunc"]
        return sorted(set(subprocess.check_output(argv, text=True).split()))

    def _answers(self) -> bool:
        argv = ["docker", "--host", self.host, "version"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_a_daemon_stopped_while_a_container_runs_is_said(workspace: Path, own_daemon: Daemon) -> None:
    """Exit 5, and once the daemon is back the work is finished and its container is gone."""
    running = begin(workspace, "docker", DOCKER_HOST=own_daemon.host)
    own_daemon.stop()
    _, stderr = running.communicate(timeout=120)
    own_daemon.start()

    # The daemon ends its containers before itself, so that Clio may see the end of the recipe first.
    assert running.returncode in (4, 5), stderr
    assert wait_for(lambda: not recipes(workspace), 20)
    assert_finishes(workspace, "docker", DOCKER_HOST=own_daemon.host)
    assert containers(workspace, own_daemon.host) == []


def test_an_image_that_is_gone_from_the_daemon_is_loaded_again(workspace: Path, own_daemon: Daemon) -> None:
    """From the archive, which Clio keeps."""
    running = begin(workspace, "docker", DOCKER_HOST=own_daemon.host)
    running.terminate()
    running.communicate(timeout=60)
    assert running.returncode == 130
    (had,) = own_daemon.images()
    own_daemon.remove_image(had)
    assert own_daemon.images() == []

    assert_finishes(workspace, "docker", DOCKER_HOST=own_daemon.host)
    assert own_daemon.images() == [had]


def test_a_root_file_system_that_is_gone_is_unpacked_again(
    workspace: Path, image: str, tmp_path: Path
) -> None:
    """The engine without a daemon has the image unpacked; the archive is what is kept."""
    library = tmp_path / "cache"
    known = ImageLibrary().find(image)
    copied = library / "images" / image.removeprefix("sha256:")
    shutil.copytree(known.archive.parent, copied, ignore=shutil.ignore_patterns("rootfs*"), symlinks=True)

    done = call("run", "bias", "--engine", "bubblewrap", "--json", cwd=workspace, CLIO_CACHE=str(library))

    assert done.exit_status == 0, done.stderr
