"""What Apptainer does otherwise than the other engines: its SIF, its files in /etc, its FUSE server."""

import os
import shlex
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.engine import Ending, Engine, EngineRequest, EngineResult, Mount, RecipeImage
from pipeline.engines.apptainer import ApptainerEngine
from pipeline.errors import EngineUnavailable, ImageError
from pipeline.image import ImageLibrary

pytestmark = pytest.mark.apptainer


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[[str], EngineRequest]:
    """Make the request to run a script in a new output directory."""

    def make(script: str) -> EngineRequest:
        out = tmp_path / "out"
        out.mkdir()
        return EngineRequest(
            run=f"run-{tmp_path.name}",
            store="test",
            argv=("sh", "-c", script),
            environment=(("PATH", "/usr/bin:/bin"),),
            inputs=(),
            out=out,
            timeout_s=60.0,
        )

    return make


def put_in_front(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an `apptainer` that runs a script first, with REAL as the true one."""
    real = shutil.which("apptainer")
    program = directory / "front" / "apptainer"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nREAL={shlex.quote(str(real))}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_etc_is_that_of_the_image_promise_5(
    open_apptainer: Engine, image: RecipeImage, request_of: Callable[[str], EngineRequest]
) -> None:
    request = request_of("cat /etc/passwd /etc/group /etc/resolv.conf /etc/hosts >etc; ls -A /sys >sys")

    open_apptainer.run(image, request, threading.Event())

    names = ("passwd", "group", "resolv.conf", "hosts")
    assert (request.out / "etc").read_text() == "".join((image.rootfs / "etc" / n).read_text() for n in names)
    assert (request.out / "sys").read_text() == ""


def test_variables_that_steer_apptainer_reach_no_run_promise_5(
    open_apptainer: Engine,
    image: RecipeImage,
    request_of: Callable[[str], EngineRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setenv("APPTAINER_BIND", f"{tmp_path}:/in")
    monkeypatch.setenv("SINGULARITY_BIND", f"{tmp_path}:/in")
    monkeypatch.setenv("APPTAINERENV_MUSE_RECIPE_DEBUG", "1")
    request = request_of("cat /in/secret >seen; dd if=/proc/self/environ of=environ")

    open_apptainer.run(image, request, threading.Event())

    assert (request.out / "seen").read_text() == ""
    assert "MUSE" not in (request.out / "environ").read_text()


def test_killed_apptainer_leaves_no_process_behind_promise_1(
    open_apptainer: Engine,
    image: RecipeImage,
    request_of: Callable[[str], EngineRequest],
    eventually: Callable[[Callable[[], bool], float], bool],
) -> None:
    """Killed, it cannot end the squashfuse that shows the SIF; the control group of the run does."""
    request = request_of("touch started; exec sleep 60")
    results: list[EngineResult] = []
    before = squashfuses()
    thread = threading.Thread(
        target=lambda: results.append(open_apptainer.run(image, request, threading.Event()))
    )
    thread.start()
    assert eventually((request.out / "started").exists, 20)

    os.kill(child_of(thread), signal.SIGKILL)
    thread.join(20)

    assert [(result.ending, result.signal) for result in results] == [(Ending.KILLED, 9)]
    if dict(results[0].isolation)["processes"].startswith("at most"):
        assert eventually(lambda: squashfuses() <= before, 5)


def test_image_that_cannot_be_mounted_is_run_unpacked_and_that_is_said(
    open_apptainer: Engine,
    image: RecipeImage,
    request_of: Callable[[str], EngineRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = 'case " $* " in *"exec "*image.sif*) echo "FATAL:   squashfuse exited" >&2; exit 255 ;; esac'
    put_in_front(tmp_path, f'{refusal}\nexec "$REAL" "$@"', monkeypatch)
    request = request_of("esorex --version >version")

    result = ApptainerEngine().run(image, request, threading.Event())

    assert result.exit_status == 0
    assert "version 3." in (request.out / "version").read_text()
    said = dict(result.isolation)
    assert said["root file system"] == "read-only, unpacked, for the SIF cannot be mounted here"
    assert "files of the host" not in said


def test_installation_that_takes_no_configuration_is_used_and_what_it_lacks_is_said(
    open_apptainer: Engine,
    image: RecipeImage,
    request_of: Callable[[str], EngineRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = 'case " $* " in *" --config "*) echo "FATAL:   --config requires root" >&2; exit 255 ;; esac'
    put_in_front(tmp_path, f'{refusal}\nexec "$REAL" "$@"', monkeypatch)
    request = request_of("esorex --version >version")

    result = ApptainerEngine().run(image, request, threading.Event())

    assert result.exit_status == 0
    assert dict(result.isolation)["root file system"] == "read-only, SIF"
    assert dict(result.isolation)["files of the host"].startswith("not applied: /etc/resolv.conf")


def test_names_that_are_no_text_are_refused_in_words(
    open_apptainer: Engine,
    image: RecipeImage,
    request_of: Callable[[str], EngineRequest],
    tmp_path: Path,
) -> None:
    frame = tmp_path / "a\udcff.fits"
    frame.write_text("photons")
    request = replace(request_of("true"), inputs=(Mount(frame, "/in/x/a.fits"),))

    with pytest.raises(EngineUnavailable, match=r"cannot mount '.*/a\\udcff\.fits': it takes names in UTF-8"):
        open_apptainer.run(image, request, threading.Event())


def test_missing_apptainer_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineUnavailable, match="there is no `apptainer` in PATH") as caught:
        ApptainerEngine().version()

    assert "apt-get install apptainer" in caught.value.hint


def test_missing_namespaces_are_told_with_what_to_do(
    open_apptainer: Engine, image: RecipeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = "echo 'INFO:    fuse2fs not found'; echo 'ERROR  : Failed to create user namespace'; exit 255"
    put_in_front(tmp_path, refusal, monkeypatch)

    with pytest.raises(EngineUnavailable) as caught:
        ApptainerEngine().prepare(image)

    assert caught.value.message == "apptainer cannot isolate a program here: Failed to create user namespace"
    assert "sysctl kernel.unprivileged_userns_clone=1" in caught.value.hint


def test_sif_that_cannot_be_made_is_told_and_nothing_of_it_stays_promise_1(
    open_apptainer: Engine, image: RecipeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = ImageLibrary(tmp_path / "cache").add_archive(image.archive)
    files = set(copy.archive.parent.iterdir())
    put_in_front(tmp_path, "echo 'FATAL:   While creating SIF: no space left' >&2; exit 255", monkeypatch)

    with pytest.raises(ImageError, match=r"makes no SIF of .*: While creating SIF: no space left$"):
        ApptainerEngine().prepare(copy)

    assert set(copy.archive.parent.iterdir()) == files


def squashfuses() -> set[str]:
    """Numbers of the FUSE servers that run on this machine."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
            if path.read_text().startswith("squashfuse"):
                found.add(path.parent.name)
    return found


def child_of(thread: threading.Thread) -> int:
    """Number of the process that a thread started."""
    children = Path(f"/proc/self/task/{thread.native_id}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])
