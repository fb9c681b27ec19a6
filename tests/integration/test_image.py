"""The recipe image: the same to the byte every time and everywhere, and what it says of itself."""

import contextlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from pipeline.engine import Engine, RecipeImage
from pipeline.errors import ImageError
from pipeline.image import ImageLibrary, compare_packages, lock_document
from pipeline.image.archive import EPOCH
from pipeline.image.build import ROOTFS_SCRIPT, build_rootfs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system built for this session, from nothing."""
    path = tmp_path_factory.mktemp("rootfs") / "rootfs.tar"
    build_rootfs(path)
    return path


@pytest.fixture
def api(docker_host: str) -> Any:
    """Docker's own client, to ask what Docker says."""
    import docker

    client = docker.APIClient(base_url=docker_host, version="auto", timeout=600)
    yield client
    client.close()


def test_two_clean_builds_are_the_same_to_the_byte(rootfs: Path, image: RecipeImage, tmp_path: Path) -> None:
    build_rootfs(tmp_path / "again.tar")
    first = ImageLibrary(tmp_path / "first").add_rootfs(rootfs)
    second = ImageLibrary(tmp_path / "second").add_rootfs(tmp_path / "again.tar")

    assert (tmp_path / "again.tar").read_bytes() == rootfs.read_bytes()
    assert first.config_digest == second.config_digest == image.config_digest
    assert first.archive.read_bytes() == second.archive.read_bytes()


def test_image_does_not_depend_on_who_builds_it_where_promise_2(
    image: RecipeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o077)
    try:
        built = ImageLibrary(tmp_path / "cache").build()
    finally:
        os.umask(before)

    assert built.config_digest == image.config_digest


def test_image_holds_the_recipes_and_little_else(rootfs: Path) -> None:
    with tarfile.open(rootfs) as tar:
        members = {member.name: member for member in tar}

    assert rootfs.stat().st_size < 100 << 20
    assert "./usr/bin/esorex" in members
    assert any(name.endswith("/libfaketime.so.1") for name in members)
    unwanted = (
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "var/lib",
        "var/cache",
        "var/log",
        "etc/apt",
        "dev",
    )
    assert [name for name in members if name.removeprefix("./").startswith(unwanted)] == []
    assert [name for name, member in members.items() if member.mode & 0o6000 or member.mtime > EPOCH] == []
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}


@pytest.mark.docker
def test_digest_is_the_id_in_docker(open_docker: Engine, image: RecipeImage, api: Any) -> None:
    open_docker.prepare(image)

    found = api.inspect_image(image.config_digest)
    assert found["Id"] == image.config_digest
    assert f"{found['Os']}/{found['Architecture']}" == image.platform


@pytest.mark.podman
def test_digest_is_the_id_in_podman(open_podman: Engine, podman_host: str, image: RecipeImage) -> None:
    import docker

    open_podman.prepare(image)

    client = docker.APIClient(base_url=podman_host, version="auto")
    found = client.inspect_image(image.config_digest)
    client.close()
    assert found["Id"].removeprefix("sha256:") == image.config_digest.removeprefix("sha256:")


@pytest.mark.docker
def test_image_saved_by_docker_comes_back_the_same(
    open_docker: Engine, image: RecipeImage, api: Any, tmp_path: Path
) -> None:
    open_docker.prepare(image)
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as stream:
        for chunk in api.get_image(image.config_digest):
            stream.write(chunk)

    taken = ImageLibrary(tmp_path / "cache").add(saved)

    assert taken.config_digest == image.config_digest
    assert lock_document(taken)["packages"] == lock_document(image)["packages"]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain Debian as a tar file: what a registry would hand out as a base image."""
    path = tmp_path_factory.mktemp("base") / "base.tar"
    subprocess.run(
        ["mmdebstrap", "--variant=apt", "--quiet", "bookworm", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


@pytest.mark.docker
def test_dockerfile_builds_the_same_image(base: Path, image: RecipeImage, api: Any, tmp_path: Path) -> None:
    repository, tag = "clio-test-base", str(os.getpid())
    api.import_image_from_file(str(base), repository=repository, tag=tag)
    made: list[str] = []
    try:
        made = _build(api, f"{repository}:{tag}")
        exported = _export(api, made[-1], tmp_path / "exported.tar")
    finally:
        for name in (*reversed(made), f"{repository}:{tag}"):
            # A parent may be gone with its child.
            with contextlib.suppress(NotFound):
                api.remove_image(name, force=True)

    # The engine puts files of its own beside ours; taken in, it is the same image all the same.
    taken = ImageLibrary(tmp_path / "cache").add(exported)
    assert taken.config_digest == image.config_digest


def _build(api: Any, base: str) -> list[str]:
    """Build the Dockerfile on a base with the host's network; give the ids made, the result last."""
    lines = list(
        api.build(
            path=str(ROOT),
            dockerfile="Dockerfile",
            buildargs={"BASE": base},
            network_mode="host",
            nocache=True,
            forcerm=True,
            decode=True,
        )
    )
    said = "".join(line.get("stream", "") + line.get("error", "") for line in lines)
    assert "Successfully built" in said, said[-2000:]
    known = api.inspect_image(base)["Id"]
    return [
        found for found in re.findall(r"^ ---> ([0-9a-f]{12})$", said, re.MULTILINE) if found not in known
    ]


def _export(api: Any, built: str, path: Path) -> Path:
    container = api.create_container(built)
    try:
        with path.open("wb") as stream:
            for chunk in api.export(container):
                stream.write(chunk)
    finally:
        api.remove_container(container)
    return path


def test_bill_of_materials_names_every_package_with_its_digest(
    library: ImageLibrary, image: RecipeImage
) -> None:
    packages = {package.name: package for package in library.packages(image)}

    assert {"esorex", "cpl-plugin-muse", "libfaketime", "libc6", "libcfitsio10"} <= packages.keys()
    assert packages["cpl-plugin-muse"].version.startswith("2.8.")
    assert {len(package.sha256) for package in packages.values()} == {64}
    assert list(packages) == sorted(packages)


def test_build_from_its_own_lock_gives_the_same_image(image: RecipeImage, tmp_path: Path) -> None:
    lock = lock_document(image)

    built = ImageLibrary(tmp_path / "cache").build(expect=lock)

    assert lock_document(built) == lock


def test_build_refuses_other_packages_than_the_lock_names_promise_3(
    image: RecipeImage, tmp_path: Path
) -> None:
    library, lock = ImageLibrary(tmp_path / "cache"), lock_document(image)
    now = next(row["version"] for row in lock["packages"] if row["name"] == "esorex")
    for row in lock["packages"]:
        if row["name"] == "esorex":
            row["version"] = "3.13.1-1"
    said = f"esorex 3.13.1-1 is wanted, {now} is what there is"

    with pytest.raises(ImageError) as caught:
        library.build(expect=lock)
    assert caught.value.message == f"the mirror no longer gives the packages in the lock: {said}"
    assert "--update-lock" in caught.value.hint

    built = library.build(expect=lock, update_lock=True)
    assert compare_packages(built, lock) == (said,)


def test_build_refuses_another_image_of_the_same_packages(image: RecipeImage, tmp_path: Path) -> None:
    lock = {**lock_document(image), "config_digest": "sha256:" + "0" * 64}

    with pytest.raises(ImageError, match="their packages are the same: the way images are built has changed"):
        ImageLibrary(tmp_path / "cache").build(expect=lock)


def test_build_that_fails_quotes_the_reason(tmp_path: Path) -> None:
    lines: list[str] = []

    with pytest.raises(ImageError, match="the root file system could not be built: ") as caught:
        build_rootfs(tmp_path / "r.tar", mirror=f"copy:{tmp_path}/no-mirror", progress=lines.append)

    assert "mirror" in caught.value.hint
    assert any(caught.value.message.endswith(line.removeprefix("E: ")) for line in lines)
    assert not (tmp_path / "r.tar").exists()


def test_build_without_mmdebstrap_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ImageError, match="mmdebstrap is not installed") as caught:
        build_rootfs(tmp_path / "r.tar")

    assert "apt-get install mmdebstrap" in caught.value.hint
    assert "Dockerfile" in caught.value.hint


def test_script_explains_itself() -> None:
    said = subprocess.run(["sh", str(ROOTFS_SCRIPT), "--help"], capture_output=True, text=True, check=True)

    assert "rootfs.sh OUTPUT.tar" in said.stdout
    assert said.stderr == ""


@pytest.mark.bubblewrap
def test_recipes_and_parameters_come_from_the_image(
    open_bubblewrap: Engine, image: RecipeImage, tmp_path: Path
) -> None:
    library = ImageLibrary(tmp_path / "cache")
    copy = library.add_archive(image.archive)

    recipes = dict(library.recipes(copy, open_bubblewrap))
    parameters = {p.option: p for p in library.parameters(copy, open_bubblewrap, "muse_bias")}

    assert {
        "muse_bias",
        "muse_scibasic",
        "muse_scipost",
        "muse_scipost_make_cube",
        "muse_exp_combine",
    } <= recipes.keys()
    assert set(recipes.values()) == {recipes["muse_bias"]}
    assert recipes["muse_bias"].startswith("2.8.")
    assert (parameters["nifu"].kind, parameters["nifu"].low, parameters["nifu"].high) == ("int", "-1", "24")
    assert parameters["combine"].choices == ("average", "median", "minmax", "sigclip")
    assert (parameters["merge"].kind, parameters["merge"].value) == ("bool", "FALSE")
    assert parameters["nifu"].name == "muse.muse_bias.nifu"


READER = """
import sys
from pathlib import Path
from pipeline.image import ImageLibrary
library = ImageLibrary(Path(sys.argv[1]))
image = library.find(sys.argv[2])
library.parameters(image, None, "muse_scipost")
assert not {"docker", "astropy", "numpy"} & set(sys.modules), "heavy import"
"""


@pytest.mark.bubblewrap
def test_known_parameters_need_no_container(
    open_bubblewrap: Engine, library: ImageLibrary, image: RecipeImage
) -> None:
    library.parameters(image, open_bubblewrap, "muse_scipost")

    subprocess.run([sys.executable, "-c", READER, str(library.root), image.config_digest], check=True)


@pytest.mark.bubblewrap
def test_image_without_esorex_is_told(open_bubblewrap: Engine, image: RecipeImage, tmp_path: Path) -> None:
    library = ImageLibrary(tmp_path / "cache")
    bare = tmp_path / "bare.tar"
    with tarfile.open(image.archive) as archive:
        layer = next(m for m in archive if m.name.startswith("blobs/") and m.size > 1 << 20)
        with tarfile.open(fileobj=archive.extractfile(layer)) as full, tarfile.open(bare, "w") as target:
            for member in full:
                if member.name != "usr/bin/esorex":
                    target.addfile(member, full.extractfile(member) if member.isreg() else None)
    taken = library.add_rootfs(bare)

    with pytest.raises(ImageError, match=r"does not list its recipes .*exit status 127"):
        library.recipes(taken, open_bubblewrap)

    assert taken.config_digest != image.config_digest
