"""What to do about an engine that is not here: its tests are skipped, or fail where it is required."""

import os
from typing import NoReturn

import pytest

_INSTALL = {
    "docker": "apt-get install docker.io, start dockerd, and set DOCKER_HOST if it listens elsewhere",
    "podman": "apt-get install podman runc",
    "bubblewrap": "apt-get install bubblewrap",
    "apptainer": "install Apptainer, or put what tests/apptainer/prepare prints in front of PATH",
    "qemu": "apt-get install qemu-user-static",
    "faketime": "apt-get install libfaketime, or build the image: clio image build",
    "seccomp": "run on Linux 5.5 or newer, in a container that allows seccomp(2)",
}


def absent(engine: str, why: str) -> NoReturn:
    """Fail or skip a test whose engine is not here."""
    reason = f"{engine} is not usable here: {why}; {_INSTALL[engine]}"
    if engine in os.environ.get("CLIO_REQUIRE_ENGINES", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)
