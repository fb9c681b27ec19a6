"""Run the script that makes the root file system: the shell around mmdebstrap."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ImageError
from pipeline.image.lock import Package, preferences

ROOTFS_SCRIPT = Path(__file__).with_name("rootfs.sh")
"""The one way a root file system is made; the Dockerfile runs it too."""


def build_rootfs(
    destination: Path,
    *,
    pins: Sequence[Package] = (),
    mirror: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Make the root file system of the recipe image as a tar file.

    Parameters
    ----------
    destination : Path
        The tar file to write.
    pins : sequence of Package
        Versions to hold where the mirror still has them; others are taken in the mirror's version.
    mirror : str, optional
        A mirror or the path of a sources.list; mmdebstrap's own choice without.
    progress : callable, optional
        Called with each line that mmdebstrap prints.

    Raises
    ------
    ImageError
        mmdebstrap is missing or failed; its last words are quoted.
    """
    if shutil.which("mmdebstrap") is None:
        raise ImageError(
            "mmdebstrap is not installed, so the recipe image cannot be built here",
            hint="install it (`apt-get install mmdebstrap`), or build with the Dockerfile and "
            "`clio image import` what it makes",
        )
    with _open_directory() as directory:
        # Without root, mmdebstrap runs the script as another user of a user namespace, who may not look into
        # our home directory; hence the copy.
        script = Path(shutil.copy(ROOTFS_SCRIPT, directory))
        environment = _environment(directory, pins, mirror)
        _run(["sh", str(script), str(directory / "rootfs.tar")], environment, progress)
        shutil.move(directory / "rootfs.tar", destination)


@contextmanager
def _open_directory() -> Iterator[Path]:
    """Make a scratch directory that every user may look into."""
    with tempfile.TemporaryDirectory(prefix="clio-image-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def _environment(directory: Path, pins: Sequence[Package], mirror: str | None) -> dict[str, str]:
    # Proxies and certificates of the host have to reach apt: its environment is inherited, unlike a recipe's.
    environment = {**os.environ, "TMPDIR": str(directory)}
    if pins:
        held = directory / "preferences"
        held.write_text(preferences(pins), encoding="utf-8")
        held.chmod(0o644)
        environment["CLIO_PINS"] = str(held)
    if mirror:
        environment["CLIO_MIRROR"] = mirror
    return environment


def _run(argv: Sequence[str], environment: dict[str, str], progress: Callable[[str], None] | None) -> None:
    lines = []
    with subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None  # asked for above
        for line in process.stdout:
            lines.append(line.rstrip())
            if progress is not None:
                progress(lines[-1])
    if process.returncode != 0:
        reason = _last_words(lines)
        raise ImageError(f"the root file system could not be built: {reason}", hint=_hint(reason))


def _hint(reason: str) -> str:
    if "mode" in reason or "subuid" in reason:
        return "run as root, or give your user a range of numbers: `usermod --add-subuids 100000-165535 NAME`"
    return "is a Debian mirror within reach? `clio -v image build` shows all that mmdebstrap says"


def _last_words(lines: Sequence[str]) -> str:
    """Find the line that says why: the last error of mmdebstrap or apt, else the last line."""
    errors = [line for line in lines if line.startswith("E: ")]
    reasons = [line for line in errors if "failed" not in line] or errors
    return (reasons or [line for line in lines if line] or ["mmdebstrap said nothing"])[-1].removeprefix(
        "E: "
    )
